"""The store through MLflow's client: connected, quiet, and with what it complains of in one line.

MLflow is imported inside functions, after `store.quiet`.
"""

import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote

from lmtcnn.core.errors import DataError, LmtcnnError, OutputError, problem
from lmtcnn.core.params import Params
from lmtcnn.core.records import Training
from lmtcnn.tracking import checks, provenance, store, view
from lmtcnn.tracking.store import EXPERIMENT, log

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

KEY, KIND, IS_SIMULATED, HISTOGRAMS = "lmtcnn.key", "lmtcnn.kind", "lmtcnn.simulated", "lmtcnn.histograms"
PREDICTIONS = "lmtcnn.predictions"
"""A training done again elsewhere may give other numbers under the same key: a run bears the digest of its own."""
TRAINING = "training"
FINISHED_TRAINING = f"tags.`{KIND}` = '{TRAINING}' and attributes.status = 'FINISHED'"
NOTE = "mlflow.note.content"
ABOUT = """One run for each training, and in it one for each held-out cage. *Views > Trainings* shows what to compare; \
select runs and press *Compare*, or look at the charts.

`cv/...` are results on cages that a network has not seen, `baseline/...` those of simpler methods on the same folds, \
`fold/...` those of one cage after the other (so its last value is the last cage's). `test/...` and `train/...` are \
curves over epochs, averaged over folds and seeds and taken while the networks still learn: judge by `cv/...`. Runs \
with the tag `lmtcnn.kind` = `cohort` are models that were tried on a new cohort."""

PAGES = "http://127.0.0.1:5000"
"""Address at which `make ui` serves."""


def configure() -> "MlflowClient":
    """A client of a store that is there, can be written, and has the experiment.

    Raises OutputError at once where the store cannot be written, belongs to another version of MLflow, or was moved
    without its artifacts.
    """
    checks.check_writable()
    store.quiet()
    with store.alone(), answering():
        client = connect()
        experiment_of(client)
        store.relocate()
    return client


def connect() -> "MlflowClient":
    """A client of the store as it is. Never `mlflow.set_tracking_uri`: it sets MLFLOW_TRACKING_URI for the process.

    Raises OutputError where the store is a server that does not answer, cannot be read, or belongs to another version
    of MLflow.
    """
    checks.check_answers()
    store.quiet()
    checks.check_readable()
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
        if found and not checks.is_known(found[1]):
            raise checks.of_newer(found[1]) from error
        do = f"keep a copy of it and run `mlflow db upgrade {store.shown(uri)}`"
        raise OutputError(problem(store.place(), "a store of this MLflow", "one of an older MLflow", do)) from error


@contextmanager
def answering() -> Iterator[None]:
    """Turn an error of a store (a server, a database, a disk, its artifacts) into an OutputError of one line."""
    try:
        yield
    except Exception as error:
        refused = checks.refusal(error)
        if not refused and isinstance(error, OSError):
            refused = checks.disk_refusal(error) or checks.refused(error)
        if refused:
            raise refused from error
        raise


@contextmanager
def repairable() -> Iterator[None]:
    """For the end of a stage: what goes wrong with MLflow becomes a warning that says how to make it good.

    The stage's files are whole by then, and DVC would throw away what a failing command has made.
    """
    try:
        yield
    except Exception as error:
        if isinstance(told := checks.refusal(error) or error, LmtcnnError):
            reason = "; ".join(told.lines)
        elif isinstance(error, OSError) or type(error).__module__.partition(".")[0] in ("mlflow", "sqlalchemy"):
            reason = str(error).splitlines()[0]
        else:
            raise
        log.warning("not logged in MLflow (%s): `lmtcnn track` logs it once that is mended", reason)


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


def search(client: "MlflowClient", wanted: str, order: str = "DESC", n: int = 1) -> "list[Run]":
    """Runs of our experiment by start, the newest (DESC) or the oldest (ASC) first."""
    experiment = experiment_of(client).experiment_id
    return list(client.search_runs([experiment], wanted, max_results=n, order_by=[f"attributes.start_time {order}"]))


def find(client: "MlflowClient", training: Training) -> "Run | None":
    """The complete run of this very training."""
    wanted = f"tags.`{KEY}` = '{training.key}' and tags.`{PREDICTIONS}` = '{training.predictions}'"
    return next(iter(search(client, f"{FINISHED_TRAINING} and {wanted}")), None)


def latest_parents(n: int) -> list[str]:
    """Ids of the last `n` trainings, the newest first; raises DataError where there are fewer."""
    found = [run.info.run_id for run in search(configure(), FINISHED_TRAINING, n=n)]
    if len(found) < n:
        do = "train again with another parameter, or compare fewer"
        raise DataError(problem(f"experiment {EXPERIMENT}", f"{n} trainings", str(len(found)), do))
    return found


def close_stale(client: "MlflowClient") -> None:
    """Mark runs KILLED that are still RUNNING although their process, on this host, is gone."""
    for run in search(client, "attributes.status = 'RUNNING'", n=1000):
        if not provenance.alive(run.data.tags):
            client.set_terminated(run.info.run_id, "KILLED")


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
