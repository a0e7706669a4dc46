"""Recordings that are trained on, and what is said of the others."""

from dataclasses import replace

import polars as pl

from conftest import told
from lmtcnn.core.errors import DataError
from lmtcnn.core.files import read_json
from lmtcnn.core.schemas import QUALITY
from lmtcnn.histograms.record import load
from stacks import SHORT, Study


def spoil(study: Study, name: str) -> None:
    """Make a recording fail a check."""
    path = study.stops_folder / "quality.parquet"
    mine = pl.col("recording") == name
    columns = {"verdict": "fail", "failed": "animal 2: detection 33.3 %"}
    spoilt = [pl.when(mine).then(pl.lit(value)).otherwise(pl.col(key)).alias(key) for key, value in columns.items()]
    QUALITY.write(QUALITY.read(path).with_columns(spoilt), path)
    study.seal()


def test_a_recording_that_fails_a_check_is_left_out_and_it_is_said(study: Study, caplog) -> None:
    study.one_cage()
    spoil(study, "r1")
    assert study.run()["recording"].to_list() == ["r2", "r2"]
    assert load(study.folder, study.params)[0].shape[0] == 2
    reason = "animal 2: detection 33.3 %"
    assert caplog.messages[0] == f"r1: left out of training: {reason} (quality.on_fail: keep would keep it)"
    assert read_json(study.folder / "histograms.json", "", "")["left_out"] == {"r1": reason}


def test_a_recording_that_fails_a_check_may_be_kept(study: Study, caplog) -> None:
    spoil(study, "r1")
    assert study.run(study.keeping)["recording"].to_list() == ["r1"] * 2 + ["r2"] * 2
    assert caplog.messages[0] == "r1: kept, though it fails: animal 2: detection 33.3 %"
    assert read_json(study.folder / "histograms.json", "", "")["left_out"] == {}


def test_a_study_of_which_nothing_is_left_is_told(study: Study) -> None:
    spoil(study, "r1")
    spoil(study, "r2")
    assert told(DataError, study.run) == (
        "quality: expected a recording that fails no check, found 2 that do, as r1: animal 2: detection 33.3 %; look "
        "at histograms.intervals, data/stops/quality.parquet and the limits in params.yaml's section quality",
    )


def test_where_one_cage_is_left_it_is_said_why(study: Study) -> None:
    spoil(study, "r1")
    assert told(DataError, study.run) == (
        "quality: expected recordings of two cages or more that fail no check, found only c2 when those that fail are "
        "left out: r1; look at them with `lmtcnn inspect`, or keep them with quality.on_fail: keep",
    )


def test_a_recording_that_is_short_is_left_out_as_predict_refuses_it(study: Study, caplog) -> None:
    """The same share decides, and the same words tell it."""
    study.one_cage()
    study.last(r1=26.9, r2=27.0)
    assert study.run()["recording"].to_list() == ["r2", "r2"]
    assert caplog.messages == [f"r1: left out of training: {SHORT} (quality.on_fail: keep would keep it)"]
    assert read_json(study.folder / "histograms.json", "", "")["left_out"] == {"r1": SHORT}
    half = study.params.quality.model_copy(update={"least_share": 0.5})
    assert study.run(study.params.model_copy(update={"quality": half})).height == 4


def test_a_recording_that_is_short_and_fails_is_told_with_both(study: Study) -> None:
    study.one_cage()
    study.last(r1=15.0, r2=30.0)
    spoil(study, "r1")
    study.run()
    assert read_json(study.folder / "histograms.json", "", "")["left_out"] == {
        "r1": "animal 2: detection 33.3 %; 15 s long, 50 % of the 30 s that are counted"
    }


def test_what_is_odd_about_the_recordings_is_written_for_the_page_and_the_run(study: Study, caplog) -> None:
    path = study.stops_folder / "quality.parquet"
    changes = {"verdict": "warn", "warned": "TIMESTAMP jumps 2 steps", "unlisted": "r1c; animal 7", "n_detected": 75}
    table = QUALITY.read(path).with_columns(n_unpaused=100, n_detected=100)
    mine = [pl.when(recording="r1").then(pl.lit(value)).otherwise(key).alias(key) for key, value in changes.items()]
    QUALITY.write(table.with_columns(mine).cast(dict(QUALITY.columns)), path)
    study.seal()
    study.last(r2=60.0)
    study.run()
    made = read_json(study.folder / "histograms.json", "", "")
    long = "60 s long, T = 3 intervals are 30 s: the rest is left out"
    assert made["warned"] == {"r1": "TIMESTAMP jumps 2 steps", "r2": long}
    assert made["unlisted"] == {"r1": "r1c; animal 7"}
    assert made["tracking"]["AM"] == {"ok": 2, "warn": 2, "fail": 0, "detected": 0.875}
    assert made["tracking"]["JF"] == {"ok": 0, "warn": 0, "fail": 0, "detected": None}
    assert caplog.messages == ["to be looked at, the report says why: r1, r2"]


def test_a_class_of_which_no_sample_is_left_is_told(study: Study, caplog) -> None:
    study.one_cage()
    for rfid, sample in study.recordings[1].samples.items():
        study.recordings[1].samples[rfid] = replace(sample, class_name="AF")
    study.last(r2=15.0)
    study.run()
    assert caplog.messages[1] == "class AF: no sample is left when recordings that fail are left out"
