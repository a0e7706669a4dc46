"""One page that says what was studied, how well it went, where and when classes differ, and what the network uses.

The page is one file: pictures are inside it and nothing is asked of any network. Its one script sorts, filters and
opens the table of samples; the page's policy names that script by its digest, so no other one can run. The page is
written from what the other stages left, so the same stages give the same bytes.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from lmtcnn import SIMULATED, __version__
from lmtcnn.core.errors import DataError, problem
from lmtcnn.core.files import digest, ensure_folder, read_json, write_json, write_text
from lmtcnn.core.params import Params
from lmtcnn.core.records import (
    EVALUATION,
    INDEX,
    MAPS,
    METRICS,
    PREDICTIONS,
    STATISTICS,
    Training,
    full_training,
    read_evaluation,
    read_maps,
    seal_results,
)
from lmtcnn.core.revisions import REVISIONS
from lmtcnn.explain.explain import EXPLANATION
from lmtcnn.report.answer import answer
from lmtcnn.report.explained import explained, read_explanation
from lmtcnn.report.methods import methods
from lmtcnn.report.recorded import recorded
from lmtcnn.report.samples import samples
from lmtcnn.report.scores import scores

PAGE = "page"
"""The folder of the page's templates."""

WANTED = {
    "histograms": (INDEX, "histograms.json", "start_hours.csv"),
    "train": ("train.json", PREDICTIONS),
    "evaluate": (METRICS, STATISTICS, EVALUATION, "confusion.csv", "folds.csv", "artefacts.csv", "curves.png"),
    "explain": (MAPS, EXPLANATION),
}
"""Files of earlier stages without which there is no page."""


def report(data: Path, params: Params) -> Path:
    """The stage: data/report/index.html; returns its path.

    report.json beside it says of which training the page is.

    Parameters
    ----------
    data
        The study's folder.
    params
        Its parameters.

    Raises
    ------
    DataError
        Naming every file of an earlier stage that is missing, or that is not of the present training.
    """
    _check_inputs(data)
    training = full_training(data, params)
    read_evaluation(data, params, training)
    read_maps(data, params, training)
    inputs = {
        "histograms": training.record.inputs["histograms"],
        "evaluation": digest(data / "evaluate" / EVALUATION),
        "maps": digest(data / "explain" / MAPS),
        "predictions": training.predictions,
    }
    path = ensure_folder(data / "report") / "index.html"
    write_text(path, render(_content(data, training, params, inputs)))
    write_json(
        path.with_name("report.json"), seal_results("report", {}, training, inputs, params, path.parent, [path.name])
    )
    return path


def render(content: Mapping[str, Any]) -> str:
    """The page as HTML; `content` is what its templates name."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("lmtcnn.report", PAGE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script, style = _read("samples.js"), _read("style.css")
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    drawn = json.dumps(content["samples"]["drawn"], ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c")
    safe = {"script": Markup(script), "style": Markup(style), "drawn": Markup(drawn)}  # noqa: S704  # ours, and escaped
    return environment.get_template("page.html").render(content, allowed=allowed, **safe)


def _read(name: str) -> str:
    """A file beside the templates, as it is."""
    return (Path(__file__).parent / PAGE / name).read_text(encoding="utf-8")


def _content(data: Path, training: Training, params: Params, inputs: Mapping[str, str]) -> dict[str, Any]:
    """Collect what the page says, part by part; `inputs` are the digests of what it stands on."""
    metrics = read_json(data / "evaluate" / METRICS, "metrics", "evaluate")
    sure = read_json(data / "evaluate" / STATISTICS, "the statistics", "evaluate")
    found = read_explanation(data / "explain")
    study = recorded(data, params)
    simulated = bool(metrics["simulated"])
    return {
        "title": params.report.title,
        "warning": SIMULATED if simulated else "",
        "answer": answer(metrics, sure, found, study["beware"], params.labels),
        "study": study,
        "merit": scores(data, metrics, params),
        "why": explained(data / "explain", found),
        "samples": samples(data, training, params),
        "methods": methods(params, study["cohort"], sure, __version__, simulated=simulated),
        "made": {
            "version": __version__,
            "training": training.key,
            "revisions": ", ".join(f"{name} {number}" for name, number in REVISIONS.items()),
            "files": inputs,
        },
    }


def _check_inputs(data: Path) -> None:
    missing = [
        problem(data / stage / name, "a file", "none", f"run `lmtcnn {stage}` first")
        for stage, names in WANTED.items()
        for name in names
        if not (data / stage / name).is_file()
    ]
    if missing:
        raise DataError(missing)
