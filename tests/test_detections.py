"""The table DETECTION, from pages and from rows, with and without the covering index."""

from pathlib import Path

import numpy as np
import pytest

from conftest import Scene, not_plain, still
from lmtcnn import detections, lmt
from lmtcnn.clock import Layout, lay_out
from lmtcnn.detections import count_detections, count_rows, read_track, read_tracks
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
    tally, others, seen = Tally(LAYOUT, [0, 100, 200, 300]), Tally(LAYOUT, [0, 100, 200, 300]), []
    found = open_database(path)
    if covering_index:
        count_detections(found, [None], tally, seen.append)
        read_track(found, 1, Track(LAYOUT), seen.append)
        count_detections(found, [], others)
    else:
        read_tracks(found, {1: Track(LAYOUT)}, tally, others, 1, seen.append)
    assert (tally.n_rows, tally.counts.tolist()) == (4, [2, 0, 1])
    assert others.n_rows == 0
    assert sum(seen) == count_rows(found) == 5


@pytest.mark.parametrize("covering_index", [True, False])
@pytest.mark.parametrize("pages", [True, False], ids=["from pages", "from rows"])
def test_rows_of_other_animals_are_counted_by_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, covering_index: bool, pages: bool
) -> None:
    """Three mice of which the first is wanted, and one that is not in ANIMAL, which counts nowhere."""
    rows = [row for a in (1, 2) for row in still(1, 300, x=100.0 * a, animal=a)]
    rows += [(7, 3, 20, 20), (250, 3, 20, 20), (900, 3, 20, 20), (8, None, 20, 20), (9, 9, 20, 20)]
    animals = {1: "1", 2: "2", 3: "3"}
    path = Scene(rows, n_frames=300, animals=animals, covering_index=covering_index).write(tmp_path / "a.sqlite")
    if not pages:
        monkeypatch.setattr(lmt, "find_leaves", not_plain)
    nobody, others = Tally(LAYOUT, [0, 100, 200, 300]), Tally(LAYOUT, [0, 100, 200, 300])
    if covering_index:
        count_detections(open_database(path), [2, 3], others)
    else:
        read_tracks(open_database(path), {1: Track(LAYOUT)}, nobody, others)
    assert (others.n_rows, others.counts.tolist()) == (303, [101, 100, 101])


def test_a_fault_far_behind_begins_the_counts_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second block of pages holds a text among the numbers: what the first gave must not count twice."""
    monkeypatch.setattr(detections, "TABLE_PAGES_AT_ONCE", 1)
    rows = still(1, 300) + [(f, None, 20.0, 20.0) for f in range(1, 301)] + [(299, 2, "x", 20.0)]
    path = Scene(rows, n_frames=300, animals={1: "1", 2: "2"}, covering_index=False).write(tmp_path / "a.sqlite")
    nobody, others, track = Tally(LAYOUT, [0, 300]), Tally(LAYOUT, [0, 300]), Track(LAYOUT)
    read_tracks(open_database(path), {1: track}, nobody, others)
    assert (nobody.n_rows, others.n_rows, track.n_rows, track.n_identical) == (300, 1, 300, 0)
