"""A cohort with a known truth."""

import csv
import hashlib
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from lmtcnn.core.errors import OutputError
from lmtcnn.core.params import Params
from lmtcnn.core.sections import dump
from lmtcnn.simulate.simulate import simulate, simulate_full_length, truth


@pytest.fixture(scope="module")
def small(change: Callable[..., Params]) -> Params:
    """Two cages, three hours of 10 s."""
    return change(**{"simulate.cages": 2, "simulate.hours": 3, "simulate.seconds_per_hour": 10.0})


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_a_cohort_is_a_database_a_recording_a_manifest_and_the_truth(small: Params, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    paths = simulate(tmp_path, small, lambda done, total: told.append((done, total)))
    names = [f"cage0{cage}_{age}" for cage in (1, 2) for age in ("juvenile", "adult")]
    assert [path.name for path in paths] == [f"{name}.sqlite" for name in names]
    assert {path.name for path in tmp_path.iterdir()} == {*(path.name for path in paths), "cohort.csv", "truth.json"}
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_the_manifest_has_a_row_for_every_animal_of_every_database(small: Params, tmp_path: Path) -> None:
    paths = simulate(tmp_path, small)
    with (tmp_path / "cohort.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["recording", "rfid", "cage", "sex", "age"]
    found = []
    for path in paths:
        with closing(sqlite3.connect(path)) as database:
            animals = database.execute("SELECT RFID, SEX, AGE FROM ANIMAL ORDER BY ID").fetchall()
        found += [(path.stem, rfid, path.stem[:6], sex, age) for rfid, sex, age in animals]
    assert [tuple(row.values()) for row in rows] == found
    assert {(row["sex"], row["age"]) for row in rows} == {(s, a) for s in "FM" for a in ("adult", "juvenile")}


def test_the_same_seed_gives_the_same_bytes_whatever_the_number_of_workers(small: Params, tmp_path: Path) -> None:
    for name, workers in (("one", 1), ("three", 3)):
        simulate(tmp_path / name, small, workers=workers)
    assert digests(tmp_path / "one") == digests(tmp_path / "three")


def test_another_seed_gives_other_mice(small: Params, change: Callable[..., Params], tmp_path: Path) -> None:
    raw = dump(small)
    other = change(**{f"simulate.{key}": value for key, value in raw["simulate"].items()} | {"simulate.seed": 5})
    simulate(tmp_path / "a", small)
    simulate(tmp_path / "b", other)
    one, two = digests(tmp_path / "a"), digests(tmp_path / "b")
    assert all(one[name] != two[name] for name in one)
    rfids = [{line.split(",")[1] for line in (tmp_path / n / "cohort.csv").read_text().split()[1:]} for n in "ab"]
    assert not rfids[0] & rfids[1]


def test_an_earlier_simulation_is_replaced_and_nothing_else_is_touched(small: Params, tmp_path: Path) -> None:
    (tmp_path / "own.sqlite").write_bytes(b"SQLite format 3\0 a recording of real mice" + bytes(100))
    simulate(tmp_path, small)
    (tmp_path / "cage01_adult.sqlite").rename(tmp_path / "cage09_adult.sqlite")
    simulate(tmp_path, small)
    names = {path.name for path in tmp_path.iterdir()}
    assert "own.sqlite" in names
    assert "cage01_adult.sqlite" in names
    assert "cage09_adult.sqlite" not in names


def test_truth_json_names_zones_classes_hours_and_every_mouse(small: Params, tmp_path: Path) -> None:
    simulate(tmp_path, small)
    found = json.loads((tmp_path / "truth.json").read_text())
    assert found == truth(small)
    assert found["simulated"] is True
    assert set(found["classes"]) == {"AM", "JM", "AF", "JF"}
    assert found["zones"]["dome"] == {"shape": "circle", "x_cm": 6.5, "y_cm": 6.5, "radius_cm": 4.5}
    assert found["hours_that_matter"] == [20, 21, 22, 23, 0, 1]
    assert [each["class"] for each in found["recordings"]] == ["JF", "AF", "JM", "AM"]
    shares = [["share_am" in mouse for mouse in each["animals"]] for each in found["recordings"]]
    assert shares == [[False] * 4, [False] * 4, [True] * 4, [False] * 4]


def test_intervals_that_matter_are_the_hours_after_lights_off(change: Callable[..., Params]) -> None:
    for each in truth(change(**{"simulate.cages": 2}))["recordings"]:
        clock = [int(each["start_clock_h"] + interval) % 24 for interval in each["intervals_that_matter"]]
        assert clock == [20, 21, 22, 23, 0, 1] * 3


def test_a_full_length_recording_has_real_hours(change: Callable[..., Params], tmp_path: Path) -> None:
    path = tmp_path / "long.sqlite"
    rows = simulate_full_length(path, change(**{"simulate.hours": 1, "simulate.seconds_per_hour": 2.0}))
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT COUNT(*), MAX(FRAMENUMBER) FROM FRAME").fetchone() == (108_000, 108_000)
        assert database.execute("SELECT COUNT(*) FROM DETECTION").fetchone() == (rows,)
    assert 0.97 < rows / (4 * 108_000) < 1


def test_a_place_that_cannot_be_written_is_told_before_any_work(small: Params, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "simulate"
    with pytest.raises(OutputError) as caught:
        simulate(folder, small)
    assert str(caught.value) == (
        f"{folder}: expected a place that can be written, found a file in place of a folder; "
        "choose another or change its permissions"
    )
