"""A study of one's own: what `lmtcnn init` writes, from a clone and from a wheel."""

import difflib
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from conftest import ROOT, told
from lmtcnn.core.errors import OutputError
from lmtcnn.core.params import load
from lmtcnn.core.revisions import REVISIONS, check
from lmtcnn.study import study
from test_pipeline import SMALL, environment, write_params

TOP_LEVEL = ("dvc.yaml", "params.yaml", "revisions.yaml", "data/dvc.yaml", "mlops")


def files(folder: Path) -> dict[str, bytes]:
    """Bytes of the files of a study, without those that git and DVC make for themselves."""
    own = [path for path in sorted(folder.rglob("*")) if path.is_file() and ".git" not in path.parts]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in own if ".dvc/tmp" not in path.as_posix()}


def tracked(*paths: str) -> dict[str, bytes]:
    """Bytes of the repository's own files in these places: those that git does not ignore."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *paths]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return {name: (ROOT / name).read_bytes() for name in listed.stdout.split("\0") if name}


def lmtcnn(folder: Path, *command: str, **changes: str) -> subprocess.CompletedProcess:
    program = [sys.executable, "-c", "from lmtcnn.cli import main; main()", *command]
    return subprocess.run(
        program, cwd=folder, env={**environment(), **changes}, capture_output=True, text=True, check=False
    )


# ---- What is written -------------------------------------------------------------------------------------------------


def test_a_demo_is_the_repositorys_own_top_level(tmp_path: Path) -> None:
    study.init(tmp_path / "demo", demo=True)
    found, own = files(tmp_path / "demo"), tracked(*TOP_LEVEL, ".dvc", ".dvcignore", ".gitignore", "constraints.txt")
    assert found.pop("README.md").startswith(b"# A study of simulated mice")
    assert found == own


def test_a_study_has_the_papers_values(tmp_path: Path) -> None:
    study.init(tmp_path / "own")
    params, of_demo = load(tmp_path / "own" / "params.yaml"), load(ROOT / "params.yaml")
    assert (params.cohort.databases, params.cohort.manifest) == ("data/raw", "data/cohort.csv")
    assert (params.histograms.interval_s, params.train.lr, params.simulate.seconds_per_hour) == (3600, 0.001, 3600)
    assert params.doubts == []
    assert params.zones == {}
    changed = {"cohort", "histograms", "train", "simulate", "zones"}
    assert params.model_dump(exclude=changed) == of_demo.model_dump(exclude=changed)
    check(tmp_path / "own" / "revisions.yaml")


def test_a_study_differs_from_the_demo_in_six_values_and_in_words(tmp_path: Path) -> None:
    own, demo = (study.contents(demo=demo)["params.yaml"].decode() for demo in (False, True))
    added = [line for line in difflib.ndiff(demo.splitlines(), own.splitlines()) if line.startswith("+ ")]
    values = ["databases:", "manifest:", "zones:", "seconds_per_hour:", "interval_s:", "lr:"]
    assert [line.split()[1] for line in added] == values
    assert all("#" in line for line in added)
    assert "demo" not in own
    assert "real recordings" not in own
    assert "one's own" not in own


def test_a_study_has_no_stage_that_simulates(tmp_path: Path) -> None:
    study.init(tmp_path)
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["cohort.csv", "raw"]
    assert "simulate" not in YAML(typ="safe").load((tmp_path / "dvc.yaml").read_text())["stages"]


def test_programs_may_be_run(tmp_path: Path) -> None:
    study.init(tmp_path)
    runnable = [
        path.name for path in (tmp_path / "mlops").rglob("*.*") if path.is_file() and path.stat().st_mode & 0o100
    ]
    assert sorted(runnable) == ["folds.sbatch", "serve.sh", "serve.sh"]
    assert stat.S_IMODE((tmp_path / "params.yaml").stat().st_mode) & 0o111 == 0


# ---- Where it is written ---------------------------------------------------------------------------------------------


def test_a_folder_becomes_a_git_repository_once(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    assert study.init(folder)
    before = files(folder)
    assert not study.init(folder)
    assert files(folder) == before


def test_inside_of_a_repository_no_other_one_is_made(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    assert not study.init(tmp_path / "own")
    assert not (tmp_path / "own" / ".git").exists()
    assert "own/params.yaml" in _untracked(tmp_path)
    shown = subprocess.run(
        ["dvc", "stage", "list"], cwd=tmp_path / "own", env=environment(), capture_output=True, check=True
    )
    assert b"Where each mouse stopped" in shown.stdout


def _untracked(folder: Path) -> str:
    command = ["git", "status", "--porcelain", "--untracked-files=all"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def test_without_git_dvc_does_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study.shutil, "which", lambda name: None)
    assert not study.init(tmp_path)
    assert not study.init(tmp_path)
    monkeypatch.undo()
    assert not (tmp_path / ".git").exists()
    assert "no_scm = true" in (tmp_path / ".dvc" / "config").read_text()
    shown = subprocess.run(["dvc", "stage", "list"], cwd=tmp_path, env=environment(), capture_output=True, check=True)
    assert b"Where each mouse stopped" in shown.stdout


def test_what_git_ignores_is_told_in_one_line(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / ".gitignore").write_text("*\n")
    (line,) = told(OutputError, study.init, tmp_path / "own")
    assert line.startswith(f"{tmp_path / 'own'}: expected a folder for DVC, found ")
    assert "ignored by your SCM tool" in line
    assert "\n" not in line


def test_files_of_somebody_else_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# Mine\n")
    (tmp_path / "params.yaml").mkdir()
    (tmp_path / "notes.txt").write_text("Mine, too, and in nobody's way.\n")
    assert told(OutputError, study.init, tmp_path) == (
        f"{tmp_path}: expected no files of another study, found params.yaml, README.md; name an empty folder, or move "
        "these files away: nothing is overwritten",
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "notes.txt", "params.yaml"]
    assert told(OutputError, study.init, tmp_path / "README.md") == (
        f"{tmp_path / 'README.md'}: expected a folder, or nothing yet, found a file; name another folder",
    )


def test_recordings_and_a_manifest_that_are_there_already_stay(tmp_path: Path) -> None:
    (tmp_path / "data" / "raw").mkdir(parents=True)
    (tmp_path / "data" / "cohort.csv").write_text("mine\n")
    study.init(tmp_path)
    assert (tmp_path / "data" / "cohort.csv").read_text() == "mine\n"


@pytest.mark.parametrize("lacking", ["params.yaml", ".dvc/config", "mlops/promotion.py"])
def test_a_run_that_was_cut_off_is_finished_by_the_next(tmp_path: Path, lacking: str) -> None:
    study.init(tmp_path)
    whole = files(tmp_path)
    (tmp_path / lacking).unlink()
    study.init(tmp_path)
    assert files(tmp_path) == whole


# ---- The command -----------------------------------------------------------------------------------------------------


def test_the_command_says_what_comes_next(tmp_path: Path) -> None:
    done = lmtcnn(tmp_path, "init", "my study")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "my study: a study of your recordings, in a git repository of its own without a commit yet. Next:",
        "  1. cd 'my study'",
        "  2. put your LMT databases (.sqlite) into data/raw",
        "  3. lmtcnn cohort init data/raw, which writes data/cohort.csv; fill in its empty columns",
        "  4. lmtcnn cohort check",
        "  5. dvc repro",
    ]
    again = lmtcnn(tmp_path / "my study", "init", ".")
    assert again.stdout.splitlines()[0] == ".: a study of your recordings. Next:"
    assert "cd" not in again.stdout
    assert lmtcnn(tmp_path, "init", "--demo", "demo").stdout.splitlines()[1:] == ["  1. cd demo", "  2. dvc repro"]


def test_it_says_where_the_command_lies_if_dvc_would_not_find_it(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").symlink_to(shutil.which("git") or "")
    done = lmtcnn(tmp_path, "init", "--demo", "demo", PATH=str(tmp_path / "bin"))
    assert done.stdout.splitlines()[1] == (
        f"  1. put {Path(sys.executable).parent} on your PATH: `dvc repro` looks for `lmtcnn` there"
    )


def test_a_new_study_says_that_recordings_and_a_manifest_are_missing(tmp_path: Path) -> None:
    study.init(tmp_path)
    line = (
        "error: data/cohort.csv: expected a row for each animal of each recording, found none; put LMT databases into "
        "data/raw, run `lmtcnn cohort init data/raw`, fill in what it leaves empty"
    )
    done = subprocess.run(
        ["dvc", "repro"], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert [each for each in done.stderr.splitlines() if not each.startswith(("WARNING: ", "ERROR: "))] == [line]
    for command in (("stops",), ("cohort", "check"), ("inspect",)):
        found = lmtcnn(tmp_path, *command)
        assert (found.returncode, found.stdout, found.stderr.splitlines()) == (2, "", [line])


# ---- A newer program -------------------------------------------------------------------------------------------------


def test_a_study_of_other_revisions_lists_what_would_rerun_and_upgrade_accepts_it(tmp_path: Path) -> None:
    study.init(tmp_path, demo=True)
    path = tmp_path / "revisions.yaml"
    path.write_text(re.sub(r"(stops|train): \d+", r"\1: 0", path.read_text()))
    ours = ", ".join(f"{stage} {REVISIONS[stage]}" for stage in ("stops", "train"))
    told_line = (
        f"error: revisions.yaml: expected this program's revisions, {ours}, found stops 0, train 0; run "
        "`lmtcnn upgrade`, then `dvc repro`, which reruns stops, train and what comes after"
    )
    for command in ("simulate", "histograms", "report"):
        done = lmtcnn(tmp_path, command)
        assert (done.returncode, done.stdout, done.stderr.splitlines()) == (2, "", [told_line])
    before = (tmp_path / "dvc.yaml").read_bytes()
    done = lmtcnn(tmp_path, "upgrade")
    assert done.stdout == "revisions.yaml: `dvc repro` now reruns stops, train and what comes after\n"
    assert files(tmp_path) == study.contents(demo=True)
    assert (tmp_path / "dvc.yaml").read_bytes() == before
    assert lmtcnn(tmp_path, "upgrade").stdout == "revisions.yaml: the study has this program's revisions already\n"


def test_a_pipeline_that_depends_on_source_files_is_replaced_and_kept(tmp_path: Path) -> None:
    study.init(tmp_path, demo=True)
    old = "stages:\n  stops:\n    cmd: lmtcnn stops\n    deps: [src/lmtcnn/stops.py]\n"
    (tmp_path / "dvc.yaml").write_text(old)
    (tmp_path / "revisions.yaml").unlink()
    done = lmtcnn(tmp_path, "report")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("run `lmtcnn upgrade`, then `dvc repro`, which reruns all stages\n")
    assert lmtcnn(tmp_path, "upgrade").stdout.splitlines() == [
        "dvc.yaml: now this program's; that of an older one is kept as dvc.old.yaml",
        "revisions.yaml: `dvc repro` now reruns simulate, stops, histograms, train, evaluate, explain, register, "
        "report and what comes after",
    ]
    assert (tmp_path / "dvc.old.yaml").read_text() == old
    (tmp_path / "dvc.old.yaml").unlink()
    assert files(tmp_path) == study.contents(demo=True)
    subprocess.run(["dvc", "status"], cwd=tmp_path, env=environment(), capture_output=True, check=True)


def test_upgrade_outside_of_a_study_writes_nothing(tmp_path: Path) -> None:
    assert told(OutputError, study.upgrade, tmp_path) == (
        f"{tmp_path / 'dvc.yaml'}: expected the stages of a study, found no file; run in the folder of a study; "
        "`lmtcnn init FOLDER` begins one",
    )
    assert list(tmp_path.iterdir()) == []


# ---- Packages --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    return folder


def test_the_wheel_holds_the_program_and_the_template_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    program = {name.removeprefix("src/") for name in tracked("src/lmtcnn")}
    assert names - program == {f"lmtcnn/study/template/{name}" for name in (*study.FILES, *study.DEMO)}
    assert program - names == set()
    assert "lmtcnn/py.typed" in names  # type checkers of other programs read the annotations by it


def test_the_source_distribution_holds_what_git_knows(built: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as found:
        names = {name.partition("/")[2] for name in found.getnames()}
    assert names - {"PKG-INFO"} == set(tracked("."))


def test_pythons_that_are_promised_are_those_that_are_allowed(built: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [each.rpartition(" ")[2] for each in project["classifiers"] if "Python :: 3." in each]
    assert named == ["3.11", "3.12", "3.13"]
    assert project["requires-python"] == ">=3.11"


def test_a_demo_begins_and_runs_from_the_wheel_without_a_clone(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    site, folder = tmp_path / "site", tmp_path / "demo"
    own = environment()
    outside = {**own, "PATH": f"{site / 'bin'}:{own['PATH']}", "PYTHONPATH": str(site)}

    def run(where: Path, *command: str) -> str:
        done = subprocess.run(command, cwd=where, env=outside, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target"]
    run(tmp_path, *pip, str(site), str(wheel))
    where = "from lmtcnn.study import study; print(study.template())"
    assert Path(run(tmp_path, sys.executable, "-c", where).strip()) == site / "lmtcnn" / "study" / "template"
    run(tmp_path, "lmtcnn", "init", "--demo", "demo")
    assert files(folder) == study.contents(demo=True)
    write_params(folder, simulate=SMALL["simulate"] | {"cages": 2}, histograms=SMALL["histograms"])
    run(folder, "dvc", "repro", "histograms")
    assert (folder / "data" / "histograms" / "stacks.npy").is_file()
