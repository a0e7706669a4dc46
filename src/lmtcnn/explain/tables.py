"""An explanation as tables and arrays: Parquet by the schemas of core.schemas, the same as CSV for R, maps as .npy."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from lmtcnn.core.files import atomic, write_text
from lmtcnn.core.schemas import EXPLAINED, Table
from lmtcnn.explain.contrasts import Contrast, ZoneContrast
from lmtcnn.explain.daytime import Daytime
from lmtcnn.explain.differences import CLASS, Scope
from lmtcnn.explain.evidence import Evidence
from lmtcnn.explain.hours import HoursContrast
from lmtcnn.explain.pairs import Floats
from lmtcnn.explain.used import Used

LABELS = "_labels"
"""Ends the names of tables of the values of labels; these have the label's name in a first column."""


def of_labels(table: Table) -> Table:
    """Make the table of values of labels from a table of classes: its first column is the label's name."""
    return Table(f"{table.name}, by label", table.stage, {"label": pl.String(), **table.columns})


def write_scopes(folder: Path, scopes: Mapping[str, Scope], day: Daytime) -> list[str]:
    """Write the tables of the data's differences, of classes and of labels; return the files' names."""
    labels = [name for name in scopes if name != CLASS]
    names = []
    for kind, make in _MAKERS.items():
        schema = EXPLAINED[kind]
        frame = make(scopes[CLASS], day)
        names += _write(folder, kind, schema, frame)
        if labels:
            wide = of_labels(schema)
            parts = [make(scopes[name], day).insert_column(0, pl.lit(name).alias("label")) for name in labels]
            names += _write(folder, kind + LABELS, wide, pl.concat(parts))
    names += write_array(folder, "contrasts.npy", [each.difference for each in scopes[CLASS].contrasts])
    return [*names, *write_array(folder, "contrasts_in_hours.npy", scopes[CLASS].then)]


def write_used(folder: Path, found: Sequence[Used], zones: Sequence[tuple[Any, ...]]) -> list[str]:
    """Write the tables of what the networks use; `zones` are rows of attribution_zones.parquet."""
    tables = {
        "attributions": pl.concat(
            [_used(each, _tiles(each.places)) for each in found] or [EXPLAINED["attributions"].empty()]
        ),
        "attribution_hours": pl.concat(
            [_used(each, {"interval": np.arange(len(each.hours)), "value": each.hours}) for each in found]
            or [EXPLAINED["attribution_hours"].empty()]
        ),
        "attribution_zones": pl.DataFrame(
            list(zones), schema=dict(EXPLAINED["attribution_zones"].columns), orient="row"
        ),
    }
    names = [name for kind, frame in tables.items() for name in _write(folder, kind, EXPLAINED[kind], frame)]
    return [*names, *write_array(folder, "attributions.npy", [each.places for each in found])]


def write_samples(folder: Path, index: pl.DataFrame, found: Mapping[int, Evidence], interval_s: float) -> list[str]:
    """Write what speaks for each sample's class: three tables, and the maps in the order of the first one's rows.

    Parameters
    ----------
    folder
        data/explain.
    index
        The samples.
    found
        Row of the index -> what speaks in it.
    interval_s
        Seconds that an interval lasts.
    """
    who = index.select("recording", "animal_id").rows()
    rows = {
        "sample_attributions": [
            (*who[row], e.a, e.b, *e.probability, float(e.hours.sum()), e.gap, e.words(interval_s))
            for row, e in found.items()
        ],
        "sample_hours": [(*who[row], t, float(value)) for row, e in found.items() for t, value in enumerate(e.hours)],
        "sample_zones": [(*who[row], name, value) for row, e in found.items() for name, value in e.zones.items()],
    }
    names = []
    for kind, every in rows.items():
        frame = pl.DataFrame(every, schema=dict(EXPLAINED[kind].columns), orient="row")
        names += _write(folder, kind, EXPLAINED[kind], frame)
    return [*names, *write_array(folder, "sample_attributions.npy", [each.places for each in found.values()])]


def write_array(folder: Path, name: str, parts: Iterable[Floats]) -> list[str]:
    """Write arrays of one shape as one .npy, float32; return its name, none where there are no parts."""
    every = list(parts)
    if not every:
        return []
    with atomic(folder / name) as temporary, temporary.open("wb") as stream:
        np.save(stream, np.stack(every).astype(np.float32))
    return [name]


def _write(folder: Path, kind: str, schema: Table, frame: pl.DataFrame) -> list[str]:
    schema.write(frame, folder / f"{kind}.parquet")
    write_text(folder / f"{kind}.csv", frame.write_csv())
    return [f"{kind}.parquet", f"{kind}.csv"]


def _contrasts(scope: Scope, _: Daytime) -> pl.DataFrame:
    return _joined("contrasts", [_of_contrast(each) for each in scope.contrasts])


def _of_contrast(found: Contrast) -> pl.DataFrame:
    values = _tiles(found.difference)
    values["difference"] = values.pop("value")
    return _pair(found.pair.a, found.pair.b, values | {"t": found.t.ravel(), "p": found.p.ravel()})


def _zones(scope: Scope, _: Daytime) -> pl.DataFrame:
    schema = dict(EXPLAINED["zones"].columns)
    rows = [_zone_row(each) for each in scope.zones]
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(pl.col("low", "high", "p").fill_nan(None))


def _zone_row(found: ZoneContrast) -> tuple[Any, ...]:
    return found.a, found.b, found.zone, found.log_ratio, found.low, found.high, found.p


def _hours(scope: Scope, _: Daytime) -> pl.DataFrame:
    return _joined("hours", [_of_hours(each, "interval", np.arange(len(each.p))) for each in scope.hours])


def _clock(scope: Scope, day: Daytime) -> pl.DataFrame:
    groups = day.groups
    hours = np.empty(0) if groups is None else np.unique(groups) * day.hours_each
    return _joined("clock", [_of_hours(each, "hour", hours) for each in scope.clock])


def _of_hours(found: HoursContrast, name: str, when: Any) -> pl.DataFrame:
    columns = ("distance", "p", "excess", "p_excess", "log_stops", "p_stops")
    return _pair(found.pair.a, found.pair.b, {name: when} | {column: getattr(found, column) for column in columns})


_MAKERS: dict[str, Callable[[Scope, Daytime], pl.DataFrame]] = {
    "contrasts": _contrasts,
    "zones": _zones,
    "hours": _hours,
    "clock": _clock,
}


def _used(found: Used, values: Mapping[str, Any]) -> pl.DataFrame:
    return _pair(found.a, found.b, {"kind": found.kind, **values})


def _tiles(values: Floats) -> dict[str, Any]:
    row, column = (places.ravel() for places in np.indices(values.shape))
    return {"row": row, "column": column, "value": values.ravel()}


def _pair(a: str, b: str, values: Mapping[str, Any]) -> pl.DataFrame:
    words = {name: pl.lit(value) for name, value in {"a": a, "b": b, **values}.items() if isinstance(value, str)}
    arrays = {name: value for name, value in values.items() if not isinstance(value, str)}
    order = ["a", "b", *values]
    return pl.DataFrame(arrays).with_columns(**words).select(order)


def _joined(kind: str, frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(frames) if frames else EXPLAINED[kind].empty()
