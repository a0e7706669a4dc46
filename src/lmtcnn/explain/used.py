"""Means of attributions, by which networks tell two classes apart: those of held-out samples, by place, hour and zone.

Each sample is asked of the networks that have not seen its cage, and of these only, averaged over seeds. Of the
difference of two logits there are two questions, and two maps:

    direction    (mean over a + mean over b) / 2: what speaks for a and against b, whoever is asked
    separation   mean over a - mean over b: what tells them apart; it sums to the mean gap of the logits

Means are over cages of the means of a cage's samples. None of this carries a p: a network may use what chance gave it.
"""

from collections.abc import Iterable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmtcnn.explain.attributions import Attribution, Floats, attribute_members
from lmtcnn.histograms.shares import gaussian
from lmtcnn.train.model import Samples, StereotypeCNN

Kind = Literal["direction", "separation"]
KINDS: tuple[Kind, ...] = ("direction", "separation")


class Used(NamedTuple):
    """Mean attributions that tell class a from class b.

    `places` (N, N), `hours` (T,), their sum `total`, and the mean `gap` of the logits.
    """

    a: str
    b: str
    kind: Kind
    places: Floats
    hours: Floats
    total: float
    gap: float


def held_out_attributions(
    networks: Iterable[tuple[str, StereotypeCNN]], samples: Samples, cages: NDArray[np.str_]
) -> Attribution:
    """Attribute the logits of every sample, by the networks that have not seen its cage.

    Parameters
    ----------
    networks
        A cage, and its networks, a member for each seed (`train.held_out.load_held_out`).
    samples
        (S, T, N, N), transformed as for the training.
    cages
        (S,) the cage of each sample.

    Returns
    -------
    Attribution
        Means over seeds; nan for samples of a cage without networks.
    """
    intervals, tiles = samples.shape[1], samples.shape[-1]
    found: Attribution | None = None
    for cage, model in networks:
        rows = np.flatnonzero(cages == cage)
        x = samples[rows]
        each = attribute_members(model, x)
        if found is None:
            classes = model.architecture["classes"]
            shapes = ((classes, tiles, tiles), (classes, intervals), (classes,), (classes,))
            found = Attribution(*(np.full((len(cages), *shape), np.nan) for shape in shapes))
        for whole, part in zip(found, each, strict=True):
            whole[rows] = part
    if found is None:
        raise ValueError("no networks")
    return found


def used(found: Attribution, classes: list[str], of_class: NDArray[np.str_], cages: NDArray[np.str_]) -> list[Used]:
    """Average the attributions of the difference of two logits, for every two classes that have samples.

    Parameters
    ----------
    found
        Attributions of S held-out samples to the logits of C classes.
    classes
        The classes, in the order of the logits.
    of_class, cages
        (S,) class and cage of each sample.
    """
    known = ~np.isnan(found.gap).any(axis=1)
    present = [name for name in classes if (known & (of_class == name)).any()]
    told = []
    for place, a in enumerate(present):
        for b in present[place + 1 :]:
            first, second = classes.index(a), classes.index(b)
            parts = [values[:, first] - values[:, second] for values in found.attributions]
            means = [[cage_mean(part, known & (of_class == name), cages) for part in parts] for name in (a, b)]
            for kind in KINDS:
                places, hours, gap = (_joined(one, other, kind) for one, other in zip(*means, strict=True))
                told.append(Used(a, b, kind, places, hours, float(places.sum()), float(gap)))
    return told


def _joined(of_a: Floats, of_b: Floats, kind: Kind) -> Floats:
    return (of_a + of_b) / 2 if kind == "direction" else of_a - of_b


def cage_mean(values: Floats, chosen: NDArray[np.bool_], cages: NDArray[np.str_]) -> Floats:
    """Average over cages the means of each cage's chosen samples, of values (S, ...)."""
    means = [values[chosen & (cages == cage)].mean(axis=0) for cage in np.unique(cages[chosen])]
    return np.asarray(np.mean(means, axis=0))


def smooth_places(found: list[Used], smoothing_tiles: float) -> list[Used]:
    """Smooth the maps by a Gaussian of so many tiles; their sums stay."""
    if not found:
        return []
    smoother = gaussian(len(found[0].places), smoothing_tiles)
    return [each._replace(places=smoother @ each.places @ smoother.T) for each in found]


def agreeing_cages(
    found: Attribution, mask: NDArray[np.bool_], a: int, b: int, chosen: NDArray[np.bool_], cages: NDArray[np.str_]
) -> float:
    """Share of cages in which a zone speaks for the same class as in the mean of all cages.

    Parameters
    ----------
    found
        Attributions of S samples.
    mask
        (N, N) tiles of the zone.
    a, b
        Numbers of the two classes among the logits.
    chosen
        (S,) samples of these classes.
    cages
        (S,) the cage of each sample.
    """
    speaks = (found.places[:, a] - found.places[:, b])[:, mask].sum(axis=1)
    each = np.array([speaks[chosen & (cages == cage)].mean() for cage in np.unique(cages[chosen])])
    return float((np.sign(each) == np.sign(each.mean())).mean())
