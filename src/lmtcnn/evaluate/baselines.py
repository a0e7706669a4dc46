"""Simple methods on the folds of the network: PCA, then the nearest neighbour or a support vector machine.

arXiv 2412.05158 compares its network with PCA(3) + 1-NN (0.62) and PCA(3) + SVM (0.72) on the stacks. It names no SVM
kernel: radial basis functions with C = 1 are our choice. `occupancy_knn` and `occupancy_svm` see where the stops lie
and not when they began: the smoothed shares of tiles. Whatever is fitted sees the training cages only.

Components, distances and kernels do not depend on labels. So they are computed once for each fold and serve every
arrangement of the labels; what is left for each is a vote, or a small machine of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import KernelPCA
from sklearn.neighbors import NearestNeighbors
from sklearn.svm import _libsvm

from lmtcnn.core.errors import DataError, problem
from lmtcnn.core.sections import EvaluateParams
from lmtcnn.evaluate.arrangements import Codes
from lmtcnn.histograms.shares import shares
from lmtcnn.train.model import Samples

METHODS = ("knn", "svm")
"""Methods that are fitted to the components of PCA."""

FEATURES = {"": "stacks", "occupancy_": "shares"}
"""How the names of methods begin -> what their components are made of."""


@dataclass(frozen=True)
class Fold:
    """One held-out cage as the simple methods see it. No label had a part in it.

    Attributes
    ----------
    held_out
        (S,) whether a sample is of the held-out cage.
    scores, held_out_scores
        (train, components) and (test, components) of PCA fitted to the training samples.
    neighbours
        (test, k) the places among the training samples of each held-out sample's nearest ones.
    """

    held_out: NDArray[np.bool_]
    scores: NDArray[np.float64]
    held_out_scores: NDArray[np.float64]
    neighbours: NDArray[np.int64]


Folds = Mapping[str, Sequence[Fold]]
"""The beginning of the methods' names -> every fold."""


def prepare(
    counts: NDArray[Any], stacks: NDArray[Any] | Samples, cages: Sequence[str], params: EvaluateParams
) -> dict[str, list[Fold]]:
    """All that the simple methods need but labels, for every fold.

    Parameters
    ----------
    counts
        Counts as they are, (S, T, N, N), of which shares are made.
    stacks
        The same, transformed as for the network.
    cages
        Of each sample.
    params
        Components, neighbours and smoothing.

    Returns
    -------
    dict
        The beginning of the methods' names (`FEATURES`) -> a fold for each cage, in the order of their names.

    Raises
    ------
    DataError
        Where there are fewer than two cages.
    """
    smooth = shares(counts, params.smoothing_tiles)[:, None]
    return {
        "": folds(inner_products(stacks), cages, params),
        "occupancy_": folds(inner_products(smooth), cages, params),
    }


def label(prepared: Folds, labels: Codes, params: EvaluateParams) -> dict[str, Codes]:
    """Out-of-fold labels of each simple method for each arrangement of the labels.

    Parameters
    ----------
    prepared
        See `prepare`.
    labels
        (A, S) numbers of classes. Where votes tie, the class of the lowest number wins; where distances tie, the
        sample that comes first.
    params
        The support vector machine.

    Returns
    -------
    dict
        Method (`knn`, `svm`, `occupancy_knn`, `occupancy_svm`) -> (A, S) numbers of classes.
    """
    found = {f"{begin}{method}": np.empty_like(labels) for begin in prepared for method in METHODS}
    for begin, every in prepared.items():
        for fold in every:
            known = labels[:, ~fold.held_out]
            found[f"{begin}knn"][:, fold.held_out] = vote(fold, known)
            found[f"{begin}svm"][:, fold.held_out] = support(fold, known, params)
    return found


