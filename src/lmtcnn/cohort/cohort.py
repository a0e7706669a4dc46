"""Who is who: the manifest, its classes, and how it fits the databases. All its problems are told at once."""

import csv
import difflib
import io
import logging
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from lmtcnn.cohort import start_hours
from lmtcnn.cohort.recording import (
    Recording,
    Sample,
    has_chip,
    look_at,
    mixed,
    name_animals,
    no_chip,
    origin_of,
    warn_of_numbers,
)
from lmtcnn.core.errors import BatchError, CohortError, DatabaseError, LmtcnnError, OutputError, ParamsError, problem
from lmtcnn.core.files import write_text
from lmtcnn.core.names import ALL, MANIFEST, ONE_CAGE, is_ours, label_values, values_of, words_of
from lmtcnn.core.params import Definitions, Params, parse_section
from lmtcnn.core.sections import Arena, HistogramsParams, dump
from lmtcnn.lmt import lmt
from lmtcnn.lmt.files import find
from lmtcnn.timeline import clock as clocks
from lmtcnn.timeline.counted import early_words, long_words, short_words

log = logging.getLogger("lmtcnn")

REQUIRED = ("recording", "rfid", "cage")
ANIMAL = "animal"
"""Column that says who an animal is, in all recordings; default the RFID."""
ARENA_COLUMNS = tuple(f"arena_{name}" for name in Arena.model_fields)
RECORDING_COLUMNS = ("cage", "files", "timezone", "night", *ARENA_COLUMNS)
"""Columns that must say the same in every row of a recording; `night` is written `20:00-08:00`."""

ALIKE = 0.7
"""Two words of this likeness or more (difflib's ratio) may be one with a slip of the keyboard."""

MOVED = "put each cell of the row under its column"

EXCLUDED = {
    **dict.fromkeys(("yes", "y", "true", "t", "1", "1.0", "x"), True),
    **dict.fromkeys(("", "no", "n", "false", "f", "0", "0.0"), False),
}
"""What the column `exclude` may say, in small letters or capitals."""

_SCIENTIFIC = re.compile(r"\d+([.,]\d+)?[eE]\+?\d+")
_NAME = re.compile(r"[^/\\\x00-\x1f]+")


@dataclass(frozen=True)
class Excluded:
    """A row that the manifest leaves out: its recording, its RFID, and the files of that recording."""

    recording: str
    rfid: str
    files: tuple[Path, ...]

    @property
    def words(self) -> str:
        """The row as it is told: `recording, RFID`."""
        return f"{self.recording}, {self.rfid}"


@dataclass(frozen=True)
class Cohort:
    """A study's recordings and samples, in order of recording and RFID, and what its manifest excludes."""

    recordings: tuple[Recording, ...]
    samples: tuple[Sample, ...]
    excluded: tuple[Excluded, ...] = ()

    @property
    def cages(self) -> tuple[str, ...]:
        """Cages, sorted."""
        return tuple(sorted({sample.cage for sample in self.samples}))


def load(params: Params) -> Cohort:
    """The cohort that params.yaml names; see `read`."""
    return read(Path(params.cohort.manifest), Path(params.cohort.databases), params)


def read(manifest: Path, databases: Path, params: Definitions) -> Cohort:
    """Read a manifest (CSV or TSV; commas, semicolons or tabs; BOM and CRLF accepted).

    Raises CohortError with one line a problem.
    """
    cohort, problems = _read(manifest, databases, params)
    if problems:
        raise CohortError(problems)
    return cohort


def read_new(manifest: Path, databases: Path, params: Definitions) -> Cohort:
    """Read a manifest that may lack all label columns: its samples then have no label, and no class."""
    header = {name.strip() for name in _table(manifest)[0]}
    if not header & set(params.labels):
        params = params.model_copy(update={"classes": {}})
    return read(manifest, databases, params)


