"""The sections of params.yaml, typed and frozen.

A field's default is the paper's value, or ours where the paper gives none, as params.yaml says beside it: `Params()`
is a study of real recordings by the paper, for folders and notebooks without a file. A file is whole, so that it says
what a study was made by: a missing key is an error, as are an unknown key, a wrong type and a value out of range.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lmtcnn.core.kinds import (
    Align,
    Celsius,
    FlickerWindow,
    Kernel,
    Night,
    NotNegative,
    Positive,
    Rate,
    Scale,
    Seed,
    Several,
    Share,
    TimeZone,
    Window,
)

WHERE_ONLY = ("device", "memory_gb")
"""Keys of `train` that say where and in what portions a training ran, not what it is."""


class Section(BaseModel):
    """A section of params.yaml: frozen, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)


def dump(section: Section) -> dict[str, Any]:
    """Return a section as plain JSON values, the same that would be read again; fractions stay exact as text."""
    return section.model_dump(mode="json", by_alias=True, exclude_none=True)


class CohortParams(Section):
    """Where the study's recordings and their manifest lie."""

    databases: str = "data/raw"
    manifest: str = "data/cohort.csv"


class SimulateParams(Section):
    """A cohort with a known truth."""

    seed: Seed = 1
    cages: int = Field(default=12, ge=1, le=1000)
    hours: int = Field(default=72, ge=1, le=10_000)
    seconds_per_hour: float = Field(default=3600, ge=1, le=3600)
    effect: NotNegative = 1.0
    effect_in: Literal["place", "time", "both"] = "both"
    cage_effect: NotNegative = 0.5
    animal_effect: NotNegative = 0.5
    nest_shift_cm: float = Field(default=8.0, ge=0, le=20)
    huddling: Share = 0.5
    shared_sleep: Share = 0.5
    leak: Literal["none", "quality", "clock", "counts"] = "none"
    layout: Literal["plain", "mirrored", "rotated", "shifted", "uniform"] = "plain"


class Arena(Section):
    """The floor in the depth image: pixels from the upper left corner, y down."""

    x_px: float = Field(default=114, allow_inf_nan=False)
    y_px: float = Field(default=63, allow_inf_nan=False)
    width_px: Positive = 284
    height_px: Positive = 290
    cm_per_px: Scale = Fraction(10, 57)
    flip: Literal["none", "x", "y", "xy"] = "none"

    @property
    def width_cm(self) -> float:
        """w, the floor's width in cm."""
        return float(self.cm(self.width_px))

    @property
    def height_cm(self) -> float:
        """h, the floor's height in cm."""
        return float(self.cm(self.height_px))

    def cm(self, px: Any) -> Any:
        """Pixels to cm, for numbers and arrays: px * 10 / 57, in that order, so that rounding is the contract's."""
        return px * self.cm_per_px.numerator / self.cm_per_px.denominator

    def px(self, cm: float) -> float:
        """The pixels of a length in cm: cm * 57 / 10, in that order."""
        return cm * self.cm_per_px.denominator / self.cm_per_px.numerator


class StopsParams(Section):
    """From frames to stops; the definitions are in docs/definitions.md."""

    fps: Positive = 30
    clock: Literal["timestamp", "frame"] = "timestamp"
    max_clock_back_ms: int = Field(default=100, ge=0)
    max_gap_frames: int = Field(default=90, ge=0, le=100_000)
    max_gap_cm: NotNegative = 2.0
    flicker_window_frames: FlickerWindow = 19
    flicker_top_cm: Positive = 1.6
    flicker_mean_cm: Positive = 0.7
    max_flicker_frames: int = Field(default=0, ge=0, le=1_000_000)
    half_window_frames: int = Field(default=3, ge=1, le=1000)
    max_speed_cm_per_s: NotNegative = 5.0
    min_duration_s: NotNegative = 1.0
    arena: Arena = Arena()


class HistogramsParams(Section):
    """From stops to stacks of histograms."""

    intervals: int = Field(default=72, ge=1, le=100_000)
    interval_s: Positive = 3600
    tiles: int = Field(default=30, ge=1, le=1000)
    weight: Literal["count", "duration"] = "count"
    outside: Literal["clip", "drop"] = "clip"
    align: Align = "start"
    window: Window = "all"
    only: Literal["all", "night", "day"] = "all"
    late: Literal["refuse", "cut"] = "refuse"
    timezone: TimeZone = "UTC"
    night: Night = ("20:00", "08:00")

    @model_validator(mode="after")
    def _within(self) -> "HistogramsParams":
        if self.counted.stop > self.intervals:
            raise ValueError(f"window: all, or [a, b] with b at most the number of intervals, {self.intervals}")
        return self

    @property
    def counted(self) -> range:
        """The intervals that are counted, in order: those of a stack."""
        return range(self.intervals) if self.window == "all" else range(*self.window)


class TrainParams(Section):
    """The network and its training."""

    kernels: Several[Kernel] = (3, 9)
    channels: int = Field(default=16, ge=1)
    pool: int = Field(default=2, ge=1)
    transform: Literal["none", "log1p", "sqrt"] = "none"
    lr: Rate = 0.001
    lr_grid: Several[Positive] = (0.001, 0.003, 0.01, 0.03, 0.1)
    lr_folds: int = Field(default=12, ge=2)
    epochs: int = Field(default=20, ge=1)
    batch: int = Field(default=16, ge=1)
    seeds: Several[Seed] = (0, 1, 2)
    class_weight: Literal["none", "balanced"] = "none"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    memory_gb: Positive = 4

    @property
    def decisive(self) -> dict[str, Any]:
        """The values that a training's result depends on, as `dump` has them.

        Without where and in what portions it ran, and without the grid of rates where none is chosen.
        """
        return decisive(dump(self))


