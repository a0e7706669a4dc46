"""Writes that are whole or not at all, and the checks on a place before long work is spent on it."""

import contextlib
import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lmtcnn.errors import DataError, OutputError, problem

PART = ".part"
"""How names of files end that are being written."""


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it replaces `path`, on failure it is removed.

    The temporary file lies in the same folder, so that the replacement is one rename. Raises OutputError
    where the place cannot be written.
    """
    handle, name = _temporary(path)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())  # mkstemp makes files private
        temporary.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def ensure_folder(folder: Path) -> Path:
    """Make `folder` and check that it can be written; raises OutputError before any work is done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error
    handle, name = _temporary(folder / "x")
    os.close(handle)
    Path(name).unlink()
    return folder


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder's lock while it is written; raises OutputError at once where another process holds it.

    The lock lies with the system's temporary files, so that none is left in the folder, where DVC would count it. What
    a killed process left half written in the folder is removed first.
    """
    name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    try:
        with FileLock(Path(tempfile.gettempdir()) / f"lmtcnn-{os.getuid()}-{name}.lock", timeout=0):
            for left in folder.rglob(f".*{PART}"):
                left.unlink(missing_ok=True)
            yield
    except Timeout:
        raise OutputError(problem(folder, "nobody else at work here", "another lmtcnn", "wait for it to end")) from None


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically; NaN is refused, as other readers refuse it."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path, expected: str, stage: str, keys: Sequence[str] = ()) -> dict[str, Any]:
    """Read a JSON object that a stage wrote.

    Raises DataError, which says what was `expected` and to run the `stage`, where it is missing or damaged, or lacks
    one of `keys`.
    """
    again = f"run `lmtcnn {stage}` again"
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(problem(path, expected, "no file", f"run `lmtcnn {stage}` first")) from None
    except (OSError, ValueError) as error:
        raise DataError(problem(path, expected, str(error), again)) from error
    if not isinstance(value, dict):
        raise DataError(problem(path, expected, f"a JSON {type(value).__name__}", again))
    if lacking := [key for key in keys if key not in value]:
        raise DataError(problem(path, expected, f"no {', '.join(lacking)} in it", again))
    return value


def digest(path: Path, algorithm: str = "sha256") -> str:
    """Hexadecimal digest of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def _temporary(path: Path) -> tuple[int, str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return tempfile.mkstemp(prefix=f".{path.name}.", suffix=PART, dir=path.parent)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> OutputError:
    reasons = {errno.EEXIST: "a file of that name", errno.ENOTDIR: "a file in place of a folder"}
    reason = reasons.get(error.errno or 0) or error.strerror or str(error)
    return OutputError(problem(path, "a place that can be written", reason, "choose another or change its permissions"))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
