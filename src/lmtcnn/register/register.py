"""The registry: versions of the model `lmtcnn`, the rule by which one becomes champion, and where `predict` gets one.

A version holds weights.safetensors and model.json, and the program served.py for REST. `predict` never runs that
program: it reads the two files, whose sha256 are kept as tags of the version.
"""

import importlib.util
import inspect
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from lmtcnn import SIMULATED
from lmtcnn.bundle import bundle
from lmtcnn.bundle.bundle import META, Bundle
from lmtcnn.core.errors import DataError, ModelError, OutputError, ParamsError, problem
from lmtcnn.core.files import digest, ensure_folder
from lmtcnn.core.params import Params
from lmtcnn.core.records import METRICS, WEIGHTS, full_training
from lmtcnn.register import history, registry
from lmtcnn.register.registry import SHA256, Version
from lmtcnn.tracking import store
from lmtcnn.tracking.store import CHALLENGER, CHAMPION, MODEL, log

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

# tracking, provenance and served are imported inside functions: they bring MLflow or scikit-learn, and a prediction,
# which starts here, does not wait for those.

Decide = Callable[[Mapping[str, Any], Mapping[str, Any] | None, Mapping[str, float]], tuple[bool, str]]
MADE_BY = ("lmtcnn.host", "lmtcnn.pid")
SHOWN = ("cv/ensemble_accuracy", "cv/balanced_accuracy")
"""Figures of merit that a version bears as tags."""
OTHERS = f"{SHA256}others"
"""Tag of a version: sha256 of the files beside the two that count, as JSON."""
TRIAL = ("DVC_EXP_NAME", "DVC_EXP_BASELINE_REV")
"""What DVC 3.67 sets for the stages of `dvc exp run`, and of no other command (dvc/repo/experiments/queue/base.py)."""
REQUIREMENTS = ("mlflow", "numpy", "pandas", "polars", "pydantic", "safetensors", "torch")
"""What pip may fetch for a version. Not lmtcnn: under its name an index may hold something else."""


@dataclass(frozen=True)
class Resolved:
    """A bundle's folder, what it is called and, where it comes from the registry, its version, run and date (UTC)."""

    folder: Path
    uri: str
    version: str | None
    run: str | None = None
    date: str | None = None


@dataclass(frozen=True)
class Registration:
    """The outcome of a registration: version, alias that it got (or had), why, whether it is new, and files mended."""

    version: str
    alias: str
    why: str
    new: bool
    mended: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """One line for the terminal."""
        what, by_hand = f"{MODEL} version {self.version}", f"`lmtcnn promote {self.version}` makes it champion"
        if self.new:
            told = f"is champion: {self.why}" if self.alias == CHAMPION else f"is challenger: {self.why}; {by_hand}"
        else:
            told = f"is this very model, registered before; it is {self.alias or 'without an alias'}"
            told += "" if self.alias == CHAMPION else f"; {by_hand}"
        if self.mended:
            told += f"; files that were lost or altered are uploaded again: {', '.join(self.mended)}"
        return f"{what} {told}"


def register(data: Path, params: Params) -> Registration:
    """The stage: write the bundle into data/register and register it; the same content makes no second version."""
    decide = load_rule(params.register_.promotion)
    made = bundle.build(data, params)
    bundle.write(made, data / "register")
    return publish(data, params, made, decide)


def publish(data: Path, params: Params, made: Bundle, decide: Decide) -> Registration:
    """Make a version of the bundle in data/register, under the run of its training, and set its alias by the rule.

    Parameters
    ----------
    data
        The study's folder.
    params
        Its parameters, of which `register` says by which rule.
    made
        The bundle in data/register.
    decide
        The rule.

    Returns
    -------
    What became of it. The same content makes no second version; files of it that were lost or altered in the store are
    uploaded again.

    Raises
    ------
    OutputError
        Where the store cannot be read or written.
    """
    from lmtcnn.tracking import tracking  # noqa: PLC0415

    folder = data / "register"
    training = full_training(data, params)
    if (training.key, training.weights) != (made.meta["training"], made.meta["inputs"]["weights"]):
        do = "run `lmtcnn register` again"
        raise DataError(problem(folder, "a bundle of the present training", "one of a training before it", do))
    client, run_id = tracking.configure(), tracking.parent(data, params)
    hashes = {f"{SHA256}{name}": digest(folder / name) for name in (WEIGHTS, META)}
    with store.alone():
        with tracking.answering():
            version, is_own = _version_of(client, run_id, folder, made, hashes)
            mended = () if is_own else _mend(client, version, folder, made)
            if not is_own:
                version = history.wait_for(client, version)
                if history.is_decided(version):
                    why = version.tags[history.REASON]
                    return Registration(str(version.version), _alias(version), why, new=False, mended=mended)
                client.set_model_version_tag(MODEL, version.version, history.REASON, history.deciding())
            history.wait_for_turn(client, version)
        try:
            alias, why = _settle(client, str(version.version), made, decide, params)
        except BaseException:  # others need not wait for this one
            with suppress(Exception):
                client.delete_model_version_tag(MODEL, version.version, history.REASON)
            raise
    return Registration(str(version.version), alias, why, new=True, mended=mended)


