"""The tracking server for several people: its settings, and two logins on a real one."""

import configparser
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

import study
from conftest import ROOT, told
from lmtcnn.core.errors import OutputError
from lmtcnn.register import lookup, register
from lmtcnn.tracking import client as clients

SERVER = ROOT / "mlops" / "server"
ADMIN, ADA, BOB = "admin-password-123", "ada-password-123", "bob-password-123"
REFUSED = "expected an MLflow server that does what is asked, found"


def settings(**environment: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of what writes the configuration of logins."""
    done = subprocess.run(
        [sys.executable, SERVER / "auth.py"], env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr.strip()


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("postgresql+psycopg2://u:p@db:5432/mlflow", "postgresql+psycopg2://u:p@db:5432/mlflow_auth"),
        ("postgresql://u:p@db/m?sslmode=require&x=1", "postgresql://u:p@db/m_auth?sslmode=require&x=1"),
        ("postgresql://u:p%40%25:s@db/m", "postgresql://u:p%40%25%3As@db/m_auth"),
        ("postgresql:///m?host=/run/postgresql", "postgresql:///m_auth?host=%2Frun%2Fpostgresql"),
        ("sqlite:////srv/runs.db", "sqlite:////srv/runs_auth.db"),
    ],
)
def test_logins_have_a_database_beside_that_of_the_runs(uri: str, expected: str) -> None:
    code, out, _ = settings(DATABASE_URI=uri)
    assert code == 0
    read = configparser.ConfigParser()  # as MLflow reads it
    read.read_string(out)
    assert read["mlflow"]["database_uri"] == expected
    assert read["mlflow"]["default_permission"] == "EDIT"


def test_a_database_of_logins_may_be_named() -> None:
    code, out, _ = settings(DATABASE_URI="postgresql://db/m", AUTH_DATABASE_URI="postgresql://other/logins")
    assert (code, "database_uri = postgresql://other/logins" in out) == (0, True)


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        (
            {"DATABASE_URI": "postgresql://u:secret@db"},
            "DATABASE_URI: expected the name of a database, found none; add /NAME",
        ),
        (
            {"DATABASE_URI": "secret"},
            "DATABASE_URI: expected postgresql+psycopg2://USER:PASSWORD@HOST:PORT/NAME, found",
        ),
        ({"DATABASE_URI": "sqlite:///x", "DEFAULT_PERMISSION": "WRITE"}, "DEFAULT_PERMISSION: expected READ or USE or"),
    ],
)
def test_settings_that_cannot_be_are_told_in_a_line_without_the_password(
    environment: dict[str, str], line: str
) -> None:
    code, out, said = settings(**environment)
    assert (code, out) == (1, "")
    assert said.startswith(line)
    assert "secret" not in said


def test_what_the_image_installs_is_pinned() -> None:
    image, pinned = (SERVER / "Dockerfile").read_text(), (ROOT / "constraints.txt").read_text().lower()
    (install,) = re.findall(r"RUN pip install (.*)", image)
    assert "-c /constraints.txt" in install
    packages = re.findall(r"(?:^| )'?([a-z][a-z0-9-]*)(?:\[auth\])?'?(?= |$)", install.partition("/constraints.txt")[2])
    assert set(packages) == {"mlflow", "psycopg2-binary", "boto3"}
    for package in (*packages, "flask-wtf", "botocore"):
        assert f"\n{package}==" in pinned


# ---- A real server ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a server that `serve.sh` started, with logins for ada and bob."""
    pytest.importorskip("flask_wtf", reason="mlflow[auth] is not installed")
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = str(held.getsockname()[1])
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")},
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "DATABASE_URI": f"sqlite:///{folder}/runs.db",
        "ARTIFACTS": str(folder / "artifacts"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "a key for a test",
        "MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN,
        "PORT": port,
        "WORKERS": "1",
    }
    command = ["sh", str(SERVER / "serve.sh")]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env=environment, start_new_session=True, **silent) as process:
        uri = f"http://127.0.0.1:{port}"
        wait_for(f"{uri}/health", process)
        for name, password in (("ada", ADA), ("bob", BOB)):
            login = {"username": name, "password": password}
            requests.post(
                f"{uri}/api/2.0/mlflow/users/create", json=login, auth=("admin", ADMIN), timeout=60
            ).raise_for_status()
        yield uri
        os.killpg(process.pid, signal.SIGTERM)


def as_admin(address: str, document: dict[str, str]) -> dict:
    answered = requests.post(address, json=document, auth=("admin", ADMIN), timeout=60)
    answered.raise_for_status()
    return answered.json() if answered.text else {}


def wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        try:
            requests.get(address, timeout=5)
        except requests.RequestException:
            assert process.poll() is None
            time.sleep(0.2)
        else:
            return
    raise TimeoutError(address)


def log_in(monkeypatch: pytest.MonkeyPatch, uri: str, name: str | None, password: str = "") -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    for variable, value in (("MLFLOW_TRACKING_USERNAME", name), ("MLFLOW_TRACKING_PASSWORD", password)):
        monkeypatch.setenv(variable, value) if name else monkeypatch.delenv(variable, raising=False)


def test_two_logins_log_to_one_experiment_and_register_versions_of_one_model(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.project(tmp_path, monkeypatch, store=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data, params = study.copy(study.prepared()), study.small_params()
    log_in(monkeypatch, server, "ada", ADA)
    assert register.track(data, params)[-1] == "lmtcnn version 1 is champion: there was no champion"
    log_in(monkeypatch, server, "bob", BOB)
    study.seal_histograms(data, params, simulated=False)
    study.seal_training(data / "train", simulated=False)
    study.seal_evaluation(data, params, simulated=False)
    assert register.register(data, params).line == (
        "lmtcnn version 2 is champion: the champion learned from simulated mice, this one from real ones"
    )
    assert lookup.resolve(None).version == "2"
    log_in(monkeypatch, server, "ada", ADA)
    assert register.promote("1").startswith("lmtcnn version 1 is champion, in place of version 2;")


@pytest.mark.parametrize(
    ("name", "password", "line"),
    [
        (None, "", "that it wants a login (401); set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"),
        (
            "ada",
            "wrong-password-123",
            "that it knows no login 'ada' with this password (401); "
            "correct MLFLOW_TRACKING_USERNAME or MLFLOW_TRACKING_PASSWORD",
        ),
    ],
)
def test_a_login_that_is_missing_or_wrong_is_told(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str | None, password: str, line: str
) -> None:
    study.project(tmp_path, monkeypatch, store=False)
    log_in(monkeypatch, server, name, password)
    for command in (clients.configure, lambda: lookup.resolve(None)):
        assert told(OutputError, command) == (f"{server}: {REFUSED} {line}",)


def test_a_login_that_may_not_do_it_is_told_by_the_command(server: str, run, monkeypatch: pytest.MonkeyPatch) -> None:
    log_in(monkeypatch, server, "admin", ADMIN)
    client = clients.configure()
    experiment = clients.experiment_of(client).experiment_id
    refused = {"username": "bob", "resource_type": "experiment", "resource_id": experiment, "permission": "DENY"}
    as_admin(f"{server}/api/3.0/mlflow/users/permissions/grant", refused)
    log_in(monkeypatch, server, "bob", BOB)
    code, out, lines = run("track", "--compare", "1")
    assert (code, out) == (2, "")
    assert lines == [
        f"error: {server}: {REFUSED} that the login 'bob' (MLFLOW_TRACKING_USERNAME) may not do this (403); "
        "ask its admin for EDIT on the experiment and the model lmtcnn, or log in as another"
    ]
