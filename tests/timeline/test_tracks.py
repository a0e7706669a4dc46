"""Positions of one animal, whatever the order of its rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmtcnn.core.params import Params
from lmtcnn.timeline import tracks
from lmtcnn.timeline.clock import Layout
from lmtcnn.timeline.tracks import PackedTrack, Tally, Track, fill, find_gaps

NAN = float("nan")


def layout_of(*lengths: int) -> Layout:
    """Segments of these lengths, ten frames apart, from frame 1."""
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    starts = 1 + offsets[:-1] + 10 * np.arange(len(lengths))
    return Layout(starts, starts + lengths - 1, offsets)


def track_of(layout: Layout, rows: list[tuple]) -> Track:
    track = Track(layout)
    add(track, rows)
    return track


def add(track: Track, rows: list[tuple]) -> None:
    frames, x, y = zip(*rows, strict=True) if rows else ((), (), ())
    track.add(np.array(frames, np.int64), np.array(x, np.float64), np.array(y, np.float64))


def counts(track: Track) -> dict[str, int]:
    names = ("n_rows", "n_invalid", "n_at_zero", "n_untimed", "n_identical", "n_conflicting")
    return {name: getattr(track, name) for name in names}


def filled(x_px: list[float], *lengths: int, chosen=lambda gaps: gaps.length > 0) -> list[float]:
    """Positions on a line, with gaps filled."""
    track = Track(layout_of(*(lengths or [len(x_px)])))
    track.x_px[:] = x_px
    track.y_px[:] = x_px
    gaps = find_gaps(track)
    index = fill(track, gaps, chosen(gaps))
    assert np.array_equal(track.x_px, track.y_px, equal_nan=True)
    assert sorted(index.tolist()) == np.flatnonzero(np.isnan(x_px) & ~np.isnan(track.x_px)).tolist()
    return track.x_px.tolist()


def test_rows_go_to_their_frames() -> None:
    track = track_of(layout_of(3, 2), [(1, 20.0, 1.0), (3, 30.0, 3.0), (15, 50.0, 5.0)])
    assert np.flatnonzero(track.detected).tolist() == [0, 2, 4]
    assert track.x_px[track.detected].tolist() == [20.0, 30.0, 50.0]
    assert track.y_px[track.detected].tolist() == [1.0, 3.0, 5.0]


def test_of_several_rows_in_a_frame_the_lowest_x_then_the_lowest_y_counts() -> None:
    track = track_of(layout_of(1), [(1, 30.0, 1.0), (1, 20.0, 9.0), (1, 20.0, 8.0), (1, 20.0, 8.0)])
    assert (track.x_px[0], track.y_px[0]) == (20.0, 8.0)
    assert (track.n_identical, track.n_conflicting) == (1, 2)


@pytest.mark.parametrize(("x_px", "is_position"), [(9.99, False), (10.0, True), (-5.0, False)])
def test_a_row_with_x_below_10_is_no_position(x_px: float, is_position: bool) -> None:
    track = track_of(layout_of(1), [(1, x_px, 0.0)])
    assert track.detected.tolist() == [is_position]
    assert track.n_at_zero == (not is_position)


@pytest.mark.parametrize("row", [(1, NAN, 5.0), (1, 200.0, NAN), (1, np.inf, 5.0), (1, 200.0, -np.inf)])
def test_a_row_that_is_not_finite_is_no_position(row: tuple) -> None:
    track = track_of(layout_of(1), [row])
    assert not track.detected.any()
    assert counts(track) == {
        "n_rows": 1, "n_invalid": 1, "n_at_zero": 0, "n_untimed": 0, "n_identical": 0, "n_conflicting": 0,
    }  # fmt: skip


def test_rows_between_segments_are_counted_and_left_out() -> None:
    track = track_of(layout_of(2, 2), [(0, 20.0, 1.0), (3, 20.0, 1.0), (12, 20.0, 1.0), (-(2**63), 20.0, 1.0)])
    assert not track.detected.any()
    assert track.n_untimed == 4


ROWS = st.lists(
    st.tuples(st.integers(0, 22), st.sampled_from([5.0, 20.0, 21.0, 30.0, NAN]), st.sampled_from([1.0, 2.0, NAN])),
    max_size=60,
)


@settings(deadline=None)
@given(rows=ROWS, data=st.data())
def test_neither_the_order_of_rows_nor_how_they_come_matters(rows: list[tuple], data) -> None:
    """The track of sorted rows in one batch against that of shuffled rows in several."""
    layout = layout_of(8, 5)
    one = track_of(layout, sorted(rows, key=str))
    other = Track(layout)
    shuffled = data.draw(st.permutations(rows))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=4)))
    for begin, end in zip([0, *cuts], [*cuts, len(rows)], strict=True):
        add(other, shuffled[begin:end])
    assert np.array_equal(one.x_px, other.x_px, equal_nan=True)
    assert np.array_equal(one.y_px, other.y_px, equal_nan=True)
    assert counts(one) == counts(other)


HUNDREDTHS = st.integers(-100, 66_000).map(lambda n: n / 100)
ANY = st.one_of(HUNDREDTHS, HUNDREDTHS, st.sampled_from([NAN, 0.0, 5.0, 655.35, 655.36, 20.001, -1.0, 1e308, np.inf]))


@settings(deadline=None)
@given(rows=st.lists(st.tuples(st.integers(0, 22), ANY, ANY), max_size=60), cut=st.integers(0, 60), plain=st.booleans())
def test_a_packed_track_holds_the_same_whether_its_positions_pack_or_not(
    rows: list[tuple], cut: int, plain: bool
) -> None:
    if plain:  # as the tracker writes them
        rows = [(f, abs(x) % 600 // 0.01 / 100, abs(y) % 600 // 0.01 / 100) for f, x, y in rows if np.isfinite(x + y)]
    layout = layout_of(8, 5)
    wide, packed = Track(layout), PackedTrack(layout)
    for track in (wide, packed):
        add(track, rows[:cut])
        add(track, rows[cut:])
    assert not (plain and packed._wide)
    spare = np.ones(layout.size), np.ones(layout.size)
    unpacked = packed.unpack(spare)
    assert np.array_equal(wide.x_px, unpacked.x_px, equal_nan=True)
    assert np.array_equal(wide.y_px, unpacked.y_px, equal_nan=True)
    assert counts(wide) == counts(unpacked)


@pytest.mark.parametrize("odd", [(200.005, 150.0), (200.0, 150.005), (700.0, 150.0), (200.0, -1.0)])
def test_one_position_that_does_not_pack_is_kept_exactly(odd: tuple[float, float]) -> None:
    track = PackedTrack(layout_of(3))
    add(track, [(1, 199.99, 150.01)])
    add(track, [(2, *odd)])
    found = track.unpack()
    assert found.x_px[:2].tolist() == [199.99, odd[0]]
    assert found.y_px[:2].tolist() == [150.01, odd[1]]


def test_a_track_in_spare_arrays_or_cleared_begins_empty() -> None:
    layout = layout_of(3)
    old = track_of(layout, [(1, 20.0, 30.0), (1, 20.0, 30.0), (9, 20.0, 30.0)])
    new = Track(layout, (old.x_px, old.y_px))
    assert new.x_px is old.x_px
    old.clear()
    for track in (new, old):
        assert not track.detected.any()
        assert set(counts(track).values()) == {0}


def test_rows_are_tallied_by_interval_and_those_in_no_segment_only_in_all() -> None:
    tally = Tally(layout_of(4, 4), [0, 2, 3, 8])
    tally.add(np.array([1, 2, 2, 3, 9, 15, 99]))
    assert (tally.n_rows, tally.counts.tolist()) == (7, [3, 1, 1])
    tally.clear()
    assert (tally.n_rows, tally.counts.tolist()) == (0, [0, 0, 0])


def test_positions_off_the_floor_are_counted_and_its_edges_belong_to_it(params: Params) -> None:
    places = [(114, 63), (398, 353), (113.99, 63), (398.01, 63), (114, 62.99), (114, 353.01)]
    track = track_of(layout_of(8), [(f, float(x), float(y)) for f, (x, y) in enumerate(places, 1)])
    assert track.count_outside(params.stops.arena) == 4


@settings(deadline=None)
@given(flags=st.lists(st.booleans(), max_size=40), block=st.integers(1, 9))
def test_changes_are_where_neighbours_differ_whatever_the_blocks(flags: list[bool], block: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tracks, "BLOCK_FRAMES", block)
        expected = [i for i in range(len(flags) - 1) if flags[i] != flags[i + 1]]
        assert tracks.changes(np.array(flags, np.bool_)).tolist() == expected


@settings(deadline=None)
@given(rows=ROWS)
def test_every_row_is_accounted_for_once(rows: list[tuple]) -> None:
    track = track_of(layout_of(8, 5), rows)
    found = counts(track)
    detected = int(np.count_nonzero(track.detected))
    assert found.pop("n_rows") == len(rows) == detected + sum(found.values())


def test_a_jump_is_a_step_of_more_than_15_cm_between_neighbouring_frames_of_a_segment(params: Params) -> None:
    track = Track(layout_of(6, 2))
    track.x_px[:] = [100, 185.5, 271.1, NAN, 100, 100, 300, 300]
    track.y_px[:] = 100
    assert track.long_steps(8).count_jumps(params.stops.arena) == 1


@pytest.mark.parametrize(("cm_per_px", "at_most_px"), [("10/57", 85.5), ("20/57", 42.75), ("1/4", 60), ("0.5", 30)])
def test_a_jump_is_of_15_cm_whatever_a_pixel_measures(change, cm_per_px: str, at_most_px: float) -> None:
    track = Track(layout_of(4))
    track.x_px[:] = [100, 100 + at_most_px, 100, 100 + at_most_px + 0.01]
    track.y_px[:] = 100
    assert track.long_steps(8).count_jumps(change(**{"stops.arena.cm_per_px": cm_per_px}).stops.arena) == 1


@pytest.mark.parametrize("block", [1, 3, 7, 8, 100])
def test_jumps_are_the_same_whatever_the_blocks_they_are_counted_in(monkeypatch, block: int, params: Params) -> None:
    monkeypatch.setattr(tracks, "BLOCK_FRAMES", block)
    track = Track(layout_of(8))
    track.x_px[:] = [100, 300, 300, 100, 100, 300, NAN, 100]
    track.y_px[:] = 100
    assert track.long_steps(8).count_jumps(params.stops.arena) == 3


def test_a_gap_is_filled_on_the_line_between_its_ends() -> None:
    assert filled([10.0, NAN, NAN, NAN, 30.0, 31.0]) == [10.0, 15.0, 20.0, 25.0, 30.0, 31.0]


def test_gaps_of_different_lengths_are_filled_each_on_its_own_line() -> None:
    assert filled([10.0, NAN, 12.0, NAN, NAN, 18.0, 19.0, NAN, 11.0]) == [10, 11, 12, 14, 16, 18, 19, 15, 11]


def test_what_is_missing_at_the_ends_stays_missing() -> None:
    assert np.isnan(filled([NAN, 10.0, NAN, 20.0, NAN, NAN])).tolist() == [True, False, False, False, True, True]


def test_no_gap_crosses_segments() -> None:
    values = [10.0, NAN, NAN, 20.0, NAN, 30.0]
    assert np.isnan(filled(values, 2, 4)).tolist() == [False, True, True, False, False, False]


def test_only_chosen_gaps_are_filled() -> None:
    values = filled([10.0, NAN, 12.0, NAN, NAN, 18.0], chosen=lambda gaps: gaps.length <= 1)
    assert np.isnan(values).tolist() == [False, False, False, True, True, False]


def test_a_gap_knows_its_length_and_how_far_its_ends_are_apart() -> None:
    track = track_of(layout_of(5), [(1, 20.0, 10.0), (4, 23.0, 14.0), (5, 23.0, 14.0)])
    gaps = find_gaps(track)
    assert (gaps.before.tolist(), gaps.after.tolist()) == ([0], [3])
    assert (gaps.length.tolist(), gaps.distance_px.tolist()) == ([2], [5.0])


@pytest.mark.parametrize("values", [[], [NAN], [10.0], [NAN] * 5, [10.0] * 5])
def test_a_track_without_gaps_is_left_as_it_is(values: list[float]) -> None:
    assert np.array_equal(filled(values, len(values)), values, equal_nan=True)


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    data=st.data(),
    longest=st.integers(0, 12),
)
def test_filling_is_linear_interpolation_inside_each_segment(lengths: list[int], data, longest: int) -> None:
    values = st.lists(st.sampled_from([NAN, 10.0, 20.0, 50.0]), min_size=sum(lengths), max_size=sum(lengths))
    x_px = np.array(data.draw(values))
    expected = []
    for part in np.split(x_px, np.cumsum(lengths)[:-1]):
        known = np.flatnonzero(~np.isnan(part))
        line = np.interp(np.arange(len(part)), known, part[known], NAN, NAN) if known.size else part.copy()
        for gap in np.split(np.arange(len(part)), known):
            if len(missing := gap[np.isnan(part[gap])]) > longest:
                line[missing] = NAN
        expected.extend(line)
    found = filled(x_px.tolist(), *lengths, chosen=lambda gaps: gaps.length <= longest)
    assert np.allclose(found, expected, equal_nan=True, rtol=1e-12)
