"""Live Mouse Tracker databases: the only door to them.

Databases are opened read-only and nothing is ever created beside them: no journal, no index, no -shm. No lock is held
while a database is read, so a recording in progress is never disturbed; a file that changed meanwhile is refused.
Columns are found by name, never by position. What is in them is read by `frames` and `detections`.
"""

import contextlib
import logging
import os
import re
import sqlite3
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lmtcnn.core.errors import DatabaseError, problem
from lmtcnn.lmt.pages import (
    NOTHING,
    ODD,
    PAGES_AT_ONCE,
    Damaged,
    Leaves,
    NotPlain,
    Pages,
    Shape,
    Values,
    Wanted,
    as_fraction,
    as_whole,
    count_rows,
    find_leaves,
    number_of,
    rows,
)

log = logging.getLogger("lmtcnn")

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

NUMBER = f"""CASE typeof({{0}}) WHEN 'integer' THEN max({{0}}, {ODD}) WHEN 'null' THEN {NOTHING}
    WHEN 'real' THEN CASE WHEN {{0}} = CAST({{0}} AS INTEGER) THEN max(CAST({{0}} AS INTEGER), {ODD}) ELSE {ODD} END
    ELSE as_whole({{0}}) END AS {{0}}"""
"""A column of whole numbers, whatever is in it, as `pages` has it."""

SLOW_BYTES = 10**9
"""Of longer files it is said that SQLite is asked to check them: it takes a minute and more."""

CONTENT = ("NULL value in ", "TEXT value in ", "NUMERIC value in ", "non-INTEGER ", "non-TEXT ", "non-REAL ", "CHECK ")
"""How SQLite's findings begin that are about values, not about the pages that hold them."""

_RFID_NUMBER = re.compile(r"(\d+)[.,]0+|\d+(?:[.,]\d*)?[eE][+-]?\d+")
"""How an RFID stands in a table of numbers: all its digits, or rounded ones."""

_INTEGRITY_EVENT, _INTEGRITY_PROCESS = "IDs integrity ok", "correctdetectionintegrity"
"""What lmt-analysis' CorrectDetectionIntegrity leaves in EVENT, and its name in LOG without blanks and capitals."""

Columns = tuple[NDArray[Any], ...]

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


@dataclass(frozen=True)
class Tree:
    """A table or an index: its leaf pages, the places of some columns, and the columns of its records."""

    name: str
    leaves: Leaves
    places: Sequence[Wanted]
    shape: Shape
    index: bool


