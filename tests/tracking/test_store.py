"""Where the store is, and what is checked before it is touched."""

import logging
import os
from pathlib import Path

import pytest
from filelock import FileLock

from lmtcnn.core.errors import OutputError
from lmtcnn.tracking import store


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder that is no project, without settings of MLflow or DVC in the environment."""
    for name in ("MLFLOW_TRACKING_URI", "DVC_ROOT", *store.QUIET):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_store_lies_beside_the_nearest_dvc_yaml(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = here / "a" / "b"
    inner.mkdir(parents=True)
    (here / "dvc.yaml").touch()
    monkeypatch.chdir(inner)
    assert store.tracking_uri() == f"sqlite:///{here}/mlflow.db"


def test_without_dvc_yaml_the_store_lies_in_the_current_folder(here: Path) -> None:
    assert store.project_root() == here


def test_dvc_root_wins_over_dvc_yaml(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "dvc.yaml").touch()
    root = here / "root"
    root.mkdir()
    monkeypatch.setenv("DVC_ROOT", str(root))
    assert store.embedded() == root / "mlflow.db"


def test_mlflow_tracking_uri_wins_over_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    monkeypatch.setenv("DVC_ROOT", "elsewhere")
    assert (store.tracking_uri(), store.embedded(), store.location()) == ("http://127.0.0.1:5000", None, None)


def test_asking_whether_there_is_a_store_makes_none(here: Path) -> None:
    assert not store.exists()
    assert list(here.iterdir()) == []


def test_the_lock_of_the_store_may_be_held_twice_by_one_thread(here: Path) -> None:
    with store.alone(), store.alone():
        assert (here / "mlflow.db.lock").exists()
    with FileLock(here / "mlflow.db.lock", timeout=0):
        pass  # it is free again


def test_a_store_in_which_another_process_works_is_told(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "LOCK_TIMEOUT_S", 0.05)
    other = FileLock(here / "mlflow.db.lock")
    with other, pytest.raises(OutputError) as error, store.alone():
        pass
    assert str(error.value) == (
        f"{here}/mlflow.db.lock: expected a free store, found another process at work in it; "
        "end that process and try again"
    )


def test_a_server_is_not_locked(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    with store.alone():
        assert list(here.iterdir()) == []


def test_quiet_switches_telemetry_off_unless_the_user_said_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_DISABLE_AGENT_HINT", "false")
    with monkeypatch.context() as undone:
        undone.setattr(os, "environ", os.environ.copy())
        store.quiet()
        assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
        assert os.environ["MLFLOW_DISABLE_AGENT_HINT"] == "false"
    assert logging.getLogger("mlflow").level == logging.WARNING


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///a%20b/%C3%A9%231/mlruns", Path("/a b/é#1/mlruns")),
        ("/plain/path", Path("/plain/path")),
        ("mlflow-artifacts:/1/models", None),
        ("s3://bucket/1", None),
    ],
)
def test_a_place_is_a_path_only_on_this_machine(uri: str, path: Path | None) -> None:
    assert store.local_path(uri) == path


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("https://u:p%40ss@host:5000/x", "https://u:***@host:5000/x"),
        ("postgresql+psycopg2://u:pass@host/db?sslmode=require", "postgresql+psycopg2://u:***@host/db?sslmode=require"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("sqlite:////a b@c/mlflow.db", "sqlite:////a b@c/mlflow.db"),
        ("http://u:pass@[bad", "http://u:***@[bad"),
        ("https://token@host", "https://token@host"),
    ],
)
def test_an_address_is_shown_without_its_password(uri: str, expected: str) -> None:
    assert store.shown(uri) == expected


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("postgresql+psycopg2://lab:secret@db/mlflow", "postgresql+psycopg2://lab:***@db/mlflow"),
        ("https://me:secret@mlflow.lab", "https://me:***@mlflow.lab"),
        ("https://mlflow.lab:5000/x@y", "https://mlflow.lab:5000/x@y"),
        ("sqlite:////there/x.db", "/there/x.db"),
    ],
)
def test_a_store_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch, uri: str, shown: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert store.place() == shown


def test_places_of_another_folder_are_looked_for_in_this_one(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = (here / "mlruns").as_uri()
    assert store.at_home(f"{own}/1/a") == f"{own}/1/a"
    assert store.at_home("file:///there/mlruns/1/a") == f"{own}/1/a"
    assert store.at_home("/there/mlruns/1/a") == f"{own}/1/a"
    assert store.at_home("file:///there/kept/1/models/m-1/artifacts") == f"{own}/1/models/m-1/artifacts"
    assert store.at_home("s3://bucket/mlruns/1") == "s3://bucket/mlruns/1"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////there/x.db")
    assert store.at_home("file:///there/mlruns/1/a") == "file:///there/mlruns/1/a"
