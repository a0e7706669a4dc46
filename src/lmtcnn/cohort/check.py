"""The manifest against its databases and against what a study needs, before anything is read for long."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from lmtcnn.cohort import start_hours
from lmtcnn.cohort.cohort import Cohort, understand
from lmtcnn.cohort.parts import look_at, mixed, name_animals, origin_of
from lmtcnn.cohort.recording import Recording, Sample
from lmtcnn.cohort.rfids import has_chip, no_chip
from lmtcnn.core.errors import BatchError, LmtcnnError, problem
from lmtcnn.core.params import Definitions, Params
from lmtcnn.lmt import lmt
from lmtcnn.lmt.files import find
from lmtcnn.timeline import clock as clocks
from lmtcnn.timeline.counted import early_words, long_words, short_words


@dataclass(frozen=True)
class Look:
    """Findings of a look at a recording before it is read: its start, its span, whether identities were corrected.

    `lost` are RFIDs that were never detected, as far as covering indexes tell.
    """

    start_ms: int
    span_s: float
    identity_corrected: bool
    lost: tuple[str, ...]


@dataclass(frozen=True)
class Checked:
    """A cohort that can be studied, what is odd about it, and its samples by class and clock hour of the start.

    `unlearnable` are the label columns that no network can tell of a cage that is held out.
    """

    cohort: Cohort
    odd: list[str]
    start_hours: pl.DataFrame
    unlearnable: tuple[str, ...] = ()


def check(params: Params, workers: int = 1, progress: Callable[[int, int], None] = lambda done, total: None) -> Checked:
    """Hold the manifest to its databases and to the study's needs.

    Of each database all is read but the positions.

    Parameters
    ----------
    params
        Where manifest and databases are, the classes, and what a recording must cover.
    workers
        Recordings that are looked at at once.
    progress
        Called with the number of recordings that were looked at, and of all.

    Returns
    -------
    Checked
        The cohort; what is merely odd about it, a line each.

    Raises
    ------
    BatchError
        With everything that would stop the study, at once.
    """
    manifest, databases = Path(params.cohort.manifest), Path(params.cohort.databases)
    cohort, problems = understand(manifest, databases, params)
    failed: list[LmtcnnError | str] = [*problems]
    looks: dict[str, Look] = {}
    with ThreadPoolExecutor(workers) as pool:
        jobs = [(recording, pool.submit(_look, recording, params)) for recording in cohort.recordings]
        for done, (recording, job) in enumerate(jobs, start=1):
            try:
                looks[recording.name] = job.result()
            except LmtcnnError as error:
                failed.append(error)
            progress(done, len(jobs))
    if failed := [*failed, *_too_alike(manifest, cohort)]:
        raise BatchError(failed)
    starts_s = {r.name: start_hours.clock_s(r, looks[r.name].start_ms, params) for r in cohort.recordings}
    alone = _alone(cohort, params)
    odd = [*_unused(databases, cohort), *_sparse_classes(cohort, params), *alone.values()]
    odd += [*_changing(cohort), *_unread(cohort)]
    odd += _named_in_part(cohort)
    odd += [line for recording in cohort.recordings for line in _odd_times(recording, looks[recording.name], params)]
    odd += _in_two_places(cohort, looks)
    odd += mixed({name: look.identity_corrected for name, look in looks.items()})
    odd += [*start_hours.warnings(cohort.samples, starts_s, params), *params.doubts]
    tabled = start_hours.tabulate(cohort.samples, cohort.recordings, starts_s, params)
    return Checked(cohort, odd, tabled, tuple(alone))


def _too_alike(manifest: Path, cohort: Cohort) -> Iterator[str]:
    """Yield a line where there is nothing to hold out, or nothing to tell apart."""
    if len(cohort.cages) == 1:
        do = "add recordings of another cage: one is held out in turn"
        yield problem(manifest, "two cages or more", f"only {cohort.cages[0]}", do)
    if len(found := {sample.class_name for sample in cohort.samples}) == 1:
        do = "add recordings of another class"
        yield problem(manifest, "samples of two classes or more", f"only {min(found)}", do)


def _odd_times(recording: Recording, look: Look, params: Params) -> Iterator[str]:
    """Yield a line for each animal that was never seen, and where a recording's time does not fit what is counted."""
    name, hours = recording.name, params.histograms
    for rfid in look.lost:
        yield f"{name}: {rfid} is in the manifest, but was never detected: the recording fails"
    offset_s = clocks.align_offset_s(look.start_ms, hours, recording.timezone)
    if words := short_words(look.span_s, params, offset_s):
        fate = "left out of training" if params.quality.on_fail == "leave_out" else "the rest stays empty"
        yield f"{name}: {words}: {fate}"
    for words in (early_words(hours, offset_s), long_words(look.span_s, hours)):
        if words:
            yield f"{name}: {words}"


def _in_two_places(cohort: Cohort, looks: Mapping[str, Look]) -> list[str]:
    """Name recordings of one animal that share a stretch of time: a copy of a file under another name, most likely."""
    shared: dict[tuple[str, str], list[str]] = defaultdict(list)
    recordings: dict[str, list[str]] = defaultdict(list)
    for sample in cohort.samples:
        for other in recordings[sample.animal]:
            one, two = looks[other], looks[sample.recording]
            if one.start_ms <= two.start_ms + 1000 * two.span_s and two.start_ms <= one.start_ms + 1000 * one.span_s:
                shared[other, sample.recording].append(sample.who)
        recordings[sample.animal].append(sample.recording)
    return [
        f"{one} and {two}: {', '.join(who).replace(', RFID ', ', ')} at the same time in both: a copy of a file?"
        for (one, two), who in shared.items()
    ]


