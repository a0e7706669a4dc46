"""The registry: versions of the model `lmtcnn`, the rule by which one becomes champion, and where `predict` gets one.

A version holds weights.safetensors and model.json, and the program served.py for REST. `predict` never runs that
program: it reads the two files, whose sha256 are kept as tags of the version.
"""

import importlib.util
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmtcnn import SIMULATED, __version__, bundle, registry, store
from lmtcnn.bundle import META, Bundle
from lmtcnn.errors import DataError, ModelError, ParamsError, problem
from lmtcnn.files import digest, ensure_folder
from lmtcnn.params import Params
from lmtcnn.records import METRICS, WEIGHTS, full_training
from lmtcnn.registry import SHA256, Version
from lmtcnn.store import CHALLENGER, CHAMPION, MODEL, log

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

# tracking, provenance and served are imported inside functions: they bring MLflow or scikit-learn, and a prediction,
# which starts here, does not wait for those.

Decide = Callable[[Mapping[str, Any], Mapping[str, Any] | None], tuple[bool, str]]
REASON = "lmtcnn.decision"
MADE_BY = ("lmtcnn.host", "lmtcnn.pid")
SHOWN = ("cv/ensemble_accuracy", "cv/balanced_accuracy")
"""Figures of merit that a version bears as tags."""
REQUIREMENTS = ("mlflow", "numpy", "pandas", "polars", "pydantic", "safetensors", "torch")
"""What pip may fetch for a version. Not lmtcnn: under its name an index may hold something else."""


@dataclass(frozen=True)
class Resolved:
    """A bundle's folder, what it is called, and its version where it comes from the registry."""

    folder: Path
    uri: str
    version: str | None


@dataclass(frozen=True)
class Registration:
    """What became of a model: its version, the alias it got (or had), and why."""

    version: str
    alias: str
    why: str
    new: bool

    @property
    def line(self) -> str:
        """One line for the terminal."""
        what = f"{MODEL} version {self.version}"
        if not self.new:
            return f"{what} is this very model, registered before; it is {self.alias or 'without an alias'}"
        if self.alias == CHAMPION:
            return f"{what} is champion: {self.why}"
        return f"{what} is challenger: {self.why}; `lmtcnn register --promote {self.version}` makes it champion"


def register(data: Path, params: Params) -> Registration:
    """The stage: write the bundle into data/register and register it; the same content makes no second version."""
    decide = load_rule(params.register_.promotion)
    made = bundle.build(data, params)
    bundle.write(made, data / "register")
    return publish(data, params, made, decide)


def publish(data: Path, params: Params, made: Bundle, decide: Decide) -> Registration:
    """Make a version of the bundle in data/register, under the run of its training, and set its alias by the rule."""
    from lmtcnn import tracking  # noqa: PLC0415

    folder = data / "register"
    training = full_training(data, params)
    if (training.key, training.weights) != (made.meta["training"], made.meta["inputs"]["weights"]):
        do = "run `lmtcnn register` again"
        raise DataError(problem(folder, "a bundle of the present training", "one of a training before it", do))
    client, run_id = tracking.configure(), tracking.parent(data, params)
    hashes = {f"{SHA256}{name}": digest(folder / name) for name in (WEIGHTS, META)}
    with store.alone(), tracking.answering():
        found = _same(client, hashes)
        if found and REASON in found.tags:
            return Registration(str(found.version), _alias(found), found.tags[REASON], new=False)
        champion = champion_meta()
        version = found or _create(client, run_id, folder, made, hashes)
        promoted, why = decide(facts(made.meta), facts(champion) if champion else None)
        alias = CHAMPION if promoted else CHALLENGER
        client.set_registered_model_alias(MODEL, alias, version.version)
        client.set_model_version_tag(MODEL, version.version, REASON, why)
    return Registration(str(version.version), alias, why, new=True)


def track(data: Path, params: Params) -> list[str]:
    """Rebuild runs and registry from the files; returns the parent run and, where a model was trained, its line."""
    from lmtcnn import tracking  # noqa: PLC0415

    stacks = data / "histograms" / "stacks.npy"
    if not stacks.is_file():
        raise DataError(problem(stacks, "the histograms of a study", "no file", "run `dvc repro` first"))
    run_id = tracking.track(data, params)
    lines = [f"run {run_id}", f"all runs: {tracking.view_url()}"]
    if (data / "train" / WEIGHTS).is_file() and (data / "evaluate" / METRICS).is_file():
        try:
            lines.append(register(data, params).line)
        except DataError as error:
            log.warning("no model is registered: %s", error.lines[0])
    return lines


