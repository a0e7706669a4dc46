"""The learning rate of each member, chosen by its training cages alone: `train.lr: auto`.

For a fold whose networks hold out cage a, each of the other cages b is held out as well in turn, and a network is
trained on the rest at each rate of `lr_grid`, for the same number of epochs, by the first seed. The rate at which most
samples of the cages b are labelled right is taken; where that ties, the lower mean log loss, then the lower rate. Cage
a is seen by none of these networks. Networks that see all cages choose among all cages likewise. (The log loss alone
would choose too low a rate: what is learned of the other cages makes wrong answers surer before it makes right ones.)

Training on all cages but a and b serves both the fold of a and the fold of b: with n cages there are n (n - 1) / 2 such
networks a rate, and n for those that see all. Where a fold has more than `lr_folds` training cages, they are dealt into
that many parts, each held out as one, so the cost grows with the number of cages and not with its square.
"""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmtcnn.core.errors import DataError, problem
from lmtcnn.core.names import ALL
from lmtcnn.core.sections import TrainParams


class Trial(NamedTuple):
    """A network that is trained for the choice only: the cages it holds out, sorted, and its rate."""

    held_out: tuple[str, ...]
    rate: float


def inner_folds(member: str, cages: Sequence[str], most: int) -> list[tuple[str, ...]]:
    """The parts into which a member's training cages fall, each of which is held out once: at most `most`.

    A part is a single cage where there are no more cages than that, else every so many-th.
    """
    training = [cage for cage in cages if cage != member]
    parts = min(most, len(training))
    return [tuple(training[start::parts]) for start in range(parts)]


def trials(members: Sequence[str], cages: Sequence[str], params: TrainParams) -> list[Trial]:
    """Every network that the choice for these members needs, once.

    Parameters
    ----------
    members : sequence of str
        Cages that are held out, and ALL for networks that see all cages.
    cages : sequence of str
        All cages of the study.
    params : TrainParams
        For `lr_grid` and `lr_folds`.

    Raises
    ------
    DataError
        If there are fewer than three cages: with one held out and another held out of the rest, none would be left.
    """
    if len(cages) < 3:
        do = "write a rate, or add recordings of another cage"
        raise DataError(problem("train.lr: auto", "three cages or more", str(len(cages)), do))
    held_out = {_held_out(member, inner) for member in members for inner in inner_folds(member, cages, params.lr_folds)}
    return [Trial(*pair) for pair in itertools.product(sorted(held_out), sorted(params.lr_grid))]


def choose(
    members: Sequence[str],
    cages: NDArray[np.str_],
    done: Sequence[Trial],
    losses: NDArray[np.float64],
    right: NDArray[np.bool_],
    params: TrainParams,
) -> dict[str, float]:
    """The rate of each member.

    Parameters
    ----------
    members : sequence of str
        As for `trials`.
    cages : array (S,)
        The cage of each sample.
    done : sequence of Trial, length n
        The networks that were trained.
    losses : array (n, S)
        Log loss of each network on each sample; not finite where it diverged: such a rate comes last.
    right : array (n, S)
        Whether the sample was labelled right.
    """
    place = {trial: i for i, trial in enumerate(done)}
    names = sorted(set(cages.tolist()))
    return {member: _best(member, names, cages, place, losses, right, params) for member in members}


def _best(
    member: str,
    names: Sequence[str],
    cages: NDArray[np.str_],
    place: dict[Trial, int],
    losses: NDArray[np.float64],
    right: NDArray[np.bool_],
    params: TrainParams,
) -> float:
    scores: list[tuple[Any, ...]] = []
    for rate in sorted(params.lr_grid):
        hits, loss = 0, 0.0
        for inner in inner_folds(member, names, params.lr_folds):
            trial = place[Trial(_held_out(member, inner), rate)]
            own = np.isin(cages, inner)
            hits += int(right[trial, own].sum())
            loss += float(losses[trial, own].sum())
        scores.append((-hits, loss, rate) if np.isfinite(loss) else (1, np.inf, rate))
    return float(min(scores)[2])


def _held_out(member: str, inner: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted({*inner, *(() if member == ALL else (member,))}))
