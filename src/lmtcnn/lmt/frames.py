"""The table FRAME of a database: what time it was, whether the tracker was paused, and what its sensors read."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmtcnn.core.errors import DatabaseError, problem
from lmtcnn.lmt.lmt import NUMBER, Columns, Connection, Database, Source, batches, columns_of, connected, watched
from lmtcnn.lmt.pages import MIN_CELL, NOTHING, ODD, PAGES_AT_ONCE, NotPlain, ahead, as_whole
from lmtcnn.timeline.clock import Clock, Extremes

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
        bad = (frames < 0) | (timestamps_ms < 0) | (timestamps_ms > LATEST_MS) | (paused < 0)
        first = _first_bad(source.connection) if bad.any() else ""
    if not frames.size:
        raise DatabaseError(problem(where, "a row for each frame", "no row", "leave the file out"))
    if bad.any():
        wanted = "whole numbers in FRAMENUMBER (0 or more), TIMESTAMP (ms, to the year 3000) and PAUSED"
        n = int(np.count_nonzero(bad))
        raise DatabaseError(problem(where, wanted, f"{n} rows without: {first}", "leave the file out"))
    return Clock(frames, timestamps_ms, paused.view(np.bool_), sensors)


def _first_bad(connection: Connection) -> str:
    """Words for the first row that has no number, time or pause that is one."""
    rows = connection.execute("SELECT FRAMENUMBER, TIMESTAMP, PAUSED FROM FRAME")
    for number, (frame, time, paused) in enumerate(rows, start=1):
        for name, value, good in (
            ("FRAMENUMBER", frame, as_whole(frame) >= 0),
            ("TIMESTAMP", time, 0 <= as_whole(time) <= LATEST_MS),
            ("PAUSED", paused, as_whole(paused) != ODD),
        ):
            if not good:
                return f"{name} is {'NULL' if value is None else repr(value)} in row {number}"
    raise AssertionError("all rows are good")


_Ints = NDArray[np.int64]
_Frames = tuple[_Ints, _Ints, NDArray[np.int8], dict[str, Extremes]]
"""FRAMENUMBER in order, TIMESTAMP, whether paused (-1: no number), and sensors."""


def _read_frames(source: Source, threads: int, limits: Limits) -> _Frames:
    """From pages in one pass; where the sensors are not plain, they are asked of SQLite, and at last everything is."""
    try:
        return _frames_from_pages(source, threads, limits)
    except NotPlain:
        sensors = _extremes_from_rows(source.connection, limits)
    try:
        return *_frames_from_pages(source, threads, {})[:3], sensors
    except NotPlain:
        found = _frames_from_rows(source)
        source.check("FRAME")
        return *found, sensors


def _frames_from_pages(source: Source, threads: int, limits: Limits) -> _Frames:
    """FRAMENUMBER is the table's rowid as the tracker declares it, and a column as any in tables of others."""
    key = "SELECT type FROM pragma_table_info('FRAME') WHERE name = 'FRAMENUMBER' COLLATE NOCASE AND pk"
    keys = source.connection.execute("SELECT count(*) FROM pragma_table_info('FRAME') WHERE pk").fetchone()
    is_rowid = keys == (1,) and str(*source.connection.execute(key).fetchone() or "").upper() == "INTEGER"
    tree = source.tree("table", "FRAME", ("FRAMENUMBER", "TIMESTAMP", "PAUSED", *limits))
    n = len(tree.leaves.numbers)

    def stretch(begin: int) -> tuple[list[Columns], dict[str, Extremes]]:
        found: list[Columns] = []
        sensors: dict[str, Extremes] = {}
        for rowids, frames, times, pauses, *readings in source.rows(tree, range(begin, min(begin + PAGES_AT_ONCE, n))):
            if is_rowid and (frames != NOTHING).any():  # SQLite leaves a rowid's own column empty
                raise NotPlain("a FRAMENUMBER beside the rowid")
            found.append((rowids if is_rowid else frames, times, _paused(pauses)))
            for name, values in zip(limits, readings, strict=True):
                _widen(sensors, name, _extremes(name, values, limits[name]))
        return found, sensors

    most = n * source.pages.size // MIN_CELL  # rows; what is not filled is never given memory
    columns: Columns = tuple(np.empty(most, dtype) for dtype in (np.int64, np.int64, np.int8))
    size = 0
    sensors: dict[str, Extremes] = {}
    with ThreadPoolExecutor(threads) as pool:
        for stretches, extremes in ahead(pool, stretch, range(0, n, PAGES_AT_ONCE), 2 * threads):
            for found in stretches:
                for column, part in zip(columns, found, strict=True):
                    column[size : size + len(part)] = part
                size += len(found[0])
            for name, each in extremes.items():
                _widen(sensors, name, each)
    source.check_count("FRAME", size, every=True)
    return *_in_order(*(column[:size] for column in columns)), _fitted(sensors)


def _paused(pauses: _Ints) -> NDArray[np.int8]:
    """Whether PAUSED is another number than 0 (1), 0 or NULL (0), or no number at all (-1)."""
    paused: NDArray[np.int8] = ((pauses != 0) & (pauses != NOTHING)).view(np.int8)
    if (odd := pauses == ODD).any():
        paused[odd] = -1
    return paused


def _in_order(frames: _Ints, timestamps_ms: _Ints, paused: NDArray[np.int8]) -> tuple[_Ints, _Ints, NDArray[np.int8]]:
    """Rows by their FRAMENUMBER; of one number as they stand."""
    if (frames[1:] >= frames[:-1]).all():
        return frames, timestamps_ms, paused
    order = np.argsort(frames, kind="stable")
    return frames[order], timestamps_ms[order], paused[order]


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
        beyond = [f"total(v < {float(low)!r}), total(v > {float(high)!r})" for low, high in bounds]
        query = f"SELECT min(v), max(v), {', '.join(beyond)} FROM (SELECT {_guarded(name)} AS v FROM FRAME LIMIT -1)"
        lowest, highest, *counts = connection.execute(query).fetchone()
        if highest is not None:
            n = [int(count) for count in counts]
            found[name] = Extremes(float(lowest), float(highest), tuple(n[::2]), tuple(n[1::2]))
    return _fitted(found)


def _frames_from_rows(source: Source) -> tuple[_Ints, _Ints, NDArray[np.int8]]:
    columns = ", ".join(NUMBER.format(name) for name in ("FRAMENUMBER", "TIMESTAMP", "PAUSED"))
    empty = np.empty(0, np.int64)
    found = [(empty, empty, empty), *batches(source, f"SELECT {columns} FROM FRAME")]
    frames, timestamps_ms, pauses = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return _in_order(frames, timestamps_ms, _paused(pauses))


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
    """A column's finite numbers, as text or not; other text and, where 0 is no reading, 0 count as none."""
    number = f"CASE typeof({name}) WHEN 'text' THEN as_fraction({name}) WHEN 'blob' THEN NULL ELSE {name} END"
    fitting = [f"v BETWEEN -{MAX_READING} AND {MAX_READING}", *["v != 0"] * (name in NO_ZERO)]
    return f"(SELECT v FROM (SELECT {number} AS v LIMIT 1) WHERE {' AND '.join(fitting)})"


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
    wanted = [f"{function}({name})" for name in columns for function in ("avg", "min", "max")]
    values = ", ".join(f"{value} AS {name}" for name, value in columns.items())
    row = connection.execute(f"SELECT {', '.join(wanted)} FROM (SELECT {values} FROM FRAME LIMIT -1)").fetchone()
    return {name: row[3 * i : 3 * i + 3] for i, name in enumerate(columns)}
