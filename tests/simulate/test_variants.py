"""Leaks and layouts."""

import itertools

import numpy as np
import pytest

from lmtcnn.core.params import Params
from lmtcnn.core.sections import SimulateParams
from lmtcnn.simulate import truth, variants

PLACES = np.array([[5.0, 10.0], [40.0, 45.0], [0.0, 60.0]])
W, H = truth.FLOOR_CM


def plain(params: Params, **values: object) -> SimulateParams:
    return params.simulate.model_copy(update=values)


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        ("plain", [[5, 10], [40, 45], [1, H - 1]]),
        ("mirrored", [[W - 5, 10], [W - 40, 45], [W - 1, H - 1]]),
        ("rotated", [[W - 10 * W / H, 5 * H / W], [W - 45 * W / H, 40 * H / W], [1, 1]]),
        ("shifted", [[10, 10], [45, 45], [5, H - 1]]),
        ("uniform", [[W / 2, H / 2], [W / 2, H / 2], [W / 2, H / 2]]),
    ],
)
def test_a_layout_moves_every_place(params: Params, layout: str, expected: list[list[float]]) -> None:
    moved = variants.arrange(plain(params, layout=layout), PLACES, np.zeros((3, 2)))
    np.testing.assert_allclose(moved, expected, atol=1e-9)


def test_uniform_places_fill_the_floor_up_to_the_margin(params: Params) -> None:
    corners = np.array([[-1.0, -1.0], [1.0, 1.0]])
    moved = variants.arrange(plain(params, layout="uniform"), PLACES[:2], corners)
    np.testing.assert_allclose(moved, [[1, 1], [W - 1, H - 1]])


def test_four_quarter_turns_are_none(params: Params) -> None:
    turned, simulate = PLACES[:2], plain(params, layout="rotated")
    for _ in range(4):
        turned = variants.arrange(simulate, turned, np.zeros((2, 2)))
    np.testing.assert_allclose(turned, PLACES[:2])


@pytest.mark.parametrize(
    ("leak", "function", "ranges"),
    [
        ("quality", variants.identified, variants.LEAKING_IDENTIFIED),
        ("clock", variants.start_min, variants.LEAKING_START_MIN),
    ],
)
def test_a_leak_gives_each_class_a_range_of_its_own_and_nothing_else_does(
    params: Params, leak: str, function: object, ranges: dict[str, tuple[float, float]]
) -> None:
    ordered = sorted(ranges.values())
    assert all(one[1] < two[0] for one, two in itertools.pairwise(ordered))
    for name, (low, high) in ranges.items():
        assert low <= function(plain(params, leak=leak), name, 0.5) <= high  # type: ignore[operator]
    for other in {"none", "quality", "clock", "counts"} - {leak}:
        drawn = {function(plain(params, leak=other), name, 0.25) for name in ranges}  # type: ignore[operator]
        assert len(drawn) == 1


def test_starts_of_a_leaking_clock_lie_in_one_clock_hour() -> None:
    assert {minutes // 60 for pair in variants.LEAKING_START_MIN.values() for minutes in pair} == {0}


def test_a_start_lies_within_ninety_minutes(params: Params) -> None:
    found = [variants.start_min(plain(params), "AM", u) for u in (0.0, 0.5, 0.999999)]
    assert found == [-90, 0, 90]


def test_counts_leak_by_the_pace_alone(params: Params) -> None:
    assert len({variants.pace(plain(params, leak="counts"), name) for name in truth.CLASSES.values()}) == 4
    assert {variants.pace(plain(params, leak="clock"), name) for name in truth.CLASSES.values()} == {1.0}


def test_a_nest_lies_as_far_off_as_it_is_told_and_on_the_floor(params: Params) -> None:
    nest = truth.ZONES[truth.ZONE_NAMES.index("nest")].json()
    shift = variants.nest_shift_cm(plain(params, nest_shift_cm=8.0), nest, np.linspace(0, 1, 50))
    np.testing.assert_allclose(np.hypot(*shift.T), 8)
    centre = shift + np.array([nest["x_cm"], nest["y_cm"]])
    assert np.all(centre >= nest["radius_cm"])
    assert np.all(centre <= np.array(truth.FLOOR_CM) - nest["radius_cm"])
    assert np.ptp(shift, axis=0).min() > 6
