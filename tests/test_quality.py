"""What a recording is and what is wrong with it: scenes with known answers for every check and verdict."""

import json
import logging
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from conftest import T0_MS, Scene, run, still, told
from lmtcnn.errors import DatabaseError
from lmtcnn.lmt import SENSORS, Readings, Tool
from lmtcnn.params import Params
from lmtcnn.quality import AnimalFindings, Check, Inspection, Interval, StepBack, inspect, inspect_file, to_json, worst

Look = Callable[..., Inspection]


@pytest.fixture
def look(tmp_path: Path, params: Params) -> Look:
    """Write a scene, change it with SQL, and inspect it."""

    def look(scene: Scene, sql: Sequence[str] = (), using: Params = params) -> Inspection:
        path = scene.write(tmp_path / f"scene{len(list(tmp_path.iterdir()))}.sqlite")
        alter(path, sql)
        return inspect_file(path, using)

    return look


def alter(path: Path, sql: Sequence[str]) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in sql:
            connection.execute(statement)


def clock(n: int, *, per_s: float = 30, lost: int = 0) -> list[tuple[int, int, int]]:
    """FRAME rows 1..n at a rate, without the `lost` ones after the first."""
    return [(f, T0_MS + round((f - 1) * 1000 / per_s), 0) for f in range(1, n + 1) if not 2 <= f < 2 + lost]


def check(found: Inspection, name: str, animal_id: int | None = None) -> Check:
    (one,) = (each for each in found.checks if (each.name, each.animal_id) == (name, animal_id))
    return one


def numbers(each: Check) -> tuple:
    return each.numerator, each.denominator, each.value, each.unit, each.verdict


def sensors(**values: float | str | None) -> list[str]:
    """The five sensors of a current file, 0 where they are not given."""
    added = [f"ALTER TABLE FRAME ADD COLUMN {name} REAL DEFAULT 0" for name in SENSORS]
    return added + [f"UPDATE FRAME SET {name} = {value}" for name, value in values.items()]


def test_a_recording_is_told_whole(look: Look, tmp_path: Path) -> None:
    """300 frames of which 30 are paused, 3 without a row; the mouse is lost for 60, still before and after."""
    frames = [
        (f, T0_MS + round((f - 1) * 1000 / 30), int(f <= 30)) for f in range(1, 301) if not 101 <= f <= 103
    ]  # fmt: skip
    rows = still(31, 140) + still(201, 300) + [(250, 1, 200.0, 150.0), (251, 1, 201.0, 150.0)]
    rows += [(150, 1, 0.0, 0.0), (151, 1, None, 0.0), (152, None, 200.0, 150.0)]
    found = look(Scene(rows, frames))
    path = tmp_path / "scene0.sqlite"
    assert (found.recording, found.file, found.bytes) == ("scene0", str(path), path.stat().st_size)
    assert found.start == "2023-11-14T22:13:21.000+00:00"
    assert (found.simulated, found.duration_s, found.fps) == (False, 8.967, pytest.approx(30, rel=1e-3))
    assert (found.n_frames, found.n_missing_frames, found.missing_share) == (297, 3, 0.01)
    assert (found.n_paused_frames, found.paused_s, found.n_segments, found.n_anonymous) == (30, 1.0, 1, 1)
    assert (found.covering_index, found.indexes) == ("detectionFastLoadXYIndex", ("detectionFastLoadXYIndex",))
    assert (found.tools, found.identity_corrected, found.clock_back) == ((), False, [])
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
            n_outside=0,
            n_stops_outside=0,
            n_stops_half_window={"1": 1, "3": 1},
            intervals=[Interval(0, 210, 270, 210 / 270, 1, 264 / 30)],
        )
    ]


