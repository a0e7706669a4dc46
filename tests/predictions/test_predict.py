"""A new recording through a model."""

import json
import math
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import Scene, execute, run, still, told
from lmtcnn.bundle import bundle as bundles
from lmtcnn.bundle.bundle import WORDS, Bundle
from lmtcnn.bundle.doubt import class_set, distances, roots_of
from lmtcnn.cohort.recording import Recording, Sample
from lmtcnn.core.errors import DatabaseError, DataError
from lmtcnn.core.params import Params
from lmtcnn.lmt.lmt import SIMULATED_ID
from lmtcnn.predictions.predict import Stacked, classify, predict, stack_recording
from lmtcnn.predictions.prediction import Model, as_records, to_json
from lmtcnn.train.model import StereotypeCNN, prepare, softmax_members
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


def with_biases(bundle: Bundle, *biases: list[float]) -> Bundle:
    """Members that say the same whatever they see."""
    model = StereotypeCNN(**{**bundle.model.architecture, "members": len(biases)})
    for values in model.parameters():
        values.data.zero_()
    model.linear.bias.data = torch.tensor(biases)
    return replace(bundle, model=model)


def stacked(value: float = 0.0) -> Stacked:
    return Stacked("r1", 1, "001", np.full((4, 8, 8), value), 0.25, ["a note"])


# ---- What is answered ------------------------------------------------------------------------------------------------


def test_every_animal_of_every_recording_is_answered_in_order(bundle: Bundle, recording) -> None:
    predictions, failed = predict([recording("r2"), recording("r1")], bundle, workers=2)
    assert failed == []
    assert [(p.recording, p.animal_id, p.rfid) for p in predictions] == [
        ("r2", 1, "001"), ("r2", 2, None), ("r1", 1, "001"), ("r1", 2, None),
    ]  # fmt: skip
    assert [p.warnings for p in predictions] == [[]] * 4


def test_a_recording_goes_through_the_stops_and_histograms_of_the_bundle(bundle: Bundle, recording) -> None:
    """Two stops, both of the first interval: one at tile (2, 2), one at (2, 5)."""
    first, second = stack_recording(recording(), bundle, force=False)
    assert [tuple(place) for place in np.argwhere(first.stack).tolist()] == [(0, 2, 2)]
    assert [tuple(place) for place in np.argwhere(second.stack).tolist()] == [(0, 2, 5)]
    assert first.stack.sum() == second.stack.sum() == 1


def test_preprocessing_is_that_of_the_bundle_whatever_params_yaml_says(
    bundle: Bundle, recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "params.yaml").write_text("stops: nonsense\n")
    monkeypatch.chdir(tmp_path)
    stops = {**bundle.meta["stops"], "min_duration_s": 30}
    strict = replace(bundle, meta={**bundle.meta, "stops": stops})
    assert [s.stack.sum() for s in stack_recording(recording(), strict, force=False)] == [0, 0]
    three = {**bundle.meta, "histograms": {**bundle.meta["histograms"], "tiles": 3}}
    tiles = replace(bundle, meta=three, reference=everywhere(3))
    assert stack_recording(recording("r2"), tiles, force=False)[0].stack.shape == (4, 3, 3)


def counting(bundle: Bundle, **values: object) -> Bundle:
    """The model, had it learned with other values in histograms."""
    return replace(bundle, meta={**bundle.meta, "histograms": {**bundle.meta["histograms"], **values}})


@pytest.mark.parametrize(
    ("values", "counted"),
    [
        ({"window": [0, 1]}, 1),
        ({"window": [1, 3]}, 0),
        ({"only": "night"}, 1),  # the recording begins at 22:13 UTC
        ({"only": "day"}, 0),
        ({"only": "night", "timezone": "Asia/Tokyo"}, 1),
        ({"only": "night", "timezone": "America/New_York"}, 0),
        ({"only": "night", "night": ["22:14", "08:00"]}, 0),
    ],
)
def test_what_the_model_counts_is_counted_of_a_new_recording(bundle: Bundle, recording, values, counted: int) -> None:
    made = counting(bundle, **values)
    first, _ = stack_recording(recording(), made, force=False)
    assert first.stack.shape == (len(made.definitions.histograms.counted), 8, 8)
    assert first.stack.sum() == counted


WINDOW = "intervals 1 to 2 of 4 (from 5 s to 15 s)"


