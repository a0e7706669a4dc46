"""Attributions add up, agree with many steps of PyTorch's own gradients, and turn when the cage is turned."""

import numpy as np
import pytest
import torch

from lmtcnn.explain.attributions import attribute, integrated_gradients
from lmtcnn.train.model import StereotypeCNN, initialise


def network(seed: int, tiles: int = 10, pool: int = 2, bias: float | None = None) -> StereotypeCNN:
    made = StereotypeCNN(1, intervals=6, tiles=tiles, classes=3, kernels=(3, 5), channels=4, pool=pool)
    initialise(made, seed)
    if bias is not None:
        with torch.no_grad():
            made.branch3.bias.fill_(bias)
            made.branch5.bias.fill_(-bias)
    return made


def counts(seed: int, tiles: int = 10, samples: int = 4) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.poisson(0.7, (samples, 6, tiles, tiles)).astype(np.float32))


@pytest.mark.parametrize(("tiles", "pool"), [(10, 2), (11, 2), (9, 3)])
@pytest.mark.parametrize("bias", [None, 0.0, 0.3, -0.3])
def test_attributions_sum_to_the_logits_minus_those_of_an_empty_cage(tiles: int, pool: int, bias: float | None) -> None:
    made, x = network(tiles, tiles, pool, bias), counts(1, tiles)
    found = attribute(made, x, batch=3)
    with torch.inference_mode():
        gap = (made(x)[0] - made(torch.zeros_like(x[:1]))[0]).double().numpy()
    assert np.abs(gap).max() > 0.01
    np.testing.assert_allclose(found.gap, gap, atol=1e-5)
    np.testing.assert_allclose(found.places.sum(axis=(2, 3)), gap, atol=2e-5)
    np.testing.assert_allclose(found.hours.sum(axis=2), gap, atol=2e-5)


@pytest.mark.parametrize("bias", [None, 0.2, -0.2])
def test_the_integral_is_that_of_many_small_steps(bias: float | None) -> None:
    made, x = network(3, bias=bias).double(), counts(2).double() + 0.01 * torch.rand(4, 6, 10, 10).double()
    steps, summed = 2000, torch.zeros(4, 3, 6, 10, 10).double()
    for step in range(steps):
        at = ((step + 0.5) / steps * x).requires_grad_()
        logits = made(at)[0]
        for name in range(3):
            summed[:, name] += torch.autograd.grad(logits[:, name].sum(), at, retain_graph=True)[0]
    expected = summed / steps * x[:, None]
    found = integrated_gradients(made.float(), x.float()).double()
    np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=2e-3 * float(expected.abs().max()))


def test_a_mirrored_cage_and_mirrored_weights_give_mirrored_attributions() -> None:
    made, x = network(5), counts(4)
    turned = network(5)
    with torch.no_grad():
        for branch in (turned.branch3, turned.branch5):
            branch.weight.copy_(branch.weight.flip(-1))
        side = 5
        flat = turned.linear.weight.view(1, 3, 2, 4, side, side)
        turned.linear.weight.copy_(flat.flip(-1).reshape_as(turned.linear.weight))
    found, mirrored = integrated_gradients(made, x), integrated_gradients(turned, x.flip(-1))
    np.testing.assert_allclose(mirrored.numpy(), found.flip(-1).numpy(), atol=1e-5)


def test_what_is_not_there_speaks_for_nothing() -> None:
    x = counts(6)
    x[:, :, :4] = 0
    found = integrated_gradients(network(7), x)
    assert not found[:, :, :, :4].any()
    assert found[:, :, :, 4:].any()
