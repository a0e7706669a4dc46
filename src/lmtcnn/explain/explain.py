"""Activation maps: the map of every channel, averaged over the samples of each class.

Beside the maps, what they were made of: the network as a diagram, and one hour of one mouse on its way to a histogram.

Networks of different folds have channels that do not correspond, so the maps are of *one network trained on all
cages*, the member of `explain.seed`. It has seen the samples it is shown with: the maps say what this network does,
not how well it would do.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from lmtcnn import SIMULATED
from lmtcnn.cohort import cohort
from lmtcnn.core.errors import DataError, OutputError, ParamsError, problem
from lmtcnn.core.files import atomic, ensure_folder, read_json, write_json
from lmtcnn.core.params import Params
from lmtcnn.core.process import cores
from lmtcnn.core.records import MAPS, TrainRecord, full_training, read_maps, seal_results
from lmtcnn.core.sections import ExplainParams
from lmtcnn.figures import figures, floor, gallery
from lmtcnn.figures.gallery import Drawing
from lmtcnn.histograms import record
from lmtcnn.inspect import plot
from lmtcnn.timeline.counted import counted_words
from lmtcnn.train.model import StereotypeCNN, prepare, select
from lmtcnn.train.train import load_members

BATCH = 16
CROSSES = 3
CROSS_SPACING_TILES = 4
"""Crosses lie at least so far apart, so that neighbours of one place do not take all of them."""

log = logging.getLogger("lmtcnn")

SHAPES = "Maps: channels (of the input: intervals) x rows x columns."

NAMES = {"conv": "convolution", "relu": "ReLU", "pool": "max-pooling"}
LAYERS = {
    "conv": "activation before ReLU",
    "relu": "activation after ReLU and before pooling",
    "pool": "activation after ReLU and pooling",
}
DEFINITIONS = {
    "maps": "{layer}, averaged over the samples of a class",
    "spread": "largest minus smallest class mean in a tile",
    "crosses": f"the {CROSSES} tiles of largest spread, at least {CROSS_SPACING_TILES} tiles apart",
    "difference": "share of the variance between samples that lies between classes, all tiles together",
    "order": "channels from the largest difference to the smallest",
}


class ClassMaps(NamedTuple):
    """Mean maps of all samples, for C classes and K channels.

    `means` (C, K, N, N), NaN for a class without samples; `counts` (C,); `difference` (K,), from 0 to 1.
    """

    means: NDArray[np.float64]
    counts: NDArray[np.int64]
    difference: NDArray[np.float64]


def explain(data: Path, params: Params) -> dict[str, Any]:
    """The stage: arrays, activation_maps.json and all drawings in data/explain; returns the JSON's content.

    activation_maps.npy (classes, channels, N, N); maps/, a figure for each channel; atlas, all of them; architecture;
    example/, one hour of a mouse. Raises DataError where the training or the histograms are missing, or the training
    had other parameters.
    """
    stacks, index = record.load(data / "histograms", params)
    model, training = load_members(data, params)
    made = training.record
    classes, seed = list(params.classes), params.explain.seed
    network = select(model, [made.seeds.index(seed)])
    codes = np.array([classes.index(name) for name in index["class"]], dtype=np.int64)
    maps = class_maps(network, stacks, codes, len(classes), params.train.transform, params.explain.layer)
    folder = ensure_folder(data / "explain")
    with atomic(folder / "activation_maps.npy") as temporary, temporary.open("wb") as stream:
        np.save(stream, maps.means.astype(np.float32))
    summary = describe(maps, network, made, classes, params.explain) | {"counted": counted_words(params.histograms)}
    drawings = [
        *drawings_of(maps, summary, params.furniture, find_zones(params) if made.simulated else None),
        Drawing("architecture.png", figures.architecture, (describe_network(network, classes), "The network", SHAPES)),
        *_example(stacks, index, params),
    ]
    gallery.draw(folder, drawings, cores())
    drawn = [name for drawing in drawings for name in drawing.files]
    inputs = {"histograms": made.inputs["histograms"], "weights": training.weights or ""}
    sealed = seal_results("explain", summary, training, inputs, params, folder, ["activation_maps.npy", *drawn])
    write_json(folder / MAPS, sealed)
    return sealed


def class_maps(
    network: StereotypeCNN,
    stacks: NDArray[Any],
    codes: NDArray[np.int64],
    classes: int,
    transform: str,
    layer: str = "relu",
) -> ClassMaps:
    """Mean maps of each class, and how much of each channel's variance they explain, BATCH samples at a time.

    `network` has one member; its channels are numbered kernel by kernel. `codes` (S,) are class numbers of `stacks`.
    """
    sums: NDArray[np.float64] | None = None
    squares: NDArray[np.float64] | None = None
    for start in range(0, len(stacks), BATCH):
        with torch.inference_mode():
            found = network.activations(prepare(stacks[start : start + BATCH], transform), layer)
        batch = torch.cat([values[0] for values in found.values()], dim=1).double().numpy()  # (B, K, N, N)
        if sums is None or squares is None:
            sums, squares = np.zeros((classes, *batch.shape[1:])), np.zeros(batch.shape[1:])
        np.add.at(sums, codes[start : start + BATCH], batch)
        squares += np.square(batch).sum(axis=0)
    if sums is None or squares is None:
        raise DataError(problem("the histograms", "samples", "none", "run `lmtcnn histograms` again"))
    counts = np.bincount(codes, minlength=classes)
    means = np.full(sums.shape, np.nan)
    means[counts > 0] = sums[counts > 0] / counts[counts > 0, None, None, None]
    return ClassMaps(means, counts, _between_share(sums, squares, counts))


def _between_share(
    sums: NDArray[np.float64], squares: NDArray[np.float64], counts: NDArray[np.int64]
) -> NDArray[np.float64]:
    """eta^2 = sum_c n_c (m_c - m)^2 / sum_s (a_s - m)^2 of each channel, both summed over tiles; 0 where all is equal.

    sums (C, K, N, N) and squares (K, N, N) are of activations a_s; m_c are class means, m the mean of all.
    """
    common = np.square(sums.sum(axis=0)) / counts.sum()  # n m^2
    within_classes = np.square(sums) / np.maximum(counts, 1)[:, None, None, None]  # n_c m_c^2
    between = (within_classes.sum(axis=0) - common).sum(axis=(1, 2))
    total = (squares - common).sum(axis=(1, 2))
    floor = 1e-9 * squares.sum(axis=(1, 2))  # rounding is not variance
    return np.where(total > floor, np.clip(between / np.where(total > floor, total, 1), 0, 1), 0.0)


def spread(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Largest minus smallest class mean in each tile, (K, N, N), of means (C, K, N, N); empty classes do not count."""
    known = means[~np.isnan(means).all(axis=(1, 2, 3))]
    return np.asarray(known.max(axis=0) - known.min(axis=0))


