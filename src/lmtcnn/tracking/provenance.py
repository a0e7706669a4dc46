"""The description of a run: its key, its name, its parameters, where its data came from, and a text for people."""

import getpass
import hashlib
import itertools
import json
import math
import os
import shutil
import socket
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from lmtcnn import SIMULATED, __version__
from lmtcnn.core.files import digest
from lmtcnn.core.names import BASELINES, safe
from lmtcnn.core.params import Params, flat
from lmtcnn.core.sections import WHERE_ONLY, dump

SHOWN_DIFFERENCES = 3
REFERENCE = "reference"
"""Name of the first run, from which others are told apart."""


def parameters(params: Params, sizes: Mapping[str, int]) -> dict[str, str]:
    """Flat parameters of a training, as text: `train.lr`, the preprocessing, the classes, the size of the cohort."""
    sections = ("train.", "histograms.", "stops.", *(("simulate.",) if params.simulates else ()))
    unused = dump(params.train).keys() - params.train.decisive.keys() - set(WHERE_ONLY)
    hidden = {f"train.{name}" for name in unused}
    chosen = {name: v for name, v in flat(params).items() if name.startswith(sections) and name not in hidden}
    chosen |= {f"cohort.{name}": value for name, value in sizes.items()}
    return {"classes": ", ".join(params.classes)} | {name: _text(value) for name, value in chosen.items()}


def run_name(
    own: Mapping[str, str], tags: Mapping[str, str], first: tuple[Mapping[str, str], Mapping[str, str]] | None
) -> str:
    """Say what distinguishes a run from the first one of the experiment (its parameters and tags): `train.lr=0.003`.

    The first is called `reference`. Histograms that differ without a parameter that says why are another cohort and
    are named by the beginning of their hash.
    """
    if first is None:
        return REFERENCE
    there, its_tags = first
    parts = []
    hidden = tuple(f"train.{name}" for name in WHERE_ONLY)  # where it ran is no part of its name
    if tags["lmtcnn.simulated"] != its_tags.get("lmtcnn.simulated"):
        parts.append("simulated recordings" if tags["lmtcnn.simulated"] == "true" else "real recordings")
        hidden = (*hidden, "simulate.")
    names = [name for name in dict.fromkeys([*own, *there]) if not name.startswith(hidden)]
    differing = sorted((n for n in names if own.get(n) != there.get(n)), key=lambda n: not n.startswith("train."))
    parts += [f"{name}={own.get(name, 'none')}" for name in differing[:SHOWN_DIFFERENCES]]
    if len(differing) > SHOWN_DIFFERENCES:
        parts.append(f"{len(differing) - SHOWN_DIFFERENCES} more")
    other_histograms = tags["lmtcnn.histograms"] != its_tags.get("lmtcnn.histograms")
    if other_histograms and all(name.startswith("train.") for name in differing):
        parts.append(f"cohort {tags['lmtcnn.histograms'][:6]}")
    if tags["lmtcnn.version"] != its_tags.get("lmtcnn.version"):
        parts.append(f"lmtcnn {tags['lmtcnn.version']}")
    return ", ".join(parts) or REFERENCE


GROUPS = ("train", "chance", "p", "difference", "control")
"""First words of metrics that are groups of their own: `p/knn_sex`, `chance/knn`."""


def metric_names(metrics: Mapping[str, Any]) -> dict[str, float]:
    """metrics.json under MLflow's names, without undefined ones: `cv/sex_F`, `baseline/knn`, `p/knn_sex`.

    Recalls of the baselines and the ends of their intervals stand apart, `recall_baseline/knn_AM`: MLflow's pages group
    by what precedes the slash and sort by name, and the accuracies would drown among them.
    """
    named: dict[str, float] = {}
    for name, value in metrics.items():
        if isinstance(value, float) and math.isfinite(value):
            named[safe(_metric_name(name))] = value  # params.yaml has no two names that would become one here
    return named


def _metric_name(name: str) -> str:
    """One name of metrics.json as a group and what is in it."""
    method = next((each for each in sorted(BASELINES, key=len, reverse=True) if name.startswith(f"{each}_")), "")
    begin, _, rest = name.partition("_")
    if method:
        measure, _, more = name.removeprefix(f"{method}_").partition("_")
        if measure == "recall":
            return f"recall_baseline/{method}_{more}"
        return f"baseline_interval/{method}_{more}" if more else f"baseline/{method}"
    if begin in GROUPS:
        return f"{begin}/{rest}"
    of_label = begin == "accuracy" and "_" in rest and rest not in ("low", "high")
    return f"cv/{rest if of_label else name}"