def _settle(client: "MlflowClient", version: str, made: Bundle, decide: Decide, params: Params) -> tuple[str, str]:
    """Decide on a version, whose turn it is, and set its alias; returns the alias and why."""
    from lmtcnn.tracking import tracking  # noqa: PLC0415

    while True:
        with tracking.answering():
            champion = lookup(MODEL, CHAMPION)
        promoted, why = _verdict(version, champion, made, decide, params)
        with tracking.answering():
            now = lookup(MODEL, CHAMPION)
            if (now and now.number) != (champion and champion.number):
                continue  # somebody has promoted another one by hand meanwhile
            if promoted and not (champion and champion.number == version):
                _crown(client, version, champion.number if champion else None, "rule", why)
            if not promoted:
                client.set_registered_model_alias(MODEL, CHALLENGER, version)
            client.set_model_version_tag(MODEL, version, history.REASON, why)
        return (CHAMPION if promoted else CHALLENGER), why


def _verdict(version: str, champion: Version | None, made: Bundle, decide: Decide, params: Params) -> tuple[bool, str]:
    """Whether a version becomes champion, by params.register, by the state of the champion, and by the rule."""
    settings = params.register_
    if champion and champion.number == version:
        return True, "it was champion already"
    try:
        meta = champion_meta(champion) if champion else None
    except ModelError as error:
        log.warning("the champion, version %s, cannot be read: %s", champion and champion.number, error.lines[0])
        meta, unreadable = (
            None,
            f"the champion, version {champion and champion.number}, cannot be read ({error.lines[0]})",
        )
    else:
        unreadable = ""
    if settings.promote == "never":
        return False, "register.promote is `never`"
    if settings.promote == "except_trials" and any(os.environ.get(name) for name in TRIAL):
        return False, "it is a trial of `dvc exp run` (`-S register.promote=by_rule` lets the rule decide)"
    if unreadable:
        return True, unreadable
    limits = {"least_gain": settings.least_gain, "most_loss": settings.most_loss}
    return decide(facts(made.meta), facts(meta) if meta else None, limits)


def _crown(client: "MlflowClient", version: str, before: str | None, by: str, why: str) -> None:
    """Let a version be champion, and write it into the history; it is challenger no longer."""
    client.set_registered_model_alias(MODEL, CHAMPION, version)
    aliases = client.get_registered_model(MODEL).aliases
    if str(aliases.get(CHALLENGER)) == version:
        client.delete_registered_model_alias(MODEL, CHALLENGER)
    history.remember(client, version, before, by, why)


def track(data: Path, params: Params) -> list[str]:
    """Rebuild runs and registry from the files; returns the parent run and, where a model was trained, its line."""
    from lmtcnn.tracking import tracking  # noqa: PLC0415

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


def promote(version: str | None) -> str:
    """Make a version champion by hand, whatever the rule says.

    Parameters
    ----------
    version
        Its number; None: the version that was champion before the present one.

    Returns
    -------
    A line that says so.

    Raises
    ------
    ModelError
        Where there is no such version, or its files are not what was registered.
    """
    known = versions()
    where = f"lmtcnn promote {version or '--back'}"
    choice = f"choose from versions {', '.join(known)}" if known else "run `dvc repro` first"
    if version is not None and version not in known:
        raise ModelError(problem(where, f"a version of {MODEL}", f"no version {version}", choice))
    if not known:
        raise ModelError(problem(where, f"a version of {MODEL}", "none at all", choice))
    from lmtcnn.tracking import tracking  # noqa: PLC0415

    client = tracking.configure()
    with store.alone(), tracking.answering():
        champion = lookup(MODEL, CHAMPION)
        before = champion.number if champion else None
        chosen = version or _champion_before(client, before)
        found = lookup(MODEL, chosen) if chosen else None
        if found is None:
            raise ModelError(problem(where, "an earlier champion in the history", "none", choice))
        bundle.read(_files(found))
        if found.number == before:
            return f"{MODEL} version {found.number} is champion already"
        why = "promoted by hand" if version else f"taken back by hand, in place of version {before}"
        _crown(client, found.number, before, "hand", why)
        client.set_model_version_tag(MODEL, found.number, history.REASON, why)
    instead = f", in place of version {before}" if before else ""
    return f"{MODEL} version {found.number} is champion{instead}; `lmtcnn promote --back` undoes this"


