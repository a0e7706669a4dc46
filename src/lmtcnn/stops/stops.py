"""The stage `stops`: recordings that are read side by side, and the tables that are written of them."""

import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

import polars as pl

from lmtcnn.cohort.parts import mixed, read_each
from lmtcnn.cohort.recording import Recording
from lmtcnn.core.errors import BatchError, CohortError, DataError, LmtcnnError, OutputError, problem
from lmtcnn.core.files import ensure_folder, write_json
from lmtcnn.core.params import Definitions
from lmtcnn.core.records import seal
from lmtcnn.core.schemas import QUALITY, STOPS, STOPS_TABLES
from lmtcnn.lmt.detections import Seen
from lmtcnn.stops.extraction import Extraction, extract
from lmtcnn.stops.ledger import Ledger
from lmtcnn.stops.output import made_by
from lmtcnn.stops.quality import failures, judge

log = logging.getLogger("lmtcnn")


def stops(
    recordings: Iterable[Recording],
    folder: Path,
    params: Definitions,
    workers: int,
    progress: Callable[[int, int], None] | None = None,
    ledger: Ledger | None = None,
    others: Literal["remove", "refuse"] = "remove",
) -> pl.DataFrame:
    """Write the stop tables of recordings, one Parquet each, and the tables over all of them.

    Parameters
    ----------
    recordings
        What is to be in the folder afterwards.
    folder
        data/stops; tables of other recordings in it are removed, as these have left the study.
    params
        The definitions of stops, and the limits of quality.
    workers
        Recordings that are read at once, in threads: reading and arithmetic release the interpreter's lock.
    progress
        Called with the number of detections that were read, and that are to be read.
    ledger
        What it knows to be still good is not read again.
    others
        `refuse`: tables of other recordings are an error instead.

    Returns
    -------
    DataFrame
        The quality table.

    Raises
    ------
    CohortError
        Where a recording bears the name of a table.
    OutputError
        Where there are tables of others that are not to be removed.
    BatchError
        With all failures, once the other recordings are written; where none could be read, nothing is written. Where a
        table cannot be written, as on a full disk, no other recording is read; those that were written stay, and the
        ledger knows them.
    """
    recordings = list(recordings)
    if taken := [recording.name for recording in recordings if recording.name in STOPS_TABLES]:
        words = "that of a table of this stage"
        raise CohortError([problem(name, "another recording's name", words, "rename the recording") for name in taken])
    ensure_folder(folder)
    if others == "refuse":
        _refuse_others(folder, recordings)
    (folder / "stops.json").unlink(missing_ok=True)  # until all is written the folder must not look whole
    _prune(folder, recordings, ledger)
    done = _still_good(recordings, params, ledger)
    waiting = [recording for recording in recordings if recording.name not in done]
    found = _read_and_write(waiting, folder, params, workers, progress, ledger)
    failed = [each for each in found if isinstance(each, LmtcnnError)]
    done |= {
        recording.name: each
        for recording, each in zip(waiting, found, strict=True)
        if not isinstance(each, LmtcnnError)
    }
    if full := [error for error in failed if isinstance(error, OutputError)]:
        raise BatchError([*(error for error in failed if error not in full), full[0]])
    tables = _write_tables(folder, [done[r.name] for r in recordings if r.name in done])
    _warn(tables["quality"])
    if failed:
        raise BatchError(failed)
    written = [f"{name}.parquet" for name in (*(recording.name for recording in recordings), *STOPS_TABLES)]
    write_json(folder / "stops.json", seal("stops", made_by(params, recordings), {}, folder, written))
    return tables["quality"]


def _read_and_write(
    recordings: Sequence[Recording],
    folder: Path,
    params: Definitions,
    workers: int,
    progress: Callable[[int, int], None] | None,
    ledger: Ledger | None,
) -> list[Extraction | LmtcnnError]:
    """Read recordings and write the stop table of each; return its other tables, or the error that prevented it."""
    unwritable: list[OutputError] = []

    def read(recording: Recording, threads: int, seen: Seen) -> Extraction:
        if unwritable:  # a full disk takes no other table either: nothing is read for it
            raise unwritable[0]
        try:
            return _one(recording, folder, params, threads, seen, ledger)
        except OutputError as error:
            unwritable.append(error)
            raise

    return read_each(recordings, read, workers, progress)


def _write_tables(folder: Path, found: Sequence[Extraction]) -> dict[str, pl.DataFrame]:
    """Write the tables over all recordings that were read; where none was, none is left there."""
    tables = {}
    for name, table in STOPS_TABLES.items():
        path = folder / f"{name}.parquet"
        tables[name] = pl.concat([table.empty(), *(getattr(each, name) for each in found)]).sort(table.keys)
        if found:
            table.write(tables[name], path)
        else:
            path.unlink(missing_ok=True)
    return tables


def _warn(quality: pl.DataFrame) -> None:
    """Say which recordings fail a check, and whether identities were corrected in some only."""
    for name, words in failures(quality).items():
        log.warning("%s: fails: %s", name, words)
    for line in mixed(dict(quality.select("recording", "identity_corrected").iter_rows())):
        log.warning("%s", line)


def _still_good(recordings: Sequence[Recording], params: Definitions, ledger: Ledger | None) -> dict[str, Extraction]:
    """Find what need not be read again; it is judged anew."""
    found = {r.name: rows for r in recordings if ledger and (rows := ledger.find(r))}
    if found:
        log.info("%d of %d recordings have not changed since they were read", len(found), len(recordings))
    for tables in found.values():
        tables["quality"] = judge(tables["quality"], tables["coverage"], params)
    return {name: Extraction(STOPS.empty(), **tables) for name, tables in found.items()}


def _one(
    recording: Recording, folder: Path, params: Definitions, threads: int, seen: Seen, ledger: Ledger | None
) -> Extraction:
    key = ledger.begin(recording) if ledger else None
    extraction = extract(recording, params, threads, seen)
    STOPS.write(extraction.stops, folder / f"{recording.name}.parquet")
    tables = {name: getattr(extraction, name) for name in STOPS_TABLES}
    if ledger and key:
        ledger.keep(recording, tables, key)
    return Extraction(STOPS.empty(), **tables)


def _refuse_others(folder: Path, recordings: Sequence[Recording]) -> None:
    """Refuse to remove tables of a study because one of its files was read by name."""
    listing = folder / "quality.parquet"
    if not listing.is_file():
        return
    there = set(QUALITY.read(listing)["recording"]) - {recording.name for recording in recordings}
    if there:
        found = f"those of {len(there)} others, {min(there)} among them"
        raise OutputError(problem(folder, "no tables, or those of these recordings", found, "name a folder with --out"))


def _prune(folder: Path, recordings: Sequence[Recording], ledger: Ledger | None) -> None:
    """Remove the tables of recordings that left the study: those that the ledger or the quality table name."""
    if ledger:
        ledger.prune(recordings)
    listing = folder / "quality.parquet"
    if listing.is_file():
        try:
            before = set(QUALITY.read(listing)["recording"])
        except DataError as error:  # cut, or of another version: this very run writes it anew
            log.warning("%s", error.lines[0])
            before = set()
        for name in before - {recording.name for recording in recordings}:
            (folder / f"{name}.parquet").unlink(missing_ok=True)
