"""Pages of a file by their numbers."""

from pathlib import Path

import numpy as np
import pytest

from lmtcnn.lmt.pages import Damaged, NotPlain, Pages
from lmtcnn.lmt.trees import find_leaves
from paged import COLUMNS, TABLE, connected, root, table, write_large, write_ordered


@pytest.fixture
def large(tmp_path: Path) -> Path:
    return write_large(tmp_path)


@pytest.fixture
def ordered(tmp_path: Path) -> Path:
    return write_ordered(tmp_path)


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
