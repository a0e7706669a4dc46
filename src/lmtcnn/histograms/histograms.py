"""From stops to stacks: T histograms of N x N for each sample.

A stop belongs to the interval floor(start_s / interval_s) and to the tile (floor(y N / h), floor(x N / w)), where it
counts 1 (or its duration). What is not counted is told: stops beyond T are late, those before or after the window, or
of another time of day than `only` says, are cut. sum(stack) = n_stops - n_late - n_cut (- n_outside if those are
dropped); nothing else is lost.
"""

import io
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lmtcnn.cohort import start_hours
from lmtcnn.cohort.cohort import Cohort
from lmtcnn.cohort.recording import MAX_NAMED, Recording, Sample, provenance
from lmtcnn.core.errors import DataError, problem
from lmtcnn.core.files import allocate, atomic, digest, ensure_folder, write_json, write_text
from lmtcnn.core.params import Definitions, Params
from lmtcnn.core.records import INDEX, STACKS, StopsRecord, check_outputs, read_record, seal
from lmtcnn.core.schemas import QUALITY, STOPS, index_table
from lmtcnn.core.sections import Arena, HistogramsParams, dump
from lmtcnn.stops.quality import failures, share_of
from lmtcnn.timeline import clock as clocks
from lmtcnn.timeline.counted import early_words, long_words, short_words, too_late

log = logging.getLogger("lmtcnn")


@dataclass(frozen=True)
class Stack:
    """Histograms of one sample, (T, N, N), rows are y, and the stops that are not or not cleanly in them.

    T is the number of intervals that are counted. Of `n_stops`, `n_late` lie beyond the last interval of the axis,
    `n_cut` in it, but outside of the window or of the time of day that are counted; `n_outside`, off the floor, are of
    the others.
    """

    counts: NDArray[np.float64]
    n_stops: int
    n_outside: int
    n_late: int
    n_cut: int

    @property
    def outside_share(self) -> float:
        """Share of the stops in counted intervals that are off the floor; 0 where there are none."""
        return self.n_outside / max(self.n_stops - self.n_late - self.n_cut, 1)


def stack_for(recording: Recording, stops: pl.DataFrame, start_ms: int, params: HistogramsParams) -> Stack:
    """The stack of one animal's stops, on its recording's own floor, in its own time zone and its own light."""
    offset_s = clocks.align_offset_s(start_ms, params, recording.timezone)
    chosen = None
    if params.only != "all":
        begins_ms = start_ms + 1000 * stops["start_s"].to_numpy()
        day_s = clocks.day_seconds(begins_ms, ZoneInfo(recording.timezone or params.timezone))
        chosen = clocks.chosen(day_s, params, recording.night)
    return stack_of(stops, floor_of(recording.arena), params, offset_s, chosen)


def stack_of(
    stops: pl.DataFrame,
    floor_cm: tuple[float, float],
    params: HistogramsParams,
    offset_s: float = 0,
    chosen: NDArray[np.bool_] | None = None,
) -> Stack:
    """The stack of one sample's stops.

    Parameters
    ----------
    stops
        Columns `start_s`, `duration_s` (s), `x_cm`, `y_cm` (cm), a row for each stop.
    floor_cm
        (w, h) of the floor.
    params
        Intervals, grid, and what is counted.
    offset_s
        How long before the recording interval 0 begins (`align`), in s.
    chosen
        (stops,): whether each begins at a time of day that is counted; None: all do.

    Returns
    -------
    Stack
        Of (b - a, N, N) for a window [a, b). A stop off the floor goes to the nearest tile or is dropped.

    """
    width_cm, height_cm = floor_cm
    n = params.tiles
    x_cm, y_cm = stops["x_cm"].to_numpy(), stops["y_cm"].to_numpy()
    interval = clocks.intervals(stops["start_s"].to_numpy(), offset_s, params.interval_s)
    first, depth = params.counted.start, len(params.counted)
    in_time = interval < params.intervals
    counted = (interval >= first) & (interval < first + depth)
    counted = counted if chosen is None else counted & chosen
    outside = (x_cm < 0) | (x_cm > width_cm) | (y_cm < 0) | (y_cm > height_cm)
    keep = counted & ~outside if params.outside == "drop" else counted
    row = np.clip(np.floor(y_cm * n / height_cm), 0, n - 1).astype(np.int64)
    column = np.clip(np.floor(x_cm * n / width_cm), 0, n - 1).astype(np.int64)
    flat = (((interval - first) * n + row) * n + column)[keep]
    weights = stops["duration_s"].to_numpy()[keep] if params.weight == "duration" else None
    counts = np.bincount(flat, weights=weights, minlength=depth * n * n)
    return Stack(
        counts.astype(np.float64).reshape(depth, n, n),
        stops.height,
        int(np.count_nonzero(outside & counted)),
        int(np.count_nonzero(~in_time)),
        int(np.count_nonzero(in_time & ~counted)),
    )


