"""Maps of many samples made as small as the page needs them."""

import numpy as np
from numpy.typing import NDArray

MOST_TILES = 2_000_000
"""Tiles of one kind of map of all samples on the page: a byte each, 2.7 MB of text."""


def coarser(maps: NDArray[np.float64], most: int = MOST_TILES) -> NDArray[np.float64]:
    """Sum maps (S, N, N) over squares of f x f tiles, with the least f that leaves no more than `most` tiles."""
    n, tiles = maps.shape[0], maps.shape[-1]
    f = next(f for f in range(1, tiles + 1) if n * (-(-tiles // f)) ** 2 <= most or f == tiles)
    side = -(-tiles // f)
    padded = np.pad(maps, ((0, 0), (0, side * f - tiles), (0, side * f - tiles)))
    return np.asarray(padded.reshape(n, side, f, side, f).sum(axis=(2, 4)))
