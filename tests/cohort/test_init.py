"""A manifest to be filled in."""

import logging
from pathlib import Path

from conftest import execute, told, write_database
from lmtcnn.cohort.cohort import read
from lmtcnn.cohort.init import init, root_of
from lmtcnn.core.errors import BatchError, CohortError, DatabaseError, OutputError
from lmtcnn.core.params import Params
from lmtcnn.study import study


def test_init_writes_a_row_for_each_animal_with_the_labels_that_the_database_knows(
    tmp_path: Path, params: Params
) -> None:
    raw = tmp_path / "raw"
    (raw / "sub").mkdir(parents=True)
    write_database(raw / "r1.sqlite", {1: "0001", 2: None}, {"SEX": ["M", None], "Age": ["adult", 8]})
    write_database(raw / "sub" / "r 2.db", {1: "3"})
    rows, _ = init(raw, tmp_path / "new" / "cohort.csv", params)
    assert (tmp_path / "new" / "cohort.csv").read_text().splitlines() == [
        "recording,rfid,animal,cage,sex,age,files",
        "r1,0001,,,M,adult,",
        "r1,,,,,8,",
        "r 2,3,,,,,sub/r 2.db",
    ]
    assert [row["rfid"] for row in rows] == ["0001", "", "3"]


def test_init_spells_labels_as_the_classes_do_and_takes_what_else_animal_knows(
    tmp_path: Path, params: Params, caplog
) -> None:
    """GENOTYPE is there but empty; FILES means something else in a manifest; 8 weeks could be any age."""
    columns = {
        "SEX": ["male", "FEMALE", "f", "?"],
        "AGE": ["Adult", "juv", "adult", "8 weeks"],
        "STRAIN": ["C57BL/6J", "C57BL/6J", None, 7],
        "CAGE": ["c1", "c1", None, "c2"],
        "FILES": ["x"] * 4,
    }
    write_database(tmp_path / "r1.sqlite", {1: "1", 2: "2", 3: "3", 4: "4"}, columns)
    with caplog.at_level(logging.INFO):
        init(tmp_path, tmp_path / "cohort.csv", params)
    assert (tmp_path / "cohort.csv").read_text().splitlines() == [
        "recording,rfid,cage,sex,age,files,strain",
        "r1,1,c1,M,adult,,C57BL/6J",
        "r1,2,c1,F,juvenile,,C57BL/6J",
        "r1,3,,F,adult,,",
        "r1,4,c2,?,8 weeks,,7",
    ]
    assert caplog.messages == [
        "sex: FEMALE is written F, as in `classes`",
        "sex: f is written F, as in `classes`",
        "sex: male is written M, as in `classes`",
        "age: Adult is written adult, as in `classes`",
        "age: juv is written juvenile, as in `classes`",
    ]


def test_init_names_files_of_one_stem_by_their_folders_and_is_read_once_filled_in(
    tmp_path: Path, params: Params
) -> None:
    raw = tmp_path / "raw"
    paths = [raw / name for name in ("a/r1.sqlite", "b/r1.sqlite", "b/r1.db", "b/R2.sqlite", "r2.sqlite", "r3.sqlite")]
    for day, path in enumerate(paths):
        write_database(path, {1: f"00{day}"}, {"SEX": ["M"], "AGE": ["adult"], "CAGE": ["c1"]}, day=day)
    rows, _ = init(raw, tmp_path / "cohort.csv", params)
    assert [(row["recording"], row["files"]) for row in rows] == [
        ("a_r1", "a/r1.sqlite"),
        ("b_R2", "b/R2.sqlite"),
        ("b_r1.db", "b/r1.db"),
        ("b_r1.sqlite", "b/r1.sqlite"),
        ("r2", ""),
        ("r3", ""),
    ]
    found = read(tmp_path / "cohort.csv", raw, params)
    assert {file for recording in found.recordings for file in recording.files} == set(paths)


def test_init_writes_files_as_the_study_s_manifest_needs_them(tmp_path: Path, change) -> None:
    """A manifest of the study names files from cohort.databases on; another one from the folder that was named."""
    raw, own = tmp_path / "raw", tmp_path / "cohort.csv"
    write_database(raw / "batch 2" / "r1.sqlite", {1: "1"})
    using = change(**{"cohort.databases": str(raw), "cohort.manifest": str(own)})
    for path, files in ((own, "batch 2/r1.sqlite"), (tmp_path / "other.csv", "")):
        assert [row["files"] for row in init(raw / "batch 2", path, using)[0]] == [files]
    assert root_of(tmp_path, own, using) == tmp_path


def test_init_takes_other_label_columns(tmp_path: Path, params: Params) -> None:
    write_database(tmp_path / "r1.sqlite", {1: "1", 2: "2"}, {"SEX": ["male", "M"]})
    execute(tmp_path / "r1.sqlite", "UPDATE ANIMAL SET GENOTYPE = 'wt' WHERE ID = 1")
    init(tmp_path, tmp_path / "cohort.csv", params, ["genotype", "treatment", "sex"])
    assert (tmp_path / "cohort.csv").read_text().splitlines() == [
        "recording,rfid,cage,genotype,treatment,sex,files",
        "r1,1,,wt,,M,",
        "r1,2,,,,M,",
    ]
    assert told(CohortError, init, tmp_path, tmp_path / "new.csv", params, ["class", "dose"]) == (
        "--labels: expected columns of your own, found class, of another meaning; rename",
    )