def decisive(train: Mapping[str, Any]) -> dict[str, Any]:
    """Those values of the section `train` that a training's result depends on; see `TrainParams.decisive`."""
    unused = () if train.get("lr") == "auto" else ("lr_grid", "lr_folds")
    return {key: value for key, value in train.items() if key not in (*WHERE_ONLY, *unused)}


class EvaluateParams(Section):
    """Simple methods, how sure one may be, and when a training counts as unfinished."""

    still_falling: Share = 0.05
    pca_components: int = Field(default=3, ge=1)
    neighbours: int = Field(default=1, ge=1)
    svm_kernel: Literal["rbf", "linear", "poly", "sigmoid"] = "rbf"
    svm_c: Positive = 1.0
    smoothing_tiles: NotNegative = 1.5
    permutations_cheap: int = Field(default=999, ge=1, le=1_000_000)
    permutation_seed: int = Field(default=0, ge=0)
    permutations: int = Field(default=0, ge=0, le=1_000_000)
    matches_within: Share = 0.05


class ZoneParams(Section):
    """Something that stands in the cage: a circle (x, y, radius) or a rectangle (x, y, width, height), in cm.

    The one section with values that may be left out: a zone has one of two shapes.
    """

    kind: Literal["nest", "dome", "feeder", "water", "other"]
    circle_cm: tuple[float, float, Positive] | None = None
    rectangle_cm: tuple[float, float, Positive, Positive] | None = None

    @model_validator(mode="after")
    def _one_shape(self) -> "ZoneParams":
        if (self.circle_cm is None) == (self.rectangle_cm is None):
            raise ValueError("either circle_cm or rectangle_cm")
        return self

    @property
    def place(self) -> dict[str, Any]:
        """The zone as truth.json holds zones, with its kind."""
        if self.circle_cm:
            shape, values = "circle", zip(("x_cm", "y_cm", "radius_cm"), self.circle_cm, strict=True)
            return {"shape": shape, **dict(values), "kind": self.kind}
        corner = zip(("x_cm", "y_cm", "width_cm", "height_cm"), self.rectangle_cm or (), strict=True)
        return {"shape": "rectangle", **dict(corner), "kind": self.kind}


class ExplainParams(Section):
    """How classes are compared in places and hours; which networks' maps are shown, of which layer, and how."""

    window_intervals: int = Field(default=3, ge=1, le=10_000)
    arrangements: int = Field(default=999, ge=19, le=1_000_000)
    maps: Literal["difference", "raw"] = "difference"
    layer: Literal["conv", "relu", "pool"] = "relu"
    seed: Seed = 0

    @model_validator(mode="after")
    def _odd(self) -> "ExplainParams":
        if self.window_intervals % 2 == 0:
            raise ValueError("window_intervals: an odd number")
        return self


class QualityParams(Section):
    """Limits of the quality checks, shares are of 1; and what becomes of a recording that fails one."""

    on_fail: Literal["leave_out", "keep"] = "leave_out"
    least_share: Share = 0.9
    omitted_warn: Share = 0.0008
    omitted_fail: Share = 0.01
    detected_warn: Share = 0.8
    detected_fail: Share = 0.5
    untimed_warn: Share = 0.05
    untimed_fail: Share = 0.5
    anonymous_warn: Share = 0.2
    anonymous_fail: Share = 0.5
    outside_warn: Share = 0.01
    outside_fail: Share = 0.05
    flicker_warn: Share = 0.01
    hour_detected: Share = 0.5
    temperature_warn_c: tuple[Celsius, Celsius] = (21, 25)
    temperature_fail_c: tuple[Celsius, Celsius] = (20, 26)
    temperature_share: Share = 0.001
    max_particles: int = Field(default=100, ge=0)
    start_hour_p: Share = 0.01

    @model_validator(mode="after")
    def _in_order(self) -> "QualityParams":
        (cool, warm), (cold, hot) = self.temperature_warn_c, self.temperature_fail_c
        if not cold <= cool <= warm <= hot:
            raise ValueError(f"temperature_fail_c: limits around temperature_warn_c, {cool:g} to {warm:g}")
        if self.detected_fail > self.detected_warn:
            raise ValueError(f"detected_fail: at most detected_warn, {self.detected_warn:g}")
        for name in ("omitted", "untimed", "anonymous", "outside"):
            if getattr(self, f"{name}_warn") > getattr(self, f"{name}_fail"):
                raise ValueError(f"{name}_fail: at least {name}_warn, {getattr(self, f'{name}_warn'):g}")
        return self

    @property
    def limits(self) -> dict[str, Any]:
        """By which recordings are judged when they are read, without what is made of that later."""
        later = ("on_fail", "least_share", "start_hour_p")
        return {key: value for key, value in dump(self).items() if key not in later}


class RegisterParams(Section):
    """How a model comes to serve."""

    promotion: str = "mlops/promotion.py"
    promote: Literal["never", "by_rule", "except_trials"] = "except_trials"
    least_gain: Share = 0.02
    most_loss: Share = 0.02


class ReportParams(Section):
    """The page."""

    title: str = "Stop maps of mice, by sex and age"
