"""Cells of pages: the columns of their records, those of one shape at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from lmtcnn.lmt.pages import Damaged, NotPlain, Pages
from lmtcnn.lmt.values import NOTHING, ODD, Ints, Values, as_fraction, as_whole, wholes

MIN_CELL = 6
"""Bytes of the shortest row and its pointer, so that a page of 4096 bytes holds fewer than 700."""

TABLE_LEAF, TABLE_INTERIOR, INDEX_LEAF, INDEX_INTERIOR = 0x0D, 0x05, 0x0A, 0x02
_NULL, _LONG, _FLOAT, _ZERO, _MAX_TYPE, _BLOB, _TEXT = 0, 6, 7, 8, 9, 12, 13
_HEADER_COLUMNS = 6  # types of so many columns after the first stand in 8 bytes with the header's length
_WIDTH = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)  # bytes of a value of each type
_WIDTHS = np.array([*_WIDTH, 0, 0], np.int64)
_MAX_VARINT = 4  # bytes that the type of a text or blob takes more than that of a number, at most

Wanted = tuple[int, bool]
"""A column's place in the record, and whether its numbers may be fractions."""


@dataclass(frozen=True)
class Shape:
    """How many columns a tree's records have, and how many of these may hold text."""

    columns: int
    texts: int = 0


class Block:
    """Some pages of one kind, and where their cells begin."""

    def __init__(self, pages: Pages, numbers: Ints, kind: int, shape: Shape | None = None) -> None:
        self.pages, self.kind, self.shape = pages, kind, shape
        self.bytes = pages.read(numbers)
        # The 8 bytes from every place on, as one big-endian number: a view, so that a value costs one look.
        self.words = np.ndarray((self.bytes.size - 7,), ">i8", self.bytes.data, strides=(1,))
        head = 8 if kind in (TABLE_LEAF, INDEX_LEAF) else 12
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
        place = self.cells + 4 if self.kind == INDEX_INTERIOR else self.cells
        payload, place = self._varint(place)
        if self.kind != TABLE_LEAF and (
            payload.max(initial=0) > self.pages.max_key or (place + payload > self.bases + self.pages.usable).any()
        ):
            raise NotPlain("a key that goes on elsewhere")
        if self.kind == TABLE_LEAF:
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
        if self.kind != TABLE_LEAF:
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
        if begins.size and self.kind != TABLE_LEAF:
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
            return number if fraction else wholes(number)
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
