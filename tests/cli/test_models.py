"""Commands on models."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from conftest import Scene, still
from lmtcnn.cohort.cohort import Cohort
from lmtcnn.register import lookup


def test_without_a_champion_predict_says_what_to_do(run, tmp_path: Path) -> None:
    code, out, lines = run("predict", "one.sqlite")
    assert (code, out) == (2, "")
    assert lines[-1] == (
        "error: model lmtcnn: expected the alias champion in the registry, or a bundle in data/register, "
        "found no champion; run `dvc repro` first, or name a model with --model"
    )
    assert not (tmp_path / "mlflow.db").exists()


def test_an_unknown_ending_of_out_is_told_before_any_work(run) -> None:
    assert run("predict", "one.sqlite", "--out", "table.xlsx") == (
        2,
        "",
        ["error: table.xlsx: expected a name that ends in .csv, .parquet, .json, found .xlsx; rename it"],
    )


FAKE = SimpleNamespace(definitions=None, classes=("A",), meta={}, digest=None)
"""In place of a bundle."""


def test_a_prediction_of_nothing_shows_no_table(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lmtcnn.core.errors import DataError
    from lmtcnn.predictions import predict

    monkeypatch.setattr(predict, "predict", lambda *a, **k: ([], [DataError("x: too short")]))
    monkeypatch.setattr("lmtcnn.register.lookup.resolve", lambda model: lookup.Resolved(tmp_path, "x", None))
    monkeypatch.setattr("lmtcnn.bundle.bundle.read", lambda folder: FAKE)
    monkeypatch.setattr("lmtcnn.predictions.labelled.find", lambda *a: Cohort((), ()))
    for more in ([], ["--json"], ["--out", "new/a.csv"]):
        assert run("predict", "x.sqlite", *more) == (2, "", ["error: x: too short"])
    assert not (tmp_path / "new").exists()


def test_the_registry_is_shown_as_a_table_or_as_json_and_promoted_to_and_fro(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import study

    registered = study.registered()  # first: making it may warn of its training
    assert run("registry") == (0, "", ["no version is registered: run `dvc repro` first"])
    assert run("registry", "--json") == (0, '{\n  "versions": [],\n  "history": []\n}\n', [])
    study.enter(registered, monkeypatch, tmp_path / "copy")
    monkeypatch.setenv("COLUMNS", "80")
    narrow = run("registry")[1]
    assert max(map(len, narrow.splitlines())) <= 80
    assert "…" not in narrow
    assert "version 1: simulated mice; there was no champion" in narrow
    monkeypatch.delenv("COLUMNS")
    code, out, lines = run("registry")
    assert (code, lines) == (0, [])
    assert "champion" in out
    assert "reference" in out
    assert "version 1," in out
    assert "there was no champion" in out.splitlines()[-1]
    assert json.loads(run("registry", "--json")[1])["versions"][0]["aliases"] == ["champion"]
    moved = ["warning: mlflow.db was moved or copied here: its artifacts are now looked for in mlruns"]
    assert run("promote", "1") == (0, "lmtcnn version 1 is champion already\n", moved)
    assert run("promote", "9")[2] == [
        "error: lmtcnn promote 9: expected a version of lmtcnn, found no version 9; choose from versions 1"
    ]
    one_line = "error: lmtcnn promote: expected a version's number or --back, found {}; name one of them"
    assert run("promote") == (2, "", [one_line.format("neither")])
    assert run("promote", "1", "--back") == (2, "", [one_line.format("1 --back")])


def test_json_is_one_document_on_stdout(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lmtcnn.predictions import predict

    monkeypatch.setattr(predict, "predict", lambda *a, **k: ([], []))
    monkeypatch.setattr("lmtcnn.register.lookup.resolve", lambda model: lookup.Resolved(tmp_path, "x", None))
    monkeypatch.setattr("lmtcnn.bundle.bundle.read", lambda folder: FAKE)
    monkeypatch.setattr("lmtcnn.predictions.labelled.find", lambda *a: Cohort((), ()))
    code, out, _ = run("predict", "x.sqlite", "--json")
    assert (code, json.loads(out)) == (0, [])


def test_track_without_a_study_is_one_line(run) -> None:
    assert run("track")[::2] == (
        2,
        ["error: data/histograms/stacks.npy: expected the histograms of a study, found no file; run `dvc repro` first"],
    )


def test_a_prediction_by_a_model_s_folder_needs_no_study(
    run, tmp_path: Path, trained: Path, tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lmtcnn.bundle import bundle

    bundle.write(bundle.build(trained, tiny), tmp_path / "model")
    Scene(still(1, 601), n_frames=601).write(tmp_path / "new.sqlite")
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    code, out, lines = run("predict", "../new.sqlite", "--model", "../model", "--json")
    assert (code, [line for line in lines if line.startswith("error")]) == (0, [])
    assert [(each["recording"], each["rfid"]) for each in json.loads(out)] == [("new", "001")]
    assert list(empty.iterdir()) == []


def test_predict_says_what_it_wrote_and_leaves_nothing_where_nothing_was_told(
    run, tmp_path: Path, trained: Path, tiny
) -> None:
    from lmtcnn.bundle import bundle

    bundle.write(bundle.build(trained, tiny), tmp_path / "model")
    Scene(still(1, 601), n_frames=601).write(tmp_path / "new.sqlite")
    (tmp_path / "bad.sqlite").write_text("no database")
    there = sorted(path.name for path in tmp_path.iterdir())
    asked = ("--model", "model", "--out", "told/table.csv", "--explain", "told/why")
    code, out, lines = run("predict", "bad.sqlite", *asked)
    assert (code, out, len(lines)) == (2, "", 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == there
    assert run("predict", "bad.sqlite", "--model", "model", "--json")[:2] == (2, "")
    code, _, lines = run("predict", "new.sqlite", *asked)
    assert (code, lines[-2:]) == (0, ["1 animal: told/table.csv", "why each of 1 animal is told so: told/why"])
    assert (tmp_path / "told" / "table.csv").is_file()
    assert any((tmp_path / "told" / "why").iterdir())
