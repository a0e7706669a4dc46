"""What is wrong with a recording: scenes with known answers for every check and verdict."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl
import pytest

from conftest import EVENT, LOG, SENSORS, T0_MS, Look, Scene, clock, run, sensors, still
from lmtcnn.cohort.recording import Recording, Sample
from lmtcnn.core.params import Params
from lmtcnn.core.schemas import COVERAGE, QUALITY
from lmtcnn.inspect.inspect import ClockStep, Inspection, Readings, to_json
from lmtcnn.stops.extraction import Extraction, extract
from lmtcnn.stops.quality import Check, failures, judge, worst


def check(found: Inspection, name: str, animal_id: int | None = None) -> Check:
    (one,) = (each for each in found.checks if (each.name, each.animal_id) == (name, animal_id))
    return one


def numbers(each: Check) -> tuple:
    return each.numerator, each.denominator, each.value, each.unit, each.verdict


@pytest.mark.parametrize(
    ("frames", "numerator", "denominator", "value", "verdict"),
    [
        (clock(3000), 0, 3000, 0.0, "ok"),
        (clock(3000, lost=2), 2, 3000, 0.0007, "ok"),
        (clock(3000, lost=3), 3, 3000, 0.001, "warn"),
        (clock(3000, lost=29), 29, 3000, 0.0097, "warn"),
        (clock(3000, lost=30), 30, 3000, 0.01, "fail"),
        (clock(3000, per_s=30.03), -3, 2997, -0.001, "warn"),
        (clock(3000, per_s=29.97), 3, 3003, 0.001, "warn"),
        (clock(21_000, per_s=30.006), -4, 20_996, -0.0002, "ok"),
        (clock(21_000, per_s=29.994), 4, 21_004, 0.0002, "ok"),
        (clock(3000, per_s=30.25), -25, 2975, -0.0084, "warn"),
        (clock(3000, per_s=29.75), 25, 3025, 0.0083, "warn"),
        (clock(3000, per_s=30.4), -39, 2961, -0.0132, "fail"),
        (clock(3000, per_s=29.6), 41, 3041, 0.0135, "fail"),
        (clock(21_000, per_s=30.0015), -1, 20_999, 0.0, "ok"),
    ],
    ids=[
        *("none", "< 0.08 %", "0.1 %", "0.97 %", "1 %", "1000 ppm fast", "1000 ppm slow", "200 ppm fast"),
        *("200 ppm slow", "0.83 % fast", "0.83 % slow", "1.3 % fast", "1.3 % slow", "50 ppm fast"),
    ],
)
def test_omitted_frames(look: Look, frames, numerator: int, denominator: int, value: float, verdict: str) -> None:
    found = check(look(Scene(still(1, 300), frames)), "omitted frames")
    assert numbers(found) == (numerator, denominator, value, "share", verdict)
    assert str(found.value) != "-0.0"
    assert found.definition == (
        "frames that unpaused time at 30 frames/s makes, less unpaused FRAME rows, of the former, rounded to 0.01 %, "
        "below 0 where there are more frames than time; from 0.08 % to either side: warn; from 1 % to either side: fail"
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
        "intervals with the animal known in less than 50 % of their unpaused frames, of those at least a tenth as long "
        "as the longest; any: warn"
    )


@pytest.mark.parametrize(("n", "verdict"), [(75, "ok"), (76, "warn"), (300, "warn"), (301, "fail")])
def test_anonymous_detections(look: Look, n: int, verdict: str) -> None:
    found = check(look(Scene(still(1, 300) + still(1, n, animal=None), n_frames=301)), "anonymous detections")
    assert numbers(found) == (n, 300 + n, n / (300 + n), "share", verdict)
    assert found.definition == ("DETECTION rows without ANIMALID, of all; more than 20 %: warn; more than 50 %: fail")


@pytest.mark.parametrize(
    ("shift_ms", "n", "by_ms", "verdict"), [(0, 0, 0, "ok"), (100, 1, 67, "warn"), (500, 1, 467, "fail")]
)
def test_steps_back_of_the_clock(look: Look, shift_ms: int, n: int, by_ms: int, verdict: str) -> None:
    frames = [(f, t - shift_ms * (f > 150), 0) for f, t, _ in clock(300)]
    found = look(Scene(still(1, 300), frames))
    one = check(found, "TIMESTAMP back")
    assert numbers(one) == (n, 299, n, "steps", verdict)
    assert found.clock_steps == [ClockStep(151, -by_ms)] * n
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
    assert len(found.clock_steps) == 10
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
    nowhere = [(1, 2, 0.0, 0.0)]  # the tracker's "detection at 0"
    found = look(Scene(still(1, 300) + nowhere, n_frames=300, animals={1: "a", 2: "b"}))
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
        "FRAME rows below 21 degrees C, of all; the value is the lowest, 0 is no reading; below 21: warn; below 20 "
        "in more than 0.1 % of all rows: fail; no such column in FRAME, no number in it, or 0 throughout: not fitted"
    )
    assert high.definition == (
        "FRAME rows above 25 degrees C, of all; the value is the highest; above 25: warn; above 26 in more "
        "than 0.1 % of all rows: fail; no such column in FRAME, no number in it, or 0 throughout: not fitted"
    )


def test_extremes_of_temperature_count_their_frames_and_0_is_no_reading(look: Look) -> None:
    later = ["UPDATE FRAME SET TEMPERATURE = 0 WHERE FRAMENUMBER <= 10"]
    later += ["UPDATE FRAME SET TEMPERATURE = 27.5 WHERE FRAMENUMBER > 297"]
    found = look(Scene(still(1, 300), n_frames=300), sensors(TEMPERATURE=22) + later)
    assert numbers(check(found, "temperature, lowest"))[:3] == (0, 300, 22.0)
    assert numbers(check(found, "temperature, highest")) == (3, 300, 27.5, "degrees C", "fail")
    assert found.sensors["TEMPERATURE"] == Readings((22 * 287 + 27.5 * 3) / 290, 22.0, 27.5)


@pytest.mark.parametrize("sql", [(), sensors(), sensors(TEMPERATURE="NULL"), sensors(TEMPERATURE="'warm'")])
def test_sensors_that_are_not_there_are_not_fitted(look: Look, sql: Sequence[str]) -> None:
    """An old FRAME table of four columns; all 0; empty; no numbers."""
    found = look(Scene(still(1, 300), n_frames=300), sql)
    assert {name: found.sensors[name] for name in SENSORS} == dict.fromkeys(SENSORS)
    for name in ("temperature, lowest", "temperature, highest"):
        assert numbers(check(found, name)) == (0, 300, None, "degrees C", "not fitted")
    assert found.verdict == "ok"


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
        "(LOG, or an event `IDs integrity ok`); any: warn, do not mix with recordings that were left as they are"
    )


def test_the_worst_verdict_is_the_recording_s() -> None:
    assert worst(["ok", "not fitted"]) == "ok"
    assert worst(["ok", "warn", "not fitted"]) == "warn"
    assert worst(["warn", "fail", "ok"]) == "fail"
    assert worst([]) == "ok"


@pytest.mark.parametrize(("step_ms", "n", "verdict"), [(1000, 0, "ok"), (1001, 1, "warn"), (60_000, 1, "warn")])
def test_jumps_of_the_clock(look: Look, step_ms: int, n: int, verdict: str) -> None:
    frames = [(f, t + (step_ms - 33) * (f > 150), 0) for f, t, _ in clock(300)]
    found = look(Scene(still(1, 300), frames))
    step = frames[150][1] - frames[149][1]
    one = check(found, "TIMESTAMP jumps")
    assert numbers(one) == (n, 299, n, "steps", verdict)
    assert found.clock_steps == [ClockStep(151, step)] * n
    assert one.definition == (
        "steps of TIMESTAMP of more than 1 s between unpaused FRAME rows, and between files whose frame numbers go on "
        f"but say another time, {n * step / 1000:g} s in all, of all rows after the first; any: warn; no stop crosses "
        "one"
    )


def test_a_jump_beside_a_pause_is_the_pause_s(look: Look) -> None:
    frames = [(f, t + 60_000 * (f > 150), int(f == 150)) for f, t, _ in clock(300)]
    assert check(look(Scene(still(1, 300), frames)), "TIMESTAMP jumps").verdict == "ok"


@pytest.mark.parametrize(("n", "verdict"), [(15, "ok"), (16, "warn"), (150, "warn"), (151, "fail")])
def test_detections_without_time(look: Look, n: int, verdict: str) -> None:
    """FRAME begins n frames after the first of 300 detections."""
    found = look(Scene(still(1, 300), [row for row in clock(300) if row[0] > n]))
    one = check(found, "detections without time", 1)
    assert numbers(one) == (n, 300, n / 300, "share", verdict)
    assert one.definition == (
        "positions in no segment (paused, before the first FRAME row, after the last, or in a hole of more than a "
        "second), of the animal's DETECTION rows; more than 5 %: warn; more than 50 %: fail"
    )


def test_a_glitch_of_the_sensor_only_warns(look: Look) -> None:
    """85 degrees in one frame of 2,000, in two, in three."""
    for n, verdict in ((1, "warn"), (2, "warn"), (3, "fail")):
        later = [f"UPDATE FRAME SET TEMPERATURE = 85 WHERE FRAMENUMBER <= {n}"]
        found = look(Scene(still(1, 300), n_frames=2000), sensors(TEMPERATURE=22) + later)
        assert numbers(check(found, "temperature, highest")) == (n, 2000, 85.0, "degrees C", verdict)


def test_an_hour_cut_short_is_no_hour_of_poor_detection(look: Look, change) -> None:
    """Intervals of 150 frames, the last of 14, or of 15, in which the mouse is not known."""
    using = change(**{"histograms.interval_s": 5})
    for n, poor, held in ((314, 0, 2), (315, 1, 3)):
        found = look(Scene(still(1, 300), n_frames=n), using=using)
        assert numbers(check(found, "hours of poor detection", 1))[:2] == (poor, held)


def test_where_frames_are_the_clock_none_is_omitted_by_time(look: Look, change) -> None:
    """Two of 300 frames have no row; TIMESTAMP goes back by a minute."""
    frames = [(f, t - 60_000 * (f > 150), 0) for f, t, _ in clock(300) if f not in (100, 101)]
    found = look(Scene(still(1, 300), frames), using=change(**{"stops.clock": "frame"}))
    one = check(found, "omitted frames")
    assert numbers(one) == (2, 300, 0.0067, "share", "warn")
    assert one.definition.startswith("frames by their numbers (stops.clock: frame), less unpaused FRAME rows")


def test_the_share_of_anonymous_detections_is_that_of_all_whoever_counts(tmp_path: Path, params: Params) -> None:
    """Two mice of 300 rows each, 200 rows of nobody: a quarter, also where one mouse is excluded."""
    rows = still(1, 300) + still(1, 300, x=300, animal=2) + still(1, 200, animal=None)
    for index in (True, False):
        path = Scene(rows, n_frames=300, animals={1: "a", 2: "b"}, covering_index=index).write(tmp_path / f"{index}.db")
        sample = {"a": Sample("r", "a", "c", {}, "AM")}
        for recording in (
            Recording("r", (path,), params.stops.arena),
            Recording("r", (path,), params.stops.arena, samples=sample, excluded=frozenset({"b"})),
        ):
            found = extract(recording, params)
            assert "anonymous detections 25 %" in found.quality["warned"][0]
            assert found.quality["n_others"][0] == (300 if recording.samples else 0)


# ---- Verdicts of a table ---------------------------------------------------------------------------------------------


@pytest.fixture
def extraction(tmp_path: Path, params: Params) -> Extraction:
    """Two mice, of which the second is lost for most of the time, and the odd third detection has no animal."""
    rows = still(1, 300) + still(1, 100, x=300, animal=2) + still(1, 120, animal=None)
    path = Scene(rows, n_frames=300, animals={1: "a", 2: "b"}).write(tmp_path / "r.sqlite")
    return extract(Recording("r", (path,), params.stops.arena), params)


def test_the_quality_table_says_what_inspect_says(extraction: Extraction) -> None:
    rows = extraction.quality.select("animal_id", "verdict", "failed", "warned").rows()
    assert rows == [
        (1, "fail", "", "anonymous detections 23.1 %"),
        (2, "fail", "animal 2: detection 33.3 %",
         "anonymous detections 23.1 %; animal 2: hours of poor detection 1 intervals"),
    ]  # fmt: skip
    assert failures(extraction.quality) == {"r": "animal 2: detection 33.3 %"}


def test_a_table_is_judged_anew_by_other_limits(extraction: Extraction, change: Callable[..., Params]) -> None:
    lenient = change(**{"quality.detected_fail": 0.3, "quality.anonymous_warn": 0.5, "quality.hour_detected": 0.1})
    judged = judge(extraction.quality, extraction.coverage, lenient)
    assert judged["verdict"].to_list() == ["warn"] * 2
    assert judged["warned"].to_list() == ["", "animal 2: detection 33.3 %"]
    assert failures(judged) == {}
    counts = [name for name in judged.columns if name not in ("verdict", "failed", "warned")]
    assert judged.select(counts).equals(extraction.quality.select(counts))


def test_recordings_of_a_table_are_judged_each_by_itself(extraction: Extraction, params: Params) -> None:
    good = extraction.quality.with_columns(
        recording=pl.lit("s"), n_detected=pl.lit(300, pl.Int64), n_anonymous=pl.lit(0, pl.Int64)
    )
    known = extraction.coverage.with_columns(recording=pl.lit("s"), detected=pl.col("unpaused"))
    both = pl.concat([extraction.quality, good]), pl.concat([extraction.coverage, known])
    judged = judge(*both, params)
    assert judged.select("recording", "verdict").unique().sort("recording").rows() == [("r", "fail"), ("s", "ok")]
    assert list(failures(judged)) == ["r"]


def test_a_table_without_a_row_has_no_verdict(params: Params) -> None:
    assert judge(QUALITY.empty(), COVERAGE.empty(), params).equals(QUALITY.empty())
