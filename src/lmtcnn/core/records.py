"""Records: each stage's JSON says what the stage was made from and by, and the next stage holds it to that.

A record bears the digests (sha256) of the stage's inputs and outputs, its parameters and its revision. Whatever belongs
to a training (its metrics, maps, bundle and page) bears the key of that training, too: a hash of all that determines
it. So files that were exchanged, or that were left by another order of commands, are refused in one line that says
which stage to run again. No stage takes numbers up that are not those of the present files and parameters.
"""

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from lmtcnn import __version__
from lmtcnn.core.errors import DataError, problem
from lmtcnn.core.files import digest_of, read_json
from lmtcnn.core.params import Definitions, Params
from lmtcnn.core.revisions import REVISIONS
from lmtcnn.core.sections import decisive, dump

log = logging.getLogger("lmtcnn")

DEFINITIONS = ("stops", "histograms", "quality")
"""Sections of params.yaml that make histograms, besides the classes."""

STACKS, INDEX, CONTROLS_FILE = "stacks.npy", "index.parquet", "controls.parquet"
PREDICTIONS, HISTORY_FILE = "predictions.parquet", "history.parquet"
FOLDS, WEIGHTS = "folds.safetensors", "weights.safetensors"
EVALUATION, METRICS, STATISTICS, MAPS = "evaluate.json", "metrics.json", "statistics.json", "activation_maps.json"

SHOWN = 12
"""Digits of a digest or key that a message shows."""


class Record(BaseModel):
    """The keys that every record has: the stage's revision, and name -> sha256 of its inputs and outputs."""

    model_config = ConfigDict(extra="allow", frozen=True)

    revision: int
    inputs: dict[str, str]
    outputs: dict[str, str]


class StopsRecord(Record):
    """stops.json: the parameters, and of each recording its files, floor and animals."""

    stops: dict[str, Any]
    quality: dict[str, Any]
    recordings: dict[str, Any]


class HistogramsRecord(Record):
    """histograms.json: all that a new recording must go through to be comparable."""

    simulated: bool
    floor_cm: tuple[float, float]
    classes: dict[str, Any]
    stops: dict[str, Any]
    histograms: dict[str, Any]
    quality: dict[str, Any]

    @property
    def digest(self) -> str:
        """The one digest of histograms: sha256 over those of stacks and index, as hexadecimal text."""
        return hashlib.sha256("".join(self.outputs[name] for name in (STACKS, INDEX)).encode()).hexdigest()


class TrainRecord(Record):
    """train.json: what was trained on what; `training` is its key."""

    training: str
    version: str
    classes: dict[str, Any]
    seeds: list[int]
    folds: list[str]
    architecture: dict[str, Any]
    train: dict[str, Any]
    simulated: bool
    preprocessing: dict[str, dict[str, Any]]
    floor_cm: tuple[float, float]

    @property
    def key(self) -> str:
        """sha256 of all that determines a training: histograms, classes, parameters (not `device`), our version."""
        what = {
            "histograms": self.inputs.get("histograms"),
            "simulated": self.simulated,
            "floor_cm": self.floor_cm,
            "preprocessing": self.preprocessing,
            "classes": list(self.classes.items()),  # their order is that of the outputs
            "train": decisive(self.train),
            "version": self.version,
            "revision": self.revision,
        }
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


class ResultRecord(Record):
    """evaluate.json, activation_maps.json, report.json: of which training, and by which sections of params.yaml."""

    training: str
    parameters: dict[str, Any]


R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Training:
    """A training that fits the present histograms and parameters.

    `folder` is data/train; `parts` are this folder, or those of single folds; `record` is the (first) train.json;
    `predictions` and `history` are the digests of the tables, `weights` that of the networks that see all cages.
    """

    folder: Path
    parts: tuple[Path, ...]
    record: TrainRecord
    predictions: str
    history: str
    weights: str | None

    @property
    def key(self) -> str:
        """The key that all its results bear."""
        return self.record.training


def seal(
    stage: str, content: Mapping[str, Any], inputs: Mapping[str, str], folder: Path, outputs: Iterable[str]
) -> dict[str, Any]:
    """Make a record as it is written: `content`, the stage's revision, digests of `inputs` and of files in `folder`."""
    return {
        **content,
        "revision": REVISIONS[stage],
        "inputs": dict(inputs),
        "outputs": {name: digest_of(folder / name) for name in outputs},
    }


def seal_training(folder: Path, summary: Mapping[str, Any], histograms: HistogramsRecord) -> dict[str, Any]:
    """Make train.json of the results in `folder`: `summary`, and the training's key."""
    written = [name for name in (PREDICTIONS, HISTORY_FILE, FOLDS, WEIGHTS) if (folder / name).is_file()]
    sealed = seal("train", {**summary, "version": __version__}, {"histograms": histograms.digest}, folder, written)
    return {**sealed, "training": TrainRecord(**{**sealed, "training": ""}).key}


