"""Two methods on the same samples."""

import itertools
import math

import numpy as np
import pytest

from lmtcnn.evaluate.comparison import Comparison, compare, holm, say, sign_flip


@pytest.mark.parametrize("sums", [[1, 2, -1, 3], [0, 0, 0], [2, 2, 2, 2, 2, 2], [5, -3, 0, 1, 1, 1], [-1]])
def test_the_sign_flip_is_that_of_all_signs(sums: list[int]) -> None:
    flips = [abs(np.dot(signs, sums)) for signs in itertools.product((-1, 1), repeat=len(sums))]
    assert sign_flip(np.array(sums)) == pytest.approx(np.mean([flip >= abs(sum(sums)) for flip in flips]))


def test_hundreds_of_cages_are_counted_too() -> None:
    assert sign_flip(np.ones(300, np.int64)) == pytest.approx(2.0**-299)


def test_the_difference_is_that_of_the_accuracies_also_with_cages_of_other_sizes() -> None:
    rng = np.random.default_rng(0)
    cages = np.repeat([0, 1, 2, 3], [4, 8, 8, 6])
    ours, theirs = rng.integers(0, 4, 26), 3 * rng.integers(0, 2, 26)
    found = compare(ours, theirs, cages, 3, 0.05)
    assert found.difference == pytest.approx((ours.mean() - theirs.mean()) / 3)
    assert found.low < found.difference < found.high
    assert (found.cages, found.samples) == (4, 26)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (-0.04, 0.05, "matches"),
        (0.01, 0.04, "matches"),
        (-0.04, 0.06, "not distinguishable"),
        (-0.2, 0.0, "not distinguishable"),
        (0.01, 0.2, "better"),
        (-0.2, -0.01, "worse"),
    ],
)
def test_what_may_be_said(low: float, high: float, words: str) -> None:
    assert say(low, high, 0.05) == words


def test_two_cages_tell_nothing_and_it_is_said() -> None:
    found = compare(np.array([1, 1]), np.array([0, 0]), np.array([0, 1]), 1, 0.05)
    assert math.isnan(found.low)
    assert found.words == "2 cages, fewer than 3"


def test_methods_that_never_differ_match() -> None:
    same = np.array([1, 0, 1, 1])
    found = compare(same, same, np.arange(4), 1, 0.05)
    assert (found.difference, found.p, found.words) == (0, 1, "matches")


def test_holm_by_hand() -> None:
    made = {name: Comparison(0, 0, 0, p, 3, 3, "") for name, p in {"a": 0.04, "b": 0.01, "c": 0.03, "d": 0.9}.items()}
    found = {name: each.p for name, each in holm(made).items()}
    assert found == pytest.approx({"b": 0.04, "c": 0.09, "a": 0.09, "d": 0.9})


def test_better_is_said_only_where_the_test_says_so_too_and_holm_takes_it_back() -> None:
    """Six cages that all agree: p is 2 / 2^6 = 0.031 alone, and 0.094 as one of three comparisons."""
    cages = np.repeat(np.arange(6), 4)
    theirs = np.zeros(24, dtype=np.int64)
    ours = np.ones(24, dtype=np.int64)
    ours[:3] = 0
    alone = compare(ours, theirs, cages, 1, 0.05)
    assert (alone.words, alone.low > 0) == ("better", True)
    three = holm(dict.fromkeys("abc", alone))
    assert [(made.p, made.words) for made in three.values()] == [(pytest.approx(3 / 32), "not distinguishable")] * 3
    five = compare(ours[4:], theirs[4:], cages[4:], 1, 0.05)
    assert (five.low > 0, five.p, five.words) == (True, pytest.approx(1 / 16), "not distinguishable")
