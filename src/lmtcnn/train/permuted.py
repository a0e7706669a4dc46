"""Networks for other labels than the study's: for each arrangement of labels every fold of one seed, from nothing.

A permutation test asks what the same procedure makes of labels that mean nothing. So these networks have the epochs,
the arithmetic, the sizes, the batches and the first weights of a training by that seed; only the labels are others. An
arrangement's folds are members, and so are those of many arrangements at once: the batch and its Fourier transforms,
which know no labels, are made once for all of them. As many arrangements as fit in `train.memory_gb` are a group, and
each group is kept on disk as soon as it is trained, so that what a kill interrupts goes on there (kept.py).
"""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lmtcnn.core.sections import TrainParams
from lmtcnn.train.fitting import Study, deterministic, fit, group_size, groups
from lmtcnn.train.kept import Kept
from lmtcnn.train.model import StereotypeCNN, select, softmax_members


@dataclass(frozen=True)
class Group:
    """Some arrangements that were trained together.

    Attributes
    ----------
    probabilities
        (A, S, classes) of each sample, by the network of its arrangement that has not seen its cage.
    seconds
        How long their training took, or had taken when it was kept.
    """

    probabilities: NDArray[np.float64]
    seconds: float


def fit_arrangements(
    study: Study,
    labels: NDArray[np.int64],
    seed: int,
    params: TrainParams,
    kept: Kept,
    name: str,
    progress: Callable[[], None] = lambda: None,
) -> Iterator[Group]:
    """Train every fold for every arrangement, a group at a time: one who has seen enough need not go on.

    Parameters
    ----------
    study
        Inputs, cages and classes; its own labels are not looked at.
    labels
        (A, S) class numbers of the samples in each arrangement.
    seed
        First weights and the order of batches depend on it.
    params
        Architecture and training, as for `fit`; `lr` is a number.
    kept
        Where finished groups are kept. One of other labels is not taken.
    name
        What they are kept by: `<name>-<first arrangement>`.
    progress
        Called after every epoch of every group.

    Yields
    ------
    Group
        In the order of the arrangements.

    Raises
    ------
    ParamsError
        If the loss of a network does not stay finite.
    """
    for group in groups(len(labels), arrangements_at_once(study, params)):
        own = torch.from_numpy(labels[group])
        piece = kept.load(f"{name}-{group.start}")
        if piece is None or not torch.equal(piece["labels"], own):
            begin = time.monotonic()
            p = torch.from_numpy(_fit_group(study, own, seed, params, progress))
            piece = {"labels": own, "probabilities": p, "seconds": torch.tensor(time.monotonic() - begin)}
            kept.save(f"{name}-{group.start}", piece)
        yield Group(piece["probabilities"].numpy(), float(piece["seconds"]))


def arrangements_at_once(study: Study, params: TrainParams) -> int:
    """How many arrangements, each with all its folds, fit in `memory_gb`; one at least."""
    return max(1, group_size(study, params) // len(np.unique(study.cages)))


def _fit_group(
    study: Study, labels: Tensor, seed: int, params: TrainParams, progress: Callable[[], None]
) -> NDArray[np.float64]:
    """Held-out probabilities (A, S, classes); where not even one arrangement fits in memory, in several portions."""
    members = list(itertools.product(range(len(labels)), np.unique(study.cages).tolist()))
    p = np.empty((len(labels), len(study.x), len(study.classes)))
    for part in groups(len(members), group_size(study, params)):
        own = members[part]
        of_members = labels[[arrangement for arrangement, _ in own]]
        with deterministic(study.x.device):
            fitted = fit(study, [cage for _, cage in own], seed, params, progress, labels=of_members)
            _hold_out(fitted.model.to(study.x.device), own, study, p)
    return p


def _hold_out(model: StereotypeCNN, members: Sequence[tuple[int, str]], study: Study, p: NDArray[np.float64]) -> None:
    """Fill in what each member says of its held-out samples."""
    for cage in dict.fromkeys(cage for _, cage in members):
        chosen = [number for number, (_, own) in enumerate(members) if own == cage]
        rows = np.flatnonzero(study.cages == cage)
        arrangements = np.array([members[number][0] for number in chosen])
        p[np.ix_(arrangements, rows)] = softmax_members(
            select(model, chosen).to(study.x.device), study.x[torch.from_numpy(rows)]
        )
