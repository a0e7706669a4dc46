"""The registry: what becomes a version, which version serves, and where a prediction gets its bundle."""

import contextlib
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import study
from lmtcnn.bundle import bundle
from lmtcnn.core.errors import ModelError, OutputError, ParamsError
from lmtcnn.core.names import ALL
from lmtcnn.evaluate import evaluate
from lmtcnn.register import register, registry
from lmtcnn.tracking import store, tracking

PARAMS = study.small_params()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with the small study's files in data/ and an empty store."""
    folder = study.project(tmp_path / "a project é#1 %25", monkeypatch)
    study.copy(study.prepared())
    return folder


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without a store and without data."""
    return study.project(tmp_path, monkeypatch, store=False)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose model was registered once, as the current folder; only to be read."""
    return study.enter(study.registered(), monkeypatch)


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that project as the current folder, to be changed."""
    return study.enter(study.registered(), monkeypatch, tmp_path / "a copy é#1 %25")


def version(number: str = "1") -> Any:
    return tracking.connect().get_model_version("lmtcnn", number)


def rule(text: str) -> Any:
    Path("rule.py").write_text(text)
    return study.small_params(register__promotion="rule.py")


def test_a_version_says_what_it_is(registered: Path) -> None:
    tags, metrics = version().tags, json.loads(Path("data/evaluate/metrics.json").read_text())
    assert tags["lmtcnn.estimate"] == "cross-validated estimate of the procedure, not of this file"
    assert tags["lmtcnn.simulated"] == "true"
    assert tags["lmtcnn.key"] == study.training_key(Path("data"), PARAMS)
    assert tags["lmtcnn.run"] == "reference"
    assert float(tags["cv/ensemble_accuracy"]) == pytest.approx(metrics["ensemble_accuracy"], abs=1e-4)
    assert len(tags) <= 10  # a model's page lists them all under every version
    assert version().description.startswith("**SIMULATED MICE: this says nothing about real mice.** 2 networks")
    assert version().run_id == tracking.parent(Path("data"), PARAMS)


def test_an_experiment_in_a_temporary_copy_registers_in_its_projects_store(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`dvc exp run --temp` works in a folder of its own and says in DVC_ROOT where the project is."""
    copy = tmp_path / "temporary copy"
    shutil.copytree(project / "data", copy / "data")
    monkeypatch.chdir(copy)
    monkeypatch.setenv("DVC_ROOT", str(project))
    assert register.register(Path("data"), PARAMS).alias == "champion"
    assert not (copy / "mlflow.db").exists()
    assert register.resolve(None).uri == "models:/lmtcnn/1"


def test_one_model_is_logged_and_it_is_the_bundle_unpickled(registered: Path) -> None:
    client = tracking.connect()
    run = client.get_run(tracking.parent(Path("data"), PARAMS))
    assert len(run.outputs.model_outputs) == 1
    folder = register.resolve(None).folder
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "weights.safetensors"]
    assert (folder / "model.json").read_bytes() == Path("data/register/model.json").read_bytes()
    assert not [path for path in folder.parent.rglob("*") if path.suffix in (".pkl", ".pt", ".pth")]


def test_the_same_content_makes_no_second_version(registered: Path) -> None:
    again = register.register(Path("data"), PARAMS)
    assert again.line == "lmtcnn version 1 is this very model, registered before; it is champion"
    assert register.versions() == ["1"]


def retrained(wrong: int) -> None:
    """Make the current project's training another one, of which the first `wrong` samples are told wrongly."""
    params, index = PARAMS, pl.read_parquet("data/histograms/index.parquet")
    names = list(params.classes)
    false = {(s["recording"], s["animal_id"]) for s in index.head(wrong).iter_rows(named=True)}

    def told(sample: dict[str, Any], seed: int) -> list[float]:
        right = names.index(sample["class"])
        wanted = (right + ((sample["recording"], sample["animal_id"]) in false)) % len(names)
        return [0.7 if i == wanted else 0.1 for i in range(len(names))]

    study.write_training(Path("data/train"), index, params, (*study.CAGES, ALL), told, simulated=True)
    evaluate.evaluate(Path("data"), params)


