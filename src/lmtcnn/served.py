"""The model behind `mlflow models serve`: stops in, a class for each animal out. A program that MLflow copies.

It is registered as code beside weights.safetensors and model.json, so nothing is pickled. MLflow checks columns and
types by the signature; what it lets through (a null, an empty table) is refused here, as an answer 400.

    recording, animal_id    whose stop it is
    start_s                 its beginning, s since the recording's first frame (or since the model's clock time `align`)
    duration_s, x_cm, y_cm  its length and place; x and y from the upper left corner of the floor
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlflow.models
import numpy as np
import pandas as pd
import polars as pl
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from mlflow.types import ColSpec, Schema
from numpy.typing import NDArray

from lmtcnn import bundle, histograms, predict
from lmtcnn import clock as clocks
from lmtcnn.bundle import Bundle
from lmtcnn.errors import problem
from lmtcnn.histograms import Stack

KEYS = {"recording": "string", "animal_id": "long"}
NUMBERS = {"start_s": "double", "duration_s": "double", "x_cm": "double", "y_cm": "double"}


def signature(classes: Sequence[str]) -> ModelSignature:
    """Columns in and out."""
    answers = {"predicted": "string", "probability": "double", **{f"p_{name}": "double" for name in classes}}
    columns = {**KEYS, **answers, "agreement": "double", "warnings": "string"}
    return ModelSignature(
        inputs=Schema([ColSpec(kind, name) for name, kind in (KEYS | NUMBERS).items()]),
        outputs=Schema([ColSpec(kind, name) for name, kind in columns.items()]),
    )


def example() -> pd.DataFrame:
    """One stop: what a request looks like."""
    values = {"recording": "cage01", "animal_id": 1, "start_s": 12.5, "duration_s": 1.7, "x_cm": 24.9, "y_cm": 8.0}
    return pd.DataFrame([values])


class Served(PythonModel):
    """The networks of a bundle, asked for tables of stops."""

    bundle: Bundle

    def load_context(self, context: PythonModelContext) -> None:
        """Read the bundle from its two files."""
        self.bundle = bundle.read(Path(context.artifacts["model"]).parent)

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """A row for each animal, in the order in which they first appear."""
        stops = checked(model_input)
        settings = self.bundle.definitions.histograms
        if settings.only != "all" and settings.align == "start":
            expected, found = f"stops with their time of day: it counts those of the {settings.only}", "only start_s"
            raise refusal(problem("the model", expected, found, "ask `lmtcnn predict`, which reads the clock"))
        floor_cm = histograms.floor_of(self.bundle.definitions.stops.arena)
        stacked = []
        for (recording, animal_id), own in stops.group_by("recording", "animal_id", maintain_order=True):
            stack = histograms.stack_of(own, floor_cm, settings, chosen=self._chosen(own))
            if clocks.too_late(stack.n_stops, stack.n_late, settings):
                expected = f"stops within {settings.intervals * settings.interval_s:g} s"
                found = f"{stack.n_late} of {stack.n_stops} later"
                raise refusal(problem(f"{recording}, {animal_id}", expected, found, "use a model of this length"))
            stacked.append(predict.Stacked(str(recording), int(str(animal_id)), None, stack.counts, self._notes(stack)))
        answers = predict.as_frame(predict.classify(stacked, self.bundle), self.bundle.classes)
        return pd.DataFrame(answers.drop("rfid").to_dict(as_series=False))

    def _chosen(self, stops: pl.DataFrame) -> NDArray[np.bool_] | None:
        """Whether each stop is of the time of day that is counted, by its seconds since the clock time `align`."""
        settings = self.bundle.definitions.histograms
        if settings.only == "all":
            return None
        hours, minutes = (int(part) for part in settings.align.split(":"))
        day_s = (3600 * hours + 60 * minutes + stops["start_s"].to_numpy()) % clocks.DAY_S
        return clocks.chosen(day_s, settings)

    def _notes(self, stack: Stack) -> list[str]:
        """In words, what to keep in mind about an answer."""
        meta, align = self.bundle.meta, self.bundle.definitions.histograms.align
        found = bundle.features(stack.counts, stack.outside_share)
        return [
            *([predict.SIMULATED_MODEL] if meta["simulated"] else []),
            *([f"start_s is taken as seconds since {align}"] if align != "start" else []),
            *bundle.unlike(found, meta["cohort_statistics"]),
        ]


def checked(table: pd.DataFrame) -> pl.DataFrame:
    """The stops, if every cell holds what it should; else a refusal that names each column and its first bad row."""
    lines = [problem(name, "a column", "none", "add it") for name in KEYS | NUMBERS if name not in table.columns]
    if not lines and table.empty:
        lines.append(problem("the table", "stops", "no row", "send at least one"))
    if lines:
        raise refusal(*lines)
    stops = pl.DataFrame({name: table[name].to_list() for name in KEYS | NUMBERS}, strict=False)
    for name in (*KEYS, *NUMBERS):
        bad = stops[name].is_null()
        expected = "a value"
        if name in NUMBERS:
            values = stops[name].cast(pl.Float64, strict=False)
            least = 0.0 if name in ("start_s", "duration_s") else -float("inf")
            bad = ~(values.is_finite() & (values >= least)).fill_null(False)
            expected = "a number" if least else "a number, 0 or more"
            stops = stops.with_columns(values)
        if bad.any():
            row = bad.to_list().index(True)
            lines.append(problem(f"{name}, row {row}", expected, str(table[name].iloc[row]), "correct it"))
    if lines:
        raise refusal(*lines)
    return stops.with_columns(pl.col("recording").cast(pl.String), pl.col("animal_id").cast(pl.Int64))


def refusal(*lines: str) -> MlflowException:
    """What MLflow's server answers with status 400 and without a trace of the program."""
    return MlflowException("; ".join(lines), error_code=INVALID_PARAMETER_VALUE)


mlflow.models.set_model(Served())
