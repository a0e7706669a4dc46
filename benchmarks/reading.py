"""From a database to its stop tables, against SQLite itself summing the same rows.

    python benchmarks/reading.py RECORDING.sqlite [--repeats 3]

SQLite's time is that of `SELECT count(*), sum(FRAMENUMBER), sum(MASS_X), sum(MASS_Y) ... WHERE ANIMALID = ?` for each
animal over the covering index, or of one such pass over the table where there is none, on one core; ours is the whole
command, `lmtcnn stops`, in a process of its own. Runs alternate. Without a recording at hand:
`lmtcnn simulate --full-length recording.sqlite`.
"""

import argparse
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lmtcnn.lmt import open_database

ROOT = Path(__file__).parent.parent


def sum_with_sqlite(path: Path) -> tuple[int, float]:
    begin = time.perf_counter()
    with sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True) as connection:
        animals = [row[0] for row in connection.execute("SELECT ID FROM ANIMAL")]
        query = "SELECT count(*), sum(FRAMENUMBER), sum(MASS_X), sum(MASS_Y) FROM DETECTION "
        if open_database(path).index:
            rows = sum(connection.execute(query + "WHERE ANIMALID = ?", (a,)).fetchone()[0] for a in animals)
        else:
            rows = connection.execute(query + "NOT INDEXED WHERE ANIMALID IS NOT NULL").fetchone()[0]
    return rows, time.perf_counter() - begin


def find_stops(path: Path) -> float:
    command = [sys.executable, "-c", "from lmtcnn.cli import main; main()", "stops", str(path)]
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        subprocess.run([*command, "--out", folder], check=True, cwd=ROOT, capture_output=True)
        return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recording", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    chosen = parser.parse_args()
    path = chosen.recording.resolve()
    rows = sum_with_sqlite(path)[0]  # once for the page cache
    sums, ours = [], []
    for _ in range(chosen.repeats):
        sums.append(sum_with_sqlite(path)[1])
        ours.append(find_stops(path))
    peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{rows:,} detections with an identity in {path.stat().st_size / 1e9:.2f} GB")
    print(f"SQLite's own sums      {rows / statistics.median(sums) / 1e6:8.2f} million detections/s")
    print(f"lmtcnn stops           {rows / statistics.median(ours) / 1e6:8.2f} million detections/s")
    print(f"share of SQLite        {statistics.median(a / b for a, b in zip(sums, ours, strict=True)):8.2f}")
    print(f"peak memory            {peak_mb:8.0f} MB")


if __name__ == "__main__":
    main()
