"""Figures are tested by what they draw: arrays, places and words, never pixels."""

import matplotlib as mpl
import numpy as np
import polars as pl
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from lmtcnn.errors import OutputError
from lmtcnn.figures import CROSS_COLOUR, activation_maps, class_colours, confusion_matrix, curves, save

CLASSES = ["AM", "JM", "AF", "JF"]
COUNTS = np.array([[22, 2, 0, 0], [9, 8, 1, 6], [0, 4, 20, 0], [0, 0, 0, 24]])
FLOOR_CM = (49.8, 50.9)


def history(sd: float | None = 0.1) -> pl.DataFrame:
    names = ("train_loss", "test_loss", "train_accuracy", "test_accuracy")
    means = {name: [0.2 + i / 10, 0.1 + i / 10] for i, name in enumerate(names)}
    spreads = {f"{name}_sd": pl.Series([sd, sd], dtype=pl.Float64) for name in names}
    return pl.DataFrame({"epoch": [1, 2], **means, **spreads})


def maps(classes: int = 4) -> np.ndarray:
    return np.random.default_rng(0).random((classes, 6, 6))


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


def test_maps_lie_on_the_floor_with_y_down_in_one_colour_scale():
    values = maps()
    panels = activation_maps(values, CLASSES, FLOOR_CM, "ReLU / 3x3 / channel 00").axes[:4]
    assert [panel.get_title() for panel in panels] == CLASSES
    for panel, expected in zip(panels, values, strict=True):
        image = panel.images[0]
        np.testing.assert_array_equal(image.get_array(), expected)
        assert image.get_extent() == [0, 49.8, 50.9, 0]
        assert panel.get_ylim() == (50.9, 0)
        assert image.get_clim() == (0, values.max())
    assert (panels[2].get_xlabel(), panels[2].get_ylabel()) == ("x (cm)", "y (cm)")


def test_classes_fill_two_columns_row_by_row():
    figure = activation_maps(maps(5), list("abcde"), FLOOR_CM, "t")
    places = [panel.get_position() for panel in figure.axes[:5]]
    assert places[0].x0 == places[2].x0 == places[4].x0 < places[1].x0 == places[3].x0
    assert places[0].y0 == places[1].y0 > places[2].y0 == places[3].y0 > places[4].y0


def test_crosses_are_red_in_the_middle_of_their_tiles_in_every_panel():
    figure = activation_maps(maps(), CLASSES, FLOOR_CM, "t", crosses=[(0, 0), (5, 2)])
    for panel in figure.axes[:4]:
        (line,) = panel.lines
        np.testing.assert_allclose(line.get_xdata(), [49.8 / 12, 49.8 * 5 / 12])
        np.testing.assert_allclose(line.get_ydata(), [50.9 / 12, 50.9 * 11 / 12])
        assert (line.get_color(), line.get_linestyle()) == (CROSS_COLOUR, "None")


def test_zones_are_outlined_where_the_truth_has_them():
    zones = {
        "1": {"shape": "circle", "x_cm": 6.5, "y_cm": 7.5, "radius_cm": 4.5},
        "2": {"shape": "rectangle", "x_cm": 31.0, "y_cm": 46.0, "width_cm": 14.0, "height_cm": 4.0},
    }
    figure = activation_maps(maps(), CLASSES, FLOOR_CM, "t", zones=zones)
    for panel in figure.axes[:4]:
        circle, rectangle = panel.patches
        assert (circle.center, circle.radius) == ((6.5, 7.5), 4.5)
        assert (rectangle.get_xy(), rectangle.get_width(), rectangle.get_height()) == ((31.0, 46.0), 14.0, 4.0)
        assert words(panel) == ["1", "2"]


def test_a_class_without_samples_says_so_and_spoils_no_scale():
    values = maps()
    values[1] = np.nan
    panels = activation_maps(values, CLASSES, FLOOR_CM, "t").axes
    assert words(panels[1]) == ["no samples"]
    assert panels[0].images[0].get_clim() == (0, np.nanmax(values))


def test_maps_of_a_dead_channel_are_drawn_at_the_foot_of_the_scale():
    assert activation_maps(np.zeros((2, 6, 6)), ["a", "b"], FLOOR_CM, "t").axes[0].images[0].get_clim() == (0, 1)


@pytest.mark.parametrize("note", ["", "a word " * 100], ids=["no note", "a long note"])
def test_small_print_of_any_length_stays_below_the_axes(note):
    figure = activation_maps(maps(), CLASSES, FLOOR_CM, "t", note=note)
    renderer = FigureCanvasAgg(figure).get_renderer()
    axes_bottom = min(panel.get_tightbbox(renderer).y0 for panel in figure.axes[:4])
    small_print = figure.texts[-1].get_window_extent(renderer)
    assert figure.texts[-1].get_text().replace("\n", " ") == note.strip()
    assert small_print.y0 >= 0
    assert small_print.y1 < axes_bottom
    assert small_print.x1 < figure.bbox.x1


def test_classes_keep_a_colour_of_their_own():
    colours = class_colours(CLASSES)
    assert len(set(colours.values())) == 4
    assert class_colours(CLASSES[:2]) == {name: colours[name] for name in CLASSES[:2]}
    assert len(set(class_colours([str(i) for i in range(30)]).values())) == 30
    panel = activation_maps(maps(), CLASSES, FLOOR_CM, "t").axes[2]
    assert mpl.colors.to_hex(panel.spines["left"].get_edgecolor()) == colours["AF"].lower()


def test_a_file_has_no_date_and_a_users_settings_do_not_change_it(tmp_path):
    save(confusion_matrix(COUNTS, CLASSES, "t"), tmp_path / "plain.png")
    with mpl.rc_context({"font.size": 30, "savefig.facecolor": "red", "image.cmap": "jet", "savefig.bbox": "tight"}):
        save(confusion_matrix(COUNTS, CLASSES, "t"), tmp_path / "set.png")
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "set.png").read_bytes()
    with Image.open(tmp_path / "plain.png") as image:
        assert image.format == "PNG"
        assert set(image.info) == {"dpi"}


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
