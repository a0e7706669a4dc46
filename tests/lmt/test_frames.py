"""The table FRAME: its clock and its sensors, from pages and from rows."""

import contextlib
import sqlite3
from pathlib import Path

import pytest

from conftest import T0_MS, Scene, execute, not_plain, still, told
from lmtcnn.core.errors import DatabaseError
from lmtcnn.lmt import source
from lmtcnn.lmt.frames import Limits, read_clock
from lmtcnn.lmt.lmt import open_database
from lmtcnn.lmt.pages import Pages
from lmtcnn.lmt.trees import find_leaves


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A still mouse for ten seconds."""
    return Scene(still(1, 300), n_frames=300).write(tmp_path / "a.sqlite")


def readings(path: Path, limits: Limits) -> dict[str, tuple]:
    """Mean, lowest, highest, and how many are below and above each limit."""
    found = read_clock(open_database(path), limits=limits).sensors
    return {name: (e.mean, e.lowest, e.highest, e.n_below, e.n_above) for name, e in found.items()}


def test_frames_come_in_order_of_their_numbers(tmp_path: Path) -> None:
    frames = [(f, T0_MS + 33 * f, int(f == 2)) for f in (3, 1, 2)]
    clock = read_clock(open_database(Scene(still(1, 3), frames).write(tmp_path / "a.sqlite")))
    assert clock.frames.tolist() == [1, 2, 3]
    assert clock.paused.tolist() == [False, True, False]


def test_a_pause_that_is_null_is_none(tmp_path: Path) -> None:
    path = Scene(still(1, 3), [(1, T0_MS, None), (2, T0_MS + 33, 0)]).write(tmp_path / "a.sqlite")
    assert read_clock(open_database(path)).paused.tolist() == [False, False]


def test_a_database_without_a_frame_is_told(database: Path) -> None:
    found = open_database(execute(database, "DELETE FROM FRAME"))
    assert told(DatabaseError, read_clock, found) == (
        f"{database}: FRAME: expected a row for each frame, found no row; leave the file out",
    )


def test_frames_without_a_number_or_a_time_are_counted_and_told(database: Path) -> None:
    for frame, value in enumerate(["NULL", "'noon'", "-1", "1.5", "253402300800000"], start=1):
        execute(database, f"UPDATE FRAME SET TIMESTAMP = {value} WHERE FRAMENUMBER = {frame}")
    execute(database, "UPDATE FRAME SET FRAMENUMBER = -5 WHERE FRAMENUMBER = 6")
    assert told(DatabaseError, read_clock, open_database(database)) == (
        f"{database}: FRAME: expected whole numbers in FRAMENUMBER (0 or more), TIMESTAMP (ms, to the year 3000) "
        "and PAUSED, found 6 rows without: "
        "FRAMENUMBER is -5 in row 1; leave the file out",
    )


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_the_clock_is_the_same_in_one_stretch_and_in_several(tmp_path: Path, threads: int) -> None:
    frames = [(f, T0_MS + 33 * f, int(f % 1000 == 0)) for f in range(1, 140_000, 2)]
    found = open_database(Scene(still(1, 3), frames).write(tmp_path / "a.sqlite"))
    clock = read_clock(found, threads)
    assert clock.frames.tolist() == [row[0] for row in frames]
    assert clock.timestamps_ms.tolist() == [row[1] for row in frames]
    assert clock.paused.tolist() == [bool(row[2]) for row in frames]


@pytest.mark.parametrize("pages", [True, False], ids=["from pages", "from rows"])
@pytest.mark.parametrize(
    ("values", "mean", "extremes"),
    [
        ((22, 23, 24), 23, (22, 24, (0,), (0,))),
        ((19, 22, 25), 22, (19, 25, (1,), (1,))),
        ((20, 22, 24), 22, (20, 24, (0,), (0,))),
        ((20.5, 21.5, 24), 22, (20.5, 24, (0,), (0,))),
        ((0, 22, 24), 23, (22, 24, (0,), (0,))),
        ((0, 19, 26), 22.5, (19, 26, (1,), (1,))),
        ((None, 22, 24), 23, (22, 24, (0,), (0,))),
        (("warm", 22, 24), 23, (22, 24, (0,), (0,))),
        ((b"1", 22, 24), 23, (22, 24, (0,), (0,))),
        ((float("inf"), float("-inf"), 21.5), 21.5, (21.5, 21.5, (0,), (0,))),
        ((-4, 22, 24), 14, (-4, 24, (1,), (0,))),
        ((0, 0, 0), None, None),
        ((None, None, None), None, None),
        (("a", "b", None), None, None),
    ],
)
def test_a_sensor_is_its_numbers_whatever_else_stands_in_the_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pages: bool, values, mean, extremes
) -> None:
    path = Scene(still(1, 3), n_frames=3).write(tmp_path / "a.sqlite")
    execute(path, "ALTER TABLE FRAME ADD COLUMN Temperature REAL")
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        rows = zip(values, (1, 2, 3), strict=True)
        connection.executemany("UPDATE FRAME SET TEMPERATURE = ? WHERE FRAMENUMBER = ?", rows)
    if not pages:
        monkeypatch.setattr(source, "find_leaves", not_plain)
    limits = {"TEMPERATURE": [(20.0, 24.0)], "NUMPARTICLE": [(0.0, 0.5)], "HUMIDITY": [(0.0, 1.0)]}
    found = readings(path, limits)
    assert found.pop("NUMPARTICLE") == (1, 1, 1, (0,), (3,))
    assert found == ({"TEMPERATURE": (mean, *extremes)} if extremes else {})


def test_a_dark_sensor_is_one_that_is_0_throughout_and_no_particles_are_a_count(database: Path) -> None:
    execute(database, "ALTER TABLE FRAME ADD COLUMN SOUND REAL DEFAULT 0", "UPDATE FRAME SET NUMPARTICLE = 0")
    limits = {"SOUND": (), "NUMPARTICLE": ()}
    assert readings(database, limits) == {"NUMPARTICLE": (0, 0, 0, (), ())}
    execute(database, "UPDATE FRAME SET SOUND = 3 WHERE FRAMENUMBER <= 100")
    assert readings(database, limits)["SOUND"] == (1, 0, 3, (), ())


def test_readings_beyond_each_of_several_limits_are_counted(database: Path) -> None:
    execute(database, "ALTER TABLE FRAME ADD COLUMN TEMPERATURE REAL DEFAULT 22.5")
    execute(database, "UPDATE FRAME SET TEMPERATURE = FRAMENUMBER WHERE FRAMENUMBER BETWEEN 15 AND 30")
    limits = {"TEMPERATURE": [(21.0, 25.0), (20.0, 26.0)]}
    assert readings(database, limits)["TEMPERATURE"][1:] == (15, 30, (6, 5), (5, 4))


def test_frame_numbers_that_are_no_rowids_are_asked_of_sqlite(database: Path) -> None:
    """A table without the tracker's primary key, whose numbers are all lost: its rowids are no frame numbers."""
    execute(
        database,
        "CREATE TABLE other (FRAMENUMBER INTEGER, TIMESTAMP INTEGER, PAUSED INTEGER)",
        "INSERT INTO other SELECT NULL, TIMESTAMP, PAUSED FROM FRAME",
        "DROP TABLE FRAME",
        "ALTER TABLE other RENAME TO FRAME",
    )
    assert "found 300 rows without" in told(DatabaseError, read_clock, open_database(database))[0]


