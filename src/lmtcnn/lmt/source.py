"""A database while it is read: columns of its tables and indexes, from their pages or from SQLite.

This is the one door to the pages (`pages`, `cells`, `trees`): `Source.tree`. What is found in them is checked against
what SQLite and the other indexes say.
"""

import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from lmtcnn.core.errors import DatabaseError, problem
from lmtcnn.lmt.cells import MIN_CELL, Shape, Wanted
from lmtcnn.lmt.files import stamp
from lmtcnn.lmt.lmt import REQUIRED, Connection, Database, connected
from lmtcnn.lmt.pages import Damaged, NotPlain, Pages
from lmtcnn.lmt.trees import PAGES_AT_ONCE, Leaves, count_rows, find_leaves, rows
from lmtcnn.lmt.values import Columns, Ints, Values, as_whole

log = logging.getLogger("lmtcnn")

T = TypeVar("T")

_BATCH_ROWS = 65_536

SLOW_BYTES = 10**9
"""Of longer files it is said that SQLite is asked to check them: it takes a minute and more."""

CONTENT = ("NULL value in ", "TEXT value in ", "NUMERIC value in ", "non-INTEGER ", "non-TEXT ", "non-REAL ", "CHECK ")
"""How SQLite's findings begin that are about values, not about the pages that hold them."""


@dataclass(frozen=True)
class Tree:
    """A table or an index: its leaf pages, the places of some columns, and the columns of its records."""

    name: str
    pages: Pages
    leaves: Leaves
    places: Sequence[Wanted]
    shape: Shape
    index: bool

    @property
    def most_rows(self) -> int:
        """More rows than a table can have in so many pages."""
        return len(self.leaves.numbers) * self.pages.size // MIN_CELL

    def beginning_with(self, first: int) -> Iterator[list[Values]]:
        """Columns of an index, block by block: all rows whose first column is `first`, a number or NOTHING, and some.

        Those that stand in the pages above come last.
        """
        yield from self._rows(self.leaves.among(first))
        yield [self.leaves.keys[place] for place, _ in self.places]

    def blocks(self, work: Callable[[list[Values]], T], threads: int, at_once: int = PAGES_AT_ONCE) -> Iterator[T]:
        """Yield what `work` makes of the columns of each block of a table's pages, the rowids before them, in order.

        Some threads read, take the pages apart and work, a few blocks ahead: memory stays bounded.
        """
        n = len(self.leaves.numbers)

        def block(begin: int) -> T:
            return work(next(self._rows(range(begin, min(begin + at_once, n)), at_once)))

        waiting: deque[Future[T]] = deque()
        with ThreadPoolExecutor(threads) as pool:
            for begin in range(0, n, at_once):
                waiting.append(pool.submit(block, begin))
                if len(waiting) == 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def count(self) -> int:
        """Return how many rows there are, by the heads of the pages."""
        with _named(self.name):
            return count_rows(self.pages, self.leaves, index=self.index)

    def _rows(self, chosen: range, at_once: int = PAGES_AT_ONCE) -> Iterator[list[Values]]:
        """Columns of the chosen leaves, some pages at a time; see `trees.rows`."""
        with _named(self.name):
            yield from rows(
                self.pages, self.leaves, self.places, index=self.index, chosen=chosen, shape=self.shape, at_once=at_once
            )


@dataclass(frozen=True)
class Source:
    """A database while its pages are read."""

    database: Database
    pages: Pages
    connection: Connection

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
        return Tree(name, self.pages, leaves, places, Shape(len(names), texts), kind == "index")

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
        return list(self.connection.execute("SELECT name, cid, desc FROM pragma_index_xinfo(?)", (name,)))

    def _root(self, kind: str, name: str) -> int:
        """Return the first page of a table or an index."""
        query = "SELECT rootpage FROM sqlite_master WHERE type = ? AND name = ? COLLATE NOCASE"
        found = self.connection.execute(query, (kind, name)).fetchone()
        if found is None:
            raise NotPlain("no table of that name")
        return int(found[0])

    def _pages_of_others(self, kind: str, name: str, n_columns: int) -> Ints:
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
            return tree.count()
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
    if stamp(database.path) != database.stamp:
        do = "close the program that writes it"
        raise DatabaseError(problem(database.path, "a database that nobody writes", "one that changed meanwhile", do))
    if damage:
        raise DatabaseError(problem(database.path, "a sound SQLite database", damage, "copy it again from its source"))


def batches(source: Source, query: str, values: tuple[int | None, ...] = ()) -> Iterator[Columns]:
    """Columns of a query's result as NumPy arrays, batch by batch."""
    cursor = source.connection.execute(query, values)
    while found := cursor.fetchmany(_BATCH_ROWS):
        yield tuple(np.array(column) for column in zip(*found, strict=True))
