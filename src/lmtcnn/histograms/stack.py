"""From one animal's stops to its stack: T histograms of N x N.

A stop belongs to the interval floor(start_s / interval_s) and to the tile (floor(y N / h), floor(x N / w)), where it
counts 1 (or its duration). What is not counted is told: stops beyond T are late, those before or after the window, or
of another time of day than `only` says, are cut. sum(stack) = n_stops - n_late - n_cut (- n_outside if those are
dropped); nothing else is lost. Whoever makes a stack makes it here, and by these rules.
"""

from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lmtcnn.cohort.recording import Recording
from lmtcnn.core.errors import problem
from lmtcnn.core.params import Definitions
from lmtcnn.core.sections import Arena, HistogramsParams
from lmtcnn.timeline import clock as clocks
from lmtcnn.timeline.counted import short_words, too_late


@dataclass(frozen=True)
class Stack:
    """Histograms of one sample, (T, N, N), rows are y, and the stops that are not or not cleanly in them.

    T is the number of intervals that are counted. Of `n_stops`, `n_late` lie beyond the last interval of the axis,
    `n_cut` in it, but outside of the window or of the time of day that are counted; `n_outside`, off the floor, are of
    the others.
    """

    counts: NDArray[np.float64]
    n_stops: int
    n_outside: int
    n_late: int
    n_cut: int

    @property
    def outside_share(self) -> float:
        """Share of the stops in counted intervals that are off the floor; 0 where there are none."""
        return self.n_outside / max(self.n_stops - self.n_late - self.n_cut, 1)


def stack_for(recording: Recording, stops: pl.DataFrame, start_ms: int, params: HistogramsParams) -> Stack:
    """Make the stack of one animal's stops, on its recording's own floor, in its own time zone and its own light."""
    offset_s = clocks.align_offset_s(start_ms, params, recording.timezone)
    chosen = None
    if params.only != "all":
        begins_ms = start_ms + 1000 * stops["start_s"].to_numpy()
        day_s = clocks.day_seconds(begins_ms, ZoneInfo(recording.timezone or params.timezone))
        chosen = clocks.chosen(day_s, params, recording.night)
    return stack_of(stops, floor_of(recording.arena), params, offset_s, chosen)


def stack_of(
    stops: pl.DataFrame,
    floor_cm: tuple[float, float],
    params: HistogramsParams,
    offset_s: float = 0,
    chosen: NDArray[np.bool_] | None = None,
) -> Stack:
    """Make the stack of one sample's stops.

    Parameters
    ----------
    stops
        Columns `start_s`, `duration_s` (s), `x_cm`, `y_cm` (cm), a row for each stop.
    floor_cm
        (w, h) of the floor.
    params
        Intervals, grid, and what is counted.
    offset_s
        How long before the recording interval 0 begins (`align`), in s.
    chosen
        (stops,): whether each begins at a time of day that is counted; None: all do.

    Returns
    -------
    Stack
        Of (b - a, N, N) for a window [a, b). A stop off the floor goes to the nearest tile or is dropped.
    """
    width_cm, height_cm = floor_cm
    n = params.tiles
    x_cm, y_cm = stops["x_cm"].to_numpy(), stops["y_cm"].to_numpy()
    interval = clocks.intervals(stops["start_s"].to_numpy(), offset_s, params.interval_s)
    first, depth = params.counted.start, len(params.counted)
    in_time = interval < params.intervals
    counted = (interval >= first) & (interval < first + depth)
    counted = counted if chosen is None else counted & chosen
    outside = (x_cm < 0) | (x_cm > width_cm) | (y_cm < 0) | (y_cm > height_cm)
    keep = counted & ~outside if params.outside == "drop" else counted
    row = np.clip(np.floor(y_cm * n / height_cm), 0, n - 1).astype(np.int64)
    column = np.clip(np.floor(x_cm * n / width_cm), 0, n - 1).astype(np.int64)
    flat = (((interval - first) * n + row) * n + column)[keep]
    weights = stops["duration_s"].to_numpy()[keep] if params.weight == "duration" else None
    counts = np.bincount(flat, weights=weights, minlength=depth * n * n)
    return Stack(
        counts.astype(np.float64).reshape(depth, n, n),
        stops.height,
        int(np.count_nonzero(outside & counted)),
        int(np.count_nonzero(~in_time)),
        int(np.count_nonzero(in_time & ~counted)),
    )


def check_length(where: object, stops: int, late: int, params: HistogramsParams) -> str | None:
    """Return a line of complaint where more than half of a recording's stops lie beyond interval T, else None."""
    if not too_late(stops, late, params):
        return None
    span = f"{params.intervals} intervals of {params.interval_s:g} s"
    do = "check histograms.interval_s and align; to cut them off on purpose write histograms.late: cut"
    return problem(where, f"stops within {span}", f"{late} of {stops} beyond", do)


def too_short(recording: Recording, quality: pl.DataFrame, params: Definitions) -> str:
    """Say how much of the counted time a recording covers, where that is too little; else nothing.

    `quality` are its rows of the quality table. For training and `predict`: see `counted.is_short`.
    """
    offset_s = clocks.align_offset_s(int(quality["start_ms"][0]), params.histograms, recording.timezone)
    return short_words(float(quality["span_s"].to_numpy().max()), params, offset_s)


def stack_dtype(params: HistogramsParams) -> np.dtype[Any]:
    """Return the type of stacks on the disk: uint16 for counts, float32 for durations."""
    return np.dtype(np.uint16 if params.weight == "count" else np.float32)


def floor_of(arena: Arena) -> tuple[float, float]:
    """Return (w, h) of the floor in cm."""
    return arena.width_cm, arena.height_cm
