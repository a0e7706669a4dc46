"""From positions to stops: the first stage.

A mouse *stopped* where its speed stays at or below 5 cm/s for at least 1 s (arXiv 2412.05158). The paper does not say
over how many frames speed is measured nor what becomes of frames without identity; both change the count several-fold,
so both are parameters, with defaults that keep a still mouse still (docs/definitions.md has the numbers):

    speed(f) = |p(f + k) - p(f - k)| * 10/57 / (2 k / fps)   cm/s, k = half_window_frames

A half window of 1 is lmt-analysis' speed; it counts tracking noise, which depends on body size and so on age.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lmtcnn import clock as clocks
from lmtcnn import lmt
from lmtcnn.clock import BLOCK_FRAMES, Clock, Layout, Origin
from lmtcnn.cohort import Recording
from lmtcnn.errors import BatchError, CohortError, DatabaseError, LmtcnnError, ParamsError, problem
from lmtcnn.files import ensure_folder, write_json
from lmtcnn.ledger import Ledger
from lmtcnn.params import Definitions, StopsParams, dump
from lmtcnn.schemas import COVERAGE, GAP_LEVELS, QUALITY, STOPS
from lmtcnn.tracks import Track, fill, find_gaps

log = logging.getLogger("lmtcnn")

TABLES = ("quality", "coverage")
"""Tables of all recordings, which lie beside those of each."""


@dataclass(frozen=True)
class Bouts:
    """Stops of one animal: layout indices of the first and last frame, mean position in pixels."""

    first: NDArray[np.int64]
    last: NDArray[np.int64]
    x_px: NDArray[np.float64]
    y_px: NDArray[np.float64]


@dataclass(frozen=True)
class Extraction:
    """What one recording gives: its stops, the counts of its quality, its coverage by interval."""

    stops: pl.DataFrame
    quality: pl.DataFrame
    coverage: pl.DataFrame


class Observer:
    """What else wants to see a recording while `extract` reads it once; this one looks away."""

    def file(self, database: lmt.Database, clock: Clock, layout: Layout) -> None:
        """See a file, before its animals."""

    def animal(self, animal_id: int, track: Track, params: StopsParams) -> None:
        """See the positions of an animal in a file, before gaps are filled; in threads, several at once."""


def find_stops(track: Track, params: StopsParams) -> tuple[Bouts, dict[str, int]]:
    """Stops of one animal, and counts: n_filled, and n_stops_gap_<g> for the settings of GAP_LEVELS.

    The track is filled in place. Gaps are filled from the shortest setting to the longest; the speed is computed
    anew only where a filled frame takes part, so that four settings cost little more than one.
    """
    still = _Still(track, params)
    gaps = find_gaps(track)
    near = params.arena.cm(gaps.distance_px) <= params.max_gap_cm
    counts: dict[str, int] = {}
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
    assert bouts is not None  # max_gap_frames is one of the levels
    return bouts, counts


def count_stops(track: Track, params: StopsParams, half_windows: Iterable[int]) -> dict[int, int]:
    """Stops of one animal under other half windows (frames), all else alike; the track stays as it is."""
    gaps = find_gaps(track)
    near = params.arena.cm(gaps.distance_px) <= params.max_gap_cm
    filled = fill(track, gaps, near & (gaps.length <= params.max_gap_frames))
    settings = {half: params.model_copy(update={"half_window_frames": half}) for half in half_windows}
    counts = {half: len(_Still(track, using).runs()[0]) for half, using in settings.items()}
    track.x_px[filled] = track.y_px[filled] = np.nan
    return counts


class _Still:
    """Where a mouse is slow: one flag a frame, false where the speed is not defined."""

    def __init__(self, track: Track, params: StopsParams) -> None:
        self.track, self.params = track, params
        window_s = 2 * params.half_window_frames / params.fps
        self.limit_px2 = (params.max_speed_cm_per_s * window_s / float(params.arena.cm_per_px)) ** 2
        size, half = track.layout.size, params.half_window_frames
        self.defined = np.zeros(size, np.bool_)  # whether f - k and f + k lie in the segment of f
        for begin, end in zip(track.layout.offsets[:-1], track.layout.offsets[1:], strict=True):
            self.defined[begin + half : max(begin + half, end - half)] = True
        self.flags = np.zeros(size, np.bool_)
        for begin in range(half, size - half, BLOCK_FRAMES):
            end = min(begin + BLOCK_FRAMES, size - half)
            self.flags[begin:end] = self._slow(
                slice(begin + half, end + half), slice(begin - half, end - half), slice(begin, end)
            )
        self.flags &= self.defined

    def update(self, filled: NDArray[np.int64]) -> None:
        """Compute the flags again at every frame whose speed a filled frame takes part in."""
        half = self.params.half_window_frames
        for begin in range(0, filled.size, BLOCK_FRAMES):
            block = filled[begin : begin + BLOCK_FRAMES]
            for touched in (block - half, block, block + half):
                inside = touched[(touched >= half) & (touched < self.flags.size - half)]
                index = inside[self.defined[inside]]
                self.flags[index] = self._slow(index + half, index - half, index)

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
        change = np.flatnonzero(self.flags[1:] != self.flags[:-1]) + 1  # a flag is never set on the first or last frame
        first, last = change[::2], change[1::2] - 1
        long = (last - first + 1) / self.params.fps >= self.params.min_duration_s
        return first[long], last[long]


def _means(values: NDArray[np.float64], first: NDArray[np.int64], last: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean over each run first..last, inclusive."""
    if not first.size:
        return np.empty(0)
    edges = np.column_stack((first, last + 1)).ravel()
    with np.errstate(over="ignore", invalid="ignore"):  # places of 1e308 are no places, but numbers
        return np.asarray(np.add.reduceat(values, edges)[::2] / (last - first + 1))


