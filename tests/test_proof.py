"""The proofs, in small: the full counts are run by `make proof`, their numbers stand in docs/proof.md."""

import subprocess
import sys

from conftest import ROOT


def test_a_hundred_damaged_files_are_read_right_or_refused_in_one_line() -> None:
    command = [sys.executable, str(ROOT / "proof" / "fuzz.py"), "--cases", "100", "--seed", "7"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("100 cases, seed 7")


def test_five_kills_leave_what_an_undisturbed_run_leaves() -> None:
    command = [sys.executable, str(ROOT / "proof" / "kills.py"), "--kills", "5", "--seed", "7"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("5 kills, seed 7")


def test_statistics_hold_in_a_few_cohorts() -> None:
    command = [
        sys.executable,
        str(ROOT / "proof" / "statistics.py"),
        "--cohorts",
        "6",
        "--coverage",
        "0",
        "--splits",
        "3",
    ]
    done = subprocess.run([*command, "--workers", "1"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "0 claims do not hold" in done.stdout


def test_each_planted_artefact_is_told_by_its_own_control() -> None:
    command = [sys.executable, str(ROOT / "proof" / "controls.py"), "--cohorts", "2", "--leaking", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("5 cohorts from seed 1000")