@pytest.mark.parametrize(
    ("frames", "numerator", "denominator", "value", "verdict"),
    [
        (clock(3000), 0, 3000, 0.0, "ok"),
        (clock(3000, lost=2), 2, 3000, 0.0007, "ok"),
        (clock(3000, lost=3), 3, 3000, 0.001, "warn"),
        (clock(3000, lost=29), 29, 3000, 0.0097, "warn"),
        (clock(3000, lost=30), 30, 3000, 0.01, "fail"),
        (clock(3000, per_s=30.03), -3, 2997, -0.001, "fail"),
        (clock(21_000, per_s=30.0015), -1, 20_999, 0.0, "ok"),
    ],
    ids=["none", "below 0.08 %", "0.1 %", "0.97 %", "1 %", "more frames than time", "two clocks differ"],
)
def test_omitted_frames(look: Look, frames, numerator: int, denominator: int, value: float, verdict: str) -> None:
    found = check(look(Scene(still(1, 300), frames)), "omitted frames")
    assert numbers(found) == (numerator, denominator, value, "share", verdict)
    assert str(found.value) != "-0.0"
    assert found.definition == (
        "frames that unpaused time at 30 frames/s makes, less unpaused FRAME rows, of the former, rounded to 0.01 %; "
        "below 0: more frames than time, fail; below 0.08 %: ok; from 1 %: fail"
    )


def test_paused_time_omits_nothing(look: Look) -> None:
    frames = [(f, t + 60_000 * (f > 150), int(100 <= f <= 200)) for f, t, _ in clock(300)]
    assert numbers(check(look(Scene(still(1, 300), frames)), "omitted frames"))[:3] == (0, 199, 0.0)


@pytest.mark.parametrize(
    ("n", "verdict", "hour"), [(800, "ok", "ok"), (799, "warn", "ok"), (500, "warn", "ok"), (499, "fail", "warn")]
)
def test_detection_of_each_animal(look: Look, change, n: int, verdict: str, hour: str) -> None:
    rows = still(1, 1000) + still(1, n, x=300, animal=2)
    using = change(**{"histograms.interval_s": 3600})
    found = look(Scene(rows, n_frames=1000, animals={1: "a", 2: "b"}), using=using)
    assert numbers(check(found, "detection", 1)) == (1000, 1000, 1.0, "share", "ok")
    assert numbers(check(found, "detection", 2)) == (n, 1000, n / 1000, "share", verdict)
    assert numbers(check(found, "hours of poor detection", 2)) == (n < 500, 1, n < 500, "intervals", hour)
    assert check(found, "detection", 2).definition == (
        "frames in which the animal is known and has a position, of all unpaused frames; below 80 %: warn; "
        "below 50 %: fail"
    )


def test_hours_of_poor_detection_are_counted(look: Look, change) -> None:
    """Intervals of 150 frames: known in all, in 74, in none, in 75 frames."""
    rows = still(1, 150) + still(151, 224) + still(451, 525)
    found = look(Scene(rows, n_frames=600), using=change(**{"histograms.interval_s": 5}))
    assert [each.detected for each in found.animals[0].intervals] == [150, 74, 0, 75]
    one = check(found, "hours of poor detection", 1)
    assert numbers(one) == (2, 4, 2, "intervals", "warn")
    assert one.definition == (
        "intervals with the animal known in less than 50 % of their unpaused frames, of those with an unpaused frame; "
        "any: warn"
    )


def test_stops_belong_to_the_interval_in_which_they_begin(look: Look, change) -> None:
    rows = still(1, 200) + run(201, 260, x=200.0) + still(261, 450, x=320.0)
    (animal,) = look(Scene(rows, n_frames=450), using=change(**{"histograms.interval_s": 5})).animals
    assert [(each.interval, each.n_stops) for each in animal.intervals] == [(0, 1), (1, 1), (2, 0)]
    assert sum(each.stopped_s for each in animal.intervals) == pytest.approx(animal.stopped_s)


@pytest.mark.parametrize(("n", "verdict"), [(75, "ok"), (76, "warn"), (300, "warn"), (301, "fail")])
def test_anonymous_detections(look: Look, n: int, verdict: str) -> None:
    found = check(look(Scene(still(1, 300) + still(1, n, animal=None), n_frames=301)), "anonymous detections")
    assert numbers(found) == (n, 300 + n, n / (300 + n), "share", verdict)
    assert found.definition == (
        "DETECTION rows without ANIMALID, of these and the animals' own; more than 20 %: warn; more than 50 %: fail"
    )


