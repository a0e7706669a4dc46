"""Networks of one seed fitted side by side: the members of a program share each batch, and nothing else.

A member's loss is sum(w l) / sum(w) over the batch, with weight 0 for its held-out cage; where sum(w) = 0 it takes no
step. Initial weights depend on the seed only, batch order on (seed, epoch) only, so that a fold trained alone is the
fold of the full run. Cross-entropy and plain SGD are the paper's; the number of epochs and the batch are ours.
"""

import contextlib
import itertools
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from lmtcnn.core.errors import ParamsError, problem
from lmtcnn.core.params import Params
from lmtcnn.core.sections import TrainParams
from lmtcnn.train.model import Samples, StereotypeCNN, initialise, member_bytes

log = logging.getLogger("lmtcnn")

Progress = Callable[[int, int], None]

BYTES_ON_A_CPU = 0.8e9
"""Most memory of a group on a CPU, whatever `memory_gb` allows: a step spends its time on moving numbers, and those of
a larger group are farther away. 4 to 48 of the paper's networks took 8 to 9 ms each a step, 132 took 13."""

ROW_BYTES = 200
"""Bytes that a row of a table needs at most on disk."""


@dataclass(frozen=True)
class Study:
    """Samples to train on: inputs (S, T, N, N) on the device, class numbers (S,), cage of each sample, class names."""

    x: Samples | Tensor
    y: Tensor
    cages: NDArray[np.str_]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Fitted:
    """Networks of one seed: the members, and their history (M, epochs, 4), see `Tally`."""

    model: StereotypeCNN
    history: NDArray[np.float64]


def fit(
    study: Study,
    folds: Sequence[str | tuple[str, ...]],
    seed: int,
    params: TrainParams,
    progress: Callable[[], None],
    at: Sequence[float] = (),
    *,
    labels: Tensor | None = None,
    may_diverge: bool = False,
) -> Fitted:
    """Fit one member for each fold, all at once.

    Parameters
    ----------
    study : Study
        What is trained on.
    folds : sequence
        What each member holds out: a cage, several cages, or ALL, which holds nothing out.
    seed : int
        Initial weights and the order of batches depend on it.
    params : TrainParams
        Architecture and training; `lr` only where `at` says no rates.
    progress : callable
        Called after every epoch.
    at : sequence of float
        The learning rate of each member; empty: `lr`.
    labels : tensor (M, S), optional
        Class numbers of the samples for each member; else those of the study.
    may_diverge : bool
        Go on where the loss of a member is not finite; else that raises ParamsError.
    """
    model = network(study, params, len(folds))
    initialise(model, seed)
    model.to(study.x.device)
    held_out = torch.from_numpy(np.stack([np.isin(study.cages, fold) for fold in folds])).to(study.x.device)  # (M, S)
    labels = study.y.expand(held_out.shape) if labels is None else labels.to(study.x.device)
    weights = class_weights(labels, held_out, len(study.classes), params.class_weight)
    at = at or [float(params.lr)] * len(folds)
    steps = torch.tensor([rate / max(at) for rate in at], device=study.x.device)  # (M,), shares of the highest rate
    history = np.empty((len(folds), params.epochs, 4))
    for epoch in range(params.epochs):
        tally = Tally(held_out)
        for batch in batches(len(study.x), params.batch, seed, epoch):
            logits, y = model(study.x[batch]), labels[:, batch]
            losses = sample_losses(logits, y)
            (steps * member_losses(losses, weights[:, batch])).sum().backward()
            descend(model, max(at))
            tally.add(losses.detach(), logits.detach().argmax(dim=2) == y, batch)
        history[:, epoch] = tally.means()
        if not (may_diverge or np.isfinite(history[:, epoch, 0]).all()):
            found = f"an infinite one in epoch {epoch + 1}, seed {seed}"
            raise ParamsError(problem("train.lr", "a rate at which the loss stays finite", found, "lower it"))
        progress()
    return Fitted(model.cpu(), history)


def descend(model: nn.Module, rate: float) -> None:
    """Take a step of plain SGD, each parameter less `rate` times its gradient, and forget the gradients.

    torch.optim.SGD gives the same bits, but making one loads PyTorch's compiler, which takes seconds.
    """
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.add_(parameter.grad, alpha=-rate)
                parameter.grad = None


def network(study: Study, params: TrainParams, members: int) -> StereotypeCNN:
    """A network of so many members for the samples of a study."""
    return StereotypeCNN(
        members=members,
        intervals=study.x.shape[1],
        tiles=study.x.shape[2],
        classes=len(study.classes),
        kernels=params.kernels,
        channels=params.channels,
        pool=params.pool,
    )


def batches(samples: int, size: int, seed: int, epoch: int) -> list[Tensor]:
    """The batches of an epoch: a permutation of all samples by (seed, epoch) alone, cut into pieces of `size`."""
    order = np.random.Generator(np.random.PCG64([seed, epoch])).permutation(samples)
    return list(torch.from_numpy(order).split(size))


