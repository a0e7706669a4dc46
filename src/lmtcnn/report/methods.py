"""A paragraph on the methods, made of the parameters, and what it cites."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from lmtcnn.core.names import words_of
from lmtcnn.core.params import Params
from lmtcnn.report.words import listed
from lmtcnn.timeline.clock import length
from lmtcnn.timeline.counted import counted_words

CITED = {
    "lmt": "de Chaumont F. et al. (2019) Real-time analysis of the behaviour of groups of mice via a depth-sensing "
    "camera and machine learning. Nature Biomedical Engineering 3:930-942",
    "paper": "arXiv 2412.05158: the network, its input and the leave-one-cage-out evaluation",
    "besag": "Besag J., Clifford P. (1991) Sequential Monte Carlo p-values. Biometrika 78:301-304",
    "holm": "Holm S. (1979) A simple sequentially rejective multiple test procedure. Scandinavian Journal of "
    "Statistics 6:65-70",
    "walther": "Walther A. et al. (2016) Reliability of dissimilarity measures for multi-voxel pattern analysis. "
    "NeuroImage 137:188-200",
    "gradients": "Sundararajan M., Taly A., Yan Q. (2017) Axiomatic attribution for deep networks. ICML",
    "rifkin": "Rifkin R., Yeo G., Poggio T. (2003) Regularized least-squares classification. Advances in Learning "
    "Theory, IOS Press",
}


class Methods(NamedTuple):
    """Paragraphs with marks such as [1], and the references in that order."""

    paragraphs: list[str]
    references: list[str]


def methods(
    params: Params, cohort: Mapping[str, Any], sure: Mapping[str, Any], version: str, *, simulated: bool
) -> Methods:
    """Say what was done, ready for a paper.

    Parameters
    ----------
    params
        The study's parameters.
    cohort
        Counts (`recorded.describe_cohort`).
    sure
        statistics.json.
    version
        Of lmtcnn.
    simulated
        Whether the mice are simulated.
    """
    cite = _Citations()
    paragraphs = [
        _data(params, cohort, version, cite, simulated),
        _network(params, cohort, cite),
        _statistics(params, sure, cite),
        _explanation(params, cite),
    ]
    return Methods(paragraphs, [CITED[name] for name in cite.names])


class _Citations:
    """Numbers references in the order in which they are asked for."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, *names: str) -> str:
        self.names += [name for name in names if name not in self.names]
        return f"[{', '.join(str(self.names.index(name) + 1) for name in names)}]"


def _data(params: Params, cohort: Mapping[str, Any], version: str, cite: _Citations, simulated: bool) -> str:
    stops, settings = params.stops, params.histograms
    frames = 2 * stops.half_window_frames + 1
    mice = "simulated mice" if simulated else "mice"
    gaps = (
        f"gaps of up to {stops.max_gap_frames} frames and {stops.max_gap_cm:g} cm were bridged linearly"
        if stops.max_gap_frames
        else "gaps in a track were not bridged"
    )
    what = "stops were counted" if settings.weight == "count" else "the seconds of stops were added up"
    counted = f" (counted: {words})" if (words := counted_words(settings)) else ""
    classes = listed([f"{name} ({words_of(labels)})" for name, labels in params.classes.items()])
    return (
        f"Positions of {cohort['animals']} {mice} in {cohort['cages']} cages ({cohort['recordings']} recordings, "
        f"{cohort['samples']} samples, one an animal in a recording) were read from databases of the Live Mouse "
        f"Tracker {cite('lmt')} at {stops.fps:g} frames/s with lmtcnn {version}; {gaps}. A mouse had stopped while its "
        f"speed, its displacement over {frames} frames, was at most {stops.max_speed_cm_per_s:g} cm/s for at least "
        f"{stops.min_duration_s:g} s. By the place and the beginning of a stop, {what} in {settings.tiles} x "
        f"{settings.tiles} tiles of the floor ({stops.arena.width_cm:.1f} x {stops.arena.height_cm:.1f} cm) in "
        f"{settings.intervals} intervals of {length(settings.interval_s)}{counted}. The classes were {classes}."
    )


