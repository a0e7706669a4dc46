"""The promotion rule, branch by branch (mlops/promotion.py)."""

from typing import Any

import pytest

from conftest import ROOT
from lmtcnn.register import load_rule

A, B, C = ["r1", "001"], ["r1", "002"], ["r2", "003"]


def model(**changes: Any) -> dict[str, Any]:
    facts = {"histograms_digest": "h", "balanced_accuracy": 0.5, "samples": [A, B], "simulated": False}
    return facts | changes


@pytest.mark.parametrize(
    ("candidate", "champion", "promoted", "why"),
    [
        (model(), None, True, "there was no champion"),
        (model(simulated=True), None, True, "there was no champion"),
        (
            model(balanced_accuracy=0.6),
            model(),
            True,
            "on the same histograms its balanced accuracy is higher (0.6000, champion 0.5000)",
        ),
        (
            model(),
            model(),
            False,
            "on the same histograms its balanced accuracy is not higher (0.5000, champion 0.5000)",
        ),
        (
            model(histograms_digest="other", balanced_accuracy=0.1, samples=[C, A, B]),
            model(),
            True,
            "its cohort holds all 2 samples of the champion's and 1 more",
        ),
        (
            model(histograms_digest="other", balanced_accuracy=0.9),
            model(),
            False,
            "it learned from other histograms of the same samples: their accuracies cannot be compared",
        ),
        (
            model(histograms_digest="other", balanced_accuracy=0.9, samples=[A, C]),
            model(),
            False,
            "it learned from another cohort, which does not hold all of the champion's samples and more",
        ),
        (
            model(histograms_digest="other", balanced_accuracy=0.1, samples=[C]),
            model(simulated=True),
            True,
            "the champion learned from simulated mice, this one from real ones",
        ),
        (
            model(balanced_accuracy=0.9, samples=[A, B, C], simulated=True),
            model(),
            False,
            "it learned from simulated mice, the champion from real ones",
        ),
        (
            model(balanced_accuracy=0.6, simulated=True),
            model(simulated=True),
            True,
            "on the same histograms its balanced accuracy is higher (0.6000, champion 0.5000)",
        ),
        (
            model(histograms_digest="other", samples=[A, B, C], simulated=True),
            model(simulated=True),
            True,
            "its cohort holds all 2 samples of the champion's and 1 more",
        ),
    ],
    ids=[
        "the_first_model_serves",
        "a_simulated_first_model_serves",
        "higher_on_the_same_histograms_serves",
        "equal_on_the_same_histograms_does_not",
        "a_larger_cohort_serves_whatever_its_accuracy",
        "the_same_samples_by_other_histograms_do_not",
        "a_cohort_that_lacks_a_sample_does_not",
        "real_mice_replace_simulated_ones_whatever_their_accuracy",
        "simulated_mice_never_replace_real_ones",
        "simulated_models_compete_on_the_same_histograms",
        "simulated_models_compete_by_cohort",
    ],
)
def test_the_rule_says_whether_and_why(candidate: dict, champion: dict | None, promoted: bool, why: str) -> None:
    decide = load_rule(str(ROOT / "mlops" / "promotion.py"))
    assert decide(candidate, champion) == (promoted, why)


def test_the_rule_leaves_what_it_is_given_alone() -> None:
    decide = load_rule(str(ROOT / "mlops" / "promotion.py"))
    candidate, champion = model(samples=[A, B, C], histograms_digest="other"), model()
    decide(candidate, champion)
    assert (candidate, champion) == (model(samples=[A, B, C], histograms_digest="other"), model())
