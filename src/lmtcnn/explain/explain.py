"""Explanations: where and when classes differ, what the networks use, and the paper's activation maps.

Three kinds, never mixed. Of the data alone, and the only ones that carry significance: places and hours in which
classes differ (`differences`). Of the networks, without significance: what speaks for a class (`networks`), and mean
activation maps (`maps`). Networks are asked about samples of cages that they have not seen.
"""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lmtcnn.core.files import ensure_folder, write_json
from lmtcnn.core.params import Params
from lmtcnn.core.process import cores
from lmtcnn.core.records import FOLDS, MAPS, Training, full_training, seal_results
from lmtcnn.explain import drawings, tables
from lmtcnn.explain.comparisons import compare_maps, compare_uses
from lmtcnn.explain.daytime import daytime
from lmtcnn.explain.differences import CLASS, Differences, differences
from lmtcnn.explain.maps import ClassMaps, class_maps, describe
from lmtcnn.explain.networks import ask, held_out_parts, on_arranged_labels, untrained
from lmtcnn.explain.pictures import mean_stops, pictures_of
from lmtcnn.explain.words import told
from lmtcnn.figures import figures, gallery
from lmtcnn.figures.gallery import Drawing
from lmtcnn.histograms import record
from lmtcnn.timeline.counted import counted_words
from lmtcnn.train.model import StereotypeCNN

SHAPES = "Maps: channels (of the input: intervals) x rows x columns."
EXPLANATION, ARRAY = "explain.json", "activation_maps.npy"


def explain(data: Path, params: Params) -> dict[str, Any]:
    """The stage: tables, arrays and drawings in data/explain; returns the content of activation_maps.json.

    Parameters
    ----------
    data
        The study's folder, with histograms and a full training.
    params
        The study's parameters.

    Raises
    ------
    DataError
        Where the training or the histograms are missing, or the training had other parameters.
    """
    training = full_training(data, params)
    stacks, index = record.load(data / "histograms", params)
    folder = ensure_folder(data / "explain")
    day = daytime(data / "histograms" / "start_hours.csv", params)
    found = differences(stacks, index, params, day, training.record.floor_cm)
    randomised = _randomised(stacks, index, params, training)
    asked = ask(stacks, index, params, training, found.masks, randomised)
    names = tables.write_scopes(folder, found.scopes, day)
    names += tables.write_used(folder, asked.used, asked.zones)
    names += tables.write_samples(folder, index, asked.each, params.histograms.interval_s)
    maps, summary = _activation_maps(stacks, index, params, training, found, randomised)
    shown = maps.shown(params.explain.maps)
    names += tables.write_array(folder, ARRAY, shown)
    content = told(found, day) | {"networks": compare_uses(asked, found.scopes[CLASS].contrasts)}
    write_json(folder / EXPLANATION, {"simulated": training.record.simulated, **content})
    drawn = _drawings(stacks, index, params, training, shown, summary)
    classes = list(params.classes)
    hourly = mean_stops(stacks, index, classes)
    simulated, floor_cm = training.record.simulated, training.record.floor_cm
    drawn += pictures_of(found, asked, day, hourly, floor_cm, params.furniture, simulated=simulated)
    gallery.draw(folder, drawn, cores())
    names += [EXPLANATION, *(name for drawing in drawn for name in drawing.files)]
    inputs = {
        "histograms": training.record.inputs["histograms"],
        "weights": training.weights or "",
        "folds": training.record.outputs.get(FOLDS, ""),
    }
    sealed = seal_results("explain", summary, training, inputs, params, folder, names)
    write_json(folder / MAPS, sealed)
    return sealed


def _randomised(
    stacks: NDArray[Any], index: pl.DataFrame, params: Params, training: Training
) -> dict[str, StereotypeCNN]:
    """The networks that cannot know anything, by name; one on arranged labels only where the design allows it."""
    made = {"untrained": untrained(training, params.explain.seed)}
    shuffled = on_arranged_labels(stacks, index, params, training)
    return made if shuffled is None else made | {"on_arranged_labels": shuffled}


def _activation_maps(
    stacks: NDArray[Any],
    index: pl.DataFrame,
    params: Params,
    training: Training,
    found: Differences,
    randomised: dict[str, StereotypeCNN],
) -> tuple[ClassMaps, dict[str, Any]]:
    """The maps of held-out networks, and what activation_maps.json says of them beside those of the others."""
    classes, chosen = list(params.classes), params.explain
    codes = np.array([classes.index(name) for name in index["class"]], dtype=np.int64)
    settings = (len(classes), params.train.transform, chosen.layer)
    maps = class_maps(held_out_parts(index, params, training), stacks, codes, *settings)
    every = np.arange(len(stacks))
    others = {name: class_maps([(every, network)], stacks, codes, *settings) for name, network in randomised.items()}
    summary = describe(maps, training.record, classes, chosen) | {"counted": counted_words(params.histograms)}
    return maps, compare_maps(summary, maps, others, found, codes, params)


def _drawings(
    stacks: NDArray[Any],
    index: pl.DataFrame,
    params: Params,
    training: Training,
    shown: NDArray[np.float64],
    summary: dict[str, Any],
) -> list[Drawing]:
    """The paper's figures: maps, the network as a diagram, and one hour of one mouse."""
    planted = drawings.find_zones(params) if training.record.simulated else None
    network = StereotypeCNN(**{**training.record.architecture, "members": 1})
    diagram = (drawings.describe_network(network, list(params.classes)), "The network", SHAPES)
    return [
        *drawings.drawings_of(shown, summary, params.furniture, planted),
        Drawing("architecture.png", figures.architecture, diagram),
        *drawings.example(stacks, index, params),
    ]
