"""Why one animal is told as what it is told."""

from pathlib import Path

import numpy as np
import pytest

import study
from conftest import told
from lmtcnn.core.errors import ParamsError
from lmtcnn.core.records import full_training
from lmtcnn.explain.animal import Asked, Near, Reasons, explain_animal, find, nearest, reasons
from lmtcnn.explain.evidence import Evidence
from lmtcnn.histograms import record
from lmtcnn.histograms.shares import shares
from lmtcnn.train.held_out import load_held_out
from lmtcnn.train.model import prepare, softmax_members
from study import small_params

PARAMS = small_params()


@pytest.fixture(scope="module")
def loaded() -> tuple:
    return record.load(study.prepared() / "histograms", PARAMS)


def test_attributions_are_the_difference_of_the_two_likeliest_classes(loaded: tuple) -> None:
    stacks, index = loaded
    model = next(model for _, model in load_held_out(full_training(study.prepared(), PARAMS)))
    maps = shares(stacks, 1.5)
    whole = {"shape": "rectangle", "x_cm": 0, "y_cm": 0, "width_cm": 50, "height_cm": 51}
    asked = Asked(tuple(PARAMS.classes), "none", 1.5, {"all": whole}, (49.8, 50.9), 3600)
    found = reasons(np.asarray(stacks[0]), model, maps[4:], index[4:], asked)
    p = softmax_members(model, prepare(stacks[:1], "none")).mean(axis=0)[0]
    speaks = found.evidence
    assert list(PARAMS.classes)[int(p.argmax())] == speaks.a != speaks.b
    assert speaks.probability == pytest.approx(tuple(sorted(p.tolist())[:-3:-1]))
    assert speaks.zones["all"] == pytest.approx(speaks.hours.sum(), abs=1e-4)
    assert speaks.places.sum() == pytest.approx(speaks.hours.sum(), abs=1e-4)
    np.testing.assert_allclose(found.shares[0], 1000 * maps[0])


def test_the_nearest_is_the_animal_with_the_same_map(loaded: tuple) -> None:
    stacks, index = loaded
    maps = shares(stacks, 1.5)
    found = nearest(maps[5], maps, index)
    row = index.row(5, named=True)
    assert found[0] == Near(row["recording"], row["animal_id"], row["class"], 0.0)
    assert [each.distance for each in found] == sorted(each.distance for each in found)


def test_three_sentences_say_how_sure_why_and_whom_it_is_like() -> None:
    maps = np.zeros((3, 6, 6))
    near = [Near("c2_adult", 1, "AM", 3.0)]
    hours = np.array([0.0, 0.0, 1.0, 1.0, 1.0, 0.0])
    speaks = Evidence("AM", "JM", (0.9, 0.08), maps[0], hours, {"dome": 1.2, "upper_feeder": -0.4}, 0.0)
    made = Reasons(speaks, maps, near)
    assert made.sentences("c1_adult animal 2 (AF)", "the mean of 3 networks", 3600) == [
        "c1_adult animal 2 (AF) is told as AM with 0.90, next as JM with 0.08, by the mean of 3 networks.",
        "What speaks for AM: dome (+1.20), hours 2 to 5 h; for JM: upper feeder (-0.40).",
        "Its map is nearest to those of c2_adult animal 1 (AM).",
    ]
    assert "dome (+1.20), intervals 2 to 4 of 20 s; for" in made.sentences("c1_adult animal 2 (AF)", "it", 20)[1]


def test_a_study_s_animal_is_drawn_in_three_formats_and_told(tmp_path: Path) -> None:
    said, path = explain_animal(study.prepared(), PARAMS, "c1_adult", "2", tmp_path)
    assert path == tmp_path / "c1_adult_2_reasons.png"
    assert sorted(each.suffix for each in tmp_path.iterdir()) == [".pdf", ".png", ".svg"]
    assert len(said) == 4
    assert said[0].startswith("SIMULATED MICE")
    assert said[1].startswith("c1_adult animal 2 (AF) is told as ")
    assert "2 networks that have not seen its cage" in said[1]
    assert "c1_" not in said[3]


def test_an_animal_is_found_by_number_and_rfid_and_others_are_told(loaded: tuple) -> None:
    _, index = loaded
    assert find(index, "c1_adult", "2") == find(index, "c1_adult", "c12") == 1
    assert told(ParamsError, find, index, "c9", "1") == (
        "explain c9: expected a recording of the study (c1_adult to c4_juvenile), found another name; correct it",
    )
    assert told(ParamsError, find, index, "c1_adult", "7") == (
        "explain c1_adult 7: expected one of its animals (1, 2), found another; correct it",
    )
