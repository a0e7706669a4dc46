"""MLflow runs: one for each training, named by what distinguishes it, with a run inside it for each held-out cage.

The children of a run stay folded away in MLflow's pages, so what one wants to compare stands on the parent: mean
curves under the children's names, `cv/...`, `baseline/...`, `fold/accuracy` by fold, pooled matrices and predictions,
maps. The experiment has a saved view of the parents with the columns and charts worth comparing (view.py). A run is
found again by `lmtcnn.key`, a hash of what was trained on and how, never by an id in an output: DVC may restore a
training without running it.

All of this is made from the files of the stages, through MLflow's client, by one process. A stage writes its files
first and its run afterwards, so nothing that happens here costs a training: `track` makes it good.
"""

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from lmtcnn import SIMULATED
from lmtcnn.core.errors import DataError
from lmtcnn.core.files import digest, read_json
from lmtcnn.core.params import Params
from lmtcnn.core.records import (
    EVALUATION,
    MAPS,
    METRICS,
    Record,
    Training,
    find_training,
    full_training,
    read_evaluation,
    read_maps,
    read_page,
)
from lmtcnn.core.sections import dump
from lmtcnn.evaluate.predicted import average, confusion_counts, read_training
from lmtcnn.figures import figures
from lmtcnn.histograms import notices, record
from lmtcnn.tracking import client as clients
from lmtcnn.tracking import provenance, runs, store, view
from lmtcnn.tracking.client import FINISHED_TRAINING, HISTOGRAMS, IS_SIMULATED, KEY, KIND, NOTE, PREDICTIONS, TRAINING
from lmtcnn.tracking.store import log

if TYPE_CHECKING:
    from mlflow import MlflowClient

FOLD, COHORT = "fold", "cohort"
NOTES, MAX_TAG = "lmtcnn.notes", 5000  # what speaks against a training, and MLflow's limit of a tag
COLOR = "mlflow.runColor"


@clients.answering()
def log_train(data: Path, params: Params, started_s: float | None = None) -> str:
    """The run of the training in `data`, logged unless it is there already; returns its id.

    `started_s` is when the training began, seconds since the epoch, if it has just ended; without it the run bears the
    time of the files. Raises DataError where the training is incomplete or had other parameters.
    """
    training = find_training(data, params)
    return _run_of(clients.configure(), data, params, training, started_s, warns=True)


@clients.answering()
def log_evaluate(data: Path, params: Params) -> str:
    """Add data/evaluate to the run of its training (logged first where it is missing); returns the run's id.

    Raises DataError where it is not of the present training.
    """
    training = find_training(data, params)
    record = read_evaluation(data, params, training)
    metrics = read_json(data / "evaluate" / METRICS, "the metrics", "evaluate")

    def write(client: "MlflowClient", run_id: str, folder: Path) -> None:
        folds = pl.read_csv(folder / "folds.csv")
        told = notices.markdown(_made(data), params)
        points = [(name, value, 0) for name, value in provenance.metric_names(metrics).items()]
        for name in ("accuracy", "ensemble_accuracy"):
            points += [(f"fold/{name}", value, step) for step, value in enumerate(folds[name].to_list())]
        notes = "; ".join(metrics.get("notes", ())) or "none"
        note = provenance.training_note(_summary(training), metrics, told)
        runs.add(client, run_id, points, tags={NOTE: note, NOTES: notes[:MAX_TAG]})
        for name in (*record.outputs, EVALUATION):
            client.log_artifact(run_id, str(folder / name), "evaluate")
        runs.log_image(client, run_id, folder / "confusion.png", view.CONFUSION)

    return _add_results(data, params, "evaluate", training, record, write)


@clients.answering()
def log_explain(data: Path, params: Params) -> str:
    """Add data/explain to the run of its training (logged first where it is missing); returns the run's id.

    Raises DataError where it is not of the present training.
    """
    training = full_training(data, params)
    record = read_maps(data, params, training)

    def write(client: "MlflowClient", run_id: str, folder: Path) -> None:
        for name in sorted(name for name in record.outputs if name.endswith(".png")):
            key = name.removesuffix(".png")
            runs.log_image(client, run_id, folder / name, key if "/" in key else f"explain/{key}", params.explain.seed)
        for name in (MAPS, *(name for name in record.outputs if not name.endswith((".png", ".svg", ".pdf")))):
            client.log_artifact(run_id, str(folder / name), "explain")

    return _add_results(data, params, "explain", training, record, write)


@clients.answering()
def log_report(data: Path, params: Params) -> str:
    """Add the page of data/report to the run of its training (logged first where it is missing); returns the run's id.

    Raises DataError where it is not of the present training.
    """
    training = full_training(data, params)
    record = read_page(data, params, training)

    def write(client: "MlflowClient", run_id: str, folder: Path) -> None:
        client.log_artifact(run_id, str(folder / "index.html"), "report")

    return _add_results(data, params, "report", training, record, write)


