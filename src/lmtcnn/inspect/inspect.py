"""Findings on recordings: what they are, and what is wrong with them.

A recording is read once, as the stage `stops` reads it: whatever is told here is counted on the same positions, frames
and segments, and judged by the same checks (`quality`). A finding is no error.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from lmtcnn.cohort.parts import Part, look_at, name_animals, read_each
from lmtcnn.cohort.recording import Recording
from lmtcnn.core.errors import LmtcnnError
from lmtcnn.core.params import Params
from lmtcnn.core.schemas import FLICKER_LEVELS, HALF_WINDOWS
from lmtcnn.lmt import files
from lmtcnn.lmt.detections import Seen
from lmtcnn.lmt.frames import PARTICLES, SENSORS
from lmtcnn.lmt.lmt import Tool
from lmtcnn.stops import quality
from lmtcnn.stops.extraction import Extraction, extract_parts
from lmtcnn.stops.quality import Check, Verdict, share_of
from lmtcnn.timeline import clock as clocks

MAX_PLACES = 10
"""Steps of the clock that are listed."""

_ANY_STEP_MS = 2**62
_SAME = (
    *("animal_id", "rfid", "n_rows", "n_detected", "n_unpaused", "n_stops", "stopped_s", "n_filled", "n_jumps"),
    *("n_flicker", "n_identical", "n_conflicting", "n_at_zero", "n_invalid", "n_untimed", "n_outside"),
    "n_stops_outside",
)  # what AnimalFindings takes from the quality table as it is
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Interval:
    """One animal in one interval (an hour: `histograms.interval_s`): frames, and the stops that begin in it.

    n_flicker: frames with a position that flicker.
    """

    interval: int
    detected: int
    unpaused: int
    detected_share: float | None
    n_stops: int
    stopped_s: float
    n_flicker: int = 0


@dataclass(frozen=True)
class AnimalFindings:
    """One animal: its row of ANIMAL in the first file that has it (`columns`: all but ID and RFID), and counts.

    n_rows: its DETECTION rows; n_detected: frames with a position; n_unpaused: frames that are not paused, with a row
    in FRAME or not; detected_share: their quotient; n_filled: frames filled in; n_jumps: steps of more than 15 cm from
    one frame to the next; n_identical, n_conflicting: second rows in a frame at the same or at another place;
    n_at_zero, n_invalid, n_untimed: rows with MASS_X < 10, without a finite position, and in no segment; n_outside,
    n_stops_outside: positions, and stops, off the floor; n_stops_half_window: half window in frames -> stops;
    n_flicker: frames with a position that flicker; n_stops_flicker, stopped_s_flicker: `max_flicker_frames` -> stops,
    and their seconds, were it so.
    """

    animal_id: int
    rfid: str | None
    columns: Mapping[str, str | int | float | None]
    n_rows: int
    n_detected: int
    n_unpaused: int
    detected_share: float
    n_stops: int
    stopped_s: float
    n_filled: int
    n_jumps: int
    n_identical: int
    n_conflicting: int
    n_at_zero: int
    n_invalid: int
    n_untimed: int
    n_outside: int
    n_stops_outside: int
    n_stops_half_window: Mapping[str, int]
    n_flicker: int
    n_stops_flicker: Mapping[str, int]
    stopped_s_flicker: Mapping[str, float]
    intervals: Sequence[Interval]


@dataclass(frozen=True)
class Hour:
    """One interval of the whole recording (an hour: `histograms.interval_s`).

    clock: the wall clock's HH:MM at its beginning with its offset from UTC, as 22:13+01:00; night: whether that is
    between lights off and lights on; n_unpaused: frames; n_missing: those without a row in FRAME; n_anonymous:
    detections without an animal, anonymous_share: of these, the detections of other animals and the frames in which an
    animal is known.
    """

    interval: int
    clock: str
    night: bool
    n_unpaused: int
    n_missing: int
    n_anonymous: int
    anonymous_share: float | None


@dataclass(frozen=True)
class ClockStep:
    """A FRAME row whose TIMESTAMP is so many ms after that of the row before; below 0: earlier."""

    frame: int
    by_ms: int


@dataclass(frozen=True)
class Readings:
    """A sensor's mean, lowest and highest reading."""

    mean: float
    lowest: float
    highest: float


