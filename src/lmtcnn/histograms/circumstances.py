"""Circumstances of a sample that are no behaviour: how it was tracked, when its recording began, how warm it was.

Where such things go with the class, a network may learn them instead of the mice. `evaluate` asks how well they alone
tell the class; it knows no databases, so the numbers are put beside the stacks.
"""

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lmtcnn.cohort import start_hours
from lmtcnn.cohort.cohort import Cohort
from lmtcnn.core.params import Params
from lmtcnn.core.schemas import CONTROLS


def table(cohort: Cohort, quality: pl.DataFrame, coverage: pl.DataFrame, params: Params) -> pl.DataFrame:
    """Collect them for every sample of a cohort.

    Parameters
    ----------
    cohort
        The samples, after recordings were left out.
    quality, coverage
        The tables of the stage `stops`.
    params
        The intervals that are counted, and the time zone of recordings that have none of their own.

    Returns
    -------
    DataFrame
        `CONTROLS`, in order of recording and animal_id, as index and stacks are.
    """
    rows = []
    for recording in cohort.recordings:
        own = quality.filter(recording=recording.name).sort("animal_id")
        for animal in own.iter_rows(named=True):
            covered = coverage.filter(recording=recording.name, animal_id=animal["animal_id"])
            start_s = start_hours.clock_s(recording, animal["start_ms"], params)
            rows.append({**_of_animal(animal), **_by_interval(covered, params), "start_s": start_s})
    return pl.DataFrame(rows, schema=dict(CONTROLS.columns))


def _of_animal(row: Mapping[str, float]) -> dict[str, object]:
    """Shares over the whole recording, its length and temperature, from a row of the quality table."""
    unpaused, detected = row["n_unpaused"], row["n_detected"]
    detections = row["n_rows"] + row["n_anonymous"]
    return {
        "recording": row["recording"],
        "animal_id": row["animal_id"],
        "known": _share(detected, unpaused),
        "filled": _share(row["n_filled"], unpaused),
        "lost": 1 - _share(detected + row["n_filled"], unpaused),
        "flicker": _share(row["n_flicker"], detected),
        "anonymous": _share(row["n_anonymous"], detections),
        "length_s": row["span_s"],
        "coldest_c": row["coldest_c"],
        "hottest_c": row["hottest_c"],
    }


def _by_interval(covered: pl.DataFrame, params: Params) -> dict[str, float]:
    """How the share of frames in which a mouse is known differs between intervals that are counted and were seen."""
    counted = covered.filter(pl.col("interval").is_in(list(params.histograms.counted)) & (pl.col("unpaused") > 0))
    known: NDArray[np.float64] = (counted["detected"] / counted["unpaused"]).to_numpy()
    if not len(known):
        return {"uneven": 0.0, "least_known": 0.0}
    return {"uneven": float(known.std()), "least_known": float(known.min())}


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
