"""The one place that says whether a recording is short, late or failing."""

import polars as pl

from lmtcnn.histograms import fitness


def test_half_of_the_stops_may_be_late_and_no_more(change) -> None:
    values = {"histograms.intervals": 3, "histograms.interval_s": 3600}
    settings = change(**values).histograms
    assert fitness.late(10, 5, settings) == []
    assert fitness.late(0, 0, settings) == []
    assert fitness.late(10, 6, settings) == [("stops within 3 intervals of 3600 s", "6 of 10 beyond")]
    assert fitness.late(10, 6, change(**values, **{"histograms.late": "cut"}).histograms) == []


def test_what_is_short_and_late_is_told_in_this_order(change) -> None:
    params = change(**{"histograms.intervals": 3, "histograms.interval_s": 3600})
    assert fitness.misfits("", 10, 5, params) == []
    assert fitness.misfits("1 h long", 10, 6, params) == [
        ("90% of the model's 3 h", "1 h long"),
        ("stops within 3 intervals of 3600 s", "6 of 10 beyond"),
    ]


def test_stops_off_the_floor_fail_above_the_limit_of_quality(params) -> None:
    def stops(n_off: int) -> pl.DataFrame:
        return pl.DataFrame({"x_cm": [-1.0] * n_off + [10.0] * (100 - n_off), "y_cm": [50.0] * 100})

    arena = params.stops.arena
    assert fitness.off_floor_words([(1, stops(5)), (2, stops(0))], arena, params) == ""
    assert fitness.off_floor_words([(1, stops(5)), (2, stops(6))], arena, params) == "animal 2: stops off the floor 6 %"
