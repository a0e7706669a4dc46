"""Intervals over cages."""

import math

import numpy as np
import pytest
from scipy import stats

from lmtcnn.evaluate.intervals import interval, mean_interval


def cohort(shares: list[float], samples: int = 8, strata: int = 2):
    """Cages of so many samples, of which a share is right; strata in turn."""
    right = np.concatenate([np.arange(samples) < share * samples for share in shares]).astype(float)
    cages = np.repeat(np.arange(len(shares)), samples)
    return right, np.zeros_like(cages), cages, cages % strata


def test_the_interval_by_hand() -> None:
    """Shares of 4 cages of one stratum: var = m/(m-1) sum (z - mean)^2 with z = share / m."""
    shares = [0.25, 0.5, 0.75, 1.0]
    found = interval(*cohort(shares, strata=1))
    error = np.std(shares, ddof=1) / math.sqrt(4)
    p = 0.625
    reach = stats.t.ppf(0.975, 3) * error / (p * (1 - p))
    logit = math.log(p / (1 - p))
    expected = [1 / (1 + math.exp(-(logit + side * reach))) for side in (-1, 1)]
    assert (found.value, found.cages, found.freedom) == (p, 4, 3)
    assert [found.low, found.high] == pytest.approx(expected)


def test_what_strata_differ_by_is_no_error() -> None:
    """Females all alike at 1, males all alike at 0.5: known without error but that of independent samples."""
    apart = interval(*cohort([1.0, 0.5] * 4, samples=16))
    mixed = interval(*cohort([1.0, 0.5] * 4, samples=16, strata=1))
    assert apart.freedom == 6
    assert apart.high - apart.low < mixed.high - mixed.low


def test_cages_that_happen_to_be_alike_do_not_make_the_interval_a_point() -> None:
    found = interval(*cohort([0.5] * 6))
    least = math.sqrt(0.25 / 48) / 0.25 * stats.t.ppf(0.975, 4)
    assert found.high == pytest.approx(1 / (1 + math.exp(-least)))


def test_all_right_or_none_counts_cages_as_trials() -> None:
    everything, nothing = interval(*cohort([1.0] * 6)), interval(*cohort([0.0] * 6))
    assert (everything.low, everything.high) == (pytest.approx(0.025 ** (1 / 6)), 1)
    assert (nothing.low, nothing.high) == (0, pytest.approx(1 - 0.025 ** (1 / 6)))
    assert everything.low == pytest.approx(stats.beta.ppf(0.025, 6, 1))


def test_fewer_than_three_cages_a_stratum_give_no_interval_and_a_reason() -> None:
    found = interval(*cohort([0.5, 0.75, 1.0, 0.5, 0.25]))
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert found.none == "2 cages in a stratum of cages alike in their labels, fewer than 3"
    assert interval(*cohort([0.5, 1.0], strata=1)).none == "2 cages in a study, fewer than 3"


def test_balanced_accuracy_weighs_groups_and_not_samples() -> None:
    right, _, cages, strata = cohort([0.5, 0.25, 0.75, 1.0, 0.5, 0.5], strata=1)
    groups = np.tile([0, 0, 0, 1, 1, 1, 1, 1], 6)
    found = interval(right, groups, cages, strata)
    assert found.value == pytest.approx(np.mean([right[groups == g].mean() for g in (0, 1)]))
    assert found.low < found.value < found.high


def test_a_recall_knows_the_cages_of_its_class_alone() -> None:
    right, groups, cages, strata = cohort([0.5, 0.75, 0.25, 1.0, 0.5, 0.5])
    own = strata == 1
    found = interval(right[own], groups[own], cages[own], strata[own])
    assert (found.cages, found.freedom) == (3, 2)


def test_means_over_networks_are_taken_as_they_are() -> None:
    right, groups, cages, strata = cohort([0.5, 0.75, 0.25, 1.0, 0.5, 0.5])
    assert interval(right * 0.5 + 0.25, groups, cages, strata).value == pytest.approx(right.mean() * 0.5 + 0.25)


def test_the_interval_covers_what_it_should_where_cages_differ() -> None:
    """Beta-binomial cages of mean 0.7: 12 cages cover it in 91 to 98 of 100 studies."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        right = (rng.random((12, 8)) < rng.beta(4.2, 1.8, 12)[:, None]).astype(float).ravel()
        cages = np.repeat(np.arange(12), 8)
        found = interval(right, 0 * cages, cages, 0 * cages)
        covered += found.low <= 0.7 <= found.high
    assert 0.91 < covered / 400 < 0.98


def test_the_interval_of_a_mean_is_students() -> None:
    values = [0.1, 0.2, 0.4, -0.1]
    mean, low, high = mean_interval(values)
    expected = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    assert (mean, low, high) == pytest.approx((np.mean(values), *expected))
    assert all(math.isnan(end) for end in mean_interval([0.1, 0.2])[1:])
