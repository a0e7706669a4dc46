"""Segments, times and intervals of a recording."""

import logging
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import T0_MS, told
from lmtcnn.core.errors import DatabaseError
from lmtcnn.core.params import Params
from lmtcnn.timeline import clock as clocks
from lmtcnn.timeline.clock import Clock, Layout, Origin, align_offset_s, interval_edges, intervals, lay_out

PATH = Path("a.sqlite")
HUGE = 2**62


def clock_of(frames, times_ms=None, paused=()) -> Clock:
    """FRAME rows, 30 a second unless their times are given; `paused` are frame numbers."""
    frames = np.asarray(frames, np.int64)
    if times_ms is None:
        times_ms = T0_MS + np.round((frames - frames[0]) * 1000 / 30)
    return Clock(frames, np.asarray(times_ms, np.int64), np.isin(frames, list(paused)))


def segments(clock: Clock) -> list[tuple[int, int]]:
    layout = lay_out(clock, PATH)
    return list(zip(layout.starts.tolist(), layout.ends.tolist(), strict=True))


def milliseconds(*when: int, zone: str = "UTC", fold: int = 0) -> int:
    """Epoch ms of a wall clock's time."""
    return round(datetime(*when, tzinfo=ZoneInfo(zone), fold=fold).timestamp() * 1000)


# ---- Segments --------------------------------------------------------------------------------------------------------


def test_a_recording_without_a_break_is_one_segment() -> None:
    assert segments(clock_of(range(1, 301))) == [(1, 300)]


def test_frames_without_a_row_lie_inside_a_segment() -> None:
    assert segments(clock_of([1, 2, 5, 6])) == [(1, 6)]


def test_paused_frames_lie_between_segments() -> None:
    assert segments(clock_of(range(1, 11), paused=[1, 4, 5, 10])) == [(2, 3), (6, 9)]


@pytest.mark.parametrize(("step_ms", "found"), [(1000, [(1, 4)]), (1001, [(1, 2), (3, 4)]), (-50, [(1, 4)])])
def test_a_step_of_the_clock_of_more_than_a_second_begins_a_segment(step_ms: int, found: list) -> None:
    times_ms = np.array([0, 33, 33 + step_ms, 66 + step_ms])
    assert segments(clock_of(range(1, 5), T0_MS + times_ms)) == found


def test_a_single_frame_may_be_a_segment() -> None:
    assert segments(clock_of([1, 2, 3], [0, 5000, 10_000])) == [(1, 1), (2, 2), (3, 3)]


@settings(deadline=None)
@given(
    first=st.integers(0, 10) | st.integers(HUGE, HUGE + 10),
    steps=st.lists(
        st.tuples(st.sampled_from([1, 1, 1, 2, 30]), st.sampled_from([33, 33, 1001]), st.booleans()), min_size=1
    ),
)
def test_index_and_frame_are_inverse_and_only_unpaused_rows_are_in_a_segment(first: int, steps: list) -> None:
    number, time_ms, rows = first, T0_MS, []
    for step, step_ms, is_paused in steps:
        rows.append((number, time_ms, is_paused))
        number, time_ms = number + step, time_ms + step_ms
    frames, times_ms, paused = (np.array(column) for column in zip(*rows, strict=True))
    if paused.all():
        return
    layout = lay_out(Clock(frames, times_ms, paused), PATH)
    index = np.arange(layout.size)
    inside = layout.frame(index)
    assert layout.locate(inside).tolist() == index.tolist()
    everywhere = np.arange(first - 2, number + 3)
    assert everywhere[layout.locate(everywhere) >= 0].tolist() == inside.tolist()
    assert (layout.locate(frames[~paused]) >= 0).all()
    assert (layout.locate(frames[paused]) == -1).all()
    same = np.diff(layout.segment(layout.locate(frames[~paused]))) == 0
    assert same.tolist() == [
        not paused[a + 1 : b].any() and (np.diff(times_ms[a : b + 1]) <= 1000).all()
        for a, b in zip(np.flatnonzero(~paused)[:-1], np.flatnonzero(~paused)[1:], strict=True)
    ]


