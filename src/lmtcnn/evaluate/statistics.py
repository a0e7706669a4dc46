"""How sure the figures of merit are: intervals, permutation tests, comparisons with the simple methods.

`statistics.json` holds all of it; what one number says goes into metrics.json as well, under a flat name.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lmtcnn.core.names import BASELINES, label_metric, label_values, recall_metric
from lmtcnn.core.params import Params
from lmtcnn.evaluate import baselines, permutation
from lmtcnn.evaluate.arrangements import Codes
from lmtcnn.evaluate.baselines import Folds
from lmtcnn.evaluate.comparison import Comparison, compare, holm
from lmtcnn.evaluate.design import JOINT, Design, design_of
from lmtcnn.evaluate.intervals import LEVEL, Interval, interval
from lmtcnn.evaluate.permutation import Test

COVERED = {3: 1.0, 6: 0.95, 12: 0.88, 24: 0.89}
"""Cages -> the share of simulated cohorts whose interval held the true accuracy (docs/proof.md)."""


@dataclass(frozen=True)
class Statistics:
    """All that is known of how sure a study's figures are.

    Attributes
    ----------
    intervals
        Figure of merit, as metrics.json names it -> its interval.
    tests
        A permutation test for each label column, and one of all together where there are several.
    comparisons
        Simple method -> the network less it; p is Holm's.
    by_seed
        Accuracy of each seed's networks.
    notes
        Sentences without a full stop.
    """

    intervals: dict[str, Interval]
    tests: list[Test]
    comparisons: dict[str, Comparison]
    by_seed: dict[int, float]
    notes: list[str]

    def metrics(self) -> dict[str, float]:
        """Flat: `<metric>_low`, `chance_<method>`, `p_<method>_<column>`, `difference_<method>`; none undefined."""
        found: dict[str, float] = {}
        for name, made in self.intervals.items():
            found |= {f"{name}_low": made.low, f"{name}_high": made.high}
        for test in self.tests:
            for method, outcome in test.outcomes.items():
                found[f"p_{method}_{test.name}"] = outcome.p
        found |= {f"chance_{method}": value for method, value in self.chances().items()}
        for method, compared in self.comparisons.items():
            name = f"difference_{method}"
            found |= {name: compared.difference, f"{name}_low": compared.low, f"{name}_high": compared.high}
            found[f"p_{name}"] = compared.p
        return {name: value for name, value in found.items() if math.isfinite(value)}

    def chances(self) -> dict[str, float]:
        """Method -> mean accuracy over arrangements of all columns, or of the only one."""
        last = self.tests[-1]
        return {method: outcome.chance for method, outcome in last.outcomes.items()}

    def content(self) -> dict[str, Any]:
        """Collect everything for statistics.json; undefined numbers are null."""
        accuracies = list(self.by_seed.values())
        spread = float(np.std(accuracies, ddof=1)) if len(accuracies) > 1 else None
        return {
            "level": LEVEL,
            "coverage": coverage_words(self.intervals["accuracy"].cages),
            "intervals": {name: _plain(made) for name, made in self.intervals.items()},
            "tests": {test.name: _plain(test) for test in self.tests},
            "comparisons": {method: _plain(made) for method, made in self.comparisons.items()},
            "seeds": {"accuracy": {str(seed): value for seed, value in self.by_seed.items()}, "sd": spread},
            "notes": self.notes,
        }


def statistics(
    index: pl.DataFrame,
    predictions: pl.DataFrame,
    ensemble: Codes,
    prepared: Folds,
    params: Params,
    started: Mapping[str, int] | None = None,
) -> tuple[Statistics, dict[str, Codes]]:
    """How sure the figures of a study are.

    Parameters
    ----------
    index
        The samples.
    predictions
        Of single networks, a row per sample and seed.
    ensemble
        (S,) the place in `params.classes` of what all networks together say.
    prepared
        The simple methods' folds; see `baselines.prepare`.
    params
        Classes, and `evaluate`.
    started
        Recording -> when it began; None where that is not known.

    Returns
    -------
    statistics
        Intervals, tests, comparisons.
    labels
        Simple method -> (S,) the place in `params.classes` of what it says.
    """
    design = design_of(index, params, started)
    codes = _codes(index["class"].to_list(), params)
    labels = label_once(design, codes, prepared, params)
    hits = hits_of(predictions, index)
    right = {"accuracy": hits / len(params.train.seeds), "ensemble_accuracy": (ensemble == codes).astype(float)}
    right |= {f"{method}_accuracy": (said == codes).astype(float) for method, said in labels.items()}
    tests = run_tests(design, prepared, params)
    made = Statistics(
        intervals=_intervals(index, right, codes, design, params),
        tests=tests,
        comparisons=_comparisons(hits, labels, codes, design, params),
        by_seed=_by_seed(predictions),
        notes=_notes(design, tests),
    )
    return made, labels


def label_once(design: Design, codes: Codes, prepared: Folds, params: Params) -> dict[str, Codes]:
    """Predict held-out samples by each simple method, with the labels as they are: (S,) places of classes.

    By the numbers of classes that every arrangement has, so that ties are broken alike.
    """
    joint = design.observed().joint
    place = np.zeros(int(joint.max()) + 1, dtype=np.int64)
    place[joint[0]] = codes
    return {method: place[said[0]] for method, said in baselines.label(prepared, joint, params.evaluate).items()}


def run_tests(design: Design, prepared: Folds, params: Params) -> list[Test]:
    """The permutation test of each label column, then of all together where there are several."""
    names = [*params.labels, JOINT] if len(params.labels) > 1 else list(params.labels)
    chosen = params.evaluate

    def label(labels: Codes) -> dict[str, Codes]:
        return baselines.label(prepared, labels, chosen)

    return [permutation.test(design, name, label, chosen.permutations_cheap, chosen.permutation_seed) for name in names]


def hits_of(predictions: pl.DataFrame, index: pl.DataFrame) -> NDArray[np.int64]:
    """How many of the seeds' networks label each sample right, (S,), in the order of `index`."""
    keys = ["recording", "animal_id"]
    hits = predictions.group_by(keys).agg(hits=(pl.col("class") == pl.col("predicted")).sum().cast(pl.Int64))
    found = index.select(keys).join(hits, on=keys, how="left", maintain_order="left")["hits"]
    return np.asarray(found.to_numpy(), dtype=np.int64)


