"""Integrated gradients of a network's logits, from an empty cage: what it uses.

The attribution of input x_i to the logit f is x_i times the integral over a in [0, 1] of df/dx_i at a x (Sundararajan,
Taly, Yan 2017, ICML), with zero, a mouse that never stops, as the baseline. Attributions of a sample sum to f(x) -
f(0).

Of this network the integral is known exactly, without steps. Between zero and x the maps before ReLU are a u + b, with
u the convolution of x and b the channel's bias. The largest of a pooling window is that of u wherever a > 0, and it
passes ReLU on a share of [0, 1] that follows from u and b. So one convolution forward, and one back for each class,
give what a sum over many steps of gradients would approach.
"""

from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from lmtcnn.train.model import Branch, StereotypeCNN, select

Floats = NDArray[np.float64]


class Attribution(NamedTuple):
    """Evidence for each class in each sample: `places` (S, C, N, N), `hours` (S, C, T), `gap` (S, C).

    `places` are summed over intervals, `hours` over tiles; `gap` is the logit minus that of an empty cage, which both
    sum to. `probability` (S, C) is what the network says of the sample.
    """

    places: Floats
    hours: Floats
    gap: Floats
    probability: Floats

    @property
    def attributions(self) -> tuple[Floats, Floats, Floats]:
        """Places, hours and gap: what may be subtracted class from class."""
        return self.places, self.hours, self.gap


def integrated_gradients(network: StereotypeCNN, x: Tensor) -> Tensor:
    """Integrated gradients of every logit, from zero.

    Parameters
    ----------
    network
        One member.
    x
        The network's input (S, T, N, N), after its transform.

    Returns
    -------
    (S, C, T, N, N); the sum over T, N, N is the logit of x minus that of zeros.
    """
    weights = _by_window(network)
    total: Tensor | None = None
    with torch.inference_mode():
        for kernel, of_linear in zip(network.kernels, weights, strict=True):
            branch = cast(Branch, network.get_submodule(f"branch{kernel}"))
            weight, bias = branch.weight[0], branch.bias[0]
            maps = functional.conv2d(x, weight, padding=kernel // 2)
            passing = _passing(maps, bias, network.pool)
            kept = passing.shape[-1] // network.pool * network.pool
            spread = of_linear.repeat_interleave(network.pool, 2).repeat_interleave(network.pool, 3)  # (C, K, n, n)
            signal = torch.zeros(len(x), len(of_linear), *passing.shape[1:])
            signal[..., :kept, :kept] = passing[:, None, :, :kept, :kept] * spread[None]
            turned = weight.flip(2, 3).transpose(0, 1).contiguous(memory_format=torch.channels_last)  # the way back
            wide = signal.flatten(0, 1).contiguous(memory_format=torch.channels_last)
            back = functional.conv2d(wide, turned, padding=kernel // 2)
            found = back.unflatten(0, signal.shape[:2]) * x[:, None]
            total = found if total is None else total + found
    if total is None:
        raise ValueError("a network without kernels has no attributions")
    return total


def attribute(network: StereotypeCNN, x: Tensor, batch: int = 8) -> Attribution:
    """Sum integrated gradients over intervals and over tiles, a batch of samples at a time.

    Parameters
    ----------
    network
        One member, which has not seen these samples.
    x
        The network's input (S, T, N, N), after its transform.
    batch
        Samples at once; a sample takes C times its own size.
    """
    places, hours = [], []
    for part in x.split(batch):
        found = integrated_gradients(network, part).double()
        places.append(found.sum(dim=2).numpy())
        hours.append(found.sum(dim=(3, 4)).numpy())
    with torch.inference_mode():
        logits = torch.cat([network(part)[0] for part in x.split(batch)]).double()
        empty = network(torch.zeros_like(x[:1]))[0].double()
    gap, probability = (logits - empty).numpy(), logits.softmax(dim=1).numpy()
    return Attribution(np.concatenate(places), np.concatenate(hours), gap, probability)


def attribute_members(networks: StereotypeCNN, x: Tensor) -> Attribution:
    """Average over the members of a network what `attribute` finds of each."""
    each = [attribute(select(networks, [member]), x) for member in range(networks.members)]
    return Attribution(*(np.mean(parts, axis=0) for parts in zip(*each, strict=True)))


def _by_window(network: StereotypeCNN) -> list[Tensor]:
    """Weights of the linear layer by kernel, (C, channels, N // pool, N // pool) each."""
    made = network.architecture
    side = made["tiles"] // made["pool"]
    weights = network.linear.weight[0].detach()
    return list(weights.view(len(weights), len(network.kernels), made["channels"], side, side).unbind(1))


def _passing(maps: Tensor, bias: Tensor, pool: int) -> Tensor:
    """On which share of the way from zero each place of a map reaches the linear layer.

    Parameters
    ----------
    maps
        Convolution without bias (S, channels, N, N).
    bias
        (channels,).
    pool
        Side of a pooling window.

    Returns
    -------
    (S, channels, N, N): of the largest in a window the share of a in [0, 1] with a u + b > 0, of all others 0. Places
    that tie share equally.
    """
    largest = functional.max_pool2d(maps, pool)
    b = bias[None, :, None, None].expand_as(largest)
    turn = torch.where(largest == 0, torch.zeros_like(largest), -b / largest).clamp(0, 1)  # where a u + b = 0
    share = torch.where(b > 0, torch.where(largest < 0, turn, 1.0), torch.where(largest > 0, 1 - turn, 0.0))
    kept = largest.shape[-1] * pool
    wide = largest.repeat_interleave(pool, 2).repeat_interleave(pool, 3)
    first = (maps[..., :kept, :kept] == wide).to(maps.dtype)
    ties = functional.avg_pool2d(first, pool) * pool**2
    spread = (share / ties).repeat_interleave(pool, 2).repeat_interleave(pool, 3)
    found = torch.zeros_like(maps)
    found[..., :kept, :kept] = first * spread
    return found
