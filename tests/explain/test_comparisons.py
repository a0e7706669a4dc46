"""What the networks' maps are compared with."""

from types import SimpleNamespace

import numpy as np
import pytest

from lmtcnn.explain.comparisons import compare_maps, compare_uses
from lmtcnn.explain.maps import ClassMaps
from lmtcnn.explain.networks import Asked
from lmtcnn.explain.used import Used
from study import small_params

RANDOM = np.random.default_rng(0)
MAPS = RANDOM.normal(size=(2, 3, 6, 6))


def test_attributions_are_compared_with_the_data_and_with_randomised_networks() -> None:
    places = MAPS[0, 0]
    used = [Used("A", "B", kind, places, np.zeros(3), 1.0, 1.0) for kind in ("direction", "separation")]
    asked = Asked(used, [], 1e-7, {})
    contrast = SimpleNamespace(pair=SimpleNamespace(a="A", b="B"), difference=2 * places)
    found = compare_uses(asked, {"untrained": [-places, places]}, [contrast])
    assert [row["correlation_with_contrast"] for row in found["pairs"]] == pytest.approx([1, 1])
    assert [row["correlation_untrained"] for row in found["pairs"]] == pytest.approx([-1, 1])
    assert compare_uses(asked, {}, [])["pairs"][0]["correlation_with_contrast"] is None


@pytest.mark.parametrize("tiles", [6, 3])
def test_maps_are_compared_with_stops_and_untrained_networks_and_crosses_with_zones(tiles: int) -> None:
    own = MAPS[:, :, :tiles, :tiles]
    maps = ClassMaps(own, np.array([1, 1]), np.ones(3))
    other = ClassMaps(-own, np.array([1, 1]), np.ones(3))
    stops = own[:, 0].repeat(6 // tiles, axis=1).repeat(6 // tiles, axis=2)
    everywhere = {"cage": {"kind": "other", "rectangle_cm": [0.0, 0.0, 24.0, 60.0]}}
    summary = {
        "classes": ["A", "B"],
        "channels": [{"kernel": 3}, {"kernel": 3}, {"kernel": 3}],
        "floor_cm": [50.0, 60.0],
    }
    params = small_params(zones=everywhere)
    params = params.model_copy(update={"classes": {"A": {"sex": "M"}, "B": {"sex": "F"}}})
    found = compare_maps(
        summary, maps, {"untrained": other}, SimpleNamespace(mean_maps=stops), np.array([0, 1]), params
    )
    assert found["channels"][0]["correlations"]["A"] == pytest.approx({"stops": 1, "untrained": -1})
    assert abs(found["channels"][1]["correlations"]["A"]["stops"]) < 0.99
    inside = found["crosses_in_zones"]
    assert inside["floor"] == pytest.approx(1 / 2 if tiles == 6 else 1 / 3, abs=0.2)
    assert inside["trained"] == inside["untrained"]
