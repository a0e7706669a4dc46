"""When classes differ: of the data alone, interval by interval.

The squared distance of two classes in an interval is estimated from inner products of different cages only, so that the
noise of a map, which is large where stops are few, does not look like a distance: its mean is 0 where classes do not
differ (the cross-validated distance of Walther et al. 2016, NeuroImage 137). Maps are shares of the stops of a window
of intervals around each, smoothed like those of `contrasts`.

Two distances are told. `distance`: how unlike the places of two classes are at that time. `excess`: the same of each
sample's departure from its own map over all intervals, which is nothing where two classes differ alike at all times.
Beside them stands how many more stops a class makes in the interval.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmtcnn.explain.pairs import Floats, Pair, effects, max_t, moderated
from lmtcnn.histograms.shares import gaussian

SCALE = 1e6
"""Squared distances are told of shares in per mille."""

PORTION = 4_000_000
"""Coefficients that are in memory at a time."""


@dataclass(frozen=True)
class Windows:
    """Inner products of samples' maps in T windows, (T, S, S); and stops of each sample in each window, (S, T)."""

    plain: Floats
    departure: Floats
    stops: Floats


@dataclass(frozen=True)
class HoursContrast:
    """When two classes differ: all (T,).

    `distance` and `excess` are squared, in per mille of shares, and can be negative by chance; `log_stops` is the
    natural logarithm of the ratio of stops, a over b. Each has a p that is family-wise over intervals.
    """

    pair: Pair
    distance: Floats
    p: Floats
    excess: Floats
    p_excess: Floats
    log_stops: Floats
    p_stops: Floats
    arrangements: int


