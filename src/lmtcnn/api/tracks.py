"""From recordings to positions, and from anybody's positions to stops."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lmtcnn.cohort.parts import Part, look_at, name_animals, origin_of, tell_progress
from lmtcnn.cohort.recording import Recording
from lmtcnn.core.errors import DataError, problem
from lmtcnn.core.params import Definitions, parse_section
from lmtcnn.core.schemas import STOPS
from lmtcnn.core.sections import Section, StopsParams, dump
from lmtcnn.lmt import detections
from lmtcnn.lmt.detections import Seen
from lmtcnn.stops import bouts
from lmtcnn.stops.tables import tabulate, to_floor
from lmtcnn.timeline import clock as clocks
from lmtcnn.timeline.clock import Layout
from lmtcnn.timeline.tracks import Tally, Track

Progress = Callable[[int, int], None]

S = TypeVar("S", bound=Section)

MAX_HOLE_FRAMES = 100_000
"""A longer hole between an animal's rows begins a new segment: nothing is carried across it, and it takes no memory."""

MAX_DRIFT_S = 1.0
"""So does a step of time that differs by more than this from what the frame numbers say."""

GRID_PX = 0.01
"""The tracker's positions are multiples of this; a position within 1e-9 px of one is taken for it."""


def settings_of(section: type[S], values: dict[str, Any], where: str) -> S:
    """The paper's values of a section of params.yaml with some of them changed; ParamsError names what is wrong."""
    return parse_section(section, dump(section()) | values, where)


def read_positions(
    path: str | Path | Sequence[str | Path], *, progress: Progress | None = None, **settings: Any
) -> pl.DataFrame:
    """Read where each animal of a Live Mouse Tracker recording was.

    Parameters
    ----------
    path
        The database, or the files of one recording, which are joined by RFID. It is only read.
    progress
        Progress callback: detections read, detections in all.
    **settings
        Keys of the section `stops` of params.yaml, such as `arena` or `clock`; the paper's values by default.

    Returns
    -------
    polars.DataFrame
        A row for each animal and unpaused frame: `animal_id` (Int64), `rfid` (String), `frame` (Int64), `time_s`
        since the recording's first unpaused frame, `x_cm` and `y_cm` from the floor's upper left corner (Float64, null
        where the animal was not found), `segment` (Int64): stretches between pauses and jumps of the clock, from 0.

    Raises
    ------
    DatabaseError
        The file is no such database, or damaged.
    ParamsError
        A key or value of `settings` is wrong.

    Examples
    --------
    >>> import lmtcnn
    >>> positions = lmtcnn.read_positions(recording)
    >>> positions.columns
    ['animal_id', 'rfid', 'frame', 'time_s', 'x_cm', 'y_cm', 'segment']
    """
    files = [path] if isinstance(path, str | Path) else list(path)
    params = settings_of(StopsParams, settings, "read_positions")
    recording = Recording(Path(files[0]).stem, tuple(Path(each) for each in files), params.arena)
    definitions = Definitions(stops=params)
    parts = look_at(recording, definitions)
    seen = tell_progress([recording], progress)
    tables = []
    for part, members in zip(parts, name_animals(recording, parts), strict=True):
        tables += _positions(part, members, parts, params, seen)
    table = pl.concat([_EMPTY, *tables])
    known = table.group_by("animal_id").agg(pl.col("x_cm").is_not_null().any()).filter("x_cm")["animal_id"]
    return table.filter(pl.col("animal_id").is_in(known.implode())).sort("animal_id", "frame", maintain_order=True)


_EMPTY = pl.DataFrame(
    schema={
        "animal_id": pl.Int64,
        "rfid": pl.String,
        "frame": pl.Int64,
        "time_s": pl.Float64,
        "x_cm": pl.Float64,
        "y_cm": pl.Float64,
        "segment": pl.Int64,
    }
)


def _positions(
    part: Part,
    members: dict[int, tuple[int, str | None]],
    parts: Sequence[Part],
    params: StopsParams,
    seen: Seen,
) -> list[pl.DataFrame]:
    """The positions of each animal of one file of a recording."""
    layout, before = part.layout, parts[: list(parts).index(part)]
    index = np.arange(layout.size)
    time_s = [*clocks.layout_seconds(part.clock, layout, origin_of(parts), part.shift, params)]
    common = {
        "frame": layout.frame(index) + part.shift,
        "time_s": np.concatenate(time_s),
        "segment": layout.segment(index) + sum(len(other.layout.starts) for other in before),
    }
    found = []
    for key, track in _tracks(part, list(members), seen).items():
        animal_id, rfid = members[key]
        x_cm, y_cm = to_floor(track.x_px, track.y_px, params)
        places = {"x_cm": pl.Series(x_cm).fill_nan(None), "y_cm": pl.Series(y_cm).fill_nan(None)}
        who = {"animal_id": pl.lit(animal_id, pl.Int64), "rfid": pl.lit(rfid, pl.String)}
        found.append(pl.DataFrame(common | places).with_columns(**who).select(_EMPTY.columns))
    return found


