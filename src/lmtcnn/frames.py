"""The table FRAME of a database: what time it was, whether the tracker was paused, and what its sensors read."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmtcnn.clock import Clock, Extremes
from lmtcnn.errors import DatabaseError, problem
from lmtcnn.lmt import NUMBER, Columns, Connection, Database, Source, batches, columns_of, connected, watched
from lmtcnn.pages import MIN_CELL, NOTHING, PAGES_AT_ONCE, NotPlain, ahead, rows

LATEST_MS = 32_503_680_000_000
"""Later times, from the year 3000 on, are no dates of recordings."""

SENSORS = ("TEMPERATURE", "HUMIDITY", "SOUND", "LIGHTVISIBLE", "LIGHTVISIBLEANDIR")
"""Columns of FRAME in current files: degrees C, %, and three of the sensors' own units; 0 throughout: not fitted."""

TEMPERATURE, PARTICLES = "TEMPERATURE", "NUMPARTICLE"
"""Columns of FRAME; the second: particles in the depth image, many with bedding on the glass."""

NO_ZERO = ("TEMPERATURE", "HUMIDITY")
"""Sensors whose 0 is no reading."""

MAX_READING = 1e300
"""What is beyond is no reading, but damage."""

Bounds = Sequence[tuple[float, float]]
"""Pairs of the lowest and the highest reading that are not counted as beyond."""

Limits = Mapping[str, Bounds]
"""Column of FRAME -> its bounds."""


def read_clock(database: Database, threads: int = 1, limits: Limits | None = None) -> Clock:
    """The FRAME table, in order of FRAMENUMBER, a stretch of it in each thread.

    `limits` names the sensors that are wanted as well. Raises DatabaseError where it is empty or a row has no number or
    time, or a negative one.
    """
    where = f"{database.path}: FRAME"
    with watched(database) as source:
        there = columns_of(source.connection, "FRAME")
        limits = {name: bounds for name, bounds in (limits or {}).items() if name in there}
        frames, timestamps_ms, paused, sensors = _read_frames(source, threads, limits)
    if not frames.size:
        raise DatabaseError(problem(where, "a row for each frame", "no row", "leave the file out"))
    bad = int(np.count_nonzero((frames < 0) | (timestamps_ms < 0) | (timestamps_ms > LATEST_MS)))
    if bad:
        raise DatabaseError(
            problem(where, "whole numbers in FRAMENUMBER and TIMESTAMP", f"{bad} rows without", "leave the file out")
        )
    return Clock(frames, timestamps_ms, paused, sensors)


_Frames = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_], dict[str, Extremes]]


def _read_frames(source: Source, threads: int, limits: Limits) -> _Frames:
    """From pages in one pass; where the sensors are not plain, they are asked of SQLite, and at last everything is."""
    try:
        return _frames_from_pages(source, threads, limits)
    except NotPlain:
        sensors = _extremes_from_rows(source.connection, limits)
    try:
        return *_frames_from_pages(source, threads, {})[:3], sensors
    except NotPlain:
        return *_frames_from_rows(source), sensors


def _frames_from_pages(source: Source, threads: int, limits: Limits) -> _Frames:
    """FRAMENUMBER, TIMESTAMP, and whether paused; FRAMENUMBER is the table's rowid, as the tracker declares it."""
    key = "SELECT type FROM pragma_table_info('FRAME') WHERE name = 'FRAMENUMBER' COLLATE NOCASE AND pk = 1"
    if source.connection.execute(key).fetchall() != [("INTEGER",)]:
        raise NotPlain("frame numbers that are no rowids")
    wanted = ("FRAMENUMBER", "TIMESTAMP", "PAUSED", *limits)
    places = [(place, number >= 3) for number, (place, _) in enumerate(source.places("table", "FRAME", wanted))]
    leaves = source.leaves("FRAME", index=False)

    def stretch(begin: int) -> tuple[list[Columns], dict[str, Extremes]]:
        numbers = leaves.numbers[begin : begin + PAGES_AT_ONCE]
        found: list[Columns] = []
        sensors: dict[str, Extremes] = {}
        for rowids, alias, times, pauses, *readings in rows(source.pages, numbers, places, index=False):
            if (alias != NOTHING).any():  # SQLite leaves a rowid's own column empty
                raise NotPlain("a FRAMENUMBER beside the rowid")
            found.append((rowids, times, (pauses != 0) & (pauses != NOTHING)))
            for name, values in zip(limits, readings, strict=True):
                _widen(sensors, name, _extremes(name, values, limits[name]))
        return found, sensors

    most = len(leaves.numbers) * source.pages.size // MIN_CELL  # rows; what is not filled is never given memory
    columns: Columns = tuple(np.empty(most, dtype) for dtype in (np.int64, np.int64, np.bool_))
    size = 0
    sensors: dict[str, Extremes] = {}
    with ThreadPoolExecutor(threads) as pool:
        for stretches, extremes in ahead(pool, stretch, range(0, len(leaves.numbers), PAGES_AT_ONCE), 2 * threads):
            for found in stretches:
                for column, part in zip(columns, found, strict=True):
                    column[size : size + len(part)] = part
                size += len(found[0])
            for name, each in extremes.items():
                _widen(sensors, name, each)
    frames, timestamps_ms, paused = (column[:size] for column in columns)
    if (frames[1:] <= frames[:-1]).any():
        raise NotPlain("rowids in another order")
    return frames, timestamps_ms, paused, _fitted(sensors)


