"""How far a new animal is from the training cohort, and which classes it may be.

A network answers for whatever it is shown: a cage that is mirrored, or mice that walk at random, get high probabilities
as well. What tells is the place of the stops. Two samples are compared by their maps of shares (`histograms.shares`),
and a new one is doubted where it is farther from all of the training cohort than its cages are from one another.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmtcnn.histograms.shares import shares

Floats = NDArray[np.float64]

COVERAGE = 0.9
"""A set of classes holds the true one at least this often in new cages that are like those of the training cohort."""

CLEARLY = 0.8
"""A layout fits better when its distance is at most this share of the distance of the recording as it is."""

LAYOUTS: Mapping[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "mirrored left to right": lambda maps: maps[:, :, ::-1],
    "mirrored top to bottom": lambda maps: maps[:, ::-1],
    "turned by 180 degrees": lambda maps: maps[:, ::-1, ::-1],
    "turned by 90 degrees": lambda maps: np.rot90(maps, 1, (1, 2)),
    "turned by 270 degrees": lambda maps: np.rot90(maps, 3, (1, 2)),
    "mirrored along a diagonal": lambda maps: maps.transpose(0, 2, 1),
    "mirrored along the other diagonal": lambda maps: np.rot90(maps, 2, (1, 2)).transpose(0, 2, 1),
}
"""The ways in which a square floor can lie wrongly under the camera, of maps (S, N, N); turns are counterclockwise."""


@dataclass(frozen=True)
class Reference:
    """Maps of the training cohort, with which new samples are compared.

    `roots` (S, N, N): square roots of smoothed shares, each map of length 1; `farthest`: the largest distance of one of
    these samples to the nearest sample of another cage, None of a cohort of one cage; `smoothing_tiles`: the standard
    deviation of the Gaussian that smooths maps, those of new samples too.
    """

    roots: NDArray[np.float32]
    farthest: float | None
    smoothing_tiles: float


def roots_of(stacks: NDArray[Any], smoothing_tiles: float) -> Floats:
    """Square roots of smoothed share maps, scaled to length 1.

    Parameters
    ----------
    stacks
        Counts (S, T, N, N).
    smoothing_tiles
        Standard deviation of the Gaussian that smooths the maps, in tiles.

    Returns
    -------
    (S, N, N); a sample without a stop has zeros.
    """
    roots = np.sqrt(shares(stacks, smoothing_tiles))
    lengths = np.sqrt(np.square(roots).sum(axis=(1, 2), keepdims=True))
    return np.asarray(np.divide(roots, lengths, out=np.zeros_like(roots), where=lengths > 0))


def reference(stacks: NDArray[Any], cages: Sequence[str], smoothing_tiles: float) -> Reference:
    """Describe the training cohort, so that new samples can be compared with it.

    Parameters
    ----------
    stacks
        Counts (S, T, N, N); one sample at a time is in memory.
    cages
        The cage of each sample.
    smoothing_tiles
        Standard deviation of the Gaussian that smooths the maps, in tiles.

    Returns
    -------
    The maps of all samples; a sample without a stop has no place, and no say in `farthest`.
    """
    roots = roots_of(stacks, smoothing_tiles).astype(np.float32)
    stopped = roots.any(axis=(1, 2))
    flat = roots[stopped].reshape(int(stopped.sum()), -1).astype(np.float64)
    names = np.asarray(cages)[stopped]
    if len(set(names.tolist())) < 2:
        return Reference(roots, None, smoothing_tiles)
    between = 1 - flat @ flat.T
    between[names[:, None] == names[None]] = np.inf
    return Reference(roots, float(np.clip(between.min(axis=1).max(), 0, 1)), smoothing_tiles)


def distances(roots: Floats, known: Reference) -> Floats:
    """Distance of each new sample to the nearest training sample.

    The distance of two maps is 1 minus the cosine of the angle between the square roots of their shares, which is 1
    minus the Bhattacharyya coefficient: 0 of equal maps, 1 of maps without a tile in common.

    Parameters
    ----------
    roots
        (S, N, N), see `roots_of`.
    known
        The training cohort.

    Returns
    -------
    (S,), from 0 to 1.
    """
    flat = known.roots.reshape(len(known.roots), -1).astype(np.float64)
    return np.asarray(np.clip(1 - (roots.reshape(len(roots), -1) @ flat.T).max(axis=1), 0, 1))


def better_layout(roots: Floats, known: Reference) -> str | None:
    """Say in which other layout the animals of one recording would clearly be nearer to the training cohort.

    Parameters
    ----------
    roots
        (animals, N, N) of one recording, see `roots_of`.
    known
        The training cohort.

    Returns
    -------
    A key of LAYOUTS, the one of the smallest mean distance over the animals; None where the recording fits as it is.
    """
    as_it_is = float(distances(roots, known).mean())
    others = {name: float(distances(np.ascontiguousarray(turn(roots)), known).mean()) for name, turn in LAYOUTS.items()}
    best = min(others, key=lambda name: others[name])
    return best if others[best] < CLEARLY * as_it_is else None


def far_words(distance: float, known: Reference) -> list[str]:
    """Warn, in one line, of a sample that is farther from the training cohort than its cages are from one another."""
    if known.farthest is None or distance <= known.farthest:
        return []
    words = f"{distance:.3f} from the nearest sample, cages there at most {known.farthest:.3f} from another cage"
    return [f"its stops lie elsewhere than those of the training cohort: {words}"]


def layout_words(layout: str | None) -> list[str]:
    """Warn, in one line, of a recording that fits the training cohort better in another layout."""
    if layout is None:
        return []
    return [f"the recording fits the training cohort better {layout}: compare the arena, and its flip, with the cage"]


def doubts_of(stacks: Iterable[NDArray[Any]], known: Reference) -> list[tuple[float, list[str]]]:
    """Compare the animals of one recording with the training cohort.

    Parameters
    ----------
    stacks
        Counts (T, N, N) of each animal; one at a time is asked for, and none is kept.
    known
        The training cohort.

    Returns
    -------
    For each animal its distance to the nearest training sample, and warnings, in words.
    """
    found = [roots_of(stack[None], known.smoothing_tiles) for stack in stacks]
    if not found:
        return []
    roots = np.concatenate(found)
    turned = layout_words(better_layout(roots, known))
    return [(float(distance), turned + far_words(float(distance), known)) for distance in distances(roots, known)]


def set_level(true_probabilities: Sequence[float], cages: Sequence[str], coverage: float = COVERAGE) -> float:
    """Find the least probability that puts a class into the set of classes of a new animal.

    Conformal prediction of the score 1 - p(true class), with the held-out samples of K cages, each cage of weight
    1 / (K + 1) and shared equally by its samples, since mice of a cage are no independent draws; the remaining weight
    is that of the new cage, of which nothing is known (Lei et al. 2018, J. Am. Stat. Assoc. 113; for groups Dunn,
    Wasserman & Ramdas 2023, J. Am. Stat. Assoc. 118, and Lee, Barber & Willett 2023, arXiv 2306.06342). Scores come
    from networks that learned from one cage less than the served ones, so the guarantee is approximate; how often sets
    hold the truth is counted by proof/doubt.py.

    Parameters
    ----------
    true_probabilities
        Of each sample, the probability of its true class while its cage was held out.
    cages
        The cage of each sample.
    coverage
        How often the set should hold the true class.

    Returns
    -------
    The least probability, from 0 to 1; 0 (every class is in every set) of fewer cages than `coverage` asks for, 9 of
    0.9.
    """
    told = np.asarray(true_probabilities, dtype=np.float64)
    kinds, codes, sizes = np.unique(np.asarray(cages), return_inverse=True, return_counts=True)
    weights = 1 / ((len(kinds) + 1) * sizes[codes])
    order = np.argsort(-told, kind="stable")  # the least score first
    reached = np.flatnonzero(np.cumsum(weights[order]) >= coverage - 1e-12)
    return float(told[order[reached[0]]]) if len(reached) else 0.0


def class_set(probabilities: Mapping[str, float], level: float) -> list[str]:
    """List the classes whose probability reaches a level, in the order of the classes; always the most probable one."""
    best = max(probabilities, key=lambda name: probabilities[name])
    return [name for name, p in probabilities.items() if p >= level or name == best]
