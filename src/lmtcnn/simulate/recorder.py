"""One simulated recording as a Live Mouse Tracker database.

Tables, columns and indexes are the tracker's (fdechaumont/LiveMouseTracker), and so is the order of rows in DETECTION:
track by track inside save blocks. SQLite makes the file and its small tables; DETECTION, FRAME and their
indexes are laid out as pages (btree.py), chunk by chunk, so memory does not grow with the length of the recording.
"""

import itertools
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from lmtcnn.core.sections import SimulateParams
from lmtcnn.simulate import behaviour, truth
from lmtcnn.simulate.behaviour import Mouse, Plan, Recording
from lmtcnn.simulate.btree import PageFile, Tree, cells, record_header, varint_widths
from lmtcnn.simulate.truth import FPS, MICE, Floats

Ints = NDArray[np.int64]

BLOCK_FRAMES = 1000  # frames the tracker saves at once
CHUNK_BLOCKS = 20  # blocks simulated at once
MISSING = 0.15  # share of the frames without identity that have no detection either
UNKNOWN_ENDS = 0.03  # share of detections without head and tail
HALF_BODY_CM = 2.0  # from the centre of mass to FRONT and to BACK
DATA = b'<?xml version="1.0"?><ROOT><boolMask>00</boolMask></ROOT>   '  # 60 bytes for LMT's mask of 1,000

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

# Serial types of the records (btree.record_header). The rowid of a table stands outside of the record, as NULL inside.
_TEXT = 13 + 2 * len(DATA)
_DETECTION = {known: record_header([0, 4, 1 if known else 0, *[7] * 9, 1, 1, 1, _TEXT]) for known in (True, False)}
_FRAME = record_header([0, 6, 2, 8, *[7] * 5])
_INTEGERS = {n: record_header([4] * n) for n in (2, 3)}
_FAST = {known: record_header([1 if known else 0, 4, 7, 7, 4]) for known in (True, False)}


