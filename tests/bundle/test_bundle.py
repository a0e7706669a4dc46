"""The bundle: two files from which a recording can be told."""

import hashlib
import json
import pickle
import shutil
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import told
from lmtcnn.bundle import bundle as module
from lmtcnn.bundle.bundle import WORDS, Bundle, build, cohort_statistics, features, read, unlike, write
from lmtcnn.bundle.doubt import reference
from lmtcnn.core.errors import DataError, ModelError
from lmtcnn.core.files import digest
from lmtcnn.core.params import Params
from lmtcnn.core.records import read_histograms
from lmtcnn.core.sections import dump
from lmtcnn.histograms import record
from lmtcnn.train import weights
from lmtcnn.train.kept import save_tensors
from lmtcnn.train.model import prepare, softmax_members
from study import training_key

META, WEIGHTS = "model.json", "weights.safetensors"
AGAIN = "run `lmtcnn register` again"


@pytest.fixture(scope="module")
def bundle(trained: Path, tiny: Params) -> Bundle:
    return build(trained, tiny)


@pytest.fixture
def folder(tmp_path: Path, bundle: Bundle) -> Path:
    """The bundle, written."""
    write(bundle, tmp_path / "model")
    return tmp_path / "model"


def edit(folder: Path, change: Callable[[dict], object]) -> None:
    """Change model.json."""
    meta = json.loads((folder / META).read_text())
    change(meta)
    (folder / META).write_text(json.dumps(meta))


# ---- What is in it ---------------------------------------------------------------------------------------------------


def test_a_bundle_that_was_written_and_read_predicts_the_same(bundle: Bundle, folder: Path, trained, tiny) -> None:
    again = read(folder)
    stacks, _ = record.load(trained / "histograms", tiny)
    x = prepare(np.asarray(stacks), "none")
    assert np.array_equal(softmax_members(again.model, x), softmax_members(bundle.model, x))
    assert again.meta | json.loads(json.dumps(bundle.meta)) == again.meta
    assert again.meta["outputs"] == {WEIGHTS: digest(folder / WEIGHTS)}
    assert again.classes == bundle.classes == ("AM", "JM", "AF", "JF")


def test_its_networks_are_those_that_saw_all_cages(bundle: Bundle, trained: Path, tiny: Params) -> None:
    model, _ = weights.load_members(trained, tiny)
    assert bundle.model.members == 2
    assert all(torch.equal(v, model.state_dict()[name]) for name, v in bundle.model.state_dict().items())


def test_the_same_training_gives_the_same_two_files(
    bundle: Bundle, folder: Path, tmp_path: Path, trained, tiny
) -> None:
    write(build(trained, tiny), tmp_path / "again")
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()} == files
    assert set(files) == {META, WEIGHTS}


