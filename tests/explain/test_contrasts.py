"""Places in which classes differ: the right sign in the right tiles, and zones as Student would have them."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

from cohorts import cohort, members
from lmtcnn.explain.contrasts import contrast, zone_contrast, zone_mask
from lmtcnn.explain.pairs import Pair, pairs_of


def pair(a: str, b: str, index: pl.DataFrame) -> Pair:
    return next(found for found in pairs_of(index, members(index)) if (found.a, found.b) == (a, b))


def maps(index: pl.DataFrame, seed: int = 0, planted: float = 0.0) -> np.ndarray:
    """Shares of 8 x 8 tiles; AF stops more in the upper left 2 x 2 tiles."""
    made = np.random.default_rng(seed).gamma(20, 1, (index.height, 8, 8))
    made[(index["class"] == "AF").to_numpy(), :2, :2] *= 1 + planted
    return made / made.sum(axis=(1, 2), keepdims=True)


@pytest.mark.parametrize(("other", "sign"), [("AM", -1), ("JF", 1)])
def test_tiles_that_one_class_prefers_are_marked_with_their_sign_and_no_others(other: str, sign: int) -> None:
    index = cohort(12)
    a, b = ("AM", "AF") if other == "AM" else ("AF", "JF")
    found = contrast(pair(a, b, index), maps(index, planted=2), 999, 0)
    assert (found.p[:2, :2] <= 0.05).all()
    assert (np.sign(found.difference[:2, :2]) == sign).all()
    assert (np.sign(found.t) == np.sign(found.difference)).all()
    wrong = found.p <= 0.05
    wrong[:2, :2] = False
    assert (np.sign(found.difference[wrong]) == -sign).all()  # shares sum to 1: what is more here is less elsewhere


def test_differences_are_per_mille_of_shares_and_sum_to_nothing() -> None:
    index = cohort()
    found = contrast(pair("AM", "AF", index), maps(index, planted=1), 99, 0)
    shares = maps(index, planted=1)
    by_hand = shares[members(index)["AM"]].mean(axis=0) - shares[members(index)["AF"]].mean(axis=0)
    np.testing.assert_allclose(found.difference, 1000 * by_hand)
    assert found.difference.sum() == pytest.approx(0, abs=1e-9)


def test_arrangements_and_the_least_p_are_told() -> None:
    found = contrast(pair("AM", "AF", cohort(12)), maps(cohort(12)), 999, 0)
    assert (found.arrangements, found.least_p) == (461, pytest.approx(1 / 462))
    assert found.p.min() >= found.least_p


def test_mirrored_mice_give_mirrored_maps() -> None:
    index = cohort()
    one = contrast(pair("AM", "AF", index), maps(index, planted=1), 99, 0)
    other = contrast(pair("AM", "AF", index), maps(index, planted=1)[:, :, ::-1], 99, 0)
    np.testing.assert_allclose(other.difference, one.difference[:, ::-1])
    np.testing.assert_allclose(other.p, one.p[:, ::-1])


def test_of_null_cohorts_few_have_a_tile_that_is_marked() -> None:
    """Of 100 cohorts 5 are expected; more than 11 have a probability below 0.01."""
    index = cohort(8, 1)
    one = pair("AM", "AF", index)
    marked = [(contrast(one, maps(index, seed), 99, 0).p <= 0.05).any() for seed in range(100)]
    assert sum(marked) <= 11


def test_a_pair_of_too_few_cages_has_a_difference_and_no_significance() -> None:
    index = cohort(4)
    found = contrast(pair("AM", "AF", index), maps(index, planted=2), 99, 0)
    assert found.pair.refused
    assert (found.p == 1).all()
    assert (found.difference[:2, :2] < 0).all()


def test_zones_cover_the_tiles_whose_middle_lies_inside() -> None:
    circle = zone_mask({"shape": "circle", "x_cm": 0.0, "y_cm": 10.0, "radius_cm": 2.0}, 10, (10.0, 10.0))
    assert [tuple(place) for place in np.argwhere(circle).tolist()] == [(8, 0), (9, 0), (9, 1)]
    wide = {"shape": "rectangle", "x_cm": 2.0, "y_cm": 0.0, "width_cm": 3.0, "height_cm": 1.0}
    assert np.flatnonzero(zone_mask(wide, 10, (10.0, 10.0))).tolist() == [2, 3, 4]


@pytest.mark.parametrize(("a", "b"), [("AM", "AF"), ("AF", "JF")])
def test_a_zone_s_ratio_is_student_s_of_the_logarithms_of_cages(a: str, b: str) -> None:
    index = cohort()
    share = maps(index, planted=1)[:, :2, :2].sum(axis=(1, 2))
    found = zone_contrast(pair(a, b, index), "corner", share, 0.001)
    logs = [
        np.log([share[(index["class"] == name).to_numpy() & (index["cage"] == cage).to_numpy()].mean() + 0.001
                for cage in index.filter(pl.col("class") == name)["cage"].unique(maintain_order=True)])
        for name in (a, b)
    ]  # fmt: skip
    test = stats.ttest_rel if a == "AF" else stats.ttest_ind
    expected = test(*logs)
    low, high = expected.confidence_interval(0.95)
    told = (found.log_ratio, found.low, found.high, found.p)
    assert told == pytest.approx((logs[0].mean() - logs[1].mean(), low, high, expected.pvalue))


def test_a_zone_of_classes_with_one_cage_has_a_ratio_and_no_interval() -> None:
    index = cohort(2)
    found = zone_contrast(pair("AM", "AF", index), "corner", maps(index)[:, 0, 0], 0.001)
    assert np.isfinite(found.log_ratio)
    assert np.isnan([found.low, found.high, found.p]).all()