def _read(manifest: Path, databases: Path, params: Definitions) -> tuple[Cohort, list[str]]:
    """Read what a manifest says, as far as it can be understood, and all its problems."""
    rows = _rows(manifest, params)
    problems: list[str] = []
    samples: list[Sample] = []
    groups: dict[str, list[dict[str, str]]] = defaultdict(list)
    known: dict[str, set[str]] = defaultdict(set)
    excluded = []
    for number, row, short in rows:
        where = f"{manifest}: row {number}"
        mark = EXCLUDED.get(row.get("exclude", "").lower())
        if mark:
            known[row["recording"]].add(row["rfid"])
            excluded.append(Excluded(row["recording"], row["rfid"], _files(databases, row)))
            continue
        if mark is None:
            words = "yes, no, true, false, 1, 0 or nothing in exclude"
            problems.append(problem(where, words, row["exclude"], "correct it; has a cell of the row moved?"))
        faults, sample = _sample(where, row, short, params)
        problems += faults
        if not sample:
            known[row["recording"]].add(row["rfid"])  # if not understood
        if row["recording"]:
            groups[row["recording"]].append(row)
        if sample:
            samples.append(sample)
    if not groups and not problems:
        do = f"put LMT databases into {databases}, run `lmtcnn cohort init {databases}`, fill in what it leaves empty"
        problems.append(problem(manifest, "a row for each animal of each recording", "none", do))
    problems += _doubled(manifest, samples)
    recordings = []
    for name, members in sorted(groups.items()):
        by_rfid = {s.rfid: s for s in samples if s.recording == name}
        faults, recording = _recording(manifest, name, members, databases, params, by_rfid)
        problems += faults
        if recording:
            recordings.append(replace(recording, excluded=frozenset(known[name])))
    problems += _shared_files(manifest, recordings)
    ordered = sorted(samples, key=lambda s: (s.recording, s.rfid))
    left_out = sorted(excluded, key=lambda each: (each.recording, each.rfid))
    return Cohort(tuple(recordings), tuple(ordered), tuple(left_out)), problems


def _files(databases: Path, row: Mapping[str, str]) -> tuple[Path, ...]:
    """The files of a row's recording."""
    named = row.get("files") or f"{row['recording']}.sqlite"
    return tuple(databases / part.strip() for part in named.split(";"))


def unlisted(paths: Iterable[Path], params: Definitions) -> list[Recording]:
    """Recordings without a manifest: named by the file's stem, every animal counts; two stems alike are an error."""
    files = find(paths)
    doubled = [stem for stem, n in Counter(path.stem for path in files).items() if n > 1]
    if doubled:
        raise CohortError(
            [
                problem(stem, "one database of this name", ", ".join(str(p) for p in files if p.stem == stem), "rename")
                for stem in doubled
            ]
        )
    return [Recording(path.stem, (path,), params.stops.arena) for path in files]


def find_recording(name: str, params: Params) -> Recording:
    """A recording by the path of its database, or by its name in the study's manifest, with all of its files.

    A name wins over a path only where no such file is there. Raises CohortError where `name` is neither, with the names
    that are in the manifest, or where the manifest cannot be read.
    """
    path, manifest = Path(name), Path(params.cohort.manifest)
    if path.is_file() or not manifest.is_file():
        (recording,) = unlisted([path], params)
        return recording
    known = {recording.name: recording for recording in load(params).recordings}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or sorted(known)[:3]
    expected = f"a database, or a recording of {manifest} such as {', '.join(near)}"
    raise CohortError(problem(name, expected, "neither", "correct the name"))


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
    """A cohort that can be studied, what is odd about it, and its samples by class and clock hour of the start."""

    cohort: Cohort
    odd: list[str]
    start_hours: pl.DataFrame


