"""The tables of a recording, row by row: its stops, its coverage by interval, and what was counted of its quality."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lmtcnn.cohort.parts import Part
from lmtcnn.core.schemas import COVERAGE, INTERVALS, QUALITY, STOPS, Table
from lmtcnn.core.sections import Arena, StopsParams
from lmtcnn.lmt.frames import PARTICLES, TEMPERATURE
from lmtcnn.stops.bouts import Bouts
from lmtcnn.timeline import clock as clocks
from lmtcnn.timeline.clock import Layout, Origin
from lmtcnn.timeline.tracks import Tally


def stop_table(
    name: str, animal_id: int, rfid: str | None, bouts: Bouts, part: Part, origin: Origin, params: StopsParams
) -> pl.DataFrame:
    """Return the stops of one animal in one file of a recording, `name`."""
    start_s = clocks.seconds(part.clock, part.layout.frame(bouts.first), origin, part.shift, params)
    return tabulate(name, animal_id, rfid, bouts, part.layout, start_s, params, part.shift)


def tabulate(
    name: str,
    animal_id: int,
    rfid: str | None,
    bouts: Bouts,
    layout: Layout,
    start_s: NDArray[np.float64],
    params: StopsParams,
    shift: int = 0,
) -> pl.DataFrame:
    """Make the table of one animal's stops, which begin at `start_s`; `shift` adds to frame numbers."""
    x_cm, y_cm = to_floor(bouts.x_px, bouts.y_px, params)
    return pl.DataFrame(
        {
            "recording": pl.repeat(name, len(start_s), dtype=pl.String, eager=True),
            "animal_id": pl.repeat(animal_id, len(start_s), dtype=pl.Int64, eager=True),
            "rfid": pl.repeat(rfid, len(start_s), dtype=pl.String, eager=True),
            "start_frame": layout.frame(bouts.first) + shift,
            "end_frame": layout.frame(bouts.last) + shift,
            "start_s": start_s,
            "duration_s": (bouts.last - bouts.first + 1) / params.fps,
            "x_cm": x_cm,
            "y_cm": y_cm,
        },
        schema=dict(STOPS.columns),
    )