@pytest.mark.parametrize(
    ("shift_ms", "n", "by_ms", "verdict"), [(0, 0, 0, "ok"), (100, 1, 67, "warn"), (500, 1, 467, "fail")]
)
def test_steps_back_of_the_clock(look: Look, shift_ms: int, n: int, by_ms: int, verdict: str) -> None:
    frames = [(f, t - shift_ms * (f > 150), 0) for f, t, _ in clock(300)]
    found = look(Scene(still(1, 300), frames))
    one = check(found, "TIMESTAMP back")
    assert numbers(one) == (n, 299, n, "steps", verdict)
    assert found.clock_back == [StepBack(151, by_ms)] * n
    assert one.definition == (
        f"FRAME rows with an earlier TIMESTAMP than the row before, by {by_ms} ms at most, of all rows after the "
        "first; any: warn; by more than 100 ms: fail, `stops` refuses the file (unless stops.clock is frame)"
    )


def test_a_step_back_is_no_failure_where_frames_are_the_clock(look: Look, change) -> None:
    frames = [(f, t - 500 * (f > 150), 0) for f, t, _ in clock(300)]
    found = look(Scene(still(1, 300), frames), using=change(**{"stops.clock": "frame"}))
    assert check(found, "TIMESTAMP back").verdict == "warn"


def test_a_clock_that_runs_backwards_all_the_time_is_a_finding(look: Look) -> None:
    found = look(Scene(still(1, 300), [(f, T0_MS - 33 * f, 0) for f in range(1, 301)]))
    assert numbers(check(found, "TIMESTAMP back")) == (299, 299, 299, "steps", "warn")
    assert numbers(check(found, "frame rate")) == (299, 0.0, None, "frames/s", "warn")
    assert check(found, "omitted frames").verdict == "fail"
    assert len(found.clock_back) == 10
    json.loads(to_json([found]))


@pytest.mark.parametrize(("per_s", "verdict"), [(30, "ok"), (29.5, "ok"), (29.3, "warn"), (30.7, "warn")])
def test_frame_rate(look: Look, per_s: float, verdict: str) -> None:
    found = check(look(Scene(still(1, 900), clock(900, per_s=per_s))), "frame rate")
    assert (found.numerator, found.unit, found.verdict) == (899, "frames/s", verdict)
    assert found.denominator == pytest.approx(899 / per_s, abs=1e-3)
    assert found.value == pytest.approx(per_s, rel=1e-4)
    assert found.definition == (
        "frames by the seconds that TIMESTAMP gives them, inside segments; more than 2 % off 30: warn"
    )


@pytest.mark.parametrize(("n", "verdict"), [(0, "ok"), (10, "ok"), (11, "warn"), (50, "warn"), (51, "fail")])
def test_positions_off_the_floor(look: Look, n: int, verdict: str) -> None:
    """The floor ends at x = 398 px, which belongs to it."""
    found = look(Scene(still(1, 1000 - n, x=398.0) + still(1001 - n, 1000, x=398.01), n_frames=1000))
    one = check(found, "positions off the floor", 1)
    assert numbers(one) == (n, 1000, n / 1000, "share", verdict)
    assert one.definition == (
        "positions outside of the arena's rectangle, of all; more than 1 %: warn; more than 5 %: fail"
    )


@pytest.mark.parametrize(
    ("x", "y", "outside"), [(114, 63, 0), (398, 353, 0), (113, 63, 1), (398.1, 70, 1), (200, 62, 1), (200, 354, 1)]
)
def test_stops_off_the_floor(look: Look, change, x: float, y: float, outside: int) -> None:
    for flip in ("none", "xy"):
        found = look(Scene(still(1, 300, x, y), n_frames=300), using=change(**{"stops.arena.flip": flip}))
        one = check(found, "stops off the floor", 1)
        assert numbers(one) == (outside, 1, outside, "share", "fail" if outside else "ok")
        assert check(found, "positions off the floor", 1).numerator == 300 * outside


def test_one_stop_in_fifty_off_the_floor_warns(look: Look) -> None:
    rows, f = [], 1
    for i in range(50):
        rows += still(f, f + 39, x=200.0 if i else 410.0) + run(f + 40, f + 49, x=200.0 if i else 410.0, y=300.0)
        f += 50
    found = look(Scene(rows, n_frames=f))
    assert numbers(check(found, "stops off the floor", 1)) == (1, 50, 0.02, "share", "warn")


