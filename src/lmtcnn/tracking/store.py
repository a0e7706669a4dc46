"""Where runs and models are kept: MLflow's store, quiet, private, and belonging to its folder.

By default that is `mlflow.db` beside dvc.yaml with its artifacts in `mlruns/`; MLFLOW_TRACKING_URI wins. MLflow reads
some of its settings while it is imported, so it is imported inside functions only, after `quiet`.

MLflow stores artifact locations as absolute paths. The embedded store belongs to its folder, so when that was moved,
`relocate` writes the new place into the four columns that hold it.
"""

import importlib.util
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import sqlalchemy as sa
from filelock import FileLock, Timeout

from lmtcnn.core.errors import OutputError, problem
from lmtcnn.core.files import ensure_folder, of_disk

EXPERIMENT = MODEL = "lmtcnn"
CHAMPION, CHALLENGER = "champion", "challenger"
DATABASE, ARTIFACTS = "mlflow.db", "mlruns"
LOCK_TIMEOUT_S = 120.0
ANSWER_S = 5.0
"""A server that does not answer within this time is none."""

BUSY_S = 5.0
"""How long one waits for a database that another program holds."""
AFRESH = "move it away, then `lmtcnn track`"
ELSEWHERE = "or name another store in MLFLOW_TRACKING_URI"

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
MAGIC = b"SQLite format 3\0"
OWN_TABLES = {"experiments", "runs"}
"""Tables that every database of MLflow has."""

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


def check_writable() -> None:
    """Raise OutputError at once where a SQLite store is no such or cannot be written: MLflow tries for 101 s."""
    database = _sqlite()
    if database is None:
        return
    ensure_folder(database.parent)
    if not database.exists():
        return
    if not os.access(database, os.W_OK):
        do = f"change its permissions, {ELSEWHERE}"
        raise OutputError(problem(database, "a store that can be written", "a read-only file", do))
    check_readable()
    with _asked(database, "written") as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def check_readable() -> None:
    """Raise OutputError, in one line, where a SQLite store is there and MLflow could not use it, or would spoil it.

    It may be locked, damaged, no database, one of another program (into which MLflow would write its tables), or of a
    newer MLflow. Nothing is changed; a store that is missing or empty passes.
    """
    database = _sqlite()
    if database is None or not database.exists():
        return
    try:
        with database.open("rb") as stream:
            head = stream.read(100)
        n_bytes = database.stat().st_size
    except OSError as error:
        found, do = error.strerror or str(error), f"change its permissions, {ELSEWHERE}"
        raise OutputError(problem(database, "a store that can be read", found, do)) from error
    if not head:
        return
    if not head.startswith(MAGIC):
        raise OutputError(problem(database, "MLflow's database", "another file", AFRESH))
    if (expected := _n_bytes(head)) > n_bytes:
        found = f"a truncated file ({n_bytes} of {expected} bytes)"
        raise OutputError(problem(database, "MLflow's database", found, f"bring back a copy of it, or {AFRESH}"))
    with _asked(database, "read") as connection:
        tables = set(sa.inspect(connection).get_table_names())
        if tables and not tables >= OWN_TABLES:
            found = f"a database of another program (tables {', '.join(sorted(tables)[:4])})"
            raise OutputError(problem(database, "MLflow's database", found, AFRESH))
        version = sa.select(sa.column("version_num", sa.String)).select_from(sa.table("alembic_version"))
        revision = connection.scalar(version) if "alembic_version" in tables else None
    if revision and not is_known(str(revision)):
        raise of_newer(str(revision))


def is_known(revision: str) -> bool:
    """Whether this MLflow knows a revision of the store's tables: those of a newer one it does not."""
    found = importlib.util.find_spec("mlflow")
    places = found.submodule_search_locations if found else None
    known = [file for place in places or () for file in Path(place).glob("store/db_migrations/versions/*_*.py")]
    return not known or revision in {file.name.partition("_")[0] for file in known}


def of_newer(revision: str) -> OutputError:
    """The error of a store whose tables have a revision that this MLflow does not know."""
    do = f"install that MLflow (constraints.txt says which one goes with lmtcnn), {ELSEWHERE}"
    found = f"one of a newer MLflow (revision {revision})"
    return OutputError(problem(place(), f"a store of MLflow {metadata.version('mlflow')}", found, do))


def refused(error: BaseException, verb: str = "used") -> OutputError:
    """An error of the store's database or of its artifacts, as one line."""
    found = str(getattr(error, "orig", None) or error).partition("\n")[0] or type(error).__name__
    do = f"mend that, {ELSEWHERE}"
    if "is locked" in found:
        do = f"end the program that holds it (or move it off a disk that has no locks), {ELSEWHERE}"
    elif "malformed" in found or "not a database" in found:
        do = f"bring back a copy of it, or {AFRESH}"
    return OutputError(problem(place(), f"a store that can be {verb}", found, do))


def place() -> str:
    """The store, as messages name it: a SQLite database by its path, another one without its password."""
    database = _sqlite()
    return str(database) if database else shown(tracking_uri())


def _sqlite() -> Path | None:
    """The database of a SQLite store, embedded or named by MLFLOW_TRACKING_URI."""
    uri = tracking_uri()
    return Path(sa.make_url(uri).database or "") if uri.startswith("sqlite:///") else None


def _n_bytes(head: bytes) -> int:
    """Size of a database by its header; 0 where that does not say it (SQLite's file format, 1.3.8)."""
    if len(head) < 100 or head[24:28] != head[92:96]:
        return 0
    page = int.from_bytes(head[16:18], "big")
    return (65536 if page == 1 else page) * int.from_bytes(head[28:32], "big")


