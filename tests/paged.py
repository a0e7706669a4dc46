"""Databases of a table `t` and an index `i` whose pages are read, and the same from SQLite."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lmtcnn.lmt.cells import Shape
from lmtcnn.lmt.pages import Pages
from lmtcnn.lmt.trees import count_rows, find_leaves, rows
from lmtcnn.lmt.values import NOTHING

TABLE = "CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b INTEGER, x REAL, note TEXT)"

INDEX = "CREATE INDEX i ON t (a, b, x)"


@contextlib.contextmanager
def connected(path: Path, page_size: int = 4096) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(f"PRAGMA page_size = {page_size}")
        yield connection


def root(path: Path, name: str) -> int:
    with connected(path) as connection:
        return connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchone()[0]


def by_rows(path: Path, query: str) -> list[tuple]:
    with connected(path) as connection:
        return connection.execute(query).fetchall()


def plain(values: np.ndarray) -> list:
    """Numbers as SQLite's module gives them."""
    if values.dtype.kind == "f":
        return [None if np.isnan(v) else v for v in values.tolist()]
    return [None if v == NOTHING else v for v in values.tolist()]


COLUMNS = [(0, False), (1, False), (2, True), (3, False)]
"""Those of the index: a, b, x and the rowid."""


def table(path: Path) -> list[tuple]:
    with Pages(path) as pages:
        leaves = find_leaves(pages, root(path, "t"), index=False)
        wanted = [(1, False), (2, False), (3, True)]
        blocks = list(rows(pages, leaves, wanted, index=False, shape=Shape(5, 1)))
        assert count_rows(pages, leaves, index=False) == sum(len(block[0]) for block in blocks)
    return [row for block in blocks for row in zip(*map(plain, block), strict=True)]


def index(path: Path) -> list[tuple]:
    with Pages(path) as pages:
        leaves = find_leaves(pages, root(path, "i"), index=True, wanted=COLUMNS)
        blocks = [*rows(pages, leaves, COLUMNS, index=True, shape=Shape(4)), leaves.keys]
        assert count_rows(pages, leaves, index=True) == sum(len(block[0]) for block in blocks)
    return [row[:3] for block in blocks for row in zip(*map(plain, block), strict=True)]


def order(row: tuple) -> tuple:
    """NULL before numbers."""
    return tuple((v is not None, v or 0) for v in row)


SIZE = 1024


def write_large(tmp_path: Path) -> Path:
    """40,000 rows of three animals, deep enough for pages above the pages above the leaves."""
    path = tmp_path / "a.sqlite"
    with connected(path, 1024) as connection:
        connection.execute(TABLE)
        values = ((i, i % 4 or None, i // 4, i / 7, "text") for i in range(1, 40_001))
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?)", values)
        connection.execute(INDEX)
        connection.execute("COMMIT")
    return path


def write_ordered(tmp_path: Path) -> Path:
    """4,000 rows in their order, as a tracker appends them: a table, its index, and another index of that shape."""
    path = tmp_path / "a.sqlite"
    with connected(path, SIZE) as connection:
        connection.execute(TABLE)
        values = ((i, i // 500, i, float(i), "text") for i in range(1, 4001))
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?)", values)
        connection.execute(INDEX)
        connection.execute("CREATE INDEX other ON t (b, a, x)")
        connection.execute("COMMIT")
    return path


VALUES = [
    *(None, 0, 1, -1, 7, 2**40, 2**62, -(2**62), 2**63 - 1, -(2**63), -(2**63) + 1),
    *(1.0, -0.0, 1.5, 1e15, 9e15, 2.0**53, 9.3e18, 1e300, float("inf"), float("-inf"), 5e-324),
    *("1", " 1 ", "1.0", "1e3", "+5", "-2.50", ".5", "5.", "0x10", "1_000", "inf", "nan", "", "a", "1 2", "9" * 40),
    *("9223372036854775807", "9223372036854775808", "1e999", "\u0661", "1\u00a0", "9" * 300),
    *(b"", b"1", bytes(40)),
]  # fmt: skip