def test_a_model_that_is_no_better_is_challenger_and_a_line_says_how_to_promote_it(project: Path) -> None:
    retrained(wrong=0)
    register.register(Path("data"), PARAMS)
    retrained(wrong=1)
    assert register.register(Path("data"), PARAMS).line == (
        "lmtcnn version 2 is challenger: on the same histograms its balanced accuracy is not higher (0.9375, 15 of 16; "
        "champion 1.0000, 16 of 16); `lmtcnn promote 2` makes it champion"
    )
    assert (version("1").aliases, version("2").aliases) == (["champion"], ["challenger"])
    assert register.promote("2") == (
        "lmtcnn version 2 is champion, in place of version 1; `lmtcnn promote --back` undoes this"
    )
    assert register.resolve(None).version == "2"
    assert (version("1").aliases, version("2").aliases) == ([], ["champion"])
    assert register.promote("2") == "lmtcnn version 2 is champion already"
    assert register.promote(None).startswith("lmtcnn version 1 is champion, in place of version 2")
    assert register.promote(None).startswith("lmtcnn version 2 is champion, in place of version 1")
    told = [(event["version"], event["before"], event["by"]) for event in register.listing()["history"]]
    assert told == [("1", None, "rule"), ("2", "1", "hand"), ("1", "2", "hand"), ("2", "1", "hand")]


def real_mice() -> None:
    study.seal_histograms(Path("data"), PARAMS, simulated=False)
    study.seal_training(Path("data/train"), simulated=False)
    study.seal_evaluation(Path("data"), PARAMS, simulated=False)


def test_real_mice_replace_simulated_ones(copied: Path) -> None:
    real_mice()
    assert register.register(Path("data"), PARAMS).line == (
        "lmtcnn version 2 is champion: the champion learned from simulated mice, this one from real ones"
    )
    assert "SIMULATED" not in version("2").description
    assert version("2").tags["lmtcnn.simulated"] == "false"


def test_a_version_without_decision_is_decided_when_it_is_registered_again(project: Path) -> None:
    failing = rule("def decide(candidate, champion):\n    raise OSError('no disk')\n")
    with pytest.raises(OSError, match="no disk"):
        register.register(Path("data"), failing)
    assert register.register(Path("data"), PARAMS).line == "lmtcnn version 1 is champion: there was no champion"
    assert register.versions() == ["1"]


def test_track_rebuilds_runs_and_registry_without_a_word_of_mlflow(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lines = register.track(Path("data"), PARAMS)
    assert capfd.readouterr() == ("", "")
    assert lines == [
        f"run {tracking.parent(Path('data'), PARAMS)}",
        f"all runs: {tracking.view_url()}",
        "lmtcnn version 1 is champion: there was no champion",
    ]


# ---- Files that were lost or altered ---------------------------------------------------------------------------------


def spoil(path: Path, how: str) -> None:
    if how == "lost":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes() + b"!")


def test_any_file_of_a_version_that_is_lost_or_altered_is_uploaded_again(copied: Path) -> None:
    place = register.fetch(None).parent
    before = {path: path.read_bytes() for path in sorted(place.rglob("*")) if path.is_file()}
    assert {"MLmodel", "python_env.yaml", "served.py", "weights.safetensors"} <= {path.name for path in before}
    for number, path in enumerate(before):
        spoil(path, "lost" if number % 2 else "altered")
        if path.name in registry.FILES:
            with pytest.raises(ModelError, match="register the model again, which uploads its files"):
                register.fetch(None)
        line = register.register(Path("data"), PARAMS).line
        name = path.relative_to(place).as_posix()
        assert line == (
            "lmtcnn version 1 is this very model, registered before; it is champion; "
            f"files that were lost or altered are uploaded again: {name}"
        )
        assert path.name == "MLmodel" or path.read_bytes() == before[path]  # which bears the time
        assert register.resolve(None).version == "1"
    assert register.register(Path("data"), PARAMS).mended == ()


def test_a_folder_in_the_place_of_a_registered_file_gives_way_to_it(copied: Path) -> None:
    path = register.fetch(None) / "weights.safetensors"
    before = path.read_bytes()
    path.unlink()
    (path / "within").mkdir(parents=True)
    assert register.register(Path("data"), PARAMS).mended == ("artifacts/weights.safetensors",)
    assert path.read_bytes() == before
    assert register.register(Path("data"), PARAMS).mended == ()


def test_a_champion_whose_files_were_altered_is_not_promoted_once_more(copied: Path) -> None:
    assert register.promote("1") == "lmtcnn version 1 is champion already"
    spoil(register.fetch(None) / "weights.safetensors", "altered")
    with pytest.raises(ModelError, match="register the model again, which uploads its files"):
        register.promote("1")


