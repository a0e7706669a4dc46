"""Results are of what lies there, or they are refused: whatever was exchanged, in whatever order commands ran."""

import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import study
from conftest import told
from lmtcnn.bundle import bundle
from lmtcnn.core import files, records
from lmtcnn.core.errors import DataError, ModelError
from lmtcnn.core.files import digest, digest_of
from lmtcnn.core.params import Params
from lmtcnn.core.revisions import REVISIONS
from lmtcnn.core.sections import dump
from lmtcnn.evaluate import evaluate
from lmtcnn.explain import explain
from lmtcnn.figures import figures
from lmtcnn.register import lookup, register
from lmtcnn.report import report
from lmtcnn.tracking import client as clients
from lmtcnn.tracking import tracking
from lmtcnn.train import train

PARAMS, OTHER = study.small_params(), study.small_params(train__epochs=1)
Stage = Callable[[Path, Params], Any]
STAGES: dict[str, Stage] = {
    "evaluate": evaluate.evaluate,
    "explain": explain.explain,
    "register": bundle.build,
    "report": report.report,
}


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiny figures: drawing them is most of the stages' time."""
    monkeypatch.setattr(figures, "save", tiny_figure)


def tiny_figure(_: object, path: Path) -> None:
    """In place of `figures.save`."""
    Image.new("RGB", (2, 2)).save(path)
    for ending in (".svg", ".pdf"):
        path.with_suffix(ending).touch()


@functools.cache
def finished(params_of: str = "", seed: int = 0) -> Path:
    """The data of a study up to its page, by PARAMS or OTHER, with histograms of this seed; only to be read."""
    params, data = {"": PARAMS, "other": OTHER}[params_of], Path(study._KEPT.name) / f"records{params_of}{seed}"
    study.write_histograms(data, params, seed=seed)
    train.train(data, params)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(figures, "save", tiny_figure)
        evaluate.evaluate(data, params)
        explain.explain(data, params)
        report.report(data, params)
    return data


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A copy of that study, to be changed."""
    return study.copy(finished(), tmp_path / "data")


# ---- The key ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Histograms of the small study."""
    study.write_histograms(tmp_path / "data", PARAMS)
    return tmp_path / "data"


def test_the_key_is_the_same_for_the_same_training_wherever_it_ran(made: Path) -> None:
    here, there = study.small_params(train__device="cpu"), study.small_params(train__device="auto")
    assert study.training_key(made, here) == study.training_key(made, there)


@pytest.mark.parametrize("changed", ["train__lr", "train__epochs", "train__seeds", "train__class_weight"])
def test_the_key_depends_on_every_parameter_of_the_training(made: Path, changed: str) -> None:
    value = {"train__lr": 0.2, "train__epochs": 4, "train__seeds": [0, 2], "train__class_weight": "balanced"}[changed]
    assert study.training_key(made, study.small_params(**{changed: value})) != study.training_key(made, PARAMS)


@pytest.mark.parametrize("change", [{"seed": 1}, {"simulated": False}, {"cages": study.THREE_CAGES}])
def test_the_key_depends_on_the_histograms(made: Path, change: dict[str, Any]) -> None:
    before = study.training_key(made, PARAMS)
    study.write_histograms(made, PARAMS, **change)
    assert study.training_key(made, PARAMS) != before


def test_the_key_does_not_depend_on_how_the_training_is_evaluated(made: Path) -> None:
    assert study.training_key(made, study.small_params(evaluate__svm_c=2.0)) == study.training_key(made, PARAMS)


def test_every_result_bears_the_key_of_its_training(data: Path) -> None:
    key = study.training_key(data, PARAMS)
    bundle.write(bundle.build(data, PARAMS), data / "register")
    places = (
        "train/train", "evaluate/metrics", "evaluate/evaluate", "explain/activation_maps", "register/model",
        "report/report",
    )  # fmt: skip
    assert [json.loads((data / f"{place}.json").read_text())["training"] for place in places] == [key] * len(places)
    assert key[:12] in (data / "report" / "index.html").read_text()


