"""From a database to its stop tables, against SQLite itself summing the same rows and against lmt-analysis' load.

    python benchmarks/reading.py RECORDING.sqlite [--without-index FILE] [--repeats 5]
        [--lmt-analysis CLONE [--lmt-analysis-python PYTHON] [--hours 6] [--compare-hours 1]]

Ours is the whole command, `lmtcnn stops`, start and all, on all cores. Beside it run

* SQLite's `SELECT count(*), sum(FRAMENUMBER), sum(MASS_X), sum(MASS_Y)` on one core: animal by animal over the covering
  index, and in one pass over the table of the same recording without it (a copy, made here unless given);
* lmt-analysis (https://github.com/fdechaumont/lmt-analysis, a program of its own, see `lmt_analysis.py`): its load,
  with lightLoad (mean places only) and by default, of the first hours only, as it holds hundreds of bytes a
  detection. Its start and imports are not counted.

Each runs once for the page cache, then in turn; what is printed is medians, ratios are of runs side by side. Beneath
stands whether lmt-analysis' own speeds give the stops that lmtcnn finds with half window 1 and no gap filled. Needs
Linux. Without a recording at hand: `lmtcnn simulate --full-length recording.sqlite`.
"""

import argparse
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from ruamel.yaml import YAML

from lmtcnn.core import params as parameters
from lmtcnn.lmt.lmt import open_database
from lmtcnn.stops.tables import to_floor

ROOT = Path(__file__).parent.parent
PARAMS = ROOT / "params.yaml"
HOUR_FRAMES = 108_000
SAME_CM = 1e-9
SAMPLE_S = 0.02
"""How often the memory of all processes of a command is looked at."""

OURS = "`lmtcnn stops`"
HEADER = f"""\
| what | detections | million/s | {OURS} over it | largest process, MB | all processes, MB | bytes/detection |
|---|---|---|---|---|---|---|"""


@dataclass(frozen=True)
class Run:
    """Detections and seconds; bytes of the largest process, of all processes at once, and of the detections alone."""

    rows: int
    seconds: float
    largest: int = 0
    together: int = 0
    held: int = 0

    @property
    def rate(self) -> float:
        """Detections a second."""
        return self.rows / self.seconds


