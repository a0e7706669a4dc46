"""Columns of numbers straight from a database's pages, thousands of rows at a time.

SQLite hands over one row after the other, a few million a second. Its file format is documented and frozen
(https://www.sqlite.org/fileformat2.html, sections 1.6 and 2.1), and the columns that stops are made of are numbers, so
NumPy can take them from whole pages at once. SQLite still opens the file and says where a table or index begins; that
nobody wrote to it meanwhile is seen to in `lmt`. Whatever here is not plain, a column that goes on in another page, a
record that lacks columns, a page that is no page, ends in NotPlain, and the rows are asked of SQLite instead, which
has words for what is wrong. Nothing is ever guessed.

A table is a tree of pages: leaves hold a cell for each row (payload length, rowid, record), the pages above them hold
the numbers of their children and, between two children, the highest rowid of the left one. An index is the same,
without rowids of its own, and what stands between two children is a row. A record is a header, which gives the type of
each column, and the columns' bytes, big-endian; in an index the rowid is the last column.

SQLite follows such a tree without a look at the order of its keys. Here they must rise from row to row and lie between
the keys above: in a file that was copied while the tracker wrote it, old in front and new behind, they fall, stand
twice or stand elsewhere. That ends in Damaged.

A number is what SQLite's numeric affinity would make of a value: whole numbers that are stored as REAL (1.0) or as text
(' 1', '1.0') are these numbers.
"""

import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
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
_NULL, _LONG, _FLOAT, _ZERO, _MAX_TYPE, _BLOB, _TEXT = 0, 6, 7, 8, 9, 12, 13
_HEADER_COLUMNS = 6  # types of so many columns after the first stand in 8 bytes with the header's length
_WIDTH = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)  # bytes of a value of each type
_WIDTHS = np.array([*_WIDTH, 0, 0], np.int64)
_EXACT = 2.0**53  # from here on two whole numbers may be one float
_MAX_VARINT = 4  # bytes that the type of a text or blob takes more than that of a number, at most

NOTHING = -(2**63)
"""Stands for NULL in a column of whole numbers; in one of numbers it is nan."""

ODD = NOTHING + 1
"""Stands for what is no whole number in a column of whole numbers; in one of numbers text and blobs are inf."""

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Values = NDArray[Any]
Wanted = tuple[int, bool]
"""A column's place in the record, and whether its numbers may be fractions."""


T = TypeVar("T")


class NotPlain(Exception):  # noqa: N818 - a fork in the road, not a fault
    """These pages hold something else than plain numbers: ask SQLite."""


class Damaged(Exception):  # noqa: N818 - what it says becomes a line of a DatabaseError
    """No sound database holds such pages."""


_LONGEST = 300  # characters of a number whose value may be whole
_NUMBER = re.compile(r"[ \t\n\v\f\r]*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)[ \t\n\v\f\r]*", re.ASCII)


@lru_cache(maxsize=4096)
def number_of(text: str) -> int | float | None:
    """Return the number that SQLite's numeric affinity makes of a text; None where it stays a text.

    It is a decimal number, with blanks around it or without; an int where it is written without point and exponent and
    64 bits hold it.
    """
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    if found[1].lstrip("+-").isdigit() and len(found[1]) <= _LONGEST and -(2**63) <= int(found[1]) < 2**63:
        return int(found[1])
    return float(found[1])


