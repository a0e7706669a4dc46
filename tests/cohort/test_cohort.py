"""Who is who: the manifest, and the manifest against the databases."""

import logging
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from conftest import OWN_RECORDINGS, T0_MS, Scene, change_params, execute, still, told
from lmtcnn.cohort import cohort
from lmtcnn.cohort.cohort import ONE_CAGE, Cohort, read, unlisted
from lmtcnn.core.errors import BatchError, CohortError, DatabaseError, OutputError
from lmtcnn.core.params import Params
from lmtcnn.lmt.lmt import open_database
from lmtcnn.study import study

HEADER = "recording,rfid,cage,sex,age"
PAIR = f"{HEADER}\nr1,001,c1,M,adult\nr1,002,c1,F,adult\n"


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Where the manifest lies; the databases would be in a folder `raw` beside it."""
    return tmp_path / "cohort.csv"


@pytest.fixture
def reading(manifest: Path, params: Params) -> Callable[..., Cohort]:
    """Read a manifest of this text, or these bytes."""

    def read_text(text: str | bytes, using: Params = params) -> Cohort:
        manifest.write_bytes(text.encode() if isinstance(text, str) else text)
        return read(manifest, manifest.parent / "raw", using)

    return read_text


@pytest.fixture
def problems(reading, manifest: Path) -> Callable[[str], tuple[str, ...]]:
    """What is said of a manifest of this text, without the manifest's path."""

    def of(text: str) -> tuple[str, ...]:
        lines = told(CohortError, reading, text)
        assert all(line.startswith(f"{manifest}: ") for line in lines)
        return tuple(line.removeprefix(f"{manifest}: ") for line in lines)

    return of


