"""How well cages that were never seen are labelled: figures of merit, the confusion matrix, the simple methods."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from lmtcnn import SIMULATED
from lmtcnn.core.files import digest, ensure_folder, read_json, write_json, write_text
from lmtcnn.core.names import BASELINES
from lmtcnn.core.params import Params
from lmtcnn.core.records import (
    CONTROLS_FILE,
    EVALUATION,
    METRICS,
    STATISTICS,
    Training,
    find_training,
    seal_results,
)
from lmtcnn.core.schemas import CONFUSION_COLUMNS
from lmtcnn.evaluate import artefacts, baselines, controls, network_null
from lmtcnn.evaluate.design import design_of
from lmtcnn.evaluate.metrics import recalls, score
from lmtcnn.evaluate.predicted import average, codes_of, confusion_counts, mean_curves, read_training
from lmtcnn.evaluate.statistics import statistics
from lmtcnn.evaluate.time_shuffled import accuracy_without_time
from lmtcnn.figures import figures
from lmtcnn.histograms import record
from lmtcnn.timeline.counted import counted_words
from lmtcnn.train.fitting import load_study
from lmtcnn.train.model import Samples

log = logging.getLogger("lmtcnn")

TABLES = ("confusion.csv", "folds.csv", "curves.csv", "baselines.csv", "artefacts.csv")
FIGURES = ("confusion", "curves")
"""Outputs besides metrics.json."""


def evaluate(data: Path, params: Params) -> dict[str, Any]:
    """The stage: metrics.json, statistics.json, five tables (`TABLES`), two figures; returns metrics.

    Reads data/histograms and data/train, or, where a full training is missing or does not fit the present histograms
    and parameters, data/train/folds/<cage>/ of every cage. evaluate.json says of which training the results are.
    Raises DataError that names the cages without predictions, and where no training fits.
    """
    stacks, index = record.load(data / "histograms", params)
    table = record.load_controls(data / "histograms")
    training = find_training(data, params)
    predictions, history = read_training(training, index, params)
    simulated = training.record.simulated
    classes = tuple(params.classes)
    ensemble = average(predictions, index, classes)
    made, said = statistics(
        index, predictions, ensemble.argmax(axis=1), _simple(stacks, index, params), params, _started(data)
    )
    baseline = {method: np.array(classes)[places] for method, places in said.items()}
    network = _network(data, stacks, index, params)
    actual = index["class"].to_list()
    predicted = pl.Series("predicted", [classes[i] for i in ensemble.argmax(axis=1)], dtype=pl.String)
    curves = mean_curves(history)
    metrics: dict[str, Any] = {
        "accuracy": float((predictions["class"] == predictions["predicted"]).mean()),  # type: ignore[arg-type]
        **score(actual, ensemble, classes, params.classes, {name: index[name].to_list() for name in params.labels}),
        **_baseline_metrics(actual, baseline, classes),
        **made.metrics(),
        **_control_metrics(stacks, index, table, params),
        **network_null.metrics(network),
        "time_shuffled_accuracy": _without_time(training, stacks, index, params),
        "n_samples": index.height,
        "simulated": simulated,
        "training": training.key,
    }
    if (fall := late_fall(curves["train_loss"].to_list())) is not None:
        metrics["train_late_fall"] = fall
    own = doubts(metrics, actual, predicted.to_list(), curves["train_loss"].to_list(), params)
    metrics["notes"] = [*own, *controls.doubts(metrics)]
    for note in metrics["notes"]:
        log.warning("%s", note)
    folder = ensure_folder(data / "evaluate")
    confusion = index.select(pl.col("class").alias("actual")).with_columns(predicted).select(CONFUSION_COLUMNS)
    of_sample = index.select("recording", "animal_id", "class")
    by_baseline = of_sample.with_columns(**{name: pl.Series(told) for name, told in baseline.items()})
    by_fold, panel = fold_accuracies(predictions, index, predicted), artefacts.panel(index, table, classes)
    for name, frame in zip(TABLES, (confusion, by_fold, curves, by_baseline, panel), strict=True):
        _write_csv(frame, folder / name)
    _draw(folder, confusion, curves, params=params, cages=index["cage"].n_unique(), simulated=simulated)
    write_json(folder / METRICS, metrics)
    write_json(folder / STATISTICS, made.content() | {"network": network_null.content(network)})
    _seal(data, training, params)
    return metrics


def _seal(data: Path, training: Training, params: Params) -> None:
    """Write evaluate.json, which says of which training the results are, and lists their digests."""
    folder = data / "evaluate"
    inputs = {
        "histograms": training.record.inputs["histograms"],
        "controls": digest(data / "histograms" / CONTROLS_FILE),
        "predictions": training.predictions,
        "history": training.history,
    }
    written = (METRICS, STATISTICS, *TABLES, *(f"{name}.{kind}" for name in FIGURES for kind in ("png", "svg")))
    write_json(folder / EVALUATION, seal_results("evaluate", {}, training, inputs, params, folder, written))


def _simple(stacks: NDArray[Any], index: pl.DataFrame, params: Params) -> dict[str, list[baselines.Fold]]:
    """The simple methods' folds: on the stacks as the network sees them, and on the shares of the counts."""
    samples = Samples(stacks, params.train.transform, torch.device("cpu"))
    return baselines.prepare(stacks, samples, index["cage"].to_list(), params.evaluate)


