"""The stage `train`: all folds of a study in one program, and the networks that see all cages.

Weights are those after the last epoch, never picked by a held-out curve. Members are trained in groups that fit in
`train.memory_gb`. They share nothing but the batch, so a group's networks are those of the whole but for rounding. Each
group is kept on disk as soon as it is trained, until the stage has ended: what a full disk or a kill interrupts goes on
there (kept.py). With `train.lr: auto` each member's rate is chosen first (rates.py).
"""

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from lmtcnn.core.errors import DataError, ParamsError, problem
from lmtcnn.core.files import ensure_folder, ensure_space, write_json
from lmtcnn.core.names import ALL
from lmtcnn.core.params import Params
from lmtcnn.core.records import (
    FOLDS,
    HISTORY_FILE,
    PREDICTIONS,
    WEIGHTS,
    HistogramsRecord,
    read_histograms,
    seal_training,
)
from lmtcnn.core.schemas import HISTORY, predictions_table
from lmtcnn.core.sections import TrainParams, dump
from lmtcnn.histograms import record
from lmtcnn.train import rates
from lmtcnn.train.fitting import (
    Study,
    batched,
    deterministic,
    fit,
    group_size,
    groups,
    load_study,
    network,
)
from lmtcnn.train.folds import cages_of
from lmtcnn.train.kept import Kept, key, save_tensors
from lmtcnn.train.model import softmax_members
from lmtcnn.train.rates import Trial

log = logging.getLogger("lmtcnn")

Progress = Callable[[int, int], None]

ROW_BYTES = 200
"""Bytes that a row of a table needs at most on disk."""


def train(
    data: Path, params: Params, fold: str | None = None, progress: Progress = lambda done, total: None
) -> dict[str, Any]:
    """The stage: every fold and seed, and the networks that see all cages; returns the summary of train.json.

    With `fold`, only that cage's networks, into data/train/folds/<cage>/, leaving the full result alone. Goes on with
    what a training of the same data and parameters had finished when it was interrupted.
    """
    stacks, index = record.load(data / "histograms", params)
    made = read_histograms(data / "histograms", params)
    cages = cages_of(index["cage"].to_list(), index["animal"].to_list())
    if len(found := index["class"].unique().to_list()) < 2:
        do = "add recordings of another class"
        raise DataError(problem(data / "histograms", "samples of two classes or more", f"only {found[0]}", do))
    if fold is not None and fold not in cages:
        raise ParamsError(problem(f"--fold {fold}", f"a cage ({', '.join(cages)})", "another name", "correct it"))
    for line in params.doubts:
        log.warning("%s", line)
    members = (fold,) if fold else (*cages, ALL)
    folder = ensure_folder(data / "train" / "folds" / fold if fold else data / "train")
    study = load_study(stacks, index, params)
    size = group_size(study, params.train)
    ensure_space(folder, size_of_results(members, study, params.train))
    kept = Kept(folder, key(data / "histograms", params, members, size, study.x.device))
    result = fit_members(study, members, cages, params.train, progress, kept)
    write(folder, result, index, params)
    content = summarise(study, cages, index, params, made) | (
        {"rates": result.rates} if params.train.lr == "auto" else {}
    )
    summary = seal_training(folder, content, made)
    write_json(folder / "train.json", summary)
    kept.clear()
    return summary


def fit_members(
    study: Study,
    members: Sequence[str],
    cages: Sequence[str],
    params: TrainParams,
    progress: Progress,
    kept: Kept | None = None,
) -> "Result":
    """Train every member of every seed, each at its own rate; PyTorch's settings are afterwards as they were.

    Parameters
    ----------
    study
        What is trained on.
    members
        The cages that are held out in turn, and ALL for the networks that see all cages.
    cages
        All cages of the study.
    params
        Architecture and training.
    progress
        Progress callback: epochs done, epochs to be done.
    kept
        Where finished groups of networks are kept on disk; None: nowhere.
    """
    tried = rates.trials(members, cages, params) if params.lr == "auto" else []
    size = group_size(study, params)
    pieces = len(groups(len(tried), size)) + len(params.seeds) * len(groups(len(members), size))
    work = Work(study, params, size, kept, pieces, progress)
    with deterministic(study.x.device):
        chosen = work.choose(members, tried) if tried else dict.fromkeys(members, float(params.lr))
        return work.result(members, chosen)


