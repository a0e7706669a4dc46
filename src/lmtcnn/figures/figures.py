"""Drawings: their style, and those of results; drawings of the floor are in `floor`.

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
from matplotlib import colormaps, font_manager, style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle
from matplotlib.textpath import TextPath
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from lmtcnn.core.files import atomic

# Pairs of one hue, dark and light, follow each other: with AM, JM, AF, JF a hue is a sex and its lightness an age.
PALETTE = ("#0072B2", "#56B4E9", "#D55E00", "#E69F00", "#009E73", "#CC79A7", "#000000", "#F0E442")
TRAIN_COLOUR, TEST_COLOUR = "#777777", "#009E73"
BRANCH_COLOURS = ("#333333", "#8A6D3B", "#5B7F95", "#7B5E8A")  # not those of classes
X_COLOUR, Y_COLOUR = "#0072B2", "#009E73"
CELL_LETTERS = 8
"""Letters that fit above a cell of the confusion matrix."""
SMALLEST = 6.0
"""Points; what is smaller cannot be read in print."""
SHARES = "Blues"  # rises in lightness alone, so it survives a grey printer

DPI = 300
PNG_LEVEL = 4
"""How hard a PNG is compressed, of 9: 2 % larger than by the usual 6, in two thirds of the time."""

FORMATS = {".png": ("Software",), ".svg": ("Date", "Creator"), ".pdf": ("CreationDate", "Creator", "Producer")}
"""Endings of the files that a figure is written to, and what matplotlib would say in each of when and by whom."""

STYLE = {
    "svg.hashsalt": "lmtcnn",
    "svg.fonttype": "none",
    "pdf.fonttype": 42,  # text stays text, as journals ask
    "text.parse_math": False,  # a class may well be called $a$
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """Draw in the project's style, whatever a user's matplotlibrc says."""
    with style.context(["default", STYLE]):
        yield


warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font", UserWarning)  # `lacking` tells it once


def lacking(text: str) -> str:
    """The characters of `text` that figures draw as boxes, their font having none; sorted."""
    font = font_manager.get_font(font_manager.findfont("DejaVu Sans"))
    return "".join(sorted(character for character in set(text) if not font.get_char_index(ord(character))))


def fitting(text: str, inches: float, size: float, *, bold: bool = False) -> tuple[str, float]:
    """A line of text and the size in points at which it is no wider than it may be.

    Parameters
    ----------
    text
        One line.
    inches
        The room that there is.
    size
        The size at which the text is set where it fits, in points. It shrinks as far as SMALLEST, then the text is
        shortened, with an ellipsis at its end.
    bold
        Whether it is set in bold letters.
    """
    font = font_manager.FontProperties(weight="bold" if bold else "normal")

    def wide(words: str, points: float) -> float:
        return float(TextPath((0, 0), words, points, prop=font).get_extents().width) / 72 if words.strip() else 0.0

    if (width := wide(text, size)) <= inches:
        return text, size
    size = max(SMALLEST, size * inches / width)
    kept = text
    while wide(kept, size) > inches * 1.001 and len(kept) > 2:
        kept = kept[:-2].rstrip() + "\N{HORIZONTAL ELLIPSIS}"
    return kept, size


def class_colours(classes: Sequence[str]) -> dict[str, str]:
    """The colour of each class, by its place in params.yaml; beyond eight classes, steps of one lightness scale."""
    if len(classes) <= len(PALETTE):
        return dict(zip(classes, PALETTE, strict=False))
    steps = np.linspace(0, 1, len(classes))
    return {name: to_hex(colormaps["cividis"](step)) for name, step in zip(classes, steps, strict=True)}


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG at 300 dpi, as SVG and as PDF, each atomically.

    No file bears a date or the name of a program, so that one figure always gives the same bytes.

    Parameters
    ----------
    figure
        The drawing.
    path
        Where the PNG goes, a name that ends in .png; the others lie beside it under the same stem.
    """
    for ending in FORMATS:
        save_as(figure, path.with_suffix(ending))
        figure.set_layout_engine("none")  # it has been laid out: that costs as much as drawing, and is the same again


