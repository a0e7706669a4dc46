"""Could it be the tracking, the clock, or how much a mouse stops? Classes told by one of them alone, cage by cage.

A control sees nothing of where mice stop: `quality` sees how well each was tracked, `clock` the time of day at which
its recording began, `counts` its stops by interval. Cages are held out as for the network. Where a control tells the
class more often than labels that mean nothing do, the network may have learned it, too.

The classifier is regularised least squares with a kernel of radial basis functions (Rifkin, Yeo & Poggio 2003,
*Regularized least-squares classification*): the same kernel as the support vector machine of the baselines, and about
as accurate, but its answer is a fixed matrix times the labels. So a fold is fitted once, and every arrangement of the
labels in a permutation test costs a product of matrices. Features are standardised by the training cages alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lmtcnn.core.errors import DataError, problem
from lmtcnn.evaluate import permutation
from lmtcnn.evaluate.arrangements import Codes
from lmtcnn.evaluate.design import JOINT, Design

Floats = NDArray[np.float64]

NAMES = {
    "quality": "how well a mouse was tracked",
    "clock": "the time of day at which a recording began",
    "counts": "the number of stops in each interval",
}
"""The controls, as names of metrics go on after `control_`, and in words."""

_MEANS = {
    "quality": "what the network learns may be the tracking",
    "clock": "what the network learns may be the clock",
    "counts": "what the network learns may be how much mice stop, and not where",
}

OCCUPANCY = ("occupancy_knn", "occupancy_svm")
"""Simple methods that see where mice stop and not when."""

SURE, NEAR = 0.05, 0.05
"""When a control is spoken of: at a smaller p, or at most so much below the network's accuracy."""

OF_QUALITY = ("known", "filled", "lost", "flicker", "anonymous", "uneven", "least_known")
"""Columns of the table of controls that say how well a mouse was tracked."""

RIDGE = 1.0
"""Weight of the penalty, against kernels of 1 on the diagonal."""

DAY_S = 86_400.0


@dataclass(frozen=True)
class Fold:
    """One held-out cage: who is held out (S,), and what turns training labels into scores, (test, train)."""

    held_out: NDArray[np.bool_]
    smoother: Floats


Folds = Mapping[str, Sequence[Fold]]
"""Control -> every fold."""


def features(table: pl.DataFrame, stacks: NDArray[Any]) -> dict[str, Floats]:
    """Make the features of each control.

    Parameters
    ----------
    table
        `schemas.CONTROLS`, a row for each sample.
    stacks
        Counts (or seconds) as they are, (S, T, N, N), in the same order; one sample at a time is in memory.

    Returns
    -------
    dict
        Control -> (S, features): `quality` the columns OF_QUALITY; `clock` cosine and sine of the start, a day being
        a full turn; `counts` the logarithm of 1 + the stops of each interval.
    """
    turn = 2 * np.pi * table["start_s"].to_numpy() / DAY_S
    totals = np.array([np.asarray(stack).sum(axis=(1, 2), dtype=np.float64) for stack in stacks])
    return {
        "quality": table.select(OF_QUALITY).to_numpy().astype(np.float64),
        "clock": np.stack([np.cos(turn), np.sin(turn)], axis=1),
        "counts": np.log1p(totals),
    }


def prepare(found: Mapping[str, Floats], cages: Sequence[str]) -> dict[str, list[Fold]]:
    """All that the controls need but labels, for every fold.

    Parameters
    ----------
    found
        See `features`.
    cages
        Of each sample.

    Returns
    -------
    dict
        Control -> a fold for each cage, in the order of their names.

    Raises
    ------
    DataError
        Where there are fewer than two cages.
    """
    cage = np.asarray(cages, dtype=np.str_)
    names = np.unique(cage)
    if len(names) < 2:
        raise DataError(problem("the samples", "two cages or more", f"{len(names)}", "add recordings of other cages"))
    return {control: [fold(values, cage == name) for name in names] for control, values in found.items()}


