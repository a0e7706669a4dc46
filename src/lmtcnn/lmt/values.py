"""Numbers of a database, whatever is stored in its columns.

SQLite lets any value stand in any column (files that other programs wrote, or that were changed by hand). A number is
what SQLite's numeric affinity would make of a value: whole numbers that are stored as REAL (1.0) or as text (' 1',
'1.0') are these numbers. The same is said here of a value, of an array, and in SQL.
"""

import re
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Values = NDArray[Any]
Columns = tuple[Values, ...]

NOTHING = -(2**63)
"""Stands for NULL in a column of whole numbers; in one of numbers it is nan."""

ODD = NOTHING + 1
"""Stands for what is no whole number in a column of whole numbers; in one of numbers text and blobs are inf."""

NUMBER = f"""CASE typeof({{0}}) WHEN 'integer' THEN max({{0}}, {ODD}) WHEN 'null' THEN {NOTHING}
    WHEN 'real' THEN CASE WHEN {{0}} = CAST({{0}} AS INTEGER) THEN max(CAST({{0}} AS INTEGER), {ODD}) ELSE {ODD} END
    ELSE as_whole({{0}}) END AS {{0}}"""
"""SQL for a column of whole numbers, whatever is in it."""

PLACE = """CASE typeof({0}) WHEN 'real' THEN {0} WHEN 'integer' THEN {0} + 0.0 WHEN 'text' THEN as_fraction({0})
    ELSE 9e999 END AS {0}"""
"""SQL for a column of places, whatever is in it: what is no number becomes one that counts as none."""

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


def wholes(numbers: NDArray[np.float64]) -> Ints:
    """Return numbers as whole ones: ODD of fractions and what 64 bits do not hold, NOTHING of nan, SQLite's NULL."""
    found = np.where(np.isnan(numbers), NOTHING, ODD)
    with np.errstate(invalid="ignore"):  # nan is a value here, and quietly none of the good ones
        good = (np.abs(numbers) < 2.0**63) & (np.rint(numbers) == numbers)
    found[good] = numbers[good].astype(np.int64)
    return found
