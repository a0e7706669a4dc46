"""Killed at any moment and run again: `lmtcnn stops` leaves the same bytes as a run that nobody disturbed.

    python proof/kills.py [--kills 50] [--seed 0]

A cohort of twelve small recordings; the command is killed (SIGKILL) at a random moment of its run and run again. Every
second time it begins with an empty folder, else with what the last run left and one recording changed.
"""

import argparse
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
COMMAND = [sys.executable, "-c", "from lmtcnn.cli import main; main()"]


def project(folder: Path, seed: int) -> None:
    """params.yaml, and a simulated cohort of twelve recordings."""
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    (folder / "params.yaml").write_text(text.replace("cages: 12 ", "cages: 6 "), encoding="utf-8")
    subprocess.run([*COMMAND, "simulate", "--seed", str(seed)], cwd=folder, check=True, capture_output=True)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def change_a_row(folder: Path, rng: random.Random) -> None:
    path = rng.choice(sorted(folder.glob("data/simulate/*.sqlite")))
    with sqlite3.connect(path) as connection:
        row = rng.randrange(1, 10_000)
        connection.execute("UPDATE DETECTION SET MASS_X = MASS_X + 0.01 WHERE ID = ?", (row,))
    connection.close()


def killed(folder: Path, after_s: float) -> bool:
    """Start the command and kill it after a while; whether it was still at work."""
    process = subprocess.Popen([*COMMAND, "stops"], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(after_s)
    at_work = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    return at_work


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    rng, hits, half_done = random.Random(chosen.seed), 0, 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        project(folder, chosen.seed)
        begin = time.perf_counter()
        subprocess.run([*COMMAND, "stops"], cwd=folder, check=True, capture_output=True)
        whole_s = time.perf_counter() - begin
        for kill in range(chosen.kills):
            if kill % 2:
                change_a_row(folder, rng)
            else:
                shutil.rmtree(folder / "data" / "stops")
                shutil.rmtree(folder / "data" / ".stops")
            hits += killed(folder, rng.uniform(0.3, 1.0) * whole_s)
            stops = folder / "data" / "stops"
            half_done += stops.is_dir() and not (stops / "stops.json").is_file()
            subprocess.run([*COMMAND, "stops"], cwd=folder, check=True, capture_output=True)
            found = content(stops)
            subprocess.run([*COMMAND, "stops", "--again"], cwd=folder, check=True, capture_output=True)
            left = [name for name in found if name.endswith(".part")]
            if found != content(stops) or left:
                print(f"kill {kill}: other bytes than an undisturbed run, or leftovers {left}", file=sys.stderr)
                sys.exit(1)
    print(
        f"{chosen.kills} kills, seed {chosen.seed}: {hits} while the command ran, {half_done} with the folder half done"
    )


if __name__ == "__main__":
    main()