def check(params: Params, workers: int = 1, progress: Callable[[int, int], None] = lambda done, total: None) -> Checked:
    """The manifest against its databases and against the study's needs.

    Everything that would stop a study is told at once, as a BatchError; what is merely odd is returned, a line each.
    Of each database all is read but the positions.
    """
    manifest, databases = Path(params.cohort.manifest), Path(params.cohort.databases)
    cohort, problems = _read(manifest, databases, params)
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
    if len(cohort.cages) == 1:
        do = "add recordings of another cage: one is held out in turn"
        failed.append(problem(manifest, "two cages or more", f"only {cohort.cages[0]}", do))
    if len(found := {sample.class_name for sample in cohort.samples}) == 1:
        do = "add recordings of another class"
        failed.append(problem(manifest, "samples of two classes or more", f"only {min(found)}", do))
    if failed:
        raise BatchError(failed)
    starts_s = {r.name: start_hours.clock_s(r, looks[r.name].start_ms, params) for r in cohort.recordings}
    odd = [*_unused(databases, cohort), *_sparse_classes(cohort, params), *_changing(cohort), *_unread(cohort)]
    odd += _named_in_part(cohort)
    for name, look in looks.items():
        odd += [f"{name}: {rfid} is in the manifest, but was never detected: the recording fails" for rfid in look.lost]
        recording = next(r for r in cohort.recordings if r.name == name)
        offset_s = clocks.align_offset_s(look.start_ms, params.histograms, recording.timezone)
        if words := short_words(look.span_s, params, offset_s):
            fate = "left out of training" if params.quality.on_fail == "leave_out" else "the rest stays empty"
            odd.append(f"{name}: {words}: {fate}")
        for words in (
            early_words(params.histograms, offset_s),
            long_words(look.span_s, params.histograms),
        ):
            if words:
                odd.append(f"{name}: {words}")
    odd += _in_two_places(cohort, looks)
    odd += mixed({name: look.identity_corrected for name, look in looks.items()})
    odd += [*start_hours.warnings(cohort.samples, starts_s, params), *params.doubts]
    return Checked(cohort, odd, start_hours.tabulate(cohort.samples, cohort.recordings, starts_s, params))


def _in_two_places(cohort: Cohort, looks: Mapping[str, Look]) -> list[str]:
    """Recordings of one animal that share a stretch of time: a copy of a file under another name, most likely."""
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
    """Databases in the study's folder that no recording names."""
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


def _changing(cohort: Cohort) -> list[str]:
    """Animals whose label changes between recordings where most keep theirs: sex, not age."""
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
            lines += [f"{who[a]}: {label} {' and '.join(sorted(animals[a]))}, others keep it" for a in changing]
    return lines


def _unread(cohort: Cohort) -> list[str]:
    """A line for each cage with animals whose chip was not read and of whom the manifest does not say who they are."""
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


def init(
    databases: Path, manifest: Path, params: Params, labels: Sequence[str] = ()
) -> tuple[list[dict[str, str]], list[LmtcnnError]]:
    """Write a manifest to be filled in: a row for each animal of each database, with what ANIMAL knows of it.

    An existing manifest is never replaced, but for that of a new study, which lists nobody yet. Labels are spelt as
    `classes` does, a column CAGE is the cage, others that hold something follow. Rows of ANIMAL that were never
    detected are left out, as far as a covering index tells.

    Parameters
    ----------
    databases : Path
        A folder of databases, or one database.
    manifest : Path
        The file to be written; `files` is relative to `root_of(databases, manifest, params)`.
    params : Params
    labels : sequence of str
        Label columns, instead of those of `classes`.

    Returns
    -------
    list of dict
        The rows that were written.
    list of LmtcnnError
        What could not be read.

    Raises
    ------
    OutputError
        Where there is a manifest.
    CohortError
        Where a label column has a name that is ours.
    BatchError
        Where nothing could be read; nothing is written then.
    """
    if manifest.exists() and not _lists_nobody(manifest):
        do = "edit it, or name another with --manifest"
        raise OutputError(problem(manifest, "no file yet", "one, which is kept", do))
    if taken := [label for label in labels if is_ours(label)]:
        raise CohortError(
            problem("--labels", "columns of your own", f"{', '.join(taken)}, of another meaning", "rename")
        )
    labels = labels or params.labels
    rows: list[dict[str, str]] = []
    failed: list[LmtcnnError] = []
    root = root_of(databases, manifest, params)
    names = _names(find([databases]), databases if databases.is_dir() else databases.parent)
    for path, name in names.items():
        try:
            database = lmt.open_database(path)
            ghosts = lmt.undetected(database, [animal.id for animal in database.animals])
        except DatabaseError as error:
            failed.append(error)
            continue
        warn_of_numbers(database)
        relative = _absolute(path).relative_to(_absolute(root)).as_posix()
        files = "" if relative == f"{name}.sqlite" else relative
        if ";" in files:
            log.warning("%s: a file's name with ; cannot stand in the column files: rename it", path)
        _tell_odd(relative, database.animals, ghosts)
        for animal in database.animals:
            if animal.id not in ghosts:
                known = {column.lower(): _text(value) for column, value in animal.columns.items()}
                rows.append(_row_of(name, animal, known, labels, files))
    if not rows:
        raise BatchError(failed or [problem(databases, "animals that were detected", "none", "check the folder")])
    _spell_labels(rows, labels, params)
    told = [name for name in dict.fromkeys(key for row in rows for key in row) if any(row.get(name) for row in rows)]
    unread = [ANIMAL] if any(not has_chip(row["rfid"]) for row in rows) else []
    header = list(dict.fromkeys(["recording", "rfid", *unread, "cage", *labels, "files", *told]))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, header, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(manifest, stream.getvalue())
    return rows, failed


