"""From databases to stop tables: the first stage.

A recording, one file or several, is read (`lmt`), cut into segments (`clock`), and the stops of its animals are found
(`bouts`); what was seen on the way is counted in the tables of quality and coverage.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from queue import SimpleQueue
from typing import Literal, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lmtcnn.cohort.recording import Part, Recording, look_at, mixed, name_animals, origin_of, provenance, read_each
from lmtcnn.core.errors import (
    BatchError,
    CohortError,
    DatabaseError,
    DataError,
    LmtcnnError,
    OutputError,
    ParamsError,
    problem,
)
from lmtcnn.core.files import ensure_folder, write_json
from lmtcnn.core.params import Definitions
from lmtcnn.core.records import seal
from lmtcnn.core.schemas import COVERAGE, INTERVALS, QUALITY, STOPS, STOPS_TABLES, Table
from lmtcnn.core.sections import Arena, StopsParams
from lmtcnn.lmt import detections, lmt
from lmtcnn.lmt.detections import Seen
from lmtcnn.lmt.frames import PARTICLES, TEMPERATURE
from lmtcnn.stops.bouts import Bouts, find_stops
from lmtcnn.stops.flicker import count_flicker, find_flicker, long_steps
from lmtcnn.stops.ledger import Ledger
from lmtcnn.stops.quality import failures, judge
from lmtcnn.timeline import clock as clocks
from lmtcnn.timeline.clock import Origin
from lmtcnn.timeline.tracks import PackedTrack, Spare, Tally, Track, find_gaps

log = logging.getLogger("lmtcnn")


@dataclass(frozen=True)
class Extraction:
    """The tables of one recording: its stops, the counts of its quality, judged, and its coverage by interval."""

    stops: pl.DataFrame
    quality: pl.DataFrame
    coverage: pl.DataFrame
    intervals: pl.DataFrame


def extract(recording: Recording, params: Definitions, threads: int = 1, seen: Seen = lambda n: None) -> Extraction:
    """Read a recording, one file or several, and find the stops of its animals.

    `threads` animals are read at once; memory is that of as many animals' positions with the covering index, of
    all without. `seen` is told how many detections were read. Raises DatabaseError or CohortError.
    """
    return extract_parts(recording, look_at(recording, params, threads), params, threads, seen)


def extract_parts(
    recording: Recording, parts: Sequence[Part], params: Definitions, threads: int, seen: Seen
) -> Extraction:
    """Extract the tables of a recording that was looked at."""
    origin = origin_of(parts)
    job = _Job(recording, params, origin, threads, seen)
    ids = name_animals(recording, parts)
    everyone = {member for members in ids for member in members.values()}
    tables = [
        _extract_part(job, part, members, everyone - set(members.values()))
        for part, members in zip(parts, ids, strict=True)
    ]
    quality = _sum_quality(pl.concat([table.quality for table in tables]))
    if not quality["n_detected"].sum():
        where = f"{recording.files[0]}: DETECTION"
        raise DatabaseError(problem(where, "positions of the animals", "no detection", "leave the file out"))
    quality = _without_ghosts(recording, quality)
    strangers = [
        recording.strangers(part.database, {key: rfid for key, (_, rfid) in members.items()})
        for part, members in zip(parts, ids, strict=True)
    ]
    quality = quality.with_columns(unlisted=pl.lit("; ".join(dict.fromkeys(chain(*strangers)))))
    coverage = _add_up([table.coverage for table in tables], COVERAGE)
    coverage = coverage.filter(pl.col("animal_id").is_in(quality["animal_id"].implode()))
    return Extraction(
        pl.concat([table.stops for table in tables]).sort("animal_id", "start_frame"),
        judge(quality, coverage, params),
        coverage,
        _add_up([table.intervals for table in tables], INTERVALS),
    )


def _without_ghosts(recording: Recording, quality: pl.DataFrame) -> pl.DataFrame:
    """The quality table without rows of ANIMAL that no detection names, which it lists in `never_detected`.

    The tracker leaves such rows where it was started before the chips were read. One that the manifest names stays: it
    says that a mouse was there, which was never seen, and the recording fails by that.
    """
    ghosts = quality.filter(n_rows=0)
    names = [f"animal {i} ({rfid or 'no RFID'})" for i, rfid in ghosts.select("animal_id", "rfid").iter_rows()]
    if not names:
        return quality
    where = recording.files[0].name
    if recording.samples is not None:
        do = "was it there? `yes` in the column `exclude` leaves it out"
        log.warning("%s: in the manifest, but never detected: %s; %s", recording.name, ", ".join(names), do)
        return quality
    log.warning("%s: never detected, so no animals: %s", where, ", ".join(names))
    told = pl.lit("; ".join(names)).alias("never_detected")
    return quality.filter(pl.col("n_rows") > 0).with_columns(told)


def _add_up(parts: Sequence[pl.DataFrame], table: Table) -> pl.DataFrame:
    """Counts over the files of a recording: an interval may lie in two of them."""
    return pl.concat(parts).group_by(table.keys).agg(pl.exclude(table.keys).sum()).sort(table.keys)


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
    parts = look_at(recording, params)
    origin = origin_of(parts)
    ids = name_animals(recording, parts)
    known = dict(sorted(pair for members in ids for pair in members.values()))
    if animal is None:  # the first that was detected, as far as covering indexes tell
        ghosts = [lmt.undetected(part.database, list(members)) for part, members in zip(parts, ids, strict=True)]
        seen = {m[key] for m, lost in zip(ids, ghosts, strict=True) for key in m if key not in lost}
        known = dict(sorted(seen)) or known
    chosen = next((i for i, rfid in known.items() if animal in (None, rfid, str(i))), None)
    if chosen is None:
        names = ", ".join(rfid or str(i) for i, rfid in known.items())
        raise ParamsError(problem("--animal", f"one of {names}", str(animal), "correct it"))
    settings = params.stops.model_copy(update={"arena": recording.arena})
    columns: list[tuple[NDArray[np.float64], ...]] = []
    tables = [STOPS.empty()]
    for part, members in zip(parts, ids, strict=True):
        key = next((key for key, (i, _) in members.items() if i == chosen), None)
        if key is None:
            continue
        track = Track(part.layout)
        if part.database.index:
            detections.read_track(part.database, key, track)
        else:
            nobody, others = (Tally(part.layout, [0, part.layout.size]) for _ in range(2))
            detections.read_tracks(part.database, {key: track}, nobody, others)
        times_s = np.concatenate([*clocks.layout_seconds(part.clock, part.layout, origin, part.shift, settings)])
        columns.append((times_s, *to_floor(track.x_px.copy(), track.y_px.copy(), settings)))
        bouts, _ = find_stops(track, settings)
        tables.append(_stop_table(recording.name, chosen, known[chosen], bouts, part, origin, settings))
    time_s, x_cm, y_cm = (np.concatenate(values) for values in zip(*columns, strict=True))
    simulated = any(part.database.simulated for part in parts)
    return Trace(chosen, known[chosen], simulated, origin.timestamp_ms, time_s, x_cm, y_cm, pl.concat(tables))


@dataclass(frozen=True)
class _Job:
    """The values that all files of a recording share."""

    recording: Recording
    params: Definitions
    origin: Origin
    threads: int
    seen: Seen

    @property
    def settings(self) -> StopsParams:
        """The definitions of stops, on the recording's own floor."""
        return self.params.stops.model_copy(update={"arena": self.recording.arena})


