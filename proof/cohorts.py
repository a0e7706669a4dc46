"""Prove what the statistics of `evaluate` claim, on cohorts of stops whose truth is known.

    python proof/cohorts.py --cohorts 200 --coverage 200 --splits 20

* Under no effect p is at most a in no more than a share a of cohorts: for each simple method and column, and jointly.
* Intervals hold the true accuracy about as often as they say, by number of cages.
* Held-out cages give the mean of the permutation null where only cages differ; a random split of samples does not.

A cohort is made directly as stacks of 6 intervals and 10 x 10 tiles: places with log-normal weights of the class, the
cage, the animal, and the cage in one recording. No line of the simulator or of the program takes part in it.
"""

import argparse
import itertools
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy import stats

from lmtcnn.core.sections import EvaluateParams
from lmtcnn.evaluate import baselines, permutation
from lmtcnn.evaluate.design import JOINT, Design
from lmtcnn.evaluate.intervals import interval

T, N, PLACES, MICE, STOPS, WORLD = 6, 10, 6, 4, 40, 10
"""Intervals, tiles, places where mice stop, mice of a cage, stops an interval, the world's seed."""

LEVELS = (0.01, 0.05, 0.1, 0.2)
CAGES = (3, 6, 12, 24)
EFFECTS = {"clear": 1.0, "weak": 0.5}
"""Standard deviation of a class's log weights, beside 0.4 of a cage and 0.2 of its recording, 0.4 and 0.2 of an animal.
Where classes hardly differ it is chance whether a method learns them from a cohort at all: then all its folds do, or
none, and the differences of cages do not show it. Such cohorts are shown, and nothing is claimed for them."""
ARRANGEMENTS = 99
LEAST_COVERAGE = 0.85
METHODS = ("knn", "svm", "occupancy_knn", "occupancy_svm")
COLUMNS = ("sex", "age", JOINT)
PARAMS = EvaluateParams(
    still_falling=0.05,
    pca_components=3,
    neighbours=1,
    svm_kernel="rbf",
    svm_c=1.0,
    smoothing_tiles=1.5,
    permutations_cheap=ARRANGEMENTS,
    permutation_seed=0,
    permutations=0,
    matches_within=0.05,
)


class Cohort(NamedTuple):
    """Stacks (S, T, N, N), and the design of their labels."""

    stacks: np.ndarray
    design: Design
    cages: list[str]


class World(NamedTuple):
    """What is the same in every cohort: maps of places (PLACES, N, N), and what class and hour do to log weights."""

    maps: np.ndarray
    of_sex: np.ndarray  # (2, PLACES)
    of_age: np.ndarray  # (2, PLACES)
    of_hour: np.ndarray  # (T, PLACES)


def world() -> World:
    """The one world of all cohorts: only in one world is there one true accuracy."""
    rng = np.random.default_rng(WORLD)
    grid = np.stack(np.meshgrid(np.arange(N), np.arange(N), indexing="ij"), axis=-1) + 0.5
    centres = rng.uniform(1, N - 1, (PLACES, 2))
    maps = np.exp(-0.5 * np.square(grid[None] - centres[:, None, None]).sum(axis=-1))
    maps /= maps.sum(axis=(1, 2), keepdims=True)
    return World(maps, rng.normal(size=(2, PLACES)), rng.normal(size=(2, PLACES)), 0.5 * rng.normal(size=(T, PLACES)))


