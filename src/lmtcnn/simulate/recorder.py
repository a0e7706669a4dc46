"""One simulated recording as a Live Mouse Tracker database.

Tables, columns and indexes are the tracker's (fdechaumont/LiveMouseTracker), and so is the order of rows in DETECTION:
track by track inside save blocks. Rows are simulated and inserted chunk by chunk, and the indexes are built at the end,
so memory does not grow with the length of the recording.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmtcnn.core.sections import SimulateParams
from lmtcnn.simulate import behaviour, truth
from lmtcnn.simulate.behaviour import Mouse, Plan, Recording
from lmtcnn.simulate.truth import FPS, MICE, Floats

Ints = NDArray[np.int64]

BLOCK_FRAMES = 1000  # frames the tracker saves at once
CHUNK_BLOCKS = 20  # blocks simulated at once
MISSING = 0.15  # share of the frames without identity that have no detection either
UNKNOWN_ENDS = 0.03  # share of detections without head and tail
HALF_BODY_CM = 2.0  # from the centre of mass to FRONT and to BACK

TABLES = (
    "CREATE TABLE ANIMAL (ID INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, RFID TEXT, GENOTYPE TEXT, NAME TEXT,"
    " AGE TEXT, SEX TEXT, STRAIN TEXT)",  # lmt-analysis knows 3, 4, 5, 7, 8 and 9 columns
    "CREATE TABLE DETECTION (ID INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, FRAMENUMBER INTEGER, ANIMALID INTEGER,"
    " MASS_X REAL, MASS_Y REAL, MASS_Z REAL, FRONT_X REAL, FRONT_Y REAL, FRONT_Z REAL,"
    " BACK_X REAL, BACK_Y REAL, BACK_Z REAL, REARING INTEGER, LOOK_UP INTEGER, LOOK_DOWN INTEGER, DATA TEXT NOT NULL,"
    " FOREIGN KEY(ANIMALID) REFERENCES ANIMAL(ID), FOREIGN KEY(FRAMENUMBER) REFERENCES FRAME(FRAMENUMBER))",
    "CREATE TABLE FRAME (FRAMENUMBER INTEGER NOT NULL UNIQUE PRIMARY KEY, TIMESTAMP INTEGER, NUMPARTICLE INTEGER,"
    " PAUSED INTEGER, TEMPERATURE REAL, HUMIDITY REAL, SOUND REAL, LIGHTVISIBLE REAL, LIGHTVISIBLEANDIR REAL)",
    "CREATE TABLE EVENT (ID INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, NAME TEXT, DESCRIPTION TEXT,"
    " STARTFRAME INTEGER, ENDFRAME INTEGER, IDANIMALA INTEGER, IDANIMALB INTEGER, IDANIMALC INTEGER,"
    " IDANIMALD INTEGER, METADATA TEXT)",
    "CREATE TABLE RFIDEVENT (ID INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, RFID TEXT, TIME INTEGER, X INTEGER,"
    " Y INTEGER)",
)
INDEXES = (
    "CREATE INDEX animalIndex ON ANIMAL (ID)",
    "CREATE INDEX detectionIndex ON DETECTION (ID, FRAMENUMBER)",
    "CREATE INDEX detetIdIndex ON DETECTION (ID)",
    "CREATE INDEX detframenumberIndex ON DETECTION (FRAMENUMBER)",
    "CREATE INDEX eventEndFrameIndex ON EVENT (ENDFRAME)",
    "CREATE INDEX eventStartFrameIndex ON EVENT (STARTFRAME)",
    "CREATE INDEX eventstartendIndex ON EVENT (STARTFRAME, ENDFRAME)",
    "CREATE INDEX eventIndex ON EVENT (ID)",
    "CREATE INDEX indexeventidIndex ON EVENT (ID, NAME)",
)
FAST_INDEX = "CREATE INDEX detectionFastLoadXYIndex ON DETECTION (ANIMALID, FRAMENUMBER, MASS_X, MASS_Y)"

SETTINGS = (
    "page_size = 4096",
    "auto_vacuum = NONE",
    "cache_size = -65536",  # KiB of pages; an index is sorted in as much again, and in temporary files (TMPDIR)
    "journal_mode = OFF",  # a file that is not finished is thrown away
    "synchronous = OFF",
    f"application_id = {truth.APPLICATION_ID}",
)
INSERT_DETECTION = (
    "INSERT INTO DETECTION (FRAMENUMBER, ANIMALID, MASS_X, MASS_Y, MASS_Z, FRONT_X, FRONT_Y, FRONT_Z, BACK_X, BACK_Y,"
    " BACK_Z, REARING, LOOK_UP, LOOK_DOWN, DATA) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
    " '<?xml version=\"1.0\"?><ROOT><boolMask>00</boolMask></ROOT>   ')"  # 60 bytes for LMT's mask of 1,000
)
INSERT_FRAME = "INSERT INTO FRAME VALUES (?, ?, ?, 0, ?, ?, ?, ?, ?)"


def write(
    path: Path,
    simulate: SimulateParams,
    recording: Recording,
    fast_index: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write a recording to `path`, which must not exist or be empty, in one transaction.

    Parameters
    ----------
    path : Path
    simulate : SimulateParams
    recording : Recording
    fast_index : bool
        Whether to build detectionFastLoadXYIndex, which files of older trackers lack.
    progress : callable, optional
        Progress callback: frames written so far, and frames in all.

    Returns
    -------
    int
        The number of detections.
    """
    mice = [behaviour.mouse(simulate, recording, animal) for animal in range(1, MICE + 1)]
    plans = [behaviour.plan(simulate, recording, mouse) for mouse in mice]
    n_detections = 0
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        for setting in SETTINGS:
            database.execute(f"PRAGMA {setting}")
        database.execute("BEGIN")
        for statement in TABLES:
            database.execute(statement)
        _insert_animals(database, recording, mice, plans)
        for first, last, tracks in _chunks(simulate, recording, mice, plans):
            database.executemany(INSERT_FRAME, _frame_rows(simulate, recording, first, last))
            n_detections += database.executemany(INSERT_DETECTION, _detection_rows(tracks)).rowcount
            if progress:
                progress(last, behaviour.n_frames(simulate))
        for statement in (*INDEXES, *([FAST_INDEX] if fast_index else [])):
            database.execute(statement)
        database.execute("COMMIT")
    return n_detections


