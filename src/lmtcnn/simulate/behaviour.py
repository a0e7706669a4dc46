"""Simulated mice: who they are, where and when each of them stops, and the path its centre of mass takes.

A mouse alternates stops and runs. A stop's place is drawn from a mixture over zones whose weights are those of its
class (truth.py) times log-normal effects of its cage and of itself; a rest is a long stop, and how many stops are
rests follows the light cycle. A run is a minimum-jerk movement along a quadratic Bezier curve,
u(t) = 10 t^3 - 15 t^4 + 6 t^5, whose control points lie on the floor, so the whole path does. Speeds, jitter and the
30 frames a second are always real; `seconds_per_hour` compresses the light cycle and the rests.

Every random number comes from a stream named by (seed, cage, age, animal, purpose), never by the order of work. What
describes tracking - jitter, identity, unseen heads - is drawn alike for every class.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmtcnn.core.sections import SimulateParams
from lmtcnn.simulate import truth
from lmtcnn.simulate.truth import FPS, Floats

Ints = NDArray[np.int64]

AGES = ("juvenile", "adult")
_BOTH_AGES, _WHOLE_CAGE = 0, 0
_START, _SHARES, _TRAITS, _PLAN, TRACKING = range(5)
_FIRST_DAY = datetime(2024, 1, 8, 14, 0, tzinfo=UTC)

REST_S = 150.0  # mean sleep bout (LMT.md: 1.9-3.0 min)
REST_FLOOR_S = 10.0  # ... however short an hour: a rest stays longer than an active stop
ACTIVE_STOP_S = (1.1, 2.0, 0.55)  # shortest, and shape and scale of the gamma above it: mean 2.2 s
ACTIVE_CYCLE_S = 3.6  # mean of such a stop and the run after it: 1,000 in an hour awake (LMT.md)
STAY = 0.3  # share of awake stops in the zone of the one before: stops attract stops (LMT.md)
PEAK_CM_PER_S = (15.0, 25.0)  # peak speed of a short run ...
LONG_PATH = (30.0, 15.0)  # ... and from 30 cm on 15 cm/s more: 15 to 40 in all, and long runs do not fade out
SHORTEST_PATH_CM = 8.0  # shorter ones bend, so that a run always exceeds the speed of a stop
MARGIN_CM = 1.0  # the centre of mass does not come closer to a wall
RUN_FRAMES = (237, 630)  # identity is carried in runs of this length (LMT.md)
IDENTIFIED = (0.93, 0.97)  # ... for this share of the frames
JITTER_PX = (0.1, 0.4)  # standard deviation of the centre of mass (LMT.md)


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
            rng = stream(simulate.seed, number, code, _WHOLE_CAGE, _START)
            late_min = int(rng.integers(-90, 91))
            start = _FIRST_DAY + timedelta(days=7 * number + 42 * (code - 1), minutes=late_min)
            cage = f"cage{number:0{width}}"
            clock_h = start.hour + start.minute / 60
            sex = "F" if number % 2 else "M"
            ms = round(start.timestamp() * 1000)
            found.append(Recording(f"{cage}_{age}", cage, number, sex, age, ms, clock_h))
    return found


def stream(seed: int, cage: int, age: int, animal: int, purpose: int) -> np.random.Generator:
    """The random numbers of one purpose; 0 stands for both ages and for the whole cage."""
    return np.random.default_rng(np.random.SeedSequence(entropy=seed, spawn_key=(cage, age, animal, purpose)))


def mouse_stream(simulate: SimulateParams, recording: Recording, animal: int, purpose: int) -> np.random.Generator:
    """The random numbers of a mouse in one recording (animal 0: of the recording)."""
    return stream(simulate.seed, recording.number, AGES.index(recording.age) + 1, animal, purpose)


def clock_hours(simulate: SimulateParams, recording: Recording) -> Ints:
    """The clock hour in which each hour of the recording begins: (T,)."""
    return np.asarray(np.floor(recording.start_clock_h + np.arange(simulate.hours)).astype(np.int64) % 24)


def mouse(simulate: SimulateParams, recording: Recording, animal: int) -> Mouse:
    """Draw a mouse: class, plus cage and animal effects, half of each kept from juvenile to adult."""
    age = AGES.index(recording.age) + 1
    draw = _Effects.draw(simulate, recording.number, age, animal)
    hours = clock_hours(simulate, recording)
    effect = simulate.effect * np.array(truth.GAIN)[hours]
    active, rest = (
        truth.weights(truth.class_weights(recording.class_name, kind, effect, draw.share), draw.log_weights)
        for kind in truth.KINDS
    )
    spread = 1 + truth.MALE_SPREAD * simulate.effect * (recording.sex == "M")
    logit = simulate.effect * truth.class_awake_logit(recording.class_name, draw.share)[hours]
    logit = logit + draw.cage_logit + spread * draw.animal_logit
    share_awake = truth.awake_at(hours, logit)
    first = min(len(truth.NOVELTY), simulate.hours)
    share_awake[:first] = np.maximum(share_awake[:first], truth.NOVELTY[:first])
    return Mouse(
        animal=animal,
        rfid=rfid(simulate, recording, animal),
        share=draw.share,
        active=active,
        rest=rest,
        awake=share_awake,
        shift_cm=draw.shift_cm,
        jitter_px=draw.jitter_px,
        identified=draw.identified,
    )


def rfid(simulate: SimulateParams, recording: Recording, animal: int) -> str:
    """15 digits; a mouse keeps them from juvenile to adult, and cohorts of other seeds have others."""
    return f"900{simulate.seed % 1_000_000:06}{recording.number:04}{animal:02}"


@dataclass(frozen=True)
class _Effects:
    log_weights: Floats  # (Z,)
    cage_logit: float
    animal_logit: Floats  # (T,)
    shift_cm: Floats  # (Z, 2)
    share: float
    jitter_px: float
    identified: float

    @staticmethod
    def draw(simulate: SimulateParams, cage: int, age: int, animal: int) -> "_Effects":
        """Effects of cage and animal: each is half its own for life and half this recording's, in variance."""
        n = len(truth.ZONES)
        cages = [stream(simulate.seed, cage, code, _WHOLE_CAGE, _TRAITS) for code in (_BOTH_AGES, age)]
        mice = [stream(simulate.seed, cage, code, animal, _TRAITS) for code in (_BOTH_AGES, age)]
        by_cage = simulate.cage_effect * sum(rng.standard_normal((n, 3)) for rng in cages) / np.sqrt(2)
        by_mouse = simulate.animal_effect * sum(rng.standard_normal((n, 3)) for rng in mice) / np.sqrt(2)
        cage_logit = 0.3 * simulate.cage_effect * sum(float(rng.standard_normal()) for rng in cages)
        # A quarter of the way from JF to AM for each of the four mice: no cage is all alike by chance.
        quarters = stream(simulate.seed, cage, _BOTH_AGES, _WHOLE_CAGE, _SHARES).permutation(truth.MICE)
        way = (int(quarters[animal - 1]) + float(mice[0].random())) / truth.MICE
        own = 0.6 * sum(float(rng.standard_normal()) for rng in mice)
        own_by_hour = own + 0.5 * mice[1].standard_normal(simulate.hours)
        return _Effects(
            log_weights=truth.UNIT * (by_cage[:, 0] + by_mouse[:, 0]),
            cage_logit=cage_logit,
            animal_logit=simulate.animal_effect * own_by_hour,
            shift_cm=2.0 * by_cage[:, 1:] + 1.0 * by_mouse[:, 1:],
            share=truth.MIXTURE_SHARES[0] + way * (truth.MIXTURE_SHARES[1] - truth.MIXTURE_SHARES[0]),
            jitter_px=float(mice[1].uniform(*JITTER_PX)),
            identified=float(mice[1].uniform(*IDENTIFIED)),
        )


