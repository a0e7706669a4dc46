"""A new cohort through a model.

Preprocessing comes from the bundle, never from the current params.yaml: a recording must go through what the training
cohort went through. A recording that cannot be compared is refused; one that merely looks different is answered with
warnings in words.
"""

import io
import json
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lmtcnn.bundle.bundle import Bundle, features, unlike
from lmtcnn.cohort import cohort
from lmtcnn.cohort.parts import read_each
from lmtcnn.cohort.recording import Recording
from lmtcnn.cohort.rfids import has_chip, no_chip, pair_rfids, unnamed
from lmtcnn.core.errors import CohortError, DataError, LmtcnnError, OutputError, problem
from lmtcnn.core.files import write_bytes, write_text
from lmtcnn.core.params import Definitions
from lmtcnn.histograms.stack import floor_of, stack_for, too_short
from lmtcnn.lmt.detections import Seen
from lmtcnn.lmt.files import find
from lmtcnn.stops.extraction import Extraction, extract
from lmtcnn.stops.quality import failures
from lmtcnn.timeline import clock as clocks
from lmtcnn.timeline.counted import too_late
from lmtcnn.train.model import prepare, softmax_members

log = logging.getLogger("lmtcnn")

SIMULATED_MODEL = "the model learned from simulated mice: it says nothing about real ones"
SIMULATED_RECORDING = "the recording is a simulated one"
TRAINED_ON = "this animal was in the training cohort: the answer says nothing about new mice"
UNKNOWN = "nothing tells whether this animal was in the training cohort"


@dataclass(frozen=True)
class Model:
    """Which model answered.

    `uri` (as --model takes it), its version in the registry, the MLflow run of its training and the date of its
    registration (UTC), all None of what is not known; `accuracy` of its networks together on held-out cages, an
    estimate of the procedure; `digest`, the beginnings of the sha256 of its two files.
    """

    uri: str | None
    version: str | None
    run: str | None
    date: str | None
    accuracy: float | None
    digest: str | None

    @classmethod
    def of(
        cls,
        bundle: Bundle,
        uri: str | None = None,
        version: str | None = None,
        run: str | None = None,
        date: str | None = None,
    ) -> "Model":
        """The model in a bundle, by what is known of where it comes from."""
        accuracy = bundle.meta.get("metrics", {}).get("ensemble_accuracy")
        return cls(uri, version, run, date, accuracy, bundle.digest)

    @property
    def line(self) -> str:
        """One line for people."""
        parts = [
            f"model {self.uri or 'in memory'}",
            *([f"run {self.run}"] if self.run else []),
            *([f"registered {self.date}"] if self.date else []),
            *([f"digest {self.digest}"] if self.digest and not self.version else []),
            *([] if self.accuracy is None else [f"right in {self.accuracy:.1%} of the samples of held-out cages"]),
        ]
        return ", ".join(parts)


@dataclass(frozen=True)
class Prediction:
    """The model's answer for one animal in one recording."""

    recording: str
    animal_id: int
    rfid: str | None
    predicted: str
    probability: float
    probabilities: dict[str, float]
    agreement: float
    warnings: list[str]
    model: Model | None = None


@dataclass(frozen=True)
class Stacked:
    """One animal on the way through: who, its stack, and what was noticed."""

    recording: str
    animal_id: int
    rfid: str | None
    stack: NDArray[np.float64]
    warnings: list[str]


def predict(
    recordings: Sequence[Recording],
    bundle: Bundle,
    *,
    force: bool = False,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    model: Model | None = None,
) -> tuple[list[Prediction], list[LmtcnnError]]:
    """Predictions for every animal, by recording and animal, and what failed; one bad file loses no other.

    `progress` is told detections, read and to be read. `force` answers for recordings that are too short or too long as
    well, with a warning. Every prediction bears `model`; without it, what the bundle itself knows of itself.
    """
    answering = model or Model.of(bundle)

    def read(recording: Recording, threads: int, seen: Seen) -> list[Stacked]:
        return stack_recording(recording, bundle, force, threads, seen)

    outcomes = read_each(recordings, read, workers, progress)
    stacked = [animal for found in outcomes if not isinstance(found, LmtcnnError) for animal in found]
    told = [replace(each, model=answering) for each in classify(stacked, bundle)]
    return told, [found for found in outcomes if isinstance(found, LmtcnnError)]