def save_as(figure: Figure, path: Path) -> None:
    """Write a figure in the one format that the ending of `path` names, see FORMATS, atomically."""
    FigureCanvasAgg(figure)
    ending = path.suffix.lower()
    with styled(), atomic(path) as temporary:
        quick: dict[str, Any] = {"pil_kwargs": {"compress_level": PNG_LEVEL}} if ending == ".png" else {}
        figure.savefig(temporary, format=ending[1:], dpi=DPI, metadata=dict.fromkeys(FORMATS[ending]), **quick)


@styled()
def confusion_matrix(counts: NDArray[Any], classes: Sequence[str], title: str, note: str = "") -> Figure:
    """Table 1 of the paper: true classes in rows, predicted ones in columns; counts, and each row's shares below.

    `counts` is (classes, classes). A row without samples shows no shares. `note` stands below, in small print.
    """
    counts = np.asarray(counts)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    names = [textwrap.fill(name, 16) for name in classes]
    longest = max(len(line) for name in names for line in name.splitlines())
    beside = 0.08 * max(0, longest - CELL_LETTERS)  # inches that long names take from the table
    side = 1.6 + 0.75 * len(classes) + beside
    figure, axes = sheet(1, (side, side + 0.3), title, note)
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
    table.set_xticklabels(names)
    table.set_yticklabels(names)
    table.xaxis.set_label_position("top")
    table.xaxis.tick_top()
    if longest > CELL_LETTERS:  # wider than a cell: side by side they would run into each other
        table.tick_params("x", rotation=90)
    table.tick_params(length=0, labelsize=11 if longest <= CELL_LETTERS else 9)
    table.spines[:].set_visible(False)
    return figure


@styled()
def curves(frame: pl.DataFrame, title: str, note: str = "") -> Figure:
    """Loss and accuracy over epochs, of training and of held-out cages: the mean over networks, +- one sd.

    `frame` has the columns of data/evaluate/curves.csv; an sd that is null (a single network) draws no band.
    """
    figure, axes = sheet(2, (8.0, 3.7), title, note)
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


def sheet(columns: int, inches: tuple[float, float], title: str, note: str) -> tuple[Figure, list[Axes]]:
    """An empty figure of panels side by side, with a title above and small print below."""
    figure = Figure(figsize=inches, layout="constrained")
    figure.suptitle(title, size=12)
    if note:
        figure.supxlabel("\n".join(wrapped(note, inches[0])), size=8, x=0.02, ha="left")
    return figure, [figure.add_subplot(1, columns, place + 1) for place in range(columns)]


def wrapped(note: str, inches: float) -> list[str]:
    """The lines of small print below a figure of this width; matplotlib does not wrap by itself."""
    return textwrap.wrap(note, int(inches * 15.5))


@styled()
def positions(
    time: NDArray[np.float64],
    x_cm: NDArray[np.float64],
    y_cm: NDArray[np.float64],
    starts: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    title: str,
    *,
    unit: str,
    note: str = "",
) -> Figure:
    """Draw where a mouse was through time, x and y, with a marker where each stop starts (the paper's figure 1a).

    `starts` are time, x and y of the stops' first frames; times are in `unit`; nan breaks a line.
    """
    figure, (axes,) = sheet(1, (9.0, 3.6), title, note)
    size = float(np.clip(35 / np.sqrt(max(len(starts[0]), 1)), 1.2, 3.5))  # an active hour has a thousand stops
    for values, at, colour, name in ((x_cm, starts[1], X_COLOUR, "x"), (y_cm, starts[2], Y_COLOUR, "y")):
        axes.plot(time, values, color=colour, linewidth=0.6, alpha=0.8, label=name, rasterized=True)
        axes.plot(starts[0], at, "v", color="black", markersize=size, markeredgewidth=0)
    axes.plot([], [], "v", color="black", markersize=3.5, markeredgewidth=0, label="a stop starts")
    axes.set(xlabel=f"time ({unit})", ylabel="place (cm)", ylim=(0, None))
    axes.margins(x=0.005)
    axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, borderpad=0)
    return figure