def _lists_nobody(manifest: Path) -> bool:
    """Whether a manifest is the header alone that a new study begins with, or one like it."""
    try:
        lines = manifest.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        return False  # no such header
    return len(lines) == 1 and lines[0].split(",")[: len(REQUIRED)] == list(REQUIRED)


def root_of(databases: Path, manifest: Path, params: Params) -> Path:
    """The folder to which `files` of a new manifest are relative.

    That is cohort.databases, where this is the manifest of params.yaml and its databases lie in there; else the folder
    that was named.
    """
    folder, studys = databases if databases.is_dir() else databases.parent, Path(params.cohort.databases)
    its_own = _absolute(manifest) == _absolute(Path(params.cohort.manifest))
    return studys if its_own and _absolute(folder).is_relative_to(_absolute(studys)) else folder


def _absolute(path: Path) -> Path:
    """A path from the root on, links as they are."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links out of the folder


def _names(paths: Sequence[Path], folder: Path) -> dict[Path, str]:
    """A name for the recording in each file: its stem; where several share one, with its folders, then its ending."""
    names = {path: path.stem for path in paths}
    inside = {path: path.relative_to(folder) for path in paths}
    for longer in (
        {path: "_".join(place.with_suffix("").parts) for path, place in inside.items()},
        {path: "_".join(place.parts) for path, place in inside.items()},
    ):
        times = Counter(name.lower() for name in names.values())
        names = {path: longer[path] if times[name.lower()] > 1 else name for path, name in names.items()}
    return names


def _tell_odd(file: str, animals: Sequence[lmt.Animal], ghosts: Container[int]) -> None:
    """Warn of rows of ANIMAL that are no animals, and of animals of whom nothing tells who they are."""
    known = [animal for animal in animals if animal.id not in ghosts]
    for words, chosen in (
        ("never detected, left out", [a for a in animals if a.id in ghosts]),
        ("the manifest cannot name it: delete its row, or write an RFID into a copy of the file",
         [a for a in known if not a.rfid]),
        ("the column animal can say who it is", [a for a in known if a.rfid and not has_chip(a.rfid)]),
    ):  # fmt: skip
        if chosen:
            who = ", ".join(f"animal {a.id}: {a.rfid if has_chip(a.rfid) else no_chip(a.rfid)}" for a in chosen)
            log.warning("%s: %s; %s", file, who, words)


def _row_of(
    recording: str, animal: lmt.Animal, known: Mapping[str, str], labels: Sequence[str], files: str
) -> dict[str, str]:
    """A row of a new manifest: what ANIMAL knows by small letters."""
    named = {"recording": recording, "rfid": animal.rfid or "", "cage": known.get("cage", "")}
    told = {label: known.get(label.lower(), "") for label in labels}
    kept = {
        name: text
        for name, text in known.items()
        if name not in (*MANIFEST, "id", *(label.lower() for label in labels)) and not name.startswith("arena_")
    }
    return {**named, **told, "files": files, **kept}


def _text(value: object) -> str:
    return "" if value is None else " ".join(str(value).split())


def _spell_labels(rows: Sequence[dict[str, str]], labels: Sequence[str], params: Definitions) -> None:
    """Write labels as the classes do, where it is plain what is meant: `male` is M, where there are M and F."""
    for label in labels:
        values = [value for column, value in label_values(params.classes) if column == label]
        for text in sorted({row[label] for row in rows} - {*values, ""}):
            if meant := _nearest(text, values):
                log.info("%s: %s is written %s, as in `classes`", label, text, meant)
                for row in rows:
                    row[label] = meant if row[label] == text else row[label]


def _rows(manifest: Path, params: Definitions) -> list[tuple[int, dict[str, str], int]]:
    """(line number, row, cells that it lacks) of the manifest, after the checks on the file as a whole."""
    table = _table(manifest)
    header = [name.strip() for name in table[0]]
    _check_header(manifest, header, params)
    rows, faults = [], []
    for number, cells in enumerate(table[1:], start=2):
        if any(cell.strip() for cell in cells[len(header) :]):
            found, do = f"{len(cells)}", "put quotes around a cell that holds a separator"
            faults.append(problem(f"{manifest}: row {number}", f"{len(header)} cells, as in the header", found, do))
        elif any(cell.strip() for cell in cells):
            short = max(0, len(header) - len(cells))
            row = zip(header, (cell.strip() for cell in [*cells, *[""] * short]), strict=False)
            rows.append((number, dict(row), short))
    if faults:
        raise CohortError(faults)
    return rows


def _table(manifest: Path) -> list[list[str]]:
    """Cells of a manifest, its header first."""
    try:
        text = manifest.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        do = "name one in cohort.manifest, or write one with `lmtcnn cohort init`"
        raise CohortError(problem(manifest, "a manifest", "no file", do)) from None
    except UnicodeDecodeError as error:
        do = "save it as CSV UTF-8"
        raise CohortError(problem(manifest, "a table in UTF-8", "another encoding", do)) from error
    except OSError as error:
        found = error.strerror or str(error)
        raise CohortError(problem(manifest, "a readable table", found, "check the path")) from error
    delimiter = max(",;\t", key=text.split("\n", 1)[0].count)
    try:
        table = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise CohortError(problem(manifest, "a table", str(error), "check its quotes")) from error
    if not table:
        raise CohortError(problem(manifest, "a header", "an empty file", "fill the manifest"))
    return table


def _check_header(manifest: Path, header: Sequence[str], params: Definitions) -> None:
    if lacking := [name for name in (*REQUIRED, *params.labels) if name not in header]:
        known = ", ".join(header) or "an empty line"
        alike = {name.lower(): name for name in header}
        renamed = [f"{alike[name]} to {name}" for name in lacking if name in alike]
        do = "rename " + ", ".join(renamed) if len(renamed) == len(lacking) else "add them to the header"
        raise CohortError(problem(manifest, f"the columns {', '.join(lacking)}", known, do))
    if doubled := [name for name, n in Counter(header).items() if name and n > 1]:
        raise CohortError([problem(manifest, f"one column {name}", "two", "rename one of them") for name in doubled])


def _sample(where: str, row: Mapping[str, str], short: int, params: Definitions) -> tuple[list[str], Sample | None]:
    faults = []
    if empty := [name for name in (*REQUIRED, *params.labels) if not row[name]]:
        found, do = ("none", "fill it in") if not short else (f"{len(row) - short} of {len(row)} cells", MOVED)
        faults.append(problem(where, f"a value in {', '.join(empty)}", found, do))
    for kind in ("recording", "cage"):  # both become names of files
        if row[kind] and not (_NAME.fullmatch(row[kind]) and row[kind].strip(".")):
            faults.append(problem(where, f"a {kind}'s name without a path", row[kind], f"rename the {kind}"))
    if row["cage"] == ALL:
        faults.append(
            problem(where, "another name of the cage", f"{ALL}, the word for no cage held out", "rename the cage")
        )
    if _SCIENTIFIC.fullmatch(row["rfid"]):
        do = "format the column as text and enter it again"
        faults.append(problem(where, "an RFID as text", f"{row['rfid']}, a spreadsheet's number", do))
    animal = row.get(ANIMAL, "")
    if animal and not has_chip(animal):
        found, do = f"{animal}, the tracker's word for no chip read", "name the individual, or leave the cell empty"
        faults.append(problem(where, "in animal who it is", found, do))
    line, class_name = _class_of(where, row, params)
    faults += line
    if faults:
        return faults, None
    labels = {column: row[column] for column in params.labels}
    return [], Sample(row["recording"], row["rfid"], row["cage"], labels, class_name, animal)


def _class_of(where: str, row: Mapping[str, str], params: Definitions) -> tuple[list[str], str]:
    """The class of a row's labels; or a line of what is wrong with them, which names the valid ones."""
    known = {column: [v for c, v in label_values(params.classes) if c == column] for column in params.labels}
    found = ", ".join(f"{column} {row[column] or '(empty)'}" for column in params.labels)
    if unknown := [column for column in params.labels if row[column] and row[column] not in known[column]]:
        expected = "; ".join(f"{column} {', '.join(known[column])}" for column in unknown)
        do = _mend(row, unknown, known)
        return [problem(where, f"a label of a class of params.yaml ({expected})", found, do)], ""
    if not params.classes or not all(row[column] for column in params.labels):
        return [], ""
    fitting = [
        name
        for name, labels in params.classes.items()
        if all(row[column] in values_of(values) for column, values in labels.items())
    ]
    if len(fitting) == 1:
        return [], fitting[0]
    expected = "a class of params.yaml (" + "; ".join(map(words_of, params.classes.values())) + ")"
    if fitting:
        expected, found = "one class", f"{found}, which is {' and '.join(fitting)}"
    return [problem(where, expected, found, "correct the labels, or `classes` in params.yaml")], ""


