"""The planted truth of simulated cohorts: where the zones lie, which class prefers which, and when.

The picture is the paper's (arXiv 2412.05158): adult females prefer the dome, which adult males avoid; adult males
favour the lower border between the lower feeder and the water, adult females the same place slightly to the left;
juvenile females have a corner of their own; juvenile males have nothing of their own, each lies somewhere between
the adult males and the juvenile females. Hours follow the light cycle (20:00-08:00 dark).

Everything a class differs in is a logarithm that `effect` multiplies, so `effect: 0` leaves no difference at all.
The numbers are our own choice: strong enough that adult sexes are told apart, and weak enough beside the effects of
cage and animal that classes overlap.

`effect_in` says where classes differ. `both`: the picture above, places that matter most at night, and activity.
`place`: those places, alike in all hours, and no activity. `time`: the same map over all hours, and other hours in
which a class is awake and in which it is in the upper or the lower half of the floor.
"""

import functools
import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lmtcnn.core.params import Params
from lmtcnn.core.sections import SimulateParams

Floats = NDArray[np.float64]

APPLICATION_ID = 0x4C4D5453
"""`LMTS` in the header of every simulated database."""

ORIGIN_PX = (114.0, 63.0)
PX_PER_CM = 5.7
FLOOR_CM = (284 / PX_PER_CM, 290 / PX_PER_CM)
FPS = 30
MICE = 4

CLASSES = {("M", "adult"): "AM", ("M", "juvenile"): "JM", ("F", "adult"): "AF", ("F", "juvenile"): "JF"}
KINDS: tuple[Literal["active", "rest"], ...] = ("active", "rest")
MIXTURE = ("AM", "JF")
"""What a juvenile male lies between: its own share of the first and the rest of the second."""
MIXTURE_SHARES = (0.2, 1.0)
"""Where that share lies: from a mouse much like a juvenile female to one that is an adult male."""
MEAN_SHARE = sum(MIXTURE_SHARES) / 2

UNIT = 0.5
"""cage_effect or animal_effect 1: this standard deviation of the natural logarithm of a zone's weight."""


@dataclass(frozen=True)
class Zone:
    """A place on the floor: a circle's centre and radius, or a rectangle's upper left corner and size, in cm."""

    name: str
    shape: Literal["circle", "rectangle"]
    x_cm: float
    y_cm: float
    width_cm: float  # of a circle: the radius
    height_cm: float  # of a circle: the radius
    active: float  # share of an awake mouse's stops before any effect
    rest: float  # share of its rests

    def json(self) -> dict[str, Any]:
        """The zone as truth.json holds it."""
        place = {"shape": self.shape, "x_cm": self.x_cm, "y_cm": self.y_cm}
        if self.shape == "circle":
            return {**place, "radius_cm": self.width_cm}
        return {**place, "width_cm": self.width_cm, "height_cm": self.height_cm}


def _circle(name: str, place_cm: tuple[float, float, float], active: float, rest: float = 0.0) -> Zone:
    x_cm, y_cm, radius_cm = place_cm
    return Zone(name, "circle", x_cm, y_cm, radius_cm, radius_cm, active, rest)


def _rectangle(name: str, place_cm: tuple[float, float, float, float], active: float) -> Zone:
    return Zone(name, "rectangle", *place_cm, active, 0.0)


ZONES = (
    _circle("dome", (6.5, 6.5, 4.5), 0.10, 0.30),
    _circle("nest", (9.0, 41.0, 5.5), 0.10, 0.55),
    _circle("upper_feeder", (33.0, 3.5, 2.5), 0.10),
    _circle("lower_feeder", (26.5, 47.5, 2.5), 0.11),
    _circle("water", (47.0, 48.0, 2.5), 0.10),
    _rectangle("lower_border", (31.0, 45.9, 14.0, 4.0), 0.08),  # from the lower feeder to the water
    _rectangle("lower_border_left", (25.0, 45.9, 14.0, 4.0), 0.08),
    _circle("right_corner", (44.0, 6.0, 4.5), 0.08, 0.15),
    _rectangle("left_wall", (1.0, 13.0, 3.0, 20.0), 0.06),
    _rectangle("right_wall", (45.8, 12.0, 3.0, 30.0), 0.06),
    _rectangle("upper_wall", (12.0, 1.0, 28.0, 3.0), 0.05),
    _rectangle("centre", (12.0, 12.0, 26.0, 26.0), 0.08),
)
ZONE_NAMES = tuple(zone.name for zone in ZONES)