def test_a_recording_need_only_be_as_long_as_what_is_counted(bundle: Bundle, recording) -> None:
    """10 s, of intervals of 5 s."""
    short = recording("short", n_frames=301)
    assert stack_recording(short, counting(bundle, window=[0, 2]), force=False)
    (line,) = told(DataError, stack_recording, short, counting(bundle, window=[1, 3]), force=False)
    assert line.endswith(f"model's 10 s, found 10 s long, 50 % of the 10 s that are counted, {WINDOW}; {DO}")
    quality = {**bundle.meta["quality"], "least_share": 0.5}
    lenient = replace(bundle, meta={**bundle.meta, "quality": quality})
    assert stack_recording(short, lenient, force=False)


def test_a_recording_that_begins_after_most_of_what_is_counted_is_answered_with_a_warning(
    bundle: Bundle, recording
) -> None:
    """It begins at 22:13:20."""
    new, early = recording(), {"align": "22:13", "interval_s": 10.0, "intervals": 3}
    words = "the recording begins late: 20 s of the 30 s that are counted lie before it, and are empty: "
    for animal in stack_recording(new, counting(bundle, **early), force=False):
        assert f"{words}align 22:13 was 20 s earlier" in animal.warnings
    for animal in stack_recording(new, counting(bundle, **{**early, "align": "start"}), force=True):
        assert not [line for line in animal.warnings if line.startswith("the recording begins late")]


def test_an_answer_is_the_mean_softmax_of_the_members(learned: Bundle) -> None:
    rng = np.random.default_rng(0)
    animals = [replace(stacked(), animal_id=i, stack=rng.poisson(1.0, (4, 8, 8)).astype(float)) for i in range(5)]
    members = softmax_members(learned.model, prepare(np.stack([a.stack for a in animals]), "none"))
    for i, found in enumerate(classify(animals, learned)):
        mean = members[:, i].mean(axis=0)
        assert list(found.probabilities) == list(CLASSES)
        assert list(found.probabilities.values()) == pytest.approx(mean.tolist(), abs=1e-12)
        assert found.predicted == CLASSES[mean.argmax()]
        assert found.probability == mean.max()
        assert found.agreement == (members[:, i].argmax(axis=1) == mean.argmax()).mean()
        assert found.set == class_set(found.probabilities, learned.meta["doubt"]["set_level"])
        assert (found.distance, found.warnings) == (0.25, ["a note"])


def test_the_transform_is_the_one_that_the_model_learned_with(learned: Bundle) -> None:
    logs = replace(learned, meta={**learned.meta, "train": {**learned.meta["train"], "transform": "log1p"}})
    (plain,), (logged,) = classify([stacked(math.log1p(3.0))], learned), classify([stacked(3.0)], logs)
    assert logged.probabilities == pytest.approx(plain.probabilities, abs=1e-6)


def test_agreement_is_the_share_of_members_that_say_the_same(bundle: Bundle) -> None:
    (found,) = classify([stacked()], with_biases(bundle, [9.0, 0, 0, 0], [5.0, 0, 0, 0], [0, 0, 0, 2.0]))
    assert (found.predicted, found.agreement) == ("AM", pytest.approx(2 / 3))


def test_of_classes_alike_the_first_is_said(bundle: Bundle) -> None:
    (found,) = classify([stacked()], with_biases(bundle, [0.0, 1, 1, 0], [0.0, 1, 1, 0]))
    assert (found.predicted, found.agreement) == ("JM", 1.0)
    assert found.probabilities["JM"] == found.probabilities["AF"]


def test_nobody_is_answered_with_nothing(bundle: Bundle) -> None:
    assert predict([], bundle) == ([], [])


def test_progress_is_told_in_detections(bundle: Bundle, recording) -> None:
    told_of = []
    predict([recording("r1"), recording("r2")], bundle, progress=lambda done, total: told_of.append((done, total)))
    assert told_of[-1] == (2404, 2404)
    assert [total for _, total in told_of] == [2404] * len(told_of)
    assert told_of == sorted(told_of)


# ---- What is refused -------------------------------------------------------------------------------------------------

DO = "use a model of this length, or --force"


FAILS = "the recording fails a quality check: "


SHORT = "17.97 s long, 89.8 % of the 20 s that are counted"


