"""Where runs and models are kept: MLflow's store, quiet, private, and belonging to its folder.

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

from lmtcnn.errors import OutputError, problem
from lmtcnn.files import ensure_folder, of_disk

EXPERIMENT = MODEL = "lmtcnn"
CHAMPION, CHALLENGER = "champion", "challenger"
DATABASE, ARTIFACTS = "mlflow.db", "mlruns"
LOCK_TIMEOUT_S = 120.0
ANSWER_S = 5.0
"""A server that does not answer within this time is none."""

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
    return database is None or (database.is_file() and database.stat().st_size > 0)


def quiet() -> None:
    """Silence MLflow and keep it private; what the environment already says wins."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # its retries; the outcome is told once


def check_writable() -> None:
    """Raise OutputError at once where a SQLite store is no such or cannot be written: MLflow tries for 101 s."""
    uri = tracking_uri()
    if not uri.startswith("sqlite:///"):
        return
    database = Path(sa.make_url(uri).database or "")
    ensure_folder(database.parent)
    if not database.exists():
        return
    if not os.access(database, os.W_OK):
        do = "change its permissions, or name another store in MLFLOW_TRACKING_URI"
        raise OutputError(problem(database, "a store that can be written", "a read-only file", do))
    with database.open("rb") as stream:
        head = stream.read(16)
    if head not in (b"", b"SQLite format 3\0"):
        raise OutputError(problem(database, "MLflow's database", "another file", "move it away, then `lmtcnn track`"))


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
    """Tell in one line why a server did not do what was asked; None where `error` does not come from a server.

    401 is a login that is missing or wrong, 403 one that may not do this. A password is never shown.
    """
    uri, package = tracking_uri(), type(error).__module__.partition(".")[0]
    if package in ("mlflow", "sqlalchemy") and (refused := disk_refusal(error)):
        return refused
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
    return OutputError(problem(shown(tracking_uri()), "a store that can be written", words, do))


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
    """Where artifacts of the embedded store lie now, if it was moved or copied since `uri` was stored."""
    own, (_, found, tail) = location(), uri.rpartition(f"/{ARTIFACTS}/")
    moved = f"{own}/{tail}" if own and found else uri
    path = local_path(moved)
    return moved if path and path.exists() else uri


def relocate(old: str) -> None:
    """Let every artifact location of the embedded store that lies under `old` lie beside its database instead.

    Raises OutputError where the artifacts have stayed behind: pointing elsewhere would lose them.
    """
    database, new, before = embedded(), location(), local_path(old)
    if database is None or new is None:
        return
    if before and before.is_dir() and not (database.parent / ARTIFACTS).is_dir():
        do = f"move {before} there, or move {DATABASE} back"
        raise OutputError(problem(database, f"its artifacts in {ARTIFACTS} beside it", "none", do))
    engine = sa.create_engine(tracking_uri())
    with engine.begin() as connection:
        for table, name in LOCATIONS.items():
            column: sa.ColumnClause[str] = sa.column(name, sa.String)
            within = sa.or_(column == old, column.startswith(f"{old}/", autoescape=True))
            moved = sa.literal(new) + sa.func.substr(column, len(old) + 1)
            connection.execute(sa.update(sa.table(table, column)).where(within).values({name: moved}))
    engine.dispose()
    log.warning("%s was moved or copied here: its artifacts are now looked for in %s", DATABASE, ARTIFACTS)
