"""The output of the stage `stops`, for the stages that read it: what it was made by, and whether it fits."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from lmtcnn.cohort.cohort import Cohort
from lmtcnn.cohort.recording import Recording
from lmtcnn.core.errors import DataError, problem
from lmtcnn.core.params import Definitions
from lmtcnn.core.records import StopsRecord, check_outputs, read_record
from lmtcnn.core.schemas import QUALITY
from lmtcnn.core.sections import dump


def made_by(params: Definitions, recordings: Iterable[Recording]) -> dict[str, Any]:
    """Return by what stop tables are made, as stops.json has it: parameters, each recording's files and animals."""
    return {
        "stops": dump(params.stops),
        "quality": params.quality.limits,
        "recordings": {recording.name: recording.described for recording in recordings},
    }


def load_quality(folder: Path, cohort: Cohort, params: Definitions) -> pl.DataFrame:
    """Load the quality table's rows of a cohort's samples, as the stage wrote them.

    Raises DataError where the stop tables are not those of this cohort and of these parameters, naming what differs.
    """
    quality = QUALITY.read(folder / "quality.parquet")
    again = "run `lmtcnn stops` again"
    made = read_record(folder / "stops.json", StopsRecord, "what the stop tables were made by", "stops")
    wanted = made_by(params, cohort.recordings)
    for section, by, expected in (
        ("stops", made.stops, "stops by params.yaml's"),
        ("quality", made.quality, "recordings judged by params.yaml's"),
    ):
        if changed := [key for key, value in wanted[section].items() if by.get(key) != value]:
            found = ", ".join(f"{key} {by.get(key)}" for key in changed)
            raise DataError(problem(folder, f"{expected} {', '.join(changed)}", found, again))
    names = pl.DataFrame(
        [(sample.recording, sample.rfid) for sample in cohort.samples],
        schema={"recording": pl.String, "rfid": pl.String},
        orient="row",
    )
    if lost := names.join(quality, on=names.columns, how="anti", maintain_order="left").rows():
        raise DataError(problem(folder, f"stops of {recording}, {rfid}", "none", again) for recording, rfid in lost)
    if moved := [name for name, own in wanted["recordings"].items() if made.recordings.get(name) != own]:
        expected = "stops by the manifest's animals, files and arena columns"
        raise DataError(problem(f"{folder}: {name}", expected, "others", again) for name in moved)
    used = [f"{name}.parquet" for name in (*wanted["recordings"], "quality", "coverage")]
    if lines := check_outputs(folder, made, "stops", used):
        raise DataError(lines)
    return quality.join(names, on=names.columns, how="semi", maintain_order="left")
