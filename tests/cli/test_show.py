"""Results are shown whole, as wide as there is room."""

import polars as pl
import pytest

from lmtcnn.cli import show
from lmtcnn.evaluate.metrics import paper_metrics
from study import small_params


def test_lines_for_people_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    show.say("a line")
    assert capsys.readouterr() == ("", "a line\n")


def test_a_small_table_is_shown_with_its_title_and_every_cell(capsys: pytest.CaptureFixture[str]) -> None:
    show.show_frame("samples by hour:", pl.DataFrame({"hour": [9, 21], "a[b]": [4, 5]}))
    out = capsys.readouterr().out
    assert out.startswith("samples by hour:\n")
    assert all(word in out for word in ("hour", "a[b]", "21", "5"))


@pytest.mark.parametrize("simulated", [True, False])
def test_metrics_stand_beside_the_papers_and_say_whose_mice_they_are(
    capsys: pytest.CaptureFixture[str], simulated: bool
) -> None:
    show.show_metrics({**paper_metrics(), "simulated": simulated}, small_params())
    out = capsys.readouterr().out
    row = next(line for line in out.splitlines() if "knn_accuracy" in line)
    assert row.count("0.620") == 2
    assert ("SIMULATED MICE" in out) == simulated
