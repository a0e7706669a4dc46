"""The files of a recording as one stretch of time, and several recordings."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conftest import T0_MS, Scene, still, told
from lmtcnn.cohort.parts import look_at, mixed, name_animals, origin_of, tell_progress
from lmtcnn.cohort.recording import Recording, Sample
from lmtcnn.core.errors import CohortError
from lmtcnn.core.params import Params
from lmtcnn.timeline.clock import Origin


def shifted(seconds: int, n: int = 300) -> list[tuple[int, int, int]]:
    """FRAME rows 1..n that begin so many seconds later: FRAMENUMBER restarts."""
    return [(f, T0_MS + 1000 * seconds + round((f - 1) * 1000 / 30), 0) for f in range(1, n + 1)]


def test_files_come_in_order_of_their_time_and_later_ones_are_shifted_by_it(tmp_path: Path, params: Params) -> None:
    late = Scene(still(1, 300), shifted(20)).write(tmp_path / "a.sqlite")
    early = Scene(still(1, 300), shifted(0)).write(tmp_path / "b.sqlite")
    parts = look_at(Recording("r", (late, early), params.stops.arena), params)
    assert [(part.database.path, part.shift) for part in parts] == [(early, 0), (late, 600)]
    assert origin_of(parts) == Origin(1, T0_MS)


def stretch(first: int, last: int, at_s: float) -> list[tuple[int, int, int]]:
    """FRAME rows first..last at 30 a second, of which the first is so many seconds after T0_MS."""
    return [(f, T0_MS + round(1000 * at_s + (f - first) * 1000 / 30), 0) for f in range(first, last + 1)]


@pytest.mark.parametrize(
    ("files", "shifts"),
    [
        ([(1, 300, 0), (601, 900, 20)], [0, 0]),
        ([(1, 300, 0), (301, 600, 10), (601, 900, 20)], [0, 0, 0]),
        ([(1, 300, 0), (601, 900, 20), (1, 300, 60)], [0, 0, 1800]),
        ([(1, 300, 0), (1, 300, 60), (601, 900, 80)], [0, 1800, 1800]),
        ([(601, 900, 0), (1, 300, 60), (301, 600, 70)], [0, 600 + 1800, 600 + 1800]),
        ([(1, 300, 0), (300, 500, 20)], [0, 301]),
        ([(1, 330, 0), (1, 300, 11.001 - 0.5)], [0, 330]),
    ],
    ids=[
        *("a night cut out", "cut without a hole", "then a restart", "a restart that goes on", "begins late"),
        *("the last number again", "more frames than time"),
    ],
)
def test_frames_keep_their_numbers_where_these_go_on_and_are_shifted_where_they_restart(
    tmp_path: Path, params: Params, caplog, files: list[tuple[int, int, float]], shifts: list[int]
) -> None:
    """Files of (first frame, last frame, seconds at which it begins), at 30 frames a second or a little more."""
    paths = []
    for number, (first, last, at_s) in enumerate(files):
        rows = stretch(first, last, at_s)
        if shifts[1] == 330 and not number:  # by its clock a third of a second less
            rows = [(f, t - (f - 1) * 2, paused) for f, t, paused in rows]
        paths.append(Scene(still(first, last), rows).write(tmp_path / f"{number}.sqlite"))
    parts = look_at(Recording("r", tuple(reversed(paths)), params.stops.arena), params)
    assert [part.shift for part in parts] == shifts
    assert [part.leap_ms for part in parts] == [0] * len(files)
    begins = [int(part.clock.frames[0]) + part.shift for part in parts]
    assert all(begin > int(one.clock.frames[-1]) + one.shift for one, begin in zip(parts, begins[1:], strict=False))
    assert not [line for line in caplog.messages if "go on" in line]


@pytest.mark.parametrize(("at_s", "leap_s"), [(20.033, 0), (21.0, 0), (86_420, 86_400), (11, -9)])
def test_numbers_that_go_on_by_another_time_than_the_clock_are_told(
    tmp_path: Path, params: Params, caplog, at_s: float, leap_s: int
) -> None:
    """Frame 601 comes 10.033 s after frame 300 by its number; by TIMESTAMP it is so, or the clock was set between."""
    paths = (
        Scene(still(1, 300), stretch(1, 300, 0)).write(tmp_path / "a.sqlite"),
        Scene(still(601, 900), stretch(601, 900, at_s)).write(tmp_path / "b.sqlite"),
    )
    parts = look_at(Recording("r", paths, params.stops.arena), params)
    assert [part.shift for part in parts] == [0, 0]
    assert parts[1].leap_ms == pytest.approx(1000 * leap_s, abs=40)
    assert len(caplog.messages) == bool(leap_s)
    assert all(
        "a.sqlite and b.sqlite: frame numbers go on; between the files are 10.03 s" in m for m in caplog.messages
    )


def test_animals_of_several_files_are_one_by_their_rfid(tmp_path: Path, params: Params) -> None:
    """B is 2 in the first file and 1 in the second; C is only in the second, where it is 2."""
    animals = [{1: "A", 2: "B"}, {1: "B", 2: "C", 3: "A"}]
    paths = tuple(
        Scene(still(1, 9), shifted(20 * i), animals=each).write(tmp_path / f"{i}.sqlite")
        for i, each in enumerate(animals)
    )
    recording = Recording("r", paths, params.stops.arena)
    assert name_animals(recording, look_at(recording, params)) == [
        {1: (1, "A"), 2: (2, "B")},
        {1: (2, "B"), 2: (3, "C"), 3: (1, "A")},
    ]


def test_an_animal_of_the_manifest_need_not_be_in_every_file(tmp_path: Path, params: Params, caplog) -> None:
    """A is in the first file only, C in the second only, D in none."""
    paths = tuple(
        Scene(still(1, 9), shifted(20 * i), animals=each).write(tmp_path / f"{i}.sqlite")
        for i, each in enumerate([{1: "A", 2: "B"}, {1: "C", 2: "B"}])
    )
    samples = {rfid: Sample("r", rfid, "c", {}, "AM") for rfid in "ABCD"}
    found = Recording("r", paths, params.stops.arena, samples=samples)
    assert told(CohortError, name_animals, found, look_at(found, params)) == (
        f"{paths[0]}: ANIMAL: expected RFID D of the manifest, found A, B; correct the manifest",
    )
    assert caplog.messages == []
    found = Recording("r", paths, params.stops.arena, samples={rfid: samples[rfid] for rfid in "ABC"})
    assert name_animals(found, look_at(found, params)) == [{1: (1, "A"), 2: (2, "B")}, {1: (3, "C"), 2: (2, "B")}]
    assert caplog.messages == [
        "0.sqlite: RFID C is in another file of the recording only",
        "1.sqlite: RFID A is in another file of the recording only",
    ]


UNREAD = "the RFID of a chip, to join the files by"

DO = "write the RFID into ANIMAL of a copy of each, or exclude the animal in the manifest"


@pytest.mark.parametrize(
    ("rfid", "words"), [(None, "no RFID"), ("RFID_C", "no chip read (RFID_C)"), ("rfid_x 2", "no chip read (rfid_x 2)")]
)
def test_an_animal_without_a_read_chip_is_never_joined_over_files(
    tmp_path: Path, params: Params, rfid: str | None, words: str
) -> None:
    paths = tuple(
        Scene(still(1, 9), shifted(20 * i), animals={1: rfid}).write(tmp_path / f"{i}.sqlite") for i in (0, 1)
    )
    recording = Recording("r", paths, params.stops.arena)
    assert told(CohortError, name_animals, recording, look_at(recording, params)) == (
        f"{paths[0]}: ANIMAL: expected {UNREAD}, found {words} in 2 files: it need not be one mouse; {DO}",
    )


@pytest.mark.parametrize("covering_index", [True, False])
@pytest.mark.parametrize("detected_in", [0, 1])
def test_an_animal_without_a_read_chip_is_one_of_the_file_that_detected_it(
    tmp_path: Path, params: Params, detected_in: int, covering_index: bool
) -> None:
    """RFID_C is in ANIMAL of both files, and in DETECTION of one."""
    paths = []
    for i in (0, 1):
        rows = still(1, 9) + (still(1, 9, animal=2) if i == detected_in else [])
        animals: dict[int, str | None] = {1: "001", 2: "RFID_C"}
        scene = Scene(rows, shifted(20 * i), animals=animals, covering_index=covering_index)
        paths.append(scene.write(tmp_path / f"{i}.sqlite"))
    recording = Recording("r", tuple(paths), params.stops.arena)
    expected = [{1: (1, "001")}, {1: (1, "001")}]
    expected[detected_in] |= {2: (2, "RFID_C")}
    assert name_animals(recording, look_at(recording, params)) == expected


@pytest.mark.parametrize("corrected", [[], [True, True], [False, False]])
def test_recordings_that_are_all_corrected_or_all_left_as_they_are_mix(corrected: list[bool]) -> None:
    assert mixed({f"r{i}": state for i, state in enumerate(corrected)}) == []


def test_a_study_that_mixes_corrected_identities_with_others_is_told() -> None:
    assert mixed({f"r{i}": i > 1 for i in range(9)}) == [
        "identities were corrected (CorrectDetectionIntegrity) in 7 of 9 recordings: r2, r3, r4, r5, r6 and 2 more; "
        "it takes them away where not all animals are seen: correct all of them, or none"
    ]


def test_progress_adds_up_what_threads_have_seen(tmp_path: Path, params: Params) -> None:
    sound = Scene(still(1, 300), n_frames=300).write(tmp_path / "a.sqlite")
    recordings = [Recording(p.stem, (p,), params.stops.arena) for p in (sound, tmp_path / "missing.sqlite")]
    told_of: list[tuple[int, int]] = []
    seen = tell_progress(recordings, lambda done, total: told_of.append((done, total)))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(seen, [1] * 300))
    assert told_of == [(n, 300) for n in range(1, 301)]
