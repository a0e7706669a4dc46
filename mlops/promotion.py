"""When a new model becomes champion, the one that serves. params.yaml names this file: register.promotion."""

from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from typing import Any

Sample = tuple[str, ...]


def decide(  # noqa: PLR0911 - one answer a case of the rule
    candidate: Mapping[str, Any], champion: Mapping[str, Any] | None, limits: Mapping[str, float]
) -> tuple[bool, str]:
    """Whether the candidate becomes champion, and why.

    Parameters
    ----------
    candidate, champion
        Each is told by `histograms_digest` (the same: they learned from the same histograms), `samples` (who was
        learned from, in which recording), `held_out` (for each sample, in that order: its class, the class that the
        networks together gave it while its cage was held out, and the probability that they gave the true one),
        `classes` and `simulated`. No champion is None.
    limits
        `least_gain` and `most_loss` of params.yaml, in balanced accuracy.

    Returns
    -------
    Whether, and why in words. Samples are counted and shares are exact fractions: 73 of 96 never beats 73 of 96.
    Results are compared on the same samples only: on others a higher one says nothing.
    """
    if champion is None:
        return True, "there was no champion"
    if candidate["simulated"] and not champion["simulated"]:
        return False, "it learned from simulated mice, the champion from real ones"
    if champion["simulated"] and not candidate["simulated"]:
        return True, "the champion learned from simulated mice, this one from real ones"
    if candidate["classes"] != champion["classes"]:
        return False, "it tells other classes than the champion"
    mine, theirs = (dict(zip(map(tuple, m["samples"]), m["held_out"], strict=True)) for m in (candidate, champion))
    gain, figures = _compared(mine, theirs, theirs.keys() & mine.keys())
    if candidate["histograms_digest"] == champion["histograms_digest"]:
        enough = gain > 0 and gain >= Fraction(str(limits["least_gain"]))
        word = "higher" if enough else f"not higher by {limits['least_gain']:g}" if gain > 0 else "not higher"
        return enough, f"on the same histograms its balanced accuracy is {word} ({figures})"
    if mine.keys() == theirs.keys():
        return False, "it learned from other histograms of the same samples: their accuracies cannot be compared"
    if not mine.keys() > theirs.keys():
        return False, "it learned from another cohort, which does not hold all of the champion's samples and more"
    larger = f"its cohort holds all {len(theirs)} samples of the champion's and {len(mine) - len(theirs)} more"
    limit = f"worse by more than {limits['most_loss']:g} (balanced accuracy {figures})"
    if -gain > Fraction(str(limits["most_loss"])):
        return False, f"{larger}, but on the champion's it is {limit}"
    return True, f"{larger}, and on the champion's it is not {limit}"


def _compared(
    mine: Mapping[Sample, Sequence[Any]], theirs: Mapping[Sample, Sequence[Any]], shared: Collection[Sample]
) -> tuple[Fraction, str]:
    """Gain of balanced accuracy on shared samples, whose classes are those that the candidate learned; and figures."""
    own = [(mine[sample][0], mine[sample][1]) for sample in shared]
    other = [(mine[sample][0], theirs[sample][1]) for sample in shared]
    gain = _balanced(own) - _balanced(other)
    numbers = [f"{float(_balanced(each)):.4f}, {sum(a == b for a, b in each)} of {len(each)}" for each in (own, other)]
    return gain, f"{numbers[0]}; champion {numbers[1]}"


def _balanced(pairs: Sequence[tuple[str, str]]) -> Fraction:
    """Mean over the true classes of the share that is right; 0 of nothing."""
    hits: dict[str, list[bool]] = {}
    for actual, predicted in pairs:
        hits.setdefault(actual, []).append(actual == predicted)
    return sum((Fraction(sum(each), len(each)) for each in hits.values()), Fraction(0)) / max(len(hits), 1)
