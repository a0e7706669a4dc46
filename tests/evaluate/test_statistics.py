"""Intervals, tests and comparisons of a study, as they are written."""

import json

import numpy as np
import polars as pl
import pytest

from lmtcnn.core.files import write_json
from lmtcnn.evaluate import baselines, statistics
from lmtcnn.evaluate.design import JOINT
from study import small_params, sure, write_histograms, write_study

CAGES = {f"c{i}": "FM"[i % 2] for i in range(8)}
"""Eight cages, four of each sex."""

PARAMS = small_params(evaluate__permutations_cheap=60)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory):
    """A study whose networks are right about females and, with seed 1, wrong about juvenile males."""
    data = tmp_path_factory.mktemp("data")
    index = write_histograms(data, PARAMS, CAGES)
    stacks = np.load(data / "histograms" / "stacks.npy")
    rows = [
        {
            **{key: sample[key] for key in ("recording", "animal_id", "class")},
            "seed": seed,
            "predicted": "AM" if seed and sample["class"] == "JM" else sample["class"],
        }
        for sample in index.iter_rows(named=True)
        for seed in PARAMS.train.seeds
    ]
    classes = list(PARAMS.classes)
    ensemble = np.array([classes.index(name) for name in index["class"].to_list()])
    prepared = baselines.prepare(stacks, stacks, index["cage"].to_list(), PARAMS.evaluate)
    started = {name: int(name.endswith("adult")) for name in index["recording"].to_list()}
    found, labels = statistics.statistics(index, pl.DataFrame(rows), ensemble, prepared, PARAMS, started)
    return index, found, labels, ensemble


def test_every_figure_has_an_interval_that_holds_it(made) -> None:
    _, found, labels, codes = made
    assert found.intervals["accuracy"].value == pytest.approx(1 - 0.5 / 4)
    assert found.intervals["accuracy"].freedom == 6
    assert {"ensemble_accuracy", "balanced_accuracy", "recall_JM", "accuracy_sex_F"} < set(found.intervals)
    for name, each in found.intervals.items():
        assert each.low <= each.value <= each.high, name
    for method, said in labels.items():
        assert found.intervals[f"{method}_accuracy"].value == (said == codes).mean()


def test_each_column_and_all_together_are_tested(made) -> None:
    found = made[1]
    assert [test.name for test in found.tests] == ["sex", "age", JOINT]
    assert [test.distinct for test in found.tests] == [35, 128, 35 * 128]
    assert [test.used for test in found.tests] == [34, 60, 60]
    metrics = found.metrics()
    for method in ("knn", "svm", "occupancy_knn", "occupancy_svm"):
        assert 0 < metrics[f"chance_{method}"] < 0.5
        assert 1 / 61 <= metrics[f"p_{method}_joint"] <= 1


def test_the_network_is_compared_with_each_simple_method(made) -> None:
    _, found, labels, codes = made
    for method, each in found.comparisons.items():
        assert each.difference == pytest.approx(0.875 - (labels[method] == codes).mean())
        assert each.cages == 8
        assert each.words in {"matches", "not distinguishable", "better", "worse"}
    assert found.metrics()["p_difference_knn"] == found.comparisons["knn"].p


def test_seeds_stand_apart(made) -> None:
    assert made[1].by_seed == {0: 1.0, 1: 0.75}
    assert made[1].content()["seeds"]["sd"] == pytest.approx(np.std([1, 0.75], ddof=1))


def test_an_age_that_follows_the_order_of_recording_is_said(made) -> None:
    assert "age always follows the order of recording: no test can tell the two apart" in made[1].notes
    index = made[0]
    assert statistics.design_of(index, PARAMS).follows_order("age") is None


def test_all_is_plain_json(made, tmp_path) -> None:
    write_json(tmp_path / "statistics.json", made[1].content())
    found = json.loads((tmp_path / "statistics.json").read_text())
    assert found["tests"]["sex"]["exchanged"] == "whole cages exchanged"
    assert found["coverage"].startswith("8 cages; coverage in simulations of 6 cages ")


def test_two_cages_a_sex_have_no_interval_and_a_reason(tmp_path) -> None:
    from lmtcnn.evaluate.evaluate import evaluate

    params = small_params(evaluate__permutations_cheap=20)
    write_study(tmp_path, params, sure)
    metrics = evaluate(tmp_path, params)
    assert "accuracy_low" not in metrics
    found = json.loads((tmp_path / "evaluate" / "statistics.json").read_text())
    assert found["intervals"]["accuracy"]["low"] is None
    assert found["intervals"]["accuracy"]["none"].startswith("2 cages in a stratum")
    assert found["tests"]["sex"]["distinct"] == 3


def test_the_best_simple_method_is_the_most_accurate() -> None:
    metrics = {"knn_accuracy": 0.5, "svm_accuracy": 0.6, "occupancy_knn_accuracy": 0.6, "occupancy_svm_accuracy": 0.1}
    assert statistics.best_simple(metrics) == "svm"
