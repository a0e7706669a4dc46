"""The table FRAME of a database: what time it was, whether the tracker was paused, and what its sensors read."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from lmtcnn.core.errors import DatabaseError, problem
from lmtcnn.lmt.lmt import Connection, Database, columns_of
from lmtcnn.lmt.pages import NotPlain
from lmtcnn.lmt.source import Source, batches, watched
from lmtcnn.lmt.values import NOTHING, NUMBER, ODD, Columns, Ints, Values, as_whole
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


_Frames = tuple[Ints, Ints, NDArray[np.int8], dict[str, Extremes]]
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

    def take(columns: list[Values]) -> tuple[Columns, dict[str, Extremes]]:
        rowids, frames, times_ms, pauses, *readings = columns
        if is_rowid and (frames != NOTHING).any():  # SQLite leaves a rowid's own column empty
            raise NotPlain("a FRAMENUMBER beside the rowid")
        sensors: dict[str, Extremes] = {}
        for name, values in zip(limits, readings, strict=True):
            _widen(sensors, name, _extremes(name, values, limits[name]))
        return (rowids if is_rowid else frames, times_ms, _paused(pauses)), sensors

    # Of columns for the most rows that may come, what is not filled is never given memory.
    columns: Columns = tuple(np.empty(tree.most_rows, dtype) for dtype in (np.int64, np.int64, np.int8))
    size = 0
    sensors: dict[str, Extremes] = {}
    for found, extremes in tree.blocks(take, threads):
        for column, part in zip(columns, found, strict=True):
            column[size : size + len(part)] = part
        size += len(found[0])
        for name, each in extremes.items():
            _widen(sensors, name, each)
    source.check_count("FRAME", size, every=True)
    return *_in_order(*(column[:size] for column in columns)), _fitted(sensors)


def _paused(pauses: Ints) -> NDArray[np.int8]:
    """Whether PAUSED is another number than 0 (1), 0 or NULL (0), or no number at all (-1)."""
    paused: NDArray[np.int8] = ((pauses != 0) & (pauses != NOTHING)).view(np.int8)
    if (odd := pauses == ODD).any():
        paused[odd] = -1
    return paused


def _in_order(frames: Ints, timestamps_ms: Ints, paused: NDArray[np.int8]) -> tuple[Ints, Ints, NDArray[np.int8]]:
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
    return Extremes(low, high, below, above, len(values), float(values.sum()))


def _widen(sensors: dict[str, Extremes], name: str, more: Extremes | None) -> None:
    """Take the extremes of more readings of a sensor into account."""
    if more is not None:
        sensors[name] = sensors[name].joined(more) if name in sensors else more


def _fitted(sensors: Mapping[str, Extremes]) -> dict[str, Extremes]:
    """Those that are there: a sensor that says 0 throughout is not."""
    return {name: e for name, e in sensors.items() if name == PARTICLES or not e.lowest == e.highest == 0}


def _extremes_from_rows(connection: Connection, limits: Limits) -> dict[str, Extremes]:
    found: dict[str, Extremes] = {}
    for name, bounds in limits.items():
        beyond = [f", total(v < {float(low)!r}), total(v > {float(high)!r})" for low, high in bounds]
        values = f"(SELECT {_guarded(name)} AS v FROM FRAME LIMIT -1)"
        query = f"SELECT min(v), max(v), count(v), total(v){''.join(beyond)} FROM {values}"
        lowest, highest, n, total, *counts = connection.execute(query).fetchone()
        if n:
            below, above = (tuple(map(int, counts[i::2])) for i in (0, 1))
            found[name] = Extremes(float(lowest), float(highest), below, above, n, total)
    return _fitted(found)


def _guarded(name: str) -> str:
    """A column's finite numbers, as text or not; other text and, where 0 is no reading, 0 count as none."""
    number = f"CASE typeof({name}) WHEN 'text' THEN as_fraction({name}) WHEN 'blob' THEN NULL ELSE {name} END"
    fitting = [f"v BETWEEN -{MAX_READING} AND {MAX_READING}", *["v != 0"] * (name in NO_ZERO)]
    return f"(SELECT v FROM (SELECT {number} AS v LIMIT 1) WHERE {' AND '.join(fitting)})"


def _frames_from_rows(source: Source) -> tuple[Ints, Ints, NDArray[np.int8]]:
    columns = ", ".join(NUMBER.format(name) for name in ("FRAMENUMBER", "TIMESTAMP", "PAUSED"))
    empty = np.empty(0, np.int64)
    found = [(empty, empty, empty), *batches(source, f"SELECT {columns} FROM FRAME")]
    frames, timestamps_ms, pauses = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return _in_order(frames, timestamps_ms, _paused(pauses))