@pytest.mark.parametrize("pages", [True, False], ids=["from pages", "from rows"])
@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("TIMESTAMP", "'noon'", "TIMESTAMP is 'noon' in row 7"),
        ("TIMESTAMP", "1.7e12 + 0.5", "TIMESTAMP is 1700000000000.5 in row 7"),
        ("TIMESTAMP", "x'31'", "TIMESTAMP is b'1' in row 7"),
        ("PAUSED", "'no'", "PAUSED is 'no' in row 7"),
        ("PAUSED", "0.5", "PAUSED is 0.5 in row 7"),
    ],
)
def test_what_is_no_whole_number_is_told_with_its_column_and_row(
    database: Path, monkeypatch: pytest.MonkeyPatch, pages: bool, column: str, value: str, words: str
) -> None:
    execute(database, f"UPDATE FRAME SET {column} = {value} WHERE FRAMENUMBER = 7")
    if not pages:
        monkeypatch.setattr(source, "find_leaves", not_plain)
    assert told(DatabaseError, read_clock, open_database(database)) == (
        f"{database}: FRAME: expected whole numbers in FRAMENUMBER (0 or more), TIMESTAMP (ms, to the year 3000) "
        "and PAUSED, found 1 rows without: "
        f"{words}; leave the file out",
    )


@pytest.mark.parametrize("pages", [True, False], ids=["from pages", "from rows"])
def test_a_sensor_that_is_stored_as_text_is_its_numbers(
    database: Path, monkeypatch: pytest.MonkeyPatch, pages: bool
) -> None:
    """As other tools add it; one reading of 300 is no number."""
    execute(database, "ALTER TABLE FRAME ADD COLUMN TEMPERATURE TEXT", "UPDATE FRAME SET TEMPERATURE = 22.5")
    execute(database, "UPDATE FRAME SET TEMPERATURE = '19,5' WHERE FRAMENUMBER = 9")
    execute(database, "UPDATE FRAME SET TEMPERATURE = ' 25.50 ' WHERE FRAMENUMBER = 8")
    if not pages:
        monkeypatch.setattr(source, "find_leaves", not_plain)
    mean = pytest.approx((22.5 * 298 + 25.5) / 299)
    assert readings(database, {"TEMPERATURE": [(20.0, 25.0)]}) == {"TEMPERATURE": (mean, 22.5, 25.5, (0,), (1,))}


def test_an_index_of_frame_with_other_rows_than_the_table_is_refused(database: Path) -> None:
    """The last leaf of the table is of an older version, with a row less."""
    content = bytearray(database.read_bytes())
    with contextlib.closing(sqlite3.connect(database)) as connection:
        root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'FRAME'").fetchone()[0]
    with Pages(database) as pages:
        last = (int(find_leaves(pages, root, index=False).numbers[-1]) - 1) * pages.size
    content[last + 4] -= 1
    database.write_bytes(content)
    assert told(DatabaseError, read_clock, open_database(database)) == (
        f"{database}: expected a sound SQLite database, found 300 rows in sqlite_autoindex_FRAME_1, 299 in FRAME; "
        "copy it again from its source",
    )