@dataclass(frozen=True)
class _Part:
    """One file of a recording, looked at: the shift adds to its frame numbers what earlier files took."""

    database: lmt.Database
    clock: Clock
    layout: Layout
    n_clock_back: int
    shift: int


def extract(
    recording: Recording, params: Definitions, threads: int = 1, observer: Observer | None = None
) -> Extraction:
    """Read a recording, one file or several, and find the stops of its animals.

    `threads` animals are read at once; memory is that of as many animals' positions with the covering index, of
    all without. Raises DatabaseError or CohortError.
    """
    observer = observer or Observer()
    parts = _look_at(recording, params.stops, threads)
    first = parts[0].clock
    row = first.first_unpaused
    origin = Origin(int(first.frames[row]) + parts[0].shift, int(first.timestamps_ms[row]))
    ids = _name_animals(recording, parts)
    offset_s = clocks.align_offset_s(origin.timestamp_ms, params.histograms, recording.timezone)
    intervals = (offset_s, params.histograms.interval_s)
    tables = [
        _extract_part(recording, part, members, origin, params.stops, intervals, threads, observer)
        for part, members in zip(parts, ids, strict=True)
    ]
    quality = pl.concat([table.quality for table in tables])
    if not quality["n_detected"].sum():
        where = f"{recording.files[0]}: DETECTION"
        raise DatabaseError(problem(where, "positions of the animals", "no detection", "leave the file out"))
    return Extraction(
        pl.concat([table.stops for table in tables]).sort("animal_id", "start_frame"),
        _sum_quality(quality),
        pl.concat([table.coverage for table in tables])
        .group_by("recording", "animal_id", "interval")
        .agg(pl.col("detected", "unpaused").sum())
        .sort("animal_id", "interval"),
    )


@dataclass(frozen=True)
class Trace:
    """Where one animal was: time since the recording's start, place of every frame (nan where unknown), its stops."""

    animal_id: int
    rfid: str | None
    simulated: bool
    start_ms: int
    time_s: NDArray[np.float64]
    x_cm: NDArray[np.float64]
    y_cm: NDArray[np.float64]
    stops: pl.DataFrame


