"""Simulated mice: who they are, where and when each of them stops, and the path its centre of mass takes.

A mouse alternates stops and runs. A stop's place is drawn from a mixture over zones whose weights are those of its
class (truth.py) times log-normal effects of its cage and of itself; a rest is a long stop, and how many stops are
rests follows the light cycle. A run is a minimum-jerk movement along a quadratic Bezier curve,
u(t) = 10 t^3 - 15 t^4 + 6 t^5, whose control points lie on the floor, so the whole path does. Speeds, jitter and the
30 frames a second are always real; `seconds_per_hour` compresses the light cycle and the rests.

Cage mates rest at one place in a share of their rests (`huddling`): they take the same random number to their own
weights, which so keep their means. Their activity swings together from hour to hour (`shared_sleep`).

Every random number comes from a stream named by (seed, cage, age, animal, purpose), never by the order of work. What
describes tracking - jitter, identity, unseen heads - is drawn alike for every class, unless a leak is planted
(variants.py).
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmtcnn.core.sections import SimulateParams
from lmtcnn.simulate import traits, truth, variants
from lmtcnn.simulate.traits import WHOLE_CAGE, Traits, stream
from lmtcnn.simulate.truth import FPS, Floats
from lmtcnn.simulate.variants import MARGIN_CM

Ints = NDArray[np.int64]

AGES = ("juvenile", "adult")
TRACKING = traits.TRACKING
_FIRST_DAY = datetime(2024, 1, 8, 14, 0, tzinfo=UTC)

REST_S = 150.0  # mean sleep bout (LMT.md: 1.9-3.0 min)
REST_FLOOR_S = 10.0  # ... however short an hour: a rest stays longer than an active stop
ACTIVE_STOP_S = (1.1, 2.0, 0.55)  # shortest, and shape and scale of the gamma above it: mean 2.2 s
ACTIVE_CYCLE_S = 3.6  # mean of such a stop and the run after it: 1,000 in an hour awake (LMT.md)
STAY = 0.3  # share of awake stops in the zone of the one before: stops attract stops (LMT.md)
PEAK_CM_PER_S = (15.0, 25.0)  # peak speed of a short run ...
LONG_PATH = (30.0, 15.0)  # ... and from 30 cm on 15 cm/s more: 15 to 40 in all, and long runs do not fade out
SHORTEST_PATH_CM = 8.0  # shorter ones bend, so that a run always exceeds the speed of a stop
LONGEST_RUN_S = 3.5  # of a cohort in which the time from stop to stop knows nothing of places (`_steady`)
MEAN_RUN_S = 1.4
HUDDLE_CM = 1.0  # standard deviation of a huddled mouse's place around the others'
RUN_FRAMES = (237, 630)  # identity is carried in runs of this length (LMT.md)


@dataclass(frozen=True)
class Recording:
    """One cage at one age."""

    name: str
    cage: str
    number: int  # of the cage, from 1
    sex: str
    age: str
    start_ms: int  # epoch ms of the first frame
    start_clock_h: float  # clock time of the first frame, in hours

    @property
    def class_name(self) -> str:
        """The class of its four mice."""
        return truth.CLASSES[self.sex, self.age]


@dataclass(frozen=True)
class Mouse:
    """The values that are drawn once for a mouse in one recording; T hours, Z zones."""

    animal: int  # ANIMAL.ID, 1 to 4
    rfid: str
    share: float  # of MIXTURE's first class; means something in juvenile males only
    active: Floats  # (T, Z) weights of the zones
    rest: Floats  # (T, Z)
    awake: Floats  # (T,) share of the time
    shift_cm: Floats  # (Z, 2) where this mouse's zones lie off their place
    jitter_px: float
    identified: float
    pace: float  # how many times as long as usual its stops last
    huddle: Floats  # (T, 3) the same for all mice of the recording: which zone, and where in it, uniform over [0, 1)


@dataclass(frozen=True)
class Plan:
    """The planted stops of one mouse, in order; frames count from 0, `end` is exclusive."""

    start: Ints
    end: Ints
    place_cm: Floats  # (n, 2)
    bend_cm: Floats  # (n, 2) control point of the run that leads to this stop


def recordings(simulate: SimulateParams) -> list[Recording]:
    """The cohort in order: cages alternate in sex, each is recorded as juveniles and again as adults."""
    width = max(2, len(str(simulate.cages)))
    found = []
    for number in range(1, simulate.cages + 1):
        for code, age in enumerate(AGES, start=1):
            sex = "F" if number % 2 else "M"
            u = float(stream(simulate.seed, number, code, WHOLE_CAGE, traits.START).random())
            late_min = variants.start_min(simulate, truth.CLASSES[sex, age], u)
            start = _FIRST_DAY + timedelta(days=7 * number + 42 * (code - 1), minutes=late_min)
            cage = f"cage{number:0{width}}"
            clock_h = start.hour + start.minute / 60
            ms = round(start.timestamp() * 1000)
            found.append(Recording(f"{cage}_{age}", cage, number, sex, age, ms, clock_h))
    return found


def mouse_stream(simulate: SimulateParams, recording: Recording, animal: int, purpose: int) -> np.random.Generator:
    """The random numbers of a mouse in one recording (animal 0: of the recording)."""
    return stream(simulate.seed, recording.number, AGES.index(recording.age) + 1, animal, purpose)


def clock_hours(simulate: SimulateParams, recording: Recording) -> Ints:
    """The clock hour in which each hour of the recording begins: (T,)."""
    return np.asarray(np.floor(recording.start_clock_h + np.arange(simulate.hours)).astype(np.int64) % 24)


def mouse(simulate: SimulateParams, recording: Recording, animal: int) -> Mouse:
    """Draw a mouse: class, plus cage and animal effects, half of each kept from juvenile to adult."""
    age = AGES.index(recording.age) + 1
    draw = Traits.draw(simulate, recording.number, age, animal)
    share_awake = _awake(simulate, recording, draw)
    active, rest = _zone_weights(simulate, recording, draw, share_awake)
    return Mouse(
        animal=animal,
        rfid=rfid(simulate, recording, animal),
        share=draw.share,
        active=active,
        rest=rest,
        awake=share_awake,
        shift_cm=draw.shift_cm,
        jitter_px=draw.jitter_px,
        identified=variants.identified(simulate, recording.class_name, draw.identified),
        pace=variants.pace(simulate, recording.class_name),
        huddle=mouse_stream(simulate, recording, WHOLE_CAGE, traits.MATES).random((simulate.hours, 3)),
    )


def _awake(simulate: SimulateParams, recording: Recording, draw: Traits) -> Floats:
    """Share of the time awake in each hour of the recording: (T,)."""
    hours = clock_hours(simulate, recording)
    varied = simulate.effect if simulate.effect_in == "both" else 0.0
    spread = 1 + truth.MALE_SPREAD * varied * (recording.sex == "M")
    logit = truth.awake_logit(recording.class_name, simulate, draw.share)[hours]
    share_awake = truth.awake_at(hours, logit + draw.cage_logit + spread * draw.animal_logit)
    first = min(len(truth.NOVELTY), simulate.hours)
    share_awake[:first] = np.maximum(share_awake[:first], truth.NOVELTY[:first])
    return share_awake


def _zone_weights(simulate: SimulateParams, recording: Recording, draw: Traits, awake: Floats) -> tuple[Floats, Floats]:
    """Weights of the zones in each hour of the recording, of an awake mouse and of its rests: (T, Z) each."""
    hours, name = clock_hours(simulate, recording), recording.class_name
    effect = simulate.effect * truth.gain(simulate.effect_in)[hours]
    active, rest = (
        truth.weights(truth.class_weights(name, kind, effect, draw.share), draw.log_weights) for kind in truth.KINDS
    )
    if simulate.effect_in == "time":
        active = truth.swayed(active, awake, hours, truth.own_hours(name, draw.share), simulate.effect)
    return active, rest


def rfid(simulate: SimulateParams, recording: Recording, animal: int) -> str:
    """15 digits; a mouse keeps them from juvenile to adult, and cohorts of other seeds have others."""
    return f"900{simulate.seed % 1_000_000:06}{recording.number:04}{animal:02}"


def plan(simulate: SimulateParams, recording: Recording, animal: Mouse) -> Plan:
    """Draw all stops of a mouse, hour by hour; the last one lasts to the end of the recording."""
    rng = mouse_stream(simulate, recording, animal.animal, traits.PLAN)
    frames = n_frames(simulate)
    latest = max(1, frames - round(2 * ACTIVE_STOP_S[0] * FPS))  # a stop that begins later might last less than 1 s
    pieces: list[tuple[Ints, Ints, Floats, Floats]] = []
    end, place = 0, np.array(truth.FLOOR_CM) / 2
    for hour in range(simulate.hours):
        hour_end = min(latest, round((hour + 1) * simulate.seconds_per_hour * FPS))
        while True:
            piece = _stops(rng, simulate, animal, hour, (end, place, hour_end - end))
            kept = int(np.searchsorted(piece[0], hour_end))
            if kept:
                pieces.append((piece[0][:kept], piece[1][:kept], piece[2][:kept], piece[3][:kept]))
                end, place = int(piece[1][kept - 1]), piece[2][kept - 1]
            if kept < len(piece[0]):
                break
    start, stop, places, bends = (np.concatenate([piece[k] for piece in pieces]) for k in range(4))
    stop[-1] = frames
    return Plan(start.astype(np.int64), stop.astype(np.int64), places, bends)


def _stops(
    rng: np.random.Generator, simulate: SimulateParams, animal: Mouse, hour: int, state: tuple[int, Floats, int]
) -> tuple[Ints, Ints, Floats, Floats]:
    """Stops (start, end, place, bend) after the state: frame and place where the last one ended, frames left."""
    end, place, left = state
    n = max(left, 0) // 60 + 8
    rest_s = max(REST_S * simulate.seconds_per_hour / 3600, REST_FLOOR_S)
    resting = rng.random(n) < rest_share(simulate, float(animal.awake[hour]), rest_s)
    places = _places(rng, simulate, resting, animal, hour)
    bends, path_cm = _paths(rng, np.vstack([place, places[:-1]]), places)
    shortest, shape, scale = ACTIVE_STOP_S
    stop_s = shortest + np.where(resting, rng.gamma(3.0, (rest_s - shortest) / 3.0, n), rng.gamma(shape, scale, n))
    long_cm, faster = LONG_PATH
    peak_cm_per_s = rng.uniform(*PEAK_CM_PER_S, n) + faster * np.minimum(path_cm / long_cm, 1)
    run_s = 1.875 * path_cm / peak_cm_per_s  # minimum jerk: peak = 1.875 mean
    stop_s = animal.pace * stop_s
    if _steady(simulate):
        run_s = np.minimum(run_s, LONGEST_RUN_S)
        stop_s = stop_s + LONGEST_RUN_S - run_s
    stop_frames, run_frames = np.rint(stop_s * FPS).astype(np.int64), np.ceil(run_s * FPS).astype(np.int64)
    if end == 0:
        run_frames[0] = 0  # a recording begins with a stop
    ends = end + np.cumsum(run_frames + stop_frames)
    return ends - stop_frames, ends, places, bends


def _steady(simulate: SimulateParams) -> bool:
    """Whether the time from stop to stop knows nothing of places.

    Classes that differ in places alone then have equal counts, and those that differ in time alone one map: else
    shorter ways from stop to stop would make more stops.
    """
    return simulate.effect_in != "both"


def rest_share(simulate: SimulateParams, awake: Any, rest_s: float) -> Any:
    """Share of stops that are rests, so that the share of time awake is `awake`."""
    longer_s = LONGEST_RUN_S - MEAN_RUN_S if _steady(simulate) else 0.0
    asleep = (1 - awake) * (ACTIVE_CYCLE_S + longer_s)
    return asleep / (asleep + awake * rest_s)


def _places(
    rng: np.random.Generator, simulate: SimulateParams, resting: NDArray[np.bool_], animal: Mouse, hour: int
) -> Floats:
    """Places of n stops: a zone by its weight, then anywhere in it: (n, 2)."""
    n = len(resting)
    zones, u = truth.zone_arrays(), rng.random(n)
    huddled = resting & (rng.random(n) < simulate.huddling)
    u = np.where(huddled, animal.huddle[hour, 0], u)
    drawn = [np.searchsorted(np.cumsum(weight[hour])[:-1], u, side="right") for weight in (animal.active, animal.rest)]
    new = np.where(rng.random(n) < STAY, 0, np.arange(n))
    zone = np.where(resting, drawn[1], drawn[0][np.maximum.accumulate(new)])
    within = np.where(huddled[:, None], animal.huddle[hour, 1:], rng.random((n, 2)))
    radius, angle = np.sqrt(within[:, 0]), 2 * np.pi * within[:, 1]
    disc = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    square = rng.uniform(-1, 1, (n, 2))
    unit = np.where(zones["circle"][zone, None], disc, square)
    places = zones["centre"][zone] + animal.shift_cm[zone] + unit * zones["half"][zone]
    places = places + huddled[:, None] * HUDDLE_CM * rng.standard_normal((n, 2))
    return variants.arrange(simulate, places, square)


def _paths(rng: np.random.Generator, origin: Floats, target: Floats) -> tuple[Floats, Floats]:
    """Control points (n, 2) on the floor, and the lengths of the curves (n,) as a root of squares."""
    way = target - origin
    distance = np.hypot(way[:, 0], way[:, 1])
    angle = np.arctan2(way[:, 1], way[:, 0]) + np.pi / 2
    middle = (origin + target) / 2
    inward = np.sum((np.array(truth.FLOOR_CM) / 2 - middle) * np.stack([np.cos(angle), np.sin(angle)], 1), axis=1)
    bend = np.abs(rng.normal(0.0, 0.15 * distance + 1.0)) + np.sqrt(np.maximum(SHORTEST_PATH_CM**2 - distance**2, 0))
    bend = np.where(inward < 0, -bend, bend)  # towards the centre, where there is room
    control = middle + bend[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    control = np.clip(control, MARGIN_CM, np.array(truth.FLOOR_CM) - MARGIN_CM)
    return control, np.sqrt(distance**2 + bend**2)


def n_frames(simulate: SimulateParams) -> int:
    """Frames of a recording."""
    return round(simulate.hours * simulate.seconds_per_hour * FPS)


def identity_edges(rng: np.random.Generator, animal: Mouse, frames: int) -> Ints:
    """Frames at which identity is lost (even places) and found again (odd places), up to `frames` and beyond."""
    mean_gap = sum(RUN_FRAMES) / 2 * (1 - animal.identified) / animal.identified
    n = frames // RUN_FRAMES[0] + 2
    runs = rng.integers(RUN_FRAMES[0], RUN_FRAMES[1] + 1, n)
    gaps = 1 + np.floor(rng.exponential(mean_gap, n)).astype(np.int64)
    edges = np.cumsum(np.stack([runs, gaps], axis=1).ravel()) - int(rng.integers(RUN_FRAMES[0]))
    return np.asarray(edges, dtype=np.int64)


def path(stops: Plan, first: int, last: int) -> tuple[Floats, Floats]:
    """Places without jitter and unit headings of frames [first, last): two arrays (n, 2)."""
    frames = np.arange(first, last)
    here = np.searchsorted(stops.start, frames, side="right") - 1
    moving = frames >= stops.end[here]
    towards = here + moving
    places = stops.place_cm[here]
    run, goal = here[moving], towards[moving]
    t = (frames[moving] - stops.end[run] + 1) / (stops.start[goal] - stops.end[run] + 1)
    u = (t * t * t * (10 + t * (6 * t - 15)))[:, None]
    a, b, c = stops.place_cm[run], stops.place_cm[goal], stops.bend_cm[goal]
    places[moving] = (1 - u) ** 2 * a + 2 * u * (1 - u) * c + u**2 * b
    way = np.diff(stops.place_cm, axis=0, prepend=stops.bend_cm[:1])
    heading = np.arctan2(way[:, 1], way[:, 0])
    unit = np.stack([np.cos(heading), np.sin(heading)], axis=1)
    return places, unit[towards]


def jitter(rng: np.random.Generator, n: int) -> NDArray[Any]:
    """Noise of standard deviation 1, a moving average over four frames: (n, 2) float32."""
    white = rng.standard_normal((n + 3, 2), dtype=np.float32)
    return np.asarray((white[:-3] + white[1:-2] + white[2:-1] + white[3:]) / 2)
