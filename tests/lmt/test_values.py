"""Numbers, whatever is stored: SQLite's own affinity is the oracle."""

import contextlib
import sqlite3
import warnings

import numpy as np
import pytest

from lmtcnn.lmt.values import NOTHING, ODD, as_fraction, as_whole, wholes
from paged import VALUES

# ---- What is not plain -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [value for value in VALUES if isinstance(value, str)])
def test_a_text_is_the_number_that_numeric_affinity_makes_of_it(text: str) -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE n (v NUMERIC)")
        connection.execute("INSERT INTO n VALUES (?)", (text,))
        (stored,) = connection.execute("SELECT v FROM n").fetchone()
    assert as_whole(text) == (ODD if isinstance(stored, str) else as_whole(stored))
    assert as_fraction(text) == (np.inf if isinstance(stored, str) else float(stored))


def test_a_nan_of_any_bits_is_nothing_and_says_no_word() -> None:
    signalling = np.frombuffer(bytes.fromhex("010000000000f07f"), "<f8")  # a quiet one never makes NumPy warn
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert wholes(signalling).tolist() == [NOTHING]
