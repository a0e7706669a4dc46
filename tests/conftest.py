"""Scenes: small databases and cohorts with known answers."""

import contextlib
import logging
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lmtcnn.core.errors import LmtcnnError
from lmtcnn.core.params import Params, load, parse
from lmtcnn.core.sections import dump
from lmtcnn.lmt.pages import NotPlain

ROOT = Path(__file__).parent.parent

# Networks here are tiny: several threads would only wait for one another, tenfold where tests run side by side.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The tracker's own statements, of a current file and of an old one.
ANIMAL = "CREATE TABLE ANIMAL (ID INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, RFID TEXT, GENOTYPE TEXT, NAME TEXT)"
DETECTION = """CREATE TABLE DETECTION (ID INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, FRAMENUMBER INTEGER,
    ANIMALID INTEGER, MASS_X REAL, MASS_Y REAL, MASS_Z REAL, FRONT_X REAL, FRONT_Y REAL, FRONT_Z REAL, BACK_X REAL,
    BACK_Y REAL, BACK_Z REAL, REARING INTEGER, LOOK_UP INTEGER, LOOK_DOWN INTEGER, DATA TEXT NOT NULL,
    FOREIGN KEY(ANIMALID) REFERENCES ANIMAL(ID), FOREIGN KEY(FRAMENUMBER) REFERENCES FRAME(FRAMENUMBER))"""
FRAME = """CREATE TABLE FRAME (FRAMENUMBER INTEGER NOT NULL UNIQUE PRIMARY KEY, TIMESTAMP INTEGER,
    NUMPARTICLE INTEGER, PAUSED INTEGER)"""
COVERING = "CREATE INDEX detectionFastLoadXYIndex ON DETECTION(ANIMALID, FRAMENUMBER, MASS_X, MASS_Y)"

EVENT = "CREATE TABLE EVENT (ID INTEGER PRIMARY KEY, NAME TEXT, DESCRIPTION TEXT, STARTFRAME INTEGER)"
LOG = "CREATE TABLE LOG (id INTEGER PRIMARY KEY, process TEXT, version TEXT, date TEXT, tmin INTEGER, tmax INTEGER)"

SENSORS = ("TEMPERATURE", "HUMIDITY", "SOUND", "LIGHTVISIBLE", "LIGHTVISIBLEANDIR")

T0_MS = 1_700_000_000_000


Look = Callable[..., Any]
"""Write a scene, change it with SQL, and inspect it: an Inspection."""


@dataclass
class Scene:
    """A recording to be written: rows (frame, animal or None, x, y) in any order, and its FRAME table."""

    rows: list[tuple[object, object, object, object]]
    frames: list[tuple[object, object, int]] = field(default_factory=list)
    animals: dict[int, str | None] = field(default_factory=lambda: {1: "001"})
    covering_index: bool = True
    n_frames: int = 0
    start_ms: int = T0_MS

    def write(self, path: Path) -> Path:
        """Write it as an LMT database."""
        frames = self.frames or [
            (f, self.start_ms + round((f - 1) * 1000 / 30), 0) for f in range(1, self.n_frames + 1)
        ]
        with sqlite3.connect(path) as connection:
            for statement in (ANIMAL, DETECTION, FRAME, *([COVERING] if self.covering_index else [])):
                connection.execute(statement)
            connection.executemany("INSERT INTO ANIMAL (ID, RFID) VALUES (?, ?)", self.animals.items())
            connection.executemany("INSERT INTO FRAME VALUES (?, ?, 1, ?)", frames)
            connection.executemany(
                "INSERT INTO DETECTION (FRAMENUMBER, ANIMALID, MASS_X, MASS_Y, DATA) VALUES (?, ?, ?, ?, '<x/>')",
                self.rows,
            )
        connection.close()
        return path


def still(first: int, last: int, x: float = 200.0, y: float = 150.0, animal: int | None = 1) -> list[tuple]:
    """Rows of an animal that does not move from frame `first` to frame `last`."""
    return [(f, animal, x, y) for f in range(first, last + 1)]


def run(first: int, last: int, x: float = 200.0, y: float = 150.0, animal: int | None = 1) -> list[tuple]:
    """Rows of an animal that runs 2 px a frame (10.5 cm/s) to the right, from (x, y) at frame `first`."""
    return [(f, animal, x + 2.0 * (f - first), y) for f in range(first, last + 1)]