def check_length(where: object, stops: int, late: int, params: HistogramsParams) -> str | None:
    """A line of complaint where more than half of a recording's stops lie beyond interval T, else None."""
    if not too_late(stops, late, params):
        return None
    span = f"{params.intervals} intervals of {params.interval_s:g} s"
    do = "check histograms.interval_s and align; to cut them off on purpose write histograms.late: cut"
    return problem(where, f"stops within {span}", f"{late} of {stops} beyond", do)


def stack_dtype(params: HistogramsParams) -> np.dtype[Any]:
    """uint16 for counts, float32 for durations."""
    return np.dtype(np.uint16 if params.weight == "count" else np.float32)


def histograms(cohort: Cohort, stops_folder: Path, folder: Path, params: Params) -> pl.DataFrame:
    """The stage: stacks.npy (samples, T, N, N), index.parquet, start_hours.csv, histograms.json; returns the index.

    Samples come in order of recording and animal_id. A recording that fails a quality check or is too short is left
    out, with a warning, unless `quality.on_fail` is keep. Raises DataError where the stop tables are not those of the
    manifest and of these parameters, naming what differs, or where nothing is left.
    """
    quality = _check_stops(cohort, stops_folder, params)
    failing = _failing(cohort, quality, params)
    odd = _odd(cohort, quality, failing, params)
    cohort = _leave_out(cohort, failing, params)
    ensure_folder(folder)
    rows: list[dict[str, object]] = []
    too_long: list[str] = []
    dtype = stack_dtype(params.histograms)
    with atomic(folder / STACKS) as temporary, temporary.open("wb") as stream:
        _begin(stream, folder, len(cohort.samples), params.histograms)
        for recording in cohort.recordings:
            table = STOPS.read(stops_folder / f"{recording.name}.parquet")
            made = _recording_stacks(recording, table, quality, params.histograms)
            for sample, animal_id, stack in made:
                stream.write(_fitting(stack.counts, dtype, sample).data)
                rows.append(_index_row(sample, animal_id, stack))
            late, total = sum(stack.n_late for *_, stack in made), sum(stack.n_stops for *_, stack in made)
            if line := check_length(recording.name, total, late, params.histograms):
                too_long.append(line)
        if too_long:
            raise DataError(too_long)
    _warn(cohort, odd, rows)
    odd["warned"] = _with_empty(odd["warned"], rows)
    schema = index_table(params.labels)
    index = pl.DataFrame(rows, schema=dict(schema.columns))
    schema.write(index, folder / INDEX)
    lines = _tabulate_starts(cohort, quality, folder / "start_hours.csv", params)
    simulated = bool(quality["simulated"].any())
    told = {**odd, "excluded": [each.words for each in cohort.excluded], "starts": lines}
    made_of = {"stops": stops_folder / "stops.json", "manifest": Path(params.cohort.manifest)}
    inputs = {name: digest(path) for name, path in made_of.items() if path.is_file()}
    content = {**_provenance(params, simulated), **told}
    record = seal("histograms", content, inputs, folder, (STACKS, INDEX, "start_hours.csv"))
    write_json(folder / "histograms.json", record)
    return index


