"""What the networks use, drawn."""

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from lmtcnn.figures.uses import AGAINST, FOR, Use, bars, used, zone_bars

MAP = np.arange(16.0).reshape(4, 4) - 4


@pytest.mark.parametrize("zones", [{"dome": (-1.0, 0.75), "nest": (2.0, 1.0)}, {}])
def test_a_row_for_each_pair_and_zones_where_there_are_some(zones) -> None:
    pair = Use("A against B", "gap 1", MAP, -MAP, np.array([1.0, -1.0]), zones)
    figure = used([pair, pair], 20, (49.8, 50.9), "title", note="note")
    assert len(figure.axes) == 2 * (4 if zones else 3)
    assert figure.axes[0].images[0].get_clim() == (-11, 11)


def test_colours_say_for_whom() -> None:
    panel = Figure().add_subplot()
    bars(panel, np.array([1.0, -2.0]))
    assert [(bar.get_x(), bar.get_height()) for bar in panel.patches] == [(0.0, 1.0), (1.0, -2.0)]
    other = Figure().add_subplot()
    zone_bars(other, {"upper_feeder": (-1.0, 0.75), "nest": (2.0, float("nan"))})
    assert [text.get_text() for text in other.texts] == ["75%", "upper feeder", "", "nest"]
    assert [to_hex(bar.get_facecolor()).upper() for bar in other.patches] == [AGAINST, FOR]