def database(
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


# ---- What is read ----------------------------------------------------------------------------------------------------


def test_a_manifest_gives_recordings_and_samples_with_their_classes(reading, manifest: Path, params: Params) -> None:
    found = reading(f"{HEADER}\nr2,003,c2,F,juvenile\nr1,002,c1,M,adult\nr1,001,c1,M,adult\n")
    assert [(s.recording, s.rfid, s.cage, s.class_name) for s in found.samples] == [
        ("r1", "001", "c1", "AM"),
        ("r1", "002", "c1", "AM"),
        ("r2", "003", "c2", "JF"),
    ]
    assert [dict(s.labels) for s in found.samples[::2]] == [
        {"sex": "M", "age": "adult"},
        {"sex": "F", "age": "juvenile"},
    ]
    assert [(r.name, r.files, r.arena, r.timezone) for r in found.recordings] == [
        (name, (manifest.parent / "raw" / f"{name}.sqlite",), params.stops.arena, None) for name in ("r1", "r2")
    ]
    assert [set(r.samples) for r in found.recordings] == [{"001", "002"}, {"003"}]
    assert found.cages == ("c1", "c2")


@pytest.mark.parametrize(
    "text",
    [
        PAIR,
        PAIR.replace(",", ";"),
        PAIR.replace(",", "\t"),
        "\ufeff" + PAIR,
        PAIR.replace("\n", "\r\n"),
        PAIR.replace("\n", "\r"),
        PAIR.replace("r1", '"r1"').replace("adult", '"adult"'),
        PAIR.replace(",", " , "),
        PAIR.removesuffix("\n"),
        PAIR + "\n,,,,\n\n",
        PAIR.replace("\nr1", ",weight,notes\nr1", 1),
        "age,sex,cage,rfid,recording\nadult,M,c1,001,r1\nadult,F,c1,002,r1\n",
    ],
    ids=["comma", "semicolon", "tab", "bom", "crlf", "cr", "quotes", "spaces", "no end", "empty rows", "more", "order"],
)
def test_a_table_may_be_written_in_many_ways(reading, text: str) -> None:
    assert reading(text) == reading(PAIR)


def test_a_quoted_cell_may_hold_the_delimiter(reading) -> None:
    found = reading(f'{HEADER}\nr1,001,"room 1, left",M,adult\n')
    assert found.samples[0].cage == "room 1, left"


def test_the_files_of_a_recording_stand_with_semicolons_between(reading, manifest: Path) -> None:
    (recording,) = reading(f"{HEADER},files\nlong,001,c1,M,adult,r2.sqlite; r1.sqlite\n").recordings
    assert recording.files == (manifest.parent / "raw" / "r2.sqlite", manifest.parent / "raw" / "r1.sqlite")


def test_a_manifest_without_a_row_says_where_rows_come_from(reading, manifest: Path) -> None:
    raw = manifest.parent / "raw"
    assert told(CohortError, reading, HEADER) == (
        f"{manifest}: expected a row for each animal of each recording, found none; put LMT databases into {raw}, run "
        f"`lmtcnn cohort init {raw}`, fill in what it leaves empty",
    )


@pytest.mark.parametrize("mark", ["1", "yes", "x", "TRUE", "Y", "t", "1.0", " Yes "])
def test_an_excluded_row_is_left_out_with_whatever_is_wrong_in_it(reading, mark: str) -> None:
    found = reading(f"{HEADER},exclude\nr1,001,c1,M,adult,\nr9,9E+14,,?,,{mark}\n")
    assert [s.rfid for s in found.samples] == ["001"]
    assert [r.name for r in found.recordings] == ["r1"]


@pytest.mark.parametrize("mark", ["", "0", "no", "False", "n", "F", "0.0"])
def test_a_row_that_is_not_excluded_counts(reading, mark: str) -> None:
    assert len(reading(f"{HEADER},exclude\nr1,001,c1,M,adult,{mark}\n").samples) == 1


def test_the_floor_and_time_zone_of_a_recording_come_from_its_columns(reading, params: Params) -> None:
    columns = "arena_x_px,arena_width_px,arena_cm_per_px,arena_flip,timezone"
    found = reading(f"{HEADER},{columns}\nr1,1,c,M,adult,100,300.5,20/57,xy,Europe/Paris\nr2,2,c,M,adult,,,,,\n")
    arena = found.recordings[0].arena
    assert (arena.x_px, arena.y_px, arena.width_px, arena.flip) == (100, 63, 300.5, "xy")
    assert arena.cm_per_px == 2 * params.stops.arena.cm_per_px
    assert found.recordings[0].timezone == "Europe/Paris"
    assert (found.recordings[1].arena, found.recordings[1].timezone) == (params.stops.arena, None)


def test_classes_may_be_of_any_label_columns(reading, change) -> None:
    using = change(classes={"wild": {"strain": "wt"}, "mutant": {"strain": "ko"}})
    found = reading("recording,rfid,cage,strain\nr1,001,c1,ko\n", using)
    assert (found.samples[0].class_name, dict(found.samples[0].labels)) == ("mutant", {"strain": "ko"})


def test_params_say_where_the_cohort_is(reading, manifest: Path, change) -> None:
    expected = reading(PAIR)
    using = change(**{"cohort.manifest": str(manifest), "cohort.databases": str(manifest.parent / "raw")})
    assert cohort.load(using) == expected


# ---- What is refused -------------------------------------------------------------------------------------------------


def test_a_missing_manifest_is_told(tmp_path: Path, params: Params) -> None:
    path = tmp_path / "cohort.csv"
    assert told(CohortError, read, path, tmp_path, params) == (
        f"{path}: expected a manifest, found no file; "
        "name one in cohort.manifest, or write one with `lmtcnn cohort init`",
    )


def test_a_file_in_another_encoding_is_told(reading, manifest: Path) -> None:
    text = PAIR.replace("c1", "Käfig").encode("latin-1")
    assert told(CohortError, reading, text) == (
        f"{manifest}: expected a table in UTF-8, found another encoding; save it as CSV UTF-8",
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "expected a header, found an empty file; fill the manifest"),
        (
            "Recording,RFID,cage,sex,age\n",
            "expected the columns recording, rfid, found Recording, RFID, cage, sex, age; "
            "rename Recording to recording, RFID to rfid",
        ),
        (f"{HEADER},sex\nr1,001,c1,M,adult,F\n", "expected one column sex, found two; rename one of them"),
        (
            f"{HEADER}\nr1,001,room 1, left,M,adult\n",
            "row 2: expected 5 cells, as in the header, found 6; put quotes around a cell that holds a separator",
        ),
        (
            f"{HEADER},files\nr1,001,c1,M,adult,a.db\nr2,001,c1,M,adult,b.db;a.db\n",
            "a.db: expected a file once, found it in r1 and r2; correct the column files",
        ),
        (
            f"{HEADER},files\nr1,001,c1,M,adult,a.db;a.db\n",
            "a.db: expected a file once, found it in r1 twice; correct the column files",
        ),
        ("\n", "expected the columns recording, rfid, cage, sex, age, found an empty line; add them to the header"),
        (
            "Recording,rfid,cage,sex\nr1,001,c1,M\n",
            "expected the columns recording, age, found Recording, rfid, cage, sex; add them to the header",
        ),
        (f'{HEADER}\nr1,"001,c1,M,adult\n', "expected a table, found unexpected end of data; check its quotes"),
        (f"{HEADER}\nr1,,c1,M,adult\n", "row 2: expected a value in rfid, found none; fill it in"),
        (f"{HEADER}\n,001,c1,M,adult\n", "row 2: expected a value in recording, found none; fill it in"),
        (f"{HEADER}\nr1,001,,M,adult\n", "row 2: expected a value in cage, found none; fill it in"),
        (
            f"{HEADER}\nr1,001,c1,M,adult\nr1,9.00E+14,c1,M,adult\n",
            "row 3: expected an RFID as text, found 9.00E+14, a spreadsheet's number; "
            "format the column as text and enter it again",
        ),
        (
            f'{HEADER}\nr1,"9,1e14",c1,M,adult\n',
            "row 2: expected an RFID as text, found 9,1e14, a spreadsheet's number; "
            "format the column as text and enter it again",
        ),
        (
            f"{HEADER}\nr1,001,c1,m,adult\n",
            "row 2: expected a label of a class of params.yaml (sex M, F), found sex m, age adult; "
            "write M if that is meant",
        ),
        (
            f"{HEADER}\nr1,001,c1,M,adlut\n",
            "row 2: expected a label of a class of params.yaml (age adult, juvenile), found sex M, age adlut; "
            "write adult if that is meant",
        ),
        (
            f"{HEADER}\nr1,001,c1,?,old\n",
            "row 2: expected a label of a class of params.yaml (sex M, F; age adult, juvenile), found sex ?, age old; "
            "correct the labels, or `classes` in params.yaml",
        ),
        (
            f"{HEADER},files\nr1,001,c1,M\n",
            "row 2: expected a value in age, found 4 of 6 cells; put each cell of the row under its column",
        ),
        (
            f"{HEADER},files\nr1,001,c9,c1,M,adult\n",
            "row 2: expected a label of a class of params.yaml (sex M, F; age adult, juvenile), found sex c1, age M; "
            "put each cell of the row under its column",
        ),
        (
            f"{HEADER},exclude,files\nr1,001,c1,M,adult,r1.sqlite,\n",
            "row 2: expected yes, no, true, false, 1, 0 or nothing in exclude, found r1.sqlite; "
            "correct it; has a cell of the row moved?",
        ),
        (
            f"{HEADER},animal\nr1,RFID_A,c1,M,adult,RFID_A\n",
            "row 2: expected in animal who it is, found RFID_A, the tracker's word for no chip read; "
            "name the individual, or leave the cell empty",
        ),
        (
            f"{HEADER},animal\nr1,RFID_A,c1,M,adult,Tom\nr1,001,c1,M,adult,Tom\n",
            "r1: expected animal Tom once, found RFIDs 001, RFID_A; "
            "one row a recording: nothing tells where one ends and the other begins",
        ),
        (
            f"{HEADER},animal\nr1,1,c1,M,adult,Tom\nr2,2,c2,M,adult,Tom\n",
            f"animal Tom: expected one cage, found c1, c2; {ONE_CAGE}",
        ),
        (
            f"{HEADER}\nr1,001,c1,M,adult\nr1,001,c1,M,adult\n",
            "r1: expected RFID 001 once, found 2 rows; correct the RFIDs, or remove what was entered twice",
        ),
        (
            f"{HEADER}\nr1,001,c1,M,adult\nr2,001,c2,M,adult\n",
            f"RFID 001: expected one cage, found c1, c2; {ONE_CAGE}",
        ),
        (
            f"{HEADER},arena_x_px\nr1,001,c1,M,adult,100\nr1,002,c1,M,adult,\n",
            "r1: expected one value in arena_x_px, found (empty), 100; say the same in every row",
        ),
        (
            f"{HEADER}\nr1,001,c1,M,adult\nr1,002,c2,M,adult\n",
            "r1: expected one value in cage, found c1, c2; say the same in every row",
        ),
        (
            f"{HEADER},arena_width_px\nr1,001,c1,M,adult,wide\n",
            "r1: arena_width_px: expected a valid number, found 'wide'; correct the value",
        ),
        (
            f"{HEADER},arena_flip\nr1,001,c1,M,adult,z\n",
            "r1: arena_flip: expected 'none', 'x', 'y' or 'xy', found 'z'; correct the value",
        ),
        (
            f"{HEADER},timezone\nr1,001,c1,M,adult,Mars\n",
            "r1: timezone: expected a time zone such as Europe/Paris, found 'Mars'; correct the value",
        ),
    ],
)
def test_what_a_manifest_lacks_is_told(problems, text: str, line: str) -> None:
    assert problems(text) == (line,)


