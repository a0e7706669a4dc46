"""Live Mouse Tracker databases: the only SQL that reads.

Databases are opened read-only and nothing is ever created beside them: no journal, no index, no -shm. No lock is held
while a database is read, so a recording in progress is never disturbed; a file that changed meanwhile is refused.
Columns are found by name, never by position.

Newer files carry a covering index for exactly what a stop detector needs, (ANIMALID, FRAMENUMBER, MASS_X, MASS_Y), some
30 bytes a row where the table holds 700 to 1,500: it is read animal by animal where it exists, and the table in one
pass where it does not. Both are read as whole pages (`pages.py`), three times as fast as SQLite hands out rows; what is
not plain there is asked of SQLite.
"""

import contextlib
import os
import re
import sqlite3
import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from lmtcnn.clock import Clock, Extremes
from lmtcnn.errors import DatabaseError, problem
from lmtcnn.pages import (
    MIN_CELL,
    NOTHING,
    PAGES_AT_ONCE,
    NotPlain,
    Pages,
    Values,
    Wanted,
    find_leaves,
    rows,
    rows_above,
)
from lmtcnn.tracks import Tally, Track

REQUIRED = {
    "ANIMAL": ("ID", "RFID"),
    "DETECTION": ("FRAMENUMBER", "ANIMALID", "MASS_X", "MASS_Y"),
    "FRAME": ("FRAMENUMBER", "TIMESTAMP", "PAUSED"),
}

SUFFIXES = (".sqlite", ".sqlite3", ".db")
"""What a database's file name ends with when a folder is searched."""

SIMULATED_ID = 0x4C4D5453
"""PRAGMA application_id of a database that was written by `lmtcnn simulate` ("LMTS")."""

_MAGIC = b"SQLite format 3\0"
_HOT_JOURNAL = bytes.fromhex("d9d505f920a163d7")
_BATCH_ROWS = 65_536

TABLE_PAGES_AT_ONCE = 1024
"""Pages of a table hold few rows, each with its mask of the mouse: more of them make a block worth its while."""

YEAR_10000_MS = 253_402_300_799_999
"""Later times are no dates."""

BUSY_S = 5.0
"""How long a program that is writing is waited for; the tracker writes a block in less."""

_NUMBER = f"CASE typeof({{0}}) WHEN 'integer' THEN {{0}} ELSE {NOTHING} END AS {{0}}"
_PLACE = "CASE typeof({0}) WHEN 'real' THEN {0} WHEN 'integer' THEN {0} + 0.0 ELSE 9e999 END AS {0}"
"""Read a column whatever is in it: text in a column of numbers becomes one that counts as none.

SQLite lets any value stand in any column (damaged or hand-made files).
"""

SENSORS = ("TEMPERATURE", "HUMIDITY", "SOUND", "LIGHTVISIBLE", "LIGHTVISIBLEANDIR")
"""Columns of FRAME in current files: degrees C, %, and three of the sensors' own units; 0 throughout: not fitted."""

TEMPERATURE, PARTICLES = "TEMPERATURE", "NUMPARTICLE"
"""Columns of FRAME; the second: particles in the depth image, many with bedding on the glass."""

NO_ZERO = ("TEMPERATURE", "HUMIDITY")
"""Sensors whose 0 is no reading."""

MAX_READING = 1e300
"""What is beyond is no reading, but damage."""

Limits = Mapping[str, tuple[float, float]]
"""Column of FRAME -> the lowest and the highest reading that are not counted as beyond."""

_INTEGRITY_EVENT, _INTEGRITY_PROCESS = "IDs integrity ok", "correctdetectionintegrity"
"""What lmt-analysis' CorrectDetectionIntegrity leaves in EVENT, and its name in LOG without blanks and capitals."""

T = TypeVar("T")
Columns = tuple[NDArray[Any], ...]

Seen = Callable[[int], None]
"""Told how many rows were read, as they are."""


def _unseen(_: int) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True)
class Animal:
    """A row of ANIMAL: its ID, its RFID as text (None where empty), and all columns by upper-case name."""

    id: int
    rfid: str | None
    columns: Mapping[str, Any]


@dataclass(frozen=True)
class Database:
    """An LMT database that has been looked at: where it is, how to open it, and what it holds.

    `index` is the name of its covering index, None without; `stamp` its size, time of change and SQLite's own count of
    changes when it was looked at.
    """

    path: Path
    uri: str
    stamp: tuple[int, int, bytes]
    simulated: bool
    index: str | None
    animals: tuple[Animal, ...]


