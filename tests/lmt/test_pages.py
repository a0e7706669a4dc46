"""Columns from whole pages: the same that SQLite hands out row by row, or NotPlain."""

import contextlib
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmtcnn.lmt.pages import (
    NOTHING,
    ODD,
    Damaged,
    NotPlain,
    Pages,
    Shape,
    _wholes,
    as_fraction,
    as_whole,
    count_rows,
    falls,
    find_leaves,
    rows,
)

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
        leaves = find_leaves(pages, root(large, "i"), index=True, wanted=COLUMNS)
        assert len(leaves.above) > 10
        assert {len(key) for key in leaves.keys} == {len(leaves.numbers) - 1}


def test_leaves_that_may_hold_a_first_column_are_those_that_do_and_few_others(large: Path) -> None:
    with Pages(large) as pages:
        leaves = find_leaves(pages, root(large, "i"), index=True, wanted=COLUMNS)
        for first in (NOTHING, 1, 2, 3):
            chosen = leaves.among(first)
            (found,) = (np.concatenate(c) for c in zip(*rows(pages, leaves, COLUMNS[:1], index=True), strict=True))
            (own,) = (
                np.concatenate(c)
                for c in zip(*rows(pages, leaves, COLUMNS[:1], index=True, chosen=chosen), strict=True)
            )
            assert np.count_nonzero(own == first) == np.count_nonzero(found == first) > 9000
            assert 0.2 < len(chosen) / len(leaves.numbers) < 0.3
        assert (len(leaves.among(-7)), len(leaves.among(9))) == (1, 1)


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


VALUES = [
    *(None, 0, 1, -1, 7, 2**40, 2**62, -(2**62), 2**63 - 1, -(2**63), -(2**63) + 1),
    *(1.0, -0.0, 1.5, 1e15, 9e15, 2.0**53, 9.3e18, 1e300, float("inf"), float("-inf"), 5e-324),
    *("1", " 1 ", "1.0", "1e3", "+5", "-2.50", ".5", "5.", "0x10", "1_000", "inf", "nan", "", "a", "1 2", "9" * 40),
    *("9223372036854775807", "9223372036854775808", "1e999", "\u0661", "1\u00a0", "9" * 300),
    *(b"", b"1", bytes(40)),
]  # fmt: skip


@pytest.mark.parametrize("text", [value for value in VALUES if isinstance(value, str)])
def test_a_text_is_the_number_that_numeric_affinity_makes_of_it(text: str) -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE n (v NUMERIC)")
        connection.execute("INSERT INTO n VALUES (?)", (text,))
        (stored,) = connection.execute("SELECT v FROM n").fetchone()
    assert as_whole(text) == (ODD if isinstance(stored, str) else as_whole(stored))
    assert as_fraction(text) == (np.inf if isinstance(stored, str) else float(stored))


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
            find_leaves(pages, root(large, "t"), index=True, wanted=COLUMNS)


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
    with pytest.raises(Damaged, match="reached twice"):
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


# ---- What no sound database has --------------------------------------------------------------------------------------

SIZE = 1024
PAIRS = "CREATE TABLE p (id INTEGER PRIMARY KEY, a INTEGER, b INTEGER, x REAL)"


@pytest.fixture
def ordered(tmp_path: Path) -> Path:
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


class Content(bytearray):
    """A file's bytes, by pages."""

    def page(self, number: int) -> bytes:
        return bytes(self[(number - 1) * SIZE : number * SIZE])

    def put(self, number: int, page: bytes) -> None:
        self[(number - 1) * SIZE : number * SIZE] = page

    def exchange(self, one: int, two: int) -> None:
        first, second = self.page(one), self.page(two)
        self.put(one, second)
        self.put(two, first)

    def exchange_cells(self, number: int, one: int, two: int, *, twice: bool = False) -> None:
        """Exchange the places of two cells of a leaf, or let the first stand for both."""
        page = bytearray(self.page(number))
        at, to = 8 + 2 * one, 8 + 2 * two
        first, second = page[at : at + 2], page[to : to + 2]
        page[to : to + 2] = first
        if not twice:
            page[at : at + 2] = second
        self.put(number, bytes(page))


def change(path: Path, work: Callable[[Content, list[int], list[int]], None]) -> None:
    """Change a file, knowing the leaves of its table and of its index."""
    with Pages(path) as pages:
        of_table = find_leaves(pages, root(path, "t"), index=False).numbers.tolist()
        of_index = find_leaves(pages, root(path, "i"), index=True).numbers.tolist()
    content = Content(path.read_bytes())
    work(content, of_table, of_index)
    path.write_bytes(content)


READ = pytest.mark.parametrize(("read", "which"), [(table, 0), (index, 1)], ids=["table", "index"])


