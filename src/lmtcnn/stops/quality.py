"""Quality of a recording: checks on what was counted while it was read.

Each check says what was counted, out of how many, and whether that is `ok`, to be looked at (`warn`) or spoils the
recording (`fail`); what a file does not carry is `not fitted`. The counts are a recording's rows of the quality table,
so that `lmtcnn inspect`, the stage `stops` and `lmtcnn predict` judge alike. The limits stand in params.yaml, section
`quality`, each with its source.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from lmtcnn.cohort.rfids import has_chip
from lmtcnn.core.params import Definitions
from lmtcnn.core.sections import QualityParams, StopsParams
from lmtcnn.timeline import clock as clocks

Verdict = Literal["ok", "warn", "fail", "not fitted"]


@dataclass(frozen=True)
class Check:
    """One quality check: what was counted, out of how many, and what to make of it.

    `value` is what the verdict is about, in `unit`; None where there is nothing to count. `animal_id` is None where the
    check is of the whole recording.
    """

    name: str
    animal_id: int | None
    numerator: float
    denominator: float
    value: float | None
    unit: str
    verdict: Verdict
    definition: str

    @property
    def words(self) -> str:
        """The check in a few words: `animal 2: detection 41.2 %`."""
        whose = "" if self.animal_id is None else f"animal {self.animal_id}: "
        if self.value is None:
            return whose + self.name
        value = f"{100 * self.value:.3g} %" if self.unit == "share" else f"{self.value:.4g} {self.unit}"
        return f"{whose}{self.name} {value}"


def check(quality: pl.DataFrame, coverage: pl.DataFrame, params: Definitions) -> list[Check]:
    """Make all checks of one recording, by its rows of the tables of quality and coverage."""
    limits = params.quality
    common = quality.row(0, named=True)
    poor = _poor_intervals(coverage, limits)
    return [
        *_clock_checks(common, limits, params.stops),
        *_identity_checks(common, int(quality["n_rows"].sum()), limits),
        *_sensor_checks(common, limits),
        *(each for row in quality.iter_rows(named=True) for each in _animal_checks(row, poor, limits)),
    ]


def judge(quality: pl.DataFrame, coverage: pl.DataFrame, params: Definitions) -> pl.DataFrame:
    """Return the quality table with its columns verdict, failed and warned filled in, whatever was in them before."""
    parts = [quality.clear()]
    for (name,), rows in quality.group_by("recording", maintain_order=True):
        found = check(rows, coverage.filter(pl.col("recording") == name), params)
        own = [[each for each in found if each.animal_id in (None, animal)] for animal in rows["animal_id"]]
        words = {
            column: ["; ".join(each.words for each in checks if each.verdict == verdict) for checks in own]
            for column, verdict in (("failed", "fail"), ("warned", "warn"))
        }
        verdict = pl.lit(worst(each.verdict for each in found)).alias("verdict")
        parts.append(rows.with_columns(verdict, *(pl.Series(column, texts) for column, texts in words.items())))
    return pl.concat(parts)


def failures(quality: pl.DataFrame) -> dict[str, str]:
    """Name the recordings of a judged table whose verdict is `fail`, and in words what is wrong with them."""
    found: dict[str, dict[str, None]] = {}
    for name, failed in quality.filter(pl.col("verdict") == "fail").select("recording", "failed").iter_rows():
        found.setdefault(name, {}).update(dict.fromkeys(failed.split("; ") if failed else ()))
    return {name: "; ".join(words) for name, words in found.items()}


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst verdict: fail, then warn, else ok."""
    found = set(verdicts)
    return "fail" if "fail" in found else "warn" if "warn" in found else "ok"


def _poor_intervals(coverage: pl.DataFrame, limits: QualityParams) -> dict[int, tuple[int, int]]:
    """Count for each animal the intervals in which it is known in too few frames, and all but those cut short."""
    held = coverage.filter(pl.col("unpaused") >= pl.col("unpaused").max().over("animal_id") / 10)
    poor = (pl.col("detected") / pl.col("unpaused") < limits.hour_detected).sum()
    counts = held.group_by("animal_id").agg(poor.alias("poor"), pl.len().alias("held"))
    return {animal: (poor, held) for animal, poor, held in counts.iter_rows()}


