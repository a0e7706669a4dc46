"""Kinds of values in params.yaml: what each may be, and in what words another one is refused."""

import re
from fractions import Fraction
from typing import Annotated, Literal, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

T = TypeVar("T")


def _is_number(value: object, *kinds: type) -> bool:
    """Whether a value is of one of these kinds; true and false are no numbers."""
    return isinstance(value, kinds) and not isinstance(value, bool)


def _fraction(value: object) -> object:
    """Keep `10/57` exact until it is used: 0.17543859649122806 would move stops at a tile's edge."""
    try:
        if not _is_number(value, int, float, str, Fraction):
            raise ValueError
        return Fraction(str(value))  # 0.175 is meant as 7/40, not as the nearest binary number
    except (ValueError, ZeroDivisionError, OverflowError) as error:
        raise ValueError("a number or a fraction such as 10/57") from error


def _positive(value: Fraction) -> Fraction:
    if value <= 0:
        raise ValueError("a value above 0")
    return value


def _exact(value: Fraction) -> int | str:
    return int(value) if value.denominator == 1 else f"{value.numerator}/{value.denominator}"


def _label(value: object) -> object:
    """Take a label such as 8 (weeks) for "8": manifests are text."""
    if isinstance(value, str):
        return value.strip()  # as the cells of a manifest are
    return str(value) if _is_number(value, int) else value


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


def _clock_time(value: str) -> str:
    found = re.fullmatch(r"(\d{1,2}):(\d\d)", value)
    if not found or int(found[1]) >= 24 or int(found[2]) >= 60:
        raise ValueError("a clock time HH:MM")
    return f"{int(found[1]):02}:{found[2]}"


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


def _odd(words: str) -> AfterValidator:
    def check(value: int) -> int:
        if value % 2 == 0:
            raise ValueError(words)
        return value

    return AfterValidator(check)


def _window(value: object) -> object:
    """`all`, or the first interval and the one after the last."""
    ends = value if isinstance(value, list | tuple) else ()
    if value != "all" and not (len(ends) == 2 and all(_is_number(end, int) for end in ends)):
        raise ValueError("all, or two whole numbers such as [0, 24]")
    if ends and not 0 <= ends[0] < ends[1]:
        raise ValueError("all, or [a, b] with 0 <= a < b")
    return value


def _rate(value: object) -> object:
    if value == "auto":
        return value
    if not (_is_number(value, int, float) and 0 < float(value) < float("inf")):  # type: ignore[arg-type]
        raise ValueError("a rate above 0, or auto")
    return float(value)  # type: ignore[arg-type]


def _unique(values: tuple[T, ...]) -> tuple[T, ...]:
    if len(set(values)) != len(values):
        raise ValueError("values that differ")
    return values


Label = Annotated[str, BeforeValidator(_label)]
LabelValues = Annotated[str | tuple[str, ...], BeforeValidator(_label_values)]
ClockTime = Annotated[str, AfterValidator(_clock_time)]
Align = Annotated[str, AfterValidator(_align)]
Night = Annotated[tuple[ClockTime, ClockTime], AfterValidator(_night)]
TimeZone = Annotated[str, AfterValidator(_timezone)]
Window = Annotated[tuple[int, int] | Literal["all"], BeforeValidator(_window)]
Scale = Annotated[Fraction, BeforeValidator(_fraction), AfterValidator(_positive), PlainSerializer(_exact)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float | Literal["auto"], BeforeValidator(_rate)]
Celsius = Annotated[float, Field(ge=-50, le=100)]
Kernel = Annotated[int, Field(ge=1), _odd("an odd kernel, so that a map keeps its place")]
FlickerWindow = Annotated[int, Field(ge=3, le=1001), _odd("an odd number of frames, so that one is in the middle")]
Seed = Annotated[int, Field(ge=0)]
Several = Annotated[tuple[T, ...], AfterValidator(_unique), Field(min_length=1)]
"""One value or more, all different."""
