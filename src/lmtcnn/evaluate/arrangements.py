"""Arrangements of labels: what may be exchanged, every distinct way to do so, and one naming of the outcome."""

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Exchange:
    """Rule by which the labels of one column may be exchanged.

    Attributes
    ----------
    units
        "cages", "recordings" or "animals" are exchanged; empty where the column is refused.
    within
        "study" or "cages": within what.
    unit
        (S,) the number of each sample's unit.
    stratum
        (U,) the number of the study or cage within which each unit is exchanged.
    value
        (U,) the number of each unit's observed value.
    refused
        Why the column cannot be tested, in words; empty where it can.
    """

    units: str
    within: str
    unit: Codes
    stratum: Codes
    value: Codes
    refused: str = ""

    @cached_property
    def strata(self) -> list[Codes]:
        """The units of each stratum."""
        return [np.flatnonzero(self.stratum == number) for number in np.unique(self.stratum)]

    @cached_property
    def distinct(self) -> int:
        """Distinct arrangements, the observed one among them, up to renaming of the labels.

        The product over strata of n! / (n_1! n_2! ...), over the number of renamings that leave the counts of labels
        in every stratum as they are: each of them turns any arrangement into another one.
        """
        counts = [Counter(self.value[units].tolist()) for units in self.strata]
        ways = math.prod(_multinomial(list(count.values())) for count in counts)
        return ways // _renamings(counts)

    def all(self) -> Iterator[Codes]:
        """Every arrangement of the units' values (U,), renamed ones too."""
        of_strata = [list(_multiset_orders(self.value[units].tolist())) for units in self.strata]
        for orders in itertools.product(*of_strata):
            arranged = np.empty_like(self.value)
            for units, order in zip(self.strata, orders, strict=True):
                arranged[units] = order
            yield arranged

    def draw(self, random: np.random.Generator) -> Codes:
        """One arrangement of the units' values (U,) by chance, each as likely as any other."""
        arranged = np.empty_like(self.value)
        for units in self.strata:
            arranged[units] = random.permutation(self.value[units])
        return arranged


@dataclass(frozen=True)
class Arrangements:
    """Arrangements of labels, canonically named: in each, a column's values are numbered as they first appear.

    Attributes
    ----------
    columns
        Column -> (A, S) numbers of values.
    exhaustive
        Whether these are all distinct arrangements but the observed one.
    """

    columns: dict[str, Codes]
    exhaustive: bool

    def __len__(self) -> int:
        """How many arrangements."""
        return len(next(iter(self.columns.values())))

    @property
    def joint(self) -> Codes:
        """(A, S) one number for each combination of the columns' values; see `values_of`."""
        return combine(list(self.columns.values()), self.sizes)

    @property
    def sizes(self) -> list[int]:
        """How many values each column has."""
        return [int(codes.max()) + 1 for codes in self.columns.values()]

    def values_of(self, joint: Codes, column: str) -> Codes:
        """The value of one column in numbers of combinations, of any shape."""
        place = list(self.columns).index(column)
        return joint // math.prod(self.sizes[place + 1 :]) % self.sizes[place]


def canonical(codes: Codes) -> Codes:
    """Number the values of each row (A, S) in the order in which they first appear in it."""
    size = int(codes.max()) + 1
    there = codes[:, :, None] == np.arange(size)  # (A, S, values)
    first = np.where(there.any(axis=1), there.argmax(axis=1), codes.shape[1])
    rank = first.argsort(axis=1, kind="stable").argsort(axis=1)
    return np.take_along_axis(rank, codes, axis=1)


def combine(columns: Sequence[Codes], sizes: Sequence[int]) -> Codes:
    """One number for each combination of the columns' values, the last column fastest."""
    joint = np.zeros_like(columns[0])
    for codes, size in zip(columns, sizes, strict=True):
        joint = joint * size + codes
    return joint


def numbered(values: Sequence[object]) -> Codes:
    """Number values in the order in which they first appear, (S,)."""
    places: dict[object, int] = {}
    return np.array([places.setdefault(value, len(places)) for value in values], dtype=np.int64)


def _multinomial(counts: Sequence[int]) -> int:
    return math.factorial(sum(counts)) // math.prod(math.factorial(count) for count in counts)


def _renamings(counts: Sequence[Counter[int]]) -> int:
    """How many renamings of the values leave their counts in every stratum as they are.

    Values may change names where they are as many in each stratum: n! ways for n such values.
    """
    values = {value for count in counts for value in count}
    alike = Counter(tuple(count[value] for count in counts) for value in values)
    return math.prod(math.factorial(n) for n in alike.values())


def _multiset_orders(values: Sequence[int]) -> Iterator[list[int]]:
    """Every distinct order of values, some of them equal, each once."""
    if not values:
        yield []
    for first in dict.fromkeys(values):
        rest = list(values)
        rest.remove(first)
        for order in _multiset_orders(rest):
            yield [first, *order]