def test_an_animal_that_is_never_seen_has_no_share(look: Look) -> None:
    found = look(Scene(still(1, 300), n_frames=300, animals={1: "a", 2: "b"}))
    assert numbers(check(found, "detection", 2)) == (0, 300, 0.0, "share", "fail")
    assert numbers(check(found, "positions off the floor", 2)) == (0, 0, None, "share", "ok")
    assert numbers(check(found, "stops off the floor", 2)) == (0, 0, None, "share", "ok")


@pytest.mark.parametrize(
    ("degrees", "n_low", "lowest", "n_high", "highest"),
    [
        (22, 0, "ok", 0, "ok"),
        (25, 0, "ok", 0, "ok"),
        (25.1, 0, "ok", 300, "warn"),
        (26, 0, "ok", 300, "warn"),
        (26.1, 0, "ok", 300, "fail"),
        (21, 0, "ok", 0, "ok"),
        (20.9, 300, "warn", 0, "ok"),
        (20, 300, "warn", 0, "ok"),
        (19.9, 300, "fail", 0, "ok"),
    ],
)
def test_temperature(look: Look, degrees: float, n_low: int, lowest: str, n_high: int, highest: str) -> None:
    found = look(Scene(still(1, 300), n_frames=300), sensors(TEMPERATURE=degrees))
    low, high = check(found, "temperature, lowest"), check(found, "temperature, highest")
    assert numbers(low) == (n_low, 300, degrees, "degrees C", lowest)
    assert numbers(high) == (n_high, 300, degrees, "degrees C", highest)
    assert low.definition == (
        "FRAME rows below 21 degrees C, of all; the value is the lowest, 0 is no reading; below 21: warn; below 20: "
        "fail; no such column in FRAME, no number in it, or 0 throughout: not fitted"
    )
    assert high.definition == (
        "FRAME rows above 25 degrees C, of all; the value is the highest; above 25: warn; above 26: fail; "
        "no such column in FRAME, no number in it, or 0 throughout: not fitted"
    )


def test_extremes_of_temperature_count_their_frames_and_0_is_no_reading(look: Look) -> None:
    later = ["UPDATE FRAME SET TEMPERATURE = 0 WHERE FRAMENUMBER <= 10"]
    later += ["UPDATE FRAME SET TEMPERATURE = 27.5 WHERE FRAMENUMBER > 297"]
    found = look(Scene(still(1, 300), n_frames=300), sensors(TEMPERATURE=22) + later)
    assert numbers(check(found, "temperature, lowest"))[:3] == (0, 300, 22.0)
    assert numbers(check(found, "temperature, highest")) == (3, 300, 27.5, "degrees C", "fail")
    assert found.sensors["TEMPERATURE"] == Readings((22 * 287 + 27.5 * 3) / 290, 22.0, 27.5, 0, 3)


@pytest.mark.parametrize("sql", [(), sensors(), sensors(TEMPERATURE="NULL"), sensors(TEMPERATURE="'warm'")])
def test_sensors_that_are_not_there_are_not_fitted(look: Look, sql: Sequence[str]) -> None:
    """An old FRAME table of four columns; all 0; empty; no numbers."""
    found = look(Scene(still(1, 300), n_frames=300), sql)
    assert {name: found.sensors[name] for name in SENSORS} == dict.fromkeys(SENSORS)
    for name in ("temperature, lowest", "temperature, highest"):
        assert numbers(check(found, name)) == (0, 300, None, "degrees C", "not fitted")
    assert found.verdict == "ok"


def test_every_sensor_has_its_mean_and_extremes(look: Look) -> None:
    sql = sensors(TEMPERATURE=22, HUMIDITY=45.5, SOUND=50, LIGHTVISIBLEANDIR=40)
    sql += ["UPDATE FRAME SET SOUND = 80 WHERE FRAMENUMBER <= 100"]
    assert look(Scene(still(1, 300), n_frames=300), sql).sensors == {
        "TEMPERATURE": Readings(22, 22, 22, 0, 0),
        "HUMIDITY": Readings(45.5, 45.5, 45.5, 0, 0),
        "SOUND": Readings(60, 50, 80, 0, 0),
        "LIGHTVISIBLE": None,
        "LIGHTVISIBLEANDIR": Readings(40, 40, 40, 0, 0),
        "NUMPARTICLE": Readings(1, 1, 1, 0, 0),
    }


