"""The tests before anything is marked: each opens for its own kind of effect, and seldom for none."""

import numpy as np
import polars as pl
import pytest

from cohorts import cohort, members, stacks
from lmtcnn.evaluate.design import Design
from lmtcnn.explain.gate import Gates, open_gates, pairwise_t
from lmtcnn.explain.hours import windows
from lmtcnn.explain.pairs import effects, moderated, pairs_of
from lmtcnn.histograms.shares import shares


def design(index: pl.DataFrame) -> Design:
    of = {name: index[name].to_list() for name in ("sex", "age", "cage", "recording", "animal")}
    return Design({"sex": of["sex"], "age": of["age"]}, of["cage"], of["recording"], of["animal"])


def gates(index: pl.DataFrame, counts: np.ndarray, most: int = 199) -> Gates:
    return open_gates(design(index), shares(counts, 1.0), windows(counts, 1.0, 3), most, 0)


def test_an_effect_of_place_opens_the_gate_of_places_alone() -> None:
    index = cohort(12)
    found = gates(index, stacks(index, place=1.5))
    assert found.marks_places
    assert not found.marks_hours
    assert found.arrangements == 199
    assert gates(index, stacks(index, place=1.5), 39).arrangements == 39


@pytest.mark.parametrize("effect", [{"time": 0.9}, {"rate": 0.8}], ids=["places by hour", "stops by hour"])
def test_an_effect_of_time_opens_the_gate_of_hours(effect: dict[str, float]) -> None:
    index = cohort(12)
    found = gates(index, stacks(index, **effect))
    assert found.marks_hours
    assert not found.marks_places


def test_of_null_cohorts_few_open_any_gate() -> None:
    """Of 60 cohorts 3 are expected; more than 9 have a probability below 0.01."""
    index = cohort(8, 1)
    found = [gates(index, stacks(index, seed)) for seed in range(60)]
    assert sum(each.marks_places or each.marks_hours for each in found) <= 9


def test_the_t_of_every_pair_is_that_of_the_pair_alone() -> None:
    index = cohort(8)
    values = np.random.default_rng(0).normal(size=(index.height, 5))
    labels = design(index).observed().joint
    found = pairwise_t(values, labels, design(index).cages)
    own = {
        one.words: moderated(effects(one, values[one.rows], one.labels))[0] for one in pairs_of(index, members(index))
    }
    order = ["AM against JM", "AM against AF", "AM against JF", "JM against AF", "JM against JF", "AF against JF"]
    np.testing.assert_allclose(np.abs(found[0]), np.abs([own[name] for name in order]))


def test_arrangements_are_taken_in_portions_and_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    index = cohort(8)
    values = np.random.default_rng(0).normal(size=(index.height, 5))
    labels = design(index).arrangements("joint", 20, 0).joint
    whole = pairwise_t(values, labels, design(index).cages)
    monkeypatch.setattr("lmtcnn.explain.gate.PORTION", 1)
    np.testing.assert_allclose(pairwise_t(values, labels, design(index).cages), whole)


def test_a_design_that_leaves_nothing_to_exchange_opens_no_gate_and_says_why() -> None:
    index = cohort(2)
    found = gates(index, stacks(index, place=9))
    assert "no other arrangement of sex is possible" in found.refused
    assert (found.marks_places, found.marks_hours) == (False, False)
