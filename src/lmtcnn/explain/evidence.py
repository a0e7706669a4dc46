"""Evidence in one sample for the class that it is told as, and for the next likely one.

Attributions of the difference of these two logits, by place, hour and zone; they sum to that difference less the one
of an empty cage.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmtcnn.explain.attributions import Attribution, Floats
from lmtcnn.timeline.counted import spans_words

LEAST = 0.005
"""A zone of a smaller attribution speaks for nothing: it would be told as 0.00."""

WINDOW = 3
"""The hours that are named are so many intervals on end."""


@dataclass(frozen=True)
class Evidence:
    """Attributions that speak for class `a`, the most probable, rather than for `b`, the next.

    `probability` of both; attributions of the logit of a less that of b: `places` (N, N), smoothed, `hours` (T,),
    `zones`, and `elsewhere` in no zone; and the `gap` that they sum to.
    """

    a: str
    b: str
    probability: tuple[float, float]
    places: Floats
    hours: Floats
    zones: dict[str, float]
    gap: float
    elsewhere: float = 0.0

    def words(self, interval_s: float) -> str:
        """Say in a sentence what speaks for a and what for b: zones by their attributions, and the hours of most."""
        named = self.zones | ({"no zone": self.elsewhere} if self.zones else {})
        ordered = sorted(named.items(), key=lambda item: -abs(item[1]))
        sides = []
        for name, sign in ((self.a, 1), (self.b, -1)):
            zones = [f"{zone.replace('_', ' ')} ({value:+.2f})" for zone, value in ordered if value * sign >= LEAST]
            window = np.convolve(self.hours, np.ones(min(WINDOW, len(self.hours))), "valid") * sign
            best = int(window.argmax())
            most = range(best, min(best + WINDOW, len(self.hours)))
            parts = [*zones, *([spans_words(most, interval_s)] if window[best] > 0 else [])]
            sides.append(f"for {name}: {', '.join(parts) or 'nothing'}")
        return f"What speaks {'; '.join(sides)}."


def evidence(
    found: Attribution, row: int, classes: Sequence[str], smoother: Floats, masks: Mapping[str, NDArray[np.bool_]]
) -> Evidence:
    """Take from attributions to all logits what speaks for the likeliest class of one sample.

    Parameters
    ----------
    found
        Attributions of S samples, and how probable each class is.
    row
        The sample.
    classes
        In the order of the logits.
    smoother
        (N, N), see `histograms.shares.gaussian`.
    masks
        Zone -> its tiles (N, N).
    """
    p = found.probability[row]
    first, second = (int(place) for place in np.argsort(-p, kind="stable")[:2])
    places, hours, gap = (values[row, first] - values[row, second] for values in found.attributions)
    return Evidence(
        classes[first],
        classes[second],
        (float(p[first]), float(p[second])),
        smoother @ places @ smoother.T,
        hours,
        {name: float(places[mask].sum()) for name, mask in masks.items()},
        float(gap),
        float(places[~np.any([np.zeros_like(places, dtype=bool), *masks.values()], axis=0)].sum()),
    )
