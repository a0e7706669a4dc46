"""A simulated cohort of full density, as the stage `stops` would leave it: without databases of 8 GB each."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lmtcnn.cohort import cohort
from lmtcnn.core.errors import DataError, OutputError, problem, system_words
from lmtcnn.core.files import ensure_folder, write_json
from lmtcnn.core.params import Params
from lmtcnn.core.records import seal
from lmtcnn.core.schemas import (
    COVERAGE,
    FLICKER_LEVELS,
    GAP_LEVELS,
    HALF_WINDOWS,
    INTERVALS,
    QUALITY,
    STOPS,
    STOPS_TABLES,
)
from lmtcnn.simulate import behaviour
from lmtcnn.simulate.behaviour import Mouse, Plan, Recording
from lmtcnn.simulate.simulate import ELSEWHERE, describe, foreign_manifest, real_time
from lmtcnn.simulate.truth import FPS, MICE
from lmtcnn.stops.output import made_by

Progress = Callable[[int, int], None]


def stops_only(data: Path, params: Params, progress: Progress | None = None, out: Path | None = None) -> list[Path]:
    """Write what the planted stops of a cohort in real time would become, without databases.

    A stop table a recording, the tables over all of them and stops.json, as the `stops` stage writes them: mice are
    known in as many frames as in a database, but every planted stop is found; cohort.csv and truth.json beside them.

    Parameters
    ----------
    data
        The pipeline's folder: the tables go to its `stops`, manifest and truth to its `simulate`.
    params
        The cohort, `simulate`, in hours of 3600 s.
    progress
        Told recordings, done and to be done.
    out
        Instead of `data`: a folder for manifest and truth, the tables go to its `stops`.

    Returns
    -------
    list of Path
        The stop tables.

    Raises
    ------
    OutputError
        Where a folder cannot be written, or holds a manifest or tables that were not simulated. What else lies there
        is left alone; tables of an earlier simulation are replaced or removed.
    """
    params = real_time(params)
    cohort_folder, folder = places(data, out)
    recordings = behaviour.recordings(params.simulate)
    old = _spare_real_tables(cohort_folder, folder, recordings)
    ensure_folder(cohort_folder)
    ensure_folder(folder)
    (folder / "stops.json").unlink(missing_ok=True)  # until all is written the folder must not look whole
    for name in old:
        (folder / f"{name}.parquet").unlink(missing_ok=True)
    paths = []
    tables: dict[str, list[pl.DataFrame]] = {name: [] for name in STOPS_TABLES}
    for done, recording in enumerate(recordings, start=1):
        table = _stop_table(recording, params)
        paths.append(folder / f"{recording.name}.parquet")
        STOPS.write(table, paths[-1])
        coverage = _coverage(recording, params)
        tables["quality"].append(_quality(recording, params, table, coverage))
        tables["coverage"].append(coverage)
        tables["intervals"].append(_intervals(coverage))
        if progress:
            progress(done, len(recordings))
    for name, schema in STOPS_TABLES.items():
        schema.write(pl.concat(tables[name]).sort(schema.keys), folder / f"{name}.parquet")
    describe(cohort_folder, params)
    known = cohort.read(cohort_folder / "cohort.csv", cohort_folder, params)
    written = [path.name for path in (*paths, *(folder / f"{name}.parquet" for name in STOPS_TABLES))]
    write_json(folder / "stops.json", seal("stops", made_by(params, known.recordings), {}, folder, written))
    return paths


def places(data: Path, out: Path | None) -> tuple[Path, Path]:
    """Where `stops_only` writes manifest and truth, and where the tables."""
    return (out, out / "stops") if out else (data / "simulate", data / "stops")


def _spare_real_tables(cohort_folder: Path, folder: Path, recordings: Sequence[Recording]) -> set[str]:
    """Names of recordings whose tables an earlier simulation left, which may be replaced or removed.

    Raises OutputError where tables of real recordings, or their manifest, lie in the way.
    """
    lines, listed = foreign_manifest(cohort_folder), folder / "quality.parquet"
    old: set[str] = set()
    if listed.exists():
        simulated = _simulated(listed)
        old = {name for name, is_so in simulated.items() if is_so}
        if real := sorted(simulated.keys() - old):
            found = f"those of {', '.join(real[:3])}{' and others' if real[3:] else ''}"
            lines.append(problem(folder, "no stop tables, or simulated ones", found, ELSEWHERE))
    for recording in recordings:  # those that the list does not name: of a simulation that was ended, or somebody's
        path = folder / f"{recording.name}.parquet"
        if not lines and recording.name not in old and path.exists() and not _is_planted(path, recording):
            lines.append(problem(path, "no file, or a simulated stop table", "another one", ELSEWHERE))
    if lines:
        raise OutputError(lines)
    return old


def _simulated(listing: Path) -> dict[str, bool]:
    """Recordings of a quality table, of whatever version, and whether each was simulated; raises OutputError."""
    try:
        return dict(pl.read_parquet(listing, glob=False).select("recording", "simulated").unique().iter_rows())
    except (pl.exceptions.PolarsError, OSError) as error:
        expected = "a quality table of simulated mice"
        raise OutputError(problem(listing, expected, system_words(error), ELSEWHERE)) from error


def _is_planted(path: Path, recording: Recording) -> bool:
    """Whether a stop table is of simulated mice, of any seed."""
    try:
        rfids = STOPS.read(path)["rfid"].unique().to_list()
    except DataError:
        return False
    ends = {f"{recording.number:04}{animal:02}" for animal in range(1, MICE + 1)}
    return all(rfid and len(rfid) == 15 and rfid[:3] == "900" and rfid[-6:] in ends for rfid in rfids)


def planted_stops(params: Params, recording: Recording) -> Iterator[tuple[Mouse, Plan]]:
    """The mice of a recording and where each was made to stop: what a detector should find."""
    for animal in range(1, MICE + 1):
        mouse = behaviour.mouse(params.simulate, recording, animal)
        yield mouse, behaviour.plan(params.simulate, recording, mouse)


def _stop_table(recording: Recording, params: Params) -> pl.DataFrame:
    """The planted stops as the `stops` stage would write them; their places lack the jitter's mean, 0."""
    tables = []
    for mouse, plan in planted_stops(params, recording):
        long = (plan.end - plan.start) / FPS >= params.stops.min_duration_s
        start, end, place = plan.start[long], plan.end[long], plan.place_cm[long]
        columns = {
            "recording": pl.Series([recording.name], dtype=pl.String).new_from_index(0, len(start)),
            "animal_id": np.full(len(start), mouse.animal),
            "rfid": pl.Series([mouse.rfid], dtype=pl.String).new_from_index(0, len(start)),
            "start_frame": start + 1,
            "end_frame": end,  # from 1 and inclusive: from 0 and exclusive is the same number
            "start_s": start / FPS,
            "duration_s": (end - start) / FPS,
            "x_cm": place[:, 0],
            "y_cm": place[:, 1],
        }
        tables.append(pl.DataFrame(columns, schema=dict(STOPS.columns)))
    return pl.concat(tables)