def find(paths: Iterable[Path]) -> list[Path]:
    """Databases among files and folders (searched through), in order of their names.

    Raises DatabaseError that names every folder without a database.
    """
    found: list[Path] = []
    empty: list[str] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(
                file
                for file in path.rglob("*")
                if file.suffix.lower() in SUFFIXES and (file.is_file() or file.is_symlink())  # a dangling link is told
            )
            found.extend(inside)
            if not inside:
                wanted = f"databases ({', '.join(SUFFIXES)})"
                empty.append(problem(path, wanted, "none", "check the folder"))
        else:
            found.append(path)
    if empty:
        raise DatabaseError(empty)
    return found


def open_database(path: Path) -> Database:
    """Look at a database: its header, tables, columns, animals.

    Raises DatabaseError, one line, where it is missing, empty, not SQLite, truncated, in use, not LMT, or without
    an animal.
    """
    uri = _check_file(path)
    stamp = _stamp(path)
    with _errors(path), contextlib.closing(sqlite3.connect(uri, BUSY_S, uri=True)) as connection:
        _check_tables(path, connection)
        animals = tuple(_animals(connection))
        if not animals:
            raise DatabaseError(problem(f"{path}: ANIMAL", "a row for each mouse", "no animal", "leave the file out"))
        application_id = connection.execute("PRAGMA application_id").fetchone()[0]
        plan = connection.execute(
            "EXPLAIN QUERY PLAN SELECT FRAMENUMBER, MASS_X, MASS_Y FROM DETECTION WHERE ANIMALID = 1"
        )
        found = (re.search(r"USING COVERING INDEX (.+) \(ANIMALID=\?", row[-1], re.IGNORECASE) for row in plan)
        index = next((match[1] for match in found if match), None)
    return Database(path, uri, stamp, application_id == SIMULATED_ID, index, animals)


def read_clock(database: Database, threads: int = 1, limits: Limits | None = None) -> Clock:
    """The FRAME table, in order of FRAMENUMBER, a stretch of it in each thread.

    `limits` names the sensors that are wanted as well. Raises DatabaseError where it is empty or a row has no number or
    time, or a negative one.
    """
    where = f"{database.path}: FRAME"
    with _watched(database) as source:
        there = _columns(source.connection, "FRAME")
        limits = {name: bounds for name, bounds in (limits or {}).items() if name in there}
        frames, timestamps_ms, paused, sensors = _read_frames(source, threads, limits)
    if not frames.size:
        raise DatabaseError(problem(where, "a row for each frame", "no row", "leave the file out"))
    bad = int(np.count_nonzero((frames < 0) | (timestamps_ms < 0) | (timestamps_ms > YEAR_10000_MS)))
    if bad:
        raise DatabaseError(
            problem(where, "whole numbers in FRAMENUMBER and TIMESTAMP", f"{bad} rows without", "leave the file out")
        )
    return Clock(frames, timestamps_ms, paused, sensors)


_Frames = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_], dict[str, Extremes]]


def _read_frames(source: "_Source", threads: int, limits: Limits) -> _Frames:
    """From pages in one pass; where the sensors are not plain, they are asked of SQLite, and at last everything is."""
    try:
        return _frames_from_pages(source, threads, limits)
    except NotPlain:
        sensors = _extremes_from_rows(source.connection, limits)
    try:
        return *_frames_from_pages(source, threads, {})[:3], sensors
    except NotPlain:
        return *_frames_from_rows(source), sensors


def _frames_from_pages(source: "_Source", threads: int, limits: Limits) -> _Frames:
    """FRAMENUMBER, TIMESTAMP, and whether paused; FRAMENUMBER is the table's rowid, as the tracker declares it."""
    wanted = ("FRAMENUMBER", "TIMESTAMP", "PAUSED", *limits)
    places = [(place, number >= 3) for number, (place, _) in enumerate(source.places("table", "FRAME", wanted))]
    leaves = find_leaves(source.pages, source.root("FRAME"), index=False)

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
        for stretches, extremes in _ahead(pool, stretch, range(0, len(leaves.numbers), PAGES_AT_ONCE), 2 * threads):
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