def stack_recording(
    recording: Recording, bundle: Bundle, force: bool, threads: int = 1, seen: Seen = lambda n: None
) -> list[Stacked]:
    """Read a recording through the bundle's preprocessing.

    Raises DataError where it cannot be compared: with less than `quality.least_share` of the model's intervals, or with
    more than half of its stops beyond them (unless `force`, which turns both into warnings).
    """
    definitions = bundle.definitions
    extraction = extract(recording, definitions, threads, seen)
    where = str(recording.files[0])
    made = []
    for animal_id, rfid, start_ms, detected in extraction.quality.select(
        "animal_id", "rfid", "start_ms", "n_detected"
    ).iter_rows():
        if not detected:
            log.warning("%s: animal %d (%s): no position, so no answer", where, animal_id, rfid or "no RFID")
            continue
        own = extraction.stops.filter(pl.col("animal_id") == animal_id)
        made.append((animal_id, rfid, stack_for(recording, own, start_ms, definitions.histograms)))
    short = too_short(recording, extraction.quality, definitions)
    n_stops, n_late = (sum(getattr(stack, name) for *_, stack in made) for name in ("n_stops", "n_late"))
    misfits = complaints(short, n_stops, n_late, definitions)
    if misfits and not force:
        do = "use a model of this length, or --force"
        raise DataError([problem(where, expected, found, do) for expected, found in misfits])
    common = [f"forced: expected {expected}, found {found}" for expected, found in misfits]
    common += _notes(recording, extraction, bundle)
    statistics = bundle.meta["cohort_statistics"]
    trained_on = _trained_on(recording, [rfid for _, rfid, _ in made if rfid], bundle)
    return [
        Stacked(
            recording.name,
            animal_id,
            rfid,
            stack.counts,
            common
            + [TRAINED_ON] * (rfid in trained_on)
            + [f"{no_chip(rfid)}: {UNKNOWN}"] * (rfid is not None and not _is_known(recording, rfid))
            + unlike(features(stack.counts, stack.outside_share), statistics),
        )
        for animal_id, rfid, stack in made
    ]


def _trained_on(recording: Recording, rfids: Sequence[str], bundle: Bundle) -> set[str]:
    """RFIDs of a recording's animals that the model learned from.

    They are told by the names of the manifests where both have them, else by their chips, matched as those of a
    manifest with those of a database.
    """
    names: dict[str, set[str]] = defaultdict(set)
    for (other, rfid), animal in zip(bundle.meta["samples"], bundle.meta["animals"], strict=True):
        names[rfid].add("" if animal == unnamed(other, rfid) else animal)
    named = set().union(*names.values())
    pairs = pair_rfids(filter(has_chip, rfids), filter(has_chip, names))
    found = set()
    for rfid in rfids:
        sample = (recording.samples or {}).get(rfid)
        own = sample.animal if sample and sample.is_named else ""
        of_chip = names[pairs[rfid]] if rfid in pairs else set()
        if (own and own in named) or ("" in of_chip if own else of_chip):
            found.add(rfid)
    return found


def _is_known(recording: Recording, rfid: str) -> bool:
    """Whether a chip or the manifest says who an animal is."""
    sample = (recording.samples or {}).get(rfid)
    return has_chip(rfid) or (sample is not None and sample.is_named)


