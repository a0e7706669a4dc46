"""One recording: its files, its floor, and which animals of its files are which of the manifest's."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmtcnn.cohort.rfids import has_chip, no_chip, pair_rfids, unnamed, warn_of_numbers
from lmtcnn.core.errors import CohortError, problem
from lmtcnn.core.sections import Arena, dump
from lmtcnn.lmt import lmt

log = logging.getLogger("lmtcnn")


@dataclass(frozen=True)
class Sample:
    """One animal in one recording.

    `animal` says who it is in all recordings. Where the manifest does not, that is its RFID; and an animal whose chip
    was not read is one of this recording only.
    """

    recording: str
    rfid: str
    cage: str
    labels: Mapping[str, str]
    class_name: str
    animal: str = ""

    def __post_init__(self) -> None:
        """Fill in who the animal is."""
        if not self.animal:
            object.__setattr__(self, "animal", unnamed(self.recording, self.rfid))

    @property
    def is_named(self) -> bool:
        """Whether the manifest says who the animal is."""
        return self.animal != unnamed(self.recording, self.rfid)

    @property
    def who(self) -> str:
        """The animal in words: `RFID 001`, or by the name that the manifest gives it."""
        return f"animal {self.animal}" if self.is_named or not has_chip(self.rfid) else f"RFID {self.rfid}"


@dataclass(frozen=True)
class Recording:
    """One experiment: its files, its floor, and its animals by RFID (None: whoever is in the database).

    `timezone` and `night` are its own where they are not the study's; `excluded` are RFIDs that the manifest knows and
    leaves out.
    """

    name: str
    files: tuple[Path, ...]
    arena: Arena
    timezone: str | None = None
    night: tuple[str, str] | None = None
    samples: Mapping[str, Sample] | None = None
    excluded: frozenset[str] = frozenset()

    @property
    def described(self) -> dict[str, Any]:
        """By what, besides parameters, a recording's tables are made: its files' names, its floor, its animals."""
        animals = None if self.samples is None else sorted(self.samples)
        return {"files": [path.name for path in self.files], "arena": dump(self.arena), "animals": animals}

    def match(self, databases: Sequence[lmt.Database], *, quiet: bool = False) -> list[dict[int, str | None]]:
        """Find the animals that count: for each of its files ANIMAL.ID -> RFID.

        Without a manifest every animal counts. Animals that the manifest does not know are left out with a warning; an
        animal of the manifest that some of several files lack is warned of. Raises CohortError that names RFIDs of the
        manifest that are in no file or twice in one.
        """
        looks = [self._look_for(database) for database in databases]
        if databases[1:]:
            self._keep_unread_apart(databases, [chosen for chosen, _ in looks])
        everywhere = set.intersection(*(set(lost) for _, lost in looks))
        if everywhere:
            raise CohortError([line for rfid, line in looks[0][1].items() if rfid in everywhere])
        for database, (chosen, lost) in zip([] if quiet else databases, [] if quiet else looks, strict=True):
            warn_of_numbers(database)
            for rfid in lost:
                log.warning("%s: RFID %s is in another file of the recording only", database.path.name, rfid)
            if strangers := self.strangers(database, chosen):
                log.warning("%s: left out, not in the manifest: %s", database.path.name, ", ".join(strangers))
        return [chosen for chosen, _ in looks]

    def _look_for(self, database: lmt.Database) -> tuple[dict[int, str | None], dict[str, str]]:
        """Return ANIMAL.ID -> RFID of the animals that count, and a line for each RFID of the manifest not there."""
        where = f"{database.path}: ANIMAL"
        wanted = None if self.samples is None else list(self.samples)
        animals = database.animals
        asked = {a.rfid for a in animals} if wanted is None else pair_rfids(wanted, _rfids(animals)).values()
        if doubled := [rfid for rfid in _doubled(animals) if rfid in asked]:
            alike = [animal.id for animal in animals if animal.rfid in doubled]
            ghosts = lmt.undetected(database, alike, thorough=True)  # rows that a start of the tracker left behind
            animals = tuple(animal for animal in animals if animal.id not in ghosts)
            if hit := [rfid for rfid in _doubled(animals) if rfid in doubled]:
                lines = [
                    problem(where, "each RFID once", f"{rfid} twice", "correct a copy of the file") for rfid in hit
                ]
                raise CohortError(lines)
            animals = _with_one_of_each(database.animals, animals)
        if wanted is None:
            return {animal.id: animal.rfid for animal in animals}, {}
        return _match(wanted, animals, database.path.name, where)

    def _keep_unread_apart(self, databases: Sequence[lmt.Database], chosen: Sequence[dict[int, str | None]]) -> None:
        """Leave an animal whose chip was not read in the one file that detected it.

        Raises CohortError where several did: nothing tells whether that is one mouse.
        """
        lines = []
        for rfid in dict.fromkeys(rfid for own in chosen for rfid in own.values() if not has_chip(rfid)):
            keys = [[key for key, other in own.items() if other == rfid] for own in chosen]
            if sum(map(bool, keys)) == 1:
                continue
            seen = [
                number
                for number, (database, own) in enumerate(zip(databases, keys, strict=True))
                if set(own) - lmt.undetected(database, own, thorough=True)
            ]
            if len(seen) > 1:
                found = f"{no_chip(rfid)} in {len(seen)} files: it need not be one mouse"
                do = "write the RFID into ANIMAL of a copy of each, or exclude the animal in the manifest"
                where = f"{databases[seen[0]].path}: ANIMAL"
                lines.append(problem(where, "the RFID of a chip, to join the files by", found, do))
            kept = seen[0] if seen else next(number for number, own in enumerate(keys) if own)
            for number, own in enumerate(keys):
                for key in own if number != kept else ():
                    del chosen[number][key]
        if lines:
            raise CohortError(lines)

    def strangers(self, database: lmt.Database, chosen: Mapping[int, str | None]) -> list[str]:
        """Name the animals of a file that the manifest neither lists (`chosen`, ANIMAL.ID -> RFID) nor excludes.

        Rows of ANIMAL that were never detected are no animals.
        """
        known = {*chosen.values(), *self.excluded} - {None}
        others = [a for a in database.animals if a.id not in chosen and a.rfid not in known]
        ghosts = lmt.undetected(database, [a.id for a in others])
        return [a.rfid or f"animal {a.id}" for a in others if a.id not in ghosts]


def _rfids(animals: Iterable[lmt.Animal]) -> list[str]:
    return list(dict.fromkeys(animal.rfid for animal in animals if animal.rfid))


def _doubled(animals: Iterable[lmt.Animal]) -> list[str]:
    return [rfid for rfid, n in Counter(animal.rfid for animal in animals if animal.rfid).items() if n > 1]


def _with_one_of_each(animals: Sequence[lmt.Animal], seen: Sequence[lmt.Animal]) -> tuple[lmt.Animal, ...]:
    """The animals that were seen and, for each RFID that none of them has, its first row."""
    first = {animal.rfid: animal for animal in reversed(animals)}
    known = {animal.rfid for animal in seen}
    return tuple(a for a in animals if a in seen or (a.rfid not in known and first[a.rfid] is a))


def _match(
    wanted: Sequence[str], animals: Sequence[lmt.Animal], name: str, where: str
) -> tuple[dict[int, str | None], dict[str, str]]:
    """Return ANIMAL.ID -> RFID of those that are wanted, and a line for each that is not there."""
    ids = {animal.rfid: animal.id for animal in animals if animal.rfid}
    pairs = pair_rfids(wanted, ids)
    for rfid, other in pairs.items():
        if other != rfid:
            log.warning("%s: RFID %s taken for %s of the manifest", name, other, rfid)
    known = ", ".join(animal.rfid or "(none)" for animal in animals)
    lost = {
        rfid: problem(where, f"RFID {rfid} of the manifest", known, "correct the manifest")
        for rfid in wanted
        if rfid not in pairs
    }
    return {ids[other]: rfid for rfid, other in pairs.items()}, lost
