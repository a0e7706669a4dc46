"""Faults that real recordings carry, one scene each or more: a database with that fault, a command, a known answer.

Every scene goes through the command line and looks at what a user sees: exit code, whole lines of stderr, tables, JSON.
The order is that of docs/faults.md, which names every scene. Frames are 30 a second, intervals 20 s, unless said.
"""

import json
import sqlite3
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from conftest import (
    EVENT,
    OWN_RECORDINGS,
    T0_MS,
    Scene,
    change_params,
    clock,
    execute,
    mounted_read_only,
    still,
)
from conftest import run as running
from lmtcnn.core.words import number_of
from lmtcnn.lmt import lmt

TABLES = ("r", "quality", "coverage", "intervals")
FINISH = "let the program that writes it finish, or copy both files and ask the copy something with sqlite3"


@dataclass(frozen=True)
class Found:
    """What `lmtcnn stops` said and left."""

    code: int
    lines: list[str]
    folder: Path

    def table(self, name: str) -> pl.DataFrame:
        return pl.read_parquet(self.folder / f"{name}.parquet")

    def counts(self, *columns: str) -> list[tuple]:
        """Columns of the quality table, a row for each recording and animal."""
        return self.table("quality").select(columns).rows()

    def spans(self, name: str = "r") -> list[tuple]:
        """Animal, first and last frame of each stop of a recording."""
        return self.table(name).select("animal_id", "start_frame", "end_frame").rows()

    def column(self, column: str, name: str = "r") -> list:
        return self.table(name)[column].to_list()


def done(n_stops: int, samples: int = 1, recordings: int = 1) -> str:
    """The last line of `lmtcnn stops`."""
    words = number_of(n_stops, "stop"), number_of(samples, "sample")
    return f"{' of '.join(words)} in {number_of(recordings, 'recording')}: found"


@pytest.fixture
def stops(run, tmp_path: Path) -> Callable[..., Found]:
    """Write a scene as r.sqlite, change it with SQL, and run `lmtcnn stops` on it; or on files that are there."""

    def stops(scene: Scene | None = None, sql: Sequence[str] = (), files: Sequence[str] = ("r.sqlite",)) -> Found:
        if scene:
            (tmp_path / "r.sqlite").unlink(missing_ok=True)
            execute(scene.write(tmp_path / "r.sqlite"), *sql)
        code, out, lines = run("stops", *files, "--out", "found")
        assert out == ""
        return Found(code, lines, tmp_path / "found")

    return stops


@pytest.fixture
def inspect(run) -> Callable[[], dict[str, Any]]:
    """What `lmtcnn inspect --json` finds in r.sqlite."""

    def inspect() -> dict[str, Any]:
        code, out, _ = run("inspect", "r.sqlite", "--json")
        assert code == 0
        (found,) = json.loads(out)
        return found | {"checks": {(each["name"], each["animal_id"]): each for each in found["checks"]}}

    return inspect


