"""Maps of many samples made small."""

import numpy as np
import pytest

from lmtcnn.report.tiles import coarser


@pytest.mark.parametrize(("most", "side"), [(1000, 5), (75, 5), (74, 3), (10, 1)])
def test_tiles_are_joined_where_the_page_would_grow_too_large(most, side):
    maps = np.arange(75.0).reshape(3, 5, 5)
    found = coarser(maps, most)
    assert found.shape == (3, side, side)
    np.testing.assert_allclose(found.sum(axis=(1, 2)), maps.sum(axis=(1, 2)))
