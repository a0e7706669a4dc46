"""An explanation in sentences."""

import json

import numpy as np
import pytest

from cohorts import cohort, stacks
from lmtcnn.explain.daytime import Daytime
from lmtcnn.explain.differences import differences
from lmtcnn.explain.words import correlation, p_words, spans, times, told
from study import small_params

DAY = Daytime(1.0, np.zeros(12), None, False)
CORNER = {"corner": {"kind": "other", "rectangle_cm": [0.0, 0.0, 18.0, 18.0]}}


def sentences(thin: float = 1.0, cages: int = 12, **effect: float) -> dict[str, str]:
    index = cohort(cages)
    counts = stacks(index, **effect)
    counts *= np.random.default_rng(0).random(counts.shape) < thin
    params = small_params(zones=CORNER, evaluate={"smoothing_tiles": 1.0}, explain={"arrangements": 199})
    content = told(differences(counts, index, params, DAY, (49.8, 50.9)), DAY)
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


def test_too_few_stops_and_too_few_cages_are_said() -> None:
    assert "hours too sparse to tell (" in sentences(thin=0.03)["AM AF"]
    assert sentences(cages=4)["AM AF"] == (
        "AM against AF: not tested (2 cages of one of them, at least 3 are needed); hours not tested."
    )


def test_spans_numbers_and_correlations() -> None:
    assert spans([True, True, False, True], 1.0) == "0 to 2 h, 3 to 4 h"
    assert spans([False, True], 0.5) == "0.5 to 1 h"
    assert (times(-3.1), p_words(0.0004), p_words(0.0231)) == ("0.045", "< 0.001", "0.023")
    one = np.array([[0.0, 1.0], [2.0, 4.0]])
    assert correlation(one, -2 * one) == pytest.approx(-1)
    assert correlation(one, np.ones((2, 2))) is None
    assert correlation(one, np.full((2, 2), np.nan)) is None
