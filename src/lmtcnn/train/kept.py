"""Finished pieces of a training, kept until all of it has ended: `<folder>/.partial/<key>/<name>.safetensors`.

DVC removes a stage's outputs before it runs, and knows nothing of this folder. The key is a hash of all that the work
depends on, so that work of another study, of other parameters or of another program is never taken for this one's; it
is removed instead.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from lmtcnn import __version__
from lmtcnn.core.errors import OutputError, problem, system_words
from lmtcnn.core.files import atomic, digest
from lmtcnn.core.params import Params
from lmtcnn.core.revisions import REVISIONS

log = logging.getLogger("lmtcnn")

FOLDER = ".partial"
INPUTS = ("stacks.npy", "index.parquet")


class Kept:
    """Finished pieces of a stage's work, each a file of named tensors."""

    def __init__(self, folder: Path, content: str) -> None:
        self.root, self.folder = folder / FOLDER, folder / FOLDER / content[:16]
        for other in self.root.iterdir() if self.root.is_dir() else ():
            if other != self.folder:
                _remove(other)

    def load(self, name: str) -> dict[str, Tensor] | None:
        """A piece, or None where it is not there or damaged, as after a power cut: then it is to be made again."""
        path = self._path(name)
        try:
            return safetensors.torch.load_file(path) if path.is_file() else None
        except (SafetensorError, OSError) as error:
            log.warning("%s: kept by an interrupted training, but damaged (%s): trained again", path, error)
            return None

    def save(self, name: str, tensors: Mapping[str, Tensor]) -> None:
        """Keep a piece, atomically."""
        save_tensors(tensors, self._path(name))

    def has(self, name: str) -> bool:
        """Whether a piece is there."""
        return self._path(name).is_file()

    def clear(self) -> None:
        """Remove everything: the stage has ended."""
        if self.root.is_dir():
            _remove(self.root)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.safetensors"


def key(histograms: Path, params: Params, members: Sequence[str], group: int, device: torch.device) -> str:
    """sha256 of all that finished work depends on: stacks, parameters, members and their groups, device, programs."""
    what = {
        "histograms": [digest(histograms / name) for name in INPUTS],
        "classes": list(params.classes),
        "train": params.train.decisive,
        "members": list(members),
        "group": group,
        "device": device.type,
        "programs": [__version__, torch.__version__, REVISIONS["train"]],
    }
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors as safetensors, atomically; raises OutputError where they cannot be written, as on a full disk."""
    with atomic(path) as temporary:
        safetensors.torch.save_file({name: values.contiguous() for name, values in tensors.items()}, temporary)


def _remove(path: Path) -> None:
    try:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    except OSError as error:
        found = system_words(error)
        raise OutputError(problem(path, "a folder that can be removed", found, "remove it by hand")) from error
