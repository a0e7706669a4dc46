"""Live Mouse Tracker databases: the only door to them.

Databases are opened read-only and nothing is ever created beside them: no journal, no index, no -shm. No lock is held
while a database is read, so a recording in progress is never disturbed; a file that changed meanwhile is refused.
Columns are found by name, never by position. What is in them is read by `frames` and `detections`.
"""

import contextlib
import os
import re
import sqlite3
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lmtcnn.errors import DatabaseError, problem
from lmtcnn.pages import NOTHING, Leaves, NotPlain, Pages, Wanted, find_leaves

REQUIRED = {
    "ANIMAL": ("ID", "RFID"),
    "DETECTION": ("FRAMENUMBER", "ANIMALID", "MASS_X", "MASS_Y"),
    "FRAME": ("FRAMENUMBER", "TIMESTAMP", "PAUSED"),
}

SUFFIXES = (".sqlite", ".sqlite3", ".db")
"""What a database's file name ends with when a folder is searched."""

SYSTEMS = frozenset(
    {
        *("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "iconcache.db", "desktop.ini"),
        *("$recycle.bin", "system volume information", "lost+found", "@eadir", "#recycle", "#snapshot", "__macosx"),
    }
)
"""Names, in small letters, of files and folders of systems, passed over with all that begins with a dot or a ~."""

SIMULATED_ID = 0x4C4D5453
"""PRAGMA application_id of a database that was written by `lmtcnn simulate` ("LMTS")."""

_MAGIC = b"SQLite format 3\0"

_HOT_JOURNAL = bytes.fromhex("d9d505f920a163d7")

_BATCH_ROWS = 65_536

BUSY_S = 5.0
"""How long a program that is writing is waited for; the tracker writes a block in less."""

NUMBER = f"CASE typeof({{0}}) WHEN 'integer' THEN {{0}} ELSE {NOTHING} END AS {{0}}"

_INTEGRITY_EVENT, _INTEGRITY_PROCESS = "IDs integrity ok", "correctdetectionintegrity"
"""What lmt-analysis' CorrectDetectionIntegrity leaves in EVENT, and its name in LOG without blanks and capitals."""

Columns = tuple[NDArray[Any], ...]

Connection = sqlite3.Connection


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

    What is hidden in a folder, or belongs to the system and not to a user, is passed over. A folder inside one of them
    that may not be entered is among what is found, so that opening it says why, and the others are read. Raises
    DatabaseError that names every folder without a database.
    """
    found: list[Path] = []
    empty: list[str] = []
    for path in paths:
        if _is_folder(path):
            inside = sorted(_search(path))
            found.extend(inside)
            if not inside:
                wanted = f"databases ({', '.join(SUFFIXES)})"
                empty.append(problem(path, wanted, "none", "check the folder"))
        else:
            found.append(path)
    if empty:
        raise DatabaseError(empty)
    return found


def _search(folder: Path) -> Iterator[Path]:
    closed: list[Path] = []
    for place, folders, files in os.walk(folder, onerror=lambda error: closed.append(Path(error.filename))):
        folders[:] = [name for name in folders if not _is_systems(name)]
        for name in files:
            if name.lower().endswith(SUFFIXES) and not _is_systems(name) and _is_file(Path(place, name)):
                yield Path(place, name)
    yield from closed


def _is_file(path: Path) -> bool:
    """True, too, of a dangling link and of one that may not be looked at: opening it says what it is."""
    try:
        return path.is_symlink() or path.is_file()
    except OSError:
        return True


def _is_systems(name: str) -> bool:
    """Whether a name is hidden, or that of something the system or an office program puts beside a user's files."""
    return name.startswith((".", "~")) or name.lower() in SYSTEMS


def _is_folder(path: Path) -> bool:
    """False, too, where one may not look: opening it says so."""
    try:
        return path.is_dir()
    except OSError:
        return False


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
        whole = "SELECT 1 FROM pragma_index_list('DETECTION') WHERE name = ? COLLATE NOCASE AND NOT partial"
        names = (match[1] for match in found if match)
        index = next((name for name in names if connection.execute(whole, (name,)).fetchone()), None)
    return Database(path, uri, stamp, application_id == SIMULATED_ID, index, animals)


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
    with connected(database) as connection:
        named = connection.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
        indexes = tuple(sorted(str(row[0]) for row in named))
        tools = tuple(_tools(connection))
        event = (
            "NAME" in columns_of(connection, "EVENT")
            and connection.execute("SELECT 1 FROM EVENT WHERE NAME = ? LIMIT 1", (_INTEGRITY_EVENT,)).fetchone()
        )
        logged = any("".join(tool.process.split()).lower() == _INTEGRITY_PROCESS for tool in tools)
        return History(indexes, tools, bool(event) or logged)


def undetected(database: Database, animal_ids: Sequence[int], *, thorough: bool = False) -> set[int]:
    """Find the rows of ANIMAL that were never detected: those of some animals without one row of DETECTION.

    Parameters
    ----------
    database : Database
    animal_ids : sequence of int
        Values of ANIMAL.ID to be looked for.
    thorough : bool
        Whether to read the whole table where there is no covering index to ask; else none is told of there.

    Returns
    -------
    set of int
        Those that no row of DETECTION names.

    Raises
    ------
    DatabaseError
        Where the database is damaged or in use.
    """
    if not animal_ids or not (database.index or thorough):
        return set()
    with connected(database) as connection:
        query = "SELECT 1 FROM DETECTION WHERE ANIMALID = ? LIMIT 1"
        return {each for each in animal_ids if connection.execute(query, (each,)).fetchone() is None}


def _tools(connection: sqlite3.Connection) -> Iterator[Tool]:
    there = columns_of(connection, "LOG")
    if "PROCESS" in there:
        process, version, date = (
            f"ifnull(CAST({name} AS TEXT), '')" if name in there else "''" for name in ("PROCESS", "VERSION", "DATE")
        )
        query = f"SELECT {process}, {version}, count(*), max({date}) FROM LOG GROUP BY 1, 2 ORDER BY 1, 2"
        yield from (Tool(*row) for row in connection.execute(query))


def columns_of(connection: sqlite3.Connection, table: str) -> set[str]:
    """Names of a table's columns, in capitals; none where there is no such table."""
    return {str(row[1]).upper() for row in connection.execute(f"PRAGMA table_info({table})")}


@dataclass(frozen=True)
class Source:
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

    def leaves(self, name: str, *, index: bool) -> Leaves:
        """The leaf pages of a table or an index."""
        return find_leaves(self.pages, self.root(name), index=index)

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
def connected(database: Database) -> Iterator[Connection]:
    """A database that is open for questions; what SQLite says of a damaged or busy one is a line of ours."""
    with _errors(database.path), contextlib.closing(sqlite3.connect(database.uri, BUSY_S, uri=True)) as connection:
        yield connection


@contextlib.contextmanager
def watched(database: Database) -> Iterator[Source]:
    """Read a database without a lock, and refuse it if it changed since it was looked at.

    SQLite's lock is asked for before and after, for a moment: where a writer is at work that is refused as well.
    """
    with connected(database) as connection:
        connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
        with Pages(database.path) as pages:
            yield Source(database, pages, connection)
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
            next(path.iterdir(), None)  # one that may not be entered says so below
            raise DatabaseError(problem(path, "an LMT database", "a folder", ask))
        with path.open("rb") as stream:
            header = stream.read(100)
    except FileNotFoundError:
        raise DatabaseError(problem(path, "an LMT database", "no file", ask)) from None
    except OSError as error:
        expected = "a folder that one may enter" if _is_folder(path) else "a readable file"
        raise DatabaseError(problem(path, expected, error.strerror or str(error), ask)) from error
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
        journal = path.with_name(path.name + "-journal")
        if _begins_with(journal, 1) or path.stat().st_size >= expected:  # a program is just making it longer
            do = "close the program that writes it"
            raise DatabaseError(problem(path, "a database that nobody writes", "one that changed meanwhile", do))
        raise DatabaseError(problem(path, f"{expected} bytes", f"{size}", "truncated: copy it again"))


def _check_companions(path: Path, header: bytes) -> str:
    """Refuse files that SQLite would have to write beside; return how to open the others."""
    journal, wal = (path.with_name(path.name + end) for end in ("-journal", "-wal"))
    finish = "let the program that writes it finish, or copy both files and ask the copy something with sqlite3"
    if _begins_with(journal, 8) == _HOT_JOURNAL:
        raise DatabaseError(problem(path, "a finished database", f"a hot journal {journal.name}", finish))
    if header[18:20] == b"\x02\x02":
        if _begins_with(wal, 1):
            raise DatabaseError(problem(path, "a finished database", f"unmerged changes in {wal.name}", finish))
        return "?mode=ro&immutable=1"  # without it SQLite would create a -shm file beside the database
    return "?mode=ro"


def _begins_with(path: Path, n: int) -> bytes:
    """The first bytes of a file; none where there is none, or none any more: a program that writes removes its own."""
    try:
        with path.open("rb") as stream:
            return stream.read(n)
    except (FileNotFoundError, IsADirectoryError):
        return b""


def _check_tables(path: Path, connection: sqlite3.Connection) -> None:
    lacking: list[str] = []
    for table, wanted in REQUIRED.items():
        columns = columns_of(connection, table)
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
        if not isinstance(columns["ID"], int) or columns["ID"] == NOTHING:
            raise sqlite3.DatabaseError(f"ANIMAL.ID is {columns['ID']!r}")
        rfid = "" if columns["RFID"] is None else str(columns["RFID"]).strip()
        yield Animal(columns["ID"], rfid or None, columns)


def batches(source: Source, query: str, values: tuple[int | None, ...] = ()) -> Iterator[Columns]:
    """Columns of a query's result as NumPy arrays, batch by batch."""
    cursor = source.connection.execute(query, values)
    while found := cursor.fetchmany(_BATCH_ROWS):
        yield tuple(np.array(column) for column in zip(*found, strict=True))


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
