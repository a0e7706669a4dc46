"""All folds of a study in one program, against the same trainings one after the other in plain PyTorch.

    python benchmarks/training.py [--cages 12] [--epochs 2] [--repeats 3]

Both train the paper's network on the same random stacks (96 x 72 x 30 x 30, 4 classes), leave-one-cage-out and once on
all cages, with the batches and epochs of params.yaml's kind. The plain one is written with torch.nn layers and takes
one network at a time; it computes nothing for held-out samples, ours computes them with weight 0. Runs alternate; what
is printed is the median and the ratio run by run.
"""

import argparse
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
from lmtcnn.train.fitting import Study, batches, fit


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


def train_plain(study: Study, folds: list[str], training: TrainParams) -> None:
    for fold in folds:
        model = Plain(study.x.shape[1], study.x.shape[2], len(study.classes))
        optimiser = torch.optim.SGD(model.parameters(), lr=training.lr)
        inside = torch.from_numpy(study.cages != fold)
        for epoch in range(training.epochs):
            model.train()
            for batch in batches(len(study.x), training.batch, 0, epoch):
                own = batch[inside[batch]]
                optimiser.zero_grad()
                nn.functional.cross_entropy(model(study.x[own]), study.y[own]).backward()
                optimiser.step()
            model.eval()
            with torch.inference_mode():
                for part in study.x.split(32):
                    model(part)


def main() -> None:
    process.keep_memory()  # as the command does
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cages", type=int, default=12)
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
    folds = [*dict.fromkeys(cages.tolist()), ALL]
    ours, plain = [], []
    for _ in range(chosen.repeats):
        for taken, work in (
            (ours, lambda: fit(study, folds, 0, training, lambda: None)),
            (plain, lambda: train_plain(study, folds, training)),
        ):
            begin = time.perf_counter()
            work()
            taken.append(time.perf_counter() - begin)
    ratios = [b / a for a, b in zip(ours, plain, strict=True)]
    print(f"{len(folds)} networks, {samples} samples, {chosen.epochs} epochs, {torch.get_num_threads()} threads")
    print(f"all in one program     {statistics.median(ours):8.2f} s (median of {chosen.repeats})")
    print(f"one after the other    {statistics.median(plain):8.2f} s")
    print(f"times as fast          {statistics.median(ratios):8.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
