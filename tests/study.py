"""Small studies as the stages leave them, for tests of what comes after: 4 cages of 2 mice at 2 ages, 3 x 6 x 6 maps.

`run_study` trains one; `write_study` writes by hand what a training leaves, with the predictions that a test wants.
"""

import functools
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

import lmtcnn
from conftest import ROOT
from lmtcnn.bundle.doubt import Reference
from lmtcnn.core import records, revisions
from lmtcnn.core.files import write_json
from lmtcnn.core.names import ALL
from lmtcnn.core.params import Params, load, parse
from lmtcnn.core.revisions import REVISIONS
from lmtcnn.core.schemas import CONTROLS, HISTORY, index_table, predictions_table
from lmtcnn.core.sections import dump
from lmtcnn.evaluate import evaluate
from lmtcnn.histograms.stack import floor_of
from lmtcnn.register import register
from lmtcnn.tracking import client as clients
from lmtcnn.train import train
from lmtcnn.train.kept import save_tensors
from lmtcnn.train.model import StereotypeCNN, initialise, join

CAGES = {"c1": "F", "c2": "M", "c3": "F", "c4": "M"}
"""Cage -> sex of its mice."""
THREE_CAGES = {"c1": "M", "c2": "F", "c3": "M"}

ODD = {
    "left_out": {"c9_adult": "animal 2: detection 33.3 %; 36 h long, 50 % of the 72 h that are counted"},
    "kept": {},
    "warned": {"c1_adult": "TIMESTAMP jumps 2 steps"},
    "unlisted": {"c1_adult": "c1x; animal 9"},
    "never_detected": {"c1_adult": "RFID_D"},
    "excluded": ["c2_adult, c23"],
    "tracking": {
        name: {"ok": 2 + i, "warn": 1, "fail": i, "detected": 0.875} for i, name in enumerate(("AM", "JM", "AF", "JF"))
    },
    "starts": ["the hour tells the age"],
}
"""What histograms.json says of the recordings."""

Probabilities = Callable[[dict, int], list[float]]
"""Sample (a row of the index) and seed -> a probability for each class."""


def small_params(**changes: object) -> Params:
    """params.yaml for such a study; a change is a section's (train={"lr": 0.1}) or a value's (train__lr=0.1)."""
    raw = dump(load(ROOT / "params.yaml")) | {"zones": {}}
    small = {
        "simulate": {"seconds_per_hour": 10.0},
        "histograms": {"intervals": 3, "tiles": 6, "interval_s": 10.0},
        "train": {
            "kernels": [1, 3],
            "channels": 2,
            "seeds": [0, 1],
            "epochs": 3,
            "batch": 8,
            "lr": 0.05,
            "device": "cpu",
        },
        "register": {"promotion": str(ROOT / "mlops" / "promotion.py")},
    }
    for name, value in [*small.items(), *changes.items()]:
        section, _, key = name.partition("__")
        raw[section].update({key: value} if key else value)
    return parse(raw, "test")


def write_histograms(
    data: Path, params: Params, cages: Mapping[str, str] = CAGES, *, simulated: bool = True, seed: int = 0
) -> pl.DataFrame:
    """data/histograms of cages of two mice at two ages; returns the index. Classes differ in the tiles they prefer."""
    names = {tuple(labels.values()): name for name, labels in params.classes.items()}
    rows = [
        (
            f"{cage}_{age}",
            animal,
            f"{cage}{animal}",
            f"{cage}{animal}",
            cage,
            sex,
            age,
            names[sex, age],
            60 + animal,
            1,
            0,
            0,
        )
        for cage, sex in cages.items()
        for age in ("adult", "juvenile")
        for animal in (1, 2)
    ]
    schema = index_table(params.labels)
    index = pl.DataFrame(rows, schema=dict(schema.columns), orient="row")
    schema.write(index, data / "histograms" / "index.parquet")
    shape = (len(params.histograms.counted), params.histograms.tiles, params.histograms.tiles)
    np.save(data / "histograms" / "stacks.npy", stacks_of(index["class"], index["cage"], shape, seed))
    hours = ["hour,timezone," + ",".join(params.classes), "9,UTC" + ",4" * len(params.classes)]
    (data / "histograms" / "start_hours.csv").write_text("\n".join(hours) + "\n")
    write_controls(data, index, seed)
    seal_histograms(data, params, simulated=simulated)
    return index


