"""Mean maps of every channel for each class, and what they say: departures, crosses."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from lmtcnn.core.errors import DataError, problem
from lmtcnn.core.records import TrainRecord
from lmtcnn.core.sections import ExplainParams
from lmtcnn.train.model import StereotypeCNN, prepare

BATCH = 16
CROSSES = 3
CROSS_SPACING_TILES = 4
"""Crosses lie at least so far apart, so that neighbours of one place do not take all of them."""

LAYERS = {
    "conv": "activation before ReLU",
    "relu": "activation after ReLU and before pooling",
    "pool": "activation after ReLU and pooling",
}
SHOWN = {
    "difference": "averaged over the samples of a class, less the mean of all classes",
    "raw": "averaged over the samples of a class",
}
DEFINITIONS = {
    "departure": "a class's mean activation in a tile, less the mean of all classes",
    "crosses": f"a class's {CROSSES} tiles of largest departure up or down, at least {CROSS_SPACING_TILES} tiles apart",
    "difference": "share of the variance between samples that lies between classes, all tiles together",
    "order": "channels from the largest difference to the smallest",
}

TELLING = 2
"""So many channels have figures of their own: those in which classes differ most. `lmtcnn maps` draws any other."""

Part = tuple[NDArray[np.int64], StereotypeCNN]
"""Numbers of samples, and the network of one member that is shown them."""


class ClassMaps(NamedTuple):
    """Mean maps of all samples, for C classes and K channels.

    `means` (C, K, N, N), NaN for a class without samples; `counts` (C,); `difference` (K,), from 0 to 1.
    """

    means: NDArray[np.float64]
    counts: NDArray[np.int64]
    difference: NDArray[np.float64]

    @property
    def departures(self) -> NDArray[np.float64]:
        """Each class's mean less the mean of all classes that have samples, (C, K, N, N)."""
        return np.asarray(self.means - self.means[self.counts > 0].mean(axis=0))

    def shown(self, how: str) -> NDArray[np.float64]:
        """The maps as `explain.maps` asks: `difference` or `raw`."""
        return self.departures if how == "difference" else self.means


def class_maps(
    parts: Iterable[Part],
    stacks: NDArray[Any],
    codes: NDArray[np.int64],
    classes: int,
    transform: str,
    layer: str = "relu",
) -> ClassMaps:
    """Mean maps of each class, and how much of each channel's variance they explain, BATCH samples at a time.

    Parameters
    ----------
    parts
        Which samples, and the network of one member that they are shown to; its channels are numbered kernel by kernel.
    stacks
        Histograms (S, T, N, N).
    codes
        (S,) class numbers of `stacks`.
    classes
        How many classes there are.
    transform, layer
        Of the counts; and whose maps.
    """
    sums: NDArray[np.float64] | None = None
    squares: NDArray[np.float64] | None = None
    counts = np.zeros(classes, dtype=np.int64)
    for every, network in parts:
        for start in range(0, len(every), BATCH):
            rows = every[start : start + BATCH]
            with torch.inference_mode():
                found = network.activations(prepare(stacks[rows], transform), layer)
            batch = torch.cat([values[0] for values in found.values()], dim=1).double().numpy()  # (B, K, N, N)
            if sums is None or squares is None:
                sums, squares = np.zeros((classes, *batch.shape[1:])), np.zeros(batch.shape[1:])
            np.add.at(sums, codes[rows], batch)
            squares += np.square(batch).sum(axis=0)
            counts += np.bincount(codes[rows], minlength=classes)
    if sums is None or squares is None:
        raise DataError(problem("the histograms", "samples", "none", "run `lmtcnn histograms` again"))
    means = np.full(sums.shape, np.nan)
    means[counts > 0] = sums[counts > 0] / counts[counts > 0, None, None, None]
    return ClassMaps(means, counts, _between_share(sums, squares, counts))


def _between_share(
    sums: NDArray[np.float64], squares: NDArray[np.float64], counts: NDArray[np.int64]
) -> NDArray[np.float64]:
    """eta^2 = sum_c n_c (m_c - m)^2 / sum_s (a_s - m)^2 of each channel, both summed over tiles; 0 where all is equal.

    sums (C, K, N, N) and squares (K, N, N) are of activations a_s; m_c are class means, m the mean of all.
    """
    common = np.square(sums.sum(axis=0)) / counts.sum()  # n m^2
    within_classes = np.square(sums) / np.maximum(counts, 1)[:, None, None, None]  # n_c m_c^2
    between = (within_classes.sum(axis=0) - common).sum(axis=(1, 2))
    total = (squares - common).sum(axis=(1, 2))
    floor = 1e-9 * squares.sum(axis=(1, 2))  # rounding is not variance
    return np.where(total > floor, np.clip(between / np.where(total > floor, total, 1), 0, 1), 0.0)


