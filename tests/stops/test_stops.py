"""The stage: what it writes, keeps and removes."""

import sqlite3
import time
from pathlib import Path

import pytest

from conftest import Scene, still, told
from lmtcnn.cohort.recording import Recording
from lmtcnn.core.errors import BatchError, CohortError, OutputError
from lmtcnn.core.params import Params
from lmtcnn.core.schemas import COVERAGE, QUALITY, STOPS, STOPS_TABLES
from lmtcnn.stops import stops as module
from lmtcnn.stops.extraction import Extraction
from lmtcnn.stops.stops import stops


def test_one_bad_file_does_not_keep_the_others_from_being_written(tmp_path: Path, params: Params) -> None:
    good = Scene(still(1, 300), n_frames=300).write(tmp_path / "good.sqlite")
    bad = tmp_path / "bad.sqlite"
    bad.write_bytes(b"")
    out = tmp_path / "stops"
    recordings = [Recording(path.stem, (path,), params.stops.arena) for path in (bad, good)]
    with pytest.raises(BatchError) as error:
        stops(recordings, out, params, workers=2)
    assert error.value.lines == (f"{bad}: expected an LMT database, found an empty file (0 bytes); copy it again",)
    assert STOPS.read(out / "good.parquet").height == 1
    assert QUALITY.read(out / "quality.parquet")["recording"].to_list() == ["good"]
    assert COVERAGE.read(out / "coverage.parquet")["recording"].unique().to_list() == ["good"]


def test_a_recording_named_like_a_table_of_the_stage_is_refused(tmp_path: Path, params: Params) -> None:
    names = ["coverage", "r1", "quality"]
    paths = [Scene(still(1, 300), n_frames=300).write(tmp_path / f"{name}.sqlite") for name in names]
    recordings = [Recording(path.stem, (path,), params.stops.arena) for path in paths]
    expected = "expected another recording's name, found that of a table of this stage; rename the recording"
    assert told(CohortError, stops, recordings, tmp_path / "stops", params, workers=1) == (
        f"coverage: {expected}",
        f"quality: {expected}",
    )


def test_a_recording_that_left_the_study_leaves_the_folder(tmp_path: Path, params: Params) -> None:
    paths = [Scene(still(1, 300), n_frames=300).write(tmp_path / f"{n}.sqlite") for n in "ab"]
    recordings = [Recording(path.stem, (path,), params.stops.arena) for path in paths]
    stops(recordings, tmp_path / "stops", params, workers=1)
    stops(recordings[:1], tmp_path / "stops", params, workers=1)
    assert sorted(p.name for p in (tmp_path / "stops").iterdir()) == [
        "a.parquet",
        "coverage.parquet",
        "intervals.parquet",
        "quality.parquet",
        "stops.json",
    ]


def test_reading_leaves_nothing_beside_a_database_and_changes_no_byte(tmp_path: Path, params: Params) -> None:
    folder = tmp_path / "raw"
    folder.mkdir()
    for name, index in (("new.sqlite", True), ("old.sqlite", False)):
        Scene(still(1, 300), n_frames=300, covering_index=index).write(folder / name)
    wal = Scene(still(1, 300), n_frames=300).write(folder / "wal.sqlite")
    with sqlite3.connect(wal) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}
    recordings = [Recording(path.stem, (path,), params.stops.arena) for path in sorted(folder.iterdir())]
    quality = stops(recordings, tmp_path / "stops", params, workers=2)
    assert quality["n_stops"].to_list() == [1, 1, 1]
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()} == before


def test_tables_that_are_not_of_this_folder_s_recordings_are_left_alone(tmp_path: Path, params: Params) -> None:
    path = Scene(still(1, 300), n_frames=300).write(tmp_path / "a.sqlite")
    foreign = tmp_path / "stops" / "another_study.parquet"
    foreign.parent.mkdir()
    foreign.write_bytes(b"kept")
    stops([Recording("a", (path,), params.stops.arena)], tmp_path / "stops", params, workers=1)
    assert foreign.read_bytes() == b"kept"


def test_files_read_by_name_never_cost_a_study_its_tables(tmp_path: Path, params: Params) -> None:
    paths = [Scene(still(1, 300), n_frames=300).write(tmp_path / f"{n}.sqlite") for n in "ab"]
    recordings = [Recording(path.stem, (path,), params.stops.arena) for path in paths]
    out = tmp_path / "stops"
    stops(recordings, out, params, 1)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert told(OutputError, stops, recordings[:1], out, params, 1, others="refuse") == (
        f"{out}: expected no tables, or those of these recordings, found those of 1 others, b among them; "
        "name a folder with --out",
    )
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    stops(recordings, out, params, 1, others="refuse")


def test_after_an_interruption_no_other_recording_is_begun(tmp_path: Path, params: Params, monkeypatch) -> None:
    paths = [Scene(still(1, 300), n_frames=300).write(tmp_path / f"{n}.sqlite") for n in "abcdefgh"]
    recordings = [Recording(path.stem, (path,), params.stops.arena) for path in paths]
    begun: list[str] = []

    def interrupted(recording: Recording, *_: object) -> Extraction:
        begun.append(recording.name)
        time.sleep(0.05)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "extract", interrupted)
    with pytest.raises(KeyboardInterrupt):
        stops(recordings, tmp_path / "stops", params, 1)
    assert len(begun) < 3


def test_where_nothing_was_read_no_table_stands_and_where_something_was_it_does(tmp_path: Path, params: Params) -> None:
    """Tables without a row would look like those of recordings in which no mouse ever stopped."""
    good = Scene(still(1, 300), n_frames=300).write(tmp_path / "good.sqlite")
    (tmp_path / "bad.sqlite").write_text("no database")
    bad = Recording("bad", (tmp_path / "bad.sqlite",), params.stops.arena)
    for recordings, left in (
        ([bad], []),
        ([bad, Recording("good", (good,), params.stops.arena)], [*STOPS_TABLES, "good"]),
        ([bad], []),
    ):
        with pytest.raises(BatchError):
            stops(recordings, tmp_path / "stops", params, 1)
        assert sorted(path.stem for path in (tmp_path / "stops").iterdir()) == sorted(left)
