"""What is read again, and what is not."""

import contextlib
import os
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import Scene, still, told
from lmtcnn.cohort.recording import Recording, Sample
from lmtcnn.core.errors import BatchError
from lmtcnn.core.params import Params
from lmtcnn.core.revisions import REVISIONS
from lmtcnn.core.schemas import QUALITY, STOPS_TABLES
from lmtcnn.stops import stops as module
from lmtcnn.stops.ledger import Ledger

TABLES = {f"{name}.parquet" for name in STOPS_TABLES}


class Study:
    """Three recordings of ten seconds, their tables, and which of them were read since one last asked."""

    def __init__(self, folder: Path, params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.params, self.read = folder, params, []
        self.recordings = []
        for i, name in enumerate(("a", "b", "c")):
            path = Scene(still(1, 300, x=200.0 + i), n_frames=300).write(folder / f"{name}.sqlite")
            self.recordings.append(Recording(name, (path,), params.stops.arena))
        extract = module.extract

        def watched(recording: Recording, *args: object) -> module.Extraction:
            self.read.append(recording.name)
            return extract(recording, *args)

        monkeypatch.setattr(module, "extract", watched)

    def run(self, params: Params | None = None, out: str = "stops") -> list[str]:
        """Run the stage; returns the names of the recordings that were read."""
        using, folder = params or self.params, self.folder / out
        self.read.clear()
        module.stops(self.recordings, folder, using, 2, ledger=Ledger(folder.with_name(f".{out}"), folder, using))
        return sorted(self.read)

    def change_a_row(self, name: str) -> None:
        with sqlite3.connect(self.folder / f"{name}.sqlite") as connection:
            connection.execute("UPDATE DETECTION SET MASS_X = MASS_X + 0.01 WHERE ID = 7")
        connection.close()

    def content(self, out: str = "stops") -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.folder / out).iterdir()}


@pytest.fixture
def study(tmp_path: Path, params: Params, monkeypatch: pytest.MonkeyPatch) -> Study:
    return Study(tmp_path, params, monkeypatch)


def test_what_has_not_changed_is_not_read_again_and_the_tables_are_the_same(study: Study, caplog) -> None:
    assert study.run() == ["a", "b", "c"]
    first = study.content()
    caplog.set_level("INFO")
    assert study.run() == []
    assert study.content() == first
    assert caplog.messages == ["3 of 3 recordings have not changed since they were read"]


def test_one_changed_row_is_enough(study: Study) -> None:
    study.run()
    study.change_a_row("b")
    assert study.run() == ["b"]
    assert study.run(out="fresh") == ["a", "b", "c"]
    assert study.content() == study.content("fresh")


def test_a_change_is_seen_though_size_and_time_look_as_before(study: Study) -> None:
    study.run()
    path = study.folder / "b.sqlite"
    before = path.stat()
    study.change_a_row("b")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert study.run() == ["b"]


def test_another_file_in_the_place_of_one_is_read(study: Study) -> None:
    study.run()
    (study.folder / "c.sqlite").replace(study.folder / "b.sqlite")
    study.recordings.pop()
    assert study.run() == ["b"]


@pytest.mark.parametrize(
    "values",
    [{"stops.min_duration_s": 2}, {"stops.half_window_frames": 1}, {"histograms.interval_s": 7},
     {"histograms.align": "08:00"}, {"histograms.timezone": "Europe/Paris"}, {"quality.max_particles": 50},
     {"quality.temperature_warn_c": [21, 24]}, {"quality.temperature_fail_c": [19, 26]}],
)  # fmt: skip
def test_other_parameters_read_all_again(study: Study, change: Callable, values: dict) -> None:
    study.run()
    assert study.run(change(**values)) == ["a", "b", "c"]


def test_parameters_of_later_stages_read_nothing(study: Study, change) -> None:
    study.run()
    assert study.run(change(**{"histograms.tiles": 10, "train.lr": 0.5})) == []