def _champion_before(client: "MlflowClient", champion: str | None) -> str | None:
    """Number of the version that was champion before the present one, by the history."""
    told = history.events(client)
    if champion is None:
        return told[-1].version if told else None
    own = [event for event in told if event.version == champion]
    if own:
        return own[-1].before
    return told[-1].version if told else None  # the alias was set elsewhere, in MLflow's pages


def listing() -> dict[str, list[dict[str, Any]]]:
    """Tell every version of the model and every change of champion, as plain values.

    Returns
    -------
    `versions`, ascending: `version`, `aliases`, `date` (UTC), `run`, `ensemble_accuracy` and `balanced_accuracy` (of
    held-out cages), `simulated`, `decision` (why it became champion or challenger); and `history`, the oldest first:
    see `history.Event`. Both are empty where nothing was ever registered.
    """
    if not store.exists():
        return {"versions": [], "history": []}
    from lmtcnn.tracking import tracking  # noqa: PLC0415

    client = tracking.connect()
    with tracking.answering():
        found = history.all_versions(client)
        if not found:
            return {"versions": [], "history": []}
        aliases = client.get_registered_model(MODEL).aliases
        told = [asdict(event) for event in history.events(client)]
    return {"versions": [_listed(version, aliases) for version in found], "history": told}


def _listed(version: "ModelVersion", aliases: Mapping[str, Any]) -> dict[str, Any]:
    tags = version.tags
    return {
        "version": str(version.version),
        "aliases": sorted(alias for alias, number in aliases.items() if str(number) == str(version.version)),
        "date": utc(version.creation_timestamp),
        "run": tags.get("lmtcnn.run"),
        **{name.removeprefix("cv/"): float(tags[name]) if name in tags else None for name in SHOWN},
        "simulated": tags["lmtcnn.simulated"] == "true" if "lmtcnn.simulated" in tags else None,
        "decision": tags.get(history.REASON),
    }


def utc(ms: int | None) -> str | None:
    """A time in ms since the epoch as a date in UTC, to the second."""
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")


def fetch(model: str | None, data: Path = Path("data")) -> Path:
    """Folder of a bundle; see `resolve`."""
    return resolve(model, data).folder


def resolve(model: str | None, data: Path = Path("data")) -> Resolved:
    """Find a bundle: a folder, `models:/lmtcnn/3`, `models:/lmtcnn@champion`, or (None) what serves.

    What serves is the registry's champion; where nothing was ever registered, or the embedded store cannot be read (it
    is locked, damaged, of another program), the bundle in data/register, and a line says so. Raises ModelError where
    there is no such model or its files are not what was registered. Looking makes no store.
    """
    if model is not None and not model.startswith("models:/"):
        return Resolved(Path(model), model, None)
    name, wanted = registry.parse(model or f"models:/{MODEL}@{CHAMPION}")
    try:
        version = lookup(name, wanted) if store.exists() else None
        known = versions() if version is None else []
    except OutputError as error:
        folder = data / "register"
        if model is not None or store.embedded() is None or not (folder / META).is_file():
            raise
        log.warning("%s: meanwhile the bundle in %s is used, whichever serves", error.lines[0], folder)
        return Resolved(folder, str(folder), None)
    if version:
        tags, date = version.tags, utc(version.created_ms)
        return Resolved(_files(version), version.uri, version.number, tags.get("lmtcnn.run"), date)
    if model is not None:
        choice = known if name == MODEL else []
        do = (
            f"choose from versions {', '.join(choice)}"
            if choice
            else "run `dvc repro` first, or name a bundle's folder"
        )
        word = f"version {wanted}" if wanted.isdecimal() else wanted
        expected = word if wanted.isdecimal() else f"the alias {wanted}"
        raise ModelError(problem(f"model {name}", f"{expected} in the registry", f"no {word}", do))
    if known:
        do = f"choose one with `lmtcnn promote VERSION` ({', '.join(known)})"
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
    from lmtcnn.tracking import tracking  # noqa: PLC0415

    client = tracking.connect()
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 - after connect()

    with tracking.answering():
        # A server with logins says of a model that is not there that one may not read it.
        if not client.search_registered_models(f"name = '{model}'", max_results=1):
            return None
        try:
            if wanted.isdecimal():
                found = client.get_model_version(model, wanted)
            else:
                found = client.get_model_version_by_alias(model, wanted)
            place = client.get_model_version_download_uri(model, found.version)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise
    return Version(model, str(found.version), store.at_home(str(place)), dict(found.tags), found.creation_timestamp)


