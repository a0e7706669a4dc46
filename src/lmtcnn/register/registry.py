"""Reading the registry without MLflow, whose import takes longer than a prediction.

The embedded registry is asked for a version by a quick look into its tables; what that cannot answer goes to MLflow's
client (lookup.py). The look stays because a cold `lmtcnn predict` through the client takes three times the processor
time (medians of several runs on one loaded machine: 18.2 s with it, 6.2 s without). Of a version only two files count,
and only if their sha256 are those that it was registered with.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from lmtcnn.bundle.bundle import META, content
from lmtcnn.core.errors import ModelError, OutputError, problem
from lmtcnn.core.files import digest
from lmtcnn.core.records import WEIGHTS
from lmtcnn.tracking import checks, store
from lmtcnn.tracking.store import CHAMPION, MODEL

FILES = (WEIGHTS, META)
SHA256 = "lmtcnn.sha256."
AGAIN = "register the model again, which uploads its files, or take another with `lmtcnn promote`"
DELETED = "Deleted_Internal"  # the stage of a deleted version, whose row MLflow keeps


@dataclass(frozen=True)
class Version:
    """A registered version: model, number, where its files lie, its tags, and when it was made (ms since the epoch)."""

    model: str
    number: str
    location: str
    tags: dict[str, str]
    created_ms: int | None = None

    @property
    def uri(self) -> str:
        """The version's address, as MLflow writes it."""
        return f"models:/{self.model}/{self.number}"


def parse(uri: str) -> tuple[str, str]:
    """Model, and version or alias, of `models:/lmtcnn/3` or `models:/lmtcnn@champion`; else ModelError."""
    rest = uri.removeprefix("models:/")
    for mark in ("@", "/"):
        name, sign, wanted = rest.partition(mark)
        if sign and name and wanted and (mark == "@" or wanted.isdecimal()):
            return name, wanted
    expected = f"models:/{MODEL}@{CHAMPION}, models:/{MODEL}/VERSION or a bundle's folder"
    raise ModelError(problem("--model", expected, uri, "correct it"))


class CannotTell(Exception):  # noqa: N818 - an answer of this module to register.py, no error
    """The embedded registry cannot be read here: ask MLflow's client."""


def quick_look(model: str, wanted: str) -> Version | None:
    """A version by number or alias in the embedded store, None where there is none; CannotTell in another store."""
    with _reading() as connection:
        number = wanted if wanted.isdecimal() else _number(connection, model, wanted)
        return _version(connection, model, number) if number else None


def check(folder: Path, sha256: Mapping[str, str], where: str = "") -> None:
    """Raise ModelError, which begins with `where`, unless the folder holds a model's two files with these digests."""
    lines = []
    for name in FILES:
        found = digest(folder / name) if (folder / name).is_file() else None
        if found is None or found != sha256.get(name):
            expected = f"sha256 {sha256[name][:12]}" if name in sha256 else "a known sha256"
            lines.append(
                problem(f"{where}{folder / name}", expected, f"sha256 {found[:12]}" if found else "no file", AGAIN)
            )
    if lines:
        raise ModelError(lines)


def sha256_of(version: Version, name: str) -> str:
    """Return the registered sha256 of a version's file; ModelError where somebody else registered it."""
    if known := version.tags.get(f"{SHA256}{name}"):
        return known
    expected = f"a version that lmtcnn registered (tag {SHA256}{name})"
    raise ModelError(problem(version.uri, expected, "no such tag", AGAIN))


def cache_of(version: Version) -> Path:
    """Name the folder of a version from a server, by its content: the same version is fetched once."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "lmtcnn" / content(*(sha256_of(version, name) for name in FILES))


@contextmanager
def _reading() -> Iterator[sa.Connection]:
    """Read the embedded store; CannotTell where it is another or its tables are, OutputError where it is locked."""
    database = store.embedded()
    if database is None or not store.exists():
        raise CannotTell
    try:
        with checks.asked(database, "read") as connection:
            yield connection
    except OutputError as error:
        if "is locked" in str(error):
            raise
        raise CannotTell from error


def _number(connection: sa.Connection, model: str, alias: str) -> str | None:
    aliases = _table("registered_model_aliases", "name", "alias", "version").c
    number = connection.scalar(sa.select(aliases.version).where(aliases.name == model, aliases.alias == alias))
    return None if number is None else str(number)


def _version(connection: sa.Connection, model: str, number: str) -> Version | None:
    there = _table("model_versions", "name", "version", "storage_location", "current_stage", "creation_time").c
    tags = _table("model_version_tags", "name", "version", "key", "value").c
    wanted = sa.select(there.storage_location, there.creation_time)
    wanted = wanted.where(there.name == model, there.version == int(number), there.current_stage != DELETED)
    found = connection.execute(wanted).first()
    if found is None:
        return None
    place, created_ms = found
    of_version = (tags.name == model, tags.version == int(number))
    rows = connection.execute(sa.select(tags.key, tags.value).where(*of_version))
    return Version(model, number, store.at_home(str(place)), {str(key): str(value) for key, value in rows}, created_ms)


def _table(name: str, *columns: str) -> sa.TableClause:
    return sa.table(name, *(sa.column(column) for column in columns))
