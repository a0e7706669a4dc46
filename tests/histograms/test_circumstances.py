"""What is known of a sample that is no behaviour."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lmtcnn.cohort.cohort import Cohort
from lmtcnn.cohort.recording import Recording, Sample
from lmtcnn.core.params import Params
from lmtcnn.core.schemas import COVERAGE, QUALITY
from lmtcnn.histograms import circumstances

NOON_MS = 1_700_049_600_000  # 2023-11-15 12:00 UTC


def cohort_of(params: Params, **recording: Any) -> Cohort:
    """One recording of two mice."""
    samples = {rfid: Sample("r", rfid, "c", {"sex": "M", "age": "adult"}, "AM") for rfid in ("a", "b")}
    made = Recording("r", (Path("r.sqlite"),), params.stops.arena, samples=samples)
    return Cohort((replace(made, **recording),), tuple(samples.values()))


def quality_of(*animals: dict[str, Any]) -> pl.DataFrame:
    rows = [
        dict.fromkeys(QUALITY.columns)
        | dict.fromkeys(("n_rows", "n_anonymous", "n_flicker", "n_filled"), 0)
        | {"recording": "r", "animal_id": number, "start_ms": NOON_MS, "n_unpaused": 1000, "span_s": 50.0}
        | animal
        for number, animal in enumerate(animals, start=1)
    ]
    return pl.DataFrame(rows, schema=dict(QUALITY.columns))


def coverage_of(*detected: int) -> pl.DataFrame:
    """Of animal 1, in intervals of 100 frames; the last one was not seen."""
    rows = [("r", 1, i, n, 100, 0) for i, n in enumerate(detected)] + [("r", 1, len(detected), 0, 0, 0)]
    return pl.DataFrame(rows, schema=dict(COVERAGE.columns), orient="row")


def test_shares_are_of_unpaused_frames_and_of_positions(params: Params) -> None:
    animal = {"n_detected": 900, "n_rows": 950, "n_filled": 60, "n_flicker": 9, "n_anonymous": 50}
    found = circumstances.table(cohort_of(params), quality_of(animal), COVERAGE.empty(), params).row(0, named=True)
    shares = {"known": 0.9, "filled": 0.06, "lost": 0.04, "flicker": 0.01, "anonymous": 0.05, "length_s": 50.0}
    assert {name: found[name] for name in shares} == pytest.approx(shares)
    assert (found["coldest_c"], found["hottest_c"]) == (None, None)


def test_intervals_are_those_that_are_counted_and_were_seen(change: Any) -> None:
    params = change(**{"histograms.window": [1, 4]})
    animal = {"n_detected": 900}
    table = circumstances.table(cohort_of(params), quality_of(animal), coverage_of(10, 90, 70), params)
    assert table["least_known"].to_list() == [0.7]
    assert table["uneven"].to_list() == pytest.approx([0.1])


def test_a_start_is_that_of_the_clock_on_the_wall(params: Params) -> None:
    for zone, hour in ((None, 12), ("Europe/Paris", 13)):
        cohort = cohort_of(params, timezone=zone)
        table = circumstances.table(cohort, quality_of({"n_detected": 1}), COVERAGE.empty(), params)
        assert table["start_s"].to_list() == [hour * 3600]


def test_an_animal_that_was_never_seen_has_shares_of_nothing(params: Params) -> None:
    animal = {"n_detected": 0, "n_unpaused": 0}
    found = circumstances.table(cohort_of(params), quality_of(animal), COVERAGE.empty(), params).row(0, named=True)
    assert (found["known"], found["flicker"], found["anonymous"], found["uneven"]) == (0, 0, 0, 0)


def test_rows_come_by_animal(params: Params) -> None:
    quality = quality_of({"n_detected": 1}, {"n_detected": 2})
    table = circumstances.table(cohort_of(params), quality.reverse(), COVERAGE.empty(), params)
    assert table["animal_id"].to_list() == [1, 2]
