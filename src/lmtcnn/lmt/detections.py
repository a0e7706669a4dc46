"""The table DETECTION of a database: where each animal was.

Newer files carry a covering index for exactly what a stop detector needs, (ANIMALID, FRAMENUMBER, MASS_X, MASS_Y), some
30 bytes a row where the table holds 700 to 1,500: it is read animal by animal where it exists, and the table in one
pass where it does not. Both are read as whole pages (`pages.py`); what is not plain there is asked of SQLite.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import TypeVar

import numpy as np

from lmtcnn.lmt.lmt import Database, connected
from lmtcnn.lmt.pages import Damaged, NotPlain
from lmtcnn.lmt.source import SLOW_BYTES, Source, batches, watched
from lmtcnn.lmt.values import NOTHING, NUMBER, PLACE, Columns, Ints, Values
from lmtcnn.timeline.tracks import Tally, Track

log = logging.getLogger("lmtcnn")

TABLE_PAGES_AT_ONCE = 1024
"""Pages of a table hold few rows, each with its mask of the mouse: more of them make a block worth its while."""

Seen = Callable[[int], None]
"""Progress callback: how many rows were read now."""

_FRAME, _POSITION = ("FRAMENUMBER",), ("FRAMENUMBER", "MASS_X", "MASS_Y")

Sink = TypeVar("Sink", Track, Tally)


@dataclass
class Census:
    """Rows of the covering index that were read, over all calls: how many, and the sum of their rowids.

    `sound` where SQLite has checked the table instead.
    """

    n_rows: int = 0
    rowids: int = 0
    sound: bool = False
    _lock: Lock = field(default_factory=Lock)

    def add(self, rowids: Ints) -> None:
        """Take rows by their rowids; threads may do so at once."""
        n, total = len(rowids), int(rowids.sum())
        with self._lock:
            self.n_rows += n
            self.rowids += total


def read_track(
    database: Database, animal_id: int, track: Track, seen: Seen = lambda n: None, census: Census | None = None
) -> Track:
    """Fill a track with the positions of one animal, through the covering index."""
    return _read_own(database, [animal_id], _POSITION, track, seen, census or Census())


def count_detections(
    database: Database,
    animal_ids: Iterable[int | None],
    tally: Tally,
    seen: Seen = lambda n: None,
    census: Census | None = None,
) -> Tally:
    """Count the rows of some animals, None: of nobody, through the covering index."""
    return _read_own(database, list(animal_ids), _FRAME, tally, seen, census or Census())


def _read_own(
    database: Database,
    animal_ids: Sequence[int | None],
    columns: tuple[str, ...],
    sink: Sink,
    seen: Seen,
    census: Census,
) -> Sink:
    """Add columns of some animals' rows to `sink`, from pages of the covering index.

    Where these are not plain, what they gave is forgotten, and all rows are asked of SQLite.
    """
    with watched(database) as source:
        try:
            for animal_id in animal_ids:
                for found in _own_from_pages(source, animal_id, columns, census):
                    sink.add(*found)
                    seen(len(found[0]))
        except NotPlain:
            sink.clear()
            query = f"SELECT {_expressions(columns)} FROM DETECTION WHERE ANIMALID IS ?"
            for animal_id in animal_ids:
                for found in batches(source, query, (animal_id,)):
                    sink.add(*found)
                    seen(len(found[0]))
            source.check("DETECTION")
            census.sound = True
    return sink


def _own_from_pages(
    source: Source, animal_id: int | None, columns: tuple[str, ...], census: Census
) -> Iterator[Columns]:
    """Columns of an animal's rows, None: of those without one, from the pages of the covering index."""
    index = source.database.index
    if index is None:
        raise NotPlain("no covering index")
    key = NOTHING if animal_id is None else animal_id
    for ids, *found in source.tree("index", index, ("ANIMALID", *columns, "rowid")).beginning_with(key):
        *values, rowids = _of(key, ids, found)
        census.add(rowids)
        yield tuple(values)


def _expressions(columns: Sequence[str]) -> str:
    """SQL for columns of DETECTION, whatever is in them."""
    return ", ".join((PLACE if name.startswith("MASS") else NUMBER).format(name) for name in columns)