def write_controls(data: Path, index: pl.DataFrame, seed: int) -> None:
    """data/histograms/controls.parquet: what is no behaviour, and goes with no class."""
    random, n = np.random.default_rng(seed), index.height
    known, filled = random.uniform(0.93, 0.97, n), random.uniform(0.0, 0.02, n)
    columns = {
        **{key: index[key] for key in ("recording", "animal_id")},
        "known": known,
        "filled": filled,
        "lost": 1 - known - filled,
        "uneven": random.uniform(0.0, 0.1, n),
        "least_known": known - 0.1,
        "start_s": random.uniform(0, 86_400, n).round(),
        "length_s": np.full(n, 259_200.0),
    }
    rows = {name: columns.get(name, pl.Series([0.0] * n)) for name in CONTROLS.columns}
    CONTROLS.write(pl.DataFrame(rows, schema=dict(CONTROLS.columns)), data / "histograms" / "controls.parquet")


def seal_histograms(data: Path, params: Params, *, simulated: bool = True) -> None:
    """histograms.json of what lies in data/histograms."""
    folder, made = data / "histograms", _preprocessing(params)
    content = {"simulated": simulated, "classes": dump(params)["classes"], **made, "quality": dump(params.quality)}
    written = (records.STACKS, records.INDEX, records.CONTROLS_FILE, "start_hours.csv")
    write_json(folder / "histograms.json", records.seal("histograms", {**content, **ODD}, {}, folder, written))


def seal_training(folder: Path, **changes: Any) -> None:
    """train.json of what lies in `folder` (data/train, or a fold's), with values changed: simulated=False."""
    path = folder / "train.json"
    rewrite(path, **changes)
    data = next(parent for parent in folder.parents if (parent / "histograms").is_dir())
    made = records.HistogramsRecord(**json.loads((data / "histograms" / "histograms.json").read_text()))
    write_json(path, records.seal_training(folder, json.loads(path.read_text()), made))


def seal_evaluation(data: Path, params: Params, **metrics: Any) -> None:
    """evaluate.json of what lies in data/evaluate, with metrics changed or added, for the training in data/train."""
    folder = data / "evaluate"
    if metrics:
        path = folder / records.METRICS
        known = json.loads(path.read_text()) if path.is_file() else {}
        write_json(path, known | metrics)
    training = records.find_training(data, params)
    inputs = {"predictions": training.predictions, "history": training.history}
    written = [path.name for path in sorted(folder.iterdir()) if path.name != records.EVALUATION]
    record = records.seal_results("evaluate", {}, training, inputs, params, folder, written)
    write_json(folder / records.EVALUATION, record)


def stacks_of(
    classes: Sequence[str], cages: Sequence[str], shape: tuple[int, int, int], seed: int
) -> NDArray[np.uint16]:
    """Stacks that a network can tell apart: a class prefers a tile, AF (1, 4) by far, a cage adds a little."""
    rng = np.random.default_rng(seed)
    n = shape[-1]
    stacks = rng.poisson(0.3, (len(classes), *shape)).astype(np.uint16)
    for i, (name, cage) in enumerate(zip(classes, cages, strict=True)):
        place = sum(map(ord, name)) * 7 % (n * n)
        stacks[i, :, place // n, place % n] += 3
        stacks[i, :, 1, 4] += 9 * (name == "AF")
        stacks[i, :, len(cage) % n, sum(map(ord, cage)) % n] += 1
    return stacks


def seal_maps(data: Path, params: Params, **content: Any) -> None:
    """activation_maps.json of what lies in data/explain, for the training in data/train."""
    folder = data / "explain"
    training = records.full_training(data, params)
    written = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    inputs = {"weights": training.weights or ""}
    record = records.seal_results("explain", content, training, inputs, params, folder, written)
    write_json(folder / records.MAPS, record)


def sure(sample: dict, seed: int) -> list[float]:
    """The true class with 0.7, the others with 0.1."""
    return [0.7 if name == sample["class"] else 0.1 for name in ("AM", "JM", "AF", "JF")]


def write_study(
    data: Path, params: Params, probabilities: Probabilities = sure, simulated: bool = False
) -> pl.DataFrame:
    """Write data/histograms and data/train; returns the index."""
    index = write_histograms(data, params, simulated=simulated)
    write_training(data / "train", index, params, (*CAGES, ALL), probabilities, simulated)
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
            params.train.lr,
        )
        for fold in members
        for seed in params.train.seeds
        for epoch in range(1, params.train.epochs + 1)
    ]
    HISTORY.write(pl.DataFrame(history, schema=dict(HISTORY.columns), orient="row"), folder / "history.parquet")
    architecture = {
        "members": len(params.train.seeds),
        "intervals": len(params.histograms.counted),
        "tiles": params.histograms.tiles,
        "classes": len(params.classes),
        "kernels": list(params.train.kernels),
        "channels": params.train.channels,
        "pool": params.train.pool,
    }
    networks = {seed: StereotypeCNN(**{**architecture, "members": 1}) for seed in params.train.seeds}
    for seed, network in networks.items():
        initialise(network, seed)
    cages = [name for name in members if name != ALL]
    held_out = {(seed, cage): network for seed, network in networks.items() for cage in cages}
    save_tensors(join(held_out).state_dict(), folder / "folds.safetensors")
    if ALL in members:
        save_tensors(join(networks).state_dict(), folder / "weights.safetensors")
    preprocessing = _preprocessing(params)
    summary = {
        "format": 1,
        "classes": dump(params)["classes"],
        "seeds": list(params.train.seeds),
        "folds": sorted(set(index["cage"].to_list())),
        "architecture": architecture,
        "train": dump(params.train),
        "simulated": simulated,
        "n_samples": index.height,
        "n_recordings": index["recording"].n_unique(),
        "floor_cm": preprocessing.pop("floor_cm"),
        "preprocessing": preprocessing,
    }
    write_json(folder / "train.json", summary)
    seal_training(folder)