def promote(version: str) -> str:
    """Make a version champion by hand, whatever the rule says; returns a line. ModelError where there is no such."""
    if store.exists() and lookup(MODEL, version):
        from lmtcnn import tracking  # noqa: PLC0415

        client = tracking.configure()
        client.set_registered_model_alias(MODEL, CHAMPION, version)
        client.set_model_version_tag(MODEL, version, REASON, "promoted by hand")
        return f"{MODEL} version {version} is champion: promoted by hand"
    found = f"only {', '.join(known)}" if (known := versions()) else "none at all"
    raise ModelError(problem(f"--promote {version}", f"a version of {MODEL}", found, "correct the number"))


def fetch(model: str | None, data: Path = Path("data")) -> Path:
    """Folder of a bundle; see `resolve`."""
    return resolve(model, data).folder


def resolve(model: str | None, data: Path = Path("data")) -> Resolved:
    """Find a bundle: a folder, `models:/lmtcnn/3`, `models:/lmtcnn@champion`, or (None) what serves.

    What serves is the registry's champion; where nothing was ever registered, the bundle in data/register, and a line
    says so. Raises ModelError where there is no such model or its files are not what was registered. Looking makes no
    store.
    """
    if model is not None and not model.startswith("models:/"):
        return Resolved(Path(model), model, None)
    name, wanted = registry.parse(model or f"models:/{MODEL}@{CHAMPION}")
    if version := lookup(name, wanted) if store.exists() else None:
        return Resolved(_files(version), version.uri, version.number)
    if model is not None:
        known = versions() if name == MODEL else []
        do = f"choose from versions {', '.join(known)}" if known else "run `dvc repro` first, or name a bundle's folder"
        word = f"version {wanted}" if wanted.isdecimal() else wanted
        expected = word if wanted.isdecimal() else f"the alias {wanted}"
        raise ModelError(problem(f"model {name}", f"{expected} in the registry", f"no {word}", do))
    if known := versions():
        do = f"choose one with `lmtcnn register --promote VERSION` ({', '.join(known)})"
        raise ModelError(problem(f"model {MODEL}", "the alias champion in the registry", "no champion", do))
    folder = data / "register"
    if not (folder / META).is_file():
        do = "run `dvc repro` first, or name a model with --model"
        expected = f"the alias champion in the registry, or a bundle in {folder}"
        raise ModelError(problem(f"model {MODEL}", expected, "no champion", do))
    log.warning("nothing is registered: the bundle in %s is used", folder)
    return Resolved(folder, str(folder), None)


def lookup(model: str, wanted: str) -> Version | None:
    """A version by its number or alias; None where model, version or alias are missing, which MLflow tells apart."""
    with suppress(registry.CannotTell):
        return registry.quick_look(model, wanted)
    store.check_answers()  # before the longer imports
    from lmtcnn import tracking  # noqa: PLC0415

    client = tracking.connect()
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 - after connect()

    try:
        with tracking.answering():
            # A server with logins says of a model that is not there that one may not read it.
            if not client.search_registered_models(f"name = '{model}'", max_results=1):
                return None
            if wanted.isdecimal():
                found = client.get_model_version(model, wanted)
            else:
                found = client.get_model_version_by_alias(model, wanted)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise
    place = client.get_model_version_download_uri(model, found.version)
    return Version(model, str(found.version), str(place), dict(found.tags))


def versions() -> list[str]:
    """Numbers of all registered versions, ascending."""
    if not store.exists():
        return []
    with suppress(registry.CannotTell):
        return registry.quick_versions(MODEL)
    from lmtcnn import tracking  # noqa: PLC0415

    found = tracking.connect().search_model_versions(f"name = '{MODEL}'")
    return sorted((str(version.version) for version in found), key=int)


def champion_meta() -> dict[str, Any] | None:
    """model.json of the champion, or None where there is none."""
    version = lookup(MODEL, CHAMPION)
    if version is None:
        return None
    meta: dict[str, Any] = json.loads((_files(version) / META).read_text(encoding="utf-8"))
    return meta


def facts(meta: Mapping[str, Any]) -> dict[str, Any]:
    """What the promotion rule is told of a model."""
    return {
        "histograms_digest": meta["histograms_digest"],
        "balanced_accuracy": meta["metrics"]["balanced_accuracy"],
        "samples": meta["samples"],
        "simulated": meta["simulated"],
    }


