"""Results are shown whole, as wide as there is room."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from conftest import Scene, cells, still
from lmtcnn.cli import show
from lmtcnn.cohort.cohort import Cohort
from lmtcnn.evaluate.metrics import paper_metrics
from lmtcnn.register import lookup
from study import small_params


def test_lines_for_people_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    show.say("a line")
    assert capsys.readouterr() == ("", "a line\n")


@pytest.mark.parametrize("simulated", [True, False])
def test_metrics_stand_beside_the_papers_and_say_whose_mice_they_are(
    capsys: pytest.CaptureFixture[str], simulated: bool
) -> None:
    show.show_metrics({**paper_metrics(), "simulated": simulated}, small_params())
    out = capsys.readouterr().out
    row = next(line for line in out.splitlines() if "knn_accuracy" in line)
    assert row.count("0.620") == 2
    assert ("SIMULATED MICE" in out) == simulated


def test_metrics_have_their_interval_and_p_where_there_are_any(capsys: pytest.CaptureFixture[str]) -> None:
    sure = {
        "accuracy_low": 0.651,
        "accuracy_high": 0.809,
        "p_knn_sex": 0.25,
        "p_knn_joint": 0.001,
        "p_network_joint": 0.01,
    }
    show.show_metrics({**paper_metrics(), **sure, "simulated": False}, small_params())
    rows = {row[0]: row for row in cells(capsys.readouterr().out)}
    assert rows["held-out cages"] == ["held-out cages", "here", "95 % interval", "p", "paper"]
    assert rows["accuracy"] == ["accuracy", "0.771", "0.651 to 0.809", "0.0100", "0.771"]
    assert rows["knn_accuracy"] == ["knn_accuracy", "0.620", "", "0.0010", "0.620"]


def test_cohort_check_gives_a_verdict_and_what_is_odd(run, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "simulate"
    folder.mkdir(parents=True)
    rows = ["recording,rfid,cage,sex,age"]
    for name, cage, sex, age in (("a", "1", "M", "adult"), ("b", "2", "F", "juvenile")):
        Scene(still(1, 300), n_frames=300, animals={1: name}).write(folder / f"{name}.sqlite")
        rows.append(f"{name},{name},{cage},{sex},{age}")
    (folder / "cohort.csv").write_text("\n".join(rows))
    code, out, lines = run("cohort", "check")
    assert code == 0
    assert [row for row in cells(out) if len(row) == 6 and "━" not in row[0]] == [
        ["hour", "timezone", "AM", "JM", "AF", "JF"],
        ["22", "UTC", "1", "0", "0", "1"],
    ]
    assert out.endswith(
        "2 recordings, 2 samples (1 AM, 1 JF), 2 cages: not usable for sex and age, see the warnings above\n"
    )
    assert lines[0] == "warning: class JM: no sample"
    assert lines[-1] == "warning: b: 9.967 s long, 0.692 % of the 1440 s that are counted: left out of training"


def test_that_mice_are_simulated_is_said_in_one_line_above_the_metrics(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from lmtcnn.cli import show

    monkeypatch.setattr("lmtcnn.evaluate.metrics.compare", lambda metrics, classes: [])
    for simulated in (True, False):
        show.show_metrics({"simulated": simulated}, SimpleNamespace(classes=("A",)))  # type: ignore[arg-type]
        first = capsys.readouterr().out.splitlines()[0]
        assert (first == "SIMULATED MICE: this says nothing about real mice") is simulated


@pytest.mark.parametrize("classes", [("AM", "JM", "AF", "JF"), ("wt_saline", "wt_drug", "ko_saline", "ko_drug")])
def test_predictions_in_a_narrow_terminal_keep_who_is_who(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, classes: tuple[str, ...]
) -> None:
    from lmtcnn.predictions import predict, prediction

    found = [
        prediction.Prediction(
            name,
            i,
            f"90000000500010{i}",
            classes[0],
            0.85,
            dict(zip(classes, (0.85, 0.05, 0.04, 0.06), strict=True)),
            [classes[0]],
            0.1,
            1.0,
            [],
        )
        for name in ("Box 1, 5 weeks", "Box 1, 12 weeks")
        for i in (1, 2)
    ]
    bundle = SimpleNamespace(definitions=None, classes=classes, meta={}, digest=None)
    monkeypatch.setattr(predict, "predict", lambda *a, **k: (found, []))
    monkeypatch.setattr("lmtcnn.register.lookup.resolve", lambda model: lookup.Resolved(tmp_path, "x", None))
    monkeypatch.setattr("lmtcnn.bundle.bundle.read", lambda folder: bundle)
    monkeypatch.setattr("lmtcnn.predictions.labelled.find", lambda *a: Cohort((), ()))
    wide = run("predict", "x.sqlite")[1]
    who = ["1", "900000005000101", classes[0]]
    numbers = ["0.85", "0.05", "0.04", "0.06", classes[0]]
    assert cells(wide).count(["Box 1, 5 weeks", *who, "0.85", *numbers]) == 1
    monkeypatch.setenv("COLUMNS", "80")
    narrow = run("predict", "x.sqlite")[1]
    assert max(map(len, narrow.splitlines())) <= 80
    assert cells(narrow).count([*who, *numbers]) == 2
    assert [line for line in narrow.splitlines() if line.startswith("Box")] == ["Box 1, 5 weeks", "Box 1, 12 weeks"]
