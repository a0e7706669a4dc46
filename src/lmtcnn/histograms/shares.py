"""Where a sample's stops lie on the floor, whenever they began: the shares of tiles."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

REACH = 4
"""The Gaussian is cut at so many standard deviations."""


def shares(stacks: NDArray[Any], smoothing_tiles: float) -> NDArray[np.float64]:
    """Each sample's stops per tile over its stops, in time, smoothed by a Gaussian.

    share(r, c) = sum over t of stack(t, r, c) / sum over t, r, c of it, then a Gaussian along rows and along columns.
    At the walls the floor is mirrored, each edge tile standing twice, so that no share leaves it: the sum stays 1.

    Parameters
    ----------
    stacks
        Counts, or seconds, (samples, T, N, N), memory-mapped or not; one sample at a time is in memory.
    smoothing_tiles
        Standard deviation of the Gaussian in tiles; 0 leaves the shares as they are.

    Returns
    -------
    ndarray
        (samples, N, N); all 0 for a sample without a stop.
    """
    tiles = stacks.shape[-1]
    smoother = gaussian(tiles, smoothing_tiles)
    found = np.zeros((len(stacks), tiles, tiles))
    for place, stack in enumerate(stacks):
        counts = np.asarray(stack).sum(axis=0, dtype=np.float64)
        if (total := counts.sum()) > 0:
            found[place] = smoother @ (counts / total) @ smoother.T
    return found


def gaussian(tiles: int, smoothing_tiles: float) -> NDArray[np.float64]:
    """The matrix (tiles, tiles) that smooths a row of tiles between two walls which mirror it; its columns sum to 1.

    Weights exp(-d^2 / (2 s^2)) of tiles at distance d, up to `REACH` standard deviations s, of sum 1. The tile at
    place -1 - i behind a wall is tile i, and so on behind the other wall.
    """
    if smoothing_tiles == 0:
        return np.eye(tiles)
    reach = int(REACH * smoothing_tiles + 0.5)
    steps = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * np.square(steps / smoothing_tiles))
    weights /= weights.sum()
    matrix = np.zeros((tiles, tiles))
    for tile in range(tiles):
        behind = (tile + steps) % (2 * tiles)  # the floor and its mirror image follow each other for ever
        np.add.at(matrix[tile], np.where(behind < tiles, behind, 2 * tiles - 1 - behind), weights)
    return matrix
