"""Flicker: a centre that hops to and fro, told from a mouse that runs."""

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from lmtcnn.cohort.recording import Recording
from lmtcnn.core.params import Params
from lmtcnn.core.sections import StopsParams
from lmtcnn.simulate import behaviour
from lmtcnn.simulate.simulate import simulate
from lmtcnn.stops import flicker
from lmtcnn.stops.bouts import find_stops
from lmtcnn.stops.extraction import extract
from lmtcnn.stops.flicker import count_flicker, find_flicker, long_steps
from lmtcnn.timeline.clock import Layout
from lmtcnn.timeline.tracks import Gaps, Track, find_gaps

NAN = math.nan
PX_PER_CM = 5.7


def track_of(x_cm: NDArray[np.float64], y_cm: NDArray[np.float64] | None = None, cut: int | None = None) -> Track:
    """A track from places in cm, rounded as the tracker rounds them; `cut`: the first frame of a second segment."""
    n = len(x_cm)
    inner = [] if cut is None else [cut]
    layout = Layout(np.array([1, *(c + 101 for c in inner)]), np.array([*inner, n + 100]), np.array([0, *inner, n]))
    track = Track(layout)
    y_cm = np.zeros(n) if y_cm is None else y_cm
    track.x_px[:], track.y_px[:] = np.round(114 + PX_PER_CM * x_cm, 2), np.round(63 + PX_PER_CM * y_cm, 2)
    track.y_px[np.isnan(track.x_px)] = NAN
    return track


def found(track: Track, params: StopsParams) -> Gaps:
    return find_flicker(track, long_steps(track, params), find_gaps(track), params)


def spans(track: Track, params: StopsParams) -> list[tuple[int, int]]:
    """First and last frame of each run, from 0."""
    runs = found(track, params)
    return [(int(before) + 1, int(after) - 1) for before, after in zip(runs.before, runs.after, strict=True)]


def share(track: Track, params: StopsParams) -> float:
    """Share of positions that flicker."""
    n = count_flicker(track, found(track, params), np.array([0, track.layout.size]))
    return float(n[0] / np.count_nonzero(track.detected))


def resting(n: int, seed: int = 0) -> NDArray[np.float64]:
    """A mouse that rests at 20 cm, with the tracker's noise."""
    return 20 + np.random.default_rng(seed).normal(0, 0.03, n)


def hopping(n: int, first: int, last: int, cm: float, rate: float = 0.5, seed: int = 0) -> NDArray[np.float64]:
    """The same; from frame `first` to `last` its centre is elsewhere in every other frame, or so often by chance."""
    x_cm, rng = resting(n, seed), np.random.default_rng(seed + 1)
    away = rng.random(last + 1 - first) < rate
    away[[0, -1]] = True
    x_cm[first : last + 1] += cm * away
    return x_cm