def test_an_artifact_store_that_is_gone_is_one_line_and_is_made_again(copied: Path) -> None:
    tracking.configure()  # or it would look as if only the database had been copied
    shutil.rmtree(copied / "mlruns")
    with pytest.raises(ModelError) as error:
        register.fetch(None)
    (line,) = error.value.lines
    assert line.startswith(f"models:/lmtcnn/1: {copied}/mlruns/models/m-")
    assert line.endswith(f"expected its files, found no folder; {registry.AGAIN}")
    assert (
        "are uploaded again: artifacts/weights.safetensors, artifacts/model.json, MLmodel"
        in (register.track(Path("data"), PARAMS)[-1])
    )
    assert register.resolve(None).version == "1"


@pytest.mark.parametrize("how", ["lost", "altered", "of a later format"])
def test_a_champion_that_cannot_be_read_loses_to_any_other_model_and_the_history_says_so(
    copied: Path, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    if how == "of a later format":
        meta = register.fetch(None) / "model.json"
        study.rewrite(meta, format=99)
        tracking.connect().set_model_version_tag("lmtcnn", "1", "lmtcnn.sha256.model.json", registry.digest(meta))
    else:
        spoil(register.fetch(None) / "weights.safetensors", how)
    retrained(wrong=9)
    told = register.register(Path("data"), PARAMS)
    assert (told.version, told.alias) == ("2", "champion")
    assert told.why.startswith("the champion, version 1, cannot be read (")
    assert "the champion, version 1, cannot be read: " in caplog.text
    assert register.resolve(None).version == "2"
    last = register.listing()["history"][-1]
    assert (last["version"], last["before"], last["by"], last["why"]) == ("2", "1", "rule", told.why)
    with pytest.raises(ModelError):
        register.promote(None)  # version 1 would serve nobody
    assert register.resolve(None).version == "2"


# ---- Who is promoted, and by what ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("promote", "trial", "why"),
    [
        ("by_rule", True, None),
        ("except_trials", False, None),
        (
            "except_trials",
            True,
            "it is a trial of `dvc exp run` (`-S register.promote=by_rule` lets the rule decide)",
        ),
        ("never", False, "register.promote is `never`"),
    ],
)
def test_a_trial_becomes_champion_only_where_that_was_asked_for(
    copied: Path, monkeypatch: pytest.MonkeyPatch, promote: str, trial: bool, why: str | None
) -> None:
    if trial:
        monkeypatch.setenv("DVC_EXP_BASELINE_REV", "0" * 40)
        monkeypatch.setenv("DVC_EXP_NAME", "puffy-cats")
    real_mice()  # which win by the rule
    told = register.register(Path("data"), study.small_params(register__promote=promote))
    assert told.alias == ("challenger" if why else "champion")
    assert told.why == why or why is None
    if why:
        again = register.register(Path("data"), PARAMS).line
        assert again.endswith("registered before; it is challenger; `lmtcnn promote 2` makes it champion")


def test_versions_are_listed_with_figures_dates_aliases_and_reasons(registered: Path) -> None:
    found = register.listing()
    (only,), (event,) = found["versions"], found["history"]
    metrics = json.loads(Path("data/evaluate/metrics.json").read_text())
    assert only["version"] == "1"
    assert only["aliases"] == ["champion"]
    assert only["run"] == "reference"
    assert only["balanced_accuracy"] == pytest.approx(metrics["balanced_accuracy"], abs=1e-4)
    assert only["simulated"] is True
    assert only["decision"] == event["why"] == "there was no champion"
    assert only["date"] <= event["when"] < datetime.now(UTC).isoformat()


def test_a_registry_without_a_store_is_empty_and_makes_none(nowhere: Path) -> None:
    assert register.listing() == {"versions": [], "history": []}
    assert not (nowhere / "mlflow.db").exists()


def test_what_serves_says_its_version_its_run_and_its_date(registered: Path) -> None:
    found = register.resolve(None)
    assert (found.version, found.run) == ("1", "reference")
    assert found.date == register.listing()["versions"][0]["date"]


# ---- Stores that cannot be used --------------------------------------------------------------------------------------


@contextlib.contextmanager
def locked(database: Path) -> Iterator[None]:
    """Another program holds the database (tests have a moment's patience)."""
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield


def test_a_locked_store_is_one_line_and_a_prediction_takes_the_bundle_in_data(
    copied: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(store, "BUSY_S", 0.05)
    line = (
        f"{copied}/mlflow.db: expected a store that can be read, found database is locked; end the program that holds "
        "it (or move it off a disk that has no locks), or name another store in MLFLOW_TRACKING_URI"
    )
    with locked(copied / "mlflow.db"):
        found = register.resolve(None)
        assert (found.folder, found.version) == (Path("data/register"), None)
        assert caplog.messages == [f"{line}: meanwhile the bundle in data/register is used, whichever serves"]
        calls: list[Callable[[], object]] = [
            lambda: register.resolve("models:/lmtcnn/1"),
            lambda: register.register(Path("data"), PARAMS),
            lambda: register.track(Path("data"), PARAMS),
            lambda: register.promote("1"),
            register.listing,
            lambda: tracking.log_evaluate(Path("data"), PARAMS),
        ]
        for call in calls:
            with pytest.raises(OutputError) as error:
                call()
            assert error.value.lines == (line,)
        shutil.rmtree("data/register")
        with pytest.raises(OutputError) as error:
            register.resolve(None)
    assert error.value.lines == (line,)


def test_a_copied_project_reads_none_of_the_originals_files(
    registered: Path, copied: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its database still says where the original's files lie, as absolute paths."""
    lost = register.fetch(None)
    assert lost.is_relative_to(copied)
    shutil.rmtree(lost)
    with pytest.raises(ModelError, match=str(copied.name)[:6]):
        register.fetch(None)
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patched:  # nor where MLflow's client is asked
        patched.setattr(registry, "quick_look", cannot_tell)
        with pytest.raises(ModelError) as error:
            register.fetch(None)
    assert str(registered) not in str(error.value)
    assert register.register(Path("data"), PARAMS).mended == ("artifacts/weights.safetensors", "artifacts/model.json")
    assert register.fetch(None).is_relative_to(copied)
    client = tracking.connect()
    run = client.get_run(tracking.parent(Path("data"), PARAMS))
    assert run.info.artifact_uri.startswith((copied / "mlruns").as_uri())


def cannot_tell(*_: object) -> None:
    raise registry.CannotTell


def test_a_missing_rule_is_told(nowhere: Path) -> None:
    with pytest.raises(ParamsError) as error:
        register.load_rule("mlops/none.py")
    assert str(error.value) == (
        "register.promotion: mlops/none.py: expected a Python file with a function `decide`, found no file; "
        "correct the path in params.yaml"
    )


def test_a_rule_without_decide_is_told(nowhere: Path) -> None:
    rule("def choose(): ...\n")
    with pytest.raises(ParamsError) as error:
        register.load_rule("rule.py")
    assert str(error.value) == (
        "register.promotion: rule.py: expected a Python file with a function `decide`, found no `decide` in it; "
        "write one, as in mlops/README.md"
    )


def test_a_rule_that_takes_something_else_is_told(nowhere: Path) -> None:
    rule("def decide(candidate): ...\n")
    with pytest.raises(ParamsError) as error:
        register.load_rule("rule.py")
    assert str(error.value) == (
        "register.promotion: rule.py: expected `decide(candidate, champion, limits)`, found `decide(candidate)`; "
        "write it as in mlops/README.md"
    )


def test_the_rule_of_the_current_folder_comes_before_that_of_the_project(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule("def decide(candidate, champion):\n    return True, 'of the project'\n")
    (nowhere / "copy").mkdir()
    monkeypatch.chdir(nowhere / "copy")
    assert register.load_rule("rule.py")({}, None, {}) == (True, "of the project")
    rule("def decide(candidate, champion):\n    return True, 'of the copy'\n")
    assert register.load_rule("rule.py")({}, None, {}) == (True, "of the copy")


def test_promoting_a_version_that_is_not_there_is_told(registered: Path) -> None:
    with pytest.raises(ModelError) as error:
        register.promote("7")
    assert str(error.value) == (
        "lmtcnn promote 7: expected a version of lmtcnn, found no version 7; choose from versions 1"
    )


def test_there_is_nothing_to_go_back_to_before_a_second_champion(registered: Path) -> None:
    with pytest.raises(ModelError) as error:
        register.promote(None)
    assert str(error.value) == (
        "lmtcnn promote --back: expected an earlier champion in the history, found none; choose from versions 1"
    )


def test_promoting_without_a_store_is_told_and_makes_none(nowhere: Path) -> None:
    with pytest.raises(ModelError) as error:
        register.promote("1")
    assert str(error.value) == (
        "lmtcnn promote 1: expected a version of lmtcnn, found no version 1; run `dvc repro` first"
    )
    assert not (nowhere / "mlflow.db").exists()


@pytest.mark.parametrize("model", [None, "models:/lmtcnn@champion", "models:/lmtcnn/1"])
def test_the_registered_bundle_is_found(registered: Path, model: str | None) -> None:
    found = register.resolve(model)
    assert (found.uri, found.version) == ("models:/lmtcnn/1", "1")
    assert bundle.read(found.folder).meta == bundle.read(Path("data/register")).meta


def test_a_prediction_finds_its_bundle_without_importing_mlflow(registered: Path) -> None:
    program = (
        "import sys; from lmtcnn.register import register; print(register.resolve(None).uri, 'mlflow' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert told == "models:/lmtcnn/1 False\n"


def test_a_folder_is_taken_as_it_is(nowhere: Path) -> None:
    assert register.fetch("some/folder") == Path("some/folder")
    assert not (nowhere / "mlflow.db").exists()


def test_an_empty_registry_falls_back_to_the_bundle_in_data_and_a_line_says_so(
    nowhere: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (nowhere / "data" / "register").mkdir(parents=True)
    (nowhere / "data" / "register" / "model.json").write_text("{}")
    assert register.fetch(None) == Path("data/register")
    assert caplog.messages == ["nothing is registered: the bundle in data/register is used"]
    assert not (nowhere / "mlflow.db").exists()


NO_CHAMPION = (
    "model lmtcnn: expected the alias champion in the registry, or a bundle in data/register, found no champion; "
    "run `dvc repro` first, or name a model with --model"
)


@pytest.mark.parametrize("store", [True, False])
def test_no_champion_is_told_the_same_way_without_model_and_without_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: bool
) -> None:
    folder = study.project(tmp_path, monkeypatch, store=store)
    with pytest.raises(ModelError) as error:
        register.fetch(None)
    assert str(error.value) == NO_CHAMPION
    assert (folder / "mlflow.db").exists() == store


def test_a_registry_without_the_alias_names_its_versions(copied: Path) -> None:
    tracking.connect().delete_registered_model_alias("lmtcnn", "champion")
    with pytest.raises(ModelError) as error:
        register.fetch(None)
    assert str(error.value) == (
        "model lmtcnn: expected the alias champion in the registry, found no champion; "
        "choose one with `lmtcnn promote VERSION` (1)"
    )


KNOWN, UNKNOWN = "choose from versions 1", "run `dvc repro` first, or name a bundle's folder"


@pytest.mark.parametrize(
    ("model", "name", "expected", "found", "do"),
    [
        ("models:/lmtcnn@nobody", "lmtcnn", "the alias nobody", "no nobody", KNOWN),
        ("models:/lmtcnn/9", "lmtcnn", "version 9", "no version 9", KNOWN),
        ("models:/other@champion", "other", "the alias champion", "no champion", UNKNOWN),
    ],
)
def test_a_model_that_is_not_registered_is_told(
    registered: Path, model: str, name: str, expected: str, found: str, do: str
) -> None:
    with pytest.raises(ModelError) as error:
        register.fetch(model)
    assert str(error.value) == (f"model {name}: expected {expected} in the registry, found {found}; {do}")


def test_files_from_a_server_are_kept_by_content_and_fetched_again_where_damaged(
    registered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = registry.quick_look("lmtcnn", "1")
    assert there is not None
    remote = registry.Version("lmtcnn", "1", "mlflow-artifacts:/1/models/m-1/artifacts", there.tags)
    fetched = []

    def download(uri: str, dst_path: str, tracking_uri: str) -> None:
        fetched.append(uri)
        shutil.copy(register.fetch(None) / uri.rpartition("/")[2], dst_path)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("mlflow.artifacts.download_artifacts", download)
    folder = register._files(remote)
    assert register._files(remote) == folder
    assert fetched == [f"{remote.location}/artifacts/{name}" for name in ("weights.safetensors", "model.json")]
    (folder / "model.json").write_text("damaged")
    assert json.loads((register._files(remote) / "model.json").read_text())["format"] == bundle.FORMAT
