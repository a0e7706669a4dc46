"""How often labels that mean nothing do as well: permutation tests of label columns, one at a time and jointly.

p = (1 + b) / (1 + n), with b of n arrangements at least as good as the observed labels (Phipson & Smyth 2010, Stat.
Appl. Genet. Mol. Biol. 9:39): never 0, and no smaller than the design allows. An arrangement goes through everything
that the observed labels go through: every fold is fitted anew to it, and its own held-out labels are what it is scored
by.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmtcnn.evaluate.arrangements import Arrangements, Codes
from lmtcnn.evaluate.design import JOINT, Design, NotTestableError

Label = Callable[[Codes], Mapping[str, Codes]]
"""Labels (A, S) -> method -> its out-of-fold labels (A, S)."""


@dataclass(frozen=True)
class Outcome:
    """Result of a permutation test of one method.

    Attributes
    ----------
    observed
        The statistic of the observed labels, balanced accuracy.
    p
        (1 + b) / (1 + n).
    null_mean
        Mean of the statistic over the arrangements.
    chance
        Mean accuracy, over all classes, over the arrangements.
    """

    observed: float
    p: float
    null_mean: float
    chance: float


@dataclass(frozen=True)
class Test:
    """The permutation test of a column, or of all: what was exchanged, and what came out for each method.

    Attributes
    ----------
    name
        The column, or `JOINT`.
    exchanged
        What was exchanged, in words.
    distinct
        Distinct arrangements up to renaming, the observed one among them.
    used
        Arrangements n that were looked at, without the observed one.
    least_p
        The least p that was possible.
    refused
        Why there is no test, in words; empty where there is one.
    outcomes
        Method -> what came out; empty where there is no test.
    """

    name: str
    exchanged: str
    distinct: int
    used: int
    least_p: float
    refused: str
    outcomes: dict[str, Outcome]


def test(design: Design, name: str, label: Label, most: int, seed: int) -> Test:
    """Test one column, the others as observed, or all columns at once.

    Parameters
    ----------
    design
        The study.
    name
        A column, or `JOINT`.
    label
        Gives the out-of-fold labels of methods that know no probabilities.
    most
        At most so many arrangements; see `Design.arrangements`.
    seed
        Of their choice.

    Returns
    -------
    Test
        With balanced accuracy of the column's values that the predicted classes have; jointly, of the classes.
    """
    try:
        made = design.arrangements(name, most, seed)
    except NotTestableError as error:
        return Test(name, design.words(name), design.distinct(name), 0, 1.0, str(error), {})
    observed = design.observed()
    truth, null = observed.joint, made.joint
    guesses, null_guesses = label(truth), label(null)
    outcomes = {
        method: outcome(
            float(statistic(observed, name, truth, guesses[method])[0]),
            statistic(made, name, null, null_guesses[method]),
            (null == null_guesses[method]).mean(axis=1),
        )
        for method in guesses
    }
    least = 1 / (1 + len(made))
    return Test(name, design.words(name), design.distinct(name), len(made), least, "", outcomes)


def outcome(observed: float, null: NDArray[np.float64], accuracies: NDArray[np.float64]) -> Outcome:
    """Find p of a statistic by that of n arrangements (n,); equal ones, to rounding, count as at least as good."""
    better = int((null >= observed - 1e-12).sum())
    return Outcome(observed, (1 + better) / (1 + len(null)), float(null.mean()), float(accuracies.mean()))


def statistic(made: Arrangements, name: str, truth: Codes, guesses: Codes) -> NDArray[np.float64]:
    """Balanced accuracy (A,) of a column's values in the classes (A, S), or of the classes for `JOINT`."""
    if name == JOINT:
        return balanced_accuracy(truth, guesses)
    return balanced_accuracy(made.values_of(truth, name), made.values_of(guesses, name))


def balanced_accuracy(truth: Codes, guesses: Codes) -> NDArray[np.float64]:
    """Mean recall over the labels that are there, (A,), of rows of labels (A, S)."""
    total, there = np.zeros(len(truth)), np.zeros(len(truth))
    for value in range(int(truth.max()) + 1):
        own = truth == value
        n = own.sum(axis=1)
        total += np.where(n > 0, (own & (guesses == value)).sum(axis=1) / np.maximum(n, 1), 0)
        there += n > 0
    return np.asarray(total / there)


def marginal(probabilities: NDArray[np.float64], values: Sequence[int]) -> Codes:
    """The most probable value of a label column, of a method that knows probabilities.

    Parameters
    ----------
    probabilities
        (..., classes).
    values
        The number of the column's value in each class.

    Returns
    -------
    ndarray
        (...) the value whose classes have the greatest sum of probabilities; ties: the lowest number.
    """
    chosen = np.asarray(values)
    sums = [probabilities[..., chosen == value].sum(axis=-1) for value in range(int(chosen.max()) + 1)]
    return np.asarray(np.stack(sums, axis=-1).argmax(axis=-1), dtype=np.int64)
