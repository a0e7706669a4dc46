"""A version is the bundle, unpickled, and its files are uploaded again where they were lost or altered."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import study
from lmtcnn.core.errors import ModelError
from lmtcnn.register import lookup, register, registry
from lmtcnn.tracking import client as clients
from lmtcnn.tracking import tracking

PARAMS = study.small_params()


def version(number: str = "1") -> Any:
    return clients.connect().get_model_version("lmtcnn", number)


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


def test_one_model_is_logged_and_it_is_the_bundle_unpickled(registered: Path) -> None:
    client = clients.connect()
    run = client.get_run(tracking.parent(Path("data"), PARAMS))
    assert len(run.outputs.model_outputs) == 1
    folder = lookup.resolve(None).folder
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "weights.safetensors"]
    assert (folder / "model.json").read_bytes() == Path("data/register/model.json").read_bytes()
    assert not [path for path in folder.parent.rglob("*") if path.suffix in (".pkl", ".pt", ".pth")]


# ---- Files that were lost or altered ---------------------------------------------------------------------------------


def spoil(path: Path, how: str) -> None:
    if how == "lost":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes() + b"!")


def test_any_file_of_a_version_that_is_lost_or_altered_is_uploaded_again(copied: Path) -> None:
    place = lookup.resolve(None).folder.parent
    before = {path: path.read_bytes() for path in sorted(place.rglob("*")) if path.is_file() and path.suffix != ".pyc"}
    assert {"MLmodel", "python_env.yaml", "served.py", "weights.safetensors"} <= {path.name for path in before}
    for number, path in enumerate(before):
        spoil(path, "lost" if number % 2 else "altered")
        if path.name in registry.FILES:
            with pytest.raises(ModelError, match="register the model again, which uploads its files"):
                lookup.resolve(None)
        line = register.register(Path("data"), PARAMS).line
        name = path.relative_to(place).as_posix()
        assert line == (
            "lmtcnn version 1 is this very model, registered before; it is champion; "
            f"files that were lost or altered are uploaded again: {name}"
        )
        assert path.name == "MLmodel" or path.read_bytes() == before[path]  # which bears the time
        assert lookup.resolve(None).version == "1"
    assert register.register(Path("data"), PARAMS).mended == ()


def test_a_folder_in_the_place_of_a_registered_file_gives_way_to_it(copied: Path) -> None:
    path = lookup.resolve(None).folder / "weights.safetensors"
    before = path.read_bytes()
    path.unlink()
    (path / "within").mkdir(parents=True)
    assert register.register(Path("data"), PARAMS).mended == ("artifacts/weights.safetensors",)
    assert path.read_bytes() == before
    assert register.register(Path("data"), PARAMS).mended == ()


def test_an_artifact_store_that_is_gone_is_one_line_and_is_made_again(copied: Path) -> None:
    clients.configure()  # or it would look as if only the database had been copied
    shutil.rmtree(copied / "mlruns")
    with pytest.raises(ModelError) as error:
        lookup.resolve(None)
    (line,) = error.value.lines
    assert line.startswith(f"models:/lmtcnn/1: {copied}/mlruns/models/m-")
    assert line.endswith(f"expected its files, found no folder; {registry.AGAIN}")
    assert (
        "are uploaded again: artifacts/weights.safetensors, artifacts/model.json, MLmodel"
        in (register.track(Path("data"), PARAMS)[-1])
    )
    assert lookup.resolve(None).version == "1"
