"""Pages laid out by hand, as SQLite itself sees them."""

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from lmtcnn.simulate import btree
from lmtcnn.simulate.btree import PAGE, PageFile, Tree, cells, record_header, varint, varint_widths, varints

WIDE, NARROW, KEY = record_header([0, 4, 13 + 2 * 100]), record_header([0, 0, 13 + 2 * 100]), record_header([4, 4])
NULL_KEY = record_header([0, 4])


def write(path: Path, runs: list[int], nulls: int) -> int:
    """T(ID, A, B) with an index on A: first `nulls` rows where A is NULL, then runs of rows with A = ID; rows."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE T (ID INTEGER PRIMARY KEY, A INTEGER, B TEXT)")
        database.execute("CREATE INDEX I ON T (A)")
        database.commit()
        roots = dict(database.execute("SELECT name, rootpage FROM sqlite_master"))
    with PageFile(path) as file:
        table, index = Tree(file, roots["T"]), Tree(file, roots["I"], index=True)
        for run, null in [(1, True)] * nulls + [(run, False) for run in runs]:
            ids = table.rows + 1 + np.arange(run)
            widths = varint_widths(ids)
            for width in np.unique(widths):
                of = ids[widths == width]
                text = np.full((len(of), 100), ord("x"), np.uint8)
                number = [] if null else [(">i4", of)]
                table.append(cells(NARROW if null else WIDE, [*number, (("u1", 100), text)], of))
            keys = [(">i4", ids)] if null else [(">i4", ids), (">i4", ids)]
            index.append(cells(NULL_KEY if null else KEY, keys))
        table.close()
        index.close()
        return table.rows


@pytest.mark.parametrize(
    ("runs", "nulls"),
    [
        ([], 0),
        ([1], 0),
        ([], 1),
        ([37], 1),
        ([38], 2),
        ([500], 1),
        ([1] * 900, 3),
        ([300, 1, 1, 700, 1], 0),
        ([60_000], 5),
    ],
)
def test_sqlite_finds_no_fault_and_every_row(tmp_path: Path, runs: list[int], nulls: int) -> None:
    rows = write(tmp_path / "x.db", runs, nulls)
    with closing(sqlite3.connect(tmp_path / "x.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        expected = [(i, i if i > nulls else None, "x" * 100) for i in range(1, rows + 1)]
        assert database.execute("SELECT * FROM T").fetchall() == expected
        assert rows == sum(runs) + nulls


def test_sqlite_can_change_what_was_written(tmp_path: Path) -> None:
    rows = write(tmp_path / "x.db", [3000], 2)
    with closing(sqlite3.connect(tmp_path / "x.db")) as database:
        database.execute("INSERT INTO T VALUES (?, 7, 'new')", (rows + 1,))
        database.execute("UPDATE T SET A = NULL WHERE ID % 3 = 0")
        database.execute("DELETE FROM T WHERE ID BETWEEN 100 AND 2000")
        database.commit()
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        kept = [i for i in (*range(3, 100), *range(2001, rows + 1)) if i % 3]
        assert database.execute("SELECT ID FROM T WHERE A > 0 ORDER BY A").fetchall() == [(i,) for i in kept]


@pytest.mark.parametrize(("value", "expected"), [(0, "00"), (127, "7f"), (128, "8100"), (16384, "818000")])
def test_a_varint_has_seven_bits_a_byte(value: int, expected: str) -> None:
    assert varint(value).hex() == expected
    assert varints(np.array([value]), len(expected) // 2).tobytes().hex() == expected
    assert varint_widths(np.array([value])) == [len(expected) // 2]


def test_the_page_that_sqlite_locks_stays_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(b"\1" * PAGE)
    monkeypatch.setattr(btree, "_LOCK_PAGE", 4)
    with PageFile(path) as file:
        assert list(file.append(np.full((5, PAGE), 2, np.uint8))) == [2, 3, 5, 6, 7]
    assert [path.read_bytes()[PAGE * page + 200] for page in range(7)] == [1, 2, 2, 0, 2, 2, 2]


def test_after_an_error_the_header_is_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(bytes(PAGE))

    def fail() -> None:
        with PageFile(path) as file:
            file.append(np.ones((1, PAGE), np.uint8))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert path.read_bytes()[:PAGE] == bytes(PAGE)
