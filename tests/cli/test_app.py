"""What all commands share: one line a problem, exit code 2, no traceback, no write to recordings."""

import subprocess
import sys
from pathlib import Path

import pytest

from conftest import Scene, still


def test_a_missing_parameter_file_is_one_line(run) -> None:
    assert run("stops", "--params", "other.yaml") == (
        2,
        "",
        [
            "error: other.yaml: expected a parameter file, found none; "
            "run in a study's folder, begin one with `lmtcnn init`, or name a file with --params"
        ],
    )


def test_every_wrong_parameter_is_a_line_of_its_own(run, tmp_path: Path) -> None:
    text = (tmp_path / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text.replace("fps: 30 ", "fsp: 30 ").replace("tiles: 30 ", "tiles: many "))
    code, out, lines = run("stops")
    assert (code, out) == (2, "")
    assert lines == [
        "error: params.yaml: stops.fps: expected a value, found none; add the key",
        "error: params.yaml: stops.fsp: expected a known key, found an unknown one; remove it or correct its spelling",
        "error: params.yaml: histograms.tiles: expected a valid integer, found 'many'; correct the value",
    ]


def test_the_help_of_inspect_has_an_example(run) -> None:
    code, out, _ = run("inspect", "--help")
    assert code == 0
    assert "Example: lmtcnn inspect recording.sqlite" in " ".join(out.split())


def test_an_output_that_cannot_be_written_is_one_line(run, tmp_path: Path) -> None:
    Scene(still(1, 300), n_frames=300).write(tmp_path / "one.sqlite")
    (tmp_path / "file").write_text("")
    assert run("stops", "one.sqlite", "--out", "file/found") == (
        2,
        "",
        [
            "error: file/found: expected a place that can be written, found a file in place of a folder; "
            "choose another or change its permissions"
        ],
    )


@pytest.mark.parametrize(
    "command",
    [
        *("simulate", "stops", "histograms", "train", "evaluate", "explain"),
        *("register", "registry", "promote", "report", "track", "predict"),
    ],
)
def test_every_commands_help_has_an_example(run, command: str) -> None:
    code, out, _ = run(command, "--help")
    assert code == 0
    assert f"Example: lmtcnn {command}" in " ".join(out.split())


@pytest.mark.parametrize(
    "arguments",
    [
        *(("stops", "nope.sqlite"), ("stops", "bad.sqlite", "--out", "new/stops"), ("stops",), ("histograms",)),
        *(("inspect", "bad.sqlite"), ("inspect", "bad.sqlite", "--json"), ("plot", "bad.sqlite", "--out", "new")),
        *(("train",), ("train", "--fold", "cage01"), ("evaluate",), ("explain",), ("register",), ("track",)),
        *(("maps", "new/a.pdf"), ("report",), ("export",), ("export", "--out", "new/tables"), ("cohort", "check")),
        *(("cohort", "init", "bad.sqlite"), ("explain", "one", "1", "--out", "new"), ("predict", "bad.sqlite")),
        ("simulate", "--stops-only", "--out", "here"),
    ],
    ids=" ".join,
)
def test_a_command_that_read_nothing_leaves_nothing(run, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "bad.sqlite").write_text("no database")
    (tmp_path / "here").write_text("a file in the place of a folder")
    before = sorted(tmp_path.rglob("*"))
    code, out, lines = run(*arguments)
    assert (code, out) == (2, "")
    assert all(line.startswith("error: ") for line in lines)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch, run) -> None:
    def broken(path: Path, *, needs_file: bool) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("lmtcnn.core.params.load", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        run("stops")


@pytest.mark.parametrize(
    "work",
    [
        "HERE",
        "try: HERE\n    except SystemExit as end: raise ImportError('of a library') from end",
        "import threading; threading._register_atexit(lambda: HERE); HERE",
    ],
    ids=["in a command", "made another error by a library", "and again while the interpreter ends"],
)
def test_a_signal_to_end_is_one_line_and_no_traceback(work: str) -> None:
    told = work.replace("HERE", "signal.raise_signal(signal.SIGTERM)")
    code = f"import signal, sys\nfrom lmtcnn import cli\n@cli.app.command()\ndef ended():\n    {told}\n"
    code += "sys.argv = ['lmtcnn', 'ended']\ncli.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    said = "stopped: what is written is whole; run the command again for the rest\n"
    assert (done.returncode, done.stderr) == (143, said)
