"""Who is who: the manifest, its classes, and how it fits the databases. All its problems are told at once."""

import csv
import difflib
import io
import logging
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from lmtcnn import clock as clocks
from lmtcnn import lmt, start_hours
from lmtcnn.errors import BatchError, CohortError, DatabaseError, LmtcnnError, OutputError, ParamsError, problem
from lmtcnn.files import write_text
from lmtcnn.params import Arena, Definitions, HistogramsParams, Params, dump, parse_section
from lmtcnn.recording import Recording, Sample, look_at, mixed, name_animals, origin_of

log = logging.getLogger("lmtcnn")

REQUIRED = ("recording", "rfid", "cage")
ARENA_COLUMNS = tuple(f"arena_{name}" for name in Arena.model_fields)
RECORDING_COLUMNS = ("cage", "files", "timezone", "night", *ARENA_COLUMNS)
"""Columns that must say the same in every row of a recording; `night` is written `20:00-08:00`."""

ALL = "all"
"""No cage's name: the word for the networks from which none is held out."""

TAKEN = {*REQUIRED, *RECORDING_COLUMNS, "exclude", "animal_id", "n_stops", "n_outside", "n_late", "n_cut"}
"""Columns of the manifest, or of what is made of it, that mean something already and can be no label."""

_SCIENTIFIC = re.compile(r"\d+([.,]\d+)?[eE]\+?\d+")
_NAME = re.compile(r"[^/\\\x00-\x1f]+")


@dataclass(frozen=True)
class Cohort:
    """A study's recordings and samples, in order of recording and RFID."""

    recordings: tuple[Recording, ...]
    samples: tuple[Sample, ...]

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
    """The same of a manifest that may lack all label columns: its samples then have no label, and no class."""
    header = {name.strip() for name in _table(manifest)[0]}
    if not header & set(params.labels):
        params = params.model_copy(update={"classes": {}})
    return read(manifest, databases, params)


def _read(manifest: Path, databases: Path, params: Definitions) -> tuple[Cohort, list[str]]:
    """What a manifest says, as far as it can be understood, and all its problems."""
    rows = _rows(manifest, params)
    problems: list[str] = []
    samples: list[Sample] = []
    groups: dict[str, list[dict[str, str]]] = defaultdict(list)
    excluded: dict[str, set[str]] = defaultdict(set)
    for number, row in rows:
        if _excluded(row):
            excluded[row["recording"]].add(row["rfid"])
            continue
        faults, sample = _sample(f"{manifest}: row {number}", row, params)
        problems += faults
        if not sample:
            excluded[row["recording"]].add(row["rfid"])  # known, if not understood
        if row["recording"]:
            groups[row["recording"]].append(row)
        if sample:
            samples.append(sample)
    if not groups and not problems:
        problems.append(problem(manifest, "a row for each sample", "none", "fill the manifest"))
    problems += _doubled(manifest, samples)
    recordings = []
    for name, members in sorted(groups.items()):
        by_rfid = {s.rfid: s for s in samples if s.recording == name}
        faults, recording = _recording(manifest, name, members, databases, params, by_rfid)
        problems += faults
        if recording:
            recordings.append(replace(recording, excluded=frozenset(excluded[name])))
    problems += _shared_files(manifest, recordings)
    ordered = sorted(samples, key=lambda s: (s.recording, s.rfid))
    return Cohort(tuple(recordings), tuple(ordered)), problems


def unlisted(paths: Iterable[Path], params: Definitions) -> list[Recording]:
    """Recordings without a manifest: named by the file's stem, every animal counts; two stems alike are an error."""
    files = lmt.find(paths)
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
    """What a look at a recording tells before it is read: its start, its span, whether identities were corrected."""

    start_ms: int
    span_s: float
    identity_corrected: bool


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
    odd = [*_unused(databases, cohort), *_sparse_classes(cohort, params), *_changing(cohort)]
    for name, look in looks.items():
        recording = next(r for r in cohort.recordings if r.name == name)
        offset_s = clocks.align_offset_s(look.start_ms, params.histograms, recording.timezone)
        if words := clocks.short_words(look.span_s, params, offset_s):
            fate = "left out of training" if params.quality.on_fail == "leave_out" else "the rest stays empty"
            odd.append(f"{name}: {words}: {fate}")
        if words := clocks.long_words(look.span_s, params.histograms):
            odd.append(f"{name}: {words}")
    odd += _in_two_places(cohort, looks)
    odd += mixed({name: look.identity_corrected for name, look in looks.items()})
    odd += [*start_hours.warnings(cohort.samples, starts_s, params), *params.doubts]
    return Checked(cohort, odd, start_hours.tabulate(cohort.samples, starts_s, params))


