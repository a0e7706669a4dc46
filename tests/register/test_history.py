"""Who became champion when; and registrations at once, on a database and on a real server."""

import functools
import json
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import study
from lmtcnn.register import history, lookup, register
from lmtcnn.tracking import client as clients

PARAMS = study.small_params()

SLOW_RULE = """
import time
def decide(candidate, champion):
    time.sleep(1)  # time enough for another one to find no champion either
    return (True, "there was no champion") if champion is None else (False, "there is a champion")
"""


@functools.cache
def trainings() -> tuple[Path, Path]:
    """Two studies of the same histograms and training, whose models differ by a figure in their evaluation."""
    other = study.prepared().parent / "other"
    shutil.copytree(study.prepared(), other)
    study.seal_evaluation(other, PARAMS, macro_f1=0.25)
    return study.prepared(), other


@pytest.fixture
def rule(tmp_path: Path) -> Path:
    path = tmp_path / "slow_rule.py"
    path.write_text(SLOW_RULE)
    return path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A real tracking server on this machine, with its own database and artifacts."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{free.getsockname()[1]}"
    shutil.copyfile(study.empty_store(), tmp_path / "server.db")
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", uri.rpartition(":")[2]]
    command += [
        "--backend-store-uri",
        f"sqlite:///{tmp_path}/server.db",
        "--artifacts-destination",
        str(tmp_path / "a"),
    ]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (tmp_path / "server.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        until = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{uri}/health", timeout=1).close()  # noqa: S310 - our own
                break
            except OSError:
                assert process.poll() is None, (tmp_path / "server.log").read_text()
                assert time.monotonic() < until, (tmp_path / "server.log").read_text()
                time.sleep(0.1)
        yield uri
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def at_once(folders: list[Path], rule: Path, **environment: str) -> list[str]:
    """What each process says that registers one of the folders, all begun together."""
    fork = multiprocessing.get_context("forkserver")  # which imports all once, and has no threads yet
    fork.set_forkserver_preload(["study", "lmtcnn.register.served", "mlflow.pyfunc", "sklearn.svm"])
    said = [path.with_suffix(".said") for path in folders]
    work = [fork.Process(target=_register, args=(*each, rule, environment)) for each in zip(folders, said, strict=True)]
    for process in work:
        process.start()
    for process in work:
        process.join(120)
    assert [process.exitcode for process in work] == [0] * len(folders)
    return [path.read_text() for path in said]


def _register(folder: Path, said: Path, rule: Path, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    said.write_text(register.register(folder, study.small_params(register__promotion=str(rule))).line)


def test_of_two_that_register_at_once_in_a_project_one_finds_no_champion(
    tmp_path: Path, rule: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = study.project(tmp_path / "project", monkeypatch)
    folders = [Path(shutil.copytree(data, tmp_path / f"data{i}")) for i, data in enumerate(trainings())]
    said = at_once(folders, rule, DVC_ROOT=str(project))
    assert sum("is champion: there was no champion" in line for line in said) == 1
    assert sum("is challenger: there is a champion" in line for line in said) == 1
    assert [event["before"] for event in register.listing()["history"]] == [None]


def test_on_a_server_one_finds_no_champion_and_the_same_content_is_one_version(
    tmp_path: Path, rule: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = trainings()
    folders = [Path(shutil.copytree(data, tmp_path / f"data{i}")) for i, data in enumerate((one, other, one))]
    study.project(tmp_path / "here", monkeypatch, store=False)
    said = at_once(folders, rule, MLFLOW_TRACKING_URI=server)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    found = register.listing()
    decisions = [version["decision"] for version in found["versions"]]
    assert sorted(decisions) == ["there is a champion", "there was no champion"], said
    assert [version["aliases"] for version in found["versions"]] == [
        ["champion"] if why == "there was no champion" else ["challenger"] for why in decisions
    ]
    assert [event["before"] for event in found["history"]] == [None]
    assert sum("registered before" in line for line in said) == 1

    # On the server, too, files that were lost come back.
    champion = lookup.resolve(None)
    lost = list((tmp_path / "a").rglob("weights.safetensors"))  # of two versions, and of a slower third registration
    for path in lost:
        path.unlink()
    shutil.rmtree(champion.folder)
    with pytest.raises(Exception, match=r"weights\.safetensors"):
        lookup.resolve(None)
    for folder in folders[:2]:
        line = register.register(folder, study.small_params(register__promotion=str(rule))).line
        assert "uploaded again: artifacts/weights.safetensors" in line
    assert sum(path.is_file() for path in lost) == 2
    assert lookup.resolve(None).version == champion.version


def test_whoever_is_gone_is_not_waited_for() -> None:
    def version(told: str, age_s: float = 0.0) -> Any:
        created = round((time.time() - age_s) * 1000)
        return SimpleNamespace(version="1", tags={history.REASON: told}, creation_timestamp=created)

    now_ms, here = round(time.time() * 1000), socket.gethostname()
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    deciding = {
        f"{history.DECIDING}{here} {os.getppid()}": True,
        f"{history.DECIDING}{here} {gone.pid}": False,
        history.deciding(): False,
        f"{history.DECIDING}elsewhere 1": True,
        "there was no champion": False,
    }
    assert {told: history.is_deciding(version(told), now_ms) for told in deciding} == deciding
    assert not history.is_deciding(version(f"{history.DECIDING}elsewhere 1", age_s=61), now_ms)


def test_the_history_is_kept_by_entry_and_what_is_none_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    study.enter(study.registered(), monkeypatch, tmp_path / "copy")
    client = clients.configure()
    caplog.clear()
    history.remember(client, "7", "1", "hand", "because")
    client.set_registered_model_tag("lmtcnn", f"{history.EVENT}0", "{}")
    first, second = history.events(client)
    assert (first.version, first.before, first.by, first.why) == ("1", None, "rule", "there was no champion")
    assert (second.version, second.before, second.by, second.why) == ("7", "1", "hand", "because")
    assert first.when < second.when
    assert second.host == socket.gethostname()
    assert caplog.messages == [
        "the tag lmtcnn.history.0 of the model lmtcnn is no entry of its history: it is left out"
    ]
    assert json.loads(client.get_registered_model("lmtcnn").tags[f"{history.EVENT}0"]) == {}
