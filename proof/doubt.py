"""Prove what `predict` claims of its doubt: who stops elsewhere is told, and sets of classes hold the truth.

    python proof/doubt.py --plain 4 --coverage 24

* A training cohort is simulated at full density, and others: plain ones, ones in another layout (`simulate.layout`),
  and plain ones of which every second stop is lost by chance. Counted is the share of samples that are called far from
  the training cohort, and the share of recordings of which it is said, rightly or wrongly, that they fit better
  mirrored or turned. The planted stops are counted as they are, without databases.
* Networks learn from 12 cages of small cohorts (cohorts.py), one cage held out at a time, and once from all. From the
  held-out probabilities comes the level of the sets; 12 more cages are answered by the networks that saw all 12.
  Counted is the share of them whose set holds the true class.

Exits with 1 where a share is not as claimed.
"""

import argparse
import logging
import os
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from cohorts import Cohort, cohort, each_of
from lmtcnn.bundle.doubt import COVERAGE, class_set, doubts_of, reference, set_level
from lmtcnn.core import params as parameters
from lmtcnn.core.names import ALL
from lmtcnn.core.params import Params
from lmtcnn.histograms.stack import floor_of, stack_of
from lmtcnn.simulate import behaviour
from lmtcnn.simulate.stops_only import planted_stops
from lmtcnn.simulate.truth import FPS
from lmtcnn.train.fitting import study_of
from lmtcnn.train.model import StereotypeCNN, prepare, softmax_members
from lmtcnn.train.train import fit_members

CLAIMS = {
    "plain": (0.0, 0.02, None),
    "mirrored": (0.99, 1.0, "mirrored left to right"),
    "rotated": (0.99, 1.0, "turned by 90 degrees"),
    "shifted": (0.5, 1.0, None),
    "uniform": (0.99, 1.0, None),
    "half": (0.0, 0.05, None),
}
"""Layout -> least and largest share of samples that are called far, and the layout that is to be named."""

ALIKE = {"shifted": (0.95, 1.0, None)}
"""Where all cages have their nest at one place, and not up to 8 cm from it: then 5 cm are more than cages differ by."""

CLASSES = ("a", "b", "c", "d")
"""Sex and age, in the order in which they appear in a small cohort."""

CAGES = 12
EFFECTS = (0.5, 1.0)
"""Standard deviation of a class's log weights in the small cohorts, beside 0.4 of a cage and 0.4 of an animal."""


class Simulated(NamedTuple):
    """Stops on the floor (recordings, mice, N, N), and the cage of each recording."""

    maps: NDArray[np.int64]
    cages: list[str]


def simulate(job: tuple[int, str], params: Params) -> Simulated:
    """Count the planted stops of a cohort."""
    seed, layout = job
    plain = "plain" if layout == "half" else layout
    params = params.model_copy(update={"simulate": params.simulate.model_copy(update={"seed": seed, "layout": plain})})
    settings = params.histograms.model_copy(
        update={"intervals": params.simulate.hours, "interval_s": params.simulate.seconds_per_hour}
    )
    rng, found, cages = np.random.default_rng(seed), [], []
    for recording in behaviour.recordings(params.simulate):
        cages.append(f"{recording.number}")
        for _, plan in planted_stops(params, recording):
            long = (plan.end - plan.start) / FPS >= params.stops.min_duration_s
            columns = {"start_s": plan.start / FPS, "duration_s": (plan.end - plan.start) / FPS}
            columns |= {"x_cm": plan.place_cm[:, 0], "y_cm": plan.place_cm[:, 1]}
            stops = pl.DataFrame(columns).filter(pl.Series(long))
            counts = stack_of(stops, floor_of(params.stops.arena), settings).counts.sum(axis=0).astype(np.int64)
            found.append(rng.binomial(counts, 0.5) if layout == "half" else counts)
    maps = np.array(found)
    return Simulated(maps.reshape(len(cages), -1, *maps.shape[1:]), cages)