def _extremes(name: str, values: NDArray[np.float64], bounds: tuple[float, float]) -> Extremes | None:
    """Extremes of some readings; None where there is none."""
    good = np.abs(values) <= MAX_READING  # nan, of an empty cell, is not
    if name in NO_ZERO:
        good &= values != 0
    if not good.all():
        values = values[good]
    if not values.size:
        return None
    low, high = float(values.min()), float(values.max())
    below = int(np.count_nonzero(values < bounds[0])) if low < bounds[0] else 0
    above = int(np.count_nonzero(values > bounds[1])) if high > bounds[1] else 0
    return Extremes(low, high, below, above)


def _widen(sensors: dict[str, Extremes], name: str, more: Extremes | None) -> None:
    """Take the extremes of more readings of a sensor into account."""
    if more is None:
        return
    old = sensors.get(name, Extremes(more.lowest, more.highest, 0, 0))
    sensors[name] = Extremes(
        min(old.lowest, more.lowest),
        max(old.highest, more.highest),
        old.n_below + more.n_below,
        old.n_above + more.n_above,
    )


def _fitted(sensors: Mapping[str, Extremes]) -> dict[str, Extremes]:
    """Those that are there: a sensor that says 0 throughout is not."""
    return {name: e for name, e in sensors.items() if name == PARTICLES or not e.lowest == e.highest == 0}


def _extremes_from_rows(connection: sqlite3.Connection, limits: Limits) -> dict[str, Extremes]:
    found: dict[str, Extremes] = {}
    for name, bounds in limits.items():
        low, high = (repr(float(bound)) for bound in bounds)
        value = _guarded(name)
        query = f"SELECT min({value}), max({value}), total({value} < {low}), total({value} > {high}) FROM FRAME"
        lowest, highest, below, above = connection.execute(query).fetchone()
        if highest is not None:
            found[name] = Extremes(float(lowest), float(highest), int(below), int(above))
    return _fitted(found)


def _frames_from_rows(source: "_Source") -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    columns = f"{_NUMBER.format('FRAMENUMBER')}, {_NUMBER.format('TIMESTAMP')}, ifnull(PAUSED, 0) != 0"
    empty = np.empty(0, np.int64)
    found = [(empty, empty, empty), *_batches(source, f"SELECT {columns} FROM FRAME ORDER BY FRAMENUMBER")]
    frames, timestamps_ms, paused = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return frames, timestamps_ms, paused.astype(np.bool_)


def read_track(database: Database, animal_id: int, track: Track, seen: Seen = _unseen) -> Track:
    """Fill a track with the positions of one animal, through the covering index."""
    with _watched(database) as source:
        try:
            for found in _own_from_pages(source, animal_id, ("FRAMENUMBER", "MASS_X", "MASS_Y"), seen):
                track.add(*found)
        except NotPlain:
            track.clear()
            columns = f"{_NUMBER.format('FRAMENUMBER')}, {_PLACE.format('MASS_X')}, {_PLACE.format('MASS_Y')}"
            query = f"SELECT {columns} FROM DETECTION WHERE ANIMALID = ?"
            for found in _batches(source, query, (animal_id,), seen):
                track.add(*found)
        return track


def read_anonymous(database: Database, tally: Tally, seen: Seen = _unseen) -> Tally:
    """Count the rows without an animal through the covering index."""
    with _watched(database) as source:
        try:
            for (frames,) in _own_from_pages(source, NOTHING, ("FRAMENUMBER",), seen):
                tally.add(frames)
        except NotPlain:
            tally.clear()
            query = f"SELECT {_NUMBER.format('FRAMENUMBER')} FROM DETECTION WHERE ANIMALID IS NULL"
            for (frames,) in _batches(source, query, (), seen):
                tally.add(frames)
        return tally


def _own_from_pages(source: "_Source", animal_id: int, columns: tuple[str, ...], seen: Seen) -> Iterator[Columns]:
    """Columns of an animal's rows, NOTHING: of those without one, from the pages of the covering index."""
    index = source.database.index
    if index is None:
        raise NotPlain("no covering index")
    places = source.places("index", index, ("ANIMALID", *columns))
    leaves = find_leaves(source.pages, source.root(index), index=True)
    own = leaves.numbers[(leaves.low <= animal_id) & (leaves.high >= animal_id)]
    last = NOTHING
    for ids, *found in rows(source.pages, own, places, index=True):
        if ids.size:
            if ids[0] < last or (ids[1:] < ids[:-1]).any():  # where SQLite would stop looking
                raise NotPlain("an index out of order")
            last = int(ids[-1])
            yield _seen(_of(animal_id, ids, found), seen)
    for ids, *found in rows_above(source.pages, leaves.above, places):
        yield _seen(_of(animal_id, ids, found), seen)


