"""Training: all folds of a study in one program.

For each seed one batch passes through a network for every held-out cage and one that sees all cages: the members. A
member's loss is sum(w l) / sum(w) over the batch, with weight 0 for its held-out cage; where sum(w) = 0 it takes no
step. Initial weights depend on the seed only, batch order on (seed, epoch) only, so that a fold trained alone is the
fold of the full run. Weights are those after the last epoch, never picked by a held-out curve. Cross-entropy and
plain SGD are the paper's; the number of epochs and the batch are ours.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import safetensors.torch
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor
from torch.nn import functional

from lmtcnn import histograms
from lmtcnn.errors import DataError, ParamsError, problem
from lmtcnn.files import atomic, ensure_folder, ensure_space, write_json
from lmtcnn.folds import ALL, cages_of
from lmtcnn.model import StereotypeCNN, initialise, join, prepare, select, softmax_members
from lmtcnn.params import Params, TrainParams, dump
from lmtcnn.records import (
    FOLDS,
    HISTORY_FILE,
    PREDICTIONS,
    WEIGHTS,
    HistogramsRecord,
    Training,
    full_training,
    read_histograms,
    seal_training,
)
from lmtcnn.schemas import HISTORY, predictions_table

log = logging.getLogger("lmtcnn")

Progress = Callable[[int, int], None]

ROW_BYTES = 200
"""Bytes that a row of a table needs at most on disk."""


@dataclass(frozen=True)
class Study:
    """What is trained on: inputs (S, T, N, N) on the device, class numbers (S,), cage of each sample, class names."""

    x: Tensor
    y: Tensor
    cages: NDArray[np.str_]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Fitted:
    """Networks of one seed: the members, and their history (M, epochs, 4), see `Tally`."""

    model: StereotypeCNN
    history: NDArray[np.float64]


def fit(study: Study, folds: Sequence[str], seed: int, params: TrainParams, progress: Callable[[], None]) -> Fitted:
    """Fit one member for each fold; ALL holds nothing out. `progress` is called after every epoch."""
    model = new_model(len(folds), study, params)
    initialise(model, seed)
    model.to(study.x.device)
    held_out = torch.from_numpy(np.stack([study.cages == fold for fold in folds])).to(study.x.device)  # (M, S)
    weights = class_weights(study.y, held_out, len(study.classes), params.class_weight)
    optimiser = torch.optim.SGD(model.parameters(), lr=params.lr)
    history = np.empty((len(folds), params.epochs, 4))
    for epoch in range(params.epochs):
        tally = Tally(held_out)
        for batch in batches(len(study.x), params.batch, seed, epoch):
            logits, y = model(study.x[batch]), study.y[batch]
            losses = sample_losses(logits, y)
            optimiser.zero_grad()
            member_losses(losses, weights[:, batch]).sum().backward()
            optimiser.step()
            tally.add(losses.detach(), logits.detach().argmax(dim=2) == y, batch)
        history[:, epoch] = tally.means()
        if not np.isfinite(history[:, epoch, 0]).all():
            found = f"an infinite one in epoch {epoch + 1}, seed {seed}"
            raise ParamsError(problem("train.lr", "a rate at which the loss stays finite", found, "lower it"))
        progress()
    return Fitted(model.cpu(), history)


def new_model(members: int, study: Study, params: TrainParams) -> StereotypeCNN:
    """Networks of the architecture that fits a study, not yet initialised."""
    return StereotypeCNN(
        members=members,
        intervals=study.x.shape[1],
        tiles=study.x.shape[2],
        classes=len(study.classes),
        kernels=params.kernels,
        channels=params.channels,
        pool=params.pool,
    )


def batches(samples: int, size: int, seed: int, epoch: int) -> list[Tensor]:
    """The batches of an epoch: a permutation of all samples by (seed, epoch) alone, cut into pieces of `size`."""
    order = np.random.Generator(np.random.PCG64([seed, epoch])).permutation(samples)
    return list(torch.from_numpy(order).split(size))


def class_weights(y: Tensor, held_out: Tensor, classes: int, how: str) -> Tensor:
    """Weight of each sample for each member, (M, S): 0 where held out; `balanced` by the classes of its training cages.

    balanced: n_train / (classes present * n_train of the sample's class).
    """
    training = (~held_out).float()
    if how == "none":
        return training
    counts = training @ functional.one_hot(y, classes).float()  # (M, C)
    present = (counts > 0).sum(dim=1, keepdim=True)
    return training * (training.sum(dim=1, keepdim=True) / (present * counts.clamp(min=1)))[:, y]


def sample_losses(logits: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy of every member on every sample, (M, B), of logits (M, B, C) and classes y (B,)."""
    return functional.cross_entropy(logits.flatten(0, 1), y.repeat(len(logits)), reduction="none").view(len(logits), -1)


def member_losses(losses: Tensor, weights: Tensor) -> Tensor:
    """Loss of each member, (M,): sum(w l) / sum(w), and 0 without a gradient where sum(w) = 0; both (M, B)."""
    total = weights.sum(dim=1)
    return (weights * losses).sum(dim=1) / torch.where(total > 0, total, torch.ones_like(total))


class Tally:
    """Mean loss and accuracy of every member over an epoch, on its training and its held-out samples.

    Taken as the batches pass, each before its step: held-out samples go through the networks anyway, with weight 0,
    so that a curve costs nothing. The figures of merit come from the weights after the last epoch instead.
    """

    def __init__(self, held_out: Tensor) -> None:
        self.sets = torch.stack((~held_out, held_out)).double()  # (2, M, S)
        self.sums = torch.zeros(2, 2, len(held_out), dtype=torch.float64, device=held_out.device)

    def add(self, losses: Tensor, correct: Tensor, batch: Tensor) -> None:
        """Take a batch's losses and hits, both (M, B)."""
        for i, values in enumerate((losses, correct)):
            self.sums[i] += (self.sets[:, :, batch] * values.double()).sum(dim=2)

    def means(self) -> NDArray[np.float64]:
        """(M, 4): train loss, train accuracy, test loss, test accuracy; nan where there are no samples."""
        means = self.sums / self.sets.sum(dim=2)  # (loss or accuracy, train or test, M)
        return np.asarray(means.permute(2, 1, 0).flatten(1).cpu().numpy())


def train(
    data: Path, params: Params, fold: str | None = None, progress: Progress = lambda done, total: None
) -> dict[str, Any]:
    """The stage: every fold and seed, and the networks that see all cages; returns the summary of train.json.

    With `fold`, only that cage's networks, into data/train/folds/<cage>/, leaving the full result alone.
    """
    stacks, index = histograms.load(data / "histograms", params)
    made = read_histograms(data / "histograms", params)
    cages = cages_of(index["cage"].to_list(), index["animal"].to_list())
    if len(found := index["class"].unique().to_list()) < 2:
        do = "add recordings of another class"
        raise DataError(problem(data / "histograms", "samples of two classes or more", f"only {found[0]}", do))
    if fold is not None and fold not in cages:
        raise ParamsError(problem(f"--fold {fold}", f"a cage ({', '.join(cages)})", "another name", "correct it"))
    folder = ensure_folder(data / "train" / "folds" / fold if fold else data / "train")
    for line in params.doubts:
        log.warning("%s", line)
    members = (fold,) if fold else (*cages, ALL)
    study = load_study(stacks, index, params)
    ensure_space(folder, size_of_results(members, study, params.train))
    total = len(params.train.seeds) * params.train.epochs
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    fitted = {seed: fit(study, members, seed, params.train, advance) for seed in params.train.seeds}
    write(folder, fitted, members, study, index, params)
    summary = seal_training(folder, summarise(fitted, cages, index, params, made), made)
    write_json(folder / "train.json", summary)
    return summary


def load_study(stacks: NDArray[Any], index: pl.DataFrame, params: Params) -> Study:
    """Inputs and labels on the device that `train.device` says."""
    device = choose_device(params.train.device)
    if device.type == "cuda":
        torch.use_deterministic_algorithms(True, warn_only=True)
    classes = tuple(params.classes)
    y = torch.tensor([classes.index(name) for name in index["class"]])
    x = prepare(np.asarray(stacks), params.train.transform)
    return Study(x.to(device), y.to(device), index["cage"].to_numpy().astype(np.str_), classes)


def choose_device(name: str) -> torch.device:
    """`auto` is a GPU where there is one. Raises ParamsError where `cuda` is asked for and there is none."""
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ParamsError(problem("train.device", "a GPU for cuda", "none", "write auto or cpu"))
    return torch.device("cuda" if available and name != "cpu" else "cpu")


def write(
    folder: Path,
    fitted: dict[int, Fitted],
    members: Sequence[str],
    study: Study,
    index: pl.DataFrame,
    params: Params,
) -> None:
    """Predictions, history and weights, each file atomically."""
    predictions = pl.concat([_predictions(f.model, members, seed, study, index) for seed, f in fitted.items()])
    predictions_table(study.classes).write(predictions, folder / PREDICTIONS)
    HISTORY.write(pl.concat([_history(f.history, members, seed) for seed, f in fitted.items()]), folder / HISTORY_FILE)
    cages = [i for i, name in enumerate(members) if name != ALL]
    save_weights(join({seed: select(f.model, cages) for seed, f in fitted.items()}), folder / FOLDS)
    if ALL in members:
        served = join({seed: select(f.model, [members.index(ALL)]) for seed, f in fitted.items()})
        save_weights(served, folder / WEIGHTS)


def summarise(
    fitted: dict[int, Fitted], cages: Sequence[str], index: pl.DataFrame, params: Params, made: HistogramsRecord
) -> dict[str, Any]:
    """Say what was trained on what, for train.json."""
    architecture = next(iter(fitted.values())).model.architecture
    return {
        "format": 1,
        "classes": dump(params)["classes"],
        "seeds": list(fitted),
        "folds": list(cages),
        "architecture": {**architecture, "members": len(fitted)},
        "train": dump(params.train),
        "simulated": made.simulated,
        "n_samples": index.height,
        "n_recordings": index["recording"].n_unique(),
        "preprocessing": {"stops": made.stops, "histograms": made.histograms},
        "floor_cm": list(made.floor_cm),
    }


def load_members(data: Path, params: Params) -> tuple[StereotypeCNN, Training]:
    """Load the networks that see all cages, one member for each seed, and what train.json says of them.

    Raises DataError where they are missing, or not of the present histograms and parameters.
    """
    training = full_training(data, params)
    model = StereotypeCNN(**training.record.architecture)
    load_weights(model, data / "train" / WEIGHTS, "run `lmtcnn train` again")
    return model, training


def size_of_results(members: Sequence[str], study: Study, params: TrainParams) -> int:
    """Bytes that a training will write at most: the weights of all networks, and their tables."""
    network = new_model(1, study, params)
    weights: int = sum(values.numel() * values.element_size() for values in network.state_dict().values())
    rows = len(study.x) + len(members) * params.epochs
    return len(params.seeds) * (len(members) * weights + rows * ROW_BYTES)


def save_weights(model: StereotypeCNN, path: Path) -> None:
    """Weights as safetensors, atomically."""
    with atomic(path) as temporary:
        safetensors.torch.save_file({k: v.contiguous() for k, v in model.state_dict().items()}, temporary)


def load_weights(model: StereotypeCNN, path: Path, do: str) -> None:
    """Load weights into a model; raises DataError where they are missing, damaged, of another shape or not finite."""
    try:
        model.load_state_dict(safetensors.torch.load_file(path))
        if not all(bool(values.isfinite().all()) for values in model.state_dict().values()):
            raise DataError(problem(path, "finite weights", "nan or inf", do))
    except FileNotFoundError:
        raise DataError(problem(path, "weights", "no file", do)) from None
    except (SafetensorError, RuntimeError, OSError) as error:
        said = [line.strip().rstrip(".") for line in str(error).splitlines()]  # torch's first line is a heading
        raise DataError(problem(path, "weights of this architecture", said[min(1, len(said) - 1)], do)) from error


def _predictions(
    model: StereotypeCNN, members: Sequence[str], seed: int, study: Study, index: pl.DataFrame
) -> pl.DataFrame:
    """Each sample's probabilities by the member that has not seen its cage; samples of other cages are left out."""
    of_member = {name: i for i, name in enumerate(members) if name != ALL}
    chosen = np.flatnonzero([cage in of_member for cage in study.cages])
    probabilities = softmax_members(model, study.x[chosen])  # (M, S, C)
    own = np.array([of_member[cage] for cage in study.cages[chosen]])
    p = probabilities[own, np.arange(len(chosen))]  # (S, C)
    rows = index[chosen]
    return rows.select("recording", "animal_id", "rfid", "cage").with_columns(
        fold=rows["cage"],
        seed=pl.lit(seed, pl.Int64),
        **{"class": rows["class"]},
        predicted=pl.Series([study.classes[i] for i in p.argmax(axis=1)], dtype=pl.String),
        **{f"p_{name}": pl.Series(p[:, i]) for i, name in enumerate(study.classes)},
    )


def _history(history: NDArray[np.float64], members: Sequence[str], seed: int) -> pl.DataFrame:
    epochs = history.shape[1]
    columns = dict(zip(list(HISTORY.columns)[3:], history.reshape(-1, 4).T, strict=True))
    return pl.DataFrame(
        {
            "fold": np.repeat(np.array(members, dtype=np.str_), epochs).tolist(),
            "seed": [seed] * (len(members) * epochs),
            "epoch": list(range(1, epochs + 1)) * len(members),
            **{name: pl.Series(values).fill_nan(None) for name, values in columns.items()},
        },
        schema=dict(HISTORY.columns),
    )
