"""The manifest: what is read of it, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import HEADER, PAIR, told
from lmtcnn.cohort.cohort import read
from lmtcnn.core.errors import CohortError
from lmtcnn.core.names import ONE_CAGE
from lmtcnn.core.params import Params

"""Who is who: the manifest, and the manifest against the databases."""


@pytest.fixture
def problems(reading, manifest: Path) -> Callable[[str], tuple[str, ...]]:
    """What is said of a manifest of this text, without the manifest's path."""

    def of(text: str) -> tuple[str, ...]:
        lines = told(CohortError, reading, text)
        assert all(line.startswith(f"{manifest}: ") for line in lines)
        return tuple(line.removeprefix(f"{manifest}: ") for line in lines)

    return of


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