class Study:
    """Recordings a, b (cages of males), c, d (of females) of one animal each, 20 s long, in raw; and their manifest."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.raw = folder, folder / "raw"
        self.raw.mkdir()
        classes = [f"  {name}: {{sex: {name[1]}, age: {age}}}\n" for name, age in zip(
            ("AM", "JM", "AF", "JF"), ("adult", "juvenile") * 2, strict=True)]  # fmt: skip
        change_params(folder, *OWN_RECORDINGS, ("".join(classes), "  M: {sex: M}\n  F: {sex: F}\n"))
        self.rfids = {"a": "001", "b": "002", "c": "003", "d": "004"}
        self.manifest()
        for name, rfid in self.rfids.items():
            self.write(name, {1: rfid})

    def write(self, name: str, animals: Mapping[int, str | None], scene: Scene | None = None) -> Path:
        """Write a recording anew."""
        path = self.raw / f"{name}.sqlite"
        path.unlink(missing_ok=True)
        rows = [row for animal in animals for row in still(1, 600, animal=animal)]
        scene = scene or Scene(rows, n_frames=600, animals=dict(animals))
        return scene.write(path)

    def manifest(self, files: Mapping[str, str] | None = None, **rfids: str) -> None:
        """Write the manifest anew, with other files and RFIDs; two RFIDs of a recording stand with a blank between."""
        lines = ["recording,rfid,cage,sex,files"]
        for name, known in (self.rfids | rfids).items():
            sex = "M" if name in "ab" else "F"
            lines += [f"{name},{rfid},c{name},{sex},{(files or {}).get(name, '')}" for rfid in known.split()]
        (self.folder / "cohort.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture
def study(run, tmp_path: Path) -> Study:
    return Study(tmp_path)


FINE = "4 recordings, 4 samples (2 M, 2 F), 4 cages: fine"


@contextmanager
def program(path: Path, code: str, *arguments: str) -> Iterator[subprocess.Popen]:
    """Another program, with `connection` to a database, that goes on until it ends or is told to."""
    begin = f"import os, sqlite3, sys, time\nconnection = sqlite3.connect({str(path)!r}, isolation_level=None)\n"
    words = [sys.executable, "-c", begin + code, *arguments]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        if process.poll() is None:
            process.communicate("\n")


# ---- Frames and their clock ------------------------------------------------------------------------------------------


def test_missing_frames_are_counted_by_the_hour(stops, inspect) -> None:
    """40 s of a still mouse; FRAME lacks 6 rows in the first interval and 20 in the second, 26 of 1,200."""
    frames = [row for row in clock(1200) if not (101 <= row[0] <= 106 or 701 <= row[0] <= 720)]
    found = stops(Scene(still(1, 1200), frames))
    assert found.lines == ["warning: r: fails: omitted frames 2.17 %", done(1)]
    assert found.spans() == [(1, 4, 1197)]
    assert found.counts("n_frames", "n_missing_frames", "n_expected_frames") == [(1174, 26, 1200)]
    assert found.table("intervals").select("interval", "unpaused", "recorded").rows() == [(0, 600, 594), (1, 600, 580)]
    told = inspect()
    assert [(hour["n_missing"], hour["n_unpaused"]) for hour in told["hours"]] == [(6, 600), (20, 600)]
    omitted = told["checks"]["omitted frames", None]
    assert (omitted["numerator"], omitted["denominator"], omitted["value"]) == (26, 1200, 0.0217)
    assert omitted["definition"].startswith("frames that unpaused time at 30 frames/s makes, less unpaused FRAME rows")


def test_where_the_rate_is_not_30_time_is_that_of_the_clock(stops) -> None:
    """600 frames at 25 a second, 23.96 s by TIMESTAMP; the mouse stops, is elsewhere at frame 301, and stops again."""
    found = stops(Scene(still(1, 300) + still(301, 600, x=300.0), clock(600, per_s=25)))
    assert found.lines == [
        "warning: r.sqlite: 25.00 frames/s measured by TIMESTAMP, stops.fps is 30",
        "warning: r: fails: omitted frames 16.7 %",
        done(2),
    ]
    assert found.column("start_s") == [3 / 25, 303 / 25]
    assert found.counts("measured_fps", "span_s", "n_frames", "n_expected_frames") == [(25.0, 23.96, 600, 720)]
    assert found.table("coverage").select("interval", "unpaused").rows() == [(0, 500), (1, 100)]


def test_paused_frames_hold_no_stop_and_are_no_time(stops, inspect) -> None:
    """A still mouse; frames 101 to 150 are paused, 1.667 s from the first of them to the frame after the last."""
    found = stops(Scene(still(1, 300), [(f, t, int(101 <= f <= 150)) for f, t, _ in clock(300)]))
    assert found.lines == [done(2)]
    assert found.spans() == [(1, 4, 97), (1, 154, 297)]
    assert found.counts("n_paused_frames", "paused_s", "n_unpaused", "n_untimed") == [(50, 1.667, 250, 50)]
    assert found.table("coverage").select("detected", "unpaused").rows() == [(250, 250)]
    assert inspect()["paused_s"] == 1.667


def test_a_pause_that_toggles_at_the_start_and_at_the_end_cuts_every_frame_apart(stops) -> None:
    """Every other one of the first and the last ten frames is paused: 1, 3, ... 9 and 292, 294, ... 300."""
    paused = {*range(1, 10, 2), *range(292, 301, 2)}
    found = stops(Scene(still(1, 300), [(f, t, int(f in paused)) for f, t, _ in clock(300)]))
    assert found.lines == [done(1)]
    assert found.spans() == [(1, 13, 288)]
    assert found.column("start_s") == [0.4 - 0.033]
    assert found.counts("n_paused_frames", "n_segments", "n_unpaused") == [(10, 4 + 1 + 4, 290)]


def test_a_clock_that_goes_back_is_refused_with_the_frame(stops, inspect) -> None:
    """Frame 151 is stamped 467 ms before frame 150. For `inspect` that is a finding."""
    found = stops(Scene(still(1, 300), [(f, t - 500 * (f > 150), 0) for f, t, _ in clock(300)]))
    assert found.code == 2
    assert found.lines == [
        "error: r.sqlite: FRAME 151: expected a TIMESTAMP that goes back by 100 ms at most, found 467 ms; "
        "leave the file out; a study may count time by frames instead (stops.clock: frame)"
    ]
    told = inspect()
    assert told["clock_steps"] == [{"frame": 151, "by_ms": -467}]
    assert told["checks"]["TIMESTAMP back", None]["verdict"] == "fail"


def test_a_small_step_back_of_the_clock_is_warned_of_and_counted(stops) -> None:
    """Frame 150 is stamped 60 ms late, so frame 151 is 27 ms before it."""
    found = stops(Scene(still(1, 300), [(f, t + 60 * (f == 150), 0) for f, t, _ in clock(300)]))
    assert found.lines == ["warning: r.sqlite: FRAME 151: TIMESTAMP goes back by 27 ms (1 steps back in all)", done(1)]
    assert found.counts("n_clock_back", "worst_back_ms", "warned") == [(1, 27, "TIMESTAMP back 1 steps")]


def test_a_jump_of_the_clock_cuts_a_stop_and_is_counted(stops, inspect) -> None:
    """Frame 151 comes 2.033 s after frame 150: 60 frames are lacking there, of 360."""
    found = stops(Scene(still(1, 300), [(f, t + 2000 * (f > 150), 0) for f, t, _ in clock(300)]))
    assert found.lines == ["warning: r: fails: omitted frames 16.7 %", done(2)]
    assert found.spans() == [(1, 4, 147), (1, 154, 297)]
    assert found.counts("n_clock_jumps", "jumped_s", "n_segments") == [(1, 2.033, 2)]
    assert inspect()["clock_steps"] == [{"frame": 151, "by_ms": 2033}]


def test_a_clock_that_drifts_is_told_by_its_rate_and_by_more_frames_than_time(stops) -> None:
    """A clock that is 3 % slow: 900 frames take 29.094 s by it, which makes 874."""
    found = stops(Scene(still(1, 900), clock(900, per_s=30.9)))
    assert found.lines == [
        "warning: r.sqlite: 30.90 frames/s measured by TIMESTAMP, stops.fps is 30",
        "warning: r: fails: omitted frames -2.97 %",
        done(1),
    ]


@pytest.mark.parametrize(
    ("off", "verdict"), [(0.0002, "ok"), (0.001, "warn"), (0.0084, "warn"), (0.012, "fail"), (0.03, "fail")]
)
def test_a_clock_that_is_fast_is_judged_as_one_that_is_as_slow(stops, off: float, verdict: str) -> None:
    """30.03 frames a second and 29.97 are both 0.1 % off; no frame is lost in either."""
    for per_s in (30 * (1 + off), 30 * (1 - off)):
        found = stops(Scene(still(1, 9000), clock(9000, per_s=per_s)))
        assert found.counts("verdict") == [(verdict,)], per_s


def test_frames_are_the_clock_only_where_the_parameters_say_so_and_loudly(stops, tmp_path: Path) -> None:
    """The clock goes back by 467 ms; with `stops.clock: frame` that is said, and does not matter."""
    scene = Scene(still(1, 300), [(f, t - 500 * (f > 150), 0) for f, t, _ in clock(300)])
    change_params(tmp_path, ("clock: timestamp", "clock: frame"))
    found = stops(scene)
    assert found.lines == [
        "warning: r.sqlite: time by frame numbers (stops.clock: frame): 9.967 s, by TIMESTAMP 9.467 s",
        "warning: r.sqlite: FRAME 151: TIMESTAMP goes back by 467 ms (1 steps back in all)",
        "warning: r.sqlite: 31.58 frames/s measured by TIMESTAMP, stops.fps is 30",
        done(1),
    ]
    assert found.column("start_s") == [0.1]
    assert found.counts("n_expected_frames", "verdict") == [(300, "warn")]


def test_a_timestamp_that_repeats_is_no_step(stops) -> None:
    """Two frames share each TIMESTAMP: frame 4 has that of frame 3, 67 ms."""
    found = stops(Scene(still(1, 301), [(f, T0_MS + round((f - 1) // 2 * 200 / 3), 0) for f in range(1, 302)]))
    assert found.lines == [done(1)]
    assert found.spans() == [(1, 4, 298)]
    assert found.column("start_s") == [0.067]
    assert found.counts("n_clock_back", "n_clock_jumps", "n_segments", "verdict") == [(0, 0, 1, "ok")]


def test_detections_in_frames_that_no_row_of_frame_knows_are_set_aside_and_counted(stops) -> None:
    """The tracker was killed between two tables: DETECTION goes on for 40 frames after the last row of FRAME."""
    found = stops(Scene(still(1, 340), n_frames=300))
    assert found.lines == [done(1)]
    assert found.spans() == [(1, 4, 297)]
    assert found.counts("n_rows", "n_detected", "n_untimed", "n_unpaused") == [(340, 300, 40, 300)]


# ---- Detections ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("covering_index", [True, False])
def test_anonymous_detections_are_no_animal_and_are_counted_by_the_hour(stops, inspect, covering_index: bool) -> None:
    """40 s of a still mouse, and 120 rows without ANIMALID in the first interval, 30 in the second."""
    rows = still(1, 1200) + still(1, 120, x=250.0, animal=None) + still(601, 630, x=250.0, animal=None)
    found = stops(Scene(rows, n_frames=1200, covering_index=covering_index))
    assert found.lines == [done(1)]
    assert found.counts("animal_id", "n_rows", "n_anonymous") == [(1, 1200, 150)]
    assert found.table("intervals").select("interval", "anonymous").rows() == [(0, 120), (1, 30)]
    told = inspect()
    assert [hour["anonymous_share"] for hour in told["hours"]] == [120 / 720, 30 / 630]
    share = told["checks"]["anonymous detections", None]
    assert (share["numerator"], share["denominator"]) == (150, 1350)


def test_positions_that_are_none_are_dropped_and_counted(stops) -> None:
    """Four rows of 300 are no place: MASS_X below 10, NULL, text, infinite; the gap of 4 frames is filled."""
    bad = [(101, 1, 9.99, 5.0), (102, 1, None, 150.0), (103, 1, "x", 150.0), (104, 1, float("inf"), 150.0)]
    found = stops(Scene(still(1, 100) + bad + still(105, 300), n_frames=300))
    assert found.lines == [done(1)]
    assert found.spans() == [(1, 4, 297)]
    assert found.counts("n_rows", "n_at_zero", "n_invalid", "n_detected", "n_filled") == [(300, 1, 3, 296, 4)]


def test_a_head_or_tail_that_is_unknown_makes_no_position_invalid(stops) -> None:
    """FRONT and BACK are -1 in every row."""
    sql = ["UPDATE DETECTION SET FRONT_X = -1, FRONT_Y = -1, FRONT_Z = -1, BACK_X = -1, BACK_Y = -1, BACK_Z = -1"]
    found = stops(Scene(still(1, 300), n_frames=300), sql)
    assert found.lines == [done(1)]
    assert found.counts("n_detected", "n_invalid", "n_at_zero") == [(300, 0, 0)]


@pytest.mark.parametrize("covering_index", [True, False])
def test_two_rows_of_an_animal_in_a_frame_are_one_whatever_their_order(stops, covering_index: bool) -> None:
    """Second rows in frame 50 (farther right), 60 (the same) and 70 (higher up, which is lower in y); any order."""
    rows = [*still(1, 300), (50, 1, 300.0, 300.0), (60, 1, 200.0, 150.0), (70, 1, 200.0, 149.0)]
    tables = []
    for seed in range(3):
        np.random.default_rng(seed).shuffle(rows)
        found = stops(Scene(rows, n_frames=300, covering_index=covering_index))
        assert found.lines == [done(1)]
        assert found.counts("n_identical", "n_conflicting", "n_detected") == [(1, 2, 300)]
        tables.append(found.table("r"))
    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])
    assert found.column("y_cm") == [pytest.approx(((293 * 150 + 149) / 294 - 63) * 10 / 57)]


def test_a_jump_of_more_than_15_cm_breaks_a_bout_and_is_counted(stops) -> None:
    """At frame 151 the mouse is 90 px (15.8 cm) away; at 301, after 10 frames without it, back again: no bridge."""
    rows = still(1, 150) + still(151, 290, x=290.0) + still(301, 450)
    found = stops(Scene(rows, n_frames=450))
    assert found.lines == [done(3)]
    assert found.spans() == [(1, 4, 147), (1, 154, 287), (1, 304, 447)]
    assert found.counts("n_jumps", "n_filled") == [(1, 0)]


def test_a_jump_is_of_15_cm_whatever_a_pixel_measures(stops, tmp_path: Path) -> None:
    """The camera hangs higher, as over rats: a pixel is 20/57 cm, so that 45 px are 15.8 cm, and 42 px 14.7."""
    change_params(tmp_path, ("cm_per_px: 10/57", "cm_per_px: 20/57"))
    found = stops(Scene(still(1, 150) + still(151, 300, x=245.0) + still(301, 450, x=203.0), n_frames=450))
    assert found.counts("n_jumps", "n_stops") == [(1, 3)]


def flicker(n: int, first: int, last: int, px: float, animal: int = 1) -> list[tuple]:
    """Rows of a mouse that rests; two of every four frames from `first` to `last` its centre is `px` farther right."""
    return [(f, animal, 200.0 + px * (first <= f <= last and (f - first) % 4 < 2), 150.0) for f in range(1, n + 1)]


def test_a_centre_that_flickers_is_counted_by_the_hour_and_warned_of(stops, inspect) -> None:
    """60 s at rest; the centre of animal 2 hops 34 px (6 cm) to and fro in the second 20 s, from frame 751 to 948."""
    rows = flicker(1800, 0, 0, 0) + flicker(1800, 751, 948, 34.0, animal=2)
    found = stops(Scene(rows, n_frames=1800, animals={1: "001", 2: "002"}))
    assert found.lines == [done(1 + 2, samples=2)]
    assert found.spans() == [(1, 4, 1797), (2, 4, 747), (2, 952, 1797)]
    assert found.counts("n_flicker", "n_detected", "warned", "verdict") == [
        (0, 1800, "", "warn"),
        (198, 1800, "animal 2: flicker 11 %", "warn"),
    ]
    assert found.counts("n_stops_flicker_0", "n_stops_flicker_9000", "stopped_s_flicker_9000") == [
        (1, 1, 1794 / 30),
        (2, 1, 1794 / 30),
    ]
    assert found.table("coverage").select("animal_id", "interval", "flicker").rows() == [
        *((1, i, 0) for i in range(3)),
        *((2, i, 198 * (i == 1)) for i in range(3)),
    ]
    told = inspect()
    assert [each["n_flicker"] for each in told["animals"][1]["intervals"]] == [0, 198, 0]
    assert told["animals"][1]["n_stops_flicker"] == {"0": 2, "9000": 1}
    one = told["checks"]["flicker", 2]
    assert (one["numerator"], one["denominator"], one["verdict"]) == (198, 1800, "warn")


def test_flicker_is_bridged_where_the_parameters_say_so(stops, tmp_path: Path) -> None:
    """198 frames of it."""
    scene = Scene(flicker(1800, 751, 948, 34.0), n_frames=1800)
    change_params(tmp_path, ("max_flicker_frames: 0 ", "max_flicker_frames: 197 "))
    assert stops(scene).counts("n_stops", "n_flicker") == [(2, 198)]
    change_params(tmp_path, ("max_flicker_frames: 197 ", "max_flicker_frames: 198 "))
    found = stops(scene)
    assert found.spans() == [(1, 4, 1797)]
    assert found.column("x_cm") == [pytest.approx((200 - 114) * 10 / 57)]
    assert found.counts("n_stops", "n_flicker", "n_stops_flicker_0") == [(1, 198, 2)]


# ---- Length ----------------------------------------------------------------------------------------------------------


def test_a_recording_that_is_too_short_is_told_and_left_out_of_training(run, study: Study) -> None:
    """Of 4 intervals of 5 s recording a has 10 s, and b 18 s: nine tenths."""
    study.write("a", {}, Scene(still(1, 301), n_frames=301, animals={1: "001"}))
    study.write("b", {}, Scene(still(1, 541), n_frames=541, animals={1: "002"}))
    words = "10 s long, 50 % of the 20 s that are counted"
    code, _, lines = run("cohort", "check")
    assert (code, lines[0]) == (0, f"warning: a: {words}: left out of training")
    assert run("stops")[0] == 0
    left_out = f"warning: a: left out of training: {words} (quality.on_fail: keep would keep it)"
    assert run("histograms") == (0, "", [left_out, "3 stacks of 4 x 30 x 30: data/histograms"])
    change_params(study.folder, ("window: all ", "window: [0, 2] "))
    words = "intervals 0 to 1 of 4 (the first 10 s)"
    assert run("histograms") == (0, "", [f"4 stacks of 2 x 30 x 30, {words}: data/histograms"])


def test_a_recording_that_goes_on_after_the_last_interval_is_refused_or_cut_on_purpose(run, study: Study) -> None:
    """Recording a has one stop in its first 20 s, and three in the 20 s after them."""
    rows = still(1, 600)
    for frame in (601, 801, 1001):
        rows += [*running(frame, frame + 99), *still(frame + 100, frame + 199, x=320.0)]
    study.write("a", {}, Scene(rows, n_frames=1200, animals={1: "001"}))
    assert run("stops")[0] == 0
    code, _, (line,) = run("histograms")
    assert code == 2
    assert line.startswith("error: a: expected stops within 4 intervals of 5 s, found 3 of 4 beyond; check")
    change_params(study.folder, ("late: refuse", "late: cut"))
    assert run("histograms") == (0, "", ["4 stacks of 4 x 30 x 30: data/histograms"])
    index = pl.read_parquet(study.folder / "data" / "histograms" / "index.parquet")
    assert index.row(0, named=True).items() >= {"n_stops": 4, "n_late": 3, "n_cut": 0}.items()


@pytest.mark.parametrize("covering_index", [True, False])
@pytest.mark.parametrize(
    "sql",
    [
        ("CREATE TABLE d AS SELECT CAST(ANIMALID AS REAL) AS ANIMALID, DATA, CAST(FRAMENUMBER AS REAL) AS FRAMENUMBER, "
         "CAST(MASS_X AS TEXT) AS MASS_X, MASS_Y FROM DETECTION"),
        ("CREATE TABLE d AS SELECT DATA, FRAMENUMBER || '.0' AS FRAMENUMBER, MASS_X, ' ' || MASS_Y AS MASS_Y, "
         "CAST(ANIMALID AS TEXT) AS ANIMALID FROM DETECTION"),
    ],
    ids=["REAL", "text"],
)  # fmt: skip
def test_numbers_that_are_stored_as_real_or_text_are_these_numbers(stops, covering_index: bool, sql: str) -> None:
    """A table that another program wrote: ANIMALID 1.0 or '1', FRAMENUMBER 7.0 or '7.0'; one MASS_X is 'n/a'."""
    swap = ["DROP TABLE DETECTION", "ALTER TABLE d RENAME TO DETECTION"]
    swap += ["CREATE INDEX i ON DETECTION(ANIMALID, FRAMENUMBER, MASS_X, MASS_Y)"] * covering_index
    odd = "UPDATE DETECTION SET MASS_X = 'n/a' WHERE rowid = 100"
    found = stops(Scene(still(1, 300), n_frames=300), [sql, *swap, odd])
    assert found.lines == [done(1)]
    assert found.spans() == [(1, 4, 297)]
    assert found.counts("n_rows", "n_detected", "n_invalid") == [(300, 299, 1)]


def test_a_time_that_is_no_whole_number_is_refused_with_its_row(stops) -> None:
    """TIMESTAMP of row 7 holds half a millisecond, and that of row 9 is a text."""
    sql = ["UPDATE FRAME SET TIMESTAMP = TIMESTAMP + 0.5 WHERE FRAMENUMBER = 7"]
    found = stops(Scene(still(1, 9), n_frames=9), [*sql, "UPDATE FRAME SET TIMESTAMP = 'x' WHERE FRAMENUMBER = 9"])
    assert found.lines == [
        "error: r.sqlite: FRAME: expected whole numbers in FRAMENUMBER (0 or more), TIMESTAMP (ms, to the year 3000) "
        "and PAUSED, found 2 rows without: "
        "TIMESTAMP is 1700000000200.5 in row 7; leave the file out"
    ]


# ---- Animals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "others"),
    [
        ("Id INTEGER PRIMARY KEY, rfid TEXT, NAME TEXT", {"NAME": None}),
        ("ID INTEGER PRIMARY KEY, RFID TEXT, GENOTYPE TEXT, NAME TEXT", {"GENOTYPE": None, "NAME": None}),
        (
            "sex, STRAIN, Genotype, RFID TEXT, SETUP, age REAL, name, TREATMENT, id INTEGER PRIMARY KEY",
            dict.fromkeys(("SEX", "STRAIN", "GENOTYPE", "SETUP", "AGE", "NAME", "TREATMENT")),
        ),
        (
            "ID INTEGER PRIMARY KEY, A, B, C, D, E, F, G, H, I, J, RFID TEXT",
            dict.fromkeys("ABCDEFGHIJ"),
        ),
    ],
    ids=["3 columns", "4 columns", "9 columns", "12 columns"],
)
def test_columns_of_animal_may_be_of_any_number_order_and_case(stops, inspect, columns: str, others: dict) -> None:
    """ANIMAL as other tools leave it."""
    sql = ["DROP TABLE ANIMAL", f"CREATE TABLE animal ({columns})", "INSERT INTO ANIMAL (ID, RFID) VALUES (1, '001')"]
    found = stops(Scene(still(1, 300), n_frames=300), sql)
    assert found.lines == [done(1)]
    assert found.counts("animal_id", "rfid") == [(1, "001")]
    assert inspect()["animals"][0]["columns"] == others


def test_numbers_of_animals_may_have_gaps(stops) -> None:
    """ANIMAL holds 3, 7 and 12: rows were deleted."""
    animals = {3: "c", 7: "a", 12: "b"}
    rows = [row for animal in animals for row in still(1, 300, x=150.0 + 10 * animal, animal=animal)]
    found = stops(Scene(rows, n_frames=300, animals=dict(animals)))
    assert found.lines == [done(3, samples=3)]
    assert found.counts("animal_id", "rfid", "n_detected") == [(3, "c", 300), (7, "a", 300), (12, "b", 300)]
    assert found.spans() == [(3, 4, 297), (7, 4, 297), (12, 4, 297)]


@pytest.mark.parametrize("n", range(1, 9))
def test_any_number_of_animals_is_read_alike_with_and_without_the_covering_index(run, tmp_path: Path, n: int) -> None:
    """Animal i is known in the first 200 + 10 i frames, in one place: its stop ends 3 frames before that."""
    rows = [row for i in range(1, n + 1) for row in still(1, 200 + 10 * i, x=150.0 + 10 * i, animal=i)]
    np.random.default_rng(n).shuffle(rows)
    found = []
    for folder, covering_index in (("with", True), ("without", False)):
        (tmp_path / folder).mkdir()
        animals: dict[int, str | None] = {i: f"00{i}" for i in range(1, n + 1)}
        scene = Scene(rows, n_frames=300, animals=animals, covering_index=covering_index)
        scene.write(tmp_path / folder / "r.sqlite")
        code, _, lines = run("stops", f"{folder}/r.sqlite", "--out", f"{folder}/found")
        assert (code, lines) == (0, [done(n, samples=n).replace("found", f"{folder}/found")])
        found.append(Found(code, lines, tmp_path / folder / "found"))
    assert found[0].spans() == [(i, 4, 197 + 10 * i) for i in range(1, n + 1)]
    assert all(found[0].table(name).equals(found[1].table(name)) for name in TABLES)


def test_an_rfid_that_two_rows_of_animal_share_is_refused_by_name(run, study: Study) -> None:
    """Animals 1 and 2 of recording a are both 001."""
    study.write("a", {1: "001", 2: "001"})
    assert run("cohort", "check") == (
        2,
        "",
        ["error: raw/a.sqlite: ANIMAL: expected each RFID once, found 001 twice; correct a copy of the file"],
    )


@pytest.mark.parametrize("covering_index", [True, False])
def test_an_rfid_that_stands_twice_is_one_animal_where_only_one_row_was_detected(stops, covering_index: bool) -> None:
    """Animals 1 and 2 are both 001; 1 has no row in DETECTION."""
    animals: dict[int, str | None] = {1: "001", 2: "001"}
    scene = Scene(still(1, 300, animal=2), n_frames=300, animals=animals, covering_index=covering_index)
    found = stops(scene)
    assert found.lines == [done(1)]
    assert found.counts("animal_id", "rfid", "n_detected") == [(2, "001", 300)]


def test_an_animal_whose_chip_was_not_read_is_one_of_its_recording_unless_the_manifest_names_it(
    run, study: Study
) -> None:
    """Recordings a, b (in cages of their own) and d hold an RFID_C; the manifest says that d's is the mouse of c."""
    for name in "abd":
        study.write(name, {1: study.rfids[name], 2: "RFID_C"})
    study.manifest(a="001 RFID_C", b="002 RFID_C")
    said = "joined with no animal of another recording; a column animal can say who it is"
    code, out, lines = run("cohort", "check", "--workers", "1")
    assert (code, out.splitlines()[-1]) == (
        0,
        "4 recordings, 6 samples (4 M, 2 F), 4 cages: usable, with the warnings above",
    )
    assert lines == [
        "warning: d.sqlite: left out, not in the manifest: RFID_C",
        *(f"warning: cage c{name}: no chip read (RFID_C) in {name}: {said}" for name in "ab"),
    ]
    assert run("stops")[0] == run("histograms")[0] == 0
    index = pl.read_parquet(study.folder / "data" / "histograms" / "index.parquet")
    assert index["animal"].to_list() == ["001", "RFID_C of a", "002", "RFID_C of b", "003", "004"]
    quality = pl.read_parquet(study.folder / "data" / "stops" / "quality.parquet")
    assert quality.filter(pl.col("warned") != "").select("recording", "animal_id", "warned").rows() == [
        (name, 2, "animal 2: no chip read") for name in "ab"
    ]
    manifest = (study.folder / "cohort.csv").read_text().replace("files", "files,animal")
    manifest = manifest.replace("cd,F,", "cc,F,,") + "d,RFID_C,cc,F,,003\n"
    (study.folder / "cohort.csv").write_text(manifest)
    assert [line for line in run("cohort", "check")[2] if "same time" in line] == [
        "warning: c and d: animal 003 at the same time in both: a copy of a file?"
    ]