def test_init_tells_of_animals_without_a_chip_and_leaves_out_rows_that_were_never_detected(
    tmp_path: Path, params: Params, caplog
) -> None:
    animals = {1: "001", 2: "RFID_B", 3: None, 4: "RFID_D", 5: "rfid_e"}
    write_database(tmp_path / "r1.sqlite", animals, ghosts=[4])
    init(tmp_path, tmp_path / "cohort.csv", params)
    assert (tmp_path / "cohort.csv").read_text().splitlines() == [
        "recording,rfid,animal,cage,sex,age,files",
        "r1,001,,,,,",
        "r1,RFID_B,,,,,",
        "r1,,,,,,",
        "r1,rfid_e,,,,,",
    ]
    assert caplog.messages == [
        "r1.sqlite: animal 4: no chip read (RFID_D); never detected, left out",
        "r1.sqlite: animal 3: no RFID; the manifest cannot name it: delete its row, or write an RFID into a copy of "
        "the file",
        "r1.sqlite: animal 2: no chip read (RFID_B), animal 5: no chip read (rfid_e); the column animal can say who it "
        "is",
    ]


def test_init_changes_no_label_that_is_merely_like_another(tmp_path: Path, change) -> None:
    using = change(classes={"a": {"dose": ["low", "none"]}, "b": {"dose": "high"}})
    write_database(tmp_path / "r1.sqlite", {1: "1", 2: "2", 3: "3"}, {"DOSE": ["slow", "LOW", "None"]})
    assert [row["dose"] for row in init(tmp_path, tmp_path / "c.csv", using)[0]] == ["slow", "low", "none"]


def test_init_keeps_a_manifest_that_is_there(run, tmp_path: Path) -> None:
    write_database(tmp_path / "new" / "r2.sqlite", {1: "2"})
    (tmp_path / "cohort.csv").write_text("mine")
    code, out, lines = run("cohort", "init", "new", "--manifest", "cohort.csv")
    assert (code, out) == (2, "")
    assert lines == [
        "error: cohort.csv: expected no file yet, found one, which is kept; edit it, or name another with --manifest"
    ]


def test_what_init_writes_is_read_once_it_is_filled_in(tmp_path: Path, params: Params) -> None:
    raw = tmp_path / "raw"
    (raw / "sub").mkdir(parents=True)
    for path in (raw / "r1.sqlite", raw / "sub" / "r2.sqlite"):
        write_database(path, {1: path.stem}, {"SEX": ["M"], "AGE": ["adult"]})
    path = tmp_path / "cohort.csv"
    init(raw, path, params)
    path.write_text(path.read_text().replace(",,M", ",c1,M"))
    found = read(path, raw, params)
    assert [(s.recording, s.rfid, s.cage, s.class_name) for s in found.samples] == [
        ("r1", "r1", "c1", "AM"),
        ("r2", "r2", "c1", "AM"),
    ]
    assert [r.files for r in found.recordings] == [(raw / "r1.sqlite",), (raw / "sub" / "r2.sqlite",)]


def test_init_of_a_single_file_names_it(tmp_path: Path, params: Params) -> None:
    path = write_database(tmp_path / "r1.db", {1: "1"})
    assert [row["files"] for row in init(path, tmp_path / "cohort.csv", params)[0]] == ["r1.db"]


def test_init_puts_rows_in_place_of_the_manifest_of_a_new_study(tmp_path: Path, params: Params) -> None:
    path = tmp_path / "cohort.csv"
    path.write_bytes(study.EMPTY_MANIFEST)
    write_database(tmp_path / "r1.sqlite", {1: "1"})
    assert [row["rfid"] for row in init(tmp_path, path, params)[0]] == ["1"]
    assert path.read_text().splitlines()[1].startswith("r1,1,")


def test_init_never_replaces_a_manifest(tmp_path: Path, params: Params) -> None:
    path = tmp_path / "cohort.csv"
    path.write_text("mine")
    write_database(tmp_path / "r1.sqlite", {1: "1"})
    assert told(OutputError, init, tmp_path, path, params) == (
        f"{path}: expected no file yet, found one, which is kept; edit it, or name another with --manifest",
    )
    assert path.read_text() == "mine"


def test_init_names_a_bad_database_and_writes_the_others(tmp_path: Path, params: Params) -> None:
    write_database(tmp_path / "r1.sqlite", {1: "1"})
    (tmp_path / "r0.sqlite").write_bytes(b"")
    _, failed = init(tmp_path, tmp_path / "cohort.csv", params)
    assert [line for error in failed for line in error.lines] == [
        f"{tmp_path / 'r0.sqlite'}: expected an LMT database, found an empty file (0 bytes); copy it again",
    ]
    assert (tmp_path / "cohort.csv").read_text() == "recording,rfid,cage,sex,age,files\nr1,1,,,,\n"


def test_init_writes_nothing_where_there_is_nothing_to_write(tmp_path: Path, params: Params) -> None:
    missing = tmp_path / "no"
    assert told(BatchError, init, missing, tmp_path / "cohort.csv", params) == (
        f"{missing}: expected an LMT database, found no file; check the path",
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    assert told(DatabaseError, init, empty, tmp_path / "cohort.csv", params) == (
        f"{empty}: expected databases (.sqlite, .sqlite3, .db), found none; check the folder",
    )
    assert list(tmp_path.iterdir()) == [empty]
