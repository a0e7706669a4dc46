"""Columns from whole pages: the same that SQLite hands out row by row, or NotPlain."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmtcnn.pages import NOTHING, NotPlain, Pages, find_leaves, rows, rows_above

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


def table(path: Path) -> list[tuple]:
    with Pages(path) as pages:
        leaves = find_leaves(pages, root(path, "t"), index=False)
        blocks = list(rows(pages, leaves.numbers, [(1, False), (2, False), (3, True)], index=False))
    return [row for block in blocks for row in zip(*map(plain, block), strict=True)]


def index(path: Path) -> list[tuple]:
    with Pages(path) as pages:
        leaves = find_leaves(pages, root(path, "i"), index=True)
        wanted = [(0, False), (1, False), (2, True)]
        blocks = list(rows(pages, leaves.numbers, wanted, index=True))
        blocks += list(rows_above(pages, leaves.above, wanted))
    return [row for block in blocks for row in zip(*map(plain, block), strict=True)]


def order(row: tuple) -> tuple:
    """NULL before numbers."""
    return tuple((v is not None, v or 0) for v in row)


whole = st.one_of(
    st.none(),
    st.integers(-2, 2),
    *(st.integers(-(2**bits), 2**bits - 1) for bits in (7, 15, 23, 31, 47, 62)),
)
number = st.one_of(st.none(), st.floats(allow_nan=False, width=64), st.integers(-300, 300).map(float))


@settings(max_examples=60, deadline=None)
@given(
    found=st.lists(st.tuples(st.integers(1, 2**34), whole, whole, number, st.integers(0, 3000)), max_size=60,
                   unique_by=lambda row: row[0]),
    page_size=st.sampled_from([1024, 4096, 65_536]),
)  # fmt: skip
def test_numbers_of_any_width_are_those_of_sqlite(tmp_path_factory, found: list[tuple], page_size: int) -> None:
    path = tmp_path_factory.mktemp("db") / "a.sqlite"
    with connected(path, page_size) as connection:
        connection.execute(TABLE)
        connection.execute(INDEX)
        connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?)", [(*row[:4], "n" * row[4]) for row in found])
    assert table(path) == by_rows(path, "SELECT id, a, b, x FROM t ORDER BY id")
    assert sorted(index(path), key=order) == sorted(by_rows(path, "SELECT a, b, x FROM t"), key=order)


@pytest.fixture
def large(tmp_path: Path) -> Path:
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


def test_deep_trees_are_read_whole_and_in_order(large: Path) -> None:
    assert table(large) == by_rows(large, "SELECT id, a, b, x FROM t ORDER BY id")
    found = index(large)
    assert sorted(found, key=order) == by_rows(large, "SELECT a, b, x FROM t ORDER BY a, b")


def test_rows_in_the_pages_above_are_as_many_as_those_pages_divide(large: Path) -> None:
    with Pages(large) as pages:
        leaves = find_leaves(pages, root(large, "i"), index=True)
        above = sum(len(block[0]) for block in rows_above(pages, leaves.above, [(0, False)]))
        assert len(leaves.above) > 10
        assert above == len(leaves.numbers) - 1


def test_bounds_of_leaves_hold_their_rows(large: Path) -> None:
    with Pages(large) as pages:
        leaves = find_leaves(pages, root(large, "i"), index=True)
        for number, low, high in zip(leaves.numbers, leaves.low, leaves.high, strict=True):
            ((found,),) = rows(pages, np.array([number]), [(0, False)], index=True)
            assert low <= found.min()
            assert found.max() <= high
        chosen = (leaves.low <= 2) & (leaves.high >= 2)
        assert 0.2 < chosen.mean() < 0.3


@pytest.mark.parametrize("vacuum", ["NONE", "FULL"])
def test_pages_in_any_order_with_free_ones_between_are_read(tmp_path: Path, vacuum: str) -> None:
    path = tmp_path / "a.sqlite"
    rng = np.random.default_rng(0)
    with connected(path, 1024) as connection:
        connection.execute(f"PRAGMA auto_vacuum = {vacuum}")
        connection.execute(TABLE)
        connection.execute(INDEX)
        connection.execute("BEGIN")
        for i in rng.permutation(5000).tolist():
            connection.execute("INSERT INTO t VALUES (?, ?, ?, ?, ?)", (i, i % 3, i, i / 3, "n" * (i % 400)))
        connection.execute("COMMIT")
        connection.execute("DELETE FROM t WHERE id % 5 < 2 OR id BETWEEN 1000 AND 2000")
    assert table(path) == by_rows(path, "SELECT id, a, b, x FROM t ORDER BY id")
    assert sorted(index(path), key=order) == by_rows(path, "SELECT a, b, x FROM t ORDER BY a, b")


def test_an_empty_table_has_no_rows(tmp_path: Path) -> None:
    with connected(tmp_path / "a.sqlite") as connection:
        connection.execute(TABLE)
        connection.execute(INDEX)
    assert (table(tmp_path / "a.sqlite"), index(tmp_path / "a.sqlite")) == ([], [])


# ---- What is not plain -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "read"),
    [("INSERT INTO t VALUES (1, 'x', 1, 1, '')", table), ("INSERT INTO t VALUES (1, 1, 1.5, 1, '')", table),
     ("INSERT INTO t VALUES (1, 1, 1, x'00', '')", index)],
)  # fmt: skip
def test_values_of_another_type_are_not_plain(tmp_path: Path, value: str, read: Callable) -> None:
    path = tmp_path / "a.sqlite"
    with connected(path) as connection:
        connection.execute(TABLE)
        connection.execute(INDEX)
        connection.execute(value)
    with pytest.raises(NotPlain):
        read(path)


def test_rows_from_before_a_column_was_added_are_not_plain(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    with connected(path) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b INTEGER)")
        connection.execute("INSERT INTO t VALUES (1, 1, 1)")
        connection.execute("ALTER TABLE t ADD COLUMN x REAL DEFAULT 7")
    with pytest.raises(NotPlain):
        table(path)


def test_pages_of_512_bytes_are_not_plain(tmp_path: Path) -> None:
    with connected(tmp_path / "a.sqlite", 512) as connection:
        connection.execute(TABLE)
    with pytest.raises(NotPlain):
        table(tmp_path / "a.sqlite")


def test_a_page_out_of_the_file_and_a_tree_of_another_kind_are_not_plain(large: Path) -> None:
    with Pages(large) as pages:
        for number in (0, 1, -5, pages.count + 1, 2**40):
            with pytest.raises(NotPlain):
                pages.read(np.array([number]))
        with pytest.raises(NotPlain):
            find_leaves(pages, root(large, "t"), index=True)


def test_a_tree_that_leads_back_to_itself_is_not_plain(large: Path) -> None:
    content = bytearray(large.read_bytes())
    number = root(large, "i")
    content[(number - 1) * 1024 + 8 : (number - 1) * 1024 + 12] = number.to_bytes(4, "big")
    cells = int.from_bytes(content[(number - 1) * 1024 + 3 : (number - 1) * 1024 + 5], "big")
    for i in range(cells):
        pointer = (number - 1) * 1024 + 12 + 2 * i
        place = (number - 1) * 1024 + int.from_bytes(content[pointer : pointer + 2], "big")
        content[place : place + 4] = number.to_bytes(4, "big")
    large.write_bytes(content)
    with pytest.raises(NotPlain):
        index(large)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damaged_bytes_give_rows_or_are_not_plain(tmp_path_factory, damaged: bytes, data: st.DataObject) -> None:
    """Whatever is in the pages: no other exception, no place outside of the buffer."""
    content = bytearray(damaged)
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(1024, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("db") / "a.sqlite"
    path.write_bytes(content)
    for kind, number in ((False, 2), (True, 3)):
        with contextlib.suppress(NotPlain), Pages(path) as pages:
            leaves = find_leaves(pages, number, index=kind)
            wanted = [(1, False), (2, True)]
            list(rows(pages, leaves.numbers, wanted, index=kind))
            list(rows_above(pages, leaves.above, wanted))


@pytest.fixture(scope="module")
def damaged(tmp_path_factory) -> bytes:
    """A small database before the damage: its table begins at page 2, its index at page 3."""
    path = tmp_path_factory.mktemp("db") / "a.sqlite"
    with connected(path, 1024) as connection:
        connection.execute(TABLE)
        connection.execute(INDEX)
        connection.executemany(
            "INSERT INTO t VALUES (?, ?, ?, ?, ?)", ((i, i % 3, i, i / 3, "n" * (i % 90)) for i in range(200))
        )
    return path.read_bytes()
