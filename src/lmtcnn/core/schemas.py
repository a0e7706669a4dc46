"""The tables that pass between stages: one schema each, checked when it is written and when it is read."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from lmtcnn.core.errors import DataError, problem, system_words
from lmtcnn.core.files import write_bytes


@dataclass(frozen=True)
class Table:
    """A table's name, the stage that writes it, and its columns in order."""

    name: str
    stage: str
    columns: Mapping[str, pl.DataType]

    def check(self, frame: pl.DataFrame, where: object) -> pl.DataFrame:
        """Return `frame` if it has exactly these columns in this order; else raise DataError that names them."""
        if dict(frame.schema) != dict(self.columns) or frame.columns != list(self.columns):
            wrong = [
                f"{name} {frame.schema.get(name, 'missing')}"
                for name in dict.fromkeys([*self.columns, *frame.columns])
                if frame.schema.get(name) != self.columns.get(name)
            ] or ["another order"]
            raise DataError(
                problem(where, f"the columns of {self.name}", ", ".join(wrong), f"run `lmtcnn {self.stage}` again")
            )
        return frame

    @property
    def keys(self) -> list[str]:
        """The columns, of those that name a row, by which it is sorted."""
        return [name for name in ("recording", "animal_id", "interval") if name in self.columns]

    def empty(self) -> pl.DataFrame:
        """The table without rows."""
        return pl.DataFrame(schema=dict(self.columns))

    def write(self, frame: pl.DataFrame, path: Path) -> None:
        """Write `frame` as Parquet, atomically, after the check."""
        self.check(frame, path)
        content = io.BytesIO()  # in memory first: a full disk is then one error here, and not many of polars' threads
        frame.write_parquet(content, compression="zstd", statistics=True)
        write_bytes(path, content.getbuffer())

    def read(self, path: Path) -> pl.DataFrame:
        """Read and check a table; raises DataError where it is missing, damaged or of other columns."""
        if not path.is_file():
            raise DataError(problem(path, self.name, "no file", f"run `lmtcnn {self.stage}` first"))
        try:
            frame = pl.read_parquet(path, glob=False)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise DataError(
                problem(path, self.name, system_words(error), f"run `lmtcnn {self.stage}` again")
            ) from error
        return self.check(frame, path)


_STR, _I64, _F64, _BOOL = pl.String(), pl.Int64(), pl.Float64(), pl.Boolean()

STOPS = Table(
    "a stop table",
    "stops",
    {
        "recording": _STR,
        "animal_id": _I64,
        "rfid": _STR,
        "start_frame": _I64,
        "end_frame": _I64,  # inclusive
        "start_s": _F64,  # since the recording's first unpaused frame
        "duration_s": _F64,
        "x_cm": _F64,  # on the floor, from its upper left corner
        "y_cm": _F64,
    },
)

GAP_LEVELS = (0, 15, 90, 150)
"""Settings of max_gap_frames under which quality.parquet counts stops as well."""

FLICKER_LEVELS = (0, 9000)
"""Settings of max_flicker_frames under which it counts stops and their seconds: none is bridged, or up to 5 minutes."""

HALF_WINDOWS = (1, 3)
"""Half windows (frames) under which it counts them, too: many more at 1 are tracking noise."""