def _omitted_check(common: Mapping[str, Any], limits: QualityParams, settings: StopsParams) -> Check:
    expected = common["n_expected_frames"]
    omitted = expected - (common["n_frames"] - common["n_paused_frames"])
    share = round(omitted / max(1, expected), 4) + 0.0  # never -0
    off = abs(share)
    lost: Verdict = "fail" if off >= limits.omitted_fail else "warn" if off >= limits.omitted_warn else "ok"
    made = f"frames that unpaused time at {settings.fps:g} frames/s makes"
    if settings.clock == "frame":
        made = "frames by their numbers (stops.clock: frame)"
    return Check(
        "omitted frames", None, omitted, expected, share, "share", lost,
        f"{made}, less unpaused FRAME rows, of the former, rounded to 0.01 %, below 0 where there are more frames than "
        f"time; from {percent(limits.omitted_warn)} to either side: warn; from {percent(limits.omitted_fail)} to "
        "either side: fail",
    )  # fmt: skip


def _clock_checks(common: Mapping[str, Any], limits: QualityParams, settings: StopsParams) -> Iterator[Check]:
    yield _omitted_check(common, limits, settings)
    following = common["n_frames"] - common["n_files"]  # rows that follow another
    n_back, worst_ms = common["n_clock_back"], common["worst_back_ms"]
    refused = worst_ms > settings.max_clock_back_ms and settings.clock == "timestamp"
    yield Check(
        "TIMESTAMP back", None, n_back, following, n_back, "steps", "fail" if refused else "warn" if n_back else "ok",
        f"FRAME rows with an earlier TIMESTAMP than the row before, by {worst_ms} ms at most, of all rows after the "
        f"first; any: warn; by more than {settings.max_clock_back_ms} ms: fail, `stops` refuses the file (unless "
        "stops.clock is frame)",
    )  # fmt: skip
    n_jumps = common["n_clock_jumps"]
    yield Check(
        "TIMESTAMP jumps", None, n_jumps, following, n_jumps, "steps", "warn" if n_jumps else "ok",
        f"steps of TIMESTAMP of more than {clocks.MAX_STEP_MS / 1000:g} s between unpaused FRAME rows, and between "
        f"files whose frame numbers go on but say another time, {common['jumped_s']:g} s in all, of all rows after the "
        "first; any: warn; no stop crosses one",
    )  # fmt: skip
    fps = common["measured_fps"] if math.isfinite(common["measured_fps"]) else None
    steps = common["n_unpaused"] - common["n_segments"]
    off = fps is None or abs(fps / settings.fps - 1) > clocks.MAX_RATE_ERROR
    yield Check(
        "frame rate", None, steps, round(steps / fps, 3) if fps else 0.0, fps, "frames/s", "warn" if off else "ok",
        f"frames by the seconds that TIMESTAMP gives them, inside segments; more than "
        f"{percent(clocks.MAX_RATE_ERROR)} off {settings.fps:g}: warn",
    )  # fmt: skip


def _identity_checks(common: Mapping[str, Any], n_rows: int, limits: QualityParams) -> Iterator[Check]:
    anonymous, corrected = common["n_anonymous"], int(common["identity_corrected"])
    n_all = anonymous + n_rows + common["n_others"]
    yield _share_check(
        "anonymous detections", None, anonymous, n_all, limits.anonymous_warn, limits.anonymous_fail,
        "DETECTION rows without ANIMALID, of all",
    )  # fmt: skip
    yield Check(
        "identity corrected", None, corrected, 1, corrected, "runs", "warn" if corrected else "ok",
        "whether lmt-analysis' CorrectDetectionIntegrity took identities away where not all animals were seen "
        "(LOG, or an event `IDs integrity ok`); any: warn, do not mix with recordings that were left as they are",
    )  # fmt: skip


def _sensor_checks(common: Mapping[str, Any], limits: QualityParams) -> Iterator[Check]:
    (cool, warm), (cold, hot) = limits.temperature_warn_c, limits.temperature_fail_c
    rows, coldest, hottest = common["n_frames"], common["coldest_c"], common["hottest_c"]
    absent = "no such column in FRAME, no number in it, or 0 throughout: not fitted"
    often = f"in more than {percent(limits.temperature_share)} of all rows: fail"
    yield Check(
        "temperature, lowest", None, common["n_cold"], rows, coldest, "degrees C",
        "not fitted" if coldest is None else _often(common["n_cold"], common["n_too_cold"], rows, limits),
        f"FRAME rows below {cool:g} degrees C, of all; the value is the lowest, 0 is no reading; below {cool:g}: "
        f"warn; below {cold:g} {often}; {absent}",
    )  # fmt: skip
    yield Check(
        "temperature, highest", None, common["n_hot"], rows, hottest, "degrees C",
        "not fitted" if hottest is None else _often(common["n_hot"], common["n_too_hot"], rows, limits),
        f"FRAME rows above {warm:g} degrees C, of all; the value is the highest; above {warm:g}: warn; above "
        f"{hot:g} {often}; {absent}",
    )  # fmt: skip
    most, dirty = common["most_particles"], common["n_dirty"]
    yield Check(
        "particles", None, dirty, rows, most, "particles",
        "not fitted" if most is None else "warn" if dirty else "ok",
        f"FRAME rows with more than {limits.max_particles} particles (a dirty image), of all; the value is the "
        "most in a frame; any: warn; no such column in FRAME or no number in it: not fitted",
    )  # fmt: skip


