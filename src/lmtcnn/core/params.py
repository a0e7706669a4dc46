"""params.yaml, typed and frozen.

Numbers live in params.yaml alone, so no field here has a default: a missing key is an error, as are an unknown
key, a wrong type and a value out of range, and all of them are reported at once.
"""

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import AliasEvent

from lmtcnn.core import names
from lmtcnn.core.errors import ParamsError, problem


def _fraction(value: object) -> object:
    """`10/57` stays exact until it is used: 0.17543859649122806 would move stops at a tile's edge."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Fraction):
        raise ValueError("a number or a fraction such as 10/57")
    try:
        return Fraction(str(value))  # 0.175 is meant as 7/40, not as the nearest binary number
    except (ValueError, ZeroDivisionError, OverflowError) as error:
        raise ValueError("a number or a fraction such as 10/57") from error


def _label(value: object) -> object:
    """A label such as 8 (weeks) is as good as "8": manifests are text."""
    if isinstance(value, str):
        return value.strip()  # as the cells of a manifest are
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _label_values(value: object) -> object:
    """One label, or several in a list; a list of one is as good as the label."""
    if not isinstance(value, tuple):
        return _label(value)
    labels = tuple(_label(each) for each in value)
    if not labels or not all(isinstance(each, str) for each in labels):
        raise ValueError("a label, or a list of labels")
    if len(set(labels)) != len(labels):
        raise ValueError("labels that differ")
    return labels if len(labels) > 1 else labels[0]


def _positive(value: Fraction) -> Fraction:
    if value <= 0:
        raise ValueError("a value above 0")
    return value


def _clock_time(value: str) -> str:
    hours, colon, minutes = value.partition(":")
    digits = (hours + minutes).isdecimal() and len(minutes) == 2 and 1 <= len(hours) <= 2
    if not (colon and digits and int(hours) < 24 and int(minutes) < 60):
        raise ValueError("a clock time HH:MM")
    return f"{int(hours):02}:{minutes}"


def _align(value: str) -> str:
    return value if value == "start" else _clock_time(value)


def _night(value: tuple[str, str]) -> tuple[str, str]:
    if value[0] == value[1]:
        raise ValueError("lights off and lights on at two times")
    return value


def _timezone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("a time zone such as Europe/Paris") from error
    return value


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("an odd kernel, so that a map keeps its place")
    return value


def _odd_window(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("an odd number of frames, so that one is in the middle")
    return value


def _window(value: object) -> object:
    """`all`, or the first interval and the one after the last."""
    ends = value if isinstance(value, list | tuple) else ()
    if value != "all" and not (
        len(ends) == 2 and all(isinstance(end, int) and not isinstance(end, bool) for end in ends)
    ):
        raise ValueError("all, or two whole numbers such as [0, 24]")
    if ends and not 0 <= ends[0] < ends[1]:
        raise ValueError("all, or [a, b] with 0 <= a < b")
    return value


V = TypeVar("V")


def _rate(value: object) -> object:
    if value == "auto":
        return value
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (number and 0 < float(value) < float("inf")):  # type: ignore[arg-type]
        raise ValueError("a rate above 0, or auto")
    return float(value)  # type: ignore[arg-type]


def _unique(values: tuple[V, ...]) -> tuple[V, ...]:
    if len(set(values)) != len(values):
        raise ValueError("values that differ")
    return values


SIMULATED_COHORT = Path("data/simulate")
"""Where the stage `simulate` writes."""

PAPER_LR, PAPER_INTERVAL_S = 0.001, 3600
"""The paper's learning rate, and the length of the intervals for which it is meant."""

MAX_RATE = 10
"""A step of training that is more than this many times the paper's is asked about."""

WHERE_ONLY = ("device", "memory_gb")
"""Keys of `train` that say where and in what portions a training ran, not what it is."""

Label = Annotated[str, BeforeValidator(_label)]
LabelValues = Annotated[str | tuple[str, ...], BeforeValidator(_label_values)]
ClockTime = Annotated[str, AfterValidator(_clock_time)]
Scale = Annotated[Fraction, BeforeValidator(_fraction), AfterValidator(_positive)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float | Literal["auto"], BeforeValidator(_rate)]
Celsius = Annotated[float, Field(ge=-50, le=100)]


class Section(BaseModel):
    """A section of params.yaml: frozen, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


S = TypeVar("S", bound=Section)


class CohortParams(Section):
    """Where the study's recordings and their manifest lie."""

    databases: str
    manifest: str