def load_rule(path: str) -> Decide:
    """`decide` of a Python file, named relative to the current folder or to the project's.

    Raises ParamsError where there is no such file or function.
    """
    file = next((f for f in (Path(path), store.project_root() / path) if f.is_file()), None)
    where, expected = f"register.promotion: {path}", "a Python file with a function `decide`"
    if file is None:
        raise ParamsError(problem(where, expected, "no file", "correct the path in params.yaml"))
    spec = importlib.util.spec_from_file_location("lmtcnn_promotion", file)
    if spec is None or spec.loader is None:
        raise ParamsError(problem(where, expected, "another kind of file", "correct the path in params.yaml"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    decide: Decide | None = getattr(module, "decide", None)
    if not callable(decide):
        raise ParamsError(problem(where, expected, "no `decide` in it", "write one, as in mlops/README.md"))
    return decide


def _same(client: "MlflowClient", hashes: Mapping[str, str]) -> "ModelVersion | None":
    wanted = " and ".join([f"name = '{MODEL}'", *(f"tags.`{name}` = '{value}'" for name, value in hashes.items())])
    found = client.search_model_versions(wanted)
    return client.get_model_version(MODEL, found[0].version) if found else None


def _alias(version: "ModelVersion") -> str:
    return CHAMPION if CHAMPION in version.aliases else ", ".join(version.aliases)


def _create(
    client: "MlflowClient", run_id: str, folder: Path, made: Bundle, hashes: Mapping[str, str]
) -> "ModelVersion":
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 - after connect()

    from lmtcnn import provenance, tracking  # noqa: PLC0415

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
        tracking.KEY: run.data.tags[tracking.KEY],
        tracking.IS_SIMULATED: str(made.meta["simulated"]).lower(),
        "lmtcnn.version": __version__,
        "lmtcnn.estimate": made.meta["estimate"],
    }
    model_id = _log_model(client, run, folder, made, tags)
    source = f"models:/{model_id}"
    if store.embedded():  # MLflow would look for the model in the current folder's store, not in this client's
        source = client.get_logged_model(model_id).artifact_location
    return client.create_model_version(MODEL, source, run_id, tags=tags, description=_describe(made), model_id=model_id)


def _log_model(client: "MlflowClient", run: Any, folder: Path, made: Bundle, tags: Mapping[str, str]) -> str:
    """Log the bundle as a model of its training's run: the two files as they are, and served.py as its program."""
    import mlflow.pyfunc  # noqa: PLC0415 - after connect()
    from mlflow.entities import LoggedModelOutput  # noqa: PLC0415
    from mlflow.models import Model  # noqa: PLC0415

    from lmtcnn import provenance, served  # noqa: PLC0415

    _discard_pending(client, run)
    params = {name: value for name, value in run.data.params.items() if name.startswith("train.")}
    tags = {**tags, **{name: value for name, value in provenance.source_tags("").items() if name in MADE_BY}}
    logged = client.create_logged_model(run.info.experiment_id, MODEL, run.info.run_id, tags, params)
    about = Model(
        artifact_path=logged.artifact_location,
        run_id=run.info.run_id,
        model_id=logged.model_id,
        model_uuid=logged.model_id,
    )
    try:
        with tempfile.TemporaryDirectory() as temporary:
            path = Path(temporary) / "model"
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
            client.log_model_artifacts(logged.model_id, str(path))
        client.finalize_logged_model(logged.model_id, "READY")
        client.log_outputs(run.info.run_id, [LoggedModelOutput(logged.model_id, step=0)])
    except BaseException:
        with suppress(Exception):  # a full disk may take no note of it either: then the next registration does it
            _discard(client, logged)
        raise
    return str(logged.model_id)


def _discard_pending(client: "MlflowClient", run: Any) -> None:
    """Remove models of a run whose registration broke off: logged in part, by a process that is gone or is this one."""
    from lmtcnn import provenance  # noqa: PLC0415

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


def _files(version: Version) -> Path:
    """The version's two files, verified; fetched first where they lie on a server and not in the cache."""
    if store.local_path(version.location) is None:
        _download(version)
    return registry.verified(version)


def _download(version: Version) -> None:
    folder = registry.cache_of(version)
    if all(registry.is_registered(version, name, folder) for name in registry.FILES):
        return
    store.quiet()
    from mlflow.artifacts import download_artifacts  # noqa: PLC0415 - after store.quiet()
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    ensure_folder(folder)
    for name in registry.FILES:
        source = f"{version.location}/artifacts/{name}"
        try:
            download_artifacts(source, dst_path=str(folder), tracking_uri=store.tracking_uri())
        except (MlflowException, OSError) as error:
            found = str(error).splitlines()[0]
            raise ModelError(problem(version.uri, name, found, registry.AGAIN)) from error


def _describe(made: Bundle) -> str:
    from lmtcnn import provenance  # noqa: PLC0415

    metrics, mark = made.meta["metrics"], f"**{SIMULATED}.** " if made.meta["simulated"] else ""
    return (
        f"{mark}{provenance.networks(made.model.members)} trained on {len(made.meta['samples'])} samples. The same "
        f"procedure is right in {metrics['ensemble_accuracy']:.1%} of the samples of held-out cages "
        f"({made.meta['estimate']})."
    )


DESCRIPTION = f"""Tells the class of a mouse from maps of where it stopped. `{CHAMPION}` serves.

`lmtcnn predict` takes recordings; `mlflow models serve` takes tables of stops (mlops/README.md)."""