def floor_of(arena: Arena) -> tuple[float, float]:
    """(w, h) of the floor in cm."""
    return arena.width_cm, arena.height_cm


def too_short(recording: Recording, quality: pl.DataFrame, params: Definitions) -> str:
    """In words, how much of the counted time a recording covers, where that is too little; else nothing.

    `quality` are its rows of the quality table. For training and `predict`: see `counted.is_short`.
    """
    offset_s = clocks.align_offset_s(int(quality["start_ms"][0]), params.histograms, recording.timezone)
    return short_words(float(quality["span_s"].to_numpy().max()), params, offset_s)


def _failing(cohort: Cohort, quality: pl.DataFrame, params: Params) -> dict[str, str]:
    """Recordings that fail a check of their tracks or are too short, and in words what is wrong with them."""
    tracks = failures(quality)
    reasons = {
        r.name: [tracks.get(r.name, ""), too_short(r, quality.filter(recording=r.name), params)]
        for r in cohort.recordings
    }
    return {name: "; ".join(filter(None, words)) for name, words in reasons.items() if any(words)}


def _odd(cohort: Cohort, quality: pl.DataFrame, failing: Mapping[str, str], params: Params) -> dict[str, Any]:
    """Collect what a reader of the results should know of the recordings, for histograms.json: see `notices`."""
    keep = params.quality.on_fail == "keep"
    rows = {r.name: quality.filter(recording=r.name) for r in cohort.recordings}
    warned: dict[str, str] = {}
    by_column: dict[str, dict[str, str]] = {"unlisted": {}, "never_detected": {}}
    for name, own in rows.items():
        words = [each for warned_of in own["warned"] for each in warned_of.split("; ")]
        recording = next(recording for recording in cohort.recordings if recording.name == name)
        offset_s = clocks.align_offset_s(int(own["start_ms"][0]), params.histograms, recording.timezone)
        words.append(early_words(params.histograms, offset_s))
        words.append(long_words(float(own["span_s"].to_numpy().max()), params.histograms))
        if words := list(dict.fromkeys(filter(None, words))):
            warned[name] = "; ".join(words)
        for column, told in by_column.items():
            if own[column][0]:
                told[name] = own[column][0]
    return {
        "left_out": {} if keep else dict(failing),
        "kept": dict(failing) if keep else {},
        "warned": warned,
        **by_column,
        "tracking": {name: _tracking(name, cohort, quality) for name in params.classes},
    }


def _tracking(class_name: str, cohort: Cohort, quality: pl.DataFrame) -> dict[str, Any]:
    """Samples of a class by the verdict on their recording's tracks, and the median share of frames with detection."""
    own = pl.DataFrame(
        [(s.recording, s.rfid) for s in cohort.samples if s.class_name == class_name],
        schema={"recording": pl.String, "rfid": pl.String},
        orient="row",
    ).join(quality, on=["recording", "rfid"])
    shares = [share_of(n, whole) or 0.0 for n, whole in own.select("n_detected", "n_unpaused").iter_rows()]
    counts = {verdict: own.filter(verdict=verdict).height for verdict in ("ok", "warn", "fail")}
    return {**counts, "detected": round(float(np.median(shares)), 4) if shares else None}


def _leave_out(cohort: Cohort, failing: Mapping[str, str], params: Params) -> Cohort:
    """The cohort without the recordings that fail; all of it, if `on_fail` is keep."""
    for name, words in failing.items():
        if params.quality.on_fail == "keep":
            log.warning("%s: kept, though it fails: %s", name, words)
        else:
            log.warning("%s: left out of training: %s (quality.on_fail: keep would keep it)", name, words)
    if params.quality.on_fail == "keep" or not failing:
        return cohort
    kept = replace(
        cohort,
        recordings=tuple(recording for recording in cohort.recordings if recording.name not in failing),
        samples=tuple(sample for sample in cohort.samples if sample.recording not in failing),
    )
    if not kept.recordings:
        do = "look at histograms.intervals, data/stops/quality.parquet and the limits in params.yaml's section quality"
        first, words = next(iter(failing.items()))
        found = f"{len(failing)} that do, as {first}: {words}"
        raise DataError(problem("quality", "a recording that fails no check", found, do))
    classes = [{sample.class_name for sample in each.samples} for each in (cohort, kept)]
    for name in [name for name in params.classes if name in classes[0] - classes[1]]:
        log.warning("class %s: no sample is left when recordings that fail are left out", name)
    if len(kept.cages) == 1 < len(cohort.cages):
        found = f"only {kept.cages[0]} when those that fail are left out: {', '.join(failing)}"
        do = "look at them with `lmtcnn inspect`, or keep them with quality.on_fail: keep"
        raise DataError(problem("quality", "recordings of two cages or more that fail no check", found, do))
    return kept