def _quality(recording: Recording, params: Params, stops: pl.DataFrame, coverage: pl.DataFrame) -> pl.DataFrame:
    """Quality of a recording whose only fault is that mice are at times not known."""
    frames = behaviour.n_frames(params.simulate)
    rows = []
    for animal in range(1, MICE + 1):
        own = stops.filter(pl.col("animal_id") == animal)
        known = int(coverage.filter(pl.col("animal_id") == animal)["detected"].sum())
        bridged = _bridged(recording, params, animal)
        rows.append(
            dict.fromkeys(QUALITY.columns, 0)
            | {
                "recording": recording.name,
                "animal_id": animal,
                "rfid": behaviour.rfid(params.simulate, recording, animal),
                **dict.fromkeys(("failed", "warned", "unlisted", "never_detected"), ""),
                "verdict": "ok",
                "simulated": True,
                "start_ms": recording.start_ms,
                "span_s": (frames - 1) / FPS,
                **dict.fromkeys(("n_frames", "n_unpaused", "n_expected_frames"), frames),
                "n_files": 1,
                "clocked_s": (frames - 1) / FPS,
                "identity_corrected": False,
                **dict.fromkeys(("coldest_c", "hottest_c", "most_particles"), None),
                "jumped_s": 0.0,
                "paused_s": 0.0,
                "n_segments": 1,
                "measured_fps": float(FPS),
                "n_rows": known,
                "n_detected": known,
                "n_filled": bridged,
                "n_stops": own.height,
                "stopped_s": own["duration_s"].sum(),
                **{f"n_stops_gap_{gap}": own.height for gap in GAP_LEVELS},
                **{f"n_stops_half_{half}": own.height for half in HALF_WINDOWS},
                **{f"n_stops_flicker_{level}": own.height for level in FLICKER_LEVELS},
                **{f"stopped_s_flicker_{level}": own["duration_s"].sum() for level in FLICKER_LEVELS},
            }
        )
    return pl.DataFrame(rows, schema=dict(QUALITY.columns))


