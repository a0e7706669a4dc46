"""What the networks use: asked of held-out networks only, averaged by cage, and turned with the cage."""

import numpy as np
import pytest
import torch

from lmtcnn.explain.attributions import Attribution, attribute
from lmtcnn.explain.used import agreeing_cages, cage_mean, held_out_attributions, smooth_places, used
from lmtcnn.train.model import Samples, StereotypeCNN, initialise, select

CAGES = np.array(["c1", "c1", "c2", "c2", "c3", "c3"])
OF_CLASS = np.array(["A", "B", "A", "B", "A", "B"])


def networks(members: int, seed: int) -> StereotypeCNN:
    made = StereotypeCNN(members, intervals=4, tiles=6, classes=2, kernels=(1, 3), channels=2)
    initialise(made, seed)
    with torch.no_grad():
        for values in made.parameters():
            values.add_(0.05 * torch.rand(values.shape, generator=torch.Generator().manual_seed(seed)))
    return made


def samples(seed: int = 0) -> Samples:
    counts = np.random.default_rng(seed).poisson(0.8, (6, 4, 6, 6)).astype(np.uint16)
    return Samples(counts, "none", torch.device("cpu"))


def found(cages: tuple[str, ...] = ("c1", "c2", "c3")) -> Attribution:
    asked = [(cage, networks(2, number)) for number, cage in enumerate(cages)]
    return held_out_attributions(asked, samples(), CAGES)


def test_each_sample_is_asked_of_the_networks_of_its_own_cage_averaged_over_seeds() -> None:
    whole = found()
    for number, cage in enumerate(("c1", "c2", "c3")):
        rows = np.flatnonzero(cage == CAGES)
        each = [attribute(select(networks(2, number), [member]), samples()[rows]).places for member in (0, 1)]
        np.testing.assert_allclose(whole.places[rows], np.mean(each, axis=0), atol=1e-9)


def test_samples_without_networks_are_not_told_and_count_in_no_mean() -> None:
    part = found(("c1", "c3"))
    assert np.isnan(part.gap[2:4]).all()
    told = used(part, ["A", "B"], OF_CLASS, CAGES)
    assert all(np.isfinite(each.places).all() for each in told)
    with pytest.raises(ValueError, match="no networks"):
        held_out_attributions([], samples(), CAGES)


def test_separation_sums_to_the_gap_of_logits_and_direction_is_the_mean_of_both_classes() -> None:
    whole = found()
    direction, separation = used(whole, ["A", "B"], OF_CLASS, CAGES)
    assert (direction.kind, separation.kind) == ("direction", "separation")
    gap = whole.gap[:, 0] - whole.gap[:, 1]
    assert separation.total == pytest.approx(separation.hours.sum(), abs=1e-5)
    assert separation.total == pytest.approx(gap[OF_CLASS == "A"].mean() - gap[OF_CLASS == "B"].mean(), abs=1e-5)
    assert separation.gap == pytest.approx(separation.total, abs=1e-5)
    places = whole.places[:, 0] - whole.places[:, 1]
    np.testing.assert_allclose(direction.places, places.mean(axis=0), atol=1e-9)


def test_classes_that_change_places_change_signs() -> None:
    whole = found()
    one = used(whole, ["A", "B"], OF_CLASS, CAGES)[1]
    turned = Attribution(*(values[:, ::-1] for values in whole))
    other = used(turned, ["B", "A"], OF_CLASS, CAGES)[1]
    assert (other.a, other.b) == ("B", "A")
    np.testing.assert_allclose(other.hours, one.hours)  # b less a of the difference of logits b less a
    direction = used(turned, ["B", "A"], OF_CLASS, CAGES)[0]
    np.testing.assert_allclose(direction.places, -used(whole, ["A", "B"], OF_CLASS, CAGES)[0].places)


def test_a_class_without_samples_is_of_no_pair() -> None:
    assert used(found(), ["A", "B"], np.full(6, "A"), CAGES) == []
    assert smooth_places([], 1.5) == []


def test_means_are_of_cages() -> None:
    values = np.array([0.0, 2.0, 5.0])
    cages = np.array(["x", "x", "y"])
    assert cage_mean(values, np.ones(3, dtype=bool), cages) == 3


def test_smoothed_maps_have_the_same_sum() -> None:
    told = used(found(), ["A", "B"], OF_CLASS, CAGES)
    for one, smooth in zip(told, smooth_places(told, 1.5), strict=True):
        assert smooth.places.sum() == pytest.approx(one.places.sum(), abs=1e-9)
        assert smooth.places.std() < one.places.std()


def test_cages_agree_that_have_the_sign_of_the_mean() -> None:
    places = np.zeros((6, 2, 2, 2))
    places[:, 0, 0, 0] = [1, 1, 1, 1, -1, -1]
    whole = Attribution(places, np.zeros((6, 2, 1)), np.zeros((6, 2)), np.full((6, 2), 0.5))
    mask = np.array([[True, False], [False, False]])
    every = np.ones(6, dtype=bool)
    assert agreeing_cages(whole, mask, 0, 1, every, CAGES) == pytest.approx(2 / 3)
    assert agreeing_cages(whole, mask, 1, 0, every, CAGES) == pytest.approx(2 / 3)
