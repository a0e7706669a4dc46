"""Drawings of the floor are tested by what they draw: arrays, places and words, never pixels."""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from lmtcnn.figures.figures import class_colours
from lmtcnn.figures.floor import activation_maps, atlas, histogram, stops_on_floor

CLASSES = ["AM", "JM", "AF", "JF"]
FLOOR_CM = (49.8, 50.9)
CAGE = {
    "dome": {"kind": "dome", "shape": "circle", "x_cm": 6.5, "y_cm": 6.5, "radius_cm": 4.5},
    "lower_feeder": {"kind": "feeder", "shape": "circle", "x_cm": 26.5, "y_cm": 47.5, "radius_cm": 2.5},
    "bottle": {"kind": "water", "shape": "rectangle", "x_cm": 45.0, "y_cm": 0.5, "width_cm": 4.0, "height_cm": 2.0},
}


def maps(classes: int = 4) -> np.ndarray:
    return np.random.default_rng(0).random((classes, 6, 6))


def words(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


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
    assert places[0].x0 == pytest.approx(places[2].x0) == pytest.approx(places[4].x0)
    assert places[0].x0 < places[1].x0 == pytest.approx(places[3].x0)
    assert places[0].y0 == places[1].y0 > places[2].y0 == places[3].y0 > places[4].y0


def test_crosses_are_signed_in_the_middle_of_their_tiles_in_the_panel_of_their_class():
    crosses = [[(0, 0, 1.0), (5, 2, -0.5)], [(1, 1, 2.0)], [], []]
    figure = activation_maps(maps(), CLASSES, FLOOR_CM, "t", crosses=crosses, diverging=True)
    more, less = figure.axes[0].lines
    assert (more.get_marker(), less.get_marker()) == ("+", "_")
    np.testing.assert_allclose([*more.get_xdata(), *less.get_xdata()], [49.8 / 12, 49.8 * 5 / 12])
    np.testing.assert_allclose([*more.get_ydata(), *less.get_ydata()], [50.9 / 12, 50.9 * 11 / 12])
    assert [len(panel.lines) for panel in figure.axes[:4]] == [2, 1, 0, 0]


def test_departures_have_one_scale_around_nothing_and_words_beside_each_class():
    values = maps() - maps().mean(axis=0)
    figure = activation_maps(values, CLASSES, FLOOR_CM, "t", beside=["r 0.5 stops"] * 4, diverging=True)
    for panel in figure.axes[:4]:
        assert panel.images[0].get_clim() == (-abs(values).max(), abs(values).max())
        assert "r 0.5 stops" in words(panel)
    assert figure.axes[-1].get_ylabel() == "mean activation less that of all classes"


def test_planted_zones_are_dashed_where_the_truth_has_them_and_bear_their_names():
    zones = {
        "1": {"shape": "circle", "x_cm": 6.5, "y_cm": 7.5, "radius_cm": 4.5},
        "2": {"shape": "rectangle", "x_cm": 31.0, "y_cm": 46.0, "width_cm": 14.0, "height_cm": 4.0},
    }
    figure = activation_maps(maps(), CLASSES, FLOOR_CM, "t", planted=zones)
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


def test_the_frame_of_a_class_has_its_colour():
    panel = activation_maps(maps(), CLASSES, FLOOR_CM, "t").axes[2]
    assert mpl.colors.to_hex(panel.spines["left"].get_edgecolor()) == class_colours(CLASSES)["AF"].lower()


def test_maps_before_relu_may_be_below_zero():
    panel = activation_maps(maps() - 0.5, CLASSES, FLOOR_CM, "t").axes[0]
    assert panel.images[0].get_clim() == ((maps() - 0.5).min(), (maps() - 0.5).max())


def test_what_stands_in_the_cage_is_outlined_in_its_colour_and_named():
    figure = stops_on_floor(*(np.array([1.0]) for _ in range(3)), FLOOR_CM, 30, 60.0, "t", unit="min", zones=CAGE)
    panel = figure.axes[0]
    dome, feeder, bottle = panel.patches
    assert (dome.center, dome.radius, feeder.center) == ((6.5, 6.5), 4.5, (26.5, 47.5))
    assert (bottle.get_xy(), bottle.get_width()) == ((45.0, 0.5), 4.0)
    assert [mpl.colors.to_hex(p.get_edgecolor()) for p in (dome, feeder, bottle)] == ["#ffffff", "#ff5a4e", "#56b4e9"]
    assert words(panel) == ["dome", "lower feeder", "bottle"]
    assert [text.get_verticalalignment() for text in panel.texts] == ["top", "bottom", "top"]


def test_stops_lie_on_the_grid_that_counts_them_and_later_ones_are_lighter():
    x, y, starts = np.array([1.0, 25.0]), np.array([2.0, 30.0]), np.array([5.0, 50.0])
    panel = stops_on_floor(x, y, starts, FLOOR_CM, 30, 60.0, "t", unit="min").axes[0]
    points = panel.collections[-1]
    np.testing.assert_array_equal(points.get_offsets(), np.column_stack((x, y)))
    early, late = (points.get_cmap()(points.norm(value))[:3] for value in starts)
    assert sum(late) > sum(early)
    vertical, horizontal = panel.collections[:2]
    np.testing.assert_allclose([s[0, 0] for s in vertical.get_segments()], np.linspace(0, 49.8, 31))
    np.testing.assert_allclose([s[0, 1] for s in horizontal.get_segments()], np.linspace(0, 50.9, 31))
    assert (panel.get_xlim(), panel.get_ylim()) == ((0, 49.8), (50.9, 0))


def test_a_histogram_is_drawn_as_it_is_with_y_down():
    counts = np.arange(36).reshape(6, 6)
    panel, bar = histogram(counts, FLOOR_CM, "t", label="stops", zones=CAGE).axes
    np.testing.assert_array_equal(panel.images[0].get_array(), counts)
    assert panel.images[0].get_extent() == [0, 49.8, 50.9, 0]
    assert (panel.images[0].get_clim(), bar.get_ylabel()) == ((0, 35), "stops")


def test_the_atlas_has_a_strip_of_all_classes_for_each_channel():
    values = np.random.default_rng(0).random((3, 4, 6, 6))
    figure = atlas(values, ["a", "b", "c"], [3, 9], ["00", "01", "00", "01"], "t")
    assert [panel.get_title() for panel in figure.axes] == ["3x3", "", "9x9", ""]
    strip = figure.axes[3].images[0].get_array()
    assert strip.shape == (6, 3 * 6 + 2)
    for place in range(3):
        np.testing.assert_array_equal(strip[:, 7 * place : 7 * place + 6], values[place, 3])
    assert figure.axes[3].images[0].get_clim() == (0, values[:, 3].max())
    assert words(figure.axes[0]) == ["00", "a", "b", "c"]


def test_three_classes_have_numbers_on_every_outer_border():
    figure = activation_maps(maps(3), list("abc"), FLOOR_CM, "t")
    FigureCanvasAgg(figure).draw()
    shown = [(bool(panel.get_xlabel()), bool(panel.get_ylabel())) for panel in figure.axes[:3]]
    assert shown == [(False, True), (True, False), (True, True)]
    ticked = [any(label.get_visible() and label.get_text() for label in p.get_xticklabels()) for p in figure.axes[:3]]
    assert [p.xaxis.get_tick_params()["labelbottom"] for p in figure.axes[:3]] == [False, True, True]
    assert ticked[1:] == [True, True]