def class_weights(y: Tensor, held_out: Tensor, classes: int, how: str) -> Tensor:
    """Weight of each sample for each member, (M, S): 0 where held out; `balanced` by the classes of its training cages.

    `y` are class numbers, (S,) or each member's own (M, S).

    balanced: n_train / (classes present * n_train of the sample's class).
    """
    training = (~held_out).float()
    if how == "none":
        return training
    y = y.expand(held_out.shape)
    counts = torch.zeros(len(held_out), classes, device=y.device).scatter_add_(1, y, training)  # (M, C), whole numbers
    present = (counts > 0).sum(dim=1, keepdim=True)
    return training * (training.sum(dim=1, keepdim=True) / (present * counts.clamp(min=1))).gather(1, y)


def sample_losses(logits: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy of every member on every sample, (M, B), of logits (M, B, C) and classes y, (B,) or (M, B)."""
    y = y.expand(logits.shape[:2]).flatten()
    return functional.cross_entropy(logits.flatten(0, 1), y, reduction="none").view(len(logits), -1)


def member_losses(losses: Tensor, weights: Tensor) -> Tensor:
    """Loss of each member, (M,): sum(w l) / sum(w), and 0 without a gradient where sum(w) = 0; both (M, B)."""
    total = weights.sum(dim=1)
    return (weights * losses).sum(dim=1) / torch.where(total > 0, total, torch.ones_like(total))


class Tally:
    """Mean loss and accuracy of every member over an epoch, on its training and its held-out samples.

    Taken as the batches pass, each before its step: held-out samples go through the networks anyway, with weight 0,
    so that a curve costs nothing. The figures of merit come from the weights after the last epoch instead.
    """

    def __init__(self, held_out: Tensor) -> None:
        self.sets = torch.stack((~held_out, held_out)).double()  # (2, M, S)
        self.sums = torch.zeros(2, 2, len(held_out), dtype=torch.float64, device=held_out.device)

    def add(self, losses: Tensor, correct: Tensor, batch: Tensor) -> None:
        """Take a batch's losses and hits, both (M, B)."""
        for i, values in enumerate((losses, correct)):
            self.sums[i] += (self.sets[:, :, batch] * values.double()).sum(dim=2)

    def means(self) -> NDArray[np.float64]:
        """(M, 4): train loss, train accuracy, test loss, test accuracy; nan where there are no samples."""
        means = self.sums / self.sets.sum(dim=2)  # (loss or accuracy, train or test, M)
        return np.asarray(means.permute(2, 1, 0).flatten(1).cpu().numpy())


@contextlib.contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """Let PyTorch choose algorithms on a GPU that give the same result each time, in full float32, while this lasts."""
    if device.type != "cuda":
        yield
        return
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    rounds = torch.backends.cudnn.allow_tf32
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.allow_tf32 = False  # else convolutions would round their inputs to 10 bits
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.backends.cudnn.allow_tf32 = rounds


def groups(members: int, size: int) -> list[slice]:
    """Members in as few groups of at most `size` as there can be, of like sizes."""
    count = -(-members // size)
    bounds = [members * i // count for i in range(count + 1)] if count else [0]
    return [slice(*pair) for pair in itertools.pairwise(bounds)]


def group_size(study: Study, params: TrainParams) -> int:
    """How many members are trained at once: those that fit in `memory_gb` (1e9 bytes), one at least.

    On a CPU there are no more than fit in `BYTES_ON_A_CPU`, as larger groups are slower.
    """
    most = params.memory_gb * 1e9
    if study.x.device.type == "cpu":
        most = min(most, BYTES_ON_A_CPU)
    return max(1, int(most / member_bytes(network(study, params, 1), params.batch)))


def batched(samples: int, size: int = 32) -> list[slice]:
    """Numbers of samples in pieces, for a pass without gradients."""
    return [slice(start, start + size) for start in range(0, samples, size)]


def load_study(stacks: NDArray[Any], index: pl.DataFrame, params: Params) -> Study:
    """Inputs and labels on the device that `train.device` says."""
    return study_of(stacks, index["class"].to_list(), index["cage"].to_list(), tuple(params.classes), params.train)


def study_of(
    stacks: NDArray[Any], labels: Sequence[str], cages: Sequence[str], classes: tuple[str, ...], params: TrainParams
) -> Study:
    """Make a study of stacks (S, T, N, N), the class and the cage of each sample, and all classes in their order."""
    device = choose_device(params.device)
    y = torch.tensor([classes.index(name) for name in labels])
    return Study(Samples(stacks, params.transform, device), y.to(device), np.asarray(cages, np.str_), classes)


def choose_device(name: str) -> torch.device:
    """`auto` is a GPU where there is one. Raises ParamsError where `cuda` is asked for and there is none."""
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ParamsError(problem("train.device", "a GPU for cuda", "none", "write auto or cpu"))
    return torch.device("cuda" if available and name != "cpu" else "cpu")
