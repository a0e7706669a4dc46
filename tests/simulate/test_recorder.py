"""One simulated recording, read with plain SQL."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from lmtcnn.core.params import Params
from lmtcnn.core.sections import SimulateParams
from lmtcnn.simulate import behaviour, recorder


@pytest.fixture(scope="module")
def simulate(params: Params) -> SimulateParams:
    """One cage, two hours of 40 s: 2,400 frames, in save blocks of 1,000."""
    return params.simulate.model_copy(update={"cages": 1, "hours": 2, "seconds_per_hour": 40.0})


@pytest.fixture(scope="module")
def path(simulate: SimulateParams, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recording of its juveniles."""
    found = tmp_path_factory.mktemp("recorder") / "cage01_juvenile.sqlite"
    rows = recorder.write(found, simulate, behaviour.recordings(simulate)[0])
    assert rows > 0
    return found


@pytest.fixture(scope="module")
def database(path: Path) -> Iterator[sqlite3.Connection]:
    """That file, open."""
    with closing(sqlite3.connect(path)) as found:
        yield found


def test_sqlite_finds_no_fault(database: sqlite3.Connection) -> None:
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert database.execute("PRAGMA foreign_key_check").fetchall() == []


def test_the_schema_is_the_trackers(database: sqlite3.Connection) -> None:
    found = {sql for (sql,) in database.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")}
    made = {*recorder.TABLES, *recorder.INDEXES, recorder.FAST_INDEX}
    assert found == made | {"CREATE TABLE sqlite_sequence(name,seq)"}
    names = [row[1] for row in database.execute("PRAGMA table_info(DETECTION)")]
    assert names[:6] == ["ID", "FRAMENUMBER", "ANIMALID", "MASS_X", "MASS_Y", "MASS_Z"]


def test_the_file_says_that_it_is_simulated_and_is_in_the_default_journal_mode(database: sqlite3.Connection) -> None:
    assert database.execute("PRAGMA application_id").fetchone() == (0x4C4D5453,)
    assert database.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert database.execute("PRAGMA page_size").fetchone() == (4096,)
    assert database.execute("PRAGMA freelist_count").fetchone() == (0,)


def test_four_animals_have_an_rfid_as_text_and_their_sex_and_age(database: sqlite3.Connection) -> None:
    rows = database.execute("SELECT ID, typeof(RFID), length(RFID), SEX, AGE FROM ANIMAL").fetchall()
    assert rows == [(animal, "text", 15, "F", "juvenile") for animal in range(1, 5)]


def test_frames_count_from_1_in_steps_of_33_and_34_ms(database: sqlite3.Connection) -> None:
    rows = np.array(database.execute("SELECT FRAMENUMBER, TIMESTAMP, PAUSED, NUMPARTICLE FROM FRAME").fetchall())
    np.testing.assert_array_equal(rows[:, 0], np.arange(1, 2401))
    assert set(np.diff(rows[:, 1])) == {33, 34}
    assert rows[-1, 1] - rows[0, 1] == 2399 * 1000 // 30
    assert set(rows[:, 2]) == {0}
    assert rows[:, 3].min() > 0
    sensors = database.execute("SELECT MIN(TEMPERATURE), MAX(TEMPERATURE), MIN(HUMIDITY), MIN(SOUND) FROM FRAME")
    assert all(20 < value < 60 for value in sensors.fetchone())


def test_detections_are_written_track_by_track_inside_save_blocks(database: sqlite3.Connection) -> None:
    rows = database.execute("SELECT FRAMENUMBER, ANIMALID FROM DETECTION ORDER BY ID").fetchall()
    block = [((frame - 1) // recorder.BLOCK_FRAMES, animal or 5) for frame, animal in rows]
    assert block == sorted(block)
    frames = [frame for frame, animal in rows if animal == 2]
    assert frames == sorted(set(frames))
    assert rows[0] == (1, 1)


def test_an_animal_is_identified_most_of_the_time_and_anonymous_for_most_of_the_rest(
    database: sqlite3.Connection,
) -> None:
    counts = dict(database.execute("SELECT ANIMALID, COUNT(*) FROM DETECTION GROUP BY ANIMALID"))
    assert set(counts) == {None, 1, 2, 3, 4}
    assert all(0.8 < counts[animal] / 2400 <= 1 for animal in range(1, 5))
    lost = 4 * 2400 - sum(counts[animal] for animal in range(1, 5))
    assert 0.7 < counts[None] / lost < 0.95


def test_positions_are_pixels_rounded_to_a_hundredth_on_the_floor(database: sqlite3.Connection) -> None:
    rows = np.array(database.execute("SELECT MASS_X, MASS_Y, FRONT_X, BACK_X FROM DETECTION").fetchall())
    mass = rows[:, :2]
    np.testing.assert_array_equal(mass, np.round(mass, 2))
    assert np.all((mass > (114, 63)) & (mass < (398, 353)))
    unknown = rows[:, 2] == -1
    assert 0.01 < unknown.mean() < 0.06
    np.testing.assert_array_equal(rows[unknown, 3], -1)
    assert np.abs(rows[~unknown, 2] - rows[~unknown, 0]).max() <= 11.41


def test_no_detection_lacks_its_mask(database: sqlite3.Connection) -> None:
    found = database.execute("SELECT DISTINCT typeof(DATA), length(DATA), substr(DATA, 1, 5) FROM DETECTION").fetchall()
    assert found == [("text", 60, "<?xml")]


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("SELECT FRAMENUMBER, MASS_X, MASS_Y FROM DETECTION WHERE ANIMALID = 3", "detectionFastLoadXYIndex"),
        ("SELECT FRAMENUMBER, MASS_X, MASS_Y FROM DETECTION WHERE ANIMALID IS NULL", "detectionFastLoadXYIndex"),
        ("SELECT FRAMENUMBER, ANIMALID, MASS_X FROM DETECTION WHERE FRAMENUMBER = 1700", "detframenumberIndex"),
    ],
)
def test_an_index_gives_the_rows_of_the_table(database: sqlite3.Connection, query: str, index: str) -> None:
    table = "DETECTION NOT INDEXED"
    fast = database.execute(query.replace("DETECTION", f"DETECTION INDEXED BY {index}")).fetchall()
    assert len(fast) > 3
    assert sorted(fast) == sorted(database.execute(query.replace("DETECTION", table)).fetchall())


def test_counters_go_on_where_the_recording_ended(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite"
    copy.write_bytes(path.read_bytes())
    with closing(sqlite3.connect(copy)) as database:
        rows = database.execute("SELECT COUNT(*), MAX(ID) FROM DETECTION").fetchone()
        database.execute("INSERT INTO DETECTION (FRAMENUMBER, DATA) VALUES (1, 'x')")
        assert database.execute("SELECT MAX(ID) FROM DETECTION").fetchone() == (rows[1] + 1,)
        assert rows[0] == rows[1]


def test_a_few_events_are_those_of_the_tracker(database: sqlite3.Connection) -> None:
    names = dict(database.execute("SELECT NAME, COUNT(*) FROM EVENT GROUP BY NAME"))
    assert names == {"RFID MATCH": 4, "Stop": 12}
    assert database.execute("SELECT COUNT(*) FROM RFIDEVENT JOIN ANIMAL USING (RFID)").fetchone() == (4,)


def test_an_old_file_lacks_the_covering_index_and_has_the_same_rows(
    simulate: SimulateParams, database: sqlite3.Connection, tmp_path: Path
) -> None:
    old = tmp_path / "old.sqlite"
    recorder.write(old, simulate, behaviour.recordings(simulate)[0], fast_index=False)
    with closing(sqlite3.connect(old)) as found:
        assert found.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        indexes = {name for (name,) in found.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
        assert "detectionFastLoadXYIndex" not in indexes
        query = "SELECT * FROM DETECTION ORDER BY ID"
        assert found.execute(query).fetchall() == database.execute(query).fetchall()
