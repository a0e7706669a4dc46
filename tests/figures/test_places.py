"""Maps of differences, with the outlined tiles."""

import numpy as np
from matplotlib.figure import Figure

from lmtcnn.figures.places import contrast_maps, outline


def test_a_line_goes_around_marked_tiles_and_nowhere_else() -> None:
    marked = np.zeros((4, 5), dtype=bool)
    marked[1, 2:4] = True
    panel = Figure().add_subplot()
    outline(panel, marked, (10.0, 8.0))
    edges = {tuple(map(tuple, np.transpose([line.get_xdata(), line.get_ydata()]).tolist())) for line in panel.lines}
    assert edges == {
        ((4, 2), (6, 2)), ((6, 2), (8, 2)), ((4, 4), (6, 4)), ((6, 4), (8, 4)), ((4, 2), (4, 4)), ((8, 2), (8, 4)),
    }  # fmt: skip


def test_every_pair_has_a_map_on_one_scale_around_nothing() -> None:
    maps = np.random.default_rng(0).normal(size=(4, 6, 6))
    words = (["a against b"] * 4, ["p 0.01"] * 4)
    figure = contrast_maps(maps, np.zeros(maps.shape, dtype=bool), *words, (49.8, 50.9), "title", label="per mille")
    images = [axes.images[0] for axes in figure.axes[:4]]
    limits = {image.get_clim() for image in images}
    assert limits == {(-abs(maps).max(), abs(maps).max())}
    assert figure.axes[-1].get_ylabel() == "per mille"
