"""What a database holds, and what is said of one that is none of LMT."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import T0_MS, Scene, execute, still, told
from lmtcnn.core.errors import DatabaseError
from lmtcnn.lmt import lmt
from lmtcnn.lmt.lmt import open_database, read_history
from whole import read

# ---- What is read ----------------------------------------------------------------------------------------------------


def test_a_database_is_read_whole(database: Path) -> None:
    names, frames, timestamps_ms, positions, anonymous = read(database)
    assert names == [(1, "001"), (2, "002")]
    assert frames == list(range(1, 301))
    assert timestamps_ms[:4] == [T0_MS, T0_MS + 33, T0_MS + 67, T0_MS + 100]
    assert positions == [[200.0] * 300, [150.0] * 300, [250.0] * 300, [150.0] * 300] * 2
    assert anonymous == 1


@pytest.mark.parametrize("covering_index", [True, False])
def test_a_covering_index_is_used_where_it_exists(tmp_path: Path, covering_index: bool) -> None:
    path = Scene(still(1, 9), n_frames=9, covering_index=covering_index).write(tmp_path / "a.sqlite")
    assert open_database(path).index == ("detectionFastLoadXYIndex" if covering_index else None)


@pytest.mark.parametrize("index", ["DETECTION(ANIMALID)", "DETECTION(FRAMENUMBER, ANIMALID, MASS_X, MASS_Y)"])
def test_an_index_that_does_not_lead_from_the_animal_to_its_places_is_not_used(tmp_path: Path, index: str) -> None:
    path = Scene(still(1, 9), n_frames=9, covering_index=False).write(tmp_path / "a.sqlite")
    assert open_database(execute(path, f"CREATE INDEX other ON {index}")).index is None


@pytest.mark.parametrize("where", ["ANIMALID IS NOT NULL", "ANIMALID = 1"])
def test_an_index_of_some_rows_only_is_not_used(scene: Scene, tmp_path: Path, where: str) -> None:
    scene.covering_index = False
    path = scene.write(tmp_path / "a.sqlite")
    execute(path, f"CREATE INDEX part ON DETECTION(ANIMALID, FRAMENUMBER, MASS_X, MASS_Y) WHERE {where}")
    assert open_database(path).index is None
    assert read(path)[-1] == 1


def test_the_simulator_s_mark_is_seen(database: Path) -> None:
    assert not open_database(database).simulated
    assert open_database(execute(database, f"PRAGMA application_id = {lmt.SIMULATED_ID}")).simulated


@settings(max_examples=25, deadline=None)
@given(
    data=st.data(),
    extra=st.lists(st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,9}", fullmatch=True), max_size=10, unique_by=str.upper),
)
def test_columns_are_found_by_name_in_any_order_number_and_case(tmp_path_factory, data, extra: list[str]) -> None:
    def columns(names: list[str]) -> list[str]:
        shuffled = data.draw(st.permutations(names))
        return [data.draw(st.sampled_from([n, n.lower(), n.title()])) for n in shuffled]

    others = [f"{name}_" for name in extra]
    animal = columns(["ID", "RFID", *others])
    detection = columns(["ID", "FRAMENUMBER", "ANIMALID", "MASS_X", "MASS_Y", "DATA"])
    frame = columns(["FRAMENUMBER", "TIMESTAMP", "PAUSED", "NUMPARTICLE"])
    path = tmp_path_factory.mktemp("scene") / "a.sqlite"
    execute(
        path,
        "BEGIN",
        f"CREATE TABLE animal ({', '.join(animal)})",
        f"CREATE TABLE Detection ({', '.join(detection)})",
        f"CREATE TABLE FRAME ({', '.join(frame)})",
        "CREATE INDEX i ON Detection(animalid, framenumber, mass_x, mass_y)",
        "INSERT INTO ANIMAL (ID, RFID) VALUES (7, '007')",
        *(f"INSERT INTO FRAME (FRAMENUMBER, TIMESTAMP, PAUSED) VALUES ({f}, {T0_MS + 33 * f}, 0)" for f in (1, 2)),
        *(f"INSERT INTO DETECTION (FRAMENUMBER, ANIMALID, MASS_X, MASS_Y) VALUES ({f}, 7, 20, {f})" for f in (1, 2)),
        "COMMIT",
    )  # fmt: skip
    assert read(path) == (
        [(7, "007")], [1, 2], [T0_MS + 33, T0_MS + 66], [[20.0, 20.0], [1.0, 2.0], [20.0, 20.0], [1.0, 2.0]], 0,
    )  # fmt: skip
    assert open_database(path).index == "i"
    assert set(open_database(path).animals[0].columns) == {name.upper() for name in animal}


@pytest.mark.parametrize("rfid", [None, "", "   "])
def test_an_empty_rfid_is_none(tmp_path: Path, rfid: str | None) -> None:
    path = Scene(still(1, 9), n_frames=9, animals={1: rfid}).write(tmp_path / "a.sqlite")
    assert open_database(path).animals[0].rfid is None


def test_an_rfid_is_text_without_the_spaces_around_it(tmp_path: Path) -> None:
    animals = {1: " 007 ", 2: 900000000000001}
    path = Scene(still(1, 9), n_frames=9, animals=animals).write(tmp_path / "a.sqlite")
    assert [animal.rfid for animal in open_database(path).animals] == ["007", "900000000000001"]


@pytest.mark.parametrize(
    ("stored", "rfid", "number"),
    [
        (1039552591.0, "1039552591", "1039552591.0"),
        ("1039552591.00", "1039552591", "1039552591.00"),
        ("9.00E+14", "9.00E+14", "9.00E+14"),
        ("9,00E+14", "9,00E+14", "9,00E+14"),
        ("1039552591,0", "1039552591", "1039552591,0"),
        ("001039552591", "001039552591", None),
        ("RFID_A", "RFID_A", None),
        ("1.5", "1.5", None),
    ],
)
def test_an_rfid_that_was_stored_as_a_number_is_its_digits(tmp_path: Path, stored, rfid: str, number) -> None:
    path = Scene(still(1, 9), n_frames=9, animals={1: stored}).write(tmp_path / "a.sqlite")
    (animal,) = open_database(path).animals
    assert (animal.rfid, animal.number) == (rfid, number)


def test_an_rfid_in_a_column_of_whole_numbers_is_told_as_one(tmp_path: Path) -> None:
    path = Scene(still(1, 9), n_frames=9).write(tmp_path / "a.sqlite")
    execute(path, "ALTER TABLE ANIMAL RENAME TO OLD")
    execute(path, "CREATE TABLE ANIMAL AS SELECT ID, 1039552591 AS RFID FROM OLD")
    (animal,) = open_database(path).animals
    assert (animal.rfid, animal.number) == ("1039552591", "1039552591")


@pytest.mark.parametrize("stored", ["1.0", "'1'", "' 1.0'"])
def test_a_number_of_an_animal_is_whole_however_it_is_stored(tmp_path: Path, stored: str) -> None:
    path = Scene(still(1, 9), n_frames=9).write(tmp_path / "a.sqlite")
    execute(path, "DROP TABLE ANIMAL", "CREATE TABLE ANIMAL (ID, RFID)", f"INSERT INTO ANIMAL VALUES ({stored}, '7')")
    assert [animal.id for animal in open_database(path).animals] == [1]


@pytest.mark.parametrize(("stored", "words"), [("1.5", "1.5"), ("'a'", "'a'"), ("NULL", "None"), ("1.0", "1.0 again")])
def test_a_number_of_an_animal_that_is_none_or_stands_twice_is_told(tmp_path: Path, stored: str, words: str) -> None:
    path = Scene(still(1, 9), n_frames=9).write(tmp_path / "a.sqlite")
    execute(path, "DROP TABLE ANIMAL", "CREATE TABLE ANIMAL (ID, RFID)", "INSERT INTO ANIMAL VALUES (1, '7')")
    execute(path, f"INSERT INTO ANIMAL VALUES ({stored}, '8')")
    assert told(DatabaseError, open_database, path) == (
        f"{path}: expected a whole number in each row of ANIMAL.ID, once, found {words}; correct a copy of the file",
    )


def test_a_name_in_the_schema_that_is_no_text_any_more_is_told(database: Path) -> None:
    content = database.read_bytes()
    database.write_bytes(content.replace(b"DETECTION(ANIMALID, FRAME", b"DETECTION(ANIMALID, \xffRAME"))
    assert told(DatabaseError, open_database, database) == (
        f"{database}: expected a sound SQLite database, found malformed database schema (detectionFastLoadXYIndex) - "
        "no such column: \ufffdRAMENUMBER; copy it again from its source",
    )


@pytest.mark.parametrize(
    ("statements", "lacking"),
    [
        (["DROP TABLE DETECTION"], "no table DETECTION"),
        (["ALTER TABLE ANIMAL RENAME COLUMN RFID TO TAG"], "no column RFID in ANIMAL"),
        (["ALTER TABLE FRAME DROP COLUMN PAUSED", "DROP TABLE ANIMAL"], "no table ANIMAL; no column PAUSED in FRAME"),
        (
            ["DROP INDEX detectionFastLoadXYIndex", "ALTER TABLE DETECTION DROP COLUMN MASS_X",
             "ALTER TABLE DETECTION DROP COLUMN MASS_Y"],
            "no column MASS_X, MASS_Y in DETECTION",
        ),
        (["DROP TABLE ANIMAL", "DROP TABLE DETECTION", "DROP TABLE FRAME"],
         "no table ANIMAL; no table DETECTION; no table FRAME"),
    ],
)  # fmt: skip
def test_a_database_that_is_not_lmt_s_is_told_with_what_it_lacks(
    database: Path, statements: list[str], lacking: str
) -> None:
    execute(database, *statements)
    assert told(DatabaseError, open_database, database) == (
        f"{database}: expected the tables of an LMT database, found {lacking}; leave the file out",
    )


def test_a_database_without_an_animal_is_told(tmp_path: Path) -> None:
    path = Scene([], n_frames=9, animals={}).write(tmp_path / "a.sqlite")
    assert told(DatabaseError, open_database, path) == (
        f"{path}: ANIMAL: expected a row for each mouse, found no animal; leave the file out",
    )


def test_the_history_of_a_damaged_database_is_one_line(database: Path) -> None:
    found = open_database(database)
    execute(database, "CREATE TABLE LOG (process TEXT)", "INSERT INTO LOG VALUES (CAST(x'ff' AS TEXT))")
    (line,) = told(DatabaseError, read_history, found)
    assert line.startswith(f"{database}: expected a sound SQLite database, found ")
    assert line.endswith("; copy it again from its source")