def _tracks(part: Part, keys: Sequence[int], seen: Seen) -> dict[int, Track]:
    tracks = {key: Track(part.layout) for key in keys}
    if part.database.index:
        for key, track in tracks.items():
            detections.read_track(part.database, key, track, seen)
    else:
        nobody, others = (Tally(part.layout, [0, part.layout.size]) for _ in range(2))
        detections.read_tracks(part.database, tracks, nobody, others, seen=seen)
    return tracks


def find_stops(
    positions: pl.DataFrame, *, fps: float = 30, progress: Progress | None = None, **settings: Any
) -> pl.DataFrame:
    """Find where each animal stopped, in positions of any tracker.

    An animal has stopped where its speed stays at or below 5 cm/s for 1 s or longer [arXiv 2412.05158]; the speed at
    frame f is |p(f + k) - p(f - k)| / (2 k / fps), with k = 3 frames. Gaps of up to 90 frames are filled linearly
    where the animal is found again within 2 cm.

    Parameters
    ----------
    positions
        A row for each animal and frame, in any order: `animal_id` (a whole number), `frame` (a whole number) or
        `time_s` (s), `x_cm`, `y_cm`; and, where there are such, `recording`, `rfid` and `segment`. A frame without a
        row, and one whose place is null or nan, is a gap. Nothing is carried from one segment to another; without that
        column, a step of time that differs by more than 1 s from what frame numbers say begins another.
    fps
        Frames a second.
    progress
        Progress callback: animals done, animals in all.
    **settings
        Other keys of the section `stops` of params.yaml, such as `max_gap_frames`; the paper's values by default.

    Returns
    -------
    polars.DataFrame
        A row for each stop, by animal and time: (`recording`, if it was given,) `animal_id`, `rfid`, `start_frame`,
        `end_frame` (inclusive), `start_s` (by `time_s`; without it, since the table's first frame), `duration_s`,
        `x_cm`, `y_cm` (the mean over its frames).

    Raises
    ------
    DataError
        A column is missing or of another type, or an animal has two rows for one frame.
    ParamsError
        A key or value of `settings` is wrong.

    Examples
    --------
    An animal that rests for 3 s, runs for 1 s at 30 cm/s, and rests again:

    >>> import lmtcnn, polars as pl
    >>> x = [10.0] * 90 + [10.0 + i for i in range(30)] + [40.0] * 90
    >>> positions = pl.DataFrame({"animal_id": 1, "frame": range(210), "x_cm": x, "y_cm": 20.0})
    >>> lmtcnn.find_stops(positions).select("start_frame", "end_frame").rows()
    [(3, 88), (122, 206)]
    """
    params = settings_of(StopsParams, {"fps": fps} | settings, "find_stops")
    table = _checked(positions, params)
    groups = table.partition_by([name for name in ("recording", "animal_id") if name in table.columns])
    found = [_empty_stops(table)]
    for done, own in enumerate(groups, start=1):
        found.append(_stops_of(own, params))
        if progress:
            progress(done, len(groups))
    return pl.concat(found)