def check_census(database: Database, census: Census) -> int:
    """See that the covering index has the rows of its table, all animals and nobody having been read.

    The table is not read for it: its rowids are without a gap as the tracker writes them, and the index must have each
    of them once, as far as their number and sum tell. Only where that does not fit are rows counted, in the index and
    in the table.

    Returns
    -------
    Rows of animals that are not in ANIMAL, which nobody has read.

    Raises
    ------
    DatabaseError, where index and table are at odds.
    """
    if census.sound or database.index is None:
        return 0
    with watched(database) as source:
        ends = "SELECT (SELECT min(rowid) FROM DETECTION NOT INDEXED), (SELECT max(rowid) FROM DETECTION NOT INDEXED)"
        first, last = source.connection.execute(ends).fetchone()
        n_rowids = last - first + 1 if last is not None else 0
        if census.n_rows == n_rowids and (not n_rowids or 2 * census.rowids == (first + last) * n_rowids):
            source.check_ends(n_rowids)
            return 0
        if database.stamp[0] > SLOW_BYTES:
            log.warning("%s: the rows of DETECTION are counted, which takes minutes", database.path.name)
        in_index, in_table = source.count("DETECTION", database.index), source.count("DETECTION")
        if in_index != in_table:
            raise Damaged(f"{in_index} rows in {database.index}, {in_table} in DETECTION")
        if census.n_rows == in_table == n_rowids:
            raise Damaged(f"other rows in {database.index} than in DETECTION")
        source.check_ends(in_table)
        return in_table - census.n_rows


def read_tracks(
    database: Database,
    tracks: Mapping[int, Track],
    nobody: Tally,
    others: Tally,
    threads: int = 1,
    seen: Seen = lambda n: None,
) -> int:
    """Fill the tracks of several animals (by ANIMAL.ID) in one pass over the table, and count the other rows.

    `nobody` gets the rows without an animal, `others` those of other animals in ANIMAL. Pages are taken apart in
    `threads`. Returns how many rows are of animals that are not in ANIMAL.
    """
    strangers = np.array([animal.id for animal in database.animals if animal.id not in tracks], np.int64)
    with watched(database) as source:
        try:
            n_rows = _sort_rows(_table_from_pages(source, threads), tracks, nobody, (strangers, others), seen)
            source.check_count("DETECTION", n_rows)
            source.check_ends(n_rows)
        except NotPlain:
            for tally in (nobody, others):
                tally.clear()
            for track in tracks.values():
                track.clear()
            n_rows = _sort_rows(_table_from_rows(source), tracks, nobody, (strangers, others), seen)
            source.check("DETECTION")
    return n_rows - nobody.n_rows - others.n_rows - sum(track.n_rows for track in tracks.values())


def _sort_rows(
    blocks: Iterable[Columns],
    tracks: Mapping[int, Track],
    nobody: Tally,
    others: tuple[Ints, Tally],
    seen: Seen,
) -> int:
    """Rows (ANIMALID, FRAMENUMBER, MASS_X, MASS_Y) to their animals' tracks, the rest counted; how many there were."""
    strangers, counted = others
    n_rows = 0
    for ids, *found in blocks:
        n_rows += len(ids)
        nobody.add(found[0][ids == NOTHING])
        if strangers.size:
            counted.add(found[0][np.isin(ids, strangers)])
        for animal_id, track in tracks.items():
            own = _of(animal_id, ids, found)
            if own[0].size:
                track.add(*own)
        seen(len(ids))
    return n_rows


def _table_from_pages(source: Source, threads: int) -> Iterator[Columns]:
    tree = source.tree("table", "DETECTION", ("ANIMALID", *_POSITION))
    yield from tree.blocks(lambda columns: tuple(columns[1:]), threads, TABLE_PAGES_AT_ONCE)


def _table_from_rows(source: Source) -> Iterator[Columns]:
    yield from batches(source, f"SELECT {_expressions(('ANIMALID', *_POSITION))} FROM DETECTION")


def _of(animal_id: int, ids: Ints, columns: Sequence[Values]) -> Columns:
    """The rows of one animal among some."""
    own = ids == animal_id
    return tuple(columns) if own.all() else tuple(values[own] for values in columns)


def count_rows(database: Database) -> int:
    """Rows of DETECTION, as far as the largest of their numbers tells: at once, and only for a bar of progress."""
    with connected(database) as connection:
        return int(connection.execute("SELECT ifnull(max(rowid), 0) FROM DETECTION").fetchone()[0])