def _seen(columns: Columns, seen: Seen) -> Columns:
    seen(len(columns[0]))
    return columns


def read_tracks(
    database: Database, tracks: Mapping[int, Track], tally: Tally, threads: int = 1, seen: Seen = _unseen
) -> None:
    """Fill the tracks of several animals (by ANIMAL.ID) in one pass over the table, and count the rows without one.

    Pages are taken apart in `threads`.
    """
    with _watched(database) as source:
        try:
            _sort_rows(_table_from_pages(source, threads), tracks, tally, seen)
        except NotPlain:
            tally.clear()
            for track in tracks.values():
                track.clear()
            _sort_rows(_table_from_rows(source), tracks, tally, seen)


def _sort_rows(blocks: Iterable[Columns], tracks: Mapping[int, Track], tally: Tally, seen: Seen) -> None:
    """Rows (ANIMALID, whether it is NULL, FRAMENUMBER, MASS_X, MASS_Y) to their animals' tracks, the rest counted."""
    for ids, nobody, *found in blocks:
        tally.add(found[0][nobody])
        for animal_id, track in tracks.items():
            own = _of(animal_id, ids, found)
            if own[0].size:
                track.add(*own)
        seen(len(ids))


def _table_from_pages(source: "_Source", threads: int) -> Iterator[Columns]:
    places = source.places("table", "DETECTION", ("ANIMALID", "FRAMENUMBER", "MASS_X", "MASS_Y"))
    leaves = find_leaves(source.pages, source.root("DETECTION"), index=False)

    def block(begin: int) -> list[Values]:
        numbers = leaves.numbers[begin : begin + TABLE_PAGES_AT_ONCE]
        return next(rows(source.pages, numbers, places, index=False, at_once=TABLE_PAGES_AT_ONCE))

    with ThreadPoolExecutor(threads) as pool:
        for _, ids, *found in _ahead(pool, block, range(0, len(leaves.numbers), TABLE_PAGES_AT_ONCE), 2 * threads):
            yield ids, ids == NOTHING, *found


def _ahead(pool: ThreadPoolExecutor, work: Callable[[int], T], items: Iterable[int], most: int) -> Iterator[T]:
    """What `pool.map` gives, but with at most so many results waiting: memory stays bounded."""
    waiting: deque[Future[T]] = deque()
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) == most:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _table_from_rows(source: "_Source") -> Iterator[Columns]:
    numbers = f"{_NUMBER.format('ANIMALID')}, ANIMALID IS NULL, {_NUMBER.format('FRAMENUMBER')}"
    query = f"SELECT {numbers}, {_PLACE.format('MASS_X')}, {_PLACE.format('MASS_Y')} FROM DETECTION"
    for ids, nobody, *found in _batches(source, query):
        yield ids, nobody.astype(np.bool_), *found


def _of(animal_id: int, ids: NDArray[np.int64], columns: Sequence[NDArray[Any]]) -> Columns:
    """The rows of one animal among some."""
    own = ids == animal_id
    return tuple(columns) if own.all() else tuple(values[own] for values in columns)


def count_rows(database: Database) -> int:
    """Rows of DETECTION, as far as the largest of their numbers tells: at once, and only for a bar of progress."""
    with _errors(database.path), contextlib.closing(sqlite3.connect(database.uri, BUSY_S, uri=True)) as connection:
        return int(connection.execute("SELECT ifnull(max(rowid), 0) FROM DETECTION").fetchone()[0])


@dataclass(frozen=True)
class Tool:
    """A program that wrote into the database after the tracker: its name, version, runs, and last date as logged."""

    process: str
    version: str
    runs: int
    last: str


@dataclass(frozen=True)
class History:
    """What was done to a database: its indexes, the tools of its LOG table, whether identities were corrected.

    `identity_corrected`: lmt-analysis' CorrectDetectionIntegrity took the identity of every animal away where not all
    of them were seen.
    """

    indexes: tuple[str, ...]
    tools: tuple[Tool, ...]
    identity_corrected: bool


def read_history(database: Database) -> History:
    """Indexes by name, the LOG table where there is one, and the traces of CorrectDetectionIntegrity."""
    with _errors(database.path), contextlib.closing(sqlite3.connect(database.uri, BUSY_S, uri=True)) as connection:
        named = connection.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
        indexes = tuple(sorted(str(row[0]) for row in named))
        tools = tuple(_tools(connection))
        event = (
            "NAME" in _columns(connection, "EVENT")
            and connection.execute("SELECT 1 FROM EVENT WHERE NAME = ? LIMIT 1", (_INTEGRITY_EVENT,)).fetchone()
        )
        logged = any("".join(tool.process.split()).lower() == _INTEGRITY_PROCESS for tool in tools)
        return History(indexes, tools, bool(event) or logged)