PREFERENCES: dict[str, dict[str, float]] = {
    "AM": {"dome": -2.2, "lower_border": 2.0, "water": 0.6, "nest": 0.4},
    "AF": {"dome": 1.7, "lower_border_left": 1.7, "upper_feeder": 0.3},
    "JF": {"right_corner": 2.1, "nest": 0.8, "centre": 0.6, "dome": -0.5},
}
"""Natural logarithms by which a class multiplies the share of a zone, at effect 1 and in the hours that matter."""

GAIN = tuple(1.0 if hour in (20, 21, 22, 23, 0, 1) else 0.8 if hour < 8 else 0.5 for hour in range(24))
"""How much of PREFERENCES acts, by clock hour: in full for six hours from lights-off."""
HOURS_THAT_MATTER = tuple(hour for hour in (*range(20, 24), *range(20)) if GAIN[hour] == 1.0)
"""Of `effect_in: both`; the hours of another cohort are in its truth.json."""

_DARK = {20: 0.85, 21: 0.80, 22: 0.72, 23: 0.65, 0: 0.60, 1: 0.56, 2: 0.54, 3: 0.54, 4: 0.56, 5: 0.62, 6: 0.68, 7: 0.60}
AWAKE = tuple(_DARK.get(hour, 0.38 if hour < 18 else 0.42) for hour in range(24))
"""Share of the time a mouse is awake, by clock hour, before any effect (LMT.md: asleep 467/720 min of the light)."""
AWAKE_LOGIT: dict[str, tuple[float, ...]] = {
    "AM": tuple(-0.10 for _ in range(24)),
    "AF": tuple(0.10 for _ in range(24)),
    "JF": tuple(0.60 if 2 <= hour < 8 else 0.15 for hour in range(24)),  # more active hours
}
OWN_HOURS = {"AM": (20, 21, 22, 23), "AF": (1, 2, 3, 4), "JF": (6, 7, 8, 9)}
"""`effect_in: time`: the clock hours in which a class is more awake, and more in the upper half of the floor."""
OWN_AWAKE_LOGIT = 0.5
"""... by this much of the logit of being awake, at effect 1; for that it is less awake in the own hours of others."""
UPPER, LOWER = ("dome", "upper_feeder", "right_corner", "upper_wall", "left_wall"), (
    "nest", "lower_feeder", "water", "lower_border", "lower_border_left",
)  # fmt: skip
"""... and the zones that it visits more, and less, in them; the other way round in the own hours of others."""
MOST_SWAY = 0.95
"""At most this share of a zone's weight is moved from hour to hour."""

NOVELTY = (0.92, 0.80, 0.60)
"""A mouse in a new place is awake at least this much of the recording's first hours."""
MALE_SPREAD = 0.5
"""Males vary more: the spread of their activity is 1 + 0.5 * effect times that of females."""


@functools.cache
def zone_arrays() -> dict[str, NDArray[Any]]:
    """The zones as columns: centre and half size in cm, `circle` true or false; not to be changed."""
    circle = np.array([zone.shape == "circle" for zone in ZONES])
    corner = np.array([(zone.x_cm, zone.y_cm) for zone in ZONES])
    size = np.array([(zone.width_cm, zone.height_cm) for zone in ZONES])
    half = np.where(circle[:, None], size, size / 2)
    return {"circle": circle, "centre": np.where(circle[:, None], corner, corner + half), "half": half}


