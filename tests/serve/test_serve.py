"""REST: requests in, answers or refusals out, and the processes that answer."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from starlette.applications import Starlette

import study
from conftest import told
from lmtcnn.bundle import bundle
from lmtcnn.core.errors import ModelError
from lmtcnn.predictions import answer, prediction
from lmtcnn.register import registry
from lmtcnn.serve import serve

PARAMS = study.small_params()
COLUMNS = ["recording", "animal_id", "start_s", "duration_s", "x_cm", "y_cm"]
ROWS = [["a", 1, 1.0, 1.5, 10.0, 20.0], ["a", 1, 26.0, 1.5, 10.0, 20.0]]
SPLIT = {"dataframe_split": {"columns": COLUMNS, "data": ROWS}}
RECORDS = [dict(zip(COLUMNS, row, strict=True)) for row in ROWS]
CSV = "\n".join([",".join(COLUMNS), *(",".join(map(str, row)) for row in ROWS)])
JSON_TYPE, CSV_TYPE = "application/json", "text/csv"


@pytest.fixture(scope="module")
def app() -> Starlette:
    """The application of a worker that serves the small study's networks."""
    made = bundle.build(study.prepared(), PARAMS)
    return serve.application(made, "models:/lmtcnn/1", {"model.json": "12"})


def call(
    app: Starlette,
    body: bytes = b"",
    kind: str | None = JSON_TYPE,
    path: str = "/invocations",
    method: str = "POST",
    headers: dict[str, str] | None = None,
    parts: int = 1,
    stalls: bool = False,
) -> tuple[int, Any]:
    """Status and document of an answer, by the interface between server and application (ASGI)."""
    told = {**({"content-type": kind} if kind else {}), "content-length": str(len(body)), **(headers or {})}
    size = max(1, -(-len(body) // parts))
    messages = [
        {"type": "http.request", "body": body[i * size : (i + 1) * size], "more_body": i + 1 < parts}
        for i in range(parts)
    ]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if stalls:
            await asyncio.sleep(60)
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in told.items()],
    }
    asyncio.run(app(scope, receive, send))
    content = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], json.loads(content) if content.strip() else None


def refused(app: Starlette, *args: Any, status: int = 400, **kwargs: Any) -> str:
    """The one line of a refusal."""
    got, document = call(app, *args, **kwargs)
    assert got == status
    assert list(document) == ["error_code", "message"]
    assert "\n" not in document["message"]
    return str(document["message"])


@pytest.mark.parametrize(
    "document",
    [
        SPLIT,
        {"dataframe_split": {**SPLIT["dataframe_split"], "index": [0, 1]}},
        {"dataframe_records": RECORDS},
        {"instances": RECORDS},
        {"inputs": {name: [row[name] for row in RECORDS] for name in COLUMNS}},
        {"dataframe_records": [{**row, "rfid": "001"} for row in RECORDS]},
    ],
)
def test_every_form_of_a_table_is_answered_alike(app: Starlette, document: Any) -> None:
    status, answered = call(app, json.dumps(document).encode(), parts=3)
    assert status == 200
    assert answered["model"] == "models:/lmtcnn/1"
    made = bundle.build(study.prepared(), PARAMS)
    columns = {name: [row[name] for row in RECORDS] for name in COLUMNS}
    expected = prediction.as_frame(answer.answers(answer.checked(columns), made), made.classes).drop("rfid").to_dicts()
    assert answered["predictions"] == [pytest.approx(row) for row in expected]


@pytest.mark.parametrize("text", [CSV, "\ufeff" + CSV, CSV.replace("\n", "\r\n") + "\r\n", CSV.replace(",1,", ",1.0,")])
def test_csv_is_answered(app: Starlette, text: str) -> None:
    status, answered = call(app, text.encode(), f"{CSV_TYPE}; charset=UTF-8")
    assert (status, len(answered["predictions"])) == (200, 1)


def split(*rows: list[Any], columns: list[Any] = COLUMNS) -> bytes:
    return json.dumps({"dataframe_split": {"columns": columns, "data": list(rows)}}).encode()


