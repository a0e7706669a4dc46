"""Artefacts by class, side by side: tracking, length, temperature, and how much mice stop."""

from collections.abc import Sequence

import polars as pl

QUANTITIES = {
    "known": ("frames in which the mouse is known", "%", 100.0),
    "filled": ("frames in gaps that were bridged", "%", 100.0),
    "lost": ("frames in gaps that were not", "%", 100.0),
    "n_counted": ("stops that are counted", "", 1.0),
    "length_s": ("length of the recording", "h", 1 / 3600),
    "coldest_c": ("coldest", "degrees C", 1.0),
    "hottest_c": ("hottest", "degrees C", 1.0),
}
"""Quantity -> words, unit, and its factor from the unit of the table it comes from."""

COLUMNS = ("class", "quantity", "unit", "n", "median", "lowest", "highest")


def panel(index: pl.DataFrame, table: pl.DataFrame, classes: Sequence[str]) -> pl.DataFrame:
    """Each quantity of QUANTITIES, by class.

    Parameters
    ----------
    index
        Samples; `n_stops`, `n_late`, `n_cut` and `class` are used.
    table
        `schemas.CONTROLS`, a row for each sample in the same order.
    classes
        In their order.

    Returns
    -------
    DataFrame
        COLUMNS: a row for each quantity and class that has samples, `n` those that have a value, and their median,
        lowest and highest, to six digits after the point; null where none has one.
    """
    counted = (index["n_stops"] - index["n_late"] - index["n_cut"]).cast(pl.Float64)
    known = table.with_columns(index["class"], n_counted=counted)
    rows = []
    for name, (_, unit, factor) in QUANTITIES.items():
        for label in classes:
            own = (known.filter(pl.col("class") == label)[name].drop_nulls() * factor).round(6)
            if label in known["class"]:
                rows.append((label, name, unit, len(own), own.median(), own.min(), own.max()))
    kinds = (pl.String, pl.String, pl.String, pl.Int64, pl.Float64, pl.Float64, pl.Float64)
    return pl.DataFrame(rows, schema=dict(zip(COLUMNS, kinds, strict=True)), orient="row")
