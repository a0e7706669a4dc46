"""Where and when classes differ, as the page reads it from data/explain."""

import polars as pl
import pytest

from explanations import explanation, write_explanation
from lmtcnn.core.errors import DataError
from lmtcnn.core.files import read_json
from lmtcnn.evaluate.evaluate import evaluate
from lmtcnn.explain import pictures
from lmtcnn.explain.explain import explain
from lmtcnn.report.explained import (
    cross_rows,
    definition_rows,
    explained,
    gate_words,
    map_figures,
    network_rows,
    pair_rows,
    read_explanation,
    used_rows,
    zone_rows,
)
from study import small_params, write_study


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    data, params = tmp_path_factory.mktemp("study"), small_params()
    write_study(data, params)
    evaluate(data, params)
    explain(data, params)
    write_explanation(data, params)
    return data / "explain"


def test_what_was_compared_is_shown_with_its_figures(folder):
    shown = explained(folder, read_explanation(folder))
    assert [len(shown[name]) for name in ("where", "when", "uses", "diagram")] == [1, 1, 1, 1]
    assert [row[0] for row in shown["zones"]["rows"]] == ["AM against JM", "AM against AF"]


def test_a_figure_of_some_pairs_only_is_said_to_be_one(folder, monkeypatch):
    found = read_explanation(folder)
    assert not any(explained(folder, found)["left_out"].values())
    monkeypatch.setattr(pictures, "MOST_PAIRS", 1)
    assert explained(folder, found)["left_out"]["uses"] == (
        "Shown: the first 1 of 2 pairs of classes; attributions.csv in data/explain has all of them."
    )


def test_the_gates_say_what_stands_before_anything_is_marked():
    assert "places p 0.005, hours p 0.4, by 199 arrangements of the labels (least possible p 0.005)" in gate_words(
        explanation()
    )
    refused = explanation(gates={"refused": "two cages"})
    assert gate_words(refused) == "Nothing is marked, as no test of all classes together is possible: two cages."


def test_every_pair_has_its_sentence_and_its_counts():
    classes, sex = pair_rows(explanation())
    assert (classes["name"], sex["name"]) == ("class", "sex")
    row = classes["rows"][1]
    assert (row["pair"], row["tiles"], row["p"], row["hours"]) == ("AM against AF", "12", "0.002", "0")
    assert row["sentence"] == "Dome -3.1 (x 0.05), p 0.002; no hour stands out, p 0.3."


def test_zones_have_intervals_where_there_are_any(folder):
    assert zone_rows(folder / "zones.parquet") == {
        "zones": ["upper feeder"],
        "rows": [
            ["AM against JM", [["+0.10"]]],
            ["AM against AF", [["-3.10", "-4.00 to -2.20", "p 0.002"]]],
        ],
    }
    used = used_rows(folder / "attribution_zones.parquet")
    assert used["rows"] == [["AM against JM", [["-0.25", "75.0% of cages"]]]]


def test_a_table_of_other_columns_is_refused(tmp_path):
    pl.DataFrame({"a": ["AM"], "b": ["JM"]}).write_parquet(tmp_path / "zones.parquet")
    with pytest.raises(DataError, match="zone missing, log_ratio missing"):
        zone_rows(tmp_path / "zones.parquet")


def test_words_and_networks_are_told():
    assert definition_rows(explanation())[1] == ("log stops", "logarithm of the ratio of stops")
    assert network_rows(explanation()) == [["AM against AF, separation", "+1.250", "+1.250", "+0.70", "+0.10", ""]]


def test_the_channels_that_differ_most_come_first(folder):
    summary = read_json(folder / "activation_maps.json", "maps", "")
    shown = map_figures(folder, summary)
    best = summary["channels"][summary["order"][0]]
    channel = f"Kernel {best['kernel']}x{best['kernel']}, channel {best['channel']:02}"
    assert shown[0].words.startswith(f"{channel}: {best['difference']:.1%} of the variance between samples")


def test_the_page_says_how_little_the_maps_tell(folder):
    assert "they carry no significance." in explained(folder, read_explanation(folder))["limits"]


def test_a_map_is_told_with_what_it_correlates_with(folder):
    summary = read_json(folder / "activation_maps.json", "maps", "")
    best = summary["order"][0]
    summary["channels"][best]["correlations"] = {"AM": {"stops": 0.9, "untrained": None}, "AF": {"stops": -0.5}}
    words = map_figures(folder, summary)[0].words
    assert words.endswith("; correlation with the map of stops: AM +0.90, AF -0.50")
    assert cross_rows({"crosses_in_zones": {"floor": 0.1, "untrained": None}}) == [
        ["floor", "10.0%"],
        ["untrained", ""],
    ]
