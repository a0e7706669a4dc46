"""Classes told by what is no behaviour."""

import numpy as np
import polars as pl
import pytest
from sklearn.gaussian_process.kernels import RBF
from sklearn.kernel_ridge import KernelRidge

from conftest import told
from lmtcnn.core.errors import DataError
from lmtcnn.core.schemas import CONTROLS
from lmtcnn.evaluate import controls

CAGES = [f"c{number}" for number in range(8) for _ in range(6)]


def table_of(**columns: np.ndarray) -> pl.DataFrame:
    n = len(next(iter(columns.values())))
    rows = {name: columns.get(name, np.zeros(n)) for name in CONTROLS.columns}
    return pl.DataFrame(rows, schema_overrides={"recording": pl.String}, strict=False)


def test_each_control_sees_its_own_and_nothing_of_places() -> None:
    stacks = np.zeros((2, 3, 4, 4), np.uint16)
    stacks[0, 1, 2, 3], stacks[1, 1, 0, 0] = 7, 7
    found = controls.features(table_of(start_s=np.array([0.0, 21_600.0]), known=np.array([0.9, 0.8])), stacks)
    assert set(found) == set(controls.NAMES)
    np.testing.assert_allclose(found["clock"], [[1, 0], [0, 1]], atol=1e-12)
    np.testing.assert_allclose(found["counts"], [[0, np.log(8), 0]] * 2)
    np.testing.assert_allclose(found["quality"], [[0.9, *[0] * 6], [0.8, *[0] * 6]])


def test_midnight_lies_between_one_and_twenty_three_o_clock() -> None:
    late = controls.features(table_of(start_s=np.array([82_800.0, 3_600.0, 43_200.0])), np.zeros((3, 1, 1, 1)))["clock"]
    assert np.linalg.norm(late[0] - late[1]) < 0.6 < np.linalg.norm(late[0] - late[2])


def test_a_fold_is_a_kernel_ridge_regression_of_its_training_samples() -> None:
    """scikit-learn's, on features that are standardised by the training samples."""
    random = np.random.default_rng(0)
    values, held_out = random.normal(3, 2, (40, 3)), np.arange(40) < 7
    train = (values - values[~held_out].mean(axis=0)) / values[~held_out].std(axis=0)
    target = random.normal(size=33)
    kernel = RBF(np.sqrt(3 / 2))
    peer = KernelRidge(alpha=controls.RIDGE, kernel=lambda a, b: float(kernel(a[None], b[None])[0, 0]))
    peer.fit(train[~held_out], target)
    ours = controls.fold(values, held_out).smoother @ target
    np.testing.assert_allclose(ours, peer.predict(train[held_out]), rtol=1e-8)


@pytest.mark.parametrize("fitted", ["scale", "labels"])
def test_held_out_samples_have_no_part_in_what_is_fitted(fitted: str) -> None:
    """Other values, or other labels, of the held-out cage change nothing of how the training samples answer."""
    random = np.random.default_rng(1)
    values, held_out = random.normal(size=(48, 2)), np.array(CAGES) == "c3"
    moved = np.where(held_out[:, None], 50 * values, values) if fitted == "scale" else values
    probe = np.where(held_out[:, None], 0.0, moved)
    one, two = controls.fold(np.where(held_out[:, None], 0.0, values), held_out), controls.fold(probe, held_out)
    np.testing.assert_array_equal(one.smoother, two.smoother)
    assert one.smoother.shape == (6, 42)


def test_what_tells_the_class_is_told_in_every_arrangement_of_the_names() -> None:
    random = np.random.default_rng(2)
    labels = np.tile([0, 1, 2], 16)
    values = labels[:, None] + random.normal(0, 0.1, (48, 1))
    prepared = controls.prepare({"quality": values, "clock": random.normal(size=(48, 2))}, CAGES)
    renamed = np.array([2, 0, 1])[labels]
    found = controls.label(prepared, np.stack([labels, renamed]))
    assert (found["control_quality"] == [labels, renamed]).mean() > 0.95
    assert (found["control_clock"] == [labels, renamed]).mean() < 0.6


def test_features_that_never_vary_say_the_first_class_of_equal_ones() -> None:
    prepared = controls.prepare({"quality": np.ones((48, 2))}, CAGES)
    found = controls.label(prepared, np.tile([0, 1, 2], 16)[None])["control_quality"]
    assert found.tolist() == [[0] * 48]


def test_one_cage_is_refused_in_one_line() -> None:
    assert told(DataError, controls.prepare, {"quality": np.ones((2, 1))}, ["c1", "c1"]) == (
        "the samples: expected two cages or more, found 1; add recordings of other cages",
    )


# ---- Words -----------------------------------------------------------------------------------------------------------


def metrics(**values: float) -> dict[str, float]:
    quiet = {
        f"control_{name}_{key}": value for name in controls.NAMES for key, value in (("accuracy", 0.2), ("p", 0.6))
    }
    return {"accuracy": 0.7, **quiet, **{f"control_{name}_chance": 0.22 for name in controls.NAMES}, **values}


def test_nothing_is_said_of_controls_that_tell_nothing() -> None:
    assert controls.doubts(metrics(occupancy_svm_accuracy=0.5)) == []


def test_a_control_better_than_its_chance_is_told_with_p() -> None:
    assert controls.doubts(metrics(control_clock_accuracy=0.41, control_clock_p=0.004)) == [
        "the time of day at which a recording began alone labels 41.0% of samples right, by chance 22.0% (p 0.004): "
        "what the network learns may be the clock"
    ]


def test_a_control_near_the_network_is_told_even_where_it_cannot_be_tested() -> None:
    known = metrics(control_counts_accuracy=0.66)
    del known["control_counts_p"], known["control_counts_chance"]
    assert controls.doubts(known) == [
        "the number of stops in each interval alone labels 66.0% of samples right, the network 70.0%: "
        "what the network learns may be how much mice stop, and not where"
    ]


def test_occupancy_near_the_network_is_no_artefact() -> None:
    assert controls.doubts(metrics(occupancy_svm_accuracy=0.72, occupancy_knn_accuracy=0.3)) == [
        "where mice stop, whenever, labels 72.0% of samples right, the network 70.0%: no artefact, but the "
        "time is not needed"
    ]
