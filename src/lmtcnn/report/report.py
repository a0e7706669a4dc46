"""One page that says what was studied, how well it went and what the network looks at.

The page is one file: pictures are inside it, nothing is asked of the network, no script runs. It is written from
what the other stages left, so the same stages give the same bytes.
"""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import numpy as np
import polars as pl

from lmtcnn import SIMULATED, __version__
from lmtcnn.core.errors import DataError, problem
from lmtcnn.core.files import digest, ensure_folder, read_json, write_json, write_text
from lmtcnn.core.names import BASELINES, label_metric, label_values, words_of
from lmtcnn.core.params import Params, flat
from lmtcnn.core.records import (
    EVALUATION,
    INDEX,
    MAPS,
    METRICS,
    STATISTICS,
    full_training,
    read_evaluation,
    read_maps,
    seal_results,
)
from lmtcnn.core.schemas import index_table
from lmtcnn.evaluate import artefacts, controls
from lmtcnn.evaluate.metrics import PAPER, compare
from lmtcnn.evaluate.statistics import best_simple
from lmtcnn.figures.figures import class_colours
from lmtcnn.histograms import notices
from lmtcnn.timeline.clock import length
from lmtcnn.timeline.counted import counted_words

NAMES = {
    "accuracy": ("accuracy", "single networks, mean over seeds"),
    "ensemble_accuracy": ("accuracy of the ensemble", "networks of all seeds averaged"),
    "balanced_accuracy": ("balanced accuracy", "mean of the recalls"),
    "macro_f1": ("macro F1", "mean over classes of the F1 score"),
    "mcc": ("Matthews' correlation", "1 is perfect, 0 is a guess that knows the classes' shares"),
    "log_loss": ("log loss", "natural logarithm; lower is better"),
    "brier": ("Brier score", "0 to 2; lower is better"),
    **{f"{name}_accuracy": (words, "accuracy on the same folds") for name, words in BASELINES.items()},
    "train_late_fall": ("fall of the training loss in the last quarter of the epochs", "share of its whole fall"),
}
PROBABILITIES = ("log_loss", "brier", "mcc", "macro_f1")  # shown as numbers, all others as shares


class Figure(NamedTuple):
    """A picture inside the page: a data URI and the words for those who do not see it."""

    source: str
    words: str


def report(data: Path, params: Params) -> Path:
    """The stage: data/report/index.html; returns its path.

    report.json beside it says of which training the page is. Raises DataError that names every file of an earlier
    stage that is missing, or that is not of the present training.
    """
    _check_inputs(data)
    training = full_training(data, params)
    read_evaluation(data, params, training)
    read_maps(data, params, training)
    metrics = read_json(data / "evaluate" / METRICS, "metrics", "evaluate")
    page = _template().render(
        title=params.report.title,
        warning=SIMULATED if metrics["simulated"] else "",
        version=__version__,
        training=training.key,
        **_study(data, params),
        **_merit(data, metrics, params),
        **_explanation(data),
    )
    path = ensure_folder(data / "report") / "index.html"
    write_text(path, page)
    inputs = {"evaluation": digest(data / "evaluate" / EVALUATION), "maps": digest(data / "explain" / MAPS)}
    write_json(
        path.with_name("report.json"), seal_results("report", {}, training, inputs, params, path.parent, [path.name])
    )
    return path


def _study(data: Path, params: Params) -> dict[str, Any]:
    """The page's words on what was studied."""
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


def _merit(data: Path, metrics: Mapping[str, Any], params: Params) -> dict[str, Any]:
    """The page's words on how well held-out cages were told."""
    folder = data / "evaluate"
    sure = read_json(folder / STATISTICS, "the statistics", "evaluate")
    return {
        "metrics": metrics,
        "accuracy": _share(metrics["accuracy"]),
        "notes": metrics.get("notes", []),
        "methods": method_rows(metrics, sure),
        "tests": lines_of_tests(sure),
        "coverage": sure["coverage"],
        "rows": metric_rows(metrics, params),
        "recalls": recall_rows(metrics, params),
        "same_classes": any(row.paper is not None for row in compare(metrics, params.classes)),
        "paper": PAPER,
        "controls": control_rows(metrics),
        "artefacts": artefact_rows(folder / "artefacts.csv", tuple(params.classes)),
        "folds": fold_rows(folder / "folds.csv"),
        "confusion": _picture(folder / "confusion.png", "Confusion matrix, true classes in rows"),
        "curves": _picture(folder / "curves.png", "Loss and accuracy by epoch"),
    }