@pytest.mark.parametrize("name", ["../r1", "a/b", "a\\b", ".", ".."])
def test_a_recording_s_name_is_no_path(problems, name: str) -> None:
    assert problems(f"{HEADER}\n{name},001,c1,M,adult\n")[0] == (
        f"row 2: expected a recording's name without a path, found {name}; rename the recording"
    )


def test_a_cage_s_name_is_no_path(problems) -> None:
    assert problems(f"{HEADER}\nr1,001,../c1,M,adult\n")[0] == (
        "row 2: expected a cage's name without a path, found ../c1; rename the cage"
    )


def test_rfids_of_two_cages_that_differ_in_leading_zeros_only_are_warned_of(reading, caplog) -> None:
    reading(f"{HEADER}\nr1,001,c1,M,adult\nr2,1,c2,M,adult\n")
    assert caplog.messages == ["cohort.csv: RFIDs 001, 1 in several cages differ in leading zeros only: one animal?"]


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ("Tom", "tom", "animals Tom, tom in several cages differ in capitals only"),
        ("007", "7", "animals 007, 7 in several cages differ in leading zeros only"),
        ("", "1", "animals 001, 1 in several cages differ in leading zeros only"),
    ],
)
def test_names_of_animals_in_two_cages_that_are_nearly_one_are_warned_of(reading, caplog, one, other, words) -> None:
    reading(f"{HEADER},animal\nr1,001,c1,M,adult,{one}\nr2,002,c2,M,adult,{other}\n")
    assert caplog.messages == [f"cohort.csv: {words}: one animal?"]


