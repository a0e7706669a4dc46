"""Arrangements: counted, enumerated, drawn and named."""

import numpy as np

from lmtcnn.evaluate.arrangements import Arrangements, Exchange, canonical, combine, numbered

TWO_CAGES = Exchange("animals", "cages", np.arange(6), np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 1, 1, 0, 0]))
"""Three animals in each of two cages, one of each cage with label 1."""


def test_renamed_labels_are_one_arrangement() -> None:
    codes = np.array([[1, 1, 0, 2], [0, 0, 2, 1], [2, 0, 0, 1]])
    assert canonical(codes).tolist() == [[0, 0, 1, 2], [0, 0, 1, 2], [0, 1, 1, 2]]


def test_names_follow_the_first_appearance() -> None:
    assert numbered(["b", "a", "b", "c"]).tolist() == [0, 1, 0, 2]


def test_a_combination_of_labels_has_one_number() -> None:
    assert combine([np.array([[1, 0]]), np.array([[2, 1]])], [2, 3]).tolist() == [[5, 1]]
    made = Arrangements({"x": np.array([[0, 1, 1]]), "y": np.array([[0, 2, 1]])}, False)
    assert made.joint.tolist() == [[0, 5, 4]]
    assert made.values_of(made.joint, "x").tolist() == [[0, 1, 1]]
    assert made.values_of(made.joint, "y").tolist() == [[0, 2, 1]]
    assert len(made) == 1


def test_each_stratum_keeps_its_labels() -> None:
    orders = {tuple(order.tolist()) for order in TWO_CAGES.all()}
    assert TWO_CAGES.distinct == len(orders) == 9
    assert all(sorted(order[:3]) == sorted(order[3:]) == [0, 0, 1] for order in orders)
    random = np.random.default_rng(0)
    assert {tuple(TWO_CAGES.draw(random).tolist()) for _ in range(300)} == orders


def test_an_animal_is_moved_as_a_whole() -> None:
    assert [units.tolist() for units in TWO_CAGES.strata] == [[0, 1, 2], [3, 4, 5]]
