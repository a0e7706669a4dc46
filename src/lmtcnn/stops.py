"""From databases to stop tables: the first stage.

A recording, one file or several, is read (`lmt`), cut into segments (`clock`), and the stops of its animals are found
(`bouts`); what was seen on the way is counted in the tables of quality and coverage.
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
from lmtcnn.bouts import Bouts, find_stops
from lmtcnn.clock import Clock, Layout, Origin
from lmtcnn.cohort import Recording
from lmtcnn.errors import BatchError, CohortError, DatabaseError, DataError, LmtcnnError, ParamsError, problem
from lmtcnn.files import ensure_folder, write_json
from lmtcnn.ledger import Ledger
from lmtcnn.params import Definitions, StopsParams, dump
from lmtcnn.schemas import COVERAGE, QUALITY, STOPS
from lmtcnn.tracks import Track

log = logging.getLogger("lmtcnn")

TABLES = ("quality", "coverage")
"""Tables of all recordings, which lie beside those of each."""


@dataclass(frozen=True)
class Extraction:
    """What one recording gives: its stops, the counts of its quality, its coverage by interval."""

    stops: pl.DataFrame
    quality: pl.DataFrame
    coverage: pl.DataFrame


@dataclass(frozen=True)
class Observer:
    """What else wants to see a recording while `extract` reads it once.

    `file` is called for each file before its animals, `animal` with the positions of an animal in a file before gaps
    are filled: in threads, several at once.
    """

    file: Callable[[lmt.Database, Clock, Layout], None] = lambda database, clock, layout: None
    animal: Callable[[int, Track, StopsParams], None] = lambda animal_id, track, params: None


NOBODY = Observer()


@dataclass(frozen=True)
class _Part:
    """One file of a recording, looked at: the shift adds to its frame numbers what earlier files took."""

    database: lmt.Database
    clock: Clock
    layout: Layout
    n_clock_back: int
    shift: int


def extract(recording: Recording, params: Definitions, threads: int = 1, observer: Observer = NOBODY) -> Extraction:
    """Read a recording, one file or several, and find the stops of its animals.

    `threads` animals are read at once; memory is that of as many animals' positions with the covering index, of
    all without. Raises DatabaseError or CohortError.
    """
    parts = _look_at(recording, params.stops, threads)
    origin = _origin(parts)
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
    origin = _origin(parts)
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


def _origin(parts: Sequence[_Part]) -> Origin:
    first = parts[0].clock  # its frames are not shifted
    return Origin(int(first.frames[first.first_unpaused]), int(first.timestamps_ms[first.first_unpaused]))


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
        coverage = _coverage_table(recording.name, animal_id, held, edges, track.detected)
        counts = {"n_detected": int(coverage["detected"].sum()), "n_jumps": track.count_jumps()}
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
        return Extraction(stops, pl.DataFrame([row], schema=dict(QUALITY.columns)), coverage)

    keys = sorted(members, key=lambda key: members[key][0])
    with ThreadPoolExecutor(threads) as pool:
        if part.database.index:
            common["n_anonymous"] = lmt.count_anonymous(part.database)
            tables = list(pool.map(lambda key: one(key, lmt.read_track(part.database, key, part.layout)), keys))
        else:
            tracks, common["n_anonymous"] = lmt.read_tracks(part.database, keys, part.layout, threads)
            tables = list(pool.map(lambda key: one(key, tracks.pop(key)), keys))
    return Extraction(*(pl.concat(getattr(t, name) for t in tables) for name in ("stops", "quality", "coverage")))


def _coverage_table(
    name: str, animal_id: int, held: NDArray[np.int64], edges: Sequence[int], present: NDArray[np.bool_]
) -> pl.DataFrame:
    """Frames with a position, and unpaused ones, for each interval that holds a frame; see `clock.interval_edges`."""
    return pl.DataFrame(
        {
            "recording": [name] * len(held),
            "animal_id": [animal_id] * len(held),
            "interval": held,
            "detected": [int(np.count_nonzero(present[a:b])) for a, b in pairwise(edges)],
            "unpaused": np.diff(edges),
        },
        schema=dict(COVERAGE.columns),
    )


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
    key = ledger.begin(recording) if ledger else None
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
        try:
            before = set(QUALITY.read(listing)["recording"])
        except DataError as error:  # cut, or of another version: this very run writes it anew
            log.warning("%s", error.lines[0])
            before = set()
        for name in before - {recording.name for recording in recordings}:
            (folder / f"{name}.parquet").unlink(missing_ok=True)
