"""The answer in five lines says what the stages wrote, and what is not known."""

from explanations import explanation, pair
from lmtcnn.report.answer import answer, artefact, beyond_chance, how_well, simpler, where_and_when

METRICS = {
    "accuracy": 0.74, "accuracy_low": 0.65, "accuracy_high": 0.81, "knn_accuracy": 0.2, "svm_accuracy": 0.72,
    "occupancy_knn_accuracy": 0.5, "occupancy_svm_accuracy": 0.6, "chance_svm": 0.2, "p_svm_joint": 0.001,
    "p_svm_sex": 0.03, "time_shuffled_accuracy": 0.7,
    "control_quality_accuracy": 0.2, "control_quality_chance": 0.25, "control_quality_p": 0.6,
}  # fmt: skip
TESTS = {"sex": {"refused": "", "least_p": 0.02}, "joint": {"refused": "", "least_p": 0.001}}
BESIDE = {"difference": 0.02, "low": -0.05, "high": 0.09, "p": 0.6, "words": "not distinguishable"}
SURE = {"coverage": "12 cages", "tests": TESTS, "comparisons": {"svm": BESIDE}, "notes": [], "network": {}}
LABELS = ("sex", "age")


def test_there_are_five_lines_in_this_order():
    lines = answer(METRICS, SURE, explanation(), (), LABELS)
    first = ["How well?", "Beyond chance?", "What does a simpler", "Where and when", "What could be"]
    assert len(lines) == 5
    assert [line.question.startswith(words) for line, words in zip(lines, first, strict=True)] == [True] * 5
    assert all(line.answer.endswith(".") for line in lines)


def test_how_well_has_an_interval_or_says_that_there_is_none():
    assert "labels 74.0% of the samples of cages it never saw right, 95 % interval 65% to 81%" in how_well(
        METRICS, SURE
    )
    without = {key: value for key, value in METRICS.items() if key != "accuracy_low"}
    assert "no interval can be given (12 cages)." in how_well(without, SURE)


def test_chance_is_the_networks_own_where_it_was_tested():
    known = METRICS | {"chance_network": 0.21, "p_network_joint": 0.01, "p_network_sex": 0.02}
    sure = SURE | {"network": {"joint": {"refused": "", "used": 99}}}
    assert beyond_chance(known, sure, LABELS) == (
        "Labels that mean nothing give 21.0%; the network's p 0.01 for the classes and p 0.02 for sex by 99 "
        "arrangements of the labels."
    )


def test_chance_is_else_that_of_the_best_simple_method_and_says_so():
    told = beyond_chance(METRICS, SURE, LABELS)
    assert told.startswith("The network itself was not tested (evaluate.permutations: 0).")
    assert "PCA and support vectors labels 72.0% right, by chance 20.0%: p 0.001 for the classes" in told
    assert "for the classes and p 0.03 for sex (least possible p 0.02)." in told


def test_each_column_has_the_least_p_of_its_own():
    """Few cages of one sex each leave few arrangements of sex, but many of age."""
    tests = {name: {"refused": "", "least_p": p} for name, p in (("sex", 0.02), ("age", 0.001), ("joint", 0.0125))}
    told = beyond_chance(METRICS | {"p_svm_age": 0.002}, SURE | {"tests": tests}, LABELS)
    said = (
        "p 0.001 for the classes (least possible p 0.013), p 0.03 for sex (least possible p 0.02) and p 0.002 for age."
    )
    assert told.endswith(said)


def test_a_design_without_a_test_says_why():
    metrics = {key: value for key, value in METRICS.items() if not key.startswith(("chance", "p_"))}
    sure = SURE | {"tests": {"sex": {"refused": "one cage holds all of it", "least_p": 1.0}}}
    assert beyond_chance(metrics, sure, LABELS) == "This design allows no test: one cage holds all of it."


def test_the_best_simple_method_stands_beside_the_network():
    assert simpler(METRICS, SURE) == (
        "The best of 4, PCA and support vectors: 72.0%. The network beside it: not distinguishable (+2.0 points, -5.0 "
        "to +9.0, p 0.6). With its intervals in random order the network gives 70.0%."
    )


def test_places_and_hours_are_told_by_the_gates_and_by_pairs_that_are_marked():
    assert where_and_when(explanation()) == (
        "Places differ (p 0.005), that hours differ by more than these places is not shown (p 0.4). "
        "AM against AF: dome -3.1 (x 0.05), p "
        "0.002; no hour stands out, p 0.3."
    )
    many = {"class": [pair("AM", str(i), tiles_marked=i, sentence=f"{i} tiles.") for i in range(6)]}
    assert where_and_when(explanation(pairs=many)).endswith("5 tiles. 4 tiles. 3 tiles. And 2 more pairs below.")


def test_what_cannot_be_told_of_places_and_hours_is_said():
    gates = explanation()["gates"] | {"refused": "two cages"}
    assert where_and_when(explanation(gates=gates)) == "This design allows no test: two cages."
    sparse = explanation(hours={"too_sparse": True, "unit": "interval"}, pairs={"class": []})
    assert where_and_when(sparse) == "Places differ (p 0.005), intervals are too sparse to tell."


def test_an_artefact_is_a_control_a_warning_or_an_order_of_recording():
    assert artefact(METRICS, SURE, ()) == (
        "None of the controls tells the classes better than chance: how well a mouse was tracked (20.0%, p 0.6)."
    )
    follows = SURE | {"notes": ["age always follows the order of recording: no test can tell the two apart"]}
    told = artefact(METRICS, follows, ("the hour tells the age",))
    assert told.startswith("The hour tells the age. Age always follows the order of recording: no test can tell")
    assert "None of the controls" in told
    sharp = artefact(METRICS | {"control_quality_p": 0.01}, SURE, ())
    assert "what the network learns may be the tracking." in sharp
    assert "None of the controls" not in sharp
    assert artefact({"accuracy": 0.7}, SURE, ()) == "No control was run."
