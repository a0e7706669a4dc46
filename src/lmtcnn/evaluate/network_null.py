"""How often labels that mean nothing do as well with the network: a permutation test that stops when it knows enough.

One arrangement costs a network for each cage, so arrangements are drawn one after the other until `ENOUGH` of them did
at least as well as the observed labels; then p = h / n (Besag & Clifford 1991, Biometrika 78). If the last one comes
first, p = (1 + b) / (1 + n), as for the simple methods. Under the null that takes some 50 arrangements; where the
labels mean something, all of them.

Observed labels and arrangements go through the same procedure: canonical names, one network a fold by the first of
`train.seeds`, which is named before anything is seen. So the observed figure is not quite that of metrics.json, which
is a mean over seeds.
"""

import logging
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmtcnn.core.errors import ParamsError, problem
from lmtcnn.core.params import Params
from lmtcnn.evaluate.arrangements import Arrangements, Codes
from lmtcnn.evaluate.design import JOINT, Design, NotTestableError
from lmtcnn.evaluate.permutation import balanced_accuracy, marginal
from lmtcnn.train.fitting import Study, group_size
from lmtcnn.train.kept import Kept, key
from lmtcnn.train.permuted import arrangements_at_once, fit_arrangements

log = logging.getLogger("lmtcnn")

ENOUGH = 10
"""Arrangements as good as the observed labels after which a test stops: Besag & Clifford's h."""

FOLDER = ".permutations"
"""Below the data folder: what has been trained for the test, kept so that nothing is trained twice."""


@dataclass(frozen=True)
class Outcome:
    """Result of the network's permutation test of a column, or of all (`JOINT`).

    Attributes
    ----------
    observed
        Balanced accuracy of the column's values, or of the classes, of the observed labels by one seed.
    accuracy
        Accuracy over all classes, likewise.
    p
        h / n where it stopped early, else (1 + b) / (1 + n).
    used
        n, arrangements that were looked at.
    reached
        b, those at least as good as the observed labels.
    null_mean
        Mean of the statistic over the arrangements.
    chance
        Mean accuracy over all classes over the arrangements.
    refused
        Why there is no test, in words; empty where there is one.
    """

    observed: float
    accuracy: float
    p: float
    used: int
    reached: int
    null_mean: float
    chance: float
    refused: str = ""


def network_tests(study: Study, design: Design, data: Path, params: Params) -> dict[str, Outcome]:
    """Test each label column, then all together where there are several.

    Parameters
    ----------
    study
        The inputs on their device, and the cages; see `lmtcnn.train.train.load_study`.
    design
        How the labels lie.
    data
        The study's data folder; finished work is kept in data/.permutations and taken up from there.
    params
        For `train`, and `evaluate.permutations` and `permutation_seed`.

    Returns
    -------
    dict
        Column or `JOINT` -> what came out.

    Raises
    ------
    ParamsError
        With `train.lr: auto`, as rates would have to be chosen anew for every arrangement.
    """
    if params.train.lr == "auto":
        do = "write a rate, or evaluate.permutations: 0"
        raise ParamsError(problem("evaluate.permutations", "a rate in train.lr", "auto", do))
    tests = Tests(study, design, data, params)
    names = [*design.columns, JOINT] if len(design.columns) > 1 else list(design.columns)
    return {name: tests.run(name) for name in names}


def metrics(outcomes: Mapping[str, Outcome]) -> dict[str, float]:
    """Name the results for metrics.json: `p_network_<column>`, and `chance_network` of the last test there is."""
    tested = {name: outcome for name, outcome in outcomes.items() if not outcome.refused}
    found = {f"p_network_{name}": outcome.p for name, outcome in tested.items()}
    return found | ({"chance_network": list(tested.values())[-1].chance} if tested else {})


def content(outcomes: Mapping[str, Outcome]) -> dict[str, Any]:
    """Collect the results for statistics.json: column or `JOINT` -> everything; null of a test that was refused."""
    return {
        name: {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in asdict(outcome).items()}
        for name, outcome in outcomes.items()
    }


