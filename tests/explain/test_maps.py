"""Mean maps, their differences and crosses, against what one computes by hand."""

import numpy as np
import pytest
import torch

from lmtcnn.explain import maps as module
from lmtcnn.explain.maps import ClassMaps, crosses_of, share_inside, top_tiles
from lmtcnn.train.model import StereotypeCNN, initialise


def class_maps(network: StereotypeCNN, stacks: np.ndarray, *settings: object) -> ClassMaps:
    """Maps of one network that is shown all samples."""
    return module.class_maps([(np.arange(len(stacks)), network)], stacks, *settings)


def identity(intervals: int = 2, tiles: int = 6, sign: float = 1.0) -> StereotypeCNN:
    """One channel that adds up the stops of all intervals, tile by tile (times `sign`)."""
    network = StereotypeCNN(1, intervals, tiles, classes=2, kernels=(1,), channels=1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.branch1.weight.fill_(sign)
    return network


def random_network() -> StereotypeCNN:
    network = StereotypeCNN(1, 2, 6, classes=2, kernels=(3, 5), channels=2)
    initialise(network, 0)
    return network


def random_stacks(samples: int = 10) -> np.ndarray:
    return np.random.default_rng(0).poisson(2, (samples, 2, 6, 6))


def test_a_channel_that_adds_up_stops_shows_the_mean_histogram_of_each_class():
    stacks, codes = random_stacks(6), np.array([0, 0, 1, 1, 1, 0])
    maps = class_maps(identity(), stacks, codes, 2, "none")
    for code in (0, 1):
        expected = stacks[codes == code].sum(axis=1).mean(axis=0)
        np.testing.assert_allclose(maps.means[code, 0], expected, rtol=1e-6)
    assert maps.counts.tolist() == [3, 3]


def test_maps_are_taken_after_relu_and_after_the_transform():
    stacks, codes = random_stacks(4), np.array([0, 0, 1, 1])
    assert not class_maps(identity(sign=-1.0), stacks, codes, 2, "none").means.any()
    logged = class_maps(identity(), stacks, codes, 2, "log1p").means[0, 0]
    np.testing.assert_allclose(logged, np.log1p(stacks[:2]).sum(axis=1).mean(axis=0), rtol=1e-6)


def test_stops_moved_by_a_tile_move_their_map_by_a_tile():
    """Away from the walls, where the padding is another surrounding."""
    stacks = np.zeros((1, 2, 12, 12), dtype=np.uint16)
    stacks[0, :, 5, 4] = 3
    network = StereotypeCNN(1, 2, 12, classes=2, kernels=(3,), channels=2)
    initialise(network, 0)
    before = class_maps(network, stacks, np.array([0]), 1, "none").means
    after = class_maps(network, np.roll(stacks, (1, 2), axis=(2, 3)), np.array([0]), 1, "none").means
    np.testing.assert_allclose(after, np.roll(before, (1, 2), axis=(2, 3)), atol=1e-6)
    assert not np.allclose(after, before)


def test_neither_batches_nor_the_order_of_samples_change_the_maps(monkeypatch):
    stacks, codes = random_stacks(), np.arange(10) % 2
    whole = class_maps(random_network(), stacks, codes, 2, "none")
    order = np.random.default_rng(1).permutation(10)
    monkeypatch.setattr(module, "BATCH", 3)
    pieces = class_maps(random_network(), stacks[order], codes[order], 2, "none")
    for one, other in zip(whole, pieces, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_channels_are_numbered_kernel_by_kernel():
    """A network whose second kernel is dead has activations in the first two of four channels only."""
    network = random_network()
    with torch.no_grad():
        network.branch5.weight.zero_()
        network.branch5.bias.fill_(-1)
    alive = class_maps(network, random_stacks(), np.zeros(10, dtype=np.int64), 1, "none").means[0].any(axis=(1, 2))
    assert alive.tolist() == [True, True, False, False]


def test_difference_is_1_where_mice_of_a_class_are_alike_and_0_where_classes_are():
    wild, mutant = random_stacks(2)
    apart = class_maps(identity(), np.stack([wild, wild, mutant, mutant]), np.array([0, 0, 1, 1]), 2, "none")
    alike = class_maps(identity(), np.stack([wild, mutant, wild, mutant]), np.array([0, 0, 1, 1]), 2, "none")
    nothing = class_maps(identity(), np.stack([wild, wild]), np.array([0, 1]), 2, "none")
    assert apart.difference == pytest.approx([1])
    assert alike.difference == pytest.approx([0])
    assert nothing.difference.tolist() == [0]


def test_difference_is_the_share_of_variance_one_computes_by_hand():
    """One tile; class a has 0 and 2 stops, class b 4 and 6: between 4 * 2^2, in all 9 + 1 + 1 + 9."""
    network = StereotypeCNN(1, 1, 1, classes=2, kernels=(1,), channels=1, pool=1)
    with torch.no_grad():
        network.branch1.weight.fill_(1)
        network.branch1.bias.zero_()
    stacks = np.array([0, 2, 4, 6]).reshape(4, 1, 1, 1)
    assert class_maps(network, stacks, np.array([0, 0, 1, 1]), 2, "none").difference == pytest.approx([16 / 20])


def test_a_class_without_samples_has_no_map_and_counts_in_no_mean():
    maps = class_maps(identity(), random_stacks(4), np.array([0, 0, 2, 2]), 3, "none")
    assert np.isnan(maps.means[1]).all()
    np.testing.assert_allclose(maps.departures[0], (maps.means[0] - maps.means[2]) / 2)
    np.testing.assert_allclose(maps.departures[2], -maps.departures[0])


def test_maps_are_shown_as_departures_or_as_they_are():
    maps = class_maps(identity(), random_stacks(4), np.array([0, 0, 1, 1]), 2, "none")
    np.testing.assert_array_equal(maps.shown("raw"), maps.means)
    np.testing.assert_allclose(maps.shown("difference").sum(axis=0), 0, atol=1e-12)


def test_each_sample_is_shown_to_its_own_network():
    stacks, codes = random_stacks(4), np.array([0, 1, 0, 1])
    parts = [(np.array([0, 1]), identity()), (np.array([2, 3]), identity(sign=2.0))]
    found = module.class_maps(parts, stacks, codes, 2, "none").means[:, 0]
    sums = stacks.sum(axis=1)
    np.testing.assert_allclose(found, (sums[:2] + 2 * sums[2:]) / 2, rtol=1e-6)


def test_crosses_are_signed_and_those_of_each_class():
    departures = np.zeros((2, 10, 10))
    departures[0, 1, 2], departures[0, 8, 8] = -3, 1
    found = crosses_of(departures, ["a", "b"])
    assert found == [("a", 1, 2, -3.0), ("a", 8, 8, 1.0)]
    inside = np.zeros((10, 10), dtype=bool)
    inside[:5] = True
    assert share_inside(departures[:, None], ["a", "b"], inside) == 0.5
    assert share_inside(0 * departures[:, None], ["a", "b"], inside) is None


def test_crosses_keep_their_distance_and_ties_go_to_the_upper_left():
    values = np.zeros((10, 10))
    values[0, 0], values[0, 3], values[0, 4], values[9, 9] = 5, 4, 3, 1
    assert top_tiles(values, n=3, spacing=4) == [(0, 0), (0, 4), (9, 9)]
    assert top_tiles(np.ones((6, 6)), n=2, spacing=3) == [(0, 0), (0, 3)]
    assert top_tiles(np.zeros((6, 6))) == []


def test_maps_may_be_of_any_layer():
    stacks, codes = random_stacks(4), np.array([0, 0, 1, 1])
    counts = stacks.sum(axis=1)
    before = class_maps(identity(sign=-1.0), stacks, codes, 2, "none", "conv").means
    np.testing.assert_allclose(before[0, 0], -counts[:2].mean(axis=0), rtol=1e-6)
    pooled = class_maps(identity(), stacks, codes, 2, "none", "pool").means
    largest = counts.reshape(4, 3, 2, 3, 2).max(axis=(2, 4))
    np.testing.assert_allclose(pooled[1, 0], largest[2:].mean(axis=0), rtol=1e-6)
