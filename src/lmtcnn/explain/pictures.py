"""The figures of where and when classes differ, and of what the networks use, as drawings for the gallery."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lmtcnn import SIMULATED
from lmtcnn.explain.daytime import Daytime
from lmtcnn.explain.differences import CLASS, Differences
from lmtcnn.explain.gate import LEVEL
from lmtcnn.explain.networks import Asked
from lmtcnn.explain.words import p_words
from lmtcnn.figures import places, times, uses
from lmtcnn.figures.figures import class_colours
from lmtcnn.figures.floor import Zones
from lmtcnn.figures.gallery import Drawing
from lmtcnn.timeline.counted import unit_of

MOST_PAIRS = 15
"""A figure shows so many pairs, and says so; the tables have all of them."""

WHERE, WHEN, USES = "where.png", "when.png", "uses.png"


def left_out(pairs: int, table: str) -> str:
    """Say that a figure shows some of so many pairs only, and in which table all of them are; nothing where it has all.

    It begins with a space, as it stands behind another sentence.
    """
    if pairs <= MOST_PAIRS:
        return ""
    return f" Shown: the first {MOST_PAIRS} of {pairs} pairs of classes; {table}.csv in data/explain has all of them."


def pictures_of(
    found: Differences,
    day: Daytime,
    stops_each: Mapping[str, NDArray[np.float64]],
    floor_cm: tuple[float, float],
    furniture: Zones,
    *,
    simulated: bool,
) -> list[Drawing]:
    """Return the figures of the data alone, where and when; none where there are not two classes.

    Parameters
    ----------
    found
        What the data say.
    day
        The clock of the intervals.
    stops_each
        Class -> mean over samples, (T,).
    floor_cm
        Width and height of the floor.
    furniture
        What stands in the cage.
    simulated
        Whether the mice are.
    """
    if not found.scopes[CLASS].contrasts:
        return []
    mice = f"{SIMULATED}. " if simulated else ""
    return [
        _where(found, floor_cm, furniture, mice),
        _when(found, day, stops_each, mice),
    ]


def _where(found: Differences, floor_cm: tuple[float, float], furniture: Zones, mice: str) -> Drawing:
    shown = found.scopes[CLASS].contrasts[:MOST_PAIRS]
    maps, marked = np.stack([each.difference for each in shown]), np.stack([found.marked_tiles(each) for each in shown])
    words = [
        each.pair.refused or f"p {p_words(float(each.p.min()))} (least of {each.arrangements}: {p_words(each.least_p)})"
        for each in shown
    ]
    gates = found.gates
    note = (
        f"{mice}Smoothed shares of stops, mean over cages of the first class less that of the second; above 0 the "
        f"first one stops more. Outlined: p up to {LEVEL:g} over all tiles. Above "
        "each map its least p, and the least that so many arrangements of labels can give. "
    )
    note += (
        f"No test of all pairs together is possible ({gates.refused}), so nothing is outlined."
        if gates.refused
        else f"All pairs together: p {p_words(gates.places)} by {gates.arrangements} arrangements"
        + ("." if gates.marks_places else ", so nothing is outlined.")
    )
    note += left_out(len(found.scopes[CLASS].contrasts), "contrasts")
    named = {"label": "difference of shares (per mille)", "note": note, "furniture": furniture}
    names = [each.pair.words for each in shown]
    return Drawing(WHERE, places.contrast_maps, (maps, marked, names, words, floor_cm, "Where classes differ"), named)


def _when(found: Differences, day: Daytime, stops_each: Mapping[str, NDArray[np.float64]], mice: str) -> Drawing:
    shown = found.scopes[CLASS].hours[:MOST_PAIRS]
    rows = [
        times.Times(
            each.pair.words,
            each.distance,
            each.excess,
            found.marked_hours(each),
            found.marked_times(each),
            {name: stops_each[name] for name in (each.pair.a, each.pair.b)},
        )
        for each in shown
    ]
    note = (
        f"{mice}Distance: of the classes' maps in windows of intervals, between different cages only, so that chance "
        f"alone makes it 0. Excess: the same of what departs from each sample's own map of all intervals. Dots: p up "
        f"to {LEVEL:g} over all intervals. Grey: night, the darker in the more recordings."
    )
    if found.sparse:
        note += f" Too sparse to tell {unit_of(day.interval_s)}s apart: {found.window_stops:.3g} stops in a window."
    note += left_out(len(found.scopes[CLASS].hours), "hours")
    colours = class_colours(list(stops_each))
    given = (rows, day.interval_s, day.night, colours, "When classes differ")
    return Drawing(WHEN, times.hours, given, {"note": note})


def uses_drawing(
    asked: Asked, day: Daytime, floor_cm: tuple[float, float], furniture: Zones, *, simulated: bool
) -> Drawing:
    """Return the figure of what the networks use; for the parameters see `pictures_of`."""
    mice = f"{SIMULATED}. " if simulated else ""
    directions = asked.used[::2][:MOST_PAIRS]
    separations = asked.used[1::2][:MOST_PAIRS]
    rows = []
    for one, other in zip(directions, separations, strict=True):
        zones = {
            name: (value, share)
            for a, b, kind, name, value, share in asked.zones
            if (a, b, kind) == (one.a, one.b, one.kind)
        }
        words = f"mean gap of logits {other.gap:.2f}"
        name = f"{one.a} against {one.b}"
        rows.append(uses.Use(name, words, one.places, other.places, other.hours, zones))
    note = (
        f"{mice}Integrated gradients, from an empty cage, of the first class's logit less the second's, by networks "
        "that have not seen a sample's cage; red speaks for the first class. Direction: mean of both classes. "
        "Separation: first less second; it sums to the mean gap of the logits. Percent: cages that agree in sign. "
        f"No significance is claimed.{left_out(len(asked.used) // 2, 'attributions')}"
    )
    given = (rows, day.interval_s, floor_cm, "What the networks use")
    return Drawing(USES, uses.used, given, {"note": note, "furniture": furniture})


def mean_stops(stacks: NDArray[Any], index: pl.DataFrame, classes: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Mean over the samples of each class that has any of what an interval counts, (T,)."""
    sums = np.stack([np.asarray(stack, dtype=np.float64).sum(axis=(1, 2)) for stack in stacks])
    of_class = index["class"].to_numpy()
    return {
        name: sums[of_class == name].mean(axis=0) if (of_class == name).any() else np.zeros(sums.shape[1])
        for name in classes
    }
