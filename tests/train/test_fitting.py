"""Members fitted side by side learn what each would learn alone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lmtcnn.core.names import ALL
from lmtcnn.core.params import Params
from lmtcnn.core.sections import TrainParams
from lmtcnn.histograms import record
from lmtcnn.train import fitting
from lmtcnn.train.fitting import Study, batches, class_weights, fit, load_study, member_losses, sample_losses
from lmtcnn.train.model import StereotypeCNN, initialise, member_bytes
from plain import Plain
from study import THREE_CAGES

CAGES = tuple(THREE_CAGES)


@pytest.fixture(scope="module")
def data(trained: Path) -> Path:
    return trained


@pytest.fixture(scope="module")
def study(data: Path, tiny: Params) -> Study:
    found = load_study(*record.load(data / "histograms", tiny), tiny)
    return Study(found.x[:], found.y, found.cages, found.classes)


def fitted(study: Study, folds: tuple[str, ...], params: Params, **values: object) -> tuple[StereotypeCNN, np.ndarray]:
    """Networks of seed 0, and their history."""
    settings: TrainParams = params.train.model_copy(update=values)
    found = fit(study, folds, 0, settings, lambda: None)
    return found.model, found.history


def start(study: Study, params: Params) -> Plain:
    """The plain network with the starting weights of seed 0."""
    made = {name: getattr(params.train, name) for name in ("kernels", "channels", "pool")}
    model = StereotypeCNN(1, study.x.shape[1], study.x.shape[2], len(study.classes), **made)
    initialise(model, 0)
    return Plain(model, 0)


def weights_of(plain: Plain, kernels: tuple[int, ...]) -> dict[str, Tensor]:
    named = {"linear.weight": plain.linear.weight, "linear.bias": plain.linear.bias}
    for kernel, branch in zip(kernels, plain.branches, strict=True):
        named |= {f"branch{kernel}.weight": branch[0].weight, f"branch{kernel}.bias": branch[0].bias}
    return named


def same_weights(model: StereotypeCNN, member: int, plain: Plain) -> bool:
    expected = weights_of(plain, model.kernels)
    found = model.state_dict()
    return found.keys() == expected.keys() and all(
        torch.allclose(found[name][member], values, rtol=1e-5, atol=1e-6) for name, values in expected.items()
    )


def using(params: Params, **values: object) -> Params:
    return params.model_copy(update={"train": params.train.model_copy(update=values)})


@pytest.mark.parametrize("fold", [*CAGES, ALL])
def test_a_member_learns_as_a_plain_network_on_the_samples_of_its_training_cages(study, tiny, fold: str) -> None:
    """Three epochs of one batch: a step on the mean loss of the samples that are not held out."""
    folds = (*CAGES, ALL)
    model, _ = fitted(study, folds, tiny, batch=99)
    plain, seen = start(study, tiny), torch.from_numpy(study.cages != fold)
    optimiser = torch.optim.SGD(plain.parameters(), lr=tiny.train.lr)
    for _ in range(3):
        optimiser.zero_grad()
        functional.cross_entropy(plain(study.x[seen]), study.y[seen]).backward()
        optimiser.step()
    assert same_weights(model, folds.index(fold), plain)


def test_no_step_is_taken_where_a_batch_holds_only_held_out_samples(study, tiny) -> None:
    """Batches of one sample against a plain network that goes through the training samples alone."""
    model, _ = fitted(study, CAGES, tiny, batch=1, epochs=2)
    for member, fold in enumerate(CAGES):
        plain = start(study, tiny)
        optimiser = torch.optim.SGD(plain.parameters(), lr=tiny.train.lr)
        for epoch in range(2):
            for batch in batches(len(study.x), 1, 0, epoch):
                if study.cages[batch.item()] != fold:
                    optimiser.zero_grad()
                    functional.cross_entropy(plain(study.x[batch]), study.y[batch]).backward()
                    optimiser.step()
        assert same_weights(model, member, plain)


def test_held_out_samples_have_no_influence(study, tiny) -> None:
    """The stacks and labels of c2 changed: the member that holds c2 out is the same, the others are not."""
    held_out = torch.from_numpy(study.cages == "c2")
    x, y = study.x.clone(), study.y.clone()
    x[held_out] = x[held_out].flip(2) * 7
    y[held_out] = (y[held_out] + 1) % 4
    before, _ = fitted(study, CAGES, tiny)
    after, _ = fitted(Study(x, y, study.cages, study.classes), CAGES, tiny)
    for name, values in before.state_dict().items():
        other = after.state_dict()[name]
        assert torch.allclose(values[1], other[1], rtol=0, atol=1e-7)
        assert not torch.allclose(values[0], other[0], rtol=0, atol=1e-4)


def test_a_batch_without_weight_gives_no_loss_and_no_gradient() -> None:
    logits = torch.randn(2, 3, 4, requires_grad=True)
    losses = sample_losses(logits, torch.tensor([0, 1, 2]))
    weights = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 3.0]])
    found = member_losses(losses, weights)
    found.sum().backward()
    assert found[0] == 0
    assert found[1].item() == pytest.approx(((losses[1, 0] + 3 * losses[1, 2]) / 4).item())
    assert logits.grad[0].abs().sum() == 0
    assert logits.grad[1, 1].abs().sum() == 0
    assert logits.grad[1, [0, 2]].abs().sum() > 0


def test_unbalanced_every_training_sample_weighs_one() -> None:
    held_out = torch.tensor([[True, False, False], [False, False, False]])
    assert class_weights(torch.tensor([0, 1, 1]), held_out, 4, "none").tolist() == [[0, 1, 1], [1, 1, 1]]


def test_balanced_every_class_of_the_training_cages_weighs_the_same() -> None:
    """Classes 0, 0, 0, 1, 2; held out the first, then the last."""
    held_out = torch.tensor([[True, False, False, False, False], [False, False, False, False, True]])
    weights = class_weights(torch.tensor([0, 0, 0, 1, 2]), held_out, 4, "balanced")
    assert weights.numpy() == pytest.approx(
        np.array([[0, 4 / 6, 4 / 6, 4 / 3, 4 / 3], [4 / 6, 4 / 6, 4 / 6, 4 / 2, 0]]), abs=1e-6
    )


def test_balanced_weights_are_those_of_a_weighted_plain_network(study, tiny) -> None:
    model, _ = fitted(study, (ALL,), tiny, batch=99, epochs=1, class_weight="balanced")
    counts = torch.bincount(study.y)
    plain = start(study, tiny)
    functional.cross_entropy(plain(study.x), study.y, weight=1.0 / counts).backward()
    torch.optim.SGD(plain.parameters(), lr=tiny.train.lr).step()
    assert counts.tolist() == [4, 4, 2, 2]
    assert same_weights(model, 0, plain)


def test_the_order_of_batches_depends_on_seed_and_epoch_alone() -> None:
    orders = {(seed, epoch): torch.cat(batches(20, 6, seed, epoch)).tolist() for seed in (0, 1) for epoch in (0, 1)}
    assert all(sorted(order) == list(range(20)) for order in orders.values())
    assert len(set(map(tuple, orders.values()))) == 4
    assert [len(batch) for batch in batches(20, 6, 0, 0)] == [6, 6, 6, 2]
    assert torch.cat(batches(20, 3, 1, 1)).tolist() == orders[1, 1]


def test_weights_start_and_learn_by_the_seed_alone(study, tiny) -> None:
    torch.manual_seed(1)
    one, _ = fitted(study, CAGES, tiny)
    torch.manual_seed(2)
    other, _ = fitted(study, CAGES, tiny)
    assert all(torch.equal(values, other.state_dict()[name]) for name, values in one.state_dict().items())


def test_networks_learn_what_tells_the_classes_apart(study, tiny) -> None:
    _, history = fitted(study, (ALL,), tiny, epochs=40)
    assert history[0, -1, 0] < history[0, 0, 0] / 2
    assert history[0, -1, 1] == 1.0


def test_curves_are_means_over_training_and_held_out_samples_before_each_step(study, tiny) -> None:
    """One batch an epoch: the plain network's loss and accuracy on both sets, epoch by epoch."""
    _, history = fitted(study, ("c2",), tiny, batch=99)
    plain, seen = start(study, tiny), torch.from_numpy(study.cages != "c2")
    optimiser = torch.optim.SGD(plain.parameters(), lr=tiny.train.lr)
    for epoch in range(3):
        logits = plain(study.x)
        losses = functional.cross_entropy(logits, study.y, reduction="none")
        hits = (logits.argmax(dim=1) == study.y).float()
        expected = [losses[seen].mean(), hits[seen].mean(), losses[~seen].mean(), hits[~seen].mean()]
        assert history[0, epoch] == pytest.approx([value.item() for value in expected], abs=1e-5)
        optimiser.zero_grad()
        losses[seen].mean().backward()
        optimiser.step()