def _explanation(data: Path) -> dict[str, Any]:
    """The page's words on what the network looks at."""
    maps = read_json(data / "explain" / MAPS, "activation maps", "explain")
    return {
        "maps": map_figures(data / "explain", maps),
        "network": maps["network"],
        "n_channels": len(maps["channels"]),
        "definitions": maps["definitions"],
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


def metric_rows(metrics: Mapping[str, Any], params: Params) -> list[dict[str, str]]:
    """Name, explanation, ours and the paper's for every metric that is not a class's recall."""
    of_labels = {label_metric(*each): each for each in label_values(params.classes)}
    rows = []
    for metric, ours, paper in compare(metrics, params.classes):
        if metric.startswith("recall_") or any(metric.startswith(f"{method}_recall_") for method in BASELINES):
            continue
        name, meaning = NAMES.get(metric, (metric, ""))
        if metric in of_labels:
            name = "accuracy where {} is {}".format(*of_labels[metric])
            meaning = f"all {len(params.classes)} classes to choose from"
        if metric == "accuracy" and paper is not None:
            meaning += ": the paper's kind"
        rows.append({"name": name, "meaning": meaning, "ours": _number(metric, ours), "paper": _number(metric, paper)})
    return rows


def method_rows(metrics: Mapping[str, Any], sure: Mapping[str, Any]) -> list[dict[str, str]]:
    """The network, the paper's simple methods and the best simple one: accuracy, interval, chance, p, comparison."""
    shown = dict.fromkeys([*list(BASELINES)[:2], best_simple(metrics)])
    named = {"network": ("network", "accuracy")} | {name: (BASELINES[name], f"{name}_accuracy") for name in shown}
    return [
        {
            "name": words,
            "accuracy": _share(metrics[figure]),
            "interval": _between(metrics.get(f"{figure}_low"), metrics.get(f"{figure}_high")),
            "chance": _share(metrics.get(f"chance_{method}")),
            "p": ", ".join(_p(column, metrics.get(f"p_{method}_{column}")) for column in sure["tests"]).strip(", "),
            "network": _compared(sure["comparisons"].get(method)),
        }
        for method, (words, figure) in named.items()
    ]


def lines_of_tests(sure: Mapping[str, Any]) -> list[str]:
    """What the permutation tests exchanged and could find, and what cannot be told."""
    lines = [
        f"{name}: {test['exchanged']}, {test['distinct']:,} distinct arrangements, {test['used']} used, "
        f"least possible p {test['least_p']:.4f}"
        for name, test in sure["tests"].items()
        if not test["refused"]
    ]
    return [*lines, *sure["notes"]]


def recall_rows(metrics: Mapping[str, Any], params: Params) -> list[dict[str, Any]]:
    """For each class that has samples: the recall of the ensemble, the paper's, and the baselines'."""
    found = {row.metric: row for row in compare(metrics, params.classes)}
    colours = class_colours(tuple(params.classes))
    return [
        {
            "name": name,
            "colour": colours[name],
            "width": f"{100 * metrics[f'recall_{name}']:.1f}",
            "ours": _share(metrics[f"recall_{name}"]),
            "paper": _share(found[f"recall_{name}"].paper),
            "knn": _share(metrics.get(f"knn_recall_{name}")),
            "svm": _share(metrics.get(f"svm_recall_{name}")),
        }
        for name in params.classes
        if f"recall_{name}" in metrics
    ]


def control_rows(metrics: Mapping[str, Any]) -> list[list[str]]:
    """For each control: what it sees, its accuracy, chance and p; blank where the design allows no test."""
    rows = []
    for name, words in controls.NAMES.items():
        own = {key: metrics.get(f"control_{name}_{key}") for key in ("accuracy", "chance", "p")}
        if own["accuracy"] is not None:
            p = "" if own["p"] is None else f"{own['p']:.2g}"
            rows.append([words, _share(own["accuracy"]), _share(own["chance"]), p])
    return rows


def artefact_rows(path: Path, classes: Sequence[str]) -> list[list[str]]:
    """For each quantity of artefacts.csv: words with the unit, and of each class `median (lowest to highest)`."""
    found = {(row["quantity"], row["class"]): row for row in pl.read_csv(path).iter_rows(named=True)}
    rows = []
    for name, (words, unit, _) in artefacts.QUANTITIES.items():
        cells = [_spread(found.get((name, label))) for label in classes]
        rows.append([f"{words}, {unit}" if unit else words, *cells])
    return rows


def _spread(row: Mapping[str, Any] | None) -> str:
    if row is None or row["median"] is None:
        return ""
    median, lowest, highest = (f"{float(row[key]):,.4g}" for key in ("median", "lowest", "highest"))
    return f"{median} ({lowest} to {highest})"


def fold_rows(path: Path) -> list[dict[str, str]]:
    """Held-out cage, samples, accuracy of single networks and of the ensemble."""
    folds = pl.read_csv(path, schema_overrides={"fold": pl.String})
    return [
        {
            "fold": row["fold"],
            "n": str(row["n"]),
            "accuracy": _share(row["accuracy"]),
            "ensemble": _share(row["ensemble_accuracy"]),
            "width": f"{100 * row['ensemble_accuracy']:.1f}",
        }
        for row in folds.iter_rows(named=True)
    ]


def map_figures(folder: Path, maps: Mapping[str, Any]) -> list[Figure]:
    """The channels in which classes differ most, those that have a figure, with that share in words."""
    channels: Sequence[dict[str, Any]] = [maps["channels"][k] for k in maps["order"] if maps["channels"][k]["figure"]]
    return [
        _picture(
            folder / channel["figure"],
            f"Kernel {channel['kernel']}x{channel['kernel']}, channel {channel['channel']:02}: "
            f"{_share(channel['difference'])} of the variance between samples lies between classes",
        )
        for channel in channels
    ]


def parameter_rows(params: Params) -> list[tuple[str, list[tuple[str, str]]]]:
    """Parameters by section, as text; the simulator's only where it made this study's recordings."""
    sections: dict[str, list[tuple[str, str]]] = {}
    for key, value in flat(params).items():
        section, _, name = key.partition(".")
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        sections.setdefault(section, []).append((name, text))
    sections.pop("classes", None)  # the page begins with them
    sections.pop("zones", None)  # drawn on every floor
    if not params.simulates:
        sections.pop("simulate", None)
    return list(sections.items())


def _check_inputs(data: Path) -> None:
    wanted = {
        "histograms": (INDEX, "histograms.json", "start_hours.csv"),
        "train": ("train.json",),
        "evaluate": (METRICS, STATISTICS, EVALUATION, "folds.csv", "artefacts.csv", "confusion.png", "curves.png"),
        "explain": (MAPS,),
    }
    missing = [
        problem(data / stage / name, "a file", "none", f"run `lmtcnn {stage}` first")
        for stage, names in wanted.items()
        for name in names
        if not (data / stage / name).is_file()
    ]
    if missing:
        raise DataError(missing)


def _picture(path: Path, words: str) -> Figure:
    if not path.is_file():
        raise DataError(problem(path, "a figure", "no file", f"run `lmtcnn {path.parts[-3]}` again"))
    return Figure("data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii"), words)


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _between(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:.0%} to {high:.0%}"


def _p(column: str, p: float | None) -> str:
    return "" if p is None else f"{column} {p:.4f}"


def _compared(made: Mapping[str, Any] | None) -> str:
    """The network less another method, and what may be said of it."""
    if made is None:
        return ""
    ends = "" if made["low"] is None else f" ({made['low']:+.3f} to {made['high']:+.3f})"
    return f"{made['words']}: {made['difference']:+.3f}{ends}, p {made['p']:.4f}"


def _number(metric: str, value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if metric in PROBABILITIES else _share(value)


def _template() -> jinja2.Template:
    loader = jinja2.PackageLoader("lmtcnn.report", ".")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("report.html")
