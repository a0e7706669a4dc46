"""The maps of chosen channels and classes as a figure for a paper, from what the stage left."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lmtcnn import SIMULATED
from lmtcnn.core.errors import OutputError, ParamsError, problem
from lmtcnn.core.files import read_json
from lmtcnn.core.params import Params
from lmtcnn.core.records import MAPS, full_training, read_maps
from lmtcnn.explain.drawings import crosses_by_class
from lmtcnn.figures import figures, paper


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
        Whether the tiles in which a class departs most from all are marked.

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
    _check_names(rows, names, columns, summary["classes"])
    chosen = means[[summary["classes"].index(name) for name in columns]][:, [names.index(name) for name in rows]]
    marked = [crosses_by_class(known[name], columns) for name in rows]
    figure = paper.paper_maps(
        chosen,
        columns,
        rows,
        tuple(summary["floor_cm"]),
        figures.class_colours(summary["classes"]),
        title=title,
        note=SIMULATED if summary["simulated"] else "",
        crosses=marked if crosses else (),
        furniture=params.furniture,
        diverging=summary["maps"] == "difference",
    )
    figures.save_as(figure, out)
    return out


def _check_names(rows: Sequence[str], channels: Sequence[str], columns: Sequence[str], classes: Sequence[str]) -> None:
    """Raise ParamsError, a line each, for channels and classes that the maps do not have."""
    expected = f"one of {channels[0]} to {channels[-1]}"
    wrong = [problem(f"--channel {n}", expected, "another", "correct it") for n in rows if n not in channels]
    expected = f"one of {', '.join(classes)}"
    wrong += [problem(f"--class {n}", expected, "another", "correct it") for n in columns if n not in classes]
    if wrong:
        raise ParamsError(wrong)
