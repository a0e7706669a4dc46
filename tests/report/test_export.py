"""Tables for R: what stands in a CSV is what the study's own tables say."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from conftest import Scene, still, told
from lmtcnn.cohort import cohort
from lmtcnn.core.errors import DataError
from lmtcnn.core.sections import CohortParams
from lmtcnn.evaluate import evaluate
from lmtcnn.histograms import histograms
from lmtcnn.report.export import class_hours, class_maps, export
from lmtcnn.stops import stops
from study import seal_training, small_params, write_training


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, object]:
    """Two cages of two mice, 30 s in three intervals; cage c2 was recorded in Paris; mouse 2 is lost for 10 s."""
    monkeypatch.chdir(tmp_path)
    params = small_params(train={"epochs": 1, "seeds": (0, 1)})
    params = params.model_copy(update={"cohort": CohortParams(databases="raw", manifest="cohort.csv")})
    Path("raw").mkdir()
    rows = ["recording,rfid,cage,sex,age,timezone"]
    for cage, sex, zone in (("c1", "F", ""), ("c2", "M", "Europe/Paris")):
        mice = still(1, 900) + still(1, 600, x=300.0, animal=2)
        Scene(mice, n_frames=900, animals={1: f"0{cage}", 2: f"1{cage}"}).write(Path("raw") / f"{cage}.sqlite")
        rows += [f"{cage},{number}{cage},{cage},{sex},adult,{zone}" for number in (0, 1)]
    Path("cohort.csv").write_text("\n".join(rows) + "\n")
    data, mice = Path("data"), cohort.load(params)
    stops.stops(mice.recordings, data / "stops", params, 1)
    histograms.histograms(mice, data / "stops", data / "histograms", params)
    return data, params


def read(name: str) -> pl.DataFrame:
    return pl.read_csv(Path("out") / f"{name}.csv", schema_overrides={"rfid": pl.String})


def test_before_any_training_there_are_samples_stops_and_means(study) -> None:
    data, params = study
    paths = export(data, Path("out"), params)
    assert [path.name for path in paths] == ["class_hours.csv", "class_maps.csv", "samples.csv", "stops.csv"]
    samples = read("samples")
    assert samples["rfid"].to_list() == ["0c1", "1c1", "0c2", "1c2"]
    assert samples["class"].to_list() == ["AF", "AF", "AM", "AM"]
    assert samples["n_detected"].to_list() == [900, 600, 900, 600]
    assert samples["detected_share"].to_list() == pytest.approx([1, 2 / 3, 1, 2 / 3])
    assert "predicted" not in samples.columns


def test_times_of_day_are_of_the_recordings_zone_and_say_which(study) -> None:
    """The scenes start at epoch second 1,700,000,000, which is 22:13:20 UTC on 14 November 2023."""
    data, params = study
    export(data, Path("out"), params)
    starts = dict(read("samples").select("cage", "start").iter_rows())
    assert starts == {"c1": "2023-11-14T22:13:20.000+00:00", "c2": "2023-11-14T23:13:20.000+01:00"}
    assert read("stops").filter(cage="c2")["time"].to_list() == ["2023-11-14T23:13:20.100+01:00"] * 2


def test_every_stop_stands_in_the_table_with_its_interval(study) -> None:
    data, params = study
    export(data, Path("out"), params)
    table = read("stops")
    assert table.height == read("samples")["n_stops"].sum()
    assert table["interval"].to_list() == [0] * table.height
    own = pl.read_parquet(data / "stops" / "c1.parquet")
    np.testing.assert_array_equal(table.filter(cage="c1")["x_cm"], own["x_cm"])
    export(data, Path("bare"), params, stops=False)
    assert not (Path("bare") / "stops.csv").exists()


def test_after_a_training_predictions_are_those_of_held_out_cages(study) -> None:
    data, params = study
    index = pl.read_parquet(data / "histograms" / "index.parquet")
    cages = ("c1", "c2")
    write_training(data / "train", index, params, cages, lambda s, seed: [0.1 + 0.2 * seed, 0.1, 0.5, 0.3 - 0.2 * seed])
    seal_training(data / "train", folds=list(cages))
    export(data, Path("out"), params)
    samples, singles = read("samples"), read("predictions")
    assert samples.select("p_AM", "p_JM", "p_AF", "p_JF").row(0) == pytest.approx((0.2, 0.1, 0.5, 0.2))
    assert samples["predicted"].to_list() == ["AF"] * 4
    assert singles.height == 8
    evaluate.evaluate(data, params)
    export(data, Path("out"), params)
    baselines = pl.read_csv(data / "evaluate" / "baselines.csv")
    assert read("samples")["predicted_svm"].to_list() == baselines["svm"].to_list()


def test_means_of_a_class_are_those_of_its_stacks() -> None:
    params = small_params()
    stacks = np.random.default_rng(0).poisson(2, (4, 3, 6, 6))
    index = pl.DataFrame({"class": ["AM", "JF", "AM", "JF"]})
    maps = class_maps(stacks, index, params)
    expected = stacks[[0, 2]].sum(axis=1).mean(axis=0)
    np.testing.assert_allclose(maps.filter(pl.col("class") == "AM")["count"].to_numpy().reshape(6, 6), expected)
    width = params.stops.arena.width_cm
    assert maps.filter(row=0, column=5)["x_cm"].to_list() == pytest.approx([5.5 / 6 * width] * 2)
    hours = class_hours(stacks, index, params)
    totals = stacks[[1, 3]].sum(axis=(2, 3))
    jf = hours.filter(pl.col("class") == "JF")
    np.testing.assert_allclose(jf["count"], totals.mean(axis=0))
    np.testing.assert_allclose(jf["sd"], totals.std(axis=0, ddof=1))


def test_without_histograms_the_command_says_what_to_run(tmp_path: Path) -> None:
    (line,) = told(DataError, export, tmp_path, tmp_path / "out", small_params())
    assert line.endswith("found no file; run `lmtcnn histograms` first")
    assert not (tmp_path / "out").exists()