class SimulateParams(Section):
    """A cohort with a known truth."""

    seed: int = Field(ge=0)
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
    flicker_window_frames: Annotated[int, Field(ge=3, le=1001), AfterValidator(_odd_window)]
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
    align: Annotated[str, AfterValidator(_align)]
    window: Annotated[tuple[int, int] | Literal["all"], BeforeValidator(_window)]
    only: Literal["all", "night", "day"]
    late: Literal["refuse", "cut"]
    timezone: Annotated[str, AfterValidator(_timezone)]
    night: Annotated[tuple[ClockTime, ClockTime], AfterValidator(_night)]

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

    kernels: Annotated[tuple[Annotated[int, Field(ge=1), AfterValidator(_odd)], ...], AfterValidator(_unique)] = Field(
        min_length=1
    )
    channels: int = Field(ge=1)
    pool: int = Field(ge=1)
    transform: Literal["none", "log1p", "sqrt"]
    lr: Rate
    lr_grid: Annotated[tuple[Positive, ...], AfterValidator(_unique)] = Field(min_length=1)
    lr_folds: int = Field(ge=2)
    epochs: int = Field(ge=1)
    batch: int = Field(ge=1)
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], AfterValidator(_unique)] = Field(min_length=1)
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


class Zone(Section):
    """Something that stands in the cage: a circle (x, y, radius) or a rectangle (x, y, width, height), in cm.

    The one section with values that may be left out: a zone has one of two shapes.
    """

    kind: Literal["nest", "dome", "feeder", "water", "other"]
    circle_cm: tuple[float, float, Positive] | None = None
    rectangle_cm: tuple[float, float, Positive, Positive] | None = None

    @model_validator(mode="after")
    def _one_shape(self) -> "Zone":
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
    seed: int = Field(ge=0)


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


class Definitions(Section):
    """The parameters that judge a recording and turn it into labelled stacks; a bundle carries them."""

    classes: dict[Label, dict[Label, LabelValues]] = Field(min_length=2)
    stops: StopsParams
    histograms: HistogramsParams
    quality: QualityParams

    @model_validator(mode="after")
    def _labelled(self) -> "Definitions":
        if not all(self.classes):
            raise ValueError("classes: a name for every class")
        if not all(self.classes.values()):
            raise ValueError("classes: a label column and its value for every class")
        if not all(self.labels) or not all(value for _, value in names.label_values(self.classes)):
            raise ValueError("classes: a name for every label column, and for each of its values")
        if taken := [label for label in self.labels if names.is_ours(label)]:
            raise ValueError(f"classes: label columns of your own, found {', '.join(taken)}, of another meaning")
        if names.HOUR in self.classes:
            raise ValueError(f"classes: another name, found {names.HOUR}, of another meaning")
        if shared := next(names.clashes(self.classes), None):
            raise ValueError(f"classes: names that differ, also where signs become _, found {shared}")
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """The label columns, in the order in which the classes name them."""
        return tuple(dict.fromkeys(label for labels in self.classes.values() for label in labels))


class Params(Definitions):
    """The whole of params.yaml."""

    def with_simulate(self, **values: int | None) -> "Params":
        """Return these parameters with other values in simulate; None leaves one as it is."""
        given = {key: value for key, value in values.items() if value is not None}
        return self.model_copy(update={"simulate": self.simulate.model_copy(update=given)})

    @property
    def simulates(self) -> bool:
        """Whether the study's recordings are those that the stage `simulate` writes."""
        return Path(self.cohort.databases) == SIMULATED_COHORT

    @property
    def doubts(self) -> list[str]:
        """A line for each value that looks as if it was forgotten when others were changed; nothing is refused for it.

        The counts in an interval grow with its length, and a step of training with the counts: rates are compared as
        lr * interval_s.
        """
        lines = []
        lr = 0.0 if self.train.lr == "auto" else float(self.train.lr)
        rate = lr * self.histograms.interval_s / (PAPER_LR * PAPER_INTERVAL_S)
        if rate > MAX_RATE:
            lines.append(
                f"train.lr {lr:g} with intervals of {self.histograms.interval_s:g} s is {rate:.3g} times "
                f"the paper's {PAPER_LR:g} with {PAPER_INTERVAL_S} s: is it the demo's? Recordings of real length: "
                f"{PAPER_LR:g}"
            )
        if self.simulates and self.simulate.seconds_per_hour != self.histograms.interval_s:
            lines.append(
                f"simulate.seconds_per_hour is {self.simulate.seconds_per_hour:g}, histograms.interval_s "
                f"{self.histograms.interval_s:g}: an interval is not an hour of the simulated recordings"
            )
        return lines

    @property
    def furniture(self) -> dict[str, dict[str, Any]]:
        """Return what stands in the cage, by name, as drawings take it."""
        return {name: zone.place for name, zone in self.zones.items()}

    cohort: CohortParams
    zones: dict[str, Zone]
    simulate: SimulateParams
    train: TrainParams
    evaluate: EvaluateParams
    explain: ExplainParams
    register_: RegisterParams = Field(alias="register")
    report: ReportParams

    @model_validator(mode="after")
    def _consistent(self) -> "Params":
        if self.histograms.tiles < self.train.pool:
            raise ValueError("train.pool: a pool no larger than histograms.tiles")
        if self.explain.seed not in self.train.seeds:
            raise ValueError("explain.seed: one of train.seeds")
        return self


