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
        str(ROOT / "proof" / "cohorts.py"),
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


def test_members_learn_what_plain_pytorch_learns() -> None:
    command = [sys.executable, str(ROOT / "proof" / "numerics.py"), "--intervals", "4", "--tiles", "8"]
    done = subprocess.run([*command, "--samples", "32", "--epochs", "5"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("right: bound of logits 0.001, classes identical\n")


def test_the_network_s_permutation_test_runs_on_cohorts_without_an_effect() -> None:
    command = [sys.executable, str(ROOT / "proof" / "permutations.py"), "--cohorts", "2", "--arrangements", "5"]
    done = subprocess.run([*command, "--epochs", "1"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("right\n")


def test_mice_that_stop_elsewhere_are_told_and_sets_hold_the_truth() -> None:
    command = [sys.executable, str(ROOT / "proof" / "doubt.py"), "--plain", "1", "--cages", "4", "--hours", "6"]
    command += ["--nests", "8", "--coverage", "2", "--effects", "1", "--epochs", "2", "--workers", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "| mirrored | 32 |" in done.stdout
    assert "0 claims do not hold" in done.stdout


def test_explanations_tell_the_truth_in_a_small_cohort() -> None:
    command = [sys.executable, str(ROOT / "proof" / "explanations.py"), "--cohorts", "1", "--hours", "9"]
    command += ["--tiles", "10", "--null", "1", "--only", "0", "--least", "0.85", "--workers", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("a mirrored cohort's maps differ from the mirrored ones by at most")
    assert "0 of them with the wrong sign" in done.stdout
    assert "0 claims do not hold" in done.stdout
