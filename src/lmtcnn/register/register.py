"""The registry: versions of the model `lmtcnn`, their aliases, and who set them.

A version holds weights.safetensors and model.json, and the program served.py for REST. `predict` never runs that
program: it reads the two files, whose sha256 are kept as tags of the version.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmtcnn.bundle import bundle
from lmtcnn.bundle.bundle import META, Bundle
from lmtcnn.core.errors import DataError, ModelError, problem
from lmtcnn.core.files import digest
from lmtcnn.core.params import Params
from lmtcnn.core.records import METRICS, WEIGHTS, full_training
from lmtcnn.register import history, lookup, upload
from lmtcnn.register.registry import SHA256, Version
from lmtcnn.register.rule import Decide, facts, load_rule
from lmtcnn.tracking import client as clients
from lmtcnn.tracking import store, tracking
from lmtcnn.tracking.store import CHALLENGER, CHAMPION, MODEL, log

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

TRIAL = ("DVC_EXP_NAME", "DVC_EXP_BASELINE_REV")
"""Variables that DVC 3.67 sets for stages of `dvc exp run` alone (dvc/repo/experiments/queue/base.py)."""


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
    folder = data / "register"
    training = full_training(data, params)
    if (training.key, training.weights) != (made.meta["training"], made.meta["inputs"]["weights"]):
        do = "run `lmtcnn register` again"
        raise DataError(problem(folder, "a bundle of the present training", "one of a training before it", do))
    client, run_id = clients.configure(), tracking.parent(data, params)
    hashes = {f"{SHA256}{name}": digest(folder / name) for name in (WEIGHTS, META)}
    with store.alone():
        with clients.answering():
            version, is_own = upload.version_of(client, run_id, folder, made, hashes)
            mended = () if is_own else upload.mend(client, version, folder, made)
            if not is_own:
                version = history.wait_for(client, version)
                if history.is_decided(version):
                    why = version.tags[history.REASON]
                    alias = CHAMPION if CHAMPION in version.aliases else ", ".join(version.aliases)
                    return Registration(str(version.version), alias, why, new=False, mended=mended)
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
    while True:
        with clients.answering():
            champion = lookup.find(MODEL, CHAMPION)
        promoted, why = _verdict(version, champion, made, decide, params)
        with clients.answering():
            now = lookup.find(MODEL, CHAMPION)
            if (now and now.number) != (champion and champion.number):
                continue  # somebody has promoted another one by hand meanwhile
            if promoted and not (champion and champion.number == version):
                _crown(client, version, champion.number if champion else None, "rule", why)
            if not promoted:
                client.set_registered_model_alias(MODEL, CHALLENGER, version)
            client.set_model_version_tag(MODEL, version, history.REASON, why)
        return (CHAMPION if promoted else CHALLENGER), why


def _verdict(version: str, champion: Version | None, made: Bundle, decide: Decide, params: Params) -> tuple[bool, str]:
    """Say whether a version becomes champion, and why: by params.register, the champion's state, and the rule."""
    settings = params.register_
    if champion and champion.number == version:
        return True, "it was champion already"
    meta, unreadable = None, ""
    if champion:
        try:
            meta = bundle.read(lookup.files_of(champion)).meta
        except ModelError as error:
            log.warning("the champion, version %s, cannot be read: %s", champion.number, error.lines[0])
            unreadable = f"the champion, version {champion.number}, cannot be read ({error.lines[0]})"
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
    stacks = data / "histograms" / "stacks.npy"
    if not stacks.is_file():
        raise DataError(problem(stacks, "the histograms of a study", "no file", "run `dvc repro` first"))
    run_id = tracking.track(data, params)
    lines = [f"run {run_id}", f"all runs: {clients.view_url()}"]
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
    known = lookup.versions()
    where = f"lmtcnn promote {version or '--back'}"
    choice = f"choose from versions {', '.join(known)}" if known else "run `dvc repro` first"
    if version is not None and version not in known:
        raise ModelError(problem(where, f"a version of {MODEL}", f"no version {version}", choice))
    if not known:
        raise ModelError(problem(where, f"a version of {MODEL}", "none at all", choice))
    client = clients.configure()
    with store.alone(), clients.answering():
        champion = lookup.find(MODEL, CHAMPION)
        before = champion.number if champion else None
        chosen = version or _champion_before(client, before)
        found = lookup.find(MODEL, chosen) if chosen else None
        if found is None:
            raise ModelError(problem(where, "an earlier champion in the history", "none", choice))
        bundle.read(lookup.files_of(found))
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
    client = clients.connect()
    with clients.answering():
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
        "date": lookup.utc(version.creation_timestamp),
        "run": tags.get("lmtcnn.run"),
        **{name.removeprefix("cv/"): float(tags[name]) if name in tags else None for name in upload.SHOWN},
        "simulated": tags["lmtcnn.simulated"] == "true" if "lmtcnn.simulated" in tags else None,
        "decision": tags.get(history.REASON),
    }
