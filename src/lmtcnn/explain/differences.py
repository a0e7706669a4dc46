"""Where and when every two classes, and every two values of a label, differ: all that is told of the data alone."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lmtcnn.core.names import label_values
from lmtcnn.core.params import Params
from lmtcnn.evaluate.design import design_of
from lmtcnn.explain.contrasts import Contrast, ZoneContrast, contrast, zone_contrast, zone_mask
from lmtcnn.explain.daytime import Daytime
from lmtcnn.explain.gate import LEVEL, Gates, open_gates
from lmtcnn.explain.hours import HoursContrast, Windows, hours_contrast, pooled, smoothed, windows
from lmtcnn.explain.pairs import Floats, Pair, holm, pairs_of
from lmtcnn.histograms.shares import shares

log = logging.getLogger("lmtcnn")

CLASS = "class"
"""The scope of the classes; any other bears the name of a label column."""

LEAST_STOPS = 6.0
"""In windows of fewer stops, in the mean of samples, nothing is told of hours.

Measured on two simulated cohorts of full density that were thinned: the ROC area of the hours in which the simulator
makes classes differ most is 0.78 at 3 stops in a window of three intervals, 0.87 at 6, 0.94 at 12, 0.97 at 24, 1.00
at 400; stops per hour alone reach 0.87 to 0.89.
"""


class Scope(NamedTuple):
    """All pairs of classes, or of the values of one label: places, zones, hours, clock hours, places in those hours.

    `clock` is empty where days cannot be pooled; `then` has a map (N, N) in per mille for each pair, nan where no hour
    stands out.
    """

    contrasts: list[Contrast]
    zones: list[ZoneContrast]
    hours: list[HoursContrast]
    clock: list[HoursContrast]
    then: list[Floats]


@dataclass(frozen=True)
class Differences:
    """The scopes by name; the two tests before anything is marked; stops in a window in the mean of samples."""

    scopes: dict[str, Scope]
    gates: Gates
    window_stops: float
    masks: dict[str, NDArray[np.bool_]]
    mean_maps: Floats

    @property
    def sparse(self) -> bool:
        """Whether there are too few stops in a window to tell hours apart."""
        return self.window_stops < LEAST_STOPS

    def marked_tiles(self, contrast: Contrast) -> NDArray[np.bool_]:
        """Which tiles (N, N) are marked."""
        return np.asarray((contrast.p <= LEVEL) & self.gates.marks_places)

    def marked_hours(self, hours: HoursContrast) -> NDArray[np.bool_]:
        """In which intervals (T,) places are marked as different: that is a question of places, asked hour by hour."""
        return np.asarray((hours.p <= LEVEL) & self.gates.marks_places & (not self.sparse))

    def marked_times(self, hours: HoursContrast) -> NDArray[np.bool_]:
        """Which intervals (T,) are marked for what departs from a sample's own map, or for the number of stops."""
        found = (hours.p_excess <= LEVEL) | (hours.p_stops <= LEVEL)
        return np.asarray(found & self.gates.marks_hours & (not self.sparse))


def differences(
    stacks: NDArray[Any], index: pl.DataFrame, params: Params, day: Daytime, floor_cm: tuple[float, float]
) -> Differences:
    """Compare all classes, and all values of labels.

    Parameters
    ----------
    stacks, index
        The study's histograms (S, T, N, N) and samples.
    params
        Smoothing, windows, arrangements, zones.
    day
        The clock of the intervals.
    floor_cm
        Width and height of the floor.
    """
    smoothing, seed = params.evaluate.smoothing_tiles, params.evaluate.permutation_seed
    maps = shares(stacks, smoothing)
    if (most := params.explain.window_intervals) > (there := stacks.shape[1]):
        log.warning("explain.window_intervals: %d are more than the %d counted: no interval is told apart", most, there)
    made = windows(stacks, smoothing, params.explain.window_intervals)
    gates = open_gates(design_of(index, params), maps, made, params.explain.arrangements, seed)
    masks = _masks(params, maps.shape[-1], floor_cm)
    work = _Work(stacks, maps, shares(stacks, 0), made, masks, day, params)
    scopes = {name: work.scope(list(pairs_of(index, members))) for name, members in groups_of(index, params)}
    return Differences(scopes, gates, float(made.stops.mean()), masks, maps)


