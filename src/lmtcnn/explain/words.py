"""An explanation in sentences, and as plain JSON values: explain.json."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmtcnn.core.words import number_of
from lmtcnn.explain.contrasts import Contrast, ZoneContrast
from lmtcnn.explain.daytime import Daytime
from lmtcnn.explain.differences import LEAST_STOPS, Differences, Scope
from lmtcnn.explain.gate import LEVEL
from lmtcnn.explain.hours import HoursContrast
from lmtcnn.explain.pairs import Floats
from lmtcnn.timeline.counted import spans_words, unit_of

DEFINITIONS = {
    "difference": "mean over cages of smoothed shares of stops, a less b, in per mille",
    "p": "family-wise over tiles by the largest |moderated t| of every arrangement of labels that the design allows",
    "zones": "natural logarithm of the ratio of shares, a over b, by cage; 95 % interval by t; p by Holm over all",
    "distance": "squared distance of the classes' maps in a window, of different cages only, per mille^2; 0 by chance",
    "excess": "the same of what departs from each sample's own map of all intervals",
    "log_stops": "natural logarithm of the ratio of stops in a window, a over b, by cage",
    "marked": f"p up to {LEVEL:g} where a test of all pairs together allows it: `places` for tiles, zones, distances; "
    "`hours` for excess and stops",
}


def told(found: Differences, day: Daytime) -> dict[str, Any]:
    """Collect what the data say, as plain JSON values."""
    gates = found.gates
    return {
        "gates": {
            "p_places": gates.places,
            "p_hours": gates.hours,
            "arrangements": gates.arrangements,
            "least_p": 1 / (1 + gates.arrangements),
            "refused": gates.refused,
        },
        "hours": {
            "stops_in_a_window": found.window_stops,
            "least_stops_in_a_window": LEAST_STOPS,
            "too_sparse": found.sparse,
            "unit": unit_of(day.interval_s),
            "pooled_by_clock_hour": day.groups is not None,
        },
        "definitions": DEFINITIONS,
        "pairs": {name: pairs_told(scope, found, day) for name, scope in found.scopes.items()},
    }


def pairs_told(scope: Scope, found: Differences, day: Daytime) -> list[dict[str, Any]]:
    """Each pair of a scope: arrangements, what is marked, and its sentence."""
    rows = []
    for contrast, hours in zip(scope.contrasts, scope.hours, strict=True):
        pair = contrast.pair
        zones = [each for each in scope.zones if (each.a, each.b) == (pair.a, pair.b)]
        rows.append(
            {
                "a": pair.a,
                "b": pair.b,
                "paired": pair.is_paired,
                "exchanged": pair.design.words("class"),
                "arrangements": contrast.arrangements,
                "least_p": contrast.least_p,
                "refused": pair.refused,
                "tiles_marked": int(found.marked_tiles(contrast).sum()),
                "p_tiles": float(contrast.p.min()),
                "p_hours": float(hours.p.min()),
                "p_times": float(min(hours.p_excess.min(), hours.p_stops.min())),
                "hours_marked": np.flatnonzero(found.marked_hours(hours)).tolist(),
                "times_marked": np.flatnonzero(found.marked_times(hours)).tolist(),
                "sentence": f"{pair.words}: {zones_words(zones, contrast, found)}; {hours_words(hours, found, day)}.",
            }
        )
    return rows


def zones_words(zones: Sequence[ZoneContrast], contrast: Contrast, found: Differences) -> str:
    """Zones that are marked, `dome -3.1 (x 0.05), p 0.002`; else how many tiles are, or that nothing is."""
    if contrast.pair.refused:
        return f"not tested ({contrast.pair.refused})"
    known = [each for each in zones if each.p <= LEVEL] if found.gates.marks_places else []
    if known:
        return ", ".join(
            f"{each.zone.replace('_', ' ')} {each.log_ratio:+.1f} (x {times(each.log_ratio)}), p {p_words(each.p)}"
            for each in sorted(known, key=lambda each: -abs(each.log_ratio))
        )
    tiles = int(found.marked_tiles(contrast).sum())
    if tiles:
        return f"{number_of(tiles, 'tile')}, p {p_words(float(contrast.p.min()))}"
    return f"no place, p {p_words(float(contrast.p.min()))}"


def hours_words(hours: HoursContrast, found: Differences, day: Daytime) -> str:
    """The hours that stand out, or why none is told."""
    unit = unit_of(day.interval_s)
    if hours.pair.refused:
        return f"{unit}s not tested"
    if found.sparse:
        return f"{unit}s too sparse to tell ({found.window_stops:.3g} stops in a window, {LEAST_STOPS:g} are needed)"
    places, moments = found.marked_hours(hours), found.marked_times(hours)
    parts = []
    if places.any():
        parts.append(f"places differ in {_spans(places, day)}, p {p_words(float(hours.p.min()))}")
    if moments.any():
        p = float(min(hours.p_excess.min(), hours.p_stops.min()))
        parts.append(f"times differ in {_spans(moments, day)}, p {p_words(p)}")
    return "; ".join(parts) or f"no {unit} stands out, p {p_words(float(hours.p.min()))}"


def _spans(marked: NDArray[np.bool_], day: Daytime) -> str:
    return spans_words(np.flatnonzero(marked).tolist(), day.interval_s)


def times(log_ratio: float) -> str:
    """A ratio to two digits."""
    return f"{math.exp(log_ratio):.2g}"


def p_words(p: float) -> str:
    """A p to two digits, not below 0.001."""
    return "< 0.001" if p < 0.001 else f"{p:.2g}"


def correlation(one: Floats, other: Floats) -> float | None:
    """Pearson's correlation of two maps; None where either is even."""
    x, y = one.ravel() - one.mean(), other.ravel() - other.mean()
    below = math.sqrt(float(x @ x) * float(y @ y))
    return float(x @ y / below) if below > 0 and math.isfinite(below) else None
