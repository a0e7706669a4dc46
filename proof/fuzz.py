"""Damaged databases and manifests: each is read right or refused in one line; no traceback, no hang, no wrong table.

    python proof/fuzz.py [--cases 2000] [--seed 0]

Right is what SQLite itself says of the damaged file: the same definitions on the rows that its own module hands out,
one after the other. Of files that were copied while a program wrote them, and of others whose pages were exchanged, it
is what SQLite's integrity check says of them: what it faults is refused, or gives the tables of a version that was
whole; what it does not is read as a clean copy of the same rows, which SQLite has written anew. So are files whose
numbers are stored otherwise, as REAL or text, in tables of other shapes. A case that is neither is kept in a folder
that is named at the end.
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
from functools import partial
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from conftest import T0_MS, Scene, run, still  # noqa: E402 - the tests' scenes are the undamaged files
from lmtcnn.cohort import cohort  # noqa: E402
from lmtcnn.cohort.recording import Recording  # noqa: E402
from lmtcnn.core import params  # noqa: E402
from lmtcnn.core.errors import LmtcnnError  # noqa: E402
from lmtcnn.lmt import lmt, source  # noqa: E402
from lmtcnn.lmt.pages import NotPlain  # noqa: E402
from lmtcnn.stops import extraction  # noqa: E402

LIMIT_S = 30
KINDS = ("bytes", "bytes", "rows", "torn", "torn", "stored", "stored", "manifest")
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


def versions(folder: Path) -> list[list[bytes]]:
    """Whole files as a program left them after each block that it saved: with the covering index, and without."""
    made = []
    for number, (index, page, others) in enumerate(
        [(True, 4096, False), (False, 4096, True), (True, 1024, True), (False, 1024, False), (True, 4096, True)]
    ):
        path = folder / f"v{number}.sqlite"
        rows = still(1, 150) + still(1, 150, x=250.0, animal=2) + [(f, None, 90.0 + f, 99.0) for f in range(1, 60)]
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute(f"PRAGMA page_size = {page}")
            connection.execute("VACUUM")
        Scene(rows, n_frames=150, animals={1: "1", 2: "2"}, covering_index=index).write(path)
        whole = []
        with contextlib.closing(sqlite3.connect(path)) as connection:
            if others:
                connection.execute("CREATE INDEX byframe ON DETECTION(FRAMENUMBER)")
                connection.execute("CREATE INDEX swapped ON DETECTION(ANIMALID, FRAMENUMBER, MASS_Y, MASS_X)")
            for block in range(1, 9):
                connection.commit()
                whole.append(path.read_bytes())
                first, last = 150 * block + 1, 150 * block + [150, 20, 3][block % 3]
                frames = [(f, T0_MS + round((f - 1) * 1000 / 30)) for f in range(first, last + 1)]
                connection.executemany("INSERT INTO FRAME VALUES (?, ?, 1, 0)", frames)
                rows = [row for a in (1, 2) for row in still(first, last, x=100.0 * a + block, animal=a)]
                rows += [(f, None, 90.0, 99.0) for f in range(first, last, 2)]
                words = "INSERT INTO DETECTION (FRAMENUMBER, ANIMALID, MASS_X, MASS_Y, DATA) VALUES (?, ?, ?, ?, ?)"
                connection.executemany(words, [(*row, "x" * (row[0] * 37 % 900)) for row in rows])
        made.append(whole)
    return made


def page_size(content: bytes) -> int:
    size = int.from_bytes(content[16:18], "big")
    return 65_536 if size == 1 else size


def tear(whole: list[bytes], rng: random.Random) -> tuple[bytes, list[bytes]]:
    """A copy made while a program saved a block or several, or of pages that were exchanged; the versions it is of."""
    first, last = sorted(rng.sample(range(len(whole)), 2))
    if rng.random() < 0.7:
        last = first + 1
    size = page_size(whole[0])
    if rng.random() < 0.25:  # one page for another
        content = bytearray(whole[last])
        pages = len(content) // size
        a, b = (rng.randrange(1, pages) * size for _ in range(2))
        one, two = content[a : a + size], content[b : b + size]
        content[a : a + size] = two
        if rng.random() < 0.5:
            content[b : b + size] = one
        return bytes(content), [whole[last]]
    parts = [whole[first], whole[last]]
    if rng.random() < 0.2:
        parts.insert(1, whole[(first + last) // 2])
    if rng.random() < 0.2:
        parts.reverse()
    pages = len(whole[last]) // size
    cuts = [0, *sorted(rng.randrange(1, pages + 1) for _ in parts[1:]), pages]
    content = b"".join(part[a * size : b * size] for part, a, b in zip(parts, cuts[:-1], cuts[1:], strict=True))
    return content[: len(whole[first])] if rng.random() < 0.3 else content, parts


def faults(path: Path) -> list[str]:
    """What SQLite's integrity check finds in the tables that are read and their indexes."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        try:
            checks = [connection.execute(f"PRAGMA integrity_check({t})") for t in (*lmt.REQUIRED, "sqlite_sequence")]
            return [
                words
                for check in checks
                for (words,) in check
                if words != "ok" and not words.startswith(source.CONTENT)
            ]
        except sqlite3.Error as error:
            return [str(error)]


