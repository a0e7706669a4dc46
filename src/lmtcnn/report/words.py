"""Numbers as the page writes them; what is not known is a blank."""

from collections.abc import Mapping
from typing import Any

AS_NUMBERS = ("log_loss", "brier", "mcc", "macro_f1")
"""Figures of merit that are shown as numbers; all others are shares."""


def share(value: float | None) -> str:
    """A share as a percentage to one digit: `77.1%`."""
    return "" if value is None else f"{value:.1%}"


def between(low: float | None, high: float | None) -> str:
    """The ends of an interval of shares: `65% to 81%`."""
    return "" if low is None or high is None else f"{low:.0%} to {high:.0%}"


def interval_of(metrics: Mapping[str, Any], name: str) -> str:
    """The interval of a figure of merit, by its name in metrics.json."""
    return between(metrics.get(f"{name}_low"), metrics.get(f"{name}_high"))


def probability(p: float | None) -> str:
    """A p with its letter and two digits: `p 0.012`, `p < 0.0001`."""
    if p is None:
        return ""
    return f"p {p:.2g}" if p >= 0.0001 else "p < 0.0001"


def figure_of_merit(name: str, value: float | None) -> str:
    """A figure of merit as its kind is written."""
    if value is None:
        return ""
    return f"{value:.3f}" if name in AS_NUMBERS else share(value)


def spread(row: Mapping[str, Any] | None) -> str:
    """A row of artefacts.csv: `median (lowest to highest)`."""
    if row is None or row["median"] is None:
        return ""
    median, lowest, highest = (_digits(float(row[key])) for key in ("median", "lowest", "highest"))
    return f"{median} ({lowest} to {highest})"


def _digits(value: float) -> str:
    """Four digits, but never the power of ten that a large number would be written with."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def sentence(words: str) -> str:
    """Words as a sentence: a capital first, a full stop last."""
    words = words.strip()
    return f"{words[:1].upper()}{words[1:].rstrip('.')}." if words else ""


def listed(words: list[str]) -> str:
    """Several words in a row: `a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
