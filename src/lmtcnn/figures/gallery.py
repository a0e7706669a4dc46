"""Many figures of one folder: drawn in several processes, and only those whose content has changed.

matplotlib draws in one thread, half a second a figure in three formats, and an explanation has dozens of them. A
figure is given as the function that draws it and what that is given, so that another process can do it and so that
it is known by its content: the key of a figure is a hash of both, of the modules that draw and of matplotlib's version.
`drawn.json` in the folder holds the keys, and the digests of the files; what still fits is not drawn again.
"""

import hashlib
import pickle
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lmtcnn.core.errors import DataError
from lmtcnn.core.files import digest, ensure_folder, read_json, write_json
from lmtcnn.figures import figures, floor, places, times, uses

RECORD = "drawn.json"
FEW = 6
"""Up to so many figures one process draws: starting others takes as long."""


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


def draw(folder: Path, drawings: Sequence[Drawing], workers: int) -> list[str]:
    """Draw figures into a folder, each in all formats; return the names of those that had changed.

    Other figures in the folder, which an earlier call left, are removed.

    Parameters
    ----------
    folder
        Where the figures and `drawn.json` go.
    drawings
        The figures, each with a name of its own.
    workers
        Processes that draw side by side.
    """
    ensure_folder(folder)
    modules = _modules()
    keys = {drawing.name: drawing.key(modules) for drawing in drawings}
    before = _read(folder / RECORD)
    wanted = {path for name in keys for path in _paths(folder, name)}
    for path in folder.rglob("*"):
        if path.suffix in figures.FORMATS and path not in wanted:
            path.unlink()
    waiting = [d for d in drawings if not _still_good(folder, d.name, keys[d.name], before.get(d.name, {}))]
    if len(waiting) > FEW and workers > 1:
        from joblib import Parallel, delayed  # noqa: PLC0415 - only where it is worth its start

        whole = folder.resolve()  # the processes live on, and their current folder is that of their first call
        Parallel(n_jobs=workers)(delayed(_one)(whole, drawing) for drawing in waiting)
    else:
        for drawing in waiting:
            _one(folder, drawing)
    record = {name: {"key": key, "files": [digest(p) for p in _paths(folder, name)]} for name, key in keys.items()}
    write_json(folder / RECORD, record)
    return [drawing.name for drawing in waiting]


def _one(folder: Path, drawing: Drawing) -> None:
    path = folder / drawing.name
    ensure_folder(path.parent)
    figures.save(drawing.make(*drawing.given, **drawing.named), path)


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
