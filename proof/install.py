"""Build the program's packages, install one into an empty environment, and do a study there as a new user would.

The wheel, or the wheel that is built from the source distribution alone, goes into a new virtual environment with the
versions of constraints.txt. In a folder far from any clone follow `init`, its `dvc repro` (which must say what is
missing in one line), `init --demo`, its `dvc repro` on a cohort of few cages and hours, and `predict`.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STAGES = ("simulate", "stops", "histograms", "train", "evaluate", "explain", "register", "report")
SMALL = {"cages": 3, "hours": 4, "seconds_per_hour": 8, "intervals": 4, "interval_s": 8, "tiles": 10, "epochs": 2}
"""Values of params.yaml that make a cohort small."""

MISSING = (
    "error: data/cohort.csv: expected a row for each animal of each recording, found none; put LMT databases into "
    "data/raw, run `lmtcnn cohort init data/raw`, fill in what it leaves empty"
)


class Place:
    """An environment, and a folder far from the clone."""

    def __init__(self, folder: Path, python: str) -> None:
        self.folder = folder
        run([python, "-m", "venv", str(folder / "environment")], folder)
        programs = folder / "environment" / "bin"
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "DVC_", "MLFLOW_", "VIRTUAL_ENV"))}
        self.environment = {**kept, "PATH": f"{programs}:{kept['PATH']}"}

    def run(self, *command: str, within: str = ".", code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command there and check how it ends."""
        return run(command, self.folder / within, self.environment, code)


def run(
    command: Sequence[str], folder: Path, environment: dict[str, str] | None = None, code: int = 0
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done


def build(folder: Path, kind: str) -> Path:
    """The wheel of this clone; or that of its source distribution, unpacked where there is no clone."""
    run([sys.executable, "-m", "hatchling", "build", "-d", str(folder)], ROOT)
    (wheel,) = folder.glob("*.whl")
    if kind == "wheel":
        return wheel
    (archive,) = folder.glob("*.tar.gz")
    run(["tar", "-xzf", str(archive)], folder)
    source = folder / archive.name.removesuffix(".tar.gz")
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "again")], source)
    (again,) = (folder / "again").glob("*.whl")
    assert again.read_bytes() == wheel.read_bytes(), "the source distribution makes another wheel"
    return again


def shrink(params: Path) -> None:
    """Write the values of `SMALL` into a params.yaml."""
    text = params.read_text()
    for key, value in SMALL.items():
        text, n = re.subn(rf"^(  {key}: )\S+", rf"\g<1>{value}", text, flags=re.MULTILINE)
        assert n == 1, key
    params.write_text(text)


def a_study(place: Place) -> None:
    place.run("lmtcnn", "init", "my-study")
    done = place.run("dvc", "repro", within="my-study", code=255)
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert lines == [MISSING], done.stderr


def a_demo(place: Place) -> int:
    """How many stages ran."""
    place.run("lmtcnn", "init", "--demo", "my-demo")
    shrink(place.folder / "my-demo" / "params.yaml")
    said = place.run("dvc", "repro", within="my-demo").stdout
    assert (place.folder / "my-demo" / "data" / "report" / "index.html").is_file()
    place.run("lmtcnn", "simulate", "--seed", "3", "--cages", "1", "--out", "new", within="my-demo")
    told = json.loads(place.run("lmtcnn", "predict", "new", "--json", within="my-demo").stdout)
    assert len(told) == 8, "four mice at two ages"
    assert all(set(each["probabilities"]) == {"AM", "JM", "AF", "JF"} for each in told)
    assert "up to date" in place.run("dvc", "repro", within="my-demo").stdout
    return sum(f"lmtcnn {stage}" in said for stage in STAGES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=sys.executable, help="The interpreter of the new environment.")
    parser.add_argument("--kind", choices=("wheel", "sdist"), default="sdist", help="What is installed.")
    given = parser.parse_args()
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel = build(folder, given.kind)
        place = Place(folder, given.python)
        pip = ["python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        place.run(*pip, "-c", str(ROOT / "constraints.txt"), f"{wheel}[study]")
        installed_s = time.monotonic() - started_s
        version = place.run("python", "-V").stdout.split()[1]
        a_study(place)
        stages = a_demo(place)
    spent_s = time.monotonic() - started_s - installed_s
    print(f"Python {version}, {given.kind}: installed in {installed_s:.0f} s, {stages} of 8 stages in {spent_s:.0f} s")


if __name__ == "__main__":
    main()
