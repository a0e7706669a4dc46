"""The promotion rule, branch by branch (mlops/promotion.py)."""

import itertools
from typing import Any

import pytest

from conftest import ROOT
from lmtcnn.register.register import load_rule

A, B, C = ["r1", "001"], ["r1", "002"], ["r2", "003"]
LIMITS = {"least_gain": 0.02, "most_loss": 0.02}
CLASSES = {"M": {"sex": "M"}, "F": {"sex": "F"}}


def model(right: int = 50, of: int = 100, more: int = 0, **changes: Any) -> dict[str, Any]:
    """A model of `of` samples, half of each class, that tells the first `right` rightly, and none of `more`."""
    names = ["M" if i % 2 else "F" for i in range(of + more)]
    facts = {
        "histograms_digest": "h",
        "samples": [["r1", f"{i:03}"] for i in range(of + more)],
        "held_out": [[name, name if i < right else "neither", 0.5] for i, name in enumerate(names)],
        "classes": CLASSES,
        "simulated": False,
    }
    return facts | changes


SAME, OTHER = "on the same histograms its balanced accuracy is", {"histograms_digest": "other"}


@pytest.mark.parametrize(
    ("candidate", "champion", "promoted", "why"),
    [
        (model(), None, True, "there was no champion"),
        (model(simulated=True), None, True, "there was no champion"),
        (model(60), model(50), True, f"{SAME} higher (0.6000, 60 of 100; champion 0.5000, 50 of 100)"),
        (model(52), model(50), True, f"{SAME} higher (0.5200, 52 of 100; champion 0.5000, 50 of 100)"),
        (model(51), model(50), False, f"{SAME} not higher by 0.02 (0.5100, 51 of 100; champion 0.5000, 50 of 100)"),
        (model(50), model(50), False, f"{SAME} not higher (0.5000, 50 of 100; champion 0.5000, 50 of 100)"),
        (
            model(10, more=1, **OTHER),
            model(90),
            False,
            "its cohort holds all 100 samples of the champion's and 1 more, but on the champion's it is worse by more "
            "than 0.02 (balanced accuracy 0.1000, 10 of 100; champion 0.9000, 90 of 100)",
        ),
        (
            model(88, more=1, **OTHER),
            model(90),
            True,
            "its cohort holds all 100 samples of the champion's and 1 more, and on the champion's it is not worse by "
            "more than 0.02 (balanced accuracy 0.8800, 88 of 100; champion 0.9000, 90 of 100)",
        ),
        (
            model(90, **OTHER),
            model(50),
            False,
            "it learned from other histograms of the same samples: their accuracies cannot be compared",
        ),
        (
            model(2, 2, **OTHER, samples=[A, C]),
            model(1, 2, samples=[A, B]),
            False,
            "it learned from another cohort, which does not hold all of the champion's samples and more",
        ),
        (
            model(90, classes={"M": {"sex": "M"}, "F": {"sex": "f"}}),
            model(50),
            False,
            "it tells other classes than the champion",
        ),
        (
            model(0, 2, **OTHER, classes={}),
            model(90, simulated=True),
            True,
            "the champion learned from simulated mice, this one from real ones",
        ),
        (
            model(90, more=1, simulated=True),
            model(50),
            False,
            "it learned from simulated mice, the champion from real ones",
        ),
        (
            model(60, simulated=True),
            model(50, simulated=True),
            True,
            f"{SAME} higher (0.6000, 60 of 100; champion 0.5000, 50 of 100)",
        ),
    ],
    ids=[
        "the_first_model_serves",
        "a_simulated_first_model_serves",
        "higher_on_the_same_histograms_serves",
        "a_gain_of_just_the_least_serves",
        "a_gain_below_the_least_does_not",
        "equal_on_the_same_histograms_does_not",
        "a_larger_cohort_that_is_worse_on_the_champions_samples_does_not",
        "a_larger_cohort_that_is_hardly_worse_on_them_serves",
        "the_same_samples_by_other_histograms_do_not",
        "a_cohort_that_lacks_a_sample_does_not",
        "other_classes_do_not",
        "real_mice_replace_simulated_ones_whatever_their_accuracy",
        "simulated_mice_never_replace_real_ones",
        "simulated_models_compete_on_the_same_histograms",
    ],
)
def test_the_rule_says_whether_and_why(candidate: dict, champion: dict | None, promoted: bool, why: str) -> None:
    decide = load_rule(str(ROOT / "mlops" / "promotion.py"))
    assert decide(candidate, champion, LIMITS) == (promoted, why)


def test_equal_counts_are_equal_although_their_means_differ_in_the_last_digit() -> None:
    """(1/7 + 2/7 + 3/7) / 3 is another floating-point number in another order, as was 73 of 96 in two trainings."""
    decide = load_rule(str(ROOT / "mlops" / "promotion.py"))
    none = {"least_gain": 0.0, "most_loss": 0.0}
    names = [name for name in ("A", "B", "C") for _ in range(7)]

    def of(*right: int) -> dict[str, Any]:
        told = [[name, name if i % 7 < right[i // 7] else "none", 0.5] for i, name in enumerate(names)]
        return model(0, 21, held_out=told)

    arrangements = [of(*each) for each in itertools.permutations((1, 2, 3))]
    means = {sum(sum(a == b for a, b, _ in m["held_out"][i : i + 7]) / 7 for i in (0, 7, 14)) / 3 for m in arrangements}
    assert len(means) > 1
    for one, other in itertools.permutations(arrangements, 2):
        assert decide(one, other, none)[0] is False
        larger = model(0, 22, **OTHER, held_out=[*one["held_out"], ["A", "none", 0.5]])
        assert decide(larger, other, none)[0] is True


def test_a_sample_whose_class_was_corrected_is_compared_by_its_new_class() -> None:
    decide = load_rule(str(ROOT / "mlops" / "promotion.py"))
    champion = model(4, 4)
    corrected = [["M", "M", 0.5], *champion["held_out"][1:], ["M", "F", 0.5]]
    larger = model(0, 5, **OTHER, held_out=corrected)
    promoted, why = decide(larger, champion, LIMITS)
    assert promoted
    assert "balanced accuracy 1.0000, 4 of 4; champion 0.8333, 3 of 4" in why


def test_the_rule_leaves_what_it_is_given_alone() -> None:
    decide = load_rule(str(ROOT / "mlops" / "promotion.py"))
    candidate, champion = model(more=1, **OTHER), model()
    decide(candidate, champion, LIMITS)
    assert (candidate, champion) == (model(more=1, **OTHER), model())
