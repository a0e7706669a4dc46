"""Chosen channels and classes as a figure for a paper."""

import numpy as np
import polars as pl
import pytest

from lmtcnn.core.errors import OutputError, ParamsError
from lmtcnn.explain import paper as module
from lmtcnn.explain.explain import explain
from lmtcnn.explain.paper import paper_figure
from lmtcnn.figures import figures
from study import small_params, write_study

CURVES = pl.DataFrame({"epoch": [1], **{f"{part}_{quantity}{end}": [0.5] for part in ("train", "test")
                       for quantity in ("loss", "accuracy") for end in ("", "_sd")}})  # fmt: skip


@pytest.fixture(scope="module")
def params():
    return small_params()


@pytest.fixture(scope="module")
def explained(tmp_path_factory, params):
    """A study's folder after the stage `explain`."""
    data = tmp_path_factory.mktemp("explained")
    write_study(data, params, simulated=True)
    explain(data, params)
    return data


def test_a_paper_shows_the_channels_and_classes_asked_for_in_one_file(explained, params, tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(module.paper, "paper_maps", lambda *a, **k: given.append((a, k)) or figures.curves(CURVES, ""))
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