def resident(pid: int) -> int:
    """Bytes that a process and its descendants hold now; what two of them share counts twice."""
    try:
        held = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        children = [file.read_text().split() for file in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:  # it has just ended
        return 0
    return held + sum(resident(int(child)) for of_thread in children for child in of_thread)


def execute(command: list[str], environment: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """What a command prints; its seconds and memory by their names in Run.

    A process begins with the peak of the one that starts it: this one, which is smaller than all that are measured.
    """
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        begin = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=err, env={**os.environ, **environment})
        ended, seen = threading.Event(), [0]

        def watch() -> None:
            while not ended.wait(SAMPLE_S):
                seen.append(resident(process.pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        _, status, usage = os.wait4(process.pid, 0)  # the usage of this child, not of all so far
        seconds = time.perf_counter() - begin
        ended.set()
        watcher.join()
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if process.returncode:
            sys.exit(f"{' '.join(command)} failed:\n{err.read()}")
        largest = usage.ru_maxrss * 1024
        return out.read(), {"seconds": seconds, "largest": largest, "together": max(largest, *seen)}


def sum_with_sqlite(path: Path, index: bool) -> Run:
    query = "SELECT count(*), sum(FRAMENUMBER), sum(MASS_X), sum(MASS_Y) FROM DETECTION "
    begin = time.perf_counter()
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        if index:
            animals = connection.execute("SELECT ID FROM ANIMAL").fetchall()
            rows = sum(connection.execute(query + "WHERE ANIMALID = ?", animal).fetchone()[0] for animal in animals)
        else:
            rows = connection.execute(query + "NOT INDEXED WHERE ANIMALID IS NOT NULL").fetchone()[0]
    return Run(rows, time.perf_counter() - begin)


def find_stops(path: Path, params: Path = PARAMS) -> tuple[Run, pl.DataFrame]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "stops"
        command = [sys.executable, "-c", "from lmtcnn.cli import main; main()", "stops", str(path)]
        _, measured = execute([*command, "--out", str(out), "--params", str(params)], {})
        rows = pl.read_parquet(out / "quality.parquet")["n_rows"].sum()
        return Run(rows, held=measured["together"], **measured), pl.read_parquet(out / f"{path.stem}.parquet")


@dataclass(frozen=True)
class LmtAnalysis:
    """A clone of lmt-analysis, its interpreter, and the recording that it reads."""

    clone: Path
    python: str
    recording: Path
    first_frame: int

    def ask(self, what: str, hours: float) -> tuple[Run, dict[str, Any]]:
        """Run lmt_analysis.py on the first hours of the recording: the run of its load, and all it answers."""
        window = (str(self.first_frame), str(self.last_frame(hours)))
        command = [self.python, str(Path(__file__).with_name("lmt_analysis.py")), what, str(self.recording), *window]
        printed, measured = execute(command, {"PYTHONPATH": str(self.clone / "LMT"), "MPLBACKEND": "Agg"})
        answer = json.loads(printed)
        return Run(**{**measured, **answer["load"]}), answer

    def last_frame(self, hours: float) -> int:
        """Last frame of the first hours."""
        return self.first_frame + round(hours * HOUR_FRAMES) - 1


@contextmanager
def without_index(path: Path, given: Path | None) -> Iterator[Path]:
    """The recording without its covering index: the given file, made where it is not there; else a copy for now."""
    if given and given.exists():
        if open_database(given).index:
            sys.exit(f"{given} has a covering index")
        yield given.resolve()
        return
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        copy = Path(shutil.copyfile(path, Path(folder) / path.name))
        with closing(sqlite3.connect(copy)) as connection:
            connection.execute(f'DROP INDEX "{open_database(path).index}"')
        os.sync()  # or the first runs share the disk with it
        yield Path(shutil.move(copy, given) if given else copy).resolve()


def print_rows(measures: Mapping[str, Callable[[], Run]], repeats: int) -> None:
    """Measure in turn, after one round for the page cache, and print a row of the table for each."""
    rounds = [[measure() for measure in measures.values()] for _ in range(1 + repeats)][1:]
    columns = dict(zip(measures, zip(*rounds, strict=True), strict=True))
    ours = next(runs for name, runs in columns.items() if name.startswith(OURS))
    for name, runs in columns.items():
        rate = statistics.median(run.rate for run in runs)
        ratio = statistics.median(a.rate / b.rate for a, b in zip(ours, runs, strict=True))
        peak = max(runs, key=lambda run: run.together)
        memory = (f"{peak.largest / 1e6:.0f}", f"{peak.together / 1e6:.0f}", f"{peak.held / peak.rows:.0f}")
        cells = (f"{peak.rows:,}", f"{rate / 1e6:.2f}", "" if runs is ours else f"{ratio:.2f}")
        print("|", " | ".join((name, *cells, *(memory if peak.together else ("", "", "")))), "|", flush=True)


def compare_stops(lmt_analysis: LmtAnalysis, hours: float) -> None:
    """Print whether both find the same stops in the first hours, but for those that touch the edges of this window.

    lmt-analysis does not know pauses or jumps of the clock, and of two rows in a frame it takes the last: such stops
    would be told as those of one alone. At the limit itself (1.9 px in two frames, which positions in hundredths of a
    pixel can meet exactly) both scale in another order, so that rounding may part them; `near_limit` says how often.
    """
    answer = lmt_analysis.ask("speeds", hours)[1]
    with tempfile.TemporaryDirectory() as folder:
        params, yaml = Path(folder) / "params.yaml", YAML()
        values = yaml.load(PARAMS)
        values["stops"] |= {"half_window_frames": 1, "max_gap_frames": 0}
        yaml.dump(values, params)
        found = find_stops(lmt_analysis.recording, params)[1]
        settings = parameters.load(params).stops
    key = ["animal_id", "start_frame", "end_frame"]
    runs = pl.DataFrame(answer["runs"], [*key, "x_px", "y_px"], orient="row")
    first, last = lmt_analysis.first_frame, lmt_analysis.last_frame(hours)
    inside = (pl.col("start_frame") > first + 1) & (pl.col("end_frame") < last - 1)
    theirs, ours = runs.filter(inside), found.filter(inside)
    both = theirs.join(ours, on=key)
    x_cm, y_cm = to_floor(both["x_px"].to_numpy(), both["y_px"].to_numpy(), settings)
    off_cm = pl.max_horizontal((both["x_cm"] - x_cm).abs(), (both["y_cm"] - y_cm).abs())
    n_near = both.filter(off_cm <= SAME_CM).height
    print(
        f"\nStops of the first {hours:g} h, half window 1, no gap filled: {theirs.height:,} by lmt-analysis' speeds, "
        f"{ours.height:,} by lmtcnn.\n{both.height:,} are equal in animal, first and last frame, {n_near:,} of them in "
        f"mean place to {SAME_CM} cm;\n{theirs.height - both.height:,} are of lmt-analysis alone, "
        f"{ours.height - both.height:,} of lmtcnn alone.\nOf {answer['load']['rows']:,} detections "
        f"{answer['near_limit']:,} have a speed within {answer['limit']} cm/s of the limit."
    )
    for name, mine, other in (("lmt-analysis", theirs, ours), ("lmtcnn", ours, theirs)):
        for animal, start, end in mine.join(other, on=key, how="anti").select(key).rows():
            print(f"by {name} alone: animal {animal}, frames {start} to {end}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recording", type=Path, help="with the covering index")
    parser.add_argument("--without-index", type=Path, help="the same without it; made where it does not exist")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--lmt-analysis", type=Path, help="a clone of fdechaumont/lmt-analysis")
    parser.add_argument("--lmt-analysis-python", default=sys.executable, help="an interpreter with what it needs")
    parser.add_argument("--hours", type=float, default=6, help="how much of the recording lmt-analysis loads")
    parser.add_argument("--compare-hours", type=float, default=1, help="of how much the stops are compared")
    chosen = parser.parse_args()
    path = chosen.recording.resolve()
    if not open_database(path).index:
        parser.error(f"{path} has no covering index")
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        first_frame = connection.execute("SELECT min(FRAMENUMBER) FROM FRAME").fetchone()[0]
    measures = {
        "SQLite's sums over the covering index, one core": lambda: sum_with_sqlite(path, index=True),
        f"{OURS} of the same file": lambda: find_stops(path)[0],
    }
    print(HEADER)
    if chosen.lmt_analysis:
        peer = LmtAnalysis(chosen.lmt_analysis.resolve(), chosen.lmt_analysis_python, path, first_frame)
        name = f"lmt-analysis, first {chosen.hours:g} h of the same file, `loadDetection({{}})`"
        measures[name.format("lightLoad=True")] = lambda: peer.ask("light", chosen.hours)[0]
        measures[name.format("")] = lambda: peer.ask("full", chosen.hours)[0]
    print_rows(measures, chosen.repeats)
    if not chosen.lmt_analysis:
        print("| lmt-analysis: left out (--lmt-analysis CLONE) | | | | | | |")
    with without_index(path, chosen.without_index) as plain:
        measures = {
            "SQLite's pass over the table without that index, one core": lambda: sum_with_sqlite(plain, index=False),
            f"{OURS} of that file": lambda: find_stops(plain)[0],
        }
        print_rows(measures, chosen.repeats)
    if chosen.lmt_analysis:
        compare_stops(peer, chosen.compare_hours)


if __name__ == "__main__":
    main()
