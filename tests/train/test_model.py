"""The network: many members, each of them the plain one."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from lmtcnn.train import model as module
from lmtcnn.train.model import Spectrum, StereotypeCNN, initialise, join, prepare, select, softmax_members
from plain import Plain

SHAPES = {
    "paper": {"intervals": 72, "tiles": 30, "classes": 4},
    "odd tiles": {"intervals": 3, "tiles": 7, "classes": 2, "channels": 4},
    "pool of 3": {"intervals": 2, "tiles": 8, "classes": 3, "channels": 2, "pool": 3},
    "no pool": {"intervals": 2, "tiles": 5, "classes": 3, "channels": 2, "pool": 1},
    "one direct kernel": {"intervals": 2, "tiles": 6, "classes": 4, "channels": 3, "kernels": (5,)},
    "three kernels": {"intervals": 2, "tiles": 6, "classes": 4, "channels": 2, "kernels": (1, 7, 11)},
    "kernel beyond the floor": {"intervals": 1, "tiles": 4, "classes": 2, "channels": 2, "kernels": (9,)},
}


def random_model(members: int, seed: int = 0, **shape: object) -> StereotypeCNN:
    """Members with weights of their own."""
    model = StereotypeCNN(members, **shape)
    generator = torch.Generator().manual_seed(seed)
    for values in model.parameters():
        values.data = torch.randn(values.shape, generator=generator) / math.sqrt(values[0, 0].numel())
    return model


def counts_for(model: StereotypeCNN, batch: int = 3) -> Tensor:
    t, n = model.architecture["intervals"], model.architecture["tiles"]
    return torch.poisson(torch.full((batch, t, n, n), 0.3), generator=torch.Generator().manual_seed(1))


def near(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-5, atol=1e-5)


# ---- Equal to the plain network --------------------------------------------------------------------------------------


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_each_member_answers_as_the_plain_network_with_its_weights(shape: dict, members: int) -> None:
    model = random_model(members, **shape)
    x = counts_for(model)
    logits = model(x)
    assert logits.shape == (members, len(x), shape["classes"])
    for m in range(members):
        assert near(logits[m], Plain(model, m)(x))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_each_member_learns_as_the_plain_network_with_its_weights(shape: dict) -> None:
    model = random_model(2, **shape)
    x, y = counts_for(model), torch.arange(3) % shape["classes"]
    functional.cross_entropy(model(x).flatten(0, 1), y.repeat(2), reduction="sum").backward()
    for m in range(2):
        plain = Plain(model, m)
        functional.cross_entropy(plain(x), y, reduction="sum").backward()
        assert near(model.linear.weight.grad[m], plain.linear.weight.grad)
        assert near(model.linear.bias.grad[m], plain.linear.bias.grad)
        for k, branch in zip(model.kernels, plain.branches, strict=True):
            own = model.get_submodule(f"branch{k}")
            assert near(own.weight.grad[m], branch[0].weight.grad)
            assert near(own.bias.grad[m], branch[0].bias.grad)


@pytest.mark.parametrize(("kernels", "largest"), [((3, 5), []), ((7,), [7]), ((3, 9), [9])])
def test_kernels_from_7_on_take_all_branches_through_the_fourier_domain(monkeypatch, kernels, largest: list) -> None:
    seen = []
    monkeypatch.setattr(module, "Spectrum", lambda x, kernel: seen.append(kernel) or Spectrum(x, kernel))
    model = random_model(1, intervals=1, tiles=9, classes=2, kernels=kernels)
    model(counts_for(model))
    assert seen == largest


def test_a_network_that_predicted_first_can_still_learn() -> None:
    module._transforms.cache_clear()
    model = random_model(1, **SHAPES["odd tiles"])
    x = counts_for(model)
    softmax_members(model, x)
    model(x).sum().backward()
    assert model.get_parameter("branch9.weight").grad.abs().sum() > 0


@settings(max_examples=40, deadline=None)
@given(
    tiles=st.integers(1, 12),
    kernels=st.lists(st.sampled_from([1, 3, 5, 7, 9, 13]), min_size=1, max_size=2),
    seed=st.integers(0, 99),
)
def test_the_period_of_the_transform_never_wraps_around(tiles: int, kernels: list[int], seed: int) -> None:
    """In float64, where any leak from the opposite edge would show."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2, 2, tiles, tiles, dtype=torch.float64, generator=generator)
    spectrum = Spectrum(x, max(kernels))
    for kernel in kernels:
        weight = torch.randn(3, 2, kernel, kernel, dtype=torch.float64, generator=generator)
        direct = functional.conv2d(x, weight, padding=kernel // 2)
        assert torch.allclose(spectrum.convolve(weight).permute(2, 3, 1, 0), direct, rtol=1e-10, atol=1e-10)


@settings(deadline=None)
@given(tiles=st.integers(1, 12), pool=st.integers(1, 4))
def test_pooling_is_pytorch_s(tiles: int, pool: int) -> None:
    if pool > tiles:
        return
    maps = torch.randn(tiles, tiles, 2, 3, generator=torch.Generator().manual_seed(tiles))
    expected = functional.max_pool2d(maps.permute(2, 3, 0, 1), pool)
    assert torch.equal(module.max_pool(maps, pool).permute(2, 3, 0, 1), expected)


@settings(deadline=None)
@given(tiles=st.integers(1, 9), pool=st.integers(1, 3), values=st.integers(1, 50))
def test_the_gradient_of_pooling_is_pytorch_s_also_where_tiles_tie(tiles: int, pool: int, values: int) -> None:
    """Of few values many tiles are equal: the first one takes the gradient."""
    if pool > tiles:
        return
    generator = torch.Generator().manual_seed(values)
    maps = torch.randint(values, (tiles, tiles, 2, 3), generator=generator).float()
    ours, theirs = maps.clone().requires_grad_(), maps.clone().requires_grad_()
    gradient = torch.randn(tiles // pool, tiles // pool, 2, 3, generator=generator)
    module.max_pool(ours, pool).backward(gradient)
    functional.max_pool2d(theirs.permute(2, 3, 0, 1), pool).permute(2, 3, 0, 1).backward(gradient)
    assert torch.equal(ours.grad, theirs.grad)


# ---- Members ---------------------------------------------------------------------------------------------------------


def test_changing_one_member_changes_no_other() -> None:
    model = random_model(3, **SHAPES["odd tiles"])
    x = counts_for(model)
    before = model(x).detach()
    for values in model.parameters():
        values.data[1] += 1
    after = model(x).detach()
    assert torch.equal(before[[0, 2]], after[[0, 2]])
    assert not near(before[1], after[1])


def test_the_loss_of_one_member_gives_no_gradient_to_another() -> None:
    model = random_model(3, **SHAPES["three kernels"])
    model(counts_for(model))[1].sum().backward()
    for values in model.parameters():
        assert values.grad[1].abs().sum() > 0
        assert values.grad[[0, 2]].abs().sum() == 0


def test_members_start_with_the_same_weights_by_the_seed_alone() -> None:
    shape = SHAPES["odd tiles"]
    one, three, other = (StereotypeCNN(members, **shape) for members in (1, 3, 3))
    torch.manual_seed(123)
    initialise(one, 7)
    torch.manual_seed(456)
    initialise(three, 7)
    initialise(other, 8)
    for name, values in three.state_dict().items():
        assert torch.equal(values, one.state_dict()[name].expand_as(values))
        assert not torch.equal(values, other.state_dict()[name])


def test_starting_weights_are_pytorch_s_uniform_ones() -> None:
    """+-1 / sqrt(fan_in), as nn.Conv2d and nn.Linear draw them."""
    model = StereotypeCNN(1, **SHAPES["paper"])
    initialise(model, 0)
    fans = {"branch3": 72 * 9, "branch9": 72 * 81, "linear": 2 * 16 * 15 * 15}
    for name, fan_in in fans.items():
        weight, bias = model.get_parameter(f"{name}.weight").abs(), model.get_parameter(f"{name}.bias").abs()
        bound = 1 / math.sqrt(fan_in)
        assert 0.99 * bound < weight.max() <= bound
        assert weight.mean().item() == pytest.approx(bound / 2, rel=0.02)
        assert bias.max() <= bound


def test_selected_members_come_in_the_order_asked_for() -> None:
    model = random_model(4, **SHAPES["odd tiles"])
    x = counts_for(model)
    assert near(select(model, [2, 0])(x), model(x)[[2, 0]])


def test_joining_what_was_selected_gives_the_model_again() -> None:
    model = random_model(3, **SHAPES["pool of 3"])
    again = join({"a": select(model, [0, 1]), "b": select(model, [2])})
    assert again.architecture == model.architecture
    assert all(torch.equal(values, again.state_dict()[name]) for name, values in model.state_dict().items())


def test_the_architecture_builds_the_model_again() -> None:
    model = random_model(2, **SHAPES["three kernels"])
    again = StereotypeCNN(**model.architecture)
    again.load_state_dict(model.state_dict())
    x = counts_for(model)
    assert torch.equal(again(x), model(x))
    assert list(model.architecture) == [
        "members", "intervals", "tiles", "classes", "kernels", "channels", "pool",
    ]  # fmt: skip


def test_the_paper_s_network_has_the_weights_that_the_contract_names() -> None:
    assert {name: tuple(values.shape) for name, values in StereotypeCNN(5, **SHAPES["paper"]).state_dict().items()} == {
        "branch3.weight": (5, 16, 72, 3, 3),
        "branch3.bias": (5, 16),
        "branch9.weight": (5, 16, 72, 9, 9),
        "branch9.bias": (5, 16),
        "linear.weight": (5, 4, 7200),
        "linear.bias": (5, 4),
    }


# ---- Around it -------------------------------------------------------------------------------------------------------


def test_activations_are_maps_after_relu_before_pooling() -> None:
    model = random_model(2, intervals=3, tiles=7, classes=2, channels=4)
    x = counts_for(model, batch=5)
    maps = model.activations(x)
    assert {kernel: tuple(values.shape) for kernel, values in maps.items()} == {3: (2, 5, 4, 7, 7), 9: (2, 5, 4, 7, 7)}
    for kernel, values in maps.items():
        branch = model.get_submodule(f"branch{kernel}")
        for m in range(2):
            plain = functional.conv2d(x, branch.weight[m], branch.bias[m], padding=kernel // 2)
            assert near(values[m], plain.relu())


@pytest.mark.parametrize(
    ("transform", "expected"), [("none", [0, 1, 4]), ("log1p", np.log1p([0, 1, 4])), ("sqrt", [0, 1, 2])]
)
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_stacks_are_transformed_into_float32(transform: str, expected: list, dtype: type) -> None:
    stacks = np.array([0, 1, 4], dtype).reshape(1, 3, 1, 1)
    x = prepare(stacks, transform)
    assert (x.dtype, x.shape) == (torch.float32, (1, 3, 1, 1))
    assert x.flatten().tolist() == pytest.approx(expected)


def test_preparing_leaves_the_stacks_as_they_are() -> None:
    stacks = np.ones((1, 1, 2, 2), np.float32)
    prepare(stacks, "none").zero_()
    assert stacks.sum() == 4


@pytest.mark.parametrize("batch", [1, 2, 32])
def test_probabilities_are_the_softmax_of_each_member_whatever_the_batch(batch: int) -> None:
    model = random_model(3, **SHAPES["odd tiles"])
    x = counts_for(model, batch=5)
    found = softmax_members(model, x, batch)
    assert (found.shape, found.dtype) == ((3, 5, 2), np.float64)
    assert found == pytest.approx(model(x).double().softmax(2).detach().numpy(), abs=1e-6)
    assert found.sum(axis=2) == pytest.approx(np.ones((3, 5)), abs=1e-12)
