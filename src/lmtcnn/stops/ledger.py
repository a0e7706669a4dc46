"""Which stop tables are still good: a recording is read again only if it, or what reads it, has changed.

For each recording that was read the ledger keeps, outside of the stage's output, its rows of the tables of all
recordings and a key over everything that decides them: the parameters, the manifest's words on the recording, the
program that reads, and each file's size, times, number and header. Any write to a file moves one of these (the system
itself sets the time of change), so that one changed row is enough; a file that was only copied or touched is read
again without need. The key is written last: after a kill what was finished is known, and nothing else is.
"""

import contextlib
import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from lmtcnn import __version__
from lmtcnn.cohort.recording import Recording
from lmtcnn.core.errors import DataError
from lmtcnn.core.files import digest, read_json, write_json
from lmtcnn.core.params import Definitions
from lmtcnn.core.revisions import REVISIONS
from lmtcnn.core.schemas import STOPS_TABLES
from lmtcnn.core.sections import dump

COUNTED = ("temperature_warn_c", "temperature_fail_c", "max_particles")
"""Limits of quality that decide what is counted, and not only what is made of it."""


@dataclass(frozen=True)
class Ledger:
    """The ledger of a folder of stop tables."""

    folder: Path
    tables: Path
    params: Definitions

    def find(self, recording: Recording) -> dict[str, pl.DataFrame] | None:
        """A recording's rows of the tables over all, if its stop table is still good; None where it must be read."""
        place = self.folder / recording.name
        try:
            known = read_json(place / "key.json", "a key", "stops", ["key", "table"])
            if known["key"] != self.key(recording) or known["table"] != digest(self._table(recording)):
                return None
            return {name: table.read(place / f"{name}.parquet") for name, table in STOPS_TABLES.items()}
        except (DataError, OSError):  # never read, half gone, or of a file that is no more: reading says what is wrong
            return None

    def begin(self, recording: Recording) -> str | None:
        """Forget a recording before it is read; its key as of now, None where a file is missing: reading says so."""
        (self.folder / recording.name / "key.json").unlink(missing_ok=True)
        try:
            return self.key(recording)
        except OSError:
            return None

    def keep(self, recording: Recording, tables: Mapping[str, pl.DataFrame], key: str) -> None:
        """After its table was written; `key` is from before it was read."""
        place = self.folder / recording.name
        for name, table in STOPS_TABLES.items():
            table.write(tables[name], place / f"{name}.parquet")
        write_json(place / "key.json", {"key": key, "table": digest(self._table(recording))})

    def prune(self, recordings: Iterable[Recording]) -> None:
        """Remove tables and entries of recordings that left the study."""
        names = {recording.name for recording in recordings}
        for place in sorted(self.folder.iterdir()) if self.folder.is_dir() else []:
            if place.is_dir() and place.name not in names:
                (self.tables / f"{place.name}.parquet").unlink(missing_ok=True)
                shutil.rmtree(place)

    def key(self, recording: Recording) -> str:
        """sha256 of everything that decides a recording's rows; raises OSError where a file is missing."""
        intervals, limits = dump(self.params.histograms), dump(self.params.quality)
        what: dict[str, Any] = {
            "version": __version__,
            "revision": REVISIONS["stops"],
            "stops": dump(self.params.stops),
            "intervals": {name: intervals[name] for name in ("interval_s", "align", "timezone")},
            "limits": {name: limits[name] for name in COUNTED},
            "recording": [recording.name, recording.described, recording.timezone],
            "files": [_state(path) for path in recording.files],
        }
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()

    def _table(self, recording: Recording) -> Path:
        return self.tables / f"{recording.name}.parquet"


def _state(path: Path) -> list[Any]:
    """Size, times of change, number and header (with SQLite's own count of changes) of a file and its companions."""
    status = path.stat()
    with path.open("rb") as stream:
        header = stream.read(100).hex()
    sizes = []
    for end in ("-journal", "-wal"):
        with contextlib.suppress(FileNotFoundError):
            sizes.append((end, path.with_name(path.name + end).stat().st_size))
    return [str(path.resolve()), status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, header, sizes]
