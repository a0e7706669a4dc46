"""When a new model becomes champion, the one that serves. params.yaml names this file: register.promotion."""

from collections.abc import Mapping
from typing import Any


def decide(candidate: Mapping[str, Any], champion: Mapping[str, Any] | None) -> tuple[bool, str]:
    """Whether the candidate becomes champion, and why.

    Both are told by `histograms_digest` (the same: they learned from the same histograms), `balanced_accuracy` (of the
    networks together, on held-out cages), `samples` (pairs of recording and rfid) and `simulated`. Accuracies
    are compared on the same histograms only: on another cohort a higher one says nothing.
    """
    if champion is None:
        return True, "there was no champion"
    if candidate["simulated"] and not champion["simulated"]:
        return False, "it learned from simulated mice, the champion from real ones"
    if champion["simulated"] and not candidate["simulated"]:
        return True, "the champion learned from simulated mice, this one from real ones"
    new, old = candidate["balanced_accuracy"], champion["balanced_accuracy"]
    if candidate["histograms_digest"] == champion["histograms_digest"]:
        word = "higher" if new > old else "not higher"
        return new > old, f"on the same histograms its balanced accuracy is {word} ({new:.4f}, champion {old:.4f})"
    mine, theirs = ({tuple(sample) for sample in model["samples"]} for model in (candidate, champion))
    if mine > theirs:
        return True, f"its cohort holds all {len(theirs)} samples of the champion's and {len(mine - theirs)} more"
    other = "it learned from another cohort, which does not hold all of the champion's samples and more"
    same = "it learned from other histograms of the same samples: their accuracies cannot be compared"
    return False, same if mine == theirs else other
