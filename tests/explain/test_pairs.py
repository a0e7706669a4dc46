"""Two classes side by side: which samples count, differences by cage, and corrections for many places."""

import math

import numpy as np
import polars as pl
import pytest
from scipy import stats

from cohorts import CLASSES, cohort, members
from lmtcnn.explain.pairs import Pair, cage_weights, effects, holm, max_t, moderated, pairs_of


def pair(a: str, b: str, index: pl.DataFrame | None = None) -> Pair:
    index = cohort() if index is None else index
    return next(found for found in pairs_of(index, members(index)) if (found.a, found.b) == (a, b))


def values(index: pl.DataFrame, seed: int = 0, places: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(index.height, places))


def test_every_pair_of_classes_with_samples_comes_in_their_order() -> None:
    found = [(one.a, one.b, one.is_paired) for one in pairs_of(cohort(), members(cohort()))]
    assert found == [
        ("AM", "JM", True), ("AM", "AF", False), ("AM", "JF", False), ("JM", "AF", False), ("JM", "JF", False),
        ("AF", "JF", True),
    ]  # fmt: skip
    present = cohort().filter(pl.col("class") != "JM")
    assert {one.words for one in pairs_of(present, members(present))} == {
        "AM against AF",
        "AM against JF",
        "AF against JF",
    }


def test_values_of_a_label_stand_for_several_classes_and_overlap_with_none() -> None:
    chosen = members(cohort(), M=["AM", "JM"], F=["AF", "JF"], adult=["AM", "AF"])
    found = [(one.a, one.b) for one in pairs_of(cohort(), chosen)]
    assert found == [("M", "F")]


def test_between_cages_the_difference_is_student_s_of_cage_means() -> None:
    index = cohort()
    x, one = values(index), pair("AM", "AF")
    effect = effects(one, x[one.rows], one.labels)
    by_cage = index.with_row_index().group_by("cage", "class", maintain_order=True).agg("index")
    means = {
        name: np.array([x[rows].mean(axis=0) for _, c, rows in by_cage.iter_rows() if c == name]) for name in CLASSES
    }
    expected = stats.ttest_ind(means["AM"], means["AF"])
    np.testing.assert_allclose(effect.difference[0], means["AM"].mean(axis=0) - means["AF"].mean(axis=0))
    np.testing.assert_allclose(effect.difference[0] / effect.error[0], expected.statistic)
    assert effect.df == expected.df[0] == 6


def test_within_cages_the_difference_is_that_of_pairs() -> None:
    index = cohort()
    x, one = values(index), pair("AF", "JF")
    effect = effects(one, x[one.rows], one.labels)
    by_cage = index.with_row_index().group_by("cage", "class", maintain_order=True).agg("index")
    means = {
        name: np.array([x[rows].mean(axis=0) for _, c, rows in by_cage.iter_rows() if c == name]) for name in CLASSES
    }
    expected = stats.ttest_rel(means["AF"], means["JF"])
    np.testing.assert_allclose(effect.difference[0] / effect.error[0], expected.statistic)
    assert effect.df == 3


@pytest.mark.parametrize("names", [("AM", "AF"), ("AM", "JM")])
def test_an_arrangement_is_what_the_labels_would_have_been(names: tuple[str, str]) -> None:
    index = cohort(mice=3)
    x, one = values(index), pair(*names, index)
    arranged = one.arrangements(99, seed=0).columns["class"]
    assert 5 < len(arranged) < 36
    found = effects(one, x[one.rows], arranged)
    for place, labels in enumerate(arranged):
        alone = effects(one, x[one.rows], labels[None])
        np.testing.assert_allclose(found.difference[place], alone.difference[0])
        zero, other = (x[one.rows][labels == value] for value in (0, 1))
        np.testing.assert_allclose(one.sign * alone.difference[0], zero.mean(axis=0) - other.mean(axis=0))


def test_cages_without_both_classes_are_left_out_of_a_paired_difference() -> None:
    index = cohort().filter(~((pl.col("cage") == "c0") & (pl.col("class") == "JM")))
    one = pair("AM", "JM", index)
    assert set(index["cage"][one.rows.tolist()]) == {"c2", "c4", "c6"}
    assert not one.refused
    assert cage_weights(one, one.labels).shape == (1, 3, 12)


@pytest.mark.parametrize(("cages", "words"), [(4, "2 cages with both"), (5, "2 cages of one of them")])
def test_too_few_cages_are_refused_in_words(cages: int, words: str) -> None:
    index = cohort(cages)
    one = pair("AM", "JM", index) if "both" in words else pair("AM", "AF", index)
    assert one.refused == f"{words}, at least 3 are needed"


def test_the_family_wise_p_counts_the_arrangements_whose_largest_reaches_it() -> None:
    null = np.array([[1.0, 5.0], [2.0, 2.0], [3.0, 0.0]])
    np.testing.assert_allclose(max_t(np.array([6.0, 3.0, 2.5, 0.0]), null), [1 / 4, 3 / 4, 3 / 4, 1])


def test_a_moderated_t_keeps_places_of_hardly_any_spread_from_standing_out() -> None:
    index = cohort()
    x, one = values(index, places=9), pair("AM", "AF")
    x[:, 0] *= 1e-9
    t = moderated(effects(one, x[one.rows], one.labels))[0]
    assert abs(t[0]) < 1e-6 < np.abs(t[1:]).max()
    assert not moderated(effects(one, 0 * x[one.rows], one.labels)).any()


def test_holm_is_that_of_the_paper() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    found = holm([0.02, math.nan, 0.9])
    assert (found[0], found[2], math.isnan(found[1])) == (pytest.approx(0.04), pytest.approx(0.9), True)
