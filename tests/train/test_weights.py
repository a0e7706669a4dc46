"""Weights come back as they were written, or a line says why not."""

from pathlib import Path

import pytest
import torch

from conftest import told
from lmtcnn.core.errors import DataError
from lmtcnn.core.params import Params
from lmtcnn.train.kept import save_tensors
from lmtcnn.train.model import StereotypeCNN, initialise
from lmtcnn.train.weights import load_members, load_weights
from study import THREE_CAGES, write_histograms


@pytest.fixture
def saved(tmp_path: Path) -> tuple[StereotypeCNN, Path]:
    model = StereotypeCNN(1, 2, 4, 2, channels=1)
    initialise(model, 0)
    save_tensors(model.state_dict(), tmp_path / "w.safetensors")
    return model, tmp_path / "w.safetensors"


def test_weights_are_read_as_they_were_written(saved) -> None:
    model, path = saved
    again = StereotypeCNN(**model.architecture)
    load_weights(again, path, "train again")
    assert all(torch.equal(values, again.state_dict()[name]) for name, values in model.state_dict().items())


def test_weights_that_are_missing_are_told(saved) -> None:
    model, path = saved
    path.unlink()
    assert told(DataError, load_weights, model, path, "train again") == (
        f"{path}: expected weights, found no file; train again",
    )


def test_weights_that_are_not_finite_are_told(saved) -> None:
    model, path = saved
    model.linear.bias.data[0, 1] = torch.nan
    save_tensors(model.state_dict(), path)
    assert told(DataError, load_weights, model, path, "train again") == (
        f"{path}: expected finite weights, found nan or inf; train again",
    )


@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[:-1], lambda b: b"x" * 100, lambda b: bytes(len(b))])
def test_weights_that_are_damaged_are_told_in_one_line(saved, damage) -> None:
    model, path = saved
    path.write_bytes(damage(path.read_bytes()))
    (line,) = told(DataError, load_weights, model, path, "train again")
    assert line.startswith(f"{path}: expected weights of this architecture, found ")
    assert line.endswith("; train again")
    assert "\n" not in line


def test_weights_of_another_shape_are_told(saved) -> None:
    _, path = saved
    other = StereotypeCNN(1, 2, 4, 3, channels=1)
    assert told(DataError, load_weights, other, path, "train again") == (
        f"{path}: expected weights of this architecture, found "
        "size mismatch for linear.weight: copying a param with shape torch.Size([1, 2, 8]) from checkpoint, "
        "the shape in current model is torch.Size([1, 3, 8]); train again",
    )


def test_without_a_training_there_are_no_members(tmp_path: Path, tiny: Params) -> None:
    write_histograms(tmp_path, tiny, THREE_CAGES)
    assert told(DataError, load_members, tmp_path, tiny) == (
        f"{tmp_path / 'train' / 'train.json'}: expected the summary of a training, found no file; "
        "run `lmtcnn train` first",
    )
