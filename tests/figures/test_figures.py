"""Figures are tested by what they draw: arrays, places and words, never pixels."""

import matplotlib as mpl
import numpy as np
import polars as pl
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from lmtcnn.core.errors import OutputError
from lmtcnn.figures.figures import (
    SMALLEST,
    architecture,
    class_colours,
    confusion_matrix,
    curves,
    fitting,
    positions,
    save,
)

CLASSES = ["AM", "JM", "AF", "JF"]
COUNTS = np.array([[22, 2, 0, 0], [9, 8, 1, 6], [0, 4, 20, 0], [0, 0, 0, 24]])


def history(sd: float | None = 0.1) -> pl.DataFrame:
    names = ("train_loss", "test_loss", "train_accuracy", "test_accuracy")
    means = {name: [0.2 + i / 10, 0.1 + i / 10] for i, name in enumerate(names)}
    spreads = {f"{name}_sd": pl.Series([sd, sd], dtype=pl.Float64) for name in names}
    return pl.DataFrame({"epoch": [1, 2], **means, **spreads})


def words(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_the_table_has_true_classes_in_rows_with_counts_and_row_shares():
    axes = confusion_matrix(COUNTS, CLASSES, "Table 1", "small print").axes[0]
    assert words(axes)[:4] == ["22", "92%", "2", "8%"]
    assert words(axes)[8:10] == ["9", "38%"]
    np.testing.assert_allclose(axes.images[0].get_array(), COUNTS / 24)
    assert [label.get_text() for label in axes.get_yticklabels()] == CLASSES
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")


def test_a_class_without_samples_has_counts_but_no_shares():
    axes = confusion_matrix(np.array([[0, 0], [1, 3]]), ["a", "b"], "t").axes[0]
    assert words(axes) == ["0", "0", "1", "25%", "3", "75%"]


def test_curves_draw_the_columns_of_the_table():
    left, right = curves(history(), "t").axes
    assert [list(line.get_ydata()) for line in left.lines] == [[0.2, 0.1], [0.30000000000000004, 0.2]]
    assert [line.get_label() for line in right.lines] == ["training cages", "held-out cage"]
    band = left.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == pytest.approx((0.0, 0.3))


def test_curves_of_a_single_network_have_bands_without_width():
    band = curves(history(sd=None), "t").axes[0].collections[0].get_paths()[0].vertices[:, 1]
    assert set(band.round(6)) == {0.2, 0.1}


def test_classes_keep_a_colour_of_their_own():
    colours = class_colours(CLASSES)
    assert len(set(colours.values())) == 4
    assert class_colours(CLASSES[:2]) == {name: colours[name] for name in CLASSES[:2]}
    assert len(set(class_colours([str(i) for i in range(30)]).values())) == 30


def test_a_file_has_no_date_and_a_users_settings_do_not_change_it(tmp_path):
    save(confusion_matrix(COUNTS, CLASSES, "t"), tmp_path / "plain.png")
    with mpl.rc_context({"font.size": 30, "savefig.facecolor": "red", "image.cmap": "jet", "savefig.bbox": "tight"}):
        save(confusion_matrix(COUNTS, CLASSES, "t"), tmp_path / "set.png")
    for end in (".png", ".svg", ".pdf"):
        assert (tmp_path / "plain").with_suffix(end).read_bytes() == (tmp_path / "set").with_suffix(end).read_bytes()
    assert b"<dc:date>" not in (tmp_path / "plain.svg").read_bytes()
    assert b"CreationDate" not in (tmp_path / "plain.pdf").read_bytes()
    with Image.open(tmp_path / "plain.png") as image:
        assert image.format == "PNG"
        assert set(image.info) == {"dpi"}
        assert round(image.info["dpi"][0]) == 300


def test_drawing_leaves_no_trace_in_matplotlibs_settings(tmp_path):
    before = dict(mpl.rcParams)
    save(curves(history(), "t"), tmp_path / "curves.png")
    assert dict(mpl.rcParams) == before


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError) as caught:
        save(curves(history(), "t"), tmp_path / "file" / "curves.png")
    assert str(caught.value) == (
        f"{tmp_path}/file/curves.png: expected a place that can be written, found a file of that name; "
        "choose another or change its permissions"
    )


