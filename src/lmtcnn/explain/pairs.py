"""Two classes of a study side by side: whose labels may be exchanged, and differences that count by cage.

Mice of a cage are no independent draws, so a difference of two classes is one of cages. Where both classes live in a
cage, its own difference counts once (paired); where no cage holds both, the means of cages are compared (two samples).
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lmtcnn.evaluate.arrangements import Arrangements, Codes
from lmtcnn.evaluate.design import Design

Floats = NDArray[np.float64]

COLUMN = "class"
LEAST_CAGES = 3
"""Of fewer cages a class, or of fewer cages with both, no spread can be told."""


class Effect(NamedTuple):
    """Differences of two classes under A labellings: `difference` and its standard `error`, both (A, P); `df`."""

    difference: Floats
    error: Floats
    df: int


@dataclass(frozen=True)
class Pair:
    """The samples of two classes.

    Attributes
    ----------
    a, b
        The classes; differences are a minus b.
    rows
        (S,) places of their samples among those of the study.
    cages
        (S,) the number of each sample's cage.
    is_paired
        Whether differences are taken within cages.
    labels
        (1, S) the labels as they are: 0 or 1, named canonically as in every arrangement.
    sign
        1 where the canonical label 0 is class a, else -1.
    design
        What may be exchanged.
    refused
        Why these classes cannot be compared, in words; empty where they can.
    """

    a: str
    b: str
    rows: Codes
    cages: Codes
    is_paired: bool
    labels: Codes
    sign: int
    design: Design
    refused: str

    @property
    def words(self) -> str:
        """The pair as it is told: `AM against AF`."""
        return f"{self.a} against {self.b}"

    def arrangements(self, most: int, seed: int) -> Arrangements:
        """Other labellings that the design allows, all of them where they are at most `most`."""
        return self.design.arrangements(COLUMN, most, seed)


def pairs_of(index: pl.DataFrame, members: Mapping[str, NDArray[np.bool_]]) -> Iterator[Pair]:
    """Yield every two groups that have samples, in their order; groups that share a sample are no pair.

    Parameters
    ----------
    index
        The samples: columns `class`, `cage`, `recording`, `animal`.
    members
        Name of a group, a class or the value of a label -> (samples of the study,) whether each is of it.
    """
    present = [name for name, chosen in members.items() if chosen.any()]
    for a, b in itertools.combinations(present, 2):
        if not (members[a] & members[b]).any():
            yield pair_of(index, a, b, members[a], members[b])


def pair_of(index: pl.DataFrame, a: str, b: str, is_a: NDArray[np.bool_], is_b: NDArray[np.bool_]) -> Pair:
    """Put two groups of samples side by side; samples of cages that cannot be paired are left out.

    Parameters
    ----------
    index
        The samples of the study.
    a, b
        Names of the groups.
    is_a, is_b
        (samples of the study,) whether each is of the group.
    """
    cage_names = index["cage"].to_numpy()
    both = np.intersect1d(cage_names[is_a], cage_names[is_b])
    is_paired = len(both) > 0
    chosen = (is_a | is_b) & (np.isin(cage_names, both) if is_paired else True)
    rows = np.flatnonzero(chosen)
    own = index[rows]
    labels = np.where(is_a[rows], "a", "b")
    design = Design(
        {COLUMN: labels.tolist()}, own["cage"].to_list(), own["recording"].to_list(), own["animal"].to_list()
    )
    cages = np.unique(own["cage"].to_numpy(), return_inverse=True)[1]
    observed = design.observed().columns[COLUMN]
    sign = 1 if labels[0] == "a" else -1
    counts = [len(both)] if is_paired else [len(set(cages[labels == name].tolist())) for name in "ab"]
    few = f"{min(counts)} cages {'with both' if is_paired else 'of one of them'}, at least {LEAST_CAGES} are needed"
    refused = few if min(counts) < LEAST_CAGES else design.refused(COLUMN)
    return Pair(a, b, rows, cages, is_paired, observed, sign, design, refused)


def cage_weights(pair: Pair, labels: Codes) -> Floats:
    """Weights of samples that make each cage's part of a difference.

    Parameters
    ----------
    pair
        The samples.
    labels
        (A, S) canonical labels.

    Returns
    -------
    (A, C, S): with pairs, the mean of a cage's label 0 minus that of its label 1; without, the mean of a cage.
    """
    in_cage = pair.cages[None] == np.arange(pair.cages.max() + 1)[:, None]  # (C, S)
    if not pair.is_paired:
        means = in_cage / in_cage.sum(axis=1, keepdims=True)
        return np.broadcast_to(means, (len(labels), *means.shape))
    zero, one = (((labels == value)[:, None] & in_cage[None]).astype(np.float64) for value in (0, 1))
    return np.asarray(zero / zero.sum(axis=2, keepdims=True) - one / one.sum(axis=2, keepdims=True))


def effects(pair: Pair, values: Floats, labels: Codes) -> Effect:
    """Differences of the two classes under many labellings, counted by cage.

    Paired: the mean over C cages of their differences, with error sd / sqrt(C) and C - 1 degrees of freedom. Two
    samples: the difference of the means of n and m cages, with the pooled variance and n + m - 2 degrees of freedom
    (Student).

    Parameters
    ----------
    pair
        The samples.
    values
        (S, P) of each sample of the pair.
    labels
        (A, S) canonical labels.
    """
    if pair.is_paired:
        return _paired(pair, values, labels)
    cages = pair.cages.max() + 1
    means = cage_weights(pair, labels[:1])[0] @ values  # (C, P)
    first = np.array([np.flatnonzero(pair.cages == cage)[0] for cage in range(cages)])
    zero = (labels[:, first] == 0).astype(np.float64)  # (A, C)
    one = 1 - zero
    n, m = zero.sum(axis=1, keepdims=True), one.sum(axis=1, keepdims=True)
    centred = means - means.mean(axis=0)  # so that squares lose no digits
    mean_zero, mean_one = zero @ centred / n, one @ centred / m
    squares = np.square(centred).sum(axis=0) - n * np.square(mean_zero) - m * np.square(mean_one)
    df = int(cages - 2)
    error = np.sqrt(np.maximum(squares, 0) / df * (1 / n + 1 / m))
    return Effect(pair.sign * (mean_zero - mean_one), error, df)


def _paired(pair: Pair, values: Floats, labels: Codes) -> Effect:
    cages = int(pair.cages.max() + 1)
    weights = cage_weights(pair, labels)
    total, squares = np.zeros((2, len(labels), values.shape[1]))
    for cage in range(cages):
        found = weights[:, cage] @ values
        total += found
        squares += np.square(found)
    mean = total / cages
    variance = np.maximum(squares - cages * np.square(mean), 0) / (cages - 1)
    return Effect(pair.sign * mean, np.sqrt(variance / cages), cages - 1)


def max_t(observed: Floats, null: Floats) -> Floats:
    """Family-wise p of each of P places by the largest statistic of each arrangement (Westfall & Young 1993).

    Parameters
    ----------
    observed
        (P,) statistics of which larger ones speak against chance.
    null
        (A, P) those of A arrangements.

    Returns
    -------
    (P,): (1 + number of arrangements whose largest statistic reaches it) / (1 + A).
    """
    largest = np.sort(null.max(axis=1))
    reached = len(largest) - np.searchsorted(largest, observed - 1e-12 * np.abs(observed), side="left")
    return np.asarray((1 + reached) / (1 + len(largest)))


def moderated(effect: Effect) -> Floats:
    """Moderated t: difference / (error + s0), s0 the median error of all places (Tusher et al. 2001, PNAS 98).

    The constant keeps places in which hardly anybody stops, and whose error is therefore tiny, from standing out.
    """
    s0 = np.median(effect.error, axis=1, keepdims=True)
    below = effect.error + s0
    return np.asarray(np.divide(effect.difference, below, out=np.zeros_like(below), where=below > 0))


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down correction of several p (Holm 1979, Scand. J. Stat. 6); nan stays nan and does not count."""
    values = np.asarray(p, dtype=np.float64)
    known = np.flatnonzero(~np.isnan(values))
    found = np.full(len(values), math.nan)
    order = known[np.argsort(values[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    found[order] = np.minimum(1, np.maximum.accumulate(values[order] * factors))
    return [float(value) for value in found]
