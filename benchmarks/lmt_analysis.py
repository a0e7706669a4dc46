"""What lmt-analysis makes of a recording: its load, or the runs of frames that are slow by its own speeds.

    PYTHONPATH=CLONE/LMT MPLBACKEND=Agg python lmt_analysis.py light|full|speeds RECORDING FIRST_FRAME LAST_FRAME

`reading.py` runs it, with an interpreter that has what lmt-analysis needs (its file "python packages needed.txt") and
not necessarily lmtcnn. lmt-analysis is another program (GPL-3): it is called as it is. Prints one JSON document.
"""

import contextlib
import json
import os
import re
import sqlite3
import sys
import time
from itertools import groupby
from pathlib import Path
from typing import Any

from lmtanalysis.Animal import AnimalPool

MAX_SPEED_CM_PER_S = 5.0
MIN_FRAMES = 30
NEAR = 1e-9
"""Speeds as near to the limit as this, in cm/s, are decided by rounding."""


def peak_kb() -> int:
    """Most memory this process has held, without that of the program which started it."""
    return int(re.findall(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[0])


def load(path: Path, first: int, last: int, light: bool) -> tuple[AnimalPool, dict[str, float]]:
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    before_kb, begin = peak_kb(), time.perf_counter()
    pool = AnimalPool()
    pool.loadAnimals(connection)
    pool.loadDetection(start=first, end=last, lightLoad=light)
    seconds = time.perf_counter() - begin
    rows = sum(len(animal.detectionDictionary) for animal in pool.getAnimalList())
    return pool, {"rows": rows, "seconds": seconds, "held": (peak_kb() - before_kb) * 1024}


def slow_runs(pool: AnimalPool) -> dict[str, Any]:
    """Runs of at least a second at 5 cm/s or less: animal, first and last frame, mean place in pixels."""
    runs, n_near = [], 0
    for animal in pool.getAnimalList():
        places = animal.detectionDictionary
        speeds = {frame: animal.getSpeed(frame) for frame in sorted(places)}
        n_near += sum(v is not None and abs(v - MAX_SPEED_CM_PER_S) <= NEAR for v in speeds.values())
        slow = [frame for frame, v in speeds.items() if v is not None and v <= MAX_SPEED_CM_PER_S]
        for _, run in groupby(enumerate(slow), lambda pair: pair[1] - pair[0]):  # alike within consecutive frames
            frames = [frame for _, frame in run]
            if len(frames) >= MIN_FRAMES:
                x_px = sum(places[frame].massX for frame in frames) / len(frames)
                y_px = sum(places[frame].massY for frame in frames) / len(frames)
                runs.append((animal.baseId, frames[0], frames[-1], x_px, y_px))
    return {"runs": runs, "near_limit": n_near, "limit": NEAR}


def main() -> None:
    what, path, first, last = sys.argv[1:]
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):  # it tells every query
        pool, measured = load(Path(path), int(first), int(last), light=what != "full")
        answer = {"load": measured, **(slow_runs(pool) if what == "speeds" else {})}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
