"""Positions and stops as a library gives them: those of the pipeline."""

from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import lmtcnn
from conftest import T0_MS, Scene, run, still, told
from lmtcnn.cohort import cohort
from lmtcnn.core.errors import DataError, ParamsError
from lmtcnn.core.params import Definitions
from lmtcnn.stops.extraction import extract

X = [10.0] * 90 + [10.0 + i for i in range(30)] + [40.0] * 90


def rested(**columns: object) -> pl.DataFrame:
    return pl.DataFrame({"animal_id": 1, "frame": range(210), "x_cm": X, "y_cm": 20.0} | columns)


def scene(*, covering_index: bool) -> Scene:
    """Two animals with gaps, a pause, a jump of the clock, and frames without a row."""
    rows = still(1, 200) + run(201, 230) + still(240, 500, 258.3, 150.01) + still(520, 900, 258.31, 150.02)
    rows += still(10, 400, 300.07, 200.0, 2) + run(401, 430, 300.07, 200.0, 2) + still(431, 900, 358.07, 200.13, 2)
    late_ms = dict.fromkeys(range(700, 901), 5000)
    frames = [
        (f, T0_MS + round((f - 1) * 1000 / 30) + late_ms.get(f, 0), int(f == 600)) for f in range(1, 901) if f % 97
    ]
    return Scene(rows, frames, {1: "001", 2: "002", 3: "003"}, covering_index=covering_index)


@pytest.mark.parametrize("covering_index", [True, False])
def test_stops_of_the_positions_that_were_read_are_those_of_the_pipeline(tmp_path: Path, covering_index: bool) -> None:
    path = scene(covering_index=covering_index).write(tmp_path / "r.sqlite")
    heard = []
    positions = lmtcnn.read_positions(path, progress=lambda done, total: heard.append((done, total)))
    (recording,) = cohort.unlisted([path], Definitions())
    expected = extract(recording, Definitions()).stops
    assert expected.height > 5
    assert_frame_equal(lmtcnn.find_stops(positions), expected.drop("recording"), check_exact=True)
    shuffled = positions.sample(fraction=1.0, shuffle=True, seed=1)
    assert_frame_equal(lmtcnn.find_stops(shuffled), expected.drop("recording"), check_exact=True)
    assert positions["segment"].unique().sort().to_list() == [0, 1, 2]
    assert positions["animal_id"].unique().to_list() == [1, 2]  # the third was never detected
    assert heard[-1][0] == heard[-1][1]


def test_gaps_are_missing_rows_or_nulls_or_nans() -> None:
    whole = rested()
    there = pl.col("frame").is_between(160, 165)
    expected = lmtcnn.find_stops(whole)
    assert expected.select("start_frame", "end_frame").rows() == [(3, 88), (122, 206)]
    for gap in (
        whole.filter(~there),
        whole.with_columns(x_cm=pl.when(there).then(None).otherwise("x_cm")),
        whole.with_columns(y_cm=pl.when(there).then(float("nan")).otherwise("y_cm")),
    ):
        assert_frame_equal(lmtcnn.find_stops(gap), expected)
        assert lmtcnn.find_stops(gap, max_gap_frames=0).height == 3


def test_time_alone_or_frames_alone_do_and_recordings_stay_apart() -> None:
    by_frame = lmtcnn.find_stops(rested(), fps=25)
    assert by_frame["start_s"].to_list() == [3 / 25, 122 / 25]
    times = rested().with_columns(time_s=pl.col("frame") / 25).drop("frame")
    assert_frame_equal(lmtcnn.find_stops(times, fps=25), by_frame)
    two = pl.concat([rested(recording="b"), rested(recording="a")])
    assert lmtcnn.find_stops(two)["recording"].to_list() == ["a", "a", "b", "b"]


def test_no_stop_crosses_a_segment_or_a_jump_of_time() -> None:
    rest = rested(x_cm=10.0)
    assert lmtcnn.find_stops(rest).height == 1
    cut = rest.with_columns(segment=(pl.col("frame") >= 100).cast(pl.Int64))
    jump = rest.with_columns(time_s=pl.col("frame") / 30 + 5.0 * (pl.col("frame") >= 100))
    for table in (cut, jump):
        assert lmtcnn.find_stops(table).select("start_frame", "end_frame").rows() == [(3, 96), (103, 206)]


def test_a_hole_of_years_takes_no_memory() -> None:
    later = rested().with_columns(frame=pl.col("frame") + 10**12)
    assert lmtcnn.find_stops(pl.concat([rested(), later])).height == 4


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (rested().drop("x_cm"), "positions: expected a column x_cm"),
        (rested().drop("frame"), "positions: expected a column frame"),
        (rested(x_cm="here"), "positions: expected numbers in the columns of numbers"),
        (pl.concat([rested(), rested()]), "positions: expected one row for each animal and frame"),
    ],
)
def test_a_table_that_is_none_is_told_in_a_line(table: pl.DataFrame, words: str) -> None:
    (line,) = told(DataError, lmtcnn.find_stops, table)
    assert line.startswith(words)


def test_a_setting_that_is_none_is_named() -> None:
    assert told(ParamsError, lmtcnn.find_stops, rested(), max_speed=3) == (
        "find_stops: max_speed: expected a known key, found an unknown one; remove it or correct its spelling",
    )


def test_no_positions_are_no_stops() -> None:
    assert lmtcnn.find_stops(rested().clear()).height == 0
