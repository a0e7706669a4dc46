"""Prove that the networks of the members axis learn what plain PyTorch learns, to rounding.

    python proof/numerics.py [--intervals 72] [--tiles 30] [--samples 96] [--epochs 20] [--rate 0.1] [--seed 0]

One fold is trained three times by the same batches: by `lmtcnn.train` (float32, on a CPU in the Fourier domain), and by
PyTorch's own layers in float32 and float64. Stacks are drawn so that classes prefer other places. Exit code 1 where
a class that is told differs, or logits by `BOUND` or more.

Between two steps float32 is right to about 1e-7, in the Fourier domain as without. What makes more of it is not the
sum of many such roundings but a choice: where two tiles of a pool, or a map and 0, are closer than a rounding, float32
and float64 may send the gradient another way. Such a step moves a kernel by rate * gradient * (difference of two
windows), at once, and plain float32 does so as often. Places where that happened are counted.
"""

import argparse
import sys
import time
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from lmtcnn.train.fitting import batches
from lmtcnn.train.model import StereotypeCNN, initialise

BOUND = 1e-3
"""Logits differ by less from those of float64, after 20 epochs."""

CLASSES, CAGES = 4, 12


class Plain(nn.Module):
    """The paper's network in PyTorch's own layers, with the first weights of another."""

    def __init__(self, model: StereotypeCNN, dtype: torch.dtype) -> None:
        super().__init__()
        made, weights = model.architecture, model.state_dict()
        self.pool = made["pool"]
        self.branches = nn.ModuleList()
        for kernel in made["kernels"]:
            branch = nn.Conv2d(made["intervals"], made["channels"], kernel, padding=kernel // 2)
            branch.weight.data = weights[f"branch{kernel}.weight"][0].clone()
            branch.bias.data = weights[f"branch{kernel}.bias"][0].clone()
            self.branches.append(branch)
        self.linear = nn.Linear(weights["linear.weight"].shape[2], made["classes"])
        self.linear.weight.data = weights["linear.weight"][0].clone()
        self.linear.bias.data = weights["linear.bias"][0].clone()
        self.dtype = dtype
        self.to(dtype)

    def maps(self, x: Tensor) -> list[Tensor]:
        """Maps of each branch before ReLU."""
        return [branch(x.to(self.dtype)) for branch in self.branches]

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, C)."""
        pooled = [functional.max_pool2d(torch.relu(maps), self.pool).flatten(1) for maps in self.maps(x)]
        return self.linear(torch.cat(pooled, dim=1))


class Ours(nn.Module):
    """One member of the program's network, seen as a plain one."""

    def __init__(self, model: StereotypeCNN) -> None:
        super().__init__()
        self.model, self.pool = model, model.pool

    def maps(self, x: Tensor) -> list[Tensor]:
        """Maps of each branch before ReLU."""
        return [maps[0] for maps in self.model.activations(x, "conv").values()]

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, C)."""
        return self.model(x)[0]


def stacks(chosen: argparse.Namespace) -> tuple[Tensor, Tensor]:
    """Counts (S, T, N, N) and classes (S,): each class prefers other tiles, each hour is as lively as another."""
    rng = np.random.default_rng(chosen.seed)
    n = chosen.tiles
    classes = np.arange(chosen.samples) % CLASSES
    places = rng.gamma(0.5, size=(n, n)) * rng.lognormal(0, 0.5, (CLASSES, n, n))
    rates = 0.15 * places / places.mean(axis=(1, 2), keepdims=True)
    counts = rng.poisson(rates[classes][:, None], (chosen.samples, chosen.intervals, n, n))
    return torch.from_numpy(counts.astype(np.float32)), torch.from_numpy(classes)


def choices(net: Plain | Ours, x: Tensor) -> Iterator[Tensor]:
    """Of each branch, the tile of each pool that is the greatest; -1 where that tile's window holds no count.

    In the Fourier domain a window without counts gives 1e-8 and not 0, so that another of several such tiles may be the
    greatest. That is no difference: its gradient is a gradient times a window of zeros. -2 where ReLU lets
    none through.
    """
    counted = (x > 0).any(dim=1, keepdim=True).float()
    for maps, kernel in zip(net.maps(x), (3, 9), strict=True):
        near = functional.max_pool2d(counted, kernel, stride=1, padding=kernel // 2).flatten(1)  # (B, N N)
        greatest, where = functional.max_pool2d(maps, net.pool, return_indices=True)
        seen = near[:, None].expand(-1, maps.shape[1], -1).gather(2, where.flatten(2)).view(where.shape) > 0
        yield torch.where(greatest > 0, torch.where(seen, where, -1), torch.where(seen, -2, -1))


def weights_of(net: nn.Module) -> Tensor:
    """All weights in one row, those of branches before those of the last layer, whatever their names."""
    named = {name.rpartition("model.")[2]: values for name, values in net.named_parameters()}
    first = [values.detach().double().flatten() for name, values in named.items() if "linear" not in name]
    last = [values.detach().double().flatten() for name, values in named.items() if "linear" in name]
    return torch.cat(first + last)


def main() -> int:
    """Train all of them and print how far they are from float64; 1 where that is too far."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in (("intervals", 72), ("tiles", 30), ("samples", 96), ("epochs", 20), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--rate", type=float, default=0.1)
    chosen = parser.parse_args()
    x, y = stacks(chosen)
    held_out = torch.arange(len(x)) // CLASSES % CAGES == 0
    model = StereotypeCNN(1, chosen.intervals, chosen.tiles, CLASSES)
    initialise(model, chosen.seed)
    nets = {
        "float64": Plain(model, torch.float64),
        "plain float32": Plain(model, torch.float32),
        "program": Ours(model),
    }
    optimisers = [torch.optim.SGD(net.parameters(), lr=chosen.rate) for net in nets.values()]
    begin = time.monotonic()
    for epoch in range(chosen.epochs):
        for batch in batches(len(x), 16, chosen.seed, epoch):
            own = batch[~held_out[batch]]
            for net, optimiser in zip(nets.values(), optimisers, strict=True):
                optimiser.zero_grad()
                functional.cross_entropy(net(x[own]), y[own]).backward()
                optimiser.step()
        far = compare(nets, x)
        told = "; ".join(
            f"{name}: logits {logits:.1e}, weights {weights:.1e}, {ties} choices, {labels} classes"
            for name, (logits, weights, ties, labels) in far.items()
        )
        print(f"epoch {epoch + 1}, {time.monotonic() - begin:.0f} s: {told}", flush=True)
    logits, _, _, labels = far["program"]
    print(f"{'right' if logits < BOUND and labels == 0 else 'WRONG'}: bound of logits {BOUND:g}, classes identical")
    return int(logits >= BOUND or labels > 0)


def compare(nets: dict[str, Plain | Ours], x: Tensor) -> dict[str, tuple[float, float, int, int]]:
    """Greatest difference of logits and of weights from float64, choices and classes that differ."""
    with torch.no_grad():
        logits = {name: torch.cat([net(part) for part in x.split(16)]).double() for name, net in nets.items()}
        exact, found = logits.pop("float64"), {}
        for name, values in logits.items():
            pairs = [
                (a, b)
                for part in x.split(16)
                for a, b in zip(choices(nets[name], part), choices(nets["float64"], part), strict=True)
            ]
            ties = sum(int((a != b).sum()) for a, b in pairs)
            apart = float((weights_of(nets[name]) - weights_of(nets["float64"])).abs().max())
            different = int((values.argmax(dim=1) != exact.argmax(dim=1)).sum())
            found[name] = (float((values - exact).abs().max()), apart, ties, different)
    return found


if __name__ == "__main__":
    sys.exit(main())
