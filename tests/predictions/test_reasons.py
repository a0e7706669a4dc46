"""Why new animals are told as what they are told."""

from pathlib import Path

import numpy as np
import pytest

import study
from lmtcnn.bundle import bundle
from lmtcnn.histograms import record
from lmtcnn.predictions.prediction import Prediction
from lmtcnn.predictions.reasons import Explainer
from study import small_params

PARAMS = small_params()


@pytest.fixture(scope="module")
def served() -> bundle.Bundle:
    return bundle.build(study.prepared(), PARAMS)


def answer(recording: str) -> Prediction:
    return Prediction(recording, 7, None, "AM", 0.9, {"AM": 0.9}, ["AM"], 0.01, 1.0, ["a warning"])


def test_an_animal_of_the_cohort_is_its_own_nearest_and_has_a_picture(served: bundle.Bundle, tmp_path: Path) -> None:
    stacks, index = record.load(study.prepared() / "histograms", PARAMS)
    Explainer(served, tmp_path / "why").explain(np.asarray(stacks[3]), answer("new"))
    assert {path.name for path in (tmp_path / "why").iterdir()} == {
        f"new_7_reasons{ending}" for ending in (".png", ".svg", ".pdf", ".txt")
    }
    simulated, told, speaks, near, warning = (tmp_path / "why" / "new_7_reasons.txt").read_text().splitlines()
    row = index.row(3, named=True)
    assert simulated.startswith("SIMULATED")
    assert told.startswith("new animal 7 is told as ")
    assert speaks.startswith("What speaks for ")
    assert near.startswith(f"Its map is nearest to those of {row['recording']} animal {row['rfid']} ({row['class']}), ")
    assert warning == "a warning"


def test_an_animal_of_the_cohort_is_not_its_own_neighbour(served: bundle.Bundle, tmp_path: Path) -> None:
    stacks, index = record.load(study.prepared() / "histograms", PARAMS)
    row = index.row(3, named=True)
    again = Prediction("again", 7, row["rfid"], "AM", 0.9, {"AM": 0.9}, ["AM"], 0.0, 1.0, [])
    Explainer(served, tmp_path).explain(np.asarray(stacks[3]), again)
    assert row["rfid"] not in (tmp_path / "again_7_reasons.txt").read_text()


def test_maps_of_the_bundle_are_the_smoothed_shares_of_its_cohort(served: bundle.Bundle, tmp_path: Path) -> None:
    from lmtcnn.histograms.shares import shares

    stacks, _ = record.load(study.prepared() / "histograms", PARAMS)
    np.testing.assert_allclose(Explainer(served, tmp_path).maps, shares(stacks, 1.5), atol=1e-6)