def prove_layouts(plain: int, workers: int, params: Params, nest_shift_cm: float) -> list[str]:
    """Print what is said of each layout; return a line for each share that is not as claimed."""
    params = params.model_copy(update={"simulate": params.simulate.model_copy(update={"nest_shift_cm": nest_shift_cm})})
    seeds = range(2, 2 + plain)
    jobs = [(1, "plain"), *((seed, name) for name in CLAIMS for seed in (seeds if name == "plain" else seeds[:1]))]
    known, *others = each_of(partial(simulate, params=params), jobs, workers)
    samples = known.maps.reshape(-1, 1, *known.maps.shape[2:])
    cages = np.repeat(known.cages, known.maps.shape[1]).tolist()
    limit = reference(samples, cages, params.evaluate.smoothing_tiles)
    stops = np.median(samples.sum(axis=(1, 2, 3)))
    print(f"nests up to {nest_shift_cm:g} cm from their place")
    print(f"{len(samples)} training samples of {stops:.0f} stops (median), farthest {limit.farthest:.4f} between cages")
    print(
        "| layout | samples | distance, least, median, most | far | recordings | with one far | fit better | rightly |"
    )
    print("|---|---|---|---|---|---|---|---|")
    bad = []
    for name, (least, most, right) in (CLAIMS if nest_shift_cm else CLAIMS | ALIKE).items():
        own = [made for (_, layout), made in zip(jobs[1:], others, strict=True) if layout == name]
        told = [doubts_of(maps[:, None], limit) for made in own for maps in made.maps]
        distances = np.array([distance for animals in told for distance, _ in animals])
        is_far = np.array([[any("elsewhere" in line for line in words) for _, words in animals] for animals in told])
        far = float(is_far.mean())
        said = [[line for line in animals[0][1] if "fits" in line] for animals in told]
        rightly = sum(bool(lines) and right is not None and f"better {right}:" in lines[0] for lines in said)
        spread = " ".join(f"{value:.4f}" for value in np.quantile(distances, (0, 0.5, 1)))
        one = int(is_far.any(axis=1).sum())
        cells = [name, len(distances), spread, f"{far:.1%}", len(told), one, sum(map(bool, said)), rightly]
        print("|", " | ".join(map(str, cells)), "|")
        if not least <= far <= most:
            bad.append(f"{name}: {far:.1%} of the samples are called far, claimed are {least:.0%} to {most:.0%}")
        if rightly != (len(told) if right else 0) or sum(map(bool, said)) != rightly:
            bad.append(
                f"{name}: of {len(told)} recordings {sum(map(bool, said))} are said to fit better, {rightly} rightly"
            )
    return bad


def part(made: Cohort, first: int, last: int) -> tuple[NDArray[np.uint16], list[str], list[str]]:
    """Stacks, classes and cages of the cages from `first` to `last`, exclusive."""
    names = sorted(set(made.cages))[first:last]
    chosen = np.isin(made.cages, names)
    classes = [CLASSES[code] for code in made.design.observed().joint[0]]
    return (
        made.stacks[chosen],
        [name for name, is_in in zip(classes, chosen, strict=True) if is_in],
        [name for name, is_in in zip(made.cages, chosen, strict=True) if is_in],
    )