@READ
@pytest.mark.parametrize("cells", [(0, 1), (3, 9), (0, -1)], ids=["first", "middle", "ends"])
def test_keys_that_fall_inside_a_page_are_damage(ordered: Path, read: Callable, which: int, cells) -> None:
    def exchange(content: Content, *leaves: list[int]) -> None:
        number = leaves[which][5]
        last = int.from_bytes(content.page(number)[3:5], "big") - 1
        content.exchange_cells(number, cells[0], cells[1] if cells[1] > 0 else last)

    change(ordered, exchange)
    with pytest.raises(Damaged, match="keys"):
        read(ordered)


@READ
def test_a_key_that_stands_twice_is_damage(ordered: Path, read: Callable, which: int) -> None:
    change(ordered, lambda content, *leaves: content.exchange_cells(leaves[which][5], 3, 4, twice=True))
    with pytest.raises(Damaged, match="twice"):
        read(ordered)


@READ
@pytest.mark.parametrize("far", [1, 7])
def test_leaves_that_were_exchanged_are_damage(ordered: Path, read: Callable, which: int, far: int) -> None:
    change(ordered, lambda content, *leaves: content.exchange(leaves[which][5], leaves[which][5 + far]))
    with pytest.raises(Damaged, match="keys"):
        read(ordered)


@READ
def test_a_leaf_that_stands_for_another_is_damage(ordered: Path, read: Callable, which: int) -> None:
    change(ordered, lambda content, *leaves: content.put(leaves[which][5], content.page(leaves[which][6])))
    with pytest.raises(Damaged, match="keys"):
        read(ordered)


@READ
def test_a_leaf_beyond_the_keys_above_is_damage_though_all_rows_rise(ordered: Path, read: Callable, which: int) -> None:
    """The last leaf is that of a longer file: its rows are higher than any, but not the first rows behind the key."""

    def change_key(content: Content, *leaves: list[int]) -> None:
        with Pages(ordered) as pages:
            found = find_leaves(pages, root(ordered, "ti"[which]), index=bool(which))
        above = bytearray(content.page(int(found.above[-1])))
        cells = int.from_bytes(above[3:5], "big")
        place = int.from_bytes(above[12 + 2 * (cells - 1) : 14 + 2 * (cells - 1)], "big")
        if which:
            above[place + 4 + 1 + 5 + 1] += 1  # b, behind child, length, header and a: the key is 256 higher
        else:
            above[place + 5] -= 1  # the rowid's lower 7 bits
        content.put(int(found.above[-1]), bytes(above))

    change(ordered, change_key)
    with pytest.raises(Damaged, match=r"belong|fall"):
        read(ordered)


def test_a_leaf_of_another_index_of_the_same_shape_is_damage(ordered: Path) -> None:
    """As a page that two trees lead to: told by the list of the other's pages."""
    with Pages(ordered) as pages:
        other = find_leaves(pages, root(ordered, "other"), index=True)
        others = np.concatenate([other.numbers, other.above])
        find_leaves(pages, root(ordered, "i"), index=True, wanted=COLUMNS, others=others)
        with pytest.raises(Damaged, match="another table or index"):
            find_leaves(pages, root(ordered, "other"), index=True, wanted=COLUMNS, others=others[:1])


def test_a_free_page_that_is_a_leaf_is_damage(ordered: Path) -> None:
    with connected(ordered) as connection:
        connection.execute("DROP INDEX other")
    with Pages(ordered) as pages:
        free = pages.free()
        with connected(ordered) as connection:
            assert len(free) == connection.execute("PRAGMA freelist_count").fetchone()[0] > 30
        leaves = find_leaves(pages, root(ordered, "t"), index=False, others=free)
        with pytest.raises(Damaged, match="or to none"):
            find_leaves(pages, root(ordered, "t"), index=False, others=np.append(free, leaves.numbers[3]))


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


@pytest.mark.parametrize(
    ("first", "second", "down"),
    [
        ([[1, 1]], [[1, 2]], False),
        ([[1, 2]], [[2, 1]], False),
        ([[2, 0]], [[1, 9]], True),
        ([[1, 2]], [[1, 1]], True),
        ([[ODD, 2]], [[-5, 1]], False),
        ([[7, 2]], [[ODD, 1]], False),
        ([[NOTHING, 2]], [[NOTHING, 1]], True),
        ([[1, 1], [1, 3], [2, 0]], [[1, 2], [1, 2], [3, 0]], True),
    ],
)
def test_rows_fall_by_the_first_column_that_differs(first: list, second: list, down: bool) -> None:
    before, after = ([np.array(c) for c in zip(*rows, strict=True)] for rows in (first, second))
    assert falls(before, after) is down
    assert falls(before, before) is False
    assert falls(before, before, same=True) is (ODD not in before[0])


def test_null_comes_before_all_numbers_and_text_behind() -> None:
    order = [np.nan, -1e300, 0.0, 1e300, np.inf]
    column = np.array(order)
    assert not falls([column[:-1]], [column[1:]], same=True)
    assert falls([column[1:]], [column[:-1]])


def test_a_nan_of_any_bits_is_nothing_and_says_no_word() -> None:
    signalling = np.frombuffer(bytes.fromhex("010000000000f07f"), "<f8")  # a quiet one never makes NumPy warn
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert _wholes(signalling).tolist() == [NOTHING]
