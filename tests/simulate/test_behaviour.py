"""Mice that do what was planted."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from lmtcnn.core.params import Params
from lmtcnn.core.sections import SimulateParams
from lmtcnn.simulate import behaviour, truth
from lmtcnn.simulate.behaviour import TRACKING, Mouse, Plan, Recording
from lmtcnn.simulate.truth import FPS


@pytest.fixture(scope="module")
def simulate(params: Params) -> SimulateParams:
    """Four cages of six compressed hours."""
    return params.simulate.model_copy(update={"cages": 4, "hours": 6, "seconds_per_hour": 60.0})


def planted(simulate: SimulateParams, recording: Recording, animal: int = 1) -> tuple[Mouse, Plan]:
    mouse = behaviour.mouse(simulate, recording, animal)
    return mouse, behaviour.plan(simulate, recording, mouse)


def detect(places_cm: NDArray[np.float64]) -> NDArray[np.int64]:
    """Stops (n, 2), first frame and last frame exclusive: at most 5 cm/s over six frames, for at least 1 s."""
    moved = np.linalg.norm(places_cm[6:] - places_cm[:-6], axis=1) / (6 / FPS)
    still = np.concatenate([[False] * 3, moved <= 5.0, [False] * 3])
    edges = np.flatnonzero(np.diff(still, prepend=False, append=False)).reshape(-1, 2)
    return edges[edges[:, 1] - edges[:, 0] >= FPS]


def test_a_detector_finds_the_planted_stops_and_no_others(simulate: SimulateParams) -> None:
    for recording in behaviour.recordings(simulate):
        mouse, plan = planted(simulate, recording)
        places, _ = behaviour.path(plan, 0, behaviour.n_frames(simulate))
        rng = behaviour.mouse_stream(simulate, recording, 1, TRACKING)
        noisy = places + mouse.jitter_px / truth.PX_PER_CM * behaviour.jitter(rng, len(places))
        found = detect(noisy)
        inner = slice(1, -1)  # speed is undefined at both ends of a recording
        assert len(found) == len(plan.start)
        np.testing.assert_allclose(found[inner, 0], plan.start[inner], atol=12)
        np.testing.assert_allclose(found[inner, 1], plan.end[inner], atol=12)
        middle = np.array([noisy[a:b].mean(axis=0) for a, b in found])
        np.testing.assert_allclose(middle, plan.place_cm, atol=0.5)


def test_stops_follow_each_other_and_last_a_second_at_least(simulate: SimulateParams) -> None:
    _, plan = planted(simulate, behaviour.recordings(simulate)[0])
    assert plan.start[0] == 0
    assert plan.end[-1] == behaviour.n_frames(simulate)
    assert np.all(plan.end[:-1] - plan.start[:-1] >= FPS)
    assert np.all(plan.start[1:] - plan.end[:-1] >= FPS // 3)


def test_a_path_stays_on_the_floor_and_is_slower_than_a_flicker(simulate: SimulateParams) -> None:
    _, plan = planted(simulate, behaviour.recordings(simulate)[1])
    places, heading = behaviour.path(plan, 0, behaviour.n_frames(simulate))
    assert places.min() >= behaviour.MARGIN_CM
    assert np.all(places <= np.array(truth.FLOOR_CM) - behaviour.MARGIN_CM)
    step = np.linalg.norm(np.diff(places, axis=0), axis=1) * FPS
    assert 25 < np.percentile(step, 99) < step.max() < 90
    np.testing.assert_allclose(np.linalg.norm(heading, axis=1), 1)


def test_a_path_is_the_same_in_pieces(simulate: SimulateParams) -> None:
    _, plan = planted(simulate, behaviour.recordings(simulate)[0])
    whole, _ = behaviour.path(plan, 0, 3000)
    parts = [behaviour.path(plan, a, a + 1000)[0] for a in (0, 1000, 2000)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


@pytest.mark.parametrize(("sex", "age"), [("F", "adult"), ("M", "adult"), ("M", "juvenile")])
def test_without_effect_a_mouse_does_the_same_whatever_its_class(simulate: SimulateParams, sex: str, age: str) -> None:
    none = simulate.model_copy(update={"effect": 0.0})
    recording = behaviour.recordings(none)[0]  # of juvenile females
    other = replace(recording, sex=sex)
    index = behaviour.AGES.index(age)
    if age != recording.age:  # the streams are those of an age: compare within it
        recording = behaviour.recordings(none)[index]
        other = replace(recording, sex=sex)
    one, two = planted(none, recording)[1], planted(none, other)[1]
    np.testing.assert_array_equal(one.start, two.start)
    np.testing.assert_allclose(one.place_cm, two.place_cm, atol=1e-9)


def test_with_effect_it_does_not(simulate: SimulateParams) -> None:
    recording = behaviour.recordings(simulate)[0]
    one, two = planted(simulate, recording)[1], planted(simulate, replace(recording, sex="M"))[1]
    assert len(one.start) != len(two.start) or not np.allclose(one.place_cm, two.place_cm)


def test_tracking_noise_is_drawn_alike_for_every_class(simulate: SimulateParams) -> None:
    for recording in behaviour.recordings(simulate):
        one = behaviour.mouse(simulate, recording, 2)
        two = behaviour.mouse(simulate, replace(recording, sex="M" if recording.sex == "F" else "F"), 2)
        assert (one.jitter_px, one.identified) == (two.jitter_px, two.identified)
        assert 0.1 <= one.jitter_px <= 0.4


def test_jitter_has_the_stated_deviation_and_lasts_from_frame_to_frame() -> None:
    noise = behaviour.jitter(np.random.default_rng(0), 200_000)
    assert noise.std() == pytest.approx(1, abs=0.02)
    assert np.corrcoef(noise[:-1, 0], noise[1:, 0])[0, 1] == pytest.approx(0.75, abs=0.02)


def test_identity_comes_in_runs_of_237_to_630_frames_for_93_to_97_percent(simulate: SimulateParams) -> None:
    recording, frames = behaviour.recordings(simulate)[0], 1_000_000
    mouse = behaviour.mouse(simulate, recording, 1)
    edges = behaviour.identity_edges(np.random.default_rng(0), mouse, frames)
    runs, gaps = np.diff(edges)[1::2], np.diff(edges)[0::2]
    assert runs.min() >= 237
    assert runs.max() <= 630
    assert gaps.min() >= 1
    assert edges[-1] > frames
    assert runs.sum() / (runs.sum() + gaps.sum()) == pytest.approx(mouse.identified, abs=0.005)
    assert 0.93 <= mouse.identified <= 0.97


def test_in_real_time_a_mouse_moves_a_fifth_of_the_time_and_stops_some_hundred_times_an_hour(params: Params) -> None:
    real = params.simulate.model_copy(update={"hours": 24, "seconds_per_hour": 3600.0, "cages": 4})
    shares, stops = [], []
    for recording in behaviour.recordings(real):
        _, plan = planted(real, recording)
        runs = plan.start[1:] - plan.end[:-1]
        shares.append(0.8 * runs.sum() / behaviour.n_frames(real))  # a run is above 5 cm/s for some 80 % of its frames
        stops.append(np.bincount(plan.start // (3600 * FPS), minlength=24))
    assert 0.17 < np.mean(shares) < 0.23
    assert np.mean(stops) * 72 > 20_000
    assert 300 < np.mean(stops) < 1000
    assert np.max(stops) < 1100


def test_a_mouse_keeps_its_rfid_and_cages_alternate_in_sex(simulate: SimulateParams) -> None:
    cohort = behaviour.recordings(simulate)
    assert [r.name for r in cohort[:3]] == ["cage01_juvenile", "cage01_adult", "cage02_juvenile"]
    assert [r.sex for r in cohort] == ["F", "F", "M", "M"] * 2
    rfids = [behaviour.rfid(simulate, r, animal) for r in cohort for animal in range(1, 5)]
    assert rfids[:4] == rfids[4:8]
    assert len(set(rfids)) == 16
    assert all(len(rfid) == 15 and rfid.isdecimal() for rfid in rfids)
    assert all(12.5 <= r.start_clock_h <= 15.5 for r in cohort)


def test_juvenile_males_of_a_cage_are_spread_over_the_way_from_juvenile_females_to_adult_males(
    simulate: SimulateParams,
) -> None:
    juveniles = behaviour.recordings(simulate)[2]
    shares = sorted(behaviour.mouse(simulate, juveniles, animal).share for animal in range(1, 5))
    assert [int(4 * (share - 0.2) / 0.8) for share in shares] == [0, 1, 2, 3]


def test_adding_a_cage_changes_no_other_mouse(simulate: SimulateParams) -> None:
    more = simulate.model_copy(update={"cages": 5})
    one, two = (planted(s, behaviour.recordings(s)[3], 4)[1] for s in (simulate, more))
    np.testing.assert_array_equal(one.place_cm, two.place_cm)


# ---- Mates, leaks and layouts ----------------------------------------------------------------------------------------


def rests_apart_cm(simulate: SimulateParams) -> float:
    """Median distance between rests that two mates take in one hour, over the hours of all recordings."""
    found = []
    for recording in behaviour.recordings(simulate):
        plans = [planted(simulate, recording, animal)[1] for animal in (1, 2)]
        rests = [(plan.end - plan.start) >= behaviour.REST_FLOOR_S / 2 * FPS for plan in plans]
        hours = [(plan.start / (simulate.seconds_per_hour * FPS)).astype(int) for plan in plans]
        for hour in range(simulate.hours):
            here = [p.place_cm[r & (h == hour)] for p, r, h in zip(plans, rests, hours, strict=True)]
            found += np.linalg.norm(here[0][:, None] - here[1], axis=-1).ravel().tolist()
    return float(np.median(found))


def test_mates_that_huddle_rest_at_one_place(simulate: SimulateParams) -> None:
    still = {"animal_effect": 0.0, "effect": 0.0}
    apart, together = (
        rests_apart_cm(simulate.model_copy(update={**still, "huddling": huddling})) for huddling in (0.0, 1.0)
    )
    assert together < 3 < apart


def test_huddling_leaves_each_mouse_its_own_map(simulate: SimulateParams) -> None:
    longer = simulate.model_copy(update={"hours": 300, "seconds_per_hour": 60.0, "cages": 1})
    shares = []
    for huddling in (0.0, 1.0):
        some = longer.model_copy(update={"huddling": huddling})
        _, plan = planted(some, behaviour.recordings(some)[0])
        rests = plan.place_cm[(plan.end - plan.start) >= behaviour.REST_FLOOR_S * FPS]
        shares.append((rests[:, 1] < 25).mean())  # dome and right corner, and not the nest
    assert shares[0] == pytest.approx(shares[1], abs=0.12)


def test_in_place_alone_the_times_of_stops_know_nothing_of_the_class(simulate: SimulateParams) -> None:
    recording = behaviour.recordings(simulate)[1]
    place = simulate.model_copy(update={"effect_in": "place", "hours": 1, "seconds_per_hour": 600.0})
    one, two = (planted(place, replace(recording, sex=sex))[1] for sex in "FM")
    assert not np.allclose(one.place_cm, two.place_cm)
    first = slice(0, 80)  # the runs before them are rounded up to frames
    np.testing.assert_allclose(np.diff(one.end)[first], np.diff(two.end)[first], atol=2)


@pytest.mark.parametrize("leak", ["quality", "clock", "counts"])
def test_a_leak_changes_what_it_is_about_and_nothing_else(simulate: SimulateParams, leak: str) -> None:
    none, leaking = (simulate.model_copy(update={"effect": 0.0, "leak": each}) for each in ("none", leak))
    plain, other = (behaviour.recordings(each)[3] for each in (none, leaking))
    (mouse, plan), (leaky, changed) = planted(none, plain), planted(leaking, other)
    assert (mouse.identified != leaky.identified) == (leak == "quality")
    assert (plain.start_ms != other.start_ms) == (leak == "clock")
    if leak == "quality":
        np.testing.assert_array_equal(plan.place_cm, changed.place_cm)
    assert mouse.jitter_px == leaky.jitter_px


def test_a_mirrored_cage_has_mirrored_stops(simulate: SimulateParams) -> None:
    mirrored = simulate.model_copy(update={"layout": "mirrored"})
    means = [planted(each, behaviour.recordings(each)[1])[1].place_cm.mean(axis=0) for each in (simulate, mirrored)]
    assert means[0][0] + means[1][0] == pytest.approx(truth.FLOOR_CM[0], abs=6)
