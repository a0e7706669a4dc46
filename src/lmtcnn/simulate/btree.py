"""Large SQLite tables and indexes written as whole pages from arrays.

SQLite inserts some 400,000 rows of DETECTION a second and needs as long again for its indexes; a recording of three
days has 31 million. So SQLite itself makes the file, its schema and its small tables, and the pages of the large ones
are laid out here with NumPy and appended. The format is SQLite's, documented and frozen
(https://www.sqlite.org/fileformat2.html, sections 1.6 and 2.1); `PRAGMA integrity_check` is the test.

A *cell* is one row's bytes: in a table, payload length, rowid and record; in an index, payload length and record. Rows
of one shape have cells of one size, so a run of them is a structured array, and a page a slice of it. Between two leaf
pages stands a key in the page above: the last rowid of the left leaf in a table, a cell of its own in an index.
"""

import itertools
from array import array
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

PAGE = 4096
_VARINT_LIMITS = (2**7, 2**14, 2**21)  # integers from each of these on need a byte more
_LOCK_PAGE = 2**30 // PAGE + 1  # SQLite locks bytes of this page and never uses it
_TABLE_LEAF, _TABLE_INTERIOR, _INDEX_LEAF, _INDEX_INTERIOR = 0x0D, 0x05, 0x0A, 0x02
_AHEAD = 32  # writes that may wait, each well below 1 MB
_CHANGE_COUNTER, _PAGE_COUNT, _VALID_FOR = 24, 28, 92  # places in the file's header

Bytes = NDArray[np.uint8]


def varint(value: int) -> bytes:
    """SQLite's variable-length integer: 7 bits a byte, the highest first, the top bit set in all but the last."""
    out = [value & 0x7F]
    while value := value >> 7:
        out.append(0x80 | value & 0x7F)
    return bytes(reversed(out))


def varints(values: NDArray[np.int64], width: int) -> Bytes:
    """Values that all need `width` bytes as varints: (n, width)."""
    out = np.empty((len(values), width), np.uint8)
    for place in range(width):
        out[:, place] = values >> 7 * (width - 1 - place) & 0x7F
    out[:, :-1] |= 0x80
    return out


def record_header(types: Sequence[int]) -> bytes:
    """A record's header from serial types: 0 NULL, 1-6 integers of 1 to 8 bytes, 7 a float, 8 zero, 13 + 2n text."""
    body = b"".join(varint(kind) for kind in types)
    return varint(len(body) + 1) + body


def cells(header: bytes, columns: Sequence[tuple[str, Any]], rowids: NDArray[np.int64] | None = None) -> NDArray[Any]:
    """Cells of one size, a structured array (n,): an index's, or with `rowids` a table's.

    `columns` are NumPy's types, big-endian and as wide as `header` says, and the values; rowids need varints of one
    width (see `varint_widths`).
    """
    fields: list[tuple[str, Any]] = [("header", (np.uint8, len(header)))]
    fields += [(str(place), dtype) for place, (dtype, _) in enumerate(columns)]
    length = varint(np.dtype(fields).itemsize)
    width = 0 if rowids is None else len(varint(int(rowids[0])))
    packed = np.empty(len(columns[0][1]), [("length", (np.uint8, len(length))), ("rowid", (np.uint8, width)), *fields])
    packed["length"] = np.frombuffer(length, np.uint8)
    packed["header"] = np.frombuffer(header, np.uint8)
    if rowids is not None:
        packed["rowid"] = varints(rowids, width)
    for place, (_, values) in enumerate(columns):
        packed[str(place)] = values
    return packed