@pytest.mark.parametrize("far", [10**12, HUGE])
def test_a_huge_hole_between_segments_costs_nothing(far: int) -> None:
    layout = lay_out(clock_of([1, 2, far, far + 1], [0, 33, 5000, 5033]), PATH)
    assert layout.size == 4
    assert layout.locate(np.array([2, 3, far - 1, far + 1, 2**63 - 1])).tolist() == [1, -1, -1, 3, -1]


@pytest.mark.parametrize("far", [10**12, HUGE, 2**63 - 1])
def test_a_huge_hole_without_time_is_refused(far: int) -> None:
    assert told(DatabaseError, lay_out, clock_of([0, 1, 2, far], [0, 33, 66, 100]), PATH) == (
        f"a.sqlite: FRAME: expected frame numbers that go with the 4 rows, found 0 to {far} within a second's steps; "
        "the table is damaged: leave the file out",
    )


def test_a_recording_that_is_paused_throughout_is_refused(params: Params) -> None:
    clock = clock_of(range(1, 4), paused=[1, 2, 3])
    assert told(DatabaseError, clocks.check, clock, PATH, params.stops) == (
        "a.sqlite: expected an unpaused frame in FRAME, found 3 paused ones; leave the file out",
    )


def test_small_steps_back_are_counted_and_the_greatest_is_named(params: Params, caplog) -> None:
    clock = clock_of([1, 2, 3, 4, 5], [100, 90, 190, 90, 200])
    clocks.check(clock, PATH, params.stops)
    assert [values.tolist() for values in clocks.steps_back(clock)] == [[2, 4], [10, 100]]
    assert caplog.messages == ["a.sqlite: FRAME 4: TIMESTAMP goes back by 100 ms (2 steps back in all)"]


def test_a_clock_that_runs_forward_is_not_spoken_of(params: Params, caplog) -> None:
    clocks.check(clock_of(range(1, 9)), PATH, params.stops)
    assert caplog.messages == []


def test_with_the_frame_number_as_clock_a_great_step_back_is_only_warned_of(change, caplog) -> None:
    clock = clock_of([1, 2, 91], [1000, 0, 4000])
    clocks.check(clock, PATH, change(**{"stops.clock": "frame"}).stops)
    assert caplog.messages == [
        "a.sqlite: time by frame numbers (stops.clock: frame): 3 s, by TIMESTAMP 3 s",
        "a.sqlite: FRAME 2: TIMESTAMP goes back by 1000 ms (1 steps back in all)",
    ]


def test_jumps_are_long_steps_between_unpaused_rows() -> None:
    clock = clock_of([1, 2, 3, 4, 5, 6], [0, 1000, 2001, 9000, 9033, 19_000], paused=[4, 5])
    assert [values.tolist() for values in clocks.jumps(clock)] == [[3], [1001]]


# ---- Rate and time ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [1, HUGE])
def test_the_rate_is_measured_by_time_without_what_lies_between_segments(first: int) -> None:
    frames = first + np.arange(60)
    times_ms = np.arange(60) * 40 + 10**9 * (np.arange(60) >= 30)
    clock = clock_of(frames, times_ms)
    assert clocks.measured_fps(clock, lay_out(clock, PATH)) == 25.0


def test_where_no_time_passes_there_is_no_rate(params: Params, caplog) -> None:
    clock = clock_of([1, 2], [0, 0])
    fps = clocks.measured_fps(clock, lay_out(clock, PATH))
    assert np.isnan(fps)
    clocks.warn_of_rate(fps, PATH, params.stops)
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("fps", "warnings"),
    [(29.41, []), (30.59, []), (29.39, ["a.sqlite: 29.39 frames/s measured by TIMESTAMP, stops.fps is 30"]),
     (30.62, ["a.sqlite: 30.62 frames/s measured by TIMESTAMP, stops.fps is 30"])],
)  # fmt: skip
def test_a_rate_off_by_more_than_2_percent_is_warned_of(params: Params, caplog, fps: float, warnings: list) -> None:
    clocks.warn_of_rate(fps, PATH, params.stops)
    assert [(r.name, r.levelno, r.getMessage()) for r in caplog.records] == [
        ("lmtcnn", logging.WARNING, line) for line in warnings
    ]