# ---- What is exchanged -----------------------------------------------------------------------------------------------


def exchange(names: str, params_of: str = "other", seed: int = 0) -> Callable[[Path], None]:
    """Put files or folders of another study's training into this one's place."""

    def exchanged(data: Path) -> None:
        for name in names.split():
            there, here = finished(params_of, seed) / name, data / name
            if there.is_dir():
                shutil.rmtree(here)
                shutil.copytree(there, here)
            else:
                shutil.copyfile(there, here)

    return exchanged


LATER = ("evaluate", "explain", "register", "report")


@pytest.mark.parametrize(
    ("change", "refusing"),
    [
        pytest.param(exchange("histograms/stacks.npy", "", 1), LATER, id="stacks"),
        pytest.param(exchange("histograms", "", 1), LATER, id="histograms"),
        pytest.param(exchange("train"), LATER, id="training"),
        pytest.param(exchange("train", "", 1), LATER, id="training on other histograms"),
        pytest.param(exchange("train/predictions.parquet"), ("evaluate", "report"), id="predictions"),
        pytest.param(exchange("train/history.parquet"), ("evaluate",), id="history"),
        pytest.param(exchange("train/weights.safetensors"), ("explain", "register", "report"), id="weights"),
        pytest.param(exchange("train/train.json", "", 1), LATER, id="summary"),
        pytest.param(exchange("evaluate"), ("register", "report"), id="evaluation"),
        pytest.param(exchange("evaluate/metrics.json"), ("register", "report"), id="metrics"),
        pytest.param(exchange("evaluate/metrics.json evaluate/evaluate.json"), ("register", "report"), id="both"),
        pytest.param(exchange("explain"), ("report",), id="maps"),
        pytest.param(exchange("explain/activation_maps.npy"), ("report",), id="the maps' array"),
    ],
)
def test_what_is_of_another_training_is_refused_in_lines(
    data: Path, undrawn: None, change: Callable[[Path], None], refusing: tuple[str, ...]
) -> None:
    change(data)
    for name in reversed(LATER):
        if name in refusing:
            assert all("; run `lmtcnn " in line for line in told(DataError, STAGES[name], data, PARAMS))
        else:
            STAGES[name](data, PARAMS)


def test_after_running_again_what_was_told_all_fits(data: Path, undrawn: None) -> None:
    exchange("histograms", "", 1)(data)
    for stage in (train.train, *STAGES.values()):
        stage(data, PARAMS)
    metrics = json.loads((finished("", 1) / "evaluate" / "metrics.json").read_text())
    assert json.loads((data / "evaluate" / "metrics.json").read_text()) == metrics


@pytest.mark.parametrize(
    "path", ["histograms/histograms", "train/train", "evaluate/evaluate", "explain/activation_maps"]
)
def test_a_record_of_before_is_told_in_a_line(data: Path, path: str) -> None:
    file = data / f"{path}.json"
    content = json.loads(file.read_text())
    for name in ("revision", "inputs", "outputs", "training"):
        content.pop(name, None)
    file.write_text(json.dumps(content))
    line = told(DataError, report.report, data, PARAMS)[0]
    assert line.startswith(f"{file}: expected ")
    assert "found no revision, inputs, outputs" in line
    assert line.endswith(f"; run `lmtcnn {path.partition('/')[0]}` again")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"revision": 99}, f"expected revision {REVISIONS['train']} of `train`, found revision 99"),
        ({"inputs": "none"}, "expected the summary of a training, found inputs: Input should be a valid dictionary"),
        ({"train__lr": 0.5}, "expected train.lr 0.05, found 0.5"),
        ({"simulated": False}, "expected a training on the present histograms"),
        ({"version": "9"}, "expected the key "),
    ],
)
def test_a_record_that_was_changed_is_told_in_a_line(data: Path, changes: dict[str, Any], said: str) -> None:
    study.rewrite(data / "train" / "train.json", **changes)
    (line,) = told(DataError, evaluate.evaluate, data, PARAMS)
    assert said in line
    assert line.endswith("; run `lmtcnn train` again")


