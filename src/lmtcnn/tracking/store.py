"""The place of runs and models: MLflow's store, quiet, private, and belonging to its folder.

By default that is `mlflow.db` beside dvc.yaml with its artifacts in `mlruns/`; MLFLOW_TRACKING_URI wins. MLflow reads
some of its settings while it is imported, so it is imported inside functions only, after `quiet`.

MLflow stores artifact locations as absolute paths. The embedded store belongs to its folder, so when that was moved,
`relocate` writes the new place into the four columns that hold it.
"""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import sqlalchemy as sa
from filelock import FileLock, Timeout

from lmtcnn.core.errors import OutputError, problem

EXPERIMENT = MODEL = "lmtcnn"
CHAMPION, CHALLENGER = "champion", "challenger"
DATABASE, ARTIFACTS = "mlflow.db", "mlruns"
LOCK_TIMEOUT_S = 120.0
BUSY_S = 5.0
"""Seconds that one waits for a database that another program holds."""
AFRESH = "move it away, then `lmtcnn track`"

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_DISABLE_AGENT_HINT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_PRINT_MODEL_URLS_ON_CREATION": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",  # the defaults wait minutes for a server that is not there
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}

LOCATIONS = {
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "storage_location",
}
"""Table -> its column with an absolute place."""

log = logging.getLogger("lmtcnn")


def project_root() -> Path:
    """The folder of the embedded store: $DVC_ROOT, else the nearest parent with dvc.yaml, else the current folder.

    DVC sets DVC_ROOT for every stage, also for an experiment that runs in a temporary copy.
    """
    if root := os.environ.get("DVC_ROOT"):
        return Path(root).resolve()
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / "dvc.yaml").is_file()), here)


def embedded() -> Path | None:
    """The embedded store's database, or None where MLFLOW_TRACKING_URI names another store."""
    return None if os.environ.get("MLFLOW_TRACKING_URI") else project_root() / DATABASE


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI, else the embedded store."""
    database = embedded()
    if database is None:
        return os.environ["MLFLOW_TRACKING_URI"]
    plain = f"sqlite:///{database}"
    return plain if sa.make_url(plain).database == str(database) else f"sqlite:///{quote(str(database))}"


def shown(uri: str) -> str:
    """An address as messages show it: without its password."""
    return re.sub(r"(//[^/@:]*):[^/@]*@", r"\1:***@", uri)


def exists() -> bool:
    """False only where there is no embedded store yet: looking into it would make one."""
    database = embedded()
    return database is None or (database.exists() and (not database.is_file() or database.stat().st_size > 0))


def quiet() -> None:
    """Silence MLflow and keep it private; what the environment already says wins."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # its retries; the outcome is told once


def place() -> str:
    """The store, as messages name it: a SQLite database by its path, another one without its password."""
    database = sqlite()
    return str(database) if database else shown(tracking_uri())


def sqlite() -> Path | None:
    """The database of a SQLite store, embedded or named by MLFLOW_TRACKING_URI."""
    uri = tracking_uri()
    return Path(sa.make_url(uri).database or "") if uri.startswith("sqlite:///") else None


def is_server(uri: str) -> bool:
    """Tell whether a store is reached over HTTP."""
    return uri.startswith(("http://", "https://"))


@contextmanager
def alone() -> Iterator[None]:
    """Hold the embedded store's lock: several processes on a fresh database would break each other's first touch.

    Held twice by one thread it is one lock. A server looks after itself, so for it nothing is held.
    """
    database = embedded()
    if database is None:
        yield
        return
    path = database.with_name(f"{DATABASE}.lock")
    lock = FileLock(path, timeout=LOCK_TIMEOUT_S, is_singleton=True)
    try:
        lock.acquire()
    except Timeout:
        do = "end that process and try again"
        raise OutputError(problem(path, "a free store", "another process at work in it", do)) from None
    try:
        yield
    finally:
        lock.release()


def location() -> str | None:
    """Address at which the embedded store keeps artifacts; another store decides for itself."""
    database = embedded()
    return (database.parent / ARTIFACTS).as_uri() if database else None


def local_path(uri: str) -> Path | None:
    """The path of a file: URI or a plain path, else None."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return None if parts.scheme else Path(uri)


def at_home(uri: str) -> str:
    """Tell where artifacts of the embedded store lie, also if it was moved or copied since `uri` was stored.

    A copy never reads the original's files: what lies on this machine is looked for beside the database only, whether
    it is there or not. Places on a server stay as they are, as do other stores' places.
    """
    own, path = location(), local_path(uri)
    if own is None or path is None or f"{uri}/".startswith(f"{own}/"):
        return uri
    _, found, tail = uri.rpartition(f"/{ARTIFACTS}/")
    return f"{own}/{tail if found else '/'.join(uri.rsplit('/', 4)[1:])}"


def relocate() -> None:
    """Let every artifact location of the embedded store that lies in another `mlruns` lie beside its database instead.

    Raises OutputError where the artifacts have stayed behind: pointing elsewhere would lose them.
    """
    database, new = embedded(), location()
    if database is None or new is None:
        return
    engine = sa.create_engine(tracking_uri())
    try:
        with engine.begin() as connection:
            olds = sorted({old for table, name in LOCATIONS.items() for old in _others(connection, table, name, new)})
            here = (database.parent / ARTIFACTS).is_dir()
            if left := [path for old in olds if (path := local_path(old)) and path.is_dir() and not here]:
                do = f"move {left[0]} there, move {DATABASE} back, or {AFRESH}"
                raise OutputError(problem(database, f"its artifacts in {ARTIFACTS} beside it", "none", do))
            for old in olds:
                _move(connection, old, new)
    finally:
        engine.dispose()
    if olds:
        log.warning("%s was moved or copied here: its artifacts are now looked for in %s", DATABASE, ARTIFACTS)


def _others(connection: sa.Connection, table: str, name: str, own: str) -> set[str]:
    """Folders `mlruns` on this machine, other than `own`, in which a table's places lie."""
    column: sa.ColumnClause[str] = sa.column(name, sa.String)
    outside = sa.not_(sa.or_(column == own, column.startswith(f"{own}/", autoescape=True)))
    found = sa.select(column).select_from(sa.table(table)).where(outside).distinct()
    if table == "experiments":  # MLflow's own one, `Default`, lies wherever the store was first touched
        found = found.where(sa.column("name") == EXPERIMENT)
    uris = connection.scalars(found)
    folders = ((uri, f"{uri}/".rpartition(f"/{ARTIFACTS}/")) for uri in uris if uri and local_path(uri))
    return {f"{head}/{ARTIFACTS}" for _, (head, found, _) in folders if found}


def _move(connection: sa.Connection, old: str, new: str) -> None:
    for table, name in LOCATIONS.items():
        column: sa.ColumnClause[str] = sa.column(name, sa.String)
        within = sa.or_(column == old, column.startswith(f"{old}/", autoescape=True))
        moved = sa.literal(new) + sa.func.substr(column, len(old) + 1)
        connection.execute(sa.update(sa.table(table, column)).where(within).values({name: moved}))
