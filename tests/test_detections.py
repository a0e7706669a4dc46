"""The table DETECTION, from pages and from rows, with and without the covering index."""

from pathlib import Path

import numpy as np
import pytest

from conftest import Scene, not_plain
from lmtcnn import lmt
from lmtcnn.clock import Layout, lay_out
from lmtcnn.detections import count_rows, read_anonymous, read_track, read_tracks
from lmtcnn.frames import read_clock
from lmtcnn.lmt import open_database
from lmtcnn.tracks import Tally, Track

LAYOUT = Layout(np.array([1]), np.array([300]), np.array([0, 300]))


def test_rows_of_another_type_are_no_positions(tmp_path: Path) -> None:
    rows = [(1, 1, "x", 5.0), (2, 1, None, 5.0), ("x", 1, 200.0, 150.0), (4, 1, 200, 150), (5, "1", 1e999, 5.0)]
    path = Scene(rows, n_frames=9, covering_index=False).write(tmp_path / "a.sqlite")
    found = open_database(path)
    track = read_track(found, 1, Track(lay_out(read_clock(found), path)))
    assert np.flatnonzero(track.detected).tolist() == [3]
    assert (track.n_rows, track.n_invalid, track.n_untimed) == (5, 3, 1)


@pytest.mark.parametrize("covering_index", [True, False])
@pytest.mark.parametrize("pages", [True, False], ids=["from pages", "from rows"])
def test_rows_without_an_animal_are_counted_by_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, covering_index: bool, pages: bool
) -> None:
    """Intervals of 100 frames: 2, 0 and 1 rows; one in no frame of the layout, one of another animal."""
    rows = [(1, None, 20, 20), (100, None, 20, 20), (201, None, 20, 20), (900, None, 20, 20), (150, 1, 20, 20)]
    path = Scene(rows, n_frames=300, covering_index=covering_index).write(tmp_path / "a.sqlite")
    if not pages:
        monkeypatch.setattr(lmt, "find_leaves", not_plain)
    tally, seen = Tally(LAYOUT, [0, 100, 200, 300]), []
    found = open_database(path)
    if covering_index:
        read_anonymous(found, tally, seen.append)
        read_track(found, 1, Track(LAYOUT), seen.append)
    else:
        read_tracks(found, {1: Track(LAYOUT)}, tally, 1, seen.append)
    assert (tally.n_rows, tally.counts.tolist()) == (4, [2, 0, 1])
    assert sum(seen) == count_rows(found) == 5
