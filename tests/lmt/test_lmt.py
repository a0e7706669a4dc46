"""Databases: what is read from them, and what is said of those that cannot be read."""

import contextlib
import errno
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import T0_MS, Scene, execute, still, told
from lmtcnn.core.errors import DatabaseError
from lmtcnn.lmt import lmt
from lmtcnn.lmt.detections import count_detections, count_rows, read_track, read_tracks
from lmtcnn.lmt.frames import read_clock
from lmtcnn.lmt.lmt import find, open_database, read_history
from lmtcnn.lmt.pages import Pages
from lmtcnn.timeline.clock import Layout, lay_out
from lmtcnn.timeline.tracks import Tally, Track

PAGE = 4096
LAYOUT = Layout(np.array([1]), np.array([300]), np.array([0, 300]))
TALLY = Tally(LAYOUT, [0, 300])
COPY = "truncated: copy it again"


@pytest.fixture
def scene() -> Scene:
    """Two still mice in ten seconds, and one row without an animal."""
    rows = still(1, 300) + still(1, 300, x=250, animal=2) + [(1, None, 100.0, 100.0)]
    return Scene(rows, n_frames=300, animals={1: "001", 2: "002"})


@pytest.fixture
def database(scene: Scene, tmp_path: Path) -> Path:
    """The scene as a file."""
    return scene.write(tmp_path / "a.sqlite")


def read(path: Path) -> tuple:
    """All that is read from a database, by both ways."""
    found = open_database(path)
    clock = read_clock(found)
    layout = lay_out(clock, path)
    ids = [animal.id for animal in found.animals]
    tracks = [read_track(found, key, Track(layout)) for key in ids]
    tally, others, apart = (Tally(layout, [0, layout.size]) for _ in range(3))
    passed = {key: Track(layout) for key in ids}
    read_tracks(found, passed, tally, others)
    assert others.n_rows == 0
    assert count_detections(found, [None], apart).n_rows == tally.n_rows
    positions = [values.tolist() for t in (*tracks, *passed.values()) for values in (t.x_px, t.y_px)]
    names = [(animal.id, animal.rfid) for animal in found.animals]
    return names, clock.frames.tolist(), clock.timestamps_ms.tolist(), positions, tally.n_rows


# ---- What is read ----------------------------------------------------------------------------------------------------


def test_a_database_is_read_whole(database: Path) -> None:
    names, frames, timestamps_ms, positions, anonymous = read(database)
    assert names == [(1, "001"), (2, "002")]
    assert frames == list(range(1, 301))
    assert timestamps_ms[:4] == [T0_MS, T0_MS + 33, T0_MS + 67, T0_MS + 100]
    assert positions == [[200.0] * 300, [150.0] * 300, [250.0] * 300, [150.0] * 300] * 2
    assert anonymous == 1


@pytest.mark.parametrize("covering_index", [True, False])
def test_a_covering_index_is_used_where_it_exists(tmp_path: Path, covering_index: bool) -> None:
    path = Scene(still(1, 9), n_frames=9, covering_index=covering_index).write(tmp_path / "a.sqlite")
    assert open_database(path).index == ("detectionFastLoadXYIndex" if covering_index else None)


@pytest.mark.parametrize("index", ["DETECTION(ANIMALID)", "DETECTION(FRAMENUMBER, ANIMALID, MASS_X, MASS_Y)"])
def test_an_index_that_does_not_lead_from_the_animal_to_its_places_is_not_used(tmp_path: Path, index: str) -> None:
    path = Scene(still(1, 9), n_frames=9, covering_index=False).write(tmp_path / "a.sqlite")
    assert open_database(execute(path, f"CREATE INDEX other ON {index}")).index is None


@pytest.mark.parametrize("where", ["ANIMALID IS NOT NULL", "ANIMALID = 1"])
def test_an_index_of_some_rows_only_is_not_used(scene: Scene, tmp_path: Path, where: str) -> None:
    scene.covering_index = False
    path = scene.write(tmp_path / "a.sqlite")
    execute(path, f"CREATE INDEX part ON DETECTION(ANIMALID, FRAMENUMBER, MASS_X, MASS_Y) WHERE {where}")
    assert open_database(path).index is None
    assert read(path)[-1] == 1


def test_the_simulator_s_mark_is_seen(database: Path) -> None:
    assert not open_database(database).simulated
    assert open_database(execute(database, f"PRAGMA application_id = {lmt.SIMULATED_ID}")).simulated


