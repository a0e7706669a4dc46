"""An explanation's tables and arrays."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cohorts import cohort, stacks
from lmtcnn.core.schemas import EXPLAINED
from lmtcnn.explain.daytime import Daytime
from lmtcnn.explain.differences import Differences, differences
from lmtcnn.explain.evidence import Evidence
from lmtcnn.explain.tables import of_labels, write_array, write_samples, write_scopes, write_used
from lmtcnn.explain.used import Used
from study import small_params

DAY = Daytime(6.0, np.zeros(12), (18 + 6.0 * np.arange(12)) % 24, True)
CORNER = {"corner": {"kind": "other", "rectangle_cm": [0.0, 0.0, 18.0, 18.0]}}


@pytest.fixture(scope="module")
def made() -> Differences:
    index = cohort(8)
    params = small_params(zones=CORNER, explain={"arrangements": 49})
    return differences(stacks(index, place=1), index, params, DAY, (49.8, 50.9))


def test_the_data_s_tables_have_every_pair_in_the_order_of_classes(made: Differences, tmp_path: Path) -> None:
    names = write_scopes(tmp_path, made.scopes, DAY)
    assert sorted(names) == sorted(path.name for path in tmp_path.iterdir())
    pairs = [("AM", "JM"), ("AM", "AF"), ("AM", "JF"), ("JM", "AF"), ("JM", "JF"), ("AF", "JF")]
    for kind, rows in (("contrasts", 64), ("zones", 1), ("hours", 12), ("clock", 4)):
        table = EXPLAINED[kind].read(tmp_path / f"{kind}.parquet")
        assert list(table.select("a", "b").unique(maintain_order=True).iter_rows()) == pairs
        assert table.height == 6 * rows
        assert pl.read_csv(tmp_path / f"{kind}.csv").columns == table.columns
        wide = of_labels(EXPLAINED[kind]).read(tmp_path / f"{kind}_labels.parquet")
        assert wide.select("label", "a", "b").unique(maintain_order=True).rows() == [
            ("sex", "M", "F"), ("age", "adult", "juvenile"),
        ]  # fmt: skip
    clock = EXPLAINED["clock"].read(tmp_path / "clock.parquet")
    assert clock["hour"][:4].to_list() == [0, 6, 12, 18]


def test_a_row_of_contrasts_is_a_tile_of_the_array(made: Differences, tmp_path: Path) -> None:
    write_scopes(tmp_path, made.scopes, DAY)
    maps = np.load(tmp_path / "contrasts.npy")
    assert (maps.shape, maps.dtype) == ((6, 8, 8), np.float32)
    table = EXPLAINED["contrasts"].read(tmp_path / "contrasts.parquet")
    own = table.filter((pl.col("a") == "AM") & (pl.col("b") == "AF") & (pl.col("row") == 2) & (pl.col("column") == 5))
    assert own["difference"].item() == pytest.approx(maps[1, 2, 5], abs=1e-5)


def test_the_networks_tables_have_both_kinds(tmp_path: Path) -> None:
    places = np.arange(4.0).reshape(2, 2)
    found = [Used("A", "B", kind, places, np.array([1.0, 5.0]), 6.0, 6.0) for kind in ("direction", "separation")]
    names = write_used(tmp_path, found, [("A", "B", "direction", "nest", 1.5, 0.75)])
    assert sorted(names) == sorted(path.name for path in tmp_path.iterdir())
    table = EXPLAINED["attributions"].read(tmp_path / "attributions.parquet")
    assert table.filter(kind="separation", row=1, column=0)["value"].item() == 2
    assert EXPLAINED["attribution_hours"].read(tmp_path / "attribution_hours.parquet")["value"].to_list() == [
        1,
        5,
        1,
        5,
    ]
    assert EXPLAINED["attribution_zones"].read(tmp_path / "attribution_zones.parquet").rows() == [
        ("A", "B", "direction", "nest", 1.5, 0.75)
    ]


def test_where_there_is_nothing_tables_are_empty_and_arrays_are_none(tmp_path: Path) -> None:
    assert write_array(tmp_path, "x.npy", []) == []
    write_used(tmp_path, [], [])
    assert EXPLAINED["attributions"].read(tmp_path / "attributions.parquet").is_empty()


def test_a_sample_has_a_row_a_map_and_its_hours_and_zones(tmp_path: Path) -> None:
    index = pl.DataFrame({"recording": ["r1", "r2"], "animal_id": [1, 4]})
    places = np.arange(4.0).reshape(2, 2)
    told = Evidence("A", "B", (0.7, 0.2), places, np.array([1.0, 5.0]), {"nest": 3.0}, 6.0)
    names = write_samples(tmp_path, index, {1: told}, 3600)
    assert sorted(names) == sorted(path.name for path in tmp_path.iterdir())
    (row,) = EXPLAINED["sample_attributions"].read(tmp_path / "sample_attributions.parquet").rows()
    assert row == ("r2", 4, "A", "B", 0.7, 0.2, 6.0, 6.0, told.words(3600))
    assert EXPLAINED["sample_hours"].read(tmp_path / "sample_hours.parquet").rows() == [
        ("r2", 4, 0, 1.0), ("r2", 4, 1, 5.0),
    ]  # fmt: skip
    assert EXPLAINED["sample_zones"].read(tmp_path / "sample_zones.parquet").rows() == [("r2", 4, "nest", 3.0)]
    assert np.load(tmp_path / "sample_attributions.npy").tolist() == [places.tolist()]