def class_weights(name: str, kind: Literal["active", "rest"], effect: Floats, share: float = 0.5) -> Floats:
    """Weights (n, Z) of a class's zones where `effect` (n,) of PREFERENCES acts, before cage and animal.

    A juvenile male's are `share` times those of AM and the rest those of JF.
    """
    if name == "JM":
        first, second = (class_weights(end, kind, effect) for end in MIXTURE)
        return share * first + (1 - share) * second
    base = np.array([getattr(zone, kind) for zone in ZONES])
    return weights(base, effect[:, None] * class_log_preference(name))


def class_log_preference(name: str) -> Floats:
    """PREFERENCES as a vector over ZONES; of JM the mean of the two it lies between."""
    if name == "JM":
        return np.asarray(sum(class_log_preference(end) for end in MIXTURE) / 2)
    return np.array([PREFERENCES[name].get(zone, 0.0) for zone in ZONE_NAMES])


def gain(effect_in: str) -> Floats:
    """How much of PREFERENCES acts, by clock hour (24,): GAIN; its mean in every hour, for `place`; nothing."""
    by_hour = np.array(GAIN)
    return {"both": by_hour, "place": np.full(24, by_hour.mean()), "time": np.zeros(24)}[effect_in]


def awake_logit(name: str, simulate: SimulateParams, share: float = 0.5) -> Floats:
    """Return what a class adds to the logit of being awake by clock hour, (24,), under `effect` and `effect_in`."""
    if simulate.effect_in == "both":
        return simulate.effect * class_awake_logit(name, share)
    if simulate.effect_in == "place":
        return np.zeros(24)
    return _balanced(simulate.effect * OWN_AWAKE_LOGIT * own_hours(name, share))


def own_hours(name: str, share: float = 0.5) -> Floats:
    """1 in a class's OWN_HOURS and 0 in others, (24,); of JM the mixture of the two it lies between."""
    if name == "JM":
        first, second = (own_hours(end) for end in MIXTURE)
        return share * first + (1 - share) * second
    return np.isin(np.arange(24), OWN_HOURS[name]).astype(np.float64)


def _balanced(logit: Floats) -> Floats:
    """Subtract a constant in all classes' own hours, so that the hours awake of a day stay as they are: (24,)."""
    hours, some = np.arange(24), some_hours()
    wanted = awake_at(hours, np.zeros(24)).sum()
    low, high = float(logit.min()), float(logit.max())
    for _ in range(60):  # halving: the sum falls as the constant grows
        middle = (low + high) / 2
        low, high = (middle, high) if awake_at(hours, logit - middle * some).sum() > wanted else (low, middle)
    return logit - (low + high) / 2 * some


def some_hours() -> Floats:
    """1 in hours that are some class's own, else 0: (24,)."""
    return np.isin(np.arange(24), [hour for hours in OWN_HOURS.values() for hour in hours]).astype(np.float64)


def swayed(active: Floats, awake: Floats, hours: NDArray[np.int64], own: Floats, effect: float) -> Floats:
    """Weights of zones that move between the halves of the floor from hour to hour, on the same map over all hours.

    w(h, z) = w(h, z) (1 + a(h) (d(z) - mean of d)), with d = 1 in UPPER, -1 in LOWER, else 0; a(h) is `effect` times
    `own`, less a constant in hours that are some class's own, so that sum over h of a(h) awake(h) = 0: stops awake come
    as the time awake. In all other hours, a(h) is 0.

    Parameters
    ----------
    active
        (T, Z) weights that are the same in every hour.
    awake
        (T,) share of the time awake.
    hours
        (T,) clock hours.
    own
        (24,) how much a clock hour is one of the class's own, 0 to 1.
    effect
        Of the whole; where a weight would come near 0, less (MOST_SWAY).

    Returns
    -------
    Floats
        (T, Z), each row of sum 1.
    """
    direction = np.array([(zone in UPPER) - (zone in LOWER) for zone in ZONE_NAMES], dtype=np.float64)
    direction = direction - active @ direction[:, None]  # (T, Z), of mean 0 under the weights
    some, here = some_hours()[hours], own[hours]
    sway = effect * (here - some * (here @ awake) / max(float(some @ awake), 1e-12))
    most = float(np.abs(sway).max() * np.abs(direction).max())
    sway = sway * min(1.0, MOST_SWAY / most) if most > 0 else sway
    return np.asarray(active * (1 + sway[:, None] * direction))


