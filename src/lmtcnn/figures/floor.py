"""Drawings of the cage's floor, seen from above: x to the right and y down, as in the cage, in cm.

What stands in the cage (`zones` of params.yaml) is outlined on each: feeders red, water blue, nest and dome white.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps, patheffects
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Circle, Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from lmtcnn.figures.figures import class_colours, fitting, sheet, styled, wrapped

Zones = Mapping[str, Mapping[str, Any]]
"""Name -> {shape: circle, x_cm, y_cm, radius_cm} or {shape: rectangle, x_cm, y_cm, width_cm, height_cm}, and `kind`."""

INTENSITY = "viridis"  # rises in lightness alone, so it survives a grey printer
DIVERGING = "RdBu_r"  # told apart by colour-blind readers; white in the middle
LATER = LinearSegmentedColormap.from_list("later", colormaps["cividis"](np.linspace(0.25, 1.0, 64)))
NAME_ROOM_CM = 2.0
GROUND, GRID_COLOUR, INK = "#14171A", "#F0E442", "#333333"
Cross = tuple[int, int, float]  # row and column of a tile; above 0 where a class has more there, below it where less
KIND_COLOURS = {"feeder": "#FF5A4E", "water": "#56B4E9", "nest": "#FFFFFF", "dome": "#FFFFFF", "other": "#BBBBBB"}


@styled()
def stops_on_floor(
    x_cm: NDArray[np.float64],
    y_cm: NDArray[np.float64],
    starts: NDArray[np.float64],
    floor_cm: tuple[float, float],
    tiles: int,
    span: float,
    title: str,
    *,
    unit: str,
    note: str = "",
    zones: Zones | None = None,
) -> Figure:
    """Draw where a mouse stopped, lighter = later, on the N x N grid that counts its stops (the paper's figure 1b).

    `starts` and `span`, the time that the colours cover, in `unit`.
    """
    width, height = floor_cm
    figure, (axes,) = sheet(1, (5.6, 5.4), title, note)
    axes.set_facecolor(GROUND)
    axes.vlines(np.linspace(0, width, tiles + 1), 0, height, color=GRID_COLOUR, linewidth=0.35, alpha=0.6)
    axes.hlines(np.linspace(0, height, tiles + 1), 0, width, color=GRID_COLOUR, linewidth=0.35, alpha=0.6)
    points = axes.scatter(x_cm, y_cm, c=starts, cmap=LATER, vmin=0, vmax=span, s=20, linewidth=0, zorder=3)
    draw_furniture(axes, zones or {}, named=True)
    frame_floor(axes, floor_cm)
    figure.colorbar(points, ax=axes, label=f"start of the stop ({unit})", shrink=0.8)
    return figure


@styled()
def histogram(
    counts: NDArray[Any], floor_cm: tuple[float, float], title: str, *, label: str, note: str = "", zones: Zones | None
) -> Figure:
    """One histogram, (N, N), rows are y; lighter = more (the paper's figure 1c). `label` names what is counted."""
    width, height = floor_cm
    figure, (axes,) = sheet(1, (5.6, 5.4), title, note)
    image = axes.imshow(counts, cmap=INTENSITY, vmin=0, vmax=max(counts.max(), 1), extent=(0, width, height, 0))
    draw_furniture(axes, zones or {}, named=True)
    frame_floor(axes, floor_cm)
    ticks = MaxNLocator(integer=counts.dtype.kind in "iu")
    figure.colorbar(image, ax=axes, label=label, shrink=0.8, ticks=ticks)
    return figure


@styled()
def activation_maps(
    maps: NDArray[Any],
    classes: Sequence[str],
    floor_cm: tuple[float, float],
    title: str,
    *,
    note: str = "",
    crosses: Sequence[Sequence[Cross]] = (),
    furniture: Zones | None = None,
    planted: Zones | None = None,
    beside: Sequence[str] = (),
    diverging: bool = False,
) -> Figure:
    """One channel's mean map for each class, in two columns and one colour scale (the paper's figure 3).

    `maps` is (classes, N, N), rows are y; `crosses` are those of each class; `planted` are zones by a short name,
    dashed; `beside` are words below a class's name; `diverging`: around 0. A class without samples (NaN) stays empty.
    """
    rows = -(-len(classes) // 2)
    lines = wrapped(note, 6.6)
    above, below = 0.66 + 0.14 * bool(beside), 0.62 + 0.145 * len(lines)  # inches: title; axis labels and note
    tall = above + (2.8 + 0.14 * bool(beside)) * rows + below
    figure = Figure(figsize=(6.6, tall))
    # Fixed margins: a study has dozens of these, and an automatic layout draws each of them twice.
    grid = figure.add_gridspec(
        rows,
        2,
        left=0.075,
        right=0.86,
        top=1 - above / tall,
        bottom=below / tall,
        wspace=0.08,
        hspace=0.2 + 0.06 * bool(beside),
    )
    figure.suptitle(title, size=12, y=1 - 0.1 / tall)
    figure.text(0.02, 0.06 / tall, "\n".join(lines), size=8, va="bottom")
    scale = scale_of(maps, diverging=diverging)
    colours = class_colours(classes)
    for place, (name, values) in enumerate(zip(classes, maps, strict=True)):
        panel = figure.add_subplot(grid[place // 2, place % 2])
        panel.spines[:].set(visible=True, color=colours[name], linewidth=2.5)
        marked = crosses[place] if crosses else ()
        image = draw_map(panel, values, scale, floor_cm, furniture, marked, planted)
        words, size = fitting(name, 2.5, 10, bold=True)
        panel.set_title(words, weight="bold", size=size, pad=18 if beside else 7)
        if beside:
            panel.text(0.5, 1.03, beside[place], size=7.5, ha="center", va="bottom", transform=panel.transAxes)
        outer_labels(panel, left=place % 2 == 0, lowest=place + 2 >= len(classes))
    bar = figure.add_axes((0.885, 0.3, 0.022, 0.45))
    figure.colorbar(image, cax=bar, label=map_label(diverging=diverging))
    return figure


def map_label(*, diverging: bool) -> str:
    """Name what the colours of activation maps stand for."""
    return "mean activation" + " less that of all classes" * diverging


@styled()
def atlas(
    maps: NDArray[Any],
    classes: Sequence[str],
    kernels: Sequence[int],
    beside: Sequence[str],
    title: str,
    note: str = "",
    *,
    diverging: bool = False,
) -> Figure:
    """All channels at a glance: a column of channels for each kernel, a small map for each class.

    `maps` is (classes, channels of all kernels, N, N). Each channel has a scale of its own and its words in `beside`.
    """
    per_kernel = maps.shape[1] // len(kernels)
    lines = wrapped(note, 4.2 * len(kernels))
    above, below = 0.85, 0.2 + 0.145 * len(lines)
    tall = above + 0.93 * per_kernel + below
    figure = Figure(figsize=(4.2 * len(kernels), tall))
    figure.suptitle(title, size=12, y=1 - 0.1 / tall)
    figure.text(0.02, 0.06 / tall, "\n".join(lines), size=8, va="bottom")
    grid = figure.add_gridspec(
        per_kernel,
        len(kernels),
        left=0.1,
        right=0.99,
        top=1 - above / tall,
        bottom=below / tall,
        wspace=0.2,
        hspace=0.06,
    )
    side = maps.shape[-1]
    gap = max(1, side // 15)
    for number in range(maps.shape[1]):
        column, row = divmod(number, per_kernel)
        panel = figure.add_subplot(grid[row, column])
        strip = np.full((side, len(classes) * (side + gap) - gap), np.nan)
        for place, values in enumerate(maps[:, number]):
            strip[:, place * (side + gap) : place * (side + gap) + side] = values
        low, high, colours = scale_of(maps[:, number], diverging=diverging)
        panel.imshow(strip, cmap=colours, vmin=low, vmax=high, aspect="equal", interpolation="nearest")
        panel.set_axis_off()
        panel.text(-gap, side / 2, beside[number], size=7, ha="right", va="center")
        if row == 0:
            panel.set_title(f"{kernels[column]}x{kernels[column]}", pad=16, weight="bold")
            for place, name in enumerate(classes):
                words, size = fitting(name, 3.2 / len(classes), 8)
                panel.text((place + 0.5) * side + place * gap, -gap, words, size=size, ha="center", va="bottom")
    return figure


def draw_furniture(axes: Axes, zones: Zones, *, named: bool = False, ink: str = "") -> None:
    """Outline what stands in the cage; `named`, with its name above it (below it at the upper border).

    `ink` is one colour for all of it, where the ground is light.
    """
    for name, zone in zones.items():
        colour = ink or KIND_COLOURS[zone["kind"]]
        draw_zone(axes, zone, colour)
        if named:
            circle = zone["shape"] == "circle"
            x, top = zone["x_cm"], zone["y_cm"] - zone["radius_cm"] if circle else zone["y_cm"]
            bottom = zone["y_cm"] + (zone["radius_cm"] if circle else zone["height_cm"])
            x += 0 if circle else zone["width_cm"] / 2
            y, side = (top - 0.4, "bottom") if top > NAME_ROOM_CM else (bottom + 0.4, "top")
            text = name.replace("_", " ")
            axes.text(x, y, text, color=colour, size=7.5, ha="center", va=side, zorder=4, clip_on=True)


Scale = tuple[float, float, str]  # the least and the greatest value of a colour scale, and its name


def draw_map(
    panel: Axes,
    values: NDArray[Any],
    scale: Scale,
    floor_cm: tuple[float, float],
    furniture: Zones | None = None,
    crosses: Sequence[Cross] = (),
    planted: Zones | None = None,
) -> AxesImage:
    """Draw one map (N, N) on the floor, with what stands in the cage, was planted, and is marked; NaN stays empty."""
    width, height = floor_cm
    low, high, colours = scale
    ink = INK if colours == DIVERGING else ""
    image = panel.imshow(values, cmap=colours, vmin=low, vmax=high, extent=(0, width, height, 0))
    draw_furniture(panel, furniture or {}, ink=ink)
    for label, zone in (planted or {}).items():
        draw_zone(panel, zone, ink or "white", label)
    _draw_crosses(panel, crosses, floor_cm, values.shape)
    frame_floor(panel, floor_cm)
    if np.isnan(values).all():
        panel.text(width / 2, height / 2, "no samples", ha="center", va="center")
    return image


def outer_labels(panel: Axes, *, left: bool, lowest: bool) -> None:
    """Numbers and names of the axes only at the border of a grid of panels: what a panel beside it says already goes.

    matplotlib's own `label_outer` looks at the grid, and leaves a panel above an empty place without numbers.
    """
    if not left:
        panel.set_ylabel("")
        panel.tick_params(labelleft=False)
    if not lowest:
        panel.set_xlabel("")
        panel.tick_params(labelbottom=False)


def scale_of(maps: NDArray[Any], *, diverging: bool = False) -> Scale:
    """Colours from 0 (or the least value, below it) to the greatest; `diverging`: as far down as up."""
    known = maps[np.isfinite(maps)]
    low, high = min(0.0, float(known.min(initial=0))), float(known.max(initial=0))
    if diverging:
        high = max(-low, high) or 1.0
        return -high, high, DIVERGING
    return low, high if high > low else low + 1.0, INTENSITY


def frame_floor(axes: Axes, floor_cm: tuple[float, float]) -> None:
    """Name the axes of a floor, and cut it at its walls; y goes down, as in the cage."""
    axes.set(xlabel="x (cm)", ylabel="y (cm)", xlim=(0, floor_cm[0]), ylim=(floor_cm[1], 0), aspect="equal")


def _draw_crosses(panel: Axes, crosses: Sequence[Cross], floor_cm: tuple[float, float], shape: tuple[int, ...]) -> None:
    """Mark tiles by + where there is more, and by a bar where there is less."""
    edge = [patheffects.withStroke(linewidth=3, foreground="white")]
    for marker, sign in (("+", 1), ("_", -1)):
        chosen = [(row, column) for row, column, value in crosses if value * sign > 0]
        if chosen:
            row, column = (np.array(chosen).T + 0.5) * [[floor_cm[1] / shape[0]], [floor_cm[0] / shape[1]]]
            panel.plot(column, row, marker, color=GROUND, markersize=7, markeredgewidth=1.5, path_effects=edge)


def draw_zone(axes: Axes, zone: Mapping[str, Any], colour: str, name: str = "") -> None:
    """Outline a zone: solid what stands in the cage; dashed, with its name on the outline, what was planted.

    The name stands at the upper left: the middle is where crosses fall.
    """
    line: dict[str, Any] = {"fill": False, "edgecolor": colour, "linewidth": 1.1, "zorder": 2.5}
    if name:
        line |= {"linewidth": 0.8, "linestyle": (0, (4, 2))}
    x, y = zone["x_cm"], zone["y_cm"]
    if zone["shape"] == "circle":
        axes.add_patch(Circle((x, y), zone["radius_cm"], **line))
        x, y = x - zone["radius_cm"] * 0.707, y - zone["radius_cm"] * 0.707
    else:
        axes.add_patch(Rectangle((x, y), zone["width_cm"], zone["height_cm"], **line))
    if name:
        edge = [patheffects.withStroke(linewidth=1.5, foreground="white" if colour == INK else "black")]
        axes.text(x, y, name, color=colour, size=7, ha="center", va="center", path_effects=edge)