class Tests:
    """The networks of a study's permutation tests, and what they say."""

    def __init__(self, study: Study, design: Design, data: Path, params: Params) -> None:
        observed = design.observed()
        self.design, self.params, self.truth = design, params, observed
        self.seed = params.train.seeds[0]
        outputs = tuple(map(str, range(int(np.prod(observed.sizes)))))
        self.study = Study(study.x, study.y, study.cages, outputs)
        device, most = study.x.device, group_size(self.study, params.train)
        content = key(data / "histograms", params, [*outputs, f"seed {self.seed}"], most, device)
        self.kept = Kept(data / FOLDER, content)
        (group,) = self._fit(observed.joint, "observed")
        self.observed, self.seconds = group

    def run(self, name: str) -> Outcome:
        """Test one column, or all together."""
        evaluate = self.params.evaluate
        try:
            made = self.design.arrangements(name, evaluate.permutations, evaluate.permutation_seed)
        except NotTestableError as error:
            nothing = float("nan")
            return Outcome(nothing, nothing, 1.0, 0, 0, nothing, nothing, str(error))
        self._predict_time(name, len(made))
        order = np.random.Generator(np.random.PCG64(evaluate.permutation_seed)).permutation(len(made))
        labels = made.joint[order]  # a test that may stop must not look at all of them in one system's order
        observed, accuracy = (float(values[0]) for values in figures(self.truth, name, self.truth.joint, self.observed))
        null, accuracies = np.empty(0), np.empty(0)
        for p, _ in self._fit(labels, str([*self.design.columns, JOINT].index(name))):
            own = figures(made, name, labels[len(null) : len(null) + len(p)], p)
            null, accuracies = np.append(null, own[0]), np.append(accuracies, own[1])
            reached = int((null >= observed - TIE).sum())
            log.info("network, %s: %d of %d arrangements, %d as good", name, len(null), len(made), reached)
            if reached >= ENOUGH:
                break
        p_value, used, reached = sequential(observed, null)
        return Outcome(
            observed, accuracy, p_value, used, reached, float(null[:used].mean()), float(accuracies[:used].mean())
        )

    def _fit(self, labels: Codes, name: str) -> Iterator[tuple[NDArray[np.float64], float]]:
        for group in fit_arrangements(self.study, labels, self.seed, self.params.train, self.kept, name):
            yield group.probabilities, group.seconds

    def _predict_time(self, name: str, arrangements: int) -> None:
        """Say how long the test may take, by what the observed labels took."""
        at_once = arrangements_at_once(self.study, self.params.train)
        minutes = self.seconds * arrangements / 60
        words = "network, %s: at most %d arrangements, %d at once, about %.1f minutes (less what is kept of them)"
        log.info(words, name, arrangements, at_once, minutes)


TIE = 1e-12
"""Statistics that differ by no more are equal."""


def sequential(observed: float, null: NDArray[np.float64], enough: int = ENOUGH) -> tuple[float, int, int]:
    """Find p by statistics of arrangements (n,) in the order in which they were drawn.

    Parameters
    ----------
    observed
        The statistic of the observed labels.
    null
        Those of arrangements, as many as there may be, or up to where `enough` were as good.
    enough
        Stop where so many were as good.

    Returns
    -------
    p, used, reached
        p = enough / n where the n-th is the `enough`-th that is as good, else (1 + b) / (1 + n); n; b.
    """
    as_good = np.cumsum(null >= observed - TIE)
    if len(null) and as_good[-1] >= enough:
        used = int(np.searchsorted(as_good, enough)) + 1
        return enough / used, used, enough
    reached = int(as_good[-1]) if len(null) else 0
    return (1 + reached) / (1 + len(null)), len(null), reached


def figures(
    made: Arrangements, name: str, labels: Codes, p: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The statistic and the accuracy over all classes (A,), of labels (A, S) and probabilities (A, S, classes).

    The statistic of a column is the balanced accuracy of its values, by the sums of the probabilities of the classes
    that have them; jointly that of the classes.
    """
    guesses = p.argmax(axis=2)
    accuracy = (guesses == labels).mean(axis=1)
    if name == JOINT:
        return balanced_accuracy(labels, guesses), accuracy
    values = made.values_of(np.arange(p.shape[2]), name)
    return balanced_accuracy(made.values_of(labels, name), marginal(p, values.tolist())), accuracy
