"""A full disk, a real one: one line, nothing half-written, and what was done before stays."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import safetensors.torch
import torch
from matplotlib.figure import Figure

import study
from conftest import Scene, small_disk, still, told
from lmtcnn.bundle import bundle
from lmtcnn.cohort.cohort import Cohort
from lmtcnn.cohort.init import init
from lmtcnn.cohort.recording import Recording
from lmtcnn.core import files
from lmtcnn.core.errors import BatchError, OutputError
from lmtcnn.core.files import PART, allocate, atomic, ensure_space, write_text
from lmtcnn.core.params import Params
from lmtcnn.evaluate import evaluate
from lmtcnn.explain import explain
from lmtcnn.figures import figures
from lmtcnn.histograms import histograms
from lmtcnn.predictions import prediction
from lmtcnn.register import register
from lmtcnn.report import report
from lmtcnn.simulate import simulate
from lmtcnn.stops import stops
from lmtcnn.stops.ledger import Ledger
from lmtcnn.tracking import client as clients
from lmtcnn.tracking import tracking
from lmtcnn.train import train

MB = 10**6
PARAMS = study.small_params()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB."""
    with small_disk(tmp_path / "disk", MB) as folder:
        yield folder


def fill(folder: Path, spare: int = 0) -> Path:
    """Fill the disk up to `spare` bytes, by a file that can be removed."""
    path = folder / "filler"
    free = shutil.disk_usage(folder).free - spare
    with path.open("wb") as stream:
        stream.write(bytes(free // 4096 * 4096))
    return path


def content(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def left(folder: Path) -> list[Path]:
    return list(folder.rglob(f"*{PART}"))


# ---- Every writer ----------------------------------------------------------------------------------------------------


def write_sqlite(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = OFF")  # as the simulator does
        database.execute("CREATE TABLE t (x)")
        database.execute("INSERT INTO t VALUES (zeroblob(3000000))")


def write_array(path: Path) -> None:
    with path.open("wb") as stream:
        np.save(stream, np.zeros(400_000))


def draw(path: Path, kind: str) -> None:
    figure = Figure(figsize=(7, 7), dpi=100)
    figure.figimage(np.random.default_rng(0).random((700, 700, 3)))
    figure.savefig(path, format=kind)


NOISE = pl.DataFrame({"x": np.random.default_rng(0).random(300_000)})

WRITERS: dict[str, Callable[[Path], object]] = {
    "text": lambda path: path.write_text("x" * 3 * MB),
    "array": write_array,
    "Parquet": NOISE.write_parquet,
    "CSV": NOISE.write_csv,
    "weights": lambda path: safetensors.torch.save_file({"w": torch.zeros(500_000)}, path),
    "PNG": lambda path: draw(path, "png"),
    "SVG": lambda path: draw(path, "svg"),
    "SQLite": write_sqlite,
    "copy": lambda path: shutil.copyfile(path.parent.parent / "large", path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_writer_ends_in_one_line_and_leaves_what_was_there(disk: Path, name: str) -> None:
    path = disk / "out"
    path.write_text("old")
    (disk.parent / "large").write_bytes(bytes(3 * MB))

    def write() -> None:
        with atomic(path) as temporary:
            WRITERS[name](temporary)

    assert told(OutputError, write) == (
        f"{path}: expected a place that can be written, found a full disk; make room there, or choose another",
    )
    assert [(each.name, each.read_text()) for each in disk.iterdir()] == [("out", "old")]


def test_an_error_of_the_source_is_not_one_of_the_output(tmp_path: Path) -> None:
    """Nothing was wrong with the place: the error keeps its name and its traceback."""

    def copy(source: Path) -> None:
        with atomic(tmp_path / "out") as temporary:
            shutil.copyfile(source, temporary)

    with pytest.raises(FileNotFoundError, match="source"):
        copy(tmp_path / "source")
    with pytest.raises(IsADirectoryError):
        copy(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(5, "Input/output error"), "a disk that fails"),
        (OSError(122, "Disk quota exceeded"), "a quota of the disk that is used up"),
        (OSError("500000 requested and 131056 written"), "a full disk"),
        (pl.exceptions.ComputeError("parquet: underlying IO error: (os error 30)"), "a disk that can only be read"),
        (sqlite3.OperationalError("disk I/O error"), "a disk that fails"),
        (OSError(13, "Permission denied"), None),
        (pl.exceptions.ComputeError("no such file (os error 2)"), None),
        (ValueError("full"), None),
    ],
)
def test_errors_of_a_disk_are_known_by_number_or_by_their_words(
    tmp_path: Path, error: Exception, words: str | None
) -> None:
    def fail() -> None:
        with atomic(tmp_path / "out"):
            raise error

    if words is None:
        with pytest.raises(type(error)):
            fail()
    else:
        assert f"found {words}; " in told(OutputError, fail)[0]
    assert list(tmp_path.iterdir()) == []


def test_space_is_asked_for_before_the_work(disk: Path) -> None:
    ensure_space(disk, MB // 2)
    fill(disk, MB // 4)
    (line,) = told(OutputError, ensure_space, disk, MB // 2)
    assert line == f"{disk}: expected 0.5 MB free, found 0.3 MB; make room there, or work in another place"
    assert left(disk) == []


def test_a_file_system_that_cannot_allocate_is_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(files.os, "posix_fallocate", refuse)
    with (tmp_path / "a").open("wb") as stream:
        allocate(stream, 10**18, tmp_path)


# ---- Every stage -----------------------------------------------------------------------------------------------------


def scenes(folder: Path, params: Params) -> list[Recording]:
    made = [(name, Scene(still(1, 90), n_frames=90).write(folder / f"{name}.sqlite")) for name in "abc"]
    return [Recording(name, (path,), params.stops.arena) for name, path in made]


def test_stops_are_found_until_the_disk_is_full_and_then_one_line_is_told(
    tmp_path: Path, disk: Path, params: Params, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    recordings, out = scenes(tmp_path, params), disk / "stops"
    ledger = Ledger(disk / ".stops", out, params)
    stops.stops(recordings[:1], out, params, 1, ledger=ledger)
    filler = fill(disk)
    (line,) = told(BatchError, stops.stops, recordings, out, params, 2, ledger=ledger)
    assert line.endswith("expected a place that can be written, found a full disk; "
                         "make room there, or choose another")  # fmt: skip
    assert (out / "a.parquet").is_file()
    assert not (out / "stops.json").exists()
    assert left(disk) == []
    filler.unlink()
    quality = stops.stops(recordings, out, params, 2, ledger=ledger)
    assert quality["recording"].to_list() == ["a", "b", "c"]
    assert "1 of 3 recordings have not changed since they were read" in caplog.messages


def test_histograms_say_how_much_they_need(tmp_path: Path, disk: Path, params: Params) -> None:
    params = params.model_copy(update={"quality": params.quality.model_copy(update={"on_fail": "keep"})})
    recordings = scenes(tmp_path, params)
    known = [r.__class__(r.name, r.files, r.arena, samples=_sample(r.name)) for r in recordings]
    stops.stops(known, tmp_path / "stops", params, 1)
    whole = Cohort(tuple(known), tuple(s for r in known for s in (r.samples or {}).values()))
    fill(disk, 100_000)
    (line,) = told(OutputError, histograms.histograms, whole, tmp_path / "stops", disk / "histograms", params)
    assert line == (
        f"{disk / 'histograms'}: expected 0.4 MB free, found 0.1 MB; make room there, or work in another place"
    )
    assert list((disk / "histograms").iterdir()) == []


def _sample(name: str) -> dict[str, Any]:
    from lmtcnn.cohort.recording import Sample

    return {"001": Sample(name, "001", name, {"sex": "M", "age": "adult"}, "AM")}


@pytest.fixture
def studied(tmp_path: Path) -> Iterator[Path]:
    """A trained and evaluated study on a disk of 8 MB."""
    with small_disk(tmp_path / "disk", 8 * MB) as folder:
        data = study.copy(study.prepared(), folder / "data")
        yield data


@pytest.mark.parametrize("fold", [None, "c1"])
def test_a_training_that_will_not_fit_is_not_begun(studied: Path, fold: str | None) -> None:
    before = content(studied)
    fill(studied.parent, 4096)
    begun: list[int] = []
    (line,) = told(OutputError, train.train, studied, PARAMS, fold, lambda done, total: begun.append(done))
    assert line.endswith("MB; make room there, or work in another place")
    assert begun == []
    assert content(studied) == before


def test_stages_after_the_training_end_in_one_line(studied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "DPI", 25)
    explain.explain(studied, PARAMS)
    before = content(studied)
    filler = fill(studied.parent)
    for stage in (evaluate.evaluate, explain.explain, report.report):
        (line,) = told(OutputError, stage, studied, PARAMS)
        assert line.endswith("found a full disk; make room there, or choose another")
    assert content(studied) == before
    filler.unlink()
    report.report(studied, PARAMS)


def test_predictions_a_cohort_and_a_manifest_end_in_one_line(tmp_path: Path, disk: Path, params: Params) -> None:
    scenes(tmp_path, params)
    answer = prediction.Prediction("a", 1, "001", "AM", 1.0, {"AM": 1.0}, ["AM"], 0.0, 1.0, [])
    fill(disk)
    for name in ("p.csv", "p.parquet", "p.json"):
        told(OutputError, prediction.save, [answer], ["AM"], disk / name)
    told(OutputError, init, tmp_path, disk / "cohort.csv", params)
    told(OutputError, simulate.simulate, disk / "simulated", params.with_simulate(cages=1))
    told(OutputError, write_text, disk / "a.txt", "x")
    assert [path.name for path in disk.rglob("*") if path.is_file()] == ["filler"]


# ---- MLflow's store --------------------------------------------------------------------------------------------------


def test_a_full_store_costs_no_result_and_leaves_no_model_pending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_disk(tmp_path / "disk", 12 * MB) as folder:
        study.project(folder / "project", monkeypatch)
        data = study.copy(study.prepared())
        run_id = tracking.log_evaluate(data, PARAMS)
        bundle.write(bundle.build(data, PARAMS), data / "register")
        for spare in (0, 16_384):  # where it breaks off: the database, the artifacts
            filler = fill(folder, spare)
            (line,) = told(OutputError, register.register, data, PARAMS)
            filler.unlink()
            assert line.endswith(("make room there, or choose another", "`lmtcnn track` logs what is missing"))
        assert register.register(data, PARAMS).alias == "champion"
        client = clients.connect()
        experiment = clients.experiment_of(client).experiment_id
        models = client.search_logged_models([experiment])
        assert [(model.source_run_id, str(model.status)) for model in models] == [(run_id, "READY")]
        monkeypatch.chdir(tmp_path)
