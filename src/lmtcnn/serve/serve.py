"""REST: the champion behind MLflow's addresses and forms, without running a registered program.

`POST /invocations` takes a table of stops (answer.py) as JSON, in each of MLflow's four forms, or as CSV; `GET /ping`
and `/health` answer while a request is at work, `/version` says which model answers. A refusal is one line with
status 400, 408, 413, 415 or 503, never a trace of the program.

The parent process finds the model, verifies its files and keeps a copy of them; its workers read that copy, also one
that takes the place of a worker that died. What somebody does to the store meanwhile is not served.
"""

import asyncio
import json
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lmtcnn import __version__
from lmtcnn.bundle import bundle
from lmtcnn.bundle.bundle import Bundle
from lmtcnn.core import process
from lmtcnn.core.errors import LmtcnnError, problem
from lmtcnn.core.files import digest
from lmtcnn.core.words import number_of
from lmtcnn.predictions import answer, prediction
from lmtcnn.register import lookup, registry
from lmtcnn.serve import forms

MAX_BYTES = 32 * 2**20
"""Limit of a request's body; a stop takes 60 to 120 bytes."""
MAX_BODY_S = 30.0
"""A client that takes longer to send its request is let go."""
MAX_WAITING = 32
"""Requests that a worker holds at once; one is worked on, the others wait."""
RETRY_S = 1
HEALTH_S = 30
"""A worker that says nothing for so long is replaced."""
SETTINGS = "LMTCNN_SERVE"
"""Variable by which the parent tells its workers what they serve."""

log = logging.getLogger("lmtcnn")


class Refusal(Exception):  # noqa: N818 - an answer, no error of the program
    """An answer that is no prediction: a status and one line."""

    def __init__(self, status: int, line: str) -> None:
        self.status, self.line = status, line
        super().__init__(line)


