"""The way of one animal."""

from pathlib import Path

import polars as pl

from conftest import T0_MS, Scene, still
from lmtcnn.cohort.recording import Recording
from lmtcnn.core.params import Params
from lmtcnn.stops.extraction import extract
from lmtcnn.stops.trace import trace


def test_a_trace_has_the_stops_of_the_table_and_every_frame(tmp_path: Path, params: Params) -> None:
    """Two files with half an hour between them, the animal with another number in each."""
    frames = [(f, T0_MS + 1_800_000 + round((f - 1) * 1000 / 30), 0) for f in range(1, 301)]
    one = Scene(still(1, 300), n_frames=300).write(tmp_path / "a.sqlite")
    rows = still(1, 300, x=300.0, animal=5) + still(1, 300, x=100.0, animal=1)
    other = Scene(rows, frames, animals={1: "002", 5: "001"}, covering_index=False).write(tmp_path / "b.sqlite")
    recording = Recording("r", (one, other), params.stops.arena)
    found = trace(recording, "001", params)
    table = extract(recording, params).stops.filter(pl.col("rfid") == "001")
    assert found.stops.equals(table)
    assert (found.animal_id, found.rfid, found.simulated, found.start_ms) == (1, "001", False, T0_MS)
    assert (len(found.time_s), found.time_s[0], found.time_s[300]) == (600, 0.0, 1800.0)
    assert set(found.x_cm.round(6)) == {round((x - 114) * 10 / 57, 6) for x in (200.0, 300.0)}
    assert trace(recording, "2", params).rfid == "002"
