"""Figures of merit with known answers, and the paper's."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmtcnn.evaluate.metrics import PAPER, Row, compare, paper_metrics, score, score_labels
from study import small_params

CLASSES = list(PAPER.classes)
OWN = {"wild": {"genotype": "wt"}, "mutant": {"genotype": "ko"}}


@pytest.fixture(scope="module")
def params():
    return small_params()


def test_the_papers_figures_follow_from_its_table():
    paper = paper_metrics()
    assert paper["accuracy"] == 74 / 96
    assert paper["accuracy_sex_F"] == 44 / 48
    assert paper["accuracy_sex_M"] == 30 / 48
    assert [paper[f"recall_{name}"] for name in CLASSES] == [22 / 24, 8 / 24, 20 / 24, 24 / 24]
    assert (paper["knn_accuracy"], paper["svm_accuracy"]) == (0.62, 0.72)
    assert paper["balanced_accuracy"] == pytest.approx(74 / 96)


def test_two_samples_have_the_losses_one_computes_by_hand():
    """Classes out of alphabetical order: the columns stay theirs."""
    p = np.array([[0.8, 0.2], [0.6, 0.4]])
    found = score(["wild", "mutant"], p, ["wild", "mutant"], OWN)
    assert found["log_loss"] == pytest.approx(-(math.log(0.8) + math.log(0.4)) / 2)
    assert found["brier"] == pytest.approx((2 * 0.2**2 + 2 * 0.6**2) / 2)
    assert found["ensemble_accuracy"] == 0.5
    assert (found["recall_wild"], found["recall_mutant"]) == (1.0, 0.0)
    assert (found["accuracy_genotype_wt"], found["accuracy_genotype_ko"]) == (1.0, 0.0)
    assert found["mcc"] == 0.0
    assert found["macro_f1"] == pytest.approx((2 / 3 + 0) / 2)


def test_perfect_certainty_is_perfect_in_every_figure():
    found = score(CLASSES, np.eye(4), CLASSES, PAPER.classes)
    assert found.pop("log_loss") == pytest.approx(0, abs=1e-12)
    assert found.pop("brier") == 0
    assert set(found.values()) == {1.0}


def test_certainty_that_is_wrong_keeps_a_finite_log_loss():
    found = score(["wild"], np.array([[0.0, 1.0]]), ["wild", "mutant"], OWN)
    assert 30 < found["log_loss"] < 40
    assert found["brier"] == 2


def test_equal_probabilities_go_to_the_first_class():
    assert score(["JM"], np.array([[0.1, 0.4, 0.4, 0.1]]), CLASSES, PAPER.classes)["ensemble_accuracy"] == 1
    assert score(["AF"], np.array([[0.1, 0.4, 0.4, 0.1]]), CLASSES, PAPER.classes)["ensemble_accuracy"] == 0


def test_what_has_no_samples_to_stand_on_is_left_out():
    found = score_labels(["AM", "JM", "AM"], ["AM", "JF", "AM"], CLASSES, PAPER.classes)
    assert set(found) == {
        "ensemble_accuracy",
        "balanced_accuracy",
        "macro_f1",
        "mcc",
        "recall_AM",
        "recall_JM",
        "accuracy_sex_M",
        "accuracy_age_adult",
        "accuracy_age_juvenile",
    }
    assert found["balanced_accuracy"] == 0.5
    assert "mcc" not in score_labels(["AM", "AM"], ["AM", "JM"], CLASSES, PAPER.classes)


@given(st.lists(st.tuples(st.sampled_from(CLASSES), st.sampled_from(CLASSES)), min_size=1, max_size=30))
def test_balanced_accuracy_is_the_mean_recall_and_labels_split_the_accuracy(pairs):
    actual, predicted = zip(*pairs, strict=True)
    found = score_labels(actual, predicted, CLASSES, PAPER.classes)
    recalls = [value for key, value in found.items() if key.startswith("recall_")]
    assert found["balanced_accuracy"] == pytest.approx(np.mean(recalls))
    for label in ("sex", "age"):
        values = [PAPER.classes[name][label] for name in actual]
        parts = sum(found[f"accuracy_{label}_{value}"] * values.count(value) for value in set(values))
        assert parts / len(values) == pytest.approx(found["ensemble_accuracy"])


def test_the_papers_column_is_filled_for_its_classes_only():
    metrics = {"accuracy": 0.5, "ensemble_accuracy": 0.6, "brier": 0.3, "n_samples": 96, "simulated": True}
    assert compare(metrics, PAPER.classes) == [
        Row("accuracy", 0.5, 74 / 96),
        Row("ensemble_accuracy", 0.6, None),
        Row("brier", 0.3, None),
    ]
    renamed = {"AM": {"sex": "M", "age": "old"}, **{name: PAPER.classes[name] for name in CLASSES[1:]}}
    assert compare(metrics, renamed)[0] == Row("accuracy", 0.5, None)
    assert all(row.paper is None for row in compare({"accuracy": 0.5}, OWN))
