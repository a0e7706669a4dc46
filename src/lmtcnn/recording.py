"""One recording: its files as one stretch of time, its animals joined by RFID.

RFIDs are text. They are matched exactly, then without leading zeros where that is unique (spreadsheets drop them),
with a warning; whatever else does not match is refused by name.
"""

import logging
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from lmtcnn import clock as clocks
from lmtcnn import lmt
from lmtcnn.clock import Clock, Layout, Origin
from lmtcnn.detections import Seen, count_rows
from lmtcnn.errors import CohortError, DatabaseError, LmtcnnError, problem
from lmtcnn.frames import PARTICLES, TEMPERATURE, read_clock
from lmtcnn.params import Arena, Definitions, dump

log = logging.getLogger("lmtcnn")

T = TypeVar("T")

MAX_NAMED = 5
"""Recordings that a warning names."""


@dataclass(frozen=True)
class Sample:
    """One animal in one recording."""

    recording: str
    rfid: str
    cage: str
    labels: Mapping[str, str]
    class_name: str


@dataclass(frozen=True)
class Recording:
    """One experiment: its files, its floor, and its animals by RFID (None: whoever is in the database).

    `timezone` and `night` are its own where they are not the study's; `excluded` are RFIDs that the manifest knows and
    leaves out.
    """

    name: str
    files: tuple[Path, ...]
    arena: Arena
    timezone: str | None = None
    night: tuple[str, str] | None = None
    samples: Mapping[str, Sample] | None = None
    excluded: frozenset[str] = frozenset()

    @property
    def provenance(self) -> dict[str, Any]:
        """What, besides the parameters, decides a recording's tables: its files' names, its floor, its animals."""
        animals = None if self.samples is None else sorted(self.samples)
        return {"files": [path.name for path in self.files], "arena": dump(self.arena), "animals": animals}

    def match(self, databases: Sequence[lmt.Database], *, quiet: bool = False) -> list[dict[int, str | None]]:
        """For each of its files: ANIMAL.ID -> RFID, for the animals that count.

        Without a manifest every animal does. Raises CohortError that names RFIDs of the manifest that are in no file or
        twice in one. Animals that the manifest does not know are left out with a warning; an animal of the manifest
        that some of several files lack is warned of.
        """
        looks = [self._look_for(database) for database in databases]
        everywhere = set.intersection(*(set(lost) for _, lost in looks))
        if everywhere:
            raise CohortError([line for rfid, line in looks[0][1].items() if rfid in everywhere])
        for database, (chosen, lost) in zip([] if quiet else databases, [] if quiet else looks, strict=True):
            for rfid in lost:
                log.warning("%s: RFID %s is in another file of the recording only", database.path.name, rfid)
            self._tell_strangers(database, chosen)
        return [chosen for chosen, _ in looks]

    def _look_for(self, database: lmt.Database) -> tuple[dict[int, str | None], dict[str, str]]:
        """ANIMAL.ID -> RFID of the animals that count, and a line for each RFID of the manifest that is not there."""
        doubled = [rfid for rfid, n in Counter(a.rfid for a in database.animals if a.rfid).items() if n > 1]
        where = f"{database.path}: ANIMAL"
        wanted = None if self.samples is None else list(self.samples)
        if hit := [rfid for rfid in doubled if wanted is None or rfid in wanted]:
            once = "each RFID once"
            raise CohortError([problem(where, once, f"{rfid} twice", "correct a copy of the file") for rfid in hit])
        if wanted is None:
            return {animal.id: animal.rfid for animal in database.animals}, {}
        return _match(wanted, database, where)

    def strangers(self, database: lmt.Database, chosen: Container[int]) -> list[str]:
        """Animals of a file that the manifest neither lists (`chosen`, by ANIMAL.ID) nor excludes."""
        others = [a for a in database.animals if a.id not in chosen and a.rfid not in self.excluded]
        return [a.rfid or f"animal {a.id}" for a in others]

    def _tell_strangers(self, database: lmt.Database, chosen: Container[int]) -> None:
        if strangers := self.strangers(database, chosen):
            log.warning("%s: left out, not in the manifest: %s", database.path.name, ", ".join(strangers))


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