def clean(path: Path, to: Path) -> Path:
    """A copy of a database's rows in plain tables, by SQLite: its affinity makes numbers of what looks like one."""
    to.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(to)) as connection:
        connection.execute("ATTACH ? AS odd", (str(path),))
        for table, columns in (
            ("ANIMAL", "ID INTEGER, RFID TEXT"),
            ("DETECTION", "ANIMALID NUMERIC, FRAMENUMBER NUMERIC, MASS_X NUMERIC, MASS_Y NUMERIC"),
            ("FRAME", "FRAMENUMBER NUMERIC, TIMESTAMP NUMERIC, PAUSED NUMERIC"),
        ):
            there = {str(row[1]) for row in connection.execute(f"PRAGMA odd.table_info({table})")}
            all_columns = columns + ", NUMPARTICLE NUMERIC" * ("NUMPARTICLE" in there)
            names = ", ".join(column.split()[0] for column in all_columns.split(", "))
            connection.execute(f"CREATE TABLE main.{table} ({all_columns})")
            connection.execute(f"INSERT INTO main.{table} SELECT {names} FROM odd.{table} NOT INDEXED")
        connection.commit()
    return to


def store_otherwise(path: Path, rng: random.Random) -> str:
    """Write tables anew with other types, in another order, with more columns, and their numbers as REAL or text."""
    forms = [
        *(float, str, lambda v: str(float(v)), lambda v: f" {v} ", lambda v: f"{float(v):e}"),
        *(lambda v: None, lambda v: v + 0.5, lambda v: f"{v}?", lambda v: str(v).encode(), lambda v: 9.3e18),
    ]
    done = []
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for table, used in (("DETECTION", ["ANIMALID", "FRAMENUMBER", "MASS_X", "MASS_Y"]),
                            ("FRAME", ["FRAMENUMBER", "TIMESTAMP", "PAUSED"])):  # fmt: skip
            if rng.random() < 0.4:
                continue
            rows = [
                dict(zip(used, r, strict=True)) for r in connection.execute(f"SELECT {', '.join(used)} FROM {table}")
            ]
            for name in used:
                form = rng.choice(forms[:5] if rng.random() < 0.8 else forms)
                share = rng.choice([0, 0, 0.01, 1])
                for row in rows:
                    if row[name] is not None and rng.random() < share:
                        row[name] = form(row[name])
            names = [*used, *(f"c{i}" for i in range(rng.choice([0, 2, 9])))]
            rng.shuffle(names)
            declared = {name: rng.choice(["", "INTEGER", "FLOAT", "TEXT", "NUMERIC", "BLOB"]) for name in names}
            connection.execute(f"DROP TABLE {table}")
            ends = rng.choice(["", "", ", k INTEGER PRIMARY KEY", ", k INTEGER NOT NULL PRIMARY KEY) WITHOUT ROWID --"])
            more = rng.choice(["", "", "", "g AS (k + 1), ", "g AS (1) STORED, "]) if ends else ""
            connection.execute(f"CREATE TABLE {table} ({more}{', '.join(f'{n} {declared[n]}' for n in names)}{ends}\n)"
                               .replace("--\n)", ""))  # fmt: skip
            filled = [n for n in names if n not in used]
            connection.execute("BEGIN")
            into = ", ".join([*used, *filled, *(["k"] if ends else [])])
            for k, row in enumerate(rows):
                extra = [rng.choice([None, "text" * (k % 60), 7, 1.5]) for _ in filled] + ([k] if ends else [])
                marks = ", ".join("?" * (len(used) + len(extra)))
                connection.execute(f"INSERT INTO {table} ({into}) VALUES ({marks})", [*row.values(), *extra])
            connection.execute("COMMIT")
            if table == "DETECTION" and rng.random() < 0.6:
                connection.execute(f"CREATE INDEX covering ON DETECTION ({', '.join(used)})")
            done.append(table)
    return " ".join(done)


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
    """Take positions and times from SQLite's own rows, whatever pages there are and whatever it says of them."""

    def refuse(*_: object, **__: object) -> None:
        raise NotPlain("by SQLite")

    with mock.patch.object(source, "find_leaves", refuse), mock.patch.object(source.Source, "check"):
        yield


