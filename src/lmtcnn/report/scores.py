"""The page's tables on how well held-out cages were told, beside simple methods, controls and the paper."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lmtcnn.core.files import read_json
from lmtcnn.core.names import BASELINES, label_metric, label_values
from lmtcnn.core.params import Params
from lmtcnn.core.records import STATISTICS
from lmtcnn.evaluate import artefacts, controls
from lmtcnn.evaluate.metrics import PAPER, compare
from lmtcnn.evaluate.predicted import confusion_counts
from lmtcnn.figures.figures import class_colours
from lmtcnn.report.pictures import picture
from lmtcnn.report.words import figure_of_merit, interval_of, probability, share, spread

NAMES = {
    "accuracy": ("accuracy", "single networks, mean over seeds"),
    "ensemble_accuracy": ("accuracy of the ensemble", "networks of all seeds averaged"),
    "balanced_accuracy": ("balanced accuracy", "mean of the recalls"),
    "macro_f1": ("macro F1", "mean over classes of the F1 score"),
    "mcc": ("Matthews' correlation", "1 is perfect, 0 is a guess that knows the classes' shares"),
    "log_loss": ("log loss", "natural logarithm; lower is better"),
    "brier": ("Brier score", "0 to 2; lower is better"),
}
"""Figures of merit in words; those of methods stand in a table of their own."""

OF_METHODS = (*(f"{name}_accuracy" for name in BASELINES), "time_shuffled_accuracy", "train_late_fall")

WITHOUT_TIME = "the network, its intervals in random order"


def scores(data: Path, metrics: Mapping[str, Any], params: Params) -> dict[str, Any]:
    """Collect what the page says of held-out cages.

    Parameters
    ----------
    data
        The study's folder.
    metrics
        metrics.json.
    params
        The study's parameters.
    """
    folder, classes = data / "evaluate", tuple(params.classes)
    sure = read_json(folder / STATISTICS, "the statistics", "evaluate")
    confusion = pl.read_csv(folder / "confusion.csv", schema_overrides={"actual": pl.String, "predicted": pl.String})
    same = any(row.paper is not None for row in compare(metrics, params.classes))
    return {
        "metrics": metrics,
        "accuracy": share(metrics["accuracy"]),
        "notes": metrics.get("notes", []),
        "methods": method_rows(metrics, sure),
        "tests": lines_of_tests(sure),
        "coverage": sure["coverage"],
        "rows": metric_rows(metrics, params),
        "table": confusion_rows(confusion_counts(confusion, classes), metrics, params),
        "paper_table": paper_rows(classes) if same else [],
        "same_classes": same,
        "paper": PAPER,
        "controls": control_rows(metrics),
        "artefacts": artefact_rows(folder / "artefacts.csv", classes),
        "folds": fold_rows(folder / "folds.csv"),
        "curves": picture(folder / "curves.png", "Loss and accuracy by epoch, of training and of held-out cages"),
        "still_learning": metrics.get("train_late_fall", 0.0) > params.evaluate.still_falling,
        "late_fall": share(metrics.get("train_late_fall")),
    }


def metric_rows(metrics: Mapping[str, Any], params: Params) -> list[dict[str, str]]:
    """Name, explanation, ours, its interval and the paper's, for metrics that are no class's recall and no method's."""
    of_labels = {label_metric(*each): each for each in label_values(params.classes)}
    rows = []
    for metric, ours, paper in compare(metrics, params.classes):
        if "recall_" in metric or metric in OF_METHODS:
            continue
        name, meaning = NAMES.get(metric, (metric, ""))
        if metric in of_labels:
            name = "accuracy where {} is {}".format(*of_labels[metric])
            meaning = f"all {len(params.classes)} classes to choose from"
        if metric == "accuracy" and paper is not None:
            meaning += ": the paper's kind"
        numbers = {"ours": figure_of_merit(metric, ours), "paper": figure_of_merit(metric, paper)}
        rows.append({"name": name, "meaning": meaning, "interval": interval_of(metrics, metric), **numbers})
    return rows


