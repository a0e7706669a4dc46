"""Revisions of the stages, and the golden digests that say when one must be raised."""

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from ruamel.yaml import YAML

import study
from conftest import ROOT, Scene, change_params, run, still, told
from lmtcnn.bundle import bundle
from lmtcnn.bundle.doubt import set_level
from lmtcnn.core import revisions
from lmtcnn.core.errors import ParamsError
from lmtcnn.core.params import Params, load
from lmtcnn.evaluate import evaluate
from lmtcnn.explain import explain
from lmtcnn.figures import gallery
from lmtcnn.histograms.stack import stack_of
from lmtcnn.simulate import simulate
from lmtcnn.stops import stops

SMALL = study.small_params()


def test_the_studys_file_lists_the_programs_revisions() -> None:
    assert YAML(typ="safe").load((ROOT / "revisions.yaml").read_text()) == revisions.REVISIONS
    assert (ROOT / "revisions.yaml").read_text().startswith(revisions._HEAD)


def test_a_study_of_other_revisions_is_told_in_one_line_and_accepted_by_upgrade(tmp_path: Path) -> None:
    path = tmp_path / "revisions.yaml"
    assert revisions.upgrade(path) == list(revisions.REVISIONS)
    revisions.check(path)
    path.write_text(path.read_text().replace("train: 2", "train: 7").replace("report: 4\n", ""))
    assert told(ParamsError, revisions.check, path) == (
        f"{path}: expected this program's revisions, train 2, report 4, found train 7, report none; run `lmtcnn "
        "upgrade`, then `dvc repro`, which reruns train, report and what comes after",
    )
    assert revisions.upgrade(path) == ["train", "report"]
    assert revisions.upgrade(path) == []
    revisions.check(path)


@pytest.mark.parametrize("text", ["stops: one", "[1]", "a: b: c", "stops: 1.5"])
def test_a_file_that_is_no_list_of_revisions_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "revisions.yaml"
    path.write_text(text)
    (line,) = told(ParamsError, revisions.check, path)
    assert line.startswith(f"{path}: expected ")
    assert line.endswith("; run `lmtcnn upgrade`")


def test_a_folder_without_the_file_is_no_study_of_other_revisions(tmp_path: Path) -> None:
    revisions.check(tmp_path / "revisions.yaml")


