"""Activation maps of networks whose weights are known."""

import json

import numpy as np
import pytest
import torch

from lmtcnn.core.errors import DataError
from lmtcnn.core.files import write_json
from lmtcnn.core.records import full_training
from lmtcnn.explain import drawings
from lmtcnn.explain import explain as module
from lmtcnn.explain.explain import explain
from lmtcnn.train.held_out import load_held_out
from lmtcnn.train.model import select
from study import small_params, write_histograms, write_study

OWN_RECORDS = ("activation_maps.json", "drawn.json")
OUTLINED = " Outlined: what stands in the cage."


@pytest.fixture(scope="module")
def params():
    return small_params()


@pytest.fixture
def undrawn(monkeypatch):
    """Figures without their files: writing them is most of the stage's time."""

    def make(folder, drawings):
        for drawing in drawings:
            drawing.make(*drawing.given, **drawing.named)
            for path in (folder / name for name in drawing.files):
                path.parent.mkdir(exist_ok=True)
                path.touch()

    monkeypatch.setattr(module.gallery, "draw", make)


def test_the_stage_leaves_arrays_their_axes_and_a_figure_for_each_channel(tmp_path, params):
    write_study(tmp_path, params)
    stale = tmp_path / "explain" / "maps" / "7x7_00.png"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"of another network")
    summary = explain(tmp_path, params)
    folder = tmp_path / "explain"
    maps = np.load(folder / "activation_maps.npy")
    assert (maps.shape, maps.dtype) == ((4, 4, 6, 6), np.float32)
    assert json.loads((folder / "activation_maps.json").read_text()) == summary
    assert summary["axes"] == ["class", "channel", "row", "column"]
    assert summary["n_samples"] == dict.fromkeys(summary["classes"], 4) == {"AM": 4, "JM": 4, "AF": 4, "JF": 4}
    names = ["maps/1x1_00.png", "maps/1x1_01.png", "maps/3x3_00.png", "maps/3x3_01.png"]
    telling = summary["order"][:2]
    assert [channel["figure"] for channel in summary["channels"]] == [
        name if k in telling else None for k, name in enumerate(names)
    ]
    figures = [names[k] for k in telling]
    drawn = sorted(path.name for path in (folder / "maps").iterdir())
    assert drawn == sorted(name[5:-4] + end for name in figures for end in (".png", ".svg", ".pdf"))
    assert {path.name for path in folder.glob("*.png")} == {
        "atlas.png", "architecture.png", "where.png", "when.png", "uses.png",
    }  # fmt: skip
    differences = [summary["channels"][k]["difference"] for k in summary["order"]]
    assert differences == sorted(differences, reverse=True)
    assert set(summary["outputs"]) == {
        path.relative_to(folder).as_posix() for path in folder.rglob("*.*") if path.name not in OWN_RECORDS
    }


def test_maps_are_those_of_networks_that_have_not_seen_a_sample(tmp_path, params, undrawn):
    index = write_study(tmp_path, params)
    stacks = np.load(tmp_path / "histograms" / "stacks.npy")
    for how in ("difference", "raw"):
        explain(tmp_path, small_params(explain={"maps": how}))
        means = np.zeros((4, 4, 6, 6))
        for cage, model in load_held_out(full_training(tmp_path, params)):
            rows = np.flatnonzero(index["cage"].to_numpy() == cage)
            found = select(model, [0]).activations(torch.from_numpy(stacks[rows].astype(np.float32)))
            each = torch.cat([found[kernel][0] for kernel in (1, 3)], dim=1).detach().numpy()
            for row, values in zip(rows, each, strict=True):
                means[list(params.classes).index(index["class"][int(row)])] += values / 4
        shown = np.load(tmp_path / "explain" / "activation_maps.npy")
        np.testing.assert_allclose(shown, means - means.mean(axis=0) * (how == "difference"), atol=1e-5)


def test_a_cross_marks_the_tile_that_only_one_class_visits(tmp_path, params, undrawn):
    """Adult females stop 9 times more in row 1, column 4 of 6: x (4 + 1/2) / 6 of 49.8 cm, y (1 + 1/2) / 6 of 50.9."""
    params = small_params(histograms={"intervals": 2})  # of these random weights one channel adds up both intervals
    write_study(tmp_path, params)
    summary = explain(tmp_path, params)
    pointwise = [channel for channel in summary["channels"] if channel["kernel"] == 1]
    best = max(pointwise, key=lambda channel: channel["difference"])
    cross = next(each for each in best["crosses"] if each["class"] == "AF")
    assert (cross["row"], cross["column"], cross["x_cm"], cross["y_cm"]) == (1, 4, 37.368, 12.719)
    assert best["correlations"]["AF"]["stops"] > 0.2


