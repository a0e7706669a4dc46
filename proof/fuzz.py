"""Damaged databases and manifests: each is read right or refused in one line; no traceback, no hang, no wrong table.

    python proof/fuzz.py [--cases 2000] [--seed 0]

Right is what SQLite itself says of the damaged file: the same definitions on the rows that its own module hands out,
one after the other. A case that is neither is kept in a folder that is named at the end.
"""

import argparse
import contextlib
import logging
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from conftest import Scene, run, still  # noqa: E402 - the tests' scenes are the undamaged files
from lmtcnn import cohort, lmt, params, stops  # noqa: E402
from lmtcnn.errors import LmtcnnError  # noqa: E402
from lmtcnn.recording import Recording  # noqa: E402

LIMIT_S = 30
PARAMS = params.load(ROOT / "params.yaml")
MANIFEST = "recording,rfid,cage,sex,age,files,exclude,arena_x_px,timezone\n" + "".join(
    f"r{i},00{i}{j},c{i},{'MF'[i % 2]},{'adult' if j else 'juvenile'},r{i}.sqlite,,114,Europe/Paris\n"
    for i in range(4)
    for j in range(3)
)
VALUES = (
    "NULL", "'text'", "x'00ff'", "-1", "0", "1.5", "1e308", "-1e308", "9e999", "9223372036854775807",
    "-9223372036854775808", "1e-320", "''", "'12'", "2147483648", "253402300800000",
)  # fmt: skip


def scenes(folder: Path) -> list[Path]:
    """Sound files: with and without the covering index, of small and large pages, in WAL mode, with doubled rows."""
    rows: list[tuple] = []
    for animal, x in ((1, 150.0), (2, 250.0), (3, 350.5)):
        rows += still(1, 700, x=x, animal=animal) + run(701, 760, x=x, animal=animal)
        rows += still(800, 1500, x=x - 30, y=200.25, animal=animal)
    rows += [(f, None, 100.0, 100.0) for f in range(1, 300)] + still(300, 320, x=151.0)
    animals = {1: "001", 2: "002", 3: None}
    made = []
    for number, (index, page) in enumerate([(True, 4096), (False, 4096), (True, 1024), (True, 512), (False, 65_536)]):
        path = folder / f"{number}.sqlite"
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute(f"PRAGMA page_size = {page}")
            connection.execute("VACUUM")
        made.append(Scene(rows, n_frames=1500, animals=animals, covering_index=index).write(path))
    with contextlib.closing(sqlite3.connect(made[2])) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    return made


def damage_bytes(path: Path, rng: random.Random) -> str:
    """Flip bytes, cut, zero, copy or swap pages."""
    content = bytearray(path.read_bytes())
    page = int.from_bytes(content[16:18], "big")
    page = 65_536 if page == 1 else page
    pages = len(content) // page
    kind = rng.choice(["flip", "flip", "header", "cut", "zero", "copy", "swap", "noise", "cell"])
    place = rng.randrange(pages) * page
    other = rng.randrange(pages) * page
    if kind == "flip":
        for _ in range(rng.choice([1, 1, 2, 8, 64])):
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    elif kind == "header":
        content[rng.randrange(100)] = rng.randrange(256)
    elif kind == "cut":
        del content[rng.choice([rng.randrange(len(content)), place]) :]
    elif kind == "zero":
        content[place : place + page] = bytes(page)
    elif kind == "copy":
        content[place : place + page] = content[other : other + page]
    elif kind == "swap":
        one, two = content[place : place + page], content[other : other + page]
        content[place : place + page], content[other : other + page] = two, one
    elif kind == "noise":
        content[place : place + page] = rng.randbytes(page)
    else:  # in the head of a page, where cells are counted and pointed to
        for _ in range(rng.choice([1, 2])):
            content[min(place + rng.randrange(64), len(content) - 1)] = rng.randrange(256)
    path.write_bytes(content)
    return kind


def damage_rows(path: Path, rng: random.Random) -> str:
    """Rename or drop columns and tables, put other types and extreme values into cells, add and remove rows."""
    table = rng.choice(["ANIMAL", "DETECTION", "FRAME"])
    column = {"ANIMAL": ["ID", "RFID"], "DETECTION": ["FRAMENUMBER", "ANIMALID", "MASS_X", "MASS_Y", "ID"],
              "FRAME": ["FRAMENUMBER", "TIMESTAMP", "PAUSED"]}[table]  # fmt: skip
    name, value = rng.choice(column), rng.choice(VALUES)
    where = rng.choice(["", f"WHERE rowid % {rng.randrange(1, 400)} = 0", f"WHERE rowid = {rng.randrange(1, 1500)}"])
    statement = rng.choice([
        f"UPDATE {table} SET {name} = {value} {where}", f"UPDATE {table} SET {name} = {value} {where}",
        f"UPDATE {table} SET {name} = {name} * {rng.choice([-1, 2, 1000, 1e-9])} {where}",
        f"ALTER TABLE {table} RENAME COLUMN {name} TO other", f"ALTER TABLE {table} RENAME TO other",
        f"ALTER TABLE {table} ADD COLUMN SEX TEXT DEFAULT 'M'", f"DELETE FROM {table} {where}", f"DROP TABLE {table}",
        f"CREATE INDEX other ON DETECTION ({name if table == 'DETECTION' else 'ANIMALID'} DESC)",
        f"INSERT INTO {table} ({name}) VALUES ({value})",
        "INSERT INTO DETECTION (FRAMENUMBER, ANIMALID, MASS_X, MASS_Y, DATA) SELECT FRAMENUMBER, 1, 20, 20, '' "
        "FROM FRAME LIMIT 50",
    ])  # fmt: skip
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        with contextlib.suppress(sqlite3.Error):
            connection.execute(statement)
    return statement.split()[0].lower()