Member = tuple[int, str | None]
"""An animal of a recording: its animal_id and its RFID."""


def _extract_part(job: _Job, part: Part, members: Mapping[int, Member], absent: Iterable[Member]) -> Extraction:
    """Extract the tables of one file: its animals by ANIMAL.ID, and as unknown here those of other files only."""
    settings, intervals = job.settings, job.params.histograms
    offset_s = clocks.align_offset_s(job.origin.timestamp_ms, intervals, job.recording.timezone)
    times_s = clocks.layout_seconds(part.clock, part.layout, job.origin, part.shift, settings)
    held, edges, span_s = clocks.interval_edges(part.layout, times_s, offset_s, intervals.interval_s)
    nobody, others = Tally(part.layout, edges), Tally(part.layout, edges)
    keys = sorted(members, key=lambda key: members[key][0])

    def one(member: Member, track: Track) -> tuple[dict[str, object], pl.DataFrame, pl.DataFrame]:
        animal_id, rfid = member
        row: dict[str, object] = {"animal_id": animal_id, "rfid": rfid}
        row |= {name: getattr(track, name) for name in QUALITY.columns if hasattr(track, name)}
        steps, gaps = long_steps(track, settings), find_gaps(track)
        flicker = find_flicker(track, steps, gaps, settings)
        flickering = count_flicker(track, flicker, np.asarray(edges))
        coverage = _coverage_table(job.recording.name, animal_id, held, edges, track.detected, flickering)
        row["n_detected"], row["n_flicker"] = int(coverage["detected"].sum()), int(flickering.sum())
        row["n_jumps"] = steps.count_jumps(settings.arena)
        row["n_outside"] = track.count_outside(settings.arena)
        bouts, counts = find_stops(track, settings, gaps, flicker)
        stops = _stop_table(job.recording.name, animal_id, rfid, bouts, part, job.origin, settings)
        row |= counts
        row["n_stops"], row["stopped_s"] = stops.height, float(stops["duration_s"].sum())
        row["n_stops_outside"] = _count_outside(stops, settings.arena)
        return row, stops, coverage

    found = _read_part(job, part, keys, (nobody, others), lambda key, track: one(members[key], track))
    found += [one(member, Track(part.layout)) for member in absent]
    rows, stops, coverage = zip(*found, strict=True)
    common = {"recording": job.recording.name, "span_s": span_s}
    common |= dict.fromkeys(("verdict", "failed", "warned", "unlisted", "never_detected"), "")
    common |= {"n_anonymous": nobody.n_rows, "n_others": others.n_rows, **_recording_counts(part, job)}
    return Extraction(
        pl.concat(stops),
        pl.DataFrame([common | row for row in rows], schema=dict(QUALITY.columns)),
        pl.concat(coverage),
        _interval_table(job.recording.name, held, edges, part, nobody, others),
    )