FORM = "an object with one key of dataframe_split, dataframe_records, instances, inputs"
SHAPE = "columns (a list of names) and data (a list of rows, each a list of cells)"


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (b"", "the body: expected JSON, found Expecting value: line 1 column 1 (char 0); correct it"),
        (b"{", "the body: expected JSON, found Expecting property name"),
        (b"[1]", f"the body: expected {FORM}, found ['list']; correct it"),
        (b"null", f"the body: expected {FORM}, found ['NoneType']; correct it"),
        (b"{}", f"the body: expected {FORM}, found []; correct it"),
        (b'{"rows": []}', f"the body: expected {FORM}, found ['rows']; correct it"),
        (b'{"inputs": {}, "params": {}}', f"the body: expected {FORM}, found ['inputs', 'params']; correct it"),
        (b'{"inputs": {}, "inputs": {}}', "inputs: expected one column, found several; leave one"),
        (
            b'{"dataframe_records": {}}',
            "dataframe_records: expected a list of objects, one a row, found dict; correct it",
        ),
        (b'{"instances": [[1]]}', "instances, row 0: expected a list of objects, one a row, found list; correct it"),
        (b'{"instances": []}', "the table: expected stops, found no row; send at least one"),
        (b'{"instances": [{"x_cm": 1, "x_cm": 2}]}', "x_cm: expected one column, found several; leave one"),
        (b'{"inputs": {"x_cm": 1}}', "inputs.x_cm: expected an object of columns, each a list of cells, found int"),
        (b'{"inputs": {"x_cm": [1], "y_cm": []}}', "inputs: expected columns of one length, found x_cm 1, y_cm 0"),
        (b'{"dataframe_split": 1}', f"dataframe_split.columns: expected {SHAPE}, found NoneType; correct it"),
        (split(*ROWS, columns=[*COLUMNS[:5], "x_cm"]), "x_cm: expected one column, found several; leave one"),
        (split([1], columns=[None]), f"dataframe_split.columns: expected {SHAPE}, found list; correct it"),
        (split({}), f"dataframe_split, row 0: expected {SHAPE}, found dict; correct it"),  # type: ignore[arg-type]
        (split(ROWS[0][:5]), "row 0: expected 6 cells, found 5; correct it"),
        (split([*ROWS[0][:2], float("nan"), 1, 1, 1]), "the body: expected numbers, found NaN; correct it"),
        (split([*ROWS[0][:2], -float("inf"), 1, 1, 1]), "the body: expected numbers, found -Infinity; correct it"),
        (
            split(*ROWS).replace(b"26.0", b"1e999"),
            "start_s, row 1: expected a number from 0 to 1e9, found inf; correct it",
        ),
        (split(*ROWS).replace(b"26.0", b"9" * 5000), "the body: expected JSON, found Exceeds the limit"),
        (split(["\ud800", *ROWS[0][1:]]), r"recording, row 0: expected a name of 1 to 200 characters, found \ud800"),
        (split(["a" * 10**6, *ROWS[0][1:]]), "recording, row 0: expected a name of 1 to 200 characters, found aaa"),
        (b"[" * 100_000, "the body: expected a table, found lists within lists without end; correct it"),
        (b"\xff\xfe", "the body: expected UTF-8, found byte 0xff at 0; correct it"),
        (
            split(ROWS[0]),
            "a: expected 90% of the model's 30 s, "
            "found 2.5 s long, 8.33 % of the 30 s that are counted; send all stops",
        ),
    ],
)
def test_a_body_that_is_no_table_is_refused_in_one_line(app: Starlette, body: bytes, line: str) -> None:
    assert refused(app, body).startswith(line)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", f"the body: expected CSV with a header ({','.join(COLUMNS)}), found nothing; send a table"),
        ("\n\n", f"the body: expected CSV with a header ({','.join(COLUMNS)}), found nothing; send a table"),
        (",".join(COLUMNS), "the table: expected stops, found no row; send at least one"),
        (CSV.replace("\na,1,26.0,", "\na,1,"), "row 1: expected 6 cells, found 5; correct it"),
        (CSV.replace("y_cm", "x_cm"), "x_cm: expected one column, found several; leave one"),
        (CSV.replace("y_cm", "z_cm"), "y_cm: expected a column, found none; add it"),
        (CSV.replace("a,1,26", 'a,"1,26'), "the body: expected CSV, found unexpected end of data; correct it"),
        (CSV.replace("26.0", ""), "start_s, row 1: expected a number from 0 to 1e9, found nothing; correct it"),
        (CSV.replace("26.0", "nan"), "start_s, row 1: expected a number from 0 to 1e9, found nan; correct it"),
        (CSV.replace("26.0", "2_6"), "start_s, row 1: expected a number from 0 to 1e9, found 2_6; correct it"),
        (CSV.replace("26.0", "true"), "start_s, row 1: expected a number from 0 to 1e9, found true; correct it"),
        (CSV.replace("26.0", "1e30"), "start_s, row 1: expected a number from 0 to 1e9, found 1e+30; correct it"),
        (CSV.replace("a,1,26", "a,1.5,26"), "animal_id, row 1: expected a whole number, found 1.5; correct it"),
        (CSV.replace("a,1,26", f"a,{'9' * 40},26"), "animal_id, row 1: expected a whole number, found 1e+40"),
    ],
)
def test_csv_that_is_no_table_is_refused_in_one_line(app: Starlette, text: str, line: str) -> None:
    assert refused(app, text.encode(), CSV_TYPE).startswith(line)


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        (None, "none"),
        ("", "none"),
        ("text/plain", "text/plain"),
        ("application/x-www-form-urlencoded", "application/x-www-form-urlencoded"),
        ("application/json; charset=latin-1", "application/json; charset=latin-1"),
    ],
)
def test_a_content_type_that_is_missing_or_another_is_told(app: Starlette, kind: str | None, found: str) -> None:
    assert refused(app, json.dumps(SPLIT).encode(), kind, status=415) == (
        f"Content-Type: expected application/json or text/csv, found {found}; "
        "send that header with a table in this form, in UTF-8"
    )