def top_tiles(
    values: NDArray[np.float64], n: int = CROSSES, spacing: int = CROSS_SPACING_TILES
) -> list[tuple[int, int]]:
    """(row, column) of the n largest values above 0 of a map, each at least `spacing` tiles from those before it.

    Ties: the upper row, then the left column.
    """
    chosen: list[tuple[int, int]] = []
    for place in np.argsort(-values, axis=None, kind="stable"):
        row, column = divmod(int(place), values.shape[1])
        if len(chosen) == n or values[row, column] <= 0:
            break
        if all((row - r) ** 2 + (column - c) ** 2 >= spacing**2 for r, c in chosen):
            chosen.append((row, column))
    return chosen


def describe(
    maps: ClassMaps, network: StereotypeCNN, made: TrainRecord, classes: Sequence[str], chosen: ExplainParams
) -> dict[str, Any]:
    """activation_maps.json: axes, provenance, and each channel's figure, difference and crosses."""
    width, height = made.floor_cm
    tiles = maps.means.shape[-1]
    per_kernel = network.architecture["channels"]
    channels = []
    for k, values in enumerate(spread(maps.means)):
        kernel, channel = network.architecture["kernels"][k // per_kernel], k % per_kernel
        crosses = [
            {
                "row": row,
                "column": column,
                "x_cm": round((column + 0.5) * width / tiles, 3),
                "y_cm": round((row + 0.5) * height / tiles, 3),
                "spread": float(values[row, column]),
            }
            for row, column in top_tiles(values)
        ]
        name = f"maps/{kernel}x{kernel}_{channel:02}.png"
        difference = float(maps.difference[k])
        channels.append(
            {"kernel": kernel, "channel": channel, "figure": name, "difference": difference, "crosses": crosses}
        )
    return {
        "format": 1,
        "simulated": made.simulated,
        "network": f"one network trained on all cages, seed {chosen.seed}",
        "seed": chosen.seed,
        "layer": chosen.layer,
        "axes": ["class", "channel", "row", "column"],
        "classes": list(classes),
        "n_samples": {name: int(n) for name, n in zip(classes, maps.counts, strict=True)},
        "floor_cm": [width, height],
        "origin": "upper left corner of the floor, x to the right with the column, y down with the row",
        "definitions": {name: text.format(layer=LAYERS[chosen.layer]) for name, text in DEFINITIONS.items()},
        "order": [int(k) for k in np.argsort(-maps.difference, kind="stable")],
        "channels": channels,
    }


def drawings_of(
    maps: ClassMaps,
    summary: Mapping[str, Any],
    furniture: floor.Zones,
    planted: floor.Zones | None = None,
) -> list[Drawing]:
    """A figure for each channel in maps/, and the atlas of all of them."""
    numbered = {str(i): (name, zone) for i, (name, zone) in enumerate((planted or {}).items(), start=1)}
    note = caption(summary, {number: name for number, (name, _) in numbered.items()})
    note += " Outlined: what stands in the cage." if furniture else ""
    drawings = []
    for k, channel in enumerate(summary["channels"]):
        title = f"{NAMES[summary['layer']]} / {channel['kernel']}x{channel['kernel']} / channel {channel['channel']:02}"
        given = (maps.means[:, k], summary["classes"], tuple(summary["floor_cm"]), title)
        named = {
            "note": note,
            "crosses": [(cross["row"], cross["column"]) for cross in channel["crosses"]],
            "furniture": furniture,
            "planted": {number: zone for number, (_, zone) in numbered.items()},
        }
        drawings.append(Drawing(channel["figure"], floor.activation_maps, given, named))
    mice = f"{SIMULATED}. " if summary["simulated"] else ""
    kernels = list(dict.fromkeys(channel["kernel"] for channel in summary["channels"]))
    words = [f"{channel['channel']:02}\n{channel['difference']:.0%}" for channel in summary["channels"]]
    title = f"All channels, {NAMES[summary['layer']]}"
    note = (
        f"{mice}{summary['network'].capitalize()}; mean over the samples of a class, each channel on its own scale. "
        + (f"Counted: {summary['counted']}. " if summary["counted"] else "")
        + f"Percent: {DEFINITIONS['difference']}."
    )
    return [*drawings, Drawing("atlas.png", floor.atlas, (maps.means, summary["classes"], kernels, words, title, note))]


def paper_figure(
    data: Path,
    params: Params,
    out: Path,
    channels: Sequence[str],
    classes: Sequence[str],
    title: str,
    *,
    crosses: bool = True,
) -> Path:
    """Draw chosen channels for chosen classes from the arrays in data/explain, a row a channel, a column a class.

    Parameters
    ----------
    data
        The study's data folder, in which the stage `explain` has been run.
    out
        The figure's file; its ending chooses the format.
    channels
        Names such as `3x3/04`, kernel and number; none means the one in which the classes differ most.
    classes
        Names of classes in the order of the columns; none means all of them.
    title
        Words above the figure, empty for none. Maps of simulated mice always say below that they are.
    crosses
        Whether the tiles of largest spread are marked.

    Returns
    -------
    Path
        The file, `out`.

    Raises
    ------
    DataError
        Where the maps are missing or are not those of the present training.
    ParamsError
        Where there is no such channel or class, with those that are there.
    OutputError
        Where the ending names no format.
    """
    if out.suffix.lower() not in figures.FORMATS:
        expected = f"a name that ends in {', '.join(figures.FORMATS)}"
        raise OutputError(problem(out, expected, out.suffix or "none", "rename it"))
    folder = data / "explain"
    read_maps(data, params, full_training(data, params))
    summary = read_json(folder / MAPS, "activation maps", "explain")
    means = np.load(folder / "activation_maps.npy")
    known = {
        f"{channel['kernel']}x{channel['kernel']}/{channel['channel']:02}": channel for channel in summary["channels"]
    }
    names = list(known)
    rows = list(channels) or [names[summary["order"][0]]]
    columns = list(classes) or summary["classes"]
    wrong = [
        problem(f"--channel {name}", f"one of {names[0]} to {names[-1]}", "another", "correct it")
        for name in rows
        if name not in known
    ]
    wrong += [
        problem(f"--class {name}", f"one of {', '.join(summary['classes'])}", "another", "correct it")
        for name in columns
        if name not in summary["classes"]
    ]
    if wrong:
        raise ParamsError(wrong)
    chosen = means[[summary["classes"].index(name) for name in columns]][:, [names.index(name) for name in rows]]
    marked = [[(cross["row"], cross["column"]) for cross in known[name]["crosses"]] for name in rows]
    figure = floor.paper_maps(
        chosen,
        columns,
        rows,
        tuple(summary["floor_cm"]),
        figures.class_colours(summary["classes"]),
        title=title,
        note=SIMULATED if summary["simulated"] else "",
        crosses=marked if crosses else (),
        furniture=params.furniture,
    )
    figures.save_as(figure, out)
    return out


def describe_network(network: StereotypeCNN, classes: Sequence[str]) -> dict[str, Any]:
    """Shapes and numbers of parameters of one member, taken from the network itself by sending zeros through it."""
    shape = network.architecture
    x = torch.zeros(1, shape["intervals"], shape["tiles"], shape["tiles"])
    with torch.inference_mode():
        maps, pooled = network.activations(x), network.activations(x, "pool")
    counts = {name: values[0].numel() for name, values in network.named_parameters()}  # of the first member
    branches = [
        {
            "kernel": kernel,
            "maps": list(maps[kernel].shape[2:]),
            "pooled": list(pooled[kernel].shape[2:]),
            "parameters": sum(n for name, n in counts.items() if name.startswith(f"branch{kernel}.")),
        }
        for kernel in shape["kernels"]
    ]
    linear = sum(n for name, n in counts.items() if name.startswith("linear."))
    return {
        "input": list(x.shape[1:]),
        "branches": branches,
        "pool": shape["pool"],
        "features": sum(int(np.prod(branch["pooled"])) for branch in branches),
        "linear_parameters": linear,
        "parameters": sum(counts.values()),
        "classes": list(classes),
    }


def _example(stacks: NDArray[Any], index: pl.DataFrame, params: Params) -> list[Drawing]:
    """The first sample with a stop, in the interval with most stops, from its database; a line where there is none."""
    number = next((i for i, stack in enumerate(stacks) if stack.any()), None)
    if number is None:
        log.warning("no stop is counted in any sample, so no figures of an example")
        return []
    first = index.row(number, named=True)
    manifest = Path(params.cohort.manifest)
    known = cohort.load(params).recordings if manifest.is_file() else ()
    recording = next((r for r in known if r.name == first["recording"]), None)
    if recording is None or not all(path.is_file() for path in recording.files):
        log.warning("%s: no database at hand, so no figures of an example", first["recording"])
        return []
    interval = params.histograms.counted[int(stacks[number].sum(axis=(1, 2)).argmax())]
    _, drawings = plot.drawings_of(recording, first["rfid"], interval, params)
    return [replace(drawing, name=f"example/{drawing.name}") for drawing in drawings]


def caption(summary: Mapping[str, Any], zones: Mapping[str, str]) -> str:
    """Say what a figure shows, of which network, of which mice; `zones` are names by number."""
    mice = f"{SIMULATED}. " if summary["simulated"] else ""
    text = f"{mice}{summary['network'].capitalize()}; mean over the samples of a class."
    text += f" Counted: {summary['counted']}." if summary["counted"] else ""
    text += f" Crosses: {DEFINITIONS['crosses']} (spread: {DEFINITIONS['spread']})."
    if zones:
        listed = ", ".join(f"{number} {name.replace('_', ' ')}" for number, name in zones.items())
        text += f" Dashed: zones where the simulator made classes differ most: {listed}."
    return text


def find_zones(params: Params) -> dict[str, Any] | None:
    """Where a simulated cohort's classes were made to differ most, by truth.json; None where there is no such file.

    truth.json lies beside the databases or the manifest. Zones are those that some class prefers or avoids (a natural
    logarithm) at least half as strongly as any class any zone: an outline for every wall would hide the maps.
    """
    for folder in (Path(params.cohort.databases), Path(params.cohort.manifest).parent):
        path = folder / "truth.json"
        if path.is_file():
            truth = read_json(path, "the truth of a simulated cohort", "simulate")
            preferences = [found["log_preference"] for found in truth["classes"].values()]
            strongest = {name: max(abs(found[name]) for found in preferences) for name in truth["zones"]}
            limit = max(strongest.values()) / 2
            return {name: zone for name, zone in truth["zones"].items() if strongest[name] >= limit > 0}
    return None
