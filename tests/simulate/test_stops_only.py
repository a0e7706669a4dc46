"""A simulated cohort of full density, without databases."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from conftest import told
from lmtcnn.cohort import cohort
from lmtcnn.core.errors import OutputError
from lmtcnn.core.params import Params
from lmtcnn.core.schemas import COVERAGE, INTERVALS, QUALITY, STOPS
from lmtcnn.histograms import histograms
from lmtcnn.simulate import behaviour
from lmtcnn.simulate.stops_only import planted_stops, stops_only


def test_stop_tables_alone_are_those_of_a_cohort_in_real_time(change: Callable[..., Params], tmp_path: Path) -> None:
    params = change(**{"simulate.cages": 2, "simulate.hours": 4, "histograms.interval_s": 3600.0})
    paths = stops_only(tmp_path, params)
    quality = QUALITY.read(tmp_path / "stops" / "quality.parquet")
    coverage = COVERAGE.read(tmp_path / "stops" / "coverage.parquet")
    assert len(paths) == 4
    assert quality["simulated"].all()
    known = quality["n_detected"] / quality["n_unpaused"]
    assert known.is_between(0.92, 0.98).all()
    assert (quality["n_filled"] / quality["n_unpaused"] < 1 - known).all()
    by_mouse = coverage.group_by("recording", "animal_id", maintain_order=True).agg(pl.col("detected").sum())
    assert by_mouse["detected"].to_list() == quality["n_detected"].to_list()
    assert coverage["detected"].is_between(90_000, 108_000).all()
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
    params = change(
        **{"simulate.cages": 2, "simulate.hours": 1, "histograms.interval_s": 3600.0, "histograms.intervals": 1}
    )
    stops_only(tmp_path, params)
    mice = cohort.read(tmp_path / "simulate" / "cohort.csv", tmp_path / "simulate", params)
    index = histograms.histograms(mice, tmp_path / "stops", tmp_path / "histograms", params)
    assert index.height == 16
    assert index["n_late"].sum() == 0


def test_mice_are_known_in_the_frames_in_which_a_database_of_them_says_so(
    change: Callable[..., Params], tmp_path: Path
) -> None:
    shape = {"simulate.cages": 1, "simulate.hours": 2, "simulate.leak": "quality"}
    params = change(**shape, **{"simulate.seconds_per_hour": 3600.0, "histograms.interval_s": 3600.0})
    stops_only(tmp_path, params)
    coverage = COVERAGE.read(tmp_path / "stops" / "coverage.parquet").filter(recording="cage01_adult", animal_id=2)
    recording = behaviour.recordings(params.simulate)[1]
    mouse = behaviour.mouse(params.simulate, recording, 2)
    rng = behaviour.mouse_stream(params.simulate, recording, 2, behaviour.TRACKING)
    edges = behaviour.identity_edges(rng, mouse, 216_000)
    known = np.searchsorted(edges, np.arange(216_000), side="right") % 2 == 0
    assert coverage["detected"].to_list() == [known[:108_000].sum(), known[108_000:].sum()]


# ---- What lies there already -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hour(change: Callable[..., Params]) -> Params:
    """One cage, one hour."""
    return change(**{"simulate.cages": 1, "simulate.hours": 1})


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def own_tables(folder: Path) -> Path:
    """A folder with the tables of a real study of two recordings, and what else somebody keeps there."""
    folder.mkdir(parents=True)
    rows = [dict.fromkeys(QUALITY.columns, None) | {"recording": name, "simulated": False} for name in ("a", "b")]
    QUALITY.write(pl.DataFrame(rows, schema=dict(QUALITY.columns)), folder / "quality.parquet")
    for name in ("a", "b"):
        STOPS.write(STOPS.empty(), folder / f"{name}.parquet")
    (folder / "notes.txt").write_text("mine")
    return folder


def test_it_writes_where_it_is_told_and_nowhere_else(hour: Params, tmp_path: Path) -> None:
    own_tables(tmp_path / "data" / "stops")
    before = contents(tmp_path / "data")
    paths = stops_only(tmp_path / "data", hour, out=tmp_path / "planted")
    assert contents(tmp_path / "data") == before
    assert {path.parent for path in paths} == {tmp_path / "planted" / "stops"}
    assert {path.name for path in (tmp_path / "planted").iterdir()} == {"cohort.csv", "truth.json", "stops"}


def test_a_study_that_was_not_simulated_is_refused_and_left_as_it_is(hour: Params, tmp_path: Path) -> None:
    own_tables(tmp_path / "stops")
    (tmp_path / "simulate").mkdir()
    (tmp_path / "simulate" / "cohort.csv").write_text("mine")
    before = contents(tmp_path)
    do = "choose an empty folder with --out"
    assert told(OutputError, stops_only, tmp_path, hour) == (
        f"{tmp_path}/simulate/cohort.csv: expected no file, or a simulated cohort's manifest, found another manifest; "
        f"{do}",
        f"{tmp_path}/stops: expected no stop tables, or simulated ones, found those of a, b; {do}",
    )
    assert contents(tmp_path) == before


@pytest.mark.parametrize("content", ["table", "damaged"])
def test_a_stop_table_that_no_list_names_is_replaced_only_if_it_is_simulated(
    hour: Params, tmp_path: Path, content: str
) -> None:
    """A simulation that was ended leaves tables without the list of them; a real one may bear the same name."""
    path = stops_only(tmp_path, hour)[0]
    (tmp_path / "stops" / "quality.parquet").unlink()
    stops_only(tmp_path, hour.with_simulate(seed=5))
    (tmp_path / "stops" / "quality.parquet").unlink()
    if content == "damaged":
        path.write_bytes(b"?")
    else:
        STOPS.write(STOPS.read(path).with_columns(rfid=pl.lit("001039550001")), path)
    before = contents(tmp_path)
    assert told(OutputError, stops_only, tmp_path, hour) == (
        f"{path}: expected no file, or a simulated stop table, found another one; choose an empty folder with --out",
    )
    assert contents(tmp_path) == before


def test_only_tables_of_an_earlier_simulation_are_removed(hour: Params, tmp_path: Path) -> None:
    stops_only(tmp_path, hour.with_simulate(cages=2))
    (tmp_path / "stops" / "mine.parquet").write_bytes(b"mine")
    paths = stops_only(tmp_path, hour)
    left = {path.name for path in (tmp_path / "stops").glob("*.parquet")}
    assert left == {
        *(path.name for path in paths),
        "mine.parquet",
        "quality.parquet",
        "coverage.parquet",
        "intervals.parquet",
    }


def test_a_list_that_cannot_be_read_vouches_for_nothing(hour: Params, tmp_path: Path) -> None:
    (tmp_path / "stops").mkdir()
    (tmp_path / "stops" / "quality.parquet").write_bytes(b"?")
    (line,) = told(OutputError, stops_only, tmp_path, hour)
    assert line.startswith(f"{tmp_path}/stops/quality.parquet: expected a quality table of simulated mice, found ")