def to_floor(
    x_px: NDArray[np.float64], y_px: NDArray[np.float64], params: StopsParams
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Turn pixels of the depth image into cm on the floor: x_cm = (MASS_X - 114) * 10/57, y_cm = (MASS_Y - 63) * 10/57.

    `flip` mirrors the floor: x -> w - x, y -> h - y.
    """
    arena = params.arena
    with np.errstate(over="ignore"):  # places of 1e308 are no places, but numbers
        x_cm, y_cm = arena.cm(x_px - arena.x_px), arena.cm(y_px - arena.y_px)
    if "x" in arena.flip:
        x_cm = arena.width_cm - x_cm
    if "y" in arena.flip:
        y_cm = arena.height_cm - y_cm
    return x_cm, y_cm


def count_outside(stops: pl.DataFrame, arena: Arena) -> int:
    """Count stops whose place is not on the floor (its edges belong to it)."""
    inside = pl.col("x_cm").is_between(0, arena.width_cm) & pl.col("y_cm").is_between(0, arena.height_cm)
    return stops.filter(~inside).height


def coverage_table(
    name: str,
    animal_id: int,
    held: NDArray[np.int64],
    edges: Sequence[int],
    present: NDArray[np.bool_],
    flickering: NDArray[np.int64],
) -> pl.DataFrame:
    """Count frames with a position, unpaused and flickering ones, for each interval that holds a frame.

    See `clock.interval_edges`.
    """
    return pl.DataFrame(
        {
            "recording": [name] * len(held),
            "animal_id": [animal_id] * len(held),
            "interval": held,
            "detected": [int(np.count_nonzero(present[a:b])) for a, b in pairwise(edges)],
            "unpaused": np.diff(edges),
            "flicker": flickering,
        },
        schema=dict(COVERAGE.columns),
    )


def interval_table(
    name: str, held: NDArray[np.int64], edges: Sequence[int], part: Part, nobody: Tally, others: Tally
) -> pl.DataFrame:
    """Count frames, unpaused FRAME rows, detections of nobody and of others, for each interval that holds a frame."""
    begins = np.searchsorted(part.clock.frames, part.layout.frame(np.asarray(edges[:-1])))
    rows = [*begins.tolist(), len(part.clock.frames)]
    return pl.DataFrame(
        {
            "recording": [name] * len(held),
            "interval": held,
            "unpaused": np.diff(edges),
            "recorded": [b - a - int(np.count_nonzero(part.clock.paused[a:b])) for a, b in pairwise(rows)],
            "anonymous": nobody.counts,
            "others": others.counts,
        },
        schema=dict(INTERVALS.columns),
    )


def recording_counts(part: Part, origin: Origin, params: StopsParams) -> dict[str, object]:
    """Count in one file what its rows of the quality table say of the whole recording."""
    clock, layout = part.clock, part.layout
    paused = np.flatnonzero(clock.paused)
    following = np.minimum(paused + 1, len(clock.frames) - 1)
    paused_ms = int((clock.timestamps_ms[following] - clock.timestamps_ms[paused]).sum())
    back_ms, jumps_ms = clocks.steps_back(clock)[1], clocks.jumps(clock)[1]
    heat, particles = (clock.sensors.get(name) for name in (TEMPERATURE, PARTICLES))
    return {
        "simulated": part.database.simulated,
        "start_ms": origin.timestamp_ms,
        "identity_corrected": part.history.identity_corrected,
        "n_files": 1,
        "n_frames": len(clock.frames),
        "n_missing_frames": int(clock.frames[-1] - clock.frames[0]) + 1 - len(clock.frames),
        "n_unpaused": layout.size,
        "n_expected_frames": layout.size if params.clock == "frame" else clocks.expected_frames(clock, params.fps),
        "n_paused_frames": len(paused),
        "paused_s": paused_ms / 1000,
        "n_segments": len(layout.starts),
        "n_clock_back": len(back_ms),
        "worst_back_ms": int(back_ms.max(initial=0)),
        "n_clock_jumps": len(jumps_ms) + (part.leap_ms != 0),
        "jumped_s": (int(jumps_ms.sum()) + abs(part.leap_ms)) / 1000,
        "clocked_s": clocks.clocked_s(clock, layout),
        "measured_fps": clocks.measured_fps(clock, layout),
        "coldest_c": heat.lowest if heat else None,
        "hottest_c": heat.highest if heat else None,
        **dict(zip(("n_cold", "n_too_cold"), heat.n_below if heat else (0, 0), strict=True)),
        **dict(zip(("n_hot", "n_too_hot"), heat.n_above if heat else (0, 0), strict=True)),
        "most_particles": particles.highest if particles else None,
        "n_dirty": particles.n_above[0] if particles else 0,
    }


_FIRST = ("verdict", "failed", "warned", "unlisted", "never_detected", "start_ms")

_GREATEST = ("span_s", "worst_back_ms", "hottest_c", "most_particles", "simulated", "identity_corrected")

_LEAST = ("coldest_c",)

_KEYS = ("recording", "animal_id", "rfid")


def sum_quality(quality: pl.DataFrame) -> pl.DataFrame:
    """Make one row an animal: over several files counts and times add up, extremes are of all."""
    others = (*_FIRST, *_GREATEST, *_LEAST, *_KEYS, "measured_fps")
    added = pl.exclude(others).sum()
    whole = [pl.col(_FIRST).first(), pl.col(_GREATEST).max(), pl.col(_LEAST).min()]
    rate = (pl.col("n_unpaused") - pl.col("n_segments")) / pl.col("clocked_s")
    known = pl.when(pl.col("clocked_s") > 0).then(rate).otherwise(float("nan")).alias("measured_fps")
    table: pl.DataFrame = quality.group_by(_KEYS, maintain_order=True).agg(added, *whole).with_columns(known)
    return table.select(list(QUALITY.columns)).sort("animal_id")


def add_up(parts: Sequence[pl.DataFrame], table: Table) -> pl.DataFrame:
    """Add up counts over the files of a recording: an interval may lie in two of them."""
    return pl.concat(parts).group_by(table.keys).agg(pl.exclude(table.keys).sum()).sort(table.keys)
