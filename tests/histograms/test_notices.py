"""What a reader should know of the recordings and the parameters: told once, in words, for the page and the runs."""

import pytest

from lmtcnn.histograms.notices import beware, markdown, notices, tags, tracking_rows
from study import ODD, small_params


def test_each_kind_has_its_title_and_whom_it_is_about() -> None:
    assert [(n.key, n.about) for n in notices(ODD)] == [
        ("left_out", (("c9_adult", "animal 2: detection 33.3 %; 36 h long, 50 % of the 72 h that are counted"),)),
        ("warned", (("c1_adult", "TIMESTAMP jumps 2 steps"),)),
        ("excluded", (("c2_adult, c23", ""),)),
        ("unlisted", (("c1_adult", "c1x; animal 9"),)),
        ("never_detected", (("c1_adult", "RFID_D"),)),
    ]
    assert notices({"left_out": {}, "warned": {}}) == []


def test_a_recording_that_was_kept_though_it_fails_is_told() -> None:
    kept = {**ODD, "left_out": {}, "kept": ODD["left_out"]}
    (first, *_) = notices(kept)
    assert (first.key, first.title) == ("kept", "Kept, though they fail a check (quality.on_fail: keep)")


def test_verdicts_are_told_by_class() -> None:
    assert tracking_rows(ODD)[:2] == [["AM", "2", "1", "0", "87.5%"], ["JM", "3", "1", "1", "87.5%"]]
    nobody = {"tracking": {"AM": {"ok": 0, "warn": 0, "fail": 0, "detected": None}}}
    assert tracking_rows(nobody) == [["AM", "0", "0", "0", ""]]


def test_tags_say_how_many_and_which() -> None:
    assert tags(ODD) == {
        "lmtcnn.left_out": "1: c9_adult",
        "lmtcnn.warned": "1: c1_adult",
        "lmtcnn.excluded": "1: c2_adult, c23",
        "lmtcnn.unlisted": "1: c1_adult",
        "lmtcnn.never_detected": "1: c1_adult",
    }


@pytest.mark.parametrize(("limit", "lines"), [(None, 40), (3, 4)])
def test_a_long_list_is_cut_in_a_note_and_whole_in_its_file(limit: int | None, lines: int) -> None:
    many = {**ODD, "warned": {f"r{i:02}": "frame rate 29 frames/s" for i in range(40)}}
    text = markdown(many, small_params(), limit)
    shown = text.split("To be looked at:\n\n")[1].split("\n\n")[0].splitlines()
    assert len(shown) == lines
    assert shown[0] == "- r00: frame rate 29 frames/s"
    assert (shown[-1] == "- and 37 more: cohort/notices.md") == (limit == 3)


def test_what_is_counted_and_what_looks_forgotten_stand_in_the_text() -> None:
    params = small_params(histograms__interval_s=3600, histograms__window=[0, 1], cohort__databases="raw")
    (doubt,) = params.doubts
    assert beware(ODD, params) == ["the hour tells the age", doubt]
    text = markdown(ODD, params)
    assert text.startswith("Counted: intervals 0 to 0 of 3 (the first 1 h).\n\n**Beware:** the hour tells the age.\n")
    assert f"**Beware:** {doubt}.\n" in text
    assert "| AM | 2 | 1 | 0 | 87.5% |" in text
