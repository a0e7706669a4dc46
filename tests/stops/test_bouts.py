"""Bouts without movement, against the definition written out frame by frame."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import stillness
from lmtcnn.core.params import Params
from lmtcnn.core.sections import StopsParams
from lmtcnn.stops.bouts import find_stops
from lmtcnn.timeline.clock import Layout
from lmtcnn.timeline.tracks import Track


def track_of(x_px: list[float], cut: int | None = None) -> Track:
    """An animal that moves along x, nan where it is not seen; `cut` begins a second segment."""
    n = len(x_px)
    starts = [1] if cut is None else [1, cut + 101]
    ends = [n] if cut is None else [cut, n + 100]
    track = Track(Layout(np.array(starts), np.array(ends), np.array([0, *([] if cut is None else [cut]), n])))
    track.x_px[:], track.y_px[:] = x_px, np.where(np.isnan(x_px), np.nan, 150.0)
    return track


def by_definition(x_px: list[float], params: StopsParams, cut: int | None = None) -> list[tuple[int, int]]:
    """First and last index of every stop: the speed of each frame by itself."""
    k, n, slow = params.half_window_frames, len(x_px), []
    segments = [(0, n)] if cut is None else [(0, cut), (cut, n)]
    for begin, end in segments:
        for f in range(begin, end):
            inside = f - k >= begin and f + k < end
            known = inside and not any(math.isnan(x_px[i]) for i in (f - k, f, f + k))
            cm = abs(x_px[f + k] - x_px[f - k]) * 10 / 57 if known else math.inf
            slow.append(cm / (2 * k / params.fps) <= params.max_speed_cm_per_s)
    runs, first = [], None
    for f, is_slow in enumerate([*slow, False]):
        if is_slow and first is None:
            first = f
        elif not is_slow and first is not None:
            if (f - first) / params.fps >= params.min_duration_s:
                runs.append((first, f - 1))
            first = None
    return runs


@pytest.fixture
def unfilled(change: Callable) -> StopsParams:
    return change(**{"stops.max_gap_frames": 0, "stops.min_duration_s": 0.2}).stops


steps = st.lists(st.sampled_from([0.0, 0.5, 0.95, 0.951, 1.0, 3.0, -0.95, math.nan]), min_size=8, max_size=120)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), moves=steps, half_window=st.sampled_from([1, 3]))
def test_stops_are_those_of_the_definition(
    change: Callable, data: st.DataObject, moves: list, half_window: int
) -> None:
    """Steps of 0.95 px a frame are exactly 5 cm/s, places to 0.001 px."""
    values = {"stops.max_gap_frames": 0, "stops.min_duration_s": 0.2, "stops.half_window_frames": half_window}
    params = change(**values).stops
    x_px, here = [], 200.0
    for move in moves:
        here = here if math.isnan(move) else round(here + move, 3)
        x_px.append(move if math.isnan(move) else here)
    cut = data.draw(st.none() | st.integers(1, len(x_px) - 1))
    found, _ = find_stops(track_of(x_px, cut), params)
    assert list(zip(found.first.tolist(), found.last.tolist(), strict=True)) == by_definition(x_px, params, cut)


def test_a_speed_of_exactly_the_limit_is_a_stop_and_the_least_more_is_none(change: Callable) -> None:
    """15/16 px a frame are 5.625 px in 6 frames, without rounding."""
    limit = 5.625 * 10 / 57 / (6 / 30)
    params = change(**{"stops.max_speed_cm_per_s": limit}).stops
    assert len(find_stops(track_of([200 + 15 / 16 * i for i in range(60)]), params)[0].first) == 1
    less = change(**{"stops.max_speed_cm_per_s": math.nextafter(limit, 0)}).stops
    assert len(find_stops(track_of([200 + 15 / 16 * i for i in range(60)]), less)[0].first) == 0


def test_a_stop_lies_at_the_mean_of_its_frames(unfilled: StopsParams) -> None:
    found, counts = find_stops(track_of([200.0] * 30 + [201.0] * 30), unfilled)
    assert (found.first.tolist(), found.last.tolist()) == ([3], [56])
    assert (found.x_px.tolist(), found.y_px.tolist()) == ([200.5], [150.0])
    assert counts["n_filled"] == 0


def test_gaps_join_what_they_divide_and_each_setting_is_counted(change: Callable) -> None:
    x_px = [200.0] * 60 + [math.nan] * 50 + [201.0] * 60
    found, counts = find_stops(track_of(x_px), change().stops)
    assert (found.first.tolist(), found.last.tolist()) == ([3], [166])
    names = [f"n_stops_gap_{gap}" for gap in (0, 15, 90, 150)]
    assert ([counts[name] for name in names], counts["n_filled"]) == ([2, 2, 1, 1], 50)


def test_stops_are_counted_under_other_half_windows(change: Callable) -> None:
    rng = np.random.default_rng(0)
    x_px = (200 + rng.normal(0, 0.5, 3000)).round(2).tolist()
    x_px[1000:1050] = [math.nan] * 50
    counts = {
        half: find_stops(track_of(x_px), change(**{"stops.half_window_frames": half}).stops) for half in (1, 3, 5)
    }
    for _, counted in counts.values():
        assert counted["n_stops_half_1"] == len(counts[1][0].first) > counted["n_stops_half_3"]
        assert counted["n_stops_half_3"] == len(counts[3][0].first) == 1
    assert len(counts[5][0].first) == 1


def test_a_stop_of_the_largest_numbers_has_a_place(change: Callable) -> None:
    """Beyond 1e308 / 60 a sum of 60 is no number any more; a hundred of these are equal, so that the mouse is still."""
    found, _ = find_stops(track_of([1e308] * 100), change().stops)
    assert found.x_px.tolist() == pytest.approx([1e308])


@pytest.mark.parametrize("jitter_px", [0.1, 0.4])
def test_a_still_hour_with_lost_identities_has_at_most_25_stops(jitter_px: float, params: Params) -> None:
    """The ideal is 1; unbridged, and measured over a half window of 1, it has hundreds (docs/definitions.md)."""
    for seed in range(3):
        found, counts = find_stops(stillness.still_mouse(jitter_px, gaps=True, seed=seed), params.stops)
        assert 1 <= len(found.first) <= 25
        assert counts["n_stops_gap_0"] > 200
        assert jitter_px < 0.4 or counts["n_stops_half_1"] > 200
