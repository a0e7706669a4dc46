"""Files before SQLite opens them: which are found, and what is said of those that cannot be read."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import Scene, execute, still, told
from lmtcnn.core.errors import DatabaseError
from lmtcnn.lmt.files import find
from lmtcnn.lmt.frames import read_clock
from lmtcnn.lmt.lmt import open_database
from whole import PAGE, read, wal

COPY = "truncated: copy it again"


@pytest.mark.parametrize(
    "name",
    ["a b.sqlite", "Käfig_é.sqlite", "what?.sqlite", "no#1.sqlite", "50%.sqlite", "%41.sqlite", "a?mode=rw", "日"],
)
def test_file_names_mean_nothing(scene: Scene, tmp_path: Path, name: str) -> None:
    path = scene.write(tmp_path / name)
    assert read(path)[0] == [(1, "001"), (2, "002")]
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_relative_path_is_read(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(database.parent)
    assert len(read(Path("a.sqlite"))[0]) == 2


def test_a_folder_is_searched_for_databases_by_name(tmp_path: Path) -> None:
    names = ["b.sqlite", "a.DB", "sub/c.sqlite3", "notes.txt", "sub/d.sqlite-journal"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.sqlite").mkdir()
    assert find([tmp_path]) == [tmp_path / name for name in ("a.DB", "b.sqlite", "sub/c.sqlite3")]
    (tmp_path / "gone.db").symlink_to(tmp_path / "nowhere.db")
    assert tmp_path / "gone.db" in find([tmp_path])
    (tmp_path / "gone.db").unlink()
    assert find([tmp_path / "notes.txt", tmp_path / "sub"]) == [tmp_path / "notes.txt", tmp_path / "sub/c.sqlite3"]


SYSTEMS = (
    *("._r1.sqlite", "Thumbs.db", "ehthumbs.db", ".DS_Store", "desktop.ini", "~$r1.db", ".~lock.r1.sqlite#", ".r1.db"),
    *("r1.sqlite-journal", "r1.sqlite-wal", "r1.sqlite-shm", ".Trash-1000/files/r0.sqlite", "$RECYCLE.BIN/$R1.sqlite"),
    *("System Volume Information/x.db", "@eaDir/r1.sqlite/x.db", ".git/x.db", ".dvc/tmp/x.db", "__MACOSX/._r1.sqlite"),
    *(".ipynb_checkpoints/r1-checkpoint.sqlite", "sub/.Trashes/r1.db", "sub/THUMBS.DB", "#recycle/r1.sqlite"),
)


def test_files_of_systems_are_passed_over_in_folders_and_taken_where_they_are_named(tmp_path: Path) -> None:
    for name in (*SYSTEMS, "r1.sqlite", "sub/r2.db"):
        path = tmp_path / "raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert find([tmp_path / "raw"]) == [tmp_path / "raw" / name for name in ("r1.sqlite", "sub/r2.db")]
    named = tmp_path / "raw" / "._r1.sqlite"
    assert find([named, tmp_path / "raw" / ".git"]) == [named, tmp_path / "raw" / ".git" / "x.db"]
    assert told(DatabaseError, open_database, named) == (
        f"{named}: expected an LMT database, found an empty file (0 bytes); copy it again",
    )
    (tmp_path / "raw" / "r1.sqlite").unlink()
    (tmp_path / "raw" / "sub" / "r2.db").unlink()
    assert told(DatabaseError, find, [tmp_path / "raw"]) == (
        f"{tmp_path / 'raw'}: expected databases (.sqlite, .sqlite3, .db), found none; check the folder",
    )


def test_a_folder_that_one_may_not_enter_is_told_and_the_others_are_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may enter everything is told so here by the system calls."""
    for name in ("a/r1.sqlite", "closed/r2.sqlite", "z/r3.sqlite"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    closed, real = tmp_path / "closed", {name: getattr(os, name) for name in ("scandir", "listdir")}

    def refuse(name: str) -> Callable:
        def call(path: object) -> object:
            if Path(str(path)) == closed:
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return real[name](path)

        return call

    for name in real:
        monkeypatch.setattr(os, name, refuse(name))
    assert find([tmp_path]) == [tmp_path / "a" / "r1.sqlite", closed, tmp_path / "z" / "r3.sqlite"]
    for paths in ([closed], [tmp_path]):
        assert closed in find(paths)
    assert told(DatabaseError, open_database, closed) == (
        f"{closed}: expected a folder that one may enter, found one without permission; check the path",
    )


def test_every_folder_without_a_database_is_named(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
    expected = "expected databases (.sqlite, .sqlite3, .db), found none; check the folder"
    assert told(DatabaseError, find, [tmp_path / "a", tmp_path / "b"]) == (
        f"{tmp_path / 'a'}: {expected}",
        f"{tmp_path / 'b'}: {expected}",
    )


# ---- What is said of a bad file --------------------------------------------------------------------------------------


def test_no_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    assert told(DatabaseError, open_database, path) == (
        f"{path}: expected an LMT database, found no file; check the path",
    )
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_told(tmp_path: Path) -> None:
    assert told(DatabaseError, open_database, tmp_path) == (
        f"{tmp_path}: expected an LMT database, found a folder; check the path",
    )


def test_a_path_through_a_file_is_told(database: Path) -> None:
    path = database / "b.sqlite"
    assert told(DatabaseError, open_database, path) == (
        f"{path}: expected a readable file, found a file in place of a folder; check the path",
    )


def test_an_empty_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    path.touch()
    assert told(DatabaseError, open_database, path) == (
        f"{path}: expected an LMT database, found an empty file (0 bytes); copy it again",
    )


@pytest.mark.parametrize("content", [b"S", b"PK\3\4" + bytes(200), b"<html>" * 100])
def test_a_file_of_another_kind_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.sqlite"
    path.write_bytes(content)
    assert told(DatabaseError, open_database, path) == (
        f"{path}: expected an SQLite database, found another kind of file; check the path",
    )


def test_a_path_that_one_may_not_enter_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path, **_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", refused)
    (path,) = find([tmp_path / "a.sqlite"])
    assert told(DatabaseError, open_database, path) == (
        f"{path}: expected a readable file, found one without permission; check the path",
    )


def test_a_header_cut_short_is_told(database: Path) -> None:
    database.write_bytes(database.read_bytes()[:99])
    assert told(DatabaseError, open_database, database) == (
        f"{database}: expected a header of 100 bytes, found 99; {COPY}",
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> bytes:
    """A database, as bytes."""
    return Scene(still(1, 300), n_frames=300).write(tmp_path_factory.mktemp("scene") / "a.sqlite").read_bytes()


@settings(deadline=None)
@given(data=st.data())
def test_a_file_cut_at_any_byte_or_page_is_told_with_both_lengths(tmp_path_factory, whole: bytes, data) -> None:
    pages = st.integers(1, len(whole) // PAGE - 1)
    size = data.draw(st.integers(100, len(whole) - 1) | pages.map(lambda n: n * PAGE))
    path = tmp_path_factory.getbasetemp() / "cut.sqlite"
    path.write_bytes(whole[:size])
    assert told(DatabaseError, open_database, path) == (f"{path}: expected {len(whole)} bytes, found {size}; {COPY}",)


def test_a_file_that_a_program_is_making_longer_is_not_called_truncated(database: Path) -> None:
    """Its header is written already, its journal is there."""
    database.write_bytes(database.read_bytes()[:-PAGE])
    database.with_name("a.sqlite-journal").write_bytes(bytes(512))
    assert told(DatabaseError, open_database, database) == (
        f"{database}: expected a database that nobody writes, found one that changed meanwhile; "
        "close the program that writes it",
    )


def test_a_file_cut_in_a_page_is_told_even_where_its_header_has_no_length(database: Path) -> None:
    """Writers older than SQLite 3.7 leave the length in the header stale: only whole pages can be asked for."""
    content = bytearray(database.read_bytes())
    content[92:96] = bytes(4)
    database.write_bytes(content)
    assert len(read(database)[1]) == 300
    database.write_bytes(content[: 3 * PAGE - 1])
    assert told(DatabaseError, open_database, database) == (
        f"{database}: expected {3 * PAGE} bytes, found {3 * PAGE - 1}; {COPY}",
    )


@pytest.mark.parametrize("page_size", [0, 100, 513, 4097])
def test_a_header_with_an_impossible_page_size_is_told(database: Path, page_size: int) -> None:
    content = bytearray(database.read_bytes())
    content[16:18] = page_size.to_bytes(2, "big")
    database.write_bytes(content)
    assert told(DatabaseError, open_database, database) == (
        f"{database}: expected pages of 512 to 65536 bytes, found {page_size} in its header; damaged: copy it again",
    )


@pytest.mark.parametrize("page_size", [512, 65536])
def test_pages_of_any_size_are_read(scene: Scene, tmp_path: Path, page_size: int) -> None:
    path = tmp_path / "a.sqlite"
    execute(path, f"PRAGMA page_size = {page_size}", "VACUUM")
    assert len(read(scene.write(path))[1]) == 300


# ---- Files in use ----------------------------------------------------------------------------------------------------

FINISH = "let the program that writes it finish, or copy both files and ask the copy something with sqlite3"


def test_a_hot_journal_is_told_and_left_alone(database: Path) -> None:
    journal = database.with_name("a.sqlite-journal")
    journal.write_bytes(bytes.fromhex("d9d505f920a163d7") + bytes(504))
    before = journal.read_bytes(), database.read_bytes()
    assert told(DatabaseError, open_database, database) == (
        f"{database}: expected a finished database, found a hot journal a.sqlite-journal; {FINISH}",
    )
    assert (journal.read_bytes(), database.read_bytes()) == before


def test_a_journal_that_is_gone_before_it_can_be_read_is_no_obstacle(database: Path) -> None:
    """As where a program ends its write at that moment: a link that leads nowhere is listed, but cannot be opened."""
    for end in ("-journal", "-wal"):
        database.with_name(database.name + end).symlink_to("nowhere")
    assert len(read_clock(open_database(database)).frames) == 300


@pytest.mark.parametrize("content", [b"", bytes(512)])
def test_a_journal_that_was_committed_is_no_obstacle(database: Path, content: bytes) -> None:
    """SQLite in persist or truncate mode leaves an emptied journal behind."""
    database.with_name("a.sqlite-journal").write_bytes(content)
    assert len(read(database)[1]) == 300


def test_unmerged_changes_are_told(database: Path) -> None:
    with wal(database):
        assert told(DatabaseError, open_database, database) == (
            f"{database}: expected a finished database, found unmerged changes in a.sqlite-wal; {FINISH}",
        )


def test_merged_changes_are_read_and_nothing_is_left_beside(database: Path) -> None:
    with wal(database):
        pass
    assert len(read(database)[1]) == 100
    assert [path.name for path in database.parent.iterdir()] == ["a.sqlite"]


def test_an_empty_wal_is_no_obstacle(database: Path) -> None:
    with wal(database):
        pass
    database.with_name("a.sqlite-wal").touch()
    assert len(read(database)[1]) == 100
