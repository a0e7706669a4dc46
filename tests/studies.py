"""A finished training written by hand: four cages of two mice, each recorded at two ages, in the pipeline's formats."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from lmtcnn import params as parameters
from lmtcnn.files import write_json
from lmtcnn.folds import ALL
from lmtcnn.histograms import floor_of
from lmtcnn.model import StereotypeCNN, initialise, join
from lmtcnn.params import Params, dump
from lmtcnn.schemas import HISTORY, index_table, predictions_table
from lmtcnn.train import save_weights

CAGES = {"c1": "F", "c2": "M", "c3": "F", "c4": "M"}
SEEDS = (0, 1)

Probabilities = Callable[[dict, int], list[float]]
"""Sample (a row of the index) and seed -> a probability for each class."""


def small_params(**sections: dict) -> Params:
    """params.yaml with 2 intervals of 6 x 6 tiles, a tiny network and two seeds; `sections` change what they name."""
    params = parameters.load(Path(__file__).parents[1] / "params.yaml")
    changes = {
        "histograms": {"intervals": 2, "tiles": 6},
        "train": {"kernels": (1, 3), "channels": 2, "seeds": SEEDS, "epochs": 2},
    }
    for name, values in sections.items():
        changes[name] = {**changes.get(name, {}), **values}
    return params.model_copy(
        update={name: getattr(params, name).model_copy(update=values) for name, values in changes.items()}
    )


def sure(sample: dict, seed: int) -> list[float]:
    """The true class with 0.7, the others with 0.1."""
    return [0.7 if name == sample["class"] else 0.1 for name in ("AM", "JM", "AF", "JF")]


def write_study(
    data: Path, params: Params, probabilities: Probabilities = sure, simulated: bool = False
) -> pl.DataFrame:
    """Write data/histograms and data/train; returns the index. Adult females have 9 more stops in tile (1, 4)."""
    index = write_histograms(data / "histograms", params, simulated)
    write_training(data / "train", index, params, (*CAGES, ALL), probabilities, simulated)
    return index


def write_histograms(folder: Path, params: Params, simulated: bool = False) -> pl.DataFrame:
    names = {tuple(labels.values()): name for name, labels in params.classes.items()}
    rows = [
        (f"{cage}_{age}", animal, f"00{cage}{animal}", cage, sex, age, names[sex, age], 60 + animal, 1, 0)
        for cage, sex in CAGES.items()
        for age in ("adult", "juvenile")
        for animal in (1, 2)
    ]
    schema = index_table(params.labels)
    index = pl.DataFrame(rows, schema=dict(schema.columns), orient="row")
    n = params.histograms.tiles
    stacks = np.random.default_rng(0).poisson(1.0, (len(rows), params.histograms.intervals, n, n)).astype(np.uint16)
    stacks[(index["class"] == "AF").to_numpy(), :, 1, 4] += 9
    schema.write(index, folder / "index.parquet")
    np.save(folder / "stacks.npy", stacks)
    write_json(folder / "histograms.json", {"simulated": simulated, **_preprocessing(params)})
    return index


def write_training(
    folder: Path,
    index: pl.DataFrame,
    params: Params,
    members: tuple[str, ...],
    probabilities: Probabilities = sure,
    simulated: bool = False,
) -> None:
    """What `train` leaves for these members: cages, and ALL."""
    table = predictions_table(tuple(params.classes))
    predictions = []
    for seed in params.train.seeds:
        for sample in index.filter(pl.col("cage").is_in(members)).iter_rows(named=True):
            p = probabilities(sample, seed)
            known = [sample[key] for key in ("recording", "animal_id", "rfid", "cage", "cage")]
            predictions.append((*known, seed, sample["class"], list(params.classes)[int(np.argmax(p))], *p))
    table.write(pl.DataFrame(predictions, schema=dict(table.columns), orient="row"), folder / "predictions.parquet")
    history = [
        (
            fold,
            seed,
            epoch,
            *((9.0, 0.9, None, None) if fold == ALL else (1.0 / epoch, 0.5, 2.0 / epoch, 0.25 + 0.5 * seed)),
        )
        for fold in members
        for seed in params.train.seeds
        for epoch in range(1, params.train.epochs + 1)
    ]
    HISTORY.write(pl.DataFrame(history, schema=dict(HISTORY.columns), orient="row"), folder / "history.parquet")
    architecture = {
        "members": len(params.train.seeds),
        "intervals": params.histograms.intervals,
        "tiles": params.histograms.tiles,
        "classes": len(params.classes),
        "kernels": list(params.train.kernels),
        "channels": params.train.channels,
        "pool": params.train.pool,
    }
    if ALL in members:
        networks = {seed: StereotypeCNN(**{**architecture, "members": 1}) for seed in params.train.seeds}
        for seed, network in networks.items():
            initialise(network, seed)
        save_weights(join(networks), folder / "weights.safetensors")
    preprocessing = _preprocessing(params)
    summary = {
        "format": 1,
        "classes": params.classes,
        "seeds": list(params.train.seeds),
        "folds": list(CAGES),
        "architecture": architecture,
        "train": dump(params.train),
        "simulated": simulated,
        "n_samples": index.height,
        "n_recordings": index["recording"].n_unique(),
        "floor_cm": preprocessing.pop("floor_cm"),
        "preprocessing": preprocessing,
    }
    write_json(folder / "train.json", summary)


def _preprocessing(params: Params) -> dict:
    floor_cm = list(floor_of(params.stops.arena))
    return {"floor_cm": floor_cm, "stops": dump(params.stops), "histograms": dump(params.histograms)}
