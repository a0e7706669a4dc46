"""The page: whole in one file, true to the metrics, and plain about simulated mice."""

import re
from html.parser import HTMLParser

import pytest

from lmtcnn.core.errors import DataError
from lmtcnn.core.files import read_json
from lmtcnn.evaluate.evaluate import evaluate
from lmtcnn.explain.explain import explain
from lmtcnn.report.report import (
    control_rows,
    lines_of_tests,
    map_figures,
    method_rows,
    metric_rows,
    parameter_rows,
    recall_rows,
    report,
)
from study import seal_evaluation, small_params, write_study

SIMULATED = "SIMULATED MICE: this says nothing about real mice"


@pytest.fixture(scope="module")
def params():
    return small_params()


@pytest.fixture(scope="module")
def study(tmp_path_factory, params):
    """A finished study of mice that are not simulated."""
    data = tmp_path_factory.mktemp("study")
    write_study(data, params)
    evaluate(data, params)
    explain(data, params)
    return data


class Reader(HTMLParser):
    """Tags, what they ask for, and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name in {"src", "href", "srcset", "data", "action"}]

    def handle_data(self, data):
        self.text = f"{self.text} {' '.join(data.split())}".strip()


def simulated(study, params):
    """The page of the same study, were its mice simulated."""
    seal_evaluation(study, params, simulated=True)
    page = report(study, params).read_text()
    seal_evaluation(study, params, simulated=False)
    return page


def test_the_page_is_whole_in_one_file_and_asks_nothing_of_anyone(study, params):
    page = report(study, params).read_text()
    found = Reader(page)
    assert len(found.sources) == 6
    assert all(source.startswith("data:image/png;base64,iVBOR") for source in found.sources)
    assert not {"script", "link", "iframe", "object", "form"} & set(found.tags)
    assert not re.search(r"url\(|@import|https?://|\son\w+=", page)


def test_controls_and_artefacts_stand_side_by_side(study, params):
    text = Reader(report(study, params).read_text()).text
    metrics = read_json(study / "evaluate" / "metrics.json", "metrics", "")
    shown = [f"{metrics[f'control_clock_{key}']:.1%}" for key in ("accuracy", "chance")]
    assert f"the time of day at which a recording began {' '.join(shown)} {metrics['control_clock_p']:.2g}" in text
    assert "length of the recording, h 72 (72 to 72) 72 (72 to 72) 72 (72 to 72) 72 (72 to 72)" in text


def test_a_control_that_could_not_be_tested_has_no_chance():
    assert control_rows({"control_counts_accuracy": 0.5}) == [["the number of stops in each interval", "50.0%", "", ""]]


def test_what_speaks_against_a_training_stands_beside_the_headline(study, params):
    before = read_json(study / "evaluate" / "metrics.json", "metrics", "")
    seal_evaluation(study, params, notes=["AF is never predicted", "the training loss still falls"])
    text = Reader(report(study, params).read_text()).text
    seal_evaluation(study, params, notes=[])
    without = Reader(report(study, params).read_text()).text
    seal_evaluation(study, params, notes=before["notes"])
    assert "Its accuracy is 100.0% . Beware: AF is never predicted. Beware: the training loss still falls." in text
    assert "Beware" not in without.split("The study")[0]


def test_the_page_gives_the_counts_of_the_study(study, params):
    text = Reader(report(study, params).read_text()).text
    for words in ("16 samples", "8 animals", "4 cages", "8 recordings", "Its accuracy is 100.0% ."):
        assert words in text
    assert "AF sex F, age adult 4 2 62" in text


def test_simulated_mice_are_announced_above_all_else(study, params):
    page = simulated(study, params)
    text = Reader(page[page.index("<body>") :]).text
    assert text.startswith(SIMULATED)
    assert text.count(SIMULATED) == 3
    assert "so the two columns cannot be compared" in text
    assert "simulated" not in Reader(report(study, params).read_text()).text.lower()


def test_the_papers_column_stands_beside_its_classes_only(study, params):
    metrics = read_json(study / "evaluate" / "metrics.json", "metrics", "")
    first = metric_rows(metrics, params)[0]
    assert (first["name"], first["ours"], first["paper"]) == ("accuracy", "100.0%", "77.1%")
    by_name = {row["name"]: row for row in metric_rows(metrics, params)}
    assert by_name["accuracy where sex is F"]["paper"] == "91.7%"
    assert by_name["log loss"]["ours"] == "0.357"
    assert [row["paper"] for row in recall_rows(metrics, params)] == ["91.7%", "33.3%", "83.3%", "100.0%"]
    assert "paper" in Reader(report(study, params).read_text()).text
    renamed = {f"{name}2": labels for name, labels in params.classes.items()}
    other = params.model_copy(update={"classes": renamed})
    assert {row["paper"] for row in metric_rows(metrics, other)} == {""}


def test_a_metric_that_is_undefined_leaves_no_row(study, params):
    metrics = read_json(study / "evaluate" / "metrics.json", "metrics", "")
    fewer = {key: value for key, value in metrics.items() if key not in {"mcc", "recall_JM", "knn_recall_AM"}}
    assert "Matthews' correlation" not in {row["name"] for row in metric_rows(fewer, params)}
    rows = recall_rows(fewer, params)
    assert [row["name"] for row in rows] == ["AM", "AF", "JF"]
    assert rows[0]["knn"] == ""


def test_the_channels_that_differ_most_come_first(study):
    summary = read_json(study / "explain" / "activation_maps.json", "maps", "")
    shown = map_figures(study / "explain", summary)
    best = summary["channels"][summary["order"][0]]
    channel = f"Kernel {best['kernel']}x{best['kernel']}, channel {best['channel']:02}"
    share = f"{best['difference']:.1%} of the variance between samples lies between classes"
    assert shown[0].words == f"{channel}: {share}"


def test_parameters_of_the_simulator_are_shown_for_its_cohorts_only(params):
    own = params.model_copy(update={"cohort": params.cohort.model_copy(update={"databases": "data/raw"})})
    assert dict(parameter_rows(own)).keys() == {
        "cohort",
        "quality",
        "stops",
        "histograms",
        "train",
        "evaluate",
        "explain",
        "register",
        "report",
    }
    shown = dict(parameter_rows(params))
    assert ("effect", "1.0") in shown["simulate"]
    assert ("kernels", "1, 3") in shown["train"]
    assert ("arena.cm_per_px", "10/57") in shown["stops"]


def test_words_of_a_user_are_words_and_not_markup(study):
    page = report(study, small_params(report={"title": "Mice <script>alert(1)</script> & men"})).read_text()
    assert "<script" not in page
    assert "Mice &lt;script&gt;alert(1)&lt;/script&gt; &amp; men" in page


def test_the_same_study_gives_the_same_bytes(study, params):
    assert report(study, params).read_bytes() == report(study, params).read_bytes()


def test_every_missing_file_is_told_with_the_command_that_makes_it(tmp_path, params):
    with pytest.raises(DataError) as caught:
        report(tmp_path, params)
    files = {
        "histograms": ["index.parquet", "histograms.json", "start_hours.csv"],
        "train": ["train.json"],
        "evaluate": [
            "metrics.json",
            "statistics.json",
            "evaluate.json",
            "folds.csv",
            "artefacts.csv",
            "confusion.png",
            "curves.png",
        ],
        "explain": ["activation_maps.json"],
    }
    assert str(caught.value).splitlines() == [
        f"{tmp_path}/{stage}/{name}: expected a file, found none; run `lmtcnn {stage}` first"
        for stage, names in files.items()
        for name in names
    ]


def test_what_is_counted_and_what_looks_forgotten_is_told(study, params):
    text = Reader(report(study, params).read_text()).text
    assert "in each of 3 intervals of 10 s, and tells" in text
    assert "Counted:" not in text


def test_a_cut_and_a_forgotten_rate_stand_on_the_page(tmp_path):
    cut = small_params(histograms__window=[1, 3], histograms__only="night", train__lr=50.0)
    write_study(tmp_path, cut)
    evaluate(tmp_path, cut)
    explain(tmp_path, cut)
    text = Reader(report(tmp_path, cut).read_text()).text
    assert "in each of 2 intervals of 10 s, and tells" in text
    assert "Counted: intervals 1 to 2 of 3 (from 10 s to 30 s), stops of the night (20:00 to 08:00 UTC" in text
    assert "Beware: train.lr 50 with intervals of 10 s is 139 times the paper's" in text


def test_recordings_that_were_left_out_and_the_hours_of_the_start_are_told(study, params):
    text = Reader(report(study, params).read_text()).text
    reasons = "animal 2: detection 33.3 %; 36 h long, 50 % of the 72 h that are counted"
    assert f"Left out of training, as they fail a check c9_adult : {reasons}" in text
    assert "To be looked at c1_adult : TIMESTAMP jumps 2 steps" in text
    assert "Animals that the manifest excludes c2_adult, c23" in text
    assert "Animals of the databases that the manifest does not list c1_adult : c1x; animal 9" in text
    assert "Beware: the hour tells the age." in text
    assert "tracking ok to be looked at failing detected, median AM 2 1 0 87.5% JM 3 1 1 87.5%" in text
    assert "start of the recording AM JM AF JF 09:00 UTC 4 4 4 4" in text


def test_each_method_has_its_interval_chance_and_p(study, params):
    metrics = read_json(study / "evaluate" / "metrics.json", "metrics", "")
    sure = read_json(study / "evaluate" / "statistics.json", "statistics", "")
    changed = metrics | {"svm_accuracy_low": 0.5, "svm_accuracy_high": 0.75, "chance_svm": 0.25, "p_svm_sex": 0.01}
    changed |= {"occupancy_knn_accuracy": 1.5}
    network, knn, svm, best = method_rows(changed, sure)
    assert (network["name"], network["accuracy"], network["network"]) == ("network", "100.0%", "")
    assert (svm["interval"], svm["chance"]) == ("50% to 75%", "25.0%")
    assert svm["p"].startswith("sex 0.0100, age 0.")
    assert best["name"] == "occupancy and nearest neighbours"
    assert knn["network"].split(":")[0] in {"matches", "not distinguishable", "better", "worse"}
    assert "whole cages exchanged, 3 distinct arrangements, 2 used, least possible p 0.3333" in lines_of_tests(sure)[0]