def _look(recording: Recording, params: Params) -> Look:
    """Read all of a recording but its positions."""
    parts = look_at(recording, params)
    named = name_animals(recording, parts)
    seen, animals = set(), {pair for members in named for pair in members.values()}
    for part, members in zip(parts, named, strict=True):
        ghosts = lmt.undetected(part.database, list(members))
        seen |= {member for key, member in members.items() if key not in ghosts}
    origin, end = origin_of(parts), parts[-1]
    last = end.clock.frames[~end.clock.paused][-1:]
    span_s = float(clocks.seconds(end.clock, last, origin, end.shift, params.stops)[0])
    corrected = any(part.history.identity_corrected for part in parts)
    lost = tuple(sorted(f"RFID {rfid}" if has_chip(rfid) else str(rfid) for _, rfid in animals - seen))
    return Look(origin.timestamp_ms, span_s, corrected, lost)


def _unused(databases: Path, cohort: Cohort) -> list[str]:
    """Name the databases in the study's folder that no recording names."""
    named = [each.files for each in cohort.recordings] + [each.files for each in cohort.excluded]
    used = {path.resolve() for files in named for path in files}
    present = find([databases]) if databases.is_dir() else []
    others = [path for path in present if path.resolve() not in used]
    return [
        f"{path}: {'not to be entered' if path.is_dir() else 'in no row of the manifest'}, left out" for path in others
    ]


def _sparse_classes(cohort: Cohort, params: Definitions) -> list[str]:
    cages = {name: {s.cage for s in cohort.samples if s.class_name == name} for name in params.classes}
    return [f"class {name}: no sample" for name, found in cages.items() if not found] + [
        f"class {name}: only in cage {min(found)}: nothing to learn it from while that is held out"
        for name, found in cages.items()
        if len(found) == 1
    ]


def _alone(cohort: Cohort, params: Definitions) -> dict[str, str]:
    """Label columns of which each value is in a cage of its own, with a line on what cannot work then.

    While such a cage is held out, its value is in no training, so that it is never told right; and to exchange the
    labels of whole cages only gives the values other names, so that no test is possible.
    """
    told = {}
    for column in params.labels:
        cages: dict[str, set[str]] = defaultdict(set)
        for sample in cohort.samples:
            cages[sample.labels[column]].add(sample.cage)
        if len(cages) > 1 and all(len(found) == 1 for found in cages.values()):
            where = ", ".join(f"{value} only in cage {min(found)}" for value, found in sorted(cages.items()))
            told[column] = (
                f"{column}: {where}: of a cage that is held out it is never told right, as no training has its value, "
                "and it cannot be tested; add cages, so that each value is in two or more"
            )
    return told


def _changing(cohort: Cohort) -> list[str]:
    """Name animals whose label changes between recordings where most keep theirs: sex, not age."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    times = Counter(sample.animal for sample in cohort.samples)
    who = {sample.animal: sample.who for sample in cohort.samples}
    for sample in cohort.samples:
        if times[sample.animal] > 1:
            for label, value in sample.labels.items():
                found[label][sample.animal].add(value)
    lines = []
    for label, animals in found.items():
        changing = [animal for animal, values in animals.items() if len(values) > 1]
        if 0 < len(changing) < len(animals) / 2:
            lines += [f"{who[a]}: {label} {' and '.join(sorted(animals[a]))}, others keep theirs" for a in changing]
    return lines


def _unread(cohort: Cohort) -> list[str]:
    """Return a line for each cage with animals whose chip was not read and whom the manifest does not name."""
    rfids: dict[str, dict[str, None]] = defaultdict(dict)
    recordings: dict[str, dict[str, None]] = defaultdict(dict)
    for sample in cohort.samples:
        if not has_chip(sample.rfid) and not sample.is_named:
            rfids[sample.cage][sample.rfid] = recordings[sample.cage][sample.recording] = None
    return [
        f"cage {cage}: {no_chip(', '.join(rfids[cage]))} in {', '.join(names)}: joined with no animal of another "
        "recording; a column animal can say who it is"
        for cage, names in recordings.items()
    ]


def _named_in_part(cohort: Cohort) -> Iterator[str]:
    """Yield a line for each chip of several animals that no cage or name tells apart: a slip, most likely."""
    rows: dict[str, list[Sample]] = defaultdict(list)
    for sample in cohort.samples:
        if has_chip(sample.rfid):
            rows[sample.rfid].append(sample)
    for rfid, own in rows.items():
        animals = {sample.animal: sample for sample in own}
        cages = {sample.cage for sample in own}
        if len(animals) > 1 and (len(cages) < len(animals) or not all(sample.is_named for sample in own)):
            who = [f"{s.animal if s.is_named else 'nobody'} in {s.recording}" for s in animals.values()]
            yield f"RFID {rfid}: the column animal names {', '.join(who)}: taken for {len(who)} animals"
