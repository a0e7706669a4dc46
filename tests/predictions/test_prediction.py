"""Predictions as plain values, tables and files."""

import json
from pathlib import Path

import polars as pl
import pytest

from conftest import told
from lmtcnn.core.errors import OutputError
from lmtcnn.predictions import prediction as module
from lmtcnn.predictions.prediction import Model, Prediction, check_out, save, to_json

CLASSES = ("AM", "JM", "AF", "JF")


# ---- How it is written -----------------------------------------------------------------------------------------------


ANSWERING = Model("models:/lmtcnn/3", "3", "train.lr=0.1", "2026-11-26T01:02:03+00:00", 0.75, "ab-cd")


SAID = dict(zip(("uri", "version", "run", "date", "accuracy", "digest"), vars(ANSWERING).values(), strict=True))


@pytest.fixture
def predictions() -> list[Prediction]:
    p = dict(zip(CLASSES, (0.5, 0.25, 0.125, 0.125), strict=True))
    return [
        Prediction("Käfig 1", 1, "001", "AM", 0.5, p, ["AM"], 0.03125, 1.0, [], ANSWERING),
        Prediction("Käfig 1", 2, None, "AM", 0.5, p, ["AM", "JM"], 0.0625, 0.5, ["a", "b"]),
    ]


def test_json_is_a_list_of_the_contract_s_objects(predictions) -> None:
    assert json.loads(to_json(predictions)) == [
        {
            "recording": "Käfig 1",
            "animal_id": 1,
            "rfid": "001",
            "predicted": "AM",
            "probability": 0.5,
            "probabilities": {"AM": 0.5, "JM": 0.25, "AF": 0.125, "JF": 0.125},
            "set": ["AM"],
            "distance": 0.03125,
            "agreement": 1.0,
            "model": SAID,
            "warnings": [],
        },
        {
            "recording": "Käfig 1",
            "animal_id": 2,
            "rfid": None,
            "predicted": "AM",
            "probability": 0.5,
            "probabilities": {"AM": 0.5, "JM": 0.25, "AF": 0.125, "JF": 0.125},
            "set": ["AM", "JM"],
            "distance": 0.0625,
            "agreement": 0.5,
            "model": None,
            "warnings": ["a", "b"],
        },
    ]
    assert list(json.loads(to_json(predictions))[0]) == [
        "recording", "animal_id", "rfid", "predicted", "probability", "probabilities", "set", "distance", "agreement",
        "model", "warnings",
    ]  # fmt: skip


HEADER = "recording,animal_id,rfid,predicted,probability,p_AM,p_JM,p_AF,p_JF,set,distance,agreement,warnings"


def test_a_table_has_a_column_for_each_class(predictions) -> None:
    frame = module.as_frame(predictions, CLASSES)
    assert frame.columns == HEADER.split(",")
    assert frame.rows() == [
        ("Käfig 1", 1, "001", "AM", 0.5, 0.5, 0.25, 0.125, 0.125, "AM", 0.03125, 1.0, ""),
        ("Käfig 1", 2, None, "AM", 0.5, 0.5, 0.25, 0.125, 0.125, "AM | JM", 0.0625, 0.5, "a | b"),
    ]


SAVED = HEADER.replace("warnings", "model,model_version,model_run,model_date,model_accuracy,model_digest,warnings")


def test_csv_parquet_and_json_say_the_same(predictions, tmp_path: Path) -> None:
    for name in ("a.csv", "a.parquet", "a.json", "B.CSV"):
        save(predictions, CLASSES, tmp_path / "new" / name)
    assert (tmp_path / "new" / "a.csv").read_text().splitlines() == [
        SAVED,
        f"Käfig 1,1,001,AM,0.5,0.5,0.25,0.125,0.125,AM,0.03125,1.0,{','.join(map(str, SAID.values()))},\"\"",
        "Käfig 1,2,,AM,0.5,0.5,0.25,0.125,0.125,AM | JM,0.0625,0.5,,,,,,,a | b",
    ]  # fmt: skip
    assert (tmp_path / "new" / "B.CSV").read_bytes() == (tmp_path / "new" / "a.csv").read_bytes()
    assert pl.read_parquet(tmp_path / "new" / "a.parquet").equals(module.as_table(predictions, CLASSES))
    assert (tmp_path / "new" / "a.json").read_text(encoding="utf-8") == to_json(predictions)


def test_a_model_is_told_in_one_line() -> None:
    assert ANSWERING.line == (
        "model models:/lmtcnn/3, run train.lr=0.1, registered 2026-11-26T01:02:03+00:00, "
        "right in 75.0% of the samples of held-out cages"
    )
    folder = Model("data/register", None, None, None, 0.75, "ab-cd")
    assert folder.line == "model data/register, digest ab-cd, right in 75.0% of the samples of held-out cages"


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.json"])
def test_no_answer_is_written_as_an_empty_table(tmp_path: Path, name: str) -> None:
    save([], CLASSES, tmp_path / name)
    if name == "a.csv":
        assert (tmp_path / name).read_text() == f"{SAVED}\n"
    elif name == "a.parquet":
        assert pl.read_parquet(tmp_path / name).shape == (0, 19)
    else:
        assert json.loads((tmp_path / name).read_text()) == []


@pytest.mark.parametrize(("name", "found"), [("a.xlsx", ".xlsx"), ("a", "none"), ("a.csv.gz", ".gz")])
def test_a_name_of_another_format_is_refused_before_any_work(tmp_path: Path, name: str, found: str) -> None:
    path = tmp_path / name
    line = f"{path}: expected a name that ends in .csv, .parquet, .json, found {found}; rename it"
    assert told(OutputError, check_out, path) == (line,)
    assert told(OutputError, save, [], CLASSES, path) == (line,)
    assert list(tmp_path.iterdir()) == []