def cohort(seed: int, cages: int, effect: float, cage: float, animal: float, *, sexes: int = 2) -> Cohort:
    """Cages of four mice of one sex, each recorded at two ages; effects are standard deviations of log weights."""
    rng = np.random.default_rng([seed, cages, sexes])
    maps, of_sex, of_age, hours = world()
    rows, stacks = [], []
    for c in range(cages):
        of_cage, of_mice = cage * rng.normal(size=PLACES), animal * rng.normal(size=(MICE, PLACES))
        for age in (0, 1):
            of_recording = 0.5 * cage * rng.normal(size=PLACES)
            for mouse in range(MICE):
                own = animal * 0.5 * rng.normal(size=PLACES)
                log = hours + effect * (of_sex[c % sexes] + of_age[age]) + of_cage + of_recording + of_mice[mouse] + own
                weights = np.exp(log - log.max(axis=1, keepdims=True))
                weights /= weights.sum(axis=1, keepdims=True)
                stacks.append(rng.poisson(STOPS * np.einsum("tz,zij->tij", weights, maps)))
                rows.append((f"c{c:02}", f"c{c:02}a{age}", f"c{c:02}m{mouse}", "FM"[c % sexes], "ja"[age]))
    names, recordings, animals, sex, age_names = (list(column) for column in zip(*rows, strict=True))
    columns = {"sex": sex, "age": age_names} if sexes > 1 else {"age": age_names}
    return Cohort(np.array(stacks, dtype=np.uint16), Design(columns, names, recordings, animals), names)


def null(seed: int) -> dict[str, float]:
    """Give p of each method and column of a cohort without an effect, `knn_sex`."""
    made = cohort(seed, 12, 0.0, 0.7, 0.5)
    prepared = baselines.prepare(made.stacks, made.stacks, made.cages, PARAMS)
    label = partial(baselines.label, prepared, params=PARAMS)
    tests = [permutation.test(made.design, name, label, ARRANGEMENTS, seed) for name in COLUMNS]
    return {f"{method}_{test.name}": made.p for test in tests for method, made in test.outcomes.items()}


def covered(job: tuple[int, int, float]) -> dict[str, tuple[float, float, float]]:
    """Figure -> share, low, high, of a cohort with an effect; three cages are of one sex, as strata need three."""
    seed, cages, effect = job
    made = cohort(seed, cages, effect, 0.4, 0.4, sexes=1 if cages < 6 else 2)
    prepared = baselines.prepare(made.stacks, made.stacks, made.cages, PARAMS)
    truth = made.design.observed().joint
    found = {}
    for method, said in baselines.label(prepared, truth, PARAMS).items():
        right = (said == truth)[0].astype(float)
        own, classes, groups = truth[0] == 0, truth[0], np.zeros_like(truth[0])
        cage, strata = made.design.cages, made.design.strata()
        for name, each in (
            ("accuracy", interval(right, groups, cage, strata)),
            ("balanced", interval(right, classes, cage, strata)),
            ("recall", interval(right[own], groups[own], cage[own], strata[own])),
        ):
            found[f"{method}_{name}"] = (each.value, each.low, each.high)
    return found


def split(seed: int) -> dict[str, float]:
    """Accuracy by held-out cages less the mean of its null, and by random parts of the samples less the same."""
    made = cohort(seed, 12, 0.0, 1.5, 0.3)
    truth = made.design.observed().joint
    parts = np.random.default_rng(seed).permutation(np.arange(len(made.cages)) % 12)
    found = {}
    for name, groups in (("cages", made.cages), ("samples", [str(part) for part in parts])):
        prepared = baselines.prepare(made.stacks, made.stacks, groups, PARAMS)
        for method, said in baselines.label(prepared, truth, PARAMS).items():
            found[f"{method}_{name}"] = float((said == truth).mean())
        if name == "cages":
            label = partial(baselines.label, prepared, params=PARAMS)
            test = permutation.test(made.design, JOINT, label, ARRANGEMENTS, seed)
            found |= {f"{method}_null": outcome.chance for method, outcome in test.outcomes.items()}
    return found


def each_of(work: Callable, jobs: Iterable, workers: int) -> list:
    """Do all jobs, in their order."""
    if workers == 1:
        return [work(job) for job in jobs]
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        return pool.map(work, jobs, chunksize=1)


