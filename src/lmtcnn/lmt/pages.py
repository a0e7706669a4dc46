"""Columns of numbers straight from a database's pages, thousands of rows at a time.

SQLite hands over one row after the other, a few million a second. Its file format is documented and frozen
(https://www.sqlite.org/fileformat2.html, sections 1.6 and 2.1), and the columns that stops are made of are numbers, so
NumPy can take them from whole pages at once. SQLite still opens the file and says where a table or index begins; that
nobody wrote to it meanwhile is seen to in `source`. Whatever is not plain, a column that goes on in another page, a
record that lacks columns, a page that is no page, ends in NotPlain, and the rows are asked of SQLite instead, which
has words for what is wrong. Nothing is ever guessed.

A table is a tree of pages: leaves hold a cell for each row (payload length, rowid, record), the pages above them hold
the numbers of their children and, between two children, the highest rowid of the left one. An index is the same,
without rowids of its own, and what stands between two children is a row. A record is a header, which gives the type of
each column, and the columns' bytes, big-endian; in an index the rowid is the last column.

SQLite follows such a tree without a look at the order of its keys. Here they must rise from row to row and lie between
the keys above: in a file that was copied while the tracker wrote it, old in front and new behind, they fall, stand
twice or stand elsewhere. That ends in Damaged.

Here are the pages themselves; `cells` takes apart what stands in them, `trees` knows how they hang together, and
`source` is the one door to all three.
"""

import os
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from lmtcnn.lmt.values import Bytes, Ints

_MIN_USABLE = 960
_SLACK = 256  # bytes beyond the last page of a buffer, so that looking there is harmless


class NotPlain(Exception):  # noqa: N818 - a fork in the road, not a fault
    """These pages hold something else than plain numbers: ask SQLite."""


class Damaged(Exception):  # noqa: N818 - what it says becomes a line of a DatabaseError
    """No sound database holds such pages."""


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
        if self.usable < _MIN_USABLE:
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
