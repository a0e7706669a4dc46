"""What recordings are: what is told of them, by the hour and by the animal."""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from conftest import LOG, T0_MS, Look, Scene, clock, execute, run, sensors, still, told
from lmtcnn.cohort.recording import Recording
from lmtcnn.core.errors import DatabaseError
from lmtcnn.core.params import Params
from lmtcnn.inspect.inspect import AnimalFindings, Hour, Interval, Readings, find, inspect, inspect_one, to_json
from lmtcnn.lmt.lmt import Tool


def test_a_recording_is_told_whole(look: Look, tmp_path: Path) -> None:
    """300 frames of which 30 are paused, 3 without a row; the mouse is lost for 60, still before and after."""
    frames = [
        (f, T0_MS + round((f - 1) * 1000 / 30), int(f <= 30)) for f in range(1, 301) if not 101 <= f <= 103
    ]  # fmt: skip
    rows = still(31, 140) + still(201, 300) + [(250, 1, 200.0, 150.0), (251, 1, 201.0, 150.0)]
    rows += [(150, 1, 0.0, 0.0), (151, 1, None, 0.0), (152, None, 200.0, 150.0)]
    found = look(Scene(rows, frames))
    path = tmp_path / "scene0.sqlite"
    assert (found.recording, found.files, found.bytes) == ("scene0", [str(path)], path.stat().st_size)
    assert found.start == "2023-11-14T22:13:21.000+00:00"
    assert (found.simulated, found.duration_s, found.fps) == (False, 8.967, pytest.approx(30, rel=1e-3))
    assert (found.n_frames, found.n_missing_frames, found.missing_share) == (297, 3, 0.01)
    assert (found.n_paused_frames, found.paused_s, found.n_segments, found.n_anonymous) == (30, 1.0, 1, 1)
    assert (found.covering_index, found.indexes) == ("detectionFastLoadXYIndex", ["detectionFastLoadXYIndex"])
    assert (found.tools, found.identity_corrected, found.clock_steps) == ([], False, [])
    assert found.hours == [Hour(0, "22:13+00:00", True, 270, 3, 1, 1 / 211)]
    assert found.animals == [
        AnimalFindings(
            animal_id=1,
            rfid="001",
            columns={"GENOTYPE": None, "NAME": None},
            n_rows=214,
            n_detected=210,
            n_unpaused=270,
            detected_share=210 / 270,
            n_stops=1,
            stopped_s=264 / 30,
            n_filled=60,
            n_jumps=0,
            n_identical=1,
            n_conflicting=1,
            n_at_zero=1,
            n_invalid=1,
            n_untimed=0,
            n_outside=0,
            n_stops_outside=0,
            n_stops_half_window={"1": 1, "3": 1},
            n_flicker=0,
            n_stops_flicker={"0": 1, "9000": 1},
            stopped_s_flicker={"0": 264 / 30, "9000": 264 / 30},
            intervals=[Interval(0, 210, 270, 210 / 270, 1, 264 / 30)],
        )
    ]


def test_stops_belong_to_the_interval_in_which_they_begin(look: Look, change) -> None:
    rows = still(1, 200) + run(201, 260, x=200.0) + still(261, 450, x=320.0)
    (animal,) = look(Scene(rows, n_frames=450), using=change(**{"histograms.interval_s": 5})).animals
    assert [(each.interval, each.n_stops) for each in animal.intervals] == [(0, 1), (1, 1), (2, 0)]
    assert sum(each.stopped_s for each in animal.intervals) == pytest.approx(animal.stopped_s)


def test_every_sensor_has_its_mean_and_extremes(look: Look) -> None:
    sql = sensors(TEMPERATURE=22, HUMIDITY=45.5, SOUND=50, LIGHTVISIBLEANDIR=40)
    sql += ["UPDATE FRAME SET SOUND = 80 WHERE FRAMENUMBER <= 100"]
    assert look(Scene(still(1, 300), n_frames=300), sql).sensors == {
        "TEMPERATURE": Readings(22, 22, 22),
        "HUMIDITY": Readings(45.5, 45.5, 45.5),
        "SOUND": Readings(60, 50, 80),
        "LIGHTVISIBLE": None,
        "LIGHTVISIBLEANDIR": Readings(40, 40, 40),
        "NUMPARTICLE": Readings(1, 1, 1),
    }


