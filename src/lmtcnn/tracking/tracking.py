"""MLflow runs: one for each training, named by what distinguishes it, with a run inside it for each held-out cage.

The children of a run stay folded away in MLflow's pages, so what one wants to compare stands on the parent: mean
curves under the children's names, `cv/...`, `baseline/...`, `fold/accuracy` by fold, pooled matrices and predictions,
maps. The experiment has a saved view of the parents with the columns and charts worth comparing (view.py). A run is
found again by `lmtcnn.key`, a hash of what was trained on and how, never by an id in an output: DVC may restore a
training without running it.

All of this is made from the files of the stages, through MLflow's client, by one process. A stage writes its files
first and its run afterwards, so nothing that happens here costs a training: `track` makes it good. Never
`mlflow.start_run`: it prints, opened anew it falsifies a run's duration, and it calls an orderly exit FAILED.
"""

import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import polars as pl

from lmtcnn import SIMULATED
from lmtcnn.core.errors import DataError, LmtcnnError, OutputError, problem
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
)
from lmtcnn.core.sections import dump
from lmtcnn.evaluate import evaluate
from lmtcnn.figures import figures
from lmtcnn.histograms import notices, record
from lmtcnn.tracking import provenance, store, view
from lmtcnn.tracking.store import EXPERIMENT, log, project_root, relocate

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

__all__ = ["project_root", "relocate"]  # of the store, under the name of what one does

KEY, KIND, IS_SIMULATED, HISTOGRAMS = "lmtcnn.key", "lmtcnn.kind", "lmtcnn.simulated", "lmtcnn.histograms"
PREDICTIONS = "lmtcnn.predictions"
"""A training done again elsewhere may give other numbers under the same key: a run bears the digest of its own."""
TRAINING, FOLD, COHORT = "training", "fold", "cohort"
FINISHED_TRAINING = f"tags.`{KIND}` = '{TRAINING}' and attributes.status = 'FINISHED'"
NOTES, MAX_TAG = "lmtcnn.notes", 5000  # what speaks against a training, and MLflow's limit of a tag
NOTE, COLOR = "mlflow.note.content", "mlflow.runColor"
CURVES = {
    "test/accuracy": "test_accuracy",  # the first metric of a run is what the page that compares runs draws at first
    "test/loss": "test_loss",
    "train/accuracy": "train_accuracy",
    "train/loss": "train_loss",
}
METRICS_AT_ONCE, OTHERS_AT_ONCE = 1000, 100  # MLflow's limits for one call
ATTEMPTS = 3
ABOUT = """One run for each training, and in it one for each held-out cage. *Views > Trainings* shows what to compare; \
select runs and press *Compare*, or look at the charts.

`cv/...` are results on cages that a network has not seen, `baseline/...` those of simpler methods on the same folds, \
`fold/...` those of one cage after the other (so its last value is the last cage's). `test/...` and `train/...` are \
curves over epochs, averaged over folds and seeds and taken while the networks still learn: judge by `cv/...`. Runs \
with the tag `lmtcnn.kind` = `cohort` are models that were tried on a new cohort."""

PAGES = "http://127.0.0.1:5000"
"""Where `make ui` serves."""

Point = tuple[str, float, int]
"""Name, value, step."""


def configure() -> "MlflowClient":
    """A client of a store that is there, can be written, and has the experiment.

    Raises OutputError at once where the store cannot be written, belongs to another version of MLflow, or was moved
    without its artifacts.
    """
    store.check_writable()
    store.quiet()
    with store.alone(), answering():
        client = connect()
        experiment_of(client)
        relocate()
    return client


def connect() -> "MlflowClient":
    """A client of the store as it is. Never `mlflow.set_tracking_uri`: it sets MLFLOW_TRACKING_URI for the process.

    Raises OutputError where the store is a server that does not answer, cannot be read, or belongs to another version
    of MLflow.
    """
    store.check_answers()
    store.quiet()
    store.check_readable()
    from mlflow import MlflowClient  # noqa: PLC0415 - after store.quiet()
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    store.quiet()  # the import has set the level of its logger
    uri = store.tracking_uri()
    try:
        return MlflowClient(tracking_uri=uri, registry_uri=os.environ.get("MLFLOW_REGISTRY_URI") or uri)
    except MlflowException as error:
        if "out-of-date database schema" not in str(error):
            raise
        found = re.search(r"found version (\w+)", str(error))
        if found and not store.is_known(found[1]):
            raise store.of_newer(found[1]) from error
        do = f"keep a copy of it and run `mlflow db upgrade {store.shown(uri)}`"
        raise OutputError(problem(store.place(), "a store of this MLflow", "one of an older MLflow", do)) from error