def trace(recording: Recording, animal: str | None, params: Definitions) -> Trace:
    """Positions and stops of one animal, by its RFID or its number, None the first.

    Raises ParamsError where there is no such animal, and what `extract` raises.
    """
    parts = _look_at(recording, params.stops, 1)
    first = parts[0].clock
    origin = Origin(int(first.frames[first.first_unpaused]), int(first.timestamps_ms[first.first_unpaused]))
    ids = _name_animals(recording, parts)
    known = dict(sorted(pair for members in ids for pair in members.values()))
    chosen = next((i for i, rfid in known.items() if animal in (None, rfid, str(i))), None)
    if chosen is None:
        names = ", ".join(rfid or str(i) for i, rfid in known.items())
        raise ParamsError(problem(f"--animal {animal}", f"one of {names}", "another", "correct it"))
    settings = params.stops.model_copy(update={"arena": recording.arena})
    columns: list[tuple[NDArray[np.float64], ...]] = []
    tables = [STOPS.empty()]
    for part, members in zip(parts, ids, strict=True):
        key = next((key for key, (i, _) in members.items() if i == chosen), None)
        if key is None:
            continue
        if part.database.index:
            track = lmt.read_track(part.database, key, part.layout)
        else:
            track = lmt.read_tracks(part.database, [key], part.layout)[0][key]
        times_s = np.concatenate([*clocks.layout_seconds(part.clock, part.layout, origin, part.shift, settings)])
        columns.append((times_s, *to_floor(track.x_px.copy(), track.y_px.copy(), settings)))
        bouts, _ = find_stops(track, settings)
        tables.append(_stop_table(recording.name, chosen, known[chosen], bouts, part, origin, settings))
    time_s, x_cm, y_cm = (np.concatenate(values) for values in zip(*columns, strict=True))
    simulated = any(part.database.simulated for part in parts)
    return Trace(chosen, known[chosen], simulated, origin.timestamp_ms, time_s, x_cm, y_cm, pl.concat(tables))


def _look_at(recording: Recording, params: StopsParams, threads: int) -> list[_Part]:
    """Open the files of a recording, in order of their first TIMESTAMP; overlapping ones are refused."""
    opened = []
    for path in recording.files:
        database = lmt.open_database(path)
        clock = lmt.read_clock(database, threads)
        back = clocks.check(clock, path, params)
        layout = clocks.lay_out(clock, path)
        clocks.warn_of_rate(clocks.measured_fps(clock, layout), path, params)
        opened.append((database, clock, layout, back))
    opened.sort(key=lambda part: int(part[1].timestamps_ms[0]))
    parts: list[_Part] = []
    begin_ms = int(opened[0][1].timestamps_ms[0])
    for database, clock, layout, back in opened:
        if parts and int(clock.timestamps_ms[0]) <= int(parts[-1].clock.timestamps_ms.max()):
            raise DatabaseError(
                problem(
                    database.path,
                    f"a file that begins after {parts[-1].database.path.name} ends",
                    "an overlap in time",
                    "give each stretch of time once in the manifest's files",
                )
            )
        shift = round((int(clock.timestamps_ms[0]) - begin_ms) * params.fps / 1000)
        parts.append(_Part(database, clock, layout, back, shift))
    return parts


def _name_animals(recording: Recording, parts: Sequence[_Part]) -> list[dict[int, tuple[int, str | None]]]:
    """For each file: its ANIMAL.ID -> (animal_id of the recording, RFID), joined by RFID."""
    members: dict[str | None, int] = {}
    named: list[dict[int, tuple[int, str | None]]] = []
    for part in parts:
        chosen = recording.match(part.database)
        if not parts[1:]:
            return [{key: (key, rfid) for key, rfid in chosen.items()}]
        if lost := sorted(key for key, rfid in chosen.items() if rfid is None):
            where = f"{part.database.path}: ANIMAL {lost[0]}"
            raise CohortError(problem(where, "an RFID, to join the files by", "none", "give the files one by one"))
        for key, rfid in sorted(chosen.items()):
            taken = set(members.values())
            members.setdefault(rfid, key if key not in taken else max(taken) + 1)
        named.append({key: (members[rfid], rfid) for key, rfid in chosen.items()})
    return named