def test_a_packed_body_is_refused(app: Starlette) -> None:
    line = refused(app, b"x", headers={"content-encoding": "gzip"}, status=415)
    assert line == "Content-Encoding: expected none, found gzip; send the body as it is"


def test_a_body_that_is_too_large_is_refused_with_413(app: Starlette, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "MAX_BYTES", 2**20)
    line = "the body: expected 1 MiB at most, found 2.0 MiB; send several requests"
    assert refused(app, bytes(2**21), parts=7, status=413) == line
    assert refused(app, bytes(2**21), headers={"content-length": "3"}, parts=7, status=413) == line
    asks_first = {"expect": "100-continue", "content-length": str(2**21)}
    assert refused(app, b"", headers=asks_first, status=413) == line


def test_too_many_rows_and_animals_are_refused_with_400(app: Starlette, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer, "MAX_ROWS", 1)
    for body in (json.dumps(SPLIT), json.dumps({"instances": RECORDS})):
        assert refused(app, body.encode()) == "the table: expected 1 rows at most, found 2; send several requests"


def test_a_body_that_does_not_come_is_refused_with_408(app: Starlette, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "MAX_BODY_S", 0.01)
    assert refused(app, b"", stalls=True, status=408) == (
        "the body: expected all within 0.01 s, found 0 bytes of it; send it again"
    )


def test_a_server_that_is_full_says_so_with_503(app: Starlette, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "MAX_WAITING", 0)
    full = serve.application(bundle.build(study.prepared(), PARAMS), "m", {})
    assert refused(full, json.dumps(SPLIT).encode(), status=503).startswith("the server: expected at most")


def test_another_address_or_method_is_told(app: Starlette) -> None:
    expected = "the request: expected POST /invocations, GET /ping, GET /health or GET /version, found"
    assert refused(app, method="GET", status=405) == f"{expected} GET /invocations; correct it"
    assert refused(app, path="/predict", status=404) == f"{expected} POST /predict; correct it"


def test_a_server_says_that_it_is_there_and_which_model_answers(app: Starlette) -> None:
    assert [call(app, path=path, method="GET") for path in ("/ping", "/health")] == [(200, None), (200, None)]
    status, document = call(app, path="/version", method="GET")
    assert (status, document["model"], document["sha256"]) == (200, "models:/lmtcnn/1", {"model.json": "12"})