def _masks(params: Params, tiles: int, floor_cm: tuple[float, float]) -> dict[str, NDArray[np.bool_]]:
    """Mark the tiles of each zone; one without any, which could only be said to be the same in all, is warned of."""
    masks = {name: zone_mask(zone, tiles, floor_cm) for name, zone in params.furniture.items()}
    for name in [name for name, mask in masks.items() if not mask.any()]:
        width, height = floor_cm
        log.warning("zones: %s holds the centre of no tile of %d x %d on the floor, %.3g x %.3g cm, and is left out",
                    name, tiles, tiles, width, height)  # fmt: skip
        del masks[name]
    return masks


def groups_of(index: pl.DataFrame, params: Params) -> Iterator[tuple[str, dict[str, NDArray[np.bool_]]]]:
    """Yield the classes, then each label column with its values, and whether each sample is of them.

    A label whose values are the classes themselves is not told twice.
    """
    yield CLASS, {name: (index["class"] == name).to_numpy() for name in params.classes}
    if len(params.labels) > 1:
        for label in params.labels:
            values = [value for column, value in label_values(params.classes) if column == label]
            yield label, {value: (index[label] == value).fill_null(False).to_numpy() for value in values}


@dataclass(frozen=True)
class _Work:
    """Maps, windows and settings by which all pairs are compared."""

    stacks: NDArray[Any]
    maps: Floats
    plain: Floats
    made: Windows
    masks: Mapping[str, NDArray[np.bool_]]
    day: Daytime
    params: Params

    def scope(self, pairs: list[Pair]) -> Scope:
        """Compare some pairs; p of zones is corrected for all of them."""
        most, seed = self.params.explain.arrangements, self.params.evaluate.permutation_seed
        hours = [hours_contrast(pair, self.made, most, seed) for pair in pairs]
        groups = self.day.groups
        by_clock = None if groups is None else pooled(self.made, groups)
        return Scope(
            [contrast(pair, self.maps, most, seed) for pair in pairs],
            self._zones(pairs),
            hours,
            [hours_contrast(pair, by_clock, most, seed) for pair in pairs] if by_clock else [],
            [self._then(found) for found in hours],
        )

    def _zones(self, pairs: list[Pair]) -> list[ZoneContrast]:
        stops = self.made.stops.mean() * self.made.stops.shape[1] / self.params.explain.window_intervals
        least = 0.5 / max(float(stops), 1.0)  # half a stop of a mean sample
        inside = {name: (self.plain * mask).sum(axis=(1, 2)) for name, mask in self.masks.items() if mask.any()}
        found = [zone_contrast(pair, name, share, least) for pair in pairs for name, share in inside.items()]
        return [replace(each, p=p) for each, p in zip(found, holm([each.p for each in found]), strict=True)]

    def _then(self, found: HoursContrast) -> Floats:
        """Difference of mean smoothed shares (N, N), in per mille, in the intervals that stand out.

        Those in which departures from samples' own maps do; where there is none, those in which places differ.
        """
        chosen = found.p_excess <= LEVEL
        chosen = chosen if chosen.any() else found.p <= LEVEL
        if not chosen.any():
            return np.full(self.maps.shape[1:], np.nan)
        pair = found.pair
        counts = np.asarray(self.stacks[pair.rows][:, chosen], dtype=np.float32).sum(axis=1)
        smooth = smoothed(counts, self.params.evaluate.smoothing_tiles).astype(np.float64)
        share = 1000 * smooth / np.maximum(smooth.sum(axis=(1, 2), keepdims=True), 1e-12)
        first = pair.labels[0] == 0
        return np.asarray(pair.sign * (share[first].mean(axis=0) - share[~first].mean(axis=0)))