def _tabulate_starts(cohort: Cohort, quality: pl.DataFrame, path: Path, params: Params) -> list[str]:
    """Write the table of the clock hour of the start against the class, and say where it tells it."""
    start_ms = dict(quality.select("recording", "start_ms").iter_rows())
    starts_s = {r.name: start_hours.clock_s(r, start_ms[r.name], params) for r in cohort.recordings}
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
        names = ", ".join(warned[:MAX_NAMED]) + (f" and {n} more" if (n := len(warned) - MAX_NAMED) > 0 else "")
        log.warning("to be looked at, the report says why: %s", names)
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


def _fitting(counts: NDArray[np.float64], dtype: np.dtype[Any], sample: Sample) -> NDArray[Any]:
    if dtype.kind == "u" and counts.max(initial=0) > np.iinfo(dtype).max:
        where = f"{sample.recording}, {sample.rfid}"
        limit = f"at most {np.iinfo(dtype).max} stops in a tile and interval"
        raise DataError(problem(where, limit, f"{counts.max():.0f}", "shorten histograms.interval_s"))
    return counts.astype(dtype)


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


def _check_stops(cohort: Cohort, folder: Path, params: Params) -> pl.DataFrame:
    """The quality table, once it is sure that the stop tables are those of this cohort and these parameters."""
    quality = QUALITY.read(folder / "quality.parquet")
    again = "run `lmtcnn stops` again"
    made = read_record(folder / "stops.json", StopsRecord, "what the stop tables were made by", "stops")
    wanted = provenance(params, cohort.recordings)
    for section, by, expected in (
        ("stops", made.stops, "stops by params.yaml's"),
        ("quality", made.quality, "recordings judged by params.yaml's"),
    ):
        if changed := [key for key, value in wanted[section].items() if by.get(key) != value]:
            found = ", ".join(f"{key} {by.get(key)}" for key in changed)
            raise DataError(problem(folder, f"{expected} {', '.join(changed)}", found, again))
    samples = set(quality.select("recording", "rfid").iter_rows())
    lost = [f"{s.recording}, {s.rfid}" for s in cohort.samples if (s.recording, s.rfid) not in samples]
    if lost:
        raise DataError([problem(folder, f"stops of {name}", "none", again) for name in lost])
    if moved := [r.name for r in cohort.recordings if made.recordings.get(r.name) != r.provenance]:
        expected = "stops by the manifest's animals, files and arena columns"
        raise DataError([problem(f"{folder}: {name}", expected, "others", again) for name in moved])
    used = [f"{name}.parquet" for name in (*(recording.name for recording in cohort.recordings), "quality")]
    if lines := check_outputs(folder, made, "stops", used):
        raise DataError(lines)
    known = {(s.recording, s.rfid) for s in cohort.samples}
    return quality.filter(pl.struct("recording", "rfid").map_elements(lambda r: tuple(r.values()) in known, pl.Boolean))


def _provenance(params: Params, simulated: bool) -> dict[str, object]:
    """Return what the stacks were made by: all that a new recording must go through to be comparable."""
    return {
        "simulated": simulated,
        "floor_cm": list(floor_of(params.stops.arena)),
        "classes": dump(params)["classes"],
        "stops": dump(params.stops),
        "histograms": dump(params.histograms),
        "quality": dump(params.quality),
    }