@styled()
def architecture(layers: Mapping[str, Any], title: str, note: str = "") -> Figure:
    """The network as a diagram, from left to right (the paper's figure 2); see `explain.describe_network`."""
    branches = layers["branches"]
    figure = Figure(figsize=(10.0, 1.3 + 1.75 * len(branches)))
    axes = figure.add_axes((0.01, 0.1, 0.98, 0.8))
    axes.set(xlim=(0, 100), ylim=(0, 20 * len(branches)))
    axes.set_axis_off()
    figure.suptitle(title, size=12)
    figure.text(0.02, 0.02, note, size=8)
    middle = 10 * len(branches)
    _maps(axes, 6, middle, layers["input"], "input", "#777777")
    ends = []
    for i, branch in enumerate(branches):
        y, colour = 20 * (len(branches) - i) - 10, BRANCH_COLOURS[i % len(BRANCH_COLOURS)]
        _arrow(axes, (11, middle), (20, y))
        _maps(axes, 27, y, branch["maps"], f"convolution {branch['kernel']}x{branch['kernel']}", colour)
        axes.text(27, y - 8.2, f"{branch['parameters']:,} parameters", size=7.5, ha="center", color=colour)
        _arrow(axes, (33, y), (42, y), "ReLU")
        _maps(axes, 49, y, branch["pooled"], f"max-pooling {layers['pool']}x{layers['pool']}", colour)
        ends.append((54.5, y))
    for end in ends:
        _arrow(axes, end, (65, middle))
    axes.text(59, middle, "flatten", size=8, ha="center", va="center")
    axes.add_patch(Rectangle((65.5, middle - 8), 2, 16, color="#777777"))
    axes.text(66.5, middle + 9, f"{layers['features']:,}", size=9, ha="center")
    axes.text(66.5, middle - 10.2, "concatenated", size=8, ha="center")
    _arrow(axes, (68.5, middle), (79, middle), "linear")
    axes.text(74, middle - 4, f"{layers['linear_parameters']:,}\nparameters", size=7.5, ha="center", va="top")
    _class_list(axes, layers["classes"], middle)
    axes.text(99, 0.5, f"{layers['parameters']:,} parameters in all", size=9, ha="right", va="bottom")
    return figure


def _class_list(axes: Axes, classes: Sequence[str], middle: float) -> None:
    """The classes one below the other at the right of the diagram, each on one line that ends inside of it."""
    room = 2 * middle - 6  # the line on all parameters stands below
    step = min(3.2, room / len(classes))
    for i, (name, colour) in enumerate(class_colours(classes).items()):
        height = middle + step * ((len(classes) - 1) / 2 - i)
        axes.add_patch(Circle((81.5, height), min(1.1, 0.4 * step), color=colour))
        words, size = fitting(name, 1.55, min(10.0, 3.1 * step))
        axes.text(83.5, height, words, size=size, va="center")


def _maps(axes: Axes, x: float, y: float, shape: Sequence[int], name: str, colour: str) -> None:
    """A stack of square maps, its name above and its shape below."""
    for step in (2, 1, 0):
        corner = (x - 4 + 0.8 * step, y - 4 + 0.8 * step)
        axes.add_patch(Rectangle(corner, 7, 7, facecolor="white", edgecolor=colour, linewidth=1.3))
    axes.text(x, y + 6.2, name, size=9, ha="center")
    axes.text(x, y - 5.9, " x ".join(map(str, shape)), size=8.5, ha="center")


def _arrow(axes: Axes, begin: tuple[float, float], end: tuple[float, float], name: str = "") -> None:
    axes.annotate("", end, begin, arrowprops={"arrowstyle": "->", "color": "#555555", "linewidth": 1.2})
    if name:
        axes.text((begin[0] + end[0]) / 2, (begin[1] + end[1]) / 2 + 0.9, name, size=8, ha="center")