def test_a_study_of_a_program_without_revisions_is_told(tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    path = tmp_path / "revisions.yaml"
    assert told(ParamsError, revisions.check, path) == (
        f"{path}: expected this program's revisions, found no file, as in studies of older programs; run `lmtcnn "
        "upgrade`, then `dvc repro`, which reruns all stages",
    )


# ---- Golden digests --------------------------------------------------------------------------------------------------
# A digest that changes means results that change: raise the stage's number in lmtcnn.core.revisions and in
# revisions.yaml, and write the new digest here. Numbers of networks are rounded: processors differ in the last digits.


def of_frame(frame: pl.DataFrame) -> bytes:
    return frame.with_columns(pl.selectors.float().round(6)).write_csv().encode()


@pytest.fixture
def params(tmp_path: Path) -> Params:
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    change_params(tmp_path, ("seconds_per_hour: 20 ", "seconds_per_hour: 2 "), ("hours: 72 ", "hours: 3 "))
    return load(tmp_path / "params.yaml").with_simulate(cages=1)


def simulated(tmp_path: Path, params: Params) -> bytes:
    """The rows of each database, and the files beside them: how SQLite lays rows out in pages is its own affair."""
    simulate.simulate(tmp_path / "cohort", params, lambda done, total: None)
    return b"".join(rows_of(path) for path in sorted((tmp_path / "cohort").iterdir()))


def rows_of(path: Path) -> bytes:
    if path.suffix != ".sqlite":
        return path.read_bytes()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return "\n".join(connection.iterdump()).encode()


def stopped(tmp_path: Path, params: Params) -> bytes:
    """Two mice: one rests, loses its identity and jumps, the other runs and stops; no clock is without a fault."""
    rows = [row for row in still(1, 300) + still(301, 600, x=330.0) if not 100 <= row[0] < 130]
    rows += run(1, 90, animal=2) + still(91, 300, x=378.0, animal=2) + still(301, 600, x=378.0, animal=2)
    clock = ((f, 1_700_000_000_000 + round(f * 1000 / 30) + 4000 * (f > 450)) for f in range(1, 601))
    frames = [(f, time_ms, int(200 <= f < 210)) for f, time_ms in clock]
    scene = Scene(rows, frames, animals={1: "001", 2: "002"})
    recording = stops.Recording("r", (scene.write(tmp_path / "r.sqlite"),), params.stops.arena)
    stops.stops([recording], tmp_path / "stops", params, 1)
    tables = (tmp_path / "stops" / f"{name}.parquet" for name in ("r", "quality", "coverage", "intervals"))
    return b"".join(of_frame(pl.read_parquet(path)) for path in tables)


def stacked(tmp_path: Path, params: Params) -> bytes:
    rng = np.random.default_rng(0)
    table = pl.DataFrame(
        {
            "start_s": rng.uniform(0, 2000, 500),
            "duration_s": rng.uniform(1, 9, 500),
            "x_cm": rng.uniform(-1, 51, 500),
            "y_cm": rng.uniform(-1, 52, 500),
        }
    )
    made = stack_of(table, (49.8, 50.9), params.histograms)
    return made.counts.astype(np.uint16).tobytes() + repr((made.n_stops, made.n_outside, made.n_late)).encode()


def trained(tmp_path: Path, params: Params) -> list[float]:
    table = pl.read_parquet(study.prepared() / "train" / "predictions.parquet")
    return np.stack([table[f"p_{name}"].to_numpy() for name in SMALL.classes]).mean(axis=1).tolist()


def evaluated(tmp_path: Path, params: Params) -> list[float]:
    rng = np.random.default_rng(0)
    study.write_study(tmp_path, SMALL, lambda sample, seed: rng.dirichlet(np.ones(4)).tolist())
    metrics = evaluate.evaluate(tmp_path, SMALL)
    sure = [metrics[name] for name in ("occupancy_svm_accuracy", "chance_knn", "p_svm_joint", "difference_knn")]
    return [value for value in metrics.values() if isinstance(value, float)][:15] + sure


def explained(tmp_path: Path, params: Params) -> list[float]:
    study.write_study(tmp_path, SMALL)
    explain.explain(tmp_path, SMALL)
    maps = np.load(tmp_path / "explain" / "activation_maps.npy")
    folder = tmp_path / "explain"
    hours, uses = (pl.read_parquet(folder / f"{name}.parquet") for name in ("hours", "attributions"))
    numbers = [maps.std(), maps[0, 1, 2, 3], maps[2, 3].max(), np.load(folder / "contrasts.npy").std()]
    gates = json.loads((folder / "explain.json").read_text())["gates"]
    numbers += [np.sqrt(hours["distance"].abs().mean()), uses["value"].std(), gates["p_places"], gates["p_hours"]]
    return [float(value) for value in (*numbers, np.load(folder / "sample_attributions.npy").std())]


def bundled(tmp_path: Path, params: Params) -> list[float]:
    made = bundle.build(study.prepared(), SMALL)
    told = [p for *_, p in made.meta["held_out"]]
    roots = made.reference.roots
    return [
        made.reference.farthest or 0.0,
        float(roots.mean()),
        float(roots[0, 2, 3]),
        set_level(told, [str(i) for i in range(len(told))], 0.5),
    ]


Result = bytes | list[float]
MERITS = [
    0.21875, 0.3125, 0.3125, 0.3125, 0.08467, 0.25, 0.375, 0.25, 0.375,
    0.25, 0.25, 0.25, 0.5, 1.67052, 0.81168,
]  # fmt: skip
GOLDEN: dict[str, tuple[Callable[[Path, Params], Result], dict[int, str | list[float]]]] = {
    "simulate": (simulated, {2: "465c7d2db7a08aa2"}),
    "stops": (stopped, {1: "e90261b39d8d36fc"}),
    "histograms": (stacked, {2: "e21482480b47d7b2"}),
    "train": (trained, {2: [0.24104, 0.24819, 0.27591, 0.23487]}),
    "evaluate": (evaluated, {3: [*MERITS, 0.9375, 0.13043, 0.08333, -0.78125]}),
    "register": (bundled, {2: [0.01862, 0.16396, 0.19134, 0.23321]}),
    "explain": (explained, {3: [0.17306, 0.03655, 1.77356, 14.30993, 79.09636, 0.01526, 0.33333, 0.33333, 0.00782]}),
}


@pytest.mark.parametrize("stage", GOLDEN)
def test_results_that_move_have_a_new_revision(
    stage: str, tmp_path: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.prepared()  # whole, before figures are only touched: other tests share it
    monkeypatch.chdir(tmp_path)

    def touch(_: object, path: Path) -> None:
        for ending in gallery.figures.FORMATS:
            path.with_suffix(ending).touch()

    monkeypatch.setattr(gallery.figures, "save", touch)
    make, golden = GOLDEN[stage]
    found, wanted = make(tmp_path, params), golden[revisions.REVISIONS[stage]]
    if isinstance(found, bytes):
        found = hashlib.sha256(found).hexdigest()[:16]
    assert found == (wanted if isinstance(wanted, str) else pytest.approx(wanted, abs=2e-4)), stage
