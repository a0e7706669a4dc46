"""Where the store is, and what is checked before it is touched."""

import logging
import os
import shutil
import socket
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from filelock import FileLock

import study
from conftest import Scene, execute, mounted_read_only, still, told
from lmtcnn.core.errors import OutputError
from lmtcnn.tracking import store, tracking


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


def test_an_unwritable_folder_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", "/proc")
    with pytest.raises(OutputError) as error:
        store.check_writable()
    assert str(error.value) == (
        "/proc/x: expected a place that can be written, found No such file or directory; "
        "choose another or change its permissions"
    )


def test_a_read_only_database_is_told_at_once(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "mlflow.db").touch()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(OutputError) as error:
        store.check_writable()
    assert str(error.value) == (
        f"{here}/mlflow.db: expected a store that can be written, found a read-only file; "
        "change its permissions, or name another store in MLFLOW_TRACKING_URI"
    )


def test_another_file_in_the_databases_place_is_told_at_once(here: Path) -> None:
    (here / "mlflow.db").write_text("a text of more than sixteen letters")
    with pytest.raises(OutputError) as error:
        store.check_writable()
    assert str(error.value) == (
        f"{here}/mlflow.db: expected MLflow's database, found another file; move it away, then `lmtcnn track`"
    )


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


# ---- Servers ---------------------------------------------------------------------------------------------------------

URI = "https://mlflow.lab.example"
REFUSED = "API request to endpoint /api/2.0/mlflow/runs/create failed with error code {} != 200. Response body: '{}'"


@pytest.mark.parametrize(
    ("uri", "line"),
    [
        ("http://127.0.0.1:9", "no answer; start it, correct MLFLOW_TRACKING_URI, or unset it"),
        ("http://nowhere.invalid", "no answer; start it, correct MLFLOW_TRACKING_URI, or unset it"),
        ("http://", "InvalidURL; correct MLFLOW_TRACKING_URI"),
    ],
)
def test_a_server_that_is_not_there_is_told_at_once(monkeypatch: pytest.MonkeyPatch, uri: str, line: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    begin_s = time.monotonic()
    (found,) = told(OutputError, store.check_answers)
    assert found.endswith(f"found {line}")
    assert time.monotonic() - begin_s < 10


def test_a_server_that_takes_connections_and_says_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "ANSWER_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as dumb:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{dumb.getsockname()[1]}")
        assert "found no answer" in told(OutputError, store.check_answers)[0]


def test_a_store_that_is_no_server_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://user:secret@nowhere.invalid/db")
    store.check_answers()
    assert store.refusal(mlflow_error("error code 401")) is None


@pytest.mark.parametrize(
    ("login", "password", "error", "line"),
    [
        (None, None, REFUSED.format(401, "no"), "that it wants a login (401); set MLFLOW_TRACKING_USERNAME and"),
        ("ada", "secret", REFUSED.format(401, "no"), "that it knows no login 'ada' with this password (401); correct"),
        (
            "ada",
            "secret",
            REFUSED.format(403, "Permission denied"),
            "that the login 'ada' (MLFLOW_TRACKING_USERNAME) may",
        ),
        (
            "ada",
            "secret",
            REFUSED.format(403, "Invalid Host header"),
            "that it is not called by this name (403)",
        ),
        (
            "ada",
            "secret",
            "API request to x failed: Max retries exceeded",
            "no answer any more; start",
        ),
        (
            "ada",
            "secret",
            REFUSED.format(500, "no disk"),
            "API request to endpoint /api/2.0/mlflow/runs/create failed with",
        ),
    ],
)
def test_what_a_server_refuses_is_told_apart_and_never_with_the_password(
    monkeypatch: pytest.MonkeyPatch, login: str | None, password: str | None, error: str, line: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://ada:secret@mlflow.lab.example")
    monkeypatch.delenv("MLFLOW_TRACKING_TOKEN", raising=False)
    for name, value in (("MLFLOW_TRACKING_USERNAME", login), ("MLFLOW_TRACKING_PASSWORD", password)):
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)
    found = store.refusal(mlflow_error(error))
    assert found is not None
    expected = "expected an MLflow server that does what is asked, found"
    assert found.lines[0].startswith(f"https://ada:***@mlflow.lab.example: {expected} {line}")
    assert "secret" not in str(found)


