"""What the stage writes, and what an incomplete or foreign training is told."""

import json
import math

import numpy as np
import polars as pl
import pytest

from lmtcnn.core.errors import DataError
from lmtcnn.evaluate.evaluate import doubts, evaluate, late_fall
from lmtcnn.evaluate.metrics import PAPER
from study import CAGES, seal_training, small_params, sure, write_histograms, write_study, write_training

CLASSES = list(PAPER.classes)
OWN = {"wild": {"genotype": "wt"}, "mutant": {"genotype": "ko"}}


@pytest.fixture(scope="module")
def params():
    return small_params()


def files(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_accuracy_is_of_single_networks_and_the_confusion_of_their_average(tmp_path, params):
    """Seed 0 is weakly right about every mouse, seed 1 takes all for JM, surely: alone they are right 1 and 1/4 of the
    time, together 1/4."""

    def opinion(sample, seed):
        return sure(sample, seed) if seed == 0 else [0.01, 0.97, 0.01, 0.01]

    write_study(tmp_path, params, opinion)
    metrics = evaluate(tmp_path, params)
    assert metrics["accuracy"] == (1 + 1 / 4) / 2
    assert metrics["ensemble_accuracy"] == 1 / 4
    confusion = pl.read_csv(tmp_path / "evaluate" / "confusion.csv")
    assert confusion.columns == ["actual", "predicted"]
    assert confusion["predicted"].unique().to_list() == ["JM"]
    folds = pl.read_csv(tmp_path / "evaluate" / "folds.csv")
    assert folds.to_dicts()[1] == {"fold": "c2", "n": 4, "accuracy": 0.75, "ensemble_accuracy": 0.5}


def test_the_stage_writes_flat_metrics_and_a_row_for_each_sample(tmp_path, params):
    index = write_study(tmp_path, params, simulated=True)
    metrics = evaluate(tmp_path, params)
    assert json.loads((tmp_path / "evaluate" / "metrics.json").read_text()) == metrics
    assert metrics["ensemble_accuracy"] == metrics["mcc"] == 1
    assert metrics["log_loss"] == pytest.approx(-math.log(0.7))
    assert (metrics["simulated"], metrics["n_samples"]) == (True, 16)
    assert {type(value) for name, value in metrics.items() if name != "notes"} == {float, int, bool, str}
    assert {"knn_accuracy", "occupancy_svm_accuracy", "knn_recall_AF", "svm_recall_JM"} < set(metrics)
    assert {"chance_knn", "p_occupancy_knn_joint", "p_svm_sex", "p_knn_age", "difference_svm"} < set(metrics)
    assert set(files(tmp_path / "evaluate")) == {
        "metrics.json",
        "statistics.json",
        "evaluate.json",
        "confusion.csv",
        "folds.csv",
        "curves.csv",
        "baselines.csv",
        "artefacts.csv",
        "confusion.png",
        "confusion.svg",
        "curves.svg",
        "curves.png",
        "confusion.pdf",
        "curves.pdf",
    }
    labelled = pl.read_csv(tmp_path / "evaluate" / "baselines.csv")
    assert labelled.select("recording", "animal_id", "class").equals(index.select("recording", "animal_id", "class"))
    assert metrics["knn_accuracy"] == (labelled["class"] == labelled["knn"]).mean()


def test_the_network_is_tested_by_arrangements_if_that_is_asked_for(tmp_path):
    params = small_params(evaluate__permutations=4)
    write_study(tmp_path, params)
    metrics = evaluate(tmp_path, params)
    said = json.loads((tmp_path / "evaluate" / "statistics.json").read_text())["network"]
    assert list(said) == ["sex", "age", "joint"]
    for name, outcome in said.items():
        assert metrics[f"p_network_{name}"] == outcome["p"]
        assert 1 / 5 <= outcome["p"] <= 1
    assert metrics["chance_network"] == said["joint"]["chance"]
    before = files(tmp_path / "evaluate")
    assert evaluate(tmp_path, params) == metrics
    assert files(tmp_path / "evaluate") == before


def test_the_network_is_not_tested_unless_it_is_asked_for(tmp_path, params):
    write_study(tmp_path, params)
    assert not any("network" in name for name in evaluate(tmp_path, params))
    assert json.loads((tmp_path / "evaluate" / "statistics.json").read_text())["network"] == {}
    assert not (tmp_path / ".permutations").exists()


def test_accuracy_without_the_order_of_time_stands_beside_the_others(tmp_path, params):
    write_study(tmp_path, params)
    assert 0 <= evaluate(tmp_path, params)["time_shuffled_accuracy"] <= 1


def test_the_same_training_gives_the_same_bytes(tmp_path, params):
    write_study(tmp_path, params)
    evaluate(tmp_path, params)
    first = files(tmp_path / "evaluate")
    evaluate(tmp_path, params)
    assert files(tmp_path / "evaluate") == first


def test_curves_are_means_over_networks_with_a_held_out_cage(tmp_path):
    params = small_params(train={"epochs": 2})
    write_study(tmp_path, params)
    evaluate(tmp_path, params)
    last = pl.read_csv(tmp_path / "evaluate" / "curves.csv").row(-1, named=True)
    assert (last["epoch"], last["train_loss"], last["test_loss"], last["test_accuracy"]) == (2, 0.5, 1.0, 0.5)
    assert (last["test_loss_sd"], last["test_accuracy_sd"]) == (0, pytest.approx(np.std([0.25, 0.75] * 4, ddof=1)))


def test_single_folds_make_the_full_result_once_all_are_there(tmp_path, params):
    write_study(tmp_path / "full", params)
    index = write_histograms(tmp_path / "parts", params, simulated=False)
    for cage in CAGES:
        write_training(tmp_path / "parts" / "train" / "folds" / cage, index, params, (cage,))
    assert evaluate(tmp_path / "parts", params) == evaluate(tmp_path / "full", params)
    parts, full = (files(tmp_path / name / "evaluate") for name in ("parts", "full"))
    assert parts.pop("evaluate.json") != full.pop("evaluate.json")  # which names the files it was made from
    assert parts == full


def test_an_incomplete_set_is_refused_by_the_names_of_its_cages(tmp_path, params):
    index = write_histograms(tmp_path, params, simulated=False)
    for cage in ("c1", "c3"):
        write_training(tmp_path / "train" / "folds" / cage, index, params, (cage,))
    with pytest.raises(DataError) as caught:
        evaluate(tmp_path, params)
    assert str(caught.value) == (
        f"{tmp_path}/train: expected predictions of every sample by seeds 0, 1, found none for cages c2, c4; "
        "run `lmtcnn train`, or `lmtcnn train --fold CAGE` for each of them"
    )
    assert not (tmp_path / "evaluate").exists()


def test_one_seed_of_one_mouse_missing_is_an_incomplete_cage(tmp_path, params):
    write_study(tmp_path, params)
    path = tmp_path / "train" / "predictions.parquet"
    pl.read_parquet(path)[:-1].write_parquet(path)
    seal_training(tmp_path / "train")
    with pytest.raises(DataError, match="by seeds 0, 1, found none for cages c4; run"):
        evaluate(tmp_path, params)


def test_a_prediction_too_many_is_refused(tmp_path, params):
    write_study(tmp_path, params)
    path = tmp_path / "train" / "predictions.parquet"
    frame = pl.read_parquet(path)
    pl.concat([frame, frame[:1]]).write_parquet(path)
    seal_training(tmp_path / "train")
    with pytest.raises(DataError) as caught:
        evaluate(tmp_path, params)
    assert str(caught.value) == (
        f"{tmp_path}/train: expected 32 predictions, one for each sample and seed, found 33; run `lmtcnn train` again"
    )


def test_a_training_by_other_parameters_is_refused_and_they_are_named(tmp_path):
    write_study(tmp_path, small_params(train={"lr": 0.1}, histograms={"interval_s": 20.0}))
    other = small_params(train={"lr": 0.5, "epochs": 4}, histograms={"interval_s": 7.0})
    write_histograms(tmp_path, other, simulated=False)
    with pytest.raises(DataError) as caught:
        evaluate(tmp_path, other)
    assert str(caught.value).splitlines() == [
        f"{tmp_path}/train: expected train.lr 0.5, found 0.1; run `lmtcnn train` again",
        f"{tmp_path}/train: expected train.epochs 4, found 3; run `lmtcnn train` again",
        f"{tmp_path}/train: expected histograms.interval_s 7.0, found 20.0; run `lmtcnn train` again",
    ]


def test_where_a_training_ran_does_not_matter(tmp_path, params):
    write_study(tmp_path, params)
    assert evaluate(tmp_path, small_params(train={"device": "auto"})) == evaluate(tmp_path, params)


def test_no_training_at_all_says_what_to_run(tmp_path, params):
    write_histograms(tmp_path, params, simulated=False)
    with pytest.raises(DataError) as caught:
        evaluate(tmp_path, params)
    assert str(caught.value) == (
        f"{tmp_path}/train/predictions.parquet: expected the out-of-fold predictions, found no file; "
        "run `lmtcnn train` first"
    )


# ---- What speaks against a training ----------------------------------------------------------------------------------


def even(epochs: int, first: float, last: float) -> list[float]:
    """A loss that falls by the same in every epoch."""
    return np.linspace(first, last, epochs).tolist()


@pytest.mark.parametrize(
    ("losses", "share"),
    [
        (even(21, 1.4, 1.2), 5 / 20),
        (even(21, 1.4, 1.3999), 5 / 20),
        (even(16, 1.4, 0.2) + [0.2] * 5, 0),
        ([1.4, 0.7, 0.35, 0.4], -0.05 / 1.0),
        ([1.4, 1.2], 1),
        ([1.4], None),
        ([1.4, 1.4, 1.4, 1.4], None),
        ([1.4, 1.3, 1.2, 1.5], None),
    ],
)
def test_a_late_fall_is_a_share_of_the_whole_fall(losses: list[float], share: float | None) -> None:
    assert late_fall(losses) == (share if share is None else pytest.approx(share))


def test_a_training_that_is_finished_is_not_called_unfinished_because_its_loss_goes_on_towards_nothing() -> None:
    """By a third every five epochs, to 1 % of the first: networks that are right about everything."""
    losses = [1.4 * 0.8**epoch for epoch in range(20)]
    assert losses[14] / losses[19] > 3
    assert late_fall(losses) < 0.05


def noted(params, losses: list[float], predicted: list[str], **metrics: float) -> list[str]:
    fall = late_fall(losses)
    known = {"accuracy": 0.8, "knn_accuracy": 0.5, "svm_accuracy": 0.5} | ({"train_late_fall": fall} if fall else {})
    return doubts(known | metrics, ["AM", "AM", "JM", "AF", "JF"], predicted, losses, params)


RIGHT = ["AM", "AM", "JM", "AF", "JF"]
DONE = [1.4, 0.2, 0.1, 0.1, 0.1]


def test_nothing_speaks_against_a_training_that_has_ended_and_beats_its_baselines(params) -> None:
    assert noted(params, DONE, RIGHT) == []


def test_a_loss_that_still_falls_is_told_with_what_to_do(params) -> None:
    (note,) = noted(params, even(20, 1.38, 1.27), RIGHT)
    assert note == (
        "the training loss still falls, from 1.299 to 1.27 over the last 5 of 20 epochs, 26% of its whole fall: "
        "more epochs or a higher learning rate may be needed (train.epochs, train.lr)"
    )


def test_a_loss_that_never_fell_is_told(params) -> None:
    assert noted(params, [1.38, 1.4, 1.39], RIGHT) == [
        "the training loss never fell, from 1.38 to 1.39: try another train.lr"
    ]


def test_every_class_that_is_never_predicted_is_told_if_it_has_samples(params) -> None:
    assert noted(params, DONE, ["AM", "AM", "AM", "AF", "AF"]) == [
        "JM is never predicted, for none of the 5 samples; 1 are JM",
        "JF is never predicted, for none of the 5 samples; 1 are JF",
    ]
    assert doubts(
        {"accuracy": 1.0, "knn_accuracy": 0.5, "svm_accuracy": 0.5}, ["AM", "AF"], ["AM", "AF"], DONE, params
    ) == []  # fmt: skip


def test_a_network_below_a_baseline_or_below_the_most_frequent_class_is_told(params) -> None:
    assert noted(params, DONE, RIGHT, accuracy=0.728, svm_accuracy=0.95) == [
        "the network's accuracy, 72.8%, is below that of PCA and support vectors, 95.0%"
    ]
    assert noted(params, DONE, RIGHT, accuracy=0.3, knn_accuracy=0.3, svm_accuracy=0.1) == [
        "the network's accuracy, 30.0%, is below that of always saying AM, 40.0%"
    ]


def test_notes_are_in_the_metrics_and_are_said(tmp_path, params, caplog) -> None:
    write_study(tmp_path, params, lambda sample, seed: [0.7, 0.1, 0.1, 0.1])
    notes = evaluate(tmp_path, params)["notes"]
    assert json.loads((tmp_path / "evaluate" / "metrics.json").read_text())["notes"] == notes
    assert [note.split(" is ")[0] for note in notes[1:4]] == ["JM", "AF", "JF"]
    assert notes == caplog.messages
