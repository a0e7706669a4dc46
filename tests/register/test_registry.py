"""Reading the registry without MLflow, and what a version must be to be taken."""

from pathlib import Path
from typing import Any

import pytest

from lmtcnn.register import lookup, registry
from lmtcnn.tracking import client as clients


def version(number: str = "1") -> Any:
    return clients.connect().get_model_version("lmtcnn", number)


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
    monkeypatch.setattr(registry, "quick_look", cannot_tell)
    assert {wanted: lookup.find("lmtcnn", wanted) for wanted in quick} == quick
    assert lookup.versions() == ["1"]


def test_the_quick_look_leaves_other_stores_and_other_tables_to_the_client(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (nowhere / "mlflow.db").write_bytes(b"SQLite format 3\0" + bytes(84))
    with pytest.raises(registry.CannotTell):
        registry.quick_look("lmtcnn", "champion")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(registry.CannotTell):
        registry.quick_look("lmtcnn", "champion")


def test_a_deleted_version_is_not_found(copied: Path) -> None:
    clients.connect().delete_model_version("lmtcnn", "1")
    assert registry.quick_look("lmtcnn", "1") is None
    assert registry.quick_look("lmtcnn", "champion") is None