def class_awake_logit(name: str, share: float = 0.5) -> Floats:
    """AWAKE_LOGIT by clock hour; `share` as in class_weights."""
    if name == "JM":
        first, second = (class_awake_logit(end) for end in MIXTURE)
        return share * first + (1 - share) * second
    return np.array(AWAKE_LOGIT[name])


def weights(base: Floats, log_weights: Floats) -> Floats:
    """Shares that sum to 1: base * exp(log_weights), normalised over the last axis."""
    raw = base * np.exp(log_weights)
    return np.asarray(raw / raw.sum(axis=-1, keepdims=True))


def awake_at(hours: NDArray[np.int64], logit: Floats) -> Floats:
    """AWAKE at clock hours after a shift of its logit: two arrays of one length."""
    base = np.array([math.log(share / (1 - share)) for share in AWAKE])[hours]
    return np.asarray(1 / (1 + np.exp(-base - logit)))


def class_truth(name: str, simulate: SimulateParams) -> dict[str, Any]:
    """Return what a class prefers in the hours that matter, and how much it is awake; no cage or animal effect."""
    most = simulate.effect * gain(simulate.effect_in).max(keepdims=True)
    return {
        "log_preference": _named(float(most[0]) * class_log_preference(name)),
        "active_weights": _named(class_weights(name, "active", most)[0]),
        "rest_weights": _named(class_weights(name, "rest", most)[0]),
        "awake_by_clock_hour": _rounded(awake_at(np.arange(24), awake_logit(name, simulate))),
    }


def truth(params: Params) -> dict[str, Any]:
    """Return what was planted, as plain JSON values: zones in cm, classes, hours, effects, seed.

    The numbers of JM are those of a mouse halfway between the two ends of `mixture`; every mouse's own share is in
    truth.json's `recordings`, which `simulate.truth` adds, as it does the maps and hours of each class (expected.py).
    """
    simulate = params.simulate
    return {
        "simulated": True,
        "seed": simulate.seed,
        "hours": simulate.hours,
        "seconds_per_hour": simulate.seconds_per_hour,
        "effect": simulate.effect,
        "effect_in": simulate.effect_in,
        "leak": simulate.leak,
        "layout": simulate.layout,
        "cage_effect": simulate.cage_effect,
        "animal_effect": simulate.animal_effect,
        "cage_and_animal_effect_sd_log": UNIT,
        "nest_shift_cm": simulate.nest_shift_cm,
        "huddling": simulate.huddling,
        "shared_sleep": simulate.shared_sleep,
        "floor_cm": _rounded(FLOOR_CM),
        "origin": "upper left corner of the floor, x to the right, y down",
        "zones": {zone.name: zone.json() for zone in ZONES},
        "classes": {name: class_truth(name, simulate) for name in CLASSES.values()},
        "mixture": {
            "JM": list(MIXTURE),
            "shares": list(MIXTURE_SHARES),
            "share": "of the first, drawn for every animal",
        },
        "preference_gain_by_clock_hour": _rounded(gain(simulate.effect_in)),
        "hours_that_matter": list(hours_that_matter(simulate)),
        "lights_off": "20:00",
        "lights_on": "08:00",
    }


def hours_that_matter(simulate: SimulateParams) -> tuple[int, ...]:
    """Clock hours in which classes differ most, from lights-off on: all hours alike, or none, are no such hours."""
    if simulate.effect == 0 or simulate.effect_in == "place":
        return ()
    if simulate.effect_in == "both":
        return HOURS_THAT_MATTER
    return tuple(hour for hour in (*range(20, 24), *range(20)) if some_hours()[hour])


def _named(values: Floats) -> dict[str, float]:
    return dict(zip(ZONE_NAMES, _rounded(values), strict=True))


def _rounded(values: Floats | tuple[float, ...]) -> list[float]:
    """Six digits: the same text whatever the last bit of an exponential on another machine."""
    return [round(float(value), 6) + 0.0 for value in values]
