"""Every drawing of the project.

Figures are made through matplotlib's objects, never through pyplot, so that no state outlives a call and the same
numbers give the same bytes whatever a user's matplotlibrc says. Classes keep one colour everywhere; the colours are
those of Okabe and Ito (2008), told apart by colour-blind readers, and no figure says by colour alone what it means.
"""

import contextlib
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from matplotlib import colormaps, font_manager, patheffects, style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from lmtcnn.files import atomic

# Pairs of one hue, dark and light, follow each other: with AM, JM, AF, JF a hue is a sex and its lightness an age.
PALETTE = ("#0072B2", "#56B4E9", "#D55E00", "#E69F00", "#009E73", "#CC79A7", "#000000", "#F0E442")
TRAIN_COLOUR, TEST_COLOUR = "#777777", "#009E73"
CROSS_COLOUR = "#E8112D"
SHARES, INTENSITY = "Blues", "viridis"  # both rise in lightness alone, so they survive a grey printer

STYLE = {"font.size": 9.0, "axes.titlesize": 10.0, "axes.spines.top": False, "axes.spines.right": False}


@contextlib.contextmanager
def _styled() -> Iterator[None]:
    with style.context(["default", STYLE]):
        yield


STYLE["text.parse_math"] = False  # a class may well be called $a$
warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font", UserWarning)  # `lacking` tells it once


def lacking(text: str) -> str:
    """The characters of `text` that figures draw as boxes, their font having none; sorted."""
    font = font_manager.get_font(font_manager.findfont("DejaVu Sans"))
    return "".join(sorted(character for character in set(text) if not font.get_char_index(ord(character))))


def class_colours(classes: Sequence[str]) -> dict[str, str]:
    """The colour of each class, by its place in params.yaml; beyond eight classes, steps of one lightness scale."""
    if len(classes) <= len(PALETTE):
        return dict(zip(classes, PALETTE, strict=False))
    steps = np.linspace(0, 1, len(classes))
    return {name: to_hex(colormaps["cividis"](step)) for name, step in zip(classes, steps, strict=True)}


def save(figure: Figure, path: Path, dpi: int = 120) -> None:
    """Write `figure` as PNG, atomically, without date or software, so that the same figure gives the same bytes."""
    with _styled(), atomic(path) as temporary:
        FigureCanvasAgg(figure)
        figure.savefig(temporary, format="png", dpi=dpi, metadata={"Software": None})


@_styled()
def confusion_matrix(counts: NDArray[Any], classes: Sequence[str], title: str, note: str = "") -> Figure:
    """Table 1 of the paper: true classes in rows, predicted ones in columns; counts, and each row's shares below.

    `counts` is (classes, classes). A row without samples shows no shares. `note` stands below, in small print.
    """
    counts = np.asarray(counts)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    side = 1.6 + 0.75 * len(classes)
    figure, axes = _sheet(1, (side, side + 0.3), title, note)
    table = axes[0]
    table.imshow(shares, cmap=SHARES, vmin=0, vmax=1)
    for row, column in np.ndindex(counts.shape):
        ink: dict[str, Any] = {
            "ha": "center",
            "va": "center",
            "color": "white" if shares[row, column] > 0.55 else "black",
        }
        table.text(column, row - 0.08, f"{counts[row, column]}", size=13, weight="bold", **ink)
        if totals[row, 0]:
            table.text(column, row + 0.28, f"{shares[row, column]:.0%}", size=8, **ink)
    table.set(xticks=range(len(classes)), yticks=range(len(classes)), xlabel="predicted", ylabel="true")
    table.set_xticklabels(classes)
    table.set_yticklabels(classes)
    table.xaxis.set_label_position("top")
    table.xaxis.tick_top()
    for label in table.get_xticklabels():
        if max(map(len, classes)) > 8:  # wider than a cell: side by side they would run into each other
            label.set(rotation=35, ha="left", rotation_mode="anchor")
    table.tick_params(length=0, labelsize=11)
    table.spines[:].set_visible(False)
    return figure


@_styled()
def curves(frame: pl.DataFrame, title: str, note: str = "") -> Figure:
    """Loss and accuracy over epochs, of training and of held-out cages: the mean over networks, +- one sd.

    `frame` has the columns of data/evaluate/curves.csv; an sd that is null (a single network) draws no band.
    """
    figure, axes = _sheet(2, (8.0, 3.7), title, note)
    epochs = frame["epoch"].to_numpy()
    for panel, quantity in zip(axes, ("loss", "accuracy"), strict=True):
        for part, label, colour, line in (
            ("train", "training cages", TRAIN_COLOUR, "--"),
            ("test", "held-out cage", TEST_COLOUR, "-"),
        ):
            mean = frame[f"{part}_{quantity}"].to_numpy()
            spread = frame[f"{part}_{quantity}_sd"].fill_null(0).to_numpy()
            panel.plot(epochs, mean, line, color=colour, label=label, marker="." if len(epochs) == 1 else "")
            panel.fill_between(epochs, mean - spread, mean + spread, color=colour, alpha=0.18, linewidth=0)
        panel.set(xlabel="epoch", title="cross-entropy" if quantity == "loss" else quantity)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.grid(alpha=0.25)
    axes[0].set_ylim(bottom=0)
    axes[1].set_ylim(0, 1)
    axes[1].legend(frameon=False, loc="best")
    return figure


