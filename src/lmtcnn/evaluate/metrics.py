"""Figures of merit, and the paper's.

Two kinds stand side by side and are never mixed. `accuracy` is the paper's kind: the out-of-fold accuracy of single
networks, averaged over seeds. All others that need a label or a probability are of the *ensemble*, whose
probabilities are the softmax averaged over seeds: they belong to the one confusion matrix that is shown.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as sk

from lmtcnn.core.names import Values, label_metric, label_values, recall_metric, values_of
from lmtcnn.evaluate.predicted import codes_of

Labels = Mapping[str, Mapping[str, Values]]
"""The classes of params.yaml: name -> label column -> value, or several."""

Truth = Mapping[str, Sequence[str]]
"""Label column -> its true value for each sample."""


class Paper(NamedTuple):
    """Figures that a publication reports: its classes, Table 1 (rows true, columns predicted), and its baselines."""

    source: str
    classes: Labels
    confusion: tuple[tuple[int, ...], ...]
    knn_accuracy: float
    svm_accuracy: float


PAPER = Paper(
    source="arXiv 2412.05158",
    classes={
        "AM": {"sex": "M", "age": "adult"},
        "JM": {"sex": "M", "age": "juvenile"},
        "AF": {"sex": "F", "age": "adult"},
        "JF": {"sex": "F", "age": "juvenile"},
    },
    confusion=((22, 2, 0, 0), (9, 8, 1, 6), (0, 4, 20, 0), (0, 0, 0, 24)),  # 74 of 96; females 44/48, males 30/48
    knn_accuracy=0.62,
    svm_accuracy=0.72,
)


class Row(NamedTuple):
    """One line of a comparison; None where there is no such figure."""

    metric: str
    ours: float | None
    paper: float | None


def score(
    actual: Sequence[str],
    probabilities: NDArray[np.float64],
    classes: Sequence[str],
    labels_by_class: Labels,
    truth: Truth | None = None,
) -> dict[str, float]:
    """Figures of merit of averaged probabilities (samples, classes), whose columns are in the order of `classes`.

    Those of `score_labels` for the most probable class (ties: class order), and

    * log_loss = -mean log p(true class), natural, p kept off 0 by the floating-point step;
    * brier = mean sum over classes (p - [true class])^2, from 0 to 2, also for two classes.
    """
    codes = codes_of(actual, classes)
    everything = range(len(classes))
    return {
        **score_labels(actual, [classes[i] for i in probabilities.argmax(axis=1)], classes, labels_by_class, truth),
        "log_loss": float(sk.log_loss(codes, probabilities, labels=everything)),
        "brier": float(np.square(probabilities - np.eye(len(classes))[codes]).sum(axis=1).mean()),
    }


def score_labels(
    actual: Sequence[str],
    predicted: Sequence[str],
    classes: Sequence[str],
    labels_by_class: Labels,
    truth: Truth | None = None,
) -> dict[str, float]:
    """Figures of merit of labels. One that has no samples to stand on is left out.

    `truth` holds the samples' own label values, which a class of several values does not tell; None: what the classes
    say, so that samples of such a class are in no accuracy_<label>_<value>.

    * ensemble_accuracy = share of samples labelled right;
    * balanced_accuracy, macro_f1 = mean over classes that have samples of recall, of 2 TP / (2 TP + FP + FN);
    * mcc = Matthews' correlation, for two true classes or more (0 where all predictions are one class);
    * recall_<class>; accuracy_<label>_<value> = accuracy over all classes among samples of that true label.
    """
    codes, guesses = codes_of(actual, classes), codes_of(predicted, classes)
    right = codes == guesses
    present = np.unique(codes)
    figures_of_merit = {
        "ensemble_accuracy": float(right.mean()),
        "balanced_accuracy": float(sk.recall_score(codes, guesses, labels=present, average="macro")),
        "macro_f1": float(sk.f1_score(codes, guesses, labels=present, average="macro")),
    }
    if len(present) > 1:
        figures_of_merit["mcc"] = float(sk.matthews_corrcoef(codes, guesses))
    for label, value in label_values(labels_by_class):
        own = truth[label] if truth else [_only(labels_by_class[name].get(label, ())) for name in actual]
        named = [value in values_of(labels_by_class[name].get(label, ())) for name in actual]
        chosen = np.array([here == value for here in own]) & np.array(named)
        if chosen.any():
            figures_of_merit[label_metric(label, value)] = float(right[chosen].mean())
    return {**figures_of_merit, **recalls(codes, guesses, classes)}


def _only(values: Values) -> str:
    """The value of a label that a class names; empty where it names several."""
    return values if isinstance(values, str) else ""


def compare(metrics: Mapping[str, Any], classes: Labels) -> list[Row]:
    """Each figure of merit beside the paper's, in the order of metrics.json.

    The paper's column is filled only if `classes` are the paper's four and all have samples: to tell two of them apart
    is another task. Its networks are single ones, so its
    accuracy stands beside `accuracy` and `ensemble_accuracy` has none; what its Table 1 gives stands beside ours.
    """
    same = {name: dict(labels) for name, labels in classes.items()} == PAPER.classes
    same = same and sum(recall_metric(name) in metrics for name in classes) in (
        0,
        len(classes),
    )  # 0: no recalls in them
    paper = paper_metrics() if same else {}
    numbers = {
        key: value for key, value in metrics.items() if isinstance(value, float) and not _of_another(key, metrics)
    }
    return [Row(key, value, paper.get(key)) for key, value in numbers.items()]


def _of_another(key: str, metrics: Mapping[str, Any]) -> bool:
    """Whether a number says how sure another one is (interval, chance, p, difference), or what a control tells."""
    figure = next((key.removesuffix(end) for end in ("_low", "_high") if key.endswith(end)), key)
    return (figure != key and figure in metrics) or key.startswith(("chance_", "p_", "difference_", "control_"))


def paper_metrics() -> dict[str, float]:
    """The paper's figures, those that follow from its Table 1 included."""
    names = list(PAPER.classes)
    cells = [(names[i], names[j]) for i, row in enumerate(PAPER.confusion) for j, n in enumerate(row) for _ in range(n)]
    table = score_labels([true for true, _ in cells], [guess for _, guess in cells], names, PAPER.classes)
    table["accuracy"] = table.pop("ensemble_accuracy")
    return {**table, "knn_accuracy": PAPER.knn_accuracy, "svm_accuracy": PAPER.svm_accuracy}


def recalls(codes: NDArray[np.int64], guesses: NDArray[np.int64], classes: Sequence[str]) -> dict[str, float]:
    """recall_<class> of every class that has samples."""
    return {
        recall_metric(name): float((guesses[codes == i] == i).mean())
        for i, name in enumerate(classes)
        if (codes == i).any()
    }