def test_results_by_other_parameters_are_told_with_what_differs(data: Path) -> None:
    (line,) = told(DataError, bundle.build, data, study.small_params(evaluate__svm_c=2.0))
    assert line == f"{data}/evaluate: expected evaluate.svm_c 2.0, found 1.0; run `lmtcnn evaluate` again"
    (line,) = told(DataError, report.report, data, study.small_params(explain__seed=1))
    assert line == f"{data}/explain: expected explain.seed 1, found 0; run `lmtcnn explain` again"
    for name, other, was in (("smoothing_tiles", 2.5, 1.5), ("permutation_seed", 7, 0)):
        changed = study.small_params(**{f"evaluate__{name}": other})
        wanted = f"{data}/explain: expected evaluate.{name} {other}, found {was}; run `lmtcnn explain` again"
        assert told(DataError, records.read_maps, data, changed, records.full_training(data, changed)) == (wanted,)
    for stage in (train.train, *STAGES.values()):
        (line,) = told(DataError, stage, data, study.small_params(stops__max_gap_frames=0))
        assert line == (f"{data}/histograms: expected stops.max_gap_frames 0, found 90; run `lmtcnn histograms` again")


def test_a_training_by_other_parameters_is_told_with_what_differs(data: Path) -> None:
    other = study.small_params(train={"lr": 0.1, "device": "auto"}, stops={"max_gap_frames": 15})
    study.write_histograms(data, other)
    assert told(DataError, evaluate.evaluate, data, other) == (
        f"{data}/train: expected train.lr 0.1, found 0.05; run `lmtcnn train` again",
        f"{data}/train: expected stops.max_gap_frames 15, found 90; run `lmtcnn train` again",
    )


def test_histograms_of_other_stops_or_another_manifest_are_told(data: Path) -> None:
    manifest = data.parent / "cohort.csv"
    params = study.small_params(cohort__manifest=str(manifest))
    for path in (data / "stops" / "stops.json", manifest):
        path.parent.mkdir(exist_ok=True)
        path.write_text("as it was\n")
    inputs = {"stops": digest(data / "stops" / "stops.json"), "manifest": digest(manifest)}
    study.rewrite(data / "histograms" / "histograms.json", inputs=inputs)
    train.train(data, params)
    for path in (data / "stops" / "stops.json", manifest):
        path.write_text("changed\n")
    again = "found by another one; run `lmtcnn histograms` again"
    assert told(DataError, train.train, data, params) == (
        f"{data}/histograms: expected histograms by the present {data}/stops/stops.json, {again}",
        f"{data}/histograms: expected histograms by the present {manifest}, {again}",
    )
    manifest.unlink()  # as on a machine that has the histograms only
    (data / "stops" / "stops.json").unlink()
    train.train(data, params)


def test_a_bundle_with_the_weights_of_another_is_refused(data: Path) -> None:
    bundle.write(bundle.build(data, PARAMS), data / "register")
    assert bundle.read(data / "register").meta["training"] == study.training_key(data, PARAMS)
    bundle.write(bundle.build(finished("other"), OTHER), data / "another")
    shutil.copyfile(data / "another" / "weights.safetensors", data / "register" / "weights.safetensors")
    (line,) = told(ModelError, bundle.read, data / "register")
    assert line.startswith(f"{data}/register/weights.safetensors: expected what its record lists (sha256 ")


# ---- Single folds ----------------------------------------------------------------------------------------------------


def train_folds(data: Path, params: Params, cages: tuple[str, ...] = tuple(study.CAGES)) -> None:
    for cage in cages:
        train.train(data, params, cage)


