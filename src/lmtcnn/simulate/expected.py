"""Expected behaviour of a class, computed and not drawn: the truth that explanations are scored against.

By clock hour and tile, the stops that a mouse of a class is expected to make: those awake and those asleep by the
hours awake, each spread over the zones by the class's weights and over the floor by where a zone's stops lie. Over
cages and animals a zone's place is a normal distribution, and the nest's a ring (`simulate.nest_shift_cm`). A juvenile
male is the mean of four mice on the way from JF to AM. Effects of cage and animal on weights and activity, and the
wakeful first hours in a new place, are left out: they have no class.
"""

import functools
from typing import Any

import numpy as np

from lmtcnn.core.sections import SimulateParams
from lmtcnn.simulate import behaviour, truth, variants
from lmtcnn.simulate.truth import CLASSES, FLOOR_CM, MICE, Floats

TILES = 30
"""Tiles to each side of the maps in truth.json, whatever `histograms.tiles` is."""

_FINE = 32  # points to each side of a zone
_NODES, _NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(5)  # of a normal distribution
_TURNS = (np.arange(32) + 0.5) / 32  # directions in which a nest may lie


def stops(name: str, simulate: SimulateParams, tiles: int = TILES) -> Floats:
    """Shares of a day's stops that a class is expected to make, by clock hour and tile.

    Parameters
    ----------
    name
        The class.
    simulate
        The cohort.
    tiles
        N, tiles to each side.

    Returns
    -------
    Floats
        (24, N, N), of sum 1; rows are y.
    """
    floor = simulate.model_copy(update={"seed": 0, "cages": 1, "effect": 0.0, "effect_in": "both", "leak": "none"})
    by_tile = np.einsum("hz,zij->hij", by_zone(name, simulate), zone_maps(floor, tiles))  # as all such cohorts have
    return np.asarray(by_tile / by_tile.sum())


def by_zone(name: str, simulate: SimulateParams) -> Floats:
    """Stops of a class by clock hour and zone, (24, Z), in units that all classes have in common."""
    shares = (np.arange(MICE) + 0.5) / MICE * np.diff(truth.MIXTURE_SHARES) + truth.MIXTURE_SHARES[0]
    mice = [_of_mouse(name, simulate, float(share)) for share in (shares if name == "JM" else shares[:1])]
    return np.asarray(np.mean(mice, axis=0))


def _of_mouse(name: str, simulate: SimulateParams, share: float) -> Floats:
    hours = np.arange(24)
    awake = truth.awake_at(hours, truth.awake_logit(name, simulate, share))
    effect = simulate.effect * truth.gain(simulate.effect_in)
    active, rest = (truth.class_weights(name, kind, effect, share) for kind in truth.KINDS)
    if simulate.effect_in == "time":
        active = truth.swayed(active, awake, hours, truth.own_hours(name, share), simulate.effect)
    rest_s = max(behaviour.REST_S * simulate.seconds_per_hour / 3600, behaviour.REST_FLOOR_S)
    resting = behaviour.rest_share(simulate, awake, rest_s)  # of all stops
    number = awake / (1 - resting) / variants.pace(simulate, name)  # stops awake come as the time awake
    return np.asarray(number[:, None] * ((1 - resting)[:, None] * active + resting[:, None] * rest))


@functools.lru_cache(maxsize=8)
def zone_maps(simulate: SimulateParams, tiles: int) -> Floats:
    """Where the stops of each zone lie, in the mean over cages and mice: (Z, N, N) of sum 1 each; not to be changed."""
    sd_cm = float(np.hypot(2.0 * simulate.cage_effect, simulate.animal_effect))
    spread = np.stack(np.meshgrid(_NODES, _NODES), axis=-1).reshape(-1, 2) * sd_cm
    spread_weight = np.outer(_NODE_WEIGHTS, _NODE_WEIGHTS).ravel()
    arrays, maps = truth.zone_arrays(), []
    for number, zone in enumerate(truth.ZONES):
        unit = _points(bool(arrays["circle"][number]))
        moves, weight = spread, spread_weight
        if zone.name == "nest":
            nests = variants.nest_shift_cm(simulate, zone.json(), _TURNS)
            moves = (spread[:, None] + nests).reshape(-1, 2)
            weight = np.repeat(spread_weight, len(nests))
        places = arrays["centre"][number] + moves[:, None] + unit * arrays["half"][number]
        maps.append(_rasterised(simulate, places.reshape(-1, 2), np.repeat(weight, len(unit)), tiles))
    return np.stack(maps)


def _points(circle: bool, fine: int = _FINE) -> Floats:
    """Points spread evenly over a zone, `fine` to each side, in units of its half size: (n, 2)."""
    line = (np.arange(fine) + 0.5) / fine * 2 - 1
    square = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    return square[np.hypot(*square.T) <= 1] if circle else square


def _rasterised(simulate: SimulateParams, places_cm: Floats, weight: Floats, tiles: int) -> Floats:
    """Weights of places by tile, (N, N) of sum 1, on the floor of the layout."""
    if simulate.layout == "uniform":
        everywhere = _points(False, 8 * tiles)
        weight = np.ones(len(everywhere))
        places_cm = variants.arrange(simulate, np.zeros_like(everywhere), everywhere)
    else:
        places_cm = variants.arrange(simulate, places_cm, np.zeros_like(places_cm))
    column, row = np.minimum((places_cm / np.array(FLOOR_CM) * tiles).astype(np.int64), tiles - 1).T
    counts = np.bincount(row * tiles + column, weights=weight, minlength=tiles * tiles)
    return np.asarray((counts / counts.sum()).reshape(tiles, tiles))


def truth_of_classes(simulate: SimulateParams) -> dict[str, Any]:
    """Collect the expectations for truth.json: each class's map, its stops by clock hour and its map in each hour.

    `share_map` (N, N) sums to 1000; `stops_by_clock_hour` are stops against the mean over hours and classes;
    `difference_by_clock_hour`, of each pair, is half the sum over tiles of the absolute difference between the maps
    of that hour: 0 for equal ones, 1 for maps that share no tile.
    """
    each = {name: stops(name, simulate) for name in CLASSES.values()}
    rates = {name: by_zone(name, simulate).sum(axis=1) for name in each}
    mean = float(np.mean([rate.mean() for rate in rates.values()]))
    hourly = {name: found / found.sum(axis=(1, 2), keepdims=True) for name, found in each.items()}
    names = list(each)
    return {
        "tiles": TILES,
        "share_map_per_mille": {name: _rounded(1000 * found.sum(axis=0)) for name, found in each.items()},
        "stops_by_clock_hour": {name: _rounded(rate / mean) for name, rate in rates.items()},
        "difference_by_clock_hour": {
            f"{a} {b}": _rounded(np.abs(hourly[a] - hourly[b]).sum(axis=(1, 2)) / 2)
            for place, a in enumerate(names)
            for b in names[place + 1 :]
        },
    }


def _rounded(values: Floats) -> Any:
    """Five digits: the same text whatever the last bit of an exponential on another machine."""
    return (np.round(values, 5) + 0.0).tolist()
