"""What MLflow holds after the stages: read back through its client."""

import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

import study
from lmtcnn.core.errors import DataError
from lmtcnn.core.files import digest, write_json
from lmtcnn.core.records import full_training, seal_results
from lmtcnn.tracking import client as clients
from lmtcnn.tracking import runs, tracking, view

PARAMS = study.small_params(cohort__manifest="cohort.csv")


STARTED_S = 1_700_000_000.0


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A project whose training and evaluation were logged once, and the run's id."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        folder = study.project(tmp_path_factory.mktemp("logged"), monkeypatch)
        study.copy(study.prepared())
        (folder / "cohort.csv").write_text("recording,rfid,cage,sex,age\n")
        run_id = tracking.log_train(Path("data"), PARAMS, started_s=STARTED_S)
        tracking.log_evaluate(Path("data"), PARAMS)
    return folder, run_id


@pytest.fixture
def logged(finished: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The run's id, in that project; only to be read."""
    for name in ("MLFLOW_TRACKING_URI", "DVC_ROOT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(finished[0])
    return finished[1]


def all_runs(client: Any) -> list[Any]:
    return list(client.search_runs([clients.experiment_of(client).experiment_id], order_by=["attributes.run_name"]))


def children(client: Any, run_id: str) -> list[Any]:
    return [run for run in all_runs(client) if run.data.tags.get("mlflow.parentRunId") == run_id]


def test_a_training_is_one_run_with_a_run_for_each_held_out_cage(logged: str) -> None:
    client = clients.connect()
    assert client.get_run(logged).info.run_name == "reference"
    assert [run.info.run_name for run in children(client, logged)] == ["c1", "c2", "c3", "c4"]
    assert {run.info.status for run in all_runs(client)} == {"FINISHED"}
    assert len(all_runs(client)) == 5


def test_curves_of_parent_and_children_have_the_same_names_and_are_means_over_networks(logged: str) -> None:
    client = clients.connect()
    history = pl.read_parquet("data/train/history.parquet").filter(pl.col("fold") != "all")
    for name, column in (("test/loss", "test_loss"), ("train/accuracy", "train_accuracy")):
        for run, rows in ((logged, history), (children(client, logged)[1].info.run_id, history.filter(fold="c2"))):
            points = sorted(client.get_metric_history(run, name), key=lambda metric: metric.step)
            expected = rows.group_by("epoch").agg(pl.col(column).mean()).sort("epoch")
            assert [metric.step for metric in points] == [1, 2, 3]
            np.testing.assert_allclose([metric.value for metric in points], expected[column])


def test_a_run_bears_the_time_of_its_training_also_after_its_evaluation(logged: str) -> None:
    client = clients.connect()
    info = client.get_run(logged).info
    assert info.start_time == STARTED_S * 1000 < info.end_time
    first, *_, last = sorted(m.timestamp for m in client.get_metric_history(logged, "test/loss"))
    assert info.start_time < first < last == info.end_time
    evaluated = client.get_metric_history(logged, "cv/accuracy")[0].timestamp
    assert info.end_time <= evaluated


def test_without_a_start_the_run_bears_the_time_of_the_files(project: Path) -> None:
    os.utime("data/train/train.json", (1_600_000_000, 1_600_000_000))
    info = clients.connect().get_run(tracking.log_train(Path("data"), PARAMS)).info
    assert (info.start_time, info.end_time) == (1_600_000_000_000, 1_600_000_000_000)


def test_a_run_says_what_it_was_made_of(logged: str) -> None:
    client = clients.connect()
    run = client.get_run(logged)
    assert run.data.params["train.lr"] == "0.05"
    assert run.data.tags["lmtcnn.key"] == study.training_key(Path("data"), PARAMS)
    assert run.data.tags["lmtcnn.simulated"] == "true"
    assert run.data.tags["mlflow.note.content"].startswith("**SIMULATED MICE: this says nothing about real mice.**")
    assert run.data.tags["lmtcnn.left_out"] == "1: c9_adult"
    assert run.data.tags["lmtcnn.unlisted"] == "1: c1_adult"
    assert run.data.params["histograms.window"] == "all"
    (dataset,) = (used.dataset for used in run.inputs.dataset_inputs)
    assert (dataset.name, dataset.digest) == ("simulated histograms", run.data.tags["lmtcnn.histograms"])
    files = {file.path for folder in ("", "cohort") for file in client.list_artifacts(logged, folder)}
    assert {"params.yaml", "predictions.json", "cohort/samples.csv", "cohort/cohort.csv", "cohort/notices.md"} <= files


def test_a_matrix_of_each_fold_is_kept_as_a_table(logged: str) -> None:
    client = clients.connect()
    fold = children(client, logged)[0]
    folder = Path(client.download_artifacts(fold.info.run_id, ""))
    confusion = pl.read_csv(folder / "confusion.csv")
    assert confusion.columns == ["actual", "predicted"]
    hits = (confusion["actual"] == confusion["predicted"]).mean()
    assert confusion.height == 4
    assert fold.data.metrics["cv/ensemble_accuracy"] == hits
    mark, _, head, _, *rows = (folder / "confusion.md").read_text().splitlines()
    assert mark == "**SIMULATED MICE: this says nothing about real mice.**"
    assert head == "| true | predicted AM | predicted JM | predicted AF | predicted JF |"
    numbers = [[int(cell) for cell in row.split("|")[2:-1]] for row in rows]
    assert np.trace(numbers) == hits * np.sum(numbers)


def test_the_evaluation_joins_the_run_of_its_training(logged: str) -> None:
    client = clients.connect()
    run, metrics = client.get_run(logged), json.loads(Path("data/evaluate/metrics.json").read_text())
    assert run.data.metrics["cv/accuracy"] == metrics["accuracy"]
    assert run.data.metrics["cv/sex_F"] == metrics["accuracy_sex_F"]
    assert run.data.metrics["baseline/svm"] == metrics["svm_accuracy"]
    folds = pl.read_csv("data/evaluate/folds.csv")
    steps = sorted(client.get_metric_history(logged, "fold/accuracy"), key=lambda metric: metric.step)
    assert [(metric.step, metric.value) for metric in steps] == list(enumerate(folds["accuracy"].to_list()))
    note = run.data.tags["mlflow.note.content"]
    assert "Simpler methods: knn" in note
    assert "Left out of training, as they fail a check:\n\n- c9_adult: animal 2: detection 33.3 %" in note
    assert metrics["notes"]
    assert run.data.tags["lmtcnn.notes"] == "; ".join(metrics["notes"])
    assert all(f"**Beware:** {each}." in note for each in metrics["notes"])
    assert run.data.metrics["train/late_fall"] == metrics["train_late_fall"]
    assert {fold.data.params["train.lr"] for fold in children(client, logged)} == {"0.05"}
    assert "evaluate/confusion.png" in {file.path for file in client.list_artifacts(logged, "evaluate")}


def test_the_same_training_is_not_logged_twice_and_a_line_says_so(
    logged: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert tracking.log_train(Path("data"), PARAMS) == logged
    assert caplog.messages == ["this training is already in MLflow, as run 'reference': no second one is made"]
    assert len(all_runs(clients.connect())) == 5


def test_a_run_is_named_by_the_parameter_that_differs(project: Path) -> None:
    tracking.log_train(Path("data"), PARAMS)
    study.seal_training(Path("data/train"), train__lr=0.1)
    run_id = tracking.log_train(Path("data"), study.small_params(train__lr=0.1))
    assert clients.connect().get_run(run_id).info.run_name == "train.lr=0.1"


def test_an_evaluation_without_a_run_makes_one_first(project: Path) -> None:
    run_id = tracking.log_evaluate(Path("data"), PARAMS)
    assert clients.latest_parents(1) == [run_id]


def test_an_undefined_metric_is_not_logged(project: Path) -> None:
    path = Path("data/evaluate/metrics.json")
    metrics = json.loads(path.read_text())
    del metrics["mcc"]
    path.write_text(json.dumps(metrics))
    study.seal_evaluation(Path("data"), PARAMS)
    run_id = tracking.log_evaluate(Path("data"), PARAMS)
    assert "cv/mcc" not in clients.connect().get_run(run_id).data.metrics


def test_maps_are_logged_once_as_pictures_that_runs_can_be_compared_by(project: Path) -> None:
    maps = project / "data" / "explain" / "maps"
    maps.mkdir(parents=True)
    for name in ("maps/3x3_00", "maps/9x9_01", "where"):
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(maps.parent / f"{name}.png")
    (maps.parent / "hours.parquet").write_bytes(b"a table")
    study.seal_maps(Path("data"), PARAMS)
    run_id = tracking.log_explain(Path("data"), PARAMS)
    assert tracking.log_explain(Path("data"), PARAMS) == run_id
    client = clients.connect()
    images = [file.path for file in client.list_artifacts(run_id, "images") if file.path.endswith(".png")]
    assert sorted(path.partition("+")[0] for path in images) == [
        "images/explain~where", "images/maps~3x3_00", "images/maps~9x9_01",
    ]  # fmt: skip
    assert [file.path for file in client.list_artifacts(run_id, "explain")] == [
        "explain/activation_maps.json", "explain/hours.parquet",
    ]  # fmt: skip


def test_the_page_is_an_artifact_of_its_training_and_none_of_another(project: Path) -> None:
    folder = project / "data" / "report"
    folder.mkdir()
    (folder / "index.html").write_text("a page")
    training = full_training(Path("data"), PARAMS)
    evaluation = Path("data/evaluate/evaluate.json")
    inputs = {"evaluation": digest(evaluation)}
    write_json(folder / "report.json", seal_results("report", {}, training, inputs, PARAMS, folder, ["index.html"]))
    run_id = tracking.log_report(Path("data"), PARAMS)
    assert [file.path for file in clients.connect().list_artifacts(run_id, "report")] == ["report/index.html"]
    (folder / "index.html").write_text("another page")
    with pytest.raises(DataError, match=r"expected what its record lists"):
        tracking.log_report(Path("data"), PARAMS)
    (folder / "index.html").write_text("a page")
    evaluation.write_text(evaluation.read_text() + " ")
    with pytest.raises(DataError, match=r"those of other files of it: evaluation; run `lmtcnn report` again"):
        tracking.log_report(Path("data"), PARAMS)


def test_single_folds_make_the_run_of_the_whole_training(project: Path) -> None:
    whole = pl.read_parquet("data/train/predictions.parquet"), pl.read_parquet("data/train/history.parquet")
    for cage in study.CAGES:
        folder = Path("data/train/folds") / cage
        folder.mkdir(parents=True)
        for frame, name in zip(whole, ("predictions", "history"), strict=True):
            frame.filter(fold=cage).write_parquet(folder / f"{name}.parquet")
        shutil.copy("data/train/train.json", folder)
        study.seal_training(folder)
    for path in Path("data/train").glob("*.*"):
        path.unlink()
    run_id = tracking.log_train(Path("data"), PARAMS)
    assert len(children(clients.connect(), run_id)) == 4


def test_track_rebuilds_a_lost_store_from_the_files(
    logged: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = clients.connect().get_run(logged)
    study.project(tmp_path / "another", monkeypatch)
    study.copy(study.prepared())
    Path("cohort.csv").touch()
    after = clients.connect().get_run(tracking.track(Path("data"), PARAMS))
    assert after.info.run_id != before.info.run_id
    assert after.data.metrics == before.data.metrics
    assert after.data.params == before.data.params


def test_a_new_cohort_is_a_run_of_its_own(project: Path) -> None:
    rows = {"recording": ["r1", "r1"], "rfid": ["1", "2"], "class": ["AM", "JF"], "predicted": ["AM", "AM"]}
    predictions = pl.DataFrame(rows)
    manifest = project / "new cages" / "cohort.csv"
    manifest.parent.mkdir()
    manifest.write_text("recording")
    metrics = {"ensemble_accuracy": 0.5, "recall_AM": 1.0, "mcc": float("nan")}
    run_id = tracking.log_cohort(manifest, metrics, predictions, ("AM", "JF"), "models:/lmtcnn/1", simulated=True)
    client = clients.connect()
    run = client.get_run(run_id)
    assert (run.info.run_name, run.data.tags["lmtcnn.kind"]) == ("new cages by models:/lmtcnn/1", "cohort")
    assert run.data.tags["lmtcnn.model"] == "models:/lmtcnn/1"
    assert run.data.metrics == {"cohort/ensemble_accuracy": 0.5, "cohort/recall_AM": 1.0}
    assert run.data.params == {"cohort.samples": "2", "cohort.recordings": "1"}
    assert run.data.tags["lmtcnn.manifest"] == str(manifest)
    files = {file.path for file in client.list_artifacts(run_id)}
    assert files == {"predictions.json", "confusion.csv", "confusion.png", "confusion.svg", "confusion.pdf", "cohort"}
    with pytest.raises(DataError) as error:
        clients.latest_parents(2)
    assert str(error.value) == (
        "experiment lmtcnn: expected 2 trainings, found 0; train again with another parameter, or compare fewer"
    )


def test_the_predictions_of_a_run_are_those_of_its_training(logged: str) -> None:
    found = runs.predictions_of(logged)
    written = pl.read_parquet(study.prepared() / "train" / "predictions.parquet")
    keys = ["recording", "animal_id", "seed"]
    columns = [*keys, "cage", "class", "predicted"]
    assert found.sort(keys).select(columns).equals(written.sort(keys).select(columns))
    with pytest.raises(DataError) as error:
        runs.predictions_of("elsewhere")
    assert str(error.value) == (
        "elsewhere: expected a folder, or a finished training in MLflow's store, found neither; name a folder data, or "
        "the id of a training that `make ui` shows"
    )


def test_a_store_of_before_gets_the_view_when_it_is_tracked_again(project: Path) -> None:
    run_id = tracking.track(Path("data"), PARAMS)
    client = clients.connect()
    experiment = clients.experiment_of(client)
    client.delete_experiment_tag(experiment.experiment_id, view.TAG)
    assert tracking.track(Path("data"), PARAMS) == run_id
    assert view.TAG in clients.experiment_of(client).tags


def test_what_the_view_shows_is_in_a_run(logged: str) -> None:
    run, client = clients.connect().get_run(logged), clients.connect()
    shown = {"metrics": run.data.metrics, "params": run.data.params, "tags": run.data.tags}
    for column in view.columns(PARAMS):
        kind, name, _ = column.split("`")
        assert name in shown[kind.rstrip(".")]
    images = {file.path.partition("+")[0] for file in client.list_artifacts(logged, "images")}
    assert images == {f"images/{view.CONFUSION.replace('/', '~')}"}


def test_runs_differ_in_colour(project: Path) -> None:
    first = tracking.log_train(Path("data"), PARAMS)
    study.seal_training(Path("data/train"), train__lr=0.1)
    second = tracking.log_train(Path("data"), study.small_params(train__lr=0.1))
    client = clients.connect()
    colors = [client.get_run(run_id).data.tags["mlflow.runColor"] for run_id in (first, second)]
    assert colors == list(view.COLORS[:2])


def test_cages_are_listed_in_order(logged: str) -> None:
    started = {run.info.start_time: run.info.run_name for run in children(clients.connect(), logged)}
    assert [started[start] for start in sorted(started, reverse=True)] == ["c1", "c2", "c3", "c4"]


def test_what_is_not_there_is_told_by_the_stage_that_makes_it(project: Path) -> None:
    Path("data/evaluate/metrics.json").unlink()
    with pytest.raises(DataError) as error:
        tracking.log_evaluate(Path("data"), PARAMS)
    assert str(error.value) == ("data/evaluate/metrics.json: expected a file, found none; run `lmtcnn evaluate` again")


def test_nothing_is_printed(project: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    tracking.track(Path("data"), PARAMS)
    assert capfd.readouterr() == ("", "")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