def plan(simulate: SimulateParams, recording: Recording, animal: Mouse) -> Plan:
    """Draw all stops of a mouse, hour by hour; the last one lasts to the end of the recording."""
    rng = mouse_stream(simulate, recording, animal.animal, _PLAN)
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
    resting = rng.random(n) < _rest_share(float(animal.awake[hour]), rest_s)
    places = _places(rng, resting, animal, hour)
    bends, path_cm = _paths(rng, np.vstack([place, places[:-1]]), places)
    shortest, shape, scale = ACTIVE_STOP_S
    stop_s = shortest + np.where(resting, rng.gamma(3.0, (rest_s - shortest) / 3.0, n), rng.gamma(shape, scale, n))
    stop_frames = np.rint(stop_s * FPS).astype(np.int64)
    long_cm, faster = LONG_PATH
    peak_cm_per_s = rng.uniform(*PEAK_CM_PER_S, n) + faster * np.minimum(path_cm / long_cm, 1)
    run_frames = np.ceil(1.875 * path_cm / peak_cm_per_s * FPS).astype(np.int64)  # minimum jerk: peak = 1.875 mean
    if end == 0:
        run_frames[0] = 0  # a recording begins with a stop
    ends = end + np.cumsum(run_frames + stop_frames)
    return ends - stop_frames, ends, places, bends


def _rest_share(awake: float, rest_s: float) -> float:
    """Share of stops that are rests, so that the share of time awake is `awake`."""
    asleep = (1 - awake) * ACTIVE_CYCLE_S
    return asleep / (asleep + awake * rest_s)


def _places(rng: np.random.Generator, resting: NDArray[np.bool_], animal: Mouse, hour: int) -> Floats:
    """Places of n stops: a zone by its weight, then anywhere in it: (n, 2)."""
    n = len(resting)
    zones, u = truth.zone_arrays(), rng.random(n)
    drawn = [np.searchsorted(np.cumsum(weight[hour])[:-1], u, side="right") for weight in (animal.active, animal.rest)]
    new = np.where(rng.random(n) < STAY, 0, np.arange(n))
    zone = np.where(resting, drawn[1], drawn[0][np.maximum.accumulate(new)])
    radius, angle = np.sqrt(rng.random(n)), 2 * np.pi * rng.random(n)
    disc = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    square = rng.uniform(-1, 1, (n, 2))
    unit = np.where(zones["circle"][zone, None], disc, square)
    places = zones["centre"][zone] + animal.shift_cm[zone] + unit * zones["half"][zone]
    return np.asarray(np.clip(places, MARGIN_CM, np.array(truth.FLOOR_CM) - MARGIN_CM))


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
