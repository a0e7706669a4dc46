"""From the files of one recording to its tables.

A recording, one file or several, is read (`lmt`), cut into segments (`clock`), and the stops of its animals are found
(`bouts`); what was seen on the way is counted in the tables of quality and coverage.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from queue import SimpleQueue
from typing import TypeVar

import numpy as np
import polars as pl

from lmtcnn.cohort.parts import Part, look_at, name_animals, origin_of
from lmtcnn.cohort.recording import Recording
from lmtcnn.core.errors import DatabaseError, problem
from lmtcnn.core.params import Definitions
from lmtcnn.core.schemas import COVERAGE, INTERVALS, QUALITY
from lmtcnn.core.sections import StopsParams
from lmtcnn.lmt import detections
from lmtcnn.lmt.detections import Seen
from lmtcnn.stops.bouts import find_stops
from lmtcnn.stops.flicker import count_flicker, find_flicker, long_steps
from lmtcnn.stops.quality import judge
from lmtcnn.stops.tables import (
    add_up,
    count_outside,
    coverage_table,
    interval_table,
    recording_counts,
    stop_table,
    sum_quality,
)
from lmtcnn.timeline import clock as clocks
from lmtcnn.timeline.clock import Origin
from lmtcnn.timeline.tracks import PackedTrack, Spare, Tally, Track, find_gaps

log = logging.getLogger("lmtcnn")

T = TypeVar("T")


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
    quality = sum_quality(pl.concat([table.quality for table in tables]))
    if not quality["n_detected"].sum():
        where = f"{recording.files[0]}: DETECTION"
        raise DatabaseError(problem(where, "positions of the animals", "no detection", "leave the file out"))
    quality = _without_ghosts(recording, quality)
    strangers = [
        recording.strangers(part.database, {key: rfid for key, (_, rfid) in members.items()})
        for part, members in zip(parts, ids, strict=True)
    ]
    quality = quality.with_columns(unlisted=pl.lit("; ".join(dict.fromkeys(chain(*strangers)))))
    coverage = add_up([table.coverage for table in tables], COVERAGE)
    coverage = coverage.filter(pl.col("animal_id").is_in(quality["animal_id"].implode()))
    return Extraction(
        pl.concat([table.stops for table in tables]).sort("animal_id", "start_frame"),
        judge(quality, coverage, params),
        coverage,
        add_up([table.intervals for table in tables], INTERVALS),
    )


def _without_ghosts(recording: Recording, quality: pl.DataFrame) -> pl.DataFrame:
    """Return the quality table without rows of ANIMAL that no detection names, which it lists in `never_detected`.

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
        coverage = coverage_table(job.recording.name, animal_id, held, edges, track.detected, flickering)
        row["n_detected"], row["n_flicker"] = int(coverage["detected"].sum()), int(flickering.sum())
        row["n_jumps"] = steps.count_jumps(settings.arena)
        row["n_outside"] = track.count_outside(settings.arena)
        bouts, counts = find_stops(track, settings, gaps, flicker)
        stops = stop_table(job.recording.name, animal_id, rfid, bouts, part, job.origin, settings)
        row |= counts
        row["n_stops"], row["stopped_s"] = stops.height, float(stops["duration_s"].sum())
        row["n_stops_outside"] = count_outside(stops, settings.arena)
        return row, stops, coverage

    found = _read_part(job, part, keys, (nobody, others), lambda key, track: one(members[key], track))
    found += [one(member, Track(part.layout)) for member in absent]
    rows, stops, coverage = zip(*found, strict=True)
    common = {"recording": job.recording.name, "span_s": span_s}
    common |= dict.fromkeys(("verdict", "failed", "warned", "unlisted", "never_detected"), "")
    common |= {"n_anonymous": nobody.n_rows, "n_others": others.n_rows, **recording_counts(part, job.origin, settings)}
    return Extraction(
        pl.concat(stops),
        pl.DataFrame([common | row for row in rows], schema=dict(QUALITY.columns)),
        pl.concat(coverage),
        interval_table(job.recording.name, held, edges, part, nobody, others),
    )


def _read_part(
    job: _Job, part: Part, keys: Sequence[int], rest: tuple[Tally, Tally], one: Callable[[int, Track], T]
) -> list[T]:
    """Return the result of `one` for each animal's track; the rest, rows of nobody and of others, is counted as well.

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
