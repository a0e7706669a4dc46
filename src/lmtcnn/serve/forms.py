"""The forms of a table that a request may have: CSV, and MLflow's four in JSON."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from lmtcnn.core.errors import DataError, problem
from lmtcnn.predictions import answer


def table(body: bytes, kind: str) -> Mapping[str, Sequence[object]]:
    """Read a request's columns, cells as they came; DataError where the body is no table.

    `kind` is `application/json` or `text/csv`; numbers of CSV are read as such, what is no number stays text.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            problem("the body", "UTF-8", f"byte {body[error.start]:#x} at {error.start}", "correct it")
        ) from None
    return FORMS[kind](text)


def _from_json(text: str) -> Mapping[str, Sequence[object]]:
    try:
        document = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_unique)
    except RecursionError:
        raise DataError(problem("the body", "a table", "lists within lists without end", "correct it")) from None
    except ValueError as error:  # also: a number of thousands of digits
        raise DataError(problem("the body", "JSON", str(error) or "none", "correct it")) from None
    keys = list(document) if isinstance(document, dict) else [type(document).__name__]
    if len(keys) != 1 or keys[0] not in JSON_FORMS:
        raise DataError(
            problem("the body", f"an object with one key of {', '.join(JSON_FORMS)}", str(keys), "correct it")
        )
    key = str(keys[0])
    form, shape = JSON_FORMS[key]
    content = document[key]
    try:
        return form(content)
    except _NoTable as error:
        raise DataError(problem(f"{key}{error}", shape, error.found, "correct it")) from None


class _NoTable(Exception):  # noqa: N818 - turned into a DataError where the key is known
    """No table was found at this place of the document (the error's text), but something else."""

    def __init__(self, where: str, found: object) -> None:
        self.found = type(found).__name__ if not isinstance(found, str) else found
        super().__init__(where)


def _split(content: object) -> dict[str, list[object]]:
    columns = content.get("columns") if isinstance(content, dict) else None
    data = content.get("data") if isinstance(content, dict) else None
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
        raise _NoTable(".columns", columns)
    _check_unique(columns)
    if not isinstance(data, list):
        raise _NoTable(".data", data)
    return _by_column(columns, data)


def _by_column(columns: list[str], rows: list[Any]) -> dict[str, list[object]]:
    answer.check_rows(len(rows))
    for i, row in enumerate(rows):
        if not isinstance(row, list):
            raise _NoTable(f", row {i}", row)
        if len(row) != len(columns):
            raise DataError(problem(f"row {i}", f"{len(columns)} cells", str(len(row)), "correct it"))
    return {name: [row[i] for row in rows] for i, name in enumerate(columns) if name in answer.COLUMNS}


def _records(content: object) -> dict[str, list[object]]:
    if not isinstance(content, list):
        raise _NoTable("", content)
    answer.check_rows(len(content))
    for i, row in enumerate(content):
        if not isinstance(row, dict):
            raise _NoTable(f", row {i}", row)
    present = {name for row in content for name in answer.COLUMNS if name in row} if content else set(answer.COLUMNS)
    return {name: [row.get(name) for row in content] for name in present}


def _columns(content: object) -> dict[str, list[object]]:
    if not isinstance(content, dict):
        raise _NoTable("", content)
    for name in (name for name in answer.COLUMNS if name in content):
        if not isinstance(content[name], list):
            raise _NoTable(f".{name}", content[name])
    found = {name: list(content[name]) for name in answer.COLUMNS if name in content}
    if len({len(values) for values in found.values()}) > 1:
        lengths = ", ".join(f"{name} {len(values)}" for name, values in found.items())
        raise DataError(problem("inputs", "columns of one length", lengths, "correct it"))
    return found


def _from_csv(text: str) -> Mapping[str, Sequence[object]]:
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except csv.Error as error:
        raise DataError(problem("the body", "CSV", str(error), "correct it")) from None
    if not rows:
        raise DataError(
            problem("the body", f"CSV with a header ({','.join(answer.COLUMNS)})", "nothing", "send a table")
        )
    _check_unique(rows[0])
    columns = _by_column(rows[0], rows[1:])
    return {
        name: values if name == "recording" else [_number(str(v)) for v in values] for name, values in columns.items()
    }


def _number(text: str) -> object:
    """A cell of CSV as a number, if it is written as one."""
    if INTEGER.fullmatch(text):
        return int(text)
    return float(text) if DECIMAL.fullmatch(text) else text


INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
DECIMAL = re.compile(r"[+-]?([0-9]{1,30}\.?[0-9]{0,30}|\.[0-9]{1,30})([eE][+-]?[0-9]{1,4})?")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        _check_unique([name for name, _ in pairs])
    return found


def _check_unique(names: Sequence[str]) -> None:
    if twice := [name for name, times in Counter(names).items() if times > 1]:
        raise DataError(problem(", ".join(twice), "one column", "several", "leave one"))


def _no_constant(name: str) -> float:
    raise DataError(problem("the body", "numbers", name, "correct it"))


FORMS = {"application/json": _from_json, "text/csv": _from_csv}
ROWS = "a list of objects, one a row"
JSON_FORMS = {
    "dataframe_split": (_split, "columns (a list of names) and data (a list of rows, each a list of cells)"),
    "dataframe_records": (_records, ROWS),
    "instances": (_records, ROWS),
    "inputs": (_columns, "an object of columns, each a list of cells"),
}
"""MLflow's forms of a table in JSON."""