def prove_null(cohorts: int, workers: int) -> list[str]:
    """Print the share of p <= a; return a line for each that is too large by a binomial test at 1 in 1,000."""
    found = each_of(null, range(cohorts), workers)
    bad = []
    print(f"share of p <= a in {cohorts} cohorts without an effect, 12 cages, {ARRANGEMENTS} arrangements")
    for name in (f"{method}_{column}" for column in COLUMNS for method in METHODS):
        p = np.array([each[name] for each in found])
        counts = [int((p <= level + 1e-12).sum()) for level in LEVELS]
        print(
            f"  {name:22}", " ".join(f"{level:g}: {n / cohorts:.3f}" for level, n in zip(LEVELS, counts, strict=True))
        )
        for level, n in zip(LEVELS, counts, strict=True):
            if stats.binom.sf(n - 1, cohorts, level) < 0.001:
                bad.append(f"{name}: p <= {level:g} in {n} of {cohorts} cohorts without an effect")
    return bad


def prove_coverage(cohorts: int, workers: int) -> list[str]:
    """Print the share of intervals that hold the mean over all cohorts; return a line where a clear effect's do not."""
    bad = []
    print(
        f"share of 95 % intervals that hold the true share, {cohorts} cohorts each, mean (least to most) of the methods"
    )
    for (words, effect), cages in itertools.product(EFFECTS.items(), CAGES):
        found = each_of(covered, [(seed, cages, effect) for seed in range(cohorts)], workers)
        line = []
        for figure in ("accuracy", "balanced", "recall"):
            held, true = zip(*(held_of(found, f"{method}_{figure}") for method in METHODS), strict=True)
            line.append(f"{figure} {np.mean(true):.2f} {np.mean(held):.3f} ({min(held):.2f} to {max(held):.2f})")
            if words == "clear" and np.mean(held) < LEAST_COVERAGE:
                bad.append(f"{figure} of {cages} cages: intervals hold the truth in {np.mean(held):.1%}")
        print(f"  {words} effect, {cages:2} cages: {'; '.join(line)}", flush=True)
    return bad


def held_of(found: Sequence[dict[str, tuple[float, float, float]]], name: str) -> tuple[float, float]:
    """The share of intervals of a figure that hold its mean over all cohorts, and that mean."""
    value, low, high = np.array([each[name] for each in found]).T
    true = value.mean()
    there = np.isfinite(low)
    return float(((low <= true) & (true <= high))[there].mean()), float(true)


def prove_split(cohorts: int, workers: int) -> list[str]:
    """Print accuracies where only cages differ; return a line where held-out cages leave their null at 1 in 1,000."""
    found = each_of(split, range(cohorts), workers)
    bad = []
    print(f"accuracy in {cohorts} cohorts whose cages differ and whose classes do not")
    for method in METHODS:
        cages, samples, chance = (
            np.array([each[f"{method}_{name}"] for each in found]) for name in ("cages", "samples", "null")
        )
        print(f"  {method:14} cages held out {cages.mean():.3f}, their null {chance.mean():.3f}, ", end="")
        print(f"samples split by chance {samples.mean():.3f}")
        apart = cages - chance
        if abs(apart.mean()) > stats.t.ppf(0.9995, cohorts - 1) * apart.std(ddof=1) / np.sqrt(cohorts):
            bad.append(f"{method}: held-out cages {cages.mean():.3f}, their null {chance.mean():.3f}")
        if samples.mean() < chance.mean() + 0.1:
            bad.append(f"{method}: a random split of samples is not far above chance, {samples.mean():.3f}")
    return bad


def main(arguments: Sequence[str] | None = None) -> int:
    """Prove all; 1 where something does not hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cohorts", type=int, default=200, help="without an effect; 0 leaves this part out")
    parser.add_argument("--coverage", type=int, default=200, help="cohorts for each number of cages")
    parser.add_argument("--splits", type=int, default=20, help="cohorts whose cages alone differ")
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1))
    asked = parser.parse_args(arguments)
    began = time.perf_counter()
    parts = {prove_null: asked.cohorts, prove_coverage: asked.coverage, prove_split: asked.splits}
    bad = [line for prove, cohorts in parts.items() if cohorts for line in prove(cohorts, asked.workers)]
    print(f"{len(bad)} claims do not hold; {time.perf_counter() - began:.0f} s on {asked.workers} processes")
    for line in bad:
        print(f"does not hold: {line}", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
