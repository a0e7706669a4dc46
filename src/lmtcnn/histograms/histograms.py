"""The stage `histograms`: the stacks of all samples, their index, and what a reader should know of them."""

import io
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import polars as pl

from lmtcnn.cohort import start_hours
from lmtcnn.cohort.cohort import Cohort
from lmtcnn.cohort.recording import Recording, Sample
from lmtcnn.core.errors import DataError, listed, problem
from lmtcnn.core.files import allocate, atomic, digest, ensure_folder, write_json, write_text
from lmtcnn.core.params import Params
from lmtcnn.core.records import CONTROLS_FILE, INDEX, STACKS, seal
from lmtcnn.core.schemas import CONTROLS, COVERAGE, STOPS, index_table
from lmtcnn.core.sections import HistogramsParams, dump
from lmtcnn.histograms import circumstances, fitness
from lmtcnn.histograms.selection import failing_of, leave_out, odd_of
from lmtcnn.histograms.stack import Stack, as_kept, floor_of, stack_dtype, stack_for
from lmtcnn.stops.output import load_quality

log = logging.getLogger("lmtcnn")

CUT = "check histograms.interval_s and align; to cut them off on purpose write histograms.late: cut"
"""What to do where most stops of a recording are late."""


def histograms(cohort: Cohort, stops_folder: Path, folder: Path, params: Params) -> pl.DataFrame:
    """Write the stacks of a cohort's samples, and all that goes with them.

    A recording that fails a quality check or is too short is left out, with a warning, unless `quality.on_fail` is
    keep.

    Parameters
    ----------
    cohort
        The samples, and which of them is in which recording.
    stops_folder
        data/stops.
    folder
        data/histograms: stacks.npy (samples, T, N, N), index.parquet, controls.parquet, start_hours.csv,
        histograms.json.
    params
        The present parameters.

    Returns
    -------
    DataFrame
        The index, a row for each sample, in order of recording and animal_id.

    Raises
    ------
    DataError
        Where the stop tables are not those of the manifest and of these parameters, naming what differs; where most
        stops of a recording lie beyond the last interval; or where nothing is left.
    """
    quality = load_quality(stops_folder, cohort, params)
    failing = failing_of(cohort, quality, params)
    odd = odd_of(cohort, quality, failing, params)
    cohort = leave_out(cohort, failing, params)
    ensure_folder(folder)
    rows: list[dict[str, object]] = []
    too_long: list[str] = []
    with atomic(folder / STACKS) as temporary, temporary.open("wb") as stream:
        _begin(stream, folder, len(cohort.samples), params.histograms)
        for recording in cohort.recordings:
            table = STOPS.read(stops_folder / f"{recording.name}.parquet")
            made = _recording_stacks(recording, table, quality, params.histograms)
            for sample, animal_id, stack in made:
                where = f"{sample.recording}, {sample.rfid}"
                stream.write(as_kept(stack.counts, params.histograms, where).data)
                rows.append(_index_row(sample, animal_id, stack))
            late, total = sum(stack.n_late for *_, stack in made), sum(stack.n_stops for *_, stack in made)
            misfits = fitness.late(total, late, params.histograms)
            too_long += [problem(recording.name, *misfit, CUT) for misfit in misfits]
        if too_long:
            raise DataError(too_long)
    _warn(cohort, odd, rows)
    odd["warned"] = _with_empty(odd["warned"], rows)
    schema = index_table(params.labels)
    index = pl.DataFrame(rows, schema=dict(schema.columns))
    schema.write(index, folder / INDEX)
    coverage = COVERAGE.read(stops_folder / "coverage.parquet")
    CONTROLS.write(circumstances.table(cohort, quality, coverage, params), folder / CONTROLS_FILE)
    lines = _tabulate_starts(cohort, quality, folder / "start_hours.csv", params)
    simulated = bool(quality["simulated"].any())
    told = {**odd, "excluded": [each.words for each in cohort.excluded], "starts": lines}
    told["started"] = _started(cohort, quality)
    made_of = {"stops": stops_folder / "stops.json", "manifest": Path(params.cohort.manifest)}
    inputs = {name: digest(path) for name, path in made_of.items() if path.is_file()}
    content = {**_content(params, simulated), **told}
    record = seal("histograms", content, inputs, folder, (STACKS, INDEX, CONTROLS_FILE, "start_hours.csv"))
    write_json(folder / "histograms.json", record)
    return index