def test_a_chip_that_two_mice_bore_is_two_animals_where_the_manifest_names_them(run, study: Study) -> None:
    """001 was in cage a and, when that mouse was dead, in another of cage c; who is named in one row only is told."""
    study.write("c", {1: "001"})
    study.manifest(c="001")
    (line,) = run("cohort", "check")[2]
    assert line == (
        "error: cohort.csv: RFID 001: expected one cage, found ca, cc; an animal in two cages would be trained on and "
        "tested: give cages that shared animals one name; where two mice bore one chip, say who is who in a column "
        "animal"
    )
    text = (study.folder / "cohort.csv").read_text().replace("files", "files,animal")
    (study.folder / "cohort.csv").write_text(text.replace("c,001,cc,F,", "c,001,cc,F,,Ann"))
    assert run("cohort", "check")[::2] == (
        0,
        ["warning: RFID 001: the column animal names nobody in a, Ann in c: taken for 2 animals"],
    )
    (study.folder / "cohort.csv").write_text(
        text.replace("c,001,cc,F,", "c,001,cc,F,,Ann").replace("001,ca,M,", "001,ca,M,,Tom")
    )
    code, out, lines = run("cohort", "check")
    assert (code, out.splitlines()[-1], lines) == (0, FINE, [])


@pytest.mark.parametrize("covering_index", [True, False])
def test_rows_of_animal_that_were_never_detected_are_named_and_make_nothing_fail(
    stops, inspect, covering_index: bool
) -> None:
    """One still mouse, and two rows of ANIMAL from before the chips were read."""
    animals = {1: "001", 2: "RFID_A", 3: None}
    found = stops(Scene(still(1, 300), n_frames=300, animals=animals, covering_index=covering_index))
    ghosts = ["animal 2 (RFID_A)", "animal 3 (no RFID)"]
    assert found.lines == [f"warning: r.sqlite: never detected, so no animals: {', '.join(ghosts)}", done(1)]
    assert found.counts("animal_id", "verdict", "never_detected") == [(1, "ok", "; ".join(ghosts))]
    assert found.column("animal_id", "coverage") == [1]
    seen = inspect()
    assert (seen["verdict"], seen["never_detected"], len(seen["animals"])) == ("ok", ghosts, 1)


