"""One stack: no stop is lost."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmtcnn.cohort.recording import Recording
from lmtcnn.core.errors import DataError
from lmtcnn.core.params import Params
from lmtcnn.histograms.record import load
from lmtcnn.histograms.stack import as_kept, floor_of, stack_by_wall_clock, stack_for, stack_of, stack_since
from stacks import FLOOR, STOPS_ANYWHERE, Study, placed, stops_of


@given(rows=STOPS_ANYWHERE, outside=st.sampled_from(["clip", "drop"]))
def test_every_stop_is_counted_once_or_named_late_or_dropped(small, rows: list, outside: str) -> None:
    stack = stack_of(stops_of(*rows), FLOOR, small(outside=outside).histograms)
    assert stack.n_stops == len(rows)
    assert stack.counts.sum() == stack.n_stops - stack.n_late - (stack.n_outside if outside == "drop" else 0)


@given(rows=STOPS_ANYWHERE)
def test_a_stop_is_in_the_tile_and_interval_of_the_formula(small, rows: list) -> None:
    expected = np.zeros((3, 5, 5))
    for start_s, x_cm, y_cm in rows:
        t = int(np.floor(start_s / 10))
        if t < 3:
            row, column = (min(max(int(np.floor(v * 5 / size)), 0), 4) for v, size in ((y_cm, 40.0), (x_cm, 50.0)))
            expected[t, row, column] += 1
    assert np.array_equal(stack_of(stops_of(*rows), FLOOR, small().histograms).counts, expected)


@pytest.mark.parametrize(
    ("x_cm", "y_cm", "tile"),
    [
        (0.0, 0.0, (0, 0)),
        (9.999, 7.999, (0, 0)),
        (10.0, 0.0, (0, 1)),
        (0.0, 8.0, (1, 0)),
        (49.999, 39.999, (4, 4)),
        (50.0, 40.0, (4, 4)),
    ],
)
def test_a_tile_holds_its_upper_left_edges_and_the_last_one_the_floor_s(small, x_cm: float, y_cm: float, tile) -> None:
    stack = stack_of(stops_of((0.0, x_cm, y_cm)), FLOOR, small().histograms)
    assert placed(stack.counts) == {(0, *tile): 1.0}
    assert stack.n_outside == 0


@pytest.mark.parametrize(
    ("x_cm", "y_cm", "tile"),
    [(-0.001, 20.0, (2, 0)), (50.001, 20.0, (2, 4)), (25.0, -9.0, (0, 2)), (25.0, 41.0, (4, 2)), (99.0, 99.0, (4, 4))],
)
def test_a_stop_off_the_floor_goes_to_the_nearest_tile_or_is_dropped(small, x_cm: float, y_cm: float, tile) -> None:
    clipped, dropped = (
        stack_of(stops_of((0.0, x_cm, y_cm)), FLOOR, small(outside=how).histograms) for how in ("clip", "drop")
    )
    assert placed(clipped.counts) == {(0, *tile): 1.0}
    assert placed(dropped.counts) == {}
    assert clipped.n_outside == dropped.n_outside == 1


@given(
    rows=st.lists(st.tuples(st.floats(0, 29), st.integers(0, 39), st.integers(0, 31)), min_size=1, max_size=20),
    right=st.integers(0, 1),
    down=st.integers(0, 1),
)
def test_moving_the_mouse_by_a_tile_moves_the_map_by_a_tile(small, rows: list, right: int, down: int) -> None:
    params = small().histograms
    still = stack_of(stops_of(*rows), FLOOR, params).counts
    moved = stack_of(stops_of(*((t, x + 10 * right, y + 8 * down) for t, x, y in rows)), FLOOR, params).counts
    assert np.array_equal(moved, np.roll(still, (down, right), axis=(1, 2)))


@pytest.mark.parametrize(("start_s", "interval"), [(0.0, 0), (9.999, 0), (10.0, 1), (29.999, 2)])
def test_an_interval_begins_with_its_first_moment(small, start_s: float, interval: int) -> None:
    stack = stack_of(stops_of((start_s, 1.0, 1.0)), FLOOR, small().histograms)
    assert placed(stack.counts) == {(interval, 0, 0): 1.0}


def test_a_stop_beyond_the_last_interval_is_late_and_never_outside(small) -> None:
    stack = stack_of(stops_of((30.0, 1.0, 1.0), (99.0, -1.0, 1.0)), FLOOR, small().histograms)
    assert (stack.n_stops, stack.n_late, stack.n_outside, stack.counts.sum()) == (2, 2, 0, 0)


def test_an_offset_puts_stops_into_later_intervals(small) -> None:
    stack = stack_of(stops_of((0.0, 1.0, 1.0), (6.0, 1.0, 1.0), (26.0, 1.0, 1.0)), FLOOR, small().histograms, 5.0)
    assert placed(stack.counts) == {(0, 0, 0): 1.0, (1, 0, 0): 1.0}
    assert stack.n_late == 1


def test_a_stop_that_the_clock_puts_just_before_the_start_is_in_interval_0(small) -> None:
    stack = stack_of(stops_of((-0.05, 1.0, 1.0)), FLOOR, small().histograms)
    assert placed(stack.counts) == {(0, 0, 0): 1.0}


@given(rows=STOPS_ANYWHERE, duration_s=st.floats(1, 1e4))
def test_weighed_by_duration_a_stack_holds_seconds(small, rows: list, duration_s: float) -> None:
    counted, weighed = (
        stack_of(stops_of(*rows, duration_s=duration_s), FLOOR, small(weight=weight).histograms)
        for weight in ("count", "duration")
    )
    assert np.allclose(weighed.counts, counted.counts * duration_s, rtol=1e-12)
    assert replace(weighed, counts=None) == replace(counted, counts=None)


def test_a_sample_without_a_stop_has_an_empty_stack(small) -> None:
    stack = stack_of(stops_of(), FLOOR, small().histograms)
    assert stack.counts.shape == (3, 5, 5)
    assert (stack.counts.sum(), stack.n_stops, stack.n_late) == (0, 0, 0)


def test_the_floor_is_that_of_the_contract(params: Params) -> None:
    assert floor_of(params.stops.arena) == (284 * 10 / 57, 290 * 10 / 57)


DAY_AND_NIGHT = [(3600.0 * hour + 60, 1.0, 1.0) for hour in range(48)]
"""A stop in each of two days' hours; a Study begins at 08:00 UTC."""


