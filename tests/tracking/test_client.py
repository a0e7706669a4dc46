"""The store through a client: one experiment, its pages, and what goes wrong in one line."""

import os
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

import study
from conftest import told
from lmtcnn.core.errors import OutputError
from lmtcnn.tracking import client as clients
from lmtcnn.tracking import tracking, view

PARAMS = study.small_params(cohort__manifest="cohort.csv")


def all_runs(client: Any) -> list[Any]:
    return list(client.search_runs([clients.experiment_of(client).experiment_id], order_by=["attributes.run_name"]))


def test_a_run_whose_process_is_gone_is_closed(project: Path) -> None:
    client = clients.configure()
    experiment = clients.experiment_of(client).experiment_id
    gone = subprocess.run(["sh", "-c", "echo $$"], capture_output=True, text=True, check=True).stdout.strip()
    host = socket.gethostname()
    pids = {"dead": gone, "alive": str(os.getpid())}
    for name, pid in pids.items():
        client.create_run(experiment, run_name=name, tags={"lmtcnn.host": host, "lmtcnn.pid": pid})
    clients.close_stale(client)
    assert {run.info.run_name: run.info.status for run in all_runs(client)} == {"dead": "KILLED", "alive": "RUNNING"}


def test_a_moved_project_keeps_its_artifacts(
    project: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run_id = tracking.log_train(Path("data"), PARAMS)
    moved = project.rename(project.parent / "moved 100%")
    monkeypatch.chdir(moved)
    client = clients.configure()
    assert caplog.messages == ["mlflow.db was moved or copied here: its artifacts are now looked for in mlruns"]
    assert "lr: 0.05" in Path(client.download_artifacts(run_id, "params.yaml")).read_text()
    assert client.get_run(run_id).info.artifact_uri.startswith((moved / "mlruns").as_uri())
    assert clients.experiment_of(client).artifact_location == (moved / "mlruns").as_uri()


def test_a_store_that_was_moved_without_its_artifacts_is_told(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracking.log_train(Path("data"), PARAMS)
    elsewhere = project.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "dvc.yaml").touch()
    (project / "mlflow.db").rename(elsewhere / "mlflow.db")
    monkeypatch.chdir(elsewhere)
    with pytest.raises(OutputError) as error:
        clients.configure()
    assert str(error.value) == (
        f"{elsewhere}/mlflow.db: expected its artifacts in mlruns beside it, found none; "
        f"move {project}/mlruns there, move mlflow.db back, or move it away, then `lmtcnn track`"
    )


def test_a_deleted_experiment_is_restored_with_its_runs(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    run_id = tracking.log_train(Path("data"), PARAMS)
    client = clients.connect()
    client.delete_experiment(clients.experiment_of(client).experiment_id)
    assert clients.latest_parents(1) == [run_id]
    assert caplog.messages == ["the experiment lmtcnn was deleted in MLflow: it is restored, with its runs"]


def test_the_link_that_compares_runs_has_the_form_that_mlflow_reads(project: Path) -> None:
    experiment = clients.experiment_of(clients.configure()).experiment_id
    assert clients.compare_url(["a1", "b2"]) == (
        "http://127.0.0.1:5000/#/compare-runs?runs=%5B%22a1%22%2C%22b2%22%5D"
        f"&experiments=%5B%22{experiment}%22%5D&workflowType=machine_learning"
    )


def test_the_experiment_has_a_saved_view_that_is_written_once(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracking.track(Path("data"), PARAMS)
    client = clients.connect()
    experiment = clients.experiment_of(client)
    assert experiment.tags[view.TAG] == view.saved(PARAMS, experiment.creation_time)
    assert clients.view_url() == (
        f"http://127.0.0.1:5000/#/experiments/{experiment.experiment_id}/runs"
        "?viewStateShareKey=trainings&workflowType=machine_learning"
    )
    monkeypatch.setattr(client, "set_experiment_tag", None)  # not called again
    clients.save_view(client, PARAMS)


def test_what_goes_wrong_with_mlflow_costs_a_stage_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with clients.repairable():
        raise OutputError("/x: expected a free store, found none; wait")
    assert caplog.messages == [
        "not logged in MLflow (/x: expected a free store, found none; wait): `lmtcnn track` logs it once that is mended"
    ]
    with pytest.raises(ZeroDivisionError), clients.repairable():
        _ = 1 / 0


def test_a_server_that_does_not_answer_is_told_in_one_line(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert told(OutputError, clients.configure) == (
        "http://127.0.0.1:9: expected an MLflow server, found no answer; "
        "start it, correct MLFLOW_TRACKING_URI, or unset it",
    )


def test_what_a_server_refuses_is_one_line_wherever_it_happens(
    project: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from mlflow.exceptions import MlflowException

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    refused = "API request to endpoint /api/2.0/mlflow/runs/create failed with error code 401 != 200."
    line = "http://127.0.0.1:9: expected an MLflow server that does what is asked, found that it wants a login (401)"
    with pytest.raises(OutputError) as error, clients.answering():
        raise MlflowException(refused)  # as MLflow 3.17's client says it
    assert str(error.value).startswith(f"{line}; set MLFLOW_TRACKING_USERNAME")
    with clients.repairable():
        raise MlflowException(refused)
    assert caplog.messages[0].startswith(f"not logged in MLflow ({line}; set MLFLOW_TRACKING_USERNAME")