def test_an_animal_of_the_manifest_that_was_never_detected_fails_its_recording_and_is_told(run, study: Study) -> None:
    """Recording a names 005, a row of ANIMAL without one of DETECTION; 006, such a row too, is not named."""
    study.write("a", {}, Scene(still(1, 600), n_frames=600, animals={1: "001", 2: "005", 3: "006"}))
    study.manifest(a="001 005")
    lost = "a: RFID 005 is in the manifest, but was never detected: the recording fails"
    assert f"warning: {lost}" in run("cohort", "check")[2]
    assert run("stops") == (
        0,
        "",
        [
            "warning: a: in the manifest, but never detected: animal 2 (005); was it there? `yes` in the column "
            "`exclude` leaves it out",
            "warning: a: fails: animal 2: detection 0 %",
            "4 stops of 5 samples in 4 recordings: data/stops",
        ],
    )


def test_an_animal_without_one_position_fails_its_recording(stops) -> None:
    """Animal 2 is at 0 throughout: the tracker knew of it, and not where it was."""
    scene = Scene(still(1, 300) + still(1, 300, x=0.0, animal=2), n_frames=300, animals={1: "001", 2: "002"})
    found = stops(scene)
    assert found.lines == ["warning: r: fails: animal 2: detection 0 %", done(1, samples=2)]
    assert found.counts("animal_id", "n_rows", "n_detected", "never_detected") == [(1, 300, 300, ""), (2, 300, 0, "")]