def _preprocessing(params: Params) -> dict:
    floor_cm = list(floor_of(params.stops.arena))
    return {"floor_cm": floor_cm, "stops": dump(params.stops), "histograms": dump(params.histograms)}


def run_study(data: Path, params: Params) -> Path:
    """The stages from histograms to evaluate; returns `data`."""
    write_histograms(data, params)
    train.train(data, params)
    evaluate.evaluate(data, params)
    return data


def everywhere(tiles: int) -> Reference:
    """A training cohort of one sample whose stops lie everywhere alike: no layout is nearer, nothing is too far."""
    return Reference(np.full((1, tiles, tiles), 1 / tiles, np.float32), None, 1.5)


@functools.cache
def prepared() -> Path:
    """Such a study, computed once for a whole test run."""
    return run_study(Path(_KEPT.name) / "data", small_params())


def rewrite(path: Path, **changes: Any) -> None:
    """Change values of a JSON file; dotted keys have a double underscore."""
    content = json.loads(path.read_text())
    for name, value in changes.items():
        *sections, key = name.split("__")
        place = content
        for section in sections:
            place = place[section]
        place[key] = value
    write_json(path, content)


def project(folder: Path, monkeypatch: pytest.MonkeyPatch, *, store: bool = True) -> Path:
    """An empty project as current folder; `store`: with MLflow's empty database, whose making takes seconds."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "DVC_ROOT"):
        monkeypatch.delenv(name, raising=False)
    folder.mkdir(exist_ok=True)
    (folder / "dvc.yaml").write_text("stages: {}\n")
    revisions.upgrade(folder / revisions.FILE)
    monkeypatch.chdir(folder)
    if store:
        shutil.copyfile(empty_store(), folder / "mlflow.db")
    return folder


@functools.cache
def registered() -> Path:
    """A project whose model was registered, as version 1 and champion; only to be read."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        folder = project(Path(_KEPT.name) / "registered", monkeypatch)
        copy(prepared())
        register.register(Path("data"), small_params())
    return folder


def enter(folder: Path, monkeypatch: pytest.MonkeyPatch, copy_to: Path | None = None) -> Path:
    """A project (or a copy of it, to be changed) as the current folder."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "DVC_ROOT"):
        monkeypatch.delenv(name, raising=False)
    place = Path(shutil.copytree(folder, copy_to)) if copy_to else folder
    monkeypatch.chdir(place)
    return place


def copy(data: Path, to: Path = Path("data")) -> Path:
    """A study's files, in the current project."""
    return Path(shutil.copytree(data, to))


@functools.cache
def empty_store() -> Path:
    path = Path(_KEPT.name) / "mlflow.db"
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{path}")
        clients.connect().search_registered_models()
    return path


_KEPT = tempfile.TemporaryDirectory(prefix="lmtcnn-study-")


def training_key(data: Path, params: Params) -> str:
    """The key of a training of the present histograms by the present parameters, whether it was done or not."""
    made = records.read_histograms(data / "histograms", params)
    return records.TrainRecord(
        revision=REVISIONS["train"],
        inputs={"histograms": made.digest},
        outputs={},
        training="",
        version=lmtcnn.__version__,
        classes=dump(params)["classes"],
        seeds=[],
        folds=[],
        architecture={},
        train=dump(params.train),
        simulated=made.simulated,
        preprocessing={"stops": made.stops, "histograms": made.histograms},
        floor_cm=made.floor_cm,
    ).key