def _insert_animals(database: sqlite3.Connection, recording: Recording, mice: list[Mouse], plans: list[Plan]) -> None:
    """Insert the animals, and a few events as the tracker would have written them."""
    for mouse, plan in zip(mice, plans, strict=True):
        who = (mouse.animal, mouse.rfid, "simulated", f"{recording.cage}_{mouse.animal}", recording.age, recording.sex)
        database.execute("INSERT INTO ANIMAL VALUES (?, ?, ?, ?, ?, ?, 'simulated')", who)
        x_px, y_px = (round(float(value)) for value in to_px(plan.place_cm[0]))
        seen = (mouse.rfid, recording.start_ms, x_px, y_px)
        database.execute("INSERT INTO RFIDEVENT (RFID, TIME, X, Y) VALUES (?, ?, ?, ?)", seen)
        events = [("RFID MATCH", 1, 1)]
        events += [("Stop", int(a) + 1, int(b)) for a, b in zip(plan.start[:3], plan.end[:3], strict=True)]
        database.executemany(
            "INSERT INTO EVENT (NAME, DESCRIPTION, STARTFRAME, ENDFRAME, IDANIMALA) VALUES (?, 'simulated', ?, ?, ?)",
            [(*event, mouse.animal) for event in events],
        )


def to_px(place_cm: Any) -> Any:
    """Floor coordinates in cm to pixels of the depth image."""
    return place_cm * truth.PX_PER_CM + np.array(truth.ORIGIN_PX)


class Tracks:
    """Rows of DETECTION of one chunk in the order of writing: frame, animal (0 = anonymous), reals (n, 9), flags."""

    def __init__(self, frame: Ints, animal: Ints, reals: Floats, flags: NDArray[np.uint8]) -> None:
        self.frame, self.animal, self.reals, self.flags = frame, animal, reals, flags