def test_check_warns_of_a_chip_that_the_manifest_names_in_part(tmp_path: Path, write_manifest, change) -> None:
    """001 is Tom in c1 and nobody in c2; 002 is two animals in cage c1; 003 is one in each cage, as is said."""
    rows = []
    for day, (name, cage) in enumerate((("r1", "c1"), ("r2", "c2"), ("r3", "c1"))):
        rfids = {"r1": ["001", "002", "003"], "r2": ["001", "003"], "r3": ["002"]}[name]
        database(tmp_path / f"{name}.sqlite", dict(enumerate(rfids, start=1)), day=day)
        names = {"001": "Tom" if name == "r1" else "", "002": f"{name}b", "003": f"{name}c"}
        rows += [
            {"recording": name, "rfid": rfid, "cage": cage, "sex": "M", "age": "adult", "animal": names[rfid]}
            for rfid in rfids
        ]
    rows[-1]["age"] = "juvenile"
    using = change(**{"cohort.manifest": str(write_manifest(rows)), "cohort.databases": str(tmp_path)})
    assert [line for line in cohort.check(using).odd if "column animal" in line] == [
        "RFID 001: the column animal names Tom in r1, nobody in r2: taken for 2 animals",
        "RFID 002: the column animal names r1b in r1, r3b in r3: taken for 2 animals",
    ]


def test_labels_that_fit_two_classes_are_told(reading, manifest: Path, change) -> None:
    using = change(classes={"male": {"sex": "M"}, "adult": {"age": "adult"}})
    assert told(CohortError, reading, f"{HEADER}\nr1,001,c1,M,adult\n", using) == (
        f"{manifest}: row 2: expected one class, found sex M, age adult, which is male and adult; "
        "correct the labels, or `classes` in params.yaml",
    )


