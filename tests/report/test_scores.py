"""Tables of figures of merit, beside simple methods, controls and the paper."""

import numpy as np
import pytest

from lmtcnn.core.files import read_json
from lmtcnn.evaluate.evaluate import evaluate
from lmtcnn.report.scores import (
    confusion_rows,
    control_rows,
    lines_of_tests,
    method_rows,
    metric_rows,
    paper_rows,
)
from study import small_params, write_study


@pytest.fixture(scope="module")
def params():
    return small_params()


@pytest.fixture(scope="module")
def study(tmp_path_factory, params):
    data = tmp_path_factory.mktemp("study")
    write_study(data, params)
    evaluate(data, params)
    return data


@pytest.fixture
def metrics(study):
    return read_json(study / "evaluate" / "metrics.json", "metrics", "")


@pytest.fixture
def sure(study):
    return read_json(study / "evaluate" / "statistics.json", "statistics", "")


def test_the_papers_column_stands_beside_its_classes_only(metrics, params):
    rows = metric_rows(metrics | {"accuracy_low": 0.5, "accuracy_high": 0.75}, params)
    first = rows[0]
    assert (first["name"], first["ours"], first["interval"], first["paper"]) == (
        "accuracy", "100.0%", "50% to 75%", "77.1%",
    )  # fmt: skip
    by_name = {row["name"]: row for row in rows}
    assert by_name["accuracy where sex is F"]["paper"] == "91.7%"
    assert by_name["log loss"]["ours"] == "0.357"
    renamed = {f"{name}2": labels for name, labels in params.classes.items()}
    other = params.model_copy(update={"classes": renamed})
    assert {row["paper"] for row in metric_rows(metrics, other)} == {""}


def test_figures_of_methods_and_recalls_stand_in_tables_of_their_own(metrics, params):
    names = {row["name"] for row in metric_rows(metrics, params)}
    assert not [name for name in names if "recall" in name or "knn" in name or "shuffled" in name]
    fewer = {key: value for key, value in metrics.items() if key != "mcc"}
    assert "Matthews' correlation" in names - {row["name"] for row in metric_rows(fewer, params)}


def test_each_method_has_its_interval_chance_and_p(metrics, sure):
    changed = metrics | {"svm_accuracy_low": 0.5, "svm_accuracy_high": 0.75, "chance_svm": 0.25, "p_svm_sex": 0.01}
    network, shuffled, knn, svm, *occupancy = method_rows(changed, sure)
    assert (network["name"], network["accuracy"], network["paper"]) == ("network", "100.0%", "77.1%")
    assert shuffled["accuracy"] == f"{metrics['time_shuffled_accuracy']:.1%}"
    assert (svm["interval"], svm["chance"], svm["paper"]) == ("50% to 75%", "25.0%", "72.0%")
    assert svm["p"][0] == "sex 0.01"
    assert [row["name"].split()[0] for row in occupancy] == ["occupancy", "occupancy"]
    assert knn["network"].split(":")[0] in {"matches", "not distinguishable", "better", "worse"}
    assert "whole cages exchanged, 3 distinct arrangements, 2 used, least possible p 0.3333" in lines_of_tests(sure)[0]


def test_the_networks_own_test_is_told_where_it_was_made(metrics, sure):
    made = {"sex": {"reached": 1, "used": 9, "refused": ""}, "age": {"reached": 0, "used": 0, "refused": "one cage"}}
    lines = lines_of_tests(sure | {"network": made})
    assert "network, sex: 1 of 9 arrangements as good as the observed labels" in lines
    assert not [line for line in lines if line.startswith("network, age")]
    assert method_rows(metrics | {"p_network_sex": 0.2}, sure)[0]["p"] == ["sex 0.2"]


def test_table_1_has_counts_recalls_and_intervals(params):
    counts = np.array([[3, 1, 0, 0], [0, 0, 0, 0], [0, 0, 4, 0], [2, 0, 0, 2]])
    metrics = {"recall_AM": 0.75, "recall_AM_low": 0.2, "recall_AM_high": 0.9, "recall_AF": 1.0, "recall_JF": 0.5}
    rows = confusion_rows(counts, metrics, params)
    assert [row["name"] for row in rows] == ["AM", "AF", "JF"]  # JM has no sample
    assert [cell["n"] for cell in rows[0]["cells"]] == [3, 1, 0, 0]
    assert [cell["right"] for cell in rows[0]["cells"]] == [True, False, False, False]
    assert (rows[0]["recall"], rows[0]["interval"], rows[1]["interval"]) == ("75.0%", "20% to 90%", "")


def test_the_papers_table_follows_the_order_of_the_classes():
    rows = paper_rows(("JF", "AM", "JM", "AF"))
    assert [row["recall"] for row in rows] == ["100.0%", "91.7%", "33.3%", "83.3%"]
    assert [cell["n"] for cell in rows[2]["cells"]] == [6, 9, 8, 1]


def test_a_control_that_could_not_be_tested_has_no_chance():
    assert control_rows({"control_counts_accuracy": 0.5}) == [["the number of stops in each interval", "50.0%", "", ""]]
