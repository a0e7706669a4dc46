"""What a recording is, and what is wrong with it.

One database at a time, read once, as the stage `stops` reads it: whatever is counted here is counted on the same
positions, frames and segments. A finding is no error: each check says what was counted, out of how many, and whether
that is `ok`, to be looked at (`warn`) or spoils the recording (`fail`); what a file does not carry is `not fitted`.
The limits stand in params.yaml, section `quality`, each with its source.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from lmtcnn import clock as clocks
from lmtcnn import lmt, stops
from lmtcnn.bouts import count_stops
from lmtcnn.clock import BLOCK_FRAMES, Clock, Layout
from lmtcnn.cohort import Recording
from lmtcnn.errors import LmtcnnError
from lmtcnn.lmt import Readings, Tool
from lmtcnn.params import Arena, Params, QualityParams, StopsParams
from lmtcnn.stops import Extraction, Observer
from lmtcnn.tracks import Track

Verdict = Literal["ok", "warn", "fail", "not fitted"]

HALF_WINDOWS = (1, 3)
"""Half windows (frames) under which stops are counted beside the configured one: many more at 1 are tracking noise."""

MAX_PLACES = 10
"""Steps back of the clock that are listed."""

_ANY_STEP_MS = 2**62
_SAME = (
    *("animal_id", "rfid", "n_rows", "n_detected", "n_stops", "stopped_s", "n_filled", "n_jumps"),
    *("n_identical", "n_conflicting", "n_at_zero", "n_invalid"),
)  # what AnimalFindings takes from the quality table of `stops` as it is
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Check:
    """One quality check: what was counted, out of how many, and what to make of it.

    `value` is what the verdict is about, in `unit`; None where there is nothing to count. `animal_id` is None where the
    check is of the whole recording.
    """

    name: str
    animal_id: int | None
    numerator: float
    denominator: float
    value: float | None
    unit: str
    verdict: Verdict
    definition: str


@dataclass(frozen=True)
class Interval:
    """One animal in one interval (an hour: `histograms.interval_s`): frames, and the stops that begin in it."""

    interval: int
    detected: int
    unpaused: int
    detected_share: float | None
    n_stops: int
    stopped_s: float


@dataclass(frozen=True)
class AnimalFindings:
    """One animal: its row of ANIMAL (`columns`: all but ID and RFID), and counts.

    n_rows: its DETECTION rows; n_detected: frames with a position; n_unpaused: frames that are not paused, with a row
    in FRAME or not; detected_share: their quotient; n_filled: frames filled in; n_jumps: steps of more than 15 cm from
    one frame to the next; n_identical, n_conflicting: second rows in a frame at the same or at another place;
    n_at_zero, n_invalid: rows with MASS_X < 10, and without a finite position; n_outside, n_stops_outside: positions,
    and stops, off the floor; n_stops_half_window: half window in frames -> stops.
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
    n_outside: int
    n_stops_outside: int
    n_stops_half_window: Mapping[str, int]
    intervals: Sequence[Interval]


@dataclass(frozen=True)
class StepBack:
    """A FRAME row whose TIMESTAMP is earlier than that of the row before, by so many ms."""

    frame: int
    by_ms: int


@dataclass(frozen=True)
class Inspection:
    """What is known of one database.

    start: TIMESTAMP of the first unpaused frame, ISO 8601, UTC; duration_s: from there to the last unpaused frame;
    fps: frames per second by TIMESTAMP; n_frames: FRAME rows; n_missing_frames: holes in FRAMENUMBER, missing_share of
    rows and holes; n_segments: pieces between pauses and jumps of the clock; clock_back: the first steps back of
    TIMESTAMP; sensors: column of FRAME -> its readings, None where not fitted; verdict: the worst of the checks.
    """

    recording: str
    file: str
    bytes: int
    simulated: bool
    start: str
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
    clock_back: Sequence[StepBack]
    interval_s: float
    animals: Sequence[AnimalFindings]
    checks: Sequence[Check]
    verdict: Verdict