QUALITY = Table(
    "the quality table",
    "stops",
    {
        "recording": _STR,
        "animal_id": _I64,
        "rfid": _STR,
        # Of the recording; the same in every row of it.
        "verdict": _STR,  # ok, warn or fail: the worst of all checks of the recording
        "failed": _STR,  # checks that fail, of the recording or of this animal, `; ` between
        "warned": _STR,  # ... that warn
        "unlisted": _STR,  # animals of its files that the manifest neither lists nor excludes, `; ` between
        "simulated": _BOOL,  # written by `lmtcnn simulate`
        "start_ms": _I64,  # TIMESTAMP of the first unpaused frame, epoch ms UTC
        "span_s": _F64,  # from there to the last unpaused frame
        "n_files": _I64,
        "n_frames": _I64,  # FRAME rows
        "n_missing_frames": _I64,  # holes in FRAMENUMBER
        "n_unpaused": _I64,  # frames of all segments, with a row in FRAME or not
        "n_expected_frames": _I64,  # that unpaused time makes at stops.fps; n_unpaused where frames are the clock
        "n_paused_frames": _I64,
        "paused_s": _F64,
        "n_segments": _I64,  # pieces between pauses and jumps of the clock
        "n_clock_back": _I64,  # steps back of TIMESTAMP
        "worst_back_ms": _I64,
        "n_clock_jumps": _I64,  # steps of TIMESTAMP of more than 1 s between unpaused rows, or between files (docs)
        "jumped_s": _F64,
        "clocked_s": _F64,  # by TIMESTAMP, from the first to the last frame of each segment, in all
        "measured_fps": _F64,  # frames of the segments by that; nan where no time passes
        "identity_corrected": _BOOL,  # lmt-analysis' CorrectDetectionIntegrity was run
        "coldest_c": _F64,  # TEMPERATURE; null: not fitted
        "hottest_c": _F64,
        "n_cold": _I64,  # FRAME rows below quality.temperature_warn_c
        "n_too_cold": _I64,  # ... below temperature_fail_c
        "n_hot": _I64,
        "n_too_hot": _I64,
        "most_particles": _F64,  # NUMPARTICLE; null: not counted
        "n_dirty": _I64,  # FRAME rows with more than quality.max_particles
        "n_anonymous": _I64,  # DETECTION rows without ANIMALID
        "n_others": _I64,  # ... of animals that are not in the manifest
        "never_detected": _STR,  # rows of ANIMAL without one of DETECTION, `; ` between: they are no animals
        # Of the animal.
        "n_rows": _I64,  # DETECTION rows
        "n_invalid": _I64,  # ... without a finite position
        "n_at_zero": _I64,  # ... with MASS_X < 10
        "n_identical": _I64,  # second rows in a frame, same place
        "n_conflicting": _I64,  # second rows in a frame, another place
        "n_untimed": _I64,  # rows in no segment: paused, or outside of FRAME
        "n_detected": _I64,  # frames with a position
        "n_outside": _I64,  # ... that is not on the floor
        "n_filled": _I64,  # frames filled in at max_gap_frames
        "n_jumps": _I64,  # steps of more than 15 cm from one frame to the next
        "n_flicker": _I64,  # frames with a position that flicker (stops.flicker_...)
        "n_stops": _I64,
        "n_stops_outside": _I64,  # ... whose place is not on the floor
        "stopped_s": _F64,
        **{f"n_stops_gap_{gap}": _I64 for gap in GAP_LEVELS},
        **{f"n_stops_half_{half}": _I64 for half in HALF_WINDOWS},
        **{f"n_stops_flicker_{level}": _I64 for level in FLICKER_LEVELS},
        **{f"stopped_s_flicker_{level}": _F64 for level in FLICKER_LEVELS},
    },
)

COVERAGE = Table(
    "the coverage table",
    "stops",
    {
        "recording": _STR,
        "animal_id": _I64,
        "interval": _I64,
        "detected": _I64,  # frames with a position
        "unpaused": _I64,  # frames, with a row in FRAME or not
        "flicker": _I64,  # frames with a position that flicker
    },
)

INTERVALS = Table(
    "the table of intervals",
    "stops",
    {
        "recording": _STR,
        "interval": _I64,
        "unpaused": _I64,  # frames, with a row in FRAME or not
        "recorded": _I64,  # unpaused FRAME rows
        "anonymous": _I64,  # DETECTION rows without ANIMALID
        "others": _I64,  # ... of animals that are not in the manifest
    },
)


STOPS_TABLES = {"quality": QUALITY, "coverage": COVERAGE, "intervals": INTERVALS}
"""Tables over all recordings, by the names of their files, which lie beside the stop table of each."""


def index_table(labels: Sequence[str]) -> Table:
    """data/histograms/index.parquet: the samples in the order of stacks.npy."""
    return Table(
        "the index of the histograms",
        "histograms",
        {
            "recording": _STR,
            "animal_id": _I64,
            "rfid": _STR,
            "animal": _STR,  # who it is, in all recordings: the manifest's word for it, or its RFID
            "cage": _STR,
            **dict.fromkeys(labels, _STR),
            "class": _STR,
            "n_stops": _I64,
            "n_outside": _I64,
            "n_late": _I64,
            "n_cut": _I64,
        },
    )


CONTROLS = Table(
    "the table of controls",
    "histograms",
    {
        "recording": _STR,
        "animal_id": _I64,
        "known": _F64,  # share of the unpaused frames in which the animal has a position
        "filled": _F64,  # ... in gaps that were bridged
        "lost": _F64,  # ... in gaps that were not
        "flicker": _F64,  # share of the positions that flicker
        "anonymous": _F64,  # detections without an animal, of those and the animal's own
        "length_s": _F64,  # from the first to the last unpaused frame
        "coldest_c": _F64,  # null: no thermometer
        "hottest_c": _F64,
        "uneven": _F64,  # standard deviation over the counted intervals of the share in which the animal is known
        "least_known": _F64,  # the least of those shares
        "start_s": _F64,  # wall clock at which the recording began, seconds since midnight
    },
)
"""data/histograms/controls.parquet: what is no behaviour, a row for each sample in the order of the index."""