def _add_results(
    data: Path,
    params: Params,
    stage: str,
    training: Training,
    record: Record,
    write: Callable[["MlflowClient", str, Path], None],
) -> str:
    """Let `write` add a stage's results to the run of their training, unless just these are there; returns its id.

    `write` is given the client, the run's id and the stage's folder. A tag remembers what was added at the end.
    """
    client = clients.configure()
    run_id = _run_of(client, data, params, training)
    tag = f"lmtcnn.{stage}"
    content = hashlib.sha256(json.dumps(record.outputs, sort_keys=True).encode()).hexdigest()
    with store.alone():
        if client.get_run(run_id).data.tags.get(tag) != content:
            write(client, run_id, data / stage)
            client.set_tag(run_id, tag, content)
    return run_id


def track(data: Path, params: Params) -> str:
    """Log whatever is in the files and not in the store, training to page; returns the parent run's id.

    What is not of the training is left out, with a warning that says why.
    """
    run_id = parent(data, params)
    stages = {f"evaluate/{METRICS}": log_evaluate, f"explain/{MAPS}": log_explain, "report/report.json": log_report}
    for path, add in ((data / name, add) for name, add in stages.items()):
        if path.is_file():
            try:
                add(data, params)
            except DataError as error:
                log.warning("%s is left out: %s", path.parent, error.lines[0])
    return run_id


@clients.answering()
def log_cohort(
    manifest: Path,
    metrics: Mapping[str, float],
    predictions: pl.DataFrame,
    classes: Sequence[str],
    model: str,
    *,
    simulated: bool,
    started_s: float | None = None,
) -> str:
    """Log that a model was tried on a labelled new cohort, as a run of its own.

    Parameters
    ----------
    manifest
        The cohort's manifest. The run is named by it (`cohort.csv` by its folder) and by the model.
    metrics
        Figures of merit, named as in metrics.json.
    predictions
        Columns `recording`, `class` and `predicted`, a row a sample.
    classes
        Names of the classes, in order.
    model
        Address of the model.
    simulated
        Whether the recordings, or those that the model learned from, are simulated.
    started_s
        When the prediction began, s since the epoch; None: now.

    Returns
    -------
    The run's id.
    """
    stem = manifest.resolve().parent.name if manifest.stem == "cohort" else manifest.stem
    name = f"{stem} by {model}"
    sizes = {"samples": predictions.height, "recordings": predictions["recording"].n_unique()}
    client = clients.configure()
    now_ms = runs.now_ms()
    start_ms = round(started_s * 1000) if started_s else now_ms
    tags = {
        KIND: COHORT,
        **provenance.source_tags("lmtcnn predict --cohort"),
        "lmtcnn.manifest": str(manifest),
        "lmtcnn.manifest_sha256": digest(manifest),
        IS_SIMULATED: str(simulated).lower(),
        "lmtcnn.model": model,
    }
    with runs.opened(client, name, tags, start_ms, now_ms) as run_id:
        points = [(k.replace("cv/", "cohort/", 1), v, 0) for k, v in provenance.metric_names(metrics).items()]
        runs.add(client, run_id, points, {f"cohort.{key}": str(value) for key, value in sizes.items()})
        client.log_artifact(run_id, str(manifest), "cohort")
        client.log_table(run_id, predictions.to_dict(as_series=False), "predictions.json")
        confusion = predictions.select(pl.col("class").alias("actual"), "predicted")
        mark = f"{SIMULATED}. " if simulated else ""
        note = f"{mark}{predictions.height} samples of a cohort that is new to the networks."
        figure = figures.confusion_matrix(confusion_counts(confusion, classes), classes, name, note)
        with tempfile.TemporaryDirectory() as folder:
            figures.save(figure, Path(folder) / "confusion.png")
            confusion.write_csv(Path(folder) / "confusion.csv")
            client.log_artifacts(run_id, folder)
    return run_id


@clients.answering()
def parent(data: Path, params: Params) -> str:
    """Return the id of the run of the training in `data`, which is logged where it is missing."""
    training = find_training(data, params)
    return _run_of(clients.configure(), data, params, training)


def _run_of(
    client: "MlflowClient",
    data: Path,
    params: Params,
    training: Training,
    started_s: float | None = None,
    *,
    warns: bool = False,
) -> str:
    """Find the run of a training, or log it; `warns` whether there is one already."""
    clients.save_view(client, params)
    with store.alone():
        clients.close_stale(client)
        if not (found := clients.find(client, training)):
            return _log_new(client, data, params, training, _interval_ms(training, started_s))
        if warns:
            log.warning("this training is already in MLflow, as run %r: no second one is made", found.info.run_name)
        return str(found.info.run_id)