def _extremes(name: str, values: NDArray[np.float64], bounds: Bounds) -> Extremes | None:
    """Extremes of some readings; None where there is none."""
    good = np.abs(values) <= MAX_READING  # nan, of an empty cell, is not
    if name in NO_ZERO:
        good &= values != 0
    if not good.all():
        values = values[good]
    if not values.size:
        return None
    low, high = float(values.min()), float(values.max())
    below = tuple(int(np.count_nonzero(values < bound)) if low < bound else 0 for bound, _ in bounds)
    above = tuple(int(np.count_nonzero(values > bound)) if high > bound else 0 for _, bound in bounds)
    return Extremes(low, high, below, above)


def _widen(sensors: dict[str, Extremes], name: str, more: Extremes | None) -> None:
    """Take the extremes of more readings of a sensor into account."""
    if more is None:
        return
    if name not in sensors:
        sensors[name] = more
        return
    old = sensors[name]
    below, above = (
        tuple(a + b for a, b in zip(*pair, strict=True))
        for pair in ((old.n_below, more.n_below), (old.n_above, more.n_above))
    )
    sensors[name] = Extremes(min(old.lowest, more.lowest), max(old.highest, more.highest), below, above)


def _fitted(sensors: Mapping[str, Extremes]) -> dict[str, Extremes]:
    """Those that are there: a sensor that says 0 throughout is not."""
    return {name: e for name, e in sensors.items() if name == PARTICLES or not e.lowest == e.highest == 0}


def _extremes_from_rows(connection: Connection, limits: Limits) -> dict[str, Extremes]:
    found: dict[str, Extremes] = {}
    for name, bounds in limits.items():
        value = _guarded(name)
        beyond = [f"total({value} < {float(low)!r}), total({value} > {float(high)!r})" for low, high in bounds]
        query = f"SELECT min({value}), max({value}), {', '.join(beyond)} FROM FRAME"
        lowest, highest, *counts = connection.execute(query).fetchone()
        if highest is not None:
            n = [int(count) for count in counts]
            found[name] = Extremes(float(lowest), float(highest), tuple(n[::2]), tuple(n[1::2]))
    return _fitted(found)


def _frames_from_rows(source: Source) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    columns = f"{NUMBER.format('FRAMENUMBER')}, {NUMBER.format('TIMESTAMP')}, ifnull(PAUSED, 0) != 0"
    empty = np.empty(0, np.int64)
    found = [(empty, empty, empty), *batches(source, f"SELECT {columns} FROM FRAME ORDER BY FRAMENUMBER")]
    frames, timestamps_ms, paused = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return frames, timestamps_ms, paused.astype(np.bool_)


@dataclass(frozen=True)
class Readings:
    """A column of numbers in FRAME: mean, lowest, highest."""

    mean: float
    lowest: float
    highest: float


def read_sensors(database: Database) -> dict[str, Readings | None]:
    """SENSORS and PARTICLES over all FRAME rows; None where a column is absent, empty, or a sensor's is 0 throughout.

    One pass; a second one, three times as dear a column, only over those that hold something else than numbers or a 0
    that is no reading.
    """
    found: dict[str, Readings | None] = dict.fromkeys((*SENSORS, PARTICLES))
    with connected(database) as connection:
        there = columns_of(connection, "FRAME")
        first = _aggregate(connection, {name: name for name in found if name in there})
        odd = {name: _guarded(name) for name, row in first.items() if _is_odd(name, row)}
        found |= {name: _readings(row) for name, row in (first | _aggregate(connection, odd)).items()}
    dark = [name for name in SENSORS if (readings := found[name]) and readings.lowest == readings.highest == 0]
    return found | dict.fromkeys(dark)


def _readings(row: tuple[Any, Any, Any]) -> Readings | None:
    return None if row[2] is None else Readings(*row)


def _guarded(name: str) -> str:
    """A column's finite numbers; text and, where 0 is no reading, 0 count as none."""
    fitting = [f"typeof({name}) IN ('integer', 'real')", f"{name} BETWEEN -{MAX_READING} AND {MAX_READING}"]
    return f"(CASE WHEN {' AND '.join(fitting + [f'{name} != 0'] * (name in NO_ZERO))} THEN {name} END)"


def _is_odd(name: str, row: tuple[Any, Any, Any]) -> bool:
    """Whether mean and extremes say that a column must be looked at closely."""
    _, lowest, highest = row
    if highest is None:
        return False
    if not all(isinstance(value, int | float) and abs(value) <= MAX_READING for value in (lowest, highest)):
        return True
    return name in NO_ZERO and bool(lowest <= 0 <= highest)


def _aggregate(connection: Connection, columns: Mapping[str, str]) -> dict[str, tuple[Any, Any, Any]]:
    """Mean, lowest and highest of columns of FRAME (name -> expression) in one pass."""
    if not columns:
        return {}
    wanted = [f"{function}({value})" for value in columns.values() for function in ("avg", "min", "max")]
    row = connection.execute(f"SELECT {', '.join(wanted)} FROM FRAME").fetchone()
    return {name: row[3 * i : 3 * i + 3] for i, name in enumerate(columns)}
