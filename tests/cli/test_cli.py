"""The command line: one line a problem, exit code 2, no traceback, the rest of the batch done."""

import contextlib
import json
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from conftest import OWN_RECORDINGS, Scene, change_params, mounted_read_only, still


def test_a_missing_parameter_file_is_one_line(run) -> None:
    assert run("stops", "--params", "other.yaml") == (
        2,
        "",
        [
            "error: other.yaml: expected a parameter file, found none; "
            "run in the project's folder, or name one with --params"
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


def test_a_bad_database_among_good_ones_is_told_and_the_others_are_done(run, tmp_path: Path) -> None:
    Scene(still(1, 300), n_frames=300).write(tmp_path / "good.sqlite")
    (tmp_path / "bad.sqlite").write_bytes(b"")
    (tmp_path / "text.sqlite").write_text("not a database")
    code, out, lines = run("stops", "bad.sqlite", "good.sqlite", "text.sqlite", "none.sqlite", "--out", "found")
    assert (code, out) == (2, "")
    assert lines == [
        "error: bad.sqlite: expected an LMT database, found an empty file (0 bytes); copy it again",
        "error: text.sqlite: expected an SQLite database, found another kind of file; check the path",
        "error: none.sqlite: expected an LMT database, found no file; check the path",
    ]
    assert pl.read_parquet(tmp_path / "found" / "good.parquet").height == 1


def test_the_help_of_inspect_has_an_example(run) -> None:
    code, out, _ = run("inspect", "--help")
    assert code == 0
    assert "Example: lmtcnn inspect recording.sqlite" in " ".join(out.split())


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
        ["frames", "300, 0 missing (0.00%), 1 segments, 30.00 frames/s by TIMESTAMP"],
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


def cells(out: str) -> list[list[str]]:
    """The rows of rich's tables."""
    return [[cell.strip() for cell in line.replace("┃", "│").strip("│").split("│")] for line in out.splitlines()]


def test_inspect_as_json_is_one_document_and_findings_are_no_error(run, tmp_path: Path) -> None:
    Scene(still(1, 100), n_frames=300).write(tmp_path / "one.sqlite")
    code, out, lines = run("inspect", "one.sqlite", "--json")
    assert (code, lines) == (0, [])
    (found,) = json.loads(out)
    assert (found["recording"], found["verdict"], found["animals"][0]["rfid"]) == ("one", "fail", "001")
    assert run("inspect", "none.sqlite", "--json") == (
        2,
        "[]\n",
        ["error: none.sqlite: expected an LMT database, found no file; check the path"],
    )


def test_stops_of_a_path_need_no_project_but_parameters(run, tmp_path: Path) -> None:
    Scene(still(1, 300), n_frames=300).write(tmp_path / "one.sqlite")
    assert run("stops", "one.sqlite", "--out", "found") == (0, "", ["1 stops of 1 samples in 1 recordings: found"])
    assert not (tmp_path / "data").exists()


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


def test_without_a_champion_predict_says_what_to_do(run, tmp_path: Path) -> None:
    code, out, lines = run("predict", "one.sqlite")
    assert (code, out) == (2, "")
    assert lines[-1] == (
        "error: model lmtcnn: expected the alias champion in the registry, or a bundle in data/register, "
        "found no champion; run `dvc repro` first, or name a model with --model"
    )
    assert not (tmp_path / "mlflow.db").exists()


def test_an_unknown_ending_of_out_is_told_before_any_work(run) -> None:
    assert run("predict", "one.sqlite", "--out", "table.xlsx") == (
        2,
        "",
        ["error: table.xlsx: expected a name that ends in .csv, .parquet, .json, found .xlsx; rename it"],
    )


def test_a_stage_before_its_time_says_what_to_run_first(run) -> None:
    assert run("train")[2] == ["error: data/histograms/histograms.json: expected the histograms, found no file; "
                               "run `lmtcnn histograms` first"]  # fmt: skip


def test_cohort_init_says_what_comes_next(run, tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    Scene(still(1, 300), n_frames=300).write(tmp_path / "raw" / "one.sqlite")
    code, out, _ = run("cohort", "init", "raw")
    assert code == 0
    assert out.splitlines()[0] == "data/cohort.csv: 1 animals. Next:"
    assert [line.strip() for line in out.splitlines()[2:]] == [
        "2. in params.yaml: cohort.databases: raw, cohort.manifest: data/cohort.csv",
        "3. in params.yaml: histograms.interval_s and train.lr, the values for real recordings",
        "4. lmtcnn cohort check && dvc repro",
    ]
    assert (tmp_path / "data" / "cohort.csv").read_text() == "recording,rfid,cage,sex,age,files\none,001,,,,\n"


def test_cohort_init_tells_what_it_could_not_read_after_the_rest(run, tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    Scene(still(1, 300), n_frames=300).write(tmp_path / "raw" / "one.sqlite")
    (tmp_path / "raw" / "two.sqlite").write_bytes(b"")
    code, out, lines = run("cohort", "init", "raw")
    assert code == 2
    assert out.splitlines()[0] == ("data/cohort.csv: 1 animals; 1 databases could not be read and are not in it. Next:")
    assert lines == ["error: raw/two.sqlite: expected an LMT database, found an empty file (0 bytes); copy it again"]


def test_cohort_check_gives_a_verdict_and_what_is_odd(run, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "simulate"
    folder.mkdir(parents=True)
    rows = ["recording,rfid,cage,sex,age"]
    for name, cage, sex, age in (("a", "1", "M", "adult"), ("b", "2", "F", "juvenile")):
        Scene(still(1, 300), n_frames=300, animals={1: name}).write(folder / f"{name}.sqlite")
        rows.append(f"{name},{name},{cage},{sex},{age}")
    (folder / "cohort.csv").write_text("\n".join(rows))
    code, out, lines = run("cohort", "check")
    assert code == 0
    assert [row for row in cells(out) if len(row) == 6 and "━" not in row[0]] == [
        ["hour", "timezone", "AM", "JM", "AF", "JF"],
        ["22", "UTC", "1", "0", "0", "1"],
    ]
    assert out.endswith("2 recordings, 2 samples (1 AM, 1 JF), 2 cages: usable, with the warnings above\n")
    assert lines[0] == "warning: class JM: no sample"
    assert lines[-1] == "warning: b: 9.967 s long, 0.692 % of the 1440 s that are counted: left out of training"


FAKE = SimpleNamespace(definitions=None, classes=("A",), meta={}, digest=None)
"""In place of a bundle."""


def test_a_prediction_of_nothing_shows_no_table(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lmtcnn.core.errors import DataError
    from lmtcnn.predict import predict
    from lmtcnn.register import register

    monkeypatch.setattr(predict, "predict", lambda *a, **k: ([], [DataError("x: too short")]))
    monkeypatch.setattr("lmtcnn.register.register.resolve", lambda model: register.Resolved(tmp_path, "x", None))
    monkeypatch.setattr("lmtcnn.bundle.bundle.read", lambda folder: FAKE)
    monkeypatch.setattr("lmtcnn.cohort.cohort.unlisted", lambda paths, definitions: [])
    assert run("predict", "x.sqlite") == (2, "", ["error: x: too short"])


def test_that_mice_are_simulated_is_said_in_one_line_above_the_metrics(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from lmtcnn.cli import show

    monkeypatch.setattr("lmtcnn.evaluate.metrics.compare", lambda metrics, classes: [])
    for simulated in (True, False):
        show.show_metrics({"simulated": simulated}, SimpleNamespace(classes=("A",)))  # type: ignore[arg-type]
        first = capsys.readouterr().out.splitlines()[0]
        assert (first == "SIMULATED MICE: this says nothing about real mice") is simulated


@pytest.mark.parametrize("classes", [("AM", "JM", "AF", "JF"), ("wt_saline", "wt_drug", "ko_saline", "ko_drug")])
def test_predictions_in_a_narrow_terminal_keep_who_is_who(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, classes: tuple[str, ...]
) -> None:
    from lmtcnn.predict import predict
    from lmtcnn.register import register

    found = [
        predict.Prediction(
            name,
            i,
            f"90000000500010{i}",
            classes[0],
            0.85,
            dict(zip(classes, (0.85, 0.05, 0.04, 0.06), strict=True)),
            1.0,
            [],
        )
        for name in ("Box 1, 5 weeks", "Box 1, 12 weeks")
        for i in (1, 2)
    ]
    bundle = SimpleNamespace(definitions=None, classes=classes, meta={}, digest=None)
    monkeypatch.setattr(predict, "predict", lambda *a, **k: (found, []))
    monkeypatch.setattr("lmtcnn.register.register.resolve", lambda model: register.Resolved(tmp_path, "x", None))
    monkeypatch.setattr("lmtcnn.bundle.bundle.read", lambda folder: bundle)
    monkeypatch.setattr("lmtcnn.cohort.cohort.unlisted", lambda paths, definitions: [])
    wide = run("predict", "x.sqlite")[1]
    who = ["1", "900000005000101", classes[0]]
    numbers = ["0.85", "0.05", "0.04", "0.06", "100%"]
    assert cells(wide).count(["Box 1, 5 weeks", *who, "0.85", *numbers]) == 1
    monkeypatch.setenv("COLUMNS", "80")
    narrow = run("predict", "x.sqlite")[1]
    assert max(map(len, narrow.splitlines())) <= 80
    assert cells(narrow).count([*who, *numbers]) == 2
    assert [line for line in narrow.splitlines() if line.startswith("Box")] == ["Box 1, 5 weeks", "Box 1, 12 weeks"]


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


def test_progress_is_silent_where_stderr_is_no_terminal(run, tmp_path: Path) -> None:
    Scene(still(1, 300), n_frames=300).write(tmp_path / "one.sqlite")
    assert len(run("stops", "one.sqlite", "--out", "found")[2]) == 1


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch, run) -> None:
    def broken(path: Path) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("lmtcnn.core.params.load", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        run("stops")


def test_the_registry_is_shown_as_a_table_or_as_json_and_promoted_to_and_fro(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import study

    registered = study.registered()  # first: making it may warn of its training
    assert run("registry") == (0, "", ["no version is registered: run `dvc repro` first"])
    assert run("registry", "--json") == (0, '{\n  "versions": [],\n  "history": []\n}\n', [])
    study.enter(registered, monkeypatch, tmp_path / "copy")
    monkeypatch.setenv("COLUMNS", "80")
    narrow = run("registry")[1]
    assert max(map(len, narrow.splitlines())) <= 80
    assert "…" not in narrow
    assert "version 1: simulated mice; there was no champion" in narrow
    monkeypatch.delenv("COLUMNS")
    code, out, lines = run("registry")
    assert (code, lines) == (0, [])
    assert "champion" in out
    assert "reference" in out
    assert "version 1," in out
    assert "there was no champion" in out.splitlines()[-1]
    assert json.loads(run("registry", "--json")[1])["versions"][0]["aliases"] == ["champion"]
    moved = ["warning: mlflow.db was moved or copied here: its artifacts are now looked for in mlruns"]
    assert run("promote", "1") == (0, "lmtcnn version 1 is champion already\n", moved)
    assert run("promote", "9")[2] == [
        "error: lmtcnn promote 9: expected a version of lmtcnn, found no version 9; choose from versions 1"
    ]
    assert run("promote")[0] == run("promote", "1", "--back")[0] == 2


def test_json_is_one_document_on_stdout(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lmtcnn.predict import predict
    from lmtcnn.register import register

    monkeypatch.setattr(predict, "predict", lambda *a, **k: ([], []))
    monkeypatch.setattr("lmtcnn.register.register.resolve", lambda model: register.Resolved(tmp_path, "x", None))
    monkeypatch.setattr("lmtcnn.bundle.bundle.read", lambda folder: FAKE)
    monkeypatch.setattr("lmtcnn.cohort.cohort.unlisted", lambda paths, definitions: [])
    code, out, _ = run("predict", "x.sqlite", "--json")
    assert (code, json.loads(out)) == (0, [])


def test_simulate_replaces_no_recording_and_no_manifest_that_was_not_simulated(run, tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    own = Scene(still(1, 300), n_frames=300).write(tmp_path / "raw" / "cage01_adult.sqlite")
    (tmp_path / "raw" / "cohort.csv").write_text("mine")
    before = own.read_bytes()
    assert run("simulate", "--cages", "1", "--out", "raw") == (
        2,
        "",
        [
            "error: raw/cage01_adult.sqlite: expected no file, or a simulated database, found another recording; "
            "choose an empty folder with --out",
            "error: raw/cohort.csv: expected no file, or a simulated cohort's manifest, found another manifest; "
            "choose an empty folder with --out",
        ],
    )
    assert own.read_bytes() == before
    assert (tmp_path / "raw" / "cohort.csv").read_text() == "mine"


def test_stop_tables_alone_go_where_out_says_and_the_study_stays(run, tmp_path: Path) -> None:
    change_params(tmp_path, ("hours: 72 ", "hours: 1 "))
    stops = tmp_path / "data" / "stops"
    stops.mkdir(parents=True)
    (stops / "mine.parquet").write_bytes(b"mine")
    assert run("simulate", "--stops-only", "--cages", "1", "--out", "planted") == (0, "", [])
    assert [path.name for path in (tmp_path / "data").rglob("*")] == ["stops", "mine.parquet"]
    assert (tmp_path / "planted" / "cohort.csv").is_file()
    assert len(list((tmp_path / "planted" / "stops").glob("cage01_*.parquet"))) == 2


def test_one_full_recording_replaces_no_other_file_and_goes_nowhere_else(run, tmp_path: Path) -> None:
    own = Scene(still(1, 300), n_frames=300).write(tmp_path / "own.sqlite")
    before = own.read_bytes()
    told = "expected no file, or a simulated database, found something else; name another file"
    assert run("simulate", "--full-length", "own.sqlite") == (2, "", [f"error: own.sqlite: {told}"])
    assert own.read_bytes() == before
    for words in (["--stops-only"], ["--out", "x"]):
        found = " ".join(words)
        assert run("simulate", "--full-length", "new.sqlite", *words) == (
            2,
            "",
            [f"error: --full-length new.sqlite: expected no other place or kind, found {found}; leave one out"],
        )


def test_stops_of_a_study_elsewhere_remove_no_tables_of_another(run, own_study: Path, tmp_path: Path) -> None:
    """`found` holds the tables of a recording that is in no row of the manifest."""
    Scene(still(1, 300), n_frames=300).write(tmp_path / "other.sqlite")
    assert run("stops", "other.sqlite", "--out", "found")[0] == 0
    code, _, lines = run("stops", "--out", "found")
    assert (code, lines[-1]) == (
        2,
        "error: found: expected no tables, or those of these recordings, found those of 1 others, other among them; "
        "name a folder with --out",
    )
    assert (tmp_path / "found" / "other.parquet").is_file()


def test_track_without_a_study_is_one_line(run) -> None:
    assert run("track")[::2] == (
        2,
        ["error: data/histograms/stacks.npy: expected the histograms of a study, found no file; run `dvc repro` first"],
    )


@pytest.fixture
def own_study(tmp_path: Path, run, trained: Path, tiny, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Recordings in raw, a WAL file and a spoilt one among them, their manifest, a model; MLflow is not asked."""
    from lmtcnn.bundle import bundle

    raw, rows = tmp_path / "raw", ["recording,rfid,cage,sex,age"]
    raw.mkdir()
    for name in ("a", "b", "c"):
        scene = Scene(still(1, 700), n_frames=700, animals={1: name}, covering_index=name != "c")
        scene.write(raw / f"{name}.sqlite")
        rows.append(f"{name},{name},cage_{name},{'F' if name == 'c' else 'M'},adult")
    with contextlib.closing(sqlite3.connect(raw / "b.sqlite")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    (raw / "spoilt.sqlite").write_bytes((raw / "a.sqlite").read_bytes()[:9000])
    (tmp_path / "cohort.csv").write_text("\n".join(rows))
    small = (("channels: 16", "channels: 1"), ("epochs: 20", "epochs: 1"), ("seeds: [0, 1, 2]", "seeds: [0]"))
    change_params(tmp_path, *OWN_RECORDINGS, *small)
    bundle.write(bundle.build(trained, tiny), tmp_path / "model")
    for name in ("log_train", "log_explain", "log_cohort"):
        monkeypatch.setattr(f"lmtcnn.tracking.tracking.{name}", lambda *a, **k: None)
    return raw


EVERY_READER = (
    (2, "cohort", "init", "raw", "--manifest", "new.csv"), (0, "cohort", "check"),
    (0, "inspect"), (2, "inspect", "raw"), (2, "inspect", "raw", "--json"),
    (0, "stops"), (0, "stops"), (0, "stops", "--again"), (2, "stops", "raw", "--out", "found"),
    (0, "plot", "raw/b.sqlite"), (0, "histograms"), (0, "train"), (0, "explain"),
    (2, "predict", "raw", "--model", "model"),
    (0, "predict", "raw", "--model", "model", "--cohort", "cohort.csv", "--out", "told.csv"),
)  # fmt: skip
"""Exit code and words of each command that reads databases, twice where it remembers them; spoilt.sqlite ends in 2."""


@pytest.mark.parametrize("disk", ["writable", "without permission", "mounted read-only"])
def test_no_command_writes_to_raw_recordings_or_beside_them(run, own_study: Path, disk: str) -> None:
    """Bytes, times and the folder's list before and after each command."""

    def seen() -> dict[str, tuple[bytes, int]]:
        return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in own_study.iterdir()}

    before = seen()
    with contextlib.ExitStack() as stack:
        if disk == "mounted read-only":
            if not stack.enter_context(mounted_read_only(own_study)):
                pytest.skip("this process may not mount")
            with pytest.raises(OSError, match="Read-only file system"):
                (own_study / "beside").touch()
        elif disk == "without permission":
            stack.callback(own_study.chmod, 0o755)
            for path in own_study.iterdir():
                path.chmod(0o444)
            own_study.chmod(0o555)
        for code, *command in EVERY_READER:
            found, _, said = run(*command)
            assert found == code, (command, said)
            assert len([line for line in said if line.startswith("error: ")]) == (code == 2), (command, said)
            assert seen() == before, command
