"""One recording, whoever reads it: the same stack, and the same words where it is refused."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import lmtcnn
from conftest import Scene, run, still, told
from lmtcnn.bundle import bundle as bundles
from lmtcnn.bundle.bundle import Bundle
from lmtcnn.cohort.cohort import Cohort
from lmtcnn.cohort.recording import Recording, Sample
from lmtcnn.core.errors import DataError
from lmtcnn.core.files import read_json
from lmtcnn.core.params import Params
from lmtcnn.core.schemas import STOPS
from lmtcnn.core.sections import dump
from lmtcnn.histograms.histograms import CUT, histograms
from lmtcnn.inspect.plot import drawings_of
from lmtcnn.predictions import answer, predict
from lmtcnn.stops.stops import stops

DO = "use a model of this length, or --force"
SEND = "send all stops of the recording, or use a model of this length"
NOTE = "As far as this animal tells, a study would refuse the recording: "

WHOLE = [
    *[*still(1, 140), *run(141, 200), *still(201, 330, x=318.0), *run(331, 360, x=200.0, y=250.0)],
    *[*still(361, 601, x=258.0, y=250.0), *run(1, 60, y=100.0, animal=2), *still(61, 601, x=320.0, animal=2)],
]
"""Two mice for 20 s, which stop in several intervals of 5 s and places."""
SHORT = still(1, 540)
LATE = [
    *[*still(1, 300), *(row for f in (301, 421, 541) for row in run(f, f + 119, x=120.0))],
    *[*still(661, 760), *run(761, 810), *still(811, 950)],
]
"""One stop in the 20 s, and two after them."""


@pytest.fixture(scope="module")
def model(trained: Path, tiny: Params) -> Bundle:
    """A model of 4 intervals of 5 s."""
    return bundles.build(trained, tiny)


@pytest.fixture
def recording(tmp_path: Path, tiny: Params) -> Callable[..., Recording]:
    """Write a recording; all animals are of one cage."""

    def written(name: str, rows: list) -> Recording:
        animals = {row[1]: f"{name}-{row[1]}" for row in rows}
        scene = Scene(rows, n_frames=max(row[0] for row in rows), animals=animals)
        labels = {"sex": "M", "age": "adult"}
        samples = {rfid: Sample(name, rfid, "c1", labels, "AM") for rfid in animals.values()}
        path = scene.write(tmp_path / f"{name}.sqlite")
        return Recording(name, (path,), tiny.stops.arena, samples=samples)

    return written


def by_stages(folder: Path, params: Params, *recordings: Recording) -> None:
    """The stages `stops` and `histograms`."""
    stops(recordings, folder / "stops", params, workers=1)
    samples = tuple(sample for recording in recordings for sample in recording.samples.values())
    histograms(Cohort(recordings, samples), folder / "stops", folder / "histograms", params)


def as_sent(folder: Path, recording: Recording) -> pl.DataFrame:
    """The table of stops that a client sends to REST."""
    table = STOPS.read(folder / "stops" / f"{recording.name}.parquet")
    return answer.checked({name: table[name].to_list() for name in answer.COLUMNS})


def note_of(recording: Recording, params: Params) -> str:
    """What the note of `plot` says of a study."""
    _, (drawing, *_) = drawings_of(recording, None, 0, params)
    return drawing.named["note"].partition(NOTE)[2]


def test_every_reader_makes_the_same_stack(
    recording, model: Bundle, tiny: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = recording("whole", WHOLE)
    by_stages(tmp_path, tiny, whole)
    expected = np.load(tmp_path / "histograms" / "stacks.npy")
    assert [len(np.argwhere(stack)) for stack in expected] == [3, 1]
    new = Recording(whole.name, whole.files, whole.arena)
    assert np.array_equal([each.stack for each in predict.stack_recording(new, model, force=False)], expected)

    sent: list[np.ndarray] = []
    classify = predict.classify
    monkeypatch.setattr(
        predict, "classify", lambda some, made: sent.extend(s.stack for s in some) or classify(some, made)
    )
    answered = answer.answers(as_sent(tmp_path, whole), model)
    assert np.array_equal(sent, expected)
    told_by, _ = predict.predict([new], model)
    assert [p.probabilities for p in told_by] == [p.probabilities for p in answered]

    for animal, stack in zip(("whole-1", "whole-2"), expected, strict=True):
        for interval, counts in enumerate(stack):
            _, (*_, histogram) = drawings_of(new, animal, interval, tiny)
            assert np.array_equal(histogram.given[0], counts)

    found = lmtcnn.find_stops(lmtcnn.read_positions(whole.files[0]))
    by_library, _ = lmtcnn.stack_histograms(found, ["animal_id"], **dump(tiny.histograms))
    assert np.array_equal(by_library, expected)
    assert not note_of(new, tiny)


def test_a_short_recording_is_refused_in_the_same_words(recording, model: Bundle, tiny: Params, tmp_path: Path) -> None:
    short = recording("short", SHORT)
    by_stages(tmp_path, tiny, recording("whole", WHOLE), short)
    words = "17.97 s long, 89.8 % of the 20 s that are counted"
    assert read_json(tmp_path / "histograms" / "histograms.json", "", "")["left_out"] == {"short": words}
    refused = f"expected 90% of the model's 20 s, found {words}"
    new = Recording("short", short.files, short.arena)
    assert told(DataError, predict.stack_recording, new, model, force=False) == (f"{new.files[0]}: {refused}; {DO}",)
    (line,) = told(DataError, answer.answers, as_sent(tmp_path, short), model)
    ends = re.sub(r"17.\d+ s long, 8\d.\d %", "17.97 s long, 89.8 %", line)  # stops tell when the last of them ended
    assert ends == f"short: {refused}; {SEND}"
    assert note_of(new, tiny) == f"{words}."


def test_a_late_recording_is_refused_in_the_same_words(recording, model: Bundle, tiny: Params, tmp_path: Path) -> None:
    late = recording("late", LATE)
    words = "expected stops within 4 intervals of 5 s, found 2 of 3 beyond"
    assert told(DataError, by_stages, tmp_path, tiny, late) == (f"late: {words}; {CUT}",)
    new = Recording("late", late.files, late.arena)
    assert told(DataError, predict.stack_recording, new, model, force=False) == (f"{new.files[0]}: {words}; {DO}",)
    assert told(DataError, answer.answers, as_sent(tmp_path, late), model) == (f"late: {words}; {SEND}",)
    assert note_of(new, tiny) == f"{words}."
