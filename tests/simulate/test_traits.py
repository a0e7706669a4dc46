"""What is drawn once for a mouse."""

import numpy as np

from lmtcnn.core.params import Params
from lmtcnn.core.sections import SimulateParams
from lmtcnn.simulate import traits
from lmtcnn.simulate.traits import NEST_ZONE, Traits


def drawn(params: Params, **values: object) -> list[list[Traits]]:
    """Of four mice in each of 30 cages, as juveniles."""
    simulate: SimulateParams = params.simulate.model_copy(update=values)
    return [[Traits.draw(simulate, cage, 1, animal) for animal in range(1, 5)] for cage in range(1, 31)]


def correlation_of_mates(cages: list[list[Traits]]) -> float:
    """Of the hourly swings of activity of two mates."""
    pairs = [(mice[a].animal_logit, mice[b].animal_logit) for mice in cages for a in range(4) for b in range(a)]
    return float(np.mean([np.corrcoef(*pair)[0, 1] for pair in pairs]))


def test_mates_swing_together_as_much_as_they_are_told(params: Params) -> None:
    for shared in (0.0, 0.5, 1.0):
        assert abs(correlation_of_mates(drawn(params, shared_sleep=shared)) - shared) < 0.05


def test_how_much_a_mouse_swings_does_not_depend_on_it(params: Params) -> None:
    spread = [
        np.mean([mouse.animal_logit.std() for cage in drawn(params, shared_sleep=shared) for mouse in cage])
        for shared in (0.0, 1.0)
    ]
    assert abs(spread[0] / spread[1] - 1) < 0.03


def test_mates_share_a_nest_that_lies_elsewhere_than_that_of_other_cages(params: Params) -> None:
    near, far = drawn(params, nest_shift_cm=0.0, animal_effect=0.0), drawn(params, animal_effect=0.0)
    moved = np.array(
        [[b.shift_cm - a.shift_cm for a, b in zip(*mice, strict=True)] for mice in zip(near, far, strict=True)]
    )
    assert np.all(np.delete(moved, NEST_ZONE, axis=2) == 0)
    nests = moved[:, :, NEST_ZONE]
    np.testing.assert_allclose(np.hypot(nests[..., 0], nests[..., 1]), 8)
    np.testing.assert_allclose(nests, np.repeat(nests[:, :1], 4, axis=1))
    assert len({tuple(nest) for nest in nests[:, 0].round(6)}) == 30


def test_a_cage_keeps_its_nest(params: Params) -> None:
    assert traits.nest_shift_cm(params.simulate, 3).tolist() == traits.nest_shift_cm(params.simulate, 3).tolist()
    assert traits.nest_shift_cm(params.simulate, 3).tolist() != traits.nest_shift_cm(params.simulate, 4).tolist()