@pytest.mark.parametrize(
    ("night", "line"),
    [
        ("20:00", "night: expected lights off and on as 20:00-08:00, found 20:00; write it so, or leave it empty"),
        ("1-2-3", "night: expected lights off and on as 20:00-08:00, found 1-2-3; write it so, or leave it empty"),
        ("20:00-24:00", "night.1: expected a clock time HH:MM, found '24:00'; correct the value"),
        (
            "08:00-08:00",
            "night: expected lights off and lights on at two times, found ('08:00', '08:00'); correct the value",
        ),
    ],
)
def test_a_night_that_is_none_is_told(problems, night: str, line: str) -> None:
    assert problems(f"{HEADER},night\nr1,001,c1,M,adult,{night}\n") == (f"r1: {line}",)


def test_a_recording_may_have_a_night_of_its_own(reading) -> None:
    (recording,) = reading(f"{HEADER},night\nr1,001,c1,M,adult,19:00 - 7:00\n").recordings
    assert recording.night == ("19:00", "07:00")


def test_all_problems_of_a_manifest_are_told_at_once(problems) -> None:
    text = f"{HEADER}\nr1,1e14,,M,adult\nr1,002,c1,?,adult\nr9,003,c1,F,adult\nr2,003,c2,F,adult\n"
    assert problems(text) == (
        "row 2: expected a value in cage, found none; fill it in",
        "row 2: expected an RFID as text, found 1e14, a spreadsheet's number; "
        "format the column as text and enter it again",
        "row 3: expected a label of a class of params.yaml (sex M, F), found sex ?, age adult; "
        "correct the labels, or `classes` in params.yaml",
        f"RFID 003: expected one cage, found c1, c2; {ONE_CAGE}",
    )


