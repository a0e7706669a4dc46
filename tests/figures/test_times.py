"""Distances by hour."""

import numpy as np
from matplotlib.patches import Rectangle

from lmtcnn.figures.times import Times, hours


def test_a_row_for_each_pair_with_dots_where_marked_and_the_night_shaded() -> None:
    marked = np.array([False, True, True, False])
    line = np.arange(4.0)
    pair = Times("A against B", line, -line, marked, ~marked, {"A": line, "B": 2 * line})
    night = np.array([0.0, 0.5, 0.5, 1.0])
    figure = hours([pair, pair], 20, night, {"A": "#000000", "B": "#ff0000"}, "title", note="note")
    left, right = figure.axes[:2]
    dots = [each.get_xdata().tolist() for each in left.lines if each.get_marker() == "o"]
    assert dots == [[1.5, 2.5], [0.5, 3.5]]
    spans = [(patch.get_x(), patch.get_width()) for patch in right.patches if isinstance(patch, Rectangle)]
    assert spans == [(1.0, 2.0), (3.0, 1.0)]
    assert right.get_legend_handles_labels()[1] == ["A", "B"]
    assert len(figure.axes) == 4
    assert figure.axes[2].get_xlabel() == "intervals of 20 s since the first"