def running(n: int, cm_per_s: float, turn: float, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A run through a box of 50 cm, turning by chance (radians a frame), back from its walls as a ball, with noise."""
    rng = np.random.default_rng(seed)
    heading = np.cumsum(rng.normal(0, turn, n))
    paths = []
    for step in (np.cos(heading), np.sin(heading)):
        along = np.cumsum(step * cm_per_s / 30)
        paths.append(50 - np.abs(np.mod(along, 100) - 50) + rng.normal(0, 0.06, n))
    return paths[0], paths[1]


def flickers_by_definition(x_cm: NDArray[np.float64], window: int = 19) -> list[int]:
    """Middles of the windows that flicker, each looked at by itself; in one dimension, without missing frames."""
    middles = []
    for begin in range(len(x_cm) - window + 1):
        steps = [x_cm[i + 1] - x_cm[i] for i in range(begin, begin + window - 1)]
        path, net = sum(map(abs, steps)), abs(x_cm[begin + window - 1] - x_cm[begin])
        turns = sum(abs(b - a) for a, b in pairwise(steps))
        if max(map(abs, steps)) > 1.6 and (path - net) / (window - 1) > 0.7 and turns > path:
            middles.append(begin + window // 2)
    return middles


@pytest.mark.parametrize("cm", [1.9, 2.5, 4.0, 8.0, 20.0])
@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_windows_that_flicker_are_those_of_the_definition(params: Params, cm: float, rate: float) -> None:
    """Every run holds one, and every one lies in a run, but for the frames before the first and after the last hop."""
    x_cm = np.concatenate([hopping(300, 100, 200, cm, rate, seed) for seed in range(4)])
    track = track_of(x_cm)
    middles = flickers_by_definition((track.x_px - 114) / PX_PER_CM)
    runs = spans(track, params.stops)
    assert bool(runs) == bool(middles)
    assert all(any(first - 10 <= middle <= last + 10 for first, last in runs) for middle in middles)
    assert all(any(first - 10 <= middle <= last + 10 for middle in middles) for first, last in runs)


@pytest.mark.parametrize("cm", [2.0, 4.0, 8.0, 12.0])
def test_a_run_is_from_the_first_hop_to_the_last(params: Params, cm: float) -> None:
    assert spans(track_of(hopping(600, 150, 449, cm, rate=1 / 2)), params.stops) == [(150, 449)]


def test_what_rests_or_goes_away_once_does_not_flicker(params: Params) -> None:
    """A mouse at rest; one taken for another 20 cm away for 2 s; hops of 1.5 cm."""
    assert spans(track_of(resting(3000)), params.stops) == []
    x_cm = resting(300)
    x_cm[100:160] += 20
    assert spans(track_of(x_cm), params.stops) == []
    assert spans(track_of(hopping(300, 100, 199, 1.5)), params.stops) == []


def test_a_single_frame_far_away_is_one_of_flicker(params: Params) -> None:
    """It went out and came back, each time by more than 1.6 cm in a frame."""
    for cm, runs in ((7, [(100, 100)]), (1.7, [(100, 100)]), (1.5, [])):
        x_cm = np.full(200, 20.0)
        x_cm[100] += cm
        assert spans(track_of(x_cm), params.stops) == runs


@pytest.mark.parametrize(("cm", "every"), [(4.0, 50), (4.0, 19), (2.1, 10), (12.0, 30), (3.0, 200)])
def test_single_hops_out_and_back_flicker_however_rare_they_are(
    change: Callable[..., Params], cm: float, every: int
) -> None:
    """A minute of rest in which the centre is elsewhere for one frame in so many: bridged, it is one stop."""
    x_cm = resting(1800)
    x_cm[every::every] += cm
    at_least = 0.9 * len(range(every, 1800, every)) / 1800  # hops less than a window apart are one run
    assert share(track_of(x_cm), change().stops) >= at_least
    bridging = change(**{"stops.max_flicker_frames": 9000})
    _, counts = find_stops(track_of(x_cm), bridging.stops)
    assert counts["n_stops_flicker_9000"] == 1
    assert counts["n_stops_flicker_0"] != 1


@pytest.mark.parametrize("radius_cm", [3, 5, 10, 20])
@pytest.mark.parametrize("cm_per_s", [30, 50, 60])
def test_a_mouse_that_runs_in_circles_does_not_flicker(params: Params, radius_cm: float, cm_per_s: float) -> None:
    angle = np.arange(3000) * cm_per_s / 30 / radius_cm
    noise = np.random.default_rng(0).normal(0, 0.06, (2, 3000))
    track = track_of(25 + radius_cm * np.cos(angle) + noise[0], 25 + radius_cm * np.sin(angle) + noise[1])
    assert share(track, params.stops) == 0


@pytest.mark.parametrize("turn", [0.05, 0.2, 0.5])
@pytest.mark.parametrize("cm_per_s", [30, 60])
def test_a_mouse_that_turns_quickly_hardly_flickers(params: Params, cm_per_s: float, turn: float) -> None:
    """30 to 60 cm/s, turning by up to 29 degrees a frame, and back from the walls at once."""
    assert share(track_of(*running(50_000, cm_per_s, turn)), params.stops) < 0.001


@pytest.mark.parametrize("every", [5, 10, 20])
def test_a_mouse_that_darts_to_and_fro_does_not_flicker(params: Params, every: int) -> None:
    """60 cm/s, turning back at once after so many frames."""
    along = np.abs(np.mod(np.arange(2000) * 2.0, 4.0 * every) - 2.0 * every)
    assert spans(track_of(along), params.stops) == []


def test_simulated_mice_hardly_flicker(change: Callable[..., Params], tmp_path: Path) -> None:
    params = change(**{"simulate.cages": 1, "simulate.hours": 3, "simulate.seconds_per_hour": 300.0})
    assert len(behaviour.recordings(params.simulate)) == 2
    for path in simulate(tmp_path, params):
        quality = extract(Recording(path.stem, (path,), params.stops.arena), params).quality
        assert (quality["n_detected"] > 20_000).all()
        assert (quality["n_flicker"] / quality["n_detected"]).max() < 0.001


def test_a_hop_may_hide_in_a_gap(params: Params) -> None:
    """The mouse is seen in every other frame only, here and 5 cm away in turn."""
    x_cm = resting(300)
    x_cm[100:200:4] += 5
    x_cm[101:200:2] = NAN
    ((first, last),) = spans(track_of(x_cm), params.stops)
    assert (first, last) in {(99, 197), (100, 197), (99, 198), (100, 198)}
    assert share(track_of(x_cm), params.stops) == pytest.approx(50 / 250, abs=2 / 250)


def test_flicker_does_not_cross_segments(params: Params) -> None:
    """At frame 150 another segment begins, while the centre is away: a pause lies between."""
    x_cm = resting(300)
    x_cm[100:200:2] += 6
    assert spans(track_of(x_cm), params.stops) == [(100, 198)]
    assert spans(track_of(x_cm, cut=150), params.stops) == [(100, 148), (151, 198)]
    x_cm = resting(300)
    x_cm[150:] += 6
    assert spans(track_of(x_cm, cut=150), params.stops) == []


def test_flicker_at_the_ends_of_a_recording_is_seen_as_far_as_it_lies_between_positions(params: Params) -> None:
    x_cm = resting(100)
    x_cm[0:100:2] += 6
    ((first, last),) = spans(track_of(x_cm), params.stops)
    assert first <= 3
    assert last >= 96


@pytest.mark.parametrize("block", [32, 100, 1000])
def test_flicker_is_the_same_whatever_the_blocks(monkeypatch: pytest.MonkeyPatch, params: Params, block: int) -> None:
    rng = np.random.default_rng(0)
    x_cm = np.concatenate([hopping(700, 100, 500, cm, seed=int(cm)) for cm in (2, 5, 9)])
    x_cm[rng.random(len(x_cm)) < 0.02] = NAN
    whole = spans(track_of(x_cm), params.stops)
    assert len(whole) >= 3
    monkeypatch.setattr(flicker, "BLOCK_FRAMES", block)
    assert spans(track_of(x_cm), params.stops) == whole


def test_flicker_is_measured_in_cm(change: Callable[..., Params]) -> None:
    """Hops of 14 px: 2.5 cm at 10/57 cm a pixel, 1.2 cm at half of it."""
    track = track_of(hopping(300, 100, 199, 14 / PX_PER_CM, rate=1 / 2))
    assert len(spans(track, change().stops)) == 1
    assert spans(track, change(**{"stops.arena.cm_per_px": "5/57"}).stops) == []


def test_thresholds_are_those_of_the_parameters(change: Callable[..., Params]) -> None:
    track = track_of(hopping(300, 100, 199, 3.0))
    assert len(spans(track, change().stops)) == 1
    for key, value in (("flicker_top_cm", 3.5), ("flicker_mean_cm", 3.5)):
        assert spans(track, change(**{f"stops.{key}": value}).stops) == []
    assert len(spans(track, change(**{"stops.flicker_window_frames": 9}).stops)) >= 1


def test_flicker_is_counted_by_stretches_where_there_is_a_position(params: Params) -> None:
    x_cm = resting(300)
    x_cm[100:200:2] += 6
    x_cm[120] = NAN
    track = track_of(x_cm)
    assert spans(track, params.stops) == [(100, 198)]
    counts = count_flicker(track, found(track, params.stops), np.array([0, 50, 150, 300]))
    assert counts.tolist() == [0, 49, 49]


# ---- Stops -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cm", [2.0, 4.0, 8.0, 12.0])
def test_flicker_cuts_a_stop_and_bridging_it_makes_it_one(change: Callable[..., Params], cm: float) -> None:
    """100 s at rest, of which ten times 5 s flicker."""
    x_cm = np.concatenate([hopping(300, 100, 249, cm, seed=seed) for seed in range(10)])
    cut, counts = find_stops(track_of(x_cm), change().stops)
    whole, counts_bridged = find_stops(track_of(x_cm), change(**{"stops.max_flicker_frames": 9000}).stops)
    assert len(cut.first) >= 11
    assert (whole.first.tolist(), whole.last.tolist()) == ([3], [2996])
    for found_counts in (counts, counts_bridged):
        assert (found_counts["n_stops_flicker_0"], found_counts["n_stops_flicker_9000"]) == (len(cut.first), 1)
        assert found_counts["stopped_s_flicker_9000"] == pytest.approx(2994 / 30)
        assert found_counts["stopped_s_flicker_0"] == pytest.approx(float((cut.last - cut.first + 1).sum()) / 30)


def test_flicker_longer_than_the_limit_is_not_bridged(change: Callable[..., Params]) -> None:
    x_cm = np.concatenate([hopping(300, 100, 159, 6), hopping(300, 100, 249, 6, seed=1)])
    n_stops = [
        len(find_stops(track_of(x_cm), change(**{"stops.max_flicker_frames": n}).stops)[0].first)
        for n in (0, 59, 60, 149, 150)
    ]
    assert n_stops == [3, 3, 2, 2, 1]


def test_flicker_that_ends_elsewhere_is_not_bridged(change: Callable[..., Params]) -> None:
    """The mouse is 5 cm away when its centre comes to rest: what lies between is no rest."""
    x_cm = hopping(300, 100, 199, 8)
    x_cm[200:] += 5
    assert len(find_stops(track_of(x_cm), change(**{"stops.max_flicker_frames": 9000}).stops)[0].first) == 2


def test_what_is_tried_leaves_no_trace(change: Callable[..., Params]) -> None:
    """Stops and counts with flicker left as it is are those of a program that knows no bridging."""
    x_cm = hopping(900, 200, 700, 6)
    x_cm[300:350], x_cm[750:800] = NAN, NAN
    plain = find_stops(track_of(x_cm), change().stops, flicker=Gaps(*(np.empty(0, np.int64),) * 2, np.empty(0)))
    track = track_of(x_cm)
    bouts, counts = find_stops(track, change().stops)
    assert [a.tolist() for a in (bouts.first, bouts.last, bouts.x_px)] == [
        a.tolist() for a in (plain[0].first, plain[0].last, plain[0].x_px)
    ]
    others = {key: value for key, value in counts.items() if "flicker" not in key}
    assert others == {key: value for key, value in plain[1].items() if "flicker" not in key}
    assert counts["n_stops_flicker_9000"] < counts["n_stops_flicker_0"]


def test_places_of_the_largest_numbers_are_no_obstacle(params: Params) -> None:
    track = track_of(resting(100))
    track.x_px[::2] = 1e308
    assert len(spans(track, params.stops)) == 1
