"""An explanation in sentences."""

import json

import numpy as np
import pytest

from cohorts import cohort, stacks
from lmtcnn.explain.daytime import Daytime
from lmtcnn.explain.differences import differences
from lmtcnn.explain.words import correlation, p_words, times, told
from study import small_params

DAY = Daytime(1.0, np.zeros(12), None, False)
CORNER = {"corner": {"kind": "other", "rectangle_cm": [0.0, 0.0, 18.0, 18.0]}}


def sentences(thin: float = 1.0, cages: int = 12, day: Daytime = DAY, **effect: float) -> dict[str, str]:
    index = cohort(cages)
    counts = stacks(index, **effect)
    counts *= np.random.default_rng(0).random(counts.shape) < thin
    params = small_params(zones=CORNER, evaluate={"smoothing_tiles": 1.0}, explain={"arrangements": 199})
    content = told(differences(counts, index, params, day, (49.8, 50.9)), day)
    json.dumps(content)
    return {f"{row['a']} {row['b']}": row["sentence"] for row in content["pairs"]["class"]}


def test_a_sentence_names_zones_with_their_ratio_and_hours() -> None:
    said = sentences(place=1.5)
    assert said["AM AF"].startswith("AM against AF: corner -0.")
    assert "(x 0.4" in said["AM AF"]
    assert "; places differ in hours 0 to 12 h, p 0.0" in said["AM AF"]
    assert said["AM JM"].startswith("AM against JM: no place, p ")
    assert "no hour stands out" in said["AM JM"]


def test_times_that_differ_are_told_apart_from_places() -> None:
    assert "times differ in hours " in sentences(time=0.9)["AM AF"]


def test_intervals_that_last_no_hour_are_called_intervals() -> None:
    """Simulated ones of 20 s stand for an hour of the day, but are none."""
    short = Daytime(1.0, np.zeros(12), None, False, 20)
    said = sentences(place=1.5, day=short)
    assert "; places differ in intervals 0 to 11 of 20 s, p 0.0" in said["AM AF"]
    assert "no interval stands out" in said["AM JM"]
    assert "intervals too sparse to tell (" in sentences(thin=0.03, day=short)["AM AF"]
    assert not any(word in " ".join(said.values()) for word in ("hour", " h,"))


def test_too_few_stops_and_too_few_cages_are_said() -> None:
    assert "hours too sparse to tell (" in sentences(thin=0.03)["AM AF"]
    assert sentences(cages=4)["AM AF"] == (
        "AM against AF: not tested (2 cages of one of them, at least 3 are needed); hours not tested."
    )


def test_numbers_and_correlations() -> None:
    assert (times(-3.1), p_words(0.0004), p_words(0.0231)) == ("0.045", "< 0.001", "0.023")
    one = np.array([[0.0, 1.0], [2.0, 4.0]])
    assert correlation(one, -2 * one) == pytest.approx(-1)
    assert correlation(one, np.ones((2, 2))) is None
    assert correlation(one, np.full((2, 2), np.nan)) is None
