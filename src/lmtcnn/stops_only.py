"""A simulated cohort of full density, as the stage `stops` would leave it: without databases of 8 GB each."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl

from lmtcnn import behaviour, cohort
from lmtcnn.behaviour import Mouse, Plan, Recording
from lmtcnn.files import ensure_folder, write_json
from lmtcnn.params import Params
from lmtcnn.recording import provenance
from lmtcnn.schemas import COVERAGE, FLICKER_LEVELS, GAP_LEVELS, HALF_WINDOWS, INTERVALS, QUALITY, STOPS, STOPS_TABLES
from lmtcnn.simulate import describe, real_time
from lmtcnn.truth import FPS, MICE

Progress = Callable[[int, int], None]


def stops_only(data: Path, params: Params, progress: Progress | None = None) -> list[Path]:
    """Write what the planted stops of a cohort in real time would become, without databases.

    data/simulate/ gets cohort.csv and truth.json, data/stops/ a stop table a recording, the tables over all of them and
    stops.json, as the `stops` stage writes them: every frame detected, every planted stop found.
    """
    params = real_time(params)
    folder = ensure_folder(data / "stops")
    recordings = behaviour.recordings(params.simulate)
    (folder / "stops.json").unlink(missing_ok=True)  # until all is written the folder must not look whole
    for path in folder.glob("*.parquet"):
        path.unlink()
    paths = []
    tables: dict[str, list[pl.DataFrame]] = {name: [] for name in STOPS_TABLES}
    for done, recording in enumerate(recordings, start=1):
        table = _stop_table(recording, params)
        paths.append(folder / f"{recording.name}.parquet")
        STOPS.write(table, paths[-1])
        coverage = _coverage(recording, params)
        tables["quality"].append(_quality(recording, params, table))
        tables["coverage"].append(coverage)
        tables["intervals"].append(_intervals(coverage))
        if progress:
            progress(done, len(recordings))
    for name, schema in STOPS_TABLES.items():
        schema.write(pl.concat(tables[name]).sort(schema.keys), folder / f"{name}.parquet")
    describe(data / "simulate", params)
    known = cohort.read(data / "simulate" / "cohort.csv", data / "simulate", params)
    write_json(folder / "stops.json", provenance(params, known.recordings))
    return paths


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


def _quality(recording: Recording, params: Params, stops: pl.DataFrame) -> pl.DataFrame:
    """Quality without a fault: every frame of every mouse detected."""
    frames = behaviour.n_frames(params.simulate)
    rows = []
    for animal in range(1, MICE + 1):
        own = stops.filter(pl.col("animal_id") == animal)
        rows.append(
            dict.fromkeys(QUALITY.columns, 0)
            | {
                "recording": recording.name,
                "animal_id": animal,
                "rfid": behaviour.rfid(params.simulate, recording, animal),
                **dict.fromkeys(("failed", "warned"), ""),
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
                "n_rows": frames,
                "n_detected": frames,
                "n_stops": own.height,
                "stopped_s": own["duration_s"].sum(),
                **{f"n_stops_gap_{gap}": own.height for gap in GAP_LEVELS},
                **{f"n_stops_half_{half}": own.height for half in HALF_WINDOWS},
                **{f"n_stops_flicker_{level}": own.height for level in FLICKER_LEVELS},
                **{f"stopped_s_flicker_{level}": own["duration_s"].sum() for level in FLICKER_LEVELS},
            }
        )
    return pl.DataFrame(rows, schema=dict(QUALITY.columns))


def _coverage(recording: Recording, params: Params) -> pl.DataFrame:
    """Every frame of every interval from the recording's start (`align: start`), detected and unpaused."""
    seconds = np.arange(behaviour.n_frames(params.simulate)) / FPS
    counts = np.bincount(np.floor(seconds / params.histograms.interval_s).astype(np.int64))
    n = len(counts)
    columns = {
        "recording": [recording.name] * (n * MICE),
        "animal_id": np.repeat(np.arange(1, MICE + 1), n),
        "interval": np.tile(np.arange(n), MICE),
        "detected": np.tile(counts, MICE),
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