def _known(recording: Recording, params: Params, animal: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First frames, and the last ones exclusive, of the runs in which a mouse is known, as a database would hold."""
    frames = behaviour.n_frames(params.simulate)
    mouse = behaviour.mouse(params.simulate, recording, animal)
    rng = behaviour.mouse_stream(params.simulate, recording, animal, behaviour.TRACKING)
    edges = behaviour.identity_edges(rng, mouse, frames).clip(0, frames)
    begins, ends = np.concatenate([[0], edges[1::2]]), edges[::2]
    n = min(len(begins), len(ends))
    return begins[:n], ends[:n]


def _bridged(recording: Recording, params: Params, animal: int) -> int:
    """Frames of gaps that are short enough to be filled; a mouse that is lost is taken to be found near by."""
    begins, ends = _known(recording, params, animal)
    gaps = begins[1:] - ends[:-1]
    return int(gaps[gaps <= params.stops.max_gap_frames].sum())


def _coverage(recording: Recording, params: Params) -> pl.DataFrame:
    """Frames of every interval from the recording's start (`align: start`), all of them unpaused, and those known."""
    frames = behaviour.n_frames(params.simulate)
    counts = np.bincount(np.floor(np.arange(frames) / FPS / params.histograms.interval_s).astype(np.int64))
    n, borders = len(counts), np.concatenate([[0], np.cumsum(counts)])
    detected = []
    for animal in range(1, MICE + 1):
        begins, ends = _known(recording, params, animal)
        before = np.concatenate([[0], np.cumsum(ends - begins)])  # known frames before each run
        run = np.searchsorted(begins, borders, side="right") - 1
        detected.append(np.diff(before[run] + np.minimum(borders, ends[run]) - begins[run]))
    columns = {
        "recording": [recording.name] * (n * MICE),
        "animal_id": np.repeat(np.arange(1, MICE + 1), n),
        "interval": np.tile(np.arange(n), MICE),
        "detected": np.concatenate(detected),
        "unpaused": np.tile(counts, MICE),
        "flicker": np.zeros(n * MICE, np.int64),
    }
    return pl.DataFrame(columns, schema=dict(COVERAGE.columns))


def _intervals(coverage: pl.DataFrame) -> pl.DataFrame:
    """Every frame of every interval recorded, no detection without an animal."""
    unpaused = coverage.group_by("recording", "interval").agg(pl.col("unpaused").first())
    none = pl.lit(0, pl.Int64)
    counts = unpaused.with_columns(recorded=pl.col("unpaused"), anonymous=none, others=none)
    return counts.select(list(INTERVALS.columns))
