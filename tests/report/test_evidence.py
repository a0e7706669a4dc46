"""What speaks in each sample, as the page draws it."""

import base64

import numpy as np
import polars as pl

from lmtcnn.explain.evidence import Evidence
from lmtcnn.explain.tables import write_samples
from lmtcnn.report.evidence import speaking

INDEX = pl.DataFrame({"recording": ["r1", "r1", "r2"], "animal_id": [1, 2, 1]})


def one(value: float) -> Evidence:
    places = np.array([[value, 0.0], [-value / 2, 0.0]])
    return Evidence("AM", "JF", (0.6, 0.2), places, np.array([value, -value / 2]), {"dome": value}, value / 2)


def test_a_map_is_in_steps_from_its_largest_attribution_down_to_its_negative(tmp_path):
    write_samples(tmp_path, INDEX, {0: one(2.0), 2: one(-0.5)}, 3600)
    first, none, last = speaking(tmp_path, INDEX)
    assert none is None
    assert (first["a"], first["b"], first["hours"], last["hours"]) == ("AM", "JF", [2, -1], [-0.5, 0.25])
    assert first["words"] == "What speaks for AM: dome (+2.00), hours 0 to 2 h; for JF: nothing."
    for found, value in ((first, 2.0), (last, -0.5)):
        steps = np.frombuffer(base64.b64decode(found["map"]), dtype=np.uint8).reshape(2, 2) / 127.0 - 1
        np.testing.assert_allclose(steps * found["top"], [[value, 0], [-value / 2, 0]], atol=0.01)


def test_a_sample_without_stops_has_a_map_of_zeros(tmp_path):
    write_samples(tmp_path, INDEX, {row: one(0.0) for row in range(3)}, 3600)
    found = speaking(tmp_path, INDEX)
    assert set(base64.b64decode(found[1]["map"])) == {127}


def test_without_any_held_out_network_nothing_speaks(tmp_path):
    write_samples(tmp_path, INDEX, {}, 3600)
    assert speaking(tmp_path, INDEX) == [None, None, None]