@pytest.fixture
def two_days(tmp_path: Path, small) -> Callable[..., tuple[list[int], pl.DataFrame]]:
    """The intervals in which a stop of the first sample is counted, and the index, by one parameter or more."""

    def run(recording: dict[str, Any] | None = None, **values: object) -> tuple[list[int], pl.DataFrame]:
        study = Study(tmp_path / "study", small(**{"intervals": 48, "interval_s": 3600, **values}))
        study.recordings[0] = replace(study.recordings[0], **(recording or {}))
        study.write(lambda name, animal: DAY_AND_NIGHT)
        study.last(r1=48 * 3600.0, r2=48 * 3600.0)
        index = study.run()
        stacks, _ = load(study.folder, study.params)
        assert len(stacks[0]) == len(study.params.histograms.counted)
        counted = index["n_stops"] - index["n_late"] - index["n_cut"]
        assert stacks.sum(axis=(1, 2, 3)).tolist() == counted.to_list()
        return np.flatnonzero(stacks[0].sum(axis=(1, 2))).tolist(), index

    return run


@pytest.mark.parametrize(
    ("values", "hours", "late", "cut"),
    [
        ({}, range(48), 0, 0),
        ({"window": [0, 24]}, range(24), 0, 24),  # the first day
        ({"window": [24, 48]}, range(24), 0, 24),  # the last day, from 0 in the stack
        ({"intervals": 20, "late": "cut"}, range(20), 28, 0),
        ({"intervals": 20, "window": [4, 6], "late": "cut"}, range(2), 28, 18),
        ({"only": "night"}, [*range(12, 24), *range(36, 48)], 0, 24),  # from 20:00 to 08:00
        ({"only": "day"}, [*range(12), *range(24, 36)], 0, 24),
        ({"only": "night", "night": ["01:00", "03:00"]}, [17, 18, 41, 42], 0, 44),
        ({"only": "night", "timezone": "Europe/Paris"}, [*range(10, 22), *range(34, 46)], 0, 24),
        ({"only": "night", "window": [24, 48]}, range(12, 24), 0, 36),
        ({"only": "night", "align": "20:00", "late": "cut"}, [*range(24, 36)], 12, 24),
    ],
)
def test_one_line_of_params_says_what_is_counted(two_days, values: dict, hours: Any, late: int, cut: int) -> None:
    found, index = two_days(**values)
    assert found == list(hours)
    assert index.row(0, named=True).items() >= {"n_stops": 48, "n_late": late, "n_cut": cut}.items()


