"""The learning rate, chosen by the training cages alone."""

import numpy as np
import pytest

from conftest import told
from lmtcnn.core.errors import DataError
from lmtcnn.core.names import ALL
from lmtcnn.core.params import Params
from lmtcnn.train.rates import Trial, choose, inner_folds, trials

FOUR = ("a", "b", "c", "d")
CAGES = np.array(["a", "a", "b", "b", "c", "c", "d", "d"])


@pytest.fixture
def settings(change):
    params: Params = change(**{"train.lr": "auto", "train.lr_grid": [0.1, 0.01]})
    return params.train


def test_each_training_cage_is_held_out_once(settings) -> None:
    assert inner_folds("b", FOUR, 12) == [("a",), ("c",), ("d",)]
    assert inner_folds(ALL, FOUR, 12) == [("a",), ("b",), ("c",), ("d",)]


def test_many_cages_are_dealt_into_parts_that_are_held_out_as_one() -> None:
    names = [f"c{i:02}" for i in range(30)]
    parts = inner_folds("c07", names, 4)
    assert [len(part) for part in parts] == [8, 7, 7, 7]
    assert sorted(cage for part in parts for cage in part) == [name for name in names if name != "c07"]


def test_two_folds_share_the_networks_that_hold_out_both_cages(settings) -> None:
    """Four cages: 6 pairs and 4 single ones, at two rates."""
    found = trials((*FOUR, ALL), FOUR, settings)
    assert len(found) == len(set(found)) == (6 + 4) * 2
    alone = trials(("b",), FOUR, settings)
    assert set(alone) == {Trial(pair, rate) for pair in (("a", "b"), ("b", "c"), ("b", "d")) for rate in (0.01, 0.1)}
    assert set(alone) < set(found)


def test_the_cost_grows_with_the_number_of_cages_and_not_with_its_square(settings) -> None:
    cages = [f"c{i:03}" for i in range(100)]
    assert len(trials((*cages, ALL), cages, settings)) <= 101 * settings.lr_folds * len(settings.lr_grid)


def test_two_cages_are_too_few(settings) -> None:
    assert told(DataError, trials, ("a", "b", ALL), ("a", "b"), settings) == (
        "train.lr: auto: expected three cages or more, found 2; write a rate, or add recordings of another cage",
    )


def scores(done: list[Trial], right, loss) -> tuple[np.ndarray, np.ndarray]:
    """Of functions of a trial and a sample's cage."""
    return (
        np.array([[loss(trial, cage) for cage in CAGES] for trial in done], dtype=float),
        np.array([[right(trial, cage) for cage in CAGES] for trial in done]),
    )


def test_the_rate_is_that_at_which_most_inner_samples_are_right(settings) -> None:
    """0.1 is right wherever cage a is among the training cages, 0.01 elsewhere: so only a's own fold takes 0.01."""
    done = trials((*FOUR, ALL), FOUR, settings)
    losses, right = scores(done, lambda t, cage: ("a" not in t.held_out) == (t.rate == 0.1), lambda t, cage: 1.0)
    assert choose((*FOUR, ALL), CAGES, done, losses, right, settings) == {
        "a": 0.01, "b": 0.1, "c": 0.1, "d": 0.1, ALL: 0.1,
    }  # fmt: skip


def test_nothing_about_the_held_out_cage_enters(settings) -> None:
    """Whatever is right and lost on the samples of b, b's fold chooses the same."""
    done = trials((*FOUR, ALL), FOUR, settings)
    rng = np.random.default_rng(0)
    losses, right = rng.random((len(done), 8)), rng.random((len(done), 8)) < 0.5
    before = choose(FOUR, CAGES, done, losses, right, settings)
    changed = set()
    for _ in range(30):
        losses[:, CAGES == "b"], right[:, CAGES == "b"] = rng.random((len(done), 2)), rng.random((len(done), 2)) < 0.5
        after = choose(FOUR, CAGES, done, losses, right, settings)
        changed |= {cage for cage in FOUR if after[cage] != before[cage]}
    assert "b" not in changed
    assert changed


def test_ties_go_to_the_lower_loss_and_then_to_the_lower_rate(settings) -> None:
    done = trials(FOUR, FOUR, settings)
    losses, right = scores(done, lambda t, cage: True, lambda t, cage: 1 / t.rate)
    assert set(choose(FOUR, CAGES, done, losses, right, settings).values()) == {0.1}
    assert set(choose(FOUR, CAGES, done, np.ones_like(losses), right, settings).values()) == {0.01}


def test_a_rate_that_diverged_anywhere_comes_last(settings) -> None:
    """0.1 is always right, but diverged once, where a and b are held out."""
    done = trials(FOUR, FOUR, settings)
    losses, right = scores(done, lambda t, cage: t.rate == 0.1, lambda t, cage: 1.0)
    losses[done.index(Trial(("a", "b"), 0.1))] = np.nan
    assert choose(FOUR, CAGES, done, losses, right, settings) == {"a": 0.01, "b": 0.01, "c": 0.1, "d": 0.1}
