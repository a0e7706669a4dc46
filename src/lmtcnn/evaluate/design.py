"""How labels lie in cages, recordings and animals, and so which arrangements of them chance could have made.

A permutation test asks how often labels that mean nothing do as well as the true ones. Labels that mean nothing would
still lie in the study as the true ones do: sex is one for a whole cage, age one for a whole recording. So only what the
design leaves open is exchanged (exchangeability blocks: Good 2005, Permutation, Parametric and Bootstrap Tests;
Winkler et al. 2015, NeuroImage 123). An arrangement that only renames the labels is not counted as another one.
"""

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from lmtcnn.core.names import values_of
from lmtcnn.core.params import Params
from lmtcnn.evaluate.arrangements import Arrangements, Codes, Exchange, canonical, combine, numbered

JOINT = "joint"
"""The name of all columns together."""


class NotTestableError(ValueError):
    """A column whose labels the design leaves nothing to exchange of; its words say why."""


class Design:
    """How label columns lie in a study, and their arrangements.

    Parameters
    ----------
    columns
        Label column -> value of each of S samples.
    cages, recordings, animals
        Of each sample; an animal is one in all recordings, and no animal is in two cages.
    starts
        When each sample's recording began, in any unit; None where it is not known.
    """

    def __init__(
        self,
        columns: Mapping[str, Sequence[str]],
        cages: Sequence[str],
        recordings: Sequence[str],
        animals: Sequence[str],
        starts: Sequence[float] | None = None,
    ) -> None:
        self.columns = {name: numbered(values) for name, values in columns.items()}
        self.names = {name: tuple(dict.fromkeys(values)) for name, values in columns.items()}
        cage = numbered(cages)
        within = [f"{c}\0{r}" for c, r in zip(cages, recordings, strict=True)]
        self.cages, self.recordings = cage, numbered(within)
        self.animals = numbered([f"{c}\0{a}" for c, a in zip(cages, animals, strict=True)])
        self.starts = None if starts is None else np.asarray(starts, dtype=np.float64)
        self.exchanges = {name: self._exchange(name) for name in self.columns}

    def constant(self, column: str, groups: Codes) -> bool:
        """Whether a column has one value in each of some groups of samples."""
        return len(set(zip(groups.tolist(), self.columns[column].tolist(), strict=True))) == len(set(groups.tolist()))

    def strata(self) -> Codes:
        """(S,) the stratum of each sample: cages alike in all labels that are constant in a cage."""
        fixed = [codes for name, codes in self.columns.items() if self.constant(name, self.cages)]
        return numbered(list(zip(*(codes.tolist() for codes in fixed), strict=True))) if fixed else 0 * self.cages

    def refused(self, name: str) -> str:
        """Why a column, or all together (`JOINT`), cannot be tested, in words; empty where it can."""
        return "; ".join(filter(None, (self.exchanges[column].refused for column in self._open(name))))

    def distinct(self, name: str) -> int:
        """Distinct arrangements of a column, or of all (`JOINT`), the observed one among them."""
        return math.prod(self.exchanges[column].distinct for column in self._open(name))

    def least_p(self, name: str, most: int) -> float:
        """The least p that a test by at most `most` arrangements can give."""
        return 1 / (1 + min(self.distinct(name) - 1, most))

    def words(self, name: str) -> str:
        """Say in words what a test exchanges: `whole cages exchanged`."""
        return "; ".join(
            f"{column}: {_EXCHANGED[self.exchanges[column].units]}" if name == JOINT else
            _EXCHANGED[self.exchanges[column].units]
            for column in self._open(name)
        )  # fmt: skip

    def observed(self) -> Arrangements:
        """The labels as they are, (1, S), named like those of every other arrangement."""
        return Arrangements({name: canonical(codes[None]) for name, codes in self.columns.items()}, False)

    def arrangements(self, name: str, most: int, seed: int) -> Arrangements:
        """Arrangements of a column, the others as observed, or of all columns, each by its own rule.

        Parameters
        ----------
        name
            A column, or `JOINT`.
        most
            All distinct ones but the observed one, where these are no more; else so many drawn by chance, each of the
            distinct ones equally likely, the observed one too (Phipson & Smyth 2010).
        seed
            Of that chance.

        Returns
        -------
        Arrangements
            Labels of every sample.

        Raises
        ------
        NotTestableError
            Where the column is refused, or arrangements would make combinations of labels that no sample has.
        """
        if why := self.refused(name):
            raise NotTestableError(why)
        chosen = self._open(name)
        exhaustive = self.distinct(name) - 1 <= most
        made = self._all(chosen) if exhaustive else self._drawn(chosen, most, seed)
        if why := self._strange(made):
            raise NotTestableError(why)
        named = {column: canonical(codes) for column, codes in made.items()}
        return Arrangements(self._others(named) if exhaustive else named, exhaustive)

    def follows_order(self, column: str) -> bool | None:
        """Whether a column's values come in one order of recording in every cage; None where the order is not known.

        Then what belongs to the column and what belongs to the order (growth, a familiar cage, a warmer room) cannot be
        told apart by any test.
        """
        if self.exchanges[column].units != "recordings":
            return False
        if self.starts is None:
            return None
        orders = set()
        for cage in np.unique(self.cages):
            first: dict[int, tuple[float, int]] = {}
            for sample in np.flatnonzero(self.cages == cage):
                first[int(self.recordings[sample])] = (float(self.starts[sample]), int(self.columns[column][sample]))
            orders.add(tuple(value for _, value in sorted(first.values())))
        longest = max(orders, key=len)
        return all(_is_part(order, longest) for order in orders)

    def _open(self, name: str) -> list[str]:
        """The columns that a test arranges; those of one value, which nothing can arrange, are none of the joint's."""
        varying = [column for column, codes in self.columns.items() if codes.max() > 0]
        return varying if name == JOINT and varying else list(self.columns) if name == JOINT else [name]

    def _exchange(self, name: str) -> Exchange:
        codes = self.columns[name]
        study = np.zeros_like(self.cages)
        for units, within, unit, stratum in (
            ("cages", "study", self.cages, study),
            ("recordings", "cages", self.recordings, self.cages),
            ("animals", "cages", self.animals, self.cages),
        ):
            if self.constant(name, unit):
                first = np.unique(unit, return_index=True)[1]
                made = Exchange(units, within, unit, stratum[first], codes[first])
                return made if made.distinct > 1 else self._unmovable(made, name)
        why = f"{name} differs within a recording and within an animal, so that nothing can be exchanged"
        return Exchange("", "", self.cages, study[:1], codes[:1], why)

    def _unmovable(self, made: Exchange, name: str) -> Exchange:
        one = len(self.names[name]) == 1
        why = f"{name} has one value" if one else f"no other arrangement of {name} is possible in this design"
        return Exchange(made.units, made.within, made.unit, made.stratum, made.value, why)

    def _all(self, chosen: Sequence[str]) -> dict[str, Codes]:
        made = [[each[self.exchanges[c].unit] for each in self.exchanges[c].all()] for c in chosen]
        rows = list(itertools.product(*made))
        varied = {c: np.array([row[i] for row in rows]) for i, c in enumerate(chosen)}
        return {name: varied.get(name, np.tile(codes, (len(rows), 1))) for name, codes in self.columns.items()}

    def _drawn(self, chosen: Sequence[str], most: int, seed: int) -> dict[str, Codes]:
        random = np.random.default_rng(seed)
        rows = [{c: self.exchanges[c].draw(random)[self.exchanges[c].unit] for c in chosen} for _ in range(most)]
        return {name: np.array([row.get(name, codes) for row in rows]) for name, codes in self.columns.items()}

    def _strange(self, made: Mapping[str, Codes]) -> str:
        """Which combination of labels the arrangements make that no sample has, in words; empty where none."""
        sizes = [len(names) for names in self.names.values()]
        there = set(combine([codes[None] for codes in self.columns.values()], sizes).ravel().tolist())
        new = set(np.unique(combine(list(made.values()), sizes)).tolist()) - there
        if not new:
            return ""
        places = np.unravel_index(min(new), sizes)
        words = ", ".join(f"{name} {self.names[name][int(i)]}" for name, i in zip(self.names, places, strict=True))
        return f"arrangements would make a combination of labels that no sample has: {words}"

    def _others(self, named: Mapping[str, Codes]) -> dict[str, Codes]:
        """Each distinct arrangement once, in the order in which they were made, without the observed one."""
        rows = np.concatenate(list(named.values()), axis=1)
        observed = np.concatenate(list(self.observed().columns.values()), axis=1)[0].tobytes()
        first = {row.tobytes(): place for place, row in reversed(list(enumerate(rows)))}
        first.pop(observed, None)
        kept = sorted(first.values())
        return {name: codes[kept] for name, codes in named.items()}


_EXCHANGED = {
    "cages": "whole cages exchanged",
    "recordings": "the recordings of a cage exchanged",
    "animals": "the animals of a cage exchanged, each keeping its label in all recordings",
    "": "nothing exchanged",
}


def _is_part(order: Sequence[int], whole: Sequence[int]) -> bool:
    """Whether an order of values is a part of another one, in the same order."""
    remaining = iter(whole)
    return all(value in remaining for value in order)


def design_of(index: pl.DataFrame, params: Params, started: Mapping[str, int] | None = None) -> Design:
    """The design of a study: its label columns as the classes tell their values apart."""
    of_class = {
        label: {name: " or ".join(values_of(labels.get(label, ()))) for name, labels in params.classes.items()}
        for label in params.labels
    }
    columns = {label: [names[name] for name in index["class"].to_list()] for label, names in of_class.items()}
    recordings = index["recording"].to_list()
    known = started is not None and all(recording in started for recording in recordings)
    starts = [started[recording] for recording in recordings] if started is not None and known else None
    return Design(columns, index["cage"].to_list(), recordings, index["animal"].to_list(), starts)
