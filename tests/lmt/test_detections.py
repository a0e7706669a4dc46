"""The table DETECTION, from pages and from rows, with and without the covering index."""

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from conftest import T0_MS, Scene, execute, not_plain, still, told
from lmtcnn.cohort.recording import Recording
from lmtcnn.core.errors import DatabaseError, LmtcnnError
from lmtcnn.core.params import Params
from lmtcnn.lmt import detections, source
from lmtcnn.lmt.detections import count_detections, count_rows, read_track, read_tracks
from lmtcnn.lmt.frames import read_clock
from lmtcnn.lmt.lmt import open_database
from lmtcnn.stops.extraction import Extraction, extract
from lmtcnn.timeline.clock import Layout, lay_out
from lmtcnn.timeline.tracks import Tally, Track

LAYOUT = Layout(np.array([1]), np.array([300]), np.array([0, 300]))


def test_rows_of_another_type_are_no_positions(tmp_path: Path) -> None:
    rows = [(1, 1, "x", 5.0), (2, 1, None, 5.0), ("x", 1, 200.0, 150.0), (4, 1, 200, 150), (5, "1", 1e999, 5.0)]
    path = Scene(rows, n_frames=9, covering_index=False).write(tmp_path / "a.sqlite")
    found = open_database(path)
    track = read_track(found, 1, Track(lay_out(read_clock(found), path)))
    assert np.flatnonzero(track.detected).tolist() == [3]
    assert (track.n_rows, track.n_invalid, track.n_untimed) == (5, 3, 1)


@pytest.mark.parametrize("covering_index", [True, False])
@pytest.mark.parametrize("pages", [True, False], ids=["from pages", "from rows"])
def test_rows_without_an_animal_are_counted_by_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, covering_index: bool, pages: bool
) -> None:
    """Intervals of 100 frames: 2, 0 and 1 rows; one in no frame of the layout, one of another animal."""
    rows = [(1, None, 20, 20), (100, None, 20, 20), (201, None, 20, 20), (900, None, 20, 20), (150, 1, 20, 20)]
    path = Scene(rows, n_frames=300, covering_index=covering_index).write(tmp_path / "a.sqlite")
    if not pages:
        monkeypatch.setattr(source, "find_leaves", not_plain)
    tally, others, seen = Tally(LAYOUT, [0, 100, 200, 300]), Tally(LAYOUT, [0, 100, 200, 300]), []
    found = open_database(path)
    if covering_index:
        count_detections(found, [None], tally, seen.append)
        read_track(found, 1, Track(LAYOUT), seen.append)
        count_detections(found, [], others)
    else:
        read_tracks(found, {1: Track(LAYOUT)}, tally, others, 1, seen.append)
    assert (tally.n_rows, tally.counts.tolist()) == (4, [2, 0, 1])
    assert others.n_rows == 0
    assert sum(seen) == count_rows(found) == 5


@pytest.mark.parametrize("covering_index", [True, False])
@pytest.mark.parametrize("pages", [True, False], ids=["from pages", "from rows"])
def test_rows_of_other_animals_are_counted_by_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, covering_index: bool, pages: bool
) -> None:
    """Three mice of which the first is wanted, and one that is not in ANIMAL, which counts nowhere."""
    rows = [row for a in (1, 2) for row in still(1, 300, x=100.0 * a, animal=a)]
    rows += [(7, 3, 20, 20), (250, 3, 20, 20), (900, 3, 20, 20), (8, None, 20, 20), (9, 9, 20, 20)]
    animals = {1: "1", 2: "2", 3: "3"}
    path = Scene(rows, n_frames=300, animals=animals, covering_index=covering_index).write(tmp_path / "a.sqlite")
    if not pages:
        monkeypatch.setattr(source, "find_leaves", not_plain)
    nobody, others = Tally(LAYOUT, [0, 100, 200, 300]), Tally(LAYOUT, [0, 100, 200, 300])
    if covering_index:
        count_detections(open_database(path), [2, 3], others)
    else:
        read_tracks(open_database(path), {1: Track(LAYOUT)}, nobody, others)
    assert (others.n_rows, others.counts.tolist()) == (303, [101, 100, 101])