def execute(path: Path, *statements: str) -> Path:
    """Change a database with SQL."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        for statement in statements:
            connection.execute(statement)
    return path


def not_plain(*_: object, **__: object) -> None:
    """In place of `source.find_leaves`: all is asked of SQLite."""
    raise NotPlain("for a test")


def clock(n: int, *, per_s: float = 30, lost: int = 0) -> list[tuple[int, int, int]]:
    """FRAME rows 1..n at a rate, without the `lost` ones after the first."""
    return [(f, T0_MS + round((f - 1) * 1000 / per_s), 0) for f in range(1, n + 1) if not 2 <= f < 2 + lost]


def sensors(**values: float | str | None) -> list[str]:
    """The five sensors of a current file, 0 where they are not given."""
    added = [f"ALTER TABLE FRAME ADD COLUMN {name} REAL DEFAULT 0" for name in SENSORS]
    return added + [f"UPDATE FRAME SET {name} = {value}" for name, value in values.items()]


@contextlib.contextmanager
def mounted_read_only(folder: Path) -> Iterator[bool]:
    """Really on a read-only disk, whoever asks; False where this process may not mount."""
    mount = ("mount", "--bind", folder, folder), ("mount", "-o", "remount,ro,bind", folder)
    allowed = sys.platform == "linux" and subprocess.run(mount[0], check=False, capture_output=True).returncode == 0
    try:
        yield allowed and subprocess.run(mount[1], check=False, capture_output=True).returncode == 0
    finally:
        if allowed:
            subprocess.run(("umount", "--lazy", folder), check=True)


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """A disk of `size` bytes, really; skips the test where this process may not mount one."""
    folder.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder)
    if sys.platform != "linux" or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(("umount", "--lazy", folder), check=True)


def told(kind: type[LmtcnnError], call: Callable[..., object], *args: object, **kwargs: object) -> tuple[str, ...]:
    """The lines of the error of exactly this kind that a call raises."""
    with pytest.raises(LmtcnnError) as error:
        call(*args, **kwargs)
    assert error.type is kind
    return error.value.lines


@pytest.fixture(scope="session")
def params() -> Params:
    """The repository's params.yaml."""
    return load(ROOT / "params.yaml")


@pytest.fixture(scope="session")
def change(params: Params) -> Callable[..., Params]:
    """params.yaml with some values changed: change(**{"stops.fps": 25})."""

    def changed(**values: object) -> Params:
        raw = dump(params)
        for dotted, value in values.items():
            *sections, key = dotted.split(".")
            place = raw
            for section in sections:
                place = place[section]
            place[key] = value
        return parse(raw, "test")

    return changed


@pytest.fixture(name="run")
def run_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., tuple[int, str, list[str]]]]:
    """Run a command in an empty project; gives (exit code, stdout, lines of stderr)."""
    from lmtcnn import cli

    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)
    handlers = logging.getLogger("lmtcnn").handlers[:]
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def run(*arguments: str) -> tuple[int, str, list[str]]:
        monkeypatch.setattr(sys, "argv", ["lmtcnn", *arguments])
        logging.getLogger("lmtcnn").handlers[:] = handlers  # each command is a process of its own
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err.splitlines()

    yield run
    logging.getLogger("lmtcnn").handlers[:] = handlers
    for number, handler in before.items():
        signal.signal(number, handler)


def cells(out: str) -> list[list[str]]:
    """The rows of rich's tables."""
    return [[cell.strip() for cell in line.replace("┃", "│").strip("│").split("│")] for line in out.splitlines()]


def change_params(folder: Path, *changes: tuple[str, str]) -> None:
    """Replace words of a project's params.yaml, each there once."""
    text = (folder / "params.yaml").read_text()
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (folder / "params.yaml").write_text(text)


OWN_RECORDINGS = (
    ("databases: data/simulate", "databases: raw"),
    ("data/simulate/cohort.csv", "cohort.csv"),
    ("interval_s: 20 ", "interval_s: 5 "),
    ("intervals: 72", "intervals: 4"),
)
"""Changes of params.yaml: recordings in raw, their manifest cohort.csv, 4 intervals of 5 s."""


@pytest.fixture
def look(tmp_path: Path, params: Params) -> "Look":
    """Write a scene, change it with SQL, and inspect it."""

    from lmtcnn.cohort.recording import Recording
    from lmtcnn.inspect.inspect import inspect_one

    def look(scene: Scene, sql: Sequence[str] = (), using: Params = params) -> Any:
        path = scene.write(tmp_path / f"scene{len(list(tmp_path.iterdir()))}.sqlite")
        execute(path, *sql)
        return inspect_one(Recording(path.stem, (path,), using.stops.arena), using)

    return look


