"""Where classes differ: a map of the difference for every two of them, the tiles outlined that carry significance."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lmtcnn.figures.figures import fitting, styled, wrapped
from lmtcnn.figures.floor import Zones, draw_map, outer_labels, scale_of

COLUMNS = 3
"""Maps side by side."""


@styled()
def contrast_maps(
    maps: NDArray[np.float64],
    marked: NDArray[np.bool_],
    names: Sequence[str],
    words: Sequence[str],
    floor_cm: tuple[float, float],
    title: str,
    *,
    label: str,
    note: str = "",
    furniture: Zones | None = None,
) -> Figure:
    """Draw a map of the difference for each pair, all on one scale around 0.

    Parameters
    ----------
    maps
        (pairs, N, N), rows are y.
    marked
        (pairs, N, N) tiles that are outlined.
    names, words
        What stands above each map, and below that in small print.
    floor_cm
        Width and height of the floor in cm.
    title, note
        What stands above and below the figure.
    label
        What the colours say.
    furniture
        What stands in the cage, outlined.
    """
    columns = min(COLUMNS, len(maps))
    rows = -(-len(maps) // columns)
    wide = 2.35 * columns + 1.2
    lines = wrapped(note, wide)
    above, below = 0.85, 0.62 + 0.145 * len(lines)
    high = above + 2.75 * rows + below
    figure = Figure(figsize=(wide, high))
    figure.suptitle(title, size=12, y=1 - 0.1 / high)
    figure.text(0.02, 0.06 / high, "\n".join(lines), size=8, va="bottom")
    grid = figure.add_gridspec(
        rows, columns, left=0.6 / wide, right=1 - 0.95 / wide, top=1 - above / high, bottom=below / high,
        wspace=0.1, hspace=0.24,
    )  # fmt: skip
    scale = scale_of(maps, diverging=True)
    for place, values in enumerate(maps):
        panel = figure.add_subplot(grid[place // columns, place % columns])
        image = draw_map(panel, values, scale, floor_cm, furniture)
        outline(panel, marked[place], floor_cm)
        text, size = fitting(names[place], 2.2, 10, bold=True)
        panel.set_title(text, weight="bold", size=size, pad=16)
        small, size = fitting(words[place], 2.0, 7.5)
        panel.text(0.5, 1.02, small, size=size, ha="center", va="bottom", transform=panel.transAxes)
        outer_labels(panel, left=place % columns == 0, lowest=place + columns >= len(maps))
    bar = figure.add_axes((1 - 0.75 / wide, below / high + 0.1, 0.14 / wide, 1 - (above + below) / high - 0.2))
    figure.colorbar(image, cax=bar, label=label)
    return figure


def outline(panel: Axes, marked: NDArray[np.bool_], floor_cm: tuple[float, float]) -> None:
    """Draw a line around every region of marked tiles (N, N)."""
    rows, columns = marked.shape
    x, y = floor_cm[0] / columns, floor_cm[1] / rows
    wide = np.pad(marked, 1)
    lines: list[Any] = []
    for row, column in zip(*np.nonzero(wide[1:] != wide[:-1]), strict=True):  # edges above row `row` of the floor
        lines.append([((column - 1) * x, row * y), (column * x, row * y)])
    for row, column in zip(*np.nonzero(wide[:, 1:] != wide[:, :-1]), strict=True):
        lines.append([(column * x, (row - 1) * y), (column * x, row * y)])
    for (x0, y0), (x1, y1) in lines:
        panel.plot([x0, x1], [y0, y1], color="black", linewidth=1.2, solid_capstyle="projecting", zorder=3)