@pytest.mark.parametrize("first", [1, HUGE])
def test_time_is_interpolated_where_a_frame_has_no_row(params: Params, first: int) -> None:
    clock = clock_of([first, first + 1, first + 4, first + 5], T0_MS + np.array([0, 30, 120, 150]))
    frames = first + np.arange(6)
    origin = Origin(first, T0_MS)
    times_s = clocks.seconds(clock, frames, origin, 0, params.stops)
    assert times_s.tolist() == [0.0, 0.030, 0.060, 0.090, 0.120, 0.150]


def test_time_by_frames_counts_from_the_origin_in_shifted_frames(change) -> None:
    times_s = clocks.seconds(
        clock_of([1, 2]), np.array([1, 31]), Origin(31, T0_MS), 60, change(**{"stops.clock": "frame"}).stops
    )
    assert times_s.tolist() == [1.0, 2.0]


@settings(deadline=None)
@given(
    steps=st.lists(st.tuples(st.sampled_from([1, 1, 1, 2]), st.sampled_from([33, 34, 2000, -20])), max_size=20),
    paused=st.sets(st.integers(0, 20)),
    fps_clock=st.booleans(),
)
def test_times_of_a_layout_are_those_of_its_frames(change, steps: list, paused: set, fps_clock: bool) -> None:
    frames = np.cumsum([7, *(step for step, _ in steps)])
    clock = Clock(
        frames, T0_MS + np.cumsum([0, *(ms for _, ms in steps)]), np.isin(np.arange(len(frames)), list(paused))
    )
    if clock.paused.all():
        return
    params = change(**{"stops.clock": "frame" if fps_clock else "timestamp"}).stops
    layout, origin = lay_out(clock, PATH), Origin(3, T0_MS - 500)
    one_by_one = clocks.seconds(clock, layout.frame(np.arange(layout.size)), origin, 5, params)
    assert np.array_equal(np.concatenate(list(clocks.layout_seconds(clock, layout, origin, 5, params))), one_by_one)


def test_time_runs_from_the_first_unpaused_row() -> None:
    assert clock_of(range(1, 6), paused=[1, 2, 5]).first_unpaused == 2


# ---- Wall clocks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "zone", "align", "hours"),
    [
        ((2024, 5, 1, 14, 30), "UTC", "08:00", 6.5),
        ((2024, 5, 1, 8, 0), "UTC", "08:00", 0.0),
        ((2024, 5, 1, 7, 59), "UTC", "08:00", 23 + 59 / 60),
        ((2024, 1, 1, 0, 0), "UTC", "20:00", 4.0),
        ((2024, 5, 1, 14, 30), "Asia/Kolkata", "08:00", 6.5),
        # The night in which clocks go forward, 02:00 -> 03:00, and the one in which they go back, 03:00 -> 02:00.
        ((2024, 3, 31, 8, 0), "Europe/Paris", "20:00", 11.0),
        ((2024, 10, 27, 8, 0), "Europe/Paris", "20:00", 13.0),
        ((2024, 3, 31, 3, 10), "Europe/Paris", "02:30", 23 + 40 / 60),  # 02:30 did not happen on this day
        ((2024, 10, 27, 3, 30), "Europe/Paris", "02:15", 1.25),  # 02:15 happened twice
    ],
)
def test_interval_0_begins_at_the_last_such_time_of_the_wall_clock(
    change, start: tuple, zone: str, align: str, hours: float
) -> None:
    params = change(**{"histograms.align": align, "histograms.timezone": zone}).histograms
    assert align_offset_s(milliseconds(*start, zone=zone), params) == pytest.approx(hours * 3600)


