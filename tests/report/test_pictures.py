"""Pictures lie inside the page."""

import base64
from pathlib import Path

import pytest

from lmtcnn.core.errors import DataError
from lmtcnn.report.pictures import picture, pictures


def test_a_picture_is_its_bytes_as_an_address(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    found = picture(tmp_path / "a.png", "what is seen")
    head, _, content = found.source.partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(content) == b"\x89PNG"
    assert found.words == "what is seen"


def test_a_missing_picture_names_the_stage_that_draws_it(tmp_path: Path) -> None:
    path = tmp_path / "data" / "explain" / "maps" / "1x1_00.png"
    with pytest.raises(DataError, match="expected a figure, found no file; run `lmtcnn explain` again"):
        picture(path, "")


def test_of_several_pictures_those_are_taken_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "b.png").write_bytes(b"\x89PNG")
    assert [each.words for each in pictures(tmp_path, {"a.png": "first", "b.png": "second"})] == ["second"]