def test_a_step_is_that_of_pytorch_s_own_optimiser_bit_by_bit() -> None:
    ours, theirs = StereotypeCNN(3, 4, 6, 2), StereotypeCNN(3, 4, 6, 2)
    for model in (ours, theirs):
        initialise(model, 1)
    optimiser = torch.optim.SGD(theirs.parameters(), lr=0.3)
    x = torch.randn(5, 4, 6, 6, generator=torch.Generator().manual_seed(2))
    for _ in range(3):
        for model in (ours, theirs):
            model(x).square().sum().backward()
        fitting.descend(ours, 0.3)
        optimiser.step()
        optimiser.zero_grad()
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))
    assert all(parameter.grad is None for parameter in ours.parameters())


def test_groups_are_as_few_as_there_can_be_and_alike(tiny: Params) -> None:
    assert [g.stop - g.start for g in fitting.groups(13, 13)] == [13]
    assert [g.stop - g.start for g in fitting.groups(13, 12)] == [6, 7]
    assert [list(range(10))[g] for g in fitting.groups(10, 3)] == [[0, 1], [2, 3, 4], [5, 6], [7, 8, 9]]
    assert fitting.groups(0, 3) == []


def test_a_budget_below_one_member_trains_them_one_by_one(study: Study, tiny: Params) -> None:
    assert fitting.group_size(study, using(tiny, memory_gb=1e-6).train) == 1