def test_a_recording_shorter_than_90_percent_of_the_model_s_time_is_refused(bundle: Bundle, recording) -> None:
    """18 s would do: frame 541 is the first at 18.0 s."""
    assert len(stack_recording(recording("long", n_frames=541), bundle, force=False)) == 2
    short = recording("short", n_frames=540)
    assert told(DataError, stack_recording, short, bundle, force=False) == (
        f"{short.files[0]}: expected 90% of the model's 20 s, found {SHORT}; {DO}",
    )


def test_a_length_of_hours_is_told_in_hours(bundle: Bundle, recording) -> None:
    settings = {**bundle.meta["histograms"], "interval_s": 3600}
    long = replace(bundle, meta={**bundle.meta, "histograms": settings})
    found = recording()
    assert told(DataError, stack_recording, found, long, force=False) == (
        f"{found.files[0]}: expected 90% of the model's 4 h, found 20 s long, 0.139 % of the 4 h that are "
        f"counted; {DO}",
    )


@pytest.fixture
def late_recording(recording) -> Recording:
    """One stop in the model's 20 s and two after them."""
    parts = [still(1, 300), run(301, 700, x=20.0), still(701, 800), run(801, 850), still(851, 950)]
    return recording("late", n_frames=950, rows=[row for part in parts for row in part])


def test_a_recording_with_more_than_half_of_its_stops_late_is_refused(bundle: Bundle, late_recording) -> None:
    assert told(DataError, stack_recording, late_recording, bundle, force=False) == (
        f"{late_recording.files[0]}: expected stops within 4 intervals of 5 s, found 2 of 3 beyond; {DO}",
    )


def test_a_recording_that_goes_on_is_answered_where_the_model_cuts_it(bundle: Bundle, late_recording) -> None:
    first, *_ = stack_recording(late_recording, counting(bundle, late="cut"), force=False)
    assert first.stack.sum() == 1


def test_what_is_refused_is_answered_when_forced_with_a_warning(bundle: Bundle, recording, late_recording) -> None:
    short = recording("short", n_frames=540)
    predictions, failed = predict([short, late_recording], bundle, force=True)
    assert failed == []
    assert [(p.recording, p.warnings) for p in predictions] == [
        *[("short", [f"forced: expected 90% of the model's 20 s, found {SHORT}"])] * 2,
        (
            "late",
            [
                "forced: expected stops within 4 intervals of 5 s, found 2 of 3 beyond",
                f"{FAILS}animal 1: positions off the floor 27.1 %",
            ],
        ),
    ]


def test_a_mouse_without_a_position_gets_no_answer_and_a_warning(
    bundle: Bundle, recording, caplog: pytest.LogCaptureFixture
) -> None:
    found = recording(rows=[*still(1, 601), (1, 2, 0.0, 0.0)])
    predictions, failed = predict([found], bundle, force=True)
    assert ([p.animal_id for p in predictions], failed) == ([1], [])
    assert caplog.messages == [f"{found.files[0]}: animal 2 (no RFID): no position, so no answer"]


def test_a_row_of_animal_that_was_never_detected_is_named_and_spoils_nothing(
    bundle: Bundle, recording, caplog: pytest.LogCaptureFixture
) -> None:
    predictions, failed = predict([recording(rows=still(1, 601))], bundle)
    assert ([(p.animal_id, p.warnings) for p in predictions], failed) == ([(1, [])], [])
    assert caplog.messages == ["r1.sqlite: never detected, so no animals: animal 2 (no RFID)"]


def test_a_bad_file_among_good_ones_is_told_and_the_others_answered(bundle: Bundle, recording, tmp_path) -> None:
    bad = tmp_path / "bad.sqlite"
    bad.write_bytes(b"")
    short = recording("short", n_frames=90)
    recordings = [Recording("bad", (bad,), short.arena), recording("r1"), short, recording("r2")]
    predictions, failed = predict(recordings, bundle, workers=2)
    assert [p.recording for p in predictions] == ["r1", "r1", "r2", "r2"]
    assert [type(error) for error in failed] == [DatabaseError, DataError]
    assert [line for error in failed for line in error.lines] == [
        f"{bad}: expected an LMT database, found an empty file (0 bytes); copy it again",
        f"{short.files[0]}: expected 90% of the model's 20 s, found 2.967 s long, 14.8 % of the 20 s that "
        f"are counted; {DO}",
    ]


