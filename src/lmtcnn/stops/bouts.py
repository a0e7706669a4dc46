"""Where one mouse stopped: bouts in which its speed stays at or below 5 cm/s for at least 1 s (arXiv 2412.05158).

The paper does not say over how many frames speed is measured nor what becomes of frames without identity; both change
the count several-fold, so both are parameters, with defaults that keep a still mouse still (docs/definitions.md has
the numbers):

    speed(f) = |p(f + k) - p(f - k)| * 10/57 / (2 k / fps)   cm/s, k = half_window_frames

A half window of 1 is lmt-analysis' speed; it counts tracking noise, which depends on body size and so on age.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmtcnn.core.schemas import FLICKER_LEVELS, GAP_LEVELS, HALF_WINDOWS
from lmtcnn.core.sections import StopsParams
from lmtcnn.stops.flicker import find_flicker, long_steps
from lmtcnn.timeline.clock import BLOCK_FRAMES, Layout
from lmtcnn.timeline.tracks import Gaps, Track, changes, fill, find_gaps, spread


@dataclass(frozen=True)
class Bouts:
    """Stops of one animal: layout indices of the first and last frame, mean position in pixels."""

    first: NDArray[np.int64]
    last: NDArray[np.int64]
    x_px: NDArray[np.float64]
    y_px: NDArray[np.float64]


def find_stops(
    track: Track, params: StopsParams, gaps: Gaps | None = None, flicker: Gaps | None = None
) -> tuple[Bouts, dict[str, float]]:
    """Find the stops of one animal, and count them under other settings.

    Flicker is bridged first, where `max_flicker_frames` says so, then gaps are filled, from the shortest setting to
    the longest; the speed is computed anew only where a frame that was given a position takes part, so that all
    settings cost little more than one.

    Parameters
    ----------
    track
        Positions; they are filled in place.
    params
        The definitions, on the recording's own floor.
    gaps, flicker
        Its gaps and runs of flicker, as `find_gaps` and `find_flicker` give them; found here where they are not given.

    Returns
    -------
    bouts, counts
        The stops under `params`, and n_filled, n_stops_gap_<g> for GAP_LEVELS, n_stops_half_<k> for HALF_WINDOWS,
        n_stops_flicker_<n> and stopped_s_flicker_<n> for FLICKER_LEVELS.
    """
    gaps = gaps or find_gaps(track)
    runs = flicker or find_flicker(track, long_steps(track, params), gaps, params)
    still = _Still(track, params)
    untried = [level for level in FLICKER_LEVELS if runs.before.size and level != params.max_flicker_frames]
    other = {level: still.tried(runs, gaps, level) for level in untried}
    bridged = still.bridge(runs, params.max_flicker_frames)
    gaps = find_gaps(track) if bridged.size else gaps
    near = params.arena.cm(gaps.distance_px) <= params.max_gap_cm
    counts: dict[str, float] = {}
    bouts = None
    filled = previous = 0
    for level in sorted({*GAP_LEVELS, params.max_gap_frames}):
        index = fill(track, gaps, near & (gaps.length > previous) & (gaps.length <= level))
        still.update(index)
        filled, previous = filled + index.size, level
        first, last = still.runs()
        if level in GAP_LEVELS:
            counts[f"n_stops_gap_{level}"] = len(first)
        if level == params.max_gap_frames:
            bouts = Bouts(first, last, _means(track.x_px, first, last), _means(track.y_px, first, last))
            counts["n_filled"] = filled
            counts |= {f"n_stops_half_{half}": _count(track, params, half, len(first)) for half in HALF_WINDOWS}
    assert bouts is not None  # max_gap_frames is one of the levels
    own = _sizes(bouts.first, bouts.last, params)
    for level in FLICKER_LEVELS:
        counts[f"n_stops_flicker_{level}"], counts[f"stopped_s_flicker_{level}"] = other.get(level, own)
    return bouts, counts


def _sizes(first: NDArray[np.int64], last: NDArray[np.int64], params: StopsParams) -> tuple[int, float]:
    """How many stops, and how many seconds in all."""
    return len(first), float(((last - first + 1) / params.fps).sum())


def _count(track: Track, params: StopsParams, half: int, known: int) -> int:
    """Stops under another half window, all else alike; `known` are those under that of `params`."""
    if half == params.half_window_frames:
        return known
    return len(_Still(track, params.model_copy(update={"half_window_frames": half})).runs()[0])


class _Still:
    """Where a mouse is slow: one flag a frame, false where the speed is not defined."""

    def __init__(self, track: Track, params: StopsParams) -> None:
        self.track, self.params = track, params
        window_s = 2 * params.half_window_frames / params.fps
        self.limit_px2 = params.arena.px(params.max_speed_cm_per_s * window_s) ** 2
        size, half = track.layout.size, params.half_window_frames
        self.ends = _near_ends(track.layout, half)
        self.flags = np.zeros(size, np.bool_)
        for begin in range(half, size - half, BLOCK_FRAMES):
            end = min(begin + BLOCK_FRAMES, size - half)
            self.flags[begin:end] = self._slow(
                slice(begin + half, end + half), slice(begin - half, end - half), slice(begin, end)
            )
        self.flags[self.ends] = False

    def update(self, filled: NDArray[np.int64]) -> None:
        """Compute the flags again at every frame whose speed a filled frame takes part in."""
        half = self.params.half_window_frames
        for begin in range(0, filled.size, BLOCK_FRAMES):
            block = filled[begin : begin + BLOCK_FRAMES]
            for touched in (block - half, block, block + half):
                index = touched[(touched >= half) & (touched < self.flags.size - half)]
                self.flags[index] = self._slow(index + half, index - half, index)
        self.flags[self.ends] = False

    def bridge(self, runs: Gaps, level: int) -> NDArray[np.int64]:
        """Bridge flicker of at most `level` frames on end, as gaps are filled; returns the indices of its frames."""
        near = self.params.arena.cm(runs.distance_px) <= self.params.max_gap_cm
        index = fill(self.track, runs, near & (runs.length <= level))
        self.update(index)
        return index

    def tried(self, runs: Gaps, gaps: Gaps, level: int) -> tuple[int, float]:
        """How many stops there were if flicker of `level` frames were bridged, and their seconds; undone at the end."""
        track, params = self.track, self.params
        short = runs.length <= level
        kept = spread(runs.before[short] + 1, runs.length[short])
        x_px, y_px = track.x_px[kept], track.y_px[kept]
        bridged = self.bridge(runs, level)
        gaps = find_gaps(track) if bridged.size else gaps
        near = params.arena.cm(gaps.distance_px) <= params.max_gap_cm
        filled = fill(track, gaps, near & (gaps.length <= params.max_gap_frames))
        self.update(filled)
        sizes = _sizes(*self.runs(), params)
        track.x_px[filled] = track.y_px[filled] = np.nan
        track.x_px[kept], track.y_px[kept] = x_px, y_px
        self.update(filled)
        self.update(bridged)
        return sizes

    def _slow(
        self,
        ahead: slice | NDArray[np.int64],
        behind: slice | NDArray[np.int64],
        here: slice | NDArray[np.int64],
    ) -> NDArray[np.bool_]:
        x, y, params = self.track.x_px, self.track.y_px, self.params
        dx, dy = x[ahead] - x[behind], y[ahead] - y[behind]
        with np.errstate(over="ignore"):
            squared = dx * dx + dy * dy
        slow = squared <= self.limit_px2
        near = np.flatnonzero(np.abs(squared - self.limit_px2) <= 1e-9 * self.limit_px2)
        if (
            near.size
        ):  # positions lie on a grid, so some speeds are exactly the limit: these by the definition's formula
            distance_cm = params.arena.cm(np.hypot(dx[near], dy[near]))
            slow[near] = distance_cm / (2 * params.half_window_frames / params.fps) <= params.max_speed_cm_per_s
        return np.asarray(slow & ~np.isnan(x[here]))

    def runs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First and last index of every maximal run that is long enough.

        No run crosses segments: the half window leaves frames without a speed on both sides of every cut.
        """
        change = changes(self.flags) + 1  # a flag is never set on the first or last frame
        first, last = change[::2], change[1::2] - 1
        long = (last - first + 1) / self.params.fps >= self.params.min_duration_s
        return first[long], last[long]


def _near_ends(layout: Layout, half: int) -> NDArray[np.int64]:
    """Frames so near to an end of their segment that f - half or f + half is not in it."""
    steps = np.arange(half)
    begins, ends = layout.offsets[:-1, None] + steps, layout.offsets[1:, None] - 1 - steps
    near = np.concatenate((begins, ends), axis=None)
    return near[(near >= 0) & (near < layout.size)]  # a short segment's reach into its neighbours' own ends


def _means(values: NDArray[np.float64], first: NDArray[np.int64], last: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean over each run first..last, inclusive."""
    if not first.size:
        return np.empty(0)
    edges, length = np.column_stack((first, last + 1)).ravel(), last - first + 1
    with np.errstate(over="ignore", invalid="ignore"):
        means = np.asarray(np.add.reduceat(values, edges)[::2] / length)
    for run in np.flatnonzero(~np.isfinite(means)):  # places of 1e308 are no places, but numbers
        means[run] = (values[first[run] : last[run] + 1] / length[run]).sum()
    return means
