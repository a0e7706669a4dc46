"""Doubt about new animals: far from the training cohort, another layout, and the set of classes."""

from dataclasses import replace

import numpy as np
import pytest

from lmtcnn.bundle.doubt import (
    LAYOUTS,
    Reference,
    better_layout,
    class_set,
    distances,
    doubts_of,
    far_words,
    layout_words,
    reference,
    roots_of,
    set_level,
)

TILES = 12
SMOOTHING = 1.5
CAGES = ["a", "a", "b", "b", "c", "c"]


def stacks(seed: int, samples: int = 6, n: int = 2000) -> np.ndarray:
    """Stops of one layout without symmetry, a little different in each sample."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:TILES, :TILES]
    spots = [(2, 2, 1.0), (9, 4, 0.6), (5, 10, 0.3)]
    weights = 0.002 + sum(w * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 2) for y, x, w in spots)
    made = []
    for _ in range(samples):
        own = weights * np.exp(rng.normal(0, 0.2, weights.shape))
        made.append(rng.multinomial(n, (own / own.sum()).ravel()).reshape(1, TILES, TILES))
    return np.array(made)


KNOWN = reference(stacks(0), CAGES, SMOOTHING)


def test_new_animals_of_the_same_layout_are_near_and_none_is_its_own_measure() -> None:
    found = distances(roots_of(stacks(1), SMOOTHING), KNOWN)
    assert KNOWN.farthest is not None
    assert (found < 1.5 * KNOWN.farthest).all()
    np.testing.assert_allclose(distances(roots_of(stacks(0), SMOOTHING), KNOWN), 0, atol=1e-6)
    assert far_words(KNOWN.farthest, KNOWN) == []


def test_the_limit_is_the_largest_distance_to_the_nearest_sample_of_another_cage() -> None:
    roots = roots_of(stacks(0), SMOOTHING).reshape(6, -1)
    expected = max(min(1 - roots[i] @ roots[j] for j in range(6) if CAGES[i] != CAGES[j]) for i in range(6))
    assert pytest.approx(expected, abs=1e-6) == KNOWN.farthest


@pytest.mark.parametrize("layout", LAYOUTS)
def test_another_layout_is_far_and_told_by_the_way_back(layout: str) -> None:
    maps = roots_of(stacks(2), SMOOTHING)
    turned = np.ascontiguousarray(LAYOUTS[layout](maps))
    assert (distances(turned, KNOWN) > 3 * KNOWN.farthest).all()
    back = better_layout(turned, KNOWN)
    assert back is not None
    np.testing.assert_array_equal(LAYOUTS[back](turned), maps)
    assert "compare the arena" in layout_words(back)[0]


def test_a_recording_that_fits_as_it_is_has_no_better_layout() -> None:
    assert better_layout(roots_of(stacks(3), SMOOTHING), KNOWN) is None
    assert layout_words(None) == []


def test_walkers_everywhere_are_far_and_no_layout_is_theirs() -> None:
    rng = np.random.default_rng(4)
    everywhere = rng.multinomial(2000, np.full(TILES**2, 1 / TILES**2), size=4).reshape(4, 1, TILES, TILES)
    found = distances(roots_of(everywhere, SMOOTHING), KNOWN)
    assert (found > KNOWN.farthest).all()
    assert far_words(float(found[0]), KNOWN)[0].startswith("its stops lie elsewhere than those of the training cohort")
    assert better_layout(roots_of(everywhere, SMOOTHING), KNOWN) is None


def test_few_stops_are_no_other_place() -> None:
    rng = np.random.default_rng(5)
    half = rng.binomial(stacks(6), 0.5)
    assert not any(far_words(float(d) / 1.5, KNOWN) for d in distances(roots_of(half, SMOOTHING), KNOWN))


def test_a_sample_without_a_stop_is_as_far_as_can_be() -> None:
    assert distances(roots_of(np.zeros((1, 1, TILES, TILES)), SMOOTHING), KNOWN).tolist() == [1.0]


def test_a_cohort_of_one_cage_has_no_limit() -> None:
    alone = reference(stacks(0), ["a"] * 6, SMOOTHING)
    assert alone.farthest is None
    assert far_words(1.0, alone) == []
    assert isinstance(alone, Reference)


def test_a_training_sample_without_a_stop_has_no_say_in_the_limit() -> None:
    known = reference(np.concatenate([stacks(0), np.zeros((1, 1, TILES, TILES), int)]), [*CAGES, "d"], SMOOTHING)
    assert known.farthest == KNOWN.farthest
    assert known.roots.shape == (7, TILES, TILES)
    np.testing.assert_array_equal(
        distances(roots_of(stacks(1), SMOOTHING), known), distances(roots_of(stacks(1), SMOOTHING), KNOWN)
    )


def test_animals_of_a_recording_are_judged_one_by_one_and_turned_together() -> None:
    as_they_are, mirrored = stacks(1, samples=4), np.ascontiguousarray(stacks(1, samples=4)[..., ::-1])
    limit = replace(KNOWN, farthest=0.2)
    found = doubts_of(iter(as_they_are), limit)
    assert [distance for distance, _ in found] == distances(roots_of(as_they_are, SMOOTHING), limit).tolist()
    assert [words for _, words in found] == [[]] * 4
    turned = doubts_of(iter(mirrored), limit)
    assert all(words[0].startswith("the recording fits the training cohort better mirrored") for _, words in turned)
    assert all(words[1:] == far_words(distance, limit) != [] for distance, words in turned)
    assert doubts_of(iter(()), KNOWN) == []


def test_maps_are_smoothed_as_those_of_the_training_cohort() -> None:
    sharp = reference(stacks(0), CAGES, 0.0)
    ((distance, _),) = doubts_of(stacks(1, samples=1), sharp)
    assert distance == distances(roots_of(stacks(1, samples=1), 0.0), sharp)[0]
    assert distance > distances(roots_of(stacks(1, samples=1), SMOOTHING), KNOWN)[0]


def test_the_level_is_the_weighted_quantile_by_cage() -> None:
    p = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05]
    assert set_level(p, [f"c{i}" for i in range(10)]) == pytest.approx(0.05)  # 10 of 11 parts are needed
    assert set_level(p[:9], [f"c{i}" for i in range(9)]) == pytest.approx(0.1)
    assert set_level(p[:8], [f"c{i}" for i in range(8)]) == 0.0
    many = np.repeat([0.9, 0.1], [19, 1]).tolist()
    assert set_level(many, [f"c{i}" for i in range(20)]) == pytest.approx(0.9)
    crowded = ["full"] * 19 + [f"c{i}" for i in range(1)]
    assert set_level(many, crowded, coverage=0.6) == pytest.approx(0.1)  # each of two cages counts a third


def test_sets_hold_the_truth_as_often_as_they_say_in_new_cages() -> None:
    rng = np.random.default_rng(7)
    hits = []
    for _ in range(400):
        quality = rng.normal(1.0, 1.0, 13)[:, None]  # cages differ in how well their mice are told
        p = 1 / (1 + np.exp(-(quality + rng.normal(0, 1, (13, 8)))))
        level = set_level(p[:12].ravel().tolist(), np.repeat(np.arange(12), 8).astype(str).tolist())
        hits.append((p[12] >= level).mean())
    assert 0.88 <= np.mean(hits) <= 0.97


def test_a_set_holds_the_classes_that_reach_the_level_and_always_the_best() -> None:
    p = {"AM": 0.5, "JM": 0.3, "AF": 0.15, "JF": 0.05}
    assert class_set(p, 0.15) == ["AM", "JM", "AF"]
    assert class_set(p, 0.9) == ["AM"]
    assert class_set(p, 0.0) == ["AM", "JM", "AF", "JF"]
