"""Checks of a store before it is used, and its complaints in one line.

MLflow would try for minutes, write its tables into a database of another program, or end in a traceback. So a store is
looked at before MLflow touches it, and whatever it, its database, its disk or its server says becomes an OutputError.
"""

import importlib.util
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa

from lmtcnn.core.errors import OutputError, problem, system_words
from lmtcnn.core.files import ensure_folder, of_disk
from lmtcnn.tracking import store

ANSWER_S = 5.0
"""A server that does not answer within this time is none."""
ELSEWHERE = "or name another store in MLFLOW_TRACKING_URI"
MAGIC = b"SQLite format 3\0"
OWN_TABLES = {"experiments", "runs"}
"""Tables that every database of MLflow has."""


def check_writable() -> None:
    """Raise OutputError at once where a SQLite store is no such or cannot be written: MLflow tries for 101 s."""
    database = store.sqlite()
    if database is None:
        return
    ensure_folder(database.parent)
    if not database.exists():
        return
    if not os.access(database, os.W_OK):
        do = f"change its permissions, {ELSEWHERE}"
        raise OutputError(problem(database, "a store that can be written", "a read-only file", do))
    check_readable()
    with asked(database, "written") as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def check_readable() -> None:
    """Raise OutputError, in one line, where a SQLite store is there and MLflow could not use it, or would spoil it.

    It may be locked, damaged, no database, one of another program (into which MLflow would write its tables), or of a
    newer MLflow. Nothing is changed; a store that is missing or empty passes.
    """
    database = store.sqlite()
    if database is None or not database.exists():
        return
    try:
        with database.open("rb") as stream:
            head = stream.read(100)
        n_bytes = database.stat().st_size
    except OSError as error:
        found, do = system_words(error), f"change its permissions, {ELSEWHERE}"
        raise OutputError(problem(database, "a store that can be read", found, do)) from error
    if not head:
        return
    if not head.startswith(MAGIC):
        raise OutputError(problem(database, "MLflow's database", "another file", store.AFRESH))
    if (expected := _n_bytes(head)) > n_bytes:
        found = f"a truncated file ({n_bytes} of {expected} bytes)"
        raise OutputError(problem(database, "MLflow's database", found, f"bring back a copy of it, or {store.AFRESH}"))
    with asked(database, "read") as connection:
        tables = set(sa.inspect(connection).get_table_names())
        if tables and not tables >= OWN_TABLES:
            found = f"a database of another program (tables {', '.join(sorted(tables)[:4])})"
            raise OutputError(problem(database, "MLflow's database", found, store.AFRESH))
        version = sa.select(sa.column("version_num", sa.String)).select_from(sa.table("alembic_version"))
        revision = connection.scalar(version) if "alembic_version" in tables else None
    if revision and not is_known(str(revision)):
        raise of_newer(str(revision))


def check_answers() -> None:
    """Raise OutputError where the store is a server and none is there: MLflow would try for half a minute.

    Any answer will do. What a proxy, a certificate or a login have against a request is told by the first one.
    """
    uri = store.tracking_uri()
    if not store.is_server(uri):
        return
    import requests  # noqa: PLC0415 - MLflow's

    try:
        requests.get(f"{uri.rstrip('/')}/health", timeout=ANSWER_S, stream=True).close()
    except requests.exceptions.SSLError:
        return
    except (requests.ConnectionError, requests.Timeout) as error:
        raise _no_answer() from error
    except requests.RequestException as error:
        do = "correct MLFLOW_TRACKING_URI"
        raise OutputError(
            problem(store.shown(uri), "the address of an MLflow server", type(error).__name__, do)
        ) from error


def is_known(revision: str) -> bool:
    """Tell whether this MLflow knows a revision of the store's tables: those of a newer one it does not."""
    found = importlib.util.find_spec("mlflow")
    places = found.submodule_search_locations if found else None
    known = [file for place in places or () for file in Path(place).glob("store/db_migrations/versions/*_*.py")]
    return not known or revision in {file.name.partition("_")[0] for file in known}


def of_newer(revision: str) -> OutputError:
    """The error of a store whose tables have a revision that this MLflow does not know."""
    do = f"install that MLflow (constraints.txt says which one goes with lmtcnn), {ELSEWHERE}"
    found = f"one of a newer MLflow (revision {revision})"
    return OutputError(problem(store.place(), f"a store of MLflow {metadata.version('mlflow')}", found, do))


def refused(error: BaseException, verb: str = "used") -> OutputError:
    """An error of the store's database or of its artifacts, as one line."""
    found = str(getattr(error, "orig", None) or error).partition("\n")[0] or type(error).__name__
    do = f"mend that, {ELSEWHERE}"
    if "is locked" in found:
        do = f"end the program that holds it (or move it off a disk that has no locks), {ELSEWHERE}"
    elif "malformed" in found or "not a database" in found:
        do = f"bring back a copy of it, or {store.AFRESH}"
    return OutputError(problem(store.place(), f"a store that can be {verb}", found, do))


def refusal(error: BaseException) -> OutputError | None:
    """Tell in one line why a store did not do what was asked; None where `error` does not come from a store.

    401 is a login that is missing or wrong, 403 one that may not do this. A password is never shown.
    """
    uri, package = store.tracking_uri(), type(error).__module__.partition(".")[0]
    if package in ("mlflow", "sqlalchemy"):
        if told := disk_refusal(error):
            return told
        if package == "sqlalchemy" or re.search(r"\b(sqlite3|psycopg2)\.", str(error)):  # MLflow wraps its database's
            return refused(error)
    if not store.is_server(uri) or package not in ("mlflow", "requests", "urllib3", "botocore", "boto3"):
        return None
    text = str(error) + str(getattr(error, "json", ""))
    found, do = _told_by(_status(error, text), text)
    return OutputError(problem(store.shown(uri), "an MLflow server that does what is asked", found, do))


def disk_refusal(error: BaseException) -> OutputError | None:
    """Tell in one line that the store's disk is full or failing; None where `error` speaks of no disk."""
    if not (words := of_disk(str(error))):
        return None
    do = "make room there, then `lmtcnn track` logs what is missing"
    return OutputError(problem(store.place(), "a store that can be written", words, do))


def _no_answer() -> OutputError:
    """For a server that is not there."""
    do = "start it, correct MLFLOW_TRACKING_URI, or unset it"
    return OutputError(problem(store.shown(store.tracking_uri()), "an MLflow server", "no answer", do))


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
        do = f"ask its admin for EDIT on the experiment and the model {store.EXPERIMENT}, or log in as another"
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


def _n_bytes(head: bytes) -> int:
    """Size of a database by its header; 0 where that does not say it (SQLite's file format, 1.3.8)."""
    if len(head) < 100 or head[24:28] != head[92:96]:
        return 0
    page = int.from_bytes(head[16:18], "big")
    return (65536 if page == 1 else page) * int.from_bytes(head[28:32], "big")


@contextmanager
def asked(database: Path, verb: str) -> Iterator[sa.Connection]:
    """Open a connection that is rolled back; whatever SQLite complains of becomes an OutputError of one line.

    `verb` is `read` or `written`.
    """
    query = {"mode": "ro" if verb == "read" else "rw", "uri": "true"}
    url = sa.URL.create("sqlite", database=f"file:{quote(str(database))}", query=query)
    engine = sa.create_engine(url, connect_args={"timeout": store.BUSY_S})
    try:
        with engine.connect() as connection:
            yield connection
    except sa.exc.SQLAlchemyError as error:
        raise refused(error, verb) from error
    finally:
        engine.dispose()
