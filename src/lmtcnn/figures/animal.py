"""One animal: its map beside those of the two likeliest classes, and what speaks for and against, by place and time."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lmtcnn.figures.figures import fitting, styled, wrapped
from lmtcnn.figures.floor import Zones, draw_map, outer_labels, scale_of
from lmtcnn.figures.uses import bars, zone_bars
from lmtcnn.timeline.counted import since_words

Floats = NDArray[np.float64]


@styled()
def reasons(
    shares: Floats,
    names: Sequence[str],
    places: Floats,
    hours: Floats,
    zones: Mapping[str, float],
    interval_s: float,
    floor_cm: tuple[float, float],
    title: str,
    *,
    note: str,
    furniture: Zones | None = None,
) -> Figure:
    """Draw three maps of stops, the map of what speaks for the first class, and the same by interval and by zone.

    Parameters
    ----------
    shares
        (3, N, N) smoothed shares in per mille: the animal's, and the means of the first and of the second class.
    names
        What stands above these maps.
    places, hours, zones
        Attributions of the first class's logit less the second's: (N, N), (T,), and by zone.
    interval_s
        Seconds that an interval lasts, which the axis says.
    floor_cm
        Width and height of the floor in cm.
    title, note
        What stands above and below.
    furniture
        What stands in the cage, outlined.
    """
    wide = 10.4
    lines = wrapped(note, wide)
    below = 0.6 + 0.145 * len(lines)
    high = 4.9 + below
    figure = Figure(figsize=(wide, high))
    figure.suptitle(title, size=12, y=1 - 0.1 / high)
    figure.text(0.02, 0.06 / high, "\n".join(lines), size=8, va="bottom")
    grid = figure.add_gridspec(
        2, 4, height_ratios=[2.3, 1.5], left=0.06, right=0.98, top=1 - 0.6 / high, bottom=below / high, hspace=0.36
    )
    scale = scale_of(shares)
    for column, (name, values) in enumerate(zip(names, shares, strict=True)):
        panel = figure.add_subplot(grid[0, column])
        image = draw_map(panel, values, scale, floor_cm, furniture)
        outer_labels(panel, left=column == 0, lowest=True)
        words, size = fitting(name, 2.2, 9, bold=True)
        panel.set_title(words, weight="bold", size=size)
        figure.colorbar(image, ax=panel, shrink=0.6, pad=0.03).ax.tick_params(labelsize=7)
    panel = figure.add_subplot(grid[0, 3])
    image = draw_map(panel, places, scale_of(places, diverging=True), floor_cm, furniture)
    outer_labels(panel, left=False, lowest=True)
    panel.set_title("speaks for the first (red)", weight="bold", size=9)
    figure.colorbar(image, ax=panel, shrink=0.6, pad=0.03).ax.tick_params(labelsize=7)
    panel = figure.add_subplot(grid[1, : 3 if zones else 4])
    bars(panel, hours)
    panel.set(xlabel=since_words(interval_s), ylabel="attribution")
    if zones:
        zone_bars(figure.add_subplot(grid[1, 3]), {name: (value, float("nan")) for name, value in zones.items()})
    return figure
