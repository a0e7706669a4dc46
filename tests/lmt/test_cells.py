"""Columns from the records of pages: the same that SQLite hands out row by row, or NotPlain."""

import contextlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmtcnn.lmt.cells import Shape
from lmtcnn.lmt.pages import Damaged, NotPlain, Pages
from lmtcnn.lmt.trees import find_leaves, rows
from lmtcnn.lmt.values import as_fraction, as_whole
from paged import INDEX, SIZE, TABLE, VALUES, by_rows, connected, index, order, root, table

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


@pytest.mark.parametrize("order", ["a, b, x, note", "note, x, b, a", "note, c1, c2, c3, c4, c5, c6, c7, a, b, x"])
@pytest.mark.parametrize("kind", ["", "INTEGER", "REAL", "TEXT", "NUMERIC", "BLOB"])
def test_numbers_are_read_however_they_are_stored(tmp_path: Path, kind: str, order: str) -> None:
    """Each value in each column, declared as anything or nothing, in any order, with texts before and between."""
    names = order.split(", ")
    path = tmp_path / "a.sqlite"
    found = [(a, VALUES[(i * 7) % len(VALUES)], VALUES[(i * 3) % len(VALUES)]) for i, a in enumerate(VALUES * 3)]
    with connected(path) as connection:
        connection.execute(f"CREATE TABLE t ({', '.join(n + ' ' + (kind if len(n) == 1 else '') for n in names)})")
        rows_of = [(*row, "n" * i) for i, row in enumerate(found)]
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO t (a, b, x, note) VALUES (?, ?, ?, ?)", rows_of)
        connection.execute("COMMIT")
        stored = connection.execute("SELECT a, b, x FROM t").fetchall()
    wanted = [(names.index("a"), False), (names.index("b"), False), (names.index("x"), True)]
    with Pages(path) as pages:
        leaves = find_leaves(pages, root(path, "t"), index=False)
        (columns,) = rows(pages, leaves, wanted, index=False, shape=Shape(len(names), len(names)))
    assert columns[1].tolist() == [as_whole(row[0]) for row in stored]
    assert columns[2].tolist() == [as_whole(row[1]) for row in stored]
    np.testing.assert_array_equal(columns[3], [as_fraction(row[2]) for row in stored])


def test_rows_from_before_a_column_was_added_are_not_plain(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    with connected(path) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b INTEGER)")
        connection.execute("INSERT INTO t VALUES (1, 1, 1)")
        connection.execute("ALTER TABLE t ADD COLUMN x REAL DEFAULT 7")
    with pytest.raises(NotPlain):
        table(path)


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
        with contextlib.suppress(NotPlain, Damaged), Pages(path) as pages:
            wanted = [(1, False), (2, True)]
            leaves = find_leaves(pages, number, index=kind, wanted=wanted)
            list(rows(pages, leaves, wanted, index=kind, shape=Shape(4 if kind else 5, 1)))


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


PAIRS = "CREATE TABLE p (id INTEGER PRIMARY KEY, a INTEGER, b INTEGER, x REAL)"


def test_records_of_another_table_are_damage(tmp_path: Path) -> None:
    """A leaf of a table of other columns whose rowids fit in place of one."""
    path = tmp_path / "a.sqlite"
    with connected(path, SIZE) as connection:
        connection.execute(TABLE)
        connection.execute(PAIRS)
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO t VALUES (?, 1, 1, 1, 'n')", ((i,) for i in range(1, 900)))
        connection.executemany("INSERT INTO p VALUES (?, 1, 1, 1)", ((i,) for i in range(1, 900)))
        connection.execute("COMMIT")
    with Pages(path) as pages:
        leaves = find_leaves(pages, root(path, "p"), index=False)
        list(rows(pages, leaves, [(1, False)], index=False, shape=Shape(4)))
        with pytest.raises(Damaged, match="other columns"):
            list(rows(pages, leaves, [(1, False)], index=False, shape=Shape(3)))
