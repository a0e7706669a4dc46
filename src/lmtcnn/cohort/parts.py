"""The files of a recording as one stretch of time, its animals joined by RFID; how several recordings are read."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TypeVar

from lmtcnn.cohort.recording import Recording
from lmtcnn.cohort.rfids import has_chip
from lmtcnn.core.errors import DatabaseError, LmtcnnError, listed, problem
from lmtcnn.core.params import Definitions
from lmtcnn.lmt import lmt
from lmtcnn.lmt.detections import Seen, count_rows
from lmtcnn.lmt.frames import PARTICLES, TEMPERATURE, Limits, read_clock
from lmtcnn.timeline import clock as clocks
from lmtcnn.timeline.clock import Clock, Layout, Origin

log = logging.getLogger("lmtcnn")

T = TypeVar("T")


@dataclass(frozen=True)
class Part:
    """One file of a recording, looked at.

    `shift` adds to its frame numbers what earlier files took; `leap_ms`: by how much more time passed by TIMESTAMP than
    by frame numbers since the file before, where these go on; 0 where the two agree.
    """

    database: lmt.Database
    history: lmt.History
    clock: Clock
    layout: Layout
    shift: int
    leap_ms: int = 0


def look_at(
    recording: Recording, params: Definitions, threads: int = 1, more_sensors: Sequence[str] = ()
) -> list[Part]:
    """Open the files of a recording, in order of their first TIMESTAMP; overlapping ones are refused.

    `more_sensors` are columns of FRAME that are read beside those with limits.
    """
    settings, limits = params.stops, params.quality
    sensors: Limits = dict.fromkeys(more_sensors, ()) | {
        TEMPERATURE: (limits.temperature_warn_c, limits.temperature_fail_c),
        PARTICLES: ((0.0, float(limits.max_particles)),),
    }
    opened = []
    for path in recording.files:
        database = lmt.open_database(path)
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(lmt.read_history, database)
            clock = read_clock(database, threads, sensors)
        clocks.check(clock, path, settings)
        layout = clocks.lay_out(clock, path)
        clocks.warn_of_rate(clocks.measured_fps(clock, layout), path, settings)
        opened.append((database, asked.result(), clock, layout))
    opened.sort(key=lambda part: int(part[2].timestamps_ms[0]))
    parts: list[Part] = []
    for database, history, clock, layout in opened:
        if parts and int(clock.timestamps_ms[0]) <= int(parts[-1].clock.timestamps_ms.max()):
            raise DatabaseError(
                problem(
                    database.path,
                    f"a file that begins after {parts[-1].database.path.name} ends",
                    "an overlap in time",
                    "give each stretch of time once in the manifest's files",
                )
            )
        shift, leap_ms = _follow(parts, clock, database.path, settings.fps)
        parts.append(Part(database, history, clock, layout, shift, leap_ms))
    return parts


def _follow(parts: Sequence[Part], clock: Clock, path: Path, fps: float) -> tuple[int, int]:
    """Return the shift of the file that comes after `parts`, and its `leap_ms`.

    Where its numbers go on after those of the file before, they are of one count, as in a recording that was cut: they
    keep that file's shift, which is 0 from the first file on. Where they restart, its first frame comes as many
    frames after the recording's first one as fit between their TIMESTAMPs, and after all frames of the file before.
    """
    if not parts:
        return 0, 0
    first, before = parts[0].clock, parts[-1]
    begin, last = int(clock.frames[0]), int(before.clock.frames[-1])
    begin_ms, last_ms = int(clock.timestamps_ms[0]), int(before.clock.timestamps_ms[-1])
    if begin <= last:
        fitting = round((begin_ms - int(first.timestamps_ms[0])) * fps / 1000)
        return max(int(first.frames[0]) + fitting, last + before.shift + 1) - begin, 0
    passed_ms, counted_ms = begin_ms - last_ms, round((begin - last) * 1000 / fps)
    if abs(passed_ms - counted_ms) <= clocks.MAX_STEP_MS + clocks.MAX_RATE_ERROR * max(passed_ms, counted_ms):
        return before.shift, 0
    spans = clocks.length(counted_ms / 1000), clocks.length(passed_ms / 1000)
    between = f"{before.database.path.name} and {path.name}"
    log.warning("%s: frame numbers go on; between the files are %s by them, %s by TIMESTAMP", between, *spans)
    return before.shift, passed_ms - counted_ms


def origin_of(parts: Sequence[Part]) -> Origin:
    """Return the frame and the TIMESTAMP at which the time of a recording starts."""
    first = parts[0].clock  # its frames are not shifted
    return Origin(int(first.frames[first.first_unpaused]), int(first.timestamps_ms[first.first_unpaused]))


def name_animals(
    recording: Recording, parts: Sequence[Part], *, quiet: bool = False
) -> list[dict[int, tuple[int, str | None]]]:
    """Join the animals of a recording's files by RFID, with warnings unless `quiet`.

    Returns for each file its ANIMAL.ID -> (animal_id of the recording, RFID). Raises CohortError where
    `Recording.match` does.
    """
    matched = recording.match([part.database for part in parts], quiet=quiet)
    if not parts[1:]:
        return [{key: (key, rfid) for key, rfid in matched[0].items()}]
    members: dict[str | tuple[int, int], int] = {}
    named: list[dict[int, tuple[int, str | None]]] = []
    for number, chosen in enumerate(matched):
        of_file: dict[int, tuple[int, str | None]] = {}
        for key, rfid in sorted(chosen.items()):
            taken = set(members.values())
            who = rfid if rfid and has_chip(rfid) else (number, key)
            of_file[key] = members.setdefault(who, key if key not in taken else max(taken) + 1), rfid
        named.append(of_file)
    return named


def mixed(corrected: Mapping[str, bool]) -> list[str]:
    """Return a line where CorrectDetectionIntegrity was run on some recordings only, or none."""
    run = sorted(name for name, state in corrected.items() if state)
    if not 0 < len(run) < len(corrected):
        return []
    return [
        f"identities were corrected (CorrectDetectionIntegrity) in {len(run)} of {len(corrected)} recordings: "
        f"{listed(run)}; it takes them away where not all animals are seen: correct all of them, or none"
    ]


def read_each(
    recordings: Sequence[Recording],
    read: Callable[[Recording, int, Seen], T],
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> list[T | LmtcnnError]:
    """Return the result of `read` (recording, threads, seen) for each recording, or the error that prevented it.

    They are read `workers` at a time, in threads, each with `threads` of its own where there are fewer recordings.
    Where the work ends early, as by Ctrl+C, no other is begun; those that are being read are read.
    """
    seen = tell_progress(recordings, progress)
    threads = max(1, workers // max(1, len(recordings)))

    def attempt(recording: Recording) -> T | LmtcnnError:
        try:
            return read(recording, threads, seen)
        except LmtcnnError as error:
            return error

    with ThreadPoolExecutor(workers) as pool:
        jobs = [pool.submit(attempt, recording) for recording in recordings]
        try:
            return [job.result() for job in jobs]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def tell_progress(recordings: Iterable[Recording], progress: Callable[[int, int], None] | None) -> Seen:
    """Return a callback for threads that read; it tells `progress` how many of about how many detections are read.

    Files that cannot be opened count as empty: reading them says what is wrong.
    """
    if progress is None:
        return lambda n: None
    total = sum(_count_rows(path) for recording in recordings for path in recording.files)
    done, lock = 0, Lock()

    def seen(n: int) -> None:
        nonlocal done
        with lock:
            done += n
            progress(done, total)

    return seen


def _count_rows(path: Path) -> int:
    try:
        return count_rows(lmt.open_database(path))
    except DatabaseError:
        return 0