def test_a_cpu_trains_no_larger_groups_than_are_fast(tiny: Params) -> None:
    """More memory changes nothing there, and less does; a GPU takes all that it is given."""
    paper = torch.empty(1, 72, 30, 30)
    on_cpu, on_gpu = (Study(x, torch.zeros(1), np.array(["c"]), tuple("abcd")) for x in (paper, paper.to("meta")))
    sizes = [fitting.group_size(on_cpu, using(tiny, memory_gb=gb).train) for gb in (0.1, 4.0, 400.0)]
    assert sizes[0] < sizes[1] == sizes[2] < fitting.group_size(on_gpu, using(tiny, memory_gb=4.0).train)


def test_a_paper_s_network_is_reckoned_with_its_size() -> None:
    """Measured: 25 MB a member (72 x 30 x 30, batches of 16), 62 MB with batches of 64, 86 MB with 60 x 60 tiles."""
    found = [
        member_bytes(StereotypeCNN(1, 72, tiles, 4), batch) / 1e6 for tiles, batch in ((30, 16), (30, 64), (60, 16))
    ]
    assert found == pytest.approx([25, 62, 86], rel=0.25)


def test_each_member_learns_at_its_own_rate(study, tiny) -> None:
    rates = [0.1, 0.02, 0.005]
    together = fit(study, CAGES, 0, tiny.train, lambda: None, rates).model
    for member, (fold, rate) in enumerate(zip(CAGES, rates, strict=True)):
        alone, _ = fitted(study, (fold,), tiny, lr=rate)
        for name, values in together.state_dict().items():
            assert torch.allclose(values[member], alone.state_dict()[name][0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "available", "device"),
    [("auto", True, "cuda"), ("auto", False, "cpu"), ("cpu", True, "cpu"), ("cuda", True, "cuda")],
)
def test_auto_is_a_gpu_where_there_is_one(monkeypatch, name: str, available: bool, device: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert fitting.choose_device(name).type == device
