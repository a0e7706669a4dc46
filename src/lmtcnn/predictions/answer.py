"""Answers to tables of stops: REST's part of a prediction, the same behind both of its servers (serve.py, served.py).

    recording, animal_id    whose stop it is
    start_s                 its beginning, s since the recording's first frame (or since the model's clock time `align`)
    duration_s, x_cm, y_cm  its length and place; x and y from the upper left corner of the floor

Every cell is looked at as it came, before anything is converted: `true` is no time and 1.5 is no animal. A request is
answered whole or refused whole, in words.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import numpy as np
import polars as pl

from lmtcnn.bundle import bundle
from lmtcnn.bundle.bundle import Bundle
from lmtcnn.bundle.doubt import doubts_of
from lmtcnn.core.errors import DataError, problem
from lmtcnn.histograms import fitness
from lmtcnn.histograms.stack import Stack, floor_of, stack_by_wall_clock
from lmtcnn.predictions import predict
from lmtcnn.predictions.predict import Stacked
from lmtcnn.predictions.prediction import Prediction
from lmtcnn.timeline import clock as clocks
from lmtcnn.timeline.counted import short_words

LEAST = {"start_s": 0.0, "duration_s": 0.0, "x_cm": -math.inf, "y_cm": -math.inf}
"""Columns that hold numbers, and the least value of each."""
COLUMNS = ("recording", "animal_id", *LEAST)

MAX_ROWS = 250_000
"""Stops in one request; 72 h of a cage of four mice are some 165,000."""
MAX_ANIMALS = 256
"""Pairs of recording and animal in one request."""
MAX_NAME = 200
"""Characters of a recording's name."""
MAX_NUMBER = 1e9
"""No time in seconds and no place in centimetres is larger: 32 years, a quarter of the way round the earth."""
MAX_ANIMAL = 2**63 - 1
MAX_LINES = 10
"""Problems that one refusal names."""
AT_ONCE = 8
"""Animals that go through the networks together, so that memory does not grow with their number."""


def checked(columns: Mapping[str, Sequence[object]]) -> pl.DataFrame:
    """Check a table of stops cell by cell.

    Parameters
    ----------
    columns
        Cells by column, all of one length, as they came: Python or NumPy scalars, None, or anything else that a
        document may hold. Columns that are not asked for are passed over.

    Returns
    -------
    DataFrame with the columns of this module's beginning: String, Int64, and Float64 in s and cm.

    Raises
    ------
    DataError
        Names each bad column with its first bad row (counted from 0), or the limit that the table exceeds.
    """
    if missing := [name for name in COLUMNS if name not in columns]:
        raise DataError([problem(name, "a column", "none", "add it") for name in missing])
    n_rows = len(columns[COLUMNS[0]])
    check_rows(n_rows)
    if not n_rows:
        raise DataError(problem("the table", "stops", "no row", "send at least one"))
    found = {name: [_cell(name, value) for value in columns[name]] for name in COLUMNS}
    lines = []
    for name, values in found.items():
        if None in values:
            row = values.index(None)
            lines.append(problem(f"{name}, row {row}", _expected(name), _told(columns[name][row]), "correct it"))
    if lines:
        raise DataError(lines)
    stops = pl.DataFrame(
        found, schema={"recording": pl.String, "animal_id": pl.Int64, **dict.fromkeys(LEAST, pl.Float64)}
    )
    n_animals = stops.select(pl.struct("recording", "animal_id").n_unique()).item()
    if n_animals > MAX_ANIMALS:
        expected = f"{MAX_ANIMALS} animals at most (of all recordings together)"
        raise DataError(problem("the table", expected, str(n_animals), "send several requests"))
    return stops


def check_rows(n_rows: int) -> None:
    """Raise DataError where a table has too many rows."""
    if n_rows > MAX_ROWS:
        raise DataError(problem("the table", f"{MAX_ROWS} rows at most", str(n_rows), "send several requests"))


def _cell(name: str, value: object) -> str | int | float | None:
    """The value of a cell, None where it is not what its column holds."""
    if name == "recording":
        fits = isinstance(value, str) and 0 < len(value) <= MAX_NAME and value.isprintable()
        return str(value) if fits else None
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return None
    value = value.item() if isinstance(value, np.integer | np.floating) else value
    if name == "animal_id":
        whole = isinstance(value, int) or value.is_integer()
        return int(value) if whole and -MAX_ANIMAL <= value <= MAX_ANIMAL else None
    return float(value) if max(LEAST[name], -MAX_NUMBER) <= value <= MAX_NUMBER else None


def _told(value: object) -> str:
    """A refused cell as messages show it: of a text that looks like a number, that it is one."""
    text = str(value)
    looks = isinstance(value, str) and re.fullmatch(r"\s*[+-]?\d+(\.\d*)?\s*", text)
    return f"the text {text.strip()}" if looks else text or "nothing"