def _network(params: Params, cohort: Mapping[str, Any], cite: _Citations) -> str:
    train = params.train
    kernels = listed([f"{k} x {k}" for k in train.kernels])
    rate = (
        f"a learning rate chosen among {listed([f'{value:g}' for value in train.lr_grid])} within the training cages"
        if train.lr == "auto"
        else f"a learning rate of {train.lr:g}"
    )
    inputs = "as they are" if train.transform == "none" else f"transformed by {train.transform}"
    weights = "" if train.class_weight == "none" else " Classes were weighted by their share of the training cages."
    seeds = len(train.seeds)
    several = f"{seeds} networks of different random seeds" if seeds > 1 else "one network"
    return (
        f"A convolutional network {cite('paper')} saw the histograms {inputs}, intervals as channels: side by side, "
        f"convolutions with kernels of {kernels} and {train.channels} channels each, ReLU, max-pooling over "
        f"{train.pool} x {train.pool} tiles, and one linear layer on all of it. It was trained by stochastic gradient "
        f"descent without momentum on the cross-entropy for {train.epochs} epochs in batches of {train.batch}, with "
        f"{rate}.{weights} Each of the {cohort['cages']} cages was held out in turn, with all recordings of its mice, "
        f"and labelled by {several} trained on the others; nothing was chosen by looking at a held-out cage. Accuracy "
        f"is that of single networks, averaged over seeds; other figures are of their averaged probabilities."
    )


def _statistics(params: Params, sure: Mapping[str, Any], cite: _Citations) -> str:
    chosen = params.evaluate
    level = f"{100 * sure['level']:g} %"
    exchanged = listed([f"for {test['name']} {test['exchanged']}" for test in _tested(sure)])
    tests = (
        f"P values are of permutation tests in which the labels were exchanged as the design allows ({exchanged}), by "
        f"at most {chosen.permutations_cheap} arrangements, and chance is the mean accuracy over these. "
        if exchanged
        else "The design allowed no permutation test. "
    )
    if any(not test["refused"] for test in sure.get("network", {}).values()):
        tests += (
            f"The network was trained anew for up to {chosen.permutations} arrangements, fewer where "
            f"chance was seen to do as well {cite('besag')}. "
        )
    return (
        f"Intervals of {level} are on the logit, with standard errors over cages within the strata of labels that are "
        f"constant in a cage, by Student's t. {tests}Simple methods, fitted within the same folds, were nearest "
        f"neighbours (k = {chosen.neighbours}) and a support vector machine ({chosen.svm_kernel} kernel, C = "
        f"{chosen.svm_c:g}), each on {chosen.pca_components} principal components of the histograms and on shares of "
        f"stops per tile smoothed by {chosen.smoothing_tiles:g} tiles; the network was compared with them by sign "
        f"flips over cages with Holm's correction {cite('holm')}. As controls, classes were told from how well a mouse "
        f"was tracked, from the time of day at which its recording began, and from its stops by interval alone, by "
        f"regularised least squares {cite('rifkin')}."
    )


def _tested(sure: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return [test for test in sure["tests"].values() if not test["refused"]]


def _explanation(params: Params, cite: _Citations) -> str:
    return (
        f"Places in which classes differ are differences of mean smoothed shares over cages, tested by a moderated t "
        f"with the family-wise error over tiles held by its maximum over at most {params.explain.arrangements} "
        f"arrangements of the labels, and marked only where a test of all classes together allows it. Times are told "
        f"in windows of {params.explain.window_intervals} intervals by squared distances between classes from products "
        f"of different cages only {cite('walther')}. What the networks use was "
        f"found by integrated gradients {cite('gradients')} of samples of held-out cages, from an empty cage; no "
        f"significance is claimed for it."
    )
