"""Figure of what the networks use: for every two classes the maps of direction and separation, hours, and zones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lmtcnn.figures.figures import fitting, styled, wrapped
from lmtcnn.figures.floor import Zones, draw_map, scale_of
from lmtcnn.timeline.counted import since_words, unit_of

Floats = NDArray[np.float64]

FOR, AGAINST = "#B2182B", "#2166AC"
"""The ends of the maps' colours: what speaks for the first class, and for the second."""


@dataclass(frozen=True)
class Use:
    """One pair: maps (N, N) of direction and separation, hours (T,) of separation, zone -> direction and agreement."""

    name: str
    words: str
    direction: Floats
    separation: Floats
    hours: Floats
    zones: Mapping[str, tuple[float, float]]


@styled()
def used(
    pairs: Sequence[Use],
    interval_s: float,
    floor_cm: tuple[float, float],
    title: str,
    *,
    note: str = "",
    furniture: Zones | None = None,
) -> Figure:
    """Draw a row for each pair: direction, separation, hours and, where zones are known, zones.

    Parameters
    ----------
    pairs
        What is drawn; each map has a scale of its own around 0.
    interval_s
        Seconds that an interval lasts, which the axis says.
    floor_cm
        Width and height of the floor in cm.
    title, note
        What stands above and below.
    furniture
        What stands in the cage, outlined.
    """
    with_zones = any(pair.zones for pair in pairs)
    ratios = [1.7, 1.7, 2.8, 2.8][: 4 if with_zones else 3]
    wide = sum(ratios) + 1.3
    lines = wrapped(note, wide)
    above, below, each = 0.85, 0.55 + 0.145 * len(lines), 2.0
    high = above + each * len(pairs) + below
    figure = Figure(figsize=(wide, high))
    figure.suptitle(title, size=12, y=1 - 0.1 / high)
    figure.text(0.02, 0.06 / high, "\n".join(lines), size=8, va="bottom")
    grid = figure.add_gridspec(
        len(pairs), len(ratios), width_ratios=ratios, left=0.35 / wide, right=1 - 0.15 / wide, top=1 - above / high,
        bottom=below / high, wspace=0.3, hspace=0.36,
    )  # fmt: skip
    for row, pair in enumerate(pairs):
        panels = [figure.add_subplot(grid[row, column]) for column in range(len(ratios))]
        for panel, values in zip(panels, (pair.direction, pair.separation), strict=False):
            draw_map(panel, values, scale_of(values, diverging=True), floor_cm, furniture)
            panel.set(xlabel="", ylabel="", xticks=[], yticks=[])
        words, size = fitting(pair.name, 2.2, 9, bold=True)
        panels[0].set_title(words, weight="bold", size=size, loc="left", pad=4)
        panels[1].set_title(pair.words, size=7.5, loc="left", pad=4)
        bars(panels[2], pair.hours)
        if with_zones:
            zone_bars(panels[3], pair.zones)
        if row == len(pairs) - 1:
            panels[2].set_xlabel(since_words(interval_s))
    top = 1 - (above - 0.3) / high
    for panel, name in zip(
        figure.axes,
        ("direction", "separation", f"separation by {unit_of(interval_s)}", "direction by zone"),
        strict=False,
    ):
        box = panel.get_position()
        figure.text((box.x0 + box.x1) / 2, top, name, size=10, ha="center", va="bottom")
    return figure


def bars(panel: Axes, values: Floats) -> None:
    """Draw a bar for each interval, red above 0 and blue below it."""
    colours = np.where(values > 0, FOR, AGAINST)
    panel.bar(np.arange(len(values)), values, width=1, align="edge", color=colours.tolist(), linewidth=0)
    panel.axhline(0, color="black", linewidth=0.6)
    panel.set_xlim(0, len(values))
    panel.tick_params(labelsize=7.5)


def zone_bars(panel: Axes, zones: Mapping[str, tuple[float, float]]) -> None:
    """Draw a bar for each zone, with the share of cages that agree with its sign beside it."""
    names = list(zones)
    values = np.array([zones[name][0] for name in names])
    places = np.arange(len(names))
    panel.barh(places, values, color=np.where(values > 0, FOR, AGAINST).tolist(), height=0.65)
    panel.axvline(0, color="black", linewidth=0.6)
    far = max(float(np.abs(values).max(initial=0)), 1e-12)
    panel.set_xlim(-1.9 * far, 1.9 * far)
    for place, name in enumerate(names):
        value, agreeing = zones[name]
        side = 1 if value > 0 else -1
        share = f"{agreeing:.0%}" if np.isfinite(agreeing) else ""
        panel.text(value + side * 0.06 * far, place, share, size=7, va="center", ha="left" if side > 0 else "right")
        words, size = fitting(name.replace("_", " "), 1.1, 7.5)
        panel.text(-side * 0.06 * far, place, words, size=size, va="center", ha="right" if side > 0 else "left")
    panel.set(yticks=[], ylim=(len(names) - 0.4, -0.6))
    panel.spines["left"].set_visible(False)
    panel.tick_params(labelsize=7.5)
