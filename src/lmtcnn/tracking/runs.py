"""Writing into a run, in as few calls as MLflow allows.

Never `mlflow.start_run`: it prints, opened anew it falsifies a run's duration, and it calls an orderly exit FAILED.
"""

import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from lmtcnn.core.errors import DataError, problem
from lmtcnn.core.files import read_json
from lmtcnn.evaluate.predicted import mean_curves
from lmtcnn.tracking import client as clients
from lmtcnn.tracking.client import FINISHED_TRAINING

CURVES = {
    "test/accuracy": "test_accuracy",  # the first metric of a run is what the page that compares runs draws at first
    "test/loss": "test_loss",
    "train/accuracy": "train_accuracy",
    "train/loss": "train_loss",
}

if TYPE_CHECKING:
    from mlflow import MlflowClient

METRICS_AT_ONCE, OTHERS_AT_ONCE = 1000, 100  # MLflow's limits for one call
ATTEMPTS = 3

Point = tuple[str, float, int]
"""Name, value, step."""


@contextmanager
def opened(client: "MlflowClient", name: str, tags: Mapping[str, str], start_ms: int, end_ms: int) -> Iterator[str]:
    """A run that ends FINISHED at `end_ms`; FAILED, or KILLED where the process is stopped, if its body did not end."""
    experiment = clients.experiment_of(client).experiment_id
    run_id = str(client.create_run(experiment, start_time=start_ms, run_name=name, tags=dict(tags)).info.run_id)
    try:
        yield run_id
    except BaseException as error:
        client.set_terminated(run_id, "FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    client.set_terminated(run_id, "FINISHED", end_ms)


def add(
    client: "MlflowClient",
    run_id: str,
    points: Sequence[Point] = (),
    params: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
    times_ms: tuple[int, int] | None = None,
) -> None:
    """Log in as few calls as MLflow allows; steps are spread over the time that they took."""
    from mlflow.entities import Metric, Param, RunTag  # noqa: PLC0415 - after connect()

    begin_ms, end_ms = times_ms or (now_ms(), now_ms())
    last = max((step for *_, step in points), default=0) or 1
    metrics = [Metric(name, value, begin_ms + (end_ms - begin_ms) * step // last, step) for name, value, step in points]
    for chunk in _chunks(metrics, METRICS_AT_ONCE):
        client.log_batch(run_id, metrics=chunk)
    for chunk in _chunks([Param(name, value) for name, value in (params or {}).items()], OTHERS_AT_ONCE):
        client.log_batch(run_id, params=chunk)
    for chunk in _chunks([RunTag(name, value) for name, value in (tags or {}).items()], OTHERS_AT_ONCE):
        client.log_batch(run_id, tags=chunk)


def log_image(client: "MlflowClient", run_id: str, path: Path, name: str, step: int = 0) -> None:
    """A picture that pages show beside those of other runs under the same name, as they do not show mere files."""
    from PIL import Image  # noqa: PLC0415 - matplotlib's; MLflow wants images, not files

    with Image.open(path) as image:
        client.log_image(run_id, image, key=name, step=step)


def log_inputs(
    client: "MlflowClient",
    run_id: str,
    data: Path,
    dtype: str,
    shape: Sequence[int],
    tags: Mapping[str, str],
    sizes: Mapping[str, int],
) -> None:
    """Say in a run which histograms (of this dtype and shape) were its input, under their digest in `tags`."""
    from mlflow.entities import Dataset, DatasetInput, InputTag  # noqa: PLC0415 - after store.quiet()
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    features = json.dumps([{"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": [-1, *shape[1:]]}}])
    dataset = Dataset(
        name="simulated histograms" if tags[clients.IS_SIMULATED] == "true" else "histograms",
        digest=tags[clients.HISTOGRAMS],
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


def _chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[i : i + size] for i in range(0, len(items), size))


def now_ms() -> int:
    """Return the time in ms since the epoch."""
    return round(time.time() * 1000)


@clients.answering()
def predictions_of(run_id: str) -> pl.DataFrame:
    """Read the out-of-fold predictions that a training's run bears.

    Parameters
    ----------
    run_id
        Of a finished training.

    Returns
    -------
    DataFrame
        A row per sample and seed.

    Raises
    ------
    DataError
        Where the store has no such run.
    """
    client = clients.connect()
    if run_id not in {run.info.run_id for run in clients.search(client, FINISHED_TRAINING, n=1000)}:
        do = "name a folder data, or the id of a training that `make ui` shows"
        raise DataError(problem(run_id, "a folder, or a finished training in MLflow's store", "neither", do))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(client.download_artifacts(run_id, "predictions.json", folder))
        content = read_json(path, "the predictions of a run", "track", ("columns", "data"))
    return pl.DataFrame(content["data"], schema=content["columns"], orient="row", infer_schema_length=None)


def curve_points(history: pl.DataFrame) -> list[Point]:
    """Mean curves over the networks with a held-out cage; what is undefined is left out."""
    means = mean_curves(history)
    return [
        (name, value, epoch)
        for name, column in CURVES.items()
        for epoch, value in means.select("epoch", column).iter_rows()
        if value is not None
    ]
