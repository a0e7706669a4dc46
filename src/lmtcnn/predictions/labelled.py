"""New recordings by their manifest, and how well they were told where it has labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lmtcnn.bundle.bundle import Bundle
from lmtcnn.cohort import cohort
from lmtcnn.core.errors import CohortError, problem
from lmtcnn.evaluate.predicted import confusion_of
from lmtcnn.lmt import files
from lmtcnn.predictions.predict import SIMULATED_MODEL, SIMULATED_RECORDING
from lmtcnn.predictions.prediction import Prediction, as_frame


def find(paths: Sequence[Path], manifest: Path | None, bundle: Bundle) -> cohort.Cohort:
    """Find the recordings that are to be predicted.

    Parameters
    ----------
    paths
        Databases, or folders of them.
    manifest
        Says who is who, and which files are one recording, with labels or without; None where there is none.
    bundle
        The model that is to predict.

    Returns
    -------
    The recordings among these files, and what the manifest says of their animals: nothing, without one.

    Raises
    ------
    CohortError
        Where the manifest is faulty, or names a path in no row.
    """
    if manifest:
        return _listed(manifest, paths, bundle)
    return cohort.Cohort(tuple(cohort.unlisted(paths, bundle.definitions)), ())


def _listed(manifest: Path, paths: Sequence[Path], bundle: Bundle) -> cohort.Cohort:
    """The recordings of a manifest, with labels or without, among the given files or in the given folder.

    Raises CohortError where a path is named by no row.
    """
    folder = paths[0] if paths[0].is_dir() else paths[0].parent
    whole = cohort.read_new(manifest, folder, bundle.definitions)
    if paths[0].is_dir() and len(paths) == 1:
        return whole
    named = {file.resolve(): recording.name for recording in whole.recordings for file in recording.files}
    given = {path.resolve(): path for path in files.find(paths)}
    if lost := [path for resolved, path in given.items() if resolved not in named]:
        do = "add it to the manifest, or leave it out; several folders cannot share one manifest"
        raise CohortError([problem(path, f"a file that {manifest} names", "none of its rows", do) for path in lost])
    names = {named[path] for path in given}
    recordings = tuple(recording for recording in whole.recordings if recording.name in names)
    return cohort.Cohort(recordings, tuple(s for s in whole.samples if s.recording in names))


@dataclass(frozen=True)
class Score:
    """The score of a labelled cohort: figures of merit, confusion (rows true), a row a sample."""

    metrics: dict[str, float]
    confusion: NDArray[np.int64]
    table: pl.DataFrame
    simulated: bool


def score(predictions: Sequence[Prediction], known: cohort.Cohort, bundle: Bundle) -> Score | None:
    """Score predictions by the labels of a manifest.

    Parameters
    ----------
    predictions
        Those of the manifest's animals, or of some of them.
    known
        What the manifest says.
    bundle
        The model that predicted.

    Returns
    -------
    The score, whose metrics are those of `lmtcnn evaluate`'s ensemble; None where nothing was predicted or the
    manifest has no labels.
    """
    if not predictions or not all(sample.labels for sample in known.samples):
        return None
    from lmtcnn.evaluate import metrics  # loaded here: plain predictions need no scikit-learn

    classes = bundle.classes
    samples = {(sample.recording, sample.rfid): sample for sample in known.samples}
    chosen = [samples[p.recording, p.rfid or ""] for p in predictions]
    actual = [sample.class_name for sample in chosen]
    truth = {label: [sample.labels[label] for sample in chosen] for label in bundle.definitions.labels}
    probabilities = np.array([[p.probabilities[name] for name in classes] for p in predictions])
    predicted = [p.predicted for p in predictions]
    counts = confusion_of(actual, predicted, classes)
    table = as_frame(predictions, classes).with_columns(pl.Series("class", actual, dtype=pl.String))
    simulated = any(note in p.warnings for p in predictions for note in (SIMULATED_MODEL, SIMULATED_RECORDING))
    merits = metrics.score(actual, probabilities, classes, bundle.meta["classes"], truth)
    return Score(merits, counts, table, simulated)