@pytest.mark.parametrize(("most", "n", "verdict"), [(100, 0, "ok"), (101, 2, "warn")])
def test_particles(look: Look, most: int, n: int, verdict: str) -> None:
    found = look(
        Scene(still(1, 300), n_frames=300), [f"UPDATE FRAME SET NUMPARTICLE = {most} WHERE FRAMENUMBER IN (5, 9)"]
    )
    one = check(found, "particles")
    assert numbers(one) == (n, 300, most, "particles", verdict)
    assert one.definition == (
        "FRAME rows with more than 100 particles (a dirty image), of all; the value is the most in a frame; any: warn; "
        "no such column in FRAME or no number in it: not fitted"
    )


def test_particles_that_were_not_counted_are_not_fitted(look: Look) -> None:
    found = look(Scene(still(1, 300), n_frames=300), ["ALTER TABLE FRAME DROP COLUMN NUMPARTICLE"])
    assert numbers(check(found, "particles")) == (0, 300, None, "particles", "not fitted")


EVENT = "CREATE TABLE EVENT (ID INTEGER PRIMARY KEY, NAME TEXT, DESCRIPTION TEXT, STARTFRAME INTEGER)"
LOG = "CREATE TABLE LOG (id INTEGER PRIMARY KEY, process TEXT, version TEXT, date TEXT, tmin INTEGER, tmax INTEGER)"


@pytest.mark.parametrize(
    ("sql", "n", "verdict"),
    [
        ([], 0, "ok"),
        ([EVENT, "INSERT INTO EVENT (NAME) VALUES ('Stop')"], 0, "ok"),
        ([EVENT, "INSERT INTO EVENT (NAME) VALUES ('Stop'), ('IDs integrity ok')"], 1, "warn"),
        ([LOG, "INSERT INTO LOG (process) VALUES ('Build Event Detection')"], 0, "ok"),
        ([LOG, "INSERT INTO LOG (process) VALUES ('Correct detection integrity')"], 1, "warn"),
    ],
)
def test_corrected_identities(look: Look, sql: Sequence[str], n: int, verdict: str) -> None:
    found = look(Scene(still(1, 300), n_frames=300), sql)
    one = check(found, "identity corrected")
    assert numbers(one) == (n, 1, n, "runs", verdict)
    assert found.identity_corrected is bool(n)
    assert one.definition == (
        "whether lmt-analysis' CorrectDetectionIntegrity took identities away where not all animals were seen "
        "(LOG, or an event `IDs integrity ok`); warn: do not mix with recordings that were left as they are"
    )


def test_tools_are_those_of_the_log(look: Look) -> None:
    rows = "('Build Event Stop', '1', '2021-01-02'), ('Build Event Stop', '1', '2021-03-04'), (NULL, NULL, NULL)"
    found = look(Scene(still(1, 300), n_frames=300), [LOG, f"INSERT INTO LOG (process, version, date) VALUES {rows}"])
    assert found.tools == (Tool("", "", 1, ""), Tool("Build Event Stop", "1", 2, "2021-03-04"))
    other = [LOG.replace("date TEXT, ", ""), "INSERT INTO LOG (process, version) VALUES ('x', 2)"]
    assert look(Scene(still(1, 300), n_frames=300), other).tools == (Tool("x", "2", 1, ""),)
    assert look(Scene(still(1, 300), n_frames=300), ["CREATE TABLE LOG (id INTEGER)"]).tools == ()


def test_without_the_covering_index_all_but_the_index_is_the_same(look: Look) -> None:
    rng = np.random.default_rng(3)
    rows = [(f, a, *np.round(rng.uniform(200, 203, 2), 2).tolist()) for f in range(1, 400) for a in (1, 2, None)]
    one, other = (look(Scene(rows, n_frames=400, animals={1: "a", 2: "b"}, covering_index=i)) for i in (True, False))
    assert (one.animals, one.checks) == (other.animals, other.checks)
    assert (other.covering_index, other.indexes) == (None, ())


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
    assert len(found.checks) == 8 + 4 * n


