"""All that is read from a recording; one with changes in its -wal file."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from lmtcnn.lmt.detections import count_detections, read_track, read_tracks
from lmtcnn.lmt.frames import read_clock
from lmtcnn.lmt.lmt import open_database
from lmtcnn.timeline.clock import lay_out
from lmtcnn.timeline.tracks import Tally, Track

PAGE = 4096


def read(path: Path) -> tuple:
    """All that is read from a database, by both ways."""
    found = open_database(path)
    clock = read_clock(found)
    layout = lay_out(clock, path)
    ids = [animal.id for animal in found.animals]
    tracks = [read_track(found, key, Track(layout)) for key in ids]
    tally, others, apart = (Tally(layout, [0, layout.size]) for _ in range(3))
    passed = {key: Track(layout) for key in ids}
    read_tracks(found, passed, tally, others)
    assert others.n_rows == 0
    assert count_detections(found, [None], apart).n_rows == tally.n_rows
    positions = [values.tolist() for t in (*tracks, *passed.values()) for values in (t.x_px, t.y_px)]
    names = [(animal.id, animal.rfid) for animal in found.animals]
    return names, clock.frames.tolist(), clock.timestamps_ms.tolist(), positions, tally.n_rows


@contextlib.contextmanager
def wal(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that holds changes in the -wal file."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("DELETE FROM FRAME WHERE FRAMENUMBER > 100")
        yield connection
