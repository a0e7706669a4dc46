"""Tables of stops: what is answered, and what is refused in words."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

import study
from conftest import told
from lmtcnn.bundle import bundle
from lmtcnn.bundle.bundle import Bundle
from lmtcnn.bundle.doubt import distances, roots_of
from lmtcnn.core.errors import DataError
from lmtcnn.histograms.stack import floor_of, stack_of
from lmtcnn.predictions import answer, predict, prediction

PARAMS = study.small_params()
ROW = {"recording": "a", "animal_id": 1, "start_s": 1.0, "duration_s": 1.5, "x_cm": 10.0, "y_cm": 20.0}
LAST = {"start_s": 26.0}
"""A stop that makes a recording as long as the model's 3 intervals of 10 s: 27.5 s."""


@pytest.fixture(scope="module")
def made() -> Bundle:
    """The small study's bundle: 3 intervals of 10 s, of simulated mice."""
    return bundle.build(study.prepared(), PARAMS)


def table(*rows: dict[str, Any]) -> dict[str, list[Any]]:
    return {name: [(ROW | row)[name] for row in rows] for name in ROW}


def ask(made: Bundle, *rows: dict[str, Any]) -> list[prediction.Prediction]:
    return answer.answers(answer.checked(table(*rows)), made)


def test_each_animal_gets_the_answer_of_its_own_stops(made: Bundle) -> None:
    rows = ({}, {"animal_id": 2, "x_cm": 40.0}, LAST, {"recording": "b", "y_cm": 1.0}, {"recording": "b", **LAST})
    found = ask(made, *rows)
    assert [(p.recording, p.animal_id) for p in found] == [("a", 1), ("a", 2), ("b", 1)]
    own = pl.DataFrame([ROW, ROW | LAST])
    stack = stack_of(own, floor_of(PARAMS.stops.arena), PARAMS.histograms)
    (alone,) = predict.classify([predict.Stacked("a", 1, None, stack.counts, 0.0, [])], made)
    assert found[0].predicted == alone.predicted
    assert found[0].probabilities == pytest.approx(alone.probabilities, abs=1e-6)


def test_more_animals_than_go_through_the_networks_together_are_answered_alike(made: Bundle) -> None:
    rows = [
        row
        for name in range(2 * answer.AT_ONCE + 1)
        for row in ({"recording": f"r{name}"}, {"recording": f"r{name}", **LAST})
    ]
    found = ask(made, *rows)
    assert [p.recording for p in found] == [f"r{name}" for name in range(2 * answer.AT_ONCE + 1)]
    assert {p.predicted for p in found} == {found[0].predicted}
    assert {round(p.probability, 6) for p in found} == {round(found[0].probability, 6)}


def test_an_answer_says_what_to_keep_in_mind(made: Bundle) -> None:
    simulated, *unlike = ask(made, {}, LAST)[0].warnings
    assert any(line.startswith("its stops lie elsewhere than those of the training cohort") for line in unlike)
    assert simulated == "the model learned from simulated mice: it says nothing about real ones"
    assert any(line.startswith("unlike the training cohort: stops an interval 0.667") for line in unlike)


def test_an_answer_s_distance_is_that_of_all_its_stops_whatever_else_is_asked(made: Bundle) -> None:
    """Animals of two recordings take turns in the table."""
    places = {("a", 1): 10.0, ("b", 1): 30.0, ("a", 2): 40.0}
    rows = [
        {"recording": name, "animal_id": i, "x_cm": x, **when} for when in ({}, LAST) for (name, i), x in places.items()
    ]
    found = ask(made, *rows)
    assert [(p.recording, p.animal_id) for p in found] == list(places)
    for p, x in zip(found, places.values(), strict=True):
        stops = pl.DataFrame([ROW | {"x_cm": x}, ROW | LAST | {"x_cm": x}])
        counts = stack_of(stops, floor_of(PARAMS.stops.arena), PARAMS.histograms).counts[None]
        (expected,) = distances(roots_of(counts, PARAMS.evaluate.smoothing_tiles), made.reference)
        assert p.distance == pytest.approx(expected)
        assert p.set == list(PARAMS.classes)  # four cages are too few for a level


