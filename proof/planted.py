"""Simulated cohorts whose truth is known, and how maps and hours are scored against it."""

import functools
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from scipy import stats

from lmtcnn.core import params as parameters
from lmtcnn.core.params import Params
from lmtcnn.explain.daytime import Daytime
from lmtcnn.explain.differences import Differences, differences
from lmtcnn.simulate import behaviour, expected, truth
from lmtcnn.simulate.stops_only import planted_stops

ROOT = Path(__file__).parent.parent
FIRST_HOUR = 14
"""The clock hour at which interval 0 begins; recordings begin up to 90 minutes before or after it."""
MARGINS = (0.1, 0.5, 1.0)
"""A class stops truly more in a tile if its expected share is larger by this part of an even share, 1 / N^2."""
CLAIMED = 0.5
"""The margin for which something is claimed; rows for the others are printed beside."""
ARRANGEMENTS = 199


class Cohort(NamedTuple):
    """Stacks (S, T, N, N), their samples, and how they were made."""

    stacks: np.ndarray
    index: pl.DataFrame
    params: Params


def cohort(
    seed: int, hours: int, tiles: int, seconds: float = 3600.0, rate: float = 0.001, **simulated: object
) -> Cohort:
    """Simulate a cohort whose hours have so many seconds, with an interval for every clock hour; `rate` of learning."""
    known = parameters.load(ROOT / "params.yaml")
    told = {"seed": seed, "hours": hours, "seconds_per_hour": seconds, **simulated}
    changes = {
        "simulate": known.simulate.model_copy(update=told),
        "histograms": known.histograms.model_copy(update={"intervals": hours, "interval_s": seconds, "tiles": tiles}),
        "explain": known.explain.model_copy(update={"arrangements": ARRANGEMENTS}),
        "train": known.train.model_copy(update={"lr": rate, "device": "cpu", "seeds": [0]}),
    }
    params = known.model_copy(update=changes)
    stacks, rows = [], []
    for recording in behaviour.recordings(params.simulate):
        for mouse, plan in planted_stops(params, recording):
            at_h = plan.start / truth.FPS / seconds + recording.start_clock_h - FIRST_HOUR
            stacks.append(_stack(at_h, plan.place_cm, hours, tiles))
            labels = (recording.sex, recording.age, recording.class_name)
            rows.append((recording.cage, recording.name, mouse.rfid, *labels))
    columns = ["cage", "recording", "animal", "sex", "age", "class"]
    return Cohort(np.stack(stacks), pl.DataFrame(rows, schema=columns, orient="row"), params)


def _stack(at_h: np.ndarray, place_cm: np.ndarray, hours: int, tiles: int) -> np.ndarray:
    """Stops by interval and tile, (T, N, N); those before the first or after the last interval do not count."""
    interval = np.floor(at_h).astype(np.int64)
    column, row = np.minimum((place_cm / truth.FLOOR_CM * tiles).astype(np.int64), tiles - 1).T
    kept = (interval >= 0) & (interval < hours)
    place = np.ravel_multi_index((interval[kept], row[kept], column[kept]), (hours, tiles, tiles))
    return np.bincount(place, minlength=hours * tiles**2).reshape(hours, tiles, tiles).astype(np.uint16)


def clock(hours: int) -> np.ndarray:
    """The clock hour of each interval, (T,)."""
    return (FIRST_HOUR + np.arange(hours)) % 24


def compare(made: Cohort) -> Differences:
    """All that is told of the data alone, as the stage `explain` does."""
    hours = made.stacks.shape[1]
    day = Daytime(1.0, np.zeros(hours), clock(hours).astype(np.float64), False)
    return differences(made.stacks, made.index, made.params, day, truth.FLOOR_CM)


@functools.lru_cache(maxsize=16)
def expected_stops(name: str, simulate_json: str, tiles: int) -> np.ndarray:
    """Shares of a class's stops by clock hour and tile, (24, N, N)."""
    return expected.stops(name, parameters.SimulateParams.model_validate_json(simulate_json), tiles)


class Truth(NamedTuple):
    """What the simulator makes of classes a and b: expected difference of shares (N, N); by clock hour (24,)."""

    difference: np.ndarray
    by_hour: np.ndarray

    def more(self, margin: float) -> tuple[np.ndarray, np.ndarray]:
        """Tiles in which a, and in which b, truly stops more by a margin, in even shares."""
        least = margin / self.difference.size
        return self.difference > least, self.difference < -least


def truth_of(a: str, b: str, made: Cohort) -> Truth:
    """The truth of two classes; by hour it is half the sum over tiles of |difference of that hour's shares|."""
    told = made.params.simulate.model_dump_json()
    first, second = (expected_stops(name, told, made.stacks.shape[-1]) for name in (a, b))
    hourly = [each / each.sum(axis=(1, 2), keepdims=True) for each in (first, second)]
    return Truth(first.sum(axis=0) - second.sum(axis=0), np.abs(hourly[0] - hourly[1]).sum(axis=(1, 2)) / 2)


def roc_area(values: np.ndarray, positive: np.ndarray) -> float:
    """Chance that a positive place has a larger value than another one; equal values count half."""
    ranks, n = stats.rankdata(values.ravel()), int(positive.sum())
    rest = positive.size - n
    return float((ranks[positive.ravel()].sum() - n * (n + 1) / 2) / (n * rest)) if n and rest else float("nan")


def signed_area(values: np.ndarray, found: Truth, margin: float) -> float:
    """Mean of the areas of tiles truly more in a, by the map, and of those truly more in b, by minus the map."""
    more_a, more_b = found.more(margin)
    return (roc_area(values, more_a) + roc_area(-values, more_b)) / 2


def areas_of(values: np.ndarray, found: Truth) -> np.ndarray:
    """The signed area at each of MARGINS; last, at CLAIMED, that of tiles in which either class stops more, unsigned.

    The unsigned one is by the map as it is, and shows why it proves nothing: a map that knows no class has a large one.
    """
    either = np.logical_or(*found.more(CLAIMED))
    return np.array([*(signed_area(values, found, margin) for margin in MARGINS), roc_area(values, either)])
