"""Activation maps of networks whose weights are known."""

import json

import numpy as np
import polars as pl
import pytest
import torch

from lmtcnn.core.errors import DataError, OutputError, ParamsError
from lmtcnn.core.files import write_json
from lmtcnn.explain import explain as module
from lmtcnn.explain.explain import explain, paper_figure
from lmtcnn.explain.maps import class_maps
from lmtcnn.figures import figures
from lmtcnn.train.model import select
from lmtcnn.train.weights import load_members
from study import small_params, write_histograms, write_study

CURVES = pl.DataFrame({"epoch": [1], **{f"{part}_{quantity}{end}": [0.5] for part in ("train", "test")
                       for quantity in ("loss", "accuracy") for end in ("", "_sd")}})  # fmt: skip


OUTLINED = " Outlined: what stands in the cage."


@pytest.fixture(scope="module")
def params():
    return small_params()


@pytest.fixture
def undrawn(monkeypatch):
    """Figures without their files: writing them is most of the stage's time."""

    def make(folder, drawings, workers):
        for drawing in drawings:
            drawing.make(*drawing.given, **drawing.named)
            for path in (folder / name for name in drawing.files):
                path.parent.mkdir(exist_ok=True)
                path.touch()

    monkeypatch.setattr(module.gallery, "draw", make)


def test_the_stage_leaves_arrays_their_axes_and_a_figure_for_each_channel(tmp_path, params):
    index = write_study(tmp_path, params)
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
    figures = [channel["figure"] for channel in summary["channels"]]
    assert figures == ["maps/1x1_00.png", "maps/1x1_01.png", "maps/3x3_00.png", "maps/3x3_01.png"]
    drawn = sorted(path.name for path in (folder / "maps").iterdir())
    assert drawn == sorted(name[5:-4] + end for name in figures for end in (".png", ".svg", ".pdf"))
    assert {path.name for path in folder.glob("*.png")} == {"atlas.png", "architecture.png"}
    differences = [summary["channels"][k]["difference"] for k in summary["order"]]
    assert differences == sorted(differences, reverse=True)
    network, _ = load_members(tmp_path, params)
    x = torch.from_numpy(np.load(tmp_path / "histograms" / "stacks.npy").astype(np.float32))
    own = network.activations(x)[3][0, (index["class"] == "AF").to_numpy()].mean(dim=0).detach()
    np.testing.assert_allclose(maps[2, 2:], own, atol=1e-5)


def test_a_cross_marks_the_tile_that_only_one_class_visits(tmp_path, params, undrawn):
    """Adult females stop 9 times more in row 1, column 4 of 6: x (4 + 1/2) / 6 of 49.8 cm, y (1 + 1/2) / 6 of 50.9."""
    params = small_params(histograms={"intervals": 2})  # of these random weights one channel adds up both intervals
    write_study(tmp_path, params)
    summary = explain(tmp_path, params)
    pointwise = [channel for channel in summary["channels"] if channel["kernel"] == 1]
    best = max(pointwise, key=lambda channel: channel["difference"])
    cross = best["crosses"][0]
    assert (cross["row"], cross["column"], cross["x_cm"], cross["y_cm"]) == (1, 4, 37.368, 12.719)


def test_the_seed_chooses_the_network(tmp_path, params, undrawn):
    index = write_study(tmp_path, params)
    summary = explain(tmp_path, small_params(explain={"seed": 1}))
    assert summary["network"] == "one network trained on all cages, seed 1"
    networks, _ = load_members(tmp_path, params)
    stacks = np.load(tmp_path / "histograms" / "stacks.npy")
    codes = np.array([summary["classes"].index(name) for name in index["class"]])
    shown = np.load(tmp_path / "explain" / "activation_maps.npy")
    of_seed = [class_maps(select(networks, [m]), stacks, codes, 4, "none").means for m in (0, 1)]
    np.testing.assert_allclose(shown, of_seed[1], atol=1e-6)
    assert not np.allclose(shown, of_seed[0])


