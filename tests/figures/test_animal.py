"""One animal's reasons, drawn."""

import numpy as np
import pytest

from lmtcnn.figures.animal import reasons

MAP = np.arange(16.0).reshape(4, 4)


@pytest.mark.parametrize("zones", [{"dome": 1.0, "nest": -0.5}, {}])
def test_maps_of_stops_share_a_scale_and_reasons_have_one_around_nothing(zones: dict[str, float]) -> None:
    shares = np.stack([MAP, 2 * MAP, MAP])
    figure = reasons(shares, "abc", MAP - 9, np.ones(3), zones, 20, (49.8, 50.9), "title", note="note")
    limits = [axes.images[0].get_clim() for axes in figure.axes if axes.images and axes.get_xlim()[1] == 49.8]
    assert limits == [(0, 30)] * 3 + [(-9, 9)]
    assert sum(bool(axes.patches) for axes in figure.axes) == (2 if zones else 1)