def _checked(positions: pl.DataFrame, params: StopsParams) -> pl.DataFrame:
    """The columns that count, of the types that count, sorted; frames and times are filled in from one another."""
    where = "positions"
    there = set(positions.columns)
    lost = [name for name in ("animal_id", "x_cm", "y_cm") if name not in there]
    lost += [] if there & {"frame", "time_s"} else ["frame"]
    if lost:
        raise DataError([problem(where, f"a column {name}", ", ".join(positions.columns), "add it") for name in lost])
    kinds: dict[str, pl.DataType] = {"recording": pl.String(), **dict(_EMPTY.schema.items())}
    wanted = [name for name in kinds if name in there]
    try:
        table = positions.select(pl.col(name).cast(kinds[name]) for name in wanted)
    except pl.exceptions.PolarsError as error:
        words = str(error).splitlines()[0]
        raise DataError(problem(where, "numbers in the columns of numbers", words, "correct it")) from error
    if "time_s" not in there:
        table = table.with_columns(time_s=(pl.col("frame") - pl.col("frame").min()) / params.fps)
    if "frame" not in there:
        table = table.with_columns(frame=(pl.col("time_s") * params.fps).round().cast(pl.Int64))
    if "rfid" not in there:
        table = table.with_columns(rfid=pl.lit(None, pl.String))
    keys = [name for name in ("recording", "animal_id", "segment", "frame") if name in table.columns]
    if empty := [name for name in (*keys, "time_s") if table[name].null_count()]:
        raise DataError(
            [problem(f"{where}: {name}", "a value in every row", "none in some", "fill it") for name in empty]
        )
    table = table.sort(keys)
    if table.select(pl.struct(keys).is_duplicated().any()).item():
        raise DataError(problem(where, "one row for each animal and frame", "two for some", "leave one out"))
    return table


def _empty_stops(table: pl.DataFrame) -> pl.DataFrame:
    empty = STOPS.empty()
    return empty if "recording" in table.columns else empty.drop("recording")


def _stops_of(own: pl.DataFrame, params: StopsParams) -> pl.DataFrame:
    """The stops of one animal in one recording, whose rows are sorted."""
    frames, time_s = own["frame"].to_numpy(), own["time_s"].to_numpy()
    segments = own["segment"].to_numpy() if "segment" in own.columns else np.zeros(len(frames), np.int64)
    layout, index = _lay_out(frames, time_s, segments, params, told="segment" in own.columns)
    track = Track(layout)
    places = (own[name].fill_null(np.nan).to_numpy() for name in ("x_cm", "y_cm"))
    x_px, y_px = from_floor(next(places), next(places), params)
    known = np.isfinite(x_px) & np.isfinite(y_px)
    track.x_px[index[known]], track.y_px[index[known]] = x_px[known], y_px[known]
    found, _ = bouts.find_stops(track, params)
    start_s = np.interp(found.first, index, time_s)  # between rows where the first frame has none
    name = own["recording"][0] if "recording" in own.columns else ""
    stops = tabulate(name, own["animal_id"][0], own["rfid"][0], found, layout, start_s, params)
    return stops.select(_empty_stops(own).columns)


def _lay_out(
    frames: NDArray[np.int64],
    time_s: NDArray[np.float64],
    segments: NDArray[np.int64],
    params: StopsParams,
    *,
    told: bool,
) -> tuple[Layout, NDArray[np.int64]]:
    """Lay the segments of an animal's sorted rows end to end; and the index of each row in that layout."""
    steps = np.diff(frames)
    cut = (np.diff(segments) != 0) | (steps > MAX_HOLE_FRAMES)
    if not told:
        cut |= np.abs(np.diff(time_s) - steps / params.fps) > MAX_DRIFT_S
    first = np.concatenate(([0], np.flatnonzero(cut) + 1))
    last = np.concatenate((first[1:] - 1, [len(frames) - 1]))
    starts, ends = frames[first], frames[last]
    offsets = np.concatenate(([0], np.cumsum(ends - starts + 1)))
    which = np.searchsorted(first, np.arange(len(frames)), side="right") - 1
    return Layout(starts, ends, offsets), offsets[which] + frames - starts[which]


def from_floor(
    x_cm: NDArray[np.float64], y_cm: NDArray[np.float64], params: StopsParams
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centimetres on the floor to pixels, in which stops are found: the inverse of `to_floor`, to the last bit.

    That holds for positions on the tracker's grid of 0.01 pixels; others move by 1e-9 pixels at most.
    """
    arena = params.arena
    x_cm = arena.width_cm - x_cm if "x" in arena.flip else x_cm
    y_cm = arena.height_cm - y_cm if "y" in arena.flip else y_cm
    scale = arena.cm_per_px.denominator, arena.cm_per_px.numerator
    x_px, y_px = x_cm * scale[0] / scale[1] + arena.x_px, y_cm * scale[0] / scale[1] + arena.y_px
    on_grid = [np.rint(px / GRID_PX) / (1 / GRID_PX) for px in (x_px, y_px)]
    near = [np.abs(px - grid) < 1e-9 for px, grid in zip((x_px, y_px), on_grid, strict=True)]
    return np.where(near[0], on_grid[0], x_px), np.where(near[1], on_grid[1], y_px)
