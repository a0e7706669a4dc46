"""Versions as they are made: a logged model of the training's run, with the bundle's two files and served.py.

MLflow is imported inside functions, after `tracking` has quietened it.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from lmtcnn import SIMULATED
from lmtcnn.bundle.bundle import Bundle
from lmtcnn.core.errors import OutputError, problem, system_words
from lmtcnn.core.files import digest
from lmtcnn.register import history, registry
from lmtcnn.register.registry import SHA256
from lmtcnn.tracking import client as clients
from lmtcnn.tracking import provenance, store
from lmtcnn.tracking.store import CHAMPION, MODEL

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

MADE_BY = ("lmtcnn.host", "lmtcnn.pid")
SHOWN = ("cv/ensemble_accuracy", "cv/balanced_accuracy")
"""Figures of merit that a version bears as tags."""
OTHERS = f"{SHA256}others"
"""Tag of a version: sha256 of the files beside the two that count, as JSON."""
REQUIREMENTS = ("mlflow", "numpy", "pandas", "polars", "pydantic", "safetensors", "torch")
"""Packages that pip may fetch for a version. Not lmtcnn: under its name an index may hold something else."""

DESCRIPTION = f"""Tells the class of a mouse from maps of where it stopped. `{CHAMPION}` serves.

`lmtcnn predict` takes recordings; `mlflow models serve` takes tables of stops (mlops/README.md)."""


def version_of(
    client: "MlflowClient", run_id: str, folder: Path, made: Bundle, hashes: Mapping[str, str]
) -> "tuple[ModelVersion, bool]":
    """The version with this content, and whether it was made here and now. Of two made at once the first one stays."""
    if found := _same(client, hashes):
        return found, False
    own = _create(client, run_id, folder, made, hashes)
    first = _same(client, hashes) or own
    if first.version == own.version:
        return own, True
    model_id = _model_id(str(client.get_model_version_download_uri(MODEL, own.version)))
    client.delete_model_version(MODEL, own.version)
    if model_id:
        _discard(client, client.get_logged_model(model_id))
    return first, False


def _model_id(place: str) -> str | None:
    """Id of the logged model that lies there; MLflow's versions do not tell it."""
    return next((part for part in reversed(place.split("/")) if part.startswith("m-")), None)


def _same(client: "MlflowClient", hashes: Mapping[str, str]) -> "ModelVersion | None":
    wanted = " and ".join([f"name = '{MODEL}'", *(f"tags.`{name}` = '{value}'" for name, value in hashes.items())])
    found = sorted(int(version.version) for version in client.search_model_versions(wanted))
    return client.get_model_version(MODEL, str(found[0])) if found else None


def _create(
    client: "MlflowClient", run_id: str, folder: Path, made: Bundle, hashes: Mapping[str, str]
) -> "ModelVersion":
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 - after connect()

    try:
        client.create_registered_model(MODEL, description=DESCRIPTION)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    run, metrics = client.get_run(run_id), provenance.metric_names(made.meta["metrics"])
    tags = {  # few: the page of a model lists them all under every version; the rest is in model.json and the run
        "lmtcnn.run": str(run.info.run_name),
        **{name: f"{metrics[name]:.4f}" for name in SHOWN if name in metrics},
        **hashes,
        clients.KEY: run.data.tags[clients.KEY],
        clients.IS_SIMULATED: str(made.meta["simulated"]).lower(),
        "lmtcnn.estimate": made.meta["estimate"],
    }
    model_id, others = _log_model(client, run, folder, made, tags)
    tags |= {OTHERS: json.dumps(others), history.REASON: history.deciding()}
    source = f"models:/{model_id}"
    if store.embedded():  # MLflow would look for the model in the current folder's store, not in this client's
        source = client.get_logged_model(model_id).artifact_location
    return client.create_model_version(MODEL, source, run_id, tags=tags, description=_describe(made), model_id=model_id)


def _log_model(
    client: "MlflowClient", run: Any, folder: Path, made: Bundle, tags: Mapping[str, str]
) -> tuple[str, dict[str, str]]:
    """Log the bundle as a model of its training's run; returns its id, and the sha256 of the files beside the two."""
    from mlflow.entities import LoggedModelOutput  # noqa: PLC0415 - after connect()

    _discard_pending(client, run)
    params = {name: value for name, value in run.data.params.items() if name.startswith("train.")}
    tags = {**tags, **{name: value for name, value in provenance.source_tags("").items() if name in MADE_BY}}
    logged = client.create_logged_model(run.info.experiment_id, MODEL, run.info.run_id, tags, params)
    try:
        with tempfile.TemporaryDirectory() as temporary:
            path = _save_model(Path(temporary) / "model", logged, run.info.run_id, folder, made, tags)
            client.log_model_artifacts(logged.model_id, str(path))
            others = _others(path)
        client.finalize_logged_model(logged.model_id, "READY")
        client.log_outputs(run.info.run_id, [LoggedModelOutput(logged.model_id, step=0)])
    except BaseException:
        with suppress(Exception):  # a full disk may take no note of it either: then the next registration does it
            _discard(client, logged)
        raise
    return str(logged.model_id), others