def seal_results(
    stage: str, content: Mapping[str, Any], training: Training, inputs: Mapping[str, str], params: Params,
    folder: Path, outputs: Iterable[str],
) -> dict[str, Any]:  # fmt: skip
    """Make the record of results of a training: `content`, its key, the stage's sections of params.yaml."""
    of_training = {"training": training.key, "parameters": _sections(stage, params)}
    return seal(stage, {**content, **of_training}, inputs, folder, outputs)


def read_record(path: Path, kind: type[R], expected: str, stage: str) -> R:
    """Read the record of a stage; DataError where it is missing, damaged, of an old form or another revision."""
    required = [name for name, field in kind.model_fields.items() if field.is_required()]
    content = read_json(path, expected, stage, required)
    try:
        record = kind(**content)
    except ValidationError as error:
        first = error.errors()[0]
        found = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise DataError(problem(path, expected, found, _again(stage))) from error
    if record.revision != REVISIONS[stage]:
        wanted = f"revision {REVISIONS[stage]} of `{stage}`"
        raise DataError(problem(path, wanted, f"revision {record.revision}", _again(stage)))
    return record


def read_histograms(folder: Path, params: Params) -> HistogramsRecord:
    """Read the record in data/histograms, once stacks and index are those that it lists.

    Raises DataError where they are others, or were made by other parameters, stop tables or another manifest than the
    present ones, as far as these are at hand.
    """
    record = read_record(folder / "histograms.json", HistogramsRecord, "the histograms", "histograms")
    lines = _changed(folder, {name: getattr(record, name) for name in DEFINITIONS}, dump(params), "histograms")
    lines += _other_classes(folder, record.classes, params, "histograms")
    lines += check_outputs(folder, record, "histograms", dict.fromkeys((STACKS, INDEX, *record.outputs)))
    for name, path in (("stops", folder.parent / "stops" / "stops.json"), ("manifest", Path(params.cohort.manifest))):
        if name in record.inputs and path.is_file() and digest_of(path) != record.inputs[name]:
            lines.append(problem(folder, f"histograms by the present {path}", "by another one", _again("histograms")))
    if lines:
        raise DataError(lines)
    return record


def has_training(data: Path) -> bool:
    """Tell whether a training, or a single fold of one, lies in data/train, of whatever study."""
    folder = data / "train"
    return (folder / "train.json").is_file() or any(folder.glob("folds/*/train.json"))


def find_training(data: Path, params: Params) -> Training:
    """Find the training of the present histograms by the present parameters: the full one, else its single folds.

    A full training that does not fit gives way to folds that do, with a warning; folds may still be incomplete. Raises
    DataError that says what does not fit where there is neither, and names folds of the study that do not fit.
    """
    made = read_histograms(data / "histograms", params)
    folder = data / "train"
    misfits: list[str] = []
    if (folder / "train.json").is_file() or (folder / PREDICTIONS).is_file():
        misfits = _misfits(folder, params, made, (PREDICTIONS, HISTORY_FILE))
        if not misfits:
            return _training(folder, (folder,))
    folds = {path.parent: None for name in ("train.json", PREDICTIONS) for path in folder.glob(f"folds/*/{name}")}
    told = {part: _misfits(part, params, made, (PREDICTIONS, HISTORY_FILE)) for part in sorted(folds)}
    fitting = tuple(part for part, lines in told.items() if not lines)
    if not fitting:
        if lines := misfits or [line for of_fold in told.values() for line in of_fold]:
            raise DataError(lines)
        raise DataError(
            problem(folder / PREDICTIONS, "the out-of-fold predictions", "no file", "run `lmtcnn train` first")
        )
    training = _training(folder, fitting)
    if lines := [line for part in training.record.folds for line in told.get(folder / "folds" / part, ())]:
        raise DataError(lines)
    if misfits:
        log.warning("%s: not used, as its single folds are of the present study and it is not: %s", folder, misfits[0])
    return training


def full_training(data: Path, params: Params) -> Training:
    """Find the full training of the present histograms and parameters, with the networks that see all cages."""
    made = read_histograms(data / "histograms", params)
    if lines := _misfits(data / "train", params, made, (WEIGHTS,)):
        raise DataError(lines)
    return _training(data / "train", (data / "train",))


def read_evaluation(data: Path, params: Params, training: Training, names: Iterable[str] | None = None) -> ResultRecord:
    """Read the record of data/evaluate, once its files (`names`, or all) are those that it lists of this training."""
    inputs = {"predictions": training.predictions, "history": training.history}
    return _read_results(data / "evaluate" / EVALUATION, "evaluate", "the metrics", params, training, inputs, names)


def read_maps(data: Path, params: Params, training: Training) -> ResultRecord:
    """Read the record of data/explain, once its files are those that it lists and of this training's networks."""
    inputs = {"weights": training.weights or "none"}
    return _read_results(data / "explain" / MAPS, "explain", "the activation maps", params, training, inputs)


def read_page(data: Path, params: Params, training: Training) -> ResultRecord:
    """Read the record of data/report, once its page is that of this training and of what lies beside it."""
    beside = {"evaluation": data / "evaluate" / EVALUATION, "maps": data / "explain" / MAPS}
    inputs = {name: digest_of(path) for name, path in beside.items() if path.is_file()}
    return _read_results(data / "report" / "report.json", "report", "the page", params, training, inputs)


