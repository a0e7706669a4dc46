"""Do classes differ at all? Two tests before any tile, zone or hour of any pair is marked.

Six pairs of classes, each tested at 5 %, would mark something in far more than 5 % of the studies in which classes do
not differ. So nothing is marked unless a test of all pairs together, in which all label columns are arranged at once,
says that there is a difference: a protected procedure, like Fisher's. There are two such tests, corrected for each
other by Holm, so that anything is marked in at most 5 % of such studies:

    places   the largest |moderated t| of all pairs and tiles; tiles, zones and distances by hour wait for it
    hours    the largest of all pairs and windows of what departs from a sample's own map, and of the ratio of stops
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmtcnn.evaluate.arrangements import Codes
from lmtcnn.evaluate.design import JOINT, Design, NotTestableError
from lmtcnn.explain.hours import Windows, distances, standardised
from lmtcnn.explain.pairs import Floats, holm, max_t

LEVEL = 0.05
"""A p up to this is marked."""

PORTION = 2_000_000
"""Means of cages that are in memory at a time."""


@dataclass(frozen=True)
class Gates:
    """Results of the two tests: p of `places` and `hours`, by Holm; how many arrangements; or why there is no test."""

    places: float
    hours: float
    arrangements: int
    refused: str = ""

    @property
    def marks_places(self) -> bool:
        """Whether tiles and zones may be marked."""
        return self.places <= LEVEL

    @property
    def marks_hours(self) -> bool:
        """Whether hours may be marked."""
        return self.hours <= LEVEL


def open_gates(design: Design, maps: Floats, made: Windows, most: int, seed: int) -> Gates:
    """Test whether any classes differ in their places, and whether in their hours.

    Parameters
    ----------
    design
        All label columns.
    maps
        (S, N, N) smoothed shares.
    made
        Inner products and stops of all windows.
    most
        Arrangements of the labels: all distinct ones where there are no more (`explain.arrangements`).
    seed
        Of the arrangements that are drawn.
    """
    try:
        labels = labellings(design, most, seed)
    except NotTestableError as error:
        return Gates(1.0, 1.0, 0, str(error))
    found = holm([tiles_p(maps, labels, design.cages), hours_p(made.departure, made.stops, labels, design.cages)])
    return Gates(found[0], found[1], len(labels) - 1)


def labellings(design: Design, most: int, seed: int) -> Codes:
    """Numbers of combinations of labels (1 + A, S): as they are, then at most so many arrangements of all columns.

    Raises
    ------
    NotTestableError
        Where the design allows none.
    """
    arranged = design.arrangements(JOINT, most, seed)
    return np.concatenate([design.observed().joint, arranged.joint])


def tiles_p(maps: Floats, labels: Codes, cages: Codes) -> float:
    """Test whether any two combinations of labels differ in any tile.

    The statistic is the largest |moderated t| of all pairs and tiles.

    Parameters
    ----------
    maps
        (S, N, N) smoothed shares.
    labels
        (1 + A, S), see `labellings`.
    cages
        (S,) number of each sample's cage.
    """
    largest = np.abs(pairwise_t(maps.reshape(len(maps), -1), labels, cages)).max(axis=(1, 2))
    return float(max_t(largest[:1], largest[1:, None])[0])


def hours_p(departure: Floats, stops: Floats, labels: Codes, cages: Codes) -> float:
    """Test whether any two combinations of labels differ in any window, in what is of that window alone.

    Statistics of every pair and window are the squared distance of departures, and the squared t of the ratio of stops;
    each is scaled by its own mean and spread over arrangements, and the largest of all counts.

    Parameters
    ----------
    departure
        (T, S, S) inner products (`hours.windows`).
    stops
        (S, T) of each sample in each window.
    labels, cages
        As in `tiles_p`.
    """
    made = [np.square(pairwise_t(np.log(stops + 0.5), labels, cages)).reshape(len(labels), -1)]
    for a, b in _pairs(labels):
        of_pair = np.where(labels == a, 0, np.where(labels == b, 1, 2))
        made.append(distances(departure, of_pair, cages))
    every = np.concatenate(made, axis=1)
    observed, null = standardised(every[:1], every[1:])
    return float(max_t(observed.max(axis=1), null.max(axis=1, keepdims=True))[0])


def pairwise_t(values: Floats, labels: Codes, cages: Codes) -> Floats:
    """Moderated t over cages of every two labels, (A, pairs, P), of values (S, P) under labellings (A, S)."""
    n_cages, n_labels = int(cages.max()) + 1, int(labels.max()) + 1
    size = max(1, PORTION // (n_cages * n_labels * values.shape[1]))
    values = values - values.mean(axis=0)  # squares of what is near 0 lose no digits when they are subtracted
    parts = []
    for start in range(0, len(labels), size):
        cell = labels[start : start + size] * n_cages + cages  # (A, S)
        chosen = (cell[:, None] == np.arange(n_labels * n_cages)[:, None]).astype(np.float64)
        counts = chosen.sum(axis=2, keepdims=True)
        means = ((chosen / np.maximum(counts, 1)) @ values).reshape(len(cell), n_labels, n_cages, -1)
        there = (counts > 0).reshape(len(cell), n_labels, n_cages)
        own = [_moments(means[:, label], there[:, label]) for label in range(n_labels)]
        found = [_t_of_pair(means[:, [a, b]], there[:, [a, b]], own[a], own[b]) for a, b in _pairs(labels)]
        parts.append(np.stack(found, axis=1) if found else np.zeros((len(cell), 1, values.shape[1])))
    return np.concatenate(parts)


def _pairs(labels: Codes) -> Sequence[tuple[int, int]]:
    return list(itertools.combinations(range(int(labels.max()) + 1), 2))


class _Moments(NamedTuple):
    """Mean (A, P) over cages, sum of squares (A, P) about it, and number (A, 1) of cages."""

    mean: Floats
    squares: Floats
    n: Floats


def _t_of_pair(means: Floats, there: NDArray[np.bool_], zero: _Moments, one: _Moments) -> Floats:
    """Moderated t (A, P) of two labels' means of cages (A, 2, C, P), of those cages that have them (A, 2, C).

    `zero` and `one` are of each label alone: where no cage has both labels, it is a t of two groups of cages.
    """
    found = np.zeros((len(means), means.shape[-1]))
    both = there[:, 0] & there[:, 1]
    paired = both.any(axis=1)
    if paired.any():
        made = _moments(means[paired, 0] - means[paired, 1], both[paired])
        found[paired] = _moderated(made.mean, made.squares, made.n - 1, 1 / made.n)
    if not paired.all():
        zero, one = (_Moments(*(part[~paired] for part in made)) for made in (zero, one))
        share = 1 / zero.n + 1 / one.n
        found[~paired] = _moderated(zero.mean - one.mean, zero.squares + one.squares, zero.n + one.n - 2, share)
    return found


def _moments(values: Floats, there: NDArray[np.bool_]) -> _Moments:
    """Moments over the cages that are `there` (A, C), of values (A, C, P)."""
    weights = there.astype(np.float64)[:, None]  # (A, 1, C)
    n = np.maximum(weights.sum(axis=2), 1)
    mean = (weights @ values)[:, 0] / n
    return _Moments(mean, np.maximum((weights @ np.square(values))[:, 0] - n * np.square(mean), 0), n)


def _moderated(difference: Floats, squares: Floats, df: Floats, share: Floats) -> Floats:
    """Difference / (error + its median), error^2 = squares / df * share; 0 where there is no degree of freedom."""
    error = np.sqrt(squares / np.maximum(df, 1) * share)
    below = error + np.median(error, axis=1, keepdims=True)
    return np.where(df > 0, np.divide(difference, below, out=np.zeros_like(below), where=below > 0), 0.0)
