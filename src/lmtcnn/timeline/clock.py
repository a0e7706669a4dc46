"""FRAME rows: which frames belong together, and what time it was.

A recording is cut into segments at paused frames and where the clock steps by more than a second; filling, speeds
and stops stay inside a segment. Everything downstream addresses frames by their index in the `Layout`, the
segments laid end to end, so that a pause of a day costs nothing and a frame number of 10**12 cannot either.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import product
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from lmtcnn.core.errors import DatabaseError, problem
from lmtcnn.core.sections import HistogramsParams, StopsParams

log = logging.getLogger("lmtcnn")

MAX_STEP_MS = 1000
"""A longer step of TIMESTAMP between consecutive FRAME rows ends a segment."""

BLOCK_FRAMES = 1 << 16
"""Frames at a time in passes over a recording, so that temporaries stay in the processor's cache."""

DAY_S = 86_400

MAX_RATE_ERROR = 0.02
"""A measured frame rate further off `fps` than this is warned of."""


@dataclass(frozen=True)
class Extremes:
    """Readings of a sensor: the lowest, the highest, and how many lie below and above each limit; number and sum."""

    lowest: float
    highest: float
    n_below: tuple[int, ...]
    n_above: tuple[int, ...]
    n: int
    total: float

    @property
    def mean(self) -> float:
        """The mean reading."""
        return self.total / self.n

    def joined(self, other: "Extremes") -> "Extremes":
        """Return those of these readings and of others of the same sensor."""
        below = tuple(map(sum, zip(self.n_below, other.n_below, strict=True)))
        above = tuple(map(sum, zip(self.n_above, other.n_above, strict=True)))
        lowest, highest = min(self.lowest, other.lowest), max(self.highest, other.highest)
        return Extremes(lowest, highest, below, above, self.n + other.n, self.total + other.total)


@dataclass(frozen=True)
class Clock:
    """The FRAME table: frame numbers (ascending), epoch milliseconds and paused flags, each (F,).

    `sensors`: the extremes of each column that was asked for and has readings.
    """

    frames: NDArray[np.int64]
    timestamps_ms: NDArray[np.int64]
    paused: NDArray[np.bool_]
    sensors: Mapping[str, Extremes] = field(default_factory=dict)

    @property
    def first_unpaused(self) -> int:
        """Row of the first unpaused frame; the recording's time runs from there."""
        return int(np.argmin(self.paused))


@dataclass(frozen=True)
class Origin:
    """Where a recording's time starts: the first unpaused frame of its first file, frames already shifted."""

    frame: int
    timestamp_ms: int