def _extract_part(
    recording: Recording,
    part: _Part,
    members: Mapping[int, tuple[int, str | None]],
    origin: Origin,
    params: StopsParams,
    intervals: tuple[float, float],
    threads: int,
    observer: Observer,
) -> Extraction:
    observer.file(part.database, part.clock, part.layout)
    params = params.model_copy(update={"arena": recording.arena})
    times_s = clocks.layout_seconds(part.clock, part.layout, origin, part.shift, params)
    held, edges, span_s = clocks.interval_edges(part.layout, times_s, *intervals)
    common: dict[str, object] = {**_recording_counts(part, origin), "span_s": span_s}

    def one(key: int, track: Track) -> Extraction:
        animal_id, rfid = members[key]
        present = track.detected
        counts = {"n_detected": int(np.count_nonzero(present)), "n_jumps": track.count_jumps()}
        coverage = [int(np.count_nonzero(present[a:b])) for a, b in pairwise(edges)]
        del present
        observer.animal(animal_id, track, params)
        bouts, found = find_stops(track, params)
        stops = _stop_table(recording.name, animal_id, rfid, bouts, part, origin, params)
        row = {
            "recording": recording.name,
            "animal_id": animal_id,
            "rfid": rfid,
            **common,
            **{name: getattr(track, name) for name in QUALITY.columns if hasattr(track, name)},
            **counts,
            **found,
            "n_stops": stops.height,
            "stopped_s": float(stops["duration_s"].sum()),
        }
        return Extraction(
            stops,
            pl.DataFrame([row], schema=dict(QUALITY.columns)),
            pl.DataFrame(
                {
                    "recording": [recording.name] * len(coverage),
                    "animal_id": [animal_id] * len(coverage),
                    "interval": held,
                    "detected": coverage,
                    "unpaused": np.diff(edges),
                },
                schema=dict(COVERAGE.columns),
            ),
        )

    keys = sorted(members, key=lambda key: members[key][0])
    with ThreadPoolExecutor(threads) as pool:
        if part.database.index:
            common["n_anonymous"] = lmt.count_anonymous(part.database)
            tables = list(pool.map(lambda key: one(key, lmt.read_track(part.database, key, part.layout)), keys))
        else:
            tracks, common["n_anonymous"] = lmt.read_tracks(part.database, keys, part.layout, threads)
            tables = list(pool.map(lambda key: one(key, tracks.pop(key)), keys))
    return Extraction(*(pl.concat(getattr(t, name) for t in tables) for name in ("stops", "quality", "coverage")))