def _log_new(client: "MlflowClient", data: Path, params: Params, training: Training, times_ms: tuple[int, int]) -> str:
    stacks, index = record.load(data / "histograms", params)
    predictions, history = read_training(training, index, params)
    made, classes, odd = training.record, tuple(params.classes), _made(data)
    sizes = {"samples": index.height, **{f"{name}s": index[name].n_unique() for name in ("recording", "cage")}}
    values = provenance.parameters(params, sizes)
    tags = {
        KEY: training.key,
        PREDICTIONS: training.predictions,
        KIND: TRAINING,
        IS_SIMULATED: str(made.simulated).lower(),
        HISTOGRAMS: made.inputs["histograms"][:16],
        NOTE: provenance.training_note(_summary(training), told=notices.markdown(odd, params)),
        **notices.tags(odd),
        **provenance.source_tags("lmtcnn train"),
        **provenance.dvc_hashes(data),
    }
    first = next(iter(clients.search(client, FINISHED_TRAINING, "ASC")), None)
    newest = next(iter(clients.search(client, FINISHED_TRAINING)), None)
    tags[COLOR] = view.color_after(newest.data.tags.get(COLOR) if newest else None)
    name = provenance.run_name(values, tags, (first.data.params, first.data.tags) if first else None)
    guesses = average(predictions, index, classes).argmax(axis=1)
    samples = index.with_columns(ensemble=pl.Series([classes[i] for i in guesses], dtype=pl.String))
    with runs.opened(client, name, tags, *times_ms) as run_id:
        for number, cage in enumerate(reversed(made.folds)):
            # A millisecond apart, as pages list the children by their start, the latest first.
            fold_ms = (times_ms[0] + number, times_ms[1] + number)
            own = predictions.filter(fold=cage), history.filter(fold=cage), samples.filter(cage=cage)
            _log_fold(client, run_id, cage, own, classes, tags, fold_ms)
        runs.add(client, run_id, runs.curve_points(history), values, times_ms=times_ms)
        runs.log_inputs(client, run_id, data, stacks.dtype.name, stacks.shape, tags, sizes)
        client.log_dict(run_id, dump(params), "params.yaml")
        client.log_table(run_id, predictions.to_dict(as_series=False), "predictions.json")
        client.log_text(run_id, index.write_csv(), "cohort/samples.csv")
        client.log_text(run_id, notices.markdown(odd, params, limit=None), "cohort/notices.md")
        if Path(params.cohort.manifest).is_file():
            client.log_artifact(run_id, params.cohort.manifest, "cohort")
    return run_id


def _log_fold(
    client: "MlflowClient",
    run_id: str,
    cage: str,
    own: tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame],
    classes: Sequence[str],
    tags: Mapping[str, str],
    times_ms: tuple[int, int],
) -> None:
    """A run inside `run_id`: curves, accuracies and matrix of one held-out cage."""
    predictions, history, samples = own
    passed_on = (IS_SIMULATED, "lmtcnn.host", "lmtcnn.pid", "mlflow.source.name", "mlflow.user")
    kept = {name: tags[name] for name in passed_on if name in tags}
    tags = {**kept, KIND: FOLD, "lmtcnn.fold": cage, "mlflow.parentRunId": run_id}
    points = [
        *runs.curve_points(history),
        ("cv/accuracy", _share(predictions["class"] == predictions["predicted"]), 0),
        ("cv/ensemble_accuracy", _share(samples["class"] == samples["ensemble"]), 0),
    ]
    with runs.opened(client, cage, tags, *times_ms) as child_id:
        runs.add(client, child_id, points, {"train.lr": f"{history['lr'][0]:g}"}, times_ms=times_ms)
        confusion = samples.select(pl.col("class").alias("actual"), pl.col("ensemble").alias("predicted"))
        client.log_text(child_id, confusion.write_csv(), "confusion.csv")
        text = provenance.matrix_text(confusion_counts(confusion, classes).tolist(), classes)
        mark = f"**{SIMULATED}.**\n\n" if tags[IS_SIMULATED] == "true" else ""
        client.log_text(child_id, mark + text, "confusion.md")


def _made(data: Path) -> dict[str, Any]:
    """histograms.json."""
    return read_json(data / "histograms" / "histograms.json", "the histograms", "histograms", notices.KEYS)


def _summary(training: Training) -> dict[str, Any]:
    """train.json; of single folds, the first one's with the rates of all: they agree in all else that a run tells."""
    parts = [read_json(part / "train.json", "the summary of a training", "train") for part in training.parts]
    rates = {name: rate for part in parts for name, rate in part.get("rates", {}).items()}
    return parts[0] | ({"rates": rates} if rates else {})


def _interval_ms(training: Training, started_s: float | None) -> tuple[int, int]:
    if started_s is not None:
        return round(started_s * 1000), runs.now_ms()
    written_ms = [round((part / "train.json").stat().st_mtime * 1000) for part in training.parts]
    return min(written_ms), max(written_ms)


def _share(hits: pl.Series) -> float:
    return float(hits.to_numpy().mean())
