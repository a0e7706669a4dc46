"""Commands on recordings."""

import contextlib
import sqlite3
from pathlib import Path

import polars as pl
import pytest

from conftest import OWN_RECORDINGS, Scene, change_params, mounted_read_only, still


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


def test_stops_of_a_path_need_no_project_but_parameters(run, tmp_path: Path) -> None:
    Scene(still(1, 300), n_frames=300).write(tmp_path / "one.sqlite")
    assert run("stops", "one.sqlite", "--out", "found") == (0, "", ["1 stop of 1 sample in 1 recording: found"])
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "command",
    [
        "inspect r.sqlite",
        "stops r.sqlite --out found",
        "plot r.sqlite --out drawn",
        "cohort init r.sqlite --manifest c.csv",
    ],
)
def test_recordings_open_with_the_paper_s_values_in_a_folder_without_a_study(run, tmp_path: Path, command: str) -> None:
    (tmp_path / "params.yaml").unlink()
    Scene(still(1, 300), n_frames=300).write(tmp_path / "r.sqlite")
    code, out, lines = run(*command.split())
    assert (code, [line for line in lines if line.startswith("error")]) == (0, [])
    if command.startswith("stops"):
        assert pl.read_parquet(tmp_path / "found" / "r.parquet").height == 1
    if command.startswith("cohort"):
        assert "a study of their own: `lmtcnn init my-study` makes its folder" in out


@pytest.mark.parametrize("command", ["simulate", "inspect", "stops", "histograms", "train", "evaluate", "explain"])
def test_what_works_on_a_study_says_in_one_line_that_there_is_none(run, tmp_path: Path, command: str) -> None:
    (tmp_path / "params.yaml").unlink()
    before = {*tmp_path.iterdir()}
    expected = "error: params.yaml: expected a parameter file, found none; run in a study's folder, "
    assert run(command) == (2, "", [expected + "begin one with `lmtcnn init`, or name a file with --params"])
    assert {*tmp_path.iterdir()} == before


def test_cohort_init_says_what_comes_next(run, tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    Scene(still(1, 300), n_frames=300).write(tmp_path / "raw" / "one.sqlite")
    code, out, _ = run("cohort", "init", "raw")
    assert code == 0
    assert out.splitlines()[0] == "data/cohort.csv: 1 animal. Next:"
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
    assert out.splitlines()[0] == ("data/cohort.csv: 1 animal; 1 database could not be read and is not in it. Next:")
    assert lines == ["error: raw/two.sqlite: expected an LMT database, found an empty file (0 bytes); copy it again"]


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
    for name in ("log_train", "log_explain", "log_report", "log_cohort"):
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