def test_an_rfid_that_is_missing_is_refused_with_what_is_there(run, study: Study) -> None:
    """Recording a has an animal without an RFID, so that 001 of the manifest is nobody."""
    study.write("a", {1: None, 2: "009"})
    assert run("cohort", "check") == (
        2,
        "",
        ["error: raw/a.sqlite: ANIMAL: expected RFID 001 of the manifest, found (none), 009; correct the manifest"],
    )


def test_leading_zeros_that_were_lost_are_found_again_with_a_warning(run, study: Study) -> None:
    """The manifest says 1 and 02, the databases 001 and 002."""
    study.manifest(a="1", b="02")
    code, out, lines = run("cohort", "check", "--workers", "1")
    assert (code, out.splitlines()[-1]) == (0, FINE)
    assert lines == [
        "warning: a.sqlite: RFID 001 taken for 1 of the manifest",
        "warning: b.sqlite: RFID 002 taken for 02 of the manifest",
    ]


def test_an_rfid_that_the_file_holds_as_a_number_is_matched_with_a_warning(run, study: Study) -> None:
    """Recording a holds 1.0 for 001 of the manifest, b 2.0 for 2.0."""
    study.write("a", {1: 1.0})  # type: ignore[dict-item]
    study.write("b", {1: 2.0})  # type: ignore[dict-item]
    study.manifest(b="2.0")
    code, out, lines = run("cohort", "check", "--workers", "1")
    assert (code, out.splitlines()[-1]) == (0, FINE)
    number = "ANIMAL 1: RFID stored as the number {0}.0, read as {0}: leading zeros are lost; compare it with the "
    number += "chip, and write it as text into a copy of the file"
    assert sorted(lines) == [
        "warning: a.sqlite: " + number.format(1),
        "warning: a.sqlite: RFID 1 taken for 001 of the manifest",
        "warning: b.sqlite: " + number.format(2),
        "warning: b.sqlite: RFID 2 taken for 2.0 of the manifest",
    ]


def test_leading_zeros_are_not_guessed_where_two_animals_would_do(run, study: Study) -> None:
    """The manifest says 1, the database 001 and 01."""
    study.manifest(a="1")
    study.write("a", {1: "001", 2: "01"})
    assert run("cohort", "check") == (
        2,
        "",
        ["error: raw/a.sqlite: ANIMAL: expected RFID 1 of the manifest, found 001, 01; correct the manifest"],
    )


def test_an_rfid_that_a_spreadsheet_turned_into_a_number_is_refused_with_its_row(run, study: Study) -> None:
    """Row 2 of the manifest is recording a's."""
    study.manifest(a="9.00E+14")
    assert run("cohort", "check") == (
        2,
        "",
        [
            "warning: a.sqlite: left out, not in the manifest: 001",
            "error: cohort.csv: row 2: expected an RFID as text, found 9.00E+14, a spreadsheet's number; "
            "format the column as text and enter it again",
        ],
    )


def test_an_animal_that_the_manifest_does_not_know_is_left_out_and_named(run, study: Study) -> None:
    """Recording a holds 009 too: it is in no table."""
    study.write("a", {1: "001", 2: "009"})
    code, _, lines = run("stops", "--out", "found")
    assert code == 0
    assert lines == ["warning: a.sqlite: left out, not in the manifest: 009", done(4, 4, 4)]
    found = Found(code, lines, study.folder / "found")
    known = [("a", "001", "009"), ("b", "002", ""), ("c", "003", ""), ("d", "004", "")]
    assert found.counts("recording", "rfid", "unlisted") == known


def test_an_animal_that_no_database_knows_is_an_error(run, study: Study) -> None:
    """The manifest has 009 in recording a as well."""
    study.manifest(a="001 009")
    assert run("cohort", "check") == (
        2,
        "",
        ["error: raw/a.sqlite: ANIMAL: expected RFID 009 of the manifest, found 001; correct the manifest"],
    )


def test_detections_of_an_animal_that_is_not_in_animal_belong_to_nobody(stops) -> None:
    """300 rows of ANIMALID 9, which ANIMAL does not have; they are in no table."""
    for covering_index in (True, False):
        rows = still(1, 300) + still(1, 300, x=300.0, animal=9)
        found = stops(Scene(rows, n_frames=300, covering_index=covering_index))
        assert found.lines == ["warning: r.sqlite: 300 detections of animals that are not in ANIMAL", done(1)]
        assert found.counts("animal_id", "n_rows", "n_anonymous", "n_others") == [(1, 300, 0, 0)]


