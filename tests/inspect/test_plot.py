"""One interval of one mouse, drawn from its database."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from conftest import T0_MS, Scene, run, still, told
from lmtcnn.cohort.cohort import find_recording
from lmtcnn.cohort.recording import Recording
from lmtcnn.core.errors import CohortError, ParamsError
from lmtcnn.core.sections import CohortParams
from lmtcnn.inspect import plot as module
from lmtcnn.inspect.plot import file_name, plot


@pytest.fixture
def using(change):
    """Intervals of 5 s."""
    return change(**{"histograms.interval_s": 5, "histograms.intervals": 4})


@pytest.fixture
def recording(tmp_path: Path, using) -> Recording:
    """20 s: mouse 1 is still; mouse 2 stops from 0 to 3 s and, elsewhere, from 8 s on."""
    rows = still(1, 600) + still(1, 90, x=150.0, animal=2) + run(91, 240, x=150.0, y=150.0, animal=2)
    rows += still(241, 600, x=398.0, y=353.0, animal=2)
    scene = Scene(rows, n_frames=600, animals={1: "001", 2: "002"})
    return Recording("r1", (scene.write(tmp_path / "r1.sqlite"),), using.stops.arena)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict:
    """What the drawings are given, by the function that draws."""
    given = {}

    def watch(owner, name: str) -> None:
        original = getattr(owner, name)

        def call(*args, **kwargs):
            given[name] = args, kwargs
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, call)

    watch(module.figures, "positions")
    watch(module.floor, "stops_on_floor")
    watch(module.floor, "histogram")
    return given


def test_three_figures_are_made_and_named_by_recording_animal_and_interval(
    recording: Recording, using, tmp_path: Path
) -> None:
    paths = plot(recording, None, None, tmp_path / "out", using)
    names = [f"r1_001_interval00_{name}" for name in ("1a_positions", "1b_stops", "1c_histogram")]
    assert paths == [tmp_path / "out" / f"{name}.png" for name in names]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(
        n + e for n in names for e in (".png", ".svg", ".pdf")
    )


def test_the_animal_and_the_interval_are_those_asked_for(recording: Recording, using, tmp_path: Path, drawn) -> None:
    plot(recording, "002", 1, tmp_path, using)
    (time, x_cm, y_cm, starts, title), words = drawn["positions"]
    assert title == "r1, 002, interval 1"
    assert words["unit"] == "s"
    assert words["note"] == "1 stop in the 5 s that begin 5 s after the recording's start."
    assert (len(time), time[0], round(time[-1], 3)) == (150, 0.0, 4.967)
    assert starts[0].tolist() == pytest.approx([3.1], abs=0.1)
    assert (starts[1][0], starts[2][0]) == pytest.approx((x_cm[-1], y_cm[-1]), abs=0.5)
    (counts, *_), _ = drawn["histogram"]
    assert np.argwhere(counts).tolist() == [[29, 29]]
    (x, y, *_), _ = drawn["stops_on_floor"]
    assert (x[0], y[0]) == pytest.approx((284 * 10 / 57, 290 * 10 / 57))


def test_an_interval_that_is_not_counted_is_drawn_and_it_is_said(
    recording: Recording, change, tmp_path: Path, drawn
) -> None:
    using = change(**{"histograms.interval_s": 5, "histograms.intervals": 4, "histograms.window": [2, 4]})
    plot(recording, "002", 1, tmp_path, using)
    assert drawn["positions"][1]["note"].endswith("recording's start. 1 of them are not counted in the study.")
    assert np.argwhere(drawn["histogram"][0][0]).tolist() == [[29, 29]]


def test_it_is_said_why_a_study_would_refuse_the_recording(recording: Recording, change, tmp_path: Path, drawn) -> None:
    values = {"histograms.interval_s": 5, "histograms.intervals": 8}
    narrow = replace(recording, arena=recording.arena.model_copy(update={"width_px": 200.0}))
    tracks = "animal 2: stops off the floor 50 %"
    reasons = f"19.97 s long, 49.9 % of the 40 s that are counted; {tracks}"
    plot(narrow, "002", 1, tmp_path, change(**values))
    words = "As far as this animal tells, a study would refuse the recording: "
    note = drawn["positions"][1]["note"]
    assert (words in note, note.partition(words)[2]) == (True, f"{reasons}.")
    plot(narrow, "002", 1, tmp_path, change(**values, **{"quality.on_fail": "keep"}))
    assert words not in drawn["positions"][1]["note"]


def test_without_a_choice_it_is_the_first_animal_in_the_interval_with_most_stops(
    recording: Recording, using, tmp_path: Path, drawn
) -> None:
    plot(recording, None, None, tmp_path, using)
    assert drawn["positions"][0][4] == "r1, 001, interval 0"


def test_what_is_drawn_as_measured_is_not_filled(tmp_path: Path, using, drawn) -> None:
    rows = [row for row in still(1, 300) if not 100 <= row[0] < 120]
    path = Scene(rows, n_frames=300).write(tmp_path / "gap.sqlite")
    plot(Recording("gap", (path,), using.stops.arena), None, 0, tmp_path, using)
    assert np.isnan(drawn["positions"][0][1]).sum() == 20


@pytest.mark.parametrize(
    ("animal", "interval", "line"),
    [
        ("009", None, "--animal: expected one of 001, 002, found 009; correct it"),
        (None, 4, "--interval: expected 0 to 3, found 4; correct it"),
        (None, -1, "--interval: expected 0 to 3, found -1; correct it"),
    ],
)
def test_an_animal_or_interval_that_is_not_there_is_told(
    recording: Recording, using, tmp_path: Path, animal, interval, line: str
) -> None:
    assert told(ParamsError, plot, recording, animal, interval, tmp_path / "out", using) == (line,)
    assert not (tmp_path / "out").exists()


def test_two_animals_of_a_recording_do_not_share_a_file(recording: Recording, using, tmp_path: Path) -> None:
    first, second = (plot(recording, animal, 1, tmp_path, using) for animal in ("001", "002"))
    assert not set(first) & set(second)
    assert all(path.is_file() for path in (*first, *second))


def test_what_a_file_system_does_not_take_is_written_as_an_underscore() -> None:
    assert file_name("box 1/2: a*b") == "box_1_2_a_b"


def test_a_recording_of_several_files_is_drawn_by_its_name(tmp_path: Path, using, drawn, monkeypatch) -> None:
    """Two files of 10 s, a minute apart: the stop of interval 12 lies in the second one."""
    monkeypatch.chdir(tmp_path)
    for number, start_ms in enumerate((T0_MS, T0_MS + 60_000), start=1):
        scene = Scene(still(1, 300), n_frames=300, start_ms=start_ms)
        scene.write(tmp_path / f"part{number}.sqlite")
    Path("cohort.csv").write_text("recording,rfid,cage,sex,age,files\nbox,001,c1,F,adult,part1.sqlite;part2.sqlite\n")
    here = using.model_copy(update={"cohort": CohortParams(databases=".", manifest="cohort.csv")})
    plot(find_recording("box", here), "001", 12, tmp_path / "out", here)
    assert drawn["positions"][0][4] == "box, 001, interval 12"
    assert len(drawn["positions"][0][0]) == 150
    line = "bos: expected a database, or a recording of cohort.csv such as box, found neither; correct the name"
    assert told(CohortError, find_recording, "bos", here) == (line,)
    assert find_recording("part1.sqlite", here).files == (Path("part1.sqlite"),)
