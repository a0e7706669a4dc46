"""The paper's shallow network, many at a time.

Two convolutional layers side by side on the same input, 3x3 and 9x9, each followed by ReLU, max-pooling and
flattening; what both find is concatenated and goes through one linear layer (arXiv 2412.05158):

    (B, T, N, N) -> for k in 3, 9: Conv2d(T -> 16, k, padding k // 2), ReLU, MaxPool(2), flatten
                 -> concatenate -> Linear(2 * 16 * (N // 2)**2 -> classes)

The paper gives T, N, kernels, channels, ReLU and max-pooling; pool size and padding are ours.

A study trains this network once for every held-out cage and seed, on the same samples. So it has a *members axis*:
M networks look at one batch, and their convolutions are one convolution with M times the channels. Members share
nothing but the input.
"""

import math
from collections.abc import Iterator, Mapping
from functools import lru_cache, reduce
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

SPECTRAL_KERNEL = 7
"""From a kernel of this size on, a CPU convolves in the Fourier domain (benchmarks/training.py has the times)."""


class StereotypeCNN(nn.Module):
    """M shallow networks on a shared input.

    Parameters: members M, intervals T, tiles N, classes C, kernels k, channels of each kernel, pool size. Weights:
    `branch<k>.weight` (M, channels, T, k, k), `branch<k>.bias` (M, channels), `linear.weight` (M, C, features),
    `linear.bias` (M, C).
    """

    def __init__(
        self,
        members: int,
        intervals: int,
        tiles: int,
        classes: int,
        kernels: tuple[int, ...] = (3, 9),
        channels: int = 16,
        pool: int = 2,
    ) -> None:
        super().__init__()
        self.architecture: dict[str, Any] = {
            "members": members,
            "intervals": intervals,
            "tiles": tiles,
            "classes": classes,
            "kernels": list(kernels),
            "channels": channels,
            "pool": pool,
        }
        self.members, self.kernels, self.pool = members, tuple(kernels), pool
        for kernel in kernels:
            self.add_module(f"branch{kernel}", Branch(members, intervals, channels, kernel))
        features = len(kernels) * channels * (tiles // pool) ** 2
        self.linear = MemberLinear(members, features, classes)

    def activations(self, x: Tensor, layer: str = "relu") -> dict[int, Tensor]:
        """Kernel -> maps of a layer, (M, B, channels, N, N), of x (B, T, N, N).

        `layer`: conv (before ReLU), relu (after it) or pool (after pooling, N // pool wide).
        """
        found = {}
        for kernel, branch, maps in self._maps(x):
            taken = max_pool(maps, self.pool) if layer == "pool" else maps
            values = branch.split_members(taken) + branch.bias[:, None, :, None, None]
            found[kernel] = values if layer == "conv" else functional.relu(values)
        return found

    def forward(self, x: Tensor) -> Tensor:
        """Logits (M, B, C) of x (B, T, N, N).

        Bias and ReLU come after pooling: the maximum is the same, on a quarter of the numbers.
        """
        features = []
        for _, branch, maps in self._maps(x):
            pooled = branch.split_members(max_pool(maps, self.pool)) + branch.bias[:, None, :, None, None]
            features.append(functional.relu(pooled).flatten(2))  # (M, B, channels * n * n)
        return self.linear(torch.cat(features, dim=2))  # type: ignore[no-any-return]

    def _maps(self, x: Tensor) -> Iterator[tuple[int, "Branch", Tensor]]:
        """Each kernel, its branch, and its maps before bias as (N, N, B, M * channels), columns before rows."""
        spectral = x.device.type == "cpu" and max(self.kernels) >= SPECTRAL_KERNEL
        spectrum = Spectrum(x, max(self.kernels)) if spectral else None
        for kernel in self.kernels:
            branch = cast(Branch, self.get_submodule(f"branch{kernel}"))
            weight = branch.weight.flatten(0, 1)  # (M * channels, T, k, k)
            if spectrum:
                yield kernel, branch, spectrum.convolve(weight)
            else:
                yield kernel, branch, functional.conv2d(x, weight, padding=kernel // 2).permute(3, 2, 0, 1)


class Branch(nn.Module):
    """Weights of M convolutions of one kernel size, padded so that a map keeps its size."""

    def __init__(self, members: int, intervals: int, channels: int, kernel: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(members, channels, intervals, kernel, kernel))
        self.bias = nn.Parameter(torch.empty(members, channels))

    def split_members(self, maps: Tensor) -> Tensor:
        """(columns, rows, B, M * channels) -> (M, B, channels, rows, columns)."""
        width, height, batch, _ = maps.shape
        return maps.view(width, height, batch, *self.bias.shape).permute(3, 2, 4, 1, 0)


class MemberLinear(nn.Module):
    """M linear layers, each on its own features."""

    def __init__(self, members: int, features: int, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(members, classes, features))
        self.bias = nn.Parameter(torch.empty(members, classes))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (M, B, C) of x (M, B, features)."""
        return torch.baddbmm(self.bias[:, None, :], x, self.weight.transpose(1, 2))


def max_pool(maps: Tensor, size: int) -> Tensor:
    """Max-pooling over the first two axes, (N, N, ...) -> (N // size, N // size, ...).

    The gradient goes to the greatest tile, of equal ones to the first by rows of the first axis.
    """
    return cast(Tensor, _MaxPool.apply(maps, size))  # type: ignore[no-untyped-call]


class _MaxPool(torch.autograd.Function):
    """`max_pool`, in as few passes over the maps as can be: they are the largest numbers of a step."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, size: int) -> Tensor:
        greatest = reduce(torch.maximum, _tiles(maps, size))
        ctx.save_for_backward(maps, greatest)
        ctx.size = size
        return greatest

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        maps, greatest = ctx.saved_tensors
        whole = all(length % ctx.size == 0 for length in maps.shape[:2])
        found = torch.empty_like(maps) if whole else torch.zeros_like(maps)
        nothing, taken = gradient.new_zeros(()), None
        for tile, place in zip(_tiles(maps, ctx.size), _tiles(found, ctx.size), strict=True):
            is_greatest = tile == greatest
            chosen = is_greatest if taken is None else is_greatest & ~taken
            place.copy_(torch.where(chosen, gradient, nothing))
            taken = is_greatest if taken is None else taken | is_greatest
        return found, None


def _tiles(maps: Tensor, size: int) -> list[Tensor]:
    """Of every pool the first tile, the second, ...: size * size views (N // size, N // size, ...)."""
    height, width = (length // size * size for length in maps.shape[:2])
    return [maps[i:height:size, j:width:size] for i in range(size) for j in range(size)]


class Spectrum:
    """A batch in the Fourier domain, where a 9x9 kernel costs one complex multiplication a frequency instead of 81.

    Kernels go there and maps come back through products with constant matrices, along columns and along rows one after
    the other: a kernel has only k columns and k rows, a map only N. Circular wrap-around is kept off the result by a
    period of at least N + k // 2. Axes are held in such an order (columns first) that each product gives what the next
    one takes, and nothing is copied in between.
    """

    def __init__(self, x: Tensor, largest_kernel: int) -> None:
        self.batch, self.intervals, self.tiles = x.shape[0], x.shape[1], x.shape[-1]
        self.period = _period(self.tiles, largest_kernel)
        spectrum = torch.fft.rfft2(x, s=(self.period, self.period)).permute(3, 2, 0, 1)
        real, imaginary = (part.flatten(0, 1) for part in (spectrum.real, spectrum.imag))
        self.inputs = torch.cat((torch.cat((real, -imaginary), 2), torch.cat((imaginary, real), 2)), 1)  # (F, 2B, 2T)

    def convolve(self, weight: Tensor) -> Tensor:
        """`conv2d(x, weight, padding=k // 2)` of weight (C, T, k, k), as (columns N, rows N, B, C).

        Frequencies F are those of columns (half of them, as numbers are real), then those of rows. Real and imaginary
        parts lie side by side as an axis of 2.
        """
        channels, kernel = len(weight), weight.shape[-1]
        half = self.period // 2 + 1
        dft = _transforms(self.tiles, kernel, self.period, weight.dtype)
        taps = weight.permute(3, 2, 1, 0).reshape(kernel, -1)  # (k columns, k rows * T * C)
        columns = (dft.kernel_columns @ taps).view(half, 2 * kernel, -1)
        kernels = _each(dft.kernel_rows, columns).view(half * self.period, 2 * self.intervals, channels)
        product = torch.bmm(self.inputs, kernels)  # (F, 2B, C): of each frequency, re of the batch, then im
        rows = _each(dft.map_rows, product.view(half, 2 * self.period, -1)).view(2 * half, -1)
        return (dft.map_columns @ rows).view(self.tiles, self.tiles, self.batch, channels)


def _each(matrix: Tensor, values: Tensor) -> Tensor:
    """`matrix @ values[i]` for every i, without a copy of either."""
    return torch.bmm(matrix.expand(len(values), -1, -1), values)


class _Transforms:
    """Constant matrices of a `Spectrum`: kernel columns and rows to frequencies, and frequencies to those of maps.

    With p the period, f and g frequencies of columns (p // 2 + 1 of them) and rows (p), and x, y places on the floor:
    kernel_columns (2 half, k) and kernel_rows (2 p, 2 k) hold exp(2 pi i f (tap - k // 2) / p), whose sign makes the
    product a correlation, as conv2d is one; map_rows (2 N, 2 p) holds exp(2 pi i g y / p) / p; map_columns (N, 2 half)
    holds the real part of what f and its conjugate add to a map.
    """

    def __init__(self, tiles: int, kernel: int, period: int, dtype: torch.dtype) -> None:
        half = period // 2 + 1
        wave = 2j * math.pi / period
        tap = torch.arange(kernel, dtype=torch.float64) - kernel // 2
        place = torch.arange(tiles, dtype=torch.float64)
        row, column = torch.arange(period, dtype=torch.float64), torch.arange(half, dtype=torch.float64)
        by_column = torch.exp(wave * column[:, None] * tap)
        self.kernel_columns = torch.stack((by_column.real, by_column.imag), 1).flatten(0, 1).to(dtype)
        by_row = _as_real(torch.exp(wave * row[:, None] * tap))  # (p, 2, 2, k)
        self.kernel_rows = by_row.flatten(2).flatten(0, 1).to(dtype)
        to_row = _as_real(torch.exp(wave * place[:, None] * row) / period)  # (N, 2, 2, p)
        self.map_rows = to_row.permute(1, 0, 3, 2).flatten(2).flatten(0, 1).to(dtype)
        twice = torch.full((half,), 2.0, dtype=torch.float64)  # frequencies above half are conjugates of those below
        twice[0] = 1.0
        if period % 2 == 0:
            twice[-1] = 1.0
        to_column = torch.exp(wave * place[:, None] * column) * twice / period
        self.map_columns = torch.stack((to_column.real, -to_column.imag), 2).flatten(1).to(dtype)


@lru_cache(maxsize=8)
def _transforms(tiles: int, kernel: int, period: int, dtype: torch.dtype) -> _Transforms:
    with torch.inference_mode(False):  # kept for later calls: what a prediction makes must serve a training too
        return _Transforms(tiles, kernel, period, dtype)


def _as_real(matrix: Tensor) -> Tensor:
    """A complex matrix (m, n) as the real one that acts on real and imaginary parts, (m, 2 out, 2 in, n)."""
    real = torch.stack((matrix.real, -matrix.imag), 1)
    imaginary = torch.stack((matrix.imag, matrix.real), 1)
    return torch.stack((real, imaginary), 1)


def _period(tiles: int, largest_kernel: int) -> int:
    """The least period that keeps what wraps around off the map. Only the input, once a batch, asks for a fast one."""
    return tiles + largest_kernel // 2


def initialise(model: StereotypeCNN, seed: int) -> None:
    """Give every member the same weights, drawn from `seed` alone.

    Whatever fold or labels a member has, channels of one seed stay comparable. Weights are PyTorch's own for Conv2d
    and Linear: uniform in +-1 / sqrt(fan_in).
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for part in model.children():
            weight, bias = part.get_parameter("weight"), part.get_parameter("bias")
            bound = 1 / math.sqrt(weight[0, 0].numel())
            for values in (weight, bias):
                one = torch.empty(values.shape[1:]).uniform_(-bound, bound, generator=generator)
                values.copy_(one.expand_as(values))


def prepare(stacks: NDArray[Any], transform: str) -> Tensor:
    """Stacks as the network's input, float32; transform none, log1p or sqrt of the counts."""
    x = torch.from_numpy(np.asarray(stacks, dtype=np.float32))
    return {"none": x.clone, "log1p": x.log1p, "sqrt": x.sqrt}[transform]()


class Samples:
    """Stacks as the network's input, made float32 a batch at a time: `samples[batch]` is (B, T, N, N), on the device.

    Parameters
    ----------
    stacks : array (S, T, N, N)
        As they lie on disk, memory-mapped or not.
    transform : str
        Of the counts: none, log1p or sqrt.
    device : torch.device
        Where a batch is put.
    """

    def __init__(self, stacks: NDArray[Any], transform: str, device: torch.device) -> None:
        self.stacks, self.transform, self.device = stacks, transform, device
        self.shape = stacks.shape

    def __len__(self) -> int:
        """How many samples."""
        return len(self.stacks)

    def __getitem__(self, chosen: Any) -> Tensor:
        """The samples of an index: a slice, or numbers as a tensor or an array."""
        places = np.asarray(chosen) if isinstance(chosen, Tensor) else chosen
        return prepare(self.stacks[places], self.transform).to(self.device)


def member_bytes(model: StereotypeCNN, batch: int) -> int:
    """Memory that a step of training takes for each member of a model, in bytes.

    Maps, eight times (before and after pooling, and their gradients); kernels in the Fourier domain, see `Spectrum`;
    weights, their gradients, and a copy. Measured on a CPU: 14 to 25 MB for the
    paper's network (72 x 30 x 30, 16 channels, batches of 16), here 29 MB; 86 MB with 60 x 60 tiles, here 100 MB.
    """
    made = model.architecture
    intervals, tiles, channels = made["intervals"], made["tiles"], made["channels"]
    period = _period(tiles, max(model.kernels))
    frequencies = period * (period // 2 + 1)
    spectral = len(model.kernels) if max(model.kernels) >= SPECTRAL_KERNEL else 0  # a large one takes the others along
    maps = 8 * len(model.kernels) * batch * channels * tiles**2
    spectra = spectral * frequencies * 2 * intervals * channels
    weights = 3 * sum(values[0].numel() for values in model.parameters())
    return int(4 * (maps + spectra + weights))


def softmax_members(model: StereotypeCNN, x: Tensor, batch: int = 32) -> NDArray[np.float64]:
    """Class probabilities of every member, (M, B, C), of x (B, T, N, N)."""
    model.eval()
    with torch.inference_mode():
        logits = torch.cat([model(part.to(next(model.parameters()).device)).cpu() for part in x.split(batch)], dim=1)
    return np.asarray(logits.double().softmax(dim=2).numpy())


def select(model: StereotypeCNN, members: list[int]) -> StereotypeCNN:
    """A model of some members of another, in the order given."""
    chosen = StereotypeCNN(**{**model.architecture, "members": len(members)})
    chosen.load_state_dict({name: values[members] for name, values in model.state_dict().items()})
    return chosen


def join(models: Mapping[Any, StereotypeCNN]) -> StereotypeCNN:
    """One model of all members of several, in order."""
    parts = list(models.values())
    states = [part.state_dict() for part in parts]
    joined = StereotypeCNN(**{**parts[0].architecture, "members": sum(part.members for part in parts)})
    joined.load_state_dict({name: torch.cat([state[name] for state in states]) for name in states[0]})
    return joined
