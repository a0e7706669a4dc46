"""The study's tables as CSV, for R and spreadsheets: one row for each thing, one column for each value.

samples.csv      a row for each sample: who it is, its labels, held-out predictions, quality, counts
predictions.csv  a row for each sample and seed: the probabilities of a single network that never saw the cage
stops.csv        a row for each stop, with its sample's cage and labels, its interval and its time of day
class_maps.csv   a row for each class and tile: stops of a sample in the mean, over all intervals
class_hours.csv  a row for each class and interval: the same over all tiles

Times of day are in the recording's time zone and bear its offset from UTC. Missing values are empty cells.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lmtcnn.cohort import cohort
from lmtcnn.cohort.recording import Recording
from lmtcnn.core.errors import DataError, problem
from lmtcnn.core.files import atomic, ensure_folder
from lmtcnn.core.params import Params
from lmtcnn.core.records import EVALUATION, find_training, has_training, read_evaluation
from lmtcnn.core.schemas import QUALITY, STOPS
from lmtcnn.evaluate.predicted import average, read_training
from lmtcnn.histograms import record
from lmtcnn.timeline import clock as clocks

OF_SAMPLE = (
    "verdict", "failed", "warned", "simulated", "span_s", "measured_fps", "n_missing_frames", "n_detected",
    "n_unpaused", "n_jumps", "n_filled", "stopped_s",
)  # fmt: skip
"""Columns of the quality table that samples.csv repeats."""

Progress = Callable[[int, int], None]


def export(
    data: Path, folder: Path, params: Params, *, stops: bool = True, progress: Progress = lambda done, total: None
) -> list[Path]:
    """Write the tables of a study whose stages have been run as far as `histograms`; later results where they are.

    Parameters
    ----------
    data
        The study's data folder.
    folder
        Where the tables go.
    stops
        Whether stops.csv, by far the largest, is written.
    progress
        Told recordings, done and in all, while stops.csv is written.

    Returns
    -------
    list of Path
        The files that were written.

    Raises
    ------
    DataError
        Where the histograms are missing, or a training is there that does not belong to them.
    """
    stacks, index = record.load(data / "histograms", params)
    quality = QUALITY.read(data / "stops" / "quality.parquet")
    recordings = {recording.name: recording for recording in cohort.load(params).recordings}
    if lost := [name for name in index["recording"].unique().sort() if name not in recordings]:
        do = "run `lmtcnn histograms` again"
        raise DataError(problem(data / "histograms", "recordings of the manifest", ", ".join(lost), do))
    samples, predictions = _samples(data, index, quality, recordings, params)
    tables = {
        "samples": samples,
        "class_maps": class_maps(stacks, index, params),
        "class_hours": class_hours(stacks, index, params),
    }
    if predictions is not None:
        tables["predictions"] = predictions
    ensure_folder(folder)
    paths = []
    for name, table in tables.items():
        paths.append(folder / f"{name}.csv")
        with atomic(paths[-1]) as temporary:
            table.write_csv(temporary)
    if stops:
        paths.append(_write_stops(data, folder, samples, recordings, params, progress))
    return sorted(paths)


def _samples(
    data: Path, index: pl.DataFrame, quality: pl.DataFrame, recordings: Mapping[str, Recording], params: Params
) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """A row for each sample, and its predictions by single networks where a training is there."""
    keys = ["recording", "animal_id"]
    own = quality.select(*keys, "start_ms", *OF_SAMPLE)
    table = index.join(own, on=keys, how="left", maintain_order="left")
    begins = [local_time(row["start_ms"], recordings[row["recording"]], params) for row in table.iter_rows(named=True)]
    share = (pl.col("n_detected") / pl.col("n_unpaused")).alias("detected_share")
    table = table.with_columns(pl.Series("start", begins, dtype=pl.String), share).drop("start_ms")
    if not has_training(data):
        return table, None
    training = find_training(data, params)
    predictions, _ = read_training(training, index, params)
    classes = tuple(params.classes)
    mean = average(predictions, index, classes)
    told = {f"p_{name}": mean[:, i] for i, name in enumerate(classes)}
    predicted = pl.Series("predicted", [classes[i] for i in mean.argmax(axis=1)], dtype=pl.String)
    table = table.with_columns(predicted, *(pl.Series(name, values) for name, values in told.items()))
    folder = data / "evaluate"
    if (folder / EVALUATION).is_file():
        read_evaluation(data, params, training, ["baselines.csv"])
        others = pl.read_csv(folder / "baselines.csv", schema_overrides={"recording": pl.String}).drop("class")
        names = {name: f"predicted_{name}" for name in others.columns if name not in keys}
        table = table.join(others.rename(names), on=keys, how="left", maintain_order="left")
    return table, predictions


def class_maps(stacks: Any, index: pl.DataFrame, params: Params) -> pl.DataFrame:
    """Tabulate the mean over a class's samples of what a tile counts in all intervals, with the tile's middle in cm.

    Parameters
    ----------
    stacks
        Histograms (samples, T, N, N).
    index
        The samples in that order, with a column `class`.
    params
        The study's parameters, with the floor's size in cm.

    Returns
    -------
    A row for each class that has samples and each tile.
    """
    arena, n = params.stops.arena, params.histograms.tiles
    row, column = (values.ravel() for values in np.indices((n, n)))
    place = {"row": row, "column": column, "x_cm": (column + 0.5) * arena.width_cm / n}
    place |= {"y_cm": (row + 0.5) * arena.height_cm / n}
    sums = np.stack([np.asarray(stack, dtype=np.float64).sum(axis=0).ravel() for stack in stacks])
    return _by_class(index, params, lambda own: place | {params.histograms.weight: sums[own].mean(axis=0)})


def class_hours(stacks: Any, index: pl.DataFrame, params: Params) -> pl.DataFrame:
    """Tabulate the mean over a class's samples of what all tiles count in an interval, and its sd over samples.

    Parameters are those of `class_maps`; the table has a row for each class that has samples and each interval.
    """
    sums = np.stack([np.asarray(stack, dtype=np.float64).sum(axis=(1, 2)) for stack in stacks])

    def values(own: NDArray[np.bool_]) -> dict[str, Any]:
        spread = sums[own].std(axis=0, ddof=1) if own.sum() > 1 else np.full(sums.shape[1], np.nan)
        mean = sums[own].mean(axis=0)
        return {"interval": np.arange(sums.shape[1]), params.histograms.weight: mean, "sd": spread}

    return _by_class(index, params, values).with_columns(pl.col("sd").fill_nan(None))


def _by_class(
    index: pl.DataFrame, params: Params, values: Callable[[NDArray[np.bool_]], Mapping[str, Any]]
) -> pl.DataFrame:
    """Stack the columns that `values` makes of each class's samples, after the class and how many samples it has."""
    members = {name: (index["class"] == name).to_numpy() for name in params.classes}
    return pl.concat(
        pl.DataFrame(dict(values(own))).select(
            pl.lit(name).alias("class"), pl.lit(int(own.sum())).alias("samples"), pl.all()
        )
        for name, own in members.items()
        if own.any()
    )


