"""Predictions of a training for the samples that its networks had not seen: they are read, averaged and counted.

It stands apart from the statistics, which bring scikit-learn: explanations, pages and runs need the predictions alone.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lmtcnn.core.errors import DataError, problem
from lmtcnn.core.params import Params
from lmtcnn.core.records import HISTORY_FILE, PREDICTIONS, Training
from lmtcnn.core.schemas import CONFUSION_COLUMNS, HISTORY, predictions_table


def read_training(training: Training, index: pl.DataFrame, params: Params) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Read the out-of-fold predictions and the history of a complete training, a full one or single folds.

    Raises DataError where a sample lacks a seed's prediction (naming its cage), or the samples are others.
    """
    table, parts = predictions_table(tuple(params.classes)), training.parts
    predictions = pl.concat([table.read(part / PREDICTIONS) for part in parts])
    _check_complete(training.folder, predictions, index, params)
    return predictions, pl.concat([HISTORY.read(part / HISTORY_FILE) for part in parts])


def average(predictions: pl.DataFrame, index: pl.DataFrame, classes: Sequence[str]) -> NDArray[np.float64]:
    """Softmax averaged over seeds, (samples, classes), in the order of `index`."""
    columns = [f"p_{name}" for name in classes]
    keys = ["recording", "animal_id"]
    ordered = predictions.sort("seed")  # so that the sum has one order
    means = ordered.group_by(keys, maintain_order=True).agg(pl.col(columns).mean())
    return index.select(keys).join(means, on=keys, how="left", maintain_order="left").select(columns).to_numpy()


def mean_curves(history: pl.DataFrame) -> pl.DataFrame:
    """Loss and accuracy at each epoch, mean and sd over all networks with a held-out cage; the sd of one is null."""
    quantities = ("train_loss", "test_loss", "train_accuracy", "test_accuracy")
    held_out = history.filter(pl.col("test_loss").is_not_null()).sort("epoch", "seed", "fold")
    by_epoch = held_out.group_by("epoch", maintain_order=True)
    means = [pl.col(name).mean() for name in quantities]
    return by_epoch.agg(*means, *(pl.col(name).std().alias(f"{name}_sd") for name in quantities))


def confusion_counts(confusion: pl.DataFrame, classes: Sequence[str]) -> NDArray[np.int64]:
    """Table 1 of confusion.csv, (classes, classes): rows true, columns predicted."""
    actual, predicted = (confusion[column].to_list() for column in CONFUSION_COLUMNS)
    return confusion_of(actual, predicted, classes)


def confusion_of(actual: Sequence[str], predicted: Sequence[str], classes: Sequence[str]) -> NDArray[np.int64]:
    """Table 1: counts (classes, classes), rows true, columns predicted."""
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(counts, (codes_of(actual, classes), codes_of(predicted, classes)), 1)
    return counts


def codes_of(names: Sequence[str], classes: Sequence[str]) -> NDArray[np.int64]:
    """Place of each name in `classes`: scikit-learn sorts names by the alphabet, and columns would not fit."""
    place = {name: i for i, name in enumerate(classes)}
    return np.array([place[name] for name in names], dtype=np.int64)


def _check_complete(folder: Path, predictions: pl.DataFrame, index: pl.DataFrame, params: Params) -> None:
    keys = ["recording", "animal_id", "rfid", "cage", "class"]
    wanted = index.select(keys).join(pl.DataFrame({"seed": list(params.train.seeds)}), how="cross")
    seeds = ", ".join(map(str, params.train.seeds))
    missing = wanted.join(predictions, on=[*keys, "seed"], how="anti")
    if missing.height:
        cages = ", ".join(missing["cage"].unique().sort())
        do = "run `lmtcnn train`, or `lmtcnn train --fold CAGE` for each of them"
        raise DataError(problem(folder, f"predictions of every sample by seeds {seeds}", f"none for cages {cages}", do))
    if predictions.height != wanted.height:
        expected = f"{wanted.height} predictions, one for each sample and seed"
        raise DataError(problem(folder, expected, str(predictions.height), "run `lmtcnn train` again"))
