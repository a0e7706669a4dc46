"""The wall clock in each interval: how much of it is night, and which intervals are of one clock hour.

Recordings may begin at different hours, so an interval may be night for some of them only. An interval of simulated
mice whose hours are short counts as the time that it stands for.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lmtcnn.core.params import Params
from lmtcnn.timeline.clock import in_night
from lmtcnn.timeline.counted import HOUR_S

DAY_H = 24.0
START = "start"
"""The value of histograms.align by which interval 0 begins with the recording."""


@dataclass(frozen=True)
class Daytime:
    """The clock of T intervals.

    Attributes
    ----------
    hours_each
        How many hours of the clock an interval stands for.
    night
        (T,) share of recordings for which the middle of each interval is night.
    clock
        (T,) clock hour at which each interval begins, where that is the same in all recordings; else None.
    days
        Whether clock hours come back: intervals divide the day, and there is more than a day of them.
    interval_s
        How many seconds an interval really lasts, which words and axes say.
    """

    hours_each: float
    night: NDArray[np.float64]
    clock: NDArray[np.float64] | None
    days: bool
    interval_s: float = HOUR_S

    @property
    def groups(self) -> NDArray[np.int64] | None:
        """(T,) number of the interval of the day, by which days are pooled; None where they cannot be."""
        if self.clock is None or not self.days:
            return None
        return np.round(self.clock / self.hours_each).astype(np.int64)


def daytime(start_hours: Path, params: Params) -> Daytime:
    """Find the clock of the counted intervals.

    Parameters
    ----------
    start_hours
        data/histograms/start_hours.csv: samples by the clock hour at which their recordings start.
    params
        The study's parameters: `histograms.align`, `interval_s`, `night`, and the length of a simulated hour.
    """
    made = params.histograms
    hour_s = params.simulate.seconds_per_hour if params.simulates else HOUR_S
    each = made.interval_s / hour_s
    if made.align == START:
        table = pl.read_csv(start_hours)
        starts = table["hour"].to_numpy().astype(np.float64) + 0.5  # between this hour and the next one
        counts = table.drop("hour", "timezone").sum_horizontal().to_numpy().astype(np.float64)
    else:
        hours, _, minutes = made.align.partition(":")
        starts, counts = np.array([int(hours) + int(minutes) / 60]), np.ones(1)
    begins = np.array(made.counted) * each
    middles = (starts[:, None] + begins + each / 2) % DAY_H
    night = in_night((middles * HOUR_S).ravel(), made.night).reshape(middles.shape)
    share = counts @ night / counts.sum() if counts.sum() > 0 else np.zeros(len(begins))
    one = len(starts) == 1
    clock = (math.floor(starts[0]) if made.align == START else starts[0]) + begins
    parts = DAY_H / each
    days = abs(parts - round(parts)) < 1e-9 and len(begins) > round(parts) > 1
    return Daytime(each, share, clock % DAY_H if one else None, days, made.interval_s)