def predictions_table(classes: Sequence[str]) -> Table:
    """data/train/predictions.parquet: out of fold, a row per sample and seed."""
    return Table(
        "the out-of-fold predictions",
        "train",
        {
            "recording": _STR,
            "animal_id": _I64,
            "rfid": _STR,
            "cage": _STR,
            "fold": _STR,
            "seed": _I64,
            "class": _STR,
            "predicted": _STR,
            **{f"p_{name}": _F64 for name in classes},
        },
    )


HISTORY = Table(
    "the training history",
    "train",
    {
        "fold": _STR,
        "seed": _I64,
        "epoch": _I64,  # from 1
        "train_loss": _F64,
        "train_accuracy": _F64,
        "test_loss": _F64,
        "test_accuracy": _F64,
        "lr": _F64,  # the rate of this network
    },
)

_PAIR = {"a": _STR, "b": _STR}  # the two classes, or values of a label: numbers are of a less, or over, b


CONTRASTS = Table(
    "the table of places in which classes differ",
    "explain",
    {**_PAIR, "row": _I64, "column": _I64, "difference": _F64, "t": _F64, "p": _F64},  # per mille; p over tiles
)

ZONES = Table(
    "the table of zones in which classes differ",
    "explain",
    {**_PAIR, "zone": _STR, "log_ratio": _F64, "low": _F64, "high": _F64, "p": _F64},  # p over zones and pairs
)

_WHEN = dict.fromkeys(("distance", "p", "excess", "p_excess", "log_stops", "p_stops"), _F64)  # p over intervals

HOURS = Table("the table of hours in which classes differ", "explain", {**_PAIR, "interval": _I64, **_WHEN})

CLOCK = Table("the table of clock hours in which classes differ", "explain", {**_PAIR, "hour": _F64, **_WHEN})

_USE = {**_PAIR, "kind": _STR}  # direction or separation

ATTRIBUTIONS = Table(
    "the table of places that the networks use",
    "explain",
    {**_USE, "row": _I64, "column": _I64, "value": _F64},  # of the difference of two logits
)

ATTRIBUTION_HOURS = Table(
    "the table of hours that the networks use", "explain", {**_USE, "interval": _I64, "value": _F64}
)

ATTRIBUTION_ZONES = Table(
    "the table of zones that the networks use",
    "explain",
    {**_USE, "zone": _STR, "value": _F64, "agreeing": _F64},  # share of cages of the same sign
)

_SAMPLE = {"recording": _STR, "animal_id": _I64}

SAMPLE_ATTRIBUTIONS = Table(
    "the table of what speaks for each sample's class",
    "explain",
    {
        **_SAMPLE,
        **_PAIR,  # the most probable class, and the next one
        "p_a": _F64,
        "p_b": _F64,
        "sum": _F64,  # of the attributions of the difference of the two logits
        "gap": _F64,  # the difference of the logits less that of an empty cage
        "words": _STR,
    },
)

SAMPLE_HOURS = Table(
    "the table of hours that speak in each sample", "explain", {**_SAMPLE, "interval": _I64, "value": _F64}
)

SAMPLE_ZONES = Table(
    "the table of zones that speak in each sample", "explain", {**_SAMPLE, "zone": _STR, "value": _F64}
)

EXPLAINED = {
    "contrasts": CONTRASTS,
    "zones": ZONES,
    "hours": HOURS,
    "clock": CLOCK,
    "attributions": ATTRIBUTIONS,
    "attribution_hours": ATTRIBUTION_HOURS,
    "attribution_zones": ATTRIBUTION_ZONES,
    "sample_attributions": SAMPLE_ATTRIBUTIONS,
    "sample_hours": SAMPLE_HOURS,
    "sample_zones": SAMPLE_ZONES,
}
"""Tables of an explanation, by the names of their files."""

CONFUSION_COLUMNS = ("actual", "predicted")

TABLES = (
    STOPS,
    *STOPS_TABLES.values(),
    index_table(()),
    CONTROLS,
    predictions_table(()),
    HISTORY,
)
"""Tables in which label columns may stand, without these: those of an explanation have none."""