T = TypeVar("T")


def _read_part(
    job: _Job, part: Part, keys: Sequence[int], rest: tuple[Tally, Tally], one: Callable[[int, Track], T]
) -> list[T]:
    """Return what `one` makes of each animal's track; the rest, rows of nobody and of others, is counted on the way.

    With the covering index `threads` animals are read at once, each into the arrays of one that is done with. Without
    it all are read in one pass, packed, and unpacked one after the other.
    """
    packed = None if part.database.index else {key: PackedTrack(part.layout) for key in keys}
    census = detections.Census()
    spare: SimpleQueue[Spare | None] = SimpleQueue()
    for _ in range(job.threads if packed is None else 1):
        spare.put(None)

    def read(key: int) -> T:
        arrays = spare.get()
        try:
            if packed is None:
                track = detections.read_track(part.database, key, Track(part.layout, arrays), job.seen, census)
            else:
                track = packed.pop(key).unpack(arrays)
            arrays = track.x_px, track.y_px
            return one(key, track)
        finally:
            spare.put(arrays)

    with ThreadPoolExecutor(job.threads) as pool:
        if packed is not None:
            unknown = detections.read_tracks(part.database, packed, *rest, job.threads, job.seen)
            _warn_of_unknown(part, unknown)
            return list(pool.map(read, keys))
        strangers = [animal.id for animal in part.database.animals if animal.id not in keys]
        counted = (
            pool.submit(detections.count_detections, part.database, [None], rest[0], job.seen, census),
            pool.submit(detections.count_detections, part.database, strangers, rest[1], census=census),
        )
        found = list(pool.map(read, keys))
        for job_done in counted:
            job_done.result()
        _warn_of_unknown(part, detections.check_census(part.database, census))
        return found


def _warn_of_unknown(part: Part, n_rows: int) -> None:
    """Say how many detections are of animals that ANIMAL does not have."""
    if n_rows:
        log.warning("%s: %d detections of animals that are not in ANIMAL", part.database.path.name, n_rows)


