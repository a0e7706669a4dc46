"""The wall clock of intervals."""

from pathlib import Path

import numpy as np
import pytest

from lmtcnn.core.params import Params
from lmtcnn.explain.daytime import daytime
from study import small_params


@pytest.fixture
def start_hours(tmp_path: Path) -> Path:
    path = tmp_path / "start_hours.csv"
    path.write_text("hour,timezone,AM,AF\n18,UTC,2,1\n19,UTC,0,1\n")
    return path


def real(**histograms: object) -> Params:
    made = {"intervals": 48, "interval_s": 3600.0} | histograms
    return small_params(cohort={"databases": "data/raw"}, histograms=made)


def test_night_is_the_share_of_recordings_in_which_an_interval_is_dark(start_hours: Path) -> None:
    """Three of four samples start between 18:00 and 19:00: the middle of their interval 1 is 20:00."""
    found = daytime(start_hours, real())
    assert found.night[:3].tolist() == [0.25, 1.0, 1.0]
    assert found.night[12:15].tolist() == [0.75, 0.0, 0.0]
    assert found.hours_each == 1
    assert (found.clock, found.groups) == (None, None)


def test_recordings_of_one_start_have_a_clock_and_days(tmp_path: Path) -> None:
    path = tmp_path / "start_hours.csv"
    path.write_text("hour,timezone,AM,AF\n18,UTC,2,1\n")
    found = daytime(path, real())
    assert found.clock is not None
    assert found.clock[:8].tolist() == [18, 19, 20, 21, 22, 23, 0, 1]
    assert found.groups is not None
    np.testing.assert_array_equal(found.groups[:24], found.groups[24:])
    assert daytime(path, real(intervals=24)).groups is None
    assert daytime(path, real(interval_s=5000.0)).groups is None


def test_an_aligned_study_has_the_clock_of_its_alignment(start_hours: Path) -> None:
    found = daytime(start_hours, real(align="19:30"))
    assert found.clock is not None
    assert found.clock[:2].tolist() == [19.5, 20.5]
    assert found.night[:2].tolist() == [1.0, 1.0]


def test_a_window_begins_where_it_does(start_hours: Path) -> None:
    whole, part = daytime(start_hours, real()), daytime(start_hours, real(window=[3, 20]))
    np.testing.assert_array_equal(part.night, whole.night[3:20])


def test_an_interval_of_simulated_mice_is_the_hour_that_it_stands_for(start_hours: Path) -> None:
    params = small_params(histograms={"intervals": 48})
    assert params.histograms.interval_s == params.simulate.seconds_per_hour == 10
    np.testing.assert_array_equal(daytime(start_hours, params).night, daytime(start_hours, real()).night)
