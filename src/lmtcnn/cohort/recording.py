"""One recording: its files as one stretch of time, its animals joined by RFID.

RFIDs are text. They are matched exactly, then without leading zeros where that is unique (spreadsheets drop them),
with a warning; whatever else does not match is refused by name. `RFID_<name>` is no RFID but the tracker's word for an
animal whose chip no antenna has read: in another file, recording or cage it may be another mouse, so it is matched
inside one file and joined with nothing.
"""

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from lmtcnn.core.errors import CohortError, DatabaseError, LmtcnnError, problem
from lmtcnn.core.params import Definitions
from lmtcnn.core.sections import Arena, dump
from lmtcnn.lmt import lmt
from lmtcnn.lmt.detections import Seen, count_rows
from lmtcnn.lmt.frames import PARTICLES, TEMPERATURE, Limits, read_clock
from lmtcnn.timeline import clock as clocks
from lmtcnn.timeline.clock import Clock, Layout, Origin

log = logging.getLogger("lmtcnn")

T = TypeVar("T")

MAX_NAMED = 5
"""Recordings that a warning names."""


_PLACEHOLDER = re.compile(r"\s*RFID_.*", re.IGNORECASE | re.DOTALL)


def has_chip(rfid: str | None) -> bool:
    """Whether an RFID is that of a chip: not empty, and not the tracker's `RFID_<name>`."""
    return bool(rfid) and not _PLACEHOLDER.fullmatch(rfid or "")


def no_chip(rfid: str | None) -> str:
    """Why nothing is known of an animal beyond its recording: `no chip read (RFID_C)`, `no RFID`."""
    return f"no chip read ({rfid})" if rfid else "no RFID"


def pair_rfids(wanted: Iterable[str], there: Iterable[str]) -> dict[str, str]:
    """For each RFID that is wanted the one of `there` that is taken for it; those that find none are left out.

    That is the same RFID or, of those that are still free, the only one that differs from it in leading zeros alone,
    or in `.0` behind the digits, as tables of numbers write it.
    """
    wanted, there = list(dict.fromkeys(wanted)), list(there)
    pairs = {rfid: rfid for rfid in wanted if rfid in there}
    for rfid in (rfid for rfid in wanted if rfid not in pairs):
        free = [other for other in there if other not in pairs.values() and _bare(other) == _bare(rfid)]
        if len(free) == 1:
            pairs[rfid] = free[0]
    return pairs


@dataclass(frozen=True)
class Sample:
    """One animal in one recording.

    `animal` says who it is in all recordings. Where the manifest does not, that is its RFID; and an animal whose chip
    was not read is one of this recording only.
    """

    recording: str
    rfid: str
    cage: str
    labels: Mapping[str, str]
    class_name: str
    animal: str = ""

    def __post_init__(self) -> None:
        """Fill in who the animal is."""
        if not self.animal:
            object.__setattr__(self, "animal", unnamed(self.recording, self.rfid))

    @property
    def is_named(self) -> bool:
        """Whether the manifest says who the animal is."""
        return self.animal != unnamed(self.recording, self.rfid)

    @property
    def who(self) -> str:
        """The animal in words: `RFID 001`, or by the name that the manifest gives it."""
        return f"animal {self.animal}" if self.is_named or not has_chip(self.rfid) else f"RFID {self.rfid}"