def _coverage_table(
    name: str,
    animal_id: int,
    held: NDArray[np.int64],
    edges: Sequence[int],
    present: NDArray[np.bool_],
    flickering: NDArray[np.int64],
) -> pl.DataFrame:
    """Frames with a position, unpaused and flickering ones, for each interval that holds a frame.

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


def _interval_table(
    name: str, held: NDArray[np.int64], edges: Sequence[int], part: Part, nobody: Tally, others: Tally
) -> pl.DataFrame:
    """Frames, unpaused FRAME rows and detections of nobody and of others for each interval that holds a frame."""
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


def _stop_table(
    name: str, animal_id: int, rfid: str | None, bouts: Bouts, part: Part, origin: Origin, params: StopsParams
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
    with np.errstate(over="ignore"):  # places of 1e308 are no places, but numbers
        x_cm, y_cm = arena.cm(x_px - arena.x_px), arena.cm(y_px - arena.y_px)
    if "x" in arena.flip:
        x_cm = arena.width_cm - x_cm
    if "y" in arena.flip:
        y_cm = arena.height_cm - y_cm
    return x_cm, y_cm


def _count_outside(stops: pl.DataFrame, arena: Arena) -> int:
    """Stops whose place is not on the floor (its edges belong to it)."""
    inside = pl.col("x_cm").is_between(0, arena.width_cm) & pl.col("y_cm").is_between(0, arena.height_cm)
    return stops.filter(~inside).height


def _recording_counts(part: Part, job: _Job) -> dict[str, object]:
    clock, layout = part.clock, part.layout
    paused = np.flatnonzero(clock.paused)
    following = np.minimum(paused + 1, len(clock.frames) - 1)
    paused_ms = int((clock.timestamps_ms[following] - clock.timestamps_ms[paused]).sum())
    back_ms, jumps_ms = clocks.steps_back(clock)[1], clocks.jumps(clock)[1]
    heat, particles = (clock.sensors.get(name) for name in (TEMPERATURE, PARTICLES))
    return {
        "simulated": part.database.simulated,
        "start_ms": job.origin.timestamp_ms,
        "identity_corrected": part.history.identity_corrected,
        "n_files": 1,
        "n_frames": len(clock.frames),
        "n_missing_frames": int(clock.frames[-1] - clock.frames[0]) + 1 - len(clock.frames),
        "n_unpaused": layout.size,
        "n_expected_frames": layout.size
        if job.params.stops.clock == "frame"
        else clocks.expected_frames(clock, job.params.stops.fps),
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


def _sum_quality(quality: pl.DataFrame) -> pl.DataFrame:
    """One row an animal: over several files counts and times add up, extremes are of all."""
    others = (*_FIRST, *_GREATEST, *_LEAST, *_KEYS, "measured_fps")
    added = pl.exclude(others).sum()
    whole = [pl.col(_FIRST).first(), pl.col(_GREATEST).max(), pl.col(_LEAST).min()]
    rate = (pl.col("n_unpaused") - pl.col("n_segments")) / pl.col("clocked_s")
    known = pl.when(pl.col("clocked_s") > 0).then(rate).otherwise(float("nan")).alias("measured_fps")
    table: pl.DataFrame = quality.group_by(_KEYS, maintain_order=True).agg(added, *whole).with_columns(known)
    return table.select(list(QUALITY.columns)).sort("animal_id")


def stops(
    recordings: Iterable[Recording],
    folder: Path,
    params: Definitions,
    workers: int,
    progress: Callable[[int, int], None] | None = None,
    ledger: Ledger | None = None,
    others: Literal["remove", "refuse"] = "remove",
) -> pl.DataFrame:
    """The stage: one Parquet a recording, and those of STOPS_TABLES; returns the quality table.

    Recordings are read `workers` at a time, in threads: reading and arithmetic release the interpreter's lock. What the
    `ledger` knows to be still good is not read again. Tables of other recordings are removed, as these have left the
    study, or refused with an OutputError. A recording that fails does not keep the others from being written;
    BatchError then tells all failures. Where a table cannot be written, as on a full disk, no other recording is read;
    those that were written stay, and the ledger knows them. `progress` is told detections, read and to be read.
    """
    recordings = list(recordings)
    if taken := [recording.name for recording in recordings if recording.name in STOPS_TABLES]:
        words = "that of a table of this stage"
        raise CohortError([problem(name, "another recording's name", words, "rename the recording") for name in taken])
    ensure_folder(folder)
    if others == "refuse":
        _refuse_others(folder, recordings)
    (folder / "stops.json").unlink(missing_ok=True)  # until all is written the folder must not look whole
    _prune(folder, recordings, ledger)
    done = _still_good(recordings, params, ledger)
    failed: list[LmtcnnError] = []
    unwritable: list[OutputError] = []
    waiting = [recording for recording in recordings if recording.name not in done]

    def read(recording: Recording, threads: int, seen: Seen) -> Extraction:
        if unwritable:  # a full disk takes no other table either: nothing is read for it
            raise unwritable[0]
        try:
            return _one(recording, folder, params, threads, seen, ledger)
        except OutputError as error:
            unwritable.append(error)
            raise

    for recording, found in zip(waiting, read_each(waiting, read, workers, progress), strict=True):
        if isinstance(found, LmtcnnError):
            failed.append(found)
        else:
            done[recording.name] = found
    if unwritable:
        raise BatchError([*(error for error in failed if not isinstance(error, OutputError)), unwritable[0]])
    tables: dict[str, pl.DataFrame] = {}
    for name, table in STOPS_TABLES.items():
        parts = [getattr(done[r.name], name) for r in recordings if r.name in done]
        tables[name] = pl.concat([table.empty(), *parts]).sort(table.keys)
        table.write(tables[name], folder / f"{name}.parquet")
    _warn(tables["quality"])
    if failed:
        raise BatchError(failed)
    written = [f"{name}.parquet" for name in (*(recording.name for recording in recordings), *STOPS_TABLES)]
    write_json(folder / "stops.json", seal("stops", provenance(params, recordings), {}, folder, written))
    return tables["quality"]


def _warn(quality: pl.DataFrame) -> None:
    """Say which recordings fail a check, and whether identities were corrected in some only."""
    for name, words in failures(quality).items():
        log.warning("%s: fails: %s", name, words)
    for line in mixed(dict(quality.select("recording", "identity_corrected").iter_rows())):
        log.warning("%s", line)


def _still_good(recordings: Sequence[Recording], params: Definitions, ledger: Ledger | None) -> dict[str, Extraction]:
    """Find what need not be read again; it is judged anew."""
    found = {r.name: rows for r in recordings if ledger and (rows := ledger.find(r))}
    if found:
        log.info("%d of %d recordings have not changed since they were read", len(found), len(recordings))
    for tables in found.values():
        tables["quality"] = judge(tables["quality"], tables["coverage"], params)
    return {name: Extraction(STOPS.empty(), **tables) for name, tables in found.items()}


def _one(
    recording: Recording, folder: Path, params: Definitions, threads: int, seen: Seen, ledger: Ledger | None = None
) -> Extraction:
    key = ledger.begin(recording) if ledger else None
    extraction = extract(recording, params, threads, seen)
    STOPS.write(extraction.stops, folder / f"{recording.name}.parquet")
    tables = {name: getattr(extraction, name) for name in STOPS_TABLES}
    if ledger and key:
        ledger.keep(recording, tables, key)
    return Extraction(STOPS.empty(), **tables)


def _refuse_others(folder: Path, recordings: Sequence[Recording]) -> None:
    """Nothing of a study may go because one of its files was read by name."""
    listing = folder / "quality.parquet"
    if not listing.is_file():
        return
    there = set(QUALITY.read(listing)["recording"]) - {recording.name for recording in recordings}
    if there:
        found = f"those of {len(there)} others, {min(there)} among them"
        raise OutputError(problem(folder, "no tables, or those of these recordings", found, "name a folder with --out"))


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
