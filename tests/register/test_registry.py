"""Reading the registry without MLflow, and what a version must be to be taken."""

from pathlib import Path
from typing import Any

import pytest

import study
from lmtcnn.core.errors import ModelError
from lmtcnn.register import register, registry
from lmtcnn.tracking import tracking


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose model was registered once, as the current folder; only to be read."""
    return study.enter(study.registered(), monkeypatch)


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that project as the current folder, to be changed."""
    return study.enter(study.registered(), monkeypatch, tmp_path / "a copy é#1 %25")


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without a store and without data."""
    return study.project(tmp_path, monkeypatch, store=False)


def version(number: str = "1") -> Any:
    return tracking.connect().get_model_version("lmtcnn", number)


def cannot_tell(*_: object) -> None:
    raise registry.CannotTell


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("models:/lmtcnn@champion", ("lmtcnn", "champion")),
        ("models:/lmtcnn/12", ("lmtcnn", "12")),
        ("models:/a@b/c", ("a", "b/c")),
    ],
)
def test_an_address_names_a_model_and_a_version_or_an_alias(uri: str, parts: tuple[str, str]) -> None:
    assert registry.parse(uri) == parts


def test_the_quick_look_sees_what_the_client_sees(registered: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = {wanted: registry.quick_look("lmtcnn", wanted) for wanted in ("champion", "1", "2", "challenger")}
    assert quick["champion"] == quick["1"] is not None
    assert registry.quick_versions("lmtcnn") == ["1"]
    monkeypatch.setattr(registry, "quick_look", cannot_tell)
    monkeypatch.setattr(registry, "quick_versions", cannot_tell)
    assert {wanted: register.lookup("lmtcnn", wanted) for wanted in quick} == quick
    assert register.versions() == ["1"]


def test_the_quick_look_leaves_other_stores_and_other_tables_to_the_client(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (nowhere / "mlflow.db").write_bytes(b"SQLite format 3\0" + bytes(84))
    with pytest.raises(registry.CannotTell):
        registry.quick_look("lmtcnn", "champion")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(registry.CannotTell):
        registry.quick_versions("lmtcnn")


def test_a_deleted_version_is_not_found(copied: Path) -> None:
    tracking.connect().delete_model_version("lmtcnn", "1")
    assert registry.quick_look("lmtcnn", "1") is None
    assert registry.quick_look("lmtcnn", "champion") is None


def test_an_address_that_is_none_is_told(nowhere: Path) -> None:
    with pytest.raises(ModelError) as error:
        register.fetch("models:/lmtcnn")
    assert str(error.value) == (
        "--model: expected models:/lmtcnn@champion, models:/lmtcnn/VERSION or a bundle's folder, "
        "found models:/lmtcnn; correct it"
    )


def test_files_that_are_not_what_was_registered_are_refused(copied: Path) -> None:
    folder = register.fetch(None)
    known = version().tags["lmtcnn.sha256.weights.safetensors"][:12]
    with (folder / "weights.safetensors").open("ab") as stream:
        stream.write(b"!")
    changed = registry.digest(folder / "weights.safetensors")[:12]
    (folder / "model.json").unlink()
    with pytest.raises(ModelError) as error:
        register.fetch(None)
    json_known = version().tags["lmtcnn.sha256.model.json"][:12]
    assert error.value.lines == (
        f"models:/lmtcnn/1: {folder}/weights.safetensors: expected sha256 {known}, found sha256 {changed}; "
        f"{registry.AGAIN}",
        f"models:/lmtcnn/1: {folder}/model.json: expected sha256 {json_known}, found no file; {registry.AGAIN}",
    )


def test_a_version_of_somebody_else_is_refused(copied: Path) -> None:
    tracking.connect().delete_model_version_tag("lmtcnn", "1", "lmtcnn.sha256.weights.safetensors")
    with pytest.raises(ModelError) as error:
        register.fetch(None)
    assert str(error.value) == (
        "models:/lmtcnn/1: expected a version that lmtcnn registered (tag lmtcnn.sha256.weights.safetensors), "
        f"found no such tag; {registry.AGAIN}"
    )


def test_a_copied_registry_serves_its_own_files_before_anything_was_logged(registered: Path, copied: Path) -> None:
    assert register.fetch(None).is_relative_to(copied / "mlruns")
    tracking.configure()
    assert register.fetch(None).is_relative_to(copied / "mlruns")
    assert registry.quick_look("lmtcnn", "1").location.startswith((copied / "mlruns").as_uri())