def answer(path: Path) -> tuple[str, ...] | extraction.Extraction:
    """The tables of a database, or the lines of its refusal."""
    try:
        return extraction.extract(Recording("r", (path,), PARAMS.stops.arena), PARAMS)
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


def same(found: extraction.Extraction, expected: tuple[str, ...] | extraction.Extraction) -> bool:
    """Whether two answers are the same tables."""
    names = ("stops", "quality", "coverage", "intervals")
    return not isinstance(expected, tuple) and all(getattr(found, n).equals(getattr(expected, n)) for n in names)


def check_torn(path: Path, whole: list[bytes]) -> str:
    """What becomes of a copy of mixed pages; see the head of this file."""
    found, said = answer(path), faults(path)
    if isinstance(found, tuple):
        assert len(found) == 1, f"not one line: {found}"
        if not said:
            assert isinstance(answer(clean(path, path.with_name("clean.sqlite"))), tuple), f"no fault, but {found}"
        return "refused"
    if said:
        beside = path.with_name("whole.sqlite")
        answers = []
        for content in whole:
            beside.write_bytes(content)
            answers.append(answer(beside))
        assert any(same(found, each) for each in answers), f"read, though SQLite says {said[0]}"
        return "read as a version that was whole"
    assert same(found, answer(clean(path, path.with_name("clean.sqlite")))), "other tables than of the same rows"
    return "read"


def check_stored(path: Path) -> str:
    """What becomes of numbers that are stored otherwise."""
    found = answer(path)
    with read_by_sqlite():
        by_rows = answer(path)
    expected = answer(clean(path, path.with_name("clean.sqlite")))
    if isinstance(found, tuple):
        assert isinstance(by_rows, tuple), f"read by rows, but {found}"
        assert isinstance(expected, tuple), f"SQLite's numbers are read, but {found}"
        return "refused"
    assert same(found, by_rows), "other tables than by rows"
    assert same(found, expected), "other tables than of SQLite's numbers"
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
        blocks = versions(Path(folder))
        for case in range(cases):
            rng = random.Random(f"{seed} {case}")
            kind = rng.choice(KINDS)
            path = Path(folder) / ("m.csv" if kind == "manifest" else "case.sqlite")
            if kind == "manifest":
                path.write_bytes(damage_text(MANIFEST, rng))
                check: Callable[[Path], str] = check_manifest
            elif kind == "torn":
                content, whole = tear(rng.choice(blocks), rng)
                path.write_bytes(content)
                check = partial(check_torn, whole=whole)
            elif kind == "stored":
                shutil.copy(rng.choice(sound), path)
                store_otherwise(path, rng)
                check = check_stored
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
