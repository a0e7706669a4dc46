"""The table DETECTION of a database: where each animal was.

Newer files carry a covering index for exactly what a stop detector needs, (ANIMALID, FRAMENUMBER, MASS_X, MASS_Y), some
30 bytes a row where the table holds 700 to 1,500: it is read animal by animal where it exists, and the table in one
pass where it does not. Both are read as whole pages (`pages.py`); what is not plain there is asked of SQLite.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmtcnn.lmt import NUMBER, Columns, Database, Source, batches, connected, watched
from lmtcnn.pages import NOTHING, NotPlain, Values, ahead, rows, rows_above
from lmtcnn.tracks import Tally, Track

TABLE_PAGES_AT_ONCE = 1024
"""Pages of a table hold few rows, each with its mask of the mouse: more of them make a block worth its while."""

_PLACE = "CASE typeof({0}) WHEN 'real' THEN {0} WHEN 'integer' THEN {0} + 0.0 ELSE 9e999 END AS {0}"
"""Read a column whatever is in it: text in a column of numbers becomes one that counts as none.

SQLite lets any value stand in any column (damaged or hand-made files).
"""

Seen = Callable[[int], None]
"""Told how many rows were read, as they are."""


def read_track(database: Database, animal_id: int, track: Track, seen: Seen = lambda n: None) -> Track:
    """Fill a track with the positions of one animal, through the covering index."""
    with watched(database) as source:
        try:
            for found in _own_from_pages(source, animal_id, ("FRAMENUMBER", "MASS_X", "MASS_Y"), seen):
                track.add(*found)
        except NotPlain:
            track.clear()
            columns = f"{NUMBER.format('FRAMENUMBER')}, {_PLACE.format('MASS_X')}, {_PLACE.format('MASS_Y')}"
            query = f"SELECT {columns} FROM DETECTION WHERE ANIMALID = ?"
            for found in batches(source, query, (animal_id,)):
                track.add(*_seen(found, seen))
        return track


def count_detections(
    database: Database, animal_ids: Iterable[int | None], tally: Tally, seen: Seen = lambda n: None
) -> Tally:
    """Count the rows of some animals, None: of nobody, through the covering index."""
    wanted = list(animal_ids)
    with watched(database) as source:
        try:
            for animal_id in wanted:
                key = NOTHING if animal_id is None else animal_id
                for found in _own_from_pages(source, key, ("FRAMENUMBER",), seen):
                    tally.add(*found)
        except NotPlain:
            tally.clear()
            query = f"SELECT {NUMBER.format('FRAMENUMBER')} FROM DETECTION WHERE ANIMALID IS ?"
            for animal_id in wanted:
                for found in batches(source, query, (animal_id,)):
                    tally.add(*_seen(found, seen))
        return tally


def _own_from_pages(source: Source, animal_id: int, columns: tuple[str, ...], seen: Seen) -> Iterator[Columns]:
    """Columns of an animal's rows, NOTHING: of those without one, from the pages of the covering index."""
    index = source.database.index
    if index is None:
        raise NotPlain("no covering index")
    places = source.places("index", index, ("ANIMALID", *columns))
    leaves = source.leaves(index, index=True)
    own = leaves.numbers[(leaves.low <= animal_id) & (leaves.high >= animal_id)]
    last = NOTHING
    for ids, *found in rows(source.pages, own, places, index=True):
        if ids.size:
            if ids[0] < last or (ids[1:] < ids[:-1]).any():  # where SQLite would stop looking
                raise NotPlain("an index out of order")
            last = int(ids[-1])
            yield _seen(_of(animal_id, ids, found), seen)
    for ids, *found in rows_above(source.pages, leaves.above, places):
        yield _seen(_of(animal_id, ids, found), seen)


def _seen(columns: Columns, seen: Seen) -> Columns:
    seen(len(columns[0]))
    return columns


def read_tracks(
    database: Database,
    tracks: Mapping[int, Track],
    nobody: Tally,
    others: Tally,
    threads: int = 1,
    seen: Seen = lambda n: None,
) -> None:
    """Fill the tracks of several animals (by ANIMAL.ID) in one pass over the table, and count the other rows.

    `nobody` gets the rows without an animal, `others` those of other animals in ANIMAL. Pages are taken apart in
    `threads`.
    """
    strangers = np.array([animal.id for animal in database.animals if animal.id not in tracks], np.int64)
    with watched(database) as source:
        try:
            _sort_rows(_table_from_pages(source, threads), tracks, nobody, (strangers, others), seen)
        except NotPlain:
            for tally in (nobody, others):
                tally.clear()
            for track in tracks.values():
                track.clear()
            _sort_rows(_table_from_rows(source), tracks, nobody, (strangers, others), seen)


def _sort_rows(
    blocks: Iterable[Columns],
    tracks: Mapping[int, Track],
    nobody: Tally,
    others: tuple[NDArray[np.int64], Tally],
    seen: Seen,
) -> None:
    """Rows (ANIMALID, whether it is NULL, FRAMENUMBER, MASS_X, MASS_Y) to their animals' tracks, the rest counted."""
    strangers, counted = others
    for ids, unknown, *found in blocks:
        nobody.add(found[0][unknown])
        if strangers.size:
            counted.add(found[0][np.isin(ids, strangers)])
        for animal_id, track in tracks.items():
            own = _of(animal_id, ids, found)
            if own[0].size:
                track.add(*own)
        seen(len(ids))


def _table_from_pages(source: Source, threads: int) -> Iterator[Columns]:
    places = source.places("table", "DETECTION", ("ANIMALID", "FRAMENUMBER", "MASS_X", "MASS_Y"))
    leaves = source.leaves("DETECTION", index=False)

    def block(begin: int) -> list[Values]:
        numbers = leaves.numbers[begin : begin + TABLE_PAGES_AT_ONCE]
        return next(rows(source.pages, numbers, places, index=False, at_once=TABLE_PAGES_AT_ONCE))

    with ThreadPoolExecutor(threads) as pool:
        for _, ids, *found in ahead(pool, block, range(0, len(leaves.numbers), TABLE_PAGES_AT_ONCE), 2 * threads):
            yield ids, ids == NOTHING, *found


def _table_from_rows(source: Source) -> Iterator[Columns]:
    numbers = f"{NUMBER.format('ANIMALID')}, ANIMALID IS NULL, {NUMBER.format('FRAMENUMBER')}"
    query = f"SELECT {numbers}, {_PLACE.format('MASS_X')}, {_PLACE.format('MASS_Y')} FROM DETECTION"
    for ids, nobody, *found in batches(source, query):
        yield ids, nobody.astype(np.bool_), *found


def _of(animal_id: int, ids: NDArray[np.int64], columns: Sequence[NDArray[Any]]) -> Columns:
    """The rows of one animal among some."""
    own = ids == animal_id
    return tuple(columns) if own.all() else tuple(values[own] for values in columns)


def count_rows(database: Database) -> int:
    """Rows of DETECTION, as far as the largest of their numbers tells: at once, and only for a bar of progress."""
    with connected(database) as connection:
        return int(connection.execute("SELECT ifnull(max(rowid), 0) FROM DETECTION").fetchone()[0])