def unnamed(recording: str, rfid: str) -> str:
    """Who an animal is as far as its chip tells: the RFID, or, without one, somebody of this recording alone."""
    return rfid if has_chip(rfid) else f"{rfid} of {recording}".strip()


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
        if databases[1:]:
            self._keep_unread_apart(databases, [chosen for chosen, _ in looks])
        everywhere = set.intersection(*(set(lost) for _, lost in looks))
        if everywhere:
            raise CohortError([line for rfid, line in looks[0][1].items() if rfid in everywhere])
        for database, (chosen, lost) in zip([] if quiet else databases, [] if quiet else looks, strict=True):
            warn_of_numbers(database)
            for rfid in lost:
                log.warning("%s: RFID %s is in another file of the recording only", database.path.name, rfid)
            self._tell_strangers(database, chosen)
        return [chosen for chosen, _ in looks]

    def _look_for(self, database: lmt.Database) -> tuple[dict[int, str | None], dict[str, str]]:
        """ANIMAL.ID -> RFID of the animals that count, and a line for each RFID of the manifest that is not there."""
        where = f"{database.path}: ANIMAL"
        wanted = None if self.samples is None else list(self.samples)
        animals = database.animals
        asked = {a.rfid for a in animals} if wanted is None else pair_rfids(wanted, _rfids(animals)).values()
        if doubled := [rfid for rfid in _doubled(animals) if rfid in asked]:
            alike = [animal.id for animal in animals if animal.rfid in doubled]
            ghosts = lmt.undetected(database, alike, thorough=True)  # rows that a start of the tracker left behind
            animals = tuple(animal for animal in animals if animal.id not in ghosts)
            if hit := [rfid for rfid in _doubled(animals) if rfid in doubled]:
                lines = [
                    problem(where, "each RFID once", f"{rfid} twice", "correct a copy of the file") for rfid in hit
                ]
                raise CohortError(lines)
            animals = _with_one_of_each(database.animals, animals)
        if wanted is None:
            return {animal.id: animal.rfid for animal in animals}, {}
        return _match(wanted, animals, database.path.name, where)

    def _keep_unread_apart(self, databases: Sequence[lmt.Database], chosen: Sequence[dict[int, str | None]]) -> None:
        """Leave an animal whose chip was not read in the one file that detected it.

        Raises CohortError where several did: nothing tells whether that is one mouse.
        """
        lines = []
        for rfid in dict.fromkeys(rfid for own in chosen for rfid in own.values() if not has_chip(rfid)):
            keys = [[key for key, other in own.items() if other == rfid] for own in chosen]
            if sum(map(bool, keys)) == 1:
                continue
            seen = [
                number
                for number, (database, own) in enumerate(zip(databases, keys, strict=True))
                if set(own) - lmt.undetected(database, own, thorough=True)
            ]
            if len(seen) > 1:
                found = f"{no_chip(rfid)} in {len(seen)} files: it need not be one mouse"
                do = "write the RFID into ANIMAL of a copy of each, or exclude the animal in the manifest"
                where = f"{databases[seen[0]].path}: ANIMAL"
                lines.append(problem(where, "the RFID of a chip, to join the files by", found, do))
            kept = seen[0] if seen else next(number for number, own in enumerate(keys) if own)
            for number, own in enumerate(keys):
                for key in own if number != kept else ():
                    del chosen[number][key]
        if lines:
            raise CohortError(lines)

    def strangers(self, database: lmt.Database, chosen: Mapping[int, str | None]) -> list[str]:
        """Animals of a file that the manifest neither lists (`chosen`, ANIMAL.ID -> RFID) nor excludes.

        Rows of ANIMAL that were never detected are no animals.
        """
        known = {*chosen.values(), *self.excluded} - {None}
        others = [a for a in database.animals if a.id not in chosen and a.rfid not in known]
        ghosts = lmt.undetected(database, [a.id for a in others])
        return [a.rfid or f"animal {a.id}" for a in others if a.id not in ghosts]

    def _tell_strangers(self, database: lmt.Database, chosen: Mapping[int, str | None]) -> None:
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
    """For each file: its ANIMAL.ID -> (animal_id of the recording, RFID), joined by RFID; warnings unless `quiet`.

    Raises CohortError where `Recording.match` does.
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


def provenance(params: Definitions, recordings: Iterable[Recording]) -> dict[str, dict[str, Any]]:
    """Return what stop tables are made by: the parameters, and each recording's files, floor and animals."""
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


def warn_of_numbers(database: lmt.Database) -> None:
    """Say which RFIDs are stored as numbers: their leading zeros are lost, and digits where they are rounded."""
    for animal in database.animals:
        if animal.number:
            log.warning(
                "%s: ANIMAL %d: RFID stored as the number %s, read as %s: leading zeros are lost; compare it with the "
                "chip, and write it as text into a copy of the file",
                *(database.path.name, animal.id, animal.number, animal.rfid),
            )


def _bare(rfid: str) -> str:
    """An RFID without what tables of numbers take from it and add: leading zeros, and `.0` behind the digits."""
    digits = rfid.removesuffix(".0")
    return (digits if digits.isdecimal() else rfid).lstrip("0")


def _rfids(animals: Iterable[lmt.Animal]) -> list[str]:
    return list(dict.fromkeys(animal.rfid for animal in animals if animal.rfid))


def _doubled(animals: Iterable[lmt.Animal]) -> list[str]:
    return [rfid for rfid, n in Counter(animal.rfid for animal in animals if animal.rfid).items() if n > 1]


def _with_one_of_each(animals: Sequence[lmt.Animal], seen: Sequence[lmt.Animal]) -> tuple[lmt.Animal, ...]:
    """The animals that were seen and, for each RFID that none of them has, its first row."""
    first = {animal.rfid: animal for animal in reversed(animals)}
    known = {animal.rfid for animal in seen}
    return tuple(a for a in animals if a in seen or (a.rfid not in known and first[a.rfid] is a))


def _match(
    wanted: Sequence[str], animals: Sequence[lmt.Animal], name: str, where: str
) -> tuple[dict[int, str | None], dict[str, str]]:
    """ANIMAL.ID -> RFID of those that are wanted, and a line for each that is not there."""
    ids = {animal.rfid: animal.id for animal in animals if animal.rfid}
    pairs = pair_rfids(wanted, ids)
    for rfid, other in pairs.items():
        if other != rfid:
            log.warning("%s: RFID %s taken for %s of the manifest", name, other, rfid)
    known = ", ".join(animal.rfid or "(none)" for animal in animals)
    lost = {
        rfid: problem(where, f"RFID {rfid} of the manifest", known, "correct the manifest")
        for rfid in wanted
        if rfid not in pairs
    }
    return {ids[other]: rfid for rfid, other in pairs.items()}, lost
