"""The networks that are asked: each sample's own held-out ones, and two that cannot know anything.

A map that would look the same of a network that was never trained, or of one that was trained on labels that mean
nothing, says nothing of the classes (Adebayo et al. 2018, NeurIPS: sanity checks for saliency maps). So both are made
here: one network with the initial weights of `explain.seed`, and one trained on one arrangement of the labels, by the
design, for as many epochs; the latter has seen all cages.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from lmtcnn.core.names import ALL
from lmtcnn.core.params import Params
from lmtcnn.core.records import Training
from lmtcnn.evaluate.design import JOINT, NotTestableError, design_of
from lmtcnn.explain.attributions import attribute
from lmtcnn.explain.evidence import Evidence, evidence
from lmtcnn.explain.maps import Part
from lmtcnn.explain.pairs import Floats
from lmtcnn.explain.used import Used, agreeing_cages, held_out_attributions, smooth_places, used
from lmtcnn.histograms.shares import gaussian
from lmtcnn.train.fitting import fit, load_study
from lmtcnn.train.held_out import load_held_out
from lmtcnn.train.model import Samples, StereotypeCNN, initialise, select

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Asked:
    """Attributions of the networks.

    Attributes
    ----------
    used
        Of every two classes in two forms, smoothed, by held-out networks of all seeds.
    zones
        Rows of attribution_zones.parquet.
    incomplete
        The largest |sum of attributions - gap of logits| of any sample and class, over the mean |gap|.
    each
        Row of the index -> what speaks for the class that the sample is told as, by held-out networks.
    """

    used: list[Used]
    zones: Sequence[tuple[str, str, str, str, float, float]]
    incomplete: float
    each: dict[int, Evidence]


def ask(
    stacks: NDArray[Any],
    index: pl.DataFrame,
    params: Params,
    training: Training,
    masks: dict[str, NDArray[np.bool_]],
) -> Asked:
    """Attribute the logits of every sample by its held-out networks.

    Parameters
    ----------
    stacks, index
        The study's histograms and samples.
    params
        Transform, smoothing, classes.
    training
        Whose networks.
    masks
        Zone -> its tiles (N, N).
    """
    samples = Samples(stacks, params.train.transform, CPU)
    of_class, cages = (index[name].to_numpy().astype(np.str_) for name in ("class", "cage"))
    classes, smoothing = list(params.classes), params.evaluate.smoothing_tiles
    found = held_out_attributions(load_held_out(training), samples, cages)
    told = used(found, classes, of_class, cages)
    summed = found.places.sum(axis=(2, 3))
    worst = np.nanmax(np.abs(summed - found.gap)) / max(float(np.nanmean(np.abs(found.gap))), 1e-12)
    zones = []
    for each in told:
        a, b = classes.index(each.a), classes.index(each.b)
        chosen = np.isin(of_class, [each.a, each.b]) & ~np.isnan(found.gap).any(axis=1)
        for name, mask in masks.items():
            value = float(each.places[mask].sum())
            share = agreeing_cages(found, mask, a, b, chosen, cages)
            zones.append((each.a, each.b, each.kind, name, value, share))
    smoother = gaussian(found.places.shape[-1], smoothing)
    known = np.flatnonzero(~np.isnan(found.gap).any(axis=1))
    each_sample = {int(row): evidence(found, int(row), classes, smoother, masks) for row in known}
    return Asked(smooth_places(told, smoothing), zones, float(worst), each_sample)


def randomised_places(
    stacks: NDArray[Any], index: pl.DataFrame, params: Params, randomised: dict[str, StereotypeCNN]
) -> dict[str, list[Floats]]:
    """Name of a network that cannot know anything -> its maps of all samples, in the order of `Asked.used`."""
    samples = Samples(stacks, params.train.transform, CPU)
    of_class, cages = (index[name].to_numpy().astype(np.str_) for name in ("class", "cage"))
    found = {}
    for name, network in randomised.items():
        told = used(attribute(network, samples[:]), list(params.classes), of_class, cages)
        found[name] = [each.places for each in smooth_places(told, params.evaluate.smoothing_tiles)]
    return found


@contextmanager
def sharing_cores(lanes: int) -> Iterator[None]:
    """Let PyTorch use so many parts of the cores in a thread: threads that wait for each other's cores waste them."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, before // lanes))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def held_out_parts(index: pl.DataFrame, params: Params, training: Training) -> Iterator[Part]:
    """Yield the samples of each cage, and the network of `explain.seed` that has not seen it."""
    member = training.record.seeds.index(params.explain.seed)
    cages = index["cage"].to_numpy()
    for cage, model in load_held_out(training):
        rows = np.flatnonzero(cages == cage)
        if len(rows):
            yield rows, select(model, [member])


def untrained(training: Training, seed: int) -> StereotypeCNN:
    """A network with the initial weights of a seed, of the architecture of a training."""
    network = StereotypeCNN(**{**training.record.architecture, "members": 1})
    initialise(network, seed)
    return network


def on_arranged_labels(
    stacks: NDArray[Any], index: pl.DataFrame, params: Params, training: Training
) -> StereotypeCNN | None:
    """Train a network on one arrangement of the labels, of `explain.seed`, on all cages; None where there is none."""
    try:
        arranged = design_of(index, params).arrangements(JOINT, 1, params.evaluate.permutation_seed)
    except NotTestableError:
        return None
    if not len(arranged):
        return None
    codes = np.unique(arranged.joint[0], return_inverse=True)[1]
    study = load_study(stacks, index, params)
    study = replace(study, y=torch.from_numpy(codes).to(study.x.device))
    rates = (training.record.model_extra or {}).get("rates", {})
    at = [float(rates[ALL])] if ALL in rates else []
    return fit(study, [ALL], params.explain.seed, params.train, lambda: None, at, may_diverge=True).model
