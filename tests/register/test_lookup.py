"""Where a prediction gets its bundle."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import study
from lmtcnn.bundle import bundle
from lmtcnn.core.errors import ModelError
from lmtcnn.register import lookup, register, registry
from lmtcnn.tracking import client as clients
from lmtcnn.tracking import tracking

PARAMS = study.small_params()


def test_what_serves_says_its_version_its_run_and_its_date(registered: Path) -> None:
    found = lookup.resolve(None)
    assert (found.version, found.run) == ("1", "reference")
    assert found.date == register.listing()["versions"][0]["date"]


def test_a_copied_project_reads_none_of_the_originals_files(
    registered: Path, copied: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its database still says where the original's files lie, as absolute paths."""
    lost = lookup.resolve(None).folder
    assert lost.is_relative_to(copied)
    shutil.rmtree(lost)
    with pytest.raises(ModelError, match=str(copied.name)[:6]):
        lookup.resolve(None)
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patched:  # nor where MLflow's client is asked
        patched.setattr(registry, "quick_look", cannot_tell)
        with pytest.raises(ModelError) as error:
            lookup.resolve(None)
    assert str(registered) not in str(error.value)
    assert register.register(Path("data"), PARAMS).mended == ("artifacts/weights.safetensors", "artifacts/model.json")
    assert lookup.resolve(None).folder.is_relative_to(copied)
    client = clients.connect()
    run = client.get_run(tracking.parent(Path("data"), PARAMS))
    assert run.info.artifact_uri.startswith((copied / "mlruns").as_uri())


def cannot_tell(*_: object) -> None:
    raise registry.CannotTell


@pytest.mark.parametrize("model", [None, "models:/lmtcnn@champion", "models:/lmtcnn/1"])
def test_the_registered_bundle_is_found(registered: Path, model: str | None) -> None:
    found = lookup.resolve(model)
    assert (found.uri, found.version) == ("models:/lmtcnn/1", "1")
    assert bundle.read(found.folder).meta == bundle.read(Path("data/register")).meta


def test_a_prediction_finds_its_bundle_without_importing_mlflow(registered: Path) -> None:
    program = "import sys; from lmtcnn.register import lookup; print(lookup.resolve(None).uri, 'mlflow' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert told == "models:/lmtcnn/1 False\n"


def test_a_folder_is_taken_as_it_is(nowhere: Path) -> None:
    assert lookup.resolve("some/folder").folder == Path("some/folder")
    assert not (nowhere / "mlflow.db").exists()


def test_an_empty_registry_falls_back_to_the_bundle_in_data_and_a_line_says_so(
    nowhere: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (nowhere / "data" / "register").mkdir(parents=True)
    (nowhere / "data" / "register" / "model.json").write_text("{}")
    assert lookup.resolve(None).folder == Path("data/register")
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
        lookup.resolve(None)
    assert str(error.value) == NO_CHAMPION
    assert (folder / "mlflow.db").exists() == store


def test_a_registry_without_the_alias_names_its_versions(copied: Path) -> None:
    clients.connect().delete_registered_model_alias("lmtcnn", "champion")
    with pytest.raises(ModelError) as error:
        lookup.resolve(None)
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
        lookup.resolve(model)
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
        shutil.copy(lookup.resolve(None).folder / uri.rpartition("/")[2], dst_path)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("mlflow.artifacts.download_artifacts", download)
    folder = lookup.files_of(remote)
    assert lookup.files_of(remote) == folder
    assert fetched == [f"{remote.location}/artifacts/{name}" for name in ("weights.safetensors", "model.json")]
    (folder / "model.json").write_text("damaged")
    assert json.loads((lookup.files_of(remote) / "model.json").read_text())["format"] == bundle.FORMAT


def version(number: str = "1") -> Any:
    return clients.connect().get_model_version("lmtcnn", number)


def test_an_address_that_is_none_is_told(nowhere: Path) -> None:
    with pytest.raises(ModelError) as error:
        lookup.resolve("models:/lmtcnn")
    assert str(error.value) == (
        "--model: expected models:/lmtcnn@champion, models:/lmtcnn/VERSION or a bundle's folder, "
        "found models:/lmtcnn; correct it"
    )


def test_files_that_are_not_what_was_registered_are_refused(copied: Path) -> None:
    folder = lookup.resolve(None).folder
    known = version().tags["lmtcnn.sha256.weights.safetensors"][:12]
    with (folder / "weights.safetensors").open("ab") as stream:
        stream.write(b"!")
    changed = registry.digest(folder / "weights.safetensors")[:12]
    (folder / "model.json").unlink()
    with pytest.raises(ModelError) as error:
        lookup.resolve(None)
    json_known = version().tags["lmtcnn.sha256.model.json"][:12]
    assert error.value.lines == (
        f"models:/lmtcnn/1: {folder}/weights.safetensors: expected sha256 {known}, found sha256 {changed}; "
        f"{registry.AGAIN}",
        f"models:/lmtcnn/1: {folder}/model.json: expected sha256 {json_known}, found no file; {registry.AGAIN}",
    )


def test_a_version_of_somebody_else_is_refused(copied: Path) -> None:
    clients.connect().delete_model_version_tag("lmtcnn", "1", "lmtcnn.sha256.weights.safetensors")
    with pytest.raises(ModelError) as error:
        lookup.resolve(None)
    assert str(error.value) == (
        "models:/lmtcnn/1: expected a version that lmtcnn registered (tag lmtcnn.sha256.weights.safetensors), "
        f"found no such tag; {registry.AGAIN}"
    )


def test_a_copied_registry_serves_its_own_files_before_anything_was_logged(registered: Path, copied: Path) -> None:
    assert lookup.resolve(None).folder.is_relative_to(copied / "mlruns")
    clients.configure()
    assert lookup.resolve(None).folder.is_relative_to(copied / "mlruns")
    assert registry.quick_look("lmtcnn", "1").location.startswith((copied / "mlruns").as_uri())
