"""Does a network need time? What it says of held-out samples whose hours are shuffled."""

import numpy as np
import torch
from numpy.typing import NDArray

from lmtcnn.core.records import Training
from lmtcnn.train.held_out import load_held_out
from lmtcnn.train.model import Samples, softmax_members

SHUFFLES = 20
"""How often the hours of each sample are shuffled: over so many the accuracy is averaged."""


def accuracy_without_time(
    training: Training,
    samples: Samples,
    codes: NDArray[np.int64],
    cages: NDArray[np.str_],
    seed: int,
    shuffles: int = SHUFFLES,
) -> float:
    """Accuracy of single networks on held-out samples whose hours are in random order.

    Each held-out sample keeps its histograms and loses their order, as in permutation importance (Breiman 2001,
    Machine Learning 45) with the order of time as the one feature. Near `accuracy` the networks live on places alone.

    Parameters
    ----------
    training
        Whose networks are asked.
    samples
        (S, T, N, N), transformed as for the training.
    codes
        (S,) the number of each sample's class.
    cages
        (S,) the cage of each sample.
    seed
        Of the orders.
    shuffles
        How many orders for each sample.

    Returns
    -------
    float
        Mean over seeds, samples and orders.
    """
    right = np.zeros(len(codes))
    for cage, model in load_held_out(training):
        for row in np.flatnonzero(cages == cage).tolist():
            orders = _orders(samples.shape[1], shuffles, seed, row)
            said = softmax_members(model, samples[[row]][0][orders]).argmax(axis=2)  # (seeds, shuffles)
            right[row] = (said == codes[row]).mean()
    return float(right.mean())


def _orders(intervals: int, shuffles: int, seed: int, row: int) -> torch.Tensor:
    """(shuffles, T) orders of a sample's hours."""
    random = np.random.Generator(np.random.PCG64([seed, row]))
    return torch.from_numpy(random.permuted(np.tile(np.arange(intervals), (shuffles, 1)), axis=1))