def top_tiles(
    values: NDArray[np.float64], n: int = CROSSES, spacing: int = CROSS_SPACING_TILES
) -> list[tuple[int, int]]:
    """(row, column) of the n largest values above 0 of a map, each at least `spacing` tiles from those before it.

    Ties: the upper row, then the left column.
    """
    chosen: list[tuple[int, int]] = []
    for place in np.argsort(-values, axis=None, kind="stable"):
        row, column = divmod(int(place), values.shape[1])
        if len(chosen) == n or values[row, column] <= 0:
            break
        if all((row - r) ** 2 + (column - c) ** 2 >= spacing**2 for r, c in chosen):
            chosen.append((row, column))
    return chosen


class Cross(NamedTuple):
    """A tile in which a class departs most from the mean of all: `value` above 0 where its activation is higher."""

    class_name: str
    row: int
    column: int
    value: float


def crosses_of(departures: NDArray[np.float64], classes: Sequence[str]) -> list[Cross]:
    """The tiles of each class in which one channel's map departs most, of departures (C, N, N)."""
    return [
        Cross(name, row, column, float(values[row, column]))
        for name, values in zip(classes, departures, strict=True)
        for row, column in top_tiles(np.nan_to_num(np.abs(values)))
    ]


def share_inside(departures: NDArray[np.float64], classes: Sequence[str], inside: NDArray[np.bool_]) -> float | None:
    """Share of the crosses of all channels that lie in some tiles (N, N), of departures (C, K, N, N)."""
    every = [cross for channel in departures.swapaxes(0, 1) for cross in crosses_of(channel, classes)]
    return float(np.mean([inside[cross.row, cross.column] for cross in every])) if every else None


def describe(maps: ClassMaps, made: TrainRecord, classes: Sequence[str], chosen: ExplainParams) -> dict[str, Any]:
    """activation_maps.json: axes, provenance, and each channel's figure, difference and crosses.

    Only the channels in which classes differ most, `TELLING` of them, have a figure of their own.
    """
    per_kernel, kernels = made.architecture["channels"], made.architecture["kernels"]
    order = [int(k) for k in np.argsort(-maps.difference, kind="stable")]
    channels = []
    for k in range(len(order)):
        kernel, channel = kernels[k // per_kernel], k % per_kernel
        found = crosses_of(maps.departures[:, k], classes)
        channels.append(
            {
                "kernel": kernel,
                "channel": channel,
                "figure": f"maps/{kernel}x{kernel}_{channel:02}.png" if k in order[:TELLING] else None,
                "difference": float(maps.difference[k]),
                "crosses": [_placed(cross, made.floor_cm, maps.means.shape[-1]) for cross in found],
            }
        )
    return {
        "format": 2,
        "simulated": made.simulated,
        "network": f"each sample by the network of seed {chosen.seed} that has not seen its cage",
        "seed": chosen.seed,
        "layer": chosen.layer,
        "maps": chosen.maps,
        "axes": ["class", "channel", "row", "column"],
        "classes": list(classes),
        "n_samples": {name: int(n) for name, n in zip(classes, maps.counts, strict=True)},
        "floor_cm": list(made.floor_cm),
        "origin": "upper left corner of the floor, x to the right with the column, y down with the row",
        "definitions": {**DEFINITIONS, "maps": f"{LAYERS[chosen.layer]}, {SHOWN[chosen.maps]}"},
        "order": order,
        "channels": channels,
    }


def _placed(cross: Cross, floor_cm: tuple[float, float], tiles: int) -> dict[str, Any]:
    return {
        "class": cross.class_name,
        "row": cross.row,
        "column": cross.column,
        "x_cm": round((cross.column + 0.5) * floor_cm[0] / tiles, 3),
        "y_cm": round((cross.row + 0.5) * floor_cm[1] / tiles, 3),
        "departure": cross.value,
    }
