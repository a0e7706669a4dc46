"""Predictions, and the forms in which they are given away: plain values, tables, files."""

import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import polars as pl

from lmtcnn.bundle.bundle import Bundle
from lmtcnn.core.errors import OutputError, problem
from lmtcnn.core.files import write_bytes, write_text

FORMATS = (".csv", ".parquet", ".json")


@dataclass(frozen=True)
class Model:
    """The model that answered.

    `uri` (as --model takes it), its version in the registry, the MLflow run of its training and the date of its
    registration (UTC), all None of what is not known; `accuracy` of its networks together on held-out cages, an
    estimate of the procedure; `digest`, the beginnings of the sha256 of its two files.
    """

    uri: str | None
    version: str | None
    run: str | None
    date: str | None
    accuracy: float | None
    digest: str | None

    @classmethod
    def of(
        cls,
        bundle: Bundle,
        uri: str | None = None,
        version: str | None = None,
        run: str | None = None,
        date: str | None = None,
    ) -> "Model":
        """Describe the model in a bundle, by what is known of where it comes from."""
        accuracy = bundle.meta.get("metrics", {}).get("ensemble_accuracy")
        return cls(uri, version, run, date, accuracy, bundle.digest)

    @property
    def line(self) -> str:
        """A line for people."""
        parts = [
            f"model {self.uri or 'in memory'}",
            *([f"run {self.run}"] if self.run else []),
            *([f"registered {self.date}"] if self.date else []),
            *([f"digest {self.digest}"] if self.digest and not self.version else []),
            *([] if self.accuracy is None else [f"right in {self.accuracy:.1%} of the samples of held-out cages"]),
        ]
        return ", ".join(parts)


@dataclass(frozen=True)
class Prediction:
    """The model's answer for one animal in one recording.

    `set` are the classes that it may be (bundle.doubt.class_set), `distance` how far its stops lie from those of the
    training cohort, `agreement` the share of networks that say `predicted`.
    """

    recording: str
    animal_id: int
    rfid: str | None
    predicted: str
    probability: float
    probabilities: dict[str, float]
    set: list[str]
    distance: float
    agreement: float
    warnings: list[str]
    model: Model | None = None


def as_records(predictions: Iterable[Prediction]) -> list[dict[str, Any]]:
    """Turn predictions into plain values, one JSON object each; `model` stands before `warnings`."""
    found = []
    for prediction in predictions:
        record = dict(vars(prediction))
        warnings, model = record.pop("warnings"), record.pop("model")
        found.append({**record, "model": asdict(model) if model else None, "warnings": warnings})
    return found


def as_table(predictions: Sequence[Prediction], classes: Sequence[str]) -> pl.DataFrame:
    """Add to `as_frame` the columns `model` (its uri), `model_version`, `_run`, `_date`, `_accuracy`, `_digest`."""
    models = [vars(p.model) if p.model else {} for p in predictions]
    columns = []
    for name in (each.name for each in fields(Model)):
        kind = pl.Float64 if name == "accuracy" else pl.String
        values = [model.get(name) for model in models]
        columns.append(pl.Series("model" if name == "uri" else f"model_{name}", values, dtype=kind))
    frame = as_frame(predictions, classes)
    return frame.drop("warnings").hstack([*columns, frame["warnings"]])


def as_frame(predictions: Sequence[Prediction], classes: Sequence[str]) -> pl.DataFrame:
    """Make a flat table: p_<class> columns, the classes of a set and warnings joined by ` | `."""
    return pl.DataFrame(
        {
            "recording": [p.recording for p in predictions],
            "animal_id": [p.animal_id for p in predictions],
            "rfid": [p.rfid for p in predictions],
            "predicted": [p.predicted for p in predictions],
            "probability": [p.probability for p in predictions],
            **{f"p_{name}": [p.probabilities[name] for p in predictions] for name in classes},
            "set": [" | ".join(p.set) for p in predictions],
            "distance": [p.distance for p in predictions],
            "agreement": [p.agreement for p in predictions],
            "warnings": [" | ".join(p.warnings) for p in predictions],
        },
        schema_overrides={"rfid": pl.String, "animal_id": pl.Int64},
    )


def check_out(path: Path) -> None:
    """Raise OutputError before any work where the ending of `--out` says no known format."""
    if path.suffix.lower() not in FORMATS:
        raise OutputError(
            problem(path, f"a name that ends in {', '.join(FORMATS)}", path.suffix or "none", "rename it")
        )


def save(predictions: Sequence[Prediction], classes: Sequence[str], path: Path) -> None:
    """Write predictions as CSV, Parquet or JSON, by the ending of the name."""
    check_out(path)
    if path.suffix.lower() == ".json":
        write_text(path, to_json(predictions))
        return
    frame, content = as_table(predictions, classes), io.BytesIO()
    frame.write_parquet(content) if path.suffix.lower() == ".parquet" else frame.write_csv(content)
    write_bytes(path, content.getbuffer())


def to_json(predictions: Sequence[Prediction]) -> str:
    """Write predictions as one JSON document, a list."""
    return json.dumps(as_records(predictions), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
