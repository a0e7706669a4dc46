"""A manifest to be filled in, of what the databases know of their animals."""

import csv
import io
import logging
import os
from collections import Counter
from collections.abc import Container, Sequence
from pathlib import Path

from lmtcnn.cohort.labels import nearest
from lmtcnn.cohort.manifest import ANIMAL, REQUIRED
from lmtcnn.cohort.rfids import has_chip, no_chip, warn_of_numbers
from lmtcnn.core.errors import BatchError, CohortError, DatabaseError, LmtcnnError, OutputError, problem
from lmtcnn.core.files import write_text
from lmtcnn.core.names import MANIFEST, is_ours, label_values
from lmtcnn.core.params import Definitions, Params
from lmtcnn.lmt import lmt
from lmtcnn.lmt.files import find

log = logging.getLogger("lmtcnn")


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
            rows += _rows_of(path, name, root, labels)
        except DatabaseError as error:
            failed.append(error)
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


def _rows_of(path: Path, name: str, root: Path, labels: Sequence[str]) -> list[dict[str, str]]:
    """Return a row for each animal of a database, the recording `name`, that was detected."""
    database = lmt.open_database(path)
    ghosts = lmt.undetected(database, [animal.id for animal in database.animals])
    warn_of_numbers(database)
    relative = _absolute(path).relative_to(_absolute(root)).as_posix()
    files = "" if relative == f"{name}.sqlite" else relative
    if ";" in files:
        log.warning("%s: a file's name with ; cannot stand in the column files: rename it", path)
    _tell_odd(relative, database.animals, ghosts)
    return [_row_of(name, animal, labels, files) for animal in database.animals if animal.id not in ghosts]


def _lists_nobody(manifest: Path) -> bool:
    """Tell whether a manifest is the header alone that a new study begins with, or one like it."""
    try:
        lines = manifest.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        return False  # no such header
    return len(lines) == 1 and lines[0].split(",")[: len(REQUIRED)] == list(REQUIRED)


def root_of(databases: Path, manifest: Path, params: Params) -> Path:
    """Return the folder to which `files` of a new manifest are relative.

    That is cohort.databases, where this is the manifest of params.yaml and its databases lie in there; else the folder
    that was named.
    """
    folder, studys = databases if databases.is_dir() else databases.parent, Path(params.cohort.databases)
    its_own = _absolute(manifest) == _absolute(Path(params.cohort.manifest))
    return studys if its_own and _absolute(folder).is_relative_to(_absolute(studys)) else folder


def _absolute(path: Path) -> Path:
    """Return a path from the root on, links as they are."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links out of the folder


def _names(paths: Sequence[Path], folder: Path) -> dict[Path, str]:
    """Name the recording in each file by its stem; where several share one, with its folders, then its ending."""
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


def _row_of(recording: str, animal: lmt.Animal, labels: Sequence[str], files: str) -> dict[str, str]:
    """Return a row of a new manifest, with what ANIMAL knows, its columns in small letters."""
    known = {column.lower(): _text(value) for column, value in animal.columns.items()}
    named = {"recording": recording, "rfid": animal.rfid or "", "cage": known.get("cage", "")}
    told = {label: known.get(label.lower(), "") for label in labels}
    taken = {*MANIFEST, "id", *(label.lower() for label in labels)}
    kept = {name: text for name, text in known.items() if name not in taken and not name.startswith("arena_")}
    return {**named, **told, "files": files, **kept}


def _text(value: object) -> str:
    return "" if value is None else " ".join(str(value).split())


def _spell_labels(rows: Sequence[dict[str, str]], labels: Sequence[str], params: Definitions) -> None:
    """Write labels as the classes do, where it is plain what is meant: `male` is M, where there are M and F."""
    for label in labels:
        values = [value for column, value in label_values(params.classes) if column == label]
        for text in sorted({row[label] for row in rows} - {*values, ""}):
            if meant := nearest(text, values):
                log.info("%s: %s is written %s, as in `classes`", label, text, meant)
                for row in rows:
                    row[label] = meant if row[label] == text else row[label]
