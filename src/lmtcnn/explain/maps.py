"""Mean maps of every channel for each class, and what they say: differences, spreads, crosses."""

from collections.abc import Sequence
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
DEFINITIONS = {
    "maps": "{layer}, averaged over the samples of a class",
    "spread": "largest minus smallest class mean in a tile",
    "crosses": f"the {CROSSES} tiles of largest spread, at least {CROSS_SPACING_TILES} tiles apart",
    "difference": "share of the variance between samples that lies between classes, all tiles together",
    "order": "channels from the largest difference to the smallest",
}


class ClassMaps(NamedTuple):
    """Mean maps of all samples, for C classes and K channels.

    `means` (C, K, N, N), NaN for a class without samples; `counts` (C,); `difference` (K,), from 0 to 1.
    """

    means: NDArray[np.float64]
    counts: NDArray[np.int64]
    difference: NDArray[np.float64]


def class_maps(
    network: StereotypeCNN,
    stacks: NDArray[Any],
    codes: NDArray[np.int64],
    classes: int,
    transform: str,
    layer: str = "relu",
) -> ClassMaps:
    """Mean maps of each class, and how much of each channel's variance they explain, BATCH samples at a time.

    `network` has one member; its channels are numbered kernel by kernel. `codes` (S,) are class numbers of `stacks`.
    """
    sums: NDArray[np.float64] | None = None
    squares: NDArray[np.float64] | None = None
    for start in range(0, len(stacks), BATCH):
        with torch.inference_mode():
            found = network.activations(prepare(stacks[start : start + BATCH], transform), layer)
        batch = torch.cat([values[0] for values in found.values()], dim=1).double().numpy()  # (B, K, N, N)
        if sums is None or squares is None:
            sums, squares = np.zeros((classes, *batch.shape[1:])), np.zeros(batch.shape[1:])
        np.add.at(sums, codes[start : start + BATCH], batch)
        squares += np.square(batch).sum(axis=0)
    if sums is None or squares is None:
        raise DataError(problem("the histograms", "samples", "none", "run `lmtcnn histograms` again"))
    counts = np.bincount(codes, minlength=classes)
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


def spread(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Largest minus smallest class mean in each tile, (K, N, N), of means (C, K, N, N); empty classes do not count."""
    known = means[~np.isnan(means).all(axis=(1, 2, 3))]
    return np.asarray(known.max(axis=0) - known.min(axis=0))


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


def describe(
    maps: ClassMaps, network: StereotypeCNN, made: TrainRecord, classes: Sequence[str], chosen: ExplainParams
) -> dict[str, Any]:
    """activation_maps.json: axes, provenance, and each channel's figure, difference and crosses."""
    width, height = made.floor_cm
    tiles = maps.means.shape[-1]
    per_kernel = network.architecture["channels"]
    channels = []
    for k, values in enumerate(spread(maps.means)):
        kernel, channel = network.architecture["kernels"][k // per_kernel], k % per_kernel
        crosses = [
            {
                "row": row,
                "column": column,
                "x_cm": round((column + 0.5) * width / tiles, 3),
                "y_cm": round((row + 0.5) * height / tiles, 3),
                "spread": float(values[row, column]),
            }
            for row, column in top_tiles(values)
        ]
        name = f"maps/{kernel}x{kernel}_{channel:02}.png"
        difference = float(maps.difference[k])
        channels.append(
            {"kernel": kernel, "channel": channel, "figure": name, "difference": difference, "crosses": crosses}
        )
    return {
        "format": 1,
        "simulated": made.simulated,
        "network": f"one network trained on all cages, seed {chosen.seed}",
        "seed": chosen.seed,
        "layer": chosen.layer,
        "axes": ["class", "channel", "row", "column"],
        "classes": list(classes),
        "n_samples": {name: int(n) for name, n in zip(classes, maps.counts, strict=True)},
        "floor_cm": [width, height],
        "origin": "upper left corner of the floor, x to the right with the column, y down with the row",
        "definitions": {name: text.format(layer=LAYERS[chosen.layer]) for name, text in DEFINITIONS.items()},
        "order": [int(k) for k in np.argsort(-maps.difference, kind="stable")],
        "channels": channels,
    }
