"""A comparison of places and hours as `explain` leaves it in data/explain, written by hand."""

from pathlib import Path
from typing import Any

import polars as pl

from lmtcnn.core.files import read_json, write_json
from lmtcnn.core.params import Params
from lmtcnn.core.records import MAPS
from lmtcnn.core.schemas import EXPLAINED
from study import seal_maps

OWN = ("revision", "inputs", "outputs", "training", "parameters")
"""Keys of activation_maps.json that sealing writes."""


def pair(a: str, b: str, **changes: Any) -> dict[str, Any]:
    """A pair of explain.json of which nothing is marked, with changes."""
    sentence = f"{a} against {b}: no place, p 0.6; no hour stands out, p 0.7."
    nothing = {"tiles_marked": 0, "p_tiles": 0.6, "p_hours": 0.7, "p_times": 0.8}
    return {"a": a, "b": b, **nothing, "hours_marked": [], "times_marked": [], "sentence": sentence, **changes}


def explanation(**changes: Any) -> dict[str, Any]:
    """explain.json: places of AM and AF differ, hours do not; with changes."""
    dome = "AM against AF: dome -3.1 (x 0.05), p 0.002; no hour stands out, p 0.3."
    marked = pair("AM", "AF", tiles_marked=12, p_tiles=0.002, p_hours=0.3, sentence=dome)
    use = {"a": "AM", "b": "AF", "kind": "separation", "sum": 1.25, "gap": 1.25, "correlation_with_contrast": 0.7}
    return {
        "simulated": False,
        "gates": {"p_places": 0.005, "p_hours": 0.4, "arrangements": 199, "least_p": 0.005, "refused": ""},
        "hours": {"stops_in_a_window": 40.0, "too_sparse": False, "unit": "hour"},
        "definitions": {"difference": "shares, a less b", "log_stops": "logarithm of the ratio of stops"},
        "pairs": {"class": [pair("AM", "JM"), marked], "sex": [pair("M", "F")]},
        "networks": {"pairs": [{**use, "correlation_untrained": 0.1, "correlation_on_arranged_labels": None}]},
        **changes,
    }


def write_explanation(data: Path, params: Params, **changes: Any) -> None:
    """Write it, and two of its tables, over what `explain` left, and seal all of it."""
    folder = data / "explain"
    content = {key: value for key, value in read_json(folder / MAPS, "maps", "").items() if key not in OWN}
    write_json(folder / "explain.json", explanation(**changes))
    zones = {"a": ["AM", "AM"], "b": ["JM", "AF"], "zone": ["upper_feeder"] * 2}
    ends = {"low": [None, -4.0], "high": [None, -2.2], "p": [None, 0.002]}
    _write(folder, "zones", zones | {"log_ratio": [0.1, -3.1]} | ends)
    kinds = {"kind": ["direction", "separation"], "value": [-0.25, 0.1], "agreeing": [0.75, 1.0]}
    _write(folder, "attribution_zones", zones | kinds)
    (folder / MAPS).unlink()  # not a part of itself
    seal_maps(data, params, **content)


def _write(folder: Path, name: str, values: dict[str, list[Any]]) -> None:
    table = EXPLAINED[name]
    frame = pl.DataFrame(values).select(list(table.columns)).cast(dict(table.columns))
    table.write(frame, folder / f"{name}.parquet")