@pytest.mark.parametrize("half", [1, 3, 5])
def test_stops_under_other_half_windows_are_those_that_such_a_setting_finds(look: Look, change, half: int) -> None:
    rng = np.random.default_rng(half)
    places = np.round(200 + rng.normal(0, 0.5, (3000, 2)), 2).tolist()
    rows = [(f, 1, *place) for f, place in enumerate(places, 1) if not (1000 < f < 1050 or 2000 < f < 2120)]
    scene = Scene(rows, n_frames=3000)
    settings = {h: change(**{"stops.half_window_frames": h}) for h in (1, 3, half)}
    found = look(scene, using=settings[half]).animals[0]
    expected = {str(h): look(scene, using=using).animals[0].n_stops for h, using in sorted(settings.items())}
    assert found.n_stops_half_window == expected
    assert found.n_stops == expected[str(half)]
    assert expected["1"] > expected["3"]


def test_the_worst_verdict_is_the_recording_s() -> None:
    assert worst(["ok", "not fitted"]) == "ok"
    assert worst(["ok", "warn", "not fitted"]) == "warn"
    assert worst(["warn", "fail", "ok"]) == "fail"
    assert worst([]) == "ok"


def test_json_says_all_that_was_found(look: Look) -> None:
    found = [look(Scene(still(1, n), n_frames=300), sensors(TEMPERATURE=22)) for n in (300, 100)]
    assert json.loads(to_json(found)) == json.loads(json.dumps([asdict(each) for each in found]))
    assert json.loads(to_json(found))[1]["verdict"] == "fail"
    assert to_json([]) == "[]\n"


def test_whoever_reads_in_parallel_finds_the_same(tmp_path: Path, params: Params) -> None:
    for i in range(4):
        Scene(still(1, 300 - 50 * i), n_frames=300).write(tmp_path / f"{i}.sqlite")
    told_of: list[tuple[int, int]] = []
    one, failed = inspect([tmp_path], params, 1, lambda done, total: told_of.append((done, total)))
    assert (failed, told_of) == ([], [(1, 4), (2, 4), (3, 4), (4, 4)])
    assert [each.recording for each in one] == ["0", "1", "2", "3"]
    assert to_json(inspect([tmp_path], params, 4)[0]) == to_json(one)


def test_a_bad_file_keeps_no_other_from_being_told(tmp_path: Path, params: Params) -> None:
    for folder in ("a", "b", "empty"):
        (tmp_path / folder).mkdir()
    for folder in ("a", "b"):  # two recordings of one name
        Scene(still(1, 300), n_frames=300).write(tmp_path / folder / "one.sqlite")
    (tmp_path / "a" / "bad.sqlite").write_bytes(b"")
    nobody = Scene(still(1, 300, animal=None), n_frames=300).write(tmp_path / "a" / "nobody.sqlite")
    paths = [tmp_path / name for name in ("a", "none.sqlite", "b", "empty", "a/one.sqlite")]
    found, failed = inspect(paths, params)
    assert [each.file for each in found] == [str(tmp_path / folder / "one.sqlite") for folder in ("a", "b")]
    assert [line for error in failed for line in error.lines] == [
        f"{tmp_path}/a/bad.sqlite: expected an LMT database, found an empty file (0 bytes); copy it again",
        f"{nobody}: DETECTION: expected positions of the animals, found no detection; leave the file out",
        f"{tmp_path}/none.sqlite: expected an LMT database, found no file; check the path",
        f"{tmp_path}/empty: expected databases (.sqlite, .sqlite3, .db), found none; check the folder",
    ]


def test_a_recording_without_an_unpaused_frame_is_refused(tmp_path: Path, params: Params) -> None:
    path = Scene(still(1, 30), [(f, t, 1) for f, t, _ in clock(30)]).write(tmp_path / "x.sqlite")
    assert told(DatabaseError, inspect_file, path, params) == (
        f"{path}: expected an unpaused frame in FRAME, found 30 paused ones; leave the file out",
    )


def test_inspecting_changes_no_byte(tmp_path: Path, params: Params, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "raw"
    folder.mkdir()
    Scene(still(1, 300), n_frames=300).write(folder / "a.sqlite")
    wal = Scene(still(1, 300), n_frames=300).write(folder / "wal.sqlite")
    alter(wal, ["PRAGMA journal_mode = WAL"])
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}
    with caplog.at_level(logging.WARNING):
        assert len(inspect([folder], params, 2)[0]) == 2
    assert caplog.messages == []
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()} == before
