"""From positions to stops, on scenes with known answers."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import T0_MS, Scene, run, still
from lmtcnn.cohort.recording import Recording
from lmtcnn.core.errors import DatabaseError
from lmtcnn.core.params import Params
from lmtcnn.stops.extraction import Extraction, extract


@pytest.fixture
def read(tmp_path: Path, params: Params) -> Callable[..., Extraction]:
    """Write a scene and extract it."""

    def read(scene: Scene, using: Params = params, threads: int = 1) -> Extraction:
        path = scene.write(tmp_path / f"scene{len(list(tmp_path.iterdir()))}.sqlite")
        return extract(Recording("scene", (path,), using.stops.arena), using, threads)

    return read


def spans(extraction: Extraction) -> list[tuple[int, int]]:
    return list(extraction.stops.select("start_frame", "end_frame").iter_rows())


def reference(rows: list[tuple], n_frames: int, params: Params) -> list[tuple[int, int]]:
    """The definition, frame by frame, in plain Python: one segment, one animal."""
    p, s = {}, params.stops
    for f, _, x, y in rows:
        if x >= 10 and (f not in p or (x, y) < p[f]):
            p[f] = (x, y)
    known = sorted(p)
    for a, b in pairwise(known):
        near = np.hypot(p[b][0] - p[a][0], p[b][1] - p[a][1]) * 10 / 57 <= s.max_gap_cm
        if 0 < b - a - 1 <= s.max_gap_frames and near:
            for f in range(a + 1, b):
                p[f] = tuple(p[a][i] + (p[b][i] - p[a][i]) * (f - a) / (b - a) for i in (0, 1))
    k, found, begin = s.half_window_frames, [], None
    for f in range(1, n_frames + 2):
        slow = (
            all(g in p for g in (f - k, f, f + k))
            and np.hypot(p[f + k][0] - p[f - k][0], p[f + k][1] - p[f - k][1]) * 10 / 57 / (2 * k / s.fps)
            <= s.max_speed_cm_per_s
        )
        if slow and begin is None:
            begin = f
        if not slow and begin is not None:
            if (f - begin) / s.fps >= s.min_duration_s:
                found.append((begin, f - 1))
            begin = None
    return found


def test_a_still_mouse_has_one_stop_less_the_half_window_at_both_ends(read) -> None:
    found = read(Scene(still(1, 300), n_frames=300))
    assert spans(found) == [(4, 297)]
    row = found.stops.row(0, named=True)
    assert row["duration_s"] == 294 / 30
    assert row["start_s"] == pytest.approx(0.1)
    assert row["x_cm"] == pytest.approx((200 - 114) * 10 / 57)
    assert row["y_cm"] == pytest.approx((150 - 63) * 10 / 57)


def test_a_running_mouse_has_none(read) -> None:
    assert spans(read(Scene(run(1, 90), n_frames=90))) == []


@pytest.mark.parametrize(("n_frames", "n_stops"), [(35, 0), (36, 1)])
def test_a_bout_of_29_frames_is_no_stop_and_one_of_30_is(read, n_frames: int, n_stops: int) -> None:
    assert len(spans(read(Scene(still(1, n_frames), n_frames=n_frames)))) == n_stops


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(st.tuples(st.integers(1, 120), st.sampled_from([0.0, 0.9, 0.95, 1.0, 3.0])), min_size=1, max_size=8),
    holes=st.lists(st.tuples(st.integers(1, 500), st.integers(1, 130)), max_size=4),
    half=st.sampled_from([1, 3]),
    gap=st.sampled_from([0, 15, 90]),
)
def test_stops_are_those_of_the_definition_read_frame_by_frame(
    tmp_path_factory, change, steps, holes, half: int, gap: int
) -> None:
    using = change(**{"stops.half_window_frames": half, "stops.max_gap_frames": gap})
    x, rows = 120.0, []
    for length, px_per_frame in steps:
        for _ in range(length):
            x += px_per_frame
            rows.append((len(rows) + 1, 1, round(x, 2), 150.0))
    n = len(rows)
    lost = {f for begin, length in holes for f in range(begin, begin + length)}
    rows = [row for row in rows if row[0] not in lost]
    if not rows:
        return
    path = Scene(rows, n_frames=n).write(tmp_path_factory.mktemp("scene") / "scene.sqlite")
    found = extract(Recording("scene", (path,), using.stops.arena), using)
    assert spans(found) == reference(rows, n, using)


def test_a_gap_of_90_frames_is_bridged_and_one_of_91_is_not(read) -> None:
    for missing, expected in ((90, [(4, 387)]), (91, [(4, 97), (195, 388)])):
        rows = still(1, 100) + still(101 + missing, 300 + missing)
        assert spans(read(Scene(rows, n_frames=300 + missing))) == expected


def test_a_gap_is_bridged_only_where_the_mouse_is_found_again_within_2_cm(read) -> None:
    """2 cm are 11.4 px."""
    near = still(1, 100) + still(131, 230, x=211.0)
    far = still(1, 100) + still(131, 230, x=212.0)
    assert spans(read(Scene(near, n_frames=230))) == [(4, 227)]
    assert spans(read(Scene(far, n_frames=230))) == [(4, 97), (134, 227)]


def test_a_gap_setting_of_0_switches_filling_off(read, change) -> None:
    rows = still(1, 100) + still(102, 200)
    found = read(Scene(rows, n_frames=200), change(**{"stops.max_gap_frames": 0}))
    assert spans(found) == [(4, 97), (105, 197)]
    assert found.quality["n_filled"].to_list() == [0]


def test_quality_counts_stops_under_four_gap_settings(read) -> None:
    """Gaps of 10, 50 and 120 frames in a still mouse: 4 pieces unbridged, 3 at 15, 2 at 90, 1 at 150."""
    rows, f = [], 1
    for gap in (10, 50, 120, 0):
        rows += still(f, f + 99)
        f += 100 + gap
    found = read(Scene(rows, n_frames=f)).quality
    assert found.select(pl.col("^n_stops_gap_.*$")).row(0) == (4, 3, 2, 1)
    assert found["n_filled"].to_list() == [60]


def test_paused_frames_cut_a_stop_and_hold_none(read) -> None:
    frames = [(f, T0_MS + round((f - 1) * 1000 / 30), int(101 <= f <= 150)) for f in range(1, 301)]
    found = read(Scene(still(1, 300), frames))
    assert spans(found) == [(4, 97), (154, 297)]
    assert found.quality["n_paused_frames"].to_list() == [50]
    assert found.quality["n_untimed"].to_list() == [50]


def test_time_begins_at_the_first_unpaused_frame(read) -> None:
    frames = [(f, T0_MS + round((f - 1) * 1000 / 30), int(f <= 30)) for f in range(1, 301)]
    assert read(Scene(still(1, 300), frames)).stops["start_s"].to_list() == [pytest.approx(0.1)]


def test_a_step_of_the_clock_of_more_than_a_second_cuts_a_stop(read) -> None:
    def frames(jump_ms: int) -> list[tuple[int, int, int]]:
        return [(f, T0_MS + round((f - 1) * 1000 / 30) + jump_ms * (f > 150), 0) for f in range(1, 301)]

    assert spans(read(Scene(still(1, 300), frames(2000)))) == [(4, 147), (154, 297)]
    assert spans(read(Scene(still(1, 300), frames(900)))) == [(4, 297)]


def test_a_stop_that_begins_on_a_frame_without_a_row_gets_an_interpolated_time(read) -> None:
    frames = [(f, T0_MS + 30 * f + 40 * (f > 4), 0) for f in range(1, 301) if f != 4]
    found = read(Scene(still(1, 300), frames))
    assert found.stops["start_frame"].to_list() == [4]
    assert found.stops["start_s"].to_list() == [0.110]


def test_the_clock_may_be_the_frame_number(read, change) -> None:
    frames = [(f, T0_MS + 50 * f, 0) for f in range(1, 301)]
    using = change(**{"stops.clock": "frame"})
    assert read(Scene(still(1, 300), frames), using).stops["start_s"].to_list() == [3 / 30]


def test_a_clock_that_goes_back_by_more_than_100_ms_is_refused_by_frame(read, tmp_path: Path) -> None:
    frames = [(f, T0_MS + round((f - 1) * 1000 / 30) - 500 * (f > 150), 0) for f in range(1, 301)]
    with pytest.raises(DatabaseError) as error:
        read(Scene(still(1, 300), frames))
    assert error.value.lines == (
        f"{tmp_path / 'scene0.sqlite'}: FRAME 151: expected a TIMESTAMP that goes back by 100 ms at most, "
        "found 467 ms; leave the file out; a study may count time by frames instead (stops.clock: frame)",
    )


def test_two_rows_in_a_frame_count_as_the_lowest_whatever_their_order(read) -> None:
    doubled = [(50, 1, 300.0, 300.0), (60, 1, 200.0, 150.0), (70, 1, 200.0, 149.0)]
    for rows in (still(1, 300) + doubled, doubled + still(1, 300)[::-1]):
        for index in (True, False):
            found = read(Scene(rows, n_frames=300, covering_index=index))
            assert spans(found) == [(4, 297)]
            assert found.quality.select("n_identical", "n_conflicting").row(0) == (1, 2)
            assert found.stops["y_cm"].to_list() == [pytest.approx((150 - 1 / 294 - 63) * 10 / 57)]


def test_rows_without_a_place_are_set_aside_and_counted(read) -> None:
    bad = [(301, 1, 5.0, 5.0), (302, 1, None, 5.0), (303, 1, "x", 5.0), (304, 1, float("inf"), 1.0)]
    found = read(Scene(still(1, 300) + bad, n_frames=310))
    assert found.quality.select("n_rows", "n_at_zero", "n_invalid", "n_detected").row(0) == (304, 1, 3, 300)


def test_anonymous_rows_belong_to_no_animal(read) -> None:
    for index in (True, False):
        rows = still(1, 300) + still(1, 120, x=250, animal=None)
        found = read(Scene(rows, n_frames=300, covering_index=index))
        assert found.quality.select("n_rows", "n_anonymous").row(0) == (300, 120)


def test_a_jump_of_more_than_15_cm_breaks_a_bout_and_is_counted(read) -> None:
    rows = still(1, 150) + still(151, 300, x=290.0)
    found = read(Scene(rows, n_frames=300))
    assert spans(found) == [(4, 147), (154, 297)]
    assert found.quality["n_jumps"].to_list() == [1]


def test_with_and_without_the_covering_index_the_tables_are_the_same(read) -> None:
    rng = np.random.default_rng(3)
    rows = [
        (f, a, *np.round(rng.uniform(200, 203, 2), 2).tolist())
        for f in (rng.permutation(400) + 1).tolist()
        for a in (1, 2, None)
    ]
    animals = {1: "a", 2: "b"}
    one, other = (read(Scene(rows, n_frames=400, animals=animals, covering_index=i)) for i in (True, False))
    assert one.stops.equals(other.stops)
    assert one.quality.equals(other.quality)
    assert one.stops.height > 0


def test_coverage_tells_an_empty_hour_from_a_still_one(read, change) -> None:
    using = change(**{"histograms.interval_s": 5})
    found = read(Scene(still(1, 150) + still(301, 450), n_frames=450), using)
    assert list(found.coverage.select("interval", "detected", "unpaused").iter_rows()) == [
        (0, 150, 150),
        (1, 0, 150),
        (2, 150, 150),
    ]


def test_files_of_one_recording_are_joined_by_rfid_and_no_stop_crosses_them(tmp_path: Path, params: Params) -> None:
    later = [(f, T0_MS + 10_000 + round((f - 1) * 1000 / 30), 0) for f in range(1, 301)]
    animals = {1: "a", 2: "b"}
    rows = still(1, 300) + still(1, 300, x=300, animal=2)
    first = Scene(rows, n_frames=300, animals=animals).write(tmp_path / "1.sqlite")
    swapped = [(f, 3 - a, x, y) for f, a, x, y in rows]
    second = Scene(swapped, later, animals={1: "b", 2: "a"}).write(tmp_path / "2.sqlite")
    found = extract(Recording("r", (second, first), params.stops.arena), params)
    rows = list(found.stops.select("animal_id", "rfid", "start_frame", "end_frame", "x_cm").iter_rows())
    left, right = (200 - 114) * 10 / 57, (300 - 114) * 10 / 57
    assert [row[:4] for row in rows] == [(1, "a", 4, 297), (1, "a", 304, 597), (2, "b", 4, 297), (2, "b", 304, 597)]
    assert [row[4] for row in rows] == pytest.approx([left, left, right, right])
    assert found.stops["start_s"].to_list() == pytest.approx([0.1, 10.1, 0.1, 10.1])


def test_files_that_overlap_in_time_are_refused(tmp_path: Path, params: Params) -> None:
    paths = tuple(Scene(still(1, 300), n_frames=300).write(tmp_path / name) for name in ("1.sqlite", "2.sqlite"))
    with pytest.raises(DatabaseError) as error:
        extract(Recording("r", paths, params.stops.arena), params)
    assert error.value.lines == (
        f"{paths[1]}: expected a file that begins after 1.sqlite ends, found an overlap in time; "
        "give each stretch of time once in the manifest's files",
    )


def test_a_flipped_floor_mirrors_places(read, change) -> None:
    plain = read(Scene(still(1, 300), n_frames=300)).stops.row(0, named=True)
    flipped = read(Scene(still(1, 300), n_frames=300), change(**{"stops.arena.flip": "xy"})).stops.row(0, named=True)
    assert flipped["x_cm"] == pytest.approx(284 * 10 / 57 - plain["x_cm"])
    assert flipped["y_cm"] == pytest.approx(290 * 10 / 57 - plain["y_cm"])


def test_a_recording_in_which_nobody_was_seen_is_refused(read, tmp_path: Path) -> None:
    with pytest.raises(DatabaseError) as error:
        read(Scene(still(1, 300, animal=None), n_frames=300))
    assert error.value.lines == (
        f"{tmp_path / 'scene0.sqlite'}: DETECTION: expected positions of the animals, found no detection; "
        "leave the file out",
    )
