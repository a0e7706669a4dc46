"""The model behind `mlflow models serve`: stops in, answers or refusals out."""

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mlflow.exceptions import MlflowException

import study
from lmtcnn.core.errors import ModelError
from lmtcnn.register import lookup, served

PARAMS = study.small_params()
ROW = {"recording": "a", "animal_id": 1, "start_s": 1.0, "duration_s": 1.5, "x_cm": 10.0, "y_cm": 20.0}
LAST = ROW | {"start_s": 26.0}


@pytest.fixture(scope="module")
def folder() -> Path:
    """The registered model as it lies in the store."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        study.enter(study.registered(), monkeypatch)
        return lookup.resolve(None).folder.parent


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    """The model as MLflow loads it, with pickles forbidden."""
    import mlflow.pyfunc

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
        return mlflow.pyfunc.load_model(str(folder))


def request(model: Any, *rows: dict[str, Any]) -> list[dict[str, Any]]:
    """What MLflow's server answers to a request in JSON."""
    from mlflow.pyfunc.scoring_server import invocations

    split = {"columns": list(ROW), "data": [list(row.values()) for row in rows]}
    body = json.dumps({"dataframe_split": split}).encode()
    return json.loads(invocations(body, "application/json", model, model.metadata.get_input_schema()).response)[
        "predictions"
    ]


def test_an_answer_has_the_columns_of_the_signature(model: Any) -> None:
    (answer,) = request(model, ROW, LAST)
    assert list(answer) == model.metadata.get_output_schema().input_names()
    assert (answer["recording"], answer["animal_id"]) == ("a", 1)


@pytest.mark.parametrize(
    ("row", "line"),
    [
        ({"animal_id": 1.5}, "animal_id, row 0: expected a whole number, found 1.5; correct it"),
        ({"start_s": True}, "start_s, row 0: expected a number from 0 to 1e9, found True; correct it"),
        ({"recording": ["a"]}, "recording, row 0: expected a name of 1 to 200 characters, found ['a']; correct it"),
    ],
)
def test_a_cell_reaches_the_model_as_it_was_sent(model: Any, row: dict[str, Any], line: str) -> None:
    with pytest.raises(MlflowException) as error:
        request(model, ROW | row, LAST)
    assert error.value.get_http_status_code() == 400
    assert str(error.value.message).endswith(line)


def test_a_recording_of_another_length_is_refused(model: Any) -> None:
    with pytest.raises(MlflowException, match=r"a: expected 90% of the model's 30 s, found 2\.5 s"):
        request(model, ROW)


def test_a_column_that_stands_twice_is_told(model: Any) -> None:
    frame = pd.DataFrame([ROW, LAST])
    with pytest.raises(MlflowException, match="x_cm: expected one column, found several; leave one"):
        model.unwrap_python_model().predict(None, pd.concat([frame, frame[["x_cm"]]], axis=1))


def test_the_example_is_a_valid_request(model: Any) -> None:
    example = served.example(PARAMS.histograms)
    assert model.metadata.get_input_schema().input_names() == list(example.columns)
    assert len(model.predict(example)) == 1
    assert len(served.example(study.small_params(histograms__intervals=72).histograms)) == 72


@pytest.mark.parametrize("name", ["weights.safetensors", "model.json"])
def test_a_file_that_was_changed_is_not_loaded(folder: Path, tmp_path: Path, name: str) -> None:
    import mlflow.pyfunc

    copied = shutil.copytree(folder, tmp_path / "model")
    with (copied / "artifacts" / name).open("ab") as stream:
        stream.write(b" ")
    with pytest.raises(ModelError, match=f"{name}: expected sha256 [0-9a-f]{{12}}, found sha256 "):
        mlflow.pyfunc.load_model(str(copied))


def test_a_model_that_names_no_digest_is_not_loaded(folder: Path, tmp_path: Path) -> None:
    import mlflow.pyfunc

    copied = shutil.copytree(folder, tmp_path / "model")
    about = (copied / "MLmodel").read_text()
    assert "sha256:" in about
    (copied / "MLmodel").write_text(about.replace("sha256:", "other:"))
    with pytest.raises(ModelError, match="expected a known sha256, found sha256 "):
        mlflow.pyfunc.load_model(str(copied))


def test_nothing_is_fetched_from_an_index_under_our_name(folder: Path) -> None:
    for name in ("requirements.txt", "conda.yaml", "python_env.yaml"):
        assert "lmtcnn" not in (folder / name).read_text()
    required = (folder / "requirements.txt").read_text().splitlines()
    assert {line.split("==")[0] for line in required} >= {"mlflow", "torch", "polars", "safetensors"}
    assert all("+" not in line for line in required)  # a local build is on no index
