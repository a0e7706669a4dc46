"""Columns of numbers straight from a database's pages, thousands of rows at a time.

SQLite hands over one row after the other, a few million a second. Its file format is documented and frozen
(https://www.sqlite.org/fileformat2.html, sections 1.6 and 2.1), and the columns that stops are made of are numbers, so
NumPy can take them from whole pages at once. SQLite still opens the file and says where a table or index begins; that
nobody wrote to it meanwhile is seen to in `lmt`. Whatever here is not plain, a text in a column of numbers, a record
that is too long, a page that is no page, ends in NotPlain, and the rows are asked of SQLite instead, which has words
for what is wrong. Nothing is ever guessed.

A table is a tree of pages: leaves hold a cell for each row (payload length, rowid, record), the pages above them hold
the numbers of their children. An index is the same, without rowids and with rows in the upper pages too. A record
is a header, which gives the type of each column, and the columns' bytes, big-endian.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

PAGES_AT_ONCE = 512
"""Some 2 MB, and 60,000 rows of an index: temporaries stay in the processor's cache."""

MIN_CELL = 6
"""Bytes of the shortest row and its pointer, so that a page of 4096 bytes holds fewer than 700."""

MIN_USABLE, MAX_LEVELS = 960, 20
_TABLE_LEAF, _TABLE_INTERIOR, _INDEX_LEAF, _INDEX_INTERIOR = 0x0D, 0x05, 0x0A, 0x02
_SLACK = 256  # bytes beyond the last page of a buffer, so that looking there is harmless
_NULL, _LONG, _FLOAT, _ZERO, _MAX_TYPE = 0, 6, 7, 8, 9
_HEADER_COLUMNS = 6  # types of so many columns after the first stand in 8 bytes with the header's length
_WIDTH = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)  # bytes of a value of each type

NOTHING = -(2**63)
"""Stands for NULL in a column of whole numbers; in one of numbers it is nan."""

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Values = NDArray[Any]
Wanted = tuple[int, bool]
"""A column's place in the record, and whether its numbers may be fractions."""


T = TypeVar("T")


class NotPlain(Exception):  # noqa: N818 - a fork in the road, not a fault
    """These pages hold something else than plain numbers: ask SQLite."""


@dataclass(frozen=True)
class Leaves:
    """Numbers of a tree's leaf pages, in order of their keys, and of an index the pages above, which hold rows too.

    `low` and `high` bound the first column of an index's leaf, as far as the page above tells; a table has none.
    """

    numbers: Ints
    low: Ints
    high: Ints
    above: Ints


class Pages:
    """A database file, open for reading pages by their numbers; threads may share it."""

    def __init__(self, path: Path) -> None:
        """Open `path`, a database whose header was looked at."""
        self._file = os.open(path, os.O_RDONLY)
        header = os.pread(self._file, 100, 0).ljust(100, b"\0")
        size = int.from_bytes(header[16:18], "big")
        self.size = 65_536 if size == 1 else size
        self.usable = self.size - header[20]
        self.count = os.fstat(self._file).st_size // max(self.size, 1)
        said = int.from_bytes(header[28:32], "big")
        if said and header[24:28] == header[92:96]:  # SQLite believes its header as long as it is up to date
            self.count = min(self.count, said)

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the file."""
        os.close(self._file)

    @property
    def min_local(self) -> int:
        """Bytes of a record that always lie in its own page, however long the record is."""
        return (self.usable - 12) * 32 // 255 - 23

    @property
    def max_key(self) -> int:
        """Bytes of the longest record that an index keeps in one page."""
        return (self.usable - 12) * 64 // 255 - 23

    def read(self, numbers: Ints) -> Bytes:
        """Pages one after the other, and some slack: (len(numbers) * size + slack,)."""
        if self.usable < MIN_USABLE:
            raise NotPlain("small pages")
        if numbers.min(initial=2) < 2 or numbers.max(initial=2) > self.count:  # the first page begins with the header
            raise NotPlain("a page that is not there")
        buffer = np.empty(len(numbers) * self.size + _SLACK, np.uint8)
        buffer[-_SLACK:] = 0
        view = buffer.data
        cuts = [0, *(np.flatnonzero(np.diff(numbers) != 1) + 1).tolist(), len(numbers)]
        for begin, end in pairwise(cuts):
            part = view[begin * self.size : end * self.size]
            if part and os.preadv(self._file, [part], (int(numbers[begin]) - 1) * self.size) != len(part):
                raise NotPlain("a page that ends early")
        return buffer


def find_leaves(pages: Pages, root: int, *, index: bool) -> Leaves:
    """The leaves of the table or index whose tree begins at page `root`."""
    leaf, interior = (_INDEX_LEAF, _INDEX_INTERIOR) if index else (_TABLE_LEAF, _TABLE_INTERIOR)
    numbers = np.array([root], np.int64)
    low, high = (np.array([bound][:index], np.int64) for bound in (NOTHING, 2**63 - 1))
    above = [numbers[:0]]
    seen = 0
    for _ in range(MAX_LEVELS):
        kind = pages.read(numbers[:1])[0]
        if kind == leaf:
            if (low[1:] < low[:-1]).any() or (low > high).any():
                raise NotPlain("keys out of order")
            return Leaves(numbers, low, high, np.concatenate(above))
        if kind != interior:
            raise NotPlain("a page of another kind")
        if index:
            above.append(numbers)
        parts = [
            _children(pages, numbers[i : i + PAGES_AT_ONCE], interior, low[i : i + PAGES_AT_ONCE], high[i:])
            for i in range(0, len(numbers), PAGES_AT_ONCE)
        ]
        numbers, low, high = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        seen += len(numbers)
        if seen > pages.count:
            raise NotPlain("a tree that bites its tail")
    raise NotPlain("a tree too deep")


def rows(
    pages: Pages, numbers: Ints, wanted: Sequence[Wanted], *, index: bool, at_once: int = PAGES_AT_ONCE
) -> Iterator[list[Values]]:
    """Columns of all cells of leaf pages, some pages at a time; of a table the rowids come before them.

    The order within a page is that of its keys.
    """
    kind = _INDEX_LEAF if index else _TABLE_LEAF
    for begin in range(0, len(numbers), at_once):
        yield _Block(pages, numbers[begin : begin + at_once], kind).columns(wanted)


def rows_above(pages: Pages, numbers: Ints, wanted: Sequence[Wanted]) -> Iterator[list[Values]]:
    """The same of the rows in the pages above an index's leaves."""
    for begin in range(0, len(numbers), PAGES_AT_ONCE):
        yield _Block(pages, numbers[begin : begin + PAGES_AT_ONCE], _INDEX_INTERIOR).columns(wanted)


