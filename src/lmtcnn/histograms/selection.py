"""Recordings that are trained on: those that pass, those that are left out, and what a reader should know of them."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from lmtcnn.cohort.cohort import Cohort
from lmtcnn.core.errors import DataError, problem
from lmtcnn.core.params import Params
from lmtcnn.histograms import fitness
from lmtcnn.stops.quality import share_of
from lmtcnn.timeline import clock as clocks
from lmtcnn.timeline.counted import early_words, long_words

log = logging.getLogger("lmtcnn")


def failing_of(cohort: Cohort, quality: pl.DataFrame, params: Params) -> dict[str, str]:
    """Name the recordings that fail a check of their tracks or are too short, and in words what is wrong with them."""
    words = {r.name: fitness.failing(r, quality.filter(recording=r.name), params) for r in cohort.recordings}
    return {name: each for name, each in words.items() if each}


def odd_of(cohort: Cohort, quality: pl.DataFrame, failing: Mapping[str, str], params: Params) -> dict[str, Any]:
    """Collect what a reader of the results should know of the recordings, for histograms.json: see `notices`."""
    keep = params.quality.on_fail == "keep"
    warned: dict[str, str] = {}
    by_column: dict[str, dict[str, str]] = {"unlisted": {}, "never_detected": {}}
    for recording in cohort.recordings:
        name, own = recording.name, quality.filter(recording=recording.name)
        words = [each for warned_of in own["warned"] for each in warned_of.split("; ")]
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
    """Count samples of a class by the verdict on their recording's tracks, and give their median detection."""
    own = pl.DataFrame(
        [(s.recording, s.rfid) for s in cohort.samples if s.class_name == class_name],
        schema={"recording": pl.String, "rfid": pl.String},
        orient="row",
    ).join(quality, on=["recording", "rfid"])
    shares = [share_of(n, whole) or 0.0 for n, whole in own.select("n_detected", "n_unpaused").iter_rows()]
    counts = {verdict: own.filter(verdict=verdict).height for verdict in ("ok", "warn", "fail")}
    return {**counts, "detected": round(float(np.median(shares)), 4) if shares else None}


def leave_out(cohort: Cohort, failing: Mapping[str, str], params: Params) -> Cohort:
    """Return the cohort without the recordings that fail; all of it, if `on_fail` is keep."""
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