@dataclass(frozen=True)
class Inspection:
    """The findings on one recording.

    start: TIMESTAMP of the first unpaused frame, ISO 8601, UTC; timezone: that of its wall clock; duration_s: from the
    start to the last unpaused frame; fps: frames per second by TIMESTAMP; n_frames: FRAME rows; n_missing_frames: holes
    in FRAMENUMBER, missing_share of rows and holes; n_segments: pieces between pauses and jumps of the clock;
    clock_steps: the first steps back of TIMESTAMP, and of more than 1 s between unpaused rows; covering_index: None
    where a file has none; sensors: column of FRAME -> its readings, None where not fitted, of the first file;
    never_detected: rows of ANIMAL that no detection names, which are no animals; verdict: the worst of the checks.
    """

    recording: str
    files: Sequence[str]
    bytes: int
    simulated: bool
    start: str
    timezone: str
    duration_s: float
    fps: float | None
    n_frames: int
    n_missing_frames: int
    missing_share: float
    n_paused_frames: int
    paused_s: float
    n_segments: int
    n_anonymous: int
    covering_index: str | None
    indexes: Sequence[str]
    tools: Sequence[Tool]
    identity_corrected: bool
    sensors: Mapping[str, Readings | None]
    clock_steps: Sequence[ClockStep]
    interval_s: float
    hours: Sequence[Hour]
    animals: Sequence[AnimalFindings]
    never_detected: Sequence[str]
    checks: Sequence[Check]
    verdict: Verdict


