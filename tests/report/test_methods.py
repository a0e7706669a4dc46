"""The methods paragraph says what the parameters say, and cites what it uses."""

import re

from lmtcnn.report.methods import methods
from study import small_params

COHORT = {"animals": 48, "cages": 12, "recordings": 24, "samples": 96}
SURE = {
    "level": 0.95,
    "tests": {"sex": {"name": "sex", "exchanged": "whole cages exchanged", "refused": ""}},
    "network": {},
}


def told(params, **changes):
    known = {"simulated": False, **changes}
    sure = known.pop("sure", SURE)
    found = methods(params, COHORT, sure, "0.1.0", **known)
    return " ".join(found.paragraphs), found.references


def test_numbers_are_those_of_the_parameters():
    params = small_params(stops__max_speed_cm_per_s=4.0, train__epochs=7, train__lr=0.02, evaluate__svm_c=2.0)
    text, _ = told(params)
    for words in (
        "48 mice in 12 cages (24 recordings, 96 samples",
        "at most 4 cm/s for at least 1 s",
        "in 6 x 6 tiles of the floor (49.8 x 50.9 cm) in 3 intervals of 10 s",
        "AM (sex M, age adult), JM (sex M, age juvenile), AF (sex F, age adult) and JF (sex F, age juvenile)",
        "kernels of 1 x 1 and 3 x 3 and 2 channels each",
        "for 7 epochs in batches of 8, with a learning rate of 0.02",
        "C = 2)",
        "in windows of 3 intervals",
        "labels were exchanged as the design allows (for sex whole cages exchanged)",
    ):
        assert words in text


def test_every_mark_has_its_reference_in_the_order_of_the_text():
    text, references = told(small_params())
    marks = list(dict.fromkeys(re.findall(r"\[(\d+)\]", text)))
    assert marks == [str(n) for n in range(1, len(references) + 1)]
    assert references[0].startswith("de Chaumont F.")
    assert any("Axiomatic attribution" in each for each in references)


def test_what_was_not_done_is_not_said():
    params = small_params(stops__max_gap_frames=0, histograms__weight="duration", train__seeds=[0])
    text, _ = told(params, sure=SURE | {"tests": {}})
    assert "gaps in a track were not bridged" in text
    assert "the seconds of stops were added up" in text
    assert "labelled by one network trained on the others" in text
    assert "The design allowed no permutation test." in text
    assert "trained anew" not in text


def test_choices_that_are_not_the_defaults_are_said():
    network = {"sex": {"refused": ""}}
    params = small_params(train__lr="auto", train__class_weight="balanced", evaluate__permutations=19)
    text, references = told(params, simulated=True, sure=SURE | {"network": network})
    assert "48 simulated mice" in text
    assert "chosen among 0.001, 0.003, 0.01, 0.03 and 0.1 within the training cages" in text
    assert "Classes were weighted" in text
    assert "trained anew for up to 19 arrangements" in text
    assert any(each.startswith("Besag") for each in references)
