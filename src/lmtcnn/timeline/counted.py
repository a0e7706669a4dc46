"""How much of a recording is counted: too little, too late, too early, too long; and that in words."""

import itertools
from collections.abc import Sequence

from lmtcnn.core.params import Definitions
from lmtcnn.core.sections import HistogramsParams
from lmtcnn.timeline.clock import length

MAX_LATE_SHARE = 0.5
"""A recording with a larger share of its stops beyond interval T was made for another interval length.

One with a larger share of the counted time before its start was made for another `align` or window.
"""

HOUR_S = 3600.0

MOST_SPANS = 3
"""So many spans of intervals are named in a sentence; tables have all of them."""


def unit_of(interval_s: float) -> str:
    """Return the word for what stacks are made of: `hour`, or `interval` where it lasts another time than an hour."""
    return "hour" if interval_s == HOUR_S else "interval"


def since_words(interval_s: float) -> str:
    """Say what an axis of time counts: `hours since the first interval`, `intervals of 20 s since the first`."""
    if interval_s == HOUR_S:
        return "hours since the first interval"
    return f"intervals of {length(interval_s)} since the first"


def spans_words(marked: Sequence[int], interval_s: float) -> str:
    """Say which intervals, numbered from 0, are marked: those that follow each other as one span.

    `hours 4 to 10 h, 28 to 33 h` are times since the beginning; `intervals 4 to 9, 28 of 20 s` are numbers. Of more
    than MOST_SPANS the longest are named: `21 hours, among them 4 to 10 h, 28 to 33 h`.
    """
    spans = []
    for _, group in itertools.groupby(enumerate(sorted(marked)), lambda item: item[1] - item[0]):
        run = [number for _, number in group]
        spans.append((run[0], run[-1]))
    in_hours, some = interval_s == HOUR_S, len(spans) > MOST_SPANS
    if some:
        spans = sorted(sorted(spans, key=lambda span: (span[0] - span[1], span[0]))[:MOST_SPANS])
    if in_hours:
        told = ", ".join(f"{first} to {last + 1} h" for first, last in spans)
        return f"{len(marked)} hours, among them {told}" if some else f"hours {told}"
    told = ", ".join(f"{first} to {last}" if last > first else str(first) for first, last in spans)
    each = length(interval_s)
    return f"{len(marked)} intervals of {each}, among them {told}" if some else f"intervals {told} of {each}"


def covered_share(span_s: float, params: HistogramsParams, offset_s: float = 0.0) -> float:
    """Share, from 0 to 1, of the time of the counted intervals that a recording of `span_s` covers.

    `offset_s` says how long before the recording interval 0 begins (`align`); intervals before the recording, which are
    empty in any recording that is aligned, are not held against it.
    """
    begin_s = max(params.counted.start * params.interval_s, offset_s)
    wanted_s = params.counted.stop * params.interval_s - begin_s
    if wanted_s <= 0:  # it begins after the last interval that is counted
        return 0.0
    return min(max(offset_s + span_s - begin_s, 0.0) / wanted_s, 1.0)


def is_short(span_s: float, params: Definitions, offset_s: float = 0.0) -> bool:
    """Whether a recording covers too little of the counted intervals to be compared with others.

    The one rule on length, for training, `predict` and REST: less than the share `quality.least_share`.
    """
    return covered_share(span_s, params.histograms, offset_s) < params.quality.least_share


def short_words(span_s: float, params: Definitions, offset_s: float = 0.0) -> str:
    """In words, how much of the time that is counted a recording covers, where that is too little; else nothing."""
    if not is_short(span_s, params, offset_s):
        return ""
    settings = params.histograms
    wanted_s, share = len(settings.counted) * settings.interval_s, covered_share(span_s, settings, offset_s)
    which = f", {words}" if (words := _window_words(settings)) else ""
    return f"{length(span_s, wanted_s)} long, {100 * share:.3g} % of the {length(wanted_s)} that are counted{which}"


def early_words(params: HistogramsParams, offset_s: float) -> str:
    """In words, that a recording begins after more than half of the time that is counted; else nothing.

    `offset_s` says how long before the recording interval 0 begins (`align`).
    """
    begin_s, end_s = (edge * params.interval_s for edge in (params.counted.start, params.counted.stop))
    lost_s, wanted_s = min(offset_s, end_s) - begin_s, end_s - begin_s
    if lost_s <= MAX_LATE_SHARE * wanted_s:
        return ""
    sizes = f"{length(lost_s, wanted_s)} of the {length(wanted_s)} that are counted lie before it"
    return f"{sizes}, and are empty: align {params.align} was {length(offset_s)} earlier"


def long_words(span_s: float, params: HistogramsParams) -> str:
    """In words, that a recording is twice as long as T intervals, and was not cut on purpose; else nothing."""
    wanted_s = params.intervals * params.interval_s
    if params.late == "cut" or span_s < 2 * wanted_s:
        return ""
    sizes = f"{length(span_s, wanted_s)} long, T = {params.intervals} intervals are {length(wanted_s)}"
    return f"{sizes}: the rest is left out"


def too_late(n_stops: int, n_late: int, params: HistogramsParams) -> bool:
    """Whether so many stops lie beyond interval T that a recording was made for other intervals, and not cut."""
    return params.late == "refuse" and n_late > MAX_LATE_SHARE * n_stops


def _window_words(params: HistogramsParams) -> str:
    """`intervals 24 to 47 of 72 (from 24 h to 48 h)`; nothing where all are counted."""
    if params.window == "all":
        return ""
    first, last = params.counted[0], params.counted[-1]
    from_s, until_s = first * params.interval_s, (last + 1) * params.interval_s
    span = f"from {length(from_s, until_s)} to {length(until_s)}" if from_s else f"the first {length(until_s)}"
    return f"intervals {first} to {last} of {params.intervals} ({span})"


def counted_words(params: HistogramsParams) -> str:
    """In words, what of a recording is counted, where that is not all of T intervals; else nothing.

    For figures and pages: `intervals 24 to 47 of 72 (from 24 h to 48 h), stops of the night (20:00 to 08:00 UTC)`.
    """
    parts = [words] if (words := _window_words(params)) else []
    if params.only != "all":
        off, on = params.night if params.only == "night" else reversed(params.night)
        parts.append(f"stops of the {params.only} ({off} to {on} {params.timezone}, or as the manifest says)")
    return ", ".join(parts)
