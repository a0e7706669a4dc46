"""Live Mouse Tracker databases: the only door to them.

Databases are opened read-only and nothing is ever created beside them: no journal, no index, no -shm. No lock is held
while a database is read, so a recording in progress is never disturbed; a file that changed meanwhile is refused.
Columns are found by name, never by position. What is in them is read by `frames` and `detections`.
"""

import contextlib
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lmtcnn.core.errors import DatabaseError, problem
from lmtcnn.lmt.files import check_file, stamp
from lmtcnn.lmt.values import NOTHING, NUMBER, ODD, as_fraction, as_whole, number_of

REQUIRED = {
    "ANIMAL": ("ID", "RFID"),
    "DETECTION": ("FRAMENUMBER", "ANIMALID", "MASS_X", "MASS_Y"),
    "FRAME": ("FRAMENUMBER", "TIMESTAMP", "PAUSED"),
}

SIMULATED_ID = 0x4C4D5453
"""PRAGMA application_id of a database that was written by `lmtcnn simulate` ("LMTS")."""

BUSY_S = 5.0
"""How long a program that is writing is waited for; the tracker writes a block in less."""

_RFID_NUMBER = re.compile(r"(\d+)[.,]0+|\d+(?:[.,]\d*)?[eE][+-]?\d+")
"""How an RFID stands in a table of numbers: all its digits, or rounded ones."""

_INTEGRITY_EVENT, _INTEGRITY_PROCESS = "IDs integrity ok", "correctdetectionintegrity"
"""What lmt-analysis' CorrectDetectionIntegrity leaves in EVENT, and its name in LOG without blanks and capitals."""

Connection = sqlite3.Connection


@dataclass(frozen=True)
class Animal:
    """A row of ANIMAL: its ID, its RFID as text (None where empty), and all columns by upper-case name.

    An RFID that was stored as a number, `1039552591.0`, is its digits; `number` is then how it stands there.
    """

    id: int
    rfid: str | None
    columns: Mapping[str, Any]
    number: str | None = None


@dataclass(frozen=True)
class Database:
    """An LMT database that has been looked at: where it is, how to open it, and what it holds.

    `index` is the name of its covering index, None without; `stamp` its size, time of change and SQLite's own count of
    changes when it was looked at; `known` holds the trees of its indexes and what was found of its tables so far.
    """

    path: Path
    uri: str
    stamp: tuple[int, int, bytes]
    simulated: bool
    index: str | None
    animals: tuple[Animal, ...]
    known: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)


def open_database(path: Path) -> Database:
    """Look at a database: its header, tables, columns, animals.

    Raises DatabaseError, one line, where it is missing, empty, not SQLite, truncated, in use, not LMT, or without
    an animal.
    """
    uri = check_file(path)
    stamped = stamp(path)
    with _errors(path), contextlib.closing(sqlite3.connect(uri, BUSY_S, uri=True)) as connection:
        _check_tables(path, connection)
        animals = tuple(_animals(path, connection))
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
        if index and connection.execute("SELECT 1 FROM DETECTION WHERE ANIMALID >= '' LIMIT 1").fetchone():
            index = None  # it has texts behind all numbers, whatever number a text is
    return Database(path, uri, stamped, application_id == SIMULATED_ID, index, animals)


@dataclass(frozen=True)
class Tool:
    """A program that wrote into the database after the tracker: its name, version, runs, and last date as logged."""

    process: str
    version: str
    runs: int
    last: str


@dataclass(frozen=True)
class History:
    """The history of a database: its indexes, the tools of its LOG table, whether identities were corrected.

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
        rows = "DETECTION" if database.index else f"(SELECT {NUMBER.format('ANIMALID')} FROM DETECTION)"
        query = f"SELECT 1 FROM {rows} WHERE ANIMALID = ? LIMIT 1"
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
    return {str(row[1]).upper() for row in connection.execute(f"PRAGMA table_xinfo({table})")}


@contextlib.contextmanager
def connected(database: Database) -> Iterator[Connection]:
    """A database that is open for questions; what SQLite says of a damaged or busy one is a line of ours."""
    with _errors(database.path), contextlib.closing(sqlite3.connect(database.uri, BUSY_S, uri=True)) as connection:
        for function in (as_whole, as_fraction, number_of):
            connection.create_function(function.__name__, 1, function, deterministic=True)
        yield connection


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


def _animals(path: Path, connection: sqlite3.Connection) -> list[Animal]:
    """Rows of ANIMAL by their ID, a whole number however it is stored; an RFID that is one is written as such."""
    cursor = connection.execute("SELECT * FROM ANIMAL")
    names = [str(column[0]).upper() for column in cursor.description]
    found: dict[int, Animal] = {}
    for row in cursor:
        columns = dict(zip(names, row, strict=True))
        key = as_whole(columns["ID"])
        if key in (NOTHING, ODD) or key in found:
            wanted, said = "a whole number in each row of ANIMAL.ID, once", f"{columns['ID']!r}"
            raise DatabaseError(problem(path, wanted, said + " again" * (key in found), "correct a copy of the file"))
        stored = "" if columns["RFID"] is None else str(columns["RFID"]).strip()
        number = _RFID_NUMBER.fullmatch(stored)
        rfid = number[1] if number and number[1] else stored
        is_number = bool(number) or isinstance(columns["RFID"], int)
        found[key] = Animal(key, rfid or None, columns, stored if is_number else None)
    return [found[key] for key in sorted(found)]


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
