"""The model behind `mlflow models serve`: stops in, a class for each animal out. A program that MLflow copies.

It is registered as code beside weights.safetensors and model.json, so nothing is pickled. What a request may hold and
how it is answered is said in answer.py; refusals are answers 400. The signature lets every cell pass as it came, since
MLflow would make 1 of 1.5 and of `true` before anybody could look. `lmtcnn serve` (serve.py) answers the same without
running a registered program, and has limits.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlflow.models
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from mlflow.types import ColSpec, Schema
from mlflow.types.schema import AnyType

from lmtcnn.bundle import bundle
from lmtcnn.bundle.bundle import Bundle
from lmtcnn.core.errors import DataError, LmtcnnError, problem
from lmtcnn.core.sections import HistogramsParams
from lmtcnn.predictions import answer, prediction
from lmtcnn.register import registry

SHA256 = "sha256"
"""Key under which the registered model's configuration (MLmodel) holds the digests of its files."""


def signature(classes: Sequence[str]) -> ModelSignature:
    """Columns in and out."""
    answers = {"predicted": "string", "probability": "double", **{f"p_{name}": "double" for name in classes}}
    columns = {"recording": "string", "animal_id": "long", **answers, "set": "string", "distance": "double"}
    columns |= {"agreement": "double", "warnings": "string"}
    return ModelSignature(
        inputs=Schema([ColSpec(AnyType(), name) for name in answer.COLUMNS]),  # type: ignore[no-untyped-call]
        outputs=Schema([ColSpec(kind, name) for name, kind in columns.items()]),
    )


def example(settings: HistogramsParams) -> pd.DataFrame:
    """Stops of one animal over the length of these histograms, one an interval: how a request looks."""
    starts_s = [(i + 0.95) * settings.interval_s for i in range(settings.intervals)]
    place = {"recording": "cage01", "animal_id": 1, "duration_s": 1.7, "x_cm": 24.9, "y_cm": 8.0}
    return pd.DataFrame([{**place, "start_s": start_s} for start_s in starts_s])[list(answer.COLUMNS)]


class Served(PythonModel):
    """The networks of a bundle, asked for tables of stops."""

    bundle: Bundle

    def load_context(self, context: PythonModelContext) -> None:
        """Read the bundle from its two files; ModelError where their sha256 are not those that were registered."""
        folder = Path(context.artifacts["model"]).parent
        registry.check(folder, (context.model_config or {}).get(SHA256, {}))
        self.bundle = bundle.read(folder)

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """A row for each animal, in the order in which they first appear; MlflowException (400) as a refusal."""
        try:
            if twice := sorted({str(name) for name in model_input.columns[model_input.columns.duplicated()]}):
                raise DataError(problem(", ".join(twice), "one column", "several", "leave one"))
            stops = answer.checked({str(name): model_input[name].to_list() for name in model_input.columns})
            answers = prediction.as_frame(answer.answers(stops, self.bundle), self.bundle.classes)
        except LmtcnnError as error:
            raise MlflowException("; ".join(error.lines), error_code=INVALID_PARAMETER_VALUE) from None
        return pd.DataFrame(answers.drop("rfid").to_dict(as_series=False))


mlflow.models.set_model(Served())