def method_rows(metrics: Mapping[str, Any], sure: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The network and every simple method: accuracy, interval, chance, p, comparison, the paper's accuracy."""
    paper = {"network": _of_paper(), "knn": PAPER.knn_accuracy, "svm": PAPER.svm_accuracy}
    named = {"network": ("network", "accuracy")}
    named |= {name: (words, f"{name}_accuracy") for name, words in BASELINES.items()}
    rows: list[dict[str, Any]] = [
        {
            "name": words,
            "accuracy": share(metrics[figure]),
            "interval": interval_of(metrics, figure),
            "chance": share(metrics.get(f"chance_{method}")),
            "p": _p_rows(method, metrics, sure),
            "network": _compared(sure["comparisons"].get(method)),
            "paper": share(paper.get(method)),
        }
        for method, (words, figure) in named.items()
        if figure in metrics
    ]
    if (without := metrics.get("time_shuffled_accuracy")) is not None:
        blank = dict.fromkeys(("interval", "chance", "network", "paper"), "")
        rows.insert(1, {**blank, "p": [], "name": WITHOUT_TIME, "accuracy": share(without)})
    return rows


def _of_paper() -> float:
    table = np.array(PAPER.confusion)
    return float(np.trace(table) / table.sum())


def _p_rows(method: str, metrics: Mapping[str, Any], sure: Mapping[str, Any]) -> list[str]:
    found = {column: metrics.get(f"p_{method}_{column}") for column in sure["tests"]}
    return [f"{column} {probability(p).removeprefix('p ')}" for column, p in found.items() if p is not None]


def _compared(made: Mapping[str, Any] | None) -> str:
    """The network less another method, and what may be said of it."""
    if made is None:
        return ""
    ends = "" if made["low"] is None else f" ({made['low']:+.3f} to {made['high']:+.3f})"
    return f"{made['words']}: {made['difference']:+.3f}{ends}, {probability(made['p'])}"


def lines_of_tests(sure: Mapping[str, Any]) -> list[str]:
    """Say what the permutation tests exchanged and could find, and what cannot be told."""
    lines = [
        f"{name}: {test['exchanged']}, {test['distinct']:,} distinct arrangements, {test['used']} used, "
        f"least possible p {test['least_p']:.4f}"
        for name, test in sure["tests"].items()
        if not test["refused"]
    ]
    lines += [
        f"network, {name}: {test['reached']} of {test['used']} arrangements as good as the observed labels"
        for name, test in sure.get("network", {}).items()
        if not test["refused"]
    ]
    return [*lines, *sure["notes"]]


def confusion_rows(counts: NDArray[np.int64], metrics: Mapping[str, Any], params: Params) -> list[dict[str, Any]]:
    """Table 1: each class that has samples, its cells with their share of the row, its recall and the interval.

    Parameters
    ----------
    counts
        (classes, classes), rows true.
    metrics
        metrics.json.
    params
        The classes.
    """
    colours = class_colours(tuple(params.classes))
    return [
        {
            "name": name,
            "colour": colours[name],
            "cells": _cells(row.tolist(), place),
            "recall": share(metrics.get(f"recall_{name}")),
            "interval": interval_of(metrics, f"recall_{name}"),
        }
        for place, (name, row) in enumerate(zip(params.classes, counts, strict=True))
        if row.sum()
    ]


def paper_rows(classes: Sequence[str]) -> list[dict[str, Any]]:
    """The paper's Table 1 with its recalls, in the order of `classes`."""
    names = list(PAPER.classes)
    order = [names.index(name) for name in classes]
    rows = []
    for place, i in enumerate(order):
        row = [PAPER.confusion[i][j] for j in order]
        rows.append({"name": names[i], "cells": _cells(row, place), "recall": share(row[place] / sum(row))})
    return rows


def _cells(row: Sequence[int], right: int) -> list[dict[str, Any]]:
    """Counts with their depth of shade, 0 to 1, and whether a cell is the right answer."""
    total = max(sum(row), 1)
    return [{"n": n, "shade": f"{0.75 * n / total:.2f}", "right": place == right} for place, n in enumerate(row)]


def control_rows(metrics: Mapping[str, Any]) -> list[list[str]]:
    """For each control: what it sees, its accuracy, chance and p; blank where the design allows no test."""
    rows = []
    for name, words in controls.NAMES.items():
        own = {key: metrics.get(f"control_{name}_{key}") for key in ("accuracy", "chance", "p")}
        if own["accuracy"] is not None:
            p = probability(own["p"]).removeprefix("p ")
            rows.append([words, share(own["accuracy"]), share(own["chance"]), p])
    return rows


def artefact_rows(path: Path, classes: Sequence[str]) -> list[list[str]]:
    """For each quantity of artefacts.csv: words with the unit, and of each class `median (lowest to highest)`."""
    table = pl.read_csv(path, schema_overrides={"class": pl.String})
    found = {(row["quantity"], row["class"]): row for row in table.iter_rows(named=True)}
    rows = []
    for name, (words, unit, _) in artefacts.QUANTITIES.items():
        cells = [spread(found.get((name, label))) for label in classes]
        rows.append([f"{words}, {unit}" if unit else words, *cells])
    return rows


def fold_rows(path: Path) -> list[dict[str, str]]:
    """Held-out cage, samples, accuracy of single networks and of the ensemble."""
    folds = pl.read_csv(path, schema_overrides={"fold": pl.String})
    return [
        {
            "fold": row["fold"],
            "n": str(row["n"]),
            "accuracy": share(row["accuracy"]),
            "ensemble": share(row["ensemble_accuracy"]),
            "width": f"{100 * row['ensemble_accuracy']:.1f}",
        }
        for row in folds.iter_rows(named=True)
    ]
