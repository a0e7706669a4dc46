"""Who is who, by a manifest or by files alone."""

from pathlib import Path

import pytest

from conftest import HEADER, PAIR, told, write_database
from lmtcnn.cohort import cohort
from lmtcnn.cohort.cohort import unlisted
from lmtcnn.core.errors import CohortError
from lmtcnn.core.params import Params
from lmtcnn.lmt.lmt import open_database


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


def test_classes_may_be_of_any_label_columns(reading, change) -> None:
    using = change(classes={"wild": {"strain": "wt"}, "mutant": {"strain": "ko"}})
    found = reading("recording,rfid,cage,strain\nr1,001,c1,ko\n", using)
    assert (found.samples[0].class_name, dict(found.samples[0].labels)) == ("mutant", {"strain": "ko"})


def test_params_say_where_the_cohort_is(reading, manifest: Path, change) -> None:
    expected = reading(PAIR)
    using = change(**{"cohort.manifest": str(manifest), "cohort.databases": str(manifest.parent / "raw")})
    assert cohort.load(using) == expected


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


def test_the_same_chip_in_two_cages_is_two_mice_where_the_manifest_says_so(reading) -> None:
    text = f"{HEADER},animal\nr1,001,c1,M,adult,Tom\nr2,001,c2,M,adult,Ann\nr3,002,c2,M,adult,\n"
    assert [(s.rfid, s.animal) for s in reading(text).samples] == [("001", "Tom"), ("001", "Ann"), ("002", "002")]


def test_an_animal_whose_chip_was_not_read_is_one_of_its_recording(reading) -> None:
    """Files of a set-up without RFID all hold RFID_A; the manifest says that two of them are one mouse."""
    rows = ["r1,RFID_A,c1,M,adult,", "r2,RFID_A,c2,M,adult,", "r3,RFID_A,c3,M,juvenile,Tom", "r4,RFID_B,c3,M,adult,Tom"]
    found = reading("\n".join([f"{HEADER},animal", *rows]))
    assert [s.animal for s in found.samples] == ["RFID_A of r1", "RFID_A of r2", "Tom", "Tom"]


def test_an_animal_that_the_manifest_excludes_is_no_stranger(reading, tmp_path: Path, caplog) -> None:
    text = f"{HEADER},exclude\nr1,001,c1,M,adult,\nr1,002,c1,M,adult,yes\n"
    (recording,) = reading(text).recordings
    animals = {1: "001", 2: "002", 3: "003", 4: "RFID_D"}
    found = open_database(write_database(tmp_path / "db.sqlite", animals, ghosts=[4]))
    assert recording.match([found]) == [{1: "001"}]
    assert caplog.messages == ["db.sqlite: left out, not in the manifest: 003"]