def _control_metrics(
    stacks: NDArray[Any], index: pl.DataFrame, table: pl.DataFrame, params: Params
) -> dict[str, float]:
    """Score the controls: what is no behaviour, and stops by hour, each alone; see `controls.metrics`."""
    prepared = controls.prepare(controls.features(table, stacks), index["cage"].to_list())
    chosen = params.evaluate
    return controls.metrics(design_of(index, params), prepared, chosen.permutations_cheap, chosen.permutation_seed)


def _network(data: Path, stacks: NDArray[Any], index: pl.DataFrame, params: Params) -> dict[str, network_null.Outcome]:
    """The network's permutation tests; none where `evaluate.permutations` is 0."""
    if not params.evaluate.permutations:
        return {}
    return network_null.network_tests(load_study(stacks, index, params), design_of(index, params), data, params)


def _without_time(training: Training, stacks: NDArray[Any], index: pl.DataFrame, params: Params) -> float:
    """Held-out accuracy of networks that are shown the hours in random order."""
    samples = Samples(stacks, params.train.transform, torch.device("cpu"))
    codes, cages = codes_of(index["class"].to_list(), tuple(params.classes)), index["cage"].to_numpy()
    return accuracy_without_time(training, samples, codes, cages, params.evaluate.permutation_seed)


def _started(data: Path) -> dict[str, int] | None:
    """When each recording began, epoch ms; None for histograms that were made before that was kept."""
    made = read_json(data / "histograms" / "histograms.json", "the histograms", "histograms")
    started: dict[str, int] | None = made.get("started")
    return started


def fold_accuracies(predictions: pl.DataFrame, index: pl.DataFrame, predicted: pl.Series) -> pl.DataFrame:
    """fold, n, accuracy (mean over seeds), ensemble_accuracy: a row for each held-out cage, sorted by name."""
    hit = (pl.col("class") == pl.col("predicted")).mean()
    single = predictions.group_by(pl.col("fold")).agg(accuracy=hit)
    ensemble = index.with_columns(predicted).group_by(pl.col("cage").alias("fold"))
    rows = ensemble.agg(n=pl.len().cast(pl.Int64), ensemble_accuracy=hit).join(single, on="fold").sort("fold")
    return rows.select("fold", "n", "accuracy", "ensemble_accuracy")


