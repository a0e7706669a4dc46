"""Finding the model of a prediction: a folder, a version of the registry, or what serves."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lmtcnn.bundle.bundle import META
from lmtcnn.core.errors import ModelError, OutputError, problem, system_words
from lmtcnn.core.files import ensure_folder
from lmtcnn.register import history, registry
from lmtcnn.register.registry import Version
from lmtcnn.tracking import checks, store
from lmtcnn.tracking import client as clients
from lmtcnn.tracking.store import CHAMPION, MODEL, log

# MLflow is imported inside functions: a prediction, which starts here, does not wait for it.


@dataclass(frozen=True)
class Resolved:
    """A bundle's folder, what it is called and, where it comes from the registry, its version, run and date (UTC)."""

    folder: Path
    uri: str
    version: str | None
    run: str | None = None
    date: str | None = None


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
        version = find(name, wanted) if store.exists() else None
        known = versions() if version is None else []
    except OutputError as error:
        folder = data / "register"
        if model is not None or store.embedded() is None or not (folder / META).is_file():
            raise
        log.warning("%s: meanwhile the bundle in %s is used, whichever serves", error.lines[0], folder)
        return Resolved(folder, str(folder), None)
    if version:
        tags, date = version.tags, utc(version.created_ms)
        return Resolved(files_of(version), version.uri, version.number, tags.get("lmtcnn.run"), date)
    if model is not None:
        choice = f"choose from versions {', '.join(known)}" if known and name == MODEL else ""
        do = choice or "run `dvc repro` first, or name a bundle's folder"
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


def find(model: str, wanted: str) -> Version | None:
    """Find a version by its number or alias.

    Parameters
    ----------
    model
        Name of the registered model.
    wanted
        A version's number, or an alias.

    Returns
    -------
    The version; None where model, version or alias are missing, which MLflow tells apart.

    Raises
    ------
    OutputError
        Where the store cannot be read, or its server does not answer.
    """
    with suppress(registry.CannotTell):
        return registry.quick_look(model, wanted)
    checks.check_answers()  # before the longer imports
    client = clients.connect()
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 - after connect()

    with clients.answering():
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
    """List the numbers of all registered versions, ascending; this asks MLflow, whose import takes seconds."""
    if not store.exists():
        return []
    client = clients.connect()
    with clients.answering():
        return [str(version.version) for version in history.all_versions(client)]


def utc(ms: int | None) -> str | None:
    """Write a time in ms since the epoch as a date in UTC, to the second."""
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")


def files_of(version: Version) -> Path:
    """Find the folder with a version's two files on this machine, fetched first where they lie on a server.

    Parameters
    ----------
    version
        The version. Its files lie in the embedded store, or are kept in the cache by their content.

    Returns
    -------
    The folder, whose files have the sha256 that were registered.

    Raises
    ------
    ModelError
        Where a file is missing or is not what was registered.
    OutputError
        Where the server's store does not answer.
    """
    place = store.local_path(version.location)
    folder = place / "artifacts" if place else registry.cache_of(version)
    sha256 = {name: registry.sha256_of(version, name) for name in registry.FILES}
    where = f"{version.uri}: "
    if place is None:
        try:
            registry.check(folder, sha256, where)
        except ModelError:
            _download(version, folder)
    if not folder.is_dir():
        raise ModelError(problem(f"{where}{folder}", "its files", "no folder", registry.AGAIN))
    registry.check(folder, sha256, where)
    return folder


def _download(version: Version, folder: Path) -> None:
    store.quiet()
    from mlflow.artifacts import download_artifacts  # noqa: PLC0415 - after store.quiet()
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    ensure_folder(folder)
    for name in registry.FILES:
        source = f"{version.location}/artifacts/{name}"
        try:
            download_artifacts(source, dst_path=str(folder), tracking_uri=store.tracking_uri())
        except (MlflowException, OSError) as error:
            found = system_words(error)
            if not _is_gone(error):  # nothing is said of the files
                raise OutputError(problem(version.uri, name, found, "try again when its store answers")) from error
            raise ModelError(problem(version.uri, name, found, registry.AGAIN)) from error


def _is_gone(error: BaseException) -> bool:
    """Tell whether a download failed because there is no such file, and not because its store does not answer."""
    told = str(error)
    code = getattr(error, "error_code", None)
    return (
        isinstance(error, FileNotFoundError)
        or code == "RESOURCE_DOES_NOT_EXIST"
        or any(mark in told for mark in ("404", "No such artifact", "No such file", "Not Found", "NoSuchKey"))
    )