@dataclass(frozen=True)
class Layout:
    """Segments laid end to end: segment i holds frames starts[i]..ends[i] at indices offsets[i]..offsets[i+1]-1."""

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    offsets: NDArray[np.int64]

    @property
    def size(self) -> int:
        """Frames in all segments."""
        return int(self.offsets[-1])

    def locate(self, frames: NDArray[np.int64]) -> NDArray[np.int64]:
        """Index of each frame in the layout, -1 where it lies in no segment."""
        if frames.size:
            ends = np.array([frames.min(), frames.max()])
            first, last = np.searchsorted(self.starts, ends, side="right") - 1
            if first == last >= 0 and ends[1] <= self.ends[last]:  # most blocks of rows lie in one segment
                return frames + int(self.offsets[last] - self.starts[last])
        segment = np.searchsorted(self.starts, frames, side="right") - 1
        inside = (segment >= 0) & (frames <= self.ends[segment])
        return np.where(inside, self.offsets[segment] + frames - self.starts[segment], -1)

    def frame(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Frame number at each index."""
        segment = self.segment(indices)
        return self.starts[segment] + indices - self.offsets[segment]

    def segment(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Segment of each index."""
        return np.searchsorted(self.offsets, indices, side="right") - 1


def steps_back(clock: Clock) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """FRAME rows with an earlier TIMESTAMP than the row before: their frames, and by how many ms."""
    times_ms = clock.timestamps_ms
    rows = np.flatnonzero(times_ms[1:] < times_ms[:-1]) + 1
    return clock.frames[rows], times_ms[rows - 1] - times_ms[rows]


def jumps(clock: Clock) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Unpaused FRAME rows more than 1 s after the unpaused row before: their frames, and by how many ms."""
    rows = _long_steps(clock)
    rows = rows[~clock.paused[rows] & ~clock.paused[rows - 1]]
    return clock.frames[rows], clock.timestamps_ms[rows] - clock.timestamps_ms[rows - 1]


def _long_steps(clock: Clock) -> NDArray[np.int64]:
    """FRAME rows more than 1 s after the row before."""
    found = [np.empty(0, np.int64)]
    for begin in range(0, len(clock.frames), BLOCK_FRAMES):
        steps_ms = np.diff(clock.timestamps_ms[begin : begin + BLOCK_FRAMES + 1])
        found.append(np.flatnonzero(steps_ms > MAX_STEP_MS) + begin + 1)
    return np.concatenate(found)


def expected_frames(clock: Clock, fps: float) -> int:
    """Frames that fit into unpaused time: in each run of unpaused rows one, and fps for every second up to its end."""
    change = np.flatnonzero(np.diff(clock.paused, prepend=True, append=True))
    first, last = change[::2], change[1::2] - 1
    unpaused_ms = int((clock.timestamps_ms[last] - clock.timestamps_ms[first]).sum())
    return round(unpaused_ms * fps / 1000) + len(first)


def check(clock: Clock, path: Path, params: StopsParams) -> None:
    """Check that time runs forward; small steps back are warned of, and so is a clock that is no clock.

    Raises DatabaseError that names the frame where the clock goes back by more than `max_clock_back_ms`, unless
    the frame number is the clock.
    """
    if clock.paused.all():
        raise DatabaseError(
            problem(path, "an unpaused frame in FRAME", f"{len(clock.frames)} paused ones", "leave the file out")
        )
    if params.clock == "frame":
        ends = clock.timestamps_ms[[0, -1]] / 1000
        by_frames_s = float(clock.frames[-1] - clock.frames[0]) / params.fps
        spans = length(by_frames_s), length(float(ends[1] - ends[0]))
        log.warning("%s: time by frame numbers (stops.clock: frame): %s, by TIMESTAMP %s", path.name, *spans)
    frames, by_ms = steps_back(clock)
    if frames.size:
        frame, most_ms = int(frames[np.argmax(by_ms)]), int(by_ms.max())
        if most_ms > params.max_clock_back_ms and params.clock == "timestamp":
            raise DatabaseError(
                problem(
                    f"{path}: FRAME {frame}",
                    f"a TIMESTAMP that goes back by {params.max_clock_back_ms} ms at most",
                    f"{most_ms} ms",
                    "leave the file out; a study may count time by frames instead (stops.clock: frame)",
                )
            )
        log.warning(
            "%s: FRAME %d: TIMESTAMP goes back by %d ms (%d steps back in all)", path.name, frame, most_ms, frames.size
        )


def lay_out(clock: Clock, path: Path) -> Layout:
    """Cut a recording into segments.

    A segment is a maximal run of unpaused FRAME rows without a step of TIMESTAMP of more than 1 s between
    neighbours; frames without a row lie inside it. Raises DatabaseError where frame numbers jump without time.
    """
    cut = clock.paused[1:] | clock.paused[:-1]
    cut[_long_steps(clock) - 1] = True
    first = np.flatnonzero(np.concatenate(([True], cut)) & ~clock.paused)
    last = np.flatnonzero(np.concatenate((cut, [True])) & ~clock.paused)
    starts, ends = clock.frames[first], clock.frames[last]
    steps = ends - starts
    rows = int(np.count_nonzero(~clock.paused))
    if steps.sum() > 20 * rows + 100_000:
        worst = int(np.argmax(steps))
        raise DatabaseError(
            problem(
                f"{path}: FRAME",
                f"frame numbers that go with the {rows} rows",
                f"{int(starts[worst])} to {int(ends[worst])} within a second's steps",
                "the table is damaged: leave the file out",
            )
        )
    offsets = np.concatenate(([0], np.cumsum(steps + 1)))
    return Layout(starts, ends, offsets)


def clocked_s(clock: Clock, layout: Layout) -> float:
    """Seconds by TIMESTAMP from the first to the last frame of each segment, in all."""
    first, last = (np.searchsorted(clock.frames, frames) for frames in (layout.starts, layout.ends))
    return float((clock.timestamps_ms[last] - clock.timestamps_ms[first]).sum()) / 1000


def measured_fps(clock: Clock, layout: Layout) -> float:
    """Frames a second by TIMESTAMP, over the segments; nan where no time passes."""
    total_s = clocked_s(clock, layout)
    return float((layout.ends - layout.starts).sum()) / total_s if total_s > 0 else float("nan")


def warn_of_rate(fps: float, path: Path, params: StopsParams) -> None:
    """Warn where the measured rate is off the expected one by more than 2 %."""
    if abs(fps / params.fps - 1) > MAX_RATE_ERROR:
        log.warning("%s: %.2f frames/s measured by TIMESTAMP, stops.fps is %g", path.name, fps, params.fps)


def seconds(
    clock: Clock, frames: NDArray[np.int64], origin: Origin, shift: int, params: StopsParams
) -> NDArray[np.float64]:
    """Time of frames (file's own numbers) since the recording's origin, in s.

    By TIMESTAMP, interpolated where a frame has no FRAME row; or (frame + shift - origin) / fps with `clock: frame`.
    """
    if params.clock == "frame":
        return (frames + shift - origin.frame) / params.fps
    rows = np.clip(np.searchsorted(clock.frames, frames, side="right") - 1, 0, None)
    following = np.minimum(rows + 1, len(clock.frames) - 1)
    begin_ms = clock.timestamps_ms[rows] - origin.timestamp_ms
    step_ms = clock.timestamps_ms[following] - clock.timestamps_ms[rows]
    passed = np.maximum(frames - clock.frames[rows], 0)
    between = np.maximum(clock.frames[following] - clock.frames[rows], 1)
    return np.asarray((begin_ms + step_ms / between * passed * (following > rows)) / 1000.0)


def layout_seconds(
    clock: Clock, layout: Layout, origin: Origin, shift: int, params: StopsParams
) -> Iterator[NDArray[np.float64]]:
    """Time of every frame of a layout, as `seconds` gives it, block by block."""
    whole = params.clock == "timestamp" and len(clock.frames) == layout.size and not clock.paused.any()
    for begin in range(0, layout.size, BLOCK_FRAMES):
        end = min(begin + BLOCK_FRAMES, layout.size)
        if whole:  # without a search
            yield (clock.timestamps_ms[begin:end] - origin.timestamp_ms) / 1000.0
        else:
            yield seconds(clock, layout.frame(np.arange(begin, end)), origin, shift, params)


def align_offset_s(start_ms: int, params: HistogramsParams, timezone: str | None = None) -> float:
    """Seconds by which interval 0 begins before the recording.

    0 with `align: start`; else the time since the last HH:MM of the wall clock at or before the recording's start.
    """
    if params.align == "start":
        return 0.0
    zone = ZoneInfo(timezone or params.timezone)
    begin = datetime.fromtimestamp(start_ms / 1000, zone)
    hours, minutes = (int(part) for part in params.align.split(":"))
    passed = []
    for day, fold in product(range(3), (0, 1)):  # a wall clock shows a time twice, or never, on the days it is changed
        wall = (begin - timedelta(days=day)).replace(hour=hours, minute=minutes, second=0, microsecond=0, fold=fold)
        shown = datetime.fromtimestamp(wall.timestamp(), zone)
        if shown.replace(fold=fold) == wall and wall.timestamp() <= begin.timestamp():
            passed.append(begin.timestamp() - wall.timestamp())
    return min(passed)


def wall_clock(time_ms: float, zone: ZoneInfo) -> datetime | None:
    """Return what a clock on the wall shows; None beyond what dates can say."""
    try:
        return datetime.fromtimestamp(time_ms / 1000, zone)
    except (ValueError, OverflowError):
        return None


def intervals(start_s: NDArray[np.float64], offset_s: float, interval_s: float) -> NDArray[np.int64]:
    """Interval of each time: floor((start_s + offset_s) / interval_s).

    The clock may step back by a fraction of a second just after the start: what comes before it is of interval 0.
    """
    return np.maximum(np.floor((start_s + offset_s) / interval_s), 0).astype(np.int64)


def day_seconds(times_ms: NDArray[np.float64], zone: ZoneInfo) -> NDArray[np.float64]:
    """Seconds since midnight that a clock on the wall shows at each time (ms since the epoch)."""
    minutes, whose = np.unique(np.floor(times_ms / 60_000), return_inverse=True)  # within one, no clock is changed
    shown = [wall_clock(minute * 60_000, zone) for minute in minutes]
    offsets_s = np.array([offset.total_seconds() if d and (offset := d.utcoffset()) else 0.0 for d in shown])
    return np.asarray((times_ms / 1000 + offsets_s[whose]) % DAY_S)


def in_night(day_s: NDArray[np.float64], night: tuple[str, str]) -> NDArray[np.bool_]:
    """Whether each time of day, in seconds since midnight, lies from lights off up to lights on."""
    off_s, on_s = (3600 * int(hours) + 60 * int(minutes) for hours, _, minutes in (t.partition(":") for t in night))
    after, before = day_s >= off_s, day_s < on_s
    return after & before if off_s <= on_s else after | before


def chosen(
    day_s: NDArray[np.float64], params: HistogramsParams, night: tuple[str, str] | None = None
) -> NDArray[np.bool_]:
    """Whether each time of day is one that `only` counts; `night` is a recording's own."""
    inside = in_night(day_s, night or params.night)
    return {"all": np.ones_like(inside), "night": inside, "day": ~inside}[params.only]


def length(seconds: float, beside: float = 0.0) -> str:
    """A stretch of time in words; in hours if it, or one that stands beside it, is an hour or more."""
    in_hours = seconds >= 3600 or (beside >= 3600 and seconds >= 36)
    return f"{seconds / 3600:.3g} h" if in_hours else f"{seconds:.4g} s"


def interval_edges(
    layout: Layout, times_s: Iterable[NDArray[np.float64]], offset_s: float, interval_s: float
) -> tuple[NDArray[np.int64], list[int], float]:
    """Intervals that hold a frame, the layout index at which each begins (with the layout's size last), the last time.

    `times_s` are those of the layout's frames, block by block. Counted on the running maximum of time, so that a small
    step back moves no frame into an earlier interval.
    """
    held: list[NDArray[np.int64]] = []
    edges: list[int] = []
    latest_s, interval, begin = -np.inf, -1, 0
    for block_s in times_s:
        passed_s = np.maximum(np.maximum.accumulate(block_s), latest_s)
        index = intervals(passed_s, offset_s, interval_s)
        begins = np.flatnonzero(np.diff(index, prepend=interval))
        held.append(index[begins])
        edges += (begins + begin).tolist()
        latest_s, interval, begin = float(passed_s[-1]), int(index[-1]), begin + len(block_s)
    return np.concatenate(held), [*edges, layout.size], float(block_s[-1])