def test_nothing_in_it_is_pickled(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights are a header of JSON and then numbers, and reading asks neither pickle nor torch.load."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError

    for owner, name in ((pickle, "load"), (pickle, "loads"), (pickle, "Unpickler"), (torch, "load")):
        monkeypatch.setattr(owner, name, refuse)
    read(folder)
    content = (folder / WEIGHTS).read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    assert {entry["dtype"] for name, entry in header.items() if name != "__metadata__"} == {"F32"}
    assert max(entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__") == len(
        content[8 + length :]
    )


def test_model_json_says_all_that_a_new_recording_needs(bundle: Bundle, trained: Path, tiny: Params) -> None:
    index = pl.read_parquet(trained / "histograms" / "index.parquet")
    expected = {
        "format": 6,
        "classes": dump(tiny)["classes"],
        "stops": dump(tiny.stops),
        "histograms": dump(tiny.histograms),
        "quality": dump(tiny.quality),
        "train": dump(tiny.train),
        "seeds": [0, 1],
        "simulated": True,
        "samples": [list(row) for row in index.select("recording", "rfid").iter_rows()],
        "metrics": {"accuracy": 0.5, "balanced_accuracy": 0.6},
        "estimate": "cross-validated estimate of the procedure, not of this file",
        "histograms_digest": read_histograms(trained / "histograms", tiny).digest,
        "training": training_key(trained, tiny),
    }
    assert {key: bundle.meta[key] for key in expected} == expected
    assert bundle.meta["architecture"] == bundle.model.architecture


def test_it_says_how_each_sample_was_told_while_its_cage_was_held_out(bundle: Bundle, trained: Path) -> None:
    index = pl.read_parquet(trained / "histograms" / "index.parquet")
    predictions = pl.read_parquet(trained / "train" / "predictions.parquet")
    assert len(bundle.meta["held_out"]) == index.height
    for sample, (name, predicted, probability) in zip(
        index.iter_rows(named=True), bundle.meta["held_out"], strict=True
    ):
        own = predictions.filter(recording=sample["recording"], animal_id=sample["animal_id"])
        means = {each: own[f"p_{each}"].mean() for each in bundle.classes}
        assert name == sample["class"]
        assert means[predicted] == max(means.values())
        assert probability == pytest.approx(means[name], abs=1e-12)


def test_a_bundle_that_was_read_bears_the_digest_of_its_two_files(folder: Path) -> None:
    digests = [hashlib.sha256((folder / name).read_bytes()).hexdigest()[:16] for name in (WEIGHTS, META)]
    assert read(folder).digest == "-".join(digests)


def test_definitions_come_from_the_bundle_whatever_params_say(bundle: Bundle, tiny: Params, params: Params) -> None:
    assert bundle.definitions.histograms == tiny.histograms != params.histograms
    assert bundle.definitions.stops == tiny.stops
    assert bundle.definitions.classes == tiny.classes


def test_a_bundle_needs_an_evaluation(trained: Path, tmp_path: Path, tiny: Params) -> None:
    for name in ("histograms", "train"):
        shutil.copytree(trained / name, tmp_path / name)
    assert told(DataError, build, tmp_path, tiny) == (
        f"{tmp_path / 'evaluate' / 'evaluate.json'}: expected the metrics, found no file; run `lmtcnn evaluate` first",
    )


# ---- Damaged bundles -------------------------------------------------------------------------------------------------


def test_a_folder_without_a_bundle_is_told(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "no"):
        assert told(ModelError, read, folder) == (
            f"{folder}: expected a bundle (model.json, weights.safetensors), found no model.json; "
            "run `lmtcnn register` first",
        )


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "Expecting value: line 1 column 1 (char 0)"),
        (b"[]", "a JSON list"),
        (b"\xff\xfe", "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
    ],
)
def test_a_model_json_that_is_none_is_told(folder: Path, content: bytes, found: str) -> None:
    (folder / META).write_bytes(content)
    assert told(ModelError, read, folder) == (f"{folder / META}: expected a bundle, found {found}; {AGAIN}",)


@pytest.mark.parametrize(("number", "found"), [(3, "3"), ("4", "4"), (None, "None")])
def test_a_bundle_of_another_format_is_told(folder: Path, number: object, found: str) -> None:
    edit(folder, lambda meta: meta.update(format=number))
    assert told(ModelError, read, folder) == (f"{folder / META}: expected format 6, found {found}; {AGAIN}",)


@pytest.mark.parametrize(
    "key",
    ["architecture", "classes", "stops", "histograms", "quality", "train", "simulated", "cohort_statistics", "doubt"],
)
def test_a_key_that_is_missing_is_named(folder: Path, key: str) -> None:
    edit(folder, lambda meta: meta.pop(key))
    assert told(ModelError, read, folder) == (
        f"{folder / META}: expected a bundle's keys, found KeyError: '{key}'; {AGAIN}",
    )


@pytest.mark.parametrize(
    ("edited", "line"),
    [
        (lambda m: m["stops"].update(fps=0), "stops.fps: expected greater than 0, found 0; correct the value"),
        (lambda m: m["histograms"].pop("weight"), "histograms.weight: expected a value, found none; add the key"),
        (lambda m: m["train"].update(transform="cube"), "transform: expected 'none', 'log1p' or 'sqrt', found 'cube'; "
         "correct the value"),
        (lambda m: m.update(classes=["AM", "JM"]), "classes: expected a mapping, found ('AM', 'JM'); "
         "correct the value"),
    ],
)  # fmt: skip
def test_a_parameter_that_cannot_be_is_told_as_in_params_yaml(folder: Path, edited, line: str) -> None:
    edit(folder, edited)
    assert told(ModelError, read, folder) == (f"{folder / META}: {line}",)