def _write_stops(
    data: Path,
    folder: Path,
    samples: pl.DataFrame,
    recordings: Mapping[str, Recording],
    params: Params,
    progress: Progress,
) -> Path:
    """stops.csv, one recording after the other: a study of full density has millions of stops."""
    path, keys = folder / "stops.csv", ["recording", "animal_id"]
    whose = samples.select(*keys, "cage", *params.labels, "class")
    names = list(samples["recording"].unique(maintain_order=True))
    starts = dict(QUALITY.read(data / "stops" / "quality.parquet").select("recording", "start_ms").iter_rows())
    with atomic(path) as temporary, temporary.open("wb") as stream:
        for done, name in enumerate(names, start=1):
            recording, start_ms = recordings[name], starts[name]
            table = STOPS.read(data / "stops" / f"{name}.parquet").join(
                whose, on=keys, how="inner", maintain_order="left"
            )
            offset_s = clocks.align_offset_s(start_ms, params.histograms, recording.timezone)
            seconds = table["start_s"].to_numpy()
            interval = clocks.intervals(seconds, offset_s, params.histograms.interval_s)
            times = [local_time(start_ms + 1000 * s, recording, params) for s in seconds.tolist()]
            table = table.with_columns(pl.Series("interval", interval), pl.Series("time", times, dtype=pl.String))
            table.write_csv(stream, include_header=done == 1)
            progress(done, len(names))
    return path


def local_time(epoch_ms: float, recording: Recording, params: Params) -> str:
    """A moment in the recording's time zone, as ISO 8601 to the millisecond with its offset from UTC."""
    zone = ZoneInfo(recording.timezone or params.histograms.timezone)
    return datetime.fromtimestamp(epoch_ms / 1000, zone).isoformat(timespec="milliseconds")
