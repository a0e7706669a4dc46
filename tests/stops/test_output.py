"""The output of the stage `stops`, for those who read it."""

from dataclasses import replace
from pathlib import Path

from conftest import told
from lmtcnn.cohort.recording import Recording, Sample
from lmtcnn.core.errors import DataError
from stacks import Study


def test_recordings_judged_by_other_limits_are_refused_with_what_differs(study: Study) -> None:
    other = study.params.quality.model_copy(update={"detected_fail": 0.25})
    assert told(DataError, study.run, study.params.model_copy(update={"quality": other})) == (
        f"{study.stops_folder}: expected recordings judged by params.yaml's detected_fail, found detected_fail 0.5; "
        "run `lmtcnn stops` again",
    )


def test_a_recording_whose_animals_changed_must_be_read_again(study: Study) -> None:
    """Its verdict was that of other animals."""
    del study.recordings[0].samples["r1b"]
    assert told(DataError, study.run) == (
        f"{study.stops_folder}: r1: expected stops by the manifest's animals, files and arena columns, found others; "
        "run `lmtcnn stops` again",
    )


def test_stops_of_another_floor_or_of_other_files_are_refused(study: Study) -> None:
    arena = study.params.stops.arena.model_copy(update={"x_px": 100.0})
    study.recordings[0] = replace(study.recordings[0], arena=arena)
    study.recordings[1] = replace(study.recordings[1], files=(Path("r2.sqlite"), Path("r3.sqlite")))
    assert told(DataError, study.run) == tuple(
        f"{study.stops_folder}: {name}: expected stops by the manifest's animals, files and arena columns, found "
        "others; run `lmtcnn stops` again"
        for name in ("r1", "r2")
    )


def test_stops_made_by_other_parameters_are_refused_with_what_differs(study: Study, change) -> None:
    using = change(**{"stops.max_gap_frames": 15, "stops.fps": 25})
    assert told(DataError, study.run, using) == (
        f"{study.stops_folder}: expected stops by params.yaml's fps, max_gap_frames, "
        "found fps 30.0, max_gap_frames 90; run `lmtcnn stops` again",
    )


def test_samples_without_stops_are_all_named(study: Study) -> None:
    study.recordings[0].samples["new"] = replace(study.recordings[0].samples["r1a"], rfid="new")
    other = {"r3a": Sample("r3", "r3a", "c3", {"sex": "M", "age": "adult"}, "AM")}
    study.recordings.append(Recording("r3", (Path("r3.sqlite"),), study.params.stops.arena, samples=other))
    assert told(DataError, study.run) == (
        f"{study.stops_folder}: expected stops of r1, new, found none; run `lmtcnn stops` again",
        f"{study.stops_folder}: expected stops of r3, r3a, found none; run `lmtcnn stops` again",
    )


def test_a_folder_of_stops_that_was_not_finished_is_refused(study: Study) -> None:
    path = study.stops_folder / "stops.json"
    path.unlink()
    assert told(DataError, study.run) == (
        f"{path}: expected what the stop tables were made by, found no file; run `lmtcnn stops` first",
    )
