"""Activation maps: the map of every channel, averaged over the samples of each class.

Beside the maps, what they were made of: the network as a diagram, and one hour of one mouse on its way to a histogram.

Networks of different folds have channels that do not correspond, so the maps are of *one network trained on all
cages*, the member of `explain.seed`. It has seen the samples it is shown with: the maps say what this network does,
not how well it would do.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lmtcnn import SIMULATED
from lmtcnn.core.errors import OutputError, ParamsError, problem
from lmtcnn.core.files import atomic, ensure_folder, read_json, write_json
from lmtcnn.core.params import Params
from lmtcnn.core.process import cores
from lmtcnn.core.records import MAPS, full_training, read_maps, seal_results
from lmtcnn.explain import drawings
from lmtcnn.explain.maps import class_maps, describe
from lmtcnn.figures import figures, floor, gallery
from lmtcnn.figures.gallery import Drawing
from lmtcnn.histograms import record
from lmtcnn.timeline.counted import counted_words
from lmtcnn.train.model import select
from lmtcnn.train.weights import load_members

SHAPES = "Maps: channels (of the input: intervals) x rows x columns."


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
    planted = drawings.find_zones(params) if made.simulated else None
    diagram = (drawings.describe_network(network, classes), "The network", SHAPES)
    drawn = [
        *drawings.drawings_of(maps, summary, params.furniture, planted),
        Drawing("architecture.png", figures.architecture, diagram),
        *drawings.example(stacks, index, params),
    ]
    gallery.draw(folder, drawn, cores())
    names = [name for drawing in drawn for name in drawing.files]
    inputs = {"histograms": made.inputs["histograms"], "weights": training.weights or ""}
    sealed = seal_results("explain", summary, training, inputs, params, folder, ["activation_maps.npy", *names])
    write_json(folder / MAPS, sealed)
    return sealed


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