def _in_two_places(cohort: Cohort, looks: Mapping[str, Look]) -> list[str]:
    """Recordings of one animal that share a stretch of time: a copy of a file under another name, most likely."""
    shared: dict[tuple[str, str], list[str]] = defaultdict(list)
    recordings: dict[str, list[str]] = defaultdict(list)
    for sample in cohort.samples:
        for other in recordings[sample.rfid]:
            one, two = looks[other], looks[sample.recording]
            if one.start_ms <= two.start_ms + 1000 * two.span_s and two.start_ms <= one.start_ms + 1000 * one.span_s:
                shared[other, sample.recording].append(sample.rfid)
        recordings[sample.rfid].append(sample.recording)
    return [
        f"{one} and {two}: RFID {', '.join(rfids)} at the same time in both: a copy of a file?"
        for (one, two), rfids in shared.items()
    ]


def _look(recording: Recording, params: Params) -> Look:
    parts = look_at(recording, params)
    name_animals(recording, parts)
    origin, end = origin_of(parts), parts[-1]
    last = end.clock.frames[~end.clock.paused][-1:]
    span_s = float(clocks.seconds(end.clock, last, origin, end.shift, params.stops)[0])
    corrected = any(part.history.identity_corrected for part in parts)
    return Look(origin.timestamp_ms, span_s, corrected)


def _unused(databases: Path, cohort: Cohort) -> list[str]:
    """Databases in the study's folder that no recording names."""
    used = {path.resolve() for recording in cohort.recordings for path in recording.files}
    present = lmt.find([databases]) if databases.is_dir() else []
    return [f"{path}: in no row of the manifest, left out" for path in present if path.resolve() not in used]


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
    times = Counter(sample.rfid for sample in cohort.samples)
    for sample in cohort.samples:
        if times[sample.rfid] > 1:
            for label, value in sample.labels.items():
                found[label][sample.rfid].add(value)
    lines = []
    for label, animals in found.items():
        changing = [rfid for rfid, values in animals.items() if len(values) > 1]
        if 0 < len(changing) < len(animals) / 2:
            lines += [
                f"RFID {rfid}: {label} {' and '.join(sorted(animals[rfid]))}, others keep it" for rfid in changing
            ]
    return lines


def init(databases: Path, manifest: Path, params: Definitions) -> tuple[list[dict[str, str]], list[LmtcnnError]]:
    """Write a manifest to be filled in: a row for each animal of each database, with what ANIMAL knows of it.

    Labels are spelt as `classes` does, a column CAGE is the cage, others that hold something follow. An existing
    manifest is never replaced. Returns its rows, and what could not be read; where nothing could, nothing is written
    and BatchError tells why.
    """
    if manifest.exists():
        raise OutputError(problem(manifest, "no file yet", "one", "edit it, or move it away"))
    rows: list[dict[str, str]] = []
    failed: list[LmtcnnError] = []
    folder = databases if databases.is_dir() else databases.parent
    for path in lmt.find([databases]):
        try:
            animals = lmt.open_database(path).animals
        except DatabaseError as error:
            failed.append(error)
            continue
        relative = path.relative_to(folder).as_posix()
        files = "" if relative == f"{path.stem}.sqlite" else relative
        for animal in animals:
            known = {name.lower(): _text(value) for name, value in animal.columns.items()}
            named = {"recording": path.stem, "rfid": animal.rfid or "", "cage": known.get("cage", "")}
            labels = {label: known.get(label.lower(), "") for label in params.labels}
            others = {name: text for name, text in known.items() if name not in {*TAKEN, *labels, "id"}}
            rows.append({**named, **labels, "files": files, **others})
    if not rows:
        raise BatchError(failed)
    _spell_labels(rows, params)
    told = [name for name in dict.fromkeys(key for row in rows for key in row) if any(row.get(name) for row in rows)]
    header = list(dict.fromkeys([*REQUIRED, *params.labels, "files", *told]))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, header, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(manifest, stream.getvalue())
    return rows, failed


def _text(value: object) -> str:
    return "" if value is None else " ".join(str(value).split())


