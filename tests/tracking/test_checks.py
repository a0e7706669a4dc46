"""A store is looked at before MLflow touches it, and what it complains of is one line."""

import os
import shutil
import socket
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

import study
from conftest import Scene, execute, mounted_read_only, still, told
from lmtcnn.core.errors import OutputError
from lmtcnn.tracking import checks, store
from lmtcnn.tracking import client as clients


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder that is no project, without settings of MLflow or DVC in the environment."""
    for name in ("MLFLOW_TRACKING_URI", "DVC_ROOT", *store.QUIET):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_an_unwritable_folder_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", "/proc")
    with pytest.raises(OutputError) as error:
        checks.check_writable()
    assert str(error.value) == (
        "/proc/x: expected a place that can be written, found a folder in which none can be made; "
        "choose another or change its permissions"
    )


def test_a_read_only_database_is_told_at_once(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "mlflow.db").touch()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(OutputError) as error:
        checks.check_writable()
    assert str(error.value) == (
        f"{here}/mlflow.db: expected a store that can be written, found a read-only file; "
        "change its permissions, or name another store in MLFLOW_TRACKING_URI"
    )


def test_another_file_in_the_databases_place_is_told_at_once(here: Path) -> None:
    (here / "mlflow.db").write_text("a text of more than sixteen letters")
    with pytest.raises(OutputError) as error:
        checks.check_writable()
    assert str(error.value) == (
        f"{here}/mlflow.db: expected MLflow's database, found another file; move it away, then `lmtcnn track`"
    )


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
    (found,) = told(OutputError, checks.check_answers)
    assert found.endswith(f"found {line}")
    assert time.monotonic() - begin_s < 10


def test_a_server_that_takes_connections_and_says_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "ANSWER_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as dumb:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{dumb.getsockname()[1]}")
        assert "found no answer" in told(OutputError, checks.check_answers)[0]


def test_a_store_that_is_no_server_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://user:secret@nowhere.invalid/db")
    checks.check_answers()
    assert checks.refusal(mlflow_error("error code 401")) is None


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
    found = checks.refusal(mlflow_error(error))
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
    found = checks.refusal(requests.HTTPError("403 Client Error: FORBIDDEN for url: x", response=response))
    assert found is not None
    assert "that the login 'ada' (MLFLOW_TRACKING_USERNAME) may not do this (403)" in found.lines[0]


def test_a_fault_of_ours_is_no_refusal_of_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", URI)
    assert checks.refusal(KeyError("x")) is None


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
    return "a folder of that name"


@pytest.mark.parametrize("spoil", [truncate, damage, replace_by_a_recording, make_newer, make_a_folder])
def test_a_database_that_mlflow_could_not_use_is_one_line_for_reading_and_writing_and_stays_as_it_is(
    here: Path, spoil: Callable[[Path], str]
) -> None:
    database = here / "mlflow.db"
    shutil.copyfile(study.empty_store(), database)
    found = spoil(database)
    before = database.read_bytes() if database.is_file() else None
    for call in (checks.check_readable, checks.check_writable, clients.connect, clients.configure):
        with pytest.raises(OutputError) as error:
            call()
        (line,) = error.value.lines
        assert line.startswith(f"{database}: expected ")
        assert f", found {found}; " in line
    assert before is None or database.read_bytes() == before


def test_a_store_of_an_older_mlflow_is_told_from_a_newer_one(here: Path) -> None:
    shutil.copyfile(study.empty_store(), here / "mlflow.db")
    execute(here / "mlflow.db", "UPDATE alembic_version SET version_num = '451aebb31d03'")
    assert checks.is_known("451aebb31d03")
    checks.check_readable()
    with pytest.raises(OutputError) as error:
        clients.connect()
    uri = store.tracking_uri()
    assert str(error.value) == (
        f"{here}/mlflow.db: expected a store of this MLflow, found one of an older MLflow; "
        f"keep a copy of it and run `mlflow db upgrade {uri}`"
    )


def test_an_empty_file_is_no_store_yet(here: Path) -> None:
    (here / "mlflow.db").touch()
    assert not store.exists()
    checks.check_readable()
    checks.check_writable()


def test_a_database_that_another_program_writes_is_told(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "BUSY_S", 0.05)
    shutil.copyfile(study.empty_store(), here / "mlflow.db")
    with closing(sqlite3.connect(here / "mlflow.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        checks.check_readable()
        with pytest.raises(OutputError, match="expected a store that can be written, found database is locked"):
            checks.check_writable()
    checks.check_writable()


def test_a_store_on_a_read_only_disk_is_read_and_refuses_to_be_written(here: Path) -> None:
    shutil.copyfile(study.empty_store(), here / "mlflow.db")
    with mounted_read_only(here) as mounted:
        if not mounted:
            pytest.skip("this process may not mount")
        checks.check_readable()
        with pytest.raises(OutputError) as error:
            checks.check_writable()
    assert len(error.value.lines) == 1