def source_tags(started_by: str) -> dict[str, str]:
    """Tags that say who made a run: command, version, commit (and whether files differ from it), host and process."""
    commit = _git("rev-parse", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no") if commit else None
    return {
        "lmtcnn.version": __version__,
        "lmtcnn.host": socket.gethostname(),
        "lmtcnn.pid": str(os.getpid()),
        "mlflow.source.name": started_by,
        "mlflow.source.type": "LOCAL",
        **({"mlflow.user": who} if (who := user()) else {}),
        **(
            {"mlflow.source.git.commit": commit, "mlflow.source.git.dirty": str(bool(changed)).lower()}
            if commit
            else {}
        ),
    }


def alive(tags: Mapping[str, str]) -> bool:
    """Tell whether the process that a run names may still be at work; one of another host may."""
    if tags.get("lmtcnn.host") != socket.gethostname() or not tags.get("lmtcnn.pid", "").isdecimal():
        return True
    try:
        os.kill(int(tags["lmtcnn.pid"]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def dvc_hashes(data: Path) -> dict[str, str]:
    """`dvc.<path>` -> md5 of the histograms and of all data they were made of, back to the recordings.

    Modules are left out: there are dozens, and the commit says what they were. Only if dvc.lock knows exactly these
    histograms; their hash is taken from the files themselves, as DVC does.
    """
    stages = [*_locked_stages(Path("dvc.lock")), *_locked_stages(data / "dvc.lock")]
    outputs = {entry["path"]: (entry.get("md5"), stage) for stage in stages for entry in stage.get("outs", ())}
    folder = data / "histograms"
    listing = [
        {"md5": digest(file, "md5"), "relpath": file.name} for file in sorted(folder.iterdir()) if file.is_file()
    ]
    own = hashlib.md5(json.dumps(listing, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"
    found: dict[str, str] = {}
    waiting = [(folder.as_posix(), own)]
    while waiting:
        path, md5 = waiting.pop()
        known, stage = outputs.get(path, (None, {}))
        if f"dvc.{path}" in found or (known != md5 and not found):
            continue
        found[f"dvc.{path}"] = md5
        if known == md5:
            deps = (entry for entry in stage.get("deps", ()) if "md5" in entry and not entry["path"].endswith(".py"))
            waiting += [(entry["path"], entry["md5"]) for entry in deps]
    return found


def training_note(summary: Mapping[str, Any], metrics: Mapping[str, Any] | None = None, told: str = "") -> str:
    """A training in plain words, in Markdown; with its results once there are some, and what else is `told` of it."""
    train = summary["train"]
    rate = f"rate {train['lr']:g}" if train["lr"] != "auto" else _rates(summary)
    kernels = " and ".join(f"{k}x{k}" for k in train["kernels"])
    lines = [f"**{SIMULATED}.**\n"] if summary["simulated"] else []
    lines += [
        f"A shallow network ({kernels} kernels, {train['channels']} channels each) that tells "
        f"{_listed(summary['classes'])} from maps of where a mouse stopped.\n",
        f"{summary['n_samples']} samples of {summary['n_recordings']} recordings; each of {len(summary['folds'])} "
        f"cages was held out once, with {networks(len(summary['seeds']))} each; SGD, {rate}, "
        f"{train['epochs']} epochs, batches of {train['batch']}.\n",
    ]
    if metrics:
        lines.append(
            f"On held-out cages a single network is right in {metrics['accuracy']:.1%}, the networks of a cage "
            f"together in {metrics['ensemble_accuracy']:.1%} of samples. Simpler methods: "
            + ", ".join(f"{name} {metrics[key]:.1%}" for name in BASELINES if (key := f"{name}_accuracy") in metrics)
            + ".\n"
        )
        lines += [f"**Beware:** {note}.\n" for note in metrics.get("notes", ())]
    return "\n".join([*lines, told] if told else lines)


def _rates(summary: Mapping[str, Any]) -> str:
    """Say in words which rates were chosen, and how often."""
    found = sorted(summary["rates"].values())
    counts = ", ".join(f"{rate:g} ({len(list(same))})" for rate, same in itertools.groupby(found))
    return f"a rate chosen for each among its training cages: {counts}"


def networks(n: int) -> str:
    """Say in words how many networks there are."""
    return "one network" if n == 1 else f"{n} networks"


def matrix_text(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> str:
    """A confusion matrix as a Markdown table: true classes in rows, predicted ones in columns."""
    names = [name.replace("|", "\\|") for name in classes]
    lines = [f"| true | {' | '.join(f'predicted {name}' for name in names)} |", "|---" * (len(names) + 1) + "|"]
    lines += [f"| {name} | {' | '.join(map(str, row))} |" for name, row in zip(names, counts, strict=True)]
    return "\n".join(lines) + "\n"


def _listed(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def _text(value: Any) -> str:
    """A parameter's value; a list in one line, where MLflow's pages would spread JSON over several."""
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return value if isinstance(value, str) else json.dumps(value)


def user() -> str | None:
    """Return the name of whoever runs this, or None where it has none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return None


def _git(*arguments: str) -> str | None:
    program = shutil.which("git")
    if program is None:
        return None
    command = [program, "--no-optional-locks", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our words
    return done.stdout.strip() if done.returncode == 0 else None


def _locked_stages(path: Path) -> list[dict[str, Any]]:
    try:
        lock = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (OSError, YAMLError):
        return []  # no DVC here, or DVC itself will complain
    return list(lock.get("stages", {}).values()) if isinstance(lock, Mapping) else []