def test_a_recording_the_other_way_round_is_told_for_all_its_animals_and_no_other(made: Bundle) -> None:
    """The training cohort is that of recording `a`, mirrored; `b` lies as it does."""
    rows = [{}, LAST, {"recording": "b", "x_cm": 39.8}, {"recording": "b", "x_cm": 39.8, **LAST}]
    own = pl.DataFrame([ROW | {"x_cm": 39.8}, ROW | LAST | {"x_cm": 39.8}])
    counts = stack_of(own, floor_of(PARAMS.stops.arena), PARAMS.histograms).counts[None]
    known = replace(made.reference, roots=roots_of(counts, 1.5).astype(np.float32), farthest=0.01)
    a, b = ask(replace(made, reference=known), *rows)
    words = "the recording fits the training cohort better mirrored left to right"
    assert [any(line.startswith(words) for line in p.warnings) for p in (a, b)] == [True, False]


def test_a_clock_time_of_the_model_is_told() -> None:
    made = bundle.build(study.prepared(), PARAMS)
    made.meta["histograms"] = made.meta["histograms"] | {"align": "20:00"}
    assert "start_s is taken as seconds since 20:00" in ask(made, {}, LAST)[0].warnings


@pytest.mark.parametrize(
    ("row", "line"),
    [
        ({"recording": None}, "recording, row 1: expected a name of 1 to 200 characters, found None; correct it"),
        ({"recording": ["a"]}, "recording, row 1: expected a name of 1 to 200 characters, found ['a']; correct it"),
        ({"recording": {}}, "recording, row 1: expected a name of 1 to 200 characters, found {}; correct it"),
        ({"recording": 1}, "recording, row 1: expected a name of 1 to 200 characters, found 1; correct it"),
        ({"recording": ""}, "recording, row 1: expected a name of 1 to 200 characters, found nothing; correct it"),
        (
            {"recording": "\ud800"},
            r"recording, row 1: expected a name of 1 to 200 characters, found \ud800; correct it",
        ),
        ({"recording": "a\nb"}, r"recording, row 1: expected a name of 1 to 200 characters, found a\nb; correct it"),
        ({"animal_id": 1.5}, "animal_id, row 1: expected a whole number, found 1.5; correct it"),
        ({"animal_id": True}, "animal_id, row 1: expected a whole number, found True; correct it"),
        ({"animal_id": "1"}, "animal_id, row 1: expected a whole number, found the text 1; correct it"),
        ({"animal_id": math.nan}, "animal_id, row 1: expected a whole number, found nan; correct it"),
        ({"animal_id": 2**63}, f"animal_id, row 1: expected a whole number, found {2**63}; correct it"),
        ({"start_s": None}, "start_s, row 1: expected a number from 0 to 1e9, found None; correct it"),
        ({"start_s": True}, "start_s, row 1: expected a number from 0 to 1e9, found True; correct it"),
        ({"start_s": np.bool_(True)}, "start_s, row 1: expected a number from 0 to 1e9, found True; correct it"),
        ({"start_s": -0.5}, "start_s, row 1: expected a number from 0 to 1e9, found -0.5; correct it"),
        ({"start_s": 1e30}, "start_s, row 1: expected a number from 0 to 1e9, found 1e+30; correct it"),
        (
            {"start_s": 10**400},
            f"start_s, row 1: expected a number from 0 to 1e9, found 1{'0' * 399}... (401 characters); correct it",
        ),
        ({"duration_s": math.inf}, "duration_s, row 1: expected a number from 0 to 1e9, found inf; correct it"),
        ({"duration_s": 1e18}, "duration_s, row 1: expected a number from 0 to 1e9, found 1e+18; correct it"),
        ({"x_cm": math.nan}, "x_cm, row 1: expected a number from -1e9 to 1e9, found nan; correct it"),
        ({"x_cm": -1e300}, "x_cm, row 1: expected a number from -1e9 to 1e9, found -1e+300; correct it"),
        ({"y_cm": "far"}, "y_cm, row 1: expected a number from -1e9 to 1e9, found far; correct it"),
        ({"y_cm": [1.0]}, "y_cm, row 1: expected a number from -1e9 to 1e9, found [1.0]; correct it"),
    ],
)
def test_a_cell_that_is_not_what_its_column_holds_is_told_with_its_row(row: dict[str, Any], line: str) -> None:
    assert told(DataError, answer.checked, table({}, row)) == (line,)


def test_whole_numbers_in_any_type_are_animals() -> None:
    stops = answer.checked(table({}, {"animal_id": 1.0}, {"animal_id": np.int32(1)}, {"animal_id": np.float64(1)}))
    assert stops["animal_id"].to_list() == [1, 1, 1, 1]


def test_every_bad_column_is_told() -> None:
    lines = told(DataError, answer.checked, table({"x_cm": None, "animal_id": 1.5}))
    assert [line.partition(",")[0] for line in lines] == ["animal_id", "x_cm"]


