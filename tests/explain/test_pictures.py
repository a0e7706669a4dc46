"""The figures of where, when and what the networks use, and what they say."""

import numpy as np
import pytest

from cohorts import cohort, stacks
from lmtcnn.explain import pictures
from lmtcnn.explain.daytime import Daytime
from lmtcnn.explain.differences import Differences, differences
from lmtcnn.explain.networks import Asked
from lmtcnn.explain.pictures import mean_stops, pictures_of, uses_drawing
from lmtcnn.explain.used import Used
from study import small_params

DAY = Daytime(1.0, np.zeros(12), None, False)
FLOOR = (49.8, 50.9)
CLASSES = ("AM", "JM", "AF", "JF")


def found(cages: int = 8) -> Differences:
    index = cohort(cages)
    return differences(stacks(index, place=2), index, small_params(explain={"arrangements": 49}), DAY, FLOOR)


def asked() -> Asked:
    made = np.arange(64.0).reshape(8, 8)
    kinds = ("direction", "separation")
    used = [Used("AM", "AF", kind, made, np.ones(12), 12.0, 12.0) for kind in kinds]
    return Asked(used, [("AM", "AF", "direction", "dome", 1.0, 0.5)], 0.0, {})


@pytest.fixture
def hourly() -> dict[str, np.ndarray]:
    return mean_stops(stacks(cohort()), cohort(), CLASSES)


def test_three_figures_are_drawn_with_what_they_show(hourly) -> None:
    drawings = pictures_of(found(), DAY, hourly, FLOOR, {}, simulated=True)
    drawings.append(uses_drawing(asked(), DAY, FLOOR, {}, simulated=True))
    assert [drawing.name for drawing in drawings] == ["where.png", "when.png", "uses.png"]
    for drawing in drawings:
        assert drawing.make(*drawing.given, **drawing.named).axes
        assert drawing.named["note"].startswith("SIMULATED MICE")
    maps, marked, names, words, *_ = drawings[0].given
    assert (maps.shape, marked.shape, len(names), len(words)) == ((6, 8, 8), (6, 8, 8), 6, 6)
    assert names[1] == "AM against AF"
    assert marked[1].any()


def test_a_study_that_cannot_be_tested_says_so_and_outlines_nothing(hourly) -> None:
    where = pictures_of(found(2), DAY, hourly, FLOOR, {}, simulated=False)[0]
    assert not where.given[1].any()
    assert "so nothing is outlined." in where.named["note"]
    assert where.given[3][0] == "1 cages with both, at least 3 are needed"


def test_a_figure_that_shows_some_pairs_only_says_of_how_many_and_where_all_are(hourly, monkeypatch) -> None:
    whole = pictures_of(found(), DAY, hourly, FLOOR, {}, simulated=False)
    assert not any("Shown: " in drawing.named["note"] for drawing in whole)
    monkeypatch.setattr(pictures, "MOST_PAIRS", 4)
    where, when = pictures_of(found(), DAY, hourly, FLOOR, {}, simulated=False)
    for drawing, table in ((where, "contrasts"), (when, "hours")):
        words = f"Shown: the first 4 of 6 pairs of classes; {table}.csv in data/explain has all of them."
        assert drawing.named["note"].endswith(words)
    assert len(where.given[0]) == len(when.given[0]) == 4
    assert "Shown: " not in uses_drawing(asked(), DAY, FLOOR, {}, simulated=False).named["note"]  # it is of one pair


def test_stops_of_a_class_are_means_over_samples(hourly) -> None:
    counts, index = stacks(cohort()), cohort()
    own = (index["class"] == "JM").to_numpy()
    np.testing.assert_allclose(hourly["JM"], counts[own].sum(axis=(2, 3)).mean(axis=0))
    assert not mean_stops(counts, index, ("none",))["none"].any()
