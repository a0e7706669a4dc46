"""An installation for predictions alone is small: what only studies and servers need is missed only by them."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import study
from conftest import ROOT, Scene, still
from lmtcnn.bundle import bundle
from lmtcnn.cli.app import EXTRAS

PARAMS = study.small_params()
WITHOUT = f"""
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {sorted(EXTRAS)!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
from lmtcnn.cli import main
main()
"""


def without_extras(folder: Path, *command: str) -> subprocess.CompletedProcess:
    """A command in an installation without any extra."""
    words = [sys.executable, "-c", WITHOUT, *command]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle, and a recording as long as its intervals."""
    bundle.write(bundle.build(study.prepared(), PARAMS), tmp_path / "model")
    Scene(still(1, 900), n_frames=900).write(tmp_path / "new.sqlite")
    return tmp_path


def test_predictions_need_no_extra(folder: Path) -> None:
    done = without_extras(folder, "predict", "new.sqlite", "--model", "model", "--force", "--out", "told.csv")
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert (folder / "told.csv").read_text().splitlines()[1].startswith("new,1,001,")


@pytest.mark.parametrize(
    ("command", "package", "extra"), [("evaluate", "sklearn", "study"), ("serve", "uvicorn", "serve")]
)
def test_a_command_that_needs_one_says_which(folder: Path, command: str, package: str, extra: str) -> None:
    (folder / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    done = without_extras(folder, command)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        f"error: lmtcnn {command}: expected the package {package}, found none; run pip install 'lmtcnn[{extra}]'"
    )


def test_every_package_of_an_extra_is_known_to_the_command_line() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    names = {"pillow": "PIL", "scikit-learn": "sklearn"}
    listed = {
        names.get(each.partition(">")[0], each.partition(">")[0]): e for e in ("study", "serve") for each in extras[e]
    }
    assert listed == EXTRAS
