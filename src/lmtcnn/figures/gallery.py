"""Many figures of one folder, of which only those are drawn whose content has changed.

matplotlib draws half a second a figure in three formats. A figure is given as the function that draws it and what that
is given, so that it is known by its content: the key of a figure is a hash of both, of the modules that draw and of
matplotlib's version. `drawn.json` in the folder holds the keys, and the digests of the files; what still fits is not
drawn again.
"""

import hashlib
import pickle
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lmtcnn.core.errors import DataError
from lmtcnn.core.files import digest, ensure_folder, read_json, write_json
from lmtcnn.figures import figures, floor, places, times, uses

RECORD = "drawn.json"


@dataclass(frozen=True)
class Drawing:
    """A figure to be drawn: its PNG's name in the folder, the function that makes it, and what that is given."""

    name: str
    make: Callable[..., Any]
    given: tuple[Any, ...]
    named: Mapping[str, Any] = field(default_factory=dict)

    @property
    def files(self) -> list[str]:
        """Names, in the folder, of the files that it is written to."""
        return [Path(self.name).with_suffix(ending).as_posix() for ending in figures.FORMATS]

    def key(self, modules: str) -> str:
        """The sha256 of what decides the figure's bytes; `modules` is the digest of the modules that draw."""
        what = (modules, self.make.__module__, self.make.__qualname__, self.given, dict(self.named))
        return hashlib.sha256(pickle.dumps(what, protocol=5)).hexdigest()


def draw(folder: Path, drawings: Iterable[Drawing]) -> list[str]:
    """Draw figures into a folder, each in all formats; return the names of those that had changed.

    Other figures in the folder, which an earlier call left, are removed.

    Parameters
    ----------
    folder
        Where the figures and `drawn.json` go.
    drawings
        The figures, each with a name of its own, drawn as they come: they may still be in the making.
    """
    ensure_folder(folder)
    modules, before = _modules(), _read(folder / RECORD)
    record: dict[str, dict[str, Any]] = {}
    changed = []
    for drawing in drawings:
        name, key = drawing.name, drawing.key(modules)
        if not _still_good(folder, name, key, before.get(name, {})):
            ensure_folder((folder / name).parent)
            figures.save(drawing.make(*drawing.given, **drawing.named), folder / name)
            changed.append(name)
        record[name] = {"key": key, "files": [digest(path) for path in _paths(folder, name)]}
    wanted = {path for name in record for path in _paths(folder, name)}
    for path in folder.rglob("*"):
        if path.suffix in figures.FORMATS and path not in wanted:
            path.unlink()
    write_json(folder / RECORD, record)
    return changed


def files(folder: Path) -> list[str]:
    """Names, in the folder, of the files of the figures that were drawn last."""
    return [path.relative_to(folder).as_posix() for name in _read(folder / RECORD) for path in _paths(folder, name)]


def _paths(folder: Path, name: str) -> list[Path]:
    return [(folder / name).with_suffix(ending) for ending in figures.FORMATS]


def _still_good(folder: Path, name: str, key: str, before: Mapping[str, Any]) -> bool:
    paths = _paths(folder, name)
    if before.get("key") != key or not all(path.is_file() for path in paths):
        return False
    return before.get("files") == [digest(path) for path in paths]


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """Read what was drawn before; nothing where no record is there or where it cannot be read: all is drawn then."""
    if not path.is_file():
        return {}
    try:
        found = read_json(path, "a record of figures", "explain")
    except DataError:
        return {}
    return {name: value for name, value in found.items() if isinstance(value, dict)}


def _modules() -> str:
    """One digest of the program that draws: a changed line there must not leave old pictures."""
    sources = [digest(Path(module.__file__ or "")) for module in (figures, floor, places, times, uses)]
    return " ".join([*sources, version("matplotlib"), sys.version.split()[0]])