def coverage_words(cages: int) -> str:
    """How many cages an interval stands on, and how often such intervals held the truth: `12 cages; ...`."""
    nearest = min(COVERED, key=lambda n: abs(math.log(n / max(cages, 1))))
    of_others = "" if nearest == cages else f" of {nearest} cages"
    return f"{cages} cages; coverage in simulations{of_others} {COVERED[nearest]:.0%}"


def _intervals(
    index: pl.DataFrame, right: Mapping[str, NDArray[np.float64]], codes: Codes, design: Design, params: Params
) -> dict[str, Interval]:
    strata, cages, all_alike = design.strata(), design.cages, np.zeros_like(codes)
    found = {name: interval(each, all_alike, cages, strata) for name, each in right.items()}
    ensemble = right["ensemble_accuracy"]
    found["balanced_accuracy"] = interval(ensemble, codes, cages, strata)
    chosen = {
        label_metric(label, value): np.array([own == value for own in index[label].to_list()])
        for label, value in label_values(params.classes)
    }
    chosen |= {recall_metric(name): codes == place for place, name in enumerate(params.classes)}
    for name, own in chosen.items():
        if own.any():
            found[name] = interval(ensemble[own], all_alike[own], cages[own], strata[own])
    return found


def _comparisons(
    hits: NDArray[np.int64], labels: Mapping[str, Codes], codes: Codes, design: Design, params: Params
) -> dict[str, Comparison]:
    """The network, mean over its seeds, less each simple method."""
    seeds, within = len(params.train.seeds), params.evaluate.matches_within
    return holm(
        {
            method: compare(hits, seeds * (said == codes).astype(np.int64), design.cages, seeds, within)
            for method, said in labels.items()
        }
    )


def _by_seed(predictions: pl.DataFrame) -> dict[int, float]:
    right = (pl.col("class") == pl.col("predicted")).mean()
    return dict(predictions.group_by("seed").agg(right=right).sort("seed").iter_rows())


def _notes(design: Design, tests: Sequence[Test]) -> list[str]:
    """Say what the design does not allow to tell."""
    found = [f"{test.name}: no permutation test, as {test.refused}" for test in tests if test.refused]
    for name in design.columns:
        follows = design.follows_order(name)
        if follows:
            found.append(f"{name} always follows the order of recording: no test can tell the two apart")
        elif follows is None:
            found.append(f"{name}: whether it follows the order of recording is not known")
    return found


def best_simple(metrics: Mapping[str, Any]) -> str:
    """The simple method of the greatest accuracy; ties: the first of `BASELINES`."""
    return max(BASELINES, key=lambda method: metrics[f"{method}_accuracy"])


def _codes(names: Sequence[str], params: Params) -> Codes:
    place = {name: number for number, name in enumerate(params.classes)}
    return np.array([place[name] for name in names], dtype=np.int64)


def _plain(made: Interval | Test | Comparison) -> dict[str, Any]:
    """Turn a number that is none into null, for JSON."""
    values = asdict(made)
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}
