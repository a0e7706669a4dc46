"""Bars of progress are shown on a terminal and nowhere else."""

import io
import sys
from pathlib import Path

import pytest

from conftest import Scene, still
from lmtcnn.cli.progress import progress_of, reading


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_nothing_is_shown_where_stderr_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_of("train") as told:
        told(1, 2)
    with reading("stops") as counted:
        assert counted is None  # so that nothing is counted for it
    assert capsys.readouterr() == ("", "")


def test_a_terminal_sees_how_much_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress_of("train") as told:
        told(3, 7)
    assert "train" in terminal.getvalue()
    with reading("stops") as counted:
        assert counted is not None
        counted(500_000, 2_000_000)
    assert "stops" in terminal.getvalue()


def test_progress_is_silent_where_stderr_is_no_terminal(run, tmp_path: Path) -> None:
    Scene(still(1, 300), n_frames=300).write(tmp_path / "one.sqlite")
    assert len(run("stops", "one.sqlite", "--out", "found")[2]) == 1