def _chunks(
    simulate: SimulateParams, recording: Recording, mice: list[Mouse], plans: list[Plan]
) -> Iterator[tuple[int, int, Tracks]]:
    """First frame, last frame (exclusive, from 0) and detections of one chunk after the other."""
    n = behaviour.n_frames(simulate)
    streams = [behaviour.mouse_stream(simulate, recording, mouse.animal, behaviour.TRACKING) for mouse in mice]
    edges = [behaviour.identity_edges(rng, mouse, n) for rng, mouse in zip(streams, mice, strict=True)]
    step = BLOCK_FRAMES * CHUNK_BLOCKS
    for first in range(0, n, step):
        last = min(first + step, n)
        parts = [_track(*each, first, last) for each in zip(streams, mice, plans, edges, strict=True)]
        animal, reals, flags = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        frame = np.tile(np.arange(first + 1, last + 1), MICE)
        slot = np.where(animal == 0, MICE + 1, animal)
        key = ((frame - 1 - first) // BLOCK_FRAMES * (MICE + 2) + slot).astype(np.int16)
        order = np.argsort(key, kind="stable")
        order = order[animal[order] >= 0]
        yield first, last, Tracks(frame[order], animal[order], reals[order], flags[order])


def _track(
    rng: np.random.Generator, mouse: Mouse, plan: Plan, edges: Ints, first: int, last: int
) -> tuple[Ints, Floats, NDArray[np.uint8]]:
    """A mouse in frames [first, last): animal (0 anonymous, -1 not seen), nine coordinates, three flags."""
    n = last - first
    place, heading = behaviour.path(plan, first, last)
    chance = rng.random((n, 3), dtype=np.float32)
    identified = np.searchsorted(edges, np.arange(first, last), side="right") % 2 == 0
    animal = np.where(identified, mouse.animal, np.where(chance[:, 0] < MISSING, -1, 0))
    mass = to_px(place) + mouse.jitter_px * behaviour.jitter(rng, n)
    half = HALF_BODY_CM * truth.PX_PER_CM * heading
    height = 60.0 + 4.0 * chance[:, 1]
    reals = np.empty((n, 9))
    reals[:, 0:2], reals[:, 2] = mass, height
    reals[:, 3:5], reals[:, 5] = mass + half, height - 5.0
    reals[:, 6:8], reals[:, 8] = mass - half, height - 15.0
    reals *= 100.0
    np.rint(reals, out=reals)
    reals /= 100.0
    unknown = chance[:, 2] < UNKNOWN_ENDS
    reals[unknown, 3:] = -1.0
    flags = np.zeros((n, 3), np.uint8)
    flags[:, 0] = chance[:, 1] > 0.97
    flags[:, 1] = chance[:, 1] > 0.9
    flags[:, 2] = chance[:, 1] < 0.1
    return animal, reals, flags


def _detection_rows(tracks: Tracks) -> Iterator[tuple[Any, ...]]:
    """Rows for INSERT_DETECTION."""
    animal = [each or None for each in tracks.animal.tolist()]
    return zip(tracks.frame.tolist(), animal, *tracks.reals.T.tolist(), *tracks.flags.T.tolist(), strict=True)


def _frame_rows(
    simulate: SimulateParams, recording: Recording, first: int, last: int
) -> Iterator[tuple[int | float, ...]]:
    """Rows for INSERT_FRAME of frames [first, last), numbered from 1.

    TIMESTAMP goes in steps of 33 and 34 ms; then come NUMPARTICLE, and five sensors that follow the light cycle.
    """
    number = np.arange(first + 1, last + 1)
    stamp = recording.start_ms + (number - 1) * 1000 // FPS
    clock_h = (recording.start_clock_h + (number - 1) / (FPS * simulate.seconds_per_hour)) % 24
    light = (clock_h >= 8) & (clock_h < 20)
    sensors = (
        np.rint(10 * (22 + 0.8 * np.sin((clock_h - 9) * np.pi / 12))) / 10,  # degrees C
        np.rint(450 - 30 * np.sin((clock_h - 9) * np.pi / 12)) / 10,  # %
        np.full(len(number), 50.0),
        np.where(light, 80.0, 0.0),
        np.where(light, 120.0, 40.0),
    )
    return zip(*(column.tolist() for column in (number, stamp, 4 + number % 3, *sensors)), strict=True)
