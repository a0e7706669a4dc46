"""Networks for other labels: the same procedure, a group at a time, and nothing trained twice."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import ROOT
from lmtcnn.core.params import Params, dump
from lmtcnn.histograms import record
from lmtcnn.train import permuted
from lmtcnn.train.fitting import Study, fit, load_study, network
from lmtcnn.train.kept import Kept
from lmtcnn.train.model import member_bytes, softmax_members
from lmtcnn.train.permuted import arrangements_at_once, fit_arrangements


@pytest.fixture(scope="module")
def study(trained: Path, tiny: Params) -> Study:
    return load_study(*record.load(trained / "histograms", tiny), tiny)


@pytest.fixture(scope="module")
def labels(study: Study) -> np.ndarray:
    """Five arrangements, the study's own labels first."""
    rng = np.random.default_rng(0)
    own = study.y.numpy()
    return np.stack([own, *(rng.permutation(own) for _ in range(4))])


def two_at_once(study: Study, params: Params) -> Params:
    """A budget of memory for the folds of two arrangements."""
    one = member_bytes(network(study, params.train, 1), params.train.batch)
    gigabytes = 2.5 * len(np.unique(study.cages)) * one / 1e9
    return params.model_copy(update={"train": params.train.model_copy(update={"memory_gb": gigabytes})})


def probabilities(study: Study, labels: np.ndarray, params: Params, folder: Path) -> np.ndarray:
    return np.concatenate(
        [group.probabilities for group in fit_arrangements(study, labels, 0, params.train, Kept(folder, "key"), "a")]
    )


def test_each_arrangement_is_what_a_training_by_its_labels_says(study, labels, tiny, tmp_path) -> None:
    found = probabilities(study, labels, tiny, tmp_path)
    for own, p in zip(labels, found, strict=True):
        alone = Study(study.x, torch.from_numpy(own), study.cages, study.classes)
        for cage in np.unique(study.cages):
            model = fit(alone, (str(cage),), 0, tiny.train, lambda: None).model
            rows = np.flatnonzero(study.cages == cage)
            assert p[rows] == pytest.approx(softmax_members(model, study.x[rows])[0], abs=1e-5)


def test_groups_change_nothing_and_fit_in_memory(study, labels, tiny, tmp_path, monkeypatch) -> None:
    small = two_at_once(study, tiny)
    sizes: list[int] = []

    def counted(study: Study, folds: list[str], *rest: object, **more: object) -> object:
        sizes.append(len(folds))
        return fit(study, folds, *rest, **more)

    monkeypatch.setattr(permuted, "fit", counted)
    assert arrangements_at_once(study, small.train) == 2
    grouped = probabilities(study, labels, small, tmp_path / "small")
    assert sizes == [3, 6, 6]  # three cages each
    least = tiny.train.model_copy(update={"memory_gb": 1e-9})
    one_by_one = probabilities(study, labels[:1], tiny.model_copy(update={"train": least}), tmp_path / "least")
    assert sizes[3:] == [1, 1, 1]
    whole = probabilities(study, labels, tiny, tmp_path / "whole")
    assert np.abs(grouped - whole).max() < 1e-5
    assert np.abs(one_by_one - whole[:1]).max() < 1e-5


def test_a_network_of_an_arrangement_does_not_see_its_held_out_labels(study, labels, tiny, tmp_path) -> None:
    cage = np.unique(study.cages)[0]
    other = labels.copy()
    other[:, study.cages == cage] = 0
    before = probabilities(study, labels, tiny, tmp_path / "a")[:, study.cages == cage]
    assert np.array_equal(probabilities(study, other, tiny, tmp_path / "b")[:, study.cages == cage], before)


def test_who_has_seen_enough_trains_no_further(study, labels, tiny, tmp_path) -> None:
    small = two_at_once(study, tiny)
    epochs = []
    groups = fit_arrangements(study, labels, 0, small.train, Kept(tmp_path, "key"), "a", lambda: epochs.append(1))
    next(groups)
    assert len(epochs) == tiny.train.epochs


def test_what_was_kept_of_other_labels_is_not_taken(study, labels, tiny, tmp_path) -> None:
    probabilities(study, labels, tiny, tmp_path)
    other = labels[::-1].copy()
    again = probabilities(study, other, tiny, tmp_path)
    assert np.array_equal(again, probabilities(study, other, tiny, tmp_path / "fresh"))


KILLED = """
import json, os, signal, sys
from pathlib import Path
import numpy as np
from lmtcnn.core.params import parse
from lmtcnn.histograms import record
from lmtcnn.train.kept import Kept
from lmtcnn.train.permuted import fit_arrangements
from lmtcnn.train.fitting import load_study

data, folder, after = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
params = parse(json.loads((folder / "params.json").read_text()), "test")
study = load_study(*record.load(data / "histograms", params), params)
epochs = []

def progress():
    epochs.append(1)
    if len(epochs) == after:
        os.kill(os.getpid(), signal.SIGKILL)

labels = np.load(folder / "labels.npy")
list(fit_arrangements(study, labels, 0, params.train, Kept(folder, "key"), "a", progress))
"""


def test_a_kill_loses_at_most_the_group_at_work(trained, study, labels, tiny, tmp_path) -> None:
    """In the second epoch of the second group of three."""
    small = two_at_once(study, tiny)
    (tmp_path / "params.json").write_text(json.dumps(dump(small)))
    np.save(tmp_path / "labels.npy", labels)
    after = tiny.train.epochs + 2
    command = [sys.executable, "-c", KILLED, str(trained), str(tmp_path), str(after)]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT / "src")}, check=False)
    assert done.returncode == -signal.SIGKILL
    kept_files = {path.name: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    assert list(kept_files) == ["a-0.safetensors"]
    epochs = []
    groups = fit_arrangements(study, labels, 0, small.train, Kept(tmp_path, "key"), "a", lambda: epochs.append(1))
    found = np.concatenate([group.probabilities for group in groups])
    assert len(epochs) == 2 * tiny.train.epochs
    assert next(tmp_path.rglob("a-0.safetensors")).stat().st_mtime_ns == kept_files["a-0.safetensors"]
    assert np.array_equal(found, probabilities(study, labels, small, tmp_path / "undisturbed"))
