"""The manifest against its databases."""

from pathlib import Path

from conftest import OWN_RECORDINGS, change_params, told, write_database
from lmtcnn.cohort.check import check
from lmtcnn.core.errors import BatchError


def test_check_warns_of_a_chip_that_the_manifest_names_in_part(tmp_path: Path, write_manifest, change) -> None:
    """001 is Tom in c1 and nobody in c2; 002 is two animals in cage c1; 003 is one in each cage, as is said."""
    rows = []
    for day, (name, cage) in enumerate((("r1", "c1"), ("r2", "c2"), ("r3", "c1"))):
        rfids = {"r1": ["001", "002", "003"], "r2": ["001", "003"], "r3": ["002"]}[name]
        write_database(tmp_path / f"{name}.sqlite", dict(enumerate(rfids, start=1)), day=day)
        names = {"001": "Tom" if name == "r1" else "", "002": f"{name}b", "003": f"{name}c"}
        rows += [
            {"recording": name, "rfid": rfid, "cage": cage, "sex": "M", "age": "adult", "animal": names[rfid]}
            for rfid in rfids
        ]
    rows[-1]["age"] = "juvenile"
    using = change(**{"cohort.manifest": str(write_manifest(rows)), "cohort.databases": str(tmp_path)})
    assert [line for line in check(using).odd if "column animal" in line] == [
        "RFID 001: the column animal names Tom in r1, nobody in r2: taken for 2 animals",
        "RFID 002: the column animal names r1b in r1, r3b in r3: taken for 2 animals",
    ]


def test_check_tells_all_that_is_wrong_with_the_databases(tmp_path: Path, write_manifest, change) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    write_database(raw / "r1.sqlite", {1: "1"})
    write_database(raw / "r2.sqlite", {1: "9"})
    (raw / "r3.sqlite").write_bytes(b"")
    sample = {"sex": "M", "age": "adult"}
    rows = [{"recording": f"r{i}", "rfid": "1", "cage": "c1", **sample} for i in (1, 2, 3, 4)]
    path = write_manifest([*rows, {"recording": "r5", "rfid": "5", "cage": "", **sample}])
    using = change(**{"cohort.manifest": str(path), "cohort.databases": str(raw)})
    assert told(BatchError, check, using) == (
        f"{path}: row 6: expected a value in cage, found none; fill it in",
        f"{raw / 'r2.sqlite'}: ANIMAL: expected RFID 1 of the manifest, found 9; correct the manifest",
        f"{raw / 'r3.sqlite'}: expected an LMT database, found an empty file (0 bytes); copy it again",
        f"{raw / 'r4.sqlite'}: expected an LMT database, found no file; check the path",
        f"{raw / 'r5.sqlite'}: expected an LMT database, found no file; check the path",
        f"{path}: expected two cages or more, found only c1; add recordings of another cage: one is held out in turn",
        f"{path}: expected samples of two classes or more, found only AM; add recordings of another class",
    )
    for name in ("r2", "r3", "r4"):
        write_database(raw / "new", {1: "1"}).replace(raw / f"{name}.sqlite")
    write_database(raw / "r5.sqlite", {1: "5"})
    write_manifest([*rows, {"recording": "r5", "rfid": "5", "cage": "c2", "sex": "F", "age": "adult"}])
    assert len(check(using).cohort.samples) == 5


