"""The networks of the folds, read from a training's folder."""

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from conftest import told
from lmtcnn.core.errors import DataError
from lmtcnn.core.params import Params
from lmtcnn.core.records import find_training
from lmtcnn.histograms import record
from lmtcnn.train import train
from lmtcnn.train.fitting import choose_device
from lmtcnn.train.held_out import load_held_out
from lmtcnn.train.model import Samples, softmax_members
from study import THREE_CAGES, write_histograms


def check(data: Path, params: Params) -> None:
    """What the networks say is what predictions.parquet has."""
    training = find_training(data, params)
    stacks, index = record.load(data / "histograms", params)
    samples = Samples(stacks, params.train.transform, choose_device("cpu"))
    table = pl.concat([pl.read_parquet(part / "predictions.parquet") for part in training.parts])
    seen = []
    for cage, model in load_held_out(training):
        seen.append(cage)
        rows = np.flatnonzero(index["cage"].to_numpy() == cage)
        p = softmax_members(model, samples[rows])
        for member, seed in enumerate(params.train.seeds):
            own = index[rows].join(
                table.filter(pl.col("seed") == seed), on=["recording", "animal_id"], how="left", maintain_order="left"
            )
            assert p[member] == pytest.approx(own.select([f"p_{name}" for name in params.classes]).to_numpy(), abs=1e-6)
    assert sorted(seen) == sorted(THREE_CAGES)


def test_the_networks_of_a_full_training_are_read_by_cage_and_seed(trained: Path, tiny: Params) -> None:
    check(trained, tiny)


def test_the_networks_of_single_folds_are_read_likewise(tiny: Params, tmp_path: Path) -> None:
    write_histograms(tmp_path, tiny, THREE_CAGES)
    for cage in THREE_CAGES:
        train.train(tmp_path, tiny, cage)
    check(tmp_path, tiny)


def altered(path: Path) -> None:
    """Change numbers, which a file of weights cannot tell by itself."""
    content = bytearray(path.read_bytes())
    content[-40:] = bytes(40)
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage", [lambda path: path.unlink(), lambda path: path.write_bytes(path.read_bytes()[:99]), altered]
)
def test_weights_that_are_missing_or_damaged_are_told_in_one_line(trained, tiny, tmp_path, damage) -> None:
    shutil.copytree(trained, tmp_path / "data")
    path = tmp_path / "data" / "train" / "folds.safetensors"
    damage(path)
    (line,) = told(DataError, list, load_held_out(find_training(tmp_path / "data", tiny)))
    assert line.startswith(f"{path}: expected ")
    assert line.endswith(("run `lmtcnn train`", "run `lmtcnn train` again"))