def inner_products(stacks: NDArray[Any] | Samples) -> NDArray[np.float64]:
    """G = X X^T over the flattened stacks, (samples, samples), in float64, one interval at a time.

    They are computed once: each fold takes the rows and columns of its samples, and centres them by its own mean.
    """
    products = np.zeros((len(stacks), len(stacks)))
    for interval in range(stacks.shape[1]):
        x = np.asarray(stacks[:, interval], dtype=np.float64).reshape(len(stacks), -1)  # (samples, N N)
        products += x @ x.T
    return products


def folds(products: NDArray[np.float64], cages: Sequence[str], params: EvaluateParams) -> list[Fold]:
    """Each cage held out once: components and neighbours by the inner products of samples, (S, S), of all others.

    Raises DataError where there are fewer than two cages.
    """
    cage = np.asarray(cages, dtype=np.str_)
    names = np.unique(cage)
    if len(names) < 2:
        found = f"{len(names)}"
        raise DataError(problem("the samples", "two cages or more", found, "add recordings of other cages"))
    return [_fold(products, cage == name, params) for name in names]


def _fold(products: NDArray[np.float64], held_out: NDArray[np.bool_], params: EvaluateParams) -> Fold:
    """PCA of one fold's training samples, and its held-out samples' places in it.

    The components of PCA follow from inner products alone: with X centred by the training mean, X X^T = U S^2 U^T and
    the scores are U S. That is exact, and for 96 samples of 72 x 30 x 30 tiles some thirty times faster than
    decomposing X in every fold. For more than 200 samples only the few components that are wanted are sought, by
    Lanczos' iteration from a fixed start. A fold of fewer training samples than `pca_components` or `neighbours` uses
    as many as it has.
    """
    inside, across = products[np.ix_(~held_out, ~held_out)], products[np.ix_(held_out, ~held_out)]
    alike = np.ptp(inside) <= 1e-12 * np.abs(inside).max()  # nothing to iterate on
    solver = "dense" if alike else "auto"
    components = min(params.pca_components, len(inside))
    pca = KernelPCA(components, kernel="precomputed", eigen_solver=solver, random_state=0)
    scores = np.ascontiguousarray(pca.fit_transform(inside), dtype=np.float64)
    placed = np.ascontiguousarray(pca.transform(across), dtype=np.float64)
    nearest = NearestNeighbors(n_neighbors=min(params.neighbours, len(inside)), algorithm="brute").fit(scores)
    return Fold(held_out, scores, placed, nearest.kneighbors(placed, return_distance=False))


def vote(fold: Fold, labels: Codes) -> Codes:
    """The most frequent label (A, test) among the nearest training samples, by labels (A, train)."""
    found = labels[:, fold.neighbours]  # (A, test, k)
    votes = (found[..., None] == np.arange(labels.max() + 1)).sum(axis=2)
    return np.asarray(votes.argmax(axis=-1), dtype=np.int64)


def support(fold: Fold, labels: Codes, params: EvaluateParams) -> Codes:
    """Predict held-out samples by support vector machines, (A, test), each fitted to one row of labels (A, train).

    One class against one, as scikit-learn's `SVC(kernel, C)` with its own gamma, 1 / (components x variance), and its
    coefficients 0 and degree 3 of the other kernels. It is libsvm called as SVC calls it, without the checks of its
    arguments, which take longer than the fit; a test holds the labels against SVC's. Where the training samples are of
    one class, that class is what is said.
    """
    spread = fold.scores.var()
    gamma = 1 / (fold.scores.shape[1] * spread) if spread > 0 else 1.0
    kernel = {"svm_type": 0, "kernel": params.svm_kernel, "gamma": gamma}
    found = np.empty((len(labels), len(fold.held_out_scores)), dtype=np.int64)
    _libsvm.set_verbosity_wrap(0)
    for row, known in enumerate(labels):
        if (known == known[0]).all():
            found[row] = known[0]
            continue
        machine = _libsvm.fit(fold.scores, known.astype(np.float64), C=params.svm_c, **kernel)
        found[row] = _libsvm.predict(fold.held_out_scores, *machine[:7], **kernel)
    return found
