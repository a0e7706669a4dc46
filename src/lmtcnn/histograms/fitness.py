"""Reasons that keep a recording from being compared with others: the one place that says it is short, late or failing.

- *short*: it covers less than `quality.least_share` of the time that is counted.
- *late*: more than half of its stops lie beyond interval T, and `histograms.late` does not say that they are to be cut.
- *failing*: a check of its quality fails, as where more than `quality.outside_fail` of its positions or of its stops
  are off the floor.

Every caller makes of it what it must: `histograms` leaves short and failing recordings out (unless `quality.on_fail`
keeps them) and refuses late ones, whose intervals are wrong for all; `predict` and REST refuse short and late ones and
warn of failing ones; `plot` tells all in its note.
"""

from collections.abc import Sequence

import polars as pl

from lmtcnn.cohort.recording import Recording
from lmtcnn.core.params import Definitions
from lmtcnn.core.sections import Arena, HistogramsParams
from lmtcnn.stops.quality import failures, stops_off_floor
from lmtcnn.stops.tables import count_outside
from lmtcnn.timeline import clock as clocks
from lmtcnn.timeline import counted

Misfit = tuple[str, str]
"""What was expected of a recording, and what was found, in words."""

FAILS = "the recording fails a quality check: "
"""Stands before the checks that fail, where a recording is answered for none the less."""


def short_words(recording: Recording, quality: pl.DataFrame, params: Definitions) -> str:
    """Say how much of the counted time a recording covers, where that is too little; else nothing.

    Parameters
    ----------
    recording
        For its time zone, in which `align` is a clock time.
    quality
        Its rows of the quality table.
    params
        The definitions; see `counted.is_short`.
    """
    offset_s = clocks.align_offset_s(int(quality["start_ms"][0]), params.histograms, recording.timezone)
    return counted.short_words(float(quality["span_s"].to_numpy().max()), params, offset_s)


def late(n_stops: int, n_late: int, params: HistogramsParams) -> list[Misfit]:
    """Say that more than half of a recording's stops, of all of its animals, lie beyond interval T; or nothing."""
    if not counted.too_late(n_stops, n_late, params):
        return []
    return [(f"stops within {params.intervals} intervals of {params.interval_s:g} s", f"{n_late} of {n_stops} beyond")]


def misfits(short: str, n_stops: int, n_late: int, params: Definitions) -> list[Misfit]:
    """Say why a recording cannot be compared with a training cohort.

    Parameters
    ----------
    short
        In words, that it covers too little of the counted time (`short_words`), or nothing.
    n_stops, n_late
        Stops of all its animals, and those of them that begin after the T intervals.
    params
        The cohort's definitions.

    Returns
    -------
    (expected, found) for each reason, in words.
    """
    span = clocks.length(len(params.histograms.counted) * params.histograms.interval_s)
    expected = f"{params.quality.least_share:.0%} of the model's {span}"
    return [*([(expected, short)] if short else []), *late(n_stops, n_late, params.histograms)]


def failing(recording: Recording, quality: pl.DataFrame, params: Definitions) -> str:
    """Say which checks of its tracks a recording fails, and that it is short; or nothing. `quality`: its own rows."""
    return "; ".join(filter(None, (failures(quality).get(recording.name, ""), short_words(recording, quality, params))))


def off_floor_words(animals: Sequence[tuple[int, pl.DataFrame]], arena: Arena, params: Definitions) -> str:
    """Say which animals fail the check on stops off the floor, where only their stops are known; or nothing.

    `animals` are numbers and the stops of each.
    """
    checks = [stops_off_floor(i, count_outside(own, arena), own.height, params.quality) for i, own in animals]
    return "; ".join(check.words for check in checks if check.verdict == "fail")