def test_a_fault_far_behind_begins_the_counts_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second block of pages holds a text among the numbers: what the first gave must not count twice."""
    monkeypatch.setattr(detections, "TABLE_PAGES_AT_ONCE", 1)
    rows = still(1, 300) + [(f, None, 20.0, 20.0) for f in range(1, 301)] + [(299, 2, "x", 20.0)]
    path = Scene(rows, n_frames=300, animals={1: "1", 2: "2"}, covering_index=False).write(tmp_path / "a.sqlite")
    nobody, others, track = Tally(LAYOUT, [0, 300]), Tally(LAYOUT, [0, 300]), Track(LAYOUT)
    read_tracks(open_database(path), {1: track}, nobody, others)
    assert (nobody.n_rows, others.n_rows, track.n_rows, track.n_identical) == (300, 1, 300, 0)


# ---- Numbers stored otherwise ----------------------------------------------------------------------------------------

FORMS: dict[str, Callable[[float], object]] = {
    "whole": int,
    "REAL": float,
    "text": lambda v: str(int(v)),
    "text with a point": lambda v: str(float(v)),
    "text with blanks": lambda v: f" {int(v)}\t",
    "text with an exponent": lambda v: f"{float(v):.17e}",
}

SHAPES = {
    "in order": "FRAMENUMBER {0}, ANIMALID {0}, MASS_X {0}, MASS_Y {0}",
    "behind the sixth place": "DATA TEXT, B, C REAL, D, E, F, MASS_Y {0}, MASS_X {0}, FRAMENUMBER {0}, ANIMALID {0}",
    "with a key": "MASS_X {0}, ID INTEGER PRIMARY KEY, ANIMALID {0}, DATA, MASS_Y {0}, FRAMENUMBER {0}",
    "with computed columns": "A AS (1), MASS_X {0}, B AS (2) STORED, ANIMALID {0}, MASS_Y {0}, FRAMENUMBER {0}",
    "without rowids": "MASS_X {0}, ANIMALID {0}, MASS_Y {0}, ID INTEGER PRIMARY KEY, FRAMENUMBER {0}",
}


@pytest.fixture
def tables(params: Params) -> Callable[[Path], Extraction]:
    """What `stops` makes of a database."""
    return lambda path: extract(Recording("r", (path,), params.stops.arena), params)


def same(one: Extraction, other: Extraction) -> bool:
    names = ("stops", "quality", "coverage", "intervals")
    return all(getattr(one, name).equals(getattr(other, name)) for name in names)


def rewrite(path: Path, table: str, names: list[str], shape: str, form: Callable, end: str = "") -> None:
    """Write a table anew in another shape, its numbers stored otherwise."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        found = connection.execute(f"SELECT {', '.join(names)} FROM {table}").fetchall()
        rows = [[value if value is None else form(value) for value in row] for row in found]
        connection.execute(f"DROP TABLE {table}")
        connection.execute(f"CREATE TABLE {table} ({shape}){end}")
        if end:
            names, rows = [*names, "ID"], [[*row, i] for i, row in enumerate(rows)]
        words = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
        connection.executemany(words, rows)


@pytest.mark.parametrize("pages", [True, False], ids=["from pages", "from rows"])
@pytest.mark.parametrize(
    ("kind", "form"),
    [*(("", form) for form in FORMS), ("FLOAT", "REAL"), ("TEXT", "text"), ("TEXT", "REAL"), ("INTEGER", "text")],
)
def test_numbers_mean_the_same_however_they_are_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tables: Callable, kind: str, form: str, pages: bool
) -> None:
    """Two mice and nobody; DETECTION in each shape, FRAME without its key, an index or none."""
    rows = [row for a in (1, 2) for row in still(1, 60, x=100.0 * a, y=150.0, animal=a)] + still(1, 7, animal=None)
    made = Scene(rows, n_frames=60, animals={1: "1", 2: "2"}).write(tmp_path / "a.sqlite")
    execute(made, "ALTER TABLE FRAME DROP COLUMN NUMPARTICLE")
    right, content = tables(made), made.read_bytes()
    assert right.quality["n_rows"].to_list() == [60, 60]
    if not pages:
        monkeypatch.setattr(source, "find_leaves", not_plain)
    for name, shape in SHAPES.items():
        for index in (False, True)[: 1 + (name in ("in order", "without rowids"))]:
            made.write_bytes(content)
            end = " WITHOUT ROWID" * name.startswith("without")
            names = ["FRAMENUMBER", "ANIMALID", "MASS_X", "MASS_Y"]
            rewrite(made, "DETECTION", names, shape.format(kind), FORMS[form], end)
            names = ["FRAMENUMBER", "TIMESTAMP", "PAUSED"]
            rewrite(made, "FRAME", names, f"PAUSED {kind}, TIMESTAMP {kind}, FRAMENUMBER {kind}", FORMS[form])
            if index:
                execute(made, "CREATE INDEX i ON DETECTION(ANIMALID, FRAMENUMBER, MASS_X, MASS_Y)")
            assert same(tables(made), right), (name, index)


