"""Databases while they are read: damaged, changed, in use."""

import contextlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from conftest import Scene, execute, told
from lmtcnn.core.errors import DatabaseError
from lmtcnn.lmt import lmt, source
from lmtcnn.lmt.detections import count_rows, read_track, read_tracks
from lmtcnn.lmt.frames import read_clock
from lmtcnn.lmt.lmt import open_database
from lmtcnn.lmt.pages import Pages
from lmtcnn.timeline.clock import Layout
from lmtcnn.timeline.tracks import Tally, Track
from whole import PAGE, read, wal

LAYOUT = Layout(np.array([1]), np.array([300]), np.array([0, 300]))

TALLY = Tally(LAYOUT, [0, 300])


def test_a_file_whose_front_is_older_than_its_end_is_looked_at_by_sqlite(database: Path, monkeypatch) -> None:
    """The list of given numbers, in front, ends before the last row; what SQLite says is told, or all is read."""
    asked: list[str] = []
    check = source.Source.check
    monkeypatch.setattr(source.Source, "check", lambda source, table: (asked.append(table), check(source, table))[1])
    assert len(read(database)[1]) == 300
    assert asked == []
    execute(database, "UPDATE sqlite_sequence SET seq = 7 WHERE name = 'DETECTION'")
    assert len(read(database)[1]) == 300
    assert asked == ["ANIMAL", "DETECTION", "FRAME"]
    asked.clear()
    execute(database, "UPDATE sqlite_sequence SET seq = 601 WHERE name = 'DETECTION'")
    database.write_bytes(database.read_bytes() + bytes(2 * PAGE))
    assert len(read(database)[1]) == 300
    assert asked == ["ANIMAL", "DETECTION", "FRAME"]


FILLINGS = {
    "zeros": bytes,
    "ones": lambda n: b"\xff" * n,
    "noise": lambda n: np.random.default_rng(n).bytes(n),
    "other noise": lambda n: np.random.default_rng(n + 1).bytes(n),
}


@pytest.mark.parametrize("filling", FILLINGS)
def test_a_garbage_page_gives_one_line_or_the_right_answer(database: Path, filling: str) -> None:
    right, content, refused = read(database), database.read_bytes(), 0
    for end in range(PAGE, len(content) + 1, PAGE):
        begin = max(100, end - PAGE)  # the header of the first page stays
        database.write_bytes(content[:begin] + FILLINGS[filling](end - begin) + content[end:])
        try:
            assert read(database) == right
        except DatabaseError as error:
            (line,) = error.lines
            assert line.startswith(f"{database}: expected a sound SQLite database, found ")
            assert line.endswith("; copy it again from its source")
            refused += 1
    assert refused >= len(content) / PAGE / 2


def test_a_damaged_page_is_told_in_sqlite_s_words(database: Path) -> None:
    content = database.read_bytes()
    database.write_bytes(content[:PAGE] + bytes(len(content) - PAGE))
    assert told(DatabaseError, read, database) == (
        f"{database}: expected a sound SQLite database, found database disk image is malformed; "
        "copy it again from its source",
    )


def test_a_page_that_is_damaged_behind_the_first_look_is_told_in_the_same_words(database: Path) -> None:
    found = open_database(database)
    database.write_bytes(database.read_bytes()[:PAGE] + bytes(database.stat().st_size - PAGE))
    assert told(DatabaseError, read_clock, found) == (
        f"{database}: expected a sound SQLite database, found database disk image is malformed; "
        "copy it again from its source",
    )


@pytest.fixture
def locked(database: Path) -> Iterator[Callable[[], None]]:
    """Another program that locks the database when it is told to, and waits."""
    program = f"""import sqlite3
connection = sqlite3.connect({str(database)!r}, isolation_level=None)
input()
connection.execute("BEGIN EXCLUSIVE")
print(flush=True)
input()"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as p:

        def lock() -> None:
            p.stdin.write("\n")
            p.stdin.flush()
            p.stdout.readline()

        yield lock
        p.communicate("\n")


@pytest.mark.parametrize("read", [lambda d: open_database(d.path), read_clock, count_rows])
def test_a_database_that_is_written_just_now_is_told(database: Path, locked, monkeypatch, read) -> None:
    monkeypatch.setattr(lmt, "BUSY_S", 0.05)
    found = open_database(database)
    locked()
    assert told(DatabaseError, read, found) == (
        f"{database}: expected a database that nobody writes, found database is locked; "
        "close the program that writes it",
    )


@pytest.mark.parametrize(
    "read", [read_clock, lambda d: read_track(d, 1, Track(LAYOUT)), lambda d: read_tracks(d, {}, TALLY, TALLY)]
)
def test_a_database_that_changed_since_it_was_looked_at_is_told(database: Path, read) -> None:
    found = open_database(database)
    execute(database, "UPDATE DETECTION SET MASS_X = 210 WHERE ID = 1")
    assert told(DatabaseError, read, found) == (
        f"{database}: expected a database that nobody writes, found one that changed meanwhile; "
        "close the program that writes it",
    )


def test_a_change_within_a_tick_of_the_clock_is_told(database: Path) -> None:
    """Size and time as before: SQLite's own count of changes has moved."""
    found, before = open_database(database), database.stat()
    execute(database, "UPDATE DETECTION SET MASS_X = 210 WHERE ID = 1")
    os.utime(database, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (database.stat().st_size, database.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert "found one that changed meanwhile" in told(DatabaseError, read_clock, found)[0]


def test_reading_never_keeps_a_recording_in_progress_waiting(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer commits while pages are read: it meets no lock, and the reader sees that the file changed."""
    found = open_database(database)
    read_pages = Pages.read

    def write_meanwhile(pages: Pages, numbers: np.ndarray) -> np.ndarray:
        with contextlib.closing(sqlite3.connect(database, timeout=0, isolation_level=None)) as connection:
            connection.execute("INSERT INTO FRAME VALUES (NULL, 0, 0, 0)")
        return read_pages(pages, numbers)

    monkeypatch.setattr(Pages, "read", write_meanwhile)
    assert "found one that changed meanwhile" in told(DatabaseError, read_clock, found)[0]


def test_a_read_only_folder_is_enough_and_nothing_is_written_in_it(scene: Scene, tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    rollback = scene.write(folder / "a.sqlite")
    with wal(scene.write(folder / "b.sqlite")):
        pass
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}
    for path in before:
        path.chmod(0o444)
    folder.chmod(0o555)
    try:
        assert len(read(rollback)[1]) == 300
        assert len(read(folder / "b.sqlite")[1]) == 100
        assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()} == before
    finally:
        folder.chmod(0o755)
