"""Whether the time of day at which recordings start tells the class: a network of 72 hours can learn the clock.

If juveniles were recorded from the morning on and adults from the evening, interval 0 is light for one and dark for the
other, and what looks like age is the lamp. So the hours are tabulated, and it is asked how well the class is told by
nothing but the start: a sample is given the classes of the recording, of another cage, that began at the time of day
nearest to its own. Chance is the same with the starts permuted over recordings, which keeps cages and mice together.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lmtcnn.cohort.recording import Recording, Sample
from lmtcnn.core.params import Definitions

PERMUTATIONS = 1999
"""Of the starts over recordings; p is the share of them, with what was found, that tell the class as well or better."""

DAY_S = 86_400


@dataclass(frozen=True)
class Telling:
    """Share of samples told by the start alone, its mean by chance, and the probability of as much by chance."""

    accuracy: float
    chance: float
    p: float


def timezone_of(recording: Recording, params: Definitions) -> str:
    """Name of the time zone whose wall clock is that of a recording: its own, or the study's."""
    return recording.timezone or params.histograms.timezone


def clock_s(recording: Recording, start_ms: int, params: Definitions) -> float:
    """Seconds since midnight of the wall clock, in the recording's time zone, at which a recording started."""
    begin = datetime.fromtimestamp(start_ms / 1000, ZoneInfo(timezone_of(recording, params)))
    return begin.hour * 3600 + begin.minute * 60 + begin.second


def tabulate(
    samples: Sequence[Sample], recordings: Iterable[Recording], starts_s: Mapping[str, float], params: Definitions
) -> pl.DataFrame:
    """Count samples by clock hour of the start.

    Parameters
    ----------
    samples, recordings
        Those of a cohort.
    starts_s
        Recording -> seconds since midnight of its wall clock, as `clock_s` gives them.
    params
        Classes, and the time zone of recordings that have none of their own.

    Returns
    -------
    DataFrame
        `hour`, from 0 to 23, `timezone`, whose clock shows it, and a column of counts for each class; hours without a
        sample are left out.
    """
    zones = {recording.name: timezone_of(recording, params) for recording in recordings}
    hours = {name: (int(start_s // 3600), zones[name]) for name, start_s in starts_s.items()}
    counts = Counter((hours[sample.recording], sample.class_name) for sample in samples)
    rows = [
        (*hour, *(counts[hour, name] for name in params.classes))
        for hour in sorted({hours[sample.recording] for sample in samples})
    ]
    columns = {"hour": pl.Int64, "timezone": pl.String, **dict.fromkeys(params.classes, pl.Int64)}
    return pl.DataFrame(rows, schema=columns, orient="row")


def warnings(samples: Sequence[Sample], starts_s: Mapping[str, float], params: Definitions) -> list[str]:
    """A line for the class, and for each label, that the start tells more often than chance (`start_hour_p`)."""
    asked = {"class": [sample.class_name for sample in samples]}
    asked |= {label: [sample.labels[label] for sample in samples] for label in params.labels}
    lines = []
    for name, values in asked.items():
        found = tell(samples, values, starts_s)
        if found and found.p <= params.quality.start_hour_p:
            lines.append(
                f"the hour at which recordings start tells the {name} of {found.accuracy:.0%} of samples, by chance "
                f"{found.chance:.0%} (p {found.p:.2g}): what the network learns may be the clock"
            )
    return lines


def tell(samples: Sequence[Sample], values: Sequence[str], starts_s: Mapping[str, float]) -> Telling | None:
    """How well the start tells the value of each sample; None where there is nothing to tell, or no other cage."""
    names, known = sorted({sample.recording for sample in samples}), sorted(set(values))
    cages = {sample.recording: sample.cage for sample in samples}
    if len(known) < 2 or len(set(cages.values())) < 2:
        return None
    counts = np.zeros((len(names), len(known)))
    for sample, value in zip(samples, values, strict=True):
        counts[names.index(sample.recording), known.index(value)] += 1
    own_cage = np.array([[cages[a] == cages[b] for b in names] for a in names])
    starts = np.array([starts_s[name] for name in names])
    rng = np.random.default_rng(0)
    found = _told(starts, own_cage, counts)
    chance = np.array([_told(rng.permutation(starts), own_cage, counts) for _ in range(PERMUTATIONS)])
    p = (1 + np.count_nonzero(chance >= found - 1e-12)) / (PERMUTATIONS + 1)
    return Telling(found, float(chance.mean()), float(p))


def _told(starts_s: NDArray[np.float64], own_cage: NDArray[np.bool_], counts: NDArray[np.float64]) -> float:
    """Share of samples (R recordings, counts (R, K)) that the nearest start of another cage tells."""
    apart_s = np.abs(starts_s[:, None] - starts_s)  # (R, R)
    apart_s = np.where(own_cage, np.inf, np.minimum(apart_s, DAY_S - apart_s))
    nearest = apart_s == apart_s.min(axis=1, keepdims=True)
    told = nearest @ counts
    told /= told.sum(axis=1, keepdims=True)
    return float((told * counts).sum() / counts.sum())