def fold(values: Floats, held_out: NDArray[np.bool_]) -> Fold:
    """Fit one held-out cage but for labels.

    With z the features (S, F) standardised by the training samples (one that does not vary among them is left out of
    account), k(a, b) = exp(-|z_a - z_b|^2 / F) and K that of the training samples, the matrix is
    k(test, train) (K + RIDGE I)^-1.
    """
    train = values[~held_out]
    spread = train.std(axis=0)
    varies = spread > 1e-9 * np.maximum(np.abs(train).max(axis=0), 1e-9)
    z = np.where(varies, (values - train.mean(axis=0)) / np.where(varies, spread, 1), 0.0)
    apart = np.square(z[:, None] - z).sum(axis=2)
    kernel = np.exp(-apart / max(int(varies.sum()), 1))
    inside, across = kernel[np.ix_(~held_out, ~held_out)], kernel[np.ix_(held_out, ~held_out)]
    return Fold(held_out, np.linalg.solve(inside + RIDGE * np.eye(len(inside)), across.T).T)


def label(prepared: Folds, labels: Codes) -> dict[str, Codes]:
    """Out-of-fold labels of each control for each arrangement of the labels.

    A class's score is the matrix of the fold times (1 where a training sample is of the class, else 0, less the share
    of the class among them). That share is not given back: holding a cage out tilts it against the cage's own classes.

    Parameters
    ----------
    prepared
        See `prepare`.
    labels
        (A, S) numbers of classes. Where scores tie, the class of the lowest number wins.

    Returns
    -------
    dict
        Control -> (A, S) numbers of classes.
    """
    found = {f"control_{control}": np.empty_like(labels) for control in prepared}
    classes = np.arange(int(labels.max()) + 1)
    for control, every in prepared.items():
        for one in every:
            known = (labels[:, ~one.held_out, None] == classes).astype(np.float64)  # (A, train, classes)
            known -= known.mean(axis=1, keepdims=True)
            scores = one.smoother @ known  # (A, test, classes)
            found[f"control_{control}"][:, one.held_out] = scores.round(9).argmax(axis=2)
    return found


def metrics(design: Design, prepared: Folds, most: int, seed: int) -> dict[str, float]:
    """How well each control tells the class, and how often labels that mean nothing let it do as well.

    Parameters
    ----------
    design
        The study's labels.
    prepared
        See `prepare`.
    most, seed
        Arrangements at most, of all label columns together, and the seed of their choice; see `Design.arrangements`.

    Returns
    -------
    dict
        `control_<name>_accuracy`; where the design allows a test, too, `control_<name>_chance`, the mean accuracy over
        the arrangements, and `control_<name>_p`, of the balanced accuracy.
    """
    truth = design.observed().joint
    found = {f"{name}_accuracy": float((said == truth).mean()) for name, said in label(prepared, truth).items()}
    columns = JOINT if len(design.columns) > 1 else next(iter(design.columns))
    made = permutation.test(design, columns, lambda labels: label(prepared, labels), most, seed)
    for name, outcome in made.outcomes.items():
        found |= {f"{name}_chance": outcome.chance, f"{name}_p": outcome.p}
    return found


def doubts(metrics: Mapping[str, Any], sure: float = SURE, near: float = NEAR) -> list[str]:
    """Sentences on what a control tells, without a full stop; empty where none does.

    Parameters
    ----------
    metrics
        `accuracy` of the network; of each control `control_<name>_accuracy` and, where the design allows a test,
        `control_<name>_p` and `control_<name>_chance`; of the simple methods `occupancy_<name>_accuracy`.
    sure
        A control of a smaller p tells the class better than chance.
    near
        One that is at most so much less accurate than the network is as good.

    Returns
    -------
    list of str
        One for each control that is better than its chance by its p, or near the network and not below its chance, and
        one where occupancy is near the network.
    """
    found = []
    for name, words in NAMES.items():
        own, p = metrics.get(f"control_{name}_accuracy"), metrics.get(f"control_{name}_p", 1.0)
        if own is None:
            continue
        told = []
        if p < sure:
            told.append(f"by chance {metrics[f'control_{name}_chance']:.1%} (p {p:.2g})")
        if own >= metrics["accuracy"] - near and own > metrics.get(f"control_{name}_chance", 0.0):
            told.append(f"the network {metrics['accuracy']:.1%}")
        if told:
            found.append(f"{words} alone labels {own:.1%} of samples right, {', '.join(told)}: {_MEANS[name]}")
    simple = {name: metrics[f"{name}_accuracy"] for name in OCCUPANCY if f"{name}_accuracy" in metrics}
    if simple and (best := max(simple.values())) >= metrics["accuracy"] - near:
        found.append(
            f"where mice stop, whenever, labels {best:.1%} of samples right, the network "
            f"{metrics['accuracy']:.1%}: no artefact, but the time is not needed"
        )
    return found
