"""The tables of a recording."""

from pathlib import Path

import pytest

from conftest import T0_MS, Scene, execute, still
from lmtcnn.cohort.recording import Recording, Sample
from lmtcnn.core.params import Params
from lmtcnn.stops.extraction import extract


def test_counts_of_several_files_add_up_and_extremes_are_of_all(tmp_path: Path, params: Params) -> None:
    """900 frames at 30 frames/s and 22 degrees, ten of them paused; then 30 at 20 frames/s and 19 to 27 degrees."""
    slow = [(f, T0_MS + 60_000 + 50 * f, 0) for f in range(30)]
    paused = [(f, T0_MS + round((f - 1) * 1000 / 30), int(f <= 10)) for f in range(1, 901)]
    paths = (
        Scene(still(1, 900), paused).write(tmp_path / "1.sqlite"),
        Scene(still(0, 29), slow).write(tmp_path / "2.sqlite"),
    )
    for path, degrees in zip(paths, ("22", "19 + FRAMENUMBER * 8 / 29.0"), strict=True):
        execute(path, "ALTER TABLE FRAME ADD COLUMN TEMPERATURE REAL", f"UPDATE FRAME SET TEMPERATURE = {degrees}")
    found = extract(Recording("r", paths, params.stops.arena), params).quality.row(0, named=True)
    counts = ("n_files", "n_frames", "n_paused_frames", "n_unpaused", "n_expected_frames", "n_detected", "n_segments")
    assert [found[name] for name in counts] == [2, 930, 10, 920, 890 + 45, 920, 2]
    assert (found["coldest_c"], found["hottest_c"]) == (19.0, 27.0)
    assert (found["n_cold"], found["n_too_cold"], found["n_hot"], found["n_too_hot"]) == (8, 4, 8, 4)
    assert found["measured_fps"] == pytest.approx(918 / (889 / 30 + 29 / 20), rel=1e-4)
    assert found["span_s"] == pytest.approx(60 + 29 / 20 - 10 / 30, abs=1e-3)


def test_an_interval_tells_frames_rows_and_detections_of_nobody_and_others(tmp_path: Path, change) -> None:
    """Intervals of 2 s: a pause of 10 frames and two frames without a row in the first, a stranger in the second."""
    frames = [(f, T0_MS + round((f - 1) * 1000 / 30), int(21 <= f <= 30)) for f in range(1, 121) if f not in (50, 51)]
    rows = still(1, 120) + still(5, 8, animal=None) + still(61, 63, animal=7)
    path = Scene(rows, frames, {1: "1", 7: "7"}).write(tmp_path / "a.sqlite")
    only = {"1": Sample("r", "1", "c", {}, "AM")}
    using = change(**{"histograms.interval_s": 2})
    found = extract(Recording("r", (path,), using.stops.arena, samples=only), using)
    assert found.intervals.drop("recording").rows() == [(0, 50, 48, 4, 0), (1, 60, 60, 0, 3)]