def test_a_limit_that_decides_no_count_judges_anew_what_was_read(study: Study, change: Callable) -> None:
    path = study.folder / "b.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE DETECTION SET ANIMALID = NULL WHERE FRAMENUMBER > 200")
    verdicts = {}
    for share, expected in ((0.5, ["a", "b", "c"]), (0.9, []), (0.5, [])):
        using = change(**{"quality.detected_fail": share, "quality.detected_warn": 0.9})
        assert study.run(using) == expected
        table = QUALITY.read(study.folder / "stops" / "quality.parquet")
        verdicts[share] = dict(table.select("recording", "verdict").iter_rows())["b"]
    assert verdicts == {0.5: "warn", 0.9: "fail"}


def test_other_animals_or_another_time_zone_in_the_manifest_read_that_recording(study: Study) -> None:
    sample = Sample("b", "001", "c", {}, "AM")
    study.run()
    study.recordings[1] = replace(study.recordings[1], samples={"001": sample})
    assert study.run() == ["b"]
    study.recordings[1] = replace(study.recordings[1], timezone="Asia/Tokyo")
    assert study.run() == ["b"]
    study.recordings[1] = replace(study.recordings[1], night=("19:00", "07:00"))  # only told, never counted by
    assert study.run() == []


def test_a_stray_file_among_the_entries_is_left_alone(study: Study) -> None:
    study.run()
    stray = study.folder / ".stops" / ".DS_Store"
    stray.write_bytes(b"")
    assert study.run() == []
    assert stray.exists()


def test_another_floor_in_the_manifest_reads_that_recording(study: Study) -> None:
    study.run()
    arena = study.params.stops.arena.model_copy(update={"x_px": 100.0})
    study.recordings[1] = replace(study.recordings[1], arena=arena)
    assert study.run() == ["b"]


def test_a_recording_that_left_disappears_even_if_the_stage_never_ended(study: Study) -> None:
    study.run()
    for name in (*TABLES, "stops.json"):  # as after a kill of the first run
        (study.folder / "stops" / name).unlink()
    study.recordings.pop(1)
    assert study.run() == []
    assert set(study.content()) == {"a.parquet", "c.parquet", "stops.json"} | TABLES
    assert sorted(path.name for path in (study.folder / ".stops").iterdir()) == ["a", "c"]


@pytest.mark.parametrize(
    "lost", ["stops/b.parquet", ".stops/b/key.json", *(f".stops/b/{name}" for name in sorted(TABLES))]
)
@pytest.mark.parametrize("how", ["gone", "cut"])
def test_what_is_lost_or_cut_is_read_again(study: Study, lost: str, how: str) -> None:
    study.run()
    first = study.content()
    path = study.folder / lost
    path.unlink() if how == "gone" else path.write_bytes(path.read_bytes()[:-5])
    assert study.run() == ["b"]
    assert study.content() == first


@pytest.mark.parametrize("name", [*sorted(TABLES), "stops.json"])
def test_a_table_of_all_recordings_that_is_cut_is_written_anew(study: Study, name: str) -> None:
    study.run()
    first = study.content()
    (study.folder / "stops" / name).write_bytes(b"cut")
    assert study.run() == []
    assert study.content() == first


def test_a_recording_that_failed_is_tried_again_and_no_other(study: Study) -> None:
    path = study.folder / "b.sqlite"
    good = path.read_bytes()
    path.write_bytes(b"")
    assert told(BatchError, study.run) == (
        f"{path}: expected an LMT database, found an empty file (0 bytes); copy it again",
    )
    path.write_bytes(good)
    assert study.run() == ["b"]
    path.unlink()
    assert told(BatchError, study.run) == (f"{path}: expected an LMT database, found no file; check the path",)


def test_a_new_revision_of_the_stage_reads_all_anew_and_a_reworded_line_nothing(study: Study, monkeypatch) -> None:
    study.run()
    assert study.run() == []
    monkeypatch.setitem(REVISIONS, "stops", REVISIONS["stops"] + 1)
    assert study.run() == ["a", "b", "c"]
