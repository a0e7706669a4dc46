"""How much of a recording is counted, and that in words."""

from collections.abc import Callable

import pytest

from lmtcnn.core.params import Params
from lmtcnn.timeline.counted import counted_words, covered_share, early_words, since_words, spans_words, unit_of


@pytest.fixture
def small(change) -> Callable[..., Params]:
    """Three intervals of 10 s."""
    wanted = {"intervals": 3, "interval_s": 10}
    return lambda **values: change(**{f"histograms.{key}": value for key, value in (wanted | values).items()})


@pytest.mark.parametrize(
    ("offset_s", "window", "words"),
    [
        (15.0, (0, 3), ""),
        (16.0, (0, 3), "16 s of the 30 s that are counted lie before it, and are empty: align 00:00 was 16 s earlier"),
        (25.0, (1, 3), "15 s of the 20 s that are counted lie before it, and are empty: align 00:00 was 25 s earlier"),
        (
            86_399.0,
            (0, 3),
            "30 s of the 30 s that are counted lie before it, and are empty: align 00:00 was 24 h earlier",
        ),
    ],
)
def test_a_recording_that_begins_after_most_of_the_counted_time_is_told(small, offset_s, window, words) -> None:
    """Three intervals of 10 s."""
    params = small(intervals=3, interval_s=10, align="00:00", window=list(window))
    assert early_words(params.histograms, offset_s) == words


@pytest.mark.parametrize(
    ("window", "span_s", "offset_s", "share"),
    [
        ("all", 30.0, 0.0, 1.0),
        ("all", 15.0, 0.0, 0.5),
        ([0, 1], 15.0, 0.0, 1.0),
        ([2, 3], 25.0, 0.0, 0.5),  # the last interval, of which the recording has a half
        ([2, 3], 15.0, 0.0, 0.0),
        ("all", 25.0, 5.0, 1.0),  # what is before an aligned recording is not held against it
        ("all", 15.0, 10.0, 0.75),
        ([0, 1], 30.0, 10.0, 0.0),  # it begins after what is counted
    ],
)
def test_the_share_that_a_recording_covers_is_of_what_is_counted(
    small, window: object, span_s: float, offset_s: float, share: float
) -> None:
    assert covered_share(span_s, small(window=window).histograms, offset_s) == pytest.approx(share)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, ""),
        ({"window": [24, 48]}, "intervals 24 to 47 of 72 (from 24 h to 48 h)"),
        ({"only": "night"}, "stops of the night (20:00 to 08:00 UTC, or as the manifest says)"),
        ({"only": "day", "window": [0, 1]}, "intervals 0 to 0 of 72 (the first 1 h), stops of the day (08:00 to "
         "20:00 UTC, or as the manifest says)"),
    ],
)  # fmt: skip
def test_what_is_counted_is_said_in_words(small, values: dict, words: str) -> None:
    assert counted_words(small(interval_s=3600, intervals=72, **values).histograms) == words


@pytest.mark.parametrize(
    ("interval_s", "unit", "axis", "spans"),
    [
        (3600, "hour", "hours since the first interval", "hours 0 to 2 h, 3 to 4 h"),
        (20, "interval", "intervals of 20 s since the first", "intervals 0 to 1, 3 of 20 s"),
        (7200, "interval", "intervals of 2 h since the first", "intervals 0 to 1, 3 of 2 h"),
    ],
)
def test_only_intervals_of_an_hour_are_called_hours(interval_s: float, unit: str, axis: str, spans: str) -> None:
    assert (unit_of(interval_s), since_words(interval_s), spans_words([0, 1, 3], interval_s)) == (unit, axis, spans)


def test_of_many_spans_the_longest_are_named_in_their_order_and_all_are_counted():
    marked = [0, 2, 3, 5, 7, 8, 9, 11, 12]
    assert spans_words(marked, 20) == "9 intervals of 20 s, among them 2 to 3, 7 to 9, 11 to 12"
    assert spans_words(marked, 3600) == "9 hours, among them 2 to 4 h, 7 to 10 h, 11 to 13 h"
    assert spans_words(marked[:4], 20) == "intervals 0, 2 to 3, 5 of 20 s"
