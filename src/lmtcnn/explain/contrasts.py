"""Where classes differ: of the data alone, without any network. The only maps that carry significance.

Each sample's share of stops in every tile, smoothed, is averaged by cage; the difference of two classes is told as a
moderated t over cages, and its p is family-wise over all tiles: how often does the largest |t| of the whole floor reach
it when labels are exchanged as the design allows (evaluate.design)?
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from lmtcnn.explain.pairs import Floats, Pair, effects, max_t, moderated

PER_MILLE = 1000.0


@dataclass(frozen=True)
class Contrast:
    """Where one class stops more than another.

    Attributes
    ----------
    pair
        The two classes.
    difference
        (N, N) mean smoothed share of a minus that of b, in per mille.
    t
        (N, N) moderated t over cages; all 0 where the pair is refused.
    p
        (N, N) family-wise over tiles; 1 where the pair is refused.
    arrangements, least_p
        How many arrangements p rests on beside the observed one, and the least p that they can give.
    """

    pair: Pair
    difference: Floats
    t: Floats
    p: Floats
    arrangements: int
    least_p: float


def contrast(pair: Pair, maps: Floats, most: int, seed: int) -> Contrast:
    """Compare the maps of two classes.

    Parameters
    ----------
    pair
        The two classes.
    maps
        (samples of the study, N, N) smoothed shares (`histograms.shares`).
    most, seed
        Arrangements, all distinct ones where they are no more; and the seed of a draw.
    """
    tiles = maps.shape[-1]
    values = maps[pair.rows].reshape(len(pair.rows), -1)
    if pair.refused:
        difference = _plain_difference(pair, values).reshape(tiles, tiles)
        nothing = np.zeros((tiles, tiles))
        return Contrast(pair, PER_MILLE * difference, nothing, nothing + 1, 0, 1.0)
    observed = effects(pair, values, pair.labels)
    t = moderated(observed)[0]
    labels = pair.arrangements(most, seed).columns["class"]
    null = np.abs(moderated(effects(pair, values, labels)))
    p = max_t(np.abs(t), null)
    shape = (tiles, tiles)
    return Contrast(
        pair,
        PER_MILLE * observed.difference[0].reshape(shape),
        t.reshape(shape),
        p.reshape(shape),
        len(labels),
        1 / (1 + len(labels)),
    )


def _plain_difference(pair: Pair, values: Floats) -> Floats:
    """Mean of the samples of a minus that of b, (P,), where cages cannot be compared."""
    first = pair.labels[0] == 0
    return np.asarray(pair.sign * (values[first].mean(axis=0) - values[~first].mean(axis=0)))


def zone_mask(zone: Mapping[str, Any], tiles: int, floor_cm: tuple[float, float]) -> NDArray[np.bool_]:
    """Mark the tiles whose centre lies in a zone, (N, N)."""
    x = (np.arange(tiles) + 0.5) * floor_cm[0] / tiles
    y = ((np.arange(tiles) + 0.5) * floor_cm[1] / tiles)[:, None]
    if zone["shape"] == "circle":
        return np.asarray((x - zone["x_cm"]) ** 2 + (y - zone["y_cm"]) ** 2 <= zone["radius_cm"] ** 2)
    right, bottom = zone["x_cm"] + zone["width_cm"], zone["y_cm"] + zone["height_cm"]
    return np.asarray((zone["x_cm"] <= x) & (x <= right) & (zone["y_cm"] <= y) & (y <= bottom))


@dataclass(frozen=True)
class ZoneContrast:
    """How much more one class stops in a zone: natural logarithm of the ratio of shares, its 95 % interval, and p."""

    a: str
    b: str
    zone: str
    log_ratio: float
    low: float
    high: float
    p: float


def zone_contrast(pair: Pair, zone: str, share: Floats, least: float) -> ZoneContrast:
    """Compare the shares of stops of two classes in one zone, by cage.

    The logarithm of each cage's mean share, of both classes where they live together, is compared by Student's t (see
    `pairs.effects`). p is that of this zone alone.

    Parameters
    ----------
    pair
        The two classes.
    zone
        Its name.
    share
        (samples of the study,) share of a sample's stops in the zone.
    least
        Added to every cage's mean share, so that a zone that nobody visits has a logarithm: half a stop.
    """
    values = share[pair.rows]
    first = pair.labels[0] == 0
    logs: list[Floats] = []
    for chosen in (first, ~first):
        cages = np.unique(pair.cages[chosen])
        logs.append(np.log([values[chosen & (pair.cages == cage)].mean() + least for cage in cages]))
    zero, one = logs
    n, m = len(zero), len(one)
    if pair.is_paired:
        each = zero - one
        mean, error, df = each.mean(), each.std(ddof=1) / np.sqrt(n) if n > 1 else np.nan, n - 1
    else:
        df = n + m - 2
        pooled = (zero.var() * n + one.var() * m) / df if df > 0 else np.nan
        mean, error = zero.mean() - one.mean(), np.sqrt(pooled * (1 / n + 1 / m))
    ratio = float(pair.sign * mean)
    if (pair.refused and df < 2) or not np.isfinite(error):
        return ZoneContrast(pair.a, pair.b, zone, ratio, np.nan, np.nan, np.nan)
    margin = float(stats.t.ppf(0.975, df) * error)
    p = float(2 * stats.t.sf(abs(ratio) / error, df)) if error > 0 else float(ratio == 0)
    return ZoneContrast(pair.a, pair.b, zone, ratio, ratio - margin, ratio + margin, p)
