"""Cohorts of simulated mice: databases as the tracker writes them, the manifest, and the truth that was planted.

What the mice do is in behaviour.py, what was planted in truth.py, how a database is written in recorder.py. The same
seed gives the same bytes, whatever the number of workers: each recording draws from streams of its own.
"""

import csv
import io
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np

from lmtcnn.core import process
from lmtcnn.core.errors import OutputError, problem
from lmtcnn.core.files import atomic, ensure_folder, write_json, write_text
from lmtcnn.core.params import Params
from lmtcnn.core.sections import SimulateParams
from lmtcnn.simulate import behaviour, expected, recorder, traits
from lmtcnn.simulate import truth as planted
from lmtcnn.simulate.behaviour import Recording
from lmtcnn.simulate.truth import MICE

MANIFEST_COLUMNS = ("recording", "rfid", "cage", "sex", "age")
REAL_SECONDS_PER_HOUR = 3600.0

Progress = Callable[[int, int], None]


def simulate(
    folder: Path, params: Params, progress: Progress | None = None, workers: int | None = None, fast_index: bool = True
) -> list[Path]:
    """Write the cohort of `params.simulate` into `folder`: a database a recording, cohort.csv and truth.json.

    Databases of an earlier simulation in `folder` are replaced or removed; no other file is touched. Recordings are
    written `workers` at a time (default: one a core). `fast_index=False` writes them as older trackers did. Raises
    OutputError where the folder cannot be written.
    """
    recordings = behaviour.recordings(params.simulate)
    paths = [ensure_folder(folder) / f"{recording.name}.sqlite" for recording in recordings]
    _spare_real_recordings(folder, paths)
    for path in folder.glob("*.sqlite"):
        if path not in paths and _is_simulated(path):
            path.unlink()
    with ThreadPoolExecutor(workers or process.cores()) as pool:
        jobs = [
            pool.submit(_write, path, params.simulate, recording, fast_index)
            for path, recording in zip(paths, recordings, strict=True)
        ]
        try:
            for done, job in enumerate(as_completed(jobs), start=1):
                job.result()
                if progress:
                    progress(done, len(jobs))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    describe(folder, params)
    return paths


def simulate_full_length(path: Path, params: Params, progress: Progress | None = None) -> int:
    """Write the cohort's first recording in real time, `params.simulate.hours` of 3600 s, to `path`.

    Memory does not grow with the length. `progress` is told frames. Returns the number of detections: 31 million in 72
    hours. Raises OutputError where the place cannot be written, or holds something that was not simulated.
    """
    if path.exists() and not _is_simulated(path):
        raise OutputError(problem(path, "no file, or a simulated database", "something else", "name another file"))
    real = real_time(params).simulate
    with atomic(path) as temporary:
        return recorder.write(temporary, real, behaviour.recordings(real)[0], progress=progress)


def truth(params: Params) -> dict[str, Any]:
    """All that truth.json holds: the planted truth, and the recordings with the class of every mouse in them."""
    recordings = [_recording_truth(params.simulate, each) for each in behaviour.recordings(params.simulate)]
    of_classes = expected.truth_of_classes(params.simulate)
    return {**planted.truth(params), "expected": of_classes, "recordings": recordings}


def _write(path: Path, simulate: SimulateParams, recording: Recording, fast_index: bool) -> None:
    with atomic(path) as temporary:
        recorder.write(temporary, simulate, recording, fast_index)


ELSEWHERE = "choose an empty folder with --out"
"""What to do where something that was not simulated lies in the way."""


def _spare_real_recordings(folder: Path, paths: Sequence[Path]) -> None:
    """Raise OutputError where a database or a manifest that was not simulated would be replaced."""
    taken = [path for path in paths if path.exists() and not _is_simulated(path)]
    lines = [problem(path, "no file, or a simulated database", "another recording", ELSEWHERE) for path in taken]
    if lines := [*lines, *foreign_manifest(folder)]:
        raise OutputError(lines)


def foreign_manifest(folder: Path) -> list[str]:
    """A line where the folder's manifest is not that of a simulated cohort, or none."""
    manifest = folder / "cohort.csv"
    if not manifest.exists() or (folder / "truth.json").exists():
        return []
    return [problem(manifest, "no file, or a simulated cohort's manifest", "another manifest", ELSEWHERE)]


def _is_simulated(path: Path) -> bool:
    """Whether the header of a database says that it was written here."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(72)[68:] == planted.APPLICATION_ID.to_bytes(4, "big")


def real_time(params: Params) -> Params:
    """Change parameters so that an hour of the simulated cohort lasts 3600 s."""
    section = params.simulate.model_copy(update={"seconds_per_hour": REAL_SECONDS_PER_HOUR})
    return params.model_copy(update={"simulate": section})


def describe(folder: Path, params: Params) -> None:
    """Write cohort.csv and truth.json."""
    ensure_folder(folder)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(MANIFEST_COLUMNS)
    for recording in behaviour.recordings(params.simulate):
        for animal in range(1, MICE + 1):
            rfid = behaviour.rfid(params.simulate, recording, animal)
            writer.writerow((recording.name, rfid, recording.cage, recording.sex, recording.age))
    write_json(folder / "truth.json", truth(params))  # first: it says that the manifest beside it may be replaced
    write_text(folder / "cohort.csv", text.getvalue())


def _recording_truth(simulate: SimulateParams, recording: Recording) -> dict[str, Any]:
    clock = behaviour.clock_hours(simulate, recording)
    mice = [behaviour.mouse(simulate, recording, animal) for animal in range(1, MICE + 1)]
    mixed = recording.class_name == "JM"
    nest = planted.ZONES[traits.NEST_ZONE]
    nest_cm = traits.nest_shift_cm(simulate, recording.number) + np.array([nest.x_cm, nest.y_cm])
    return {
        "recording": recording.name,
        "cage": recording.cage,
        "sex": recording.sex,
        "age": recording.age,
        "class": recording.class_name,
        "nest_cm": [round(float(value), 6) for value in nest_cm],
        "start_clock_h": round(recording.start_clock_h, 6),
        "intervals_that_matter": np.flatnonzero(np.isin(clock, planted.hours_that_matter(simulate))).tolist(),
        "animals": [
            {"animal_id": mouse.animal, "rfid": mouse.rfid, **({"share_am": round(mouse.share, 6)} if mixed else {})}
            for mouse in mice
        ],
    }