def covered(seed: int, effect: float, params: Params, epochs: int) -> tuple[float, float, float]:
    """Share of new samples whose set holds the truth, mean size of the sets, and accuracy, of one small cohort."""
    torch.set_num_threads(1)
    logging.getLogger("lmtcnn").setLevel(logging.WARNING)
    training = params.train.model_copy(update={"epochs": epochs, "lr": 0.05, "seeds": (0,), "device": "cpu"})
    made = cohort(seed, 2 * CAGES, effect, 0.4, 0.4)
    stacks, classes, cages = part(made, 0, CAGES)
    study = study_of(stacks, classes, cages, CLASSES, training)
    names = sorted(set(cages))
    result = fit_members(study, [*names, ALL], names, training, lambda done, total: None)
    held_out = result.probabilities.mean(axis=0)
    level = set_level([float(p[CLASSES.index(name)]) for p, name in zip(held_out, classes, strict=True)], cages)
    architecture = {"intervals": stacks.shape[1], "tiles": stacks.shape[2], "classes": len(CLASSES)}
    model = StereotypeCNN(1, **architecture, kernels=training.kernels, channels=training.channels, pool=training.pool)
    model.load_state_dict({name: values[:, CAGES] for name, values in result.weights.items()})
    new, truth, _ = part(made, CAGES, 2 * CAGES)
    found = softmax_members(model, prepare(new, training.transform)).mean(axis=0)
    answers = [dict(zip(CLASSES, p.tolist(), strict=True)) for p in found]
    sets = [class_set(answer, level) for answer in answers]
    right = [max(answer, key=lambda name: answer[name]) == name for answer, name in zip(answers, truth, strict=True)]
    holds = [name in names for names, name in zip(sets, truth, strict=True)]
    return float(np.mean(holds)), float(np.mean([len(names) for names in sets])), float(np.mean(right))


def prove_coverage(cohorts: int, workers: int, params: Params, epochs: int, effect: float) -> list[str]:
    """Print how often sets hold the truth; a line where that is less than claimed by three standard errors."""
    found = np.array(each_of(partial(covered, effect=effect, params=params, epochs=epochs), range(cohorts), workers))
    share, size, accuracy = found.mean(axis=0)
    error = found[:, 0].std(ddof=1) / np.sqrt(cohorts)
    least = found[:, 0].min()
    print(f"{cohorts} small cohorts of effect {effect:g}, {CAGES} cages and {CAGES} new ones each")
    print(f"networks are right in {accuracy:.1%}")
    print(f"sets hold the truth in {share:.1%}, standard error {error:.1%}, least {least:.0%} in a cohort")
    print(f"a set has {size:.2f} of {len(CLASSES)} classes")
    return [f"sets hold the truth in {share:.1%}"] if share + 3 * error < COVERAGE else []


def main(arguments: Sequence[str] | None = None) -> int:
    """Prove all; 1 where something does not hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--plain", type=int, default=4, help="new plain cohorts; of the other layouts one each")
    parser.add_argument("--cages", type=int, default=12, help="of each simulated cohort")
    parser.add_argument("--hours", type=int, default=72, help="of each recording")
    parser.add_argument("--nests", type=float, nargs="+", default=[8.0, 0.0], help="simulate.nest_shift_cm, in turn")
    parser.add_argument("--seconds-per-hour", type=float, default=3600.0, help="20 as in the demo")
    parser.add_argument("--coverage", type=int, default=24, help="small cohorts; 0 leaves this part out")
    parser.add_argument("--effects", type=float, nargs="+", default=EFFECTS, help="of the classes in them, in turn")
    parser.add_argument("--epochs", type=int, default=10, help="of their networks")
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1))
    asked = parser.parse_args(arguments)
    began = time.perf_counter()
    params = parameters.load(Path(__file__).parent.parent / "params.yaml")
    simulated = {"cages": asked.cages, "hours": asked.hours, "seconds_per_hour": asked.seconds_per_hour}
    params = params.model_copy(update={"simulate": params.simulate.model_copy(update=simulated)})
    bad = []
    for nest_shift_cm in asked.nests if asked.plain else ():
        bad += prove_layouts(asked.plain, asked.workers, params, nest_shift_cm)
    for effect in asked.effects if asked.coverage else ():
        bad += prove_coverage(asked.coverage, asked.workers, params, asked.epochs, effect)
    print(f"{len(bad)} claims do not hold; {time.perf_counter() - began:.0f} s on {asked.workers} processes")
    for line in bad:
        print(f"does not hold: {line}", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
