"""Sections of params.yaml."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from conftest import told
from lmtcnn.core.errors import ParamsError
from lmtcnn.core.params import Params, parse_section
from lmtcnn.core.sections import Arena, HistogramsParams, dump


def test_parameters_are_frozen(params: Params) -> None:
    with pytest.raises(ValidationError):
        params.stops.fps = 25


@given(x=st.floats(-1e6, 1e6))
def test_pixels_become_cm_by_times_10_divided_by_57(x: float) -> None:
    values = {"x_px": 114, "y_px": 63, "width_px": 284, "height_px": 290, "cm_per_px": "10/57", "flip": "none"}
    arena = parse_section(Arena, values, "test")
    assert arena.cm(x) == x * 10 / 57
    assert arena.cm(np.array([x]))[0] == x * 10 / 57
    assert (arena.width_cm, arena.height_cm) == (284 * 10 / 57, 290 * 10 / 57)


@given(
    hours=st.integers(0, 23),
    minutes=st.integers(0, 59),
    intervals=st.integers(1, 1000),
    interval_s=st.floats(1e-3, 1e6),
    tiles=st.integers(1, 100),
    weight=st.sampled_from(["count", "duration"]),
    outside=st.sampled_from(["clip", "drop"]),
    window=st.sampled_from(["all", [0, 1]]),
    only=st.sampled_from(["all", "night", "day"]),
    late=st.sampled_from(["refuse", "cut"]),
    timezone=st.sampled_from(["UTC", "Europe/Paris", "America/New_York"]),
)
def test_any_section_survives_dump_and_parse(hours: int, minutes: int, **values: object) -> None:
    lights_on = "08:00" if (hours, minutes) != (8, 0) else "09:00"  # a night has a length
    raw = {**values, "align": f"{hours}:{minutes:02}", "night": [f"{hours:02}:{minutes:02}", lights_on]}
    section = parse_section(HistogramsParams, raw, "test")
    assert parse_section(HistogramsParams, dump(section), "test") == section
    assert section.align == f"{hours:02}:{minutes:02}"


def test_zones_are_circles_and_rectangles(change) -> None:
    zones = {
        "nest": {"kind": "nest", "circle_cm": [9, 41, 5.5]},
        "shelf": {"kind": "other", "rectangle_cm": [0, 10, 4, 2]},
    }
    assert change(zones=zones).furniture == {
        "nest": {"shape": "circle", "x_cm": 9, "y_cm": 41, "radius_cm": 5.5, "kind": "nest"},
        "shelf": {"shape": "rectangle", "x_cm": 0, "y_cm": 10, "width_cm": 4, "height_cm": 2, "kind": "other"},
    }
    assert change(zones={}).furniture == {}


@pytest.mark.parametrize(
    ("zone", "line"),
    [
        (
            {"kind": "nest"},
            "zones.a: expected either circle_cm or rectangle_cm, found {'kind': 'nest'}; correct the value",
        ),
        (
            {"kind": "bed", "circle_cm": [1, 2, 3]},
            "zones.a.kind: expected 'nest', 'dome', 'feeder', 'water' or 'other', found 'bed'; correct the value",
        ),
        (
            {"kind": "nest", "circle_cm": [1, 2, 0]},
            "zones.a.circle_cm.2: expected greater than 0, found 0; correct the value",
        ),
    ],
)
def test_a_zone_that_is_none_is_told(change, zone: dict, line: str) -> None:
    assert told(ParamsError, change, zones={"a": zone}) == (f"test: {line}",)


def test_nothing_stands_in_the_cage_until_somebody_writes_it(params: Params) -> None:
    assert Params().furniture == {}
    assert set(params.furniture) == {"dome", "nest", "upper_feeder", "lower_feeder", "water"}  # the demo's


DO = "correct the value"


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"simulate.seconds_per_hour": 3601}, "simulate.seconds_per_hour: expected less than or equal to 3600, found "
         f"3601; {DO}"),
        ({"histograms.window": [0, 73]}, "histograms.window: expected all, or [a, b] with b at most the number of "
         f"intervals, 72, found (0, 73); {DO}"),
        ({"histograms.only": "dusk"}, f"histograms.only: expected 'all', 'night' or 'day', found 'dusk'; {DO}"),
        ({"histograms.late": "keep"}, f"histograms.late: expected 'refuse' or 'cut', found 'keep'; {DO}"),
        ({"stops.half_window_frames": 0}, "stops.half_window_frames: expected greater than or equal to 1, found 0; "
         f"{DO}"),
        ({"stops.flicker_mean_cm": 0}, f"stops.flicker_mean_cm: expected greater than 0, found 0; {DO}"),
        ({"stops.clock": "sun"}, f"stops.clock: expected 'timestamp' or 'frame', found 'sun'; {DO}"),
        ({"quality.detected_fail": 0.9},
         f"quality.detected_fail: expected at most detected_warn, 0.8, found 0.9; {DO}"),
        ({"quality.outside_fail": 0}, f"quality.outside_fail: expected at least outside_warn, 0.01, found 0; {DO}"),
        ({"quality.temperature_fail_c": [26, 20]}, "quality.temperature_fail_c: expected limits around "
         f"temperature_warn_c, 21 to 25, found (26, 20); {DO}"),
    ],
)  # fmt: skip
def test_limits_of_a_section_are_held(change, values: dict[str, object], line: str) -> None:
    assert told(ParamsError, lambda: change(**values)) == (f"test: {line}",)