def _mend(row: Mapping[str, str], unknown: Sequence[str], known: Mapping[str, Sequence[str]]) -> str:
    """Advise what to do about labels that no class has: cells that moved, a word that is nearly a label, or else."""
    everything = {value for values in known.values() for value in values}
    if row["cage"] in everything or any(row[column] in {*everything, row["cage"]} for column in unknown):
        return MOVED
    meant = [_nearest(row[column], known[column], typos=True) for column in unknown]
    if all(meant):
        return f"write {' and '.join(map(str, meant))} if that is meant"
    return "correct the labels, or `classes` in params.yaml"


def _nearest(text: str, values: Sequence[str], *, typos: bool = False) -> str | None:
    """The one label that a text is meant for: `Male` for M or male, and, with `typos`, `adlut` for adult; else None."""
    small = text.lower()
    for alike in (
        [value for value in values if value.lower() == small],
        [value for value in values if text.isalpha() and _begin_alike(small, value.lower())],
        [value for value in values if typos and difflib.SequenceMatcher(None, small, value.lower()).ratio() >= ALIKE],
    ):
        if len(alike) == 1:
            return alike[0]
    return None


def _begin_alike(one: str, other: str) -> bool:
    """Whether one text is the beginning of the other."""
    return bool(one and other) and (one.startswith(other) or other.startswith(one))


