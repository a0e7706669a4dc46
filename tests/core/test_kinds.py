"""Kinds of values in params.yaml."""

from fractions import Fraction

import pytest

from conftest import told
from lmtcnn.core.errors import ParamsError


@pytest.mark.parametrize(
    ("written", "exact"),
    [("10/57", Fraction(10, 57)), (0.175, Fraction(7, 40)), ("0.175", Fraction(7, 40)), (1, 1), ("20/57", "20/57")],
)
def test_the_scale_is_exact(change, written: object, exact: object) -> None:
    arena = change(**{"stops.arena.cm_per_px": written}).stops.arena
    assert arena.cm_per_px == Fraction(exact)


def test_a_label_may_be_a_whole_number(change) -> None:
    classes = {"young": {"weeks": 8}, "old": {"weeks": "40"}}
    assert change(classes=classes).classes["young"] == {"weeks": "8"}


DO = "correct the value"


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"stops.fps": 0}, f"stops.fps: expected greater than 0, found 0; {DO}"),
        ({"stops.fps": float("inf")}, f"stops.fps: expected a finite number, found inf; {DO}"),
        ({"histograms.window": [-1, 3]}, "histograms.window: expected all, or [a, b] with 0 <= a < b, found (-1, 3); "
         f"{DO}"),
        ({"histograms.window": [3, 3]}, "histograms.window: expected all, or [a, b] with 0 <= a < b, found (3, 3); "
         f"{DO}"),
        ({"histograms.window": [0, 1.5]}, "histograms.window: expected all, or two whole numbers such as [0, 24], "
         f"found (0, 1.5); {DO}"),
        ({"histograms.window": [3]}, "histograms.window: expected all, or two whole numbers such as [0, 24], found "
         f"(3,); {DO}"),
        ({"histograms.window": "first"}, "histograms.window: expected all, or two whole numbers such as [0, 24], found "
         f"'first'; {DO}"),
        ({"stops.flicker_window_frames": 18}, "stops.flicker_window_frames: expected an odd number of frames, so that "
         f"one is in the middle, found 18; {DO}"),
        ({"stops.max_flicker_frames": -1}, "stops.max_flicker_frames: expected greater than or equal to 0, found -1; "
         f"{DO}"),
        ({"stops.arena.cm_per_px": "10/0"}, "stops.arena.cm_per_px: expected a number or a fraction such as 10/57, "
         f"found '10/0'; {DO}"),
        ({"stops.arena.cm_per_px": True}, "stops.arena.cm_per_px: expected a number or a fraction such as 10/57, "
         f"found True; {DO}"),
        ({"stops.arena.cm_per_px": "-1/3"}, f"stops.arena.cm_per_px: expected a value above 0, found '-1/3'; {DO}"),
        ({"histograms.align": "noon"}, f"histograms.align: expected a clock time HH:MM, found 'noon'; {DO}"),
        ({"histograms.night": ["20:00", "24:00"]}, "histograms.night.1: expected a clock time HH:MM, found '24:00'; "
         f"{DO}"),
        ({"histograms.timezone": "Mars"}, "histograms.timezone: expected a time zone such as Europe/Paris, found "
         f"'Mars'; {DO}"),
        ({"train.kernels": [3, 4]}, "train.kernels.1: expected an odd kernel, so that a map keeps its place, found 4; "
         f"{DO}"),
        ({"train.kernels": [3, 3]}, f"train.kernels: expected values that differ, found (3, 3); {DO}"),
        ({"train.seeds": []}, f"train.seeds: expected 1 or more, found (); {DO}"),
        ({"train.seeds": [1, 1]}, f"train.seeds: expected values that differ, found (1, 1); {DO}"),
        ({"quality.detected_fail": 50}, f"quality.detected_fail: expected less than or equal to 1, found 50; {DO}"),
        ({"explain.seed": 7}, f"explain.seed: expected one of train.seeds, found something else; {DO}"),
    ],
)  # fmt: skip
def test_a_value_of_another_kind_is_refused_in_words(change, values: dict[str, object], line: str) -> None:
    assert told(ParamsError, lambda: change(**values)) == (f"test: {line}",)