def _stop_table(
    name: str, animal_id: int, rfid: str | None, bouts: Bouts, part: _Part, origin: Origin, params: StopsParams
) -> pl.DataFrame:
    start_frame, end_frame = part.layout.frame(bouts.first), part.layout.frame(bouts.last)
    start_s = clocks.seconds(part.clock, start_frame, origin, part.shift, params)
    x_cm, y_cm = to_floor(bouts.x_px, bouts.y_px, params)
    return pl.DataFrame(
        {
            "recording": pl.repeat(name, len(start_s), dtype=pl.String, eager=True),
            "animal_id": pl.repeat(animal_id, len(start_s), dtype=pl.Int64, eager=True),
            "rfid": pl.repeat(rfid, len(start_s), dtype=pl.String, eager=True),
            "start_frame": start_frame + part.shift,
            "end_frame": end_frame + part.shift,
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
    """Pixels of the depth image to cm on the floor: x_cm = (MASS_X - 114) * 10/57, y_cm = (MASS_Y - 63) * 10/57.

    `flip` mirrors the floor: x -> w - x, y -> h - y.
    """
    arena = params.arena
    x_cm, y_cm = arena.cm(x_px - arena.x_px), arena.cm(y_px - arena.y_px)
    if "x" in arena.flip:
        x_cm = arena.width_cm - x_cm
    if "y" in arena.flip:
        y_cm = arena.height_cm - y_cm
    return x_cm, y_cm


def _recording_counts(part: _Part, origin: Origin) -> dict[str, object]:
    clock, layout = part.clock, part.layout
    paused = np.flatnonzero(clock.paused)
    following = np.minimum(paused + 1, len(clock.frames) - 1)
    paused_ms = int((clock.timestamps_ms[following] - clock.timestamps_ms[paused]).sum())
    return {
        "simulated": part.database.simulated,
        "start_ms": origin.timestamp_ms,
        "n_frames": len(clock.frames),
        "n_missing_frames": int(clock.frames[-1] - clock.frames[0]) + 1 - len(clock.frames),
        "n_paused_frames": len(paused),
        "paused_s": paused_ms / 1000,
        "n_segments": len(layout.starts),
        "n_clock_back": part.n_clock_back,
        "measured_fps": clocks.measured_fps(clock, layout),
    }


def _sum_quality(quality: pl.DataFrame) -> pl.DataFrame:
    """One row an animal: counts of several files add up, the rate is their mean."""
    keys = ["recording", "animal_id", "rfid"]
    added = [pl.col(c).sum() for c in quality.columns if c.startswith("n_") or c in ("paused_s", "stopped_s")]
    whole = [
        pl.col("simulated").any(),
        pl.col("start_ms").first(),
        pl.col("span_s").max(),
        pl.col("measured_fps").mean(),
    ]
    return (
        quality.group_by(keys, maintain_order=True).agg(*added, *whole).select(list(QUALITY.columns)).sort("animal_id")
    )


def stops(
    recordings: Iterable[Recording],
    folder: Path,
    params: Definitions,
    workers: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
    ledger: Ledger | None = None,
) -> pl.DataFrame:
    """The stage: one Parquet a recording, quality.parquet and coverage.parquet; returns the quality table.

    Recordings are read `workers` at a time, in threads: reading and arithmetic release the interpreter's lock. What the
    `ledger` knows to be still good is not read again. A recording that fails does not keep the others from being
    written; BatchError then tells all failures.
    """
    recordings = list(recordings)
    if taken := [recording.name for recording in recordings if recording.name in TABLES]:
        found = "that of a table of this stage"
        raise CohortError([problem(name, "another recording's name", found, "rename the recording") for name in taken])
    ensure_folder(folder)
    (folder / "stops.json").unlink(missing_ok=True)  # until all is written the folder must not look whole
    _prune(folder, recordings, ledger)
    done = _still_good(recordings, ledger)
    failed: dict[str, LmtcnnError] = {}
    waiting = [recording for recording in recordings if recording.name not in done]
    inner = max(1, workers // max(1, len(waiting)))
    with ThreadPoolExecutor(workers) as pool:
        jobs = {pool.submit(_one, r, folder, params, inner, ledger): r.name for r in waiting}
        for count, job in enumerate(as_completed(jobs), start=len(done) + 1):
            try:
                done[jobs[job]] = job.result()
            except LmtcnnError as error:
                failed[jobs[job]] = error
            progress(count, len(recordings))
    finished = [done[r.name] for r in recordings if r.name in done]
    quality = pl.concat([QUALITY.empty(), *(e.quality for e in finished)]).sort("recording", "animal_id")
    QUALITY.write(quality, folder / "quality.parquet")
    coverage = pl.concat([COVERAGE.empty(), *(e.coverage for e in finished)]).sort("recording", "animal_id", "interval")
    COVERAGE.write(coverage, folder / "coverage.parquet")
    if failed:
        raise BatchError(failed[r.name] for r in recordings if r.name in failed)
    write_json(folder / "stops.json", provenance(params, recordings))
    return quality


def provenance(params: Definitions, recordings: Iterable[Recording]) -> dict[str, object]:
    """What a folder of stop tables was made by: the parameters, and each recording's files and floor."""
    return {
        "stops": dump(params.stops),
        "recordings": {recording.name: recording.provenance for recording in recordings},
    }


def _still_good(recordings: Sequence[Recording], ledger: Ledger | None) -> dict[str, Extraction]:
    """What need not be read again."""
    found = {r.name: rows for r in recordings if ledger and (rows := ledger.find(r))}
    if found:
        log.info("%d of %d recordings have not changed since they were read", len(found), len(recordings))
    return {name: Extraction(STOPS.empty(), *rows) for name, rows in found.items()}


def _one(
    recording: Recording, folder: Path, params: Definitions, threads: int, ledger: Ledger | None = None
) -> Extraction:
    if ledger:
        ledger.forget(recording)
    try:
        key = ledger.key(recording) if ledger else ""
    except OSError:
        key = ""  # no file: extract says so
    extraction = extract(recording, params, threads)
    STOPS.write(extraction.stops, folder / f"{recording.name}.parquet")
    if ledger and key:
        ledger.keep(recording, extraction.quality, extraction.coverage, key)
    return Extraction(STOPS.empty(), extraction.quality, extraction.coverage)


def _prune(folder: Path, recordings: Sequence[Recording], ledger: Ledger | None) -> None:
    """Remove the tables of recordings that left the study: those that the ledger or the quality table name."""
    if ledger:
        ledger.prune(recordings)
    listing = folder / "quality.parquet"
    if listing.is_file():
        before = QUALITY.read(listing)["recording"].unique()
        for name in set(before) - {recording.name for recording in recordings}:
            (folder / f"{name}.parquet").unlink(missing_ok=True)