def _expected(name: str) -> str:
    if name == "recording":
        return f"a name of 1 to {MAX_NAME} characters"
    if name == "animal_id":
        return "a whole number"
    return f"a number from {'0' if LEAST[name] == 0 else '-1e9'} to 1e9"


def answers(stops: pl.DataFrame, made: Bundle) -> list[Prediction]:
    """Tell the class of each animal of a checked table.

    Parameters
    ----------
    stops
        A table that `checked` returned: times in s, places in cm.
    made
        The networks and the preprocessing of their training cohort.

    Returns
    -------
    A prediction for each animal, in the order in which they first appear.

    Raises
    ------
    DataError
        Names every recording of another length than the model's: one whose last stop, over all of its animals, ends
        before the model's `quality.least_share` of the counted intervals, or that has more than half of its stops
        beyond the last one. The rule is that of `lmtcnn predict`, which knows the last frame instead. A model of the
        night or of the day alone is refused where stops do not say their time of day.
    """
    settings = made.definitions.histograms
    if settings.only != "all" and settings.align == "start":
        expected, found = f"stops with their time of day: it counts those of the {settings.only}", "only start_s"
        raise DataError(problem("the model", expected, found, "ask `lmtcnn predict`, which reads the clock"))
    complaints = [
        line for name, own in stops.group_by("recording", maintain_order=True) for line in _misfit(name, own, made)
    ]
    if complaints:
        raise DataError(
            [*complaints[:MAX_LINES], *([f"and {n} more"] if (n := len(complaints) - MAX_LINES) > 0 else [])]
        )
    stacked = _stacked(stops, made)
    told: list[Prediction] = []
    while some := list(islice(stacked, AT_ONCE)):
        told += predict.classify(some, made)
    return told


def _misfit(name: tuple[object, ...], own: pl.DataFrame, made: Bundle) -> list[str]:
    """A line for each reason why a recording cannot be compared with the training cohort."""
    settings = made.definitions.histograms
    span_s = float((own["start_s"] + own["duration_s"]).to_numpy().max())
    begins = clocks.intervals(own["start_s"].to_numpy(), 0, settings.interval_s)
    late = int((begins >= settings.intervals).sum())
    short = short_words(span_s, made.definitions)
    do = "send all stops of the recording, or use a model of this length"
    return [
        problem(name[0], expected, found, do)
        for expected, found in fitness.misfits(short, own.height, late, made.definitions)
    ]


def _stacked(stops: pl.DataFrame, made: Bundle) -> Iterator[Stacked]:
    """Yield the animals in the order in which they first appear; one stack at a time is in memory."""
    doubts = _doubts(stops, made)
    failing = {name: _failing(own, made) for (name,), own in stops.group_by("recording")}
    for (recording, animal_id), own in stops.group_by("recording", "animal_id", maintain_order=True):
        stack = _stack(own, made)
        distance, doubted = doubts[str(recording), int(str(animal_id))]
        found = bundle.features(stack.counts, stack.outside_share)
        notes = [*_notes(made), *([fitness.FAILS + failing[recording]] if failing[recording] else []), *doubted]
        warnings = [*notes, *bundle.unlike(found, made.meta["cohort_statistics"])]
        yield Stacked(str(recording), int(str(animal_id)), None, stack.counts, distance, warnings)


def _doubts(stops: pl.DataFrame, made: Bundle) -> dict[tuple[str, int], tuple[float, list[str]]]:
    """Compare each animal with the training cohort: only a whole recording tells that it lies another way round."""
    found: dict[tuple[str, int], tuple[float, list[str]]] = {}
    for (recording,), rows in stops.group_by("recording", maintain_order=True):
        animals = {int(str(i)): own for (i,), own in rows.group_by("animal_id", maintain_order=True)}
        doubts = doubts_of((_stack(own, made).counts for own in animals.values()), made.reference)
        found |= {(str(recording), animal_id): each for animal_id, each in zip(animals, doubts, strict=True)}
    return found


def _stack(own: pl.DataFrame, made: Bundle) -> Stack:
    return stack_by_wall_clock(own, floor_of(made.definitions.stops.arena), made.definitions.histograms)


def _failing(own: pl.DataFrame, made: Bundle) -> str:
    """Say what a recording's stops tell of the checks that it fails, or nothing."""
    animals = [(int(str(i)), rows) for (i,), rows in own.group_by("animal_id", maintain_order=True)]
    return fitness.off_floor_words(animals, made.definitions.stops.arena, made.definitions)


def _notes(made: Bundle) -> list[str]:
    """Say in words what a reader should keep in mind about every answer."""
    align = made.definitions.histograms.align
    return [
        *([predict.SIMULATED_MODEL] if made.meta["simulated"] else []),
        *([f"start_s is taken as seconds since {align}"] if align != "start" else []),
    ]