@dataclass(frozen=True)
class Result:
    """All networks of a training and what they say.

    Members M (cages, and ALL), their rates, weights name -> (seeds, M, ...), history (seeds, M, epochs, 4) as in
    `Tally`, and probabilities (seeds, S, C) of each sample by the member that has not seen its cage (nan where that is
    none of them).
    """

    members: tuple[str, ...]
    rates: Mapping[str, float]
    weights: Mapping[str, Tensor]
    history: NDArray[np.float64]
    probabilities: NDArray[np.float64]


class Work:
    """The networks of a training, group by group; each group is kept on disk once it is trained."""

    def __init__(
        self, study: Study, params: TrainParams, size: int, kept: Kept | None, pieces: int, progress: Progress
    ) -> None:
        self.study, self.params, self.size, self.kept = study, params, size, kept
        self.done, self.total, self.progress = 0, pieces * params.epochs, progress

    def choose(self, members: Sequence[str], tried: Sequence[Trial]) -> dict[str, float]:
        """The rate of each member, by networks that are trained for the choice alone."""
        own = len(members) * len(self.params.seeds)
        words = "train.lr: auto: %d networks choose the rates of %d, %.0f times the work of a training by one rate"
        log.info(words, len(tried), own, 1 + len(tried) / own)
        found = []
        for group in groups(len(tried), self.size):
            make = functools.partial(self._try, tried[group])
            found.append(self._piece(f"rates-{group.start}", f"networks {group.start} to {group.stop} of those", make))
        losses, right = (torch.cat([piece[name] for piece in found]).numpy() for name in ("losses", "right"))
        chosen = rates.choose(members, self.study.cages, tried, losses, right, self.params)
        log.info("train.lr: auto: %s", ", ".join(f"{name} {rate:g}" for name, rate in chosen.items()))
        return chosen

    def result(self, members: Sequence[str], chosen: Mapping[str, float]) -> Result:
        """Train every member of every seed."""
        seeds, samples = len(self.params.seeds), len(self.study.x)
        shapes = {name: values.shape[1:] for name, values in network(self.study, self.params, 1).state_dict().items()}
        result = Result(
            tuple(members),
            chosen,
            {name: torch.empty(seeds, len(members), *shape) for name, shape in shapes.items()},
            np.empty((seeds, len(members), self.params.epochs, 4)),
            np.full((seeds, samples, len(self.study.classes)), np.nan),
        )
        for place, seed in enumerate(self.params.seeds):
            for group in groups(len(members), self.size):
                make = functools.partial(self._networks, members[group], seed, [chosen[m] for m in members[group]])
                what = f"seed {seed}, {group.stop - group.start} networks"
                piece = self._piece(f"seed{seed}-{group.start}", what, make)
                for name, values in result.weights.items():
                    values[place, group] = piece[name]
                result.history[place, group] = piece["history"].numpy()
                result.probabilities[place, piece["rows"].numpy()] = piece["probabilities"].numpy()
        return result

    def _piece(self, name: str, what: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        found = self.kept.load(name) if self.kept else None
        if found is None:
            found = make()
            if self.kept:
                self.kept.save(name, found)
        else:
            log.info("%s: kept by an interrupted training", what)
            for _ in range(self.params.epochs):
                self._advance()
        return found

    def _networks(self, folds: Sequence[str], seed: int, at: Sequence[float]) -> dict[str, Tensor]:
        """Weights and history of these members, and probabilities of the samples (rows) that they hold out."""
        fitted = fit(self.study, folds, seed, self.params, self._advance, at)
        cages = {name: i for i, name in enumerate(folds) if name != ALL}
        rows = np.flatnonzero(np.isin(self.study.cages, list(cages)))
        own = np.array([cages[cage] for cage in self.study.cages[rows]], dtype=np.int64)
        p = np.empty((len(rows), len(self.study.classes)))
        for part in batched(len(rows)):
            found = softmax_members(fitted.model, self.study.x[rows[part]])  # (M, B, C)
            p[part] = found[own[part], np.arange(found.shape[1])]
        told = {"history": fitted.history, "rows": rows, "probabilities": p}
        return fitted.model.state_dict() | {name: torch.from_numpy(values) for name, values in told.items()}

    def _try(self, tried: Sequence[Trial]) -> dict[str, Tensor]:
        """Log loss of these networks on every sample, and whether they label it right, both (M, S)."""
        folds, at = [trial.held_out for trial in tried], [trial.rate for trial in tried]
        fitted = fit(self.study, folds, self.params.seeds[0], self.params, self._advance, at, may_diverge=True)
        p = np.empty((len(tried), len(self.study.x), len(self.study.classes)))
        for part in batched(len(self.study.x)):
            p[:, part] = softmax_members(fitted.model, self.study.x[part])
        y = self.study.y.cpu().numpy()
        true = np.take_along_axis(p, y[None, :, None], axis=2)[..., 0]
        losses = -np.log(np.maximum(true, np.finfo(np.float64).tiny))  # nan stays nan
        return {"losses": torch.from_numpy(losses), "right": torch.from_numpy(p.argmax(axis=2) == y)}

    def _advance(self) -> None:
        self.done += 1
        self.progress(self.done, self.total)


def write(folder: Path, result: Result, index: pl.DataFrame, params: Params) -> None:
    """Predictions, history and weights, each file atomically."""
    classes, seeds = tuple(params.classes), params.train.seeds
    who = ("recording", "animal_id", "rfid", "cage")
    predictions_table(classes).write(predictions_of(result, seeds, index, classes, who), folder / PREDICTIONS)
    HISTORY.write(history_of(result, seeds), folder / HISTORY_FILE)
    cages = sum(name != ALL for name in result.members)  # ALL is the last
    folds = {name: values[:, :cages].flatten(0, 1) for name, values in result.weights.items()}
    save_tensors(folds, folder / FOLDS)
    if ALL in result.members:
        served = {name: values[:, cages] for name, values in result.weights.items()}
        save_tensors(served, folder / WEIGHTS)


def summarise(
    study: Study, cages: Sequence[str], index: pl.DataFrame, params: Params, made: HistogramsRecord
) -> dict[str, Any]:
    """Say what was trained on what, for train.json."""
    return {
        "format": 1,
        "classes": dump(params)["classes"],
        "seeds": list(params.train.seeds),
        "folds": list(cages),
        "architecture": network(study, params.train, len(params.train.seeds)).architecture,
        "train": dump(params.train),
        "simulated": made.simulated,
        "n_samples": index.height,
        "n_recordings": index["recording"].n_unique(),
        "preprocessing": {"stops": made.stops, "histograms": made.histograms},
        "floor_cm": list(made.floor_cm),
    }


def size_of_results(members: Sequence[str], study: Study, params: TrainParams) -> int:
    """Bytes that a training needs on its disk: its tables, and all weights twice, as they are kept meanwhile."""
    one = network(study, params, 1)
    weights: int = sum(values.numel() * values.element_size() for values in one.state_dict().values())
    rows = len(study.x) + len(members) * params.epochs
    return len(params.seeds) * (2 * len(members) * weights + rows * ROW_BYTES)


def predictions_of(
    result: Result, seeds: Sequence[int], index: pl.DataFrame, classes: Sequence[str], who: Sequence[str]
) -> pl.DataFrame:
    """Tabulate the held-out predictions of every seed; `who` are columns of the index that say whose they are."""
    tables = [_predictions(p, s, index, classes, who) for p, s in zip(result.probabilities, seeds, strict=True)]
    return pl.concat(tables)


def history_of(result: Result, seeds: Sequence[int]) -> pl.DataFrame:
    """Tabulate the history of every network: a row for each fold, seed and epoch."""
    return pl.concat([_history(h, result, seed) for h, seed in zip(result.history, seeds, strict=True)])


def _predictions(
    p: NDArray[np.float64], seed: int, index: pl.DataFrame, classes: Sequence[str], who: Sequence[str]
) -> pl.DataFrame:
    """Each sample's probabilities (S, C) by the member that has not seen its cage; samples without are left out."""
    chosen = np.flatnonzero(~np.isnan(p).any(axis=1))
    rows, p = index[chosen], p[chosen]
    return rows.select(who).with_columns(
        fold=rows["cage"],
        seed=pl.lit(seed, pl.Int64),
        **{"class": rows["class"]},
        predicted=pl.Series([classes[i] for i in p.argmax(axis=1)], dtype=pl.String),
        **{f"p_{name}": pl.Series(p[:, i]) for i, name in enumerate(classes)},
    )


def _history(history: NDArray[np.float64], result: Result, seed: int) -> pl.DataFrame:
    epochs = history.shape[1]
    columns = dict(zip(list(HISTORY.columns)[3:7], history.reshape(-1, 4).T, strict=True))
    return pl.DataFrame(
        {
            "fold": np.repeat(np.array(result.members, dtype=np.str_), epochs).tolist(),
            "seed": [seed] * (len(result.members) * epochs),
            "epoch": list(range(1, epochs + 1)) * len(result.members),
            **{name: pl.Series(values).fill_nan(None) for name, values in columns.items()},
            "lr": np.repeat([result.rates[name] for name in result.members], epochs),
        },
        schema=dict(HISTORY.columns),
    )
