"""Live Mouse Tracker databases: the only SQL that reads.

Databases are opened read-only and nothing is ever created beside them: no journal, no index, no -shm. Columns are
read by name, never by position. Rows come through Arrow (adbc-driver-sqlite), five times as fast as the sqlite3
module. Newer files carry a covering index for exactly what a stop detector needs, (ANIMALID, FRAMENUMBER, MASS_X,
MASS_Y), some 30 bytes a row where the table holds 700 to 1,500: it is searched animal by animal where it exists,
and the table is read in one pass where it does not.
"""

import contextlib
import sqlite3
import struct
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import adbc_driver_sqlite.dbapi as adbc
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lmtcnn.clock import Clock, Layout
from lmtcnn.errors import DatabaseError, problem
from lmtcnn.tracks import Track

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

YEAR_10000_MS = 253_402_300_799_999
"""Later times are no dates."""

BUSY_S = 5.0
"""How long a program that is writing is waited for; the tracker writes a block in less."""

_NOTHING = -(2**63)
_NUMBER = f"CASE typeof({{0}}) WHEN 'integer' THEN {{0}} ELSE {_NOTHING} END AS {{0}}"
_PLACE = "CASE typeof({0}) WHEN 'real' THEN {0} WHEN 'integer' THEN {0} + 0.0 ELSE 9e999 END AS {0}"
"""Read a column whatever is in it: text in a column of numbers becomes one that counts as none.

SQLite lets any value stand in any column. Such queries take twice as long, so they are asked only once a plain one has
met a value of another type (damaged or hand-made files).
"""

Columns = tuple[NDArray[Any], ...]


class _OtherTypeError(Exception):
    """A plain query met a value that its column's type does not allow."""


@dataclass(frozen=True)
class Animal:
    """A row of ANIMAL: its ID, its RFID as text (None where empty), and all columns by upper-case name."""

    id: int
    rfid: str | None
    columns: Mapping[str, Any]


@dataclass(frozen=True)
class Database:
    """An LMT database that has been looked at: where it is, how to open it, and what it holds."""

    path: Path
    uri: str
    simulated: bool
    covering_index: bool
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
    with _errors(path), contextlib.closing(sqlite3.connect(uri, BUSY_S, uri=True)) as connection:
        _check_tables(path, connection)
        animals = tuple(_animals(connection))
        if not animals:
            raise DatabaseError(problem(f"{path}: ANIMAL", "a row for each mouse", "no animal", "leave the file out"))
        application_id = connection.execute("PRAGMA application_id").fetchone()[0]
        plan = connection.execute(
            "EXPLAIN QUERY PLAN SELECT FRAMENUMBER, MASS_X, MASS_Y FROM DETECTION WHERE ANIMALID = 1"
        )
        covering = any("USING COVERING INDEX" in row[-1] and "(ANIMALID=?" in row[-1].upper() for row in plan)
    return Database(path, uri, application_id == SIMULATED_ID, covering, animals)


def read_clock(database: Database, threads: int = 1) -> Clock:
    """The FRAME table, in order of FRAMENUMBER, a stretch of it in each thread.

    Raises DatabaseError where it is empty or a row has no number or time, or a negative one.
    """
    where = f"{database.path}: FRAME"
    stretches = _stretches(database, threads)

    def read(number: str, time: str) -> Clock:
        def stretch(condition: str, bounds: tuple[int, ...]) -> list[Columns]:
            columns = f"{number}, {time}, ifnull(PAUSED, 0) != 0"
            return list(_batches(database, f"SELECT {columns} FROM FRAME {condition} ORDER BY FRAMENUMBER", bounds))

        with ThreadPoolExecutor(threads) as pool:
            parts = list(chain.from_iterable(pool.map(stretch, *zip(*stretches, strict=True))))
        if not parts:
            raise DatabaseError(problem(where, "a row for each frame", "no row", "leave the file out"))
        frames, timestamps, paused = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        return Clock(frames, timestamps, paused.astype(np.bool_))

    try:
        clock = read("FRAMENUMBER", "TIMESTAMP")
    except _OtherTypeError:
        clock = read(_NUMBER.format("FRAMENUMBER"), _NUMBER.format("TIMESTAMP"))
    odd = (clock.frames < 0) | (clock.timestamps_ms < 0) | (clock.timestamps_ms > YEAR_10000_MS)
    bad = int(np.count_nonzero(odd))
    if bad:
        raise DatabaseError(
            problem(where, "whole numbers in FRAMENUMBER and TIMESTAMP", f"{bad} rows without", "leave the file out")
        )
    return clock


def span_s(database: Database) -> float:
    """Seconds from the first FRAME row to the last, by TIMESTAMP, without reading the others; 0 where that is no time.

    A quick look: pauses and steps of the clock count.
    """
    ends = "SELECT TIMESTAMP FROM FRAME ORDER BY FRAMENUMBER {} LIMIT 1"
    with _errors(database.path), contextlib.closing(sqlite3.connect(database.uri, BUSY_S, uri=True)) as connection:
        found = [connection.execute(ends.format(order)).fetchone() for order in ("DESC", "ASC")]
    last, first = (row[0] if row and isinstance(row[0], int) else 0 for row in found)
    return max(last - first, 0) / 1000


