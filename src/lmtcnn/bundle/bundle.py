"""The bundle: all that is needed to tell the class of a new recording, in two files.

    weights.safetensors   the networks that see all cages, one member a seed; and the training cohort's maps of stops,
                          with which new animals are compared (doubt.py)
    model.json            architecture, classes, every preprocessing parameter, what it was trained on, how well the
                          same procedure did on held-out cages, and what the training cohort's stacks look like

Nothing in it is pickled: reading a bundle runs no code of its own.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from lmtcnn.bundle.doubt import COVERAGE, Reference, reference, set_level
from lmtcnn.core.errors import LmtcnnError, ModelError, problem
from lmtcnn.core.files import digest, ensure_folder, read_json, write_json
from lmtcnn.core.params import Definitions, Params, parse_section
from lmtcnn.core.records import METRICS, WEIGHTS, Record, Training, check_outputs, read_evaluation, seal
from lmtcnn.core.sections import TrainParams, dump
from lmtcnn.evaluate.predicted import average, read_training
from lmtcnn.histograms import record
from lmtcnn.train import weights
from lmtcnn.train.kept import save_tensors
from lmtcnn.train.model import StereotypeCNN

FORMAT = 6
META = "model.json"
ROOTS = "cohort.roots"
"""The tensor that holds the maps of the training cohort, beside the weights."""
DEFINITIONS = tuple(Definitions.model_fields)
ESTIMATE = "cross-validated estimate of the procedure, not of this file"
MARGIN = 0.5
"""A sample is unlike the training cohort beyond its range widened by this share of its width on either side."""


@dataclass(frozen=True)
class Bundle:
    """A served model.

    The networks, model.json, the maps of the training cohort and, where it was read from a folder, the digest of the
    two files.
    """

    model: StereotypeCNN
    meta: dict[str, Any]
    reference: Reference
    digest: str | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in order."""
        return tuple(self.meta["classes"])

    @property
    def definitions(self) -> Definitions:
        """Classes and preprocessing, as the training cohort went through them."""
        return parse_section(Definitions, {key: self.meta[key] for key in DEFINITIONS}, META)


def build(data: Path, params: Params) -> Bundle:
    """Build a bundle from data/histograms, data/train and data/evaluate.

    Raises DataError where one is missing, or is not of the same training as the others.
    """
    stacks, index = record.load(data / "histograms", params)
    model, training = weights.load_members(data, params)
    evaluation = read_evaluation(data, params, training, (METRICS,))
    metrics = read_json(data / "evaluate" / METRICS, "the metrics", "evaluate")
    made = training.record
    n_counted = index["n_stops"] - index["n_late"] - index["n_cut"]
    outside = index["n_outside"].to_numpy() / np.maximum(n_counted.to_numpy(), 1)
    told = held_out(training, index, params)
    known = reference(stacks, index["cage"].to_list(), params.evaluate.smoothing_tiles)
    level = set_level([p for *_, p in told], index["cage"].to_list())
    meta = {
        "format": FORMAT,
        "architecture": made.architecture,
        "classes": made.classes,
        **made.preprocessing,
        "quality": dump(params.quality),
        "floor_cm": list(made.floor_cm),
        "zones": params.furniture,
        "train": made.train,
        "seeds": made.seeds,
        "simulated": made.simulated,
        "training": training.key,
        "inputs": {"weights": training.weights or "", "metrics": evaluation.outputs[METRICS]},
        "samples": [list(row) for row in index.select("recording", "rfid").iter_rows()],
        "animals": index["animal"].to_list(),  # who the samples are, in their order
        "held_out": told,
        "doubt": {
            "farthest": known.farthest,
            "smoothing_tiles": known.smoothing_tiles,
            "set_level": level,
            "coverage": COVERAGE,
        },
        "histograms_digest": made.inputs["histograms"],
        "metrics": metrics,
        "estimate": ESTIMATE,
        "cohort_statistics": cohort_statistics([features(s, float(o)) for s, o in zip(stacks, outside, strict=True)]),
    }
    return Bundle(model, meta, known)