def as_whole(value: object) -> int:
    """Return a value of SQLite's as a whole number: NOTHING of NULL, ODD of what is none that 64 bits hold."""
    if value is None:
        return NOTHING
    if isinstance(value, str):
        value = number_of(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and ODD < value < 2**63 else ODD


def as_fraction(value: object) -> float:
    """Return a value of SQLite's as a number: nan of NULL, inf of text and blobs that are none."""
    if value is None:
        return np.nan
    if isinstance(value, str):
        value = number_of(value)
    return float(value) if isinstance(value, int | float) else np.inf


def _wholes(numbers: NDArray[np.float64]) -> Ints:
    """Return numbers as whole ones: ODD of fractions and what 64 bits do not hold, NOTHING of nan, SQLite's NULL."""
    found = np.where(np.isnan(numbers), NOTHING, ODD)
    with np.errstate(invalid="ignore"):  # nan is a value here, and quietly none of the good ones
        good = (np.abs(numbers) < 2.0**63) & (np.rint(numbers) == numbers)
    found[good] = numbers[good].astype(np.int64)
    return found


@dataclass(frozen=True)
class Shape:
    """How many columns a tree's records have, and how many of these may hold text."""

    columns: int
    texts: int = 0


@dataclass(frozen=True)
class Leaves:
    """The leaf pages of a tree in order of their keys, and the keys between them, which stand in the pages above.

    `numbers` (n,): page numbers. `keys`: columns (n - 1,): of a table one, the highest rowid that the leaf before may
    hold; of an index those of the rows that stand there. `above`: numbers of the pages above.
    """

    numbers: Ints
    keys: Sequence[Values]
    above: Ints

    def among(self, first: int) -> range:
        """Return which leaves may hold rows of an index whose first column is `first`, a whole number or NOTHING."""
        keys = self.keys[0]
        begin = np.flatnonzero((keys >= first) | (keys == ODD))
        end = np.flatnonzero(keys <= first)
        return range(int(begin[0]) if begin.size else len(keys), int(end[-1]) + 2 if end.size else 1)


class Pages:
    """A database file, open for reading pages by their numbers; threads may share it."""

    def __init__(self, path: Path) -> None:
        """Open `path`, a database whose header was looked at."""
        self._file = os.open(path, os.O_RDONLY)
        self._header = header = os.pread(self._file, 100, 0).ljust(100, b"\0")
        size = int.from_bytes(header[16:18], "big")
        self.size = 65_536 if size == 1 else size
        self.usable = self.size - header[20]
        self.count = os.fstat(self._file).st_size // max(self.size, 1)
        self.beyond = 0  # pages that the header does not know
        said = int.from_bytes(header[28:32], "big")
        if said and header[24:28] == header[92:96]:  # SQLite believes its header as long as it is up to date
            self.beyond = max(self.count - said, 0)
            self.count = min(self.count, said)

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the file."""
        os.close(self._file)

    @property
    def utf8(self) -> bool:
        """Whether texts are in UTF-8."""
        return self._header[59] in (0, 1)

    def free(self) -> Ints:
        """Return the numbers of the free pages, which no tree may have: the list's own ones and those on it.

        Raises Damaged where the list is none.
        """
        trunk, left = (int.from_bytes(self._header[at : at + 4], "big") for at in (32, 36))
        found = [np.empty(0, np.int64)]
        while trunk and left > 0:
            words = self.read(np.array([trunk]))[: self.usable // 4 * 4].view(">u4").astype(np.int64)
            n = int(words[1])
            if n > len(words) - 2:
                raise Damaged("a list of free pages that is none")
            found += [np.array([trunk]), words[2 : 2 + n]]
            left -= 1 + n
            trunk = int(words[0])
        return np.concatenate(found)

    @property
    def min_local(self) -> int:
        """Bytes of a record that always lie in its own page, however long the record is."""
        return (self.usable - 12) * 32 // 255 - 23

    @property
    def max_key(self) -> int:
        """Bytes of the longest record that an index keeps in one page."""
        return (self.usable - 12) * 64 // 255 - 23

    def check(self, numbers: Ints) -> None:
        """See that pages can be read; raises NotPlain where they are too small, or not there."""
        if self.usable < MIN_USABLE:
            raise NotPlain("small pages")
        if numbers.min(initial=2) < 2 or numbers.max(initial=2) > self.count:  # the first page begins with the header
            raise NotPlain("a page that is not there")

    def read(self, numbers: Ints) -> Bytes:
        """Pages one after the other, and some slack: (len(numbers) * size + slack,)."""
        self.check(numbers)
        buffer = np.empty(len(numbers) * self.size + _SLACK, np.uint8)
        buffer[-_SLACK:] = 0
        view = buffer.data
        cuts = [0, *(np.flatnonzero(np.diff(numbers) != 1) + 1).tolist(), len(numbers)]
        for begin, end in pairwise(cuts):
            part = view[begin * self.size : end * self.size]
            if part and os.preadv(self._file, [part], (int(numbers[begin]) - 1) * self.size) != len(part):
                raise NotPlain("a page that ends early")
        return buffer


def find_leaves(
    pages: Pages, root: int, *, index: bool, wanted: Sequence[Wanted] = ((0, False),), others: Ints | None = None
) -> Leaves:
    """Find the leaves of the table or index whose tree begins at page `root`.

    `wanted` are the columns of an index's keys that are kept, `others` the numbers of pages that are not its own.
    Raises Damaged where a page is reached twice or is another's, and where keys fall; NotPlain.
    """
    leaf, interior = (_INDEX_LEAF, _INDEX_INTERIOR) if index else (_TABLE_LEAF, _TABLE_INTERIOR)
    numbers = np.array([root], np.int64)
    after = np.array([-1])  # where in `keys` that one stands which comes after each page
    keys: list[list[Values]] = []
    above = [numbers[:0]]
    n_keys = n_pages = 0
    reached = np.zeros(pages.count + 1, np.bool_)
    for _ in range(MAX_LEVELS):
        pages.check(numbers)
        reached[numbers] = True
        n_pages += len(numbers)
        if np.count_nonzero(reached) != n_pages:
            raise Damaged("a page that is reached twice")
        kind = int(pages.read(numbers[:1])[0])
        if kind != interior:
            break
        above.append(numbers)
        starts = range(0, len(numbers), PAGES_AT_ONCE)
        blocks = [_Block(pages, numbers[i : i + PAGES_AT_ONCE], interior) for i in starts]
        keys += [block.columns(wanted) if index else [block.separators()] for block in blocks]
        ends = np.cumsum(np.concatenate([block.counts for block in blocks]))
        left, last = (np.concatenate(parts) for parts in zip(*(block.children() for block in blocks), strict=True))
        numbers = np.insert(left, ends, last)  # the last child of a page comes after its cells' left children
        after = np.insert(np.arange(n_keys, n_keys + len(left)), ends, after)
        n_keys += len(left)
    if kind != leaf:
        raise Damaged("a page of another kind") if len(numbers) > 1 else NotPlain("a tree of another kind")
    if others is not None and reached[others[others <= pages.count]].any():
        raise Damaged("a page that belongs to another table or index, or to none")
    fractions = [fraction for _, fraction in wanted] if index else [False]
    none = [np.empty(0, np.float64 if fraction else np.int64) for fraction in fractions]
    found = [np.concatenate(parts)[after[:-1]] for parts in zip(none, *keys, strict=True)]
    if falls([key[:-1] for key in found], [key[1:] for key in found]):
        raise Damaged("keys that fall")
    return Leaves(numbers, found, np.concatenate(above))


def rows(
    pages: Pages,
    leaves: Leaves,
    wanted: Sequence[Wanted],
    *,
    index: bool,
    chosen: range | None = None,
    shape: Shape | None = None,
    at_once: int = PAGES_AT_ONCE,
) -> Iterator[list[Values]]:
    """Columns of all cells of leaf pages (the `chosen` ones), some pages at a time; of a table the rowids come first.

    They come in the order of their keys. Raises Damaged where these fall, stand twice, or do not lie between the keys
    above, and where a record has other columns than `shape` says; NotPlain.
    """
    kind = _INDEX_LEAF if index else _TABLE_LEAF
    chosen = range(len(leaves.numbers)) if chosen is None else chosen
    for begin in range(chosen.start, chosen.stop, at_once):
        end = min(begin + at_once, chosen.stop)
        block = _Block(pages, leaves.numbers[begin:end], kind, shape)
        columns = block.columns(wanted)
        known = columns[: _leading(wanted)] if index else columns[:1]
        unique = not index or (shape is not None and len(known) == shape.columns)
        _check_order(known, block.counts, [key[max(begin - 1, 0) : end] for key in leaves.keys], begin > 0, unique)
        yield columns


def count_rows(pages: Pages, leaves: Leaves, *, index: bool) -> int:
    """How many rows a table or an index has, by the heads of its pages."""
    kind, n_rows = (_INDEX_LEAF if index else _TABLE_LEAF), len(leaves.keys[0]) if index else 0
    for begin in range(0, len(leaves.numbers), PAGES_AT_ONCE):
        numbers = leaves.numbers[begin : begin + PAGES_AT_ONCE]
        heads = pages.read(numbers)[: len(numbers) * pages.size].reshape(len(numbers), pages.size)[:, :5]
        if (heads[:, 0] != kind).any():
            raise Damaged("a page of another kind")
        n_rows += int((heads[:, 3].astype(np.int64) << 8 | heads[:, 4]).sum())
    return n_rows


def _leading(wanted: Sequence[Wanted]) -> int:
    """How many of the wanted columns are the record's first ones, in its order."""
    return next((i for i, (place, _) in enumerate(wanted) if place != i), len(wanted))


def _check_order(columns: Sequence[Values], counts: Ints, keys: Sequence[Values], led: bool, unique: bool) -> None:
    """See that the rows of consecutive leaves rise, and that each leaf lies between its keys.

    `columns` are those that rows are ordered by, all of them if they are `unique`, or the first ones. `keys` begin with
    the one before the first leaf if that is `led` by one.
    """
    if not columns or not len(columns[0]):
        return
    if falls([c[:-1] for c in columns], [c[1:] for c in columns], same=unique):
        raise Damaged("keys that fall or stand twice")
    last = np.cumsum(counts) - 1
    first, n = last - counts + 1, len(counts)
    low = [key[: n - 1 + led] for key in keys[: len(columns)]]
    high = [key[led : led + n] for key in keys[: len(columns)]]
    if falls(low, [c[first[not led :]] for c in columns[: len(low)]], same=unique):
        raise Damaged("keys that belong before their page")
    if falls([c[last[: len(high[0])]] for c in columns[: len(high)]], high):
        raise Damaged("keys that belong behind their page")


def falls(before: Sequence[Values], after: Sequence[Values], *, same: bool = False) -> bool:
    """Whether a row of `before` comes after its partner in `after`, or, where that is asked, is the `same`.

    Parameters
    ----------
    before, after : columns (n,) of rows, in the order in which they count. What is no number counts as in order.
    """
    before, after = list(before), list(after)
    for column in range(len(before)):
        a, b = before[column], after[column]
        if a.dtype.kind == "f":
            a, b = (np.where(np.isnan(values), -np.inf, values) for values in (a, b))  # NULL comes before all
            tied = (a == b) & (np.abs(a) < _EXACT)
            falling = b < a
        else:
            tied, falling = a == b, b < a
            tied &= a != ODD
            if falling.any():
                falling &= (a != ODD) & (b != ODD)
        if falling.any():
            return True
        if not tied.any():
            return False
        if not tied.all():
            still = np.flatnonzero(tied)
            before, after = ([values[still] for values in columns] for columns in (before, after))
    return same and bool(len(before[0]))


class _Block:
    """Some pages of one kind, and where their cells begin."""

    def __init__(self, pages: Pages, numbers: Ints, kind: int, shape: Shape | None = None) -> None:
        self.pages, self.kind, self.shape = pages, kind, shape
        self.bytes = pages.read(numbers)
        # The 8 bytes from every place on, as one big-endian number: a view, so that a value costs one look.
        self.words = np.ndarray((self.bytes.size - 7,), ">i8", self.bytes.data, strides=(1,))
        head = 8 if kind in (_TABLE_LEAF, _INDEX_LEAF) else 12
        table = self.bytes[: len(numbers) * pages.size].reshape(len(numbers), pages.size)
        if (table[:, 0] != kind).any():
            raise Damaged("a page of another kind")
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

    def separators(self) -> Ints:
        """Of a table's interior pages: the highest rowid that each cell's left child may hold."""
        return self._varint(self.cells + 4)[0]

    def columns(self, wanted: Sequence[Wanted]) -> list[Values]:
        """The wanted columns; before them, of a table, the rowids.

        Records of one shape have their columns at the same places, and most records of a block have one shape: it is
        taken first, then the others, shape by shape. Those with long headers, and with text among the wanted columns,
        are taken together at last, and their headers column by column.
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
        room = np.minimum(self.bases + self.pages.usable, place + payload) - place
        columns, long = self._decode_by_shape(place, room, payload, wanted)
        if long.size:
            decoded = self._decode_long(place[long], room[long], payload[long], wanted)
            for column, values in zip(columns, decoded, strict=True):
                column[long] = values
        return found + columns

    def _decode_by_shape(
        self, places: Ints, room: Ints, payload: Ints, wanted: Sequence[Wanted]
    ) -> tuple[list[Values], Ints]:
        """Columns of the records that begin at `places`, and which of these are of no plain shape and still lack."""
        last = max(wanted)[0]
        rest = np.arange(len(places)) if last > _HEADER_COLUMNS or not len(places) else None
        if rest is not None:
            return [np.empty(len(places), np.float64 if fraction else np.int64) for _, fraction in wanted], rest
        shapes = self.words[places].astype(np.int64) >> 8 * (_HEADER_COLUMNS - last)  # header's length, types
        shape = int(shapes[len(shapes) // 2])
        alike = shapes == shape
        long, rest = [np.empty(0, np.int64)], np.flatnonzero(~alike)
        steps = self._steps(shape, wanted)
        if steps:
            every = alike.all()  # others are taken for the same at first
            own_room, own_payload = (room, payload) if every else (room[alike], payload[alike])
            decoded = self._decode(places, own_room, own_payload, shape, steps, wanted)
            columns = [v if isinstance(v, np.ndarray) else np.full(len(places), v) for v in decoded]
        else:
            columns = [np.empty(len(places), np.float64 if fraction else np.int64) for _, fraction in wanted]
            long.append(np.flatnonzero(alike))
        while rest.size:
            shape = int(shapes[rest[0]])
            own, rest = rest[shapes[rest] == shape], rest[shapes[rest] != shape]
            if steps := self._steps(shape, wanted):
                decoded = self._decode(places[own], room[own], payload[own], shape, steps, wanted)
                for column, values in zip(columns, decoded, strict=True):
                    column[own] = values
            else:
                long.append(own)
        return columns, np.concatenate(long)

    def _decode(
        self, places: Ints, room: Ints, payload: Ints, shape: int, steps: Sequence[int], wanted: Sequence[Wanted]
    ) -> list[Values | float]:
        """Columns of records of one shape that begin at `places`.

        They must fit in `room`, what of their `payload` lies in the page, and fill it if the last one is wanted.
        """
        last = len(steps) - 2
        whole = steps[0] == last + 2  # no columns behind the last one that is wanted
        if steps[-1] > room.min() or (whole and (payload != steps[-1]).any()):
            raise NotPlain("a record that goes on elsewhere")
        return [
            self._values(places + steps[column], shape >> 8 * (last - column) & 0xFF, fraction=fraction)
            for column, fraction in wanted
        ]

    def _steps(self, shape: int, wanted: Sequence[Wanted]) -> list[int]:
        """Where the columns of records of this shape begin, and where the last one ends; none if it is not plain."""
        last = max(wanted)[0]
        length, *kinds = ((shape >> 8 * (last + 1 - i)) & 0xFF for i in range(last + 2))
        if not last + 2 <= length <= 127 or max(kinds) > 127 or max(kinds[column] for column, _ in wanted) > _MAX_TYPE:
            return []
        if _MAX_TYPE + 1 in kinds or _MAX_TYPE + 2 in kinds:
            return []
        if self.shape and not 0 <= length - 1 - self.shape.columns <= _MAX_VARINT * self.shape.texts:
            return []
        widths = (_WIDTH[kind] if kind <= _MAX_TYPE else (kind - _BLOB) // 2 for kind in kinds)
        steps = list(accumulate(widths, initial=length))
        return steps if steps[-1] <= self.pages.min_local else []

    def _decode_long(self, places: Ints, room: Ints, payload: Ints, wanted: Sequence[Wanted]) -> list[Values]:
        """Columns of records of any shape that begin at `places`: their headers are read column by column."""
        length, at = self._varint(places)
        ends, limits = places + length, places + np.minimum(room, self._local(payload))
        if (ends > limits).any():
            raise NotPlain("a record that goes on elsewhere")
        begin = ends
        kinds: list[Ints] = []
        begins: list[Ints] = []
        for _ in range(max(wanted)[0] + 1):
            if (at >= ends).any():
                raise NotPlain("a record that lacks columns")
            kind, at = self._varint(at)
            kinds.append(kind)
            begins.append(begin)
            begin = begin + np.where(kind < _BLOB, _WIDTHS[np.minimum(kind, _BLOB - 1)], kind - _BLOB >> 1)
        for _ in range(len(kinds), self.shape.columns if self.shape else 0):
            at = np.where(at < ends, self._varint(np.minimum(at, ends))[1], at)
        if self.shape and (at != ends).any():
            raise Damaged("a record of other columns")
        return [self._values_of(begins[i], kinds[i], limits, fraction=fraction) for i, fraction in wanted]

    def _local(self, payload: Ints) -> Ints:
        """Bytes of records of a table that lie in their own page; of an index all do."""
        if self.kind != _TABLE_LEAF:
            return payload
        usable, least = self.pages.usable, self.pages.min_local
        some = least + (payload - least) % (usable - 4)
        most = usable - 35
        return np.where(payload <= most, payload, np.where(some <= most, some, least))

    def _values_of(self, places: Ints, kinds: Ints, limits: Ints, *, fraction: bool) -> Values:
        """Values of a column of records of any types, which must end before `limits`."""
        values = np.empty(len(places), np.float64 if fraction else np.int64)
        short = np.minimum(kinds, _BLOB)
        ends = places + np.where(kinds < _BLOB, _WIDTHS[np.minimum(kinds, _BLOB - 1)], kinds - _BLOB >> 1)
        if (ends > limits).any():
            raise NotPlain("a value that goes on elsewhere")
        for kind in np.unique(short).tolist():
            own = np.flatnonzero(short == kind)
            if kind == _BLOB:
                values[own] = np.inf if fraction else ODD
                own = own[kinds[own] % 2 == 1]
                values[own] = self._texts(places[own], ends[own], fraction=fraction)
            elif kind > _MAX_TYPE:
                raise NotPlain("a value of no type")
            else:
                values[own] = self._values(places[own], kind, fraction=fraction)
        return values

    def _texts(self, begins: Ints, ends: Ints, *, fraction: bool) -> Values:
        """Texts that stand at these places, as numbers."""
        if begins.size and not self.pages.utf8:
            raise NotPlain("text in another encoding")
        if begins.size and self.kind != _TABLE_LEAF:
            raise NotPlain("keys in the order of texts")
        data, number = self.bytes.data, as_fraction if fraction else as_whole
        texts = (str(data[a:b], "utf-8", "replace") for a, b in zip(begins.tolist(), ends.tolist(), strict=True))
        return np.array([number(text) for text in texts], np.float64 if fraction else np.int64)

    def _values(self, places: Ints, kind: int, *, fraction: bool) -> Values | float:
        """Numbers of one type that stand at these places."""
        if kind == _NULL:
            return np.nan if fraction else NOTHING
        if _WIDTH[kind] == 0:
            return float(kind - _ZERO) if fraction else kind - _ZERO
        if _WIDTH[kind] == 1:  # as most numbers of animals have it, in a quarter of the time
            return self.bytes[places].view(np.int8).astype(np.float64 if fraction else np.int64)
        raw = self.words[places].astype(np.int64)
        if kind == _FLOAT:
            number = raw.view(np.float64)
            return number if fraction else _wholes(number)
        raw >>= 64 - 8 * _WIDTH[kind]
        if kind == _LONG and not fraction:
            np.maximum(raw, ODD, out=raw)
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


def ahead(pool: ThreadPoolExecutor, work: Callable[[int], T], items: Iterable[int], most: int) -> Iterator[T]:
    """Yield what `pool.map` would, but with at most so many results waiting: memory stays bounded."""
    waiting: deque[Future[T]] = deque()
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) == most:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
