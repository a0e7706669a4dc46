"""Commands on a study."""

import json
from pathlib import Path

import polars as pl
import pytest

import study
from lmtcnn.core.schemas import predictions_table
from lmtcnn.core.sections import dump
from lmtcnn.tracking import tracking


def test_a_stage_before_its_time_says_what_to_run_first(run) -> None:
    assert run("train")[2] == ["error: data/histograms/histograms.json: expected the histograms, found no file; "
                               "run `lmtcnn histograms` first"]  # fmt: skip


def test_two_studies_are_compared_by_folder_or_by_run_and_what_cannot_be_is_one_line(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another training of the same samples; one of other samples; the study itself; one whose cages are others."""
    params = study.small_params()
    study.project(tmp_path / "project", monkeypatch)
    study.copy(study.prepared())
    Path("params.yaml").write_text(json.dumps(dump(params)))  # JSON is YAML
    run_id = tracking.log_train(Path("data"), params)
    table = predictions_table(tuple(params.classes))
    ours = table.read(Path("data/train/predictions.parquet"))
    wrong = ours.with_columns(predicted=pl.lit("AM"))
    table.write(wrong, Path("there/train/predictions.parquet"))
    code, out, lines = run("evaluate", "--against", "there")
    assert (code, out, len(lines)) == (0, "", 2)
    right = (ours["class"] == ours["predicted"]).mean()
    assert lines[0].startswith(f"accuracy {right:.3f} here, {(wrong['class'] == 'AM').mean():.3f} there, on ")
    table.write(ours, Path("there/train/predictions.parquet"))
    same = "expected other predictions than this study's, found the very same ones"
    for other in ("data", "there", run_id):  # read from a folder and from a run
        code, out, lines = run("evaluate", "--against", other)
        assert (code, out) == (2, "")
        assert lines[-1].startswith(f"error: {other}: {same}; ")
    for changed, said in (
        ({"recording": pl.col("recording") + "x"}, "samples of this study, found none of them"),
        ({"cage": pl.lit("other")}, "expected cage "),
    ):
        table.write(ours.with_columns(**changed), Path("there/train/predictions.parquet"))
        code, out, lines = run("evaluate", "--against", "there")
        assert (code, out, len(lines)) == (2, "", 1)
        assert said in lines[0]
    Path("empty").mkdir()
    assert "the out-of-fold predictions of another study, found no file" in run("evaluate", "--against", "empty")[2][-1]
    assert "in MLflow's store, found neither" in run("evaluate", "--against", "nowhere")[2][-1]