def test_of_a_time_that_happens_twice_the_last_one_before_the_start_counts(change) -> None:
    params = change(**{"histograms.align": "02:45", "histograms.timezone": "Europe/Paris"}).histograms
    second = milliseconds(2024, 10, 27, 2, 30, zone="Europe/Paris", fold=1)
    assert align_offset_s(second, params) == 45 * 60


def test_the_time_zone_of_the_manifest_wins(change) -> None:
    params = change(**{"histograms.align": "08:00", "histograms.timezone": "UTC"}).histograms
    start = milliseconds(2024, 5, 1, 14, 30)
    assert align_offset_s(start, params, "Europe/Paris") == (16.5 - 8) * 3600


def test_aligned_to_the_start_there_is_no_offset(params: Params) -> None:
    assert align_offset_s(T0_MS, params.histograms, "Europe/Paris") == 0.0


@settings(max_examples=40, deadline=None)
@given(
    zone=st.sampled_from(["UTC", "Europe/Paris", "America/New_York", "Australia/Lord_Howe"]),
    day=st.sampled_from([(2024, 3, 10), (2024, 3, 31), (2024, 4, 7), (2024, 10, 6), (2024, 10, 27), (2024, 11, 3)]),
    minute=st.integers(-600, 1800),
    align=st.tuples(st.integers(0, 4), st.sampled_from([0, 15, 30, 45])) | st.tuples(st.just(20), st.just(0)),
)
def test_walking_back_minute_by_minute_finds_the_same_edge(change, zone: str, day, minute: int, align) -> None:
    start = int(datetime(*day, tzinfo=UTC).timestamp()) + 60 * minute
    walked = next(
        back
        for back in range(3 * 24 * 60)
        if (wall := datetime.fromtimestamp(start - 60 * back, ZoneInfo(zone))) and (wall.hour, wall.minute) == align
    )
    params = change(**{"histograms.align": f"{align[0]:02}:{align[1]:02}", "histograms.timezone": zone}).histograms
    assert align_offset_s(start * 1000, params) == walked * 60


# ---- Intervals -------------------------------------------------------------------------------------------------------


def test_an_interval_holds_its_beginning_and_not_its_end() -> None:
    start_s = np.array([0.0, 19.999, 20.0, 40.0])
    assert intervals(start_s, 0.0, 20.0).tolist() == [0, 0, 1, 2]
    assert intervals(start_s, 5.0, 20.0).tolist() == [0, 1, 1, 2]


def test_what_the_clock_puts_before_the_start_is_of_interval_0() -> None:
    assert intervals(np.array([-0.05]), 0.0, 20.0).tolist() == [0]


def test_edges_are_where_intervals_begin_and_the_end() -> None:
    layout = Layout(np.array([1]), np.array([6]), np.array([0, 6]))
    held, edges, span_s = interval_edges(layout, [np.array([0, 5, 10, 15]), np.array([30, 39.0])], 0.0, 10.0)
    assert (held.tolist(), edges, span_s) == ([0, 1, 3], [0, 2, 4, 6], 39.0)


def test_a_small_step_back_moves_no_frame_into_an_earlier_interval() -> None:
    layout = Layout(np.array([1]), np.array([4]), np.array([0, 4]))
    held, edges, _ = interval_edges(layout, [np.array([9.9, 10.0]), np.array([9.95, 10.1])], 0.0, 10.0)
    assert (held.tolist(), edges) == ([0, 1], [0, 1, 4])


def test_a_hole_of_a_million_years_costs_no_memory() -> None:
    layout = Layout(np.array([1, 9]), np.array([1, 9]), np.array([0, 1, 2]))
    held, edges, _ = interval_edges(layout, [np.array([0.0, 1e6 * 365 * 86_400])], 0.0, 1.0)
    assert (held.tolist(), edges) == ([0, 31_536_000_000_000], [0, 1, 2])
