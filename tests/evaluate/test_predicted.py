"""What a training said of its samples, and that nobody who asks for it waits for scikit-learn."""

import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from lmtcnn.evaluate.predicted import average, confusion_counts
from study import small_params, write_study

CLASSES = tuple(small_params().classes)


def test_confusion_has_true_classes_in_rows():
    pairs = pl.DataFrame({"actual": ["AM", "AM", "JF"], "predicted": ["JM", "AM", "JF"]})
    assert confusion_counts(pairs, CLASSES).tolist() == [[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]


def test_the_order_of_the_rows_of_predictions_means_nothing(tmp_path):
    """Five seeds, so that a sum taken in another order ends in another last digit."""
    rng = np.random.default_rng(0)
    params = small_params(train={"seeds": (0, 1, 2, 3, 4)})
    index = write_study(tmp_path, params, lambda sample, seed: rng.dirichlet(np.ones(4)).tolist())
    frame = pl.read_parquet(tmp_path / "train" / "predictions.parquet")
    shuffled = frame.sample(fraction=1, shuffle=True, seed=3)
    np.testing.assert_array_equal(average(shuffled, index, CLASSES), average(frame, index, CLASSES))


@pytest.mark.parametrize("module", ["lmtcnn.tracking.tracking", "lmtcnn.explain.explain", "lmtcnn.bundle.bundle"])
def test_who_asks_for_predictions_alone_does_not_wait_for_scikit_learn(module):
    code = f"import sys, {module}; assert 'sklearn' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
