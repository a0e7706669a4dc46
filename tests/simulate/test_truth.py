"""What is planted."""

import json

import numpy as np
import pytest

from lmtcnn.core.params import Params
from lmtcnn.simulate import truth

ON, OFF = np.array([1.0]), np.array([0.0])


def active(name: str, share: float = 0.5) -> dict[str, float]:
    """Weights of an awake mouse's zones, at effect 1 and in the hours that matter."""
    return dict(zip(truth.ZONE_NAMES, truth.class_weights(name, "active", ON, share)[0], strict=True))


def test_adult_females_prefer_the_dome_and_adult_males_avoid_it() -> None:
    base = truth.class_weights("AM", "active", OFF)[0][truth.ZONE_NAMES.index("dome")]
    assert active("AM")["dome"] < base / 2 < 2 * base < active("AF")["dome"]


def test_males_favour_the_lower_border_and_adult_females_the_same_slightly_to_the_left() -> None:
    zones = {zone.name: zone for zone in truth.ZONES}
    there, left = zones["lower_border"], zones["lower_border_left"]
    assert max(active("AM"), key=active("AM").__getitem__) == "lower_border"
    assert active("AF")["lower_border_left"] > 2 * active("AF")["lower_border"]
    assert zones["lower_feeder"].x_cm < there.x_cm < there.x_cm + there.width_cm < zones["water"].x_cm
    assert there.x_cm - there.width_cm / 2 < left.x_cm < there.x_cm
    assert (left.y_cm, left.width_cm, left.height_cm) == (there.y_cm, there.width_cm, there.height_cm)


@pytest.mark.parametrize(("share", "like"), [(1.0, "AM"), (0.0, "JF")])
def test_a_juvenile_male_lies_between_adult_males_and_juvenile_females(share: float, like: str) -> None:
    assert active("JM", share) == active(like)
    for zone, weight in active("JM", 0.3).items():
        assert weight == pytest.approx(0.3 * active("AM")[zone] + 0.7 * active("JF")[zone])


@pytest.mark.parametrize("kind", truth.KINDS)
def test_without_effect_all_classes_have_the_same_weights(kind: str) -> None:
    rows = [truth.class_weights(name, kind, OFF)[0] for name in truth.CLASSES.values()]  # type: ignore[arg-type]
    for row in rows:
        np.testing.assert_allclose(row, rows[0], rtol=1e-15)
        assert row.sum() == pytest.approx(1)


def test_every_zone_lies_on_the_floor() -> None:
    zones = truth.zone_arrays()
    assert np.all(zones["centre"] - zones["half"] >= 0)
    assert np.all(zones["centre"] + zones["half"] <= truth.FLOOR_CM)


def test_mice_wake_up_when_the_lights_go_off() -> None:
    assert truth.AWAKE[20] > 2 * truth.AWAKE[19]
    assert 20 in truth.HOURS_THAT_MATTER


def test_the_truth_is_plain_json_and_says_that_it_is_simulated(params: Params) -> None:
    found = truth.truth(params)
    assert json.loads(json.dumps(found)) == found
    assert found["simulated"] is True
    assert found["floor_cm"] == [49.824561, 50.877193]
    assert found["classes"]["AM"]["log_preference"]["dome"] < 0 < found["classes"]["AF"]["log_preference"]["dome"]
