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
from lmtcnn.core.errors import DataError, problem
from lmtcnn.core.sections import Arena, HistogramsParams
from lmtcnn.timeline import clock as clocks


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
    own = {"timezone": recording.timezone or params.timezone, "night": recording.night or params.night}
    return stack_since(stops, floor_of(recording.arena), start_ms, params.model_copy(update=own))


def stack_since(stops: pl.DataFrame, floor_cm: tuple[float, float], start_ms: int, params: HistogramsParams) -> Stack:
    """Make the stack of stops whose `start_s` counts from `start_ms` (ms since the epoch); see `stack_of`."""
    offset_s = clocks.align_offset_s(start_ms, params)
    chosen = None
    if params.only != "all":
        begins_ms = start_ms + 1000 * stops["start_s"].to_numpy()
        chosen = clocks.chosen(clocks.day_seconds(begins_ms, ZoneInfo(params.timezone)), params)
    return stack_of(stops, floor_cm, params, offset_s, chosen)


def stack_by_wall_clock(stops: pl.DataFrame, floor_cm: tuple[float, float], params: HistogramsParams) -> Stack:
    """Make the stack of stops whose `start_s` counts from the clock time `align`, or from the recording's start.

    With `only`, `align` has to be a clock time: else nothing tells the stops' time of day.
    """
    chosen = None
    if params.only != "all":
        hours, minutes = (int(part) for part in params.align.split(":"))
        day_s = (3600 * hours + 60 * minutes + stops["start_s"].to_numpy()) % clocks.DAY_S
        chosen = clocks.chosen(day_s, params)
    return stack_of(stops, floor_cm, params, chosen=chosen)


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


def stack_dtype(params: HistogramsParams) -> np.dtype[Any]:
    """Return the type of stacks on the disk: uint16 for counts, float32 for durations."""
    return np.dtype(np.uint16 if params.weight == "count" else np.float32)


def as_kept(counts: NDArray[np.float64], params: HistogramsParams, where: object) -> NDArray[Any]:
    """Return a sample's counts in the type of the disk; DataError that names `where` if one is too large for it."""
    dtype = stack_dtype(params)
    if dtype.kind == "u" and counts.max(initial=0) > np.iinfo(dtype).max:
        limit = f"at most {np.iinfo(dtype).max} stops in a tile and interval"
        raise DataError(problem(where, limit, f"{counts.max():.0f}", "shorten histograms.interval_s"))
    return counts.astype(dtype)


def floor_of(arena: Arena) -> tuple[float, float]:
    """Return (w, h) of the floor in cm."""
    return arena.width_cm, arena.height_cm