def varint_widths(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bytes each value needs as a varint (below 2^28)."""
    return 1 + np.searchsorted(_VARINT_LIMITS, values, side="right")


class PageFile:
    """A database of SQLite's own making to which pages are appended; SQLite may open it again when it is closed.

    A thread writes, in order, while the caller makes the next pages.
    """

    def __init__(self, path: Path) -> None:
        self._stream = path.open("r+b", buffering=2**20)
        self._next = self._stream.seek(0, 2) // PAGE + 1
        self._writer = ThreadPoolExecutor(1)
        self._waiting: deque[Future[int]] = deque()

    def __enter__(self) -> "PageFile":
        """Nothing is read: the file has been opened."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file; after an error its header stays as it was."""
        with self._stream, self._writer:
            if kind is None:
                self._wait()
                self._count_pages()

    def append(self, pages: Bytes) -> range | list[int]:
        """Write pages (m, PAGE) at the end and return their numbers."""
        before = _LOCK_PAGE - self._next
        if 0 <= before < len(pages):
            numbers = [*self.append(pages[:before])] if before else []
            self._write(bytes(PAGE))
            self._next += 1
            return [*numbers, *self.append(pages[before:])]
        self._write(np.ascontiguousarray(pages).data)
        self._next += len(pages)
        return range(self._next - len(pages), self._next)

    def overwrite(self, number: int, page: Bytes) -> None:
        """Replace one page (PAGE,)."""
        self._wait()
        self._stream.seek((number - 1) * PAGE)
        self._stream.write(page.data)
        self._stream.seek(0, 2)

    def _write(self, data: bytes | memoryview) -> None:
        self._waiting.append(self._writer.submit(self._stream.write, data))
        self._wait(_AHEAD)

    def _wait(self, ahead: int = 0) -> None:
        """Until no more than `ahead` writes are waiting; an error of the thread is raised here."""
        while len(self._waiting) > ahead:
            self._waiting.popleft().result()

    def _count_pages(self) -> None:
        """Tell the header how many pages there are; SQLite believes it if two counters agree."""
        self._stream.seek(_CHANGE_COUNTER)
        counter = self._stream.read(4)
        self._stream.seek(_PAGE_COUNT)
        self._stream.write((self._next - 1).to_bytes(4, "big"))
        self._stream.seek(_VALID_FOR)
        self._stream.write(counter)


class _Keys:
    """Many short byte strings in little memory."""

    def __init__(self, keys: Iterable[bytes] = ()) -> None:
        self._bytes, self._ends, self.longest = bytearray(), array("L", [0]), 0
        self.extend(keys)

    def extend(self, keys: Iterable[bytes]) -> None:
        for key in keys:
            self._bytes += key
            self._ends.append(len(self._bytes))
            self.longest = max(self.longest, len(key))

    def between(self, first: int, last: int) -> list[bytes]:
        """Those from `first` to before `last`."""
        return [bytes(self._bytes[a:b]) for a, b in itertools.pairwise(self._ends[first : last + 1])]


class Tree:
    """One table (rowids 1, 2, 3, ...) or index, filled in the order of its keys: `append` runs of cells, then `close`.

    Leaves are written as they fill; only their numbers and the keys between them are kept, two bytes a row in all. The
    last leaf is held back until it is known whether a key must follow it.
    """

    def __init__(self, file: PageFile, root: int, index: bool = False) -> None:
        self._file, self._root, self._index = file, root, index
        self._leaves = array("I")
        self._keys = _Keys()  # one after each of _leaves
        self._held: list[bytes] = []  # cells of the last leaf
        self.rows = 0

    def append(self, cells: NDArray[Any]) -> None:
        """Add a run of cells of one size: a structured array (n,)."""
        size, n = cells.dtype.itemsize, len(cells)
        rows = np.ascontiguousarray(cells).view(np.uint8).reshape(n, size)
        if self._held and n:
            rows = rows[self._release(rows[0].tobytes(), n) :]
        if len(rows):
            room = (PAGE - 8) // (size + 2)
            pages = (len(rows) - 1) // room
            body = rows[: pages * room].reshape(pages, room, size)
            if self._index:
                self._write(body[:, :-1], [key.tobytes() for key in body[:, -1]])
            else:
                self._write(body, [varint(self.rows + room * (page + 1)) for page in range(pages)])
            self._held = [row.tobytes() for row in rows[pages * room :]]
        self.rows += n

    def close(self) -> None:
        """Write the last leaf and the pages above; the root stays where SQLite put it."""
        if not self._leaves:
            if self._held:
                self._file.overwrite(self._root, self._leaf(self._held))
            return
        children, keys = self._leaves, self._keys
        children.extend(self._file.append(self._leaf(self._held)[None]))
        while len(children) > (fan := (PAGE - 12) // (6 + keys.longest) + 1):  # children of a page
            count = -(-len(children) // fan)
            edges = [len(children) * page // count for page in range(count + 1)]
            pages = np.stack([self._above(children[a:b], keys.between(a, b - 1)) for a, b in itertools.pairwise(edges)])
            children, keys = array("I", self._file.append(pages)), _Keys(keys.between(b - 1, b)[0] for b in edges[1:-1])
        self._file.overwrite(self._root, self._above(children, keys.between(0, len(children) - 1)))

    def _release(self, cell: bytes, n: int) -> int:
        """Write the leaf held back, with its key, before a run of `n` that begins with `cell`; cells used up."""
        used = 0
        if not self._index:
            key = varint(self.rows)
        elif n > 1:
            key, used = cell, 1
        elif sum(map(len, self._held)) + len(cell) + 2 * len(self._held) + 2 <= PAGE - 8:
            self._held.append(cell)
            return 1
        else:
            key = self._held.pop()  # a leaf must follow the key, and `cell` alone is it
        numbers = self._file.append(self._leaf(self._held)[None])
        self._leaves.extend(numbers)
        self._keys.extend([key])
        self._held = []
        return used

    def _write(self, body: Bytes, keys: list[bytes]) -> None:
        """Write full leaves (m, rows, size) with the key after each."""
        m, n, size = body.shape
        start = PAGE - n * size
        pages = np.zeros((m, PAGE), np.uint8)
        kind = _INDEX_LEAF if self._index else _TABLE_LEAF
        pages[:, : 8 + 2 * n] = _head(kind, start, np.full(n, size), b"")
        pages[:, start:].reshape(m, n, size)[...] = body
        self._leaves.extend(self._file.append(pages))
        self._keys.extend(keys)

    def _leaf(self, cells: Sequence[bytes]) -> Bytes:
        return _page(_INDEX_LEAF if self._index else _TABLE_LEAF, cells, b"")

    def _above(self, children: Sequence[int], keys: Sequence[bytes]) -> Bytes:
        kind = _INDEX_INTERIOR if self._index else _TABLE_INTERIOR
        cells = [child.to_bytes(4, "big") + key for child, key in zip(children[:-1], keys, strict=True)]
        return _page(kind, cells, children[-1].to_bytes(4, "big"))


def _page(kind: int, cells: Sequence[bytes], right: bytes) -> Bytes:
    """One page of cells of any sizes; `right` is the last child's number in a page that has children."""
    content = b"".join(cells)
    head = _head(kind, PAGE - len(content), np.array([len(cell) for cell in cells]), right)
    page = np.zeros(PAGE, np.uint8)
    page[: len(head)] = head
    page[PAGE - len(content) :] = np.frombuffer(content, np.uint8)
    return page


def _head(kind: int, start: int, sizes: NDArray[Any], right: bytes) -> Bytes:
    """A page's header and the places of its cells, which lie one after the other from `start`."""
    fixed = bytes([kind, 0, 0]) + len(sizes).to_bytes(2, "big") + start.to_bytes(2, "big") + b"\0" + right
    places = start + np.cumsum(sizes) - sizes
    return np.frombuffer(fixed + places.astype(">u2").tobytes(), np.uint8)