def _tools(connection: sqlite3.Connection) -> Iterator[Tool]:
    there = _columns(connection, "LOG")
    if "PROCESS" in there:
        process, version, date = (
            f"ifnull(CAST({name} AS TEXT), '')" if name in there else "''" for name in ("PROCESS", "VERSION", "DATE")
        )
        query = f"SELECT {process}, {version}, count(*), max({date}) FROM LOG GROUP BY 1, 2 ORDER BY 1, 2"
        yield from (Tool(*row) for row in connection.execute(query))


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
    with _errors(database.path), contextlib.closing(sqlite3.connect(database.uri, BUSY_S, uri=True)) as connection:
        there = _columns(connection, "FRAME")
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


def _aggregate(connection: sqlite3.Connection, columns: Mapping[str, str]) -> dict[str, tuple[Any, Any, Any]]:
    """Mean, lowest and highest of columns of FRAME (name -> expression) in one pass."""
    if not columns:
        return {}
    wanted = [f"{function}({value})" for value in columns.values() for function in ("avg", "min", "max")]
    row = connection.execute(f"SELECT {', '.join(wanted)} FROM FRAME").fetchone()
    return {name: row[3 * i : 3 * i + 3] for i, name in enumerate(columns)}


def _columns(connection: sqlite3.Connection, table: str) -> set[str]:
    """Names of a table's columns, in capitals; none where there is no such table."""
    return {str(row[1]).upper() for row in connection.execute(f"PRAGMA table_info({table})")}


@dataclass(frozen=True)
class _Source:
    """A database while its pages are read."""

    database: Database
    pages: Pages
    connection: sqlite3.Connection

    def root(self, name: str) -> int:
        """The first page of a table or an index."""
        query = "SELECT rootpage FROM sqlite_master WHERE name = ? COLLATE NOCASE"
        found = self.connection.execute(query, (name,)).fetchone()
        if found is None:
            raise NotPlain("no table of that name")
        return int(found[0])

    def places(self, kind: Literal["table", "index"], name: str, columns: tuple[str, ...]) -> list[Wanted]:
        """Where columns stand in a record of a table or an index; those of places may hold fractions."""
        found = self.connection.execute(
            "SELECT name, 0 FROM pragma_table_info(?)"
            if kind == "table"
            else "SELECT name, desc FROM pragma_index_xinfo(?) WHERE key",
            (name,),
        ).fetchall()
        names = [str(row[0]).upper() for row in found]
        if any(row[1] for row in found) or not set(columns) <= set(names):
            raise NotPlain("an index in another order")
        return [(names.index(column), column.startswith("MASS_")) for column in columns]


@contextlib.contextmanager
def _watched(database: Database) -> Iterator[_Source]:
    """Read a database without a lock, and refuse it if it changed since it was looked at.

    SQLite's lock is asked for before and after, for a moment: where a writer is at work that is refused as well.
    """
    with _errors(database.path), contextlib.closing(sqlite3.connect(database.uri, BUSY_S, uri=True)) as connection:
        connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
        with Pages(database.path) as pages:
            yield _Source(database, pages, connection)
        connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
    if _stamp(database.path) != database.stamp:
        do = "close the program that writes it"
        raise DatabaseError(problem(database.path, "a database that nobody writes", "one that changed meanwhile", do))


def _stamp(path: Path) -> tuple[int, int, bytes]:
    """Size, time of the last change, and the header's counter: any write by SQLite moves one of them.

    The counter is there for two writes within a tick of the system's clock.
    """
    try:
        with path.open("rb") as stream:
            counter = stream.read(28)[24:]
            status = os.fstat(stream.fileno())
    except OSError as error:
        raise DatabaseError(problem(path, "an LMT database", error.strerror or str(error), "check the path")) from error
    return status.st_size, status.st_mtime_ns, counter


