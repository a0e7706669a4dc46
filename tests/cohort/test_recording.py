"""One recording: which animals of its files are which of the manifest's."""

from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Scene, still, told
from lmtcnn.cohort.recording import Recording, Sample
from lmtcnn.core.errors import CohortError
from lmtcnn.core.params import Params
from lmtcnn.lmt.lmt import open_database


@pytest.fixture
def matched(tmp_path: Path, params: Params) -> Callable[..., dict[int, str | None]]:
    """ANIMAL.ID -> RFID of the animals that a manifest names by these RFIDs, of a database with these animals."""

    def matched(rfids: list[str] | None, animals: dict[int, str | None]) -> dict[int, str | None]:
        rows = [row for animal in animals for row in still(1, 9, animal=animal)]
        path = Scene(rows, n_frames=9, animals=animals).write(tmp_path / "db.sqlite")
        samples = None if rfids is None else {rfid: Sample("r1", rfid, "c1", {}, "AM") for rfid in rfids}
        return Recording("r1", (path,), params.stops.arena, samples=samples).match([open_database(path)])[0]

    return matched


def test_rfids_are_matched_exactly(matched, caplog) -> None:
    assert matched(["002", "0001"], {3: "0001", 5: "002"}) == {3: "0001", 5: "002"}
    assert caplog.messages == []


def test_leading_zeros_that_were_lost_are_matched_with_a_warning(matched, caplog) -> None:
    assert matched(["1", "0002"], {1: "0001", 2: "02"}) == {1: "1", 2: "0002"}
    assert caplog.messages == [
        "db.sqlite: RFID 0001 taken for 1 of the manifest",
        "db.sqlite: RFID 02 taken for 0002 of the manifest",
    ]


def test_an_exact_rfid_is_not_taken_for_another_without_zeros(matched, tmp_path: Path) -> None:
    assert matched(["1", "01"], {1: "001", 2: "01"}) == {1: "1", 2: "01"}


def test_leading_zeros_are_not_guessed_where_two_animals_would_do(matched, tmp_path: Path) -> None:
    assert told(CohortError, matched, ["1"], {1: "01", 2: "001"}) == (
        f"{tmp_path / 'db.sqlite'}: ANIMAL: expected RFID 1 of the manifest, found 01, 001; correct the manifest",
    )


def test_every_rfid_that_is_not_in_the_database_is_told(matched, tmp_path: Path) -> None:
    where = f"{tmp_path / 'db.sqlite'}: ANIMAL"
    assert told(CohortError, matched, ["1", "7", "8"], {1: "1", 2: None}) == (
        f"{where}: expected RFID 7 of the manifest, found 1, (none); correct the manifest",
        f"{where}: expected RFID 8 of the manifest, found 1, (none); correct the manifest",
    )


def test_animals_that_the_manifest_does_not_know_are_left_out_with_a_warning(matched, caplog) -> None:
    assert matched(["2"], {1: "1", 2: "2", 3: None}) == {2: "2"}
    assert caplog.messages == ["db.sqlite: left out, not in the manifest: 1, animal 3"]


def test_an_rfid_that_is_twice_in_the_database_is_told(matched, tmp_path: Path) -> None:
    assert told(CohortError, matched, ["1", "2"], {1: "1", 2: "2", 3: "1"}) == (
        f"{tmp_path / 'db.sqlite'}: ANIMAL: expected each RFID once, found 1 twice; correct a copy of the file",
    )


def test_a_doubled_rfid_that_the_manifest_does_not_ask_for_is_no_obstacle(matched, tmp_path: Path) -> None:
    assert matched(["2"], {1: "1", 2: "2", 3: "1"}) == {2: "2"}


def test_without_a_manifest_every_animal_counts(matched) -> None:
    assert matched(None, {1: "1", 4: None}) == {1: "1", 4: None}


def test_without_a_manifest_a_doubled_rfid_is_told(matched, tmp_path: Path) -> None:
    assert told(CohortError, matched, None, {1: "1", 4: "1"}) == (
        f"{tmp_path / 'db.sqlite'}: ANIMAL: expected each RFID once, found 1 twice; correct a copy of the file",
    )


@pytest.mark.parametrize("covering_index", [True, False])
def test_a_row_of_animal_that_was_never_detected_doubles_no_rfid(
    tmp_path: Path, params: Params, covering_index: bool
) -> None:
    """A restart of the tracker wrote 001 anew; only row 2 has detections."""
    scene = Scene(still(1, 9, animal=2), n_frames=9, animals={1: "001", 2: "001"}, covering_index=covering_index)
    database = open_database(scene.write(tmp_path / "db.sqlite"))
    for samples in (None, {"1": Sample("r", "1", "c", {}, "AM")}):
        recording = Recording("r", (database.path,), params.stops.arena, samples=samples)
        assert recording.match([database]) == [{2: "1" if samples else "001"}]
