"""p values and chance of a method by arrangements of the labels."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from lmtcnn.evaluate import permutation
from lmtcnn.evaluate.design import JOINT, Design
from lmtcnn.evaluate.permutation import balanced_accuracy, marginal, outcome

SEX = ["M", "F", "M", "F", "M", "F"]


def design(ages: tuple[str, ...] = ("j", "a")) -> Design:
    """Six cages of two mice of one sex, recorded at two ages."""
    rows = [(f"c{c}", f"c{c}{age}", f"c{c}m{m}", sex, age) for c, sex in enumerate(SEX) for age in ages for m in (1, 2)]
    cage, recording, animal, sex, age = zip(*rows, strict=True)
    return Design({"sex": sex, "age": age}, cage, recording, animal)


def knows_age(labels: np.ndarray) -> dict[str, np.ndarray]:
    """A method that sees how old a mouse is, whatever labels say, and no sex: the class of value (0, age)."""
    there = np.array([0, 0, 1, 1] * 6)
    return {"seer": np.tile(there, (len(labels), 1))}


def test_p_counts_the_observed_labels_as_one_of_the_arrangements() -> None:
    found = outcome(0.5, np.array([0.4, 0.5, 0.6, 0.1]), np.array([0.2, 0.2, 0.4, 0.4]))
    assert found.p == (1 + 2) / (1 + 4)
    assert found.null_mean == pytest.approx(0.4)
    assert found.chance == pytest.approx(0.3)


def test_rounding_does_not_make_an_equal_arrangement_worse() -> None:
    assert outcome(0.1 + 0.2, np.array([0.3]), np.array([0.0])).p == 1


def test_a_method_that_sees_one_column_is_told_by_that_columns_test_alone() -> None:
    age = permutation.test(design(), "age", knows_age, 999, 0)
    sex = permutation.test(design(), "sex", knows_age, 999, 0)
    assert (age.distinct, age.used, age.least_p) == (32, 31, 1 / 32)
    assert age.outcomes["seer"].observed == 1
    assert age.outcomes["seer"].p == 1 / 32
    assert (sex.distinct, sex.used) == (10, 9)
    assert sex.outcomes["seer"].observed == 0.5
    assert sex.outcomes["seer"].p == 1


def test_the_joint_test_takes_balanced_accuracy_of_the_classes() -> None:
    found = permutation.test(design(), JOINT, knows_age, 999, 0)
    assert (found.distinct, found.used) == (320, 319)
    assert found.outcomes["seer"].observed == 0.5  # of two classes of four everything, of the others nothing
    assert found.exchanged.startswith("sex: whole cages exchanged; age: ")


def test_a_refused_column_has_a_reason_and_no_outcome() -> None:
    found = permutation.test(design(("a",)), "age", knows_age, 999, 0)
    assert (found.refused, found.outcomes, found.used) == ("age has one value", {}, 0)


def test_balanced_accuracy_is_the_usual_one() -> None:
    rng = np.random.default_rng(0)
    truth, guesses = rng.integers(0, 3, (5, 40)), rng.integers(0, 4, (5, 40))
    truth[1][truth[1] == 2] = 0  # a label that is not there
    expected = [np.mean([(g[t == v] == v).mean() for v in np.unique(t)]) for t, g in zip(truth, guesses, strict=True)]
    np.testing.assert_allclose(balanced_accuracy(truth, guesses), expected)
    known = guesses[0].clip(0, 2)
    assert balanced_accuracy(truth[:1], known[None])[0] == pytest.approx(balanced_accuracy_score(truth[0], known))


def test_the_marginal_of_a_column_sums_probabilities_of_its_classes() -> None:
    """AM alone is most probable, but females together are more so."""
    p = np.array([[0.4, 0.05, 0.3, 0.25], [0.25, 0.25, 0.25, 0.25]])
    assert marginal(p, [0, 0, 1, 1]).tolist() == [1, 0]
    assert marginal(p, [0, 1, 0, 1]).tolist() == [0, 0]


def test_p_of_a_method_that_learns_nothing_is_not_too_small() -> None:
    """100 studies of noise: p <= 0.2 no more often than a binomial of 100 x 0.2 allows."""
    made = design()
    small = 0
    for seed in range(100):
        noise = np.random.default_rng(seed).random(24)

        def guess(labels: np.ndarray, noise: np.ndarray = noise) -> dict[str, np.ndarray]:
            """The nearest sample of another cage by a number that means nothing."""
            far = np.abs(noise[:, None] - noise) + 9 * (made.cages[:, None] == made.cages)
            return {"noise": labels[:, far.argmin(axis=1)]}

        small += permutation.test(made, "age", guess, 999, 0).outcomes["noise"].p <= 0.2
    assert 0 < small <= 31
