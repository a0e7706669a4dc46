"""Tables and indexes as trees of pages: their leaves, and whether keys rise as they must."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lmtcnn.lmt.cells import INDEX_INTERIOR, INDEX_LEAF, TABLE_INTERIOR, TABLE_LEAF, Block, Shape, Wanted
from lmtcnn.lmt.pages import Damaged, NotPlain, Pages
from lmtcnn.lmt.values import ODD, Ints, Values

PAGES_AT_ONCE = 512
"""Some 2 MB, and 60,000 rows of an index: temporaries stay in the processor's cache."""

_MAX_LEVELS = 20
_EXACT = 2.0**53  # from here on two whole numbers may be one float


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


def find_leaves(
    pages: Pages, root: int, *, index: bool, wanted: Sequence[Wanted] = ((0, False),), others: Ints | None = None
) -> Leaves:
    """Find the leaves of the table or index whose tree begins at page `root`.

    `wanted` are the columns of an index's keys that are kept, `others` the numbers of pages that are not its own.
    Raises Damaged where a page is reached twice or is another's, and where keys fall; NotPlain.
    """
    leaf, interior = (INDEX_LEAF, INDEX_INTERIOR) if index else (TABLE_LEAF, TABLE_INTERIOR)
    numbers = np.array([root], np.int64)
    after = np.array([-1])  # where in `keys` that one stands which comes after each page
    keys: list[list[Values]] = []
    above = [numbers[:0]]
    n_keys = n_pages = 0
    reached = np.zeros(pages.count + 1, np.bool_)
    for _ in range(_MAX_LEVELS):
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
        blocks = [Block(pages, numbers[i : i + PAGES_AT_ONCE], interior) for i in starts]
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
    kind = INDEX_LEAF if index else TABLE_LEAF
    chosen = range(len(leaves.numbers)) if chosen is None else chosen
    for begin in range(chosen.start, chosen.stop, at_once):
        end = min(begin + at_once, chosen.stop)
        block = Block(pages, leaves.numbers[begin:end], kind, shape)
        columns = block.columns(wanted)
        known = columns[: _leading(wanted)] if index else columns[:1]
        unique = not index or (shape is not None and len(known) == shape.columns)
        _check_order(known, block.counts, [key[max(begin - 1, 0) : end] for key in leaves.keys], begin > 0, unique)
        yield columns


def count_rows(pages: Pages, leaves: Leaves, *, index: bool) -> int:
    """How many rows a table or an index has, by the heads of its pages."""
    kind, n_rows = (INDEX_LEAF if index else TABLE_LEAF), len(leaves.keys[0]) if index else 0
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