def look_at(recording: Recording, params: Definitions, threads: int = 1) -> list[Part]:
    """Open the files of a recording, in order of their first TIMESTAMP; overlapping ones are refused."""
    settings, limits = params.stops, params.quality
    sensors = {
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
    """The shift of the file that comes after `parts`, and its `leap_ms`.

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
    """Where the time of a recording starts."""
    first = parts[0].clock  # its frames are not shifted
    return Origin(int(first.frames[first.first_unpaused]), int(first.timestamps_ms[first.first_unpaused]))


def name_animals(
    recording: Recording, parts: Sequence[Part], *, quiet: bool = False
) -> list[dict[int, tuple[int, str | None]]]:
    """For each file: its ANIMAL.ID -> (animal_id of the recording, RFID), joined by RFID; warnings unless `quiet`."""
    matched = recording.match([part.database for part in parts], quiet=quiet)
    if not parts[1:]:
        return [{key: (key, rfid) for key, rfid in matched[0].items()}]
    members: dict[str | None, int] = {}
    named: list[dict[int, tuple[int, str | None]]] = []
    for part, chosen in zip(parts, matched, strict=True):
        if lost := sorted(key for key, rfid in chosen.items() if rfid is None):
            where = f"{part.database.path}: ANIMAL {lost[0]}"
            raise CohortError(problem(where, "an RFID, to join the files by", "none", "give the files one by one"))
        for key, rfid in sorted(chosen.items()):
            taken = set(members.values())
            members.setdefault(rfid, key if key not in taken else max(taken) + 1)
        named.append({key: (members[rfid], rfid) for key, rfid in chosen.items()})
    return named


def provenance(params: Definitions, recordings: Iterable[Recording]) -> dict[str, dict[str, Any]]:
    """What stop tables are made by: the parameters, and each recording's files, floor and animals."""
    return {
        "stops": dump(params.stops),
        "quality": params.quality.limits,
        "recordings": {recording.name: recording.provenance for recording in recordings},
    }


def mixed(corrected: Mapping[str, bool]) -> list[str]:
    """A line where CorrectDetectionIntegrity was run on some recordings only, or none."""
    run = sorted(name for name, state in corrected.items() if state)
    if not 0 < len(run) < len(corrected):
        return []
    few, others = run[:MAX_NAMED], len(run) - MAX_NAMED
    names = ", ".join(few) + (f" and {others} more" if others > 0 else "")
    return [
        f"identities were corrected (CorrectDetectionIntegrity) in {len(run)} of {len(corrected)} recordings: {names}; "
        "it takes them away where not all animals are seen: correct all of them, or none"
    ]


def read_each(
    recordings: Sequence[Recording],
    read: Callable[[Recording, int, Seen], T],
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> list[T | LmtcnnError]:
    """What `read` (recording, threads, seen) gives of each recording, in order, or the error that kept it from it.

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
    """What takes counts of detections from threads that read, and tells `progress` how many of about how many.

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


def _match(wanted: Sequence[str], database: lmt.Database, where: str) -> tuple[dict[int, str | None], dict[str, str]]:
    """ANIMAL.ID -> RFID of those that are wanted, and a line for each that is not there."""
    exact = {animal.rfid: animal.id for animal in database.animals if animal.rfid}
    chosen: dict[int, str | None] = {exact[rfid]: rfid for rfid in wanted if rfid in exact}
    lost = {}
    for rfid in (rfid for rfid in wanted if rfid not in exact):
        alike = [
            a for a in database.animals if a.rfid and a.id not in chosen and a.rfid.lstrip("0") == rfid.lstrip("0")
        ]
        if len(alike) == 1:
            log.warning("%s: RFID %s taken for %s of the manifest", database.path.name, alike[0].rfid, rfid)
            chosen[alike[0].id] = rfid
        else:
            known = ", ".join(animal.rfid or "(none)" for animal in database.animals)
            lost[rfid] = problem(where, f"RFID {rfid} of the manifest", known, "correct the manifest")
    return chosen, lost
