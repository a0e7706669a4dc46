"""The registry: what becomes a version, which version serves, and where a prediction gets its bundle."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import study
from lmtcnn import bundle, records, register, registry, tracking
from lmtcnn.errors import ModelError, ParamsError

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
    assert tags["lmtcnn.key"] == records.training_key(Path("data"), PARAMS)
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


def test_a_model_that_is_no_better_is_challenger_and_a_line_says_how_to_promote_it(project: Path) -> None:
    study.seal_evaluation(Path("data"), PARAMS, balanced_accuracy=0.75)
    register.register(Path("data"), PARAMS)
    study.seal_evaluation(Path("data"), PARAMS, balanced_accuracy=0.5)
    assert register.register(Path("data"), PARAMS).line == (
        "lmtcnn version 2 is challenger: on the same histograms its balanced accuracy is not higher (0.5000, "
        "champion 0.7500); `lmtcnn register --promote 2` makes it champion"
    )
    assert (version("1").aliases, version("2").aliases) == (["champion"], ["challenger"])
    assert register.promote("2") == "lmtcnn version 2 is champion: promoted by hand"
    assert register.resolve(None).version == "2"
    assert version("1").aliases == []


def test_real_mice_replace_simulated_ones(copied: Path) -> None:
    study.seal_histograms(Path("data"), PARAMS, simulated=False)
    study.seal_training(Path("data/train"), simulated=False)
    study.seal_evaluation(Path("data"), PARAMS, simulated=False)
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


def test_the_rule_of_the_current_folder_comes_before_that_of_the_project(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule("def decide(candidate, champion):\n    return True, 'of the project'\n")
    (nowhere / "copy").mkdir()
    monkeypatch.chdir(nowhere / "copy")
    assert register.load_rule("rule.py")({}, None) == (True, "of the project")
    rule("def decide(candidate, champion):\n    return True, 'of the copy'\n")
    assert register.load_rule("rule.py")({}, None) == (True, "of the copy")


def test_promoting_a_version_that_is_not_there_is_told(registered: Path) -> None:
    with pytest.raises(ModelError) as error:
        register.promote("7")
    assert str(error.value) == ("--promote 7: expected a version of lmtcnn, found only 1; correct the number")


def test_promoting_without_a_store_is_told_and_makes_none(nowhere: Path) -> None:
    with pytest.raises(ModelError) as error:
        register.promote("1")
    assert str(error.value) == "--promote 1: expected a version of lmtcnn, found none at all; correct the number"
    assert not (nowhere / "mlflow.db").exists()


@pytest.mark.parametrize("model", [None, "models:/lmtcnn@champion", "models:/lmtcnn/1"])
def test_the_registered_bundle_is_found(registered: Path, model: str | None) -> None:
    found = register.resolve(model)
    assert (found.uri, found.version) == ("models:/lmtcnn/1", "1")
    assert bundle.read(found.folder).meta == bundle.read(Path("data/register")).meta


def test_a_prediction_finds_its_bundle_without_importing_mlflow(registered: Path) -> None:
    program = "import sys; from lmtcnn import register; print(register.resolve(None).uri, 'mlflow' in sys.modules)"
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
        "choose one with `lmtcnn register --promote VERSION` (1)"
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
