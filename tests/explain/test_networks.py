"""The networks that are asked, and the two that cannot know anything."""

from pathlib import Path

import numpy as np
import pytest
import torch

import study
from lmtcnn.core.records import Training, full_training
from lmtcnn.explain.networks import ask, held_out_parts, on_arranged_labels, randomised_places, sharing_cores, untrained
from lmtcnn.histograms import record
from lmtcnn.train.model import StereotypeCNN
from study import small_params

PARAMS = small_params()


@pytest.fixture(scope="module")
def training() -> Training:
    return full_training(study.prepared(), PARAMS)


@pytest.fixture(scope="module")
def loaded() -> tuple:
    return record.load(study.prepared() / "histograms", PARAMS)


def test_every_sample_is_in_one_part_with_a_network_of_the_seed(training: Training, loaded: tuple) -> None:
    _, index = loaded
    parts = list(held_out_parts(index, PARAMS, training))
    rows = np.concatenate([rows for rows, _ in parts])
    assert sorted(rows.tolist()) == list(range(index.height))
    assert all(network.members == 1 for _, network in parts)
    one, other = (network.linear.weight for _, network in parts[:2])
    assert not torch.allclose(one, other)


def test_what_the_networks_use_adds_up_and_falls_without_training(training: Training, loaded: tuple) -> None:
    masks = {"corner": np.eye(6, dtype=bool)}
    found = ask(*loaded, PARAMS, training, masks)
    blind = randomised_places(*loaded, PARAMS, {"untrained": untrained(training, 0)})
    assert found.incomplete < 1e-4
    assert [each.kind for each in found.used[:2]] == ["direction", "separation"]
    assert len(found.used) == len(blind["untrained"]) == 12
    assert len(found.zones) == 12
    assert all(0 <= share <= 1 for *_, share in found.zones)
    for each in found.used:
        assert each.total == pytest.approx(each.gap, abs=1e-4)


def test_an_untrained_network_has_the_initial_weights_of_the_seed(training: Training) -> None:
    one, again, other = untrained(training, 0), untrained(training, 0), untrained(training, 1)
    assert torch.equal(one.linear.weight, again.linear.weight)
    assert not torch.equal(one.linear.weight, other.linear.weight)


def test_a_network_on_arranged_labels_is_trained_the_same_each_time(training: Training, loaded: tuple) -> None:
    one, again = (on_arranged_labels(*loaded, PARAMS, training) for _ in range(2))
    assert isinstance(one, StereotypeCNN)
    assert isinstance(again, StereotypeCNN)
    assert torch.equal(one.linear.weight, again.linear.weight)
    assert not torch.equal(one.linear.weight, untrained(training, 0).linear.weight)


def test_a_design_that_leaves_nothing_to_exchange_has_no_such_network(
    training: Training, loaded: tuple, tmp_path: Path
) -> None:
    stacks, index = loaded
    rows = np.flatnonzero(np.isin(index["cage"].to_numpy(), ["c1", "c2"]))
    assert on_arranged_labels(stacks[rows], index[rows.tolist()], PARAMS, training) is None


def test_cores_are_shared_for_as_long_as_it_is_asked() -> None:
    before = torch.get_num_threads()
    with sharing_cores(2):
        assert torch.get_num_threads() == max(1, before // 2)
    assert torch.get_num_threads() == before