def write(
    path: Path,
    simulate: SimulateParams,
    recording: Recording,
    fast_index: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write a recording to `path`, which must not exist or be empty; the number of its detections.

    `fast_index=False` leaves detectionFastLoadXYIndex out, as in files of older trackers. `progress` is told frames.
    """
    mice = [behaviour.mouse(simulate, recording, animal) for animal in range(1, MICE + 1)]
    plans = [behaviour.plan(simulate, recording, mouse) for mouse in mice]
    with closing(_connect(path)) as database:
        _create(database, recording, mice, plans, fast_index)
        roots = dict(database.execute("SELECT name, rootpage FROM sqlite_master"))
    with PageFile(path) as file, tempfile.TemporaryFile(dir=path.parent) as spill:
        detections = _Detections(file, roots, spill)
        frames = _Frames(file, roots)
        for first, last, tracks in _chunks(simulate, recording, mice, plans):
            detections.append(tracks)
            frames.append(simulate, recording, first, last)
            if progress:
                progress(last, behaviour.n_frames(simulate))
        detections.close()
        frames.close()
    with closing(_connect(path)) as database:
        database.execute("INSERT INTO sqlite_sequence VALUES ('DETECTION', ?)", (detections.rows,))
    return detections.rows


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None)
    for pragma in ("page_size = 4096", "auto_vacuum = NONE", "synchronous = OFF", "journal_mode = OFF"):
        database.execute(f"PRAGMA {pragma}")
    return database


def _create(
    database: sqlite3.Connection, recording: Recording, mice: list[Mouse], plans: list[Plan], fast_index: bool
) -> None:
    """Schema, animals, and a few events as the tracker would have written them."""
    database.execute(f"PRAGMA application_id = {truth.APPLICATION_ID}")
    database.execute("BEGIN")
    for statement in (*TABLES, *INDEXES, *([FAST_INDEX] if fast_index else [])):
        database.execute(statement)
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
    database.execute("COMMIT")


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


class _Detections:
    """DETECTION and its indexes, filled chunk by chunk."""

    def __init__(self, file: PageFile, roots: dict[str, int], spill: IO[bytes]) -> None:
        self._table = Tree(file, roots["DETECTION"])
        self._id, self._id_frame, self._frame = (
            Tree(file, roots[name], index=True) for name in ("detetIdIndex", "detectionIndex", "detframenumberIndex")
        )
        fast = roots.get("detectionFastLoadXYIndex")
        self._fast = Tree(file, fast, index=True) if fast else None
        self._spill = spill
        self._spilled: list[tuple[int, int, np.dtype[Any], int]] = []  # animal, place in the file, type, rows

    @property
    def rows(self) -> int:
        """Detections so far."""
        return self._table.rows

    def append(self, tracks: Tracks) -> None:
        """Add the detections of a chunk, which come in save blocks of frames that never go back."""
        ids = self.rows + 1 + np.arange(len(tracks.frame))
        if not len(ids):
            return
        self._append_rows(ids, tracks)
        self._id.append(cells(_INTEGERS[2], [(">i4", ids), (">i4", ids)]))
        self._id_frame.append(cells(_INTEGERS[3], [(">i4", ids), (">i4", tracks.frame), (">i4", ids)]))
        order = np.argsort(tracks.frame, kind="stable")
        self._frame.append(cells(_INTEGERS[2], [(">i4", tracks.frame[order]), (">i4", ids[order])]))
        if self._fast:
            self._spill_fast(ids, tracks)

    def _append_rows(self, ids: Ints, tracks: Tracks) -> None:
        """Rows with an animal, without one, and with rowids of another width have cells of their own size."""
        label = np.where(tracks.animal > 0, 10, 0) + varint_widths(ids)
        rows = {int(each): _detection_cells(ids, tracks, np.flatnonzero(label == each)) for each in np.unique(label)}
        edges = [0, *(np.flatnonzero(np.diff(label)) + 1), len(label)]
        used = dict.fromkeys(rows, 0)
        for first, last in itertools.pairwise(edges):
            each = int(label[first])
            self._table.append(rows[each][used[each] : used[each] + last - first])
            used[each] += last - first

    def _spill_fast(self, ids: Ints, tracks: Tracks) -> None:
        """Keep the keys of the covering index, which is ordered by animal, in a temporary file until the end."""
        x_px, y_px = tracks.reals[:, 0], tracks.reals[:, 1]
        for animal in range(MICE + 1):
            of = np.flatnonzero(tracks.animal == animal)
            if not len(of):
                continue
            of = of if animal else of[np.lexsort((y_px[of], x_px[of], tracks.frame[of]))]
            who: list[tuple[str, Any]] = [("u1", tracks.animal[of])] if animal else []
            columns = [*who, (">i4", tracks.frame[of]), (">f8", x_px[of]), (">f8", y_px[of]), (">i4", ids[of])]
            keys = cells(_FAST[animal > 0], columns)
            self._spilled.append((animal, self._spill.tell(), keys.dtype, len(keys)))
            self._spill.write(keys.data)

    def close(self) -> None:
        """Write what is left; first NULL, then animal after animal into the covering index."""
        for tree in (self._table, self._id, self._id_frame, self._frame):
            tree.close()
        if self._fast:
            for _, place, dtype, rows in sorted(self._spilled, key=lambda part: part[:2]):
                self._spill.seek(place)
                self._fast.append(np.frombuffer(self._spill.read(dtype.itemsize * rows), dtype))
            self._fast.close()


def _detection_cells(ids: Ints, tracks: Tracks, of: Ints) -> NDArray[Any]:
    known = bool(tracks.animal[of[0]])
    data = np.broadcast_to(np.frombuffer(DATA, np.uint8), (len(of), len(DATA)))
    columns: list[tuple[Any, Any]] = [(">i4", tracks.frame[of])]
    columns += [("u1", tracks.animal[of])] if known else []
    columns += [((">f8", 9), tracks.reals[of]), (("u1", 3), tracks.flags[of]), (("u1", len(DATA)), data)]
    return cells(_DETECTION[known], columns, ids[of])


class _Frames:
    """FRAME and the index that its UNIQUE makes."""

    def __init__(self, file: PageFile, roots: dict[str, int]) -> None:
        self._table = Tree(file, roots["FRAME"])
        self._unique = Tree(file, roots["sqlite_autoindex_FRAME_1"], index=True)

    def append(self, simulate: SimulateParams, recording: Recording, first: int, last: int) -> None:
        """Add frames [first, last), numbered from 1."""
        number = np.arange(first + 1, last + 1)
        widths = varint_widths(number)
        for width in np.unique(widths):
            of = number[widths == width]
            self._table.append(cells(_FRAME, _frame_columns(simulate, recording, of), of))
        self._unique.append(cells(_INTEGERS[2], [(">i4", number), (">i4", number)]))

    def close(self) -> None:
        """Write what is left."""
        self._table.close()
        self._unique.close()


def _frame_columns(simulate: SimulateParams, recording: Recording, number: Ints) -> list[tuple[Any, Any]]:
    """TIMESTAMP (steps of 33 and 34 ms), NUMPARTICLE, and five sensors that follow the light cycle."""
    stamp = recording.start_ms + (number - 1) * 1000 // FPS
    clock_h = (recording.start_clock_h + (number - 1) / (FPS * simulate.seconds_per_hour)) % 24
    light = (clock_h >= 8) & (clock_h < 20)
    sensors = np.empty((len(number), 5))
    sensors[:, 0] = np.rint(10 * (22 + 0.8 * np.sin((clock_h - 9) * np.pi / 12))) / 10  # degrees C
    sensors[:, 1] = np.rint(450 - 30 * np.sin((clock_h - 9) * np.pi / 12)) / 10  # %
    sensors[:, 2] = 50.0
    sensors[:, 3] = np.where(light, 80.0, 0.0)
    sensors[:, 4] = np.where(light, 120.0, 40.0)
    return [(">i8", stamp), (">i2", 4 + number % 3), ((">f8", 5), sensors)]