def test_tools_are_those_of_the_log(look: Look) -> None:
    rows = "('Build Event Stop', '1', '2021-01-02'), ('Build Event Stop', '1', '2021-03-04'), (NULL, NULL, NULL)"
    found = look(Scene(still(1, 300), n_frames=300), [LOG, f"INSERT INTO LOG (process, version, date) VALUES {rows}"])
    assert found.tools == [Tool("", "", 1, ""), Tool("Build Event Stop", "1", 2, "2021-03-04")]
    other = [LOG.replace("date TEXT, ", ""), "INSERT INTO LOG (process, version) VALUES ('x', 2)"]
    assert look(Scene(still(1, 300), n_frames=300), other).tools == [Tool("x", "2", 1, "")]
    assert look(Scene(still(1, 300), n_frames=300), ["CREATE TABLE LOG (id INTEGER)"]).tools == []


def test_without_the_covering_index_all_but_the_index_is_the_same(look: Look) -> None:
    rng = np.random.default_rng(3)
    rows = [(f, a, *np.round(rng.uniform(200, 203, 2), 2).tolist()) for f in range(1, 400) for a in (1, 2, None)]
    one, other = (look(Scene(rows, n_frames=400, animals={1: "a", 2: "b"}, covering_index=i)) for i in (True, False))
    assert (one.animals, one.checks) == (other.animals, other.checks)
    assert (other.covering_index, other.indexes) == (None, [])


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (["ALTER TABLE ANIMAL DROP COLUMN NAME"], {"GENOTYPE": None}),
        (
            [
                *(f"ALTER TABLE ANIMAL ADD COLUMN {c}" for c in ("Sex", "AGE REAL", "STRAIN", "SETUP", "IND INTEGER")),
                *(f"ALTER TABLE ANIMAL ADD COLUMN {c}" for c in ("TREATMENT", "A BLOB", "B REAL")),
                "UPDATE ANIMAL SET GENOTYPE = 'WT', sex = 'F', AGE = 8.5, IND = 3, A = x'00ff', B = 9e999",
            ],
            {"GENOTYPE": "WT", "NAME": None, "SEX": "F", "AGE": 8.5, "STRAIN": None, "SETUP": None, "IND": 3}
            | {"TREATMENT": None, "A": "00ff", "B": "inf"},
        ),
    ],
    ids=["3 columns", "12 columns"],
)  # fmt: skip
def test_all_columns_of_animal_are_told(look: Look, sql: Sequence[str], expected: dict) -> None:
    found = look(Scene(still(1, 300), n_frames=300), sql)
    assert found.animals[0].columns == expected
    assert json.loads(to_json([found]))[0]["animals"][0]["columns"] == expected


@pytest.mark.parametrize("n", range(1, 9))
def test_any_number_of_animals(look: Look, n: int) -> None:
    rows = [row for a in range(1, n + 1) for row in still(1, 100 + 10 * a, x=150.0 + 10 * a, animal=a)]
    found = look(Scene(rows, n_frames=200, animals={a: f"00{a}" for a in range(1, n + 1)}))
    assert [(a.animal_id, a.rfid, a.n_detected) for a in found.animals] == [
        (a, f"00{a}", 100 + 10 * a) for a in range(1, n + 1)
    ]
    assert len(found.checks) == 9 + 6 * n


