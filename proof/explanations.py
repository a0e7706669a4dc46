"""Prove what explanations claim, on simulated cohorts whose truth is known: where, when, and what a network uses.

    python proof/explanations.py --cohorts 5 --null 200 --only 3

* Maps of two classes are scored against the tiles in which the simulator makes one stop more than the other (`Truth`),
  hours against those in which it makes classes differ most. Every method has its row, also where it is poor.
* Under no effect, with all effects of cage and animal, anything is marked in at most 5 % of cohorts.
* Effects in time alone are found by hours and not by tiles, effects in place alone the other way round.
* No tile is marked with the wrong sign, and a mirrored cohort gives mirrored maps.

Cohorts are 12 cages of four mice at two ages; stops are taken as planted, without databases. Hours of 3,600 s have the
density of real recordings, shorter ones (`--seconds`, with a higher `--rate` of learning) fewer stops.
"""

import argparse
import itertools
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from planted import CLAIMED, MARGINS, Cohort, Truth, areas_of, clock, cohort, compare, roc_area, truth_of
from scipy import stats

from lmtcnn.core.names import ALL
from lmtcnn.evaluate.design import JOINT, design_of
from lmtcnn.explain.attributions import attribute
from lmtcnn.explain.contrasts import Contrast
from lmtcnn.explain.differences import CLASS, Differences
from lmtcnn.explain.gate import LEVEL
from lmtcnn.explain.hours import HoursContrast
from lmtcnn.explain.maps import class_maps
from lmtcnn.explain.used import held_out_attributions, smooth_places, used
from lmtcnn.histograms.shares import gaussian
from lmtcnn.simulate import truth
from lmtcnn.train.fitting import Study, fit, network, study_of
from lmtcnn.train.model import Samples, initialise, select

NULL_SIZE, ONLY_SIZE = (6, 10), (24, 15)
"""Hours and tiles of cohorts without an effect, and of those with an effect in time or in place only."""
ABOVE_CLASS_FREE = 0.3
CONTRAST, CLASS_FREE = "contrast, t", "mean stop map of all classes"
DIRECTION, UNTRAINED, ARRANGED = "network, direction", "untrained network, direction", "arranged labels, direction"


def maps_of_networks(made: Cohort) -> tuple[dict[str, dict[tuple[str, str], np.ndarray]], float]:
    """Maps of networks, by method and pair, and the accuracy of held-out networks."""
    classes, params = list(made.params.classes), made.params
    of_class, cages = (made.index[name].to_numpy().astype(np.str_) for name in ("class", "cage"))
    study = study_of(made.stacks, of_class.tolist(), cages.tolist(), tuple(classes), params.train)
    names = np.unique(cages)
    model = fit(study, list(names), 0, params.train, lambda: None).model
    held_out = {str(cage): select(model, [member]) for member, cage in enumerate(names)}
    samples = Samples(made.stacks, params.train.transform, torch.device("cpu"))
    found = held_out_attributions(held_out.items(), samples, cages)
    maps: dict[str, dict[tuple[str, str], np.ndarray]] = {}
    smoothing = params.evaluate.smoothing_tiles
    for each in smooth_places(used(found, classes, of_class, cages), smoothing):
        maps.setdefault(f"network, {each.kind}", {})[each.a, each.b] = each.places
    blind = network(study, params.train, 1)
    initialise(blind, 0)
    for name, other in ((UNTRAINED, blind), (ARRANGED, _on_arranged_labels(study, made))):
        told = smooth_places(used(attribute(other, samples[:]), classes, of_class, cages), smoothing)
        maps[name] = {(each.a, each.b): each.places for each in told if each.kind == "direction"}
    codes = np.array([classes.index(name) for name in of_class])
    parts = [(np.flatnonzero(cages == cage), part) for cage, part in held_out.items()]
    mean = class_maps(parts, made.stacks, codes, len(classes), params.train.transform)
    telling = int(np.argmax(mean.difference))
    for a, b in itertools.combinations(classes, 2):
        first, second = mean.means[classes.index(a)], mean.means[classes.index(b)]
        for name, value in (
            ("activation maps, a less b, channel of largest difference", (first - second)[telling]),
            ("activation maps, a less b, mean of all channels", (first - second).mean(axis=0)),
            ("activation map of a, raw, channel of largest difference", first[telling]),
        ):
            maps.setdefault(name, {})[a, b] = value
    logits = np.concatenate([_answers(part, samples, rows) == codes[rows] for rows, part in parts])
    return maps, float(logits.mean())


