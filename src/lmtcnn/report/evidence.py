"""Evidence in each sample for the class that it is told as, read from data/explain in the form that the page draws."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lmtcnn.core.schemas import EXPLAINED
from lmtcnn.report.tiles import coarser

MIDDLE = 127
"""The byte of an attribution of 0; the largest one up or down is as far from it as it can be."""

KEYS = ["recording", "animal_id"]


def speaking(folder: Path, index: pl.DataFrame) -> list[dict[str, Any] | None]:
    """Both classes of each sample, the sentence, the map as text and the hours; None where no network is held out.

    Parameters
    ----------
    folder
        data/explain.
    index
        The samples.
    """
    table = EXPLAINED["sample_attributions"].read(folder / "sample_attributions.parquet")
    if table.is_empty():
        return [None] * index.height
    hours = EXPLAINED["sample_hours"].read(folder / "sample_hours.parquet")["value"].to_numpy()
    hours = hours.reshape(table.height, -1)
    own = np.load(folder / "sample_attributions.npy")
    rows = {(row["recording"], row["animal_id"]): place for place, row in enumerate(table.to_dicts())}
    known = [rows.get(key) for key in index.select(KEYS).iter_rows()]
    whole = np.stack([np.zeros(own.shape[1:]) if place is None else own[place].astype(np.float64) for place in known])
    maps = coarser(whole)  # of all samples, as those of stops beside them
    return [
        None if place is None else _one(table.row(place, named=True), each, hours[place])
        for place, each in zip(known, maps, strict=True)
    ]


def _one(row: dict[str, Any], places: NDArray[np.float64], hours: NDArray[np.float64]) -> dict[str, Any]:
    """The sample's classes, sentence, map as text with its largest |value|, and hours to four digits."""
    top = float(np.abs(places).max())
    steps = np.rint(MIDDLE * (1 + places / (top if top > 0 else 1))).astype(np.uint8)
    return {
        "a": row["a"],
        "b": row["b"],
        "words": row["words"],
        "map": base64.b64encode(steps.tobytes()).decode("ascii"),
        "top": float(f"{top:.4g}"),
        "hours": [float(f"{value:.3g}") for value in hours],
    }