@settings(max_examples=25, deadline=None)
@given(
    data=st.data(),
    extra=st.lists(st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,9}", fullmatch=True), max_size=10, unique_by=str.upper),
)
def test_columns_are_found_by_name_in_any_order_number_and_case(tmp_path_factory, data, extra: list[str]) -> None:
    def columns(names: list[str]) -> list[str]:
        shuffled = data.draw(st.permutations(names))
        return [data.draw(st.sampled_from([n, n.lower(), n.title()])) for n in shuffled]

    others = [f"{name}_" for name in extra]
    animal = columns(["ID", "RFID", *others])
    detection = columns(["ID", "FRAMENUMBER", "ANIMALID", "MASS_X", "MASS_Y", "DATA"])
    frame = columns(["FRAMENUMBER", "TIMESTAMP", "PAUSED", "NUMPARTICLE"])
    path = tmp_path_factory.mktemp("scene") / "a.sqlite"
    execute(
        path,
        "BEGIN",
        f"CREATE TABLE animal ({', '.join(animal)})",
        f"CREATE TABLE Detection ({', '.join(detection)})",
        f"CREATE TABLE FRAME ({', '.join(frame)})",
        "CREATE INDEX i ON Detection(animalid, framenumber, mass_x, mass_y)",
        "INSERT INTO ANIMAL (ID, RFID) VALUES (7, '007')",
        *(f"INSERT INTO FRAME (FRAMENUMBER, TIMESTAMP, PAUSED) VALUES ({f}, {T0_MS + 33 * f}, 0)" for f in (1, 2)),
        *(f"INSERT INTO DETECTION (FRAMENUMBER, ANIMALID, MASS_X, MASS_Y) VALUES ({f}, 7, 20, {f})" for f in (1, 2)),
        "COMMIT",
    )  # fmt: skip
    assert read(path) == (
        [(7, "007")], [1, 2], [T0_MS + 33, T0_MS + 66], [[20.0, 20.0], [1.0, 2.0], [20.0, 20.0], [1.0, 2.0]], 0,
    )  # fmt: skip
    assert open_database(path).index == "i"
    assert set(open_database(path).animals[0].columns) == {name.upper() for name in animal}


@pytest.mark.parametrize("rfid", [None, "", "   "])
def test_an_empty_rfid_is_none(tmp_path: Path, rfid: str | None) -> None:
    path = Scene(still(1, 9), n_frames=9, animals={1: rfid}).write(tmp_path / "a.sqlite")
    assert open_database(path).animals[0].rfid is None


def test_an_rfid_is_text_without_the_spaces_around_it(tmp_path: Path) -> None:
    animals = {1: " 007 ", 2: 900000000000001}
    path = Scene(still(1, 9), n_frames=9, animals=animals).write(tmp_path / "a.sqlite")
    assert [animal.rfid for animal in open_database(path).animals] == ["007", "900000000000001"]


@pytest.mark.parametrize(
    ("stored", "rfid", "number"),
    [
        (1039552591.0, "1039552591", "1039552591.0"),
        ("1039552591.00", "1039552591", "1039552591.00"),
        ("9.00E+14", "9.00E+14", "9.00E+14"),
        ("9,00E+14", "9,00E+14", "9,00E+14"),
        ("1039552591,0", "1039552591", "1039552591,0"),
        ("001039552591", "001039552591", None),
        ("RFID_A", "RFID_A", None),
        ("1.5", "1.5", None),
    ],
)
def test_an_rfid_that_was_stored_as_a_number_is_its_digits(tmp_path: Path, stored, rfid: str, number) -> None:
    path = Scene(still(1, 9), n_frames=9, animals={1: stored}).write(tmp_path / "a.sqlite")
    (animal,) = open_database(path).animals
    assert (animal.rfid, animal.number) == (rfid, number)


def test_an_rfid_in_a_column_of_whole_numbers_is_told_as_one(tmp_path: Path) -> None:
    path = Scene(still(1, 9), n_frames=9).write(tmp_path / "a.sqlite")
    execute(path, "ALTER TABLE ANIMAL RENAME TO OLD")
    execute(path, "CREATE TABLE ANIMAL AS SELECT ID, 1039552591 AS RFID FROM OLD")
    (animal,) = open_database(path).animals
    assert (animal.rfid, animal.number) == ("1039552591", "1039552591")


