"""Figures are drawn once for the same content, whoever draws them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lmtcnn.figures import figures, gallery
from lmtcnn.figures.gallery import RECORD, Drawing, draw

CLASSES = ["a", "b"]


def drawing(name: str, n: int = 1) -> Drawing:
    return Drawing(f"{name}.png", figures.confusion_matrix, (np.eye(2, dtype=int) * n, CLASSES, name), {"note": ""})


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_only_what_has_changed_is_drawn_again(tmp_path: Path) -> None:
    assert draw(tmp_path, [drawing("one"), drawing("maps/two")]) == ["one.png", "maps/two.png"]
    first = content(tmp_path)
    assert draw(tmp_path, [drawing("one"), drawing("maps/two")]) == []
    assert content(tmp_path) == first
    assert draw(tmp_path, [drawing("one"), drawing("maps/two", 5)]) == ["maps/two.png"]
    changed = {name for name, data in content(tmp_path).items() if first[name] != data}
    assert changed == {RECORD, *(f"maps/two{end}" for end in figures.FORMATS)}


def test_figures_that_are_no_longer_asked_for_go_and_other_files_stay(tmp_path: Path) -> None:
    draw(tmp_path, [drawing("one"), drawing("two")])
    (tmp_path / "mine.txt").write_text("")
    draw(tmp_path, [drawing("one")])
    assert {path.stem for path in tmp_path.iterdir()} == {"one", "drawn", "mine"}


@pytest.mark.parametrize("harm", ["altered", "missing", "no record", "broken record"])
def test_a_figure_that_is_not_what_was_drawn_is_drawn_again(tmp_path: Path, harm: str) -> None:
    draw(tmp_path, [drawing("one")])
    whole = content(tmp_path)
    if harm == "altered":
        (tmp_path / "one.svg").write_text("<svg/>")
    elif harm == "missing":
        (tmp_path / "one.pdf").unlink()
    elif harm == "no record":
        (tmp_path / RECORD).unlink()
    else:
        (tmp_path / RECORD).write_text("{")
    assert draw(tmp_path, [drawing("one")]) == ["one.png"]
    assert content(tmp_path) == whole


def test_another_program_that_draws_draws_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw(tmp_path, [drawing("one")])
    monkeypatch.setattr(gallery, "_modules", lambda: "another version")
    assert draw(tmp_path, [drawing("one")]) == ["one.png"]


def test_a_figure_is_drawn_as_soon_as_it_is_there(tmp_path: Path) -> None:
    there = []

    def made() -> Iterator[Drawing]:
        yield drawing("one")
        there.append((tmp_path / "one.pdf").is_file())
        yield drawing("two")

    assert draw(tmp_path, made()) == ["one.png", "two.png"]
    assert there == [True]