@contextmanager
def _asked(database: Path, verb: str) -> Iterator[sa.Connection]:
    """A connection that is rolled back; OutputError in one line for whatever SQLite complains of."""
    query = {"mode": "ro" if verb == "read" else "rw", "uri": "true"}
    url = sa.URL.create("sqlite", database=f"file:{quote(str(database))}", query=query)
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_S})
    try:
        with engine.connect() as connection:
            yield connection
    except sa.exc.SQLAlchemyError as error:
        raise refused(error, verb) from error
    finally:
        engine.dispose()


def check_answers() -> None:
    """Raise OutputError where the store is a server and none is there: MLflow would try for half a minute.

    Any answer will do. What a proxy, a certificate or a login have against a request is told by the first one.
    """
    uri = tracking_uri()
    if not is_server(uri):
        return
    import requests  # noqa: PLC0415 - MLflow's

    try:
        requests.get(f"{uri.rstrip('/')}/health", timeout=ANSWER_S, stream=True).close()
    except requests.exceptions.SSLError:
        return
    except (requests.ConnectionError, requests.Timeout) as error:
        raise no_answer() from error
    except requests.RequestException as error:
        do = "correct MLFLOW_TRACKING_URI"
        raise OutputError(problem(shown(uri), "the address of an MLflow server", type(error).__name__, do)) from error


def is_server(uri: str) -> bool:
    """Whether a store is reached over HTTP."""
    return uri.startswith(("http://", "https://"))


def no_answer() -> OutputError:
    """For a server that is not there."""
    do = "start it, correct MLFLOW_TRACKING_URI, or unset it"
    return OutputError(problem(shown(tracking_uri()), "an MLflow server", "no answer", do))


def refusal(error: BaseException) -> OutputError | None:
    """Tell in one line why a store did not do what was asked; None where `error` does not come from a store.

    401 is a login that is missing or wrong, 403 one that may not do this. A password is never shown.
    """
    uri, package = tracking_uri(), type(error).__module__.partition(".")[0]
    if package in ("mlflow", "sqlalchemy"):
        if told := disk_refusal(error):
            return told
        if package == "sqlalchemy" or re.search(r"\b(sqlite3|psycopg2)\.", str(error)):  # MLflow wraps its database's
            return refused(error)
    if not is_server(uri) or package not in ("mlflow", "requests", "urllib3", "botocore", "boto3"):
        return None
    text = str(error) + str(getattr(error, "json", ""))
    found, do = _told_by(_status(error, text), text)
    return OutputError(problem(shown(uri), "an MLflow server that does what is asked", found, do))


def disk_refusal(error: BaseException) -> OutputError | None:
    """Tell in one line that the store's disk is full or failing; None where `error` speaks of no disk."""
    if not (words := of_disk(str(error))):
        return None
    do = "make room there, then `lmtcnn track` logs what is missing"
    return OutputError(problem(place(), "a store that can be written", words, do))


def _status(error: BaseException, text: str) -> int | None:
    """The HTTP status that an error of MLflow or requests bears, if any."""
    if (response := getattr(error, "response", None)) is not None and hasattr(response, "status_code"):
        return int(response.status_code)
    if found := re.search(r"error code ([45]\d\d)|\b([45]\d\d) (?:Client|Server) Error", text):
        return int(found[1] or found[2])
    return {"PERMISSION_DENIED": 403, "UNAUTHENTICATED": 401}.get(getattr(error, "error_code", ""))


def _told_by(status: int | None, text: str) -> tuple[str, str]:
    """Tell what a server said, and what to do."""
    if status == 401:
        return _login_refused(os.environ.get("MLFLOW_TRACKING_USERNAME"))
    if status == 403 and "Invalid Host" in text:
        do = "correct MLFLOW_TRACKING_URI, or add it to ALLOWED_HOSTS there"
        return "that it is not called by this name (403)", do
    if status == 403:
        login = os.environ.get("MLFLOW_TRACKING_USERNAME")
        do = f"ask its admin for EDIT on the experiment and the model {EXPERIMENT}, or log in as another"
        return f"that the login {login!r} (MLFLOW_TRACKING_USERNAME) may not do this (403)", do
    if "Max retries exceeded" in text or "Connection refused" in text:
        return "no answer any more", "start it and try again: `lmtcnn track` logs what is missing"
    told = text.splitlines()[0] if text else "an error without a word"
    return f"status {status}: {told}" if status and str(status) not in told else told, "look into its log"


def _login_refused(login: str | None) -> tuple[str, str]:
    if login:
        do = "correct MLFLOW_TRACKING_USERNAME or MLFLOW_TRACKING_PASSWORD"
        return f"that it knows no login {login!r} with this password (401)", do
    if os.environ.get("MLFLOW_TRACKING_TOKEN"):
        return "that it refuses this token (401)", "correct MLFLOW_TRACKING_TOKEN"
    return "that it wants a login (401)", "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"


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
    """Where the embedded store keeps artifacts; another store decides for itself."""
    database = embedded()
    return (database.parent / ARTIFACTS).as_uri() if database else None


def local_path(uri: str) -> Path | None:
    """The path of a file: URI or a plain path, else None."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return None if parts.scheme else Path(uri)


def at_home(uri: str) -> str:
    """Where artifacts of the embedded store lie, also if it was moved or copied since `uri` was stored.

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
