"""The model behind `mlflow models serve`: stops in, answers or refusals out."""

import math
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest
from mlflow.exceptions import MlflowException

import study
from lmtcnn import bundle, histograms, predict, register, served

PARAMS = study.small_params()
ROW = {"recording": "a", "animal_id": 1, "start_s": 1.0, "duration_s": 1.5, "x_cm": 10.0, "y_cm": 20.0}


@pytest.fixture(scope="module")
def folder() -> Path:
    """The small study's bundle."""
    data = study.prepared()
    bundle.write(bundle.build(data, PARAMS), data / "register")
    return data / "register"


@pytest.fixture(scope="module")
def model(folder: Path) -> served.Served:
    """The model as MLflow loads it."""
    context = type("Context", (), {"artifacts": {"model": str(folder / "model.json")}})
    loaded = served.Served()
    loaded.load_context(context)  # type: ignore[arg-type]
    return loaded


def table(*rows: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame([ROW | row for row in rows])


def refused(frame: pd.DataFrame) -> str:
    with pytest.raises(MlflowException) as error:
        served.checked(frame)
    assert error.value.error_code == "INVALID_PARAMETER_VALUE"
    assert error.value.get_http_status_code() == 400
    return str(error.value.message)


def test_each_animal_gets_the_answer_of_its_own_stops(model: served.Served, folder: Path) -> None:
    frame = table({}, {"animal_id": 2, "x_cm": 40.0}, {"start_s": 25.0}, {"recording": "b", "y_cm": 1.0})
    answers = model.predict(None, frame)
    assert list(zip(answers["recording"], answers["animal_id"], strict=True)) == [("a", 1), ("a", 2), ("b", 1)]
    made = bundle.read(folder)
    own = pl.DataFrame(frame.iloc[[0, 2]].to_dict("list"))
    stack = histograms.stack_of(own, histograms.floor_of(PARAMS.stops.arena), PARAMS.histograms)
    (alone,) = predict.classify([predict.Stacked("a", 1, None, stack.counts, [])], made)
    assert answers["predicted"][0] == alone.predicted
    assert answers["probability"][0] == pytest.approx(alone.probability, abs=1e-6)
    assert answers["p_JF"][0] == pytest.approx(alone.probabilities["JF"], abs=1e-6)


def test_an_answer_has_the_columns_of_the_signature(model: served.Served) -> None:
    outputs = served.signature(list(PARAMS.classes)).outputs
    assert list(model.predict(None, table({})).columns) == outputs.input_names()


def test_an_answer_of_a_model_of_simulated_mice_says_so(model: served.Served) -> None:
    (warnings,) = model.predict(None, table({}))["warnings"]
    assert warnings.split(" | ")[0] == "the model learned from simulated mice: it says nothing about real ones"


def test_stops_unlike_those_of_the_training_cohort_are_told(model: served.Served) -> None:
    (warnings,) = model.predict(None, table({}))["warnings"]
    assert any(line.startswith("unlike the training cohort: stops an interval 0.333") for line in warnings.split(" | "))


def test_the_order_of_stops_does_not_matter(model: served.Served) -> None:
    frame = table({}, {"start_s": 15.0, "x_cm": 3.0}, {"start_s": 25.0})
    forth, back = (model.predict(None, f) for f in (frame, frame.iloc[::-1].reset_index(drop=True)))
    pd.testing.assert_frame_equal(forth, back)


def test_a_missing_column_is_told() -> None:
    assert refused(table({}).drop(columns=["x_cm", "recording"])) == (
        "recording: expected a column, found none; add it; x_cm: expected a column, found none; add it"
    )


def test_an_empty_table_is_told() -> None:
    assert refused(table({}).iloc[:0]) == "the table: expected stops, found no row; send at least one"


@pytest.mark.parametrize(
    ("row", "line"),
    [
        ({"start_s": None}, "start_s, row 1: expected a number, 0 or more, found nan; correct it"),
        ({"start_s": -0.5}, "start_s, row 1: expected a number, 0 or more, found -0.5; correct it"),
        ({"duration_s": math.inf}, "duration_s, row 1: expected a number, 0 or more, found inf; correct it"),
        ({"x_cm": math.nan}, "x_cm, row 1: expected a number, found nan; correct it"),
        ({"y_cm": "far"}, "y_cm, row 1: expected a number, found far; correct it"),
        ({"recording": None}, "recording, row 1: expected a value, found None; correct it"),
    ],
)
def test_a_cell_that_holds_no_value_is_told_with_its_row(row: dict[str, Any], line: str) -> None:
    frame = table({}, row)
    if row.get("recording", "") is None:
        frame["recording"] = pd.Series(["a", None], dtype=object)
    assert refused(frame) == line


def test_a_recording_of_another_length_is_refused(model: served.Served) -> None:
    with pytest.raises(MlflowException) as error:
        model.predict(None, table({}, {"start_s": 31.0}, {"start_s": 32.0}))
    assert error.value.message == ("a, 1: expected stops within 30 s, found 2 of 3 later; use a model of this length")


def test_a_clock_time_of_the_model_is_told(folder: Path) -> None:
    made = bundle.read(folder)
    made.meta["histograms"] = made.meta["histograms"] | {"align": "20:00"}
    model = served.Served()
    model.bundle = made
    assert "start_s is taken as seconds since 20:00" in model.predict(None, table({}))["warnings"][0]


def made_to(folder: Path, **values: object) -> served.Served:
    """The model, had it learned with other values in histograms."""
    model = served.Served()
    model.bundle = bundle.read(folder)
    model.bundle.meta["histograms"] = model.bundle.meta["histograms"] | values
    return model


def counted(model: served.Served, frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How many stops of each animal reach the network."""
    found = []

    def classify(stacked: list[predict.Stacked], made: Any) -> list:
        found.extend(float(animal.stack.sum()) for animal in stacked)
        return []

    monkeypatch.setattr(predict, "classify", classify)
    model.predict(None, frame)
    return found


def test_the_window_of_the_model_is_that_of_its_stops(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = table({}, {"start_s": 15.0}, {"start_s": 25.0}, {"animal_id": 2, "start_s": 16.0})
    assert counted(made_to(folder, window=[1, 2]), frame, monkeypatch) == [1, 1]


def test_stops_that_go_on_are_cut_where_the_model_does_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = table({}, {"start_s": 31.0}, {"start_s": 32.0})
    assert counted(made_to(folder, late="cut"), frame, monkeypatch) == [1]


def test_a_model_of_the_night_needs_the_time_of_day(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MlflowException) as error:
        made_to(folder, only="night").predict(None, table({}))
    assert error.value.get_http_status_code() == 400
    assert error.value.message == (
        "the model: expected stops with their time of day: it counts those of the night, found only start_s; ask "
        "`lmtcnn predict`, which reads the clock"
    )
    hours = {"intervals": 3, "interval_s": 3600, "align": "19:00"}
    frame = table({"start_s": 600.0}, {"start_s": 4000.0}, {"start_s": 7500.0})  # 19:10, 20:06 and 21:05
    assert counted(made_to(folder, only="night", **hours), frame, monkeypatch) == [2]
    assert counted(made_to(folder, only="day", **hours), frame, monkeypatch) == [1]


def test_the_example_is_a_valid_request() -> None:
    assert served.checked(served.example()).height == 1
    assert served.signature(["A"]).inputs.input_names() == list(served.example().columns)


def test_the_registered_program_loads_with_pickles_forbidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: served.Served
) -> None:
    import mlflow.pyfunc

    study.project(tmp_path, monkeypatch)
    register.register(study.copy(study.prepared()), PARAMS)
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    loaded = mlflow.pyfunc.load_model(str(register.fetch(None).parent))
    pd.testing.assert_frame_equal(loaded.predict(table({})), model.predict(None, table({})))
