"""Cohorts that are not plain: artefacts that go with the class, and floors on which all lies elsewhere.

A *leak* lets one thing that is no behaviour tell the class, so that the control for it is seen to fire. A *layout*
moves every place, whatever the class: mice in a cage unlike those of a training cohort, of which a model should doubt.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmtcnn.core.sections import SimulateParams
from lmtcnn.simulate.truth import FLOOR_CM, Floats

MARGIN_CM = 1.0
"""The centre of mass does not come closer to a wall."""

IDENTIFIED = (0.93, 0.97)
"""A mouse is known in a share of its frames that is drawn from here (LMT.md)."""

LEAKING_IDENTIFIED = {"AM": (0.96, 0.97), "JM": (0.945, 0.955), "AF": (0.93, 0.94), "JF": (0.915, 0.925)}
"""... and with `leak: quality` from here: all of it well above `quality.detected_warn`."""

START_MIN = (-90, 90)
"""A recording starts so many minutes from 14:00."""

LEAKING_START_MIN = {"AM": (2, 9), "JM": (17, 24), "AF": (32, 39), "JF": (47, 54)}
"""... and with `leak: clock` so many: within one clock hour, so that light and activity, which go by clock hours in
the simulator, come in the same interval for all."""

LEAKING_PACE = {"AM": 1.0, "JM": 1.2, "AF": 1.44, "JF": 1.73}
"""With `leak: counts` every stop lasts so many times as long: fewer fit into an hour, at the same places."""

SHIFT_CM = 5.0
"""`layout: shifted` moves every place so far to the right."""


def start_min(simulate: SimulateParams, class_name: str, u: float) -> int:
    """Minutes after 14:00 at which a recording starts; `u` is uniform over [0, 1)."""
    low, high = LEAKING_START_MIN[class_name] if simulate.leak == "clock" else START_MIN
    return low + int(u * (high + 1 - low))


def identified(simulate: SimulateParams, class_name: str, u: float) -> float:
    """Share of the frames in which a mouse is known; `u` is uniform over [0, 1)."""
    low, high = LEAKING_IDENTIFIED[class_name] if simulate.leak == "quality" else IDENTIFIED
    return low + u * (high - low)


def pace(simulate: SimulateParams, class_name: str) -> float:
    """How many times as long as usual a stop lasts."""
    return LEAKING_PACE[class_name] if simulate.leak == "counts" else 1.0


def arrange(simulate: SimulateParams, places_cm: Floats, unit: Floats) -> Floats:
    """Places on the floor of `layout`.

    Parameters
    ----------
    simulate
        Says which layout.
    places_cm
        (n, 2) in the plain one; those outside of the margin are moved to its edge.
    unit
        (n, 2), uniform over [-1, 1): where on the whole floor a place lies if zones mean nothing (`uniform`).

    Returns
    -------
    Floats
        (n, 2) in cm: mirrored from left to right; turned by 90 degrees clockwise, widths stretched to heights; shifted
        by SHIFT_CM; uniform over the floor; or as they are.
    """
    floor = np.array(FLOOR_CM)
    x, y = places_cm[:, 0], places_cm[:, 1]
    if simulate.layout == "mirrored":
        places_cm = np.stack([floor[0] - x, y], axis=1)
    elif simulate.layout == "rotated":
        places_cm = np.stack([floor[0] * (1 - y / floor[1]), floor[1] * x / floor[0]], axis=1)
    elif simulate.layout == "shifted":
        places_cm = places_cm + np.array([SHIFT_CM, 0.0])
    elif simulate.layout == "uniform":
        places_cm = floor / 2 + unit * (floor / 2 - MARGIN_CM)
    return np.asarray(np.clip(places_cm, MARGIN_CM, floor - MARGIN_CM))


def nest_shift_cm(simulate: SimulateParams, nest: dict[str, Any], turn: NDArray[Any]) -> Floats:
    """How far a cage's nest lies from its place, (n, 2) in cm, for directions `turn` (n,) from 0 to 1.

    `simulate.nest_shift_cm` in that direction; what would bring it off the floor goes the other way.
    """
    angle = 2 * np.pi * np.asarray(turn)
    shift = simulate.nest_shift_cm * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    centre, radius = np.array([nest["x_cm"], nest["y_cm"]]), float(nest["radius_cm"])
    off = (centre + shift < radius) | (centre + shift > np.array(FLOOR_CM) - radius)
    return np.asarray(np.where(off, -shift, shift))