def check_outputs(folder: Path, record: Record, stage: str, names: Iterable[str] | None = None) -> list[str]:
    """Return a line for each of a record's files (`names`, or all) that is missing or is not what the stage wrote."""
    lines = []
    for name in record.outputs if names is None else names:
        path, wanted = folder / name, record.outputs.get(name)
        found = digest_of(path) if path.is_file() else None
        if found is None:
            lines.append(problem(path, "a file", "none", _again(stage)))
        elif found != wanted:
            expected = f"what its record lists (sha256 {wanted[:SHOWN]})" if wanted else "a file that its record lists"
            lines.append(problem(path, expected, f"another file (sha256 {found[:SHOWN]})", _again(stage)))
    return lines


def _training(folder: Path, parts: tuple[Path, ...]) -> Training:
    records = [read_record(p / "train.json", TrainRecord, "the summary of a training", "train") for p in parts]
    predictions, history = (_together(records, name) for name in (PREDICTIONS, HISTORY_FILE))
    return Training(folder, parts, records[0], predictions, history, records[0].outputs.get(WEIGHTS))


def _together(records: Sequence[Record], name: str) -> str:
    digests = [record.outputs.get(name, "") for record in records]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def _misfits(folder: Path, params: Params, made: HistogramsRecord, names: Sequence[str]) -> list[str]:
    """Say why the training in `folder` is not of these histograms, parameters and files; nothing if it is."""
    try:
        record = read_record(folder / "train.json", TrainRecord, "the summary of a training", "train")
    except DataError as error:
        return list(error.lines)
    sections = {name: record.preprocessing.get(name, {}) for name in ("stops", "histograms")}
    lines = _changed(folder, {"train": record.train, **sections}, dump(params), "train")
    lines += _other_classes(folder, record.classes, params, "train")
    same = (record.simulated, record.floor_cm) == (made.simulated, made.floor_cm)
    if not lines and (record.inputs.get("histograms") != made.digest or not same):
        expected = f"a training on the present histograms (sha256 {made.digest[:SHOWN]})"
        other = record.inputs.get("histograms")
        found = f"sha256 {other[:SHOWN]}" if other is not None else "of unknown digest"
        lines.append(problem(folder, expected, f"one on others ({found})", _again("train")))
    elif not lines and record.key != record.training:
        expected = f"the key {record.key[:SHOWN]} of what it lists"
        lines.append(problem(folder / "train.json", expected, record.training[:SHOWN], _again("train")))
    return lines or check_outputs(folder, record, "train", names)


def _read_results(
    path: Path, stage: str, expected: str, params: Params, training: Training, inputs: Mapping[str, str],
    names: Iterable[str] | None = None,
) -> ResultRecord:  # fmt: skip
    record = read_record(path, ResultRecord, expected, stage)
    if record.training != training.key or any(record.inputs.get(name) != value for name, value in inputs.items()):
        wanted = f"results of the present training, {training.key[:SHOWN]}"
        found = f"those of another, {record.training[:SHOWN]}"
        if record.training == training.key:
            found = f"those of other files of it: {', '.join(n for n in inputs if record.inputs.get(n) != inputs[n])}"
        raise DataError(problem(path.parent, wanted, found, _again(stage)))
    lines = _changed(path.parent, record.parameters, _sections(stage, params), stage)
    if lines := lines or check_outputs(path.parent, record, stage, names):
        raise DataError(lines)
    return record


def _sections(stage: str, params: Params) -> dict[str, Any]:
    """Return the sections of params.yaml, or parts of them, that make a stage's results of a training."""
    every = dump(params)
    shared = {name: every["evaluate"][name] for name in ("smoothing_tiles", "permutation_seed")}
    return {stage: every[stage], **({"zones": every["zones"], "evaluate": shared} if stage == "explain" else {})}


def _changed(folder: Path, found: Mapping[str, Any], wanted: dict[str, Any], stage: str) -> list[str]:
    """Return a line for each `wanted` parameter that a record's sections `found` lack; of train what decides."""
    if "train" in found and "train" in wanted:
        wanted, found = ({**each, "train": decisive(each["train"])} for each in (wanted, found))
    return [
        problem(folder, f"{section}.{name} {wanted[section].get(name)}", str(values.get(name)), _again(stage))
        for section, values in found.items()
        for name in dict.fromkeys([*wanted[section], *values])
        if values.get(name) != wanted[section].get(name)
    ]


def _other_classes(folder: Path, found: Mapping[str, Any], params: Definitions, stage: str) -> list[str]:
    """Return a line where the classes, or their order, are not those of the present params.yaml."""
    if list(found.items()) == list(dump(params)["classes"].items()):
        return []
    return [problem(folder, f"classes {list(params.classes)}", str(list(found)), _again(stage))]


def _again(stage: str) -> str:
    return f"run `lmtcnn {stage}` again"