# ---- Several files ---------------------------------------------------------------------------------------------------


def later(seconds: float, n: int = 300) -> list[tuple[object, object, int]]:
    """FRAME rows 1..n, some seconds later: FRAMENUMBER restarts."""
    return [(f, t + round(1000 * seconds), paused) for f, t, paused in clock(n)]


def test_files_of_one_recording_are_joined_by_rfid_in_order_of_time(run, study: Study) -> None:
    """Recording a is two files of 10 s, named in the wrong order; 001 is 1 in the first and 2 in the second.

    Frames of the second file, 10 s later, are shifted by 300. No stop crosses files.
    """
    animals = {1: "001", 2: "005"}
    rows = still(1, 300, x=150.0) + still(1, 300, x=300.0, animal=2)
    study.write("a1", animals, Scene(rows, n_frames=300, animals=dict(animals)))
    swapped = [(f, 3 - animal, x, y) for f, animal, x, y in rows]
    study.write("a2", animals, Scene(swapped, later(10), animals={2: "001", 1: "005"}))
    study.manifest({"a": "a2.sqlite; a1.sqlite"}, a="001 005")
    code, _, lines = run("stops", "--out", "found")
    assert (code, lines) == (0, [done(4 + 3, samples=5, recordings=4)])
    found = Found(code, lines, study.folder / "found")
    assert found.spans("a") == [(1, 4, 297), (1, 304, 597), (2, 4, 297), (2, 304, 597)]
    assert found.column("start_s", "a") == [0.1, 10.1, 0.1, 10.1]
    assert found.column("rfid", "a") == ["001", "001", "005", "005"]


@pytest.mark.parametrize("by", ["timestamp", "frame"])
def test_files_whose_frame_numbers_go_on_keep_them(run, study: Study, by: str) -> None:
    """Recording a lasts 10 s and, 10 s later, another 10 s, in frames 601 to 900: what lies between was cut out."""
    change_params(study.folder, ("clock: timestamp", f"clock: {by}"))
    study.write("a1", {1: "001"}, Scene(still(1, 300), n_frames=300, animals={1: "001"}))
    night = [(f, T0_MS + round((f - 1) * 1000 / 30), 0) for f in range(601, 901)]
    study.write("a2", {1: "001"}, Scene(still(601, 900), night, animals={1: "001"}))
    study.manifest({"a": "a2.sqlite; a1.sqlite"})
    code, _, lines = run("stops", "--out", "found")
    found = Found(code, lines, study.folder / "found")
    assert (code, lines[-1]) == (0, done(2 + 3, samples=4, recordings=4))
    assert [line for line in lines if "by frame numbers" not in line] == [lines[-1]]
    assert found.spans("a") == [(1, 4, 297), (1, 604, 897)]
    assert found.column("start_s", "a") == pytest.approx([0.1, 20.1])
    columns = ("n_frames", "n_missing_frames", "n_expected_frames", "n_clock_jumps", "verdict")
    assert found.counts("recording", *columns)[0] == ("a", 600, 0, 600, 0, "ok")
    assert found.counts("span_s")[0][0] == pytest.approx(29.967, abs=1e-3)
    covered = found.table("coverage").filter(recording="a").select("interval", "detected", "unpaused")
    assert covered.rows() == [(0, 150, 150), (1, 150, 150), (4, 150, 150), (5, 150, 150)]
    assert run("cohort", "check")[0] == 0


def test_files_between_which_the_clock_was_set_are_told(run, study: Study) -> None:
    """Frame 301 follows frame 300 in the next file; by TIMESTAMP a day lies between."""
    study.write("a1", {1: "001"}, Scene(still(1, 300), n_frames=300, animals={1: "001"}))
    night = [(f, T0_MS + 86_400_000 + round((f - 1) * 1000 / 30), 0) for f in range(301, 601)]
    study.write("a2", {1: "001"}, Scene(still(301, 600), night, animals={1: "001"}))
    study.manifest({"a": "a1.sqlite; a2.sqlite"})
    code, _, lines = run("stops", "--out", "found")
    assert (code, lines) == (
        0,
        [
            "warning: a1.sqlite and a2.sqlite: frame numbers go on; between the files are 0.033 s by them, 24 h by "
            "TIMESTAMP",
            done(2 + 3, samples=4, recordings=4),
        ],
    )
    found = Found(code, lines, study.folder / "found")
    assert found.spans("a") == [(1, 4, 297), (1, 304, 597)]
    columns = ("n_expected_frames", "n_clock_jumps", "jumped_s", "warned")
    assert found.counts(*columns)[0] == (600, 1, 86_400.0, "TIMESTAMP jumps 1 steps")


def test_files_that_overlap_in_time_are_refused(run, study: Study) -> None:
    """The second file of recording a begins 9 s after the first, which lasts 9.967 s."""
    for name, seconds in (("a1", 0), ("a2", 9)):
        study.write(name, {1: "001"}, Scene(still(1, 300), later(seconds), animals={1: "001"}))
    study.manifest({"a": "a1.sqlite;a2.sqlite"})
    assert run("cohort", "check") == (
        2,
        "",
        [
            "error: raw/a2.sqlite: expected a file that begins after a1.sqlite ends, found an overlap in time; "
            "give each stretch of time once in the manifest's files"
        ],
    )


def test_an_animal_of_one_file_only_is_one_of_the_recording(run, study: Study) -> None:
    """Recording a is two files of 10 s; 001 is in the first only, 005 in the second only: each is unknown for half."""
    study.write("a1", {1: "001"}, Scene(still(1, 300), n_frames=300, animals={1: "001"}))
    study.write("a2", {1: "005"}, Scene(still(1, 300), later(10), animals={1: "005"}))
    study.manifest({"a": "a1.sqlite;a2.sqlite"}, a="001 005")
    code, _, lines = run("stops", "--out", "found", "--workers", "1")
    assert lines == [
        "warning: a1.sqlite: RFID 005 is in another file of the recording only",
        "warning: a2.sqlite: RFID 001 is in another file of the recording only",
        done(2 + 3, samples=5, recordings=4),
    ]
    assert code == 0
    found = Found(code, lines, study.folder / "found")
    assert found.spans("a") == [(1, 4, 297), (2, 304, 597)]
    columns = ("rfid", "n_detected", "n_unpaused", "n_frames", "span_s")
    assert found.counts(*columns)[:2] == [("001", 300, 600, 600, 19.967), ("005", 300, 600, 600, 19.967)]
    covered = found.table("coverage").filter(recording="a").select("animal_id", "interval", "detected", "unpaused")
    assert covered.rows() == [(1, i, 150 * (i < 2), 150) for i in range(4)] + [
        (2, i, 150 * (i >= 2), 150) for i in range(4)
    ]


def test_an_animal_whose_chip_was_not_read_is_never_joined_over_files(run, study: Study) -> None:
    """Recording a is two files, each with an RFID_C; then only the first has seen one."""
    rows = still(1, 300) + still(1, 300, x=300.0, animal=2)
    animals = {1: "001", 2: "RFID_C"}
    study.write("a", {}, Scene(rows, clock(300), animals))
    path = study.write("a2", {}, Scene(rows, later(10), animals))
    study.manifest({"a": "a.sqlite; a2.sqlite"}, a="001 RFID_C")
    assert run("cohort", "check") == (
        2,
        "",
        [
            "error: raw/a.sqlite: ANIMAL: expected the RFID of a chip, to join the files by, found no chip read "
            "(RFID_C) in 2 files: it need not be one mouse; write the RFID into ANIMAL of a copy of each, or exclude "
            "the animal in the manifest"
        ],
    )
    execute(path, "DELETE FROM DETECTION WHERE ANIMALID = 2")
    code, _, lines = run("stops", "--out", "found")
    assert code == 0
    assert Found(code, lines, study.folder / "found").counts("recording", "rfid", "n_detected")[:2] == [
        ("a", "001", 600),
        ("a", "RFID_C", 300),
    ]