@pytest.mark.parametrize("pages", [True, False], ids=["from pages", "from rows"])
def test_what_is_no_whole_number_is_nobody_s_and_what_is_none_is_no_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tables: Callable, pages: bool
) -> None:
    """Animals 1.5, 'a', x'31', 9.3e18 and infinity are none of ANIMAL; of the rows of animal 1 four are no places."""
    rows = still(1, 300)
    rows += [(f, animal, 200.0, 150.0) for f, animal in enumerate([1.5, "a", b"1", 9.3e18, float("inf")], start=1)]
    rows += [(310, 1, x, 150.0) for x in ("x", b"1", None, float("-inf"))]
    rows += [(frame, 1, 200.0, 150.0) for frame in ("7?", 1.5)]
    if not pages:
        monkeypatch.setattr(source, "find_leaves", not_plain)
    for index in (True, False):
        path = Scene(rows, n_frames=300, covering_index=index).write(tmp_path / f"{index}.sqlite")
        quality = tables(path).quality.row(0, named=True)
        assert [quality[n] for n in ("n_rows", "n_invalid", "n_untimed", "n_anonymous")] == [306, 4, 2, 0]
        assert "5 detections of animals that are not in ANIMAL" in caplog.text
        caplog.clear()


# ---- Damage ----------------------------------------------------------------------------------------------------------


def test_an_index_with_fewer_rows_than_its_table_is_refused(tmp_path: Path, tables: Callable) -> None:
    """The last block of rows did not come into the index, as in a copy of old pages and new ones."""
    path = Scene(still(1, 300), n_frames=300).write(tmp_path / "a.sqlite")
    execute(
        path,
        "CREATE TABLE kept AS SELECT rootpage FROM sqlite_master WHERE name = 'detectionFastLoadXYIndex'",
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET name = 'hidden', type = 'gone' WHERE name = 'detectionFastLoadXYIndex'",
    )
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("DELETE FROM sqlite_master WHERE type = 'gone'")
    lost = "INSERT INTO DETECTION (FRAMENUMBER, ANIMALID, MASS_X, MASS_Y, DATA) VALUES (299, 1, 200, 150, '')"
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(lost)
        connection.execute("PRAGMA writable_schema = ON")
        words = "CREATE INDEX detectionFastLoadXYIndex ON DETECTION(ANIMALID, FRAMENUMBER, MASS_X, MASS_Y)"
        (root,) = connection.execute("SELECT rootpage FROM kept").fetchone()
        row = ("index", "detectionFastLoadXYIndex", "DETECTION", root, words)
        connection.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", row)
    execute(path, "DROP TABLE kept")
    assert told(DatabaseError, tables, path) == (
        f"{path}: expected a sound SQLite database, found 300 rows in detectionFastLoadXYIndex, 301 in DETECTION; "
        "copy it again from its source",
    )


def versions(path: Path, covering_index: bool) -> list[bytes]:
    """A file before and after a program saved a block."""
    rows = [row for a in (1, 2) for row in still(1, 150, x=100.0 * a, animal=a)] + still(1, 50, animal=None)
    Scene(rows, n_frames=150, animals={1: "1", 2: "2"}, covering_index=covering_index).write(path)
    found = [path.read_bytes()]
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        stamps = [(f, T0_MS + round((f - 1) * 1000 / 30)) for f in range(151, 301)]
        connection.executemany("INSERT INTO FRAME VALUES (?, ?, 1, 0)", stamps)
        rows = [row for a in (1, 2, None) for row in still(151, 300, x=100.0 * (a or 3) + 9, animal=a)]
        words = "INSERT INTO DETECTION (FRAMENUMBER, ANIMALID, MASS_X, MASS_Y, DATA) VALUES (?, ?, ?, ?, ?)"
        connection.executemany(words, [(*row, "x" * 300) for row in rows])
    return [*found, path.read_bytes()]


def found_in(path: Path, words: str) -> list[tuple]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(words).fetchall()


@pytest.mark.parametrize("pages", [True, False], ids=["from pages", "from rows"])
@pytest.mark.parametrize("covering_index", [True, False])
def test_a_copy_made_while_a_block_was_saved_is_a_whole_version_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tables: Callable, covering_index: bool, pages: bool
) -> None:
    """Old in front and new behind, and the reverse, cut at every few pages; what SQLite faults is refused.

    It faults none where each table is of one version: those are read.
    """
    path = tmp_path / "a.sqlite"
    old, new = versions(path, covering_index)
    whole = []
    for content in (old, new):
        path.write_bytes(content)
        whole.append(tables(path))
    if not pages:
        monkeypatch.setattr(source, "find_leaves", not_plain)
    n_refused = 0
    cuts = [*range(1, len(old) // 4096 + 1), *range(len(old) // 4096, len(new) // 4096, 9)]
    for front, back in ((old, new), (new, old + bytes(len(new) - len(old)))):
        for cut in cuts:
            path.write_bytes(front[: cut * 4096] + back[cut * 4096 :])
            try:
                found = tables(path)
            except LmtcnnError as error:
                (line,) = error.lines
                assert line.startswith(f"{path}: expected ")
                n_refused += 1
            else:
                checks = [found_in(path, f"PRAGMA integrity_check({t})") for t in ("DETECTION", "FRAME")]
                assert any(same(found, each) for each in whole) or checks == [[("ok",)]] * 2, cut
    assert n_refused > len(cuts)