# ---- What is warned of -----------------------------------------------------------------------------------------------


def test_a_model_of_simulated_mice_says_so_with_every_answer(bundle: Bundle, recording) -> None:
    simulated = replace(bundle, meta={**bundle.meta, "simulated": True})
    predictions, _ = predict([recording()], simulated)
    assert [p.warnings for p in predictions] == [[SIMULATED]] * 2


def test_a_simulated_recording_is_marked(bundle: Bundle, recording) -> None:
    found = recording()
    with sqlite3.connect(found.files[0]) as connection:
        connection.execute(f"PRAGMA application_id = {SIMULATED_ID}")
    connection.close()
    predictions, _ = predict([found], bundle)
    assert [p.warnings for p in predictions] == [["the recording is a simulated one"]] * 2


def test_what_is_unlike_the_training_cohort_is_said_in_words(bundle: Bundle, recording) -> None:
    """The mouse that stops once, at x = 320 px."""
    statistics = {**bundle.meta["cohort_statistics"], "stops_per_interval": [100.0, 200.0], "outside": [0.0, 0.0]}
    predictions, _ = predict([recording()], replace(bundle, meta={**bundle.meta, "cohort_statistics": statistics}))
    assert [p.warnings for p in predictions] == [
        ["unlike the training cohort: stops an interval 0.25, there 100 to 200"]
    ] * 2


FLIPPED = "the recording fits the training cohort better mirrored top to bottom: compare the arena, and its flip, with "


def test_a_recording_that_lies_elsewhere_or_the_other_way_round_is_doubted(bundle: Bundle, recording) -> None:
    """Its two mice stop in tiles (2, 2) and (2, 5) of 8 x 8: as the training cohort, mirrored, or elsewhere."""
    counts = np.stack([animal.stack for animal in stack_recording(recording(), bundle, force=False)])
    alike = roots_of(counts, 0.5).astype(np.float32)
    known = replace(bundle.reference, roots=alike, farthest=0.01, smoothing_tiles=0.5)
    near, _ = predict([recording("r2")], replace(bundle, reference=known))
    assert [(p.distance, p.warnings) for p in near] == [(pytest.approx(0, abs=1e-6), [])] * 2
    for name, maps, words in (
        ("r3", np.ascontiguousarray(alike[:, ::-1]), [f"{FLIPPED}the cage"]),
        ("r4", everywhere(8).roots, []),
    ):
        made = replace(known, roots=maps)
        found, _ = predict([recording(name)], replace(bundle, reference=made))
        assert [p.distance for p in found] == pytest.approx(distances(roots_of(counts, 0.5), made).tolist())
        for p in found:
            *others, far = p.warnings
            assert others == words
            assert far == (
                f"its stops lie elsewhere than those of the training cohort: {p.distance:.3f} from the nearest sample, "
                "cages there at most 0.010 from another cage"
            )


def test_the_set_holds_the_classes_that_reach_the_bundle_s_level(bundle: Bundle) -> None:
    made = with_biases(bundle, [2.0, 1.0, 0, 0])
    for level, expected in ((0.0, list(CLASSES)), (0.2, ["AM", "JM"]), (1.0, ["AM"])):
        doubt = {**bundle.meta["doubt"], "set_level": level}
        assert classify([stacked()], replace(made, meta={**made.meta, "doubt": doubt}))[0].set == expected


def test_an_animal_of_the_training_cohort_is_told(bundle: Bundle, recording) -> None:
    found = recording()
    first, second = predict([found], bundle)[0]
    known = learned_from(bundle, ("elsewhere", first.rfid, first.rfid))
    again = predict([found], known)[0]
    assert [TRAINED_ON in p.warnings for p in (first, second, *again)] == [False, False, True, False]


TRAINED_ON = "this animal was in the training cohort: the answer says nothing about new mice"


def learned_from(bundle: Bundle, *samples: tuple[str, str, str]) -> Bundle:
    """A model that learned from these samples: recording, RFID, and who the animal is."""
    rows = [list(sample[:2]) for sample in samples]
    return replace(bundle, meta={**bundle.meta, "samples": rows, "animals": [sample[2] for sample in samples]})