def test_check_warns_of_what_is_odd(tmp_path: Path, write_manifest, change) -> None:
    """Three cages at two ages; an animal changes its sex, a class has one cage, two recordings are not listed."""
    rows = []
    for cage in ("c1", "c2", "c3"):
        for age in ("adult", "juvenile"):
            day = ("adult", "juvenile").index(age)
            write_database(tmp_path / f"{cage}{age}.sqlite", {1: cage, 2: f"{cage}b"}, day=day)
            for rfid in (cage, f"{cage}b"):
                sex = "F" if (rfid, age) == ("c1", "adult") else "M"
                rows.append({"recording": f"{cage}{age}", "rfid": rfid, "cage": cage, "sex": sex, "age": age})
    write_database(tmp_path / "forgotten.sqlite", {1: "9"})
    short = change(**{"histograms.intervals": 10, "histograms.interval_s": 3600})
    paths = {"manifest": str(write_manifest(rows)), "databases": str(tmp_path)}
    odd = check(short.model_copy(update={"cohort": short.cohort.model_copy(update=paths)})).odd
    assert odd[:4] == [
        f"{tmp_path / 'forgotten.sqlite'}: in no row of the manifest, left out",
        "class JF: no sample",
        "class AF: only in cage c1: nothing to learn it from while that is held out",
        "RFID c1: sex F and M, others keep theirs",
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
            write_database(tmp_path / f"{name}.sqlite", {1: cage, 2: f"{cage}b"}, day=day if age == "juvenile" else 0)
            rows += [
                {"recording": name, "rfid": rfid, "cage": cage, "sex": "M", "age": age} for rfid in (cage, f"{cage}b")
            ]
    using = change(**{"cohort.manifest": str(write_manifest(rows)), "cohort.databases": str(tmp_path)})
    assert [line for line in check(using).odd if "same time" in line] == [
        "c1adult and c1juvenile: RFID c1, c1b at the same time in both: a copy of a file?"
    ]


def test_check_says_of_whom_no_chip_was_read_and_who_was_never_detected(tmp_path: Path, write_manifest, change) -> None:
    """RFID_A is named in cage c1 by the manifest, and in cage c2 not; 009 of c2 has no row in DETECTION."""
    rows = []
    for day, (cage, sex) in enumerate((("c1", "M"), ("c2", "F"))):
        write_database(tmp_path / f"{cage}.sqlite", {1: "RFID_A", 2: f"00{day}", 3: "009"}, day=day, ghosts=[3])
        members = ["RFID_A", f"00{day}", *["009"] * day]
        rows += [{"recording": cage, "rfid": rfid, "cage": cage, "sex": sex, "age": "adult"} for rfid in members]
    rows[0]["animal"] = "Tom"
    using = change(**{"cohort.manifest": str(write_manifest(rows)), "cohort.databases": str(tmp_path)})
    odd = check(using).odd
    assert [line for line in odd if "chip" in line or "never detected" in line] == [
        "cage c2: no chip read (RFID_A) in c2: joined with no animal of another recording; a column animal can say who "
        "it is",
        "c2: RFID 009 is in the manifest, but was never detected: the recording fails",
    ]


def test_check_counts_what_the_manifest_excludes(run, tmp_path: Path, write_manifest) -> None:
    """One animal of r1, and r3 as a whole, which is no file that nobody named."""
    change_params(tmp_path, *OWN_RECORDINGS)
    rows = []
    for day, name in enumerate(("r1", "r2", "r3")):
        write_database(tmp_path / "raw" / f"{name}.sqlite", {1: f"{day}1", 2: f"{day}2"}, day=day)
        for rfid in (f"{day}1", f"{day}2"):
            row = {"recording": name, "rfid": rfid, "cage": name, "sex": "MF"[day % 2], "age": "adult"}
            rows.append({**row, "exclude": "yes" if name == "r3" or rfid == "02" else "no"})
    write_manifest(rows)
    code, out, lines = run("cohort", "check")
    assert code == 0
    assert out.splitlines()[-1].startswith("2 recordings, 3 samples (1 AM, 2 AF), 2 cages, 3 rows excluded: ")
    assert "excluded by the manifest: r1, 02; r3, 21; r3, 22" in lines
    assert not [line for line in lines if "in no row" in line]


def test_check_says_what_two_cages_of_one_value_each_cannot_teach(tmp_path: Path, write_manifest, change) -> None:
    """Sex goes with the cage, age does not: of age there is something to learn and to test, of sex there is not."""
    rows = []
    for cage, sex in (("c1", "M"), ("c2", "F")):
        for day, age in enumerate(("adult", "juvenile")):
            write_database(tmp_path / f"{cage}{age}.sqlite", {1: cage}, day=day)
            rows.append({"recording": f"{cage}{age}", "rfid": cage, "cage": cage, "sex": sex, "age": age})
    using = change(**{"cohort.manifest": str(write_manifest(rows)), "cohort.databases": str(tmp_path)})
    found = check(using)
    assert found.unlearnable == ("sex",)
    (line,) = [line for line in found.odd if line.startswith("sex: ")]
    assert line.startswith(
        "sex: F only in cage c2, M only in cage c1: of a cage that is held out it is never told right"
    )
    for cage, sex in (("c3", "M"), ("c4", "F")):
        write_database(tmp_path / f"{cage}.sqlite", {1: cage})
        rows.append({"recording": cage, "rfid": cage, "cage": cage, "sex": sex, "age": "adult"})
    write_manifest(rows)
    assert check(using).unlearnable == ()


def test_rows_that_nobody_filled_in_are_one_line(tmp_path: Path, write_manifest, change) -> None:
    write_database(tmp_path / "r1.sqlite", {n: str(n) for n in range(1, 9)})
    empty = {"recording": "r1", "cage": "", "sex": "M", "age": "adult"}
    rows = [empty | {"rfid": str(n)} for n in range(1, 8)]
    path = write_manifest([*rows, empty | {"rfid": "8", "cage": "c1", "age": ""}])
    using = change(**{"cohort.manifest": str(path), "cohort.databases": str(tmp_path)})
    assert told(BatchError, check, using)[:2] == (
        f"{path}: rows 2, 3, 4, 5, 6 and 2 more: expected a value in cage, found none; fill it in",
        f"{path}: row 9: expected a value in age, found none; fill it in",
    )