def test_a_refused_upload_is_told_like_a_refused_request(monkeypatch: pytest.MonkeyPatch) -> None:
    import requests

    monkeypatch.setenv("MLFLOW_TRACKING_URI", URI)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ada")
    response = requests.Response()
    response.status_code = 403
    found = store.refusal(requests.HTTPError("403 Client Error: FORBIDDEN for url: x", response=response))
    assert found is not None
    assert "that the login 'ada' (MLFLOW_TRACKING_USERNAME) may not do this (403)" in found.lines[0]


def test_a_fault_of_ours_is_no_refusal_of_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", URI)
    assert store.refusal(KeyError("x")) is None


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


def mlflow_error(text: str) -> Exception:
    from mlflow.exceptions import MlflowException

    return MlflowException(text)


def truncate(path: Path) -> str:
    n_bytes = path.stat().st_size
    os.truncate(path, n_bytes - 5000)
    return f"a truncated file ({n_bytes - 5000} of {n_bytes} bytes)"


def damage(path: Path) -> str:
    with path.open("r+b") as stream:
        stream.seek(100)
        stream.write(bytes(3000))
    return "database disk image is malformed"


def replace_by_a_recording(path: Path) -> str:
    path.unlink()
    Scene(still(1, 30), n_frames=30).write(path)
    return "a database of another program (tables ANIMAL, DETECTION, FRAME)"


def make_newer(path: Path) -> str:
    execute(path, "UPDATE alembic_version SET version_num = 'fffff0000000'")
    return "one of a newer MLflow (revision fffff0000000)"


def make_a_folder(path: Path) -> str:
    path.unlink()
    path.mkdir()
    return "Is a directory"


@pytest.mark.parametrize("spoil", [truncate, damage, replace_by_a_recording, make_newer, make_a_folder])
def test_a_database_that_mlflow_could_not_use_is_one_line_for_reading_and_writing_and_stays_as_it_is(
    here: Path, spoil: Callable[[Path], str]
) -> None:
    database = here / "mlflow.db"
    shutil.copyfile(study.empty_store(), database)
    found = spoil(database)
    before = database.read_bytes() if database.is_file() else None
    for call in (store.check_readable, store.check_writable, tracking.connect, tracking.configure):
        with pytest.raises(OutputError) as error:
            call()
        (line,) = error.value.lines
        assert line.startswith(f"{database}: expected ")
        assert f", found {found}; " in line
    assert before is None or database.read_bytes() == before


def test_a_store_of_an_older_mlflow_is_told_from_a_newer_one(here: Path) -> None:
    shutil.copyfile(study.empty_store(), here / "mlflow.db")
    execute(here / "mlflow.db", "UPDATE alembic_version SET version_num = '451aebb31d03'")
    assert store.is_known("451aebb31d03")
    store.check_readable()
    with pytest.raises(OutputError) as error:
        tracking.connect()
    uri = store.tracking_uri()
    assert str(error.value) == (
        f"{here}/mlflow.db: expected a store of this MLflow, found one of an older MLflow; "
        f"keep a copy of it and run `mlflow db upgrade {uri}`"
    )


def test_an_empty_file_is_no_store_yet(here: Path) -> None:
    (here / "mlflow.db").touch()
    assert not store.exists()
    store.check_readable()
    store.check_writable()


def test_a_database_that_another_program_writes_is_told(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "BUSY_S", 0.05)
    shutil.copyfile(study.empty_store(), here / "mlflow.db")
    with closing(sqlite3.connect(here / "mlflow.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        store.check_readable()
        with pytest.raises(OutputError, match="expected a store that can be written, found database is locked"):
            store.check_writable()
    store.check_writable()


def test_a_store_on_a_read_only_disk_is_read_and_refuses_to_be_written(here: Path) -> None:
    shutil.copyfile(study.empty_store(), here / "mlflow.db")
    with mounted_read_only(here) as mounted:
        if not mounted:
            pytest.skip("this process may not mount")
        store.check_readable()
        with pytest.raises(OutputError) as error:
            store.check_writable()
    assert len(error.value.lines) == 1


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