@_styled()
def activation_maps(
    maps: NDArray[Any],
    classes: Sequence[str],
    floor_cm: tuple[float, float],
    title: str,
    *,
    note: str = "",
    crosses: Sequence[tuple[int, int]] = (),
    zones: Mapping[str, Mapping[str, Any]] | None = None,
) -> Figure:
    """One channel's mean map for each class, on the floor seen from above, in two columns and one colour scale.

    `maps` is (classes, N, N), rows are y; `floor_cm` is the floor's width and height; x runs to the right and y down,
    as in the cage. `crosses` are (row, column) of tiles, marked in red in every panel; `zones`, places as truth.json
    has them by a short name, are outlined. A class without samples (NaN) stays empty.
    """
    width, height = floor_cm
    rows = -(-len(classes) // 2)
    lines = _wrapped(note, 6.6)
    above, below = 0.62, 0.62 + 0.145 * len(lines)  # inches: title; axis labels and note
    tall = above + 2.8 * rows + below
    figure = Figure(figsize=(6.6, tall))
    # Fixed margins: a study has dozens of these, and an automatic layout draws each of them twice.
    grid = figure.add_gridspec(
        rows, 2, left=0.075, right=0.86, top=1 - above / tall, bottom=below / tall, wspace=0.08, hspace=0.2
    )
    figure.suptitle(title, size=12, y=1 - 0.1 / tall)
    figure.text(0.02, 0.06 / tall, "\n".join(lines), size=8, va="bottom")
    top = float(np.nanmax(maps)) if np.isfinite(maps).any() else 0.0
    colours = class_colours(classes)
    for place, (name, values) in enumerate(zip(classes, maps, strict=True)):
        panel = figure.add_subplot(grid[place // 2, place % 2])
        image = panel.imshow(values, cmap=INTENSITY, vmin=0, vmax=top or 1.0, extent=(0, width, height, 0))
        panel.set_title(name, weight="bold", pad=7)
        panel.spines[:].set(visible=True, color=colours[name], linewidth=2.5)
        panel.set(xlabel="x (cm)", ylabel="y (cm)")
        panel.label_outer()
        for label, zone in (zones or {}).items():
            _draw_zone(panel, label, zone)
        _draw_crosses(panel, crosses, floor_cm, values.shape)
        if np.isnan(values).all():
            panel.text(width / 2, height / 2, "no samples", ha="center", va="center")
    bar = figure.add_axes((0.885, 0.3, 0.022, 0.45))
    figure.colorbar(image, cax=bar, label="mean activation")
    return figure


def _sheet(columns: int, inches: tuple[float, float], title: str, note: str) -> tuple[Figure, list[Axes]]:
    """An empty figure of panels side by side, with a title above and small print below."""
    figure = Figure(figsize=inches, layout="constrained")
    figure.suptitle(title, size=12)
    if note:
        figure.supxlabel("\n".join(_wrapped(note, inches[0])), size=8, x=0.02, ha="left")
    return figure, [figure.add_subplot(1, columns, place + 1) for place in range(columns)]


def _wrapped(note: str, inches: float) -> list[str]:
    """The lines of small print below a figure of this width; matplotlib does not wrap by itself."""
    return textwrap.wrap(note, int(inches * 15.5))


def _draw_crosses(
    panel: Axes, crosses: Sequence[tuple[int, int]], floor_cm: tuple[float, float], shape: tuple[int, ...]
) -> None:
    if not len(crosses):
        return
    row, column = np.asarray(crosses).T
    x, y = (column + 0.5) * floor_cm[0] / shape[1], (row + 0.5) * floor_cm[1] / shape[0]
    edge = [patheffects.withStroke(linewidth=3, foreground="white")]  # red alone is dark for some readers
    panel.plot(x, y, "x", color=CROSS_COLOUR, markersize=6, markeredgewidth=1.5, path_effects=edge)


def _draw_zone(panel: Axes, name: str, zone: Mapping[str, Any]) -> None:
    """A zone of truth.json: a circle's centre and radius, or a rectangle's upper left corner and size, in cm.

    Its name stands on the outline, at the upper left: the middle is where crosses fall.
    """
    line: dict[str, Any] = {"fill": False, "edgecolor": "white", "linewidth": 0.8, "linestyle": (0, (4, 2))}
    x, y = zone["x_cm"], zone["y_cm"]
    if zone["shape"] == "circle":
        panel.add_patch(Circle((x, y), zone["radius_cm"], **line))
        x, y = x - zone["radius_cm"] * 0.707, y - zone["radius_cm"] * 0.707
    else:
        panel.add_patch(Rectangle((x, y), zone["width_cm"], zone["height_cm"], **line))
    edge = [patheffects.withStroke(linewidth=1.5, foreground="black")]
    panel.text(x, y, name, color="white", size=7, ha="center", va="center", path_effects=edge)
