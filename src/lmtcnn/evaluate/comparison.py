"""Two methods on the same samples: their difference, cage by cage.

Each cage is labelled by both, so a cage that is hard for one and hard for the other says nothing of their difference.
Under the null hypothesis the methods could be exchanged within any cage, so that each cage's difference is as likely to
have the other sign: all 2^n signs are counted, without drawing any. Several comparisons share one error by Holm's
step-down rule (Holm 1979, Scandinavian Journal of Statistics 6:65).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmtcnn.evaluate.arrangements import Codes
from lmtcnn.evaluate.intervals import LEAST_CAGES, LEVEL, mean_interval


@dataclass(frozen=True)
class Comparison:
    """One method less another one, on the same samples.

    Attributes
    ----------
    difference, low, high
        Of accuracy, with the ends of its interval, nan where there is none.
    p
        Of the exact sign-flip test over cages, two-sided; among several comparisons Holm's.
    cages, samples
        On which both were compared.
    words
        `matches`, `not distinguishable`, `better` or `worse`, or why nothing can be said; the last two only where
        p, too, is at most 0.05.
    """

    difference: float
    low: float
    high: float
    p: float
    cages: int
    samples: int
    words: str


def compare(ours: NDArray[np.int64], theirs: NDArray[np.int64], cages: Codes, of: int, within: float) -> Comparison:
    """Compare two methods by how often they label samples right.

    The difference of accuracies is the mean over n cages of d_c = n / S * (a's right samples - b's), S samples in all,
    and its interval is mean -+ t(n - 1) * sd / sqrt(n).

    Parameters
    ----------
    ours, theirs
        (S,) in how many of `of` tries a sample was labelled right: of 1, or of as many as there are networks.
    cages
        (S,) numbers.
    of
        Tries.
    within
        A difference whose interval stays within this matches.

    Returns
    -------
    Comparison
        With p of these two alone; see `holm`.
    """
    names = np.unique(cages)
    sums = np.array([int((ours - theirs)[cages == name].sum()) for name in names])
    mean, low, high = mean_interval(sums * (len(names) / (len(cages) * of)))
    words = say(low, high, within) if len(names) >= LEAST_CAGES else f"{len(names)} cages, fewer than {LEAST_CAGES}"
    p = sign_flip(sums)
    return Comparison(mean, low, high, p, len(names), len(cages), _sure(words, p))


def say(low: float, high: float, within: float) -> str:
    """Say in a word what the interval of a difference allows."""
    if -within <= low and high <= within:
        return "matches"
    if low <= 0 <= high:
        return "not distinguishable"
    return "better" if low > 0 else "worse"


def _sure(words: str, p: float) -> str:
    """Withdraw `better` and `worse` where the interval allows them and the test, corrected or not, does not."""
    return "not distinguishable" if words in ("better", "worse") and p > 1 - LEVEL else words


def sign_flip(sums: NDArray[np.int64]) -> float:
    """Two-sided p of the exact sign-flip test: the share of all 2^n signs of whole numbers with |sum| >= |observed|.

    The sums of all signs are counted by adding one number after the other (their distribution is a convolution), so
    that 2^n is never walked through.
    """
    sizes = np.abs(sums)
    reach = int(sizes.sum())
    chance = np.zeros(2 * reach + 1)  # of the sums from -reach to reach
    chance[reach] = 1
    for size in sizes.tolist():
        chance = (np.roll(chance, size) + np.roll(chance, -size)) / 2
    far = np.abs(np.arange(-reach, reach + 1)) >= abs(int(sums.sum()))
    return float(min(1.0, chance[far].sum()))


def holm(comparisons: Mapping[str, Comparison]) -> dict[str, Comparison]:
    """Correct the p of comparisons by Holm: the k-th smallest of m times m - k + 1, never less than those before it."""
    ordered = sorted(comparisons, key=lambda name: comparisons[name].p)
    found, least = {}, 0.0
    for place, name in enumerate(ordered):
        least = max(least, min(1.0, comparisons[name].p * (len(ordered) - place)))
        found[name] = least
    return {name: _with_p(made, found[name]) for name, made in comparisons.items()}


def _with_p(made: Comparison, p: float) -> Comparison:
    return Comparison(made.difference, made.low, made.high, p, made.cages, made.samples, _sure(made.words, p))