def _doubled(manifest: Path, samples: Sequence[Sample]) -> Iterator[str]:
    """Animals that stand twice in a recording, or in two cages."""
    for (recording, rfid), n in Counter((s.recording, s.rfid) for s in samples).items():
        if n > 1:
            do = "correct the RFIDs, or remove what was entered twice"
            yield problem(f"{manifest}: {recording}", f"RFID {rfid} once", f"{n} rows", do)
    rfids: dict[tuple[str, str], set[str]] = defaultdict(set)
    homes: dict[str, set[str]] = defaultdict(set)
    who = {}
    for sample in samples:
        rfids[sample.recording, sample.animal].add(sample.rfid)
        homes[sample.animal].add(sample.cage)
        who[sample.animal] = sample.who
    for (recording, animal), found in rfids.items():
        if len(found) > 1:
            both = f"RFIDs {', '.join(sorted(found))}"
            do = "one row a recording: nothing tells where one ends and the other begins"
            yield problem(f"{manifest}: {recording}", f"{who[animal]} once", both, do)
    _warn_of_alike(manifest, samples)
    for animal, found in homes.items():
        if len(found) > 1:
            yield problem(f"{manifest}: {who[animal]}", "one cage", ", ".join(sorted(found)), ONE_CAGE)


def _warn_of_alike(manifest: Path, samples: Sequence[Sample]) -> None:
    """Name animals whose RFIDs or names differ in leading zeros or capitals only, and stand in several cages."""
    homes: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for sample in samples:
        if has_chip(sample.rfid) or sample.is_named:
            homes[sample.animal.lstrip("0").casefold()][sample.animal].add(sample.cage)
    named = {sample.animal for sample in samples if sample.is_named}
    for animals in homes.values():
        if len(animals) > 1 and len(set().union(*animals.values())) > 1:
            words = "animals" if named & set(animals) else "RFIDs"
            differ = "leading zeros" if len({animal.casefold() for animal in animals}) > 1 else "capitals"
            log.warning(
                "%s: %s %s in several cages differ in %s only: one animal?",
                *(manifest.name, words, ", ".join(sorted(animals)), differ),
            )