# ---- Files without a manifest ----------------------------------------------------------------------------------------


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A folder with the files of recordings r1, r2 and r3."""
    folder = tmp_path / "raw"
    folder.mkdir()
    for name in ("r1", "r2", "r3"):
        (folder / f"{name}.sqlite").touch()
    return folder


def test_a_file_without_a_manifest_is_named_by_its_stem(raw: Path, params: Params) -> None:
    found = unlisted([raw], params)
    assert [(r.name, r.files) for r in found] == [(n, (raw / f"{n}.sqlite",)) for n in ("r1", "r2", "r3")]
    assert [r.samples for r in found] == [None] * 3
    assert {r.arena for r in found} == {params.stops.arena}


def test_two_files_of_one_stem_are_told(raw: Path, params: Params) -> None:
    (raw / "sub").mkdir()
    (raw / "sub" / "r1.db").touch()
    assert told(CohortError, unlisted, [raw], params) == (
        f"r1: expected one database of this name, found {raw / 'r1.sqlite'}, {raw / 'sub' / 'r1.db'}; rename",
    )


# ---- cohort check, cohort init ---------------------------------------------------------------------------------------


def test_check_tells_all_that_is_wrong_with_the_databases(tmp_path: Path, write_manifest, change) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    database(raw / "r1.sqlite", {1: "1"})
    database(raw / "r2.sqlite", {1: "9"})
    (raw / "r3.sqlite").write_bytes(b"")
    sample = {"sex": "M", "age": "adult"}
    rows = [{"recording": f"r{i}", "rfid": "1", "cage": "c1", **sample} for i in (1, 2, 3, 4)]
    path = write_manifest([*rows, {"recording": "r5", "rfid": "5", "cage": "", **sample}])
    using = change(**{"cohort.manifest": str(path), "cohort.databases": str(raw)})
    assert told(BatchError, cohort.check, using) == (
        f"{path}: row 6: expected a value in cage, found none; fill it in",
        f"{raw / 'r2.sqlite'}: ANIMAL: expected RFID 1 of the manifest, found 9; correct the manifest",
        f"{raw / 'r3.sqlite'}: expected an LMT database, found an empty file (0 bytes); copy it again",
        f"{raw / 'r4.sqlite'}: expected an LMT database, found no file; check the path",
        f"{raw / 'r5.sqlite'}: expected an LMT database, found no file; check the path",
        f"{path}: expected two cages or more, found only c1; add recordings of another cage: one is held out in turn",
        f"{path}: expected samples of two classes or more, found only AM; add recordings of another class",
    )
    for name in ("r2", "r3", "r4"):
        database(raw / "new", {1: "1"}).replace(raw / f"{name}.sqlite")
    database(raw / "r5.sqlite", {1: "5"})
    write_manifest([*rows, {"recording": "r5", "rfid": "5", "cage": "c2", "sex": "F", "age": "adult"}])
    assert len(cohort.check(using).cohort.samples) == 5


def test_check_warns_of_what_is_odd(tmp_path: Path, write_manifest, change) -> None:
    """Three cages at two ages; an animal changes its sex, a class has one cage, two recordings are not listed."""
    rows = []
    for cage in ("c1", "c2", "c3"):
        for age in ("adult", "juvenile"):
            day = ("adult", "juvenile").index(age)
            database(tmp_path / f"{cage}{age}.sqlite", {1: cage, 2: f"{cage}b"}, day=day)
            for rfid in (cage, f"{cage}b"):
                sex = "F" if (rfid, age) == ("c1", "adult") else "M"
                rows.append({"recording": f"{cage}{age}", "rfid": rfid, "cage": cage, "sex": sex, "age": age})
    database(tmp_path / "forgotten.sqlite", {1: "9"})
    short = change(**{"histograms.intervals": 10, "histograms.interval_s": 3600})
    paths = {"manifest": str(write_manifest(rows)), "databases": str(tmp_path)}
    odd = cohort.check(short.model_copy(update={"cohort": short.cohort.model_copy(update=paths)})).odd
    assert odd[:4] == [
        f"{tmp_path / 'forgotten.sqlite'}: in no row of the manifest, left out",
        "class JF: no sample",
        "class AF: only in cage c1: nothing to learn it from while that is held out",
        "RFID c1: sex F and M, others keep it",
    ]
    assert odd[4] == "c1adult: 0.267 s long, 0.000742 % of the 10 h that are counted: left out of training"
    assert len(odd) == 4 + 6 + 1
    assert odd[-1].startswith("train.lr 0.1 with intervals of 3600 s is 100 times the paper's")


def test_check_warns_of_an_animal_in_two_recordings_at_once(tmp_path: Path, write_manifest, change) -> None:
    """The juvenile recording of c1 is a copy of the adult one; that of c2 began a day later."""
    rows = []
    for cage, day in (("c1", 0), ("c2", 1)):
        for age in ("adult", "juvenile"):
            name = f"{cage}{age}"
            database(tmp_path / f"{name}.sqlite", {1: cage, 2: f"{cage}b"}, day=day if age == "juvenile" else 0)
            rows += [
                {"recording": name, "rfid": rfid, "cage": cage, "sex": "M", "age": age} for rfid in (cage, f"{cage}b")
            ]
    using = change(**{"cohort.manifest": str(write_manifest(rows)), "cohort.databases": str(tmp_path)})
    assert [line for line in cohort.check(using).odd if "same time" in line] == [
        "c1adult and c1juvenile: RFID c1, c1b at the same time in both: a copy of a file?"
    ]


def test_the_same_chip_in_two_cages_is_two_mice_where_the_manifest_says_so(reading) -> None:
    text = f"{HEADER},animal\nr1,001,c1,M,adult,Tom\nr2,001,c2,M,adult,Ann\nr3,002,c2,M,adult,\n"
    assert [(s.rfid, s.animal) for s in reading(text).samples] == [("001", "Tom"), ("001", "Ann"), ("002", "002")]


def test_an_animal_whose_chip_was_not_read_is_one_of_its_recording(reading) -> None:
    """Files of a set-up without RFID all hold RFID_A; the manifest says that two of them are one mouse."""
    rows = ["r1,RFID_A,c1,M,adult,", "r2,RFID_A,c2,M,adult,", "r3,RFID_A,c3,M,juvenile,Tom", "r4,RFID_B,c3,M,adult,Tom"]
    found = reading("\n".join([f"{HEADER},animal", *rows]))
    assert [s.animal for s in found.samples] == ["RFID_A of r1", "RFID_A of r2", "Tom", "Tom"]


def test_check_says_of_whom_no_chip_was_read_and_who_was_never_detected(tmp_path: Path, write_manifest, change) -> None:
    """RFID_A is named in cage c1 by the manifest, and in cage c2 not; 009 of c2 has no row in DETECTION."""
    rows = []
    for day, (cage, sex) in enumerate((("c1", "M"), ("c2", "F"))):
        database(tmp_path / f"{cage}.sqlite", {1: "RFID_A", 2: f"00{day}", 3: "009"}, day=day, ghosts=[3])
        members = ["RFID_A", f"00{day}", *["009"] * day]
        rows += [{"recording": cage, "rfid": rfid, "cage": cage, "sex": sex, "age": "adult"} for rfid in members]
    rows[0]["animal"] = "Tom"
    using = change(**{"cohort.manifest": str(write_manifest(rows)), "cohort.databases": str(tmp_path)})
    odd = cohort.check(using).odd
    assert [line for line in odd if "chip" in line or "never" in line] == [
        "cage c2: no chip read (RFID_A) in c2: joined with no animal of another recording; a column animal can say who "
        "it is",
        "c2: RFID 009 is in the manifest, but was never detected: the recording fails",
    ]


def test_check_counts_what_the_manifest_excludes(run, tmp_path: Path, write_manifest) -> None:
    """One animal of r1, and r3 as a whole, which is no file that nobody named."""
    change_params(tmp_path, *OWN_RECORDINGS)
    rows = []
    for day, name in enumerate(("r1", "r2", "r3")):
        database(tmp_path / "raw" / f"{name}.sqlite", {1: f"{day}1", 2: f"{day}2"}, day=day)
        for rfid in (f"{day}1", f"{day}2"):
            row = {"recording": name, "rfid": rfid, "cage": name, "sex": "MF"[day % 2], "age": "adult"}
            rows.append({**row, "exclude": "yes" if name == "r3" or rfid == "02" else "no"})
    write_manifest(rows)
    code, out, lines = run("cohort", "check")
    assert code == 0
    assert out.splitlines()[-1].startswith("2 recordings, 3 samples (1 AM, 2 AF), 2 cages, 3 rows excluded: ")
    assert "excluded by the manifest: r1, 02; r3, 21; r3, 22" in lines
    assert not [line for line in lines if "in no row" in line]


def test_an_animal_that_the_manifest_excludes_is_no_stranger(reading, tmp_path: Path, caplog) -> None:
    text = f"{HEADER},exclude\nr1,001,c1,M,adult,\nr1,002,c1,M,adult,yes\n"
    (recording,) = reading(text).recordings
    animals = {1: "001", 2: "002", 3: "003", 4: "RFID_D"}
    found = open_database(database(tmp_path / "db.sqlite", animals, ghosts=[4]))
    assert recording.match([found]) == [{1: "001"}]
    assert caplog.messages == ["db.sqlite: left out, not in the manifest: 003"]


def test_init_writes_a_row_for_each_animal_with_the_labels_that_the_database_knows(
    tmp_path: Path, params: Params
) -> None:
    raw = tmp_path / "raw"
    (raw / "sub").mkdir(parents=True)
    database(raw / "r1.sqlite", {1: "0001", 2: None}, {"SEX": ["M", None], "Age": ["adult", 8]})
    database(raw / "sub" / "r 2.db", {1: "3"})
    rows, _ = cohort.init(raw, tmp_path / "new" / "cohort.csv", params)
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
    database(tmp_path / "r1.sqlite", {1: "1", 2: "2", 3: "3", 4: "4"}, columns)
    with caplog.at_level(logging.INFO):
        cohort.init(tmp_path, tmp_path / "cohort.csv", params)
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
        database(path, {1: f"00{day}"}, {"SEX": ["M"], "AGE": ["adult"], "CAGE": ["c1"]}, day=day)
    rows, _ = cohort.init(raw, tmp_path / "cohort.csv", params)
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
    database(raw / "batch 2" / "r1.sqlite", {1: "1"})
    using = change(**{"cohort.databases": str(raw), "cohort.manifest": str(own)})
    for path, files in ((own, "batch 2/r1.sqlite"), (tmp_path / "other.csv", "")):
        assert [row["files"] for row in cohort.init(raw / "batch 2", path, using)[0]] == [files]
    assert cohort.root_of(tmp_path, own, using) == tmp_path


def test_init_takes_other_label_columns(tmp_path: Path, params: Params) -> None:
    database(tmp_path / "r1.sqlite", {1: "1", 2: "2"}, {"SEX": ["male", "M"]})
    execute(tmp_path / "r1.sqlite", "UPDATE ANIMAL SET GENOTYPE = 'wt' WHERE ID = 1")
    cohort.init(tmp_path, tmp_path / "cohort.csv", params, ["genotype", "treatment", "sex"])
    assert (tmp_path / "cohort.csv").read_text().splitlines() == [
        "recording,rfid,cage,genotype,treatment,sex,files",
        "r1,1,,wt,,M,",
        "r1,2,,,,M,",
    ]
    assert told(CohortError, cohort.init, tmp_path, tmp_path / "new.csv", params, ["class", "dose"]) == (
        "--labels: expected columns of your own, found class, of another meaning; rename",
    )


def test_init_tells_of_animals_without_a_chip_and_leaves_out_rows_that_were_never_detected(
    tmp_path: Path, params: Params, caplog
) -> None:
    animals = {1: "001", 2: "RFID_B", 3: None, 4: "RFID_D", 5: "rfid_e"}
    database(tmp_path / "r1.sqlite", animals, ghosts=[4])
    cohort.init(tmp_path, tmp_path / "cohort.csv", params)
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
    database(tmp_path / "r1.sqlite", {1: "1", 2: "2", 3: "3"}, {"DOSE": ["slow", "LOW", "None"]})
    assert [row["dose"] for row in cohort.init(tmp_path, tmp_path / "c.csv", using)[0]] == ["slow", "low", "none"]


def test_init_keeps_a_manifest_that_is_there(run, tmp_path: Path) -> None:
    database(tmp_path / "new" / "r2.sqlite", {1: "2"})
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
        database(path, {1: path.stem}, {"SEX": ["M"], "AGE": ["adult"]})
    path = tmp_path / "cohort.csv"
    cohort.init(raw, path, params)
    path.write_text(path.read_text().replace(",,M", ",c1,M"))
    found = read(path, raw, params)
    assert [(s.recording, s.rfid, s.cage, s.class_name) for s in found.samples] == [
        ("r1", "r1", "c1", "AM"),
        ("r2", "r2", "c1", "AM"),
    ]
    assert [r.files for r in found.recordings] == [(raw / "r1.sqlite",), (raw / "sub" / "r2.sqlite",)]


def test_init_of_a_single_file_names_it(tmp_path: Path, params: Params) -> None:
    path = database(tmp_path / "r1.db", {1: "1"})
    assert [row["files"] for row in cohort.init(path, tmp_path / "cohort.csv", params)[0]] == ["r1.db"]


def test_init_puts_rows_in_place_of_the_manifest_of_a_new_study(tmp_path: Path, params: Params) -> None:
    path = tmp_path / "cohort.csv"
    path.write_bytes(study.EMPTY_MANIFEST)
    database(tmp_path / "r1.sqlite", {1: "1"})
    assert [row["rfid"] for row in cohort.init(tmp_path, path, params)[0]] == ["1"]
    assert path.read_text().splitlines()[1].startswith("r1,1,")


def test_init_never_replaces_a_manifest(tmp_path: Path, params: Params) -> None:
    path = tmp_path / "cohort.csv"
    path.write_text("mine")
    database(tmp_path / "r1.sqlite", {1: "1"})
    assert told(OutputError, cohort.init, tmp_path, path, params) == (
        f"{path}: expected no file yet, found one, which is kept; edit it, or name another with --manifest",
    )
    assert path.read_text() == "mine"


def test_init_names_a_bad_database_and_writes_the_others(tmp_path: Path, params: Params) -> None:
    database(tmp_path / "r1.sqlite", {1: "1"})
    (tmp_path / "r0.sqlite").write_bytes(b"")
    _, failed = cohort.init(tmp_path, tmp_path / "cohort.csv", params)
    assert [line for error in failed for line in error.lines] == [
        f"{tmp_path / 'r0.sqlite'}: expected an LMT database, found an empty file (0 bytes); copy it again",
    ]
    assert (tmp_path / "cohort.csv").read_text() == "recording,rfid,cage,sex,age,files\nr1,1,,,,\n"


def test_init_writes_nothing_where_there_is_nothing_to_write(tmp_path: Path, params: Params) -> None:
    missing = tmp_path / "no"
    assert told(BatchError, cohort.init, missing, tmp_path / "cohort.csv", params) == (
        f"{missing}: expected an LMT database, found no file; check the path",
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    assert told(DatabaseError, cohort.init, empty, tmp_path / "cohort.csv", params) == (
        f"{empty}: expected databases (.sqlite, .sqlite3, .db), found none; check the folder",
    )
    assert list(tmp_path.iterdir()) == [empty]
