"""Flicker: the tracker's centre of a mouse hops to and fro while the mouse rests, which cuts its stops to pieces.

Fast movement that leads nowhere, after lmt-analysis' event Flickering and lmt-eye's filter: in a window of 19 frames
the longest step is above 1.6 cm, and the path is longer than the displacement by more than 0.7 cm a frame. A mouse that
runs in circles or turns back does as much at 60 cm/s, but its steps differ little from one frame to the next, while
those of a hop begin and end within one: so the changes of step must, summed over the window, exceed the path as well.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lmtcnn.core.sections import StopsParams
from lmtcnn.timeline.clock import BLOCK_FRAMES
from lmtcnn.timeline.tracks import MAX_JUMP_CM, Gaps, Ints, Steps, Track, spread

BACK = 4
"""A centre that has hopped out and back has a path at least so many times its displacement."""

FARTHEST_PX = 1e6
"""Positions beyond are taken to be here, so that sums of steps stay exact to far below a pixel."""


def long_steps(track: Track, params: StopsParams) -> Steps:
    """The steps that may be a hop's or a jump's: longer than `flicker_top_cm` (or than 15 cm, if that is less)."""
    return track.long_steps(params.arena.px(min(params.flicker_top_cm, MAX_JUMP_CM)))


def find_flicker(track: Track, steps: Steps, gaps: Gaps, params: StopsParams) -> Gaps:
    """Find the runs of frames in which the centre flickers.

    A window of `flicker_window_frames` (W) around a frame, inside a segment, flickers where of its W - 1 steps, d

        max d > flicker_top_cm,   (sum d - |p(last) - p(first)|) / (W - 1) > flicker_mean_cm,   and
        sum |d(f) - d(f - 1)| > sum |d|        (d as vectors: the changes of step exceed the path)

    A hop out and one back in a window are as much, however short the path is over all of it: there it is enough that
    two steps are above flicker_top_cm and that the displacement is less than a quarter of the path (ours).

    A missing position counts as the last one before it. A run goes from the first to the last of a series of hops, each
    fewer than W frames after the one before, of which such a window holds some; a hop is a step above `flicker_mean_cm`
    that differs from the step before it, and from the one after, by more than half of its length.

    Parameters
    ----------
    track
        Positions, before gaps are filled.
    steps, gaps
        Those of `long_steps` and `find_gaps`.
    params
        Thresholds in cm a frame, and the arena's scale.

    Returns
    -------
    Gaps
        For each run the index of the last position before it and of the first one after it, and how far apart these
        are; in order, none across segments. Frames between the two flicker.
    """
    top_px, half = params.arena.px(params.flicker_top_cm), params.flicker_window_frames // 2
    seeds = steps.before[steps.squared_px2 > top_px**2]
    far = (gaps.distance_px > top_px) & (gaps.length < 2 * half)  # a hop may hide in a short gap
    seeds = np.sort(np.concatenate((seeds, gaps.after[far] - 1)))
    found = [(np.empty(0, np.int64),) * 4]
    for index in _neighbourhoods(seeds, half, track.layout.size):
        stretch = _Stretch(track, index, params)
        centres = index[stretch.flickers()]
        apart = np.flatnonzero(np.diff(centres) > 1)
        first, last = np.concatenate((centres[:1], centres[apart + 1])), np.concatenate((centres[apart], centres[-1:]))
        found.append((first - half, last + half, *stretch.hops()))
    return _runs(track, half, *(np.concatenate(parts) for parts in zip(*found, strict=True)))


def count_flicker(track: Track, runs: Gaps, edges: NDArray[np.int64]) -> Ints:
    """Frames of the runs that have a position, for each stretch between `edges` (layout indices, the size last)."""
    index = spread(runs.before + 1, runs.length)
    index = index[~np.isnan(track.x_px[index])]
    return np.bincount(np.searchsorted(edges, index, side="right") - 1, minlength=len(edges) - 1)


def _neighbourhoods(seeds: Ints, half: int, size: int) -> Iterator[Ints]:
    """Indices of the frames of all windows that hold a seed (a step from it to the next frame), some windows at a time.

    Stretches that do not touch stand side by side; long ones are cut where windows are cut, with their margins.
    """
    if not seeds.size:
        return
    apart = np.flatnonzero(np.diff(seeds) > 2 * half)
    first = np.maximum(np.concatenate((seeds[:1], seeds[apart + 1])) - half + 1, 0)
    last = np.minimum(np.concatenate((seeds[apart], seeds[-1:])) + half, size - 1)
    pieces = -(-(last - first + 1) // BLOCK_FRAMES)
    begin = np.repeat(first, pieces) + BLOCK_FRAMES * spread(np.zeros_like(pieces), pieces)
    end = np.minimum(begin + BLOCK_FRAMES - 1, np.repeat(last, pieces))
    begin, end = np.maximum(begin - half, 0), np.minimum(end + half, size - 1)
    group = np.cumsum(end - begin + 1) // BLOCK_FRAMES
    for cut in np.split(np.arange(len(begin)), np.flatnonzero(np.diff(group)) + 1):
        yield spread(begin[cut], end[cut] - begin[cut] + 1)


class _Stretch:
    """Steps on some stretches of frames, and sums of them over windows."""

    def __init__(self, track: Track, index: Ints, params: StopsParams) -> None:
        self.index, self.params = index, params
        segment = track.layout.segment(index)
        new = np.concatenate(([True], (index[1:] != index[:-1] + 1) | (segment[1:] != segment[:-1])))
        self.begin = np.maximum.accumulate(np.where(new, np.arange(len(index)), 0))
        self.last = np.append(self.begin[1:][new[1:]] - 1, len(index) - 1)[np.cumsum(new) - 1]
        self.source = self._sources(~np.isnan(track.x_px[index]))
        # A stretch without any position stays where it is; places of 1e308 are no places, but numbers.
        places = (np.nan_to_num(values[index[self.source]]) for values in (track.x_px, track.y_px))
        self.x, self.y = (np.clip(values, -FARTHEST_PX, FARTHEST_PX) for values in places)
        self.dx, self.dy = np.diff(self.x), np.diff(self.y)
        self.dx[new[1:]] = self.dy[new[1:]] = 0
        self.steps = np.hypot(self.dx, self.dy)

    def _sources(self, known: NDArray[np.bool_]) -> Ints:
        """Where each place is taken from: the last position up to there, or the first one after, of the stretch."""
        places = np.flatnonzero(known)
        here = np.arange(len(known))
        if not places.size:
            return here
        number = np.searchsorted(places, here, side="right")
        before, after = places[np.maximum(number - 1, 0)], places[np.minimum(number, len(places) - 1)]
        usable = (number > 0) & (before >= self.begin)
        following = (after >= here) & (after <= self.last)
        return np.where(usable, before, np.where(following, after, here))

    def flickers(self) -> NDArray[np.bool_]:
        """Whether the window around each frame flickers, false where it reaches out of its stretch."""
        width, arena = self.params.flicker_window_frames, self.params.arena
        found = np.zeros(len(self.index), np.bool_)
        if len(self.index) < width:
            return found
        half = width // 2
        path = _sums(self.steps, width - 1)
        turns = _sums(np.hypot(np.diff(self.dx), np.diff(self.dy)), width - 2)
        n_fast = _sums(self.steps > arena.px(self.params.flicker_top_cm), width - 1)
        net = np.hypot(self.x[width - 1 :] - self.x[: 1 - width], self.y[width - 1 :] - self.y[: 1 - width])
        nowhere = path - net > arena.px(self.params.flicker_mean_cm) * (width - 1)
        whole = self.begin[half:-half] == self.begin[: 1 - width]
        whole &= self.begin[width - 1 :] == self.begin[: 1 - width]
        back = (n_fast >= 2) & (net < path / BACK)
        found[half:-half] = whole & (n_fast > 0) & (nowhere | back) & (turns > path)
        return found

    def hops(self) -> tuple[Ints, Ints]:
        """Hops: the frame after each, and that of the position before it."""
        long = self.steps > self.params.arena.px(self.params.flicker_mean_cm)
        turns = np.hypot(np.diff(self.dx), np.diff(self.dy))
        sharp = np.minimum(turns[:-1], turns[1:]) > self.steps[1:-1] / 2
        here = np.flatnonzero(long[1:-1] & sharp) + 1
        return self.index[here + 1], self.index[self.source[here]]


def _sums(values: NDArray[np.generic], width: int) -> NDArray[np.float64]:
    """Sums of so many values on end."""
    total = np.concatenate(([0.0], np.cumsum(values, dtype=np.float64)))
    return total[width:] - total[:-width]


def _runs(track: Track, half: int, begins: Ints, ends: Ints, hops: Ints, sources: Ints) -> Gaps:
    """Series of hops of which windows that flicker, from frames `begins` to `ends`, hold some."""
    order = np.unique(hops, return_index=True)[1]
    hops, sources = hops[order], sources[order]
    segment = track.layout.segment(hops)
    new = (np.diff(hops) > 2 * half) | (segment[1:] != segment[:-1])
    series = np.concatenate((np.zeros(min(1, hops.size), np.int64), np.cumsum(new)))
    first = np.searchsorted(hops, begins, side="right")  # a hop into the window's first frame began before it
    last = np.searchsorted(hops, ends, side="right") - 1
    held = first <= last
    marks = np.zeros(hops.size + 1, np.int64)
    np.add.at(marks, series[first[held]], 1)
    np.add.at(marks, series[last[held]] + 1, -1)
    bounds = np.flatnonzero(np.concatenate(([True], new, [True]))) if hops.size else np.zeros(1, np.int64)
    one, other = bounds[:-1], bounds[1:] - 1
    chosen = (np.cumsum(marks)[: len(one)] > 0) & (one < other)
    before, after = sources[one[chosen]], hops[other[chosen]]
    with np.errstate(over="ignore"):
        distance = np.hypot(track.x_px[after] - track.x_px[before], track.y_px[after] - track.y_px[before])
    return Gaps(before, after, distance)
