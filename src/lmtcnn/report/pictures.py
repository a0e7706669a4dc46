"""Pictures inside the page."""

import base64
from pathlib import Path
from typing import NamedTuple

from lmtcnn.core.errors import DataError, problem


class Figure(NamedTuple):
    """A picture inside the page: a data URI, and the words for those who do not see it."""

    source: str
    words: str


def picture(path: Path, words: str) -> Figure:
    """Read a PNG that a stage drew.

    Parameters
    ----------
    path
        The file, data/<stage>/...
    words
        What is to be seen on it.

    Raises
    ------
    DataError
        Where it is missing.
    """
    if not path.is_file():
        stage = path.parts[path.parts.index("data") + 1] if "data" in path.parts[:-2] else path.parent.name
        raise DataError(problem(path, "a figure", "no file", f"run `lmtcnn {stage}` again"))
    return Figure("data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii"), words)


def pictures(folder: Path, named: dict[str, str]) -> list[Figure]:
    """Those of several pictures, file -> words, that are there."""
    return [picture(folder / name, words) for name, words in named.items() if (folder / name).is_file()]