def complaints(short: str, n_stops: int, n_late: int, params: Definitions) -> list[tuple[str, str]]:
    """Say why a recording cannot be compared with the training cohort.

    Parameters
    ----------
    short
        In words, that it covers too little of the counted time (`counted.short_words`), or nothing.
    n_stops, n_late
        Stops of all its animals, and those of them that begin after the model's T intervals.
    params
        The model's definitions.

    Returns
    -------
    (expected, found) for each reason, in words.
    """
    settings = params.histograms
    counted, whole = (clocks.length(n * settings.interval_s) for n in (len(settings.counted), settings.intervals))
    found = []
    if short:
        found.append((f"{params.quality.least_share:.0%} of the model's {counted}", short))
    if too_late(n_stops, n_late, settings):
        found.append((f"stops within {whole}", f"{n_late} of {n_stops} later"))
    return found


def _notes(recording: Recording, extraction: Extraction, bundle: Bundle) -> list[str]:
    """In words, what to keep in mind about every answer for a recording."""
    notes = []
    if bundle.meta["simulated"]:
        notes.append(SIMULATED_MODEL)
    if extraction.quality["simulated"].any():
        notes.append(SIMULATED_RECORDING)
    notes += [f"the recording fails a quality check: {words}" for words in failures(extraction.quality).values()]
    floor, trained = floor_of(recording.arena), tuple(bundle.meta["floor_cm"])
    if not np.allclose(floor, trained, rtol=0.01):
        sizes = [f"{width:.1f} x {height:.1f} cm" for width, height in (floor, trained)]
        notes.append(f"another arena: its floor is {sizes[0]}, the training cohort's {sizes[1]}")
    return notes


def classify(stacked: Sequence[Stacked], bundle: Bundle) -> list[Prediction]:
    """Softmax averaged over the members, its greatest class (ties: class order), and the members' agreement."""
    if not stacked:
        return []
    x = prepare(np.stack([animal.stack for animal in stacked]), bundle.meta["train"]["transform"])
    members = softmax_members(bundle.model, x)  # (M, S, C)
    mean = members.mean(axis=0)
    best = mean.argmax(axis=1)
    agreement = (members.argmax(axis=2) == best).mean(axis=0)
    return [
        Prediction(
            animal.recording,
            animal.animal_id,
            animal.rfid,
            bundle.classes[best[i]],
            float(mean[i, best[i]]),
            dict(zip(bundle.classes, mean[i].tolist(), strict=True)),
            float(agreement[i]),
            animal.warnings,
        )
        for i, animal in enumerate(stacked)
    ]


@dataclass(frozen=True)
class Score:
    """How well a labelled cohort was told: figures of merit, confusion (rows true), a row a sample."""

    metrics: dict[str, float]
    confusion: NDArray[np.int64]
    table: pl.DataFrame
    simulated: bool


def score(predictions: Sequence[Prediction], known: cohort.Cohort, bundle: Bundle) -> Score:
    """Score predictions by the labels of a manifest; the metrics are those of `lmtcnn evaluate`'s ensemble."""
    from lmtcnn.evaluate import metrics  # loaded here: plain predictions need no scikit-learn

    classes = bundle.classes
    samples = {(sample.recording, sample.rfid): sample for sample in known.samples}
    chosen = [samples[p.recording, p.rfid or ""] for p in predictions]
    actual = [sample.class_name for sample in chosen]
    truth = {label: [sample.labels[label] for sample in chosen] for label in bundle.definitions.labels}
    probabilities = np.array([[p.probabilities[name] for name in classes] for p in predictions])
    predicted = [p.predicted for p in predictions]
    counts = metrics.confusion_of(actual, predicted, classes)
    table = as_frame(predictions, classes).with_columns(pl.Series("class", actual, dtype=pl.String))
    simulated = any(note in p.warnings for p in predictions for note in (SIMULATED_MODEL, SIMULATED_RECORDING))
    merits = metrics.score(actual, probabilities, classes, bundle.meta["classes"], truth)
    return Score(merits, counts, table, simulated)