def test_the_same_study_gives_the_same_bytes(tmp_path, params):
    write_study(tmp_path, params)
    explain(tmp_path, params)
    first = {path: path.read_bytes() for path in (tmp_path / "explain").rglob("*.*")}
    explain(tmp_path, params)
    assert {path: path.read_bytes() for path in first} == first


def test_only_simulated_mice_are_shown_with_planted_zones_and_the_caption_says_so(tmp_path, monkeypatch, undrawn):
    captions, found, drawn = [], [], module.floor.activation_maps

    def watch(*args, note, planted, **kwargs):
        captions.append(note)
        found.append(planted)
        return drawn(*args, note=note, planted=planted, **kwargs)

    monkeypatch.setattr(module.floor, "activation_maps", watch)
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
        "One network trained on all cages, seed 0; mean over the samples of a class. Crosses: the 3 tiles of largest "
        "spread, at least 4 tiles apart (spread: largest minus smallest class mean in a tile). "
        "Outlined: what stands in the cage."
    )
    assert captions[-1] == (
        f"SIMULATED MICE: this says nothing about real mice. {captions[0].removesuffix(OUTLINED)}"
        f" Dashed: zones where the simulator made classes differ most: 1 dome.{OUTLINED}"
    )
    assert (found[0], found[-1]) == ({}, {"1": circle})
    cut = small_params(cohort={"databases": "simulate", "manifest": "cohort.csv"}, histograms__window=[0, 2])
    write_study(tmp_path / "data", cut)
    explain(tmp_path / "data", cut)
    assert "of a class. Counted: intervals 0 to 1 of 3 (the first 20 s). Crosses:" in captions[-1]


def test_the_stage_says_which_layer_it_shows(tmp_path, undrawn):
    params = small_params(explain={"layer": "pool"})
    write_study(tmp_path, params)
    summary = explain(tmp_path, params)
    assert summary["layer"] == "pool"
    assert summary["definitions"]["maps"] == "activation after ReLU and pooling, averaged over the samples of a class"
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


@pytest.fixture(scope="module")
def explained(tmp_path_factory, params):
    """A study's folder after the stage `explain`."""
    data = tmp_path_factory.mktemp("explained")
    write_study(data, params, simulated=True)
    explain(data, params)
    return data


def test_a_paper_shows_the_channels_and_classes_asked_for_in_one_file(explained, params, tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(module.floor, "paper_maps", lambda *a, **k: given.append((a, k)) or figures.curves(CURVES, ""))
    out = paper_figure(explained, params, tmp_path / "figure.pdf", ["3x3/01"], ["JF", "AM"], "", crosses=False)
    assert [path.name for path in tmp_path.iterdir()] == ["figure.pdf"]
    assert out.read_bytes().startswith(b"%PDF")
    ((maps, classes, channels, _, colours), named) = given[0]
    whole = np.load(explained / "explain" / "activation_maps.npy")
    np.testing.assert_array_equal(maps, whole[[3, 0]][:, [3]])
    assert (classes, channels, named["crosses"]) == (["JF", "AM"], ["3x3/01"], ())
    assert (named["title"], named["note"]) == ("", "SIMULATED MICE: this says nothing about real mice")
    assert colours == figures.class_colours(("AM", "JM", "AF", "JF"))


def test_a_channel_class_or_format_that_is_not_there_is_told(explained, params, tmp_path):
    with pytest.raises(ParamsError) as caught:
        paper_figure(explained, params, tmp_path / "a.svg", ["5x5/00"], ["XX"], "")
    assert caught.value.lines == (
        "--channel 5x5/00: expected one of 1x1/00 to 3x3/01, found another; correct it",
        "--class XX: expected one of AM, JM, AF, JF, found another; correct it",
    )
    with pytest.raises(OutputError) as told:
        paper_figure(explained, params, tmp_path / "a.jpg", [], [], "")
    assert str(told.value) == f"{tmp_path}/a.jpg: expected a name that ends in .png, .svg, .pdf, found .jpg; rename it"
    assert not list(tmp_path.iterdir())
