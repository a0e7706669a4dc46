"""What speaks in one sample for its class: complete, of the two likeliest classes, and told in words."""

import numpy as np
import pytest
import torch

import study
from lmtcnn.core.records import full_training
from lmtcnn.explain.attributions import Attribution
from lmtcnn.explain.evidence import Evidence, evidence
from lmtcnn.explain.networks import ask
from lmtcnn.histograms import record
from lmtcnn.histograms.shares import gaussian
from lmtcnn.train.held_out import load_held_out
from lmtcnn.train.model import prepare
from study import small_params

PARAMS = small_params()
CLASSES = tuple(PARAMS.classes)


def test_it_is_of_the_most_probable_class_and_the_next() -> None:
    places = np.zeros((2, 3, 2, 2))
    places[1, 2, 0, 1], places[1, 0, 0, 1], places[1, 0, 1, 1] = 3.0, 1.0, 4.0
    hours, gap = places.sum(axis=3), places.sum(axis=(2, 3))
    probability = np.array([[0.4, 0.3, 0.3], [0.3, 0.1, 0.6]])
    found = evidence(
        Attribution(places, hours, gap, probability), 1, ("A", "B", "C"), gaussian(2, 0),
        {"upper": np.array([[True, True], [False, False]])},
    )  # fmt: skip
    assert (found.a, found.b, found.probability) == ("C", "A", (0.6, 0.3))
    assert found.places.tolist() == [[0, 2], [0, -4]]
    assert found.hours.tolist() == [2, -4]
    assert (found.zones, found.gap) == ({"upper": 2.0}, -2.0)


def test_attributions_of_every_sample_add_up_to_the_gap_of_its_own_held_out_networks() -> None:
    training = full_training(study.prepared(), PARAMS)
    stacks, index = record.load(study.prepared() / "histograms", PARAMS)
    found = ask(stacks, index, PARAMS, training, {}).each
    assert list(found) == list(range(index.height))
    cages = index["cage"].to_numpy()
    for cage, model in load_held_out(training):
        for row in np.flatnonzero(cages == cage):
            own = found[int(row)]
            first, second = CLASSES.index(own.a), CLASSES.index(own.b)
            x = prepare(stacks[row : row + 1], PARAMS.train.transform)
            with torch.inference_mode():
                logits = model(x)[:, 0] - model(torch.zeros_like(x))[:, 0]
            gap = float((logits[:, first] - logits[:, second]).mean())
            for total in (own.gap, own.hours.sum(), own.places.sum()):
                assert total == pytest.approx(gap, abs=1e-4)


def test_words_name_zones_and_hours_on_the_side_of_which_they_speak() -> None:
    zones = {"dome": 1.2, "upper_feeder": -0.4, "nest": 0.004}
    hours = np.array([0.0, 0.0, 1.0, 1.0, 1.0, 0.0])
    made = Evidence("AM", "JM", (0.9, 0.08), np.zeros((6, 6)), hours, zones, 3.0)
    assert made.words(3600) == "What speaks for AM: dome (+1.20), hours 2 to 5 h; for JM: upper feeder (-0.40)."


def test_what_speaks_outside_of_all_zones_is_named_as_well() -> None:
    made = Evidence("AM", "JM", (0.9, 0.08), np.zeros((6, 6)), np.zeros(6), {"dome": 0.2}, 3.0, -1.5)
    assert made.words(3600) == "What speaks for AM: dome (+0.20); for JM: no zone (-1.50)."
    none = Evidence("AM", "JM", (0.9, 0.08), np.zeros((6, 6)), np.zeros(6), {}, 3.0, -1.5)
    assert none.words(3600) == "What speaks for AM: nothing; for JM: nothing."
