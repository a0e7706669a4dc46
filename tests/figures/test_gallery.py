"""Figures are drawn once for the same content, whoever draws them and in however many processes."""

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
    assert draw(tmp_path, [drawing("one"), drawing("maps/two")], 1) == ["one.png", "maps/two.png"]
    first = content(tmp_path)
    assert draw(tmp_path, [drawing("one"), drawing("maps/two")], 1) == []
    assert content(tmp_path) == first
    assert draw(tmp_path, [drawing("one"), drawing("maps/two", 5)], 1) == ["maps/two.png"]
    changed = {name for name, data in content(tmp_path).items() if first[name] != data}
    assert changed == {RECORD, *(f"maps/two{end}" for end in figures.FORMATS)}


def test_figures_that_are_no_longer_asked_for_go_and_other_files_stay(tmp_path: Path) -> None:
    draw(tmp_path, [drawing("one"), drawing("two")], 1)
    (tmp_path / "mine.txt").write_text("")
    draw(tmp_path, [drawing("one")], 1)
    assert {path.stem for path in tmp_path.iterdir()} == {"one", "drawn", "mine"}


@pytest.mark.parametrize("harm", ["altered", "missing", "no record", "broken record"])
def test_a_figure_that_is_not_what_was_drawn_is_drawn_again(tmp_path: Path, harm: str) -> None:
    draw(tmp_path, [drawing("one")], 1)
    whole = content(tmp_path)
    if harm == "altered":
        (tmp_path / "one.svg").write_text("<svg/>")
    elif harm == "missing":
        (tmp_path / "one.pdf").unlink()
    elif harm == "no record":
        (tmp_path / RECORD).unlink()
    else:
        (tmp_path / RECORD).write_text("{")
    assert draw(tmp_path, [drawing("one")], 1) == ["one.png"]
    assert content(tmp_path) == whole


def test_another_program_that_draws_draws_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw(tmp_path, [drawing("one")], 1)
    monkeypatch.setattr(gallery, "_modules", lambda: "another version")
    assert draw(tmp_path, [drawing("one")], 1) == ["one.png"]


def test_two_processes_draw_the_same_bytes_as_one_wherever_they_were_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawings = [drawing(str(n), n) for n in range(3)]
    draw(tmp_path / "one", drawings, 1)
    monkeypatch.setattr(gallery, "FEW", 1)
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        monkeypatch.chdir(tmp_path / place)
        assert draw(Path("drawn"), drawings, 2) == [d.name for d in drawings]
        assert content(tmp_path / place / "drawn") == content(tmp_path / "one")
