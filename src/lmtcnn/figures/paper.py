"""Activation maps of chosen channels and classes, as a figure for a paper."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from numpy.typing import NDArray

from lmtcnn.figures.figures import fitting, styled, wrapped
from lmtcnn.figures.floor import Cross, Zones, draw_map, map_label, outer_labels, scale_of


@styled()
def paper_maps(
    maps: NDArray[Any],
    classes: Sequence[str],
    channels: Sequence[str],
    floor_cm: tuple[float, float],
    colours: Mapping[str, str],
    *,
    title: str = "",
    note: str = "",
    crosses: Sequence[Sequence[Sequence[Cross]]] = (),
    furniture: Zones | None = None,
    diverging: bool = False,
) -> Figure:
    """Chosen channels for chosen classes as a figure for a paper: a row for each channel, a column for each class.

    Parameters
    ----------
    maps
        Mean activation maps (classes, channels, N, N); rows of a map are y. Every row of the figure has one scale.
    classes, channels
        Names of the columns and of the rows. A single channel has none beside it: the paper's caption says it.
    floor_cm
        Width and height of the floor in cm.
    colours
        The colour of each class, `class_colours` of all classes of the study, so that a class keeps its own.
    title, note
        What stands above and, in small print, below; nothing by default.
    crosses
        For each channel and class the tiles that are marked.
    furniture
        What stands in the cage, outlined.
    diverging
        Whether colours are around 0.
    """
    wide, tall = 2.1 * len(classes) + 1.25, 2.1 * len(channels)
    lines = wrapped(note, wide) if note else []
    above, below = (0.62 if title else 0.3), 0.5 + 0.145 * len(lines)
    high = above + tall + below
    figure = Figure(figsize=(wide, high))
    grid = figure.add_gridspec(
        len(channels),
        len(classes),
        left=0.62 / wide,
        right=1 - 0.75 / wide,
        top=1 - above / high,
        bottom=below / high,
        wspace=0.08,
        hspace=0.12,
    )
    figure.suptitle(title, size=12, y=1 - 0.1 / high)
    figure.text(0.02, 0.05 / high, "\n".join(lines), size=8, va="bottom")
    for row, channel in enumerate(channels):
        scale = scale_of(maps[:, row], diverging=diverging)
        for column, name in enumerate(classes):
            panel = figure.add_subplot(grid[row, column])
            panel.spines[:].set(visible=True, color=colours[name], linewidth=2)
            marked = crosses[row][column] if crosses else ()
            image = draw_map(panel, maps[column, row], scale, floor_cm, furniture, marked)
            if row == 0:
                words, size = fitting(name, 1.9, 10, bold=True)
                panel.set_title(words, weight="bold", size=size, pad=5)
            outer_labels(panel, left=column == 0, lowest=row == len(channels) - 1)
        place = panel.get_position()
        bar = figure.add_axes((place.x1 + 0.1 / wide, place.y0, 0.09 / wide, place.height))
        figure.colorbar(image, cax=bar, label=channel if len(channels) > 1 else map_label(diverging=diverging))
    return figure
