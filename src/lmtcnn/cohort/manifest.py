"""The manifest, a CSV or TSV: the sample in each row, the recording in several, and all that is wrong with them."""

import csv
import io
import logging
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lmtcnn.cohort.labels import MOVED, class_of
from lmtcnn.cohort.recording import Recording, Sample
from lmtcnn.cohort.rfids import has_chip
from lmtcnn.core.errors import CohortError, ParamsError, problem, system_words
from lmtcnn.core.names import ALL, ONE_CAGE
from lmtcnn.core.params import Definitions, parse_section
from lmtcnn.core.sections import Arena, HistogramsParams, dump

log = logging.getLogger("lmtcnn")

REQUIRED = ("recording", "rfid", "cage")

ANIMAL = "animal"
"""Column that says who an animal is, in all recordings; default the RFID."""

ARENA_COLUMNS = tuple(f"arena_{name}" for name in Arena.model_fields)

RECORDING_COLUMNS = ("cage", "files", "timezone", "night", *ARENA_COLUMNS)
"""Columns that must say the same in every row of a recording; `night` is written `20:00-08:00`."""

EXCLUDED = {
    **dict.fromkeys(("yes", "y", "true", "t", "1", "1.0", "x"), True),
    **dict.fromkeys(("", "no", "n", "false", "f", "0", "0.0"), False),
}
"""What the column `exclude` may say, in small letters or capitals."""

_SCIENTIFIC = re.compile(r"\d+([.,]\d+)?[eE]\+?\d+")

_NAME = re.compile(r"[^/\\\x00-\x1f]+")


def read_rows(manifest: Path, params: Definitions) -> list[tuple[str, dict[str, str], int]]:
    """Read the rows of a manifest: where each stands, its cells by column, and how many it lacks.

    Raises CohortError where the file is no table, or its header or the number of its cells is wrong.
    """
    table = read_table(manifest)
    header = [name.strip() for name in table[0]]
    _check_header(manifest, header, params)
    rows, faults = [], []
    for number, cells in enumerate(table[1:], start=2):
        where = f"{manifest}: row {number}"
        if any(cell.strip() for cell in cells[len(header) :]):
            found, do = f"{len(cells)}", "put quotes around a cell that holds a separator"
            faults.append(problem(where, f"{len(header)} cells, as in the header", found, do))
        elif any(cell.strip() for cell in cells):
            short = max(0, len(header) - len(cells))
            row = zip(header, (cell.strip() for cell in [*cells, *[""] * short]), strict=False)
            rows.append((where, dict(row), short))
    if faults:
        raise CohortError(faults)
    return rows


def read_table(manifest: Path) -> list[list[str]]:
    """Read the cells of a manifest, its header first, with commas, semicolons or tabs between them."""
    try:
        text = manifest.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        do = "name one in cohort.manifest, or write one with `lmtcnn cohort init`"
        raise CohortError(problem(manifest, "a manifest", "no file", do)) from None
    except UnicodeDecodeError as error:
        do = "save it as CSV UTF-8"
        raise CohortError(problem(manifest, "a table in UTF-8", "another encoding", do)) from error
    except OSError as error:
        found = system_words(error)
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


def is_excluded(where: str, row: Mapping[str, str]) -> tuple[list[str], bool]:
    """Return what is wrong with a row's cell `exclude`, and whether it leaves the row out."""
    mark = row.get("exclude", "")
    if mark.lower() in EXCLUDED:
        return [], EXCLUDED[mark.lower()]
    words = "yes, no, true, false, 1, 0 or nothing in exclude"
    return [problem(where, words, mark, "correct it; has a cell of the row moved?")], False


def sample_of(where: str, row: Mapping[str, str], lacking: int, params: Definitions) -> tuple[list[str], Sample | None]:
    """Return what is wrong with a row that lacks so many cells, or, where nothing is, its sample."""
    faults = []
    if empty := [name for name in (*REQUIRED, *params.labels) if not row[name]]:
        found, do = ("none", "fill it in") if not lacking else (f"{len(row) - lacking} of {len(row)} cells", MOVED)
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
    lines, class_name = class_of(where, row, params)
    faults += lines
    if faults:
        return faults, None
    labels = {column: row[column] for column in params.labels}
    return [], Sample(row["recording"], row["rfid"], row["cage"], labels, class_name, animal)


def files_of(databases: Path, row: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the files of a row's recording."""
    named = row.get("files") or f"{row['recording']}.sqlite"
    return tuple(databases / part.strip() for part in named.split(";"))


def recording_of(
    manifest: Path, rows: Sequence[Mapping[str, str]], databases: Path, params: Definitions
) -> tuple[list[str], Recording | None]:
    """Return what is wrong with the rows of a recording, and the recording, yet without its samples."""
    row = rows[0]
    where = f"{manifest}: {row['recording']}"
    problems = list(_differing(where, rows))
    faults, night = _own_night(where, row, params.histograms)
    problems += faults
    floor = {
        key: _number(row[column])
        for column, key in zip(ARENA_COLUMNS, Arena.model_fields, strict=True)
        if row.get(column)
    }
    try:
        arena = parse_section(Arena, {**dump(params.stops.arena), **floor}, where)
    except ParamsError as error:
        return problems + [line.replace(f"{where}: ", f"{where}: arena_", 1) for line in error.lines], None
    timezone = row.get("timezone") or None
    return problems, Recording(row["recording"], files_of(databases, row), arena, timezone, night)


def _differing(where: str, rows: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """Yield a line for each column that must say the same in every row of a recording, and does not."""
    for column in RECORDING_COLUMNS:
        values = {row.get(column, "") for row in rows}
        if column in REQUIRED:
            values.discard("")  # told cell by cell
        if len(values) > 1:
            found = ", ".join(sorted(value or "(empty)" for value in values))
            yield problem(where, f"one value in {column}", found, "say the same in every row")


def _own_night(where: str, row: Mapping[str, str], study: HistogramsParams) -> tuple[list[str], tuple[str, str] | None]:
    """Return what is wrong with a recording's time zone and night, and its night where that is not the study's."""
    faults: list[str] = []
    own: dict[str, Any] = {"timezone": row["timezone"]} if row.get("timezone") else {}
    night = row.get("night", "")
    ends = [part.strip() for part in night.split("-")]
    if len(ends) == 2:
        own["night"] = ends
    elif night:
        do = "write it so, or leave it empty"
        faults.append(problem(f"{where}: night", "lights off and on as 20:00-08:00", night, do))
    try:
        hours = parse_section(HistogramsParams, {**dump(study), **own}, where)
    except ParamsError as error:
        return [*faults, *error.lines], None
    return faults, hours.night if night else None


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def doubled(manifest: Path, samples: Sequence[Sample]) -> Iterator[str]:
    """Yield a line for each of the animals that stand twice in a recording, or in two cages."""
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


def shared_files(manifest: Path, recordings: Sequence[Recording]) -> Iterator[str]:
    """Yield a line for each file that stands twice: one recording would be on both sides of a split."""
    users: dict[Path, list[str]] = defaultdict(list)
    for recording in recordings:
        for path in recording.files:
            users[path].append(recording.name)
    for path, names in users.items():
        if len(names) > 1:
            found = f"it in {' and '.join(dict.fromkeys(names))}" + " twice" * (len(set(names)) == 1)
            yield problem(f"{manifest}: {path.name}", "a file once", found, "correct the column files")