def _started(cohort: Cohort, quality: pl.DataFrame) -> dict[str, int]:
    """When each recording began, epoch ms."""
    start_ms = dict(quality.select("recording", "start_ms").iter_rows())
    return {recording.name: start_ms[recording.name] for recording in cohort.recordings}


def _tabulate_starts(cohort: Cohort, quality: pl.DataFrame, path: Path, params: Params) -> list[str]:
    """Write the table of the clock hour of the start against the class, and say where it tells it."""
    started = _started(cohort, quality)
    starts_s = {r.name: start_hours.clock_s(r, started[r.name], params) for r in cohort.recordings}
    table = start_hours.tabulate(cohort.samples, cohort.recordings, starts_s, params)
    write_text(path, table.write_csv())
    lines = start_hours.warnings(cohort.samples, starts_s, params)
    for line in lines:
        log.warning("%s", line)
    return lines


def _recording_stacks(
    recording: Recording, stops: pl.DataFrame, quality: pl.DataFrame, params: HistogramsParams
) -> list[tuple[Sample, int, Stack]]:
    animals = quality.filter(pl.col("recording") == recording.name).sort("animal_id")
    made = []
    for animal_id, rfid, start_ms in animals.select("animal_id", "rfid", "start_ms").iter_rows():
        own = stops.filter(pl.col("animal_id") == animal_id)
        made.append(((recording.samples or {})[rfid], animal_id, stack_for(recording, own, start_ms, params)))
    return made


def _warn(cohort: Cohort, odd: Mapping[str, Any], rows: Sequence[Mapping[str, object]]) -> None:
    """Say which of the recordings that are trained on are to be looked at, and which samples are empty."""
    if warned := [r.name for r in cohort.recordings if r.name in odd["warned"]]:
        log.warning("to be looked at, the report says why: %s", listed(warned))
    for recording, rfid in _empty(rows):
        log.warning("%s, %s: no stop that is counted: an empty sample", recording, rfid)


def _empty(rows: Sequence[Mapping[str, object]]) -> list[tuple[str, str]]:
    """Recording and RFID of the samples without a stop that is counted."""
    return [
        (str(row["recording"]), str(row["rfid"]))
        for row in rows
        if row["n_stops"] == int(str(row["n_late"])) + int(str(row["n_cut"]))
    ]


def _with_empty(warned: Mapping[str, str], rows: Sequence[Mapping[str, object]]) -> dict[str, str]:
    """Return what is warned of, and for each recording its samples that are empty, in the order of recordings."""
    empty: dict[str, list[str]] = {}
    for recording, rfid in _empty(rows):
        empty.setdefault(recording, []).append(rfid)
    told = {name: f"{', '.join(rfids)}: no stop that is counted" for name, rfids in empty.items()}
    return {name: "; ".join(filter(None, (warned.get(name), told.get(name)))) for name in sorted({*warned, *told})}


def _begin(stream: BinaryIO, folder: Path, samples: int, params: HistogramsParams) -> None:
    """Write the header of stacks.npy, and take the space for all stacks at once: OutputError where there is none."""
    dtype, shape = stack_dtype(params), (samples, len(params.counted), params.tiles, params.tiles)
    header = io.BytesIO()
    described = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, described)
    allocate(stream, header.tell() + int(np.prod(shape)) * dtype.itemsize, folder)
    stream.write(header.getbuffer())


def _index_row(sample: Sample, animal_id: int, stack: Stack) -> dict[str, object]:
    return {
        "recording": sample.recording,
        "animal_id": animal_id,
        "rfid": sample.rfid,
        "animal": sample.animal,
        "cage": sample.cage,
        **sample.labels,
        "class": sample.class_name,
        "n_stops": stack.n_stops,
        "n_outside": stack.n_outside,
        "n_late": stack.n_late,
        "n_cut": stack.n_cut,
    }


def _content(params: Params, simulated: bool) -> dict[str, object]:
    """Return what the stacks were made by: all that a new recording must go through to be comparable."""
    return {
        "simulated": simulated,
        "floor_cm": list(floor_of(params.stops.arena)),
        "classes": dump(params)["classes"],
        "stops": dump(params.stops),
        "histograms": dump(params.histograms),
        "quality": dump(params.quality),
    }
