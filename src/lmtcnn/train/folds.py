"""Leave one cage out: mice that live together look alike, so no cage may be on both sides of a split."""

from collections import defaultdict
from collections.abc import Sequence

from lmtcnn.core.errors import CohortError, problem
from lmtcnn.core.names import ALL, ONE_CAGE


def cages_of(cages: Sequence[str], animals: Sequence[str]) -> tuple[str, ...]:
    """The folds of a study: its cages, sorted; each holds out every sample of its cage, at every age.

    `cages` and `animals` are those of the samples: who an animal is, is `Sample.animal`, its RFID unless the manifest
    says otherwise.

    Raises CohortError where an animal would be on both sides of a split, or where there is nothing to train on.
    """
    homes: dict[str, set[str]] = defaultdict(set)
    for cage, animal in zip(cages, animals, strict=True):
        homes[animal].add(cage)
    if moved := [animal for animal, found in homes.items() if len(found) > 1]:
        do = ONE_CAGE
        raise CohortError([problem(f"animal {a}", "one cage", ", ".join(sorted(homes[a])), do) for a in sorted(moved)])
    names = tuple(sorted(set(cages)))
    if len(names) < 2:
        raise CohortError(problem("cohort", "two cages or more", str(len(names)), "add recordings of another cage"))
    if ALL in names:
        raise CohortError(problem(f"cage {ALL}", "another name", "the word for no cage held out", "rename the cage"))
    return names
