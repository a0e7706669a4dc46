"""A small study as the stages leave it, for tests of what comes after: 4 cages of 2 mice at 2 ages, 3 x 6 x 6 maps."""

from pathlib import Path

import numpy as np
import polars as pl
from conftest import ROOT, stacks_of

from lmtcnn import evaluate, explain, train
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


def write_histograms(data: Path, params: Params, *, simulated: bool = True, seed: int = 0, cages=CAGES) -> None:
    """data/histograms of a cohort in which each class has a tile of its own."""
    rows = [
        {"recording": f"{cage}_{age}", "animal_id": i, "rfid": f"{cage}{i}", "cage": cage, "sex": sex, "age": age,
         "class": next(n for n, labels in params.classes.items() if labels == {"sex": sex, "age": age}),
         "n_stops": 40, "n_outside": 0, "n_late": 0}
        for number, cage in enumerate(cages)
        for sex in ["FM"[number % 2]]
        for age in ("adult", "juvenile")
        for i in (1, 2)
    ]  # fmt: skip
    schema = index_table(params.labels)
    index = pl.DataFrame(rows, schema=dict(schema.columns))
    schema.write(index, data / "histograms" / "index.parquet")
    stacks = stacks_of(index["class"].to_list(), index["cage"].to_list(), (INTERVALS, TILES, TILES), seed)
    np.save(data / "histograms" / "stacks.npy", stacks)
    floor_cm = [params.stops.arena.width_cm, params.stops.arena.height_cm]
    made = {"simulated": simulated, "floor_cm": floor_cm, "stops": dump(params.stops)}
    write_json(data / "histograms" / "histograms.json", made | {"histograms": dump(params.histograms)})


def run_study(data: Path, params: Params, *, maps: bool = False, **cohort: object) -> Path:
    """All stages from histograms to evaluate (and explain); returns `data`."""
    write_histograms(data, params, **cohort)
    train.train(data, params)
    evaluate.evaluate(data, params)
    if maps:
        explain.explain(data, params)
    return data
