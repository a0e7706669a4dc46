"""A simulated cohort of full density, without databases."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from lmtcnn import behaviour, cohort, histograms
from lmtcnn.params import Params
from lmtcnn.schemas import COVERAGE, INTERVALS, QUALITY, STOPS
from lmtcnn.stops_only import planted_stops, stops_only


def test_stop_tables_alone_are_those_of_a_cohort_in_real_time(change: Callable[..., Params], tmp_path: Path) -> None:
    params = change(**{"simulate.cages": 2, "simulate.hours": 4, "histograms.interval_s": 3600.0})
    paths = stops_only(tmp_path, params)
    quality = QUALITY.read(tmp_path / "stops" / "quality.parquet")
    coverage = COVERAGE.read(tmp_path / "stops" / "coverage.parquet")
    assert len(paths) == 4
    assert quality["simulated"].all()
    assert quality["n_detected"].to_list() == [4 * 3600 * 30] * 16
    assert coverage.filter(pl.col("interval") == 3)["detected"].to_list() == [108_000] * 16
    for path in paths:
        stops = STOPS.read(path)
        assert stops.equals(stops.sort("animal_id", "start_frame"))
        assert stops["duration_s"].min() >= 1
        np.testing.assert_allclose(stops["duration_s"], (stops["end_frame"] - stops["start_frame"] + 1) / 30)
        apart = stops.select((pl.col("start_frame").shift(-1) - pl.col("end_frame")).over("animal_id").alias("d"))
        assert apart["d"].min() > 1
        counts = quality.filter(pl.col("recording") == path.stem)["n_stops"]
        assert counts.to_list() == stops.group_by("animal_id", maintain_order=True).len()["len"].to_list()
        assert counts.min() > 4 * 300
    intervals = INTERVALS.read(tmp_path / "stops" / "intervals.parquet")
    assert intervals.drop("recording").unique().sort("interval").rows() == [
        (i, 108_000, 108_000, 0, 0) for i in range(4)
    ]
    assert json.loads((tmp_path / "simulate" / "truth.json").read_text())["seconds_per_hour"] == 3600.0


def test_stop_tables_hold_the_stops_that_a_database_of_the_same_mice_would(
    change: Callable[..., Params], tmp_path: Path
) -> None:
    params = change(**{"simulate.cages": 1, "simulate.hours": 1, "simulate.seconds_per_hour": 3600.0})
    recording = behaviour.recordings(params.simulate)[0]
    table = STOPS.read(stops_only(tmp_path, params)[0])
    plans = [plan for _, plan in planted_stops(params, recording)]
    assert table["start_frame"].to_list() == [int(f) + 1 for plan in plans for f in plan.start]
    assert table["end_frame"].to_list() == [int(f) for plan in plans for f in plan.end]


def test_histograms_are_made_of_them(change: Callable[..., Params], tmp_path: Path) -> None:
    params = change(**{"simulate.cages": 2, "simulate.hours": 1, "histograms.interval_s": 3600.0})
    stops_only(tmp_path, params)
    mice = cohort.read(tmp_path / "simulate" / "cohort.csv", tmp_path / "simulate", params)
    index = histograms.histograms(mice, tmp_path / "stops", tmp_path / "histograms", params)
    assert index.height == 16
    assert index["n_late"].sum() == 0