def damage_text(text: str, rng: random.Random) -> bytes:
    """Break a manifest: cells, rows, columns, quotes, encodings, bytes."""
    lines = text.splitlines()
    for _ in range(rng.choice([1, 1, 2, 5])):
        cells = lines[row := rng.randrange(len(lines))].split(",")
        cells[rng.randrange(len(cells))] = rng.choice(
            [
                "",
                "9.00E+14",
                "all",
                "../x",
                "x" * 5000,
                '"',
                "é",
                "\0",
                "a;b",
                "a\tb",
                "1e400",
                "-5",
                "nan",
                "r1",
                "none",
            ]
        )
        lines[row] = ",".join(cells)
    content = "\n".join(lines).encode(rng.choice(["utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"]), "replace")
    if rng.random() < 0.3:
        content = content.replace(b",", rng.choice([b";", b"\t", b"|"]))
    if rng.random() < 0.3:
        cut = bytearray(content)
        cut[rng.randrange(len(cut))] = rng.randrange(256)
        content = bytes(cut)
    return content


@contextlib.contextmanager
def read_by_sqlite() -> Iterator[None]:
    """Take positions and times from SQLite's own rows, whatever pages there are."""

    def refuse(*_: object, **__: object) -> None:
        raise lmt.NotPlain("by SQLite")

    before = lmt.find_leaves
    lmt.find_leaves = refuse  # type: ignore[assignment]
    try:
        yield
    finally:
        lmt.find_leaves = before


def answer(path: Path) -> tuple[str, ...] | stops.Extraction:
    """The tables of a database, or the lines of its refusal."""
    try:
        return stops.extract(Recording("r", (path,), PARAMS.stops.arena), PARAMS)
    except LmtcnnError as error:
        return error.lines


def check_database(path: Path) -> str:
    """What becomes of a damaged database; raises where it is neither right nor refused in one line."""
    found = answer(path)
    with read_by_sqlite():
        expected = answer(path)
    if isinstance(found, tuple):
        assert found, "a refusal without a line"
        for line in found:
            assert "\n" not in line, f"more than a line: {line!r}"
            assert ": expected " in line and ", found " in line and "; " in line, f"not of our form: {line}"
        return "refused" if isinstance(expected, tuple) else "refused, though SQLite reads it"
    assert not isinstance(expected, tuple), f"read, though SQLite says {expected}"
    for name in ("stops", "quality", "coverage", "intervals"):
        assert getattr(found, name).equals(getattr(expected, name)), f"another table of {name} than by SQLite's rows"
    return "read"


def check_manifest(path: Path) -> str:
    """What becomes of a damaged manifest."""
    try:
        cohort.read(path, path.parent, PARAMS)
    except LmtcnnError as error:
        assert all("\n" not in line for line in error.lines), "more than a line"
        return "refused"
    return "read"


def fuzz(cases: int, seed: int, keep: Path) -> Counter[str]:
    """Run so many cases; returns how many of each outcome. Files of faulty cases are kept."""
    logging.getLogger("lmtcnn").setLevel(logging.ERROR)
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        sound = scenes(Path(folder))
        for path in sound:
            assert check_database(path) == "read"
        for case in range(cases):
            rng = random.Random(f"{seed} {case}")
            kind = rng.choice(["bytes", "bytes", "rows", "manifest"])
            path = Path(folder) / ("m.csv" if kind == "manifest" else "case.sqlite")
            if kind == "manifest":
                path.write_bytes(damage_text(MANIFEST, rng))
                check: Callable[[Path], str] = check_manifest
            else:
                shutil.copy(rng.choice(sound), path)
                (damage_bytes if kind == "bytes" else damage_rows)(path, rng)
                check = check_database
            signal.alarm(LIMIT_S)
            try:
                counts[f"{kind}: {check(path)}"] += 1
            except Exception as error:  # noqa: BLE001 - any exception is a finding
                counts[f"{kind}: FAULT"] += 1
                kept = keep / f"{seed}_{case}{path.suffix}"
                keep.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, kept)
                print(f"case {case}: {type(error).__name__}: {error}: {kept}", file=sys.stderr)
            finally:
                signal.alarm(0)
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()

    def late(*_: object) -> None:
        raise TimeoutError(f"no answer in {LIMIT_S} s")

    signal.signal(signal.SIGALRM, late)
    begin = time.perf_counter()
    counts = fuzz(chosen.cases, chosen.seed, Path(tempfile.gettempdir()) / "lmtcnn-fuzz")
    print(f"{chosen.cases} cases, seed {chosen.seed}, {time.perf_counter() - begin:.0f} s")
    for outcome, n in sorted(counts.items()):
        print(f"{n:6} {outcome}")
    sys.exit(any("FAULT" in outcome for outcome in counts))


if __name__ == "__main__":
    main()