def accuracy_of(path: Path) -> float:
    return json.loads((path / "evaluate" / "metrics.json").read_text())["log_loss"]


def test_newer_single_folds_are_evaluated_and_not_an_old_full_training(
    data: Path, undrawn: None, caplog: pytest.LogCaptureFixture
) -> None:
    train_folds(data, OTHER)
    metrics = evaluate.evaluate(data, OTHER)
    assert metrics["log_loss"] == pytest.approx(accuracy_of(finished("other")), abs=1e-5)
    assert metrics["training"] == study.training_key(data, OTHER)
    assert [line for line in caplog.messages if "not used" in line] == [
        f"{data}/train: not used, as its single folds are of the present study and it is not: "
        f"{data}/train: expected train.epochs 1, found 3; run `lmtcnn train` again"
    ]
    for stage in (explain.explain, bundle.build):  # which need the networks that see all cages
        assert told(DataError, stage, data, OTHER) == (
            f"{data}/train: expected train.epochs 1, found 3; run `lmtcnn train` again",
        )


def test_old_single_folds_do_not_stand_in_the_way_of_a_full_training(data: Path, undrawn: None) -> None:
    train_folds(data, OTHER, ("c1", "c2"))
    assert evaluate.evaluate(data, PARAMS)["log_loss"] == accuracy_of(finished())


def test_a_full_training_replaces_the_evaluation_of_its_folds(data: Path, undrawn: None) -> None:
    shutil.rmtree(data / "train")
    train_folds(data, PARAMS)
    evaluate.evaluate(data, PARAMS)
    train.train(data, PARAMS)
    (line,) = told(DataError, bundle.build, data, PARAMS)
    assert line.endswith("found those of other files of it: predictions, history; run `lmtcnn evaluate` again")


def test_one_old_fold_among_new_ones_is_named(data: Path) -> None:
    shutil.rmtree(data / "train")
    train_folds(data, OTHER, ("c2",))
    train_folds(data, PARAMS, ("c1", "c3", "c4"))
    assert told(DataError, evaluate.evaluate, data, PARAMS) == (
        f"{data}/train/folds/c2: expected train.epochs 3, found 1; run `lmtcnn train` again",
    )
    train_folds(data, PARAMS, ("c2",))
    records.find_training(data, PARAMS)


def test_a_fold_of_a_cage_that_left_the_study_is_passed_over(data: Path, undrawn: None) -> None:
    shutil.rmtree(data / "train")
    train_folds(data, PARAMS)
    study.write_histograms(data, PARAMS, study.THREE_CAGES)
    train_folds(data, PARAMS, tuple(study.THREE_CAGES))
    assert evaluate.evaluate(data, PARAMS)["n_samples"] == 12


# ---- Any order of commands -------------------------------------------------------------------------------------------