def _stretches(database: Database, n: int) -> list[tuple[str, tuple[int, ...]]]:
    """Conditions, with their values, that cut FRAME into `n` stretches; one without any where its numbers are odd."""
    ends = (
        "SELECT min(FRAMENUMBER), max(FRAMENUMBER), (SELECT count(*) FROM FRAME WHERE FRAMENUMBER IS NULL) FROM FRAME"
    )
    with _errors(database.path), contextlib.closing(sqlite3.connect(database.uri, BUSY_S, uri=True)) as connection:
        first, last, without = connection.execute(ends).fetchone()
    if n < 2 or without or not (isinstance(first, int) and isinstance(last, int)) or last - first < _BATCH_ROWS:
        return [("", ())]
    cuts = [first + (last - first) * i // n for i in range(1, n)]
    middle = [("WHERE FRAMENUMBER >= ? AND FRAMENUMBER < ?", (a, b)) for a, b in pairwise(cuts)]
    return [("WHERE FRAMENUMBER < ?", (cuts[0],)), *middle, ("WHERE FRAMENUMBER >= ?", (cuts[-1],))]


def read_track(database: Database, animal_id: int, layout: Layout) -> Track:
    """Positions of one animal through the covering index; memory is that of one animal's positions."""

    def read(number: str, x_px: str, y_px: str) -> Track:
        track = Track(layout)
        query = f"SELECT {number}, {x_px}, {y_px} FROM DETECTION WHERE ANIMALID = ?"
        for columns in _batches(database, query, (animal_id,)):
            track.add(*columns)
        return track

    try:
        return read("FRAMENUMBER", "MASS_X", "MASS_Y")
    except _OtherTypeError:
        return read(_NUMBER.format("FRAMENUMBER"), _PLACE.format("MASS_X"), _PLACE.format("MASS_Y"))


def read_tracks(database: Database, animal_ids: Iterable[int], layout: Layout) -> dict[int, Track]:
    """Positions of several animals in one pass over the table; memory is that of all their positions."""
    wanted = tuple(animal_ids)

    def read(number: str, x_px: str, y_px: str) -> dict[int, Track]:
        tracks = {animal_id: Track(layout) for animal_id in wanted}
        query = f"SELECT {_NUMBER.format('ANIMALID')}, {number}, {x_px}, {y_px} FROM DETECTION"
        for ids, *columns in _batches(database, query, ()):
            for animal_id in wanted:
                rows = ids == animal_id
                if rows.any():
                    tracks[animal_id].add(*(values[rows] for values in columns))
        return tracks

    try:
        return read("FRAMENUMBER", "MASS_X", "MASS_Y")
    except _OtherTypeError:
        return read(_NUMBER.format("FRAMENUMBER"), _PLACE.format("MASS_X"), _PLACE.format("MASS_Y"))


def count_anonymous(database: Database) -> int:
    """DETECTION rows without an animal."""
    with _errors(database.path), contextlib.closing(sqlite3.connect(database.uri, BUSY_S, uri=True)) as connection:
        return int(connection.execute("SELECT count(*) FROM DETECTION WHERE ANIMALID IS NULL").fetchone()[0])


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
        columns = {str(row[1]).upper() for row in connection.execute(f"PRAGMA table_info({table})")}
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


def _batches(database: Database, query: str, values: tuple[int, ...]) -> Iterator[Columns]:
    """Columns of a query's result as NumPy arrays, batch by batch: whole numbers first, then MASS_X and MASS_Y.

    Raises _OtherTypeError where a value is of another type; a NULL position is nan.
    """
    with (
        _errors(database.path),
        contextlib.closing(adbc.connect(database.uri)) as connection,
        connection.cursor() as cursor,
    ):
        cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": _BATCH_ROWS})
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_S * 1000:.0f}")
        cursor.fetchall()
        cursor.execute(query, values or None)
        for batch in cursor.fetch_record_batch():
            columns = tuple(column.to_numpy(zero_copy_only=False) for column in batch.columns)
            kinds = [
                (name.startswith("MASS_"), c.dtype.kind) for name, c in zip(batch.schema.names, columns, strict=True)
            ]
            if any(kind not in ("f" if place else "i") and len(columns[0]) for place, kind in kinds):
                raise _OtherTypeError
            yield columns


@contextlib.contextmanager
def _errors(path: Path) -> Iterator[None]:
    """SQLite's and Arrow's words for a damaged or busy file, as one line of ours."""
    try:
        yield
    except (sqlite3.Error, adbc.Error, pa.ArrowException, OSError, UnicodeDecodeError) as error:
        said = str(error).strip().partition("\n")[0]  # OSError: Arrow's word for what breaks a stream
        if "Type mismatch" in said:
            raise _OtherTypeError from error
        if isinstance(error, UnicodeDecodeError):  # SQLite's words, with a damaged name in them
            said = error.object.decode(errors="replace").partition("\n")[0]
        elif isinstance(error, adbc.Error):  # INVALID_ARGUMENT: [SQLite] Failed to prepare query: ...
            said = said.rpartition(": ")[2]
        expected, do = "a sound SQLite database", "copy it again from its source"
        if "locked" in said:
            expected, do = "a database that nobody writes", "close the program that writes it"
        raise DatabaseError(problem(path, expected, said, do)) from error
