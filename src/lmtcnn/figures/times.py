"""When classes differ: distance by interval for every two of them, the night shaded, stops beside."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lmtcnn.figures.figures import fitting, styled, wrapped
from lmtcnn.timeline.counted import since_words, unit_of

Floats = NDArray[np.float64]

DISTANCE_COLOUR, EXCESS_COLOUR = "#000000", "#009E73"
NIGHT = "#B8BCC4"


@dataclass(frozen=True)
class Times:
    """One pair: distance and excess (T,), which of them are marked, mean stops (T,) of both by their names."""

    name: str
    distance: Floats
    excess: Floats
    marked: NDArray[np.bool_]
    marked_times: NDArray[np.bool_]
    stops: Mapping[str, Floats]


@styled()
def hours(
    pairs: Sequence[Times],
    interval_s: float,
    night: Floats,
    colours: Mapping[str, str],
    title: str,
    *,
    note: str = "",
) -> Figure:
    """Draw a row for each pair: distances left, stops per interval right.

    Parameters
    ----------
    pairs
        What is drawn.
    interval_s
        Seconds that an interval lasts, which the axis says.
    night
        (T,) share of recordings for which an interval is night; the more, the darker.
    colours
        Of each class.
    title, note
        What stands above and below.
    """
    wide = 8.6
    lines = wrapped(note, wide)
    above, below, each = 0.85, 0.6 + 0.145 * len(lines), 1.25
    high = above + each * len(pairs) + below
    figure = Figure(figsize=(wide, high))
    figure.suptitle(title, size=12, y=1 - 0.1 / high)
    figure.text(0.02, 0.06 / high, "\n".join(lines), size=8, va="bottom")
    grid = figure.add_gridspec(
        len(pairs), 2, left=0.085, right=0.985, top=1 - above / high, bottom=below / high, wspace=0.16, hspace=0.32
    )
    middles = np.arange(len(night), dtype=np.float64) + 0.5
    for row, pair in enumerate(pairs):
        left, right = (figure.add_subplot(grid[row, column]) for column in (0, 1))
        _distances(left, pair, middles)
        for name, values in pair.stops.items():
            line = "-" if name == next(iter(pair.stops)) else "--"
            right.plot(middles, values, line, color=colours[name], linewidth=1.1, label=name)
        right.set_ylim(bottom=0)
        right.legend(frameon=False, fontsize=7.5, ncols=2, loc="lower right", bbox_to_anchor=(1, 0.94), borderpad=0)
        words, size = fitting(pair.name, 3.4, 9, bold=True)
        left.set_title(words, weight="bold", size=size, loc="left", pad=4)
        for panel in (left, right):
            _shade(panel, night)
            panel.set_xlim(0, len(night))
            panel.tick_params(labelsize=8, labelbottom=row == len(pairs) - 1)
        if row == 0:
            _legend(figure, left, high)
        if row == len(pairs) - 1:
            left.set_xlabel(since_words(interval_s))
            right.set_xlabel(since_words(interval_s))
    figure.text(0.012, 0.5, "squared distance (per mille\N{SUPERSCRIPT TWO})", rotation=90, va="center", size=9)
    figure.text(0.515, 0.5, f"stops per {unit_of(interval_s)}", rotation=90, va="center", size=9)
    return figure


def _distances(panel: Axes, pair: Times, middles: Floats) -> None:
    panel.axhline(0, color="#777777", linewidth=0.6)
    for values, marked, colour, name in (
        (pair.distance, pair.marked, DISTANCE_COLOUR, "distance"),
        (pair.excess, pair.marked_times, EXCESS_COLOUR, "excess"),
    ):
        panel.plot(middles, values, color=colour, linewidth=1.1, label=name)
        panel.plot(middles[marked], values[marked], "o", color=colour, markersize=3)


def _legend(figure: Figure, panel: Axes, high: float) -> None:
    handles, labels = panel.get_legend_handles_labels()
    figure.legend(
        handles, labels, frameon=False, fontsize=8, ncols=2, loc="upper left", bbox_to_anchor=(0.08, 1 - 0.32 / high)
    )


def _shade(panel: Axes, night: Floats) -> None:
    """Shade each run of intervals of one share of night."""
    begins = np.flatnonzero(np.diff(night, prepend=np.nan) != 0)
    for begin, end in zip(begins.tolist(), [*begins[1:].tolist(), len(night)], strict=True):
        if night[begin] > 0:
            panel.axvspan(
                begin,
                end,
                color=NIGHT,
                alpha=0.6 * float(night[begin]),
                linewidth=0,
                zorder=0,
            )
