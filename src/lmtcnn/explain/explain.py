"""Explanations: where and when classes differ, what the networks use, and the paper's activation maps.

Three kinds, never mixed. Of the data alone, and the only ones that carry significance: places and hours in which
classes differ (`differences`). Of the networks, without significance: what speaks for a class (`networks`), and mean
activation maps (`maps`). Networks are asked about samples of cages that they have not seen.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lmtcnn.core.files import ensure_folder, write_json
from lmtcnn.core.params import Params
from lmtcnn.core.records import FOLDS, MAPS, Training, full_training, seal_results
from lmtcnn.explain import drawings, tables
from lmtcnn.explain.comparisons import compare_maps, compare_uses
from lmtcnn.explain.daytime import Daytime, daytime
from lmtcnn.explain.differences import CLASS, Differences, differences
from lmtcnn.explain.maps import ClassMaps, class_maps, describe
from lmtcnn.explain.networks import (
    Asked,
    ask,
    held_out_parts,
    on_arranged_labels,
    randomised_places,
    sharing_cores,
    untrained,
)
from lmtcnn.explain.pairs import Floats
from lmtcnn.explain.pictures import mean_stops, pictures_of, uses_drawing
from lmtcnn.explain.words import told
from lmtcnn.figures import figures, gallery
from lmtcnn.figures.gallery import Drawing
from lmtcnn.histograms import record
from lmtcnn.timeline.counted import counted_words
from lmtcnn.train.model import StereotypeCNN

SHAPES = "Maps: channels (of the input: intervals) x rows x columns."
LANES = 2
"""So many threads ask networks side by side, while figures are drawn."""

EXPLANATION, ARRAY = "explain.json", "activation_maps.npy"


class Blind(NamedTuple):
    """Networks that cannot know anything, by name, and the maps of what they use."""

    networks: dict[str, StereotypeCNN]
    places: dict[str, list[Floats]]


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
    with sharing_cores(LANES), ThreadPoolExecutor(LANES) as beside:  # PyTorch lets go of Python's lock: figures go on
        blind = beside.submit(_randomised, stacks, index, params, training)
        found = differences(stacks, index, params, day, training.record.floor_cm)
        asking = beside.submit(ask, stacks, index, params, training, found.masks)
        mapping = beside.submit(_activation_maps, stacks, index, params, training, found, blind)
        gallery.draw(folder, _drawings(stacks, index, params, training, day, found, asking, mapping))
        asked, (maps, summary), places = asking.result(), mapping.result(), blind.result().places
    names = tables.write_scopes(folder, found.scopes, day)
    names += tables.write_used(folder, asked.used, asked.zones)
    names += tables.write_samples(folder, index, asked.each, params.histograms.interval_s)
    names += tables.write_array(folder, ARRAY, maps.shown(params.explain.maps))
    content = told(found, day) | {"networks": compare_uses(asked, places, found.scopes[CLASS].contrasts)}
    write_json(folder / EXPLANATION, {"simulated": training.record.simulated, **content})
    names += [EXPLANATION, *gallery.files(folder)]
    inputs = {
        "histograms": training.record.inputs["histograms"],
        "weights": training.weights or "",
        "folds": training.record.outputs.get(FOLDS, ""),
    }
    sealed = seal_results("explain", summary, training, inputs, params, folder, names)
    write_json(folder / MAPS, sealed)
    return sealed


def _randomised(stacks: NDArray[Any], index: pl.DataFrame, params: Params, training: Training) -> Blind:
    """Make and ask the networks that cannot know anything; one on arranged labels only where the design allows it."""
    networks = {"untrained": untrained(training, params.explain.seed)}
    if (shuffled := on_arranged_labels(stacks, index, params, training)) is not None:
        networks["on_arranged_labels"] = shuffled
    return Blind(networks, randomised_places(stacks, index, params, networks))


def _activation_maps(
    stacks: NDArray[Any],
    index: pl.DataFrame,
    params: Params,
    training: Training,
    found: Differences,
    blind: Future[Blind],
) -> tuple[ClassMaps, dict[str, Any]]:
    """The maps of held-out networks, and what activation_maps.json says of them beside those of the others."""
    classes, chosen = list(params.classes), params.explain
    codes = np.array([classes.index(name) for name in index["class"]], dtype=np.int64)
    settings = (len(classes), params.train.transform, chosen.layer)
    maps = class_maps(held_out_parts(index, params, training), stacks, codes, *settings)
    every, networks = np.arange(len(stacks)), blind.result().networks
    others = {name: class_maps([(every, network)], stacks, codes, *settings) for name, network in networks.items()}
    summary = describe(maps, training.record, classes, chosen) | {"counted": counted_words(params.histograms)}
    return maps, compare_maps(summary, maps, others, found, codes, params)


def _drawings(
    stacks: NDArray[Any],
    index: pl.DataFrame,
    params: Params,
    training: Training,
    day: Daytime,
    found: Differences,
    asking: Future[Asked],
    mapping: Future[tuple[ClassMaps, dict[str, Any]]],
) -> Iterator[Drawing]:
    """All figures, those first that need no network; of maps, of the network as a diagram, of one hour of one mouse."""
    simulated, floor_cm = training.record.simulated, training.record.floor_cm
    hourly = mean_stops(stacks, index, list(params.classes))
    yield from pictures_of(found, day, hourly, floor_cm, params.furniture, simulated=simulated)
    network = StereotypeCNN(**{**training.record.architecture, "members": 1})
    diagram = (drawings.describe_network(network, list(params.classes)), "The network", SHAPES)
    yield Drawing("architecture.png", figures.architecture, diagram)
    yield from drawings.example(stacks, index, params)
    if found.scopes[CLASS].contrasts:
        yield uses_drawing(asking.result(), day, floor_cm, params.furniture, simulated=simulated)
    planted = drawings.find_zones(params) if simulated else None
    maps, summary = mapping.result()
    yield from drawings.drawings_of(maps.shown(params.explain.maps), summary, params.furniture, planted)