def _recording(
    manifest: Path,
    name: str,
    rows: Sequence[Mapping[str, str]],
    databases: Path,
    params: Definitions,
    samples: Mapping[str, Sample],
) -> tuple[list[str], Recording | None]:
    where = f"{manifest}: {name}"
    faults = []
    for column in RECORDING_COLUMNS:
        values = {row.get(column, "") for row in rows}
        if column in REQUIRED:
            values.discard("")  # told cell by cell
        if len(values) > 1:
            found = ", ".join(sorted(value or "(empty)" for value in values))
            faults.append(problem(where, f"one value in {column}", found, "say the same in every row"))
    row = rows[0]
    files = _files(databases, row)
    settings: dict[str, Any] = dump(params.stops.arena)
    timezone = row.get("timezone") or None
    night = row.get("night") or None
    for column, key in zip(ARENA_COLUMNS, Arena.model_fields, strict=True):
        if text := row.get(column, ""):
            settings[key] = _number(text)
    own: dict[str, Any] = {"timezone": timezone} if timezone else {}
    if night:
        own["night"] = [part.strip() for part in night.split("-")]
        if len(own["night"]) != 2:
            do = "write it so, or leave it empty"
            faults.append(problem(f"{where}: night", "lights off and on as 20:00-08:00", night, do))
            own.pop("night")
    hours = params.histograms
    try:
        hours = parse_section(HistogramsParams, {**dump(hours), **own}, where)
    except ParamsError as error:
        faults += error.lines
    try:
        arena = parse_section(Arena, settings, where)
    except ParamsError as error:
        return faults + [line.replace(f"{where}: ", f"{where}: arena_", 1) for line in error.lines], None
    return faults, Recording(name, files, arena, timezone, hours.night if night else None, samples)


def _shared_files(manifest: Path, recordings: Sequence[Recording]) -> Iterator[str]:
    """Files that stand twice: one recording would be on both sides of a split."""
    users: dict[Path, list[str]] = defaultdict(list)
    for recording in recordings:
        for path in recording.files:
            users[path].append(recording.name)
    for path, names in users.items():
        if len(names) > 1:
            found = f"it in {' and '.join(dict.fromkeys(names))}" + " twice" * (len(set(names)) == 1)
            yield problem(f"{manifest}: {path.name}", "a file once", found, "correct the column files")


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
