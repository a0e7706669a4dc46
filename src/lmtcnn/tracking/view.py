"""The saved view of MLflow's runs page in which trainings are compared: which rows, columns and charts it shows.

MLflow's pages keep such a view as a tag of the experiment, `mlflow.sharedViewState.<key>`, whose value is JSON: name,
time, and the page's state, again as JSON, deflated and in base64 (a tag holds 20,000 characters). The form is
documented nowhere; it is what the JavaScript of MLflow 3.17 reads, and a page that does not understand it shows its
default columns. The pages never write under our key, so nothing that somebody saved is lost.
"""

import base64
import json
import zlib
from typing import Any

from lmtcnn.core.names import label_values, safe
from lmtcnn.core.params import Params

KEY = "trainings"
TAG = f"mlflow.sharedViewState.{KEY}"
FILTER = "tags.`lmtcnn.kind` = 'training'"
PARAMETERS = ("train.lr", "train.epochs", "train.channels", "histograms.tiles")
CONFUSION = "confusion/ensemble"
ALWAYS = {"attributes.`Run Name`": 200, "runDateAndNestInfo": 135, "duration": 75}
"""Columns that the page always shows, by its names for them: run name, created, duration; widths in pixels."""
SECTIONS: dict[str, dict[str, bool | int]] = {
    "cv": {"display": True},
    "baseline": {"display": True},
    "confusion": {"display": True, "columns": 1, "cardHeight": 740},
    "explain": {"display": True, "columns": 1, "cardHeight": 740},
    "test": {"display": True},
    "train": {"display": True},
    "fold": {"display": False},
    "recall_baseline": {"display": False},
    "baseline_interval": {"display": False},
    "chance": {"display": False},
    "p": {"display": False},
    "difference": {"display": False},
    "maps": {"display": False},
}
"""Groups of charts in their order, and whether they stand open; the page itself would sort them by name."""
COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#f0e442", "#000000")
"""Colours of runs in charts, one after the other: those of Okabe and Ito, which all people can tell apart."""
EXPLANATIONS = ("explain/where", "explain/when", "explain/uses", "explain/atlas")
"""Pictures of an explanation, under names that stay: every run has them, so that runs stand side by side."""


def saved(params: Params, created_ms: int) -> str:
    """The value of `TAG` for classes as in `params`: the same for the same classes."""
    widths = {column: _width(column) for column in columns(params)}
    always: dict[str, Any] = {"deleted": False, "isGenerated": True}
    sections = [{"uuid": name, "name": name, "isReordered": True, **always, **how} for name, how in SECTIONS.items()]
    charts = [
        {"uuid": name, "type": "IMAGE", "metricSectionId": name.partition("/")[0], "imageKeys": [name], "step": step,
         "showRunParams": False, **always}
        for name, step in pictures(params).items()
    ]  # fmt: skip
    state: dict[str, Any] = {
        "searchFilter": FILTER,
        "selectedColumns": list(widths),
        "columnOrder": [*ALWAYS, *widths],
        "columnWidths": ALWAYS | widths,
        "compareRunCharts": charts,  # the page adds one for each metric, in the order in which they were logged
        "compareRunSections": sections,
        "isAccordionReordered": True,  # else it would sort the sections
    }
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
    return json.dumps({"name": "Trainings", "createdAt": created_ms, "state": f"deflate;{packed}"})


def columns(params: Params) -> list[str]:
    """Names of the chosen columns, as the page knows them; the first label's values have an accuracy each."""
    label = params.labels[0]
    values = sorted(value for column, value in label_values(params.classes) if column == label)
    metrics = ["cv/accuracy", "cv/ensemble_accuracy", "cv/balanced_accuracy"]
    metrics += [safe(f"cv/{label}_{value}") for value in values] + ["baseline/knn", "baseline/svm"]
    chosen = {"metrics": metrics, "params": PARAMETERS, "tags": ("lmtcnn.simulated",)}
    return [f"{kind}.`{name}`" for kind, names in chosen.items() for name in names]


def pictures(params: Params) -> dict[str, int]:
    """Names under which pictures are logged, and their steps."""
    return {CONFUSION: 0} | dict.fromkeys(EXPLANATIONS, params.explain.seed)


def color_after(color: str | None) -> str:
    """The colour of the run that follows one of this colour."""
    return COLORS[(COLORS.index(color) + 1) % len(COLORS)] if color in COLORS else COLORS[0]


def _width(column: str) -> int:
    """Pixels that show a column's name, but not more than tells it from the others."""
    return min(32 + 6 * len(column.split("`")[1]), 145)
