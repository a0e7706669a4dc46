"""Every sample with its held-out prediction, and what the page draws of it."""

import base64

import numpy as np
import polars as pl
import pytest

from lmtcnn.core.errors import DataError
from lmtcnn.core.records import full_training
from lmtcnn.explain.explain import explain
from lmtcnn.histograms.shares import shares
from lmtcnn.report.samples import samples
from study import small_params, write_study

ZONES = {
    "dome": {"kind": "dome", "circle_cm": [8.0, 8.0, 7.0]},
    "low_shelf": {"kind": "other", "rectangle_cm": [0.0, 25.0, 50.0, 26.0]},
}


def unsure(sample: dict, seed: int) -> list[float]:
    """Seed 0 says AM of everyone, seed 1 the true class, a little less surely."""
    if seed == 0:
        return [0.55, 0.15, 0.15, 0.15]
    return [0.4 if name == sample["class"] else 0.2 for name in ("AM", "JM", "AF", "JF")]


@pytest.fixture(scope="module")
def params():
    return small_params(zones=ZONES)


@pytest.fixture(scope="module")
def data(tmp_path_factory, params):
    folder = tmp_path_factory.mktemp("study")
    write_study(folder, params, unsure)
    explain(folder, params)
    return folder


@pytest.fixture(scope="module")
def shown(data, params):
    return samples(data, full_training(data, params), params)


def test_a_prediction_is_the_mean_of_networks_that_never_saw_the_cage(shown):
    assert len(shown["rows"]) == 16
    row = next(row for row in shown["rows"] if row["class"] == "AF")
    assert (row["predicted"], row["right"], row["p_predicted"], row["p_true"]) == ("AM", False, "37.5%", "27.5%")
    assert row["agreement"] == "50.0%"
    assert (row["name"], row["cage"], row["stops"]) == ("c1_adult 1", "c1", 61)
    assert shown["cages"] == ["c1", "c2", "c3", "c4"]


def test_a_map_is_the_samples_own_in_steps_of_its_largest_tile(data, shown, params):
    stacks = np.load(data / "histograms" / "stacks.npy")
    own = shares(stacks, params.evaluate.smoothing_tiles)[3]
    one = shown["drawn"]["samples"][3]
    steps = np.frombuffer(base64.b64decode(one["map"]), dtype=np.uint8).reshape(6, 6)
    np.testing.assert_allclose(steps / 255 * one["top"], 1000 * own, atol=one["top"] / 500)
    assert one["hours"] == stacks[3].sum(axis=(1, 2)).tolist()
    assert one["p"] == shown["rows"][3]["p"]


def test_means_are_of_the_samples_of_a_class(data, shown):
    stacks = np.load(data / "histograms" / "stacks.npy")
    own = np.array([row["class"] == "JM" for row in shown["rows"]])
    assert shown["drawn"]["means"]["JM"]["hours"] == pytest.approx(
        stacks[own].sum(axis=(2, 3)).mean(axis=0).tolist(), abs=0.01
    )


def test_zones_are_shares_of_a_samples_stops(data, shown, params):
    stack = np.load(data / "histograms" / "stacks.npy")[5].sum(axis=0)
    assert shown["drawn"]["zones"] == ["dome", "low shelf"]
    lower = 100 * stack[3:].sum() / stack.sum()
    assert shown["drawn"]["samples"][5]["zones"][1] == pytest.approx(lower, abs=0.01)


def test_predictions_of_another_training_are_refused(tmp_path, params):
    write_study(tmp_path, params)
    training = full_training(tmp_path, params)
    path = tmp_path / "train" / "predictions.parquet"
    pl.read_parquet(path).with_columns(seed=pl.col("seed") + 1).write_parquet(path)
    with pytest.raises(DataError, match=r"predictions.parquet: expected what its record lists"):
        samples(tmp_path, training, params)