def as_records(predictions: Iterable[Prediction]) -> list[dict[str, Any]]:
    """Plain values: one JSON object a prediction."""
    return [_record(prediction) for prediction in predictions]


def _record(prediction: Prediction) -> dict[str, Any]:
    """A prediction's fields, `model` before `warnings`, as the contract has them."""
    record = dict(vars(prediction))
    warnings, model = record.pop("warnings"), record.pop("model")
    return {**record, "model": asdict(model) if model else None, "warnings": warnings}


def as_table(predictions: Sequence[Prediction], classes: Sequence[str]) -> pl.DataFrame:
    """`as_frame` with columns `model` (its uri), `model_version`, `_run`, `_date`, `_accuracy`, `_digest`."""
    models = [vars(p.model) if p.model else {} for p in predictions]
    columns = []
    for name in (each.name for each in fields(Model)):
        kind = pl.Float64 if name == "accuracy" else pl.String
        values = [model.get(name) for model in models]
        columns.append(pl.Series("model" if name == "uri" else f"model_{name}", values, dtype=kind))
    frame = as_frame(predictions, classes)
    return frame.drop("warnings").hstack([*columns, frame["warnings"]])


def as_frame(predictions: Sequence[Prediction], classes: Sequence[str]) -> pl.DataFrame:
    """A flat table: p_<class> columns, warnings joined by ` | `."""
    return pl.DataFrame(
        {
            "recording": [p.recording for p in predictions],
            "animal_id": [p.animal_id for p in predictions],
            "rfid": [p.rfid for p in predictions],
            "predicted": [p.predicted for p in predictions],
            "probability": [p.probability for p in predictions],
            **{f"p_{name}": [p.probabilities[name] for p in predictions] for name in classes},
            "agreement": [p.agreement for p in predictions],
            "warnings": [" | ".join(p.warnings) for p in predictions],
        },
        schema_overrides={"rfid": pl.String, "animal_id": pl.Int64},
    )


FORMATS = (".csv", ".parquet", ".json")


def check_out(path: Path) -> None:
    """Raise OutputError before any work where the ending of `--out` says no known format."""
    if path.suffix.lower() not in FORMATS:
        raise OutputError(
            problem(path, f"a name that ends in {', '.join(FORMATS)}", path.suffix or "none", "rename it")
        )


def save(predictions: Sequence[Prediction], classes: Sequence[str], path: Path) -> None:
    """Write predictions as CSV, Parquet or JSON, by the ending of the name."""
    check_out(path)
    if path.suffix.lower() == ".json":
        write_text(path, to_json(predictions))
        return
    frame, content = as_table(predictions, classes), io.BytesIO()
    frame.write_parquet(content) if path.suffix.lower() == ".parquet" else frame.write_csv(content)
    write_bytes(path, content.getbuffer())


def to_json(predictions: Sequence[Prediction]) -> str:
    """One JSON document: a list of predictions."""
    return json.dumps(as_records(predictions), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def listed(manifest: Path, paths: Sequence[Path], bundle: Bundle) -> cohort.Cohort:
    """The recordings of a manifest, with labels or without, among the given files or in the given folder.

    Raises CohortError where a path is named by no row.
    """
    folder = paths[0] if paths[0].is_dir() else paths[0].parent
    whole = cohort.read_new(manifest, folder, bundle.definitions)
    if paths[0].is_dir() and len(paths) == 1:
        return whole
    named = {file.resolve(): recording.name for recording in whole.recordings for file in recording.files}
    given = {path.resolve(): path for path in find(paths)}
    if lost := [path for resolved, path in given.items() if resolved not in named]:
        do = "add it to the manifest, or leave it out; several folders cannot share one manifest"
        raise CohortError([problem(path, f"a file that {manifest} names", "none of its rows", do) for path in lost])
    names = {named[path] for path in given}
    recordings = tuple(recording for recording in whole.recordings if recording.name in names)
    return cohort.Cohort(recordings, tuple(s for s in whole.samples if s.recording in names))