def versions() -> list[str]:
    """Numbers of all registered versions, ascending."""
    if not store.exists():
        return []
    with suppress(registry.CannotTell):
        return registry.quick_versions(MODEL)
    from lmtcnn.tracking import tracking  # noqa: PLC0415

    client = tracking.connect()
    with tracking.answering():
        return [str(version.version) for version in history.all_versions(client)]


def champion_meta(version: Version) -> dict[str, Any]:
    """model.json of a version; ModelError where its files cannot be read, by this version of lmtcnn."""
    return bundle.read(_files(version)).meta


def facts(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the promotion rule is told of a model."""
    return {
        "histograms_digest": meta["histograms_digest"],
        "samples": meta["samples"],
        "held_out": meta["held_out"],
        "classes": meta["classes"],
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
    if _takes(decide, 2):  # a rule of one's own that needs no limits
        return lambda candidate, champion, limits: decide(candidate, champion)  # type: ignore[call-arg]
    if not _takes(decide, 3):
        expected, found = "`decide(candidate, champion, limits)`", f"`decide{inspect.signature(decide)}`"
        raise ParamsError(problem(where, expected, found, "write it as in mlops/README.md"))
    return decide


def _takes(rule: Callable[..., Any], arguments: int) -> bool:
    try:
        inspect.signature(rule).bind(*range(arguments))
    except TypeError:
        return False
    return True


def _version_of(
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


def _alias(version: "ModelVersion") -> str:
    return CHAMPION if CHAMPION in version.aliases else ", ".join(version.aliases)


def _create(
    client: "MlflowClient", run_id: str, folder: Path, made: Bundle, hashes: Mapping[str, str]
) -> "ModelVersion":
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 - after connect()

    from lmtcnn.tracking import provenance, tracking  # noqa: PLC0415

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

    from lmtcnn.tracking import provenance  # noqa: PLC0415

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


def _mend(client: "MlflowClient", version: "ModelVersion", folder: Path, made: Bundle) -> tuple[str, ...]:
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
            found = error.strerror or str(error)
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
    from lmtcnn.tracking import provenance  # noqa: PLC0415

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
            if not _is_gone(error):  # nothing is said of the files
                raise OutputError(problem(version.uri, name, found, "try again when its store answers")) from error
            raise ModelError(problem(version.uri, name, found, registry.AGAIN)) from error


def _is_gone(error: BaseException) -> bool:
    """Whether a download failed because there is no such file, and not because its store does not answer."""
    told = str(error)
    code = getattr(error, "error_code", None)
    return (
        isinstance(error, FileNotFoundError)
        or code == "RESOURCE_DOES_NOT_EXIST"
        or any(mark in told for mark in ("404", "No such artifact", "No such file", "Not Found", "NoSuchKey"))
    )


def _describe(made: Bundle) -> str:
    from lmtcnn.tracking import provenance  # noqa: PLC0415

    metrics, mark = made.meta["metrics"], f"**{SIMULATED}.** " if made.meta["simulated"] else ""
    return (
        f"{mark}{provenance.networks(made.model.members)} trained on {len(made.meta['samples'])} samples. The same "
        f"procedure is right in {metrics['ensemble_accuracy']:.1%} of the samples of held-out cages "
        f"({made.meta['estimate']})."
    )


DESCRIPTION = f"""Tells the class of a mouse from maps of where it stopped. `{CHAMPION}` serves.

`lmtcnn predict` takes recordings; `mlflow models serve` takes tables of stops (mlops/README.md)."""