def test_an_animal_that_no_file_of_a_recording_knows_is_an_error(run, study: Study) -> None:
    """The manifest has 009 in recording a, which is two files."""
    for name, seconds in (("a1", 0), ("a2", 10)):
        study.write(name, {1: "001"}, Scene(still(1, 300), later(seconds), animals={1: "001"}))
    study.manifest({"a": "a1.sqlite;a2.sqlite"}, a="001 009")
    assert run("cohort", "check") == (
        2,
        "",
        ["error: raw/a1.sqlite: ANIMAL: expected RFID 009 of the manifest, found 001; correct the manifest"],
    )


# ---- What other tools did --------------------------------------------------------------------------------------------


def test_a_study_that_mixes_corrected_identities_with_others_is_warned_of(run, study: Study) -> None:
    """CorrectDetectionIntegrity was run on recordings a and b: it left an event."""
    for name in "ab":
        execute(study.raw / f"{name}.sqlite", EVENT, "INSERT INTO EVENT (NAME) VALUES ('IDs integrity ok')")
    mixed = (
        "warning: identities were corrected (CorrectDetectionIntegrity) in 2 of 4 recordings: a, b; "
        "it takes them away where not all animals are seen: correct all of them, or none"
    )
    code, _, lines = run("cohort", "check")
    assert (code, lines) == (0, [mixed])
    code, _, lines = run("stops", "--out", "found")
    assert (code, lines) == (0, [mixed, done(4, 4, 4)])
    found = Found(code, lines, study.folder / "found").counts("recording", "identity_corrected", "warned")
    assert found == [
        *((name, True, "identity corrected 1 runs") for name in "ab"),
        *((name, False, "") for name in "cd"),
    ]


# ---- Files that are in use, or cannot be written ---------------------------------------------------------------------

WRITER = """
step = int(sys.argv[1])
for block in range(1, 26):
    frames = range(step * (block - 1) + 1, step * block + 1)
    connection.execute("BEGIN")
    for animal in (1, 2):
        rows = [(f, animal, 100.0 + 50 * animal, 150.0) for f in frames]
        connection.executemany("INSERT INTO DETECTION (FRAMENUMBER, ANIMALID, MASS_X, MASS_Y, DATA) "
                               "VALUES (?, ?, ?, ?, '<x/>')", rows)
    stamps = [(f, 1_700_000_000_000 + round((f - 1) * 1000 / 30)) for f in frames]
    connection.executemany("INSERT INTO FRAME VALUES (?, ?, 1, 0)", stamps)
    connection.execute("COMMIT")
    print(flush=True)
    time.sleep(0.03)
"""
STEP = 40

IN_USE = (
    "a database that nobody writes, found one that changed meanwhile; close the program that writes it",
    "a database that nobody writes, found database is locked; close the program that writes it",
    f"a finished database, found a hot journal r.sqlite-journal; {FINISH}",
)


@pytest.mark.parametrize("covering_index", [True, False])
def test_a_recording_in_progress_is_read_as_it_was_between_two_blocks_or_refused_in_one_line(
    stops, tmp_path: Path, covering_index: bool
) -> None:
    """A program inserts 25 blocks of 40 frames of two still mice while `lmtcnn stops` is run again and again.

    Whatever a run reads is a number of whole blocks; a run that does not read says why, and nothing hinders the writer.
    """
    Scene([], [(0, T0_MS - 33, 1)], {1: "001", 2: "002"}, covering_index).write(tmp_path / "r.sqlite")
    read = []
    with program(tmp_path / "r.sqlite", WRITER, str(STEP)) as writer:
        writer.stdout.readline()
        while writer.poll() is None:
            found = stops()
            if found.code:
                (line,) = found.lines
                assert line in [f"error: r.sqlite: expected {words}" for words in IN_USE]
            else:
                read.append(whole_blocks(found))
    assert writer.returncode == 0
    assert whole_blocks(stops()) == 25
    assert read == sorted(read)


def whole_blocks(found: Found) -> int:
    """How many blocks of the writer's a run has read, of both animals."""
    assert found.lines[-1] == done(2, samples=2)
    (n, *_), (m, *_) = found.counts("n_unpaused", "n_detected", "n_rows")
    assert n == m
    assert n % STEP == 0
    assert found.counts("n_unpaused", "n_detected", "n_rows") == [(n, n, n)] * 2
    assert found.spans() == [(1, 4, n - 3), (2, 4, n - 3)]
    return n // STEP