def test_a_fault_of_ours_shows_the_client_no_trace(app: Starlette, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(answer, "answers", broken)
    told: list[tuple[int, Any]] = []
    original = serve._failed

    async def kept(request: Any, error: Exception) -> Any:
        response = await original(request, error)
        told.append((response.status_code, json.loads(response.body)))
        return response

    monkeypatch.setattr(serve, "_failed", kept)
    fresh = serve.application(bundle.build(study.prepared(), PARAMS), "m", {})
    with pytest.raises(ZeroDivisionError):  # Starlette answers, and raises for the server's log
        call(fresh, json.dumps(SPLIT).encode())
    line = "the server failed at this request: its log says how"
    assert told == [(500, {"error_code": "INTERNAL_ERROR", "message": line})]


def test_a_worker_whose_files_changed_ends_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bundle.write(bundle.build(study.prepared(), PARAMS), tmp_path)
    settings = {
        "folder": str(tmp_path),
        "model": "m",
        "threads": 1,
        "sha256": dict.fromkeys(registry.FILES, "0" * 64),
    }
    monkeypatch.setenv(serve.SETTINGS, json.dumps(settings))
    monkeypatch.setattr(serve.process, "die_with_parent", lambda: None)
    with pytest.raises(SystemExit) as end:
        serve.worker()
    assert end.value.code == 3  # what uvicorn takes as: do not try again
    assert [message.partition(":")[0] for message in caplog.messages] == [f"{tmp_path / n}" for n in registry.FILES]


# ---- The processes ---------------------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def ask(port: int, path: str, body: bytes | None = None, timeout_s: float = 20) -> tuple[int, Any]:
    method, headers = ("POST", {"Content-Type": JSON_TYPE}) if body else ("GET", {})
    answered = requests.request(method, f"http://127.0.0.1:{port}{path}", data=body, headers=headers, timeout=timeout_s)
    return answered.status_code, answered.json() if answered.text.strip() else None


def wait_for(port: int) -> None:
    for _ in range(300):
        try:
            ask(port, "/ping", timeout_s=1)
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int, Path]]:
    """A running `lmtcnn serve` of a project that was moved: its port, its process and the project."""
    port = free_port()
    with pytest.MonkeyPatch.context() as monkeypatch:
        folder = study.enter(study.registered(), monkeypatch, tmp_path_factory.mktemp("moved") / "a copy é#1 %25")
        code = f"from lmtcnn.cli import main; import sys; sys.argv[1:] = ['serve', '--port', '{port}']; main()"
        with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL) as process:
            wait_for(port)
            yield port, process.pid, folder
            process.terminate()
            assert process.wait(20) in (0, 143)


@pytest.mark.skipif(sys.platform != "linux", reason="children are found in /proc")
def test_a_worker_that_dies_is_replaced_by_one_that_serves_the_same(server: tuple[int, int, Path]) -> None:
    port, parent, folder = server
    before = ask(port, "/invocations", json.dumps(SPLIT).encode())
    assert before[0] == 200
    for path in (folder / "mlruns").rglob("weights.safetensors"):  # what happens to the store later is not served
        path.write_bytes(b"tampered")
    workers = _workers(parent)
    assert len(workers) == 2
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    for _ in range(100):
        if len(_workers(parent)) == 2 and not set(_workers(parent)) & set(workers):
            break
        time.sleep(0.1)
    wait_for(port)
    assert ask(port, "/invocations", json.dumps(SPLIT).encode()) == before


def test_a_small_request_does_not_wait_for_a_large_one(server: tuple[int, int, Path]) -> None:
    port = server[0]
    rows = [[f"r{i % 200}", 1, (i // 200) % 28 + 0.5, 1.0, 10.0, 20.0] for i in range(60_000)]
    took: list[float] = []
    threads = [threading.Thread(target=ask, args=(port, "/invocations", split(*rows))) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        begin = time.monotonic()
        ask(port, "/ping")
        took.append(time.monotonic() - begin)
    assert len(took) > 10
    assert sorted(took)[len(took) // 2] < 0.5


def _workers(parent: int) -> list[int]:
    """Processes that answer: children that were spawned, without the one that keeps the books."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, ppid = path.read_text().rpartition(")")[2].split()[:2]
            command = (path.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if int(ppid) == parent and state != "Z" and b"spawn_main" in command:
            found.append(int(path.parent.name))
    return sorted(found)


def test_tampered_files_are_not_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = study.enter(study.registered(), monkeypatch, tmp_path / "copy")
    for path in (folder / "mlruns").rglob("weights.safetensors"):
        path.write_bytes(b"tampered")
    monkeypatch.setattr(serve.uvicorn, "run", lambda *_, **__: pytest.fail("it listens"))
    (line,) = told(ModelError, serve.serve, None, "127.0.0.1", 1, 2)
    assert "weights.safetensors: expected sha256 " in line
