"""Traits drawn once for a mouse in one recording: effects of its cage and its own, and how well it is tracked."""

from dataclasses import dataclass

import numpy as np

from lmtcnn.core.sections import SimulateParams
from lmtcnn.simulate import truth, variants
from lmtcnn.simulate.truth import Floats

BOTH_AGES, WHOLE_CAGE = 0, 0
START, SHARES, TRAITS, PLAN, TRACKING, NEST, MATES = range(7)
"""Purposes of streams of random numbers."""

JITTER_PX = (0.1, 0.4)
"""Standard deviation of the centre of mass (LMT.md)."""


def stream(seed: int, cage: int, age: int, animal: int, purpose: int) -> np.random.Generator:
    """The random numbers of one purpose; 0 stands for both ages and for the whole cage."""
    return np.random.default_rng(np.random.SeedSequence(entropy=seed, spawn_key=(cage, age, animal, purpose)))


NEST_ZONE = truth.ZONE_NAMES.index("nest")


def nest_shift_cm(simulate: SimulateParams, cage: int) -> Floats:
    """How far a cage's nest lies from the nest of truth.ZONES, as juveniles and as adults: (2,)."""
    turn = stream(simulate.seed, cage, BOTH_AGES, WHOLE_CAGE, NEST).random()
    return variants.nest_shift_cm(simulate, truth.ZONES[NEST_ZONE].json(), np.array(turn))


@dataclass(frozen=True)
class Traits:
    """T hours, Z zones."""

    log_weights: Floats  # (Z,)
    cage_logit: float
    animal_logit: Floats  # (T,)
    shift_cm: Floats  # (Z, 2)
    share: float
    jitter_px: float
    identified: float  # uniform over [0, 1)

    @staticmethod
    def draw(simulate: SimulateParams, cage: int, age: int, animal: int) -> "Traits":
        """Effects of cage and animal: each is half its own for life and half this recording's, in variance."""
        n = len(truth.ZONES)
        cages = [stream(simulate.seed, cage, code, WHOLE_CAGE, TRAITS) for code in (BOTH_AGES, age)]
        mice = [stream(simulate.seed, cage, code, animal, TRAITS) for code in (BOTH_AGES, age)]
        by_cage = simulate.cage_effect * sum(rng.standard_normal((n, 3)) for rng in cages) / np.sqrt(2)
        by_mouse = simulate.animal_effect * sum(rng.standard_normal((n, 3)) for rng in mice) / np.sqrt(2)
        cage_logit = 0.3 * simulate.cage_effect * sum(float(rng.standard_normal()) for rng in cages)
        # A quarter of the way from JF to AM for each of the four mice: no cage is all alike by chance.
        quarters = stream(simulate.seed, cage, BOTH_AGES, WHOLE_CAGE, SHARES).permutation(truth.MICE)
        way = (int(quarters[animal - 1]) + float(mice[0].random())) / truth.MICE
        own = 0.6 * sum(float(rng.standard_normal()) for rng in mice)
        swing = np.sqrt(1 - simulate.shared_sleep) * mice[1].standard_normal(simulate.hours)
        swing = swing + np.sqrt(simulate.shared_sleep) * cages[1].standard_normal(simulate.hours)
        shift_cm = 2.0 * by_cage[:, 1:] + 1.0 * by_mouse[:, 1:]
        shift_cm[NEST_ZONE] += nest_shift_cm(simulate, cage)
        return Traits(
            log_weights=truth.UNIT * (by_cage[:, 0] + by_mouse[:, 0]),
            cage_logit=cage_logit,
            animal_logit=simulate.animal_effect * (own + 0.5 * swing),
            shift_cm=shift_cm,
            share=truth.MIXTURE_SHARES[0] + way * (truth.MIXTURE_SHARES[1] - truth.MIXTURE_SHARES[0]),
            jitter_px=float(mice[1].uniform(*JITTER_PX)),
            identified=float(mice[1].random()),
        )
