"""One interval of one mouse, from its positions to its histogram: figures 1a, 1b and 1c of the paper."""

import re
from pathlib import Path

import numpy as np
import polars as pl

from lmtcnn import SIMULATED
from lmtcnn.cohort.recording import Recording
from lmtcnn.core.errors import ParamsError, problem
from lmtcnn.core.files import ensure_folder
from lmtcnn.core.params import Params
from lmtcnn.core.words import number_of
from lmtcnn.figures import figures, floor
from lmtcnn.figures.gallery import Drawing
from lmtcnn.histograms import fitness
from lmtcnn.histograms.stack import floor_of, stack_for
from lmtcnn.stops.trace import Trace, trace
from lmtcnn.timeline import clock as clocks
from lmtcnn.timeline.counted import short_words

SHORT_S = 180
"""Intervals up to this length are drawn in seconds, longer ones in minutes."""


def plot(recording: Recording, animal: str | None, interval: int | None, folder: Path, params: Params) -> list[Path]:
    """Draw positions, stops and histogram of one interval of one animal into a folder.

    Parameters
    ----------
    recording
        The recording, of one file or several.
    animal
        Its RFID or its number in ANIMAL; None is the first.
    interval
        Counted from 0; None is the one with most stops.
    folder
        Where the figures go, named by recording, animal, interval and the paper's figure.

    Returns
    -------
    list of Path
        The PNGs; SVG and PDF lie beside them.

    Raises
    ------
    ParamsError
        Where there is no such animal or interval; reading a recording raises what `stops.extract` does.
    """
    who, drawings = drawings_of(recording, animal, interval, params)
    paths = [ensure_folder(folder) / f"{who}_{drawing.name}" for drawing in drawings]
    for path, drawing in zip(paths, drawings, strict=True):
        figures.save(drawing.make(*drawing.given, **drawing.named), path)
    return paths


def drawings_of(
    recording: Recording, animal: str | None, interval: int | None, params: Params
) -> tuple[str, list[Drawing]]:
    """Figures 1a to 1c of an interval of an animal, see `plot`, and in one word whose they are."""
    way = trace(recording, animal, params)
    settings = params.histograms
    offset_s = clocks.align_offset_s(way.start_ms, settings, recording.timezone)
    found = clocks.intervals(way.stops["start_s"].to_numpy(), offset_s, settings.interval_s)
    last = int(clocks.intervals(np.array([np.nanmax(way.time_s)]), offset_s, settings.interval_s)[0])
    if interval is None:
        interval = int(np.bincount(found).argmax()) if found.size else 0
    if not 0 <= interval <= last:
        raise ParamsError(problem("--interval", f"0 to {last}", str(interval), "correct it"))
    own = way.stops.filter(pl.Series(found == interval))
    begin_s = interval * settings.interval_s - offset_s
    unit, unit_s = ("min", 60.0) if settings.interval_s > SHORT_S else ("s", 1.0)
    rows = (way.time_s >= begin_s) & (way.time_s < begin_s + settings.interval_s)
    time, x_cm, y_cm = (way.time_s[rows] - begin_s) / unit_s, way.x_cm[rows], way.y_cm[rows]
    starts = (own["start_s"].to_numpy() - begin_s) / unit_s
    at_x, at_y = (np.interp(starts, time, values) if time.size else starts for values in (x_cm, y_cm))
    title = f"{recording.name}, {way.rfid or f'animal {way.animal_id}'}, interval {interval}"
    mark = f"{SIMULATED}. " if way.simulated else ""
    size, since = clocks.length(settings.interval_s), clocks.length(max(begin_s, 0.0))
    note = f"{mark}{number_of(own.height, 'stop')} in the {size} that begin {since} after the recording's start."
    floor_cm = floor_of(recording.arena)
    in_study = stack_for(recording, own, way.start_ms, settings)
    if not_counted := in_study.n_late + in_study.n_cut:
        note += f" {not_counted} of them are not counted in the study."
    note += _misfit_words(recording, way, offset_s, params)
    whole = settings.model_copy(update={"intervals": interval + 1, "window": "all", "only": "all"})
    shown = stack_for(recording, own, way.start_ms, whole).counts[interval]
    counted, dtype = ("stops", np.int64) if settings.weight == "count" else ("seconds stopped", np.float64)
    places = own["x_cm"].to_numpy(), own["y_cm"].to_numpy(), starts
    span, zones = settings.interval_s / unit_s, params.furniture
    in_time, on_floor = (time, x_cm, y_cm, (starts, at_x, at_y), title), (*places, floor_cm, settings.tiles, span)
    words = {"note": note, "zones": zones}
    return file_name(f"{recording.name}_{way.rfid or f'animal{way.animal_id}'}_interval{interval:02}"), [
        Drawing("1a_positions.png", figures.positions, in_time, {"unit": unit, "note": note}),
        Drawing("1b_stops.png", floor.stops_on_floor, (*on_floor, title), {"unit": unit, **words}),
        Drawing(
            "1c_histogram.png", floor.histogram, (shown.astype(dtype), floor_cm, title), {"label": counted, **words}
        ),
    ]


def _misfit_words(recording: Recording, way: Trace, offset_s: float, params: Params) -> str:
    """Say why a study would refuse the recording, as far as this animal tells; or nothing."""
    stack = stack_for(recording, way.stops, way.start_ms, params.histograms)
    late = fitness.late(stack.n_stops, stack.n_late, params.histograms)
    reasons = [f"expected {expected}, found {found}" for expected, found in late]
    if params.quality.on_fail == "leave_out":
        reasons.append(short_words(float(np.nanmax(way.time_s)), params, offset_s))
        reasons.append(fitness.off_floor_words([(way.animal_id, way.stops)], recording.arena, params))
    words = "; ".join(filter(None, reasons))
    return f" As far as this animal tells, a study would refuse the recording: {words}." if words else ""


def file_name(text: str) -> str:
    """A text as a part of a file's name on any system: what some of them do not take becomes an underscore."""
    return re.sub(r'[\s/\\:*?"<>|\x00-\x1f]+', "_", text)