@pytest.mark.parametrize("stored", ["1.0", "'1'", "' 1.0'"])
def test_a_number_of_an_animal_is_whole_however_it_is_stored(tmp_path: Path, stored: str) -> None:
    path = Scene(still(1, 9), n_frames=9).write(tmp_path / "a.sqlite")
    execute(path, "DROP TABLE ANIMAL", "CREATE TABLE ANIMAL (ID, RFID)", f"INSERT INTO ANIMAL VALUES ({stored}, '7')")
    assert [animal.id for animal in open_database(path).animals] == [1]


@pytest.mark.parametrize(("stored", "words"), [("1.5", "1.5"), ("'a'", "'a'"), ("NULL", "None"), ("1.0", "1.0 again")])
def test_a_number_of_an_animal_that_is_none_or_stands_twice_is_told(tmp_path: Path, stored: str, words: str) -> None:
    path = Scene(still(1, 9), n_frames=9).write(tmp_path / "a.sqlite")
    execute(path, "DROP TABLE ANIMAL", "CREATE TABLE ANIMAL (ID, RFID)", "INSERT INTO ANIMAL VALUES (1, '7')")
    execute(path, f"INSERT INTO ANIMAL VALUES ({stored}, '8')")
    assert told(DatabaseError, open_database, path) == (
        f"{path}: expected a whole number in each row of ANIMAL.ID, once, found {words}; correct a copy of the file",
    )


def test_a_file_whose_front_is_older_than_its_end_is_looked_at_by_sqlite(database: Path, monkeypatch) -> None:
    """The list of given numbers, in front, ends before the last row; what SQLite says is told, or all is read."""
    asked: list[str] = []
    check = lmt.Source.check
    monkeypatch.setattr(lmt.Source, "check", lambda source, table: (asked.append(table), check(source, table))[1])
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
        f"{closed}: expected a folder that one may enter, found Permission denied; check the path",
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
        f"{path}: expected a readable file, found Not a directory; check the path",
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
        f"{path}: expected a readable file, found Permission denied; check the path",
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


def test_a_name_in_the_schema_that_is_no_text_any_more_is_told(database: Path) -> None:
    content = database.read_bytes()
    database.write_bytes(content.replace(b"DETECTION(ANIMALID, FRAME", b"DETECTION(ANIMALID, \xffRAME"))
    assert told(DatabaseError, open_database, database) == (
        f"{database}: expected a sound SQLite database, found malformed database schema (detectionFastLoadXYIndex) - "
        "no such column: \ufffdRAMENUMBER; copy it again from its source",
    )


@pytest.mark.parametrize(
    ("statements", "lacking"),
    [
        (["DROP TABLE DETECTION"], "no table DETECTION"),
        (["ALTER TABLE ANIMAL RENAME COLUMN RFID TO TAG"], "no column RFID in ANIMAL"),
        (["ALTER TABLE FRAME DROP COLUMN PAUSED", "DROP TABLE ANIMAL"], "no table ANIMAL; no column PAUSED in FRAME"),
        (
            ["DROP INDEX detectionFastLoadXYIndex", "ALTER TABLE DETECTION DROP COLUMN MASS_X",
             "ALTER TABLE DETECTION DROP COLUMN MASS_Y"],
            "no column MASS_X, MASS_Y in DETECTION",
        ),
        (["DROP TABLE ANIMAL", "DROP TABLE DETECTION", "DROP TABLE FRAME"],
         "no table ANIMAL; no table DETECTION; no table FRAME"),
    ],
)  # fmt: skip
def test_a_database_that_is_not_lmt_s_is_told_with_what_it_lacks(
    database: Path, statements: list[str], lacking: str
) -> None:
    execute(database, *statements)
    assert told(DatabaseError, open_database, database) == (
        f"{database}: expected the tables of an LMT database, found {lacking}; leave the file out",
    )


def test_a_database_without_an_animal_is_told(tmp_path: Path) -> None:
    path = Scene([], n_frames=9, animals={}).write(tmp_path / "a.sqlite")
    assert told(DatabaseError, open_database, path) == (
        f"{path}: ANIMAL: expected a row for each mouse, found no animal; leave the file out",
    )


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


@contextlib.contextmanager
def wal(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that holds changes in the -wal file."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("DELETE FROM FRAME WHERE FRAMENUMBER > 100")
        yield connection


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


def test_the_history_of_a_damaged_database_is_one_line(database: Path) -> None:
    found = open_database(database)
    execute(database, "CREATE TABLE LOG (process TEXT)", "INSERT INTO LOG VALUES (CAST(x'ff' AS TEXT))")
    (line,) = told(DatabaseError, read_history, found)
    assert line.startswith(f"{database}: expected a sound SQLite database, found ")
    assert line.endswith("; copy it again from its source")
