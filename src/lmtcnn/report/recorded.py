"""The page's words on what was recorded: samples by class, quality, and everything left out or warned of, by name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from lmtcnn.core.files import read_json
from lmtcnn.core.names import words_of
from lmtcnn.core.params import Params, flat
from lmtcnn.core.records import INDEX
from lmtcnn.core.schemas import index_table
from lmtcnn.figures.figures import class_colours
from lmtcnn.histograms import notices
from lmtcnn.timeline.clock import length
from lmtcnn.timeline.counted import counted_words

NOT_SHOWN = ("classes", "zones", "register")
"""Sections that are told elsewhere on the page, or that decide nothing on it."""


def recorded(data: Path, params: Params) -> dict[str, Any]:
    """Collect what the page says of the recordings.

    Parameters
    ----------
    data
        The study's folder.
    params
        Its parameters.
    """
    folder, settings = data / "histograms", params.histograms
    made = read_json(folder / "histograms.json", "the histograms", "histograms", notices.KEYS)
    return {
        "cohort": describe_cohort(index_table(params.labels).read(folder / INDEX), params),
        "notices": notices.notices(made),
        "beware": notices.beware(made, params),
        "tracking": notices.tracking_rows(made),
        "starts": start_rows(folder / "start_hours.csv"),
        "parameters": parameter_rows(params),
        "intervals": f"{len(settings.counted)} intervals of {length(settings.interval_s)}",
        "counted": counted_words(settings),
        "seeds": len(params.train.seeds),
    }


def describe_cohort(index: pl.DataFrame, params: Params) -> dict[str, Any]:
    """Counts of the study, and of each class: samples, cages, median of the stops that are counted."""
    index = index.with_columns(n_stops=pl.col("n_stops") - pl.col("n_late") - pl.col("n_cut"))
    colours = class_colours(tuple(params.classes))
    classes = []
    for name, labels in params.classes.items():
        own = index.filter(pl.col("class") == name)
        classes.append(
            {
                "name": name,
                "colour": colours[name],
                "labels": words_of(labels),
                "samples": own.height,
                "cages": own["cage"].n_unique(),
                "stops": f"{np.median(own['n_stops'].to_numpy()):,.0f}" if own.height else "",
            }
        )
    return {
        "samples": index.height,
        "animals": index["animal"].n_unique(),
        "cages": index["cage"].n_unique(),
        "recordings": index["recording"].n_unique(),
        "stops": f"{index['n_stops'].sum():,}",
        "classes": classes,
    }


def start_rows(path: Path) -> list[list[str]]:
    """Clock hour of the start with its time zone, and samples of each class; none as a blank."""
    return [
        [f"{hour:02}:00 {zone}", *(str(n) if n else "" for n in counts)]
        for hour, zone, *counts in pl.read_csv(path).iter_rows()
    ]


def parameter_rows(params: Params) -> list[tuple[str, list[tuple[str, str]]]]:
    """Parameters by section, as text; the simulator's only where it made this study's recordings."""
    sections: dict[str, list[tuple[str, str]]] = {}
    for key, value in flat(params).items():
        section, _, name = key.partition(".")
        if section not in NOT_SHOWN and (section != "simulate" or params.simulates):
            sections.setdefault(section, []).append((name, _text(value)))
    return list(sections.items())


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(inner)}" for key, inner in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
