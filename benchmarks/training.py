"""Networks of a study in one program, against the same trainings one after the other in plain PyTorch.

    python benchmarks/training.py [--cages 12] [--networks 13 130 1300] [--epochs 1] [--repeats 3]

Both train the paper's network on the same random stacks (96 x 72 x 30 x 30, 4 classes), with the batches of
params.yaml. 13 networks are every cage held out and all cages; more of them are the same for other labels, as a
permutation test has them. The plain program is written with torch.nn layers and takes one network at a time; it
computes nothing for held-out samples, ours computes them with weight 0. Above 130 networks it takes 130 only and the
time is multiplied, as each takes what the one before it took. Runs alternate; what is printed is the median and the
ratio run by run.
"""

import argparse
import math
import resource
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lmtcnn.core import params as parameters
from lmtcnn.core import process
from lmtcnn.core.names import ALL
from lmtcnn.core.sections import TrainParams
from lmtcnn.train.fitting import Study, batches, fit, group_size, groups

PLAIN_MOST = 130
"""Networks that the plain program really trains; of more the time is reckoned."""


class Plain(nn.Module):
    """The paper's network in PyTorch's own layers."""

    def __init__(self, intervals: int, tiles: int, classes: int) -> None:
        super().__init__()
        self.three = nn.Conv2d(intervals, 16, 3, padding=1)
        self.nine = nn.Conv2d(intervals, 16, 9, padding=4)
        self.linear = nn.Linear(2 * 16 * (tiles // 2) ** 2, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (B, C)."""
        maps = [nn.functional.max_pool2d(torch.relu(branch(x)), 2).flatten(1) for branch in (self.three, self.nine)]
        return self.linear(torch.cat(maps, dim=1))


def train_plain(study: Study, folds: list[str], labels: torch.Tensor, training: TrainParams) -> None:
    """Train one network after the other; `labels` are each one's own (M, S)."""
    for fold, y in zip(folds, labels, strict=True):
        model = Plain(study.x.shape[1], study.x.shape[2], len(study.classes))
        optimiser = torch.optim.SGD(model.parameters(), lr=training.lr)
        inside = torch.from_numpy(study.cages != fold)
        for epoch in range(training.epochs):
            model.train()
            for batch in batches(len(study.x), training.batch, 0, epoch):
                own = batch[inside[batch]]
                optimiser.zero_grad()
                nn.functional.cross_entropy(model(study.x[own]), y[own]).backward()
                optimiser.step()


def train_ours(study: Study, folds: list[str], labels: torch.Tensor, training: TrainParams) -> None:
    """Train all networks as members, in groups of the size that the program takes."""
    for group in groups(len(folds), group_size(study, training)):
        fit(study, folds[group], 0, training, lambda: None, labels=labels[group])


def main() -> None:
    """Time both for every number of networks."""
    process.keep_memory()  # as the command does
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cages", type=int, default=12)
    parser.add_argument("--networks", type=int, nargs="+", default=[13, 130, 1300])
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    chosen = parser.parse_args()
    whole = parameters.load(Path(__file__).parent.parent / "params.yaml")
    training = whole.train.model_copy(update={"epochs": chosen.epochs})
    rng = np.random.default_rng(0)
    samples = 8 * chosen.cages
    tiles, intervals = whole.histograms.tiles, len(whole.histograms.counted)
    x = torch.from_numpy(rng.poisson(0.3, (samples, intervals, tiles, tiles)).astype("f4"))
    cages = np.repeat([f"cage{i:02}" for i in range(chosen.cages)], 8)
    study = Study(x, torch.arange(samples) % 4, cages, tuple(whole.classes))
    of_one = [*dict.fromkeys(cages.tolist()), ALL]
    print(f"{samples} samples, {chosen.epochs} epochs, {torch.get_num_threads()} threads, {chosen.repeats} runs")
    for networks in chosen.networks:
        folds = (of_one * math.ceil(networks / len(of_one)))[:networks]
        labels = torch.from_numpy(np.array([rng.permutation(samples) % 4 for _ in folds]))
        ours, plain = [], []
        for _ in range(chosen.repeats):
            begin = time.perf_counter()
            train_ours(study, folds, labels, training)
            ours.append(time.perf_counter() - begin)
            some = min(networks, PLAIN_MOST)
            begin = time.perf_counter()
            train_plain(study, folds[:some], labels[:some], training)
            plain.append((time.perf_counter() - begin) * networks / some)
        ratios = [b / a for a, b in zip(ours, plain, strict=True)]
        print(
            f"{networks} networks, {group_size(study, training)} at once: {statistics.median(ours):.2f} s, one after "
            f"the other {statistics.median(plain):.2f} s{' (reckoned)' if networks > PLAIN_MOST else ''}, "
            f"times as fast {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), "
            f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB so far",
            flush=True,
        )


if __name__ == "__main__":
    main()
