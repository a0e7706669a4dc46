"""The positions of one animal, frame by frame.

A `Track` takes rows in any order and keeps one position a frame: the lowest (MASS_X, then MASS_Y) of several, so
that the order of rows in a file cannot matter.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmtcnn.core.sections import Arena
from lmtcnn.timeline.clock import BLOCK_FRAMES, Layout

MIN_X_PX = 10.0
"""The tracker's "detection at 0", in its own pixels whatever their size: MASS_X below this is not a position."""

MAX_JUMP_CM = 15.0
"""A longer step from one frame to the next is an identity switch or a flicker, not a mouse."""


Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Spare = tuple[Floats, Floats]
"""Arrays of a track that is done with: to fill them again costs half of what the system asks for new memory."""


@dataclass(frozen=True)
class Steps:
    """Steps from one frame to the next: indices of the first of the two frames, and their lengths squared."""

    before: Ints
    squared_px2: Floats

    def count_jumps(self, arena: Arena) -> int:
        """How many are longer than 15 cm."""
        return int(np.count_nonzero(self.squared_px2 > arena.px(MAX_JUMP_CM) ** 2))


class Track:
    """Positions in pixels on the frames of a layout, nan where there is none, and what was set aside."""

    def __init__(self, layout: Layout, spare: Spare | None = None) -> None:
        """Begin without positions, in `spare` arrays (layout.size,) if there are some."""
        self.layout = layout
        self.x_px, self.y_px = spare or (np.empty(layout.size), np.empty(layout.size))
        self.clear()

    def clear(self) -> None:
        """Begin again."""
        self.n_rows = self.n_invalid = self.n_at_zero = self.n_untimed = 0
        # Rows beyond the first in a frame: they are compared at the end, when it is known which position counts.
        self._second: list[tuple[Ints, Floats, Floats]] = []
        self._forget()

    def _forget(self) -> None:
        self.x_px.fill(np.nan)
        self.y_px.fill(np.nan)

    def _at(self, index: Ints) -> tuple[Floats, Floats]:
        return self.x_px[index], self.y_px[index]

    def _put(self, index: Ints, x_px: Floats, y_px: Floats) -> None:
        self.x_px[index], self.y_px[index] = x_px, y_px

    def add(self, frames: NDArray[np.int64], x_px: NDArray[np.float64], y_px: NDArray[np.float64]) -> None:
        """Take rows of this animal: frame numbers, MASS_X, MASS_Y."""
        self.n_rows += len(frames)
        finite = np.isfinite(x_px) & np.isfinite(y_px)
        valid = finite & (x_px >= MIN_X_PX)
        n_finite = int(np.count_nonzero(finite))
        self.n_invalid += len(frames) - n_finite
        self.n_at_zero += n_finite - int(np.count_nonzero(valid))
        index = self.layout.locate(frames)
        timed = index >= 0
        keep = valid & timed
        self.n_untimed += int(np.count_nonzero(valid & ~timed))
        if not keep.all():
            index, x_px, y_px = index[keep], x_px[keep], y_px[keep]
        if not (index[1:] > index[:-1]).all():
            index, x_px, y_px = self._lowest_of_each(index, x_px, y_px)
        self._merge(index, x_px, y_px)

    def _lowest_of_each(
        self, index: NDArray[np.int64], x_px: NDArray[np.float64], y_px: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        order = np.lexsort((y_px, x_px, index))
        index, x_px, y_px = index[order], x_px[order], y_px[order]
        first = np.concatenate(([True], index[1:] != index[:-1]))
        self._second.append((index[~first], x_px[~first], y_px[~first]))
        return index[first], x_px[first], y_px[first]

    def _merge(self, index: NDArray[np.int64], x_px: NDArray[np.float64], y_px: NDArray[np.float64]) -> None:
        old_x, old_y = self._at(index)
        taken = ~np.isnan(old_x)
        if taken.any():
            lower = ~taken | (x_px < old_x) | ((x_px == old_x) & (y_px < old_y))
            higher = taken & lower
            self._second.append((index[~lower], x_px[~lower], y_px[~lower]))
            self._second.append((index[higher], old_x[higher], old_y[higher]))
            index, x_px, y_px = index[lower], x_px[lower], y_px[lower]
        self._put(index, x_px, y_px)

    @property
    def n_identical(self) -> int:
        """Second rows in a frame that say the same place as the one that counts."""
        return sum(
            int(np.count_nonzero((x_px == self.x_px[index]) & (y_px == self.y_px[index])))
            for index, x_px, y_px in self._second
        )

    @property
    def n_conflicting(self) -> int:
        """Second rows in a frame that say another place."""
        return sum(len(index) for index, *_ in self._second) - self.n_identical

    @property
    def detected(self) -> NDArray[np.bool_]:
        """Where there is a position."""
        return ~np.isnan(self.x_px)

    def long_steps(self, limit_px: float) -> Steps:
        """Steps longer than `limit_px` from one frame to the next, inside segments."""
        x, y, cuts = self.x_px, self.y_px, self.layout.offsets[1:-1] - 1
        before, squared_px2 = [np.empty(0, np.int64)], [np.empty(0)]
        for begin in range(0, self.layout.size - 1, BLOCK_FRAMES):
            dx, dy = np.diff(x[begin : begin + BLOCK_FRAMES + 1]), np.diff(y[begin : begin + BLOCK_FRAMES + 1])
            with np.errstate(over="ignore"):
                squared = dx * dx + dy * dy
            far = squared > limit_px**2
            far[cuts[(cuts >= begin) & (cuts < begin + len(far))] - begin] = False
            found = np.flatnonzero(far)
            before.append(found + begin)
            squared_px2.append(squared[found])
        return Steps(np.concatenate(before), np.concatenate(squared_px2))

    def count_outside(self, arena: Arena) -> int:
        """Positions that are not on the floor (its edges belong to it)."""
        found = 0
        for begin in range(0, self.layout.size, BLOCK_FRAMES):
            x = self.x_px[begin : begin + BLOCK_FRAMES] - arena.x_px
            y = self.y_px[begin : begin + BLOCK_FRAMES] - arena.y_px
            found += int(np.count_nonzero((x < 0) | (x > arena.width_px) | (y < 0) | (y > arena.height_px)))
        return found


class PackedTrack(Track):
    """A track that is being filled, in a quarter of the memory: the tracker rounds positions to 0.01 pixels.

    Where one is not such a number below 655.36, all are kept as they are. `unpack` makes a Track of it.
    """

    def _forget(self) -> None:
        self._x, self._y = np.zeros(self.layout.size, np.uint16), np.zeros(self.layout.size, np.uint16)
        self._wide: Track | None = None

    def __init__(self, layout: Layout) -> None:
        """Begin without positions."""
        self.layout = layout
        self.clear()

    def _at(self, index: Ints) -> tuple[Floats, Floats]:
        if self._wide:
            return self._wide._at(index)
        x, y = self._x[index], self._y[index]
        return np.where(x == 0, np.nan, x / 100), np.where(x == 0, np.nan, y / 100)  # a position has x >= 10

    def _put(self, index: Ints, x_px: Floats, y_px: Floats) -> None:
        if not self._wide:
            with np.errstate(over="ignore"):
                x, y = np.rint(x_px * 100), np.rint(y_px * 100)
            if _packs(x, x_px) and _packs(y, y_px):
                self._x[index], self._y[index] = x.astype(np.uint16), y.astype(np.uint16)
                return
            self._wide = self._expand(None)
        self._wide._put(index, x_px, y_px)

    def unpack(self, spare: Spare | None = None) -> Track:
        """Return the positions as a Track, whose arrays may be `spare` ones; this one is not to be used any more."""
        track = self._wide or self._expand(spare)
        for name in ("n_rows", "n_invalid", "n_at_zero", "n_untimed", "_second"):
            setattr(track, name, getattr(self, name))
        return track

    def _expand(self, spare: Spare | None) -> Track:
        track = Track(self.layout, spare)
        for begin in range(0, self.layout.size, BLOCK_FRAMES):
            block = slice(begin, begin + BLOCK_FRAMES)
            track.x_px[block], track.y_px[block] = self._at(np.arange(begin, min(block.stop, self.layout.size)))
        self._x = self._y = np.empty(0, np.uint16)
        return track


def _packs(codes: Floats, px: Floats) -> bool:
    """Whether hundredths of pixels fit in two bytes, and are what they came from."""
    return bool(((codes >= 0) & (codes <= 65_535) & (codes / 100 == px)).all())


class Tally:
    """Rows of no animal in particular, counted by interval; `edges` are those of `clock.interval_edges`."""

    def __init__(self, layout: Layout, edges: Sequence[int]) -> None:
        """Begin without rows."""
        self.layout, self.edges = layout, np.asarray(edges)
        self.clear()

    def clear(self) -> None:
        """Begin again."""
        self.n_rows = 0
        self.counts = np.zeros(len(self.edges) - 1, np.int64)

    def add(self, frames: NDArray[np.int64]) -> None:
        """Take rows by their frame numbers; those in no segment count in n_rows only."""
        self.n_rows += len(frames)
        index = self.layout.locate(frames)
        interval = np.searchsorted(self.edges, index[index >= 0], side="right") - 1
        self.counts += np.bincount(interval, minlength=len(self.counts))


@dataclass(frozen=True)
class Gaps:
    """Missing frames between two positions of a segment: indices before and after, and how far apart they are."""

    before: NDArray[np.int64]
    after: NDArray[np.int64]
    distance_px: NDArray[np.float64]

    @property
    def length(self) -> NDArray[np.int64]:
        """Missing frames."""
        return self.after - self.before - 1


def changes(flags: NDArray[np.bool_]) -> Ints:
    """Indices after which a flag is another one."""
    found = [np.empty(0, np.int64)]
    for begin in range(0, len(flags) - 1, BLOCK_FRAMES):
        block = flags[begin : begin + BLOCK_FRAMES + 1]
        found.append(np.flatnonzero(block[1:] != block[:-1]) + begin)
    return np.concatenate(found)


def find_gaps(track: Track) -> Gaps:
    """The gaps of a track, none across segments, none at a segment's ends."""
    present = track.detected
    change = changes(present)
    lost = change[present[change]]  # last index before a gap
    found = change[~present[change]] + 1  # first index after a gap
    if found.size and (not lost.size or found[0] <= lost[0]):
        found = found[1:]  # the track begins without a position
    lost = lost[: found.size]
    inside = track.layout.segment(lost) == track.layout.segment(found)
    before, after = lost[inside], found[inside]
    x, y = track.x_px, track.y_px
    with np.errstate(over="ignore"):
        return Gaps(before, after, np.hypot(x[after] - x[before], y[after] - y[before]))


def spread(first: Ints, length: Ints) -> Ints:
    """first, first + 1, ... of each run, so many of each."""
    return np.repeat(first - np.concatenate(([0], np.cumsum(length)[:-1])), length) + np.arange(length.sum())


def fill(track: Track, gaps: Gaps, chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Fill the chosen gaps linearly, in place; return the indices filled."""
    before, after = gaps.before[chosen], gaps.after[chosen]
    length = after - before - 1
    index = spread(before + 1, length)
    fraction = (index - np.repeat(before, length)) / np.repeat(length + 1, length)
    for values in (track.x_px, track.y_px):
        start = np.repeat(values[before], length)
        values[index] = start + (np.repeat(values[after], length) - start) * fraction
    return index