def load(path: Path) -> Params:
    """Read a parameter file.

    Raises ParamsError that names every unknown or missing key, wrong type and value out of range.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ParamsError(
            problem(path, "a parameter file", "none", "run in the project's folder, or name one with --params")
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        found = "bytes that are not UTF-8" if isinstance(error, ValueError) else error.strerror or str(error)
        raise ParamsError(problem(path, "a readable parameter file", found, "check the file")) from error
    try:
        raw = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError) as error:  # ValueError: a date such as 2024-13-45
        mark = getattr(error, "problem_mark", None)
        place = f"{path}, line {mark.line + 1}" if mark else str(path)
        said = getattr(error, "problem", None) or str(error).splitlines()[0]
        found = said.partition("but found ")[2] or said.removeprefix("found ")  # "expected ..., but found ..."
        raise ParamsError(problem(place, "YAML", found, "correct the file")) from error
    if not isinstance(raw, Mapping):
        found = "nothing" if raw is None else f"a {type(raw).__name__}"
        raise ParamsError(problem(path, "sections such as `stops:`", found, "correct the file"))
    if "compressed" not in raw and (lines := _anchors(text, path)):  # that of an older file is told by `parse`
        raise ParamsError(lines)
    return parse(raw, str(path))


def _anchors(text: str, path: Path) -> list[str]:
    """A line for each anchor and alias of a parameter file that is YAML.

    `dvc exp run -S` writes over an anchor and moves it to its first alias, which keeps the old value: an experiment
    would be listed with a parameter that it did not have. So both are refused, whatever they bear.
    """
    do = "write the value itself in every place: `dvc exp run -S` changes an anchor and not what bears its value"
    return [
        problem(f"{path}, line {event.start_mark.line + 1}", "a value", f"the {kind} {mark}{event.anchor}", do)
        for event in YAML(typ="safe", pure=True).parse(text)
        if getattr(event, "anchor", None)
        for kind, mark in [("alias", "*") if isinstance(event, AliasEvent) else ("anchor", "&")]
    ]


def parse(raw: Mapping[str, Any], where: str) -> Params:
    """Check a mapping as read from YAML or JSON; `where` names its origin in messages."""
    return _validate(Params, raw, where)


def parse_section(section: type[S], raw: Mapping[str, Any], where: str) -> S:
    """Check one section, such as the preprocessing that a bundle carries."""
    return _validate(section, raw, where)


def dump(section: Section) -> dict[str, Any]:
    """A section as plain JSON values, the same that would be read again; fractions stay exact as text."""
    values = section.model_dump(by_alias=True, exclude_none=True)
    return {key: _plain(value) for key, value in values.items()}


def flat(section: Section, prefix: str = "") -> dict[str, Any]:
    """A section with dotted keys, as MLflow shows parameters: `train.lr`."""
    found: dict[str, Any] = {}

    def visit(value: Any, key: str) -> None:
        if isinstance(value, Mapping):
            for name, inner in value.items():
                visit(inner, f"{key}.{name}" if key else str(name))
        else:
            found[key] = value

    visit(dump(section), prefix)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Fraction):
        return int(value) if value.denominator == 1 else f"{value.numerator}/{value.denominator}"
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _frozen(inner) for key, inner in value.items()}
    return tuple(_frozen(inner) for inner in value) if isinstance(value, list) else value


def _validate(section: type[S], raw: Mapping[str, Any], where: str) -> S:
    try:
        return section.model_validate(_frozen(raw))
    except ValidationError as error:
        raise ParamsError([_line(where, dict(item)) for item in error.errors()]) from None


_EXPECTED = {
    "model_type": "a section of keys",
    "dict_type": "a mapping",
    "tuple_type": "a list",
    "too_short": "{min_length} or more",
}
"""Our words where pydantic's speak of Python."""


def _line(where: str, item: dict[str, Any]) -> str:
    key = ".".join(str(part) for part in item["loc"])
    kind, found = str(item["type"]), repr(item["input"])
    if kind == "extra_forbidden" and key == "compressed":
        do = "write simulate.seconds_per_hour, histograms.interval_s and train.lr themselves, and remove `compressed`"
        return problem(f"{where}: {key}", "no such section", "that of an older lmtcnn", do)
    if kind == "extra_forbidden":
        return problem(f"{where}: {key}", "a known key", "an unknown one", "remove it or correct its spelling")
    if kind == "missing":
        return problem(f"{where}: {key}", "a value", "none", "add the key")
    if kind == "value_error":
        expected = str(item["ctx"]["error"])
        if not key:  # a check across sections names its key itself
            key, _, expected = expected.partition(": ")
            expected, _, found = expected.partition(", found ")
            return problem(f"{where}: {key}", expected, found or "something else", "correct the value")
        name, _, rest = expected.partition(": ")
        if rest:  # a check across the keys of a section names the one it is about
            key, expected, found = f"{key}.{name}", rest, repr(item["input"][name])
    elif kind in _EXPECTED:
        expected = _EXPECTED[kind].format(**item.get("ctx", {}))
    else:
        message = str(item["msg"]).removeprefix("Input should be ")
        expected = message[0].lower() + message[1:]
    return problem(f"{where}: {key}", expected, found, "correct the value")