def test_the_seed_chooses_the_networks(tmp_path, params, undrawn):
    write_study(tmp_path, params)
    found = []
    for seed in (0, 1):
        summary = explain(tmp_path, small_params(explain={"seed": seed}))
        assert summary["network"] == f"each sample by the network of seed {seed} that has not seen its cage"
        found.append(np.load(tmp_path / "explain" / "activation_maps.npy"))
    assert not np.allclose(*found)


def test_the_same_study_gives_the_same_bytes(tmp_path, params):
    write_study(tmp_path, params)
    explain(tmp_path, params)
    first = {path: path.read_bytes() for path in (tmp_path / "explain").rglob("*.*")}
    explain(tmp_path, params)
    assert {path: path.read_bytes() for path in first} == first


def test_only_simulated_mice_are_shown_with_planted_zones_and_the_caption_says_so(tmp_path, monkeypatch, undrawn):
    captions, found, drawn = [], [], drawings.floor.activation_maps

    def watch(*args, note, planted, **kwargs):
        captions.append(note)
        found.append(planted)
        return drawn(*args, note=note, planted=planted, **kwargs)

    monkeypatch.setattr(drawings.floor, "activation_maps", watch)
    monkeypatch.setattr(drawings, "limits", lambda summary: "They tell little.")
    circle = {"shape": "circle", "x_cm": 5, "y_cm": 5, "radius_cm": 4}
    truth = {"zones": {"dome": circle, "wall": circle}, "classes": {"AM": {"log_preference": {"dome": -1, "wall": 0}}}}
    write_json(tmp_path / "simulate" / "truth.json", truth)
    monkeypatch.chdir(tmp_path)
    dome = {"dome": {"kind": "dome", "circle_cm": [5.0, 5.0, 4.0]}}
    here = small_params(cohort={"databases": "simulate", "manifest": "cohort.csv"}, zones=dome)
    for simulated in (False, True):
        write_study(tmp_path / "data", here, simulated=simulated)
        explain(tmp_path / "data", here)
    assert captions[0] == (
        "Each sample by the network of seed 0 that has not seen its cage; averaged over the samples of a class, less "
        "the mean of all classes. + and -: a class's 3 tiles of largest departure up or down, at least 4 tiles apart. "
        "r: correlation with the map of stops, and with an untrained network's map, each less that of all classes. "
        "They tell little. Outlined: what stands in the cage."
    )
    assert captions[-1] == (
        f"SIMULATED MICE: this says nothing about real mice. {captions[0].removesuffix(OUTLINED)}"
        f" Dashed: zones where the simulator made classes differ most: 1 dome.{OUTLINED}"
    )
    assert (found[0], found[-1]) == ({}, {"1": circle})
    cut = small_params(cohort={"databases": "simulate", "manifest": "cohort.csv"}, histograms__window=[0, 2])
    write_study(tmp_path / "data", cut)
    explain(tmp_path / "data", cut)
    assert "all classes. Counted: intervals 0 to 1 of 3 (the first 20 s). + and -:" in captions[-1]


def test_the_stage_says_which_layer_it_shows(tmp_path, undrawn):
    params = small_params(explain={"layer": "pool"})
    write_study(tmp_path, params)
    summary = explain(tmp_path, params)
    assert summary["layer"] == "pool"
    assert summary["definitions"]["maps"] == (
        "activation after ReLU and pooling, averaged over the samples of a class, less the mean of all classes"
    )
    assert np.load(tmp_path / "explain" / "activation_maps.npy").shape == (4, 4, 3, 3)


def test_a_training_of_other_seeds_is_refused(tmp_path, params):
    write_study(tmp_path, params)
    with pytest.raises(DataError) as caught:
        explain(tmp_path, small_params(train={"seeds": (5,)}, explain={"seed": 5}))
    assert str(caught.value) == (f"{tmp_path}/train: expected train.seeds [5], found [0, 1]; run `lmtcnn train` again")


def test_no_training_says_what_to_run(tmp_path, params):
    write_histograms(tmp_path, params, simulated=False)
    with pytest.raises(DataError) as caught:
        explain(tmp_path, params)
    assert str(caught.value) == (
        f"{tmp_path}/train/train.json: expected the summary of a training, found no file; run `lmtcnn train` first"
    )
