"""Hours in which classes differ: distances are unbiased, and each kind of effect is found by its own question."""

import numpy as np
import polars as pl
import pytest

from cohorts import cohort, members, stacks
from lmtcnn.explain.hours import coefficients, distances, hours_contrast, pooled, windows
from lmtcnn.explain.pairs import Pair, pairs_of

CAGES = np.repeat(np.arange(6), 4)
WITHIN = np.tile([0, 0, 1, 1], 6)
BETWEEN = np.repeat([0, 1, 0, 1, 0, 1], 4)


def pair(a: str, b: str, index: pl.DataFrame) -> Pair:
    return next(found for found in pairs_of(index, members(index)) if (found.a, found.b) == (a, b))


@pytest.mark.parametrize("labels", [WITHIN, BETWEEN], ids=["within cages", "between cages"])
def test_a_squared_distance_is_that_of_means_of_different_cages(labels: np.ndarray) -> None:
    x = np.random.default_rng(0).normal(size=(24, 5))
    found = distances((x @ x.T)[None], labels[None], CAGES)[0, 0]
    means = [[x[(c == CAGES) & (labels == v)].mean(axis=0) for c in range(6) if ((c == CAGES) & (labels == v)).any()]
             for v in (0, 1)]  # fmt: skip
    a, b = (np.array(each) for each in means)
    if labels is WITHIN:
        d = a - b
        expected = sum(d[i] @ d[j] for i in range(6) for j in range(6) if i != j) / 30
    else:
        same = [sum(v[i] @ v[j] for i in range(3) for j in range(3) if i != j) / 6 for v in (a, b)]
        expected = sum(same) - 2 * (a @ b.T).mean()
    assert found == pytest.approx(expected)


def test_arrangements_are_taken_in_portions_and_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).normal(size=(24, 5))
    labels = np.stack([WITHIN, BETWEEN, np.where(WITHIN == 1, 2, BETWEEN)])
    whole = distances((x @ x.T)[None], labels, CAGES)
    monkeypatch.setattr("lmtcnn.explain.hours.PORTION", 1)
    np.testing.assert_allclose(distances((x @ x.T)[None], labels, CAGES), whole)
    assert coefficients(labels, CAGES).shape == (3, 24, 24)


def test_chance_alone_makes_a_distance_of_nothing() -> None:
    random = np.random.default_rng(0)
    found = [distances((x @ x.T)[None], WITHIN[None], CAGES)[0, 0] for x in random.normal(size=(400, 24, 30))]
    assert abs(np.mean(found)) < 3 * np.std(found) / 20
    assert np.std(found) > 1


def test_windows_count_the_stops_around_each_interval() -> None:
    counts = stacks(cohort(2))
    made = windows(counts, 1.5, 3)
    each = counts.sum(axis=(2, 3))
    np.testing.assert_allclose(made.stops[:, 5], each[:, 4:7].sum(axis=1))
    np.testing.assert_allclose(made.stops[:, 0], each[:, :2].sum(axis=1))
    assert made.plain.shape == made.departure.shape == (12, 8, 8)


def test_a_mouse_without_stops_in_a_window_departs_from_its_map_by_nothing() -> None:
    counts = stacks(cohort(2))
    counts[0, 4:9] = 0
    made = windows(counts, 1.5, 3)
    assert np.isfinite(made.plain).all()
    assert np.abs(made.departure[6, 0]).max() == pytest.approx(0, abs=1e-3)
    empty = windows(np.zeros_like(counts), 1.5, 3)
    assert not empty.plain.any()


def test_an_effect_of_place_alone_is_a_distance_at_all_times_and_no_excess() -> None:
    index = cohort(12)
    found = hours_contrast(pair("AM", "AF", index), windows(stacks(index, place=1.5), 1.0, 3), 199, 0)
    assert (found.p <= 0.05).all()
    assert (found.p_excess > 0.05).all()


def test_an_effect_of_time_is_an_excess_in_its_intervals() -> None:
    index = cohort(12)
    found = hours_contrast(pair("AM", "AF", index), windows(stacks(index, time=0.9), 1.0, 3), 199, 0)
    marked = np.flatnonzero(found.p_excess <= 0.05)
    assert {5, 6} <= set(marked.tolist()) <= {0, 1, 2, 3, 4, 5, 6, 7}
    assert found.excess[[0, 1, 2, 5, 6]].min() > found.excess[9:].max()


def test_more_stops_are_told_of_the_class_that_makes_them() -> None:
    index = cohort(12)
    made = windows(stacks(index, rate=0.8), 1.0, 1)
    one = hours_contrast(pair("AM", "AF", index), made, 199, 0)
    assert set(np.flatnonzero(one.p_stops <= 0.05).tolist()) == {8, 9, 10, 11}
    np.testing.assert_allclose(one.log_stops[8:], -np.log(1.8), atol=0.2)
    other = hours_contrast(pair("AF", "JF", index), made, 199, 0)
    np.testing.assert_allclose(other.log_stops[8:], np.log(1.8), atol=0.2)


def test_of_null_cohorts_few_have_an_hour_that_is_marked() -> None:
    index = cohort(8, 1)
    one = pair("AM", "AF", index)
    found = [hours_contrast(one, windows(stacks(index, seed), 1.0, 3), 99, 0) for seed in range(60)]
    for name in ("p", "p_excess", "p_stops"):
        assert sum((getattr(each, name) <= 0.05).any() for each in found) <= 9, name


def test_a_mirrored_cohort_has_the_same_distances() -> None:
    index = cohort()
    counts = stacks(index, place=1)
    one, other = (
        hours_contrast(pair("AM", "AF", index), windows(x, 1.0, 3), 99, 0) for x in (counts, counts[..., ::-1])
    )
    np.testing.assert_allclose(one.distance, other.distance, rtol=1e-3)


def test_days_are_pooled_by_clock_hour() -> None:
    made = windows(stacks(cohort(2)), 1.0, 1)
    found = pooled(made, np.tile([3, 0, 1, 2], 3))
    np.testing.assert_allclose(found.plain[0], made.plain[[1, 5, 9]].mean(axis=0))
    np.testing.assert_allclose(found.stops[:, 3], made.stops[:, [0, 4, 8]].sum(axis=1))


def test_a_pair_of_too_few_cages_has_distances_and_no_significance() -> None:
    index = cohort(4)
    found = hours_contrast(pair("AM", "AF", index), windows(stacks(index, place=2), 1.0, 3), 99, 0)
    assert found.arrangements == 0
    assert (found.p == 1).all()
    assert np.isfinite(found.log_stops).all()
