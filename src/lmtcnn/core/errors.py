"""Errors that a user's input or a place on the disk can cause.

LmtcnnError
├── ParamsError      params.yaml: unknown or missing key, wrong type, out of range
├── DatabaseError    one LMT database: missing, not SQLite, not LMT, damaged, in use
├── CohortError      the manifest, or the manifest against the databases
├── DataError        a stage's folder: missing, incomplete, made by other parameters
├── ModelError       a bundle or a registered model: none, damaged, does not fit
├── OutputError      a place that cannot be written
└── BatchError       several of the above, after the rest of the batch was done

A message is one line a problem: *where: expected ..., found ...; what to do*. The command line prints the
lines and ends with exit code 2; anything that is not an LmtcnnError is a bug and keeps its traceback.
"""

import errno
import os
from collections.abc import Iterable, Sequence

MAX_FOUND = 400
"""Characters of what was found that a message shows."""

MAX_NAMED = 5
"""Recordings that a warning names."""

_OF_THE_SYSTEM = {
    errno.EACCES: "one without permission",
    errno.EPERM: "one without permission",
    errno.EEXIST: "a file of that name",
    errno.ENOTDIR: "a file in place of a folder",
    errno.EISDIR: "a folder of that name",
    errno.ENOENT: "a folder in which none can be made",  # the system's own, as /proc; else a folder is made
    errno.EROFS: "a disk that can only be read",
    errno.ENOSPC: "a full disk",
    errno.EDQUOT: "a quota of the disk that is used up",
    errno.EIO: "a disk that fails",
    errno.ENAMETOOLONG: "a name that is too long",
    errno.ELOOP: "links that lead in a circle",
}
"""What the system means by the number of an error, where its own words do not say what was found."""


class LmtcnnError(Exception):
    """One or more problems, each told in one line."""

    def __init__(self, lines: str | Iterable[str]) -> None:
        self.lines = (lines,) if isinstance(lines, str) else tuple(lines)
        super().__init__("\n".join(self.lines))

    def __reduce__(self) -> tuple[type["LmtcnnError"], tuple[tuple[str, ...]]]:
        """Pickle by the lines, so that an error crosses from a worker process whole."""
        return type(self), (self.lines,)


class ParamsError(LmtcnnError):
    """A parameter file that cannot be used."""


class DatabaseError(LmtcnnError):
    """A database that cannot be read as an LMT recording."""


class CohortError(LmtcnnError):
    """A manifest that does not say who is who."""


class DataError(LmtcnnError):
    """A stage's folder that is missing, incomplete or does not fit."""


class ModelError(LmtcnnError):
    """A model that is missing, damaged or does not fit the data."""


class OutputError(LmtcnnError):
    """A place that cannot be written."""


class BatchError(LmtcnnError):
    """The failures of a batch whose other members were finished."""

    def __init__(self, errors: Iterable[LmtcnnError | str]) -> None:
        lines: list[str] = []
        for error in errors:
            lines.extend((error,) if isinstance(error, str) else error.lines)
        super().__init__(lines)


def problem(where: object, expected: str, found: str, do: str) -> str:
    """Write a message in the one form: *where: expected ..., found ...; what to do*.

    What was found may be anything: what would break the line is written as an escape, what is endless is cut.
    """
    return _one_line(f"{where}: expected {expected}, found {_short(found)}; {do}")


def system_words(error: Exception | int) -> str:
    """Say what was found instead of a file or folder that can be used.

    By the system's error or its number; of the error of a library, its first line.
    """
    number = error if isinstance(error, int) else getattr(error, "errno", None)
    if number in _OF_THE_SYSTEM:
        return _OF_THE_SYSTEM[number]
    if isinstance(error, int):
        return os.strerror(error)
    return getattr(error, "strerror", None) or str(error).partition("\n")[0]


def listed(names: Sequence[str]) -> str:
    """Write names with commas between them, the first few of many: `a, b, c, d, e and 7 more`."""
    more = len(names) - MAX_NAMED
    return ", ".join(names[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")


def _short(text: str) -> str:
    return text if len(text) <= MAX_FOUND else f"{text[:MAX_FOUND]}... ({len(text)} characters)"


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