def _save_model(path: Path, logged: Any, run_id: str, folder: Path, made: Bundle, tags: Mapping[str, str]) -> Path:
    """Write MLflow's folder of a logged model: the two files as they are, and served.py as its program."""
    import mlflow.pyfunc  # noqa: PLC0415 - after connect()
    from mlflow.models import Model  # noqa: PLC0415

    from lmtcnn.register import served  # noqa: PLC0415

    about = Model(
        artifact_path=logged.artifact_location, run_id=run_id, model_id=logged.model_id, model_uuid=logged.model_id
    )
    mlflow.pyfunc.save_model(
        path=str(path),
        python_model=served.__file__,
        artifacts={Path(name).stem: str(folder / name) for name in registry.FILES},
        signature=served.signature(made.classes),
        input_example=served.example(made.definitions.histograms),
        model_config={served.SHA256: {name: tags[f"{SHA256}{name}"] for name in registry.FILES}},
        pip_requirements=[f"{name}=={metadata.version(name).split('+')[0]}" for name in REQUIREMENTS],
        mlflow_model=about,
    )
    return path


def _others(folder: Path) -> dict[str, str]:
    """Path and sha256 of the files of a logged model beside the two that count."""
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    counting = {f"artifacts/{name}" for name in registry.FILES}
    return {name: digest(path) for name, path in files.items() if name not in counting}


def mend(client: "MlflowClient", version: "ModelVersion", folder: Path, made: Bundle) -> tuple[str, ...]:
    """Upload a version's files again where some were lost or altered; returns their names.

    `folder` holds the version's very bundle.
    """
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository  # noqa: PLC0415

    place = store.at_home(str(client.get_model_version_download_uri(MODEL, version.version)))
    wanted = {f"artifacts/{name}": version.tags[f"{SHA256}{name}"] for name in registry.FILES}
    wanted |= json.loads(version.tags.get(OTHERS, "{}"))
    with tempfile.TemporaryDirectory() as temporary:
        there = store.local_path(place) or _fetched(place, Path(temporary) / "there")
        lost = tuple(n for n, known in wanted.items() if not (there / n).is_file() or digest(there / n) != known)
        if lost:
            logged = SimpleNamespace(artifact_location=place, model_id=_model_id(place))
            path = _save_model(Path(temporary) / "model", logged, str(version.run_id), folder, made, version.tags)
            repository = get_artifact_repository(place, tracking_uri=store.tracking_uri())
            if store.local_path(place):
                _make_way(there, lost)
            repository.log_artifacts(str(path))  # type: ignore[no-untyped-call]
            client.set_model_version_tag(MODEL, version.version, OTHERS, json.dumps(_others(path)))
    return lost


def _make_way(folder: Path, names: Iterable[str]) -> None:
    """Remove what lies in the place of these files: into a folder of a file's name the file would be copied."""
    for name in names:
        path = folder / name
        try:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
        except OSError as error:
            found = system_words(error)
            raise OutputError(problem(path, "a file that can be replaced", found, "remove it by hand")) from error


def _fetched(place: str, folder: Path) -> Path:
    """The files of a logged model on a server, in `folder`; those that cannot be fetched are missing there."""
    from mlflow.artifacts import download_artifacts  # noqa: PLC0415 - after store.quiet()
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    folder.mkdir()
    with suppress(MlflowException, OSError):  # a folder that is gone: all of it is uploaded again
        download_artifacts(place, dst_path=str(folder), tracking_uri=store.tracking_uri())
    return folder


def _discard_pending(client: "MlflowClient", run: Any) -> None:
    """Remove models of a run whose registration broke off: logged in part, by a process that is gone or is this one."""
    found = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run.info.run_id}'")
    for logged in found:
        own = logged.tags.get("lmtcnn.pid") == str(os.getpid())
        if str(logged.status) == "PENDING" and (own or not provenance.alive(logged.tags)):
            _discard(client, logged)


def _discard(client: "MlflowClient", logged: Any) -> None:
    """Remove a logged model and, in the embedded store, its files; these first, as they may have filled the disk."""
    place = store.local_path(logged.artifact_location)
    if place and store.embedded():
        shutil.rmtree(place, ignore_errors=True)
    client.delete_logged_model(logged.model_id)


def _describe(made: Bundle) -> str:
    metrics, mark = made.meta["metrics"], f"**{SIMULATED}.** " if made.meta["simulated"] else ""
    return (
        f"{mark}{provenance.networks(made.model.members)} trained on {len(made.meta['samples'])} samples. The same "
        f"procedure is right in {metrics['ensemble_accuracy']:.1%} of the samples of held-out cages "
        f"({made.meta['estimate']})."
    )
