"""Confidence intervals of shares of samples that were labelled right, with cages as what was sampled.

Mice of one cage resemble each other, so a study of 12 cages of 4 mice at 2 ages knows less than 96 independent samples
tell: the standard error comes from the differences between cages. With few cages the percentile bootstrap over cages is
too narrow (covered 0.72 at 6 cages, 0.89 at 24, in simulated cohorts); this interval is the one that survey statistics
takes for clusters in strata (Korn & Graubard 1998, Survey Methodology 24:193; linearised variance of a ratio).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from lmtcnn.evaluate.arrangements import Codes

LEVEL = 0.95
"""The share of intervals that hold what they are meant to hold."""

LEAST_CAGES = 3
"""Fewer cages in a stratum tell too little of how much cages differ."""


@dataclass(frozen=True)
class Interval:
    """A share and how far it may be off.

    Attributes
    ----------
    value
        The share itself.
    low, high
        Ends of the interval; nan where there is none.
    cages
        Cages with samples of this share.
    freedom
        Degrees of freedom, cages less strata.
    none
        Why there is no interval, in words; empty where there is one.
    """

    value: float
    low: float
    high: float
    cages: int
    freedom: int
    none: str = ""


def interval(right: NDArray[np.float64], groups: Codes, cages: Codes, strata: Codes) -> Interval:
    """The interval of a mean over groups of the share of samples labelled right.

    With one group this is accuracy; with classes as groups it is balanced accuracy; of one class's samples alone it is
    recall. p = mean over G groups of h_g / n_g, h right of n samples. A cage c adds to its error
    z_c = sum over g of (h_gc - p_g n_gc) / (G n_g), and with m_s cages in stratum s

        var(p) = sum over s of m_s / (m_s - 1) * sum over c in s of (z_c - mean of z in s)^2,

    but no less than that of independent samples, sum over g of p_g (1 - p_g) / (G^2 n_g): where cages happen to be
    alike, nothing is known better for it. On the logit, whose error is sqrt(var) / (p (1 - p)),

        logit(p) -+ t(cages - strata) * sqrt(var) / (p (1 - p)).

    Where all samples are right, or none, cages count as one trial each (Clopper & Pearson 1934): 0.025^(1 / cages) to
    1, or 0 to 1 less that.

    Parameters
    ----------
    right
        (S,) 1 where a sample was labelled right, 0 where not; between them for a mean over networks.
    groups, cages, strata
        (S,) numbers; strata are cages alike in the labels that are constant in a cage.

    Returns
    -------
    Interval
        Without ends where a stratum has fewer than `LEAST_CAGES` cages.
    """
    value, errors, least = _errors(right, groups, cages)
    stratum = _strata_of_cages(cages, strata)
    counts = np.unique(stratum, return_counts=True)[1]
    m, freedom = len(stratum), len(stratum) - len(counts)
    if counts.min() < LEAST_CAGES:
        some = "stratum of cages alike in their labels" if len(counts) > 1 else "study"
        none = f"{counts.min()} cages in a {some}, fewer than {LEAST_CAGES}"
        return Interval(value, float("nan"), float("nan"), m, freedom, none)
    tail = (1 - LEVEL) / 2
    if value in {0.0, 1.0}:
        low = tail ** (1 / m)
        return Interval(value, low if value else 0.0, 1.0 if value else 1 - low, m, freedom)
    error = np.sqrt(max(_variance(errors, stratum), least)) / (value * (1 - value))
    reach = float(stats.t.ppf(1 - tail, freedom)) * error
    centre = np.log(value / (1 - value))
    low, high = (float(1 / (1 + np.exp(-end))) for end in (centre - reach, centre + reach))
    return Interval(value, low, high, m, freedom)


def mean_interval(values: Sequence[float] | NDArray[np.float64]) -> tuple[float, float, float]:
    """Mean of values of cages, and the ends of its interval: mean -+ t(n - 1) * sd / sqrt(n); nan below 3 cages."""
    found = np.asarray(values, dtype=np.float64)
    n, mean = len(found), float(found.mean())
    if n < LEAST_CAGES:
        return mean, float("nan"), float("nan")
    reach = float(stats.t.ppf(1 - (1 - LEVEL) / 2, n - 1) * found.std(ddof=1) / np.sqrt(n))
    return mean, mean - reach, mean + reach


def _errors(
    right: NDArray[np.float64], groups: Codes, cages: Codes
) -> tuple[float, dict[int, float], float]:  # the share, each cage's part of its error, the least variance
    names = np.unique(groups)
    shares, least = [], 0.0
    errors = dict.fromkeys(np.unique(cages).tolist(), 0.0)
    for group in names:
        own = groups == group
        n, share = int(own.sum()), float(right[own].mean())
        shares.append(share)
        least += share * (1 - share) / n / len(names) ** 2
        for cage in np.unique(cages[own]).tolist():
            errors[cage] += float((right[own & (cages == cage)] - share).sum()) / n / len(names)
    # A mean of ones has to be 1 to the last digit: shares of 0 and 1 are exact, their mean is where all are the same.
    value = shares[0] if len(set(shares)) == 1 else float(np.mean(shares))
    return value, errors, least


def _strata_of_cages(cages: Codes, strata: Codes) -> Codes:
    """The stratum of each cage, in the order of their numbers."""
    return strata[np.unique(cages, return_index=True)[1]]


def _variance(errors: dict[int, float], stratum: Codes) -> float:
    parts = np.array([errors[cage] for cage in sorted(errors)])
    total = 0.0
    for number in np.unique(stratum):
        own = parts[stratum == number]
        total += len(own) * float(own.var(ddof=1))
    return total