@contextmanager
def answering() -> Iterator[None]:
    """Turn what a store says, be it a server, a database, a disk or its artifacts, into an OutputError of one line."""
    try:
        yield
    except Exception as error:
        refused = store.refusal(error)
        if not refused and isinstance(error, OSError):
            refused = store.disk_refusal(error) or store.refused(error)
        if refused:
            raise refused from error
        raise


def experiment_of(client: "MlflowClient") -> "Experiment":
    """The experiment `lmtcnn`, made where it is missing and brought back where it was deleted."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 - after connect()

    found = client.get_experiment_by_name(EXPERIMENT)
    if found is None:
        try:
            return client.get_experiment(client.create_experiment(EXPERIMENT, store.location(), {NOTE: ABOUT}))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":  # somebody else was faster
                raise
            return experiment_of(client)
    if found.lifecycle_stage == "deleted":
        log.warning("the experiment %s was deleted in MLflow: it is restored, with its runs", EXPERIMENT)
        client.restore_experiment(found.experiment_id)
    return found


def save_view(client: "MlflowClient", params: Params) -> None:
    """Let the experiment have the saved view for these classes, unless it has just this one."""
    experiment = experiment_of(client)
    wanted = view.saved(params, experiment.creation_time or 0)
    if experiment.tags.get(view.TAG) != wanted:
        client.set_experiment_tag(experiment.experiment_id, view.TAG, wanted)


@answering()
def log_train(data: Path, params: Params, started_s: float | None = None) -> str:
    """The run of the training in `data`, logged unless it is there already; returns its id.

    `started_s` is when the training began, seconds since the epoch, if it has just ended; without it the run bears the
    time of the files. Raises DataError where the training is incomplete or had other parameters.
    """
    return _log_once(data, params, find_training(data, params), started_s)


def _log_once(data: Path, params: Params, training: Training, started_s: float | None = None) -> str:
    client = configure()
    save_view(client, params)
    with store.alone():
        close_stale(client)
        if found := find(client, training):
            log.warning("this training is already in MLflow, as run %r: no second one is made", found.info.run_name)
            return str(found.info.run_id)
        return _log_new(client, data, params, training, _interval_ms(training, started_s))


@answering()
def log_evaluate(data: Path, params: Params) -> str:
    """Add data/evaluate to the run of its training (logged first where it is missing); returns the run's id.

    Raises DataError where it is not of the present training.
    """
    training = find_training(data, params)
    record = read_evaluation(data, params, training)
    client, run_id = configure(), _parent(data, params, training)
    folder = data / "evaluate"
    metrics = read_json(folder / METRICS, "the metrics", "evaluate")
    with _once(client, run_id, "lmtcnn.evaluate", record) as fresh:
        if fresh:
            folds = pl.read_csv(folder / "folds.csv")
            told = notices.markdown(_made(data), params)
            points = [(name, value, 0) for name, value in provenance.metric_names(metrics).items()]
            for name in ("accuracy", "ensemble_accuracy"):
                points += [(f"fold/{name}", value, step) for step, value in enumerate(folds[name].to_list())]
            notes = "; ".join(metrics.get("notes", ())) or "none"
            note = provenance.training_note(_summary(training), metrics, told)
            _add(client, run_id, points, tags={NOTE: note, NOTES: notes[:MAX_TAG]})
            for name in (*record.outputs, EVALUATION):
                client.log_artifact(run_id, str(folder / name), "evaluate")
            _log_image(client, run_id, folder / "confusion.png", view.CONFUSION)
    return run_id


@answering()
def log_explain(data: Path, params: Params) -> str:
    """Add data/explain to the run of its training (logged first where it is missing); returns the run's id.

    Raises DataError where it is not of the present training.
    """
    training = full_training(data, params)
    record = read_maps(data, params, training)
    client, run_id = configure(), _parent(data, params, training)
    folder = data / "explain"
    with _once(client, run_id, "lmtcnn.explain", record) as fresh:
        if fresh:
            for name in sorted(name for name in record.outputs if name.endswith(".png")):
                _log_image(client, run_id, folder / name, name.removesuffix(".png"), params.explain.seed)
            for name in (MAPS, *(name for name in record.outputs if name.endswith(".npy"))):
                client.log_artifact(run_id, str(folder / name), "explain")
    return run_id


def track(data: Path, params: Params) -> str:
    """Log whatever is in the files and not in the store: training, evaluation, maps; returns the parent run's id.

    What is not of the training is left out, with a warning that says why.
    """
    run_id = parent(data, params)
    for path, add in ((data / "evaluate" / METRICS, log_evaluate), (data / "explain" / MAPS, log_explain)):
        if path.is_file():
            try:
                add(data, params)
            except DataError as error:
                log.warning("%s is left out: %s", path.parent, error.lines[0])
    return run_id


@answering()
def log_cohort(
    manifest: Path,
    metrics: Mapping[str, float],
    predictions: pl.DataFrame,
    classes: Sequence[str],
    tags: Mapping[str, str],
    started_s: float | None = None,
) -> str:
    """A run of its own for a model that was tried on a labelled new cohort; returns its id.

    `predictions` has columns `recording`, `class` and `predicted`, a row a sample; `metrics` are named as in
    metrics.json; `tags` say at least `lmtcnn.simulated` (the recordings or the model: `true`, `false`), and by
    `lmtcnn.model` which model it was. The run is named by its manifest (`cohort.csv` by its folder) and the model.
    """
    stem = manifest.resolve().parent.name if manifest.stem == "cohort" else manifest.stem
    name = f"{stem} by {tags['lmtcnn.model']}"
    sizes = {"samples": predictions.height, "recordings": predictions["recording"].n_unique()}
    client = configure()
    now_ms = _now_ms()
    start_ms = round(started_s * 1000) if started_s else now_ms
    known = {"lmtcnn.manifest": str(manifest), "lmtcnn.manifest_sha256": digest(manifest)}
    given = {KIND: COHORT, **provenance.source_tags("lmtcnn predict --cohort"), **known, **tags}
    with _opened(client, name, given, start_ms, now_ms) as run_id:
        points = [(k.replace("cv/", "cohort/", 1), v, 0) for k, v in provenance.metric_names(metrics).items()]
        _add(client, run_id, points, {f"cohort.{key}": str(value) for key, value in sizes.items()})
        client.log_artifact(run_id, str(manifest), "cohort")
        client.log_table(run_id, predictions.to_dict(as_series=False), "predictions.json")
        confusion = predictions.select(pl.col("class").alias("actual"), "predicted")
        mark = f"{SIMULATED}. " if tags.get(IS_SIMULATED) == "true" else ""
        note = f"{mark}{predictions.height} samples of a cohort that is new to the networks."
        figure = figures.confusion_matrix(evaluate.confusion_counts(confusion, classes), classes, name, note)
        with tempfile.TemporaryDirectory() as folder:
            figures.save(figure, Path(folder) / "confusion.png")
            confusion.write_csv(Path(folder) / "confusion.csv")
            client.log_artifacts(run_id, folder)
    return run_id


@answering()
def parent(data: Path, params: Params) -> str:
    """Id of the run of the training in `data`, which is logged where it is missing."""
    return _parent(data, params, find_training(data, params))


def _parent(data: Path, params: Params, training: Training) -> str:
    client = configure()
    save_view(client, params)
    found = find(client, training)
    return str(found.info.run_id) if found else _log_once(data, params, training)


def find(client: "MlflowClient", training: Training) -> "Run | None":
    """The complete run of this very training."""
    wanted = f"tags.`{KEY}` = '{training.key}' and tags.`{PREDICTIONS}` = '{training.predictions}'"
    return next(iter(_search(client, f"{FINISHED_TRAINING} and {wanted}")), None)


def latest_parents(n: int) -> list[str]:
    """Ids of the last `n` trainings, the newest first; raises DataError where there are fewer."""
    found = [run.info.run_id for run in _search(configure(), FINISHED_TRAINING, n=n)]
    if len(found) < n:
        do = "train again with another parameter, or compare fewer"
        raise DataError(problem(f"experiment {EXPERIMENT}", f"{n} trainings", str(len(found)), do))
    return found


def compare_url(run_ids: Sequence[str], pages: str = PAGES) -> str:
    """The address of MLflow's page that compares runs; `pages` is where `make ui` serves, a server has its own.

    Form and `workflowType` as MLflow 3.17's pages read them (`getCompareRunPageRoute` in their JavaScript); without
    the latter a first visit lands among language models, where the way back to the runs is hard to find.
    """
    experiment = experiment_of(configure()).experiment_id
    chosen, experiments = (quote(json.dumps(ids, separators=(",", ":"))) for ids in (list(run_ids), [experiment]))
    return f"{_pages(pages)}/#/compare-runs?runs={chosen}&experiments={experiments}&workflowType=machine_learning"


def view_url(pages: str = PAGES) -> str:
    """The address of the saved view in which trainings are compared; `pages` as of `compare_url`."""
    experiment = experiment_of(configure()).experiment_id
    return f"{_pages(pages)}/#/experiments/{experiment}/runs?viewStateShareKey={view.KEY}&workflowType=machine_learning"


def _pages(embedded: str) -> str:
    uri = store.tracking_uri()
    return uri.rstrip("/") if uri.startswith("http") else embedded


def close_stale(client: "MlflowClient") -> None:
    """Mark runs KILLED that are still RUNNING although their process, on this host, is gone."""
    for run in _search(client, "attributes.status = 'RUNNING'", n=1000):
        if not provenance.alive(run.data.tags):
            client.set_terminated(run.info.run_id, "KILLED")


@contextmanager
def repairable() -> Iterator[None]:
    """For the end of a stage: what goes wrong with MLflow becomes a warning that says how to make it good.

    The stage's files are whole by then, and DVC would throw away what a failing command has made.
    """
    try:
        yield
    except Exception as error:
        if isinstance(told := store.refusal(error) or error, LmtcnnError):
            reason = "; ".join(told.lines)
        elif isinstance(error, OSError) or type(error).__module__.partition(".")[0] in ("mlflow", "sqlalchemy"):
            reason = str(error).splitlines()[0]
        else:
            raise
        log.warning("not logged in MLflow (%s): `lmtcnn track` logs it once that is mended", reason)


def _log_new(client: "MlflowClient", data: Path, params: Params, training: Training, times_ms: tuple[int, int]) -> str:
    stacks, index = record.load(data / "histograms", params)
    predictions, history = evaluate.read_training(training, index, params)
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
    first = next(iter(_search(client, FINISHED_TRAINING, "ASC")), None)
    newest = next(iter(_search(client, FINISHED_TRAINING)), None)
    tags[COLOR] = view.color_after(newest.data.tags.get(COLOR) if newest else None)
    name = provenance.run_name(values, tags, (first.data.params, first.data.tags) if first else None)
    guesses = evaluate.average(predictions, index, classes).argmax(axis=1)
    samples = index.with_columns(ensemble=pl.Series([classes[i] for i in guesses], dtype=pl.String))
    with _opened(client, name, tags, *times_ms) as run_id:
        for number, cage in enumerate(reversed(made.folds)):
            # A millisecond apart, as pages list the children by their start, the latest first.
            fold_ms = (times_ms[0] + number, times_ms[1] + number)
            own = predictions.filter(fold=cage), history.filter(fold=cage), samples.filter(cage=cage)
            _log_fold(client, run_id, cage, own, classes, tags, fold_ms)
        _add(client, run_id, _curve_points(history), values, times_ms=times_ms)
        _log_inputs(client, run_id, data, stacks.dtype.name, stacks.shape, tags, sizes)
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
        *_curve_points(history),
        ("cv/accuracy", _share(predictions["class"] == predictions["predicted"]), 0),
        ("cv/ensemble_accuracy", _share(samples["class"] == samples["ensemble"]), 0),
    ]
    with _opened(client, cage, tags, *times_ms) as child_id:
        _add(client, child_id, points, {"train.lr": f"{history['lr'][0]:g}"}, times_ms=times_ms)
        confusion = samples.select(pl.col("class").alias("actual"), pl.col("ensemble").alias("predicted"))
        client.log_text(child_id, confusion.write_csv(), "confusion.csv")
        text = provenance.matrix_text(evaluate.confusion_counts(confusion, classes).tolist(), classes)
        mark = f"**{SIMULATED}.**\n\n" if tags[IS_SIMULATED] == "true" else ""
        client.log_text(child_id, mark + text, "confusion.md")


def _log_inputs(
    client: "MlflowClient",
    run_id: str,
    data: Path,
    dtype: str,
    shape: Sequence[int],
    tags: Mapping[str, str],
    sizes: Mapping[str, int],
) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag  # noqa: PLC0415 - after store.quiet()
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    features = json.dumps([{"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": [-1, *shape[1:]]}}])
    dataset = Dataset(
        name="simulated histograms" if tags[IS_SIMULATED] == "true" else "histograms",
        digest=tags[HISTOGRAMS],
        source_type="local",
        source=json.dumps({"uri": (data / "histograms").as_posix()}),
        schema=json.dumps({"mlflow_tensorspec": {"features": features, "targets": None}}),
        profile=json.dumps(dict(sizes)),
    )
    for attempt in range(ATTEMPTS):
        try:
            client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "train")])])
            break
        except MlflowException as error:  # MLflow looks whether it knows the dataset, then adds it: so did another one
            if ("IntegrityError" not in str(error) and "UniqueViolation" not in str(error)) or attempt + 1 == ATTEMPTS:
                raise


def _curve_points(history: pl.DataFrame) -> list[Point]:
    """Mean curves over the networks with a held-out cage; what is undefined is left out."""
    means = evaluate.mean_curves(history)
    return [
        (name, value, epoch)
        for name, column in CURVES.items()
        for epoch, value in means.select("epoch", column).iter_rows()
        if value is not None
    ]


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
        return round(started_s * 1000), _now_ms()
    written_ms = [round((part / "train.json").stat().st_mtime * 1000) for part in training.parts]
    return min(written_ms), max(written_ms)


def _share(hits: pl.Series) -> float:
    return float(hits.to_numpy().mean())


@contextmanager
def _opened(client: "MlflowClient", name: str, tags: Mapping[str, str], start_ms: int, end_ms: int) -> Iterator[str]:
    """A run that ends FINISHED at `end_ms`; FAILED, or KILLED where the process is stopped, if its body did not end."""
    experiment = experiment_of(client).experiment_id
    run_id = str(client.create_run(experiment, start_time=start_ms, run_name=name, tags=dict(tags)).info.run_id)
    try:
        yield run_id
    except BaseException as error:
        client.set_terminated(run_id, "FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    client.set_terminated(run_id, "FINISHED", end_ms)


def _add(
    client: "MlflowClient",
    run_id: str,
    points: Sequence[Point] = (),
    params: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
    times_ms: tuple[int, int] | None = None,
) -> None:
    """Log in as few calls as MLflow allows; steps are spread over the time that they took."""
    from mlflow.entities import Metric, Param, RunTag  # noqa: PLC0415 - after connect()

    begin_ms, end_ms = times_ms or (_now_ms(), _now_ms())
    last = max((step for *_, step in points), default=0) or 1
    metrics = [Metric(name, value, begin_ms + (end_ms - begin_ms) * step // last, step) for name, value, step in points]
    for chunk in _chunks(metrics, METRICS_AT_ONCE):
        client.log_batch(run_id, metrics=chunk)
    for chunk in _chunks([Param(name, value) for name, value in (params or {}).items()], OTHERS_AT_ONCE):
        client.log_batch(run_id, params=chunk)
    for chunk in _chunks([RunTag(name, value) for name, value in (tags or {}).items()], OTHERS_AT_ONCE):
        client.log_batch(run_id, tags=chunk)


def _log_image(client: "MlflowClient", run_id: str, path: Path, name: str, step: int = 0) -> None:
    """A picture that pages show beside those of other runs under the same name, as they do not show mere files."""
    from PIL import Image  # noqa: PLC0415 - matplotlib's; MLflow wants images, not files

    with Image.open(path) as image:
        client.log_image(run_id, image, key=name, step=step)


@contextmanager
def _once(client: "MlflowClient", run_id: str, tag: str, record: Record) -> Iterator[bool]:
    """False if just these files were added to the run before; what was added is remembered at the end."""
    content = hashlib.sha256(json.dumps(record.outputs, sort_keys=True).encode())
    with store.alone():
        fresh = client.get_run(run_id).data.tags.get(tag) != content.hexdigest()
        yield fresh
        if fresh:
            client.set_tag(run_id, tag, content.hexdigest())


def _search(client: "MlflowClient", wanted: str, order: str = "DESC", n: int = 1) -> "list[Run]":
    """Runs of our experiment by start, the newest (DESC) or the oldest (ASC) first."""
    experiment = experiment_of(client).experiment_id
    return list(client.search_runs([experiment], wanted, max_results=n, order_by=[f"attributes.start_time {order}"]))


def _now_ms() -> int:
    return round(time.time() * 1000)


def _chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[i : i + size] for i in range(0, len(items), size))