def late_fall(losses: Sequence[float]) -> float | None:
    """The share of the whole fall of a loss that comes in the last quarter of the epochs.

    (L(e) - L(E)) / (L(1) - L(E)) with E epochs and e = E - max(1, E // 4). Of a fall that is even all along it is a
    quarter, of one that has ended 0, below 0 where the loss rises at the end. A share of the loss itself would not do:
    that of networks that are right about everything goes on towards 0, by a third in five epochs. None for one epoch,
    and where the loss never fell.
    """
    if not losses[0] > losses[-1]:
        return None
    return (losses[-1 - _quarter(losses)] - losses[-1]) / (losses[0] - losses[-1])


def _quarter(losses: Sequence[float]) -> int:
    return max(1, len(losses) // 4)


def doubts(
    metrics: Mapping[str, Any],
    actual: Sequence[str],
    predicted: Sequence[str],
    losses: Sequence[float],
    params: Params,
) -> list[str]:
    """Sentences on what speaks against a training, without a full stop; empty where nothing does.

    Its training loss still falls (`evaluate.still_falling`) or never fell; a class that has samples is never predicted;
    single networks are right less often than a baseline, or than the name of the most frequent class would be.
    """
    found = []
    fall = metrics.get("train_late_fall", 0.0)
    last, quarter = losses[-1], _quarter(losses)
    try_more = "more epochs or a higher learning rate may be needed (train.epochs, train.lr)"
    if fall > params.evaluate.still_falling:
        span = f"from {losses[-1 - quarter]:.4g} to {last:.4g} over the last {quarter} of {len(losses)} epochs"
        found.append(f"the training loss still falls, {span}, {fall:.0%} of its whole fall: {try_more}")
    if not losses[0] > last and len(losses) > 1:
        found.append(f"the training loss never fell, from {losses[0]:.4g} to {last:.4g}: try another train.lr")
    counts = Counter(actual)
    for name in params.classes:
        if counts[name] and name not in predicted:
            found.append(f"{name} is never predicted, for none of the {len(actual)} samples; {counts[name]} are {name}")
    own = metrics["accuracy"]
    common, most = max(counts.items(), key=lambda item: item[1])
    if own < most / len(actual):
        theirs = most / len(actual)
        found.append(f"the network's accuracy, {own:.1%}, is below that of always saying {common}, {theirs:.1%}")
    for name, words in BASELINES.items():
        if own < (theirs := metrics.get(f"{name}_accuracy", 0.0)):
            found.append(f"the network's accuracy, {own:.1%}, is below that of {words}, {theirs:.1%}")
    return found


def _baseline_metrics(
    actual: Sequence[str], baseline: Mapping[str, NDArray[np.str_]], classes: Sequence[str]
) -> dict[str, float]:
    codes = codes_of(actual, classes)
    found: dict[str, float] = {}
    for name, labels in baseline.items():
        guesses = codes_of(labels.tolist(), classes)
        found[f"{name}_accuracy"] = float((codes == guesses).mean())
        found.update({f"{name}_{key}": value for key, value in recalls(codes, guesses, classes).items()})
    return found


def _draw(
    folder: Path, confusion: pl.DataFrame, curves: pl.DataFrame, *, params: Params, cages: int, simulated: bool
) -> None:
    classes, mark = tuple(params.classes), f"{SIMULATED}. " if simulated else ""
    networks = f"{len(params.train.seeds)} networks" if len(params.train.seeds) > 1 else "one network"
    if boxes := figures.lacking("".join(classes)):
        log.warning("classes: figures show %s as boxes: their font has no such characters", boxes)
    counts = confusion_counts(confusion, classes)
    cut = f" Counted: {words}." if (words := counted_words(params.histograms)) else ""
    note = f"{mark}{confusion.height} samples, each labelled by {networks} that never saw its cage.{cut}"
    figures.save(figures.confusion_matrix(counts, classes, "Held-out cages", note), folder / "confusion.png")
    note = f"{mark}Mean and standard deviation over {cages} held-out cages and {networks} each.{cut}"
    figures.save(figures.curves(curves, "Training, cage by cage", note), folder / "curves.png")


def _write_csv(frame: pl.DataFrame, path: Path) -> None:
    write_text(path, frame.write_csv())