@dataclass(frozen=True)
class Source:
    """A database while its pages are read."""

    database: Database
    pages: Pages
    connection: sqlite3.Connection

    def tree(
        self, kind: Literal["table", "index"], name: str, columns: Sequence[str] = (), *, apart: bool = True
    ) -> Tree:
        """Find the tree of a table or an index and where columns stand in its records; those of places are fractions.

        An index's records end with the rowid, which is one of the columns, called "rowid". `apart`: its pages must be
        no other's. Raises NotPlain where there is no such tree, or its records are of another order; Damaged.
        """
        names, texts = self._records(kind, name)
        if not set(columns) <= set(names):
            raise NotPlain("other columns")
        fractions = [kind == "index" and not _is_whole(column) for column in names]
        places = [(names.index(column), not _is_whole(column)) for column in columns]
        leaves = self.database.known.get(f"leaves of {name}")
        if leaves is None:
            wanted, others = list(enumerate(fractions)), None
            if apart:
                others = self._pages_of_others(kind, name, len(names))
            with _named(name):
                root = self._root(kind, name)
                leaves = find_leaves(self.pages, root, index=kind == "index", wanted=wanted, others=others)
            if kind == "index":  # it is read animal by animal
                self.database.known[f"leaves of {name}"] = leaves
        return Tree(name, leaves, places, Shape(len(names), texts), kind == "index")

    def rows(self, tree: Tree, chosen: range | None = None, at_once: int = PAGES_AT_ONCE) -> Iterator[list[Values]]:
        """Columns of a tree's leaves, some pages at a time; see `pages.rows`."""
        leaves, places, shape = tree.leaves, tree.places, tree.shape
        with _named(tree.name):
            yield from rows(self.pages, leaves, places, index=tree.index, chosen=chosen, shape=shape, at_once=at_once)

    def _records(self, kind: str, name: str) -> tuple[list[str], int]:
        """Return the columns of a table's or an index's records, and how many of them may hold text."""
        if kind == "table":
            found = self.connection.execute("SELECT name, type, hidden FROM pragma_table_xinfo(?)", (name,)).fetchall()
            if any(hidden for *_, hidden in found):
                raise NotPlain("columns that are computed")
            numbers = ("INT", "REAL", "FLOA", "DOUB")
            texts = sum(not any(word in str(kind).upper() for word in numbers) for _, kind, _ in found)
            return [str(column).upper() for column, *_ in found], texts
        found = self._columns_of_index(name)
        if not found or found[-1][1] != -1 or any(down for *_, down in found):
            raise NotPlain("an index in another order, or of a table without rowids")
        return [*(str(column).upper() for column, *_ in found[:-1]), "rowid"], 0

    def _columns_of_index(self, name: str) -> list[tuple[str | None, int, int]]:
        """Return name, number and whether they fall, of all columns of an index's records."""
        return self.connection.execute("SELECT name, cid, desc FROM pragma_index_xinfo(?)", (name,)).fetchall()

    def _root(self, kind: str, name: str) -> int:
        """Return the first page of a table or an index."""
        query = "SELECT rootpage FROM sqlite_master WHERE type = ? AND name = ? COLLATE NOCASE"
        found = self.connection.execute(query, (kind, name)).fetchone()
        if found is None:
            raise NotPlain("no table of that name")
        return int(found[0])

    def _pages_of_others(self, kind: str, name: str, n_columns: int) -> NDArray[np.int64]:
        """Return numbers of pages that a table or an index must not have: free ones, and those of others.

        Of others with as many columns they are all pages, of the rest, whose records are told by their length, the
        first one.
        """
        found = [self.pages.free()]
        schema = self.connection.execute("SELECT type, name, rootpage FROM sqlite_master").fetchall()  # and no lock
        for other, name_of, root in schema:
            if not root or (other == kind and str(name_of).upper() == name.upper()):
                continue
            found.append(np.array([root]))
            with contextlib.suppress(NotPlain, Damaged):  # whether the other one is sound is no matter
                if other == kind and len(self._records(kind, name_of)[0]) == n_columns:
                    theirs = find_leaves(self.pages, root, index=kind == "index")
                    found += [theirs.numbers, theirs.above]
        return np.concatenate(found)

    def check_ends(self, n_rows: int) -> None:
        """See that the file's front knows of its end, DETECTION having `n_rows`; where it does not, look closer.

        A file that is longer than its header says, or whose last row of DETECTION has a number that was not given yet
        by the list of given ones, which stands in front, is asked of SQLite. Where numbers were given that no row has,
        rows were deleted, or all indexes are at odds with their table.
        """
        last_given = given = 0
        if self.connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'").fetchone():
            last = "SELECT ifnull(max(rowid), 0) FROM DETECTION NOT INDEXED"
            query = f"SELECT seq, ({last}) FROM sqlite_sequence WHERE name = 'DETECTION' COLLATE NOCASE"
            given, last_given = (as_whole(value) for value in self.connection.execute(query).fetchone() or (0, 0))
        if self.pages.beyond or given < last_given:
            for table in REQUIRED:
                self.check(table)
        elif given > last_given:
            self.check_count("DETECTION", n_rows, every=True)

    def check(self, table: str) -> None:
        """Ask SQLite whether a table and its indexes are sound; raises Damaged with its words where they are not.

        It is asked once; of a large file that takes minutes, which is said.
        """
        if table in self.database.known:
            return
        if self.database.stamp[0] > SLOW_BYTES:
            log.warning("%s: SQLite checks the table %s, which takes minutes", self.database.path.name, table)
        for (words,) in self.connection.execute(f"PRAGMA integrity_check({table})"):
            if words != "ok" and not str(words).startswith(CONTENT):
                lines = str(words).replace("*** in database main ***", "").split("\n")
                raise Damaged(f"{table}: {next((line for line in lines if line.strip()), words)}")
        self.database.known[table] = True

    def check_count(self, table: str, n_rows: int, *, every: bool = False) -> None:
        """See that indexes have as many rows as their table: the smallest one, or every one.

        The smallest one is read in a hundredth of the table's time.
        """
        whole = "SELECT name FROM pragma_index_list(?) WHERE NOT partial"
        names = [str(row[0]) for row in self.connection.execute(whole, (table,))]
        names.sort(key=lambda name: (len(self._columns_of_index(name)), name))
        for name in names if every else names[:1]:
            if (n := self.count(table, name)) != n_rows:
                raise Damaged(f"{n} rows in {name}, {n_rows} in {table}")

    def count(self, table: str, index: str | None = None) -> int:
        """Return the rows of a table, as they stand in it or in an index."""
        try:
            tree = self.tree("index", index, apart=False) if index else self.tree("table", table)
            with _named(tree.name):
                return count_rows(self.pages, tree.leaves, index=tree.index)
        except NotPlain:
            by = f'INDEXED BY "{index}"' if index else "NOT INDEXED"
            return int(self.connection.execute(f"SELECT count(*) FROM {table} {by}").fetchone()[0])


@contextlib.contextmanager
def _named(name: str) -> Iterator[None]:
    """Say in what is Damaged."""
    try:
        yield
    except Damaged as error:
        raise Damaged(f"{error} in {name}") from error


def _is_whole(column: str) -> bool:
    return column in ("ANIMALID", "FRAMENUMBER", "TIMESTAMP", "PAUSED", "rowid")


@contextlib.contextmanager
def connected(database: Database) -> Iterator[Connection]:
    """A database that is open for questions; what SQLite says of a damaged or busy one is a line of ours."""
    with _errors(database.path), contextlib.closing(sqlite3.connect(database.uri, BUSY_S, uri=True)) as connection:
        for function in (as_whole, as_fraction, number_of):
            connection.create_function(function.__name__, 1, function, deterministic=True)
        yield connection


@contextlib.contextmanager
def watched(database: Database) -> Iterator[Source]:
    """Read a database without a lock, and refuse it if it changed since it was looked at.

    SQLite's lock is asked for before and after, for a moment: where a writer is at work that is refused as well. One
    that is Damaged is refused, if it is not by a change.
    """
    damage = None
    with connected(database) as connection:
        connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
        with Pages(database.path) as pages:
            try:
                yield Source(database, pages, connection)
            except Damaged as error:
                damage = str(error)
        connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
    if _stamp(database.path) != database.stamp:
        do = "close the program that writes it"
        raise DatabaseError(problem(database.path, "a database that nobody writes", "one that changed meanwhile", do))
    if damage:
        raise DatabaseError(problem(database.path, "a sound SQLite database", damage, "copy it again from its source"))


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