def write(bundle: Bundle, folder: Path) -> None:
    """Write a bundle's two files, each atomically; model.json, the second, bears the digest of the weights."""
    ensure_folder(folder)
    maps = {ROOTS: torch.from_numpy(bundle.reference.roots)}
    save_tensors(bundle.model.state_dict() | maps, folder / WEIGHTS)
    write_json(folder / META, seal("register", bundle.meta, bundle.meta["inputs"], folder, [WEIGHTS]))


def read(folder: Path) -> Bundle:
    """Read a bundle; raises ModelError where it is missing, damaged or of another format."""
    where, again = folder / META, "run `lmtcnn register` again"
    if not where.is_file():
        raise ModelError(problem(folder, f"a bundle ({META}, {WEIGHTS})", f"no {META}", "run `lmtcnn register` first"))
    try:
        meta = read_json(where, "a bundle", "register")
        if meta.get("format") != FORMAT:
            raise ModelError(problem(where, f"format {FORMAT}", str(meta.get("format")), again))
        model = StereotypeCNN(**meta["architecture"])
        roots = weights.load_weights(model, folder / WEIGHTS, again, [ROOTS])[ROOTS].numpy()
        doubt = meta["doubt"]
        bundle = Bundle(model, meta, Reference(roots, doubt["farthest"], doubt["smoothing_tiles"]))
        _check(bundle, str(where))
        if lines := check_outputs(folder, Record(**meta), "register"):
            raise ModelError(lines)
        bundle = replace(bundle, digest=content(digest(folder / WEIGHTS), digest(where)))
    except ModelError:
        raise
    except LmtcnnError as error:
        raise ModelError(error.lines) from error
    except (KeyError, TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        found = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise ModelError(problem(where, "a bundle's keys", found, again)) from error
    return bundle


def _check(bundle: Bundle, where: str) -> None:
    """Look at all that a prediction will need, so that it cannot fail half-way."""
    meta, architecture = bundle.meta, bundle.model.architecture
    parse_section(TrainParams, meta["train"], where)
    made = parse_section(Definitions, {key: meta[key] for key in DEFINITIONS}, where)
    expected = {"intervals": len(made.histograms.counted), "tiles": made.histograms.tiles, "classes": len(made.classes)}
    for key, value in expected.items():
        if architecture[key] != value:
            raise ValueError(f"{architecture[key]} {key} in the architecture, {value} in its histograms or classes")
    for name in WORDS:
        low, high = meta["cohort_statistics"][name]
        if not low <= high:
            raise ValueError(f"cohort_statistics.{name} from {low} to {high}")
    if len(meta["animals"]) != len(meta["samples"]):
        raise ValueError(f"{len(meta['animals'])} animals of {len(meta['samples'])} samples")
    if len(meta["held_out"]) != len(meta["samples"]):
        raise ValueError(f"{len(meta['held_out'])} held-out results of {len(meta['samples'])} samples")
    _check_doubt(bundle, made.histograms.tiles)
    if not isinstance(meta["simulated"], bool):
        raise TypeError("simulated is neither true nor false")


def _check_doubt(bundle: Bundle, tiles: int) -> None:
    """Look at what new animals are compared with."""
    known, n_samples, doubt = bundle.reference, len(bundle.meta["samples"]), bundle.meta["doubt"]
    if known.roots.shape != (n_samples, tiles, tiles):
        raise ValueError(f"maps of {known.roots.shape} for {n_samples} samples of {tiles} x {tiles} tiles")
    if known.farthest is not None and not 0 <= known.farthest <= 1:
        raise ValueError(f"doubt.farthest {known.farthest}")
    if not 0 <= known.smoothing_tiles < math.inf:
        raise ValueError(f"doubt.smoothing_tiles {known.smoothing_tiles}")
    if not 0 <= doubt["set_level"] <= 1:
        raise ValueError(f"doubt.set_level {doubt['set_level']}")


def content(weights_sha256: str, meta_sha256: str) -> str:
    """Name the content of a bundle: the beginnings of its two files' sha256."""
    return f"{weights_sha256[:16]}-{meta_sha256[:16]}"


def held_out(training: Training, index: pl.DataFrame, params: Params) -> list[list[Any]]:
    """Say how each sample was told while its cage was held out, so that two models can be compared sample by sample.

    Parameters
    ----------
    training
        The whole training.
    index
        The samples, a row each.
    params
        The study's parameters.

    Returns
    -------
    For each sample, in the order of `index`: its class, the class that the networks of all seeds together gave it
    (softmax averaged, ties by the order of classes), and the probability that they gave its true class.

    Raises
    ------
    DataError
        Where the training is incomplete or was of other samples or parameters.
    """
    predictions, _ = read_training(training, index, params)
    classes = tuple(params.classes)
    ensemble = average(predictions, index, classes)
    return [
        [name, classes[int(p.argmax())], float(p[classes.index(name)])]
        for name, p in zip(index["class"].to_list(), ensemble, strict=True)
    ]


def features(stack: NDArray[Any], outside_share: float) -> dict[str, float]:
    """Describe a stack (T, N, N) in numbers a person can judge; see `describe` for their words."""
    counts = np.asarray(stack, dtype=np.float64)
    total = counts.sum()
    floor = counts.sum(axis=0)
    share = floor / total if total else floor
    tiles = floor.shape[0]
    edge = max(1, tiles // 10)
    busiest = np.sort(share, axis=None)[::-1]
    return {
        "stops_per_interval": float(total / len(counts)),
        "empty_intervals": float((counts.sum(axis=(1, 2)) == 0).mean()),
        "tiles_visited": float((floor > 0).mean()),
        "busiest_tiles": float(busiest[: max(1, tiles * tiles // 100)].sum()),
        "edge": float(1 - share[edge:-edge, edge:-edge].sum()) if total else 0.0,
        "width": _extent(share.sum(axis=0)),
        "height": _extent(share.sum(axis=1)),
        "outside": outside_share,
    }


WORDS = {
    "stops_per_interval": "stops an interval",
    "empty_intervals": "share of intervals without a stop",
    "tiles_visited": "share of the floor's tiles with a stop",
    "busiest_tiles": "share of stops in the busiest hundredth of the floor",
    "edge": "share of stops in the outer tenth of the floor",
    "width": "share of the floor's width that stops span",
    "height": "share of the floor's height that stops span",
    "outside": "share of stops off the floor",
}


def cohort_statistics(samples: list[dict[str, float]]) -> dict[str, list[float]]:
    """Least and greatest value of each feature over the training cohort."""
    return {name: [min(s[name] for s in samples), max(s[name] for s in samples)] for name in WORDS}


def unlike(found: Mapping[str, float], statistics: Mapping[str, list[float]]) -> list[str]:
    """Say in words which features of a sample lie outside the training cohort's range.

    The range is widened by half its width on either side.
    """
    lines = []
    for name, words in WORDS.items():
        low, high = statistics[name]
        slack = MARGIN * (high - low) + 1e-9
        if not low - slack <= found[name] <= high + slack:
            lines.append(f"unlike the training cohort: {words} {found[name]:.3g}, there {low:.3g} to {high:.3g}")
    return lines


def _extent(marginal: NDArray[np.float64]) -> float:
    """Share of an axis between the 1st and the 99th percentile of stops."""
    total = marginal.sum()
    if not total:
        return 0.0
    low, high = np.searchsorted(np.cumsum(marginal) / total, [0.01, 0.99])
    return float((high - low + 1) / len(marginal))
