"""The panel of what goes with the class."""

import polars as pl

from lmtcnn.core.schemas import CONTROLS
from lmtcnn.evaluate import artefacts

INDEX = pl.DataFrame({"class": ["a", "b", "a"], "n_stops": [10, 20, 40], "n_late": [1, 0, 0], "n_cut": [0, 5, 0]})


def table_of(**columns: list[float | None]) -> pl.DataFrame:
    return pl.DataFrame({name: columns.get(name, [None] * 3) for name in CONTROLS.columns}, strict=False)


def test_each_quantity_has_a_row_for_each_class_with_samples() -> None:
    found = artefacts.panel(INDEX, table_of(known=[0.9, 0.95, 0.8], length_s=[7200.0, 3600.0, 7200.0]), ("b", "a", "c"))
    assert found.columns == list(artefacts.COLUMNS)
    assert found["class"].to_list() == ["b", "a"] * len(artefacts.QUANTITIES)
    assert found.filter(quantity="known").rows() == [
        ("b", "known", "%", 1, 95.0, 95.0, 95.0),
        ("a", "known", "%", 2, 85.0, 80.0, 90.0),
    ]
    assert found.filter(quantity="length_s")["median"].to_list() == [1, 2]


def test_stops_are_those_that_are_counted() -> None:
    found = artefacts.panel(INDEX, table_of(), ("a", "b"))
    assert found.filter(quantity="n_counted")["median"].to_list() == [24.5, 15]


def test_what_was_not_measured_is_empty() -> None:
    found = artefacts.panel(INDEX, table_of(hottest_c=[None, None, 25.0]), ("a", "b")).filter(quantity="hottest_c")
    assert found.select("n", "median", "highest").rows() == [(1, 25.0, 25.0), (0, None, None)]