def inspect(
    paths: Iterable[Path],
    params: Params,
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[list[Inspection], list[LmtcnnError]]:
    """Inspect databases, and those in folders, each by itself; what was found, in their order, and what failed.

    Recordings are read `workers` at a time, in threads. Nothing is written.
    """
    files: dict[Path, LmtcnnError | None] = {}
    for path in paths:
        try:
            files |= dict.fromkeys(lmt.find([path]))
        except LmtcnnError as error:
            files[path] = error
    todo = [path for path, error in files.items() if error is None]
    found: dict[Path, Inspection] = {}
    inner = max(1, workers // max(1, len(todo)))
    with ThreadPoolExecutor(workers) as pool:
        jobs = {pool.submit(inspect_file, path, params, inner): path for path in todo}
        for count, job in enumerate(as_completed(jobs), start=1):
            try:
                found[jobs[job]] = job.result()
            except LmtcnnError as error:
                files[jobs[job]] = error
            progress(count, len(jobs))
    return [found[path] for path in files if path in found], [error for error in files.values() if error]


def inspect_file(path: Path, params: Params, threads: int = 1) -> Inspection:
    """Inspect one database, `threads` animals at once.

    Raises DatabaseError or CohortError where it cannot be read as a recording. A clock that steps back, whatever the
    step, is a finding here.
    """
    recording = Recording(path.stem, (path,), params.stops.arena)
    settings = params.stops.model_copy(update={"max_clock_back_ms": _ANY_STEP_MS})
    with ThreadPoolExecutor(1) as pool:
        witness = _Witness(params, pool)
        observer = Observer(witness.file, witness.animal)
        extraction = stops.extract(recording, params.model_copy(update={"stops": settings}), threads, observer)
        file = witness.seen
        sensors = file.sensors.result()
    history = lmt.read_history(file.database)
    common = extraction.quality.row(0, named=True)
    animals = _animals(extraction, witness, params)
    checks = [
        *_clock_checks(file, common, params),
        *_recording_checks(common, animals, history, params.quality),
        *_sensor_checks(sensors, common["n_frames"], params.quality),
        *(check for animal in animals for check in _animal_checks(animal, params.quality)),
    ]
    same = ("simulated", "n_frames", "n_missing_frames", "n_paused_frames", "paused_s", "n_segments", "n_anonymous")
    return Inspection(
        recording=recording.name,
        file=str(path),
        bytes=file.database.stamp[0],
        start=(_EPOCH + timedelta(milliseconds=common["start_ms"])).isoformat(timespec="milliseconds"),
        duration_s=common["span_s"],
        fps=_finite(common["measured_fps"]),
        missing_share=common["n_missing_frames"] / (common["n_frames"] + common["n_missing_frames"]),
        **{name: common[name] for name in same},
        covering_index=file.database.index,
        indexes=history.indexes,
        tools=history.tools,
        identity_corrected=history.identity_corrected,
        sensors=sensors,
        clock_back=file.clock_back,
        interval_s=params.histograms.interval_s,
        animals=animals,
        checks=checks,
        verdict=worst(check.verdict for check in checks),
    )


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst verdict: fail, then warn, else ok."""
    found = set(verdicts)
    return "fail" if "fail" in found else "warn" if "warn" in found else "ok"


def to_json(inspections: Iterable[Inspection]) -> str:
    """One JSON document: a list with an object for each recording, keys as the fields of Inspection."""
    return json.dumps([asdict(each) for each in inspections], indent=2, ensure_ascii=False, allow_nan=False) + "\n"


@dataclass(frozen=True)
class _File:
    """A file as it was seen: its frames by the clock and by their rows, and the sensors while they are read.

    expected: frames that unpaused time and `stops.fps` make; recorded: unpaused FRAME rows; steps: frames from the
    first to the last one of each segment; n_clock_back: FRAME rows of an earlier TIMESTAMP than the row before, by
    worst_back_ms at most; clock_back: the first of them.
    """

    database: lmt.Database
    expected: int
    recorded: int
    steps: int
    n_clock_back: int
    worst_back_ms: int
    clock_back: list[StepBack]
    sensors: "Future[dict[str, Readings | None]]"


@dataclass(frozen=True)
class _Seen:
    """What of an animal's positions is not in the tables of `stops`."""

    n_outside: int
    n_stops_half_window: dict[int, int]


class _Witness:
    """Counts, while a recording is read, what the stage `stops` does not."""

    seen: _File

    def __init__(self, params: Params, pool: ThreadPoolExecutor) -> None:
        self.params, self.pool = params, pool
        self.animals: dict[int, _Seen] = {}

    def file(self, database: lmt.Database, clock: Clock, layout: Layout) -> None:
        """See a file, and have its sensors read meanwhile."""
        limits = self.params.quality
        bounds = {"TEMPERATURE": limits.temperature_warn_c, lmt.PARTICLES: (0.0, float(limits.max_particles))}
        sensors = self.pool.submit(lmt.read_sensors, database, bounds)
        recorded = int(np.count_nonzero(~clock.paused))
        expected = _expected_frames(clock, self.params.stops.fps)
        steps = int((layout.ends - layout.starts).sum())
        self.seen = _File(database, expected, recorded, steps, *_clock_back(clock), sensors)

    def animal(self, animal_id: int, track: Track, params: StopsParams) -> None:
        """See the positions of an animal."""
        halves = [half for half in HALF_WINDOWS if half != params.half_window_frames]
        self.animals[animal_id] = _Seen(_count_outside(track, params.arena), count_stops(track, params, halves))


def _expected_frames(clock: Clock, fps: float) -> int:
    """Frames that fit into unpaused time: in each run of unpaused rows one, and fps for every second up to its end."""
    change = np.flatnonzero(np.diff(clock.paused, prepend=True, append=True))
    first, last = change[::2], change[1::2] - 1
    unpaused_ms = int((clock.timestamps_ms[last] - clock.timestamps_ms[first]).sum())
    return round(unpaused_ms * fps / 1000) + len(first)


def _clock_back(clock: Clock) -> tuple[int, int, list[StepBack]]:
    """Steps back of TIMESTAMP: how many, the longest in ms, the first ones."""
    times_ms = clock.timestamps_ms
    rows = np.flatnonzero(times_ms[1:] < times_ms[:-1])
    by_ms = times_ms[rows] - times_ms[rows + 1]
    places = zip(clock.frames[rows + 1].tolist()[:MAX_PLACES], by_ms.tolist()[:MAX_PLACES], strict=True)
    return len(rows), int(by_ms.max(initial=0)), [StepBack(*place) for place in places]


def _count_outside(track: Track, arena: Arena) -> int:
    """Positions that are not on the floor (its edges belong to it)."""
    found = 0
    for begin in range(0, track.layout.size, BLOCK_FRAMES):
        x = track.x_px[begin : begin + BLOCK_FRAMES] - arena.x_px
        y = track.y_px[begin : begin + BLOCK_FRAMES] - arena.y_px
        found += int(np.count_nonzero((x < 0) | (x > arena.width_px) | (y < 0) | (y > arena.height_px)))
    return found


def _animals(extraction: Extraction, witness: _Witness, params: Params) -> list[AnimalFindings]:
    rows = {animal.id: animal.columns for animal in witness.seen.database.animals}
    found = []
    for row in extraction.quality.iter_rows(named=True):
        animal_id, seen = row["animal_id"], witness.animals[row["animal_id"]]
        own = extraction.stops.filter(pl.col("animal_id") == animal_id)
        coverage = extraction.coverage.filter(pl.col("animal_id") == animal_id)
        unpaused = int(coverage["unpaused"].sum())
        halves = {**seen.n_stops_half_window, params.stops.half_window_frames: row["n_stops"]}
        found.append(
            AnimalFindings(
                columns={name: _plain(value) for name, value in rows[animal_id].items() if name not in ("ID", "RFID")},
                n_unpaused=unpaused,
                detected_share=row["n_detected"] / unpaused,
                **{name: row[name] for name in _SAME},
                n_outside=seen.n_outside,
                n_stops_outside=_stops_outside(own, params.stops.arena),
                n_stops_half_window={str(half): halves[half] for half in sorted(halves)},
                intervals=_intervals(own, coverage, row["start_ms"], params),
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


def _stops_outside(own: pl.DataFrame, arena: Arena) -> int:
    x_cm, y_cm = pl.col("x_cm"), pl.col("y_cm")
    inside = x_cm.is_between(0, arena.width_cm) & y_cm.is_between(0, arena.height_cm)
    return own.filter(~inside).height


def _intervals(own: pl.DataFrame, coverage: pl.DataFrame, start_ms: int, params: Params) -> list[Interval]:
    """Every interval that holds a frame, or the beginning of a stop."""
    settings = params.histograms
    offset_s = clocks.align_offset_s(start_ms, settings)
    begins = clocks.intervals(own["start_s"].to_numpy(), offset_s, settings.interval_s)
    by_interval = (
        own.select("duration_s", interval=pl.Series(begins, dtype=pl.Int64))
        .group_by("interval")
        .agg(pl.len().alias("n_stops"), pl.col("duration_s").sum().alias("stopped_s"))
    )
    joined = coverage.join(by_interval, on="interval", how="full", coalesce=True).sort("interval")
    columns = ("interval", "detected", "unpaused", "n_stops", "stopped_s")
    return [
        Interval(interval, detected, unpaused, _share(detected, unpaused), n_stops, stopped_s)
        for interval, detected, unpaused, n_stops, stopped_s in joined.select(pl.col(columns).fill_null(0)).iter_rows()
    ]


def _clock_checks(file: _File, common: Mapping[str, Any], params: Params) -> list[Check]:
    limits, settings = params.quality, params.stops
    omitted = file.expected - file.recorded
    share = round(omitted / max(1, file.expected), 4) + 0.0  # never -0
    lost: Verdict = (
        "fail" if share < 0 or share >= limits.omitted_fail else "ok" if share < limits.omitted_warn else "warn"
    )
    refused = file.worst_back_ms > settings.max_clock_back_ms and settings.clock == "timestamp"
    back: Verdict = "fail" if refused else "warn" if file.n_clock_back else "ok"
    fps = _finite(common["measured_fps"])
    off = fps is None or abs(fps / settings.fps - 1) > clocks.MAX_RATE_ERROR
    seconds = round(file.steps / fps, 3) if fps else 0.0
    return [
        Check(
            "omitted frames", None, omitted, file.expected, share, "share", lost,
            f"frames that unpaused time at {settings.fps:g} frames/s makes, less unpaused FRAME rows, of the former, "
            f"rounded to 0.01 %; below 0: more frames than time, fail; below {_percent(limits.omitted_warn)}: ok; "
            f"from {_percent(limits.omitted_fail)}: fail",
        ),
        Check(
            "TIMESTAMP back", None, file.n_clock_back, common["n_frames"] - 1, file.n_clock_back, "steps", back,
            f"FRAME rows with an earlier TIMESTAMP than the row before, by {file.worst_back_ms} ms at most, of all "
            f"rows after the first; any: warn; by more than {settings.max_clock_back_ms} ms: fail, `stops` refuses the "
            "file (unless stops.clock is frame)",
        ),
        Check(
            "frame rate", None, file.steps, seconds, fps, "frames/s", "warn" if off else "ok",
            f"frames by the seconds that TIMESTAMP gives them, inside segments; more than "
            f"{_percent(clocks.MAX_RATE_ERROR)} off {settings.fps:g}: warn",
        ),
    ]  # fmt: skip


def _recording_checks(
    common: Mapping[str, Any], animals: Sequence[AnimalFindings], history: lmt.History, limits: QualityParams
) -> list[Check]:
    anonymous = common["n_anonymous"]
    rows = anonymous + sum(animal.n_rows for animal in animals)
    share = anonymous / rows
    corrected = int(history.identity_corrected)
    return [
        Check(
            "anonymous detections", None, anonymous, rows, share, "share",
            _above(share, limits.anonymous_warn, limits.anonymous_fail),
            "DETECTION rows without ANIMALID, of these and the animals' own; more than "
            f"{_percent(limits.anonymous_warn)}: warn; more than {_percent(limits.anonymous_fail)}: fail",
        ),
        Check(
            "identity corrected", None, corrected, 1, corrected, "runs", "warn" if corrected else "ok",
            "whether lmt-analysis' CorrectDetectionIntegrity took identities away where not all animals were seen "
            "(LOG, or an event `IDs integrity ok`); warn: do not mix with recordings that were left as they are",
        ),
    ]  # fmt: skip


def _sensor_checks(sensors: Mapping[str, Readings | None], rows: int, limits: QualityParams) -> list[Check]:
    (cool, warm), (cold, hot) = limits.temperature_warn_c, limits.temperature_fail_c
    heat, particles = sensors["TEMPERATURE"], sensors[lmt.PARTICLES]
    absent = "no such column in FRAME, no number in it, or 0 throughout: not fitted"
    return [
        Check(
            "temperature, lowest", None, heat.n_below if heat else 0, rows, heat.lowest if heat else None, "degrees C",
            _above(-heat.lowest, -cool, -cold) if heat else "not fitted",
            f"FRAME rows below {cool:g} degrees C, of all; the value is the lowest, 0 is no reading; below {cool:g}: "
            f"warn; below {cold:g}: fail; {absent}",
        ),
        Check(
            "temperature, highest", None, heat.n_above if heat else 0, rows, heat.highest if heat else None,
            "degrees C", _above(heat.highest, warm, hot) if heat else "not fitted",
            f"FRAME rows above {warm:g} degrees C, of all; the value is the highest; above {warm:g}: warn; above "
            f"{hot:g}: fail; {absent}",
        ),
        Check(
            "particles", None, particles.n_above if particles else 0, rows, particles.highest if particles else None,
            "particles", "not fitted" if not particles else "warn" if particles.n_above else "ok",
            f"FRAME rows with more than {limits.max_particles} particles (a dirty image), of all; the value is the "
            "most in a frame; any: warn; no such column in FRAME or no number in it: not fitted",
        ),
    ]  # fmt: skip


def _animal_checks(animal: AnimalFindings, limits: QualityParams) -> list[Check]:
    outside = f"more than {_percent(limits.outside_warn)}: warn; more than {_percent(limits.outside_fail)}: fail"
    held = [each for each in animal.intervals if each.detected_share is not None]
    poor = sum((each.detected_share or 0.0) < limits.hour_detected for each in held)
    checks: list[tuple[str, int, int, Verdict, str]] = [
        (
            "detection", animal.n_detected, animal.n_unpaused,
            _above(-animal.detected_share, -limits.detected_warn, -limits.detected_fail),
            f"frames in which the animal is known and has a position, of all unpaused frames; below "
            f"{_percent(limits.detected_warn)}: warn; below {_percent(limits.detected_fail)}: fail",
        ),
        (
            "positions off the floor", animal.n_outside, animal.n_detected,
            _above(_share(animal.n_outside, animal.n_detected) or 0, limits.outside_warn, limits.outside_fail),
            f"positions outside of the arena's rectangle, of all; {outside}",
        ),
        (
            "stops off the floor", animal.n_stops_outside, animal.n_stops,
            _above(_share(animal.n_stops_outside, animal.n_stops) or 0, limits.outside_warn, limits.outside_fail),
            f"stops whose place is outside of the arena's rectangle, of all; {outside}",
        ),
    ]  # fmt: skip
    hours = Check(
        "hours of poor detection", animal.animal_id, poor, len(held), poor, "intervals", "warn" if poor else "ok",
        f"intervals with the animal known in less than {_percent(limits.hour_detected)} of their unpaused frames, of "
        "those with an unpaused frame; any: warn",
    )  # fmt: skip
    shares = [
        Check(name, animal.animal_id, part, whole, _share(part, whole), "share", verdict, words)
        for name, part, whole, verdict, words in checks
    ]
    return [shares[0], hours, *shares[1:]]


def _above(value: float, warn: float, fail: float) -> Verdict:
    return "fail" if value > fail else "warn" if value > warn else "ok"


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _percent(share: float) -> str:
    return f"{100 * share:g} %"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