@pytest.mark.parametrize(
    ("edited", "found"),
    [
        (lambda m: m.update(architecture=3), "TypeError: lmtcnn.train.model.StereotypeCNN() argument after ** must be "
         "a mapping, not int"),
        (lambda m: m["architecture"].update(depth=2), "TypeError: StereotypeCNN.__init__() got an unexpected keyword "
         "argument 'depth'"),
        (lambda m: m["architecture"].update(pool=0), "ZeroDivisionError: integer division or modulo by zero"),
        (lambda m: m["architecture"].update(kernels=3), "TypeError: 'int' object is not iterable"),
        (lambda m: m["histograms"].update(tiles=9), "ValueError: 8 tiles in the architecture, 9 in its histograms or "
         "classes"),
        (lambda m: m["classes"].pop("JF"), "ValueError: 4 classes in the architecture, 3 in its histograms or "
         "classes"),
        (lambda m: m["cohort_statistics"].pop("edge"), "KeyError: 'edge'"),
        (lambda m: m["cohort_statistics"].update(edge=[1, 0]), "ValueError: cohort_statistics.edge from 1 to 0"),
        (lambda m: m["cohort_statistics"].update(edge=[1]), "ValueError: not enough values to unpack (expected 2, "
         "got 1)"),
        (lambda m: m["doubt"].pop("farthest"), "KeyError: 'farthest'"),
        (lambda m: m["doubt"].update(farthest=1.5), "ValueError: doubt.farthest 1.5"),
        (lambda m: m["doubt"].update(farthest="far"), "TypeError: '<=' not supported between instances of 'int' and "
         "'str'"),
        (lambda m: m["doubt"].update(smoothing_tiles=-1), "ValueError: doubt.smoothing_tiles -1"),
        (lambda m: m["doubt"].update(set_level=2), "ValueError: doubt.set_level 2"),
        (lambda m: [m[name].pop() for name in ("samples", "animals", "held_out")], "ValueError: maps of (12, 8, 8) for "
         "11 samples of 8 x 8 tiles"),
        (lambda m: m.update(simulated="no"), "TypeError: simulated is neither true nor false"),
    ],
)  # fmt: skip
def test_a_key_that_does_not_fit_is_told(folder: Path, edited, found: str) -> None:
    edit(folder, edited)
    assert told(ModelError, read, folder) == (f"{folder / META}: expected a bundle's keys, found {found}; {AGAIN}",)


def test_an_architecture_that_no_network_can_have_is_told_in_one_line(folder: Path) -> None:
    edit(folder, lambda meta: meta["architecture"].update(members=-1))
    (line,) = told(ModelError, read, folder)
    assert line.startswith(f"{folder / META}: expected a bundle's keys, found RuntimeError: ")
    assert line.endswith(f"; {AGAIN}")
    assert "\n" not in line


