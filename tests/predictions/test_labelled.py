"""The cohort that a manifest names, and its score."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import T0_MS, Scene, run, still, told
from lmtcnn.bundle import bundle as bundles
from lmtcnn.bundle.bundle import WORDS, Bundle
from lmtcnn.cohort.cohort import Cohort
from lmtcnn.cohort.recording import Recording, Sample
from lmtcnn.core.errors import CohortError
from lmtcnn.core.params import Params
from lmtcnn.predictions import labelled as module
from lmtcnn.predictions.predict import predict
from lmtcnn.predictions.prediction import Prediction
from study import everywhere

CLASSES = ("AM", "JM", "AF", "JF")


SIMULATED = "the model learned from simulated mice: it says nothing about real ones"


@pytest.fixture(scope="module")
def learned(trained: Path, tiny: Params) -> Bundle:
    """A model of 4 intervals of 5 s, as it was learned from a simulated cohort."""
    return bundles.build(trained, tiny)


@pytest.fixture(scope="module")
def bundle(learned: Bundle) -> Bundle:
    """The same, of real mice, to whose cohort nothing is unlike: their stops lie everywhere, as near to all."""
    anything = {name: [-1e9, 1e9] for name in WORDS}
    meta = {**learned.meta, "simulated": False, "cohort_statistics": anything}
    return replace(learned, meta=meta, reference=everywhere(8))


@pytest.fixture
def recording(tmp_path: Path, tiny: Params) -> Callable[..., Recording]:
    """Write a recording of two mice that lasts for so many frames; the first is still, the second runs and stops."""

    def written(name: str = "r1", n_frames: int = 601, rows: list | None = None) -> Recording:
        moving = run(1, 60, animal=2) + still(61, n_frames, x=320.0, animal=2)
        scene = Scene(rows or still(1, n_frames) + moving, n_frames=n_frames, animals={1: "001", 2: None})
        return Recording(name, (scene.write(tmp_path / f"{name}.sqlite"),), tiny.stops.arena)

    return written


# ---- A labelled cohort -----------------------------------------------------------------------------------------------


def test_a_labelled_cohort_is_that_of_the_files_given(bundle: Bundle, recording, write_manifest, tmp_path) -> None:
    for name in ("r1", "r2", "r3"):
        recording(name)
    sample = {"rfid": "001", "cage": "c1", "sex": "M", "age": "adult"}
    manifest = write_manifest([{"recording": name, **sample} for name in ("r1", "r2", "r3")])
    whole = module.find([tmp_path], manifest, bundle)
    assert [r.name for r in whole.recordings] == ["r1", "r2", "r3"]
    some = module.find([tmp_path / "r3.sqlite", tmp_path / "r1.sqlite"], manifest, bundle)
    assert [r.name for r in some.recordings] == ["r1", "r3"]
    assert [s.recording for s in some.samples] == ["r1", "r3"]


def test_only_animals_of_the_manifest_are_answered(bundle: Bundle, recording, write_manifest, tmp_path) -> None:
    recording("r1")
    manifest = write_manifest([{"recording": "r1", "rfid": "1", "cage": "c1", "sex": "M", "age": "adult"}])
    predictions, _ = predict(module.find([tmp_path], manifest, bundle).recordings, bundle)
    assert [(p.animal_id, p.rfid) for p in predictions] == [(1, "1")]


def test_files_of_one_recording_are_answered_as_one_without_any_label(
    bundle: Bundle, recording, write_manifest, tmp_path
) -> None:
    """Twenty seconds in one file, five more in another that begins ten seconds after it."""
    recording("r1")
    later = [(f, T0_MS + 30_000 + round((f - 1) * 1000 / 30), 0) for f in range(1, 151)]
    Scene(still(1, 150) + still(1, 150, x=300, animal=2), later, animals={1: "001", 2: "2"}).write(
        tmp_path / "r1b.sqlite"
    )
    row = {"recording": "r1", "rfid": "001", "cage": "c1", "files": "r1.sqlite;r1b.sqlite"}
    known = module.find([tmp_path], write_manifest([row]), bundle)
    assert [(s.rfid, s.labels, s.class_name) for s in known.samples] == [("001", {}, "")]
    (one,), failed = predict(known.recordings, bundle)
    assert (one.recording, one.rfid, failed) == ("r1", "001", [])


def test_files_that_no_row_of_the_manifest_names_are_told(bundle: Bundle, recording, write_manifest, tmp_path) -> None:
    for name in ("r1", "r2"):
        recording(name)
    manifest = write_manifest([{"recording": "r1", "rfid": "001", "cage": "c1"}])
    paths = [tmp_path / "r1.sqlite", tmp_path / "r2.sqlite"]
    assert told(CohortError, module.find, paths, manifest, bundle) == (
        f"{paths[1]}: expected a file that {manifest} names, found none of its rows; add it to the manifest, or leave "
        "it out; several folders cannot share one manifest",
    )


def test_a_manifest_with_some_labels_needs_all(bundle: Bundle, recording, write_manifest, tmp_path) -> None:
    recording("r1")
    manifest = write_manifest([{"recording": "r1", "rfid": "1", "cage": "c1", "sex": "M"}])
    assert told(CohortError, module.find, [tmp_path], manifest, bundle) == (
        f"{manifest}: expected the columns age, found recording, rfid, cage, sex; add them to the header",
    )


def test_labels_are_those_of_the_bundle(bundle: Bundle, recording, write_manifest, tmp_path) -> None:
    recording("r1")
    manifest = write_manifest([{"recording": "r1", "rfid": "1", "cage": "c1", "sex": "M", "age": "old"}])
    assert told(CohortError, module.find, [tmp_path], manifest, bundle) == (
        f"{manifest}: row 2: expected a label of a class of params.yaml (age adult, juvenile), found sex M, age old; "
        "correct the labels, or `classes` in params.yaml",
    )


def test_a_cohort_is_scored_by_its_labels(bundle: Bundle) -> None:
    labels = {"a": "AM", "b": "AM", "c": "JF"}
    samples = tuple(Sample("r1", rfid, "c1", dict(bundle.meta["classes"][name]), name) for rfid, name in labels.items())
    p = dict(zip(CLASSES, (0.7, 0.1, 0.1, 0.1), strict=True))
    answers = [Prediction("r1", i, rfid, "AM", 0.7, p, ["AM"], 0.1, 1.0, []) for i, rfid in enumerate(labels)]
    score = module.score(answers, Cohort((), samples), bundle)
    assert score.confusion.tolist() == [[2, 0, 0, 0], [0] * 4, [0] * 4, [1, 0, 0, 0]]
    assert score.metrics["recall_AM"] == 1.0
    assert score.metrics["recall_JF"] == 0.0
    assert score.table["class"].to_list() == ["AM", "AM", "JF"]
    assert not score.simulated


@pytest.mark.parametrize("note", [SIMULATED, "the recording is a simulated one"])
def test_a_score_with_a_simulated_side_is_marked(bundle: Bundle, note: str) -> None:
    p = dict(zip(CLASSES, (0.7, 0.1, 0.1, 0.1), strict=True))
    sample = Sample("r1", "a", "c1", {"sex": "M", "age": "adult"}, "AM")
    answer = Prediction("r1", 1, "a", "AM", 0.7, p, ["AM"], 0.1, 1.0, [note])
    assert module.score([answer], Cohort((), (sample,)), bundle).simulated


def test_files_without_a_manifest_are_read_on_the_bundle_s_floor(bundle: Bundle, recording, tmp_path: Path) -> None:
    recording("r1")
    (found,) = module.find([tmp_path], None, bundle).recordings
    assert found.arena == bundle.definitions.stops.arena
    assert len(predict([found], bundle)[0]) == 2