def serve(model: str | None, host: str, port: int, workers: int) -> None:
    """Serve a model until the process is stopped.

    Parameters
    ----------
    model
        As of `lmtcnn predict`: None for what serves, a version's address, or a bundle's folder.
    host, port
        Where to listen. No login is asked for: anything but this machine belongs behind a proxy.
    workers
        Processes that answer; one that dies is replaced.

    Raises
    ------
    ModelError
        Before anything listens, where there is no such model or its files are not what was registered.
    """
    source = lookup.resolve(model)
    with tempfile.TemporaryDirectory(prefix="lmtcnn-serve-") as kept:
        for name in registry.FILES:
            shutil.copyfile(source.folder / name, Path(kept) / name)
        bundle.read(Path(kept))  # else each worker would find out what is wrong with it
        settings = {
            "folder": kept,
            "model": source.uri,
            "sha256": {name: digest(Path(kept) / name) for name in registry.FILES},
            "threads": max(1, torch.get_num_threads() // workers),
        }
        os.environ[SETTINGS] = json.dumps(settings)
        log.info("%s on http://%s:%d with %s", source.uri, host, port, number_of(workers, "worker"))
        uvicorn.run(
            "lmtcnn.serve.serve:worker",
            factory=True,
            host=host,
            port=port,
            workers=workers,
            access_log=False,
            timeout_worker_healthcheck=HEALTH_S,
            server_header=False,
        )


def worker() -> Starlette:
    """Make the application of one worker; uvicorn calls this in each."""
    process.die_with_parent()
    settings = json.loads(os.environ[SETTINGS])
    torch.set_num_threads(settings["threads"])
    try:
        registry.check(Path(settings["folder"]), settings["sha256"])
        made = bundle.read(Path(settings["folder"]))
    except LmtcnnError as error:
        for line in error.lines:
            log.error("%s", line)
        sys.exit(uvicorn.config.STARTUP_FAILURE)  # it would fail again: uvicorn ends the parent
    return application(made, settings["model"], settings["sha256"])


def application(made: Bundle, model: str, sha256: Mapping[str, str]) -> Starlette:
    """An application that answers with these networks; `model` and `sha256` are what it says of itself."""
    at_work, waiting = asyncio.Semaphore(1), asyncio.Semaphore(MAX_WAITING)

    async def invocations(request: Request) -> Response:
        if waiting.locked():
            do = "try again in a moment"
            raise Refusal(503, problem("the server", f"at most {MAX_WAITING} requests at once", "more", do))
        async with waiting:
            body = await _body(request)
            kind = content_type(request.headers)
            async with at_work:
                found = await run_in_threadpool(_answer, body, kind, made)
        return JSONResponse({"predictions": found, "model": model})

    async def ping(request: Request) -> Response:
        return Response("\n", media_type="application/json")

    async def version(request: Request) -> Response:
        return JSONResponse({"lmtcnn": __version__, "model": model, "sha256": dict(sha256)})

    return Starlette(
        routes=[
            Route("/invocations", invocations, methods=["POST"]),
            Route("/ping", ping),
            Route("/health", ping),
            Route("/version", version),
        ],
        exception_handlers={Refusal: _refused, LmtcnnError: _refused, 404: _refused, 405: _refused, Exception: _failed},
    )


def _answer(body: bytes, kind: str, made: Bundle) -> list[dict[str, Any]]:
    stops = answer.checked(forms.table(body, kind))
    found = prediction.as_frame(answer.answers(stops, made), made.classes)
    return found.drop("rfid").to_dicts()


async def _refused(request: Request, error: Exception) -> Response:
    """One line, in the form of MLflow's refusals."""
    if isinstance(error, Refusal):
        status, line = error.status, error.line
    elif isinstance(error, LmtcnnError):
        status, line = 400, "; ".join(error.lines)
    else:
        status = int(getattr(error, "status_code", 404))
        found = f"{request.method} {request.url.path}"
        expected = "POST /invocations, GET /ping, GET /health or GET /version"
        line = problem("the request", expected, found, "correct it")
    code = "TEMPORARILY_UNAVAILABLE" if status == 503 else "INVALID_PARAMETER_VALUE"
    headers = {"Retry-After": str(RETRY_S)} if status == 503 else None
    return JSONResponse({"error_code": code, "message": line}, status, headers)


async def _failed(request: Request, error: Exception) -> Response:
    """A bug is for the log (where uvicorn writes its trace), not for the client."""
    line = "the server failed at this request: its log says how"
    return JSONResponse({"error_code": "INTERNAL_ERROR", "message": line}, 500)


def content_type(headers: Mapping[str, str]) -> str:
    """`application/json` or `text/csv`, from a request's headers; Refusal 415 where it is another or encoded."""
    told = headers.get("content-type", "")
    kind, *parameters = (part.strip().lower() for part in told.split(";"))
    charset = [part.removeprefix("charset=").strip('"') for part in parameters if part.startswith("charset=")]
    if kind not in forms.FORMS or any(name not in ("utf-8", "utf8") for name in charset):
        do = "send that header with a table in this form, in UTF-8"
        raise Refusal(415, problem("Content-Type", " or ".join(forms.FORMS), told or "none", do))
    if (encoding := headers.get("content-encoding", "identity").strip().lower()) not in ("", "identity"):
        raise Refusal(415, problem("Content-Encoding", "none", encoding, "send the body as it is"))
    return kind


async def _body(request: Request) -> bytes:
    """The body of a request, or a refusal where it is too large or too slow to come."""
    told = request.headers.get("content-length", "0")
    n_bytes = int(told) if told.isdecimal() and len(told) < 19 else 0
    if "expect" in request.headers:  # such a client asks before it sends
        check_bytes(n_bytes)
    body, n_come = bytearray(), 0
    try:
        async with asyncio.timeout(MAX_BODY_S):
            async for part in request.stream():  # to its end, since most clients hear nothing before they have sent all
                n_come += len(part)
                if n_come <= MAX_BYTES:
                    body += part
                else:
                    body.clear()
    except TimeoutError:
        found = f"{n_come} bytes of it"
        raise Refusal(408, problem("the body", f"all within {MAX_BODY_S:g} s", found, "send it again")) from None
    except ClientDisconnect:
        raise Refusal(400, problem("the body", "all of it", f"{n_come} bytes", "send it again")) from None
    check_bytes(n_come)
    return bytes(body)


def check_bytes(n_bytes: int) -> None:
    """Raise Refusal 413 where a body has too many bytes."""
    if n_bytes > MAX_BYTES:
        expected, found = f"{MAX_BYTES // 2**20} MiB at most", f"{n_bytes / 2**20:.1f} MiB"
        raise Refusal(413, problem("the body", expected, found, "send several requests"))
