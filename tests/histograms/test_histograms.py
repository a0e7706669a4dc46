"""The stage: stops become stacks."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from conftest import told
from lmtcnn.core.errors import DataError
from lmtcnn.core.files import digest, read_json
from lmtcnn.core.sections import dump
from lmtcnn.histograms.record import load
from stacks import CUT, SHORT, Study


def test_samples_come_in_order_of_recording_and_animal(study: Study) -> None:
    study.recordings.reverse()
    study.write(lambda name, animal: [(0.0, 1.0, 1.0)] * (animal + 10 * (name == "r2")))
    study.recordings.sort(key=lambda r: r.name)
    index = study.run()
    stacks, read = load(study.folder, study.params)
    assert index.select("recording", "animal_id", "rfid", "cage", "sex", "age", "class").rows() == [
        ("r1", 1, "r1b", "c1", "M", "adult", "AM"),
        ("r1", 2, "r1a", "c1", "M", "adult", "AM"),
        ("r2", 1, "r2b", "c2", "M", "adult", "AM"),
        ("r2", 2, "r2a", "c2", "M", "adult", "AM"),
    ]
    assert read.equals(index)
    assert stacks[:, 0, 0, 0].tolist() == index["n_stops"].to_list() == [1, 2, 11, 12]


@pytest.mark.parametrize(("weight", "dtype", "value"), [("count", np.uint16, 1), ("duration", np.float32, 2.0)])
def test_counts_are_whole_numbers_and_durations_are_not(tmp_path: Path, small, weight: str, dtype, value) -> None:
    study = Study(tmp_path, small(weight=weight))
    study.run()
    stacks, _ = load(study.folder, study.params)
    assert (stacks.dtype, stacks.shape, stacks[0, 0, 0, 0]) == (dtype, (4, 3, 5, 5), value)


def test_the_index_counts_what_is_late_and_what_is_outside(study: Study) -> None:
    study.write(lambda name, animal: [(0.0, 1.0, 1.0), (1.0, -1.0, 1.0), (35.0, 1.0, 1.0)] if animal == 1 else [])
    index = study.run()
    assert index.select("n_stops", "n_outside", "n_late").rows() == [(3, 1, 1), (0, 0, 0)] * 2


def test_an_aligned_stack_begins_at_a_time_of_the_wall_clock(tmp_path: Path, small) -> None:
    """Both start at 08:00 UTC; where r2 was recorded the clock shows 09:00."""
    study = Study(tmp_path, small(align="07:00", interval_s=3600, timezone="UTC"))
    study.recordings[1] = replace(study.recordings[1], timezone="Etc/GMT-1")
    study.run()
    stacks, _ = load(study.folder, study.params)
    assert [tuple(place) for place in np.argwhere(stacks)[:, :2].tolist()] == [(0, 1), (1, 1), (2, 2), (3, 2)]


def test_the_same_stops_give_the_same_bytes(study: Study) -> None:
    def content() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in study.folder.iterdir()}

    study.run()
    first = content()
    study.run()
    assert content() == first
    assert set(first) == {"stacks.npy", "index.parquet", "controls.parquet", "start_hours.csv", "histograms.json"}


@pytest.mark.parametrize("simulated", [True, False])
def test_the_folder_says_what_it_was_made_by(tmp_path: Path, small, simulated: bool) -> None:
    study = Study(tmp_path, small(), simulated)
    study.run()
    assert read_json(study.folder / "histograms.json", "", "") == {
        "simulated": simulated,
        "floor_cm": [284 * 10 / 57, 290 * 10 / 57],
        "classes": dump(study.params)["classes"],
        "stops": dump(study.params.stops),
        "histograms": dump(study.params.histograms),
        "quality": dump(study.params.quality),
        **{key: {} for key in ("left_out", "kept", "warned", "unlisted", "never_detected")},
        "tracking": {
            name: {"ok": 4 * (name == "AM"), "warn": 0, "fail": 0, "detected": 0.0 if name == "AM" else None}
            for name in study.params.classes
        },
        "excluded": [],
        "starts": [],
        "started": {"r1": 1714550400000, "r2": 1714550400000},
        "revision": 2,
        "inputs": {"stops": digest(study.stops_folder / "stops.json")},
        "outputs": {
            name: digest(study.folder / name)
            for name in ("stacks.npy", "index.parquet", "controls.parquet", "start_hours.csv")
        },
    }


def test_samples_are_tabulated_by_the_clock_hour_of_the_start(study: Study) -> None:
    study.run()
    assert (study.folder / "start_hours.csv").read_text() == "hour,timezone,AM,JM,AF,JF\n8,UTC,4,0,0,0\n"


def test_more_stops_in_a_tile_than_a_number_can_hold_are_refused(study: Study) -> None:
    study.write(lambda name, animal: [(0.0, 1.0, 1.0)] * (65_536 if (name, animal) == ("r2", 1) else 65_535))
    assert told(DataError, study.run) == (
        "r2, r2b: expected at most 65535 stops in a tile and interval, found 65536; shorten histograms.interval_s",
    )
    assert list(study.folder.iterdir()) == []


def test_recordings_with_more_than_half_of_their_stops_late_are_all_named(study: Study) -> None:
    study.write(lambda name, animal: [(0.0, 1.0, 1.0), (31.0, 1.0, 1.0), (32.0, 1.0, 1.0)])
    found = f"expected stops within 3 intervals of 10 s, found 4 of 6 beyond; {CUT}"
    assert told(DataError, study.run) == (f"r1: {found}", f"r2: {found}")
    assert list(study.folder.iterdir()) == []


def test_a_recording_that_is_short_and_a_sample_that_is_empty_are_warned_of(study: Study, caplog) -> None:
    """Three intervals of 10 s are 30 s, of which r1 has 26.9 s and r2 27 s."""
    study.write(lambda name, animal: [(0.0, 1.0, 1.0)] * (2 - animal))
    study.last(r1=26.9, r2=27.0)
    study.run(study.keeping)
    assert caplog.messages == [
        f"r1: kept, though it fails: {SHORT}",
        "r1, r1a: no stop that is counted: an empty sample",
        "r2, r2a: no stop that is counted: an empty sample",
    ]
    made = read_json(study.folder / "histograms.json", "", "")
    assert made["kept"] == {"r1": SHORT}
    assert made["warned"] == {name: f"{name}a: no stop that is counted" for name in ("r1", "r2")}


def test_a_stop_table_that_is_missing_is_named(study: Study) -> None:
    path = study.stops_folder / "r2.parquet"
    path.unlink()
    assert told(DataError, study.run) == (f"{path}: expected a file, found none; run `lmtcnn stops` again",)


def test_stacks_that_are_missing_damaged_or_of_another_shape_are_told(study: Study, small) -> None:
    study.run()
    path = study.folder / "stacks.npy"
    assert told(DataError, load, study.folder, small(tiles=6)) == (
        f"{study.folder}: expected histograms.tiles 6, found 5; run `lmtcnn histograms` again",
    )
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"x")
    listed, found = (hashlib.sha256(text).hexdigest()[:12] for text in (content, content[:-1] + b"x"))
    assert told(DataError, load, study.folder, study.params) == (
        f"{path}: expected what its record lists (sha256 {listed}), found another file (sha256 {found}); "
        "run `lmtcnn histograms` again",
    )
    path.unlink()
    assert told(DataError, load, study.folder, study.params) == (
        f"{path}: expected a file, found none; run `lmtcnn histograms` again",
    )
