"""`dvc repro` as a user runs it, on small cohorts in a project of their own."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from conftest import ROOT

SMALL = {
    "simulate": {"cages": 4, "hours": 6, "seconds_per_hour": 8},
    "histograms": {"intervals": 6, "interval_s": 8, "tiles": 10},
    "train": {"channels": 2, "epochs": 2, "seeds": [0]},
}
SAME_BYTES = ("stops", "histograms", "train", "evaluate")


def environment() -> dict[str, str]:
    """The environment with this Python's programs first, and no store or project of somebody else's."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DVC_", "MLFLOW_"))}
    return {**kept, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def write_params(folder: Path, **sections: dict) -> None:
    yaml = YAML()
    path = folder / "params.yaml"
    raw = yaml.load(path.read_text())
    for name, values in sections.items():
        raw[name].update(values)
    with path.open("w") as stream:
        yaml.dump(raw, stream)


def project(folder: Path) -> Path:
    """A fresh clone with small parameters, committed."""
    folder.mkdir()
    for name in (
        "dvc.yaml",
        "params.yaml",
        "revisions.yaml",
        ".dvcignore",
        ".gitignore",
        ".dvc/config",
        ".dvc/.gitignore",
        "data/dvc.yaml",
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    for name in ("mlops",):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    write_params(folder, **SMALL)
    run(folder, "git", "init", "-q")
    run(folder, "git", "add", "-A")
    run(folder, "git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "Begin")
    return folder


def contents(folder: Path, *stages: str) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for stage in stages
        for path in sorted((folder / "data" / stage).rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose pipeline has run once on a simulated cohort."""
    folder = project(tmp_path_factory.mktemp("pipeline") / "study")
    run(folder, "dvc", "repro")
    return folder


def test_the_pipeline_makes_every_folder_and_says_that_its_mice_are_simulated(done: Path) -> None:
    for stage in ("simulate", "stops", "histograms", "train", "evaluate", "explain", "register", "report"):
        assert list((done / "data" / stage).iterdir()), stage
    assert json.loads((done / "data/evaluate/metrics.json").read_text())["simulated"] is True
    assert "SIMULATED MICE" in (done / "data/report/index.html").read_text()
    assert "champion" in run(done, "lmtcnn", "track")


def test_a_second_run_does_nothing(done: Path) -> None:
    before = contents(done, *SAME_BYTES)
    assert "up to date" in run(done, "dvc", "repro")
    assert contents(done, *SAME_BYTES) == before


def test_metrics_and_plots_are_shown(done: Path) -> None:
    assert "balanced_accuracy" in run(done, "dvc", "metrics", "show")
    assert "index.html" in run(done, "dvc", "plots", "show")


def test_git_sees_only_the_lock_files(done: Path) -> None:
    changed = {line.split()[-1] for line in run(done, "git", "status", "--porcelain").splitlines()}
    assert changed == {"dvc.lock", "data/dvc.lock"}


def test_the_lines_of_python_in_the_readme_run(done: Path, tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text()
    code = text.split("```python\n")[1].split("```")[0]
    folder = tmp_path / "script"
    shutil.copytree(done, folder, ignore=shutil.ignore_patterns(".dvc", ".git", "mlruns", "mlflow.db"))
    for name in ("recording", "new"):
        shutil.copy(next((folder / "data" / "simulate").glob("*.sqlite")), folder / f"{name}.sqlite")
    said = run(folder, sys.executable, "-c", code + "print(stacks.shape, index.height, table.height)")
    assert said.strip() == "(4, 72, 30, 30) 4 4"


def test_another_clone_with_an_empty_cache_gives_the_same_bytes(done: Path, tmp_path: Path) -> None:
    other = project(tmp_path / "other")
    run(other, "dvc", "repro", "--force", "--no-run-cache", "evaluate")
    assert contents(other, *SAME_BYTES) == contents(done, *SAME_BYTES)


def test_own_recordings_go_through_are_not_simulated_and_survive_everything(done: Path, tmp_path: Path) -> None:
    folder = project(tmp_path / "own")
    run(folder, "lmtcnn", "simulate", "--seed", "9", "--cages", "3", "--out", "made")
    raw = folder / "data" / "raw"
    raw.mkdir()
    for path in (folder / "made").glob("*.sqlite"):
        path.rename(raw / path.name)
    truth = list(csv.DictReader((folder / "made" / "cohort.csv").open()))
    shutil.rmtree(folder / "made")
    run(folder, "dvc", "add", "data/raw")
    said = run(folder, "lmtcnn", "cohort", "init", "data/raw")
    assert "cohort.manifest: data/cohort.csv" in said
    manifest = folder / "data" / "cohort.csv"
    rows = list(csv.DictReader(manifest.open()))
    cages = {(row["recording"], row["rfid"]): row["cage"] for row in truth}
    for row in rows:
        row["cage"] = cages[row["recording"], row["rfid"]]
    with manifest.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    write_params(folder, cohort={"databases": "data/raw", "manifest": "data/cohort.csv"})
    assert "6 recordings, 24 samples" in run(folder, "lmtcnn", "cohort", "check")
    before = {path.name: path.read_bytes() for path in raw.iterdir()}, manifest.read_bytes()
    run(folder, "dvc", "repro")
    run(folder, "dvc", "repro", "--force", "stops")
    run(folder, "dvc", "checkout")
    assert ({path.name: path.read_bytes() for path in raw.iterdir()}, manifest.read_bytes()) == before
    assert not (folder / "data" / "simulate").exists()
    tracked = run(folder, "git", "status", "--porcelain", "--untracked-files=all")
    assert "data/cohort.csv" in tracked
    assert "data/raw.dvc" in tracked
    answer = json.loads(_stdout(folder, "lmtcnn", "predict", str(next(raw.glob("*.sqlite"))), "--json"))
    assert len(answer) == 4
    assert set(answer[0]["probabilities"]) == {"AM", "JM", "AF", "JF"}


def _stdout(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=True)
    return done.stdout
