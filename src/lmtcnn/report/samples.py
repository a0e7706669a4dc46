"""Every sample with its held-out prediction, and what the page draws of it when it is chosen.

Maps are shares of stops per tile (`histograms.shares`), each in steps of 1/255 of its largest tile, as text; the page
draws them, beside what networks that never saw the sample use of it. Where there are many samples or fine tiles, tiles
are joined so that the page stays small.
"""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lmtcnn.core.errors import DataError
from lmtcnn.core.params import Params
from lmtcnn.core.records import PREDICTIONS, Training, check_outputs
from lmtcnn.core.schemas import predictions_table
from lmtcnn.evaluate.predicted import average
from lmtcnn.explain.contrasts import zone_mask
from lmtcnn.figures.figures import class_colours
from lmtcnn.histograms import record
from lmtcnn.histograms.shares import shares
from lmtcnn.report.evidence import speaking
from lmtcnn.report.tiles import coarser
from lmtcnn.report.words import share

Floats = NDArray[np.float64]


def samples(data: Path, training: Training, params: Params) -> dict[str, Any]:
    """Rows of the table of samples, and what is drawn of them.

    Parameters
    ----------
    data
        The study's folder.
    training
        The training whose held-out predictions are shown.
    params
        The study's parameters.

    Returns
    -------
    dict
        `rows`, one for each sample; `cages`; `drawn`, which the page's script reads.

    Raises
    ------
    DataError
        Where the predictions are not those of the training.
    """
    if lines := check_outputs(training.folder, training.record, "train", [PREDICTIONS]):
        raise DataError(lines)
    stacks, index = record.load(data / "histograms", params)
    classes = tuple(params.classes)
    predictions = predictions_table(classes).read(training.folder / PREDICTIONS)
    rows = sample_rows(index, predictions, classes)
    maps = shares(stacks, params.evaluate.smoothing_tiles)
    hours = np.array([np.asarray(stack).sum(axis=(1, 2), dtype=np.float64) for stack in stacks])
    zones = zone_shares(shares(stacks, 0), params, training.record.floor_cm)
    floor = training.record.floor_cm
    shown = drawn(rows, maps, hours, zones, params) | {"floor": list(floor)}
    for one, speaks in zip(shown["samples"], speaking(data / "explain", index), strict=True):
        one["speaks"] = speaks
    return {"rows": rows, "cages": sorted({row["cage"] for row in rows}), "drawn": shown}


def sample_rows(index: pl.DataFrame, predictions: pl.DataFrame, classes: Sequence[str]) -> list[dict[str, Any]]:
    """Who a sample is, its class, what networks that never saw its cage say, and how many of its stops are counted.

    Parameters
    ----------
    index
        The samples.
    predictions
        Of single networks, a row per sample and seed.
    classes
        In their order.
    """
    mean = average(predictions, index, classes)
    said = [classes[place] for place in mean.argmax(axis=1)]
    agreeing = _agreement(predictions, index, said)
    colours = class_colours(classes)
    return [
        {
            "name": f"{row['recording']} {row['animal_id']}",
            "rfid": row["rfid"],
            "cage": row["cage"],
            "class": row["class"],
            "predicted": guess,
            "right": row["class"] == guess,
            "p": [round(float(value), 4) for value in p],
            "p_predicted": share(float(p.max())),
            "p_true": share(float(p[classes.index(row["class"])])),
            "agreement": share(agreed),
            "stops": row["n_stops"] - row["n_late"] - row["n_cut"],
            "colour": colours[row["class"]],
        }
        for row, p, guess, agreed in zip(index.iter_rows(named=True), mean, said, agreeing, strict=True)
    ]


def _agreement(predictions: pl.DataFrame, index: pl.DataFrame, said: Sequence[str]) -> list[float]:
    """Share of the seeds' networks that say what all together say, sample by sample."""
    keys = ["recording", "animal_id"]
    together = index.select(keys).with_columns(pl.Series("said", said, dtype=pl.String))
    each = predictions.join(together, on=keys, how="inner")
    agreed = each.group_by(keys).agg(agreed=(pl.col("predicted") == pl.col("said")).mean())
    return together.join(agreed, on=keys, how="left", maintain_order="left")["agreed"].to_list()


def drawn(
    rows: Sequence[dict[str, Any]], maps: Floats, hours: Floats, zones: dict[str, Floats], params: Params
) -> dict[str, Any]:
    """Collect what the page draws of each sample beside the means of classes.

    Parameters
    ----------
    rows
        See `sample_rows`.
    maps
        (S, N, N) smoothed shares.
    hours
        (S, T) stops by interval.
    zones
        Zone -> (S,) share of stops in it.
    params
        Classes, intervals, zones.
    """
    classes, of_class = list(params.classes), np.array([row["class"] for row in rows])
    small = coarser(maps)
    means = {name: of_class == name for name in classes if (of_class == name).any()}
    return {
        "classes": classes,
        "colours": class_colours(tuple(classes)),
        "tiles": small.shape[-1],
        "first_interval": params.histograms.counted.start,
        "furniture": list(params.furniture.values()),
        "zones": [name.replace("_", " ") for name in zones],
        "samples": [
            _one(small[i], hours[i], [values[i] for values in zones.values()]) | {"p": row["p"]}
            for i, row in enumerate(rows)
        ],
        "means": {
            name: _one(small[own].mean(axis=0), hours[own].mean(axis=0), [z[own].mean() for z in zones.values()])
            for name, own in means.items()
        },
    }


def _one(places: Floats, hours: Floats, zones: Sequence[float]) -> dict[str, Any]:
    """A map as text with its largest share in per mille, stops by interval, and shares of zones in percent."""
    top = float(places.max())
    steps = np.rint(255 * places / top if top > 0 else places).astype(np.uint8)
    return {
        "map": base64.b64encode(steps.tobytes()).decode("ascii"),
        "top": round(1000 * top, 4),
        "hours": [round(float(value), 2) for value in hours],
        "zones": [round(100 * float(value), 2) for value in zones],
    }


def zone_shares(maps: Floats, params: Params, floor_cm: tuple[float, float]) -> dict[str, Floats]:
    """Zone -> share of each sample's stops (S,) in the tiles whose middle lies in it, of shares (S, N, N)."""
    inside = {name: zone_mask(zone, maps.shape[-1], floor_cm) for name, zone in params.furniture.items()}
    return {name: (maps * mask).sum(axis=(1, 2)) for name, mask in inside.items() if mask.any()}