def test_the_night_is_that_of_the_recording_where_the_manifest_says_so(two_days) -> None:
    """At 08:00 UTC it is 17:00 in Tokyo; in its room it is dark from 18:00 to 20:00."""
    found, index = two_days({"timezone": "Asia/Tokyo", "night": ("18:00", "20:00")}, only="night")
    assert found == [1, 2, 25, 26]
    assert index["n_cut"].to_list() == [44, 44, 24, 24]


def test_the_night_follows_the_clock_on_the_wall_when_that_is_changed(small) -> None:
    """On 2024-10-27 at 01:00 UTC a clock in Paris goes back from 03:00 to 02:00: that hour is there twice."""
    night = {"only": "night", "night": ["02:00", "03:00"], "timezone": "Europe/Paris"}
    params = small(interval_s=1800, intervals=8, **night)
    stops = stops_of(*[(1800.0 * k, 1.0, 1.0) for k in range(8)])
    midnight_ms = 1_729_980_000_000  # 2024-10-26 22:00 UTC, 00:00 in Paris
    recording = Recording("r", (Path("r.sqlite"),), params.stops.arena)
    counts = stack_for(recording, stops, midnight_ms, params.histograms).counts
    assert np.flatnonzero(counts.sum(axis=(1, 2))).tolist() == [4, 5, 6, 7]


@given(rows=STOPS_ANYWHERE, outside=st.sampled_from(["clip", "drop"]), first=st.integers(0, 2), data=st.data())
def test_in_any_window_every_stop_is_counted_or_named(small, rows: list, outside: str, first: int, data: Any) -> None:
    end = data.draw(st.integers(first + 1, 3))
    chosen = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))), np.bool_)
    settings = small(outside=outside, window=[first, end]).histograms
    stack = stack_of(stops_of(*rows), FLOOR, settings, chosen=chosen)
    dropped = stack.n_outside if outside == "drop" else 0
    assert stack.counts.shape == (end - first, 5, 5)
    assert stack.counts.sum() == stack.n_stops - stack.n_late - stack.n_cut - dropped
    assert stack.n_late == stack_of(stops_of(*rows), FLOOR, small(outside=outside).histograms).n_late


SOME = pl.DataFrame(
    {"start_s": [0.0, 3599.0, 3601.0], "duration_s": [2.0, 1.0, 4.0], "x_cm": [1.0, 1.0, 40.0], "y_cm": [1.0, 1.0, 2.0]}
)
START_MS = int(datetime(2026, 1, 5, 19, 30, tzinfo=UTC).timestamp()) * 1000


def test_a_recording_s_own_time_zone_and_night_win(change) -> None:
    params = change(**{"histograms.only": "night", "histograms.interval_s": 3600, "histograms.intervals": 3})
    arena, settings = params.stops.arena, params.histograms
    study = stack_since(SOME, floor_of(arena), START_MS, settings)
    assert (study.n_cut, study.counts.sum()) == (1, 2)  # night from 20:00 UTC, half an hour after the start
    own = stack_for(Recording("r", (), arena, "Europe/Paris"), SOME, START_MS, settings)
    assert (own.n_cut, own.counts.sum()) == (0, 3)  # 20:30 in Paris
    own = stack_for(Recording("r", (), arena, night=("21:00", "22:00")), SOME, START_MS, settings)
    assert own.n_cut == 3


def test_stops_that_count_from_a_clock_time_make_the_same_stack(change) -> None:
    values = {"histograms.align": "19:00", "histograms.only": "night", "histograms.interval_s": 3600}
    params = change(**values, **{"histograms.intervals": 3})
    floor_cm = floor_of(params.stops.arena)
    moved = SOME.with_columns(pl.col("start_s") + 1800)
    by_start = stack_since(SOME, floor_cm, START_MS, params.histograms)
    assert np.array_equal(stack_by_wall_clock(moved, floor_cm, params.histograms).counts, by_start.counts)
    assert by_start.n_cut == 1


def test_a_count_that_is_too_large_to_keep_is_refused(change) -> None:
    settings = change().histograms
    assert as_kept(np.full((1, 2, 2), 65_535.0), settings, "r1").dtype == np.uint16
    with pytest.raises(DataError, match="r1: expected at most 65535 stops in a tile and interval, found 65536"):
        as_kept(np.full((1, 2, 2), 65_536.0), settings, "r1")