def test_missing_columns_are_told() -> None:
    columns = {name: values for name, values in table({}).items() if name not in ("x_cm", "recording")}
    assert told(DataError, answer.checked, columns) == (
        "recording: expected a column, found none; add it",
        "x_cm: expected a column, found none; add it",
    )


def test_an_empty_table_is_told() -> None:
    assert told(DataError, answer.checked, table()) == ("the table: expected stops, found no row; send at least one",)


def test_a_table_of_too_many_rows_or_animals_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer, "MAX_ROWS", 3)
    assert told(DataError, answer.checked, table({}, {}, {}, {})) == (
        "the table: expected 3 rows at most, found 4; send several requests",
    )
    monkeypatch.setattr(answer, "MAX_ANIMALS", 2)
    answer.checked(table({}, {"animal_id": 2}, {}))
    assert told(DataError, answer.checked, table({}, {"animal_id": 2}, {"recording": "b"})) == (
        "the table: expected 2 animals at most (of all recordings together), found 3; send several requests",
    )


WHOLE = "send all stops of the recording, or use a model of this length"
FOUND = "26.9 s long, 89.7 % of the 30 s that are counted"
SHORT = f"expected 90% of the model's 30 s, found {FOUND}; {WHOLE}"


def test_a_recording_whose_last_stop_ends_too_early_is_refused(made: Bundle) -> None:
    assert told(DataError, ask, made, {}, {"start_s": 25.4}) == (f"a: {SHORT}",)
    assert len(ask(made, {}, {"start_s": 25.5})) == 1


def test_the_length_of_a_recording_is_that_of_all_its_animals(made: Bundle) -> None:
    assert len(ask(made, {}, {"animal_id": 2, **LAST})) == 2
    lines = told(DataError, ask, made, {}, {"recording": "b", **LAST}, {"recording": "c"})
    assert [line.partition(":")[0] for line in lines] == ["a", "c"]


def test_a_recording_with_most_stops_after_the_models_intervals_is_refused(made: Bundle) -> None:
    assert told(DataError, ask, made, {}, {"start_s": 31.0}, {"start_s": 1e9}) == (
        f"a: expected stops within 3 intervals of 10 s, found 2 of 3 beyond; {WHOLE}",
    )


def test_stops_off_the_floor_are_warned_of_by_the_words_of_predict(made: Bundle) -> None:
    rows = [{}, {"x_cm": -1.0}, LAST, {"animal_id": 2}, {"recording": "b"}, {"recording": "b", **LAST}]
    words = "the recording fails a quality check: animal 1: stops off the floor 33.3 %"
    assert [words in answer.warnings for answer in ask(made, *rows)] == [True, True, False]


def test_many_refused_recordings_are_told_in_a_few_lines(made: Bundle) -> None:
    lines = told(DataError, ask, made, *({"recording": f"r{i}"} for i in range(25)))
    assert len(lines) == answer.MAX_LINES + 1
    assert lines[-1] == "and 15 more"


def made_to(**values: object) -> Bundle:
    """The model, had it learned with other values in histograms."""
    made = bundle.build(study.prepared(), PARAMS)
    made.meta["histograms"] = made.meta["histograms"] | values
    return made


def counted(made: Bundle, rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How many stops of each animal reach the network."""
    found: list[float] = []

    def classify(stacked: list[predict.Stacked], _: Bundle) -> list[prediction.Prediction]:
        found.extend(float(animal.stack.sum()) for animal in stacked)
        return []

    monkeypatch.setattr(predict, "classify", classify)
    ask(made, *rows)
    return found


def test_the_window_of_the_model_is_that_of_its_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{}, {"start_s": 15.0}, {"start_s": 25.0}, {"animal_id": 2, "start_s": 16.0}]
    assert counted(made_to(window=[1, 2]), rows, monkeypatch) == [1, 1]


def test_stops_that_go_on_are_cut_where_the_model_does_so(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{}, {"start_s": 31.0}, {"start_s": 32.0}]
    assert counted(made_to(late="cut"), rows, monkeypatch) == [1]


def test_a_model_of_the_night_needs_the_time_of_day(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(DataError, ask, made_to(only="night"), {}, LAST) == (
        "the model: expected stops with their time of day: it counts those of the night, found only start_s; ask "
        "`lmtcnn predict`, which reads the clock",
    )
    hours = {"intervals": 3, "interval_s": 3600, "align": "19:00"}
    rows = [{"start_s": 600.0}, {"start_s": 4000.0}, {"start_s": 10_300.0}]  # 19:10, 20:06 and 21:51
    assert counted(made_to(only="night", **hours), rows, monkeypatch) == [2]
    assert counted(made_to(only="day", **hours), rows, monkeypatch) == [1]
