"""The history of champions (when, by whom, after which one), and whose turn it is to become one.

A change of champion is a tag of its own on the registered model, so writers on several hosts never lose each other's.
A tag `lmtcnn.history.<time>.<version>` holds JSON.

Nobody can hold a lock on a server. But the registry numbers its versions one after the other, whoever makes them, so a
number is a ticket: a version is made with a tag that says who is deciding on it, and whoever made it decides once all
versions before it are decided. So two that register at once never both find that there is no champion.
"""

import json
import os
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lmtcnn.tracking.provenance import alive, user
from lmtcnn.tracking.store import MODEL, log

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

EVENT = "lmtcnn.history."
REASON = "lmtcnn.decision"
"""Tag of a version: why it became champion or challenger, or who is deciding on that."""
DECIDING = "not decided yet: "
TURN_S = 60.0
"""Whoever has not decided after this time, on another host, is taken for dead."""
POLL_S = 0.2
MAX_WHY = 1000  # characters; PostgreSQL keeps 5000 of a tag


@dataclass(frozen=True)
class Event:
    """A version became champion: after which (None: there was none), when (UTC), by whom, by what, and why."""

    version: str
    before: str | None
    when: str
    who: str
    host: str
    by: str
    why: str


def remember(client: "MlflowClient", version: str, before: str | None, by: str, why: str) -> None:
    """Add to the model's history that `version` became champion after `before`.

    Parameters
    ----------
    client
        Of the registry.
    version, before
        Numbers of the new champion and of the one before it, if there was one.
    by
        `rule` or `hand`.
    why
        The rule's reason, in words.
    """
    when = datetime.now(UTC).isoformat(timespec="microseconds")
    event = Event(version, before, when, user() or "unknown", socket.gethostname(), by, why[:MAX_WHY])
    name = f"{EVENT}{when.replace(':', '-').replace('+00-00', 'Z')}.{version}"
    client.set_registered_model_tag(MODEL, name, json.dumps(asdict(event), ensure_ascii=False))


def events(client: "MlflowClient") -> list[Event]:
    """Read the model's history, the oldest first; a tag that somebody else has changed is left out, and told."""
    found = []
    for name, value in sorted(client.get_registered_model(MODEL).tags.items()):
        if name.startswith(EVENT):
            try:
                found.append(Event(**json.loads(value)))
            except (TypeError, ValueError):
                log.warning("the tag %s of the model %s is no entry of its history: it is left out", name, MODEL)
    return found


def deciding() -> str:
    """Value of REASON while this process decides on a version."""
    return f"{DECIDING}{socket.gethostname()} {os.getpid()}"


def is_decided(version: "ModelVersion") -> bool:
    """Tell whether a version became champion or challenger."""
    return REASON in version.tags and not version.tags[REASON].startswith(DECIDING)


def is_deciding(version: "ModelVersion", now_ms: int) -> bool:
    """Tell whether another process may be deciding on a version; `now_ms` is the registry's time (ms since 1970)."""
    told = version.tags.get(REASON, "")
    host, _, pid = told.removeprefix(DECIDING).rpartition(" ")
    if not told.startswith(DECIDING) or told == deciding():
        return False
    if host == socket.gethostname():
        return alive({"lmtcnn.host": host, "lmtcnn.pid": pid})
    return now_ms - int(version.creation_timestamp) < TURN_S * 1000


def wait_for_turn(client: "MlflowClient", own: "ModelVersion") -> None:
    """Wait until every version before `own` is decided, or whoever was deciding on it is gone."""

    def ahead() -> list["ModelVersion"]:
        there = (v for v in all_versions(client) if int(v.version) < int(own.version))
        return [version for version in there if is_deciding(version, int(own.creation_timestamp))]

    _wait(ahead)


def wait_for(client: "MlflowClient", own: "ModelVersion") -> "ModelVersion":
    """Wait until somebody else has decided on `own`, or is gone; returns it as it is then."""

    def undecided() -> list["ModelVersion"]:
        now = client.get_model_version(MODEL, own.version)
        return [now] if is_deciding(now, round(time.time() * 1000)) else []

    _wait(undecided)
    return client.get_model_version(MODEL, own.version)


def all_versions(client: "MlflowClient") -> "list[ModelVersion]":
    """Every version of the model, ascending."""
    found: list[ModelVersion] = []
    token = None
    while True:
        page = client.search_model_versions(f"name = '{MODEL}'", max_results=1000, page_token=token)
        found += page
        token = page.token
        if not token:
            return sorted(found, key=lambda version: int(version.version))


def _wait(others: "Callable[[], Sequence[ModelVersion]]") -> None:
    deadline = time.monotonic() + TURN_S
    while waiting := others():
        if time.monotonic() > deadline:
            numbers = ", ".join(str(version.version) for version in waiting)
            log.warning("nobody decided on version %s within %g s: it is passed over", numbers, TURN_S)
            return
        time.sleep(POLL_S)
