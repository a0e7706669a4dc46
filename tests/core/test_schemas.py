"""The tables that pass between stages."""

from pathlib import Path

import polars as pl
import pytest

from conftest import told
from lmtcnn.core.errors import DataError
from lmtcnn.core.schemas import COVERAGE, GAP_LEVELS, HISTORY, QUALITY, STOPS, Table, index_table, predictions_table

TINY = Table("the tiny table", "stops", {"a": pl.Int64(), "b": pl.String()})
FRAME = pl.DataFrame({"a": [1, 2], "b": ["x", None]})
ALL = [STOPS, QUALITY, COVERAGE, HISTORY, index_table(["sex", "age"]), predictions_table(["AM", "JM"])]


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    TINY.write(FRAME, tmp_path / "t.parquet")
    assert TINY.read(tmp_path / "t.parquet").equals(FRAME)


def test_the_same_table_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("1.parquet", "2.parquet"):
        TINY.write(FRAME, tmp_path / name)
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "2.parquet").read_bytes()


@pytest.mark.parametrize("table", ALL, ids=lambda table: table.name)
def test_an_empty_table_has_its_columns(tmp_path: Path, table: Table) -> None:
    table.write(table.empty(), tmp_path / "t.parquet")
    assert dict(table.read(tmp_path / "t.parquet").schema) == dict(table.columns)


@pytest.mark.parametrize(
    ("frame", "wrong"),
    [
        (FRAME.drop("b"), "b missing"),
        (FRAME.with_columns(c=1.0), "c Float64"),
        (FRAME.cast({"a": pl.Int32}), "a Int32"),
        (FRAME.cast({"a": pl.Int32}).rename({"b": "c"}), "a Int32, b missing, c String"),
        (FRAME.select("b", "a"), "another order"),
    ],
)
def test_wrong_columns_are_named_when_written_and_when_read(tmp_path: Path, frame: pl.DataFrame, wrong: str) -> None:
    path = tmp_path / "t.parquet"
    line = f"{path}: expected the columns of the tiny table, found {wrong}; run `lmtcnn stops` again"
    assert told(DataError, TINY.write, frame, path) == (line,)
    assert not path.exists()
    frame.write_parquet(path)
    assert told(DataError, TINY.read, path) == (line,)


def test_a_table_that_is_missing_is_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    assert told(DataError, TINY.read, path) == (
        f"{path}: expected the tiny table, found no file; run `lmtcnn stops` first",
    )


@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[:-9], lambda b: b"PAR1" + bytes(len(b) - 4)])
def test_a_damaged_table_is_told_in_one_line(tmp_path: Path, damage) -> None:
    path = tmp_path / "t.parquet"
    TINY.write(FRAME, path)
    path.write_bytes(damage(path.read_bytes()))
    (line,) = told(DataError, TINY.read, path)
    assert line.startswith(f"{path}: expected the tiny table, found ")
    assert line.endswith("; run `lmtcnn stops` again")
    assert "\n" not in line


def test_a_name_with_a_star_is_one_file(tmp_path: Path) -> None:
    TINY.write(FRAME, tmp_path / "a*.parquet")
    TINY.write(FRAME, tmp_path / "ab.parquet")
    assert TINY.read(tmp_path / "a*.parquet").height == 2


def test_the_index_has_the_label_columns_of_the_study() -> None:
    assert list(index_table(["strain"]).columns) == [
        "recording", "animal_id", "rfid", "animal", "cage", "strain", "class", "n_stops", "n_outside", "n_late",
        "n_cut",
    ]  # fmt: skip


def test_predictions_have_a_column_of_probabilities_for_each_class_in_order() -> None:
    assert list(predictions_table(["b", "a"]).columns)[-3:] == ["predicted", "p_b", "p_a"]


def test_quality_counts_stops_under_each_gap_setting() -> None:
    assert [name for name in QUALITY.columns if "gap" in name] == [f"n_stops_gap_{level}" for level in GAP_LEVELS]