def inspect(
    recordings: Sequence[Recording],
    params: Params,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[list[Inspection], list[LmtcnnError]]:
    """Inspect recordings; what was found, in their order, and what failed.

    They are read `workers` at a time, in threads. Nothing is written.
    """

    def read(recording: Recording, threads: int, seen: Seen) -> Inspection:
        return inspect_one(recording, params, threads, seen)

    outcomes = read_each(recordings, read, workers, progress)
    found = [each for each in outcomes if not isinstance(each, LmtcnnError)]
    return found, [each for each in outcomes if isinstance(each, LmtcnnError)]


def find(paths: Iterable[Path], params: Params) -> tuple[list[Recording], list[LmtcnnError]]:
    """Databases, and those in folders, each a recording by itself, and the paths where there is none."""
    there: dict[Path, None] = {}
    failed: list[LmtcnnError] = []
    for path in paths:
        try:
            there |= dict.fromkeys(files.find([path]))
        except LmtcnnError as error:
            failed.append(error)
    return [Recording(path.stem, (path,), params.stops.arena) for path in there], failed


def inspect_one(recording: Recording, params: Params, threads: int = 1, seen: Seen = lambda n: None) -> Inspection:
    """Inspect one recording, `threads` animals at once.

    Raises DatabaseError or CohortError where it cannot be read as a recording. A clock that steps back, whatever the
    step, is a finding here.
    """
    patient = params.stops.model_copy(update={"max_clock_back_ms": _ANY_STEP_MS})
    parts = look_at(recording, params.model_copy(update={"stops": patient}), threads, SENSORS)
    extraction = extract_parts(recording, parts, params, threads, seen)
    common = extraction.quality.row(0, named=True)
    histories = [part.history for part in parts]
    indexes = [part.database.index for part in parts]
    same = ("simulated", "n_frames", "n_missing_frames", "n_paused_frames", "paused_s", "n_segments", "n_anonymous")
    return Inspection(
        recording=recording.name,
        files=[str(part.database.path) for part in parts],
        bytes=sum(part.database.stamp[0] for part in parts),
        start=(_EPOCH + timedelta(milliseconds=common["start_ms"])).isoformat(timespec="milliseconds"),
        timezone=recording.timezone or params.histograms.timezone,
        duration_s=common["span_s"],
        fps=common["measured_fps"] if math.isfinite(common["measured_fps"]) else None,
        missing_share=common["n_missing_frames"] / (common["n_frames"] + common["n_missing_frames"]),
        **{name: common[name] for name in (*same, "identity_corrected", "verdict")},
        covering_index=indexes[0] if all(indexes) else None,
        indexes=sorted({name for history in histories for name in history.indexes}),
        tools=[tool for history in histories for tool in history.tools],
        sensors=_readings(parts[0].clock),
        clock_steps=_clock_steps(parts),
        interval_s=params.histograms.interval_s,
        hours=_hours(extraction, recording, params),
        animals=_animals(extraction, parts, recording, params),
        never_detected=[name for name in common["never_detected"].split("; ") if name],
        checks=quality.check(extraction.quality, extraction.coverage, params),
    )


def to_json(inspections: Iterable[Inspection]) -> str:
    """One JSON document: a list with an object for each recording, keys as the fields of Inspection."""
    return json.dumps([asdict(each) for each in inspections], indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _readings(clock: clocks.Clock) -> dict[str, Readings | None]:
    """Readings of every column that `inspect` knows; None where there are none."""
    found: dict[str, Readings | None] = dict.fromkeys((*SENSORS, PARTICLES))
    found |= {name: Readings(each.mean, each.lowest, each.highest) for name, each in clock.sensors.items()}
    if counted := found[PARTICLES]:
        found[PARTICLES] = Readings(counted.mean, int(counted.lowest), int(counted.highest))
    return found


def _clock_steps(parts: Sequence[Part]) -> list[ClockStep]:
    """The first steps back, and the first jumps, in order of time."""
    found = []
    for part in parts:
        back, jumps = clocks.steps_back(part.clock), clocks.jumps(part.clock)
        steps = [(int(frame), -int(by)) for frame, by in zip(*(a[:MAX_PLACES] for a in back), strict=True)]
        steps += [(int(frame), int(by)) for frame, by in zip(*(a[:MAX_PLACES] for a in jumps), strict=True)]
        found += [ClockStep(*step) for step in sorted(steps)]
    return found


def _hours(extraction: Extraction, recording: Recording, params: Params) -> list[Hour]:
    settings = params.histograms
    start_ms = extraction.quality["start_ms"][0]
    offset_s = clocks.align_offset_s(start_ms, settings, recording.timezone)
    zone = ZoneInfo(recording.timezone or settings.timezone)
    known = extraction.coverage.group_by("interval").agg(pl.col("detected").sum())
    found = []
    for interval, unpaused, recorded, anonymous, others, detected in (
        extraction.intervals.join(known, on="interval")
        .sort("interval")
        .select("interval", "unpaused", "recorded", "anonymous", "others", "detected")
        .iter_rows()
    ):
        begin_ms = start_ms - 1000 * (offset_s - interval * settings.interval_s)
        shown = clocks.wall_clock(begin_ms, zone)
        day_s = clocks.day_seconds(np.array([begin_ms]), zone)
        night = shown is not None and bool(clocks.in_night(day_s, recording.night or settings.night)[0])
        share = share_of(anonymous, anonymous + others + detected)
        words = shown.isoformat(timespec="minutes").partition("T")[2] if shown else ""
        found.append(Hour(interval, words, night, unpaused, unpaused - recorded, anonymous, share))
    return found


def _animals(
    extraction: Extraction, parts: Sequence[Part], recording: Recording, params: Params
) -> list[AnimalFindings]:
    rows: dict[int, Mapping[str, Any]] = {}
    for part, members in zip(parts, name_animals(recording, parts, quiet=True), strict=True):
        of_file = {animal.id: animal.columns for animal in part.database.animals}
        rows = {animal_id: of_file[key] for key, (animal_id, _) in members.items()} | rows  # the first file's win
    found = []
    for row in extraction.quality.iter_rows(named=True):
        animal_id = row["animal_id"]
        own = extraction.stops.filter(pl.col("animal_id") == animal_id)
        coverage = extraction.coverage.filter(pl.col("animal_id") == animal_id)
        columns = rows[animal_id]
        found.append(
            AnimalFindings(
                columns={name: _plain(value) for name, value in columns.items() if name not in ("ID", "RFID")},
                detected_share=row["n_detected"] / row["n_unpaused"],
                **{name: row[name] for name in _SAME},
                n_stops_half_window={str(half): row[f"n_stops_half_{half}"] for half in HALF_WINDOWS},
                n_stops_flicker={str(level): row[f"n_stops_flicker_{level}"] for level in FLICKER_LEVELS},
                stopped_s_flicker={str(level): row[f"stopped_s_flicker_{level}"] for level in FLICKER_LEVELS},
                intervals=_intervals(own, coverage, row["start_ms"], recording, params),
            )
        )
    return found


def _plain(value: object) -> str | int | float | None:
    """A value of ANIMAL as JSON can say it."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float) else None


def _intervals(
    own: pl.DataFrame, coverage: pl.DataFrame, start_ms: int, recording: Recording, params: Params
) -> list[Interval]:
    """Every interval that holds a frame, or the beginning of a stop."""
    settings = params.histograms
    offset_s = clocks.align_offset_s(start_ms, settings, recording.timezone)
    begins = clocks.intervals(own["start_s"].to_numpy(), offset_s, settings.interval_s)
    by_interval = (
        own.select("duration_s", interval=pl.Series(begins, dtype=pl.Int64))
        .group_by("interval")
        .agg(pl.len().alias("n_stops"), pl.col("duration_s").sum().alias("stopped_s"))
    )
    joined = coverage.join(by_interval, on="interval", how="full", coalesce=True).sort("interval")
    columns = ("interval", "detected", "unpaused", "n_stops", "stopped_s", "flicker")
    return [
        Interval(interval, detected, unpaused, share_of(detected, unpaused), *others)
        for interval, detected, unpaused, *others in joined.select(pl.col(columns).fill_null(0)).iter_rows()
    ]