def _spell_labels(rows: Sequence[dict[str, str]], params: Definitions) -> None:
    """Write labels as the classes do, where it is plain what is meant: `male` is M, where there are M and F."""
    for label in params.labels:
        values = {labels[label] for labels in params.classes.values() if label in labels}
        for text in sorted({row[label] for row in rows} - values - {""}):
            alike = [value for value in values if value.lower() == text.lower()]
            if not alike and text.isalpha():
                alike = [
                    v
                    for v in values
                    if v and (text.lower().startswith(v.lower()) or v.lower().startswith(text.lower()))
                ]
            if len(alike) == 1:
                log.info("%s: %s is written %s, as in `classes`", label, text, alike[0])
                for row in rows:
                    row[label] = alike[0] if row[label] == text else row[label]


def _rows(manifest: Path, params: Definitions) -> list[tuple[int, dict[str, str]]]:
    """(line number, row) of the manifest, after the checks on the file as a whole."""
    table = _table(manifest)
    header = [name.strip() for name in table[0]]
    _check_header(manifest, header, params)
    rows, faults = [], []
    for number, cells in enumerate(table[1:], start=2):
        if any(cell.strip() for cell in cells[len(header) :]):
            found, do = f"{len(cells)}", "put quotes around a cell that holds a separator"
            faults.append(problem(f"{manifest}: row {number}", f"{len(header)} cells, as in the header", found, do))
        elif any(cell.strip() for cell in cells):
            padded = [*cells, *[""] * (len(header) - len(cells))]
            rows.append((number, dict(zip(header, (cell.strip() for cell in padded), strict=False))))
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
    if taken := [name for name in params.labels if name in TAKEN]:
        found, do = f"{', '.join(taken)}, of another meaning", "rename it, in params.yaml and in the manifest"
        raise CohortError(problem(f"{manifest}: classes", "label columns of your own", found, do))
    if doubled := [name for name, n in Counter(header).items() if name and n > 1]:
        raise CohortError([problem(manifest, f"one column {name}", "two", "rename one of them") for name in doubled])


def _excluded(row: Mapping[str, str]) -> bool:
    return row.get("exclude", "").lower() not in ("", "0", "no", "false", "n")


def _sample(where: str, row: Mapping[str, str], params: Definitions) -> tuple[list[str], Sample | None]:
    faults = []
    if empty := [name for name in (*REQUIRED, *params.labels) if not row[name]]:
        faults.append(problem(where, f"a value in {', '.join(empty)}", "none", "fill it in"))
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
    fitting = [
        name for name, labels in params.classes.items() if all(row[column] == value for column, value in labels.items())
    ]
    found = ", ".join(f"{column} {row[column] or '(empty)'}" for column in params.labels)
    if params.classes and len(fitting) != 1 and all(row[column] for column in params.labels):
        expected = "a class of params.yaml" if not fitting else "one class"
        found = found if not fitting else f"{found}, which is {' and '.join(fitting)}"
        faults.append(problem(where, expected, found, "correct the labels, or `classes` in params.yaml"))
    if faults:
        return faults, None
    labels = {column: row[column] for column in params.labels}
    return [], Sample(row["recording"], row["rfid"], row["cage"], labels, fitting[0] if fitting else "")


def _doubled(manifest: Path, samples: Sequence[Sample]) -> Iterator[str]:
    for (recording, rfid), n in Counter((s.recording, s.rfid) for s in samples).items():
        if n > 1:
            do = "correct the RFIDs, or remove what was entered twice"
            yield problem(f"{manifest}: {recording}", f"RFID {rfid} once", f"{n} rows", do)
    cages: dict[str, set[str]] = defaultdict(set)
    alike: dict[str, set[str]] = defaultdict(set)
    for sample in samples:
        cages[sample.rfid].add(sample.cage)
        alike[sample.rfid.lstrip("0")].add(sample.rfid)
    for rfids in alike.values():
        if len(rfids) > 1 and len(set().union(*(cages[rfid] for rfid in rfids))) > 1:
            names = ", ".join(sorted(rfids))
            log.warning("%s: RFIDs %s in several cages differ in leading zeros only: one animal?", manifest.name, names)
    for rfid, found in cages.items():
        if len(found) > 1:
            both = ", ".join(sorted(found))
            do = "an animal in two cages would be trained on and tested: give them one cage name"
            yield problem(f"{manifest}: RFID {rfid}", "one cage", both, do)


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
    files = tuple(databases / part.strip() for part in (row.get("files") or f"{name}.sqlite").split(";"))
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
