"""From stops to stacks."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, overload

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lmtcnn.api.tracks import settings_of
from lmtcnn.core.errors import DataError, ParamsError, problem
from lmtcnn.core.sections import HistogramsParams, StopsParams
from lmtcnn.histograms import fitness
from lmtcnn.histograms.stack import Stack, as_kept, floor_of, stack_by_wall_clock, stack_since

FLOOR_CM = floor_of(StopsParams().arena)
"""(w, h) of the tracker's floor: 49.8 x 50.9 cm."""


@overload
def stack_histograms(
    stops: pl.DataFrame,
    by: None = None,
    *,
    floor_cm: tuple[float, float] = FLOOR_CM,
    start: datetime | None = None,
    **settings: Any,
) -> NDArray[Any]: ...


@overload
def stack_histograms(
    stops: pl.DataFrame,
    by: Sequence[str] | pl.DataFrame,
    *,
    floor_cm: tuple[float, float] = FLOOR_CM,
    start: datetime | Mapping[str, datetime] | None = None,
    **settings: Any,
) -> tuple[NDArray[Any], pl.DataFrame]: ...


def stack_histograms(
    stops: pl.DataFrame,
    by: Sequence[str] | pl.DataFrame | None = None,
    *,
    floor_cm: tuple[float, float] = FLOOR_CM,
    start: datetime | Mapping[str, datetime] | None = None,
    **settings: Any,
) -> NDArray[Any] | tuple[NDArray[Any], pl.DataFrame]:
    """Count stops in a grid of N x N tiles for each of T intervals (arXiv 2412.05158: N = 30, T = 72 hours).

    A stop belongs to the interval floor(start_s / interval_s) and to the tile (floor(y N / h), floor(x N / w)).

    Parameters
    ----------
    stops
        A row for each stop: `start_s`, `duration_s` (s), `x_cm`, `y_cm` (cm from the floor's upper left corner), and
        the columns of `by`.
    by
        None: all stops are of one sample. Names of columns, such as `["recording", "animal_id"]`: a sample for each of
        their values, sorted. A table: its rows are the samples, in this order, those without a stop too; the columns
        that `stops` has as well say whose a stop is, others such as `class` and `cage` are carried along.
    floor_cm
        (w, h) of the floor.
    start
        When the recording began, with a time zone; of each recording by its name. Only `align` and `only` need it.
    **settings
        Keys of the section `histograms` of params.yaml, such as `interval_s`; the paper's values by default.

    Returns
    -------
    numpy.ndarray
        (T, N, N), or (samples, T, N, N) with `by`; rows are y. uint16, or float32 for durations.
    polars.DataFrame
        With `by`: a row for each sample, with `n_stops`, `n_outside`, `n_late`, `n_cut`.

    Raises
    ------
    DataError
        A column is missing, or more than half of a recording's stops lie beyond interval T (unless `late="cut"`).
    ParamsError
        A key or value of `settings` is wrong, or `start` is needed and missing.

    Examples
    --------
    >>> import lmtcnn, polars as pl
    >>> stops = pl.DataFrame({"start_s": [1.0, 3700.0], "duration_s": 2.0, "x_cm": [1.0, 49.0], "y_cm": 1.0})
    >>> stack = lmtcnn.stack_histograms(stops, intervals=2)
    >>> stack.shape, stack[0, 0, 0], stack[1, 0, 29]
    ((2, 30, 30), np.uint16(1), np.uint16(1))
    """
    params = settings_of(HistogramsParams, settings, "stack_histograms")
    samples, keys = _samples(stops, by)
    rows, counts = [], []
    parts = _parts(stops, keys)
    for who in samples.select(keys).iter_rows() if keys else [()]:
        own = parts.get(who, stops.clear())
        stack = _stack(own, floor_cm, _start_of(start, dict(zip(keys, who, strict=True))), params)
        rows.append((*who, stack.n_stops, stack.n_outside, stack.n_late, stack.n_cut))
        counts.append(as_kept(stack.counts, params, ", ".join(map(str, who)) or "stops"))
    names = ("n_stops", "n_outside", "n_late", "n_cut")
    numbers = pl.DataFrame([row[len(keys) :] for row in rows], schema=dict.fromkeys(names, pl.Int64), orient="row")
    index = samples.hstack(numbers)
    _refuse_late(index, params)
    if by is None:
        return counts[0]
    return np.stack(counts) if counts else np.empty((0, len(params.counted), params.tiles, params.tiles)), index


def _samples(stops: pl.DataFrame, by: Sequence[str] | pl.DataFrame | None) -> tuple[pl.DataFrame, list[str]]:
    """The samples, a row each, and the columns that say whose a stop is."""
    named = [] if by is None or isinstance(by, pl.DataFrame) else list(by)
    wanted = ["start_s", "duration_s", "x_cm", "y_cm", *named]
    if lost := [name for name in wanted if name not in stops.columns]:
        raise DataError([problem("stops", f"a column {name}", ", ".join(stops.columns), "add it") for name in lost])
    if by is None:
        several = [n for n in ("recording", "animal_id") if n in stops.columns and stops[n].n_unique() > 1]
        if several:
            do = 'name them: by=["recording", "animal_id"]'
            raise DataError(problem("stops", "those of one animal", f"several in {', '.join(several)}", do))
        return pl.DataFrame({"sample": [0]}), []
    if isinstance(by, pl.DataFrame):
        keys = [name for name in by.columns if name in stops.columns]
        if not keys:
            raise DataError(problem("by", "a column that the stops have", ", ".join(by.columns), "name it alike"))
        return by, keys
    return stops.select(named).unique().sort(named), named


def _parts(stops: pl.DataFrame, keys: list[str]) -> dict[tuple[Any, ...], pl.DataFrame]:
    return stops.partition_by(keys, as_dict=True) if keys else {(): stops}


def _start_of(start: datetime | Mapping[str, datetime] | None, who: Mapping[str, Any]) -> datetime | None:
    return start.get(who.get("recording", "")) if isinstance(start, Mapping) else start


def _stack(own: pl.DataFrame, floor_cm: tuple[float, float], start: datetime | None, params: HistogramsParams) -> Stack:
    if start is not None and start.tzinfo is not None:
        return stack_since(own, floor_cm, round(start.timestamp() * 1000), params)
    if params.only != "all" or params.align != "start":
        found = "none" if start is None else "one without a time zone"
        raise ParamsError(problem("start", "when the recording began, with its time zone", found, "add it"))
    return stack_by_wall_clock(own, floor_cm, params)


def _refuse_late(index: pl.DataFrame, params: HistogramsParams) -> None:
    groups = index.partition_by("recording", as_dict=True) if "recording" in index.columns else {("stops",): index}
    do = 'correct interval_s; to cut them off on purpose say late="cut"'
    lines = [
        problem(name, *misfit, do)
        for (name,), own in groups.items()
        for misfit in fitness.late(int(own["n_stops"].sum()), int(own["n_late"].sum()), params)
    ]
    if lines:
        raise DataError(lines)