class _Block:
    """Some pages of one kind, and where their cells begin."""

    def __init__(self, pages: Pages, numbers: Ints, kind: int) -> None:
        self.pages, self.kind = pages, kind
        self.bytes = pages.read(numbers)
        # The 8 bytes from every place on, as one big-endian number: a view, so that a value costs one look.
        self.words = np.ndarray((self.bytes.size - 7,), ">i8", self.bytes.data, strides=(1,))
        head = 8 if kind in (_TABLE_LEAF, _INDEX_LEAF) else 12
        table = self.bytes[: len(numbers) * pages.size].reshape(len(numbers), pages.size)
        if (table[:, 0] != kind).any():
            raise NotPlain("a page of another kind")
        self.counts = table[:, 3].astype(np.int64) << 8 | table[:, 4]
        if len(numbers) > 1 and not self.counts.all():  # only a tree of a single page may be empty
            raise NotPlain("a page without cells")
        most = int(self.counts.max(initial=0))
        if most * MIN_CELL > pages.usable:
            raise NotPlain("more cells than a page can hold")
        self.begins = np.arange(len(numbers), dtype=np.int64) * pages.size
        used = np.arange(most) < self.counts[:, None]
        pointers = np.ascontiguousarray(table[:, head : head + 2 * most]).view(">u2")
        inside = pointers[used].astype(np.int64)  # where cells begin, in their pages
        self.bases = np.repeat(self.begins, self.counts)
        self.cells = inside + self.bases
        if inside.min(initial=head) < head or inside.max(initial=0) > pages.usable - 4:
            raise NotPlain("a cell that is not in its page")

    def children(self) -> tuple[Ints, Ints]:
        """Of interior pages: the left child of each cell, and the last child of each page."""
        return self._page_numbers(self.cells), self._page_numbers(self.begins + 8)

    def columns(self, wanted: Sequence[Wanted]) -> list[Values]:
        """The wanted columns; before them, of a table, the rowids.

        Records of one shape have their columns at the same places, and most records of a block have one shape: it is
        taken first, then the others, shape by shape.
        """
        found: list[Values] = []
        place = self.cells + 4 if self.kind == _INDEX_INTERIOR else self.cells
        payload, place = self._varint(place)
        if self.kind != _TABLE_LEAF and (
            payload.max(initial=0) > self.pages.max_key or (place + payload > self.bases + self.pages.usable).any()
        ):
            raise NotPlain("a key that goes on elsewhere")
        if self.kind == _TABLE_LEAF:
            rowids, place = self._varint(place)
            found.append(rowids)
        last = max(wanted)[0]
        if last > _HEADER_COLUMNS:
            raise NotPlain("columns far behind in the record")
        shapes = self.words[place].astype(np.int64) >> 8 * (_HEADER_COLUMNS - last)  # header's length, types
        room = np.minimum(self.bases + self.pages.usable, place + payload) - place
        shape = int(shapes[len(shapes) // 2]) if len(shapes) else 0
        alike = shapes == shape
        decoded = self._decode(place, room[alike], payload[alike], shape, wanted)
        columns = [v if isinstance(v, np.ndarray) else np.full(len(place), v) for v in decoded]
        rest = np.flatnonzero(~alike)
        while rest.size:
            shape = int(shapes[rest[0]])
            own = rest[shapes[rest] == shape]
            for values, part in zip(
                columns, self._decode(place[own], room[own], payload[own], shape, wanted), strict=True
            ):
                values[own] = part
            rest = rest[shapes[rest] != shape]
        return found + columns

    def _decode(
        self, places: Ints, room: Ints, payload: Ints, shape: int, wanted: Sequence[Wanted]
    ) -> list[Values | float]:
        """Columns of records of one shape that begin at `places`.

        They must fit in `room`, what of their `payload` lies in the page, and fill it if the last one is wanted.
        """
        last = max(wanted)[0]
        steps = self._steps(shape, last) if room.size else [0] * (last + 2)
        whole = steps[0] == last + 2  # no columns behind the last one that is wanted
        if steps[-1] > room.min(initial=steps[-1]) or (whole and (payload != steps[-1]).any()):
            raise NotPlain("a record that goes on elsewhere")
        return [
            self._values(places + steps[column], shape >> 8 * (last - column) & 0xFF, fraction=fraction)
            for column, fraction in wanted
        ]

    def _steps(self, shape: int, last: int) -> list[int]:
        """Where the columns of records of this shape begin, and where the last one ends."""
        length, *kinds = ((shape >> 8 * (last + 1 - i)) & 0xFF for i in range(last + 2))
        if not last + 2 <= length <= 127 or max(kinds) > _MAX_TYPE:
            raise NotPlain("a record of other columns, or a text among the numbers")
        steps = list(accumulate((_WIDTH[kind] for kind in kinds), initial=length))
        if steps[-1] > self.pages.min_local:
            raise NotPlain("a record that goes on elsewhere")
        return steps

    def _values(self, places: Ints, kind: int, *, fraction: bool) -> Values | float:
        if kind == _NULL:
            return np.nan if fraction else NOTHING
        if _WIDTH[kind] == 0:
            return float(kind - _ZERO) if fraction else kind - _ZERO
        raw = self.words[places].astype(np.int64)
        if kind == _FLOAT:
            if not fraction:
                raise NotPlain("a fraction in a column of whole numbers")
            return raw.view(np.float64)
        raw >>= 64 - 8 * _WIDTH[kind]
        if kind == _LONG and (raw == NOTHING).any():
            raise NotPlain("a number that looks like none")
        return raw.astype(np.float64) if fraction else raw

    def _page_numbers(self, places: Ints) -> Ints:
        return self.words[places].astype(np.int64) >> 32 & 0xFFFF_FFFF

    def _varint(self, place: Ints) -> tuple[Ints, Ints]:
        """Numbers of 7 bits a byte, the highest first, the top bit set in all but the last; and what comes after."""
        byte = self.bytes[place]
        value, place = (byte & 0x7F).astype(np.int64), place + 1
        more = byte > 0x7F
        for _ in range(4):  # numbers below 2**35
            if not more.any():
                return value, place
            byte = self.bytes[place]
            if more.all():
                value = value << 7 | byte & 0x7F
                place = place + 1
            else:
                value = np.where(more, value << 7 | byte & 0x7F, value)
                place = place + more
            more &= byte > 0x7F
        if more.any():
            raise NotPlain("a number too long")
        return value, place


def _children(pages: Pages, numbers: Ints, kind: int, low: Ints, high: Ints) -> tuple[Ints, Ints, Ints]:
    """Children of interior pages in order of their keys, with bounds of an index's first column."""
    block = _Block(pages, numbers, kind)
    left, last = block.children()
    after = np.cumsum(block.counts)  # the last child of a page comes after its cells' left children
    children = np.insert(left, after, last)
    if kind != _INDEX_INTERIOR:
        return children, low, high
    (keys,) = block.columns([(0, False)])
    before = after - block.counts
    return children, np.insert(keys, before, low), np.insert(keys, after, high[: len(numbers)])


def ahead(pool: ThreadPoolExecutor, work: Callable[[int], T], items: Iterable[int], most: int) -> Iterator[T]:
    """What `pool.map` gives, but with at most so many results waiting: memory stays bounded."""
    waiting: deque[Future[T]] = deque()
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) == most:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