@pytest.fixture(scope="session")
def tiny(change: Callable[..., Params]) -> Params:
    """4 intervals of 5 s, 8 x 8 tiles, 2 channels, 2 seeds, 3 epochs: a study that trains in a moment."""
    histograms = {"intervals": 4, "interval_s": 5, "tiles": 8}
    train = {"channels": 2, "seeds": [0, 1], "epochs": 3, "batch": 5, "lr": 0.05, "device": "cpu"}
    values = {f"histograms.{key}": value for key, value in histograms.items()}
    return change(**values, **{f"train.{key}": value for key, value in train.items()})


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny: Params) -> Path:
    """The data folder of a study of three cages, trained whole; not to be changed."""
    import study
    from lmtcnn.train import train

    data = tmp_path_factory.mktemp("study") / "data"
    study.write_histograms(data, tiny, study.THREE_CAGES)
    train.train(data, tiny)
    study.seal_evaluation(data, tiny, accuracy=0.5, balanced_accuracy=0.6)
    return data


@pytest.fixture
def write_manifest(tmp_path: Path) -> Callable[[Sequence[Mapping[str, str]]], Path]:
    """Write rows as data/cohort.csv in the test's folder."""

    def write(rows: Sequence[Mapping[str, str]]) -> Path:
        path = tmp_path / "cohort.csv"
        header = list(dict.fromkeys(key for row in rows for key in row))
        lines = [",".join(header), *(",".join(row.get(key, "") for key in header) for row in rows)]
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


@pytest.fixture
def scene() -> Scene:
    """Two still mice in ten seconds, and one row without an animal."""
    rows = still(1, 300) + still(1, 300, x=250, animal=2) + [(1, None, 100.0, 100.0)]
    return Scene(rows, n_frames=300, animals={1: "001", 2: "002"})


@pytest.fixture
def database(scene: Scene, tmp_path: Path) -> Path:
    """The scene as a file."""
    return scene.write(tmp_path / "a.sqlite")


HEADER = "recording,rfid,cage,sex,age"
PAIR = f"{HEADER}\nr1,001,c1,M,adult\nr1,002,c1,F,adult\n"


def write_database(
    path: Path,
    animals: dict[int, object],
    columns: dict[str, list] | None = None,
    day: int = 0,
    ghosts: Sequence[int] = (),
) -> Path:
    """A database with these animals, of which some were never detected, and more columns of ANIMAL."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [row for animal in animals if animal not in ghosts for row in still(1, 9, animal=animal)]
    Scene(rows, n_frames=9, animals=animals, start_ms=T0_MS + 86_400_000 * day).write(path)
    with sqlite3.connect(path) as connection:
        for name, values in (columns or {}).items():
            connection.execute(f"ALTER TABLE ANIMAL ADD COLUMN {name}")
            connection.executemany(f"UPDATE ANIMAL SET {name} = ? WHERE ID = ?", zip(values, animals, strict=True))
    connection.close()
    return path


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Where the manifest lies; the databases would be in a folder `raw` beside it."""
    return tmp_path / "cohort.csv"


@pytest.fixture
def reading(manifest: Path, params: Params) -> Callable[..., Any]:
    """Read a manifest of this text, or these bytes."""
    from lmtcnn.cohort.cohort import read

    def read_text(text: str | bytes, using: Params = params) -> Any:
        manifest.write_bytes(text.encode() if isinstance(text, str) else text)
        return read(manifest, manifest.parent / "raw", using)

    return read_text


@pytest.fixture(scope="session")
def small(change) -> Callable[..., Params]:
    """Three intervals of 10 s, 5 x 5 tiles: tiles of 10 x 8 cm on the test's floor."""

    def of(**values: object) -> Params:
        wanted = {"intervals": 3, "interval_s": 10, "tiles": 5, **values}
        return change(**{f"histograms.{key}": value for key, value in wanted.items()})

    return of


@pytest.fixture
def study(tmp_path: Path, small) -> Any:
    from stacks import Study

    return Study(tmp_path, small())


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with the small study's files in data/ and an empty store."""
    import study

    folder = study.project(tmp_path / "a project é#1 %25", monkeypatch)
    study.copy(study.prepared())
    return folder


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without a store and without data."""
    import study

    return study.project(tmp_path, monkeypatch, store=False)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose model was registered once, as the current folder; only to be read."""
    import study

    return study.enter(study.registered(), monkeypatch)


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that project as the current folder, to be changed."""
    import study

    return study.enter(study.registered(), monkeypatch, tmp_path / "a copy é#1 %25")
