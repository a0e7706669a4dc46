"""Stacks as a library gives them: those of the pipeline."""

import numpy as np
import polars as pl

import lmtcnn
from conftest import told
from lmtcnn.core.errors import DataError

STOPS = pl.DataFrame(
    {
        "recording": ["a", "a", "b"],
        "animal_id": [2, 1, 1],
        "start_s": [1.0, 3700.0, 10.0],
        "duration_s": 2.0,
        "x_cm": [1.0, 49.0, -3.0],
        "y_cm": 1.0,
    }
)


def test_a_stack_for_each_sample_with_its_index() -> None:
    stacks, index = lmtcnn.stack_histograms(STOPS, ["recording", "animal_id"], intervals=2)
    assert index.rows() == [("a", 1, 1, 0, 0, 0), ("a", 2, 1, 0, 0, 0), ("b", 1, 1, 1, 0, 0)]
    assert (stacks.shape, stacks.dtype) == ((3, 2, 30, 30), np.uint16)
    assert (stacks[0, 1, 0, 29], stacks[1, 0, 0, 0], stacks.sum()) == (1, 1, 3)
    one = lmtcnn.stack_histograms(STOPS.filter(recording="b"), intervals=2)
    assert np.array_equal(one, stacks[2])


def test_samples_of_a_table_keep_their_order_and_may_be_empty() -> None:
    samples = pl.DataFrame({"recording": ["b", "a", "a"], "animal_id": [1, 3, 1], "class": ["F", "M", "M"]})
    stacks, index = lmtcnn.stack_histograms(STOPS, samples, intervals=2)
    assert index["class"].to_list() == ["F", "M", "M"]
    assert stacks.sum(axis=(1, 2, 3)).tolist() == [1, 0, 1]


def test_stops_of_several_and_of_other_intervals_are_refused() -> None:
    assert told(DataError, lmtcnn.stack_histograms, STOPS)[0].startswith("stops: expected those of one animal, found")
    late = STOPS.with_columns(pl.col("start_s") + 3600)
    lines = told(DataError, lmtcnn.stack_histograms, late, ["recording"], intervals=1)
    assert lines[0].startswith("a: expected stops within 1 intervals of 3600 s, found 2 of 2 beyond")
    assert lmtcnn.stack_histograms(late, ["recording"], intervals=1, late="cut")[0].sum() == 0
