"""Where and when classes differ, all pairs and labels together."""

import numpy as np
import polars as pl
import pytest

from cohorts import cohort, stacks
from lmtcnn.explain.daytime import Daytime
from lmtcnn.explain.differences import Differences, differences, groups_of
from study import small_params

CORNER = {"corner": {"kind": "other", "rectangle_cm": [0.0, 0.0, 18.0, 18.0]}}
DAY = Daytime(1.0, np.zeros(12), None, False)
FLOOR = (49.8, 50.9)


def found(index: pl.DataFrame, day: Daytime = DAY, **effect: float) -> Differences:
    params = small_params(zones=CORNER, evaluate={"smoothing_tiles": 1.0}, explain={"arrangements": 199})
    return differences(stacks(index, **effect), index, params, day, FLOOR)


def test_classes_and_each_label_are_compared() -> None:
    made = found(cohort(12), place=1.5)
    pairs = {name: [(each.pair.a, each.pair.b) for each in scope.contrasts] for name, scope in made.scopes.items()}
    assert list(pairs) == ["class", "sex", "age"]
    assert len(pairs["class"]) == 6
    assert (pairs["sex"], pairs["age"]) == ([("M", "F")], [("adult", "juvenile")])


def test_the_tests_of_all_pairs_take_as_many_arrangements_as_the_parameters_say() -> None:
    """More would be told of than was asked for; fewer make the least possible p larger than need be."""
    index, made = cohort(12), []
    for most in (39, 250):
        params = small_params(explain={"arrangements": most})
        made.append(differences(stacks(index), index, params, DAY, FLOOR).gates.arrangements)
    assert made == [39, 250]


def test_a_single_label_is_not_told_twice() -> None:
    params = small_params()
    params = params.model_copy(update={"classes": {name: {"class": name} for name in params.classes}})
    assert [name for name, _ in groups_of(cohort(), params)] == ["class"]


def test_a_planted_place_is_marked_in_tiles_and_zones_with_its_sign() -> None:
    made = found(cohort(12), place=1.5)
    contrast = next(each for each in made.scopes["class"].contrasts if (each.pair.a, each.pair.b) == ("AM", "AF"))
    assert made.marked_tiles(contrast)[:3, :3].all()
    zone = next(each for each in made.scopes["class"].zones if (each.a, each.b) == ("AM", "AF"))
    assert zone.high < 0
    assert zone.p < 0.05
    assert np.exp(zone.log_ratio) == pytest.approx(1 / 2.1, abs=0.15)
    plain = [each for each in made.scopes["class"].zones if (each.a, each.b) == ("AM", "JF")]
    assert plain[0].p > 0.05


def test_p_of_zones_is_corrected_for_all_pairs() -> None:
    one = found(cohort(12), place=0.3).scopes["class"].zones
    assert sorted(each.p for each in one)[-1] <= 1
    assert len(one) == 6


def test_nothing_is_marked_where_no_test_of_all_pairs_allows_it() -> None:
    made = found(cohort(2), place=9)
    assert made.gates.refused
    scope = made.scopes["class"]
    assert not any(made.marked_tiles(each).any() for each in scope.contrasts)
    assert not any(made.marked_hours(each).any() or made.marked_times(each).any() for each in scope.hours)


def test_hours_of_few_stops_are_too_sparse_and_none_is_marked() -> None:
    index = cohort(12)
    params = small_params(explain={"arrangements": 99})
    thin = stacks(index, place=5) * (np.random.default_rng(0).random((48, 12, 8, 8)) < 0.03)
    made = differences(thin, index, params, DAY, FLOOR)
    assert made.sparse
    assert made.window_stops < 6
    assert not any(made.marked_hours(each).any() for each in made.scopes["class"].hours)


def test_places_in_the_hours_that_stand_out_are_of_those_hours() -> None:
    made = found(cohort(12), time=0.9)
    scope = made.scopes["class"]
    place = [(each.pair.a, each.pair.b) for each in scope.hours].index(("AM", "AF"))
    assert (scope.hours[place].p_excess <= 0.05).any()
    assert scope.then[place].shape == (8, 8)
    assert np.isfinite(scope.then[place]).all()
    quiet = [(each.pair.a, each.pair.b) for each in scope.hours].index(("AM", "JM"))
    assert np.isnan(scope.then[quiet]).all()


def test_days_are_pooled_where_they_come_back() -> None:
    day = Daytime(6.0, np.zeros(12), (18 + 6.0 * np.arange(12)) % 24, True)
    made = found(cohort(8), day, place=1)
    assert [len(each.p) for each in made.scopes["class"].clock] == [4] * 6
    assert found(cohort(8), place=1).scopes["class"].clock == []


@pytest.mark.parametrize("circle", [[6.0, 6.0, 0.5], [600.0, 6.0, 4.5]])
def test_zones_without_a_tile_are_warned_of_and_left_out(circle: list[float], caplog) -> None:
    """Smaller than a tile, or off the floor: what is always 0 would be said to agree in all cages."""
    made = differences(
        stacks(cohort(8)), cohort(8), small_params(zones={"dot": {"kind": "other", "circle_cm": circle}}), DAY, FLOOR
    )
    assert made.scopes["class"].zones == []
    assert made.masks == {}
    assert "zones: dot holds the centre of no tile" in caplog.text


def test_a_window_longer_than_what_is_counted_is_warned_of(caplog) -> None:
    """The default is 3: a study of two intervals must not be refused for it."""
    differences(stacks(cohort(8)), cohort(8), small_params(explain={"window_intervals": 99}), DAY, FLOOR)
    assert "explain.window_intervals: 99 are more than the 12 counted: no interval is told apart" in caplog.text
