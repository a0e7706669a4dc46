"""Leave one cage out: mice that live together look alike, so no cage may be on both sides of a split."""

from collections import defaultdict
from collections.abc import Sequence

from lmtcnn import cohort
from lmtcnn.errors import CohortError, problem

ALL = cohort.ALL
"""The "fold" of the networks that see every cage: nothing is held out."""


def cages_of(cages: Sequence[str], rfids: Sequence[str]) -> tuple[str, ...]:
    """The folds of a study: its cages, sorted; each holds out every sample of its cage, at every age.

    Raises CohortError where an animal would be on both sides of a split, or where there is nothing to train on.
    """
    homes: dict[str, set[str]] = defaultdict(set)
    for cage, rfid in zip(cages, rfids, strict=True):
        homes[rfid].add(cage)
    if moved := [rfid for rfid, found in homes.items() if len(found) > 1]:
        do = "give the cages that share animals one name"
        raise CohortError([problem(f"RFID {r}", "one cage", ", ".join(sorted(homes[r])), do) for r in sorted(moved)])
    names = tuple(sorted(set(cages)))
    if len(names) < 2:
        raise CohortError(problem("cohort", "two cages or more", str(len(names)), "add recordings of another cage"))
    if ALL in names:
        raise CohortError(problem(f"cage {ALL}", "another name", "the word for no cage held out", "rename the cage"))
    return names
