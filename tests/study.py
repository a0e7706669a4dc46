"""A small study as the stages leave it, for tests of what comes after: 4 cages of 2 mice at 2 ages, 3 x 6 x 6 maps."""

import functools
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from conftest import ROOT, stacks_of
from lmtcnn import evaluate, register, tracking, train
from lmtcnn.files import write_json
from lmtcnn.params import Params, dump, load, parse
from lmtcnn.schemas import index_table

INTERVALS, TILES, CAGES = 3, 6, ("c1", "c2", "c3", "c4")


def small_params(**changes: object) -> Params:
    """params.yaml for such a study; changes are dotted with a double underscore: train__lr=0.1."""
    raw = dump(load(ROOT / "params.yaml"))
    raw["histograms"] |= {"intervals": INTERVALS, "tiles": TILES, "interval_s": 10.0}
    raw["train"] |= {"epochs": 3, "channels": 2, "seeds": [0, 1], "batch": 8, "device": "cpu", "lr": 0.05}
    raw["register"] = {"promotion": str(ROOT / "mlops" / "promotion.py")}
    for name, value in changes.items():
        section, key = name.split("__")
        raw[section][key] = value
    return parse(raw, "test")


def write_histograms(data: Path, params: Params) -> None:
    """data/histograms of a cohort in which each class has a tile of its own."""
    rows = [
        {"recording": f"{cage}_{age}", "animal_id": i, "rfid": f"{cage}{i}", "cage": cage, "sex": sex, "age": age,
         "class": next(n for n, labels in params.classes.items() if labels == {"sex": sex, "age": age}),
         "n_stops": 40, "n_outside": 0, "n_late": 0}
        for number, cage in enumerate(CAGES)
        for sex in ["FM"[number % 2]]
        for age in ("adult", "juvenile")
        for i in (1, 2)
    ]  # fmt: skip
    schema = index_table(params.labels)
    index = pl.DataFrame(rows, schema=dict(schema.columns))
    schema.write(index, data / "histograms" / "index.parquet")
    stacks = stacks_of(index["class"].to_list(), index["cage"].to_list(), (INTERVALS, TILES, TILES), seed=0)
    np.save(data / "histograms" / "stacks.npy", stacks)
    floor_cm = [params.stops.arena.width_cm, params.stops.arena.height_cm]
    made = {"simulated": True, "floor_cm": floor_cm, "stops": dump(params.stops)}
    write_json(data / "histograms" / "histograms.json", made | {"histograms": dump(params.histograms)})


def run_study(data: Path, params: Params) -> Path:
    """The stages from histograms to evaluate; returns `data`."""
    write_histograms(data, params)
    train.train(data, params)
    evaluate.evaluate(data, params)
    return data


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
        tracking.connect().search_registered_models()
    return path


_KEPT = tempfile.TemporaryDirectory(prefix="lmtcnn-study-")
