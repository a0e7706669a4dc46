"""A figure for a paper."""

import numpy as np

from lmtcnn.figures.paper import paper_maps

FLOOR_CM = (49.8, 50.9)


def test_a_figure_for_a_paper_has_a_row_for_each_channel_and_one_scale_in_it_and_no_title():
    values = np.random.default_rng(0).random((2, 3, 6, 6)) * np.array([1, 5, 9])[None, :, None, None]
    colours = {"AM": "#0072B2", "JF": "#E69F00"}
    crosses = [[[(0, 0, 1.0)], [(0, 0, -1.0)]]] * 3
    figure = paper_maps(values, ["AM", "JF"], ["3x3/00", "3x3/01", "9x9/02"], FLOOR_CM, colours, crosses=crosses)
    panels, bars = [a for a in figure.axes if a.images and a.get_xlim()[1] == 49.8], figure.axes
    assert (len(panels), figure.get_suptitle()) == (6, "")
    for number, panel in enumerate(panels):
        row, column = divmod(number, 2)
        np.testing.assert_array_equal(panel.images[0].get_array(), values[column, row])
        assert panel.images[0].get_clim() == (0, values[:, row].max())
    assert [panel.get_title() for panel in panels] == ["AM", "JF", "", "", "", ""]
    assert {"3x3/00", "3x3/01", "9x9/02"} <= {bar.get_ylabel() for bar in bars}
    assert [bool(panel.lines) for panel in panels] == [True] * 6