@pytest.mark.parametrize(
    ("samples", "trained_on"),
    [
        ([("r9", "001", "001")], True),
        ([("r9", "1", "1")], True),  # a manifest that lost its zeros
        ([("r9", "01", "01"), ("r9", "1", "1")], False),  # either may be meant
        ([("r9", "002", "002")], False),
        ([("r9", "001", "Tom")], True),  # who bears this chip here is not said
        ([("r1", "RFID_A", "RFID_A of r1")], False),
    ],
)
def test_chips_of_the_training_cohort_are_compared_as_those_of_a_manifest(
    bundle: Bundle, recording, samples: list, trained_on: bool
) -> None:
    first, _ = predict([recording()], learned_from(bundle, *samples))[0]
    assert (first.rfid, TRAINED_ON in first.warnings) == ("001", trained_on)


@pytest.mark.parametrize(
    ("own", "samples", "trained_on"),
    [
        ("Tom", [("r9", "RFID_B", "Tom")], True),
        ("Tom", [("r9", "001", "Ann")], False),  # the chip was borne by another
        ("Tom", [("r9", "001", "001")], True),  # nobody says that it was
        ("", [("r9", "001", "Ann")], True),
    ],
)
def test_a_manifest_s_name_for_an_animal_says_more_than_its_chip(
    bundle: Bundle, recording, own: str, samples: list, trained_on: bool
) -> None:
    named = replace(recording(), samples={"001": Sample("r1", "001", "c1", {}, "", own)})
    (first,) = predict([named], learned_from(bundle, *samples))[0]
    assert (TRAINED_ON in first.warnings) is trained_on


def test_of_an_animal_whose_chip_was_not_read_nothing_is_compared(bundle: Bundle, recording) -> None:
    """Both recordings know an RFID_A: who says that it is one mouse?"""
    found = recording()
    execute(found.files[0], "UPDATE ANIMAL SET RFID = 'RFID_A' WHERE ID = 1")
    known = learned_from(bundle, ("r1", "RFID_A", "RFID_A of r1"), ("r1", "RFID_B", "RFID_A"))
    unknown = "no chip read (RFID_A): nothing tells whether this animal was in the training cohort"
    assert predict([found], known)[0][0].warnings == [unknown]
    listed = replace(found, samples={"RFID_A": Sample("r1", "RFID_A", "c1", {}, "")})
    assert predict([listed], known)[0][0].warnings == [unknown]
    named = replace(found, samples={"RFID_A": Sample("r1", "RFID_A", "c1", {}, "", "Tom")})
    assert predict([named], known)[0][0].warnings == []


def test_another_arena_is_named(bundle: Bundle, recording) -> None:
    found = recording()
    smaller = replace(found, arena=found.arena.model_copy(update={"width_px": 228.0}))
    line = "another arena: its floor is 40.0 x 50.9 cm, the training cohort's 49.8 x 50.9 cm"
    assert all(line in p.warnings for p in predict([smaller], bundle)[0])


def test_a_floor_elsewhere_in_the_image_is_noticed(bundle: Bundle, recording) -> None:
    found = recording()
    elsewhere = replace(found, arena=found.arena.model_copy(update={"x_px": 210.0}))
    statistics = {**bundle.meta["cohort_statistics"], "outside": [0.0, 0.05]}
    predictions, _ = predict([elsewhere], replace(bundle, meta={**bundle.meta, "cohort_statistics": statistics}))
    fails = f"{FAILS}animal 1: positions off the floor 100 %; animal 1: stops off the floor 100 %"
    assert [p.warnings for p in predictions] == [
        [fails, "unlike the training cohort: share of stops off the floor 1, there 0 to 0.05"],
        [fails],
    ]


def test_a_real_answer_is_plain_json(bundle: Bundle, recording) -> None:
    found = recording()
    predictions, _ = predict([found], bundle)
    assert json.loads(to_json(predictions)) == as_records(predictions)


ANSWERING = Model("models:/lmtcnn/3", "3", "train.lr=0.1", "2026-11-26T01:02:03+00:00", 0.75, "ab-cd")


def test_every_answer_says_which_model_gave_it(bundle: Bundle, recording) -> None:
    (first, *_), _ = predict([recording()], bundle, model=ANSWERING)
    assert first.model == ANSWERING
    (first, *_), _ = predict([recording("r2")], replace(bundle, digest="ef-01"))
    assert first.model == Model(None, None, None, None, bundle.meta["metrics"].get("ensemble_accuracy"), "ef-01")