def _animal_checks(
    row: Mapping[str, Any], poor_intervals: Mapping[int, tuple[int, int]], limits: QualityParams
) -> Iterator[Check]:
    animal = row["animal_id"]
    if not has_chip(row["rfid"]):
        yield Check(
            "no chip read", animal, 1, 1, None, "animals", "warn",
            "ANIMAL.RFID is empty, or RFID_<name>, the tracker's word for an animal whose chip no antenna has read; "
            "any: warn, it is never joined with an animal of another file, recording or cage",
        )  # fmt: skip
    yield _detection_check(row, limits)
    poor, held = poor_intervals.get(animal, (0, 0))
    yield Check(
        "hours of poor detection", animal, poor, held, poor, "intervals", "warn" if poor else "ok",
        f"intervals with the animal known in less than {percent(limits.hour_detected)} of their unpaused frames, of "
        "those at least a tenth as long as the longest; any: warn",
    )  # fmt: skip
    yield _share_check(
        "flicker", animal, row["n_flicker"], row["n_detected"], limits.flicker_warn, None,
        "frames in which the animal's centre hops to and fro without leading anywhere, which cuts stops to pieces "
        "(stops.flicker_...), of those with a position",
    )  # fmt: skip
    yield _share_check(
        "detections without time", animal, row["n_untimed"], row["n_rows"], limits.untimed_warn, limits.untimed_fail,
        "positions in no segment (paused, before the first FRAME row, after the last, or in a hole of more than a "
        "second), of the animal's DETECTION rows",
    )  # fmt: skip
    yield _share_check(
        "positions off the floor", animal, row["n_outside"], row["n_detected"], limits.outside_warn,
        limits.outside_fail, "positions outside of the arena's rectangle, of all",
    )  # fmt: skip
    yield stops_off_floor(animal, row["n_stops_outside"], row["n_stops"], limits)


def stops_off_floor(animal: int, n_outside: int, n_stops: int, limits: QualityParams) -> Check:
    """Make the check of an animal's stops off the floor."""
    return _share_check(
        "stops off the floor", animal, n_outside, n_stops, limits.outside_warn, limits.outside_fail,
        "stops whose place is outside of the arena's rectangle, of all",
    )  # fmt: skip


def _detection_check(row: Mapping[str, Any], limits: QualityParams) -> Check:
    known = share_of(row["n_detected"], row["n_unpaused"])
    least = known or 0
    verdict: Verdict = "fail" if least < limits.detected_fail else "warn" if least < limits.detected_warn else "ok"
    return Check(
        "detection", row["animal_id"], row["n_detected"], row["n_unpaused"], known, "share", verdict,
        f"frames in which the animal is known and has a position, of all unpaused frames; below "
        f"{percent(limits.detected_warn)}: warn; below {percent(limits.detected_fail)}: fail",
    )  # fmt: skip


def _share_check(
    name: str, animal: int | None, part: int, whole: int, warn: float, fail: float | None, definition: str
) -> Check:
    """Make the check of a share that should be small; one without `fail` only warns."""
    share = share_of(part, whole)
    most = share or 0
    verdict: Verdict = "fail" if fail is not None and most > fail else "warn" if most > warn else "ok"
    words = f"{definition}; more than {percent(warn)}: warn"
    if fail is not None:
        words += f"; more than {percent(fail)}: fail"
    return Check(name, animal, part, whole, share, "share", verdict, words)


def _often(n_beyond: int, n_far: int, rows: int, limits: QualityParams) -> Verdict:
    """Judge readings beyond a limit: a few of them far beyond are a fault of the sensor."""
    return "fail" if n_far > limits.temperature_share * rows else "warn" if n_beyond else "ok"


def share_of(part: int, whole: int) -> float | None:
    """Return a part of a whole as a share; None where there is no whole."""
    return part / whole if whole else None


def percent(share: float) -> str:
    """Write a share in percent: `5 %` for 0.05."""
    return f"{100 * share:g} %"
