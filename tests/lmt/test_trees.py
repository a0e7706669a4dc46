"""Trees of pages: all of their rows in order, or Damaged."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lmtcnn.lmt.pages import Damaged, Pages
from lmtcnn.lmt.trees import falls, find_leaves, rows
from lmtcnn.lmt.values import NOTHING, ODD
from paged import COLUMNS, INDEX, SIZE, TABLE, by_rows, connected, index, order, root, table, write_large, write_ordered


@pytest.fixture
def large(tmp_path: Path) -> Path:
    return write_large(tmp_path)


@pytest.fixture
def ordered(tmp_path: Path) -> Path:
    return write_ordered(tmp_path)


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
