"""Shares of tiles, smoothed."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from lmtcnn.histograms.shares import gaussian, shares


def test_shares_are_stops_of_all_intervals_over_all_stops() -> None:
    stacks = np.zeros((2, 3, 2, 2), np.uint16)
    stacks[0, 0, 0, 0], stacks[0, 2, 0, 0], stacks[0, 1, 1, 0] = 1, 2, 1
    assert shares(stacks, 0).tolist() == [[[0.75, 0], [0.25, 0]], [[0, 0], [0, 0]]]


def test_when_a_stop_began_means_nothing() -> None:
    stacks = np.random.default_rng(0).poisson(2, (3, 5, 4, 4))
    np.testing.assert_allclose(shares(stacks[:, ::-1], 1.5), shares(stacks, 1.5), rtol=1e-14)


@pytest.mark.parametrize(("tiles", "smoothing"), [(30, 1.5), (10, 1.5), (5, 4.0), (3, 0.4), (1, 1.5)])
def test_smoothing_is_the_usual_gaussian_of_a_mirrored_floor(tiles: int, smoothing: float) -> None:
    counts = np.random.default_rng(1).poisson(3, (1, 1, tiles, tiles)).astype(float) + 1
    expected = gaussian_filter(counts[0, 0] / counts.sum(), smoothing, mode="reflect", truncate=4)
    np.testing.assert_allclose(shares(counts, smoothing)[0], expected, rtol=1e-12)


def test_no_share_leaves_the_floor() -> None:
    corner = np.zeros((1, 1, 30, 30))
    corner[..., 0, 29] = 7
    assert shares(corner, 1.5).sum() == pytest.approx(1)
    np.testing.assert_allclose(gaussian(30, 1.5).sum(axis=0), 1)
    np.testing.assert_allclose(gaussian(30, 1.5).sum(axis=1), 1)


def test_counts_of_sixteen_bits_do_not_run_over() -> None:
    stacks = np.full((1, 4, 1, 2), 60000, np.uint16)
    assert shares(stacks.reshape(1, 8, 1, 1), 0).tolist() == [[[1.0]]]
