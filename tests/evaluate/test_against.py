"""Two studies of the same samples."""

from pathlib import Path

import polars as pl
import pytest

from conftest import told
from lmtcnn.core.errors import DataError
from lmtcnn.evaluate.against import against, read
from study import small_params, write_study


def table(right: dict[str, list[int]], seeds: int = 2, **changes: str) -> pl.DataFrame:
    """Cage -> of each of its samples, how many of so many networks are right."""
    rows = [
        {"recording": f"{cage}r", "animal_id": animal, "cage": cage, "class": "a", "seed": seed, **changes}
        | {"predicted": "a" if seed < n else "b"}
        for cage, hits in right.items()
        for animal, n in enumerate(hits)
        for seed in range(seeds)
    ]
    return pl.DataFrame(rows)


def test_the_same_samples_are_compared_cage_by_cage_whatever_their_seeds() -> None:
    ours = table({"c1": [2, 2], "c2": [2, 1], "c3": [2, 2], "c4": [2, 2]})
    theirs = table({"c4": [1, 2], "c3": [1, 0], "c2": [0, 3], "c1": [1, 1], "c5": [0]}, seeds=3)
    made = against(ours, theirs, 0.05, "there")
    assert made.ours == pytest.approx(15 / 16)
    assert made.theirs == pytest.approx(9 / 24)
    assert made.found.difference == pytest.approx(made.ours - made.theirs)
    assert made.found.p == 1 / 8  # all four signs alike, or all reversed
    assert made.found.words == "not distinguishable"  # by four cages p cannot be smaller
    assert (made.only_ours, made.only_theirs) == (0, 1)
    assert made.lines[0] == "accuracy 0.938 here, 0.375 there, on 8 samples of 4 cages"
    assert made.lines[-1] == "left out: 0 samples that are here alone, 1 there alone"


def test_studies_that_cannot_be_compared_are_told_in_a_line() -> None:
    ours = table({"c1": [1], "c2": [1]})
    assert told(DataError, against, ours, table({"c9": [1]}), 0.05, "there") == (
        "there: expected samples of this study, found none of them; compare studies of the same cohort",
    )
    other = table({"c1": [1], "c2": [1]}, **{"class": "b"})
    assert told(DataError, against, ours, other, 0.05, "there") == (
        "there, animal 0 of c1r: expected class a, found b in 2 samples; compare studies of one manifest",
    )


def test_predictions_are_read_from_a_data_folder(tmp_path: Path) -> None:
    params = small_params()
    write_study(tmp_path, params)
    assert read(tmp_path, tuple(params.classes)).height == 32
    (line,) = told(DataError, read, tmp_path / "elsewhere", tuple(params.classes))
    assert line.startswith(f"{tmp_path}/elsewhere/train/predictions.parquet: expected the out-of-fold predictions of ")


def test_a_study_matches_itself(tmp_path: Path) -> None:
    params = small_params()
    write_study(tmp_path, params)
    found = read(tmp_path, tuple(params.classes))
    made = against(found, found, 0.05, "itself")
    assert (made.found.difference, made.found.p, made.found.words) == (0, 1, "matches")
