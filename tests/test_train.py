"""Training: all folds at once, each as if it were alone."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import safetensors.torch
import torch
from torch import Tensor
from torch.nn import functional

from conftest import told
from lmtcnn import __version__, histograms, train
from lmtcnn.errors import DataError, ParamsError
from lmtcnn.files import digest, read_json
from lmtcnn.folds import ALL
from lmtcnn.model import StereotypeCNN, initialise, prepare, select, softmax_members
from lmtcnn.params import Params, TrainParams, dump
from lmtcnn.records import read_histograms, training_key
from lmtcnn.train import Study, batches, class_weights, fit, load_study, member_losses, sample_losses
from plain import Plain
from study import THREE_CAGES, write_histograms

CAGES = tuple(THREE_CAGES)
CLASSES = ["AM", "JM", "AF", "JF"]


@pytest.fixture(scope="module")
def data(trained: Path) -> Path:
    return trained


@pytest.fixture(scope="module")
def study(data: Path, tiny: Params) -> Study:
    return load_study(*histograms.load(data / "histograms", tiny), tiny)


def fitted(study: Study, folds: tuple[str, ...], params: Params, **values: object) -> tuple[StereotypeCNN, np.ndarray]:
    """Networks of seed 0, and their history."""
    settings: TrainParams = params.train.model_copy(update=values)
    found = fit(study, folds, 0, settings, lambda: None)
    return found.model, found.history


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


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


# ---- What a member learns from ---------------------------------------------------------------------------------------


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


# ---- The curves ------------------------------------------------------------------------------------------------------


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


def test_the_history_has_a_row_for_each_fold_seed_and_epoch(data: Path) -> None:
    history = pl.read_parquet(data / "train" / "history.parquet")
    expected = {(fold, seed, epoch) for fold in (*CAGES, ALL) for seed in (0, 1) for epoch in (1, 2, 3)}
    rows = list(history.select("fold", "seed", "epoch").iter_rows())
    assert len(rows) == len(expected)
    assert set(rows) == expected


def test_only_networks_that_hold_nothing_out_have_no_test_values(data: Path) -> None:
    history = pl.read_parquet(data / "train" / "history.parquet")
    whole = history.filter(pl.col("fold") == ALL)
    assert whole.select("test_loss", "test_accuracy").null_count().row(0) == (whole.height, whole.height)
    assert history.filter(pl.col("fold") != ALL).null_count().sum_horizontal().item() == 0
    assert history.select("train_loss", "train_accuracy").null_count().sum_horizontal().item() == 0


# ---- What is written -------------------------------------------------------------------------------------------------


def test_the_stage_writes_its_five_files(data: Path) -> None:
    assert set(content(data / "train")) == {
        "folds.safetensors", "history.parquet", "predictions.parquet", "train.json", "weights.safetensors",
    }  # fmt: skip


def test_each_sample_is_predicted_once_a_seed_by_the_fold_that_holds_its_cage_out(data: Path, tiny: Params) -> None:
    predictions = pl.read_parquet(data / "train" / "predictions.parquet")
    index = pl.read_parquet(data / "histograms" / "index.parquet")
    keys = ["recording", "animal_id", "rfid", "cage", "class"]
    for seed in (0, 1):
        own = predictions.filter(pl.col("seed") == seed)
        assert own.select(keys).sort(keys).equals(index.select(keys).sort(keys))
    assert predictions["fold"].equals(predictions["cage"], check_names=False)


def test_predictions_are_those_of_the_networks_that_were_written(data: Path, tiny: Params) -> None:
    """folds.safetensors holds its members by seed, then by fold."""
    model = StereotypeCNN(6, 4, 8, 4, channels=2)
    model.load_state_dict(safetensors.torch.load_file(data / "train" / "folds.safetensors"))
    stacks, index = histograms.load(data / "histograms", tiny)
    probabilities = softmax_members(model, prepare(np.asarray(stacks), "none"))
    predictions = pl.read_parquet(data / "train" / "predictions.parquet")
    for row in predictions.iter_rows(named=True):
        sample = index.select(
            ((pl.col("recording") == row["recording"]) & (pl.col("rfid") == row["rfid"])).arg_true()
        ).item()
        p = [row[f"p_{name}"] for name in CLASSES]
        assert p == pytest.approx(probabilities[row["seed"] * 3 + CAGES.index(row["fold"]), sample], abs=1e-6)
        assert row["predicted"] == CLASSES[int(np.argmax(p))]


def test_the_summary_says_what_was_trained_on_what(data: Path, tiny: Params) -> None:
    made = read_json(data / "histograms" / "histograms.json", "", "")
    assert read_json(data / "train" / "train.json", "", "") == {
        "format": 1,
        "classes": dump(tiny)["classes"],
        "seeds": [0, 1],
        "folds": list(CAGES),
        "architecture": {
            "members": 2, "intervals": 4, "tiles": 8, "classes": 4, "kernels": [3, 9], "channels": 2, "pool": 2,
        },
        "train": dump(tiny.train),
        "simulated": True,
        "n_samples": 12,
        "n_recordings": 6,
        "preprocessing": {"stops": made["stops"], "histograms": made["histograms"]},
        "floor_cm": made["floor_cm"],
        "version": __version__,
        "revision": 1,
        "inputs": {"histograms": read_histograms(data / "histograms", tiny).digest},
        "outputs": {
            name: digest(data / "train" / name)
            for name in ("predictions.parquet", "history.parquet", "folds.safetensors", "weights.safetensors")
        },
        "training": training_key(data, tiny),
    }  # fmt: skip


def test_the_networks_that_are_served_have_seen_all_cages(data: Path, study: Study, tiny: Params) -> None:
    model, training = train.load_members(data, tiny)
    assert model.members == len(training.record.seeds)
    for member, seed in enumerate(tiny.train.seeds):
        alone = fit(study, (ALL,), seed, tiny.train, lambda: None).model
        for name, values in select(model, [member]).state_dict().items():
            assert torch.allclose(values, alone.state_dict()[name], atol=1e-5)


def test_two_runs_write_the_same_bytes(data: Path, tmp_path: Path, tiny: Params) -> None:
    write_histograms(tmp_path, tiny, THREE_CAGES)
    train.train(tmp_path, tiny)
    assert content(tmp_path / "train") == content(data / "train")


def test_a_rate_that_was_forgotten_is_asked_about(tmp_path: Path, change, tiny: Params, caplog) -> None:
    real = change(**{"histograms.interval_s": 3600, "cohort.databases": "raw"})
    sizes = {"intervals": tiny.histograms.intervals, "tiles": tiny.histograms.tiles}
    params = tiny.model_copy(
        update={"cohort": real.cohort, "histograms": real.histograms.model_copy(update=sizes), "train": tiny.train}
    )
    write_histograms(tmp_path / "data", params, THREE_CAGES)
    train.train(tmp_path / "data", params)
    assert caplog.messages == params.doubts
    assert "train.lr 0.05 with intervals of 3600 s is 50 times the paper's" in caplog.messages[0]


def test_progress_is_told_after_every_epoch_of_every_seed(tmp_path: Path, tiny: Params) -> None:
    write_histograms(tmp_path, tiny, THREE_CAGES)
    told_of = []
    train.train(tmp_path, tiny, progress=lambda done, total: told_of.append((done, total)))
    assert told_of == [(i, 6) for i in range(1, 7)]


# ---- One fold --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def with_fold(tmp_path_factory, tiny: Params) -> tuple[dict[str, bytes], Path]:
    """A full run, what it wrote, and then a fold alone."""
    folder = tmp_path_factory.mktemp("fold") / "data"
    write_histograms(folder, tiny, THREE_CAGES)
    train.train(folder, tiny)
    before = content(folder / "train")
    train.train(folder, tiny, fold="c2")
    return before, folder / "train"


def test_a_fold_alone_is_the_fold_of_the_full_run(with_fold) -> None:
    _, folder = with_fold
    for name in ("predictions.parquet", "history.parquet"):
        full = pl.read_parquet(folder / name).filter(pl.col("fold") == "c2")
        alone = pl.read_parquet(folder / "folds" / "c2" / name)
        numbers = [column for column, kind in full.schema.items() if kind == pl.Float64]
        assert alone.drop(numbers).equals(full.drop(numbers))
        assert np.abs(alone.select(numbers).to_numpy() - full.select(numbers).to_numpy()).max() < 1e-5
    weights = safetensors.torch.load_file(folder / "folds.safetensors")
    for name, values in safetensors.torch.load_file(folder / "folds" / "c2" / "folds.safetensors").items():
        assert torch.allclose(values, weights[name][[1, 4]], rtol=0, atol=1e-5)


def test_a_fold_alone_leaves_the_full_result_as_it_is(with_fold) -> None:
    before, folder = with_fold
    now = content(folder)
    assert {name: now[name] for name in before} == before


def test_a_fold_alone_writes_into_a_folder_of_its_own(with_fold) -> None:
    before, folder = with_fold
    assert set(content(folder)) - set(before) == {
        f"folds/c2/{name}" for name in ("folds.safetensors", "history.parquet", "predictions.parquet", "train.json")
    }


def test_an_unknown_cage_is_told_with_those_there_are(data: Path, tiny: Params) -> None:
    assert told(ParamsError, train.train, data, tiny, fold="c9") == (
        "--fold c9: expected a cage (c1, c2, c3), found another name; correct it",
    )
    assert not (data / "train" / "folds").exists()


# ---- Devices ---------------------------------------------------------------------------------------------------------


def test_cuda_where_there_is_none_is_told(data: Path, tiny: Params, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    using = tiny.model_copy(update={"train": tiny.train.model_copy(update={"device": "cuda"})})
    assert told(ParamsError, train.train, data, using) == (
        "train.device: expected a GPU for cuda, found none; write auto or cpu",
    )


@pytest.mark.parametrize(
    ("name", "available", "device"),
    [("auto", True, "cuda"), ("auto", False, "cpu"), ("cpu", True, "cpu"), ("cuda", True, "cuda")],
)
def test_auto_is_a_gpu_where_there_is_one(monkeypatch, name: str, available: bool, device: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert train.choose_device(name).type == device


# ---- What is missing or does not fit ---------------------------------------------------------------------------------


def test_without_histograms_there_is_no_training(tmp_path: Path, tiny: Params) -> None:
    assert told(DataError, train.train, tmp_path, tiny) == (
        f"{tmp_path / 'histograms' / 'histograms.json'}: expected the histograms, found no file; "
        "run `lmtcnn histograms` first",
    )


def test_without_a_training_there_are_no_members(tmp_path: Path, tiny: Params) -> None:
    write_histograms(tmp_path, tiny, THREE_CAGES)
    assert told(DataError, train.load_members, tmp_path, tiny) == (
        f"{tmp_path / 'train' / 'train.json'}: expected the summary of a training, found no file; "
        "run `lmtcnn train` first",
    )


@pytest.fixture
def weights(tmp_path: Path) -> tuple[StereotypeCNN, Path]:
    model = StereotypeCNN(1, 2, 4, 2, channels=1)
    initialise(model, 0)
    train.save_weights(model, tmp_path / "w.safetensors")
    return model, tmp_path / "w.safetensors"


def test_weights_are_read_as_they_were_written(weights) -> None:
    model, path = weights
    again = StereotypeCNN(**model.architecture)
    train.load_weights(again, path, "train again")
    assert all(torch.equal(values, again.state_dict()[name]) for name, values in model.state_dict().items())


def test_weights_that_are_missing_are_told(weights) -> None:
    model, path = weights
    path.unlink()
    assert told(DataError, train.load_weights, model, path, "train again") == (
        f"{path}: expected weights, found no file; train again",
    )


def test_weights_that_are_not_finite_are_told(weights) -> None:
    model, path = weights
    model.linear.bias.data[0, 1] = torch.nan
    train.save_weights(model, path)
    assert told(DataError, train.load_weights, model, path, "train again") == (
        f"{path}: expected finite weights, found nan or inf; train again",
    )


@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[:-1], lambda b: b"x" * 100, lambda b: bytes(len(b))])
def test_weights_that_are_damaged_are_told_in_one_line(weights, damage) -> None:
    model, path = weights
    path.write_bytes(damage(path.read_bytes()))
    (line,) = told(DataError, train.load_weights, model, path, "train again")
    assert line.startswith(f"{path}: expected weights of this architecture, found ")
    assert line.endswith("; train again")
    assert "\n" not in line


def test_weights_of_another_shape_are_told(weights) -> None:
    _, path = weights
    other = StereotypeCNN(1, 2, 4, 3, channels=1)
    assert told(DataError, train.load_weights, other, path, "train again") == (
        f"{path}: expected weights of this architecture, found "
        "size mismatch for linear.weight: copying a param with shape torch.Size([1, 2, 8]) from checkpoint, "
        "the shape in current model is torch.Size([1, 3, 8]); train again",
    )


def test_a_training_that_diverges_is_told_and_leaves_no_result(tmp_path: Path, tiny: Params) -> None:
    write_histograms(tmp_path, tiny, THREE_CAGES)
    wild = tiny.model_copy(update={"train": tiny.train.model_copy(update={"lr": 1e30})})
    (line,) = told(ParamsError, train.train, tmp_path, wild)
    assert line.startswith("train.lr: expected a rate at which the loss stays finite, found an infinite one in epoch ")
    assert line.endswith("seed 0; lower it")
    assert not (tmp_path / "train" / "train.json").exists()