def windows(stacks: NDArray[Any], smoothing_tiles: float, width: int) -> Windows:
    """Take inner products of all samples' maps, window by window.

    Parameters
    ----------
    stacks
        Counts (S, T, N, N).
    smoothing_tiles
        Standard deviation of the Gaussian, in tiles.
    width
        Intervals in a window, odd; at either end of the recording a window is narrower.

    Returns
    -------
    Windows
        A sample without a stop in a window has its map over all intervals there, so that it departs from it by nothing.
    """
    samples, intervals, tiles = stacks.shape[:3]
    counts = np.asarray(stacks, dtype=np.float32)
    smooth = smoothed(counts, smoothing_tiles)  # of sums it is the sum
    whole = _shares(smooth.sum(axis=1), np.zeros((samples, tiles * tiles), dtype=np.float32))
    plain, departure = np.empty((2, intervals, samples, samples))
    stops = np.empty((samples, intervals))
    for t in range(intervals):
        part = slice(max(0, t - width // 2), t + width // 2 + 1)
        stops[:, t] = counts[:, part].sum(axis=(1, 2, 3))
        maps = _shares(smooth[:, part].sum(axis=1), whole)
        moved = maps - whole
        plain[t], departure[t] = SCALE * maps @ maps.T, SCALE * moved @ moved.T
    return Windows(plain, departure, stops)


def smoothed(counts: NDArray[np.float32], smoothing_tiles: float) -> NDArray[np.float32]:
    """Smooth maps (..., N, N) by a Gaussian of a standard deviation in tiles, rows and columns in one product each."""
    tiles = counts.shape[-1]
    smoother = gaussian(tiles, smoothing_tiles).astype(np.float32).T
    along_rows = (counts.reshape(-1, tiles) @ smoother).reshape(counts.shape)
    turned = np.ascontiguousarray(along_rows.swapaxes(-1, -2))
    return (turned.reshape(-1, tiles) @ smoother).reshape(counts.shape).swapaxes(-1, -2)


def _shares(smooth: NDArray[np.float32], otherwise: NDArray[np.float32]) -> NDArray[np.float32]:
    """Shares (S, N * N) of smoothed counts (S, N, N); `otherwise` (S, N * N) where there are none."""
    flat = smooth.reshape(len(smooth), -1)
    total = flat.sum(axis=1, keepdims=True)
    return np.where(total > 0, flat / np.maximum(total, np.finfo(np.float32).tiny), otherwise)


def coefficients(labels: NDArray[np.int64], cages: NDArray[np.int64]) -> Floats:
    """Coefficients of inner products of samples that sum to the squared distance of labels 0 and 1.

    Where cages hold both labels: d^2 = sum over cages c != c' of (a_c - b_c)(a_c' - b_c') / (n (n - 1)), with a_c, b_c
    the labels' means in a cage. Else: mean of a_c a_c' + mean of b_c b_c' - 2 mean of a_c b_c', over different cages.

    Parameters
    ----------
    labels
        (A, S) 0, 1, or another number of samples that take no part.
    cages
        (S,) number of each sample's cage.

    Returns
    -------
    (A, S, S)
    """
    in_cage = (cages == np.arange(cages.max() + 1)[:, None]).astype(np.float64)  # (C, S)
    zero, one = ((labels == value).astype(np.float64) for value in (0, 1))
    of_zero, of_one = zero @ in_cage.T, one @ in_cage.T  # (A, C), samples
    both = (of_zero > 0) & (of_one > 0)
    a, b = (own / np.maximum(counts, 1)[:, cages] for own, counts in ((zero, of_zero), (one, of_one)))
    paired = both.any(axis=1)
    found = np.empty((len(labels), len(cages), len(cages)))
    within = (a - b)[paired] * both[paired][:, cages]
    found[paired] = _products(within, within) / _orders(both[paired])
    a, b = a[~paired], b[~paired]
    there = [(counts > 0)[~paired] for counts in (of_zero, of_one)]
    cells = np.prod([each.sum(axis=1) for each in there], axis=0)[:, None, None]
    between = _products(a, b)
    found[~paired] = _products(a, a) / _orders(there[0]) + _products(b, b) / _orders(there[1])
    found[~paired] -= (between + between.swapaxes(1, 2)) / np.maximum(cells, 1)
    found[:, cages[:, None] == cages] = 0
    return found


def _products(one: Floats, other: Floats) -> Floats:
    """Outer products (A, S, S) of rows (A, S)."""
    return np.asarray(one[:, :, None] * other[:, None, :])


def _orders(there: NDArray[np.bool_]) -> Floats:
    """Ordered pairs of different cages, (A, 1, 1), of those that are there (A, C); at least 1."""
    n = there.sum(axis=1).astype(np.float64)
    return np.asarray(np.maximum(n * (n - 1), 1)[:, None, None])


def distances(inner: Floats, labels: NDArray[np.int64], cages: NDArray[np.int64]) -> Floats:
    """Squared distances of labels 0 and 1 in every window under A labellings.

    Parameters
    ----------
    inner
        (T, S, S) inner products of samples.
    labels, cages
        As in `coefficients`.

    Returns
    -------
    (A, T)
    """
    flat = inner.reshape(len(inner), -1).T
    size = max(1, PORTION // len(cages) ** 2)
    parts = (coefficients(labels[start : start + size], cages) for start in range(0, len(labels), size))
    return np.asarray(np.concatenate([part.reshape(len(part), -1) @ flat for part in parts]))


def standardised(observed: Floats, null: Floats) -> tuple[Floats, Floats]:
    """Scale statistics (1, Q) and (A, Q) by mean and spread of both together, so that each of Q has the same weight."""
    every = np.concatenate([observed, null])
    mean, spread = every.mean(axis=0), every.std(axis=0)
    scaled = np.divide(every - mean, spread, out=np.zeros_like(every), where=spread > 0)
    return scaled[:1], scaled[1:]


def hours_contrast(pair: Pair, made: Windows, most: int, seed: int) -> HoursContrast:
    """Compare two classes interval by interval.

    Parameters
    ----------
    pair
        The two classes.
    made
        Inner products of all samples of the study.
    most, seed
        Arrangements, all distinct ones where they are no more; and the seed of a draw.
    """
    own = np.ix_(np.arange(len(made.plain)), pair.rows, pair.rows)
    inner = np.concatenate([made.plain[own], made.departure[own]])
    logs = np.log(made.stops[pair.rows] + 0.5)
    found = distances(inner, pair.labels, pair.cages)
    intervals = len(made.plain)
    if pair.refused:
        none = np.ones(intervals)
        first = pair.labels[0] == 0
        ratio = pair.sign * (logs[first].mean(axis=0) - logs[~first].mean(axis=0))
        return HoursContrast(pair, found[0, :intervals], none, found[0, intervals:], none, ratio, none, 0)
    labels = pair.arrangements(most, seed).columns["class"]
    scaled, null = standardised(found, distances(inner, labels, pair.cages))
    plain, departure = slice(None, intervals), slice(intervals, None)
    p, p_excess = (max_t(scaled[0, part], null[:, part]) for part in (plain, departure))
    effect = effects(pair, logs, pair.labels)
    null_t = np.abs(moderated(effects(pair, logs, labels)))
    p_stops = max_t(np.abs(moderated(effect)[0]), null_t)
    return HoursContrast(
        pair, found[0, plain], p, found[0, departure], p_excess, effect.difference[0], p_stops, len(labels)
    )


def pooled(made: Windows, groups: NDArray[np.int64]) -> Windows:
    """Average windows of one group, such as those of one clock hour on several days; stops are summed.

    Parameters
    ----------
    made
        T windows.
    groups
        (T,) the number of each window's group.
    """
    names = np.unique(groups)
    plain, departure = (
        np.stack([x[groups == name].mean(axis=0) for name in names]) for x in (made.plain, made.departure)
    )
    stops = np.stack([made.stops[:, groups == name].sum(axis=1) for name in names], axis=1)
    return Windows(plain, departure, stops)