def test_missing_weights_are_told(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    assert told(ModelError, read, folder) == (f"{folder / WEIGHTS}: expected weights, found no file; {AGAIN}",)


def test_weights_that_are_not_finite_are_told(folder: Path, bundle: Bundle) -> None:
    model = module.StereotypeCNN(**bundle.model.architecture)
    model.load_state_dict(bundle.model.state_dict())
    model.linear.bias.data[1] = torch.inf
    write(replace(bundle, model=model), folder)
    assert told(ModelError, read, folder) == (
        f"{folder / WEIGHTS}: expected finite weights, found nan or inf; {AGAIN}",
    )


def test_weights_without_the_training_cohort_s_maps_are_told(folder: Path, bundle: Bundle) -> None:
    save_tensors(bundle.model.state_dict(), folder / WEIGHTS)
    assert told(ModelError, read, folder) == (
        f"{folder / WEIGHTS}: expected a tensor cohort.roots, found none; {AGAIN}",
    )


def test_it_holds_the_maps_and_the_smoothing_of_the_study(bundle: Bundle, folder: Path, trained, tiny: Params) -> None:
    stacks, index = record.load(trained / "histograms", tiny)
    expected = reference(stacks, index["cage"].to_list(), tiny.evaluate.smoothing_tiles)
    for known in (bundle.reference, read(folder).reference):
        assert np.array_equal(known.roots, expected.roots)
        assert (known.farthest, known.smoothing_tiles) == (expected.farthest, tiny.evaluate.smoothing_tiles)
    assert bundle.meta["doubt"]["coverage"] == 0.9


def test_a_bundle_of_one_cage_knows_no_limit_and_is_read(bundle: Bundle, tmp_path: Path) -> None:
    alone = replace(bundle.reference, farthest=None)
    write(
        replace(bundle, reference=alone, meta={**bundle.meta, "doubt": {**bundle.meta["doubt"], "farthest": None}}),
        tmp_path,
    )
    assert read(tmp_path).reference.farthest is None


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_gives_the_bundle_or_one_line_a_problem(bundle: Bundle, folder: Path, data) -> None:
    """A file cut short, or with a byte changed."""
    write(bundle, folder)
    path = folder / data.draw(st.sampled_from([META, WEIGHTS]))
    content = bytearray(path.read_bytes())
    last = len(content) - 2  # what stands before the line's end
    place = data.draw(st.integers(0, min(last, 2000)) | st.integers(0, last))
    if data.draw(st.booleans()):
        path.write_bytes(content[:place])
        lines = told(ModelError, read, folder)
        assert all(line.startswith(f"{path}: expected ") and "\n" not in line for line in lines)
    else:
        content[place] = data.draw(st.integers(0, 255))
        path.write_bytes(content)
        lines = []
        try:
            assert read(folder).model.members == 2
        except ModelError as error:
            lines = error.lines
        assert all(": expected " in line and "\n" not in line for line in lines)


# ---- Data unlike the training cohort ---------------------------------------------------------------------------------


def test_features_describe_a_stack_in_numbers() -> None:
    """Ten intervals, 20 x 20 tiles: 6 stops in the corner, 2 in the middle, one to the right of it."""
    stack = np.zeros((10, 20, 20))
    stack[0, 0, 0] = 6
    stack[3, 10, 10] = 2
    stack[3, 10, 15] = 1
    assert features(stack, 0.25) == pytest.approx(
        {
            "stops_per_interval": 0.9,
            "empty_intervals": 0.8,
            "tiles_visited": 3 / 400,
            "busiest_tiles": 1.0,
            "edge": 6 / 9,
            "width": 16 / 20,
            "height": 11 / 20,
            "outside": 0.25,
        }
    )


def test_the_busiest_tiles_are_a_hundredth_of_the_floor() -> None:
    stack = np.ones((1, 20, 20))
    stack[0, 5, :5] = 10
    assert features(stack, 0.0)["busiest_tiles"] == pytest.approx(40 / (395 + 50))


@pytest.mark.parametrize("tiles", [1, 2, 5])
def test_an_empty_stack_has_features_too(tiles: int) -> None:
    found = features(np.zeros((2, tiles, tiles)), 0.0)
    assert found.pop("empty_intervals") == 1.0
    assert set(found.values()) == {0.0}


def test_statistics_are_the_least_and_the_greatest_of_the_cohort() -> None:
    samples = [dict.fromkeys(WORDS, value) for value in (3.0, 1.0, 2.0)]
    assert cohort_statistics(samples) == {name: [1.0, 3.0] for name in WORDS}


def test_every_sample_of_the_cohort_is_like_the_cohort(bundle: Bundle, trained: Path, tiny: Params) -> None:
    stacks, index = record.load(trained / "histograms", tiny)
    shares = (index["n_outside"] / index["n_stops"]).to_list()
    for stack, share in zip(stacks, shares, strict=True):
        assert unlike(features(stack, share), bundle.meta["cohort_statistics"]) == []


STATISTICS = {name: [10.0, 20.0] for name in WORDS}


@pytest.mark.parametrize("value", [5.0, 15.0, 25.0])
def test_within_half_a_width_of_the_cohort_s_range_nothing_is_said(value: float) -> None:
    assert unlike(dict.fromkeys(WORDS, value), STATISTICS) == []


@pytest.mark.parametrize("value", [4.99, 25.01])
def test_beyond_it_each_feature_is_told_in_words(value: float) -> None:
    assert unlike(dict.fromkeys(WORDS, value), STATISTICS) == [
        f"unlike the training cohort: {words} {value:.3g}, there 10 to 20"
        for words in (
            "stops an interval",
            "share of intervals without a stop",
            "share of the floor's tiles with a stop",
            "share of stops in the busiest hundredth of the floor",
            "share of stops in the outer tenth of the floor",
            "share of the floor's width that stops span",
            "share of the floor's height that stops span",
            "share of stops off the floor",
        )
    ]