@pytest.mark.parametrize("half", [1, 3, 5])
def test_stops_under_other_half_windows_are_those_that_such_a_setting_finds(look: Look, change, half: int) -> None:
    rng = np.random.default_rng(half)
    places = np.round(200 + rng.normal(0, 0.5, (3000, 2)), 2).tolist()
    rows = [(f, 1, *place) for f, place in enumerate(places, 1) if not (1000 < f < 1050 or 2000 < f < 2120)]
    scene = Scene(rows, n_frames=3000)
    settings = {h: change(**{"stops.half_window_frames": h}) for h in (1, 3, half)}
    found = look(scene, using=settings[half]).animals[0]
    expected = {h: look(scene, using=using).animals[0].n_stops for h, using in settings.items()}
    assert found.n_stops_half_window == {"1": expected[1], "3": expected[3]}
    assert found.n_stops == expected[half]
    assert expected[1] > expected[3]


def test_json_says_all_that_was_found(look: Look) -> None:
    found = [look(Scene(still(1, n), n_frames=300), sensors(TEMPERATURE=22)) for n in (300, 100)]
    assert json.loads(to_json(found)) == json.loads(json.dumps([asdict(each) for each in found]))
    assert json.loads(to_json(found))[1]["verdict"] == "fail"
    assert to_json([]) == "[]\n"


def test_whoever_reads_in_parallel_finds_the_same(tmp_path: Path, params: Params) -> None:
    for i in range(4):
        Scene(still(1, 300 - 50 * i), n_frames=300).write(tmp_path / f"{i}.sqlite")
    told_of: list[tuple[int, int]] = []
    recordings, _ = find([tmp_path], params)
    one, failed = inspect(recordings, params, 1, lambda done, total: told_of.append((done, total)))
    assert (failed, told_of[-1]) == ([], (900, 900))
    assert [each.recording for each in one] == ["0", "1", "2", "3"]
    assert to_json(inspect(recordings, params, 4)[0]) == to_json(one)


def test_a_bad_file_keeps_no_other_from_being_told(tmp_path: Path, params: Params) -> None:
    for folder in ("a", "b", "empty"):
        (tmp_path / folder).mkdir()
    for folder in ("a", "b"):  # two recordings of one name
        Scene(still(1, 300), n_frames=300).write(tmp_path / folder / "one.sqlite")
    (tmp_path / "a" / "bad.sqlite").write_bytes(b"")
    nobody = Scene(still(1, 300, animal=None), n_frames=300).write(tmp_path / "a" / "nobody.sqlite")
    paths = [tmp_path / name for name in ("a", "none.sqlite", "b", "empty", "a/one.sqlite")]
    recordings, nothing = find(paths, params)
    found, failed = inspect(recordings, params)
    assert [each.files for each in found] == [[str(tmp_path / folder / "one.sqlite")] for folder in ("a", "b")]
    assert [line for error in [*failed, *nothing] for line in error.lines] == [
        f"{tmp_path}/a/bad.sqlite: expected an LMT database, found an empty file (0 bytes); copy it again",
        f"{nobody}: DETECTION: expected positions of the animals, found no detection; leave the file out",
        f"{tmp_path}/none.sqlite: expected an LMT database, found no file; check the path",
        f"{tmp_path}/empty: expected databases (.sqlite, .sqlite3, .db), found none; check the folder",
    ]


def test_a_recording_without_an_unpaused_frame_is_refused(tmp_path: Path, params: Params) -> None:
    path = Scene(still(1, 30), [(f, t, 1) for f, t, _ in clock(30)]).write(tmp_path / "x.sqlite")
    assert told(DatabaseError, inspect_one, Recording("x", (path,), params.stops.arena), params) == (
        f"{path}: expected an unpaused frame in FRAME, found 30 paused ones; leave the file out",
    )


def test_inspecting_changes_no_byte(tmp_path: Path, params: Params, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "raw"
    folder.mkdir()
    Scene(still(1, 300), n_frames=300).write(folder / "a.sqlite")
    wal = Scene(still(1, 300), n_frames=300).write(folder / "wal.sqlite")
    execute(wal, "PRAGMA journal_mode = WAL")
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}
    with caplog.at_level(logging.WARNING):
        assert len(inspect(find([folder], params)[0], params, 2)[0]) == 2
    assert caplog.messages == []
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()} == before
