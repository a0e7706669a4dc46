"""The sections of params.yaml, typed and frozen.

Numbers live in params.yaml alone, so no field here has a default: a missing key is an error, as are an unknown
key, a wrong type and a value out of range.
"""

from collections.abc import Mapping
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

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def dump(section: Section) -> dict[str, Any]:
    """Return a section as plain JSON values, the same that would be read again; fractions stay exact as text."""
    return section.model_dump(mode="json", by_alias=True, exclude_none=True)


class CohortParams(Section):
    """Where the study's recordings and their manifest lie."""

    databases: str
    manifest: str


class SimulateParams(Section):
    """A cohort with a known truth."""

    seed: Seed
    cages: int = Field(ge=1, le=1000)
    hours: int = Field(ge=1, le=10_000)
    seconds_per_hour: float = Field(ge=1, le=3600)
    effect: NotNegative
    cage_effect: NotNegative
    animal_effect: NotNegative


class Arena(Section):
    """The floor in the depth image: pixels from the upper left corner, y down."""

    x_px: float = Field(allow_inf_nan=False)
    y_px: float = Field(allow_inf_nan=False)
    width_px: Positive
    height_px: Positive
    cm_per_px: Scale
    flip: Literal["none", "x", "y", "xy"]

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

    fps: Positive
    clock: Literal["timestamp", "frame"]
    max_clock_back_ms: int = Field(ge=0)
    max_gap_frames: int = Field(ge=0, le=100_000)
    max_gap_cm: NotNegative
    flicker_window_frames: FlickerWindow
    flicker_top_cm: Positive
    flicker_mean_cm: Positive
    max_flicker_frames: int = Field(ge=0, le=1_000_000)
    half_window_frames: int = Field(ge=1, le=1000)
    max_speed_cm_per_s: NotNegative
    min_duration_s: NotNegative
    arena: Arena


class HistogramsParams(Section):
    """From stops to stacks of histograms."""

    intervals: int = Field(ge=1, le=100_000)
    interval_s: Positive
    tiles: int = Field(ge=1, le=1000)
    weight: Literal["count", "duration"]
    outside: Literal["clip", "drop"]
    align: Align
    window: Window
    only: Literal["all", "night", "day"]
    late: Literal["refuse", "cut"]
    timezone: TimeZone
    night: Night

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

    kernels: Several[Kernel]
    channels: int = Field(ge=1)
    pool: int = Field(ge=1)
    transform: Literal["none", "log1p", "sqrt"]
    lr: Rate
    lr_grid: Several[Positive]
    lr_folds: int = Field(ge=2)
    epochs: int = Field(ge=1)
    batch: int = Field(ge=1)
    seeds: Several[Seed]
    class_weight: Literal["none", "balanced"]
    device: Literal["auto", "cpu", "cuda"]
    memory_gb: Positive

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
    """The baselines of the paper, and when a training counts as unfinished."""

    still_falling: Share
    pca_components: int = Field(ge=1)
    neighbours: int = Field(ge=1)
    svm_kernel: Literal["rbf", "linear", "poly", "sigmoid"]
    svm_c: Positive


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
    """Which network is shown, and which of its layers."""

    layer: Literal["conv", "relu", "pool"]
    seed: Seed


class QualityParams(Section):
    """Limits of the quality checks, shares are of 1; and what becomes of a recording that fails one."""

    on_fail: Literal["leave_out", "keep"]
    least_share: Share
    omitted_warn: Share
    omitted_fail: Share
    detected_warn: Share
    detected_fail: Share
    untimed_warn: Share
    untimed_fail: Share
    anonymous_warn: Share
    anonymous_fail: Share
    outside_warn: Share
    outside_fail: Share
    flicker_warn: Share
    hour_detected: Share
    temperature_warn_c: tuple[Celsius, Celsius]
    temperature_fail_c: tuple[Celsius, Celsius]
    temperature_share: Share
    max_particles: int = Field(ge=0)
    start_hour_p: Share

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

    promotion: str
    promote: Literal["never", "by_rule", "except_trials"]
    least_gain: Share
    most_loss: Share


class ReportParams(Section):
    """The page."""

    title: str
