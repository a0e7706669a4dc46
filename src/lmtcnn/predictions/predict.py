"""A new cohort through a model.

Preprocessing comes from the bundle, never from the current params.yaml: a recording must go through what the training
cohort went through. A recording that cannot be compared is refused; one that merely looks different is answered with
warnings in words.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lmtcnn.bundle.bundle import Bundle, features, unlike
from lmtcnn.bundle.doubt import class_set, doubts_of
from lmtcnn.cohort.parts import read_each
from lmtcnn.cohort.recording import Recording
from lmtcnn.cohort.rfids import has_chip, no_chip, pair_rfids, unnamed
from lmtcnn.core.errors import DataError, LmtcnnError, problem
from lmtcnn.histograms import fitness
from lmtcnn.histograms.fitness import FAILS
from lmtcnn.histograms.stack import floor_of, stack_for
from lmtcnn.lmt.detections import Seen
from lmtcnn.predictions.prediction import Model, Prediction
from lmtcnn.stops.extraction import Extraction, extract
from lmtcnn.stops.quality import failures
from lmtcnn.timeline import clock as clocks
from lmtcnn.timeline.counted import early_words
from lmtcnn.train.model import prepare, softmax_members

log = logging.getLogger("lmtcnn")

SIMULATED_MODEL = "the model learned from simulated mice: it says nothing about real ones"
SIMULATED_RECORDING = "the recording is a simulated one"
TRAINED_ON = "this animal was in the training cohort: the answer says nothing about new mice"
UNKNOWN = "nothing tells whether this animal was in the training cohort"


@dataclass(frozen=True)
class Stacked:
    """One animal on the way through: who, its stack, its distance to the training cohort, and what was noticed."""

    recording: str
    animal_id: int
    rfid: str | None
    stack: NDArray[np.float64]
    distance: float
    warnings: list[str]


def predict(
    recordings: Sequence[Recording],
    bundle: Bundle,
    *,
    force: bool = False,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    model: Model | None = None,
    answered: Callable[[NDArray[np.float64], Prediction], None] = lambda stack, prediction: None,
) -> tuple[list[Prediction], list[LmtcnnError]]:
    """Predict the class of every animal in recordings; one bad file loses no other.

    Parameters
    ----------
    recordings
        The new recordings.
    bundle
        The model and the preprocessing of its training cohort.
    force
        Whether recordings that are too short or too long are answered as well, with a warning.
    workers
        Recordings that are read at once.
    progress
        Progress callback: detections read so far, and detections in all.
    model
        Description of the model that every prediction bears; without it, what the bundle knows of itself.
    answered
        Called with the stack (T, N, N) and the prediction of each animal.

    Returns
    -------
    The predictions, by recording and animal, and the errors of the recordings that have none.
    """
    answering = model or Model.of(bundle)

    def read(recording: Recording, threads: int, seen: Seen) -> list[Stacked]:
        return stack_recording(recording, bundle, force, threads, seen)

    outcomes = read_each(recordings, read, workers, progress)
    stacked = [animal for found in outcomes if not isinstance(found, LmtcnnError) for animal in found]
    told = [replace(each, model=answering) for each in classify(stacked, bundle)]
    for animal, prediction in zip(stacked, told, strict=True):
        answered(animal.stack, prediction)
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
    short = fitness.short_words(recording, extraction.quality, definitions)
    n_stops, n_late = (sum(getattr(stack, name) for *_, stack in made) for name in ("n_stops", "n_late"))
    misfits = fitness.misfits(short, n_stops, n_late, definitions)
    if misfits and not force:
        do = "use a model of this length, or --force"
        raise DataError([problem(where, expected, found, do) for expected, found in misfits])
    common = [f"forced: expected {expected}, found {found}" for expected, found in misfits]
    common += _notes(recording, extraction, bundle)
    statistics = bundle.meta["cohort_statistics"]
    trained_on = _trained_on(recording, [rfid for _, rfid, _ in made if rfid], bundle)
    doubts = doubts_of([stack.counts for *_, stack in made], bundle.reference)
    return [
        Stacked(
            recording.name,
            animal_id,
            rfid,
            stack.counts,
            distance,
            common
            + doubted
            + [TRAINED_ON] * (rfid in trained_on)
            + [f"{no_chip(rfid)}: {UNKNOWN}"] * (rfid is not None and not _is_known(recording, rfid))
            + unlike(features(stack.counts, stack.outside_share), statistics),
        )
        for (animal_id, rfid, stack), (distance, doubted) in zip(made, doubts, strict=True)
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
    """Tell whether a chip or the manifest says who an animal is."""
    sample = (recording.samples or {}).get(rfid)
    return has_chip(rfid) or (sample is not None and sample.is_named)


def _notes(recording: Recording, extraction: Extraction, bundle: Bundle) -> list[str]:
    """Say in words what a reader should keep in mind about every answer for a recording."""
    notes = []
    if bundle.meta["simulated"]:
        notes.append(SIMULATED_MODEL)
    if extraction.quality["simulated"].any():
        notes.append(SIMULATED_RECORDING)
    notes += [FAILS + words for words in failures(extraction.quality).values()]
    settings = bundle.definitions.histograms
    offset_s = clocks.align_offset_s(int(extraction.quality["start_ms"][0]), settings, recording.timezone)
    if words := early_words(settings, offset_s):
        notes.append(f"the recording begins late: {words}")
    floor, trained = floor_of(recording.arena), tuple(bundle.meta["floor_cm"])
    if not np.allclose(floor, trained, rtol=0.01):
        sizes = [f"{width:.1f} x {height:.1f} cm" for width, height in (floor, trained)]
        notes.append(f"another arena: its floor is {sizes[0]}, the training cohort's {sizes[1]}")
    return notes


def classify(stacked: Sequence[Stacked], bundle: Bundle) -> list[Prediction]:
    """Average the softmax over the members; predict its greatest class (ties: class order).

    With it go the classes that the animal may be, and the members' agreement.
    """
    if not stacked:
        return []
    x = prepare(np.stack([animal.stack for animal in stacked]), bundle.meta["train"]["transform"])
    members = softmax_members(bundle.model, x)  # (M, S, C)
    mean = members.mean(axis=0)
    best = mean.argmax(axis=1)
    agreement = (members.argmax(axis=2) == best).mean(axis=0)
    probabilities = [dict(zip(bundle.classes, each.tolist(), strict=True)) for each in mean]
    return [
        Prediction(
            animal.recording,
            animal.animal_id,
            animal.rfid,
            bundle.classes[best[i]],
            float(mean[i, best[i]]),
            probabilities[i],
            class_set(probabilities[i], bundle.meta["doubt"]["set_level"]),
            animal.distance,
            float(agreement[i]),
            animal.warnings,
        )
        for i, animal in enumerate(stacked)
    ]
