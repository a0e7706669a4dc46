"""Inspections in a terminal of any width, and as JSON."""

import json
from pathlib import Path

import pytest

from conftest import Scene, cells, change_params, still


def test_inspect_shows_the_good_and_tells_the_bad_in_one_line(run, tmp_path: Path) -> None:
    rows = still(1, 300) + still(1, 120, x=250, animal=None)
    path = Scene(rows, n_frames=300).write(tmp_path / "a[b] :mouse:.sqlite")
    (tmp_path / "bad.sqlite").write_bytes(b"")
    code, out, lines = run("inspect", "bad.sqlite", path.name)
    assert code == 2
    assert lines == ["error: bad.sqlite: expected an LMT database, found an empty file (0 bytes); copy it again"]
    shown = cells(out)
    for row in (
        ["a[b] :mouse:", "warn"],
        ["file", "a[b] :mouse:.sqlite"],
        ["", f"{path.stat().st_size / 1e6:.1f} MB"],
        ["time", "9.967 s from 2023-11-14T22:13:20.000+00:00, 0 s paused"],
        ["frames", "300, 0 missing (0.00%), 1 segment, 30.00 frames/s by TIMESTAMP"],
        ["indexes", "detectionFastLoadXYIndex (covering)"],
        ["tools", "none logged"],
        ["sensors", "TEMPERATURE: not fitted"],
        ["", "NUMPARTICLE: 1 to 1, mean 1"],
        ["animal 1", "RFID 001"],
        ["1", "300", "100.0%", "1", "1", "1", "9.8 s", "0", "0", "0 / 0", "0 / 0 / 0"],
    ):
        assert row in shown
    verdicts = [row[:6] for row in shown]
    assert ["anonymous detections", "", "120", "420", "28.57%", "warn"] in verdicts
    assert ["temperature, lowest", "", "0", "300", "", "not fitted"] in verdicts
    assert "known, stops, stopped" not in out


def test_inspect_shows_hours_where_they_are_asked_for(run, tmp_path: Path) -> None:
    rows = still(1, 900) + still(1, 300, x=300, animal=2)
    Scene(rows, n_frames=900, animals={1: "a", 2: "b"}).write(tmp_path / "one.sqlite")
    code, out, _ = run("inspect", "one.sqlite", "--hours")
    assert code == 0
    header = ["from (x 20 s)", "clock", "frames missing", "anonymous"]
    assert [*header, "1: known, stops, stopped", "2: known, stops, stopped"] in cells(out)
    assert ["0", "22:13+00:00 night", "0 of 600", "0.0%", "100%, 1, 30 s", "50%, 1, 10 s"] in cells(out)
    assert ["1", "22:13+00:00 night", "0 of 300", "0.0%", "100%, 0, 0 s", "0%, 0, 0 s"] in cells(out)


def test_several_recordings_begin_with_a_line_each_and_fit_80_columns(run, tmp_path: Path) -> None:
    """One name is too long for a line; one recording is damaged."""
    change_params(tmp_path, ("timezone: UTC ", "timezone: Europe/Paris "))
    long = "box 7, cage 12, second cohort of the winter, recorded once more at 12 weeks of age"
    Scene(still(1, 300), n_frames=300).write(tmp_path / "a[b].sqlite")
    rows = [row for animal in range(1, 6) for row in still(1, 250 if animal == 5 else 1800, animal=animal)]
    Scene(rows, n_frames=1800, animals={i: f"00{i}" for i in range(1, 6)}).write(tmp_path / f"{long}.sqlite")
    (tmp_path / "bad.sqlite").write_bytes(b"")
    code, out, lines = run("inspect", ".", "--hours")
    assert (code, len(lines)) == (2, 1)
    shown = out.splitlines()
    assert shown[:2] == [
        "a[b]                            2023-11-14T23:13+01:00  9.967 s  1 animal   ok",
        "box 7, cage 12…12 weeks of age  2023-11-14T23:13+01:00  59.97 s  5 animals  fail",
    ]
    assert shown[2].startswith("┏")
    assert max(map(len, shown)) <= 80
    assert out.count("flicker: frames in which") == 1  # what was told of one recording is not told again
    assert ["0", "23:13+01:00 night", "0 of 600", "0.0%"] in cells(out)
    assert ["0", "42%, 1, 8 s"] in cells(out)


@pytest.mark.parametrize("columns", [80, 100])
def test_inspect_of_one_recording_fits_the_terminal(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    """All that stands in 160 columns is there, some of it below."""
    monkeypatch.setenv("COLUMNS", str(columns))
    Scene(still(1, 900) + still(1, 300, x=300, animal=2), n_frames=900, animals={1: "a", 2: "b"}).write(
        tmp_path / "one.sqlite"
    )
    code, out, _ = run("inspect", "one.sqlite", "--hours")
    assert code == 0
    assert max(map(len, out.splitlines())) <= columns
    for row in (
        ["detections", "900", "300"],
        ["known", "100.0%", "33.3%"],
        ["at 0 / invalid / untimed", "0 / 0 / 0", "0 / 0 / 0"],
        ["0", "22:13+00:00 night", "0 of 600", "0.0%"],
        ["0", "100%, 1, 30 s", "50%, 1, 10 s"],
    ):
        assert row in cells(out)
    assert ["detection", "2", "300", "900", "33.33%", "fail"] in cells(out)
    words = "flicker: frames in which the animal's centre hops to and fro without leading anywhere"
    assert words in " ".join(out.split())


def test_inspect_tells_flicker_and_what_bridging_it_would_change(run, tmp_path: Path) -> None:
    """198 frames of 1,800; the hop is of 6 cm."""
    rows = [(f, 1, 200.0 + 34 * (751 <= f <= 948 and (f - 751) % 4 < 2), 150.0) for f in range(1, 1801)]
    Scene(rows, n_frames=1800).write(tmp_path / "one.sqlite")
    _, out, _ = run("inspect", "one.sqlite", "--hours")
    assert [
        "flicker",
        "animal 1: 198 frames (11.0%); not bridged: 2 stops, 53 s; bridged up to 9000 frames: 1 stop, 59.8 s",
    ] in cells(out)
    assert ["1", "22:13+00:00 night", "0 of 600", "0.0%", "100%, 1, 28 s, 33.0% flicker"] in cells(out)
    assert ["flicker", "1", "198", "1800", "11.00%", "warn"] in [row[:6] for row in cells(out)]


def test_inspect_as_json_is_one_document_and_findings_are_no_error(run, tmp_path: Path) -> None:
    Scene(still(1, 100), n_frames=300).write(tmp_path / "one.sqlite")
    code, out, lines = run("inspect", "one.sqlite", "--json")
    assert (code, lines) == (0, [])
    (found,) = json.loads(out)
    assert (found["recording"], found["verdict"], found["animals"][0]["rfid"]) == ("one", "fail", "001")
    assert run("inspect", "none.sqlite", "--json") == (
        2,
        "",
        ["error: none.sqlite: expected an LMT database, found no file; check the path"],
    )