def test_positions_are_lines_through_time_with_a_marker_where_a_stop_starts():
    time = np.array([0.0, 1.0, 2.0])
    x, y = np.array([1.0, np.nan, 3.0]), np.array([4.0, 5.0, 6.0])
    starts = np.array([1.5]), np.array([2.5]), np.array([5.5])
    axes = positions(time, x, y, starts, "t", unit="s").axes[0]
    drawn = [(line.get_color(), *line.get_data()) for line in axes.lines[:4]]
    assert [colour for colour, *_ in drawn] == ["#0072B2", "black", "#009E73", "black"]
    np.testing.assert_array_equal(drawn[0][2], x)
    np.testing.assert_array_equal(drawn[2][2], y)
    assert (drawn[1][1].tolist(), drawn[1][2].tolist(), drawn[3][2].tolist()) == ([1.5], [2.5], [5.5])
    assert axes.get_xlabel() == "time (s)"


def test_the_network_is_drawn_with_its_shapes_and_numbers():
    branches = [
        {"kernel": k, "maps": [16, 30, 30], "pooled": [16, 15, 15], "parameters": n}
        for k, n in ((3, 10_384), (9, 93_328))
    ]
    layers = {"input": [72, 30, 30], "branches": branches, "pool": 2, "features": 7200, "linear_parameters": 28_804,
              "parameters": 132_516, "classes": CLASSES}  # fmt: skip
    said = words(architecture(layers, "t").axes[0])
    shapes = ("72 x 30 x 30", "convolution 3x3", "convolution 9x9", "16 x 30 x 30", "max-pooling 2x2", "16 x 15 x 15")
    numbers = ("10,384 parameters", "93,328 parameters", "7,200", "28,804\nparameters")
    assert {*shapes, *numbers, *CLASSES} <= set(said)


LONG = ["wild type, vehicle, twelve weeks old", "knock-out, heterozygous, treated twice a day", "C"]


def network(classes: list[str]) -> dict:
    branches = [{"kernel": k, "maps": [16, 30, 30], "pooled": [16, 15, 15], "parameters": 1} for k in (3, 9)]
    return {"input": [72, 30, 30], "branches": branches, "pool": 2, "features": 7200, "linear_parameters": 1,
            "parameters": 2, "classes": classes}  # fmt: skip


def boxes(figure) -> list:
    """Where every text of a figure's only axes lies, in inches: words, box."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    return [(t.get_text(), t.get_window_extent(renderer)) for axes in figure.axes for t in axes.texts if t.get_text()]


@pytest.mark.parametrize("classes", [LONG, CLASSES, [f"genotype {i} with a long name" for i in range(14)], ["a", "b"]])
def test_names_of_classes_overprint_nothing_in_the_drawing_of_the_network(classes: list[str]):
    figure = architecture(network(classes), "t")
    found = boxes(figure)
    for number, (one, box) in enumerate(found):
        assert box.x1 <= figure.bbox.x1, one
        for other, another in found[number + 1 :]:
            assert not box.overlaps(another), (one, other)


@pytest.mark.parametrize("classes", [LONG, CLASSES, ["a", "b"]])
def test_long_names_leave_the_confusion_matrix_its_room(classes: list[str]):
    figure = confusion_matrix(np.eye(len(classes), dtype=int), classes, "t")
    FigureCanvasAgg(figure).draw()
    table = figure.axes[0]
    assert table.get_window_extent().width / 100 >= 0.5 * len(classes)  # inches
    for labels in (table.get_xticklabels(), table.get_yticklabels()):
        places = [label.get_window_extent() for label in labels]
        assert not any(a.overlaps(b) for i, a in enumerate(places) for b in places[i + 1 :])


def test_a_text_shrinks_to_its_room_and_is_shortened_where_that_is_not_enough():
    assert fitting("AM", 1.0, 10) == ("AM", 10)
    words_, size = fitting("somewhat longer", 0.8, 10)
    assert (words_, SMALLEST < size < 10) == ("somewhat longer", True)
    words_, size = fitting("much longer than there is room for on any line", 0.8, 10)
    assert (words_[-1], size) == ("\N{HORIZONTAL ELLIPSIS}", SMALLEST)
