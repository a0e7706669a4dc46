"""What classes are expected to do, against what mice do."""

import json

import numpy as np
import pytest
from numpy.typing import NDArray

from lmtcnn.core.params import Params
from lmtcnn.core.sections import SimulateParams
from lmtcnn.simulate import behaviour, expected, truth

CLASSES = list(truth.CLASSES.values())


def of(params: Params, **values: object) -> SimulateParams:
    return params.simulate.model_copy(update=values)


def simulated(simulate: SimulateParams, name: str) -> NDArray[np.float64]:
    """Shares of the stops of a class by clock hour and tile, from the third hour on: (24, 10, 10)."""
    counts = np.zeros((24, 10, 10))
    for recording in behaviour.recordings(simulate):
        if recording.class_name == name:
            hours = behaviour.clock_hours(simulate, recording)
            for animal in range(1, 5):
                plan = behaviour.plan(simulate, recording, behaviour.mouse(simulate, recording, animal))
                hour = (plan.start / (simulate.seconds_per_hour * truth.FPS)).astype(int)
                column, row = (plan.place_cm / np.array(truth.FLOOR_CM) * 10).astype(int).T
                late = (hour >= 3) & (hour < 27)
                np.add.at(counts, (hours[hour[late]], row[late], column[late]), 1)
    return counts / counts.sum()


@pytest.mark.parametrize("effect_in", ["both", "place", "time"])
@pytest.mark.parametrize("name", ["AM", "JM"])
def test_mice_of_no_cage_do_what_is_expected(params: Params, effect_in: str, name: str) -> None:
    values = {"cages": 8, "hours": 27, "seconds_per_hour": 600.0, "cage_effect": 0.0, "animal_effect": 0.0}
    simulate = of(params, **values, effect_in=effect_in, nest_shift_cm=0.0)
    found, wanted = simulated(simulate, name), expected.stops(name, simulate, 10)
    np.testing.assert_allclose(found.sum(axis=0), wanted.sum(axis=0), atol=0.012)
    np.testing.assert_allclose(found.sum(axis=(1, 2)), wanted.sum(axis=(1, 2)), atol=0.012)
    by_hour = [counts / counts.sum(axis=(1, 2), keepdims=True) for counts in (found, wanted)]
    assert np.abs(by_hour[0] - by_hour[1]).sum(axis=(1, 2)).mean() / 2 < 0.14  # 5,000 stops are not more exact


def test_an_effect_in_place_alone_leaves_hours_alike(params: Params) -> None:
    each = [expected.stops(name, of(params, effect_in="place")) for name in CLASSES]
    for found in each[1:]:
        np.testing.assert_allclose(found.sum(axis=(1, 2)), each[0].sum(axis=(1, 2)), rtol=1e-9)
        assert np.abs(found.sum(axis=0) - each[0].sum(axis=0)).sum() / 2 > 0.05


def test_an_effect_in_time_alone_leaves_the_map_alike(params: Params) -> None:
    each = [expected.stops(name, of(params, effect_in="time")) for name in CLASSES]
    for found in each[1:]:
        np.testing.assert_allclose(found.sum(axis=0), each[0].sum(axis=0), atol=2e-5)
        assert np.abs(found.sum(axis=(1, 2)) - each[0].sum(axis=(1, 2))).max() > 0.001
    found = expected.truth_of_classes(of(params, effect_in="time"))["difference_by_clock_hour"]["AM AF"]
    assert min(found[hour] for hour in (20, 21, 22, 23, 1, 2, 3, 4)) > 0.2
    assert max(found[hour] for hour in (0, 5, *range(10, 20))) < 0.001


def test_without_effect_classes_differ_in_nothing(params: Params) -> None:
    for effect_in in ("both", "place", "time"):
        found = expected.truth_of_classes(of(params, effect=0.0, effect_in=effect_in))
        assert {value for hours in found["difference_by_clock_hour"].values() for value in hours} == {0.0}
        assert len({str(rates) for rates in found["stops_by_clock_hour"].values()}) == 1


def test_counts_that_leak_are_in_the_truth(params: Params) -> None:
    found = expected.truth_of_classes(of(params, effect=0.0, leak="counts"))
    means = [np.mean(found["stops_by_clock_hour"][name]) for name in CLASSES]
    assert means == sorted(means, reverse=True)
    assert set(found["difference_by_clock_hour"]["AM JF"]) == {0.0}


def test_a_layout_moves_the_expected_map(params: Params) -> None:
    plain, mirrored = (expected.stops("AF", of(params, layout=layout)).sum(axis=0) for layout in ("plain", "mirrored"))
    assert np.abs(plain[:, ::-1] - mirrored).sum() < 0.05
    assert np.abs(plain - mirrored).sum() > 0.5
    uniform = expected.stops("AF", of(params, layout="uniform")).sum(axis=0)
    assert uniform[5:25, 5:25].max() / uniform[5:25, 5:25].min() < 1.5


def test_it_is_plain_json(params: Params) -> None:
    found = expected.truth_of_classes(params.simulate)
    assert json.loads(json.dumps(found)) == found
    assert np.sum(found["share_map_per_mille"]["AM"]) == pytest.approx(1000, abs=0.1)
    assert np.shape(found["share_map_per_mille"]["AM"]) == (30, 30)
    assert np.mean(list(found["stops_by_clock_hour"].values())) == pytest.approx(1, abs=1e-4)