def test_a_database_that_another_program_has_locked_is_told_in_one_line(
    stops, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds SQLite's exclusive lock; one waits for it for 5 s, here for 0.05."""
    monkeypatch.setattr(lmt, "BUSY_S", 0.05)
    path = Scene(still(1, 300), n_frames=300).write(tmp_path / "r.sqlite")
    with program(path, "connection.execute('BEGIN EXCLUSIVE'); print(flush=True); input()") as other:
        other.stdout.readline()
        assert stops().lines == [f"error: r.sqlite: expected {IN_USE[1]}"]
    assert stops().lines == [done(1)]


def test_a_journal_that_a_killed_program_left_is_told_and_left_alone(stops, tmp_path: Path) -> None:
    """It was killed in the middle of a transaction of which a part was in the file already."""
    path = Scene(still(1, 6000), n_frames=6000).write(tmp_path / "r.sqlite")
    killed = "for words in ('PRAGMA cache_size = 1', 'BEGIN', 'UPDATE DETECTION SET MASS_X = 300'):\n"
    with program(path, killed + "    connection.execute(words)\nos.kill(os.getpid(), 9)") as other:
        other.wait()
    before = {each.name: each.read_bytes() for each in tmp_path.glob("r.sqlite*")}
    assert sorted(before) == ["r.sqlite", "r.sqlite-journal"]
    assert stops().lines == [f"error: r.sqlite: expected {IN_USE[2]}"]
    assert {each.name: each.read_bytes() for each in tmp_path.glob("r.sqlite*")} == before


def test_changes_that_a_wal_file_still_holds_are_told_and_left_alone(stops, tmp_path: Path) -> None:
    """A program that writes in WAL mode was killed before its changes were merged."""
    path = Scene(still(1, 300), n_frames=300).write(tmp_path / "r.sqlite")
    killed = "connection.execute('PRAGMA journal_mode = WAL'); connection.execute('UPDATE FRAME SET PAUSED = 1')\n"
    with program(path, killed + "os.kill(os.getpid(), 9)") as other:
        other.wait()
    before = {each.name: each.read_bytes() for each in tmp_path.glob("r.sqlite*")}
    assert "r.sqlite-wal" in before
    assert stops().lines == [
        f"error: r.sqlite: expected a finished database, found unmerged changes in r.sqlite-wal; {FINISH}"
    ]
    assert {each.name: each.read_bytes() for each in tmp_path.glob("r.sqlite*")} == before


def test_a_database_in_wal_mode_that_was_merged_is_read_and_nothing_is_left_beside_it(stops, tmp_path: Path) -> None:
    """Its header still says WAL, for which SQLite would make two files beside it."""
    found = stops(
        Scene(still(1, 300), n_frames=300), ["PRAGMA journal_mode = WAL", "UPDATE DETECTION SET MASS_X = 210"]
    )
    assert found.lines == [done(1)]
    assert found.column("x_cm") == [pytest.approx((210 - 114) * 10 / 57)]
    assert sorted(each.name for each in tmp_path.glob("r.sqlite*")) == ["r.sqlite"]


def test_a_disk_that_cannot_be_written_is_enough(run, study: Study) -> None:
    """The folder of the recordings is mounted read-only, one of them in WAL mode."""
    execute(study.raw / "a.sqlite", "PRAGMA journal_mode = WAL")
    with mounted_read_only(study.raw) as mounted:
        if not mounted:
            pytest.skip("this process may not mount")
        code, out, lines = run("cohort", "check")
        assert (code, out.splitlines()[-1], lines) == (0, FINE, [])
        assert run("stops", "--out", "found") == (0, "", [done(4, 4, 4)])


# ---- Files that are damaged, or no recordings ------------------------------------------------------------------------


def test_a_file_that_is_no_sound_recording_is_named_with_the_reason_and_the_others_are_done(
    stops, tmp_path: Path
) -> None:
    """Empty, text, cut in the middle, no tables of LMT, no animal, a page of noise, no file at all; and a sound one."""
    scene = Scene(still(1, 3000), n_frames=3000)
    sound = scene.write(tmp_path / "r.sqlite").read_bytes()
    (tmp_path / "empty.sqlite").write_bytes(b"")
    (tmp_path / "text.sqlite").write_text("FRAMENUMBER,ANIMALID\n")
    (tmp_path / "cut.sqlite").write_bytes(sound[: len(sound) // 2])
    with closing(sqlite3.connect(tmp_path / "other.sqlite")) as connection:
        connection.execute("CREATE TABLE ANIMAL (ID INTEGER, NAME TEXT)")
    execute(scene.write(tmp_path / "nobody.sqlite"), "DELETE FROM ANIMAL")
    (tmp_path / "noise.sqlite").write_bytes(sound[:4096] + np.random.default_rng(0).bytes(4096) + sound[8192:])
    names = ("empty", "text", "cut", "other", "nobody", "noise", "r", "missing")
    found = stops(files=[f"{name}.sqlite" for name in names])
    assert found.code == 2
    assert found.lines == [
        "error: empty.sqlite: expected an LMT database, found an empty file (0 bytes); copy it again",
        "error: text.sqlite: expected an SQLite database, found another kind of file; check the path",
        f"error: cut.sqlite: expected {len(sound)} bytes, found {len(sound) // 2}; truncated: copy it again",
        "error: other.sqlite: expected the tables of an LMT database, found no column RFID in ANIMAL; "
        "no table DETECTION; no table FRAME; leave the file out",
        "error: nobody.sqlite: ANIMAL: expected a row for each mouse, found no animal; leave the file out",
        "error: noise.sqlite: expected a sound SQLite database, found database disk image is malformed; "
        "copy it again from its source",
        "error: missing.sqlite: expected an LMT database, found no file; check the path",
    ]
    assert found.spans() == [(1, 4, 2997)]
    assert found.counts("recording") == [("r",)]


def test_files_of_systems_beside_recordings_are_passed_over(run, study: Study) -> None:
    """A Mac, Windows and a network store left theirs in the folder; named, one is told."""
    for name in ("._a.sqlite", "Thumbs.db", ".Trash-1000/files/a.sqlite", "@eaDir/a.db"):
        (study.raw / name).parent.mkdir(parents=True, exist_ok=True)
        (study.raw / name).write_bytes(b"Mac OS X")
    code, out, lines = run("cohort", "check")
    assert (code, out.splitlines()[-1], lines) == (0, FINE, [])
    assert run("stops", "raw", "--out", "found") == (0, "", [done(4, 4, 4)])
    assert run("stops", "raw/._a.sqlite", "--out", "other")[2] == [
        "error: raw/._a.sqlite: expected an SQLite database, found another kind of file; check the path"
    ]


@pytest.mark.parametrize("covering_index", [True, False])
def test_a_copy_that_is_old_in_front_and_new_behind_is_refused(stops, tmp_path: Path, covering_index: bool) -> None:
    """It was made while a program saved a block; only where it happens to be whole, before or after it, it is read."""
    path = Scene(still(1, 3000), n_frames=3000, covering_index=covering_index).write(tmp_path / "r.sqlite")
    old = path.read_bytes()
    frames = [row for row in clock(3150) if row[0] > 3000]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany("INSERT INTO FRAME VALUES (?, ?, 1, ?)", frames)
        words = "INSERT INTO DETECTION (FRAMENUMBER, ANIMALID, MASS_X, MASS_Y, DATA) VALUES (?, ?, ?, ?, '<x/>')"
        connection.executemany(words, still(3001, 3150, x=300.0))
    new, refused = path.read_bytes(), 0
    for cut in range(5 * 4096, len(old), 8 * 4096):
        path.write_bytes(old[:cut] + new[cut:])
        found = stops()
        if found.code:
            refused += 1
            assert found.lines[0].startswith("error: r.sqlite: expected a sound SQLite database, found ")
            assert found.lines[0].endswith("; copy it again from its source")
        else:
            assert found.spans() in ([(1, 4, 2997)], [(1, 4, 2997), (1, 3004, 3147)])
    assert refused > 2


# ---- Large files, odd names ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("covering_index", [True, False])
def test_of_a_large_file_little_is_read_and_less_is_held(stops, tmp_path: Path, covering_index: bool) -> None:
    """600 rows with 100,000 letters of DATA each: 60 MB, of which less than a tenth is read, and less held at once."""
    scene = Scene(still(1, 600), n_frames=600, covering_index=covering_index)
    execute(scene.write(tmp_path / "r.sqlite"), "UPDATE DETECTION SET DATA = hex(zeroblob(50000))")
    size = (tmp_path / "r.sqlite").stat().st_size
    assert size > 60e6
    stops()  # what a command loads is loaded
    tracemalloc.start()
    before = bytes_read()
    found = stops()
    read, held = bytes_read() - before, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.spans() == [(1, 4, 597)]
    assert read < size / 10
    assert held < size / 10


def bytes_read() -> int:
    """Bytes that this process has asked of files so far; 0 where the system does not say."""
    told = Path("/proc/self/io")
    return int(told.read_text().split()[1]) if told.is_file() else 0


def test_names_of_files_mean_nothing(run, study: Study) -> None:
    """Blanks, accents, an underscore, brackets, a percent sign, a question mark: the manifest says who is who."""
    names = {
        "a": "Käfig 1 (5 weeks).sqlite",
        "b": "b_002_%20?#.db",
        "c": "été [3]*.sqlite3",
        "d": "sub folder/d 4.sqlite",
    }
    (study.raw / "sub folder").mkdir()
    for name, file in names.items():
        (study.raw / f"{name}.sqlite").rename(study.raw / file)
    study.manifest(names)
    code, out, lines = run("cohort", "check")
    assert (code, out.splitlines()[-1], lines) == (0, FINE, [])
    code, _, lines = run("stops", "--out", "found")
    assert (code, lines) == (0, [done(4, 4, 4)])
    found = Found(code, lines, study.folder / "found")
    assert found.counts("recording", "rfid") == list(study.rfids.items())
    assert [found.spans(name) for name in "abcd"] == [[(1, 4, 597)]] * 4


# ---- What becomes of a recording that fails --------------------------------------------------------------------------


def test_a_recording_that_fails_is_left_out_of_training_whole_and_named(run, study: Study) -> None:
    """In recording a 005 is known in a third of the frames: 001, its cage mate, is left out too."""
    rows = still(1, 600) + still(1, 200, x=300.0, animal=2)
    study.write("a", {}, Scene(rows, n_frames=600, animals={1: "001", 2: "005"}))
    study.manifest(a="001 005")
    words = "animal 2: detection 33.3 %"
    assert run("stops") == (0, "", [f"warning: a: fails: {words}", "5 stops of 5 samples in 4 recordings: data/stops"])
    left_out = f"warning: a: left out of training: {words} (quality.on_fail: keep would keep it)"
    assert run("histograms") == (0, "", [left_out, "3 stacks of 4 x 30 x 30: data/histograms"])
    index = pl.read_parquet(study.folder / "data" / "histograms" / "index.parquet")
    assert index["rfid"].to_list() == ["002", "003", "004"]
    change_params(study.folder, ("on_fail: leave_out", "on_fail: keep"))
    kept = f"warning: a: kept, though it fails: {words}"
    odd = "warning: to be looked at, the report says why: a"  # hours of poor detection
    assert run("histograms") == (0, "", [kept, odd, "5 stacks of 4 x 30 x 30: data/histograms"])