def test_the_same_training_with_other_numbers_is_a_run_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On another machine, or a GPU, the same training may end in other digits: each run has its own numbers."""
    study.project(tmp_path / "project", monkeypatch)
    data = study.copy(finished())
    first = tracking.log_evaluate(data, PARAMS)
    path = data / "train" / "predictions.parquet"
    pl.read_parquet(path).with_columns(predicted=pl.col("class")).write_parquet(path)
    study.seal_training(data / "train")
    study.seal_evaluation(data, PARAMS, accuracy=1.0)
    second = tracking.log_evaluate(data, PARAMS)
    client = clients.connect()
    before = json.loads((finished() / "evaluate" / "metrics.json").read_text())["accuracy"]
    logged = [client.get_run(run_id).data for run_id in (first, second)]
    assert [run.metrics["cv/accuracy"] for run in logged] == [before, 1.0]
    assert logged[0].tags["lmtcnn.key"] == logged[1].tags["lmtcnn.key"]


COMMANDS: dict[str, Stage] = {
    "train": lambda data, params: (train.train(data, params), tracking.log_train(data, params)),
    "evaluate": lambda data, params: (evaluate.evaluate(data, params), tracking.log_evaluate(data, params)),
    "explain": explain.explain,
    "report": report.report,
    "register": register.register,
    "track": register.track,
}


@pytest.mark.parametrize("seed", range(2))
def test_no_order_of_commands_puts_a_false_number_into_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undrawn: None, seed: int
) -> None:
    """Trained by one epoch and by three, on two cohorts' histograms, with whatever lies there: refused, or true."""
    study.project(tmp_path / "project", monkeypatch)
    data, chance = Path("data"), np.random.default_rng(seed)
    study.copy(finished() / "histograms", data / "histograms")
    begin = [("train", PARAMS), ("evaluate", PARAMS), ("train", OTHER), ("track", OTHER), ("register", OTHER)]
    chosen = [(str(chance.choice([*COMMANDS, "histograms"])), (PARAMS, OTHER)[chance.integers(2)]) for _ in range(12)]
    done = 0
    for name, params in [*begin, *chosen] if seed else [*begin, ("evaluate", OTHER), ("track", OTHER)]:
        if name == "histograms":
            shutil.rmtree(data / "histograms")
            study.copy(finished("", int(chance.integers(2))) / "histograms", data / "histograms")
            continue
        lines: tuple[str, ...] = ()
        try:
            COMMANDS[name](data, params)
        except DataError as error:
            lines = error.lines
        done += not lines
        assert all("; run `lmtcnn " in line for line in lines)
    assert done >= 4
    _check_store()


def _check_store() -> None:
    """Every run and version bears the figures of the training whose key it bears."""
    true = {}
    for params_of, params in (("", PARAMS), ("other", OTHER)):
        for seed in range(2):
            place = finished(params_of, seed)
            true[study.training_key(place, params)] = place
    client = clients.connect()
    checked = 0
    for run in client.search_runs([clients.experiment_of(client).experiment_id], "tags.`lmtcnn.kind` = 'training'"):
        metrics = json.loads((true[run.data.tags["lmtcnn.key"]] / "evaluate" / "metrics.json").read_text())
        for name in ("accuracy", "ensemble_accuracy", "log_loss"):
            assert run.data.metrics.get(f"cv/{name}", metrics[name]) == pytest.approx(metrics[name], abs=1e-6)
        checked += "cv/accuracy" in run.data.metrics
    assert checked
    for number in lookup.versions():
        folder = lookup.resolve(f"models:/lmtcnn/{number}").folder
        meta = json.loads((folder / "model.json").read_text())
        place = true[meta["training"]]
        assert meta["metrics"]["log_loss"] == json.loads((place / "evaluate" / "metrics.json").read_text())["log_loss"]
        served, trained = (load_file(each / "weights.safetensors") for each in (folder, place / "train"))
        assert all(torch.equal(values, served[name]) for name, values in trained.items())


# ---- Digests ---------------------------------------------------------------------------------------------------------


def test_a_large_file_is_read_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, read = tmp_path / "large.npy", []
    monkeypatch.setattr(files, "digest", lambda path: read.append(path) or digest(path))
    np.save(path, np.zeros(2**20 + 1))
    assert digest_of(path) == digest_of(path) == digest(path)
    assert len(read) == 1
    np.save(path, np.ones(2**20 + 2))
    assert digest_of(path) == digest(path)


def test_classes_in_another_order_are_another_study(data: Path) -> None:
    raw = dump(PARAMS)
    other = PARAMS.model_copy(update={"classes": {name: PARAMS.classes[name] for name in reversed(raw["classes"])}})
    assert told(DataError, train.train, data, other) == (
        f"{data}/histograms: expected classes ['JF', 'AF', 'JM', 'AM'], found ['AM', 'JM', 'AF', 'JF']; "
        "run `lmtcnn histograms` again",
    )
