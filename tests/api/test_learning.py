"""Networks, maps and classes as a library gives them: those of the pipeline."""

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import lmtcnn
import study
from conftest import told
from lmtcnn.core.errors import DataError
from lmtcnn.core.sections import dump


def test_cross_validation_is_that_of_the_stage(trained, tiny) -> None:
    stacks = np.load(trained / "histograms" / "stacks.npy")
    index = pl.read_parquet(trained / "histograms" / "index.parquet")
    settings = dump(tiny.train)
    heard = []
    found = lmtcnn.cross_validate(
        stacks,
        index["class"].to_list(),
        index["cage"].to_list(),
        order=list(tiny.classes),
        animals=index["animal"].to_list(),
        progress=lambda done, total: heard.append((done, total)),
        **settings,
    )
    expected = pl.read_parquet(trained / "train" / "predictions.parquet")
    shared = [name for name in found.predictions.columns if name != "sample"]
    assert_frame_equal(found.predictions.select(shared), expected.select(shared), abs_tol=1e-6)
    assert_frame_equal(found.history, pl.read_parquet(trained / "train" / "history.parquet"), abs_tol=1e-6)
    assert heard[-1][0] == heard[-1][1] > 0
    maps = lmtcnn.activation_maps(found.networks["all"], stacks, index["class"].to_list(), order=list(tiny.classes))
    assert maps.means.shape == (4, 4, 8, 8)
    assert maps.counts.sum() == len(stacks)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stacks": np.zeros((4, 2, 6, 5))}, "stacks: expected an array (samples, T, N, N)"),
        ({"classes": ["F", "M", "F"]}, "classes: expected one for each of 4 samples, found 3"),
        ({"classes": ["F"] * 4}, "classes: expected two or more, found 1"),
        ({"order": ["F"]}, "classes: expected those of order, F, found M"),
    ],
)
def test_what_does_not_belong_together_is_told(change: dict, words: str) -> None:
    good = {"stacks": np.zeros((4, 2, 6, 6)), "classes": ["F", "M", "F", "M"], "cages": ["a", "a", "b", "b"]}
    assert told(DataError, lmtcnn.cross_validate, **(good | change))[0].startswith(words)


def test_predictions_are_those_of_the_command(tmp_path, monkeypatch) -> None:
    from conftest import Scene, still
    from lmtcnn.bundle import bundle
    from lmtcnn.cohort import cohort
    from lmtcnn.predictions import predict, prediction

    params = study.small_params()
    made = bundle.build(study.prepared(), params)
    bundle.write(made, tmp_path / "model")
    path = Scene(still(1, 900), n_frames=900).write(tmp_path / "r.sqlite")
    monkeypatch.chdir(tmp_path)
    told_by, failed = predict.predict(cohort.unlisted([path], params), made)
    assert not failed
    expected = prediction.as_frame(told_by, made.classes)
    assert_frame_equal(lmtcnn.predict(path, model=tmp_path / "model").select(expected.columns), expected)