def _check_file(path: Path) -> str:
    """Read the header without SQLite, which would answer with a vague word or wait; return the URI to open."""
    ask = "check the path"
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise DatabaseError(problem(path, "an LMT database", "a folder", ask))
        with path.open("rb") as stream:
            header = stream.read(100)
    except FileNotFoundError:
        raise DatabaseError(problem(path, "an LMT database", "no file", ask)) from None
    except OSError as error:
        raise DatabaseError(problem(path, "a readable file", error.strerror or str(error), ask)) from error
    if not size:
        raise DatabaseError(problem(path, "an LMT database", "an empty file (0 bytes)", "copy it again"))
    if header[:16] != _MAGIC:
        raise DatabaseError(problem(path, "an SQLite database", "another kind of file", ask))
    _check_length(path, size, header)
    return path.resolve().as_uri() + _check_companions(path, header)


def _check_length(path: Path, size: int, header: bytes) -> None:
    if len(header) < 100:
        raise DatabaseError(problem(path, "a header of 100 bytes", f"{len(header)}", "truncated: copy it again"))
    (page_size,) = struct.unpack(">H", header[16:18])
    page_size = 65_536 if page_size == 1 else page_size
    if page_size < 512 or page_size & (page_size - 1):
        do = "damaged: copy it again"
        raise DatabaseError(problem(path, "pages of 512 to 65536 bytes", f"{page_size} in its header", do))
    changes, pages = struct.unpack(">II", header[24:32])
    (valid_for,) = struct.unpack(">I", header[92:96])
    expected = pages * page_size if pages and changes == valid_for else -(-size // page_size) * page_size
    if size < expected:
        raise DatabaseError(problem(path, f"{expected} bytes", f"{size}", "truncated: copy it again"))


def _check_companions(path: Path, header: bytes) -> str:
    """Refuse files that SQLite would have to write beside; return how to open the others."""
    journal, wal = (path.with_name(path.name + end) for end in ("-journal", "-wal"))
    finish = "let the program that writes it finish, or open and close it once with sqlite3 on a copy"
    if journal.is_file():
        with journal.open("rb") as stream:
            if stream.read(8) == _HOT_JOURNAL:
                raise DatabaseError(problem(path, "a finished database", f"a hot journal {journal.name}", finish))
    if header[18:20] == b"\x02\x02":
        if wal.is_file() and wal.stat().st_size:
            raise DatabaseError(problem(path, "a finished database", f"unmerged changes in {wal.name}", finish))
        return "?mode=ro&immutable=1"  # without it SQLite would create a -shm file beside the database
    return "?mode=ro"


def _check_tables(path: Path, connection: sqlite3.Connection) -> None:
    lacking: list[str] = []
    for table, wanted in REQUIRED.items():
        columns = _columns(connection, table)
        if not columns:
            lacking.append(f"no table {table}")
        elif missing := [name for name in wanted if name not in columns]:
            lacking.append(f"no column {', '.join(missing)} in {table}")
    if lacking:
        raise DatabaseError(problem(path, "the tables of an LMT database", "; ".join(lacking), "leave the file out"))


def _animals(connection: sqlite3.Connection) -> Iterator[Animal]:
    cursor = connection.execute("SELECT * FROM ANIMAL ORDER BY ID")
    names = [str(column[0]).upper() for column in cursor.description]
    for row in cursor:
        columns = dict(zip(names, row, strict=True))
        if not isinstance(columns["ID"], int):
            raise sqlite3.DatabaseError(f"ANIMAL.ID is {columns['ID']!r}")
        rfid = "" if columns["RFID"] is None else str(columns["RFID"]).strip()
        yield Animal(columns["ID"], rfid or None, columns)


def _batches(source: _Source, query: str, values: tuple[int, ...] = (), seen: Seen = _unseen) -> Iterator[Columns]:
    """Columns of a query's result as NumPy arrays, batch by batch."""
    cursor = source.connection.execute(query, values)
    while found := cursor.fetchmany(_BATCH_ROWS):
        yield tuple(np.array(column) for column in zip(*found, strict=True))
        seen(len(found))


@contextlib.contextmanager
def _errors(path: Path) -> Iterator[None]:
    """SQLite's words for a damaged or busy file, as one line of ours."""
    try:
        yield
    except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
        said = str(error).strip().partition("\n")[0]
        if isinstance(error, UnicodeDecodeError):  # SQLite's words, with a damaged name in them
            said = error.object.decode(errors="replace").partition("\n")[0]
        expected, do = "a sound SQLite database", "copy it again from its source"
        if "locked" in said:
            expected, do = "a database that nobody writes", "close the program that writes it"
        raise DatabaseError(problem(path, expected, said, do)) from error