def _answers(model: torch.nn.Module, samples: Samples, rows: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return np.asarray(model(samples[rows])[0].argmax(dim=1))


def _on_arranged_labels(study: Study, made: Cohort) -> torch.nn.Module:
    """A network that was trained on one arrangement of the labels."""
    arranged = design_of(made.index, made.params).arrangements(JOINT, 1, 0).joint[0]
    labels = torch.from_numpy(np.unique(arranged, return_inverse=True)[1])[None]
    return fit(study, [ALL], 0, made.params.train, lambda: None, labels=labels, may_diverge=True).model


class Scores(NamedTuple):
    """Of one cohort: mean areas over pairs by method, accuracy, stops of a sample, tiles marked, and wrong ones."""

    maps: dict[str, np.ndarray]
    hours: dict[str, float]
    accuracy: float
    stops: float
    marked: int
    wrong: int


def score(job: tuple[int, int, int, float, float]) -> Scores:
    """Score every method on a cohort: its seed, hours, tiles, seconds of an hour, rate of learning."""
    torch.set_num_threads(1)
    made = cohort(*job)
    found = compare(made)
    scope, (maps, accuracy) = found.scopes[CLASS], maps_of_networks(made)
    where: list[dict[str, np.ndarray]] = []
    when: list[dict[str, float]] = []
    marked = []
    for each, hours in zip(scope.contrasts, scope.hours, strict=True):
        pair = (each.pair.a, each.pair.b)
        known = truth_of(*pair, made)
        own = _maps_of_stops(each, found, made) | {name: values[pair] for name, values in maps.items()}
        where.append({name: areas_of(values, known) for name, values in own.items()})
        when.append(_areas_of_hours(hours, made, known))
        marked.append(_signs(each, found, known, made))
    stops = float(made.stacks.sum() / len(made.stacks))
    return Scores(_mean(where), _mean(when), accuracy, stops, *np.sum(marked, axis=0).tolist())


def _maps_of_stops(each: Contrast, found: Differences, made: Cohort) -> dict[str, np.ndarray]:
    of_a = (made.index["class"] == each.pair.a).to_numpy()
    return {
        CONTRAST: each.t,
        "difference of mean stop maps": each.difference,
        "mean stop map of a": found.mean_maps[of_a].mean(axis=0),
        CLASS_FREE: found.mean_maps.mean(axis=0),
    }


def _signs(each: Contrast, found: Differences, known: Truth, made: Cohort) -> tuple[int, int]:
    """Number of tiles that are marked, and of those whose t has another sign than the smoothed truth."""
    smoother = gaussian(made.stacks.shape[-1], made.params.evaluate.smoothing_tiles)
    tiles = found.marked_tiles(each)
    sign = np.sign(smoother @ known.difference @ smoother.T)
    return int(tiles.sum()), int((sign[tiles] != np.sign(each.t[tiles])).sum())


def _mean(rows: Sequence[dict]) -> dict:
    return {name: np.mean([row[name] for row in rows], axis=0) for name in rows[0]}


def _areas_of_hours(hour: HoursContrast, made: Cohort, known: Truth) -> dict[str, float]:
    """Areas of the hours that matter, and of those in which the expected difference is above its median."""
    at = clock(made.stacks.shape[1])
    by_hour = known.by_hour[at]
    stops = made.stacks[hour.pair.rows].sum(axis=(0, 2, 3)).astype(np.float64)
    values = {
        "distance": hour.distance,
        "excess": hour.excess,
        "size of the log ratio of stops": np.abs(hour.log_stops),
    }
    values["stops per hour"] = np.convolve(stops, np.ones(made.params.explain.window_intervals), "same")
    matter = {
        "hours that matter": np.isin(at, truth.hours_that_matter(made.params.simulate)),
        "above the median": by_hour > np.median(by_hour),
    }
    return {f"{name}, {what}": roc_area(each, hours) for name, each in values.items() for what, hours in matter.items()}


def marks(made: Cohort) -> dict[str, int]:
    """How many comparisons mark anything, of classes and of labels: tiles, zones, hours by distance, times."""
    found = compare(made)
    told = dict.fromkeys(("tiles", "zones", "hours", "times"), 0)
    for scope in found.scopes.values():
        told["tiles"] += sum(bool(found.marked_tiles(each).any()) for each in scope.contrasts)
        told["zones"] += sum(each.p <= LEVEL for each in scope.zones) * found.gates.marks_places
        for each in (*scope.hours, *scope.clock):
            told["hours"] += bool(found.marked_hours(each).any())
            told["times"] += bool(found.marked_times(each).any())
    return told


def marks_of(job: tuple[int, int, int, float, float, str]) -> dict[str, int]:
    """Marks of a cohort: its seed, hours, tiles, seconds of an hour, `effect`, `effect_in`."""
    seed, hours, tiles, seconds, effect, where = job
    torch.set_num_threads(1)
    return marks(cohort(seed, hours, tiles, seconds, effect=effect, effect_in=where))


def mirrored(seed: int, hours: int, tiles: int) -> float:
    """The largest difference between the mirrored map of a cohort and the map of the mirrored one, in per mille."""
    plain, other = (compare(cohort(seed, hours, tiles, layout=layout)) for layout in ("plain", "mirrored"))
    pairs = zip(plain.scopes[CLASS].contrasts, other.scopes[CLASS].contrasts, strict=True)
    return max(float(np.abs(one.difference[:, ::-1] - two.difference).max()) for one, two in pairs)


def each_of(work: Callable, jobs: Iterable, workers: int) -> list:
    """Do all jobs, in their order."""
    if workers == 1:
        return [work(job) for job in jobs]
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        return pool.map(work, jobs, chunksize=1)


def prove_scores(asked: argparse.Namespace) -> list[str]:
    """Print every method's row; return a line for each claim that does not hold."""
    sizes = (asked.hours, asked.tiles, asked.seconds, asked.rate)
    found = each_of(score, [(seed, *sizes) for seed in range(1, asked.cohorts + 1)], asked.workers)
    accuracy, stops = (np.mean([getattr(each, name) for each in found]) for name in ("accuracy", "stops"))
    print(
        f"{asked.cohorts} cohorts, {asked.hours} intervals of {asked.seconds:g} s, {asked.tiles} x {asked.tiles} tiles"
    )
    print(f"{stops:.0f} stops a sample; accuracy of held-out networks {accuracy:.2f}")
    print(f"| map | {' | '.join(f'signed area, margin {margin:g}' for margin in MARGINS)} | least cohort | unsigned |")
    print("|---" * (len(MARGINS) + 3) + "|")
    claimed = MARGINS.index(CLAIMED)
    maps = {name: np.array([each.maps[name] for each in found]) for name in found[0].maps}
    for name, areas in maps.items():
        *signed, unsigned = areas.mean(axis=0)
        cells = [*(f"{area:.3f}" for area in signed), f"{areas[:, claimed].min():.3f}", f"{unsigned:.3f}"]
        print(f"| {name} | {' | '.join(cells)} |")
    hourly = {name: np.array([each.hours[name] for each in found]) for name in found[0].hours}
    print("| hours by | area | least cohort |\n|---|---|---|")
    for name, areas in hourly.items():
        print(f"| {name} | {areas.mean():.3f} | {areas.min():.3f} |")
    marked, wrong = (sum(getattr(each, name) for each in found) for name in ("marked", "wrong"))
    print(f"{marked} tiles marked, {wrong} of them with the wrong sign")
    mean = {name: float(areas.mean(axis=0)[claimed]) for name, areas in maps.items()}
    by_hour = {name: float(areas.mean()) for name, areas in hourly.items()}
    return [words for words, holds in _claims(mean, by_hour, wrong, asked.least).items() if not holds]


def _claims(mean: dict[str, float], by_hour: dict[str, float], wrong: int, least: float) -> dict[str, bool]:
    distance, stops = (by_hour[f"{name}, hours that matter"] for name in ("distance", "stops per hour"))
    return {
        f"the area of contrasts is at least {least:g}": mean[CONTRAST] >= least,
        f"... and {ABOVE_CLASS_FREE} above the class-free map": mean[CONTRAST] >= mean[CLASS_FREE] + ABOVE_CLASS_FREE,
        "randomised networks have lower areas": mean[DIRECTION] > max(mean[UNTRAINED], mean[ARRANGED]),
        f"the area of hours is at least {least:g}, and above stops per hour": distance >= max(least, stops),
        "no marked tile has the wrong sign": wrong == 0,
    }


def prove_null(cohorts: int, first: int, seconds: float, workers: int) -> list[str]:
    """Print in how many cohorts without an effect anything is marked; return a line where it is too often."""
    jobs = [(seed, *NULL_SIZE, seconds, 0.0, "both") for seed in range(first, first + cohorts)]
    found = each_of(marks_of, jobs, workers)
    anything = sum(any(each.values()) for each in found)
    low, high = stats.binomtest(anything, cohorts).proportion_ci(0.95)
    words = ", ".join(f"{kind} in {sum(each[kind] > 0 for each in found)}" for kind in found[0])
    print(f"{cohorts} cohorts without an effect: anything marked in {anything} ({low:.1%} to {high:.1%}); {words}")
    return [f"something is marked in {anything} of {cohorts} cohorts without an effect"] if low > LEVEL else []


def prove_only(cohorts: int, workers: int) -> list[str]:
    """Print what is marked where effects are only in time, or only in place; return a line for each wrong cohort."""
    bad = []
    print("| effect in | seed | pairs with tiles | zones | pairs with hours by distance | pairs with times |")
    print("|---|---|---|---|---|---|")
    for where, seen, unseen in (("time", "times", "tiles"), ("place", "tiles", "times")):
        jobs = [(seed, *ONLY_SIZE, 3600.0, 1.0, where) for seed in range(1, cohorts + 1)]
        for job, told in zip(jobs, each_of(marks_of, jobs, workers), strict=True):
            print(f"| {where} | {job[0]} | {' | '.join(str(count) for count in told.values())} |")
            if not told[seen] or told[unseen]:
                bad.append(f"an effect in {where}, seed {job[0]}: {told[seen]} {seen}, {told[unseen]} {unseen}")
    return bad


def prove_mirrored() -> list[str]:
    """Print how far the map of a mirrored cohort is from the mirrored map; return a line where it is not the same."""
    apart = mirrored(1, *NULL_SIZE)
    print(f"a mirrored cohort's maps differ from the mirrored ones by at most {apart:.1g} per mille")
    return [] if apart < 1e-9 else [f"a mirrored cohort's maps are {apart:.3g} per mille from the mirrored ones"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Prove all; 1 where something does not hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cohorts", type=int, default=5, help="with an effect; 0 leaves this part out")
    parser.add_argument("--hours", type=int, default=24, help="of these")
    parser.add_argument(
        "--seconds", type=float, default=3600, help="of an hour, but with --only: fewer make fewer stops"
    )
    parser.add_argument("--rate", type=float, default=0.001, help="of learning")
    parser.add_argument("--tiles", type=int, default=30, help="of these, to each side")
    parser.add_argument("--null", type=int, default=200, help="cohorts without an effect")
    parser.add_argument("--first", type=int, default=1000, help="seed of the first of these")
    parser.add_argument("--only", type=int, default=3, help="cohorts with an effect in time, and as many in place")
    parser.add_argument("--least", type=float, default=0.95, help="area that contrasts and hours must have")
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args(arguments)
    began, bad = time.perf_counter(), prove_mirrored()
    if asked.null:
        bad += prove_null(asked.null, asked.first, asked.seconds, asked.workers)
    if asked.only:
        bad += prove_only(asked.only, asked.workers)
    if asked.cohorts:
        bad += prove_scores(asked)
    print(f"{len(bad)} claims do not hold; {time.perf_counter() - began:.0f} s on {asked.workers} processes")
    for line in bad:
        print(f"does not hold: {line}", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
