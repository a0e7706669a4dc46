"""The saved view, read as MLflow 3.17's pages read it."""

import base64
import json
import zlib
from typing import Any

import study
from lmtcnn.core.params import Params, parse
from lmtcnn.core.sections import dump
from lmtcnn.tracking import view

LONGEST_TAG = 20_000


def state(params: Params) -> dict[str, Any]:
    """What `lB` and `U1` of MLflow's JavaScript make of it: an envelope, and in it deflated JSON."""
    envelope = json.loads(view.saved(params, 5))
    assert (envelope["name"], envelope["createdAt"]) == ("Trainings", 5)
    packed = envelope["state"].removeprefix("deflate;")
    assert packed != envelope["state"]
    found: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(packed)))
    return found


def test_columns_are_what_trainings_are_compared_by() -> None:
    found = state(study.small_params())
    assert found["selectedColumns"] == [
        *(f"metrics.`cv/{name}`" for name in ("accuracy", "ensemble_accuracy", "balanced_accuracy", "sex_F", "sex_M")),
        *(f"metrics.`baseline/{name}`" for name in ("knn", "svm")),
        *(f"params.`{name}`" for name in ("train.lr", "train.epochs", "train.channels", "histograms.tiles")),
        "tags.`lmtcnn.simulated`",
    ]
    assert found["columnOrder"][:3] == ["attributes.`Run Name`", "runDateAndNestInfo", "duration"]
    assert found["columnOrder"][3:] == found["selectedColumns"]
    assert set(found["columnWidths"]) == set(found["columnOrder"])
    assert found["searchFilter"] == "tags.`lmtcnn.kind` = 'training'"


def test_columns_follow_the_labels_of_the_study() -> None:
    raw = dump(study.small_params())
    raw["classes"] = {"wild": {"strain": "+/+"}, "null": {"strain": "-/-"}}
    found = [column for column in view.columns(parse(raw, "test")) if "strain" in column]
    assert found == ["metrics.`cv/strain____`", "metrics.`cv/strain_-_-`"]


def test_pictures_have_charts_of_their_own_without_a_list_of_parameters() -> None:
    params = study.small_params()
    charts = state(params)["compareRunCharts"]
    names = ["confusion/ensemble", "explain/where", "explain/when", "explain/uses", "explain/atlas"]
    assert [chart["imageKeys"] for chart in charts] == [[name] for name in names]
    assert not any(chart["showRunParams"] for chart in charts)
    sections = {section["uuid"] for section in state(study.small_params())["compareRunSections"]}
    assert {chart["metricSectionId"] for chart in charts} <= sections


def test_a_view_fits_into_a_tag_and_is_the_same_for_the_same_classes() -> None:
    large = study.small_params(train__channels=500)
    assert len(view.saved(large, 5)) < LONGEST_TAG / 4
    assert view.saved(large, 5) == view.saved(large, 5)


def test_runs_have_colours_one_after_the_other() -> None:
    seen = [None]
    for _ in range(len(view.COLORS) + 1):
        seen.append(view.color_after(seen[-1]))
    assert seen[1:-1] == list(view.COLORS)
    assert seen[-1] == view.COLORS[0] == view.color_after("#123456")
