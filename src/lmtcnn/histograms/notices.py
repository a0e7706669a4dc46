"""Notices on recordings and parameters for the readers of results, on the page and on MLflow's runs.

The stage `histograms` writes into histograms.json which recordings it left out, kept though they fail, or found to be
looked at, and which animals are in no sample; here that becomes words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lmtcnn.core.params import Params
from lmtcnn.timeline.counted import counted_words

KEYS = ("left_out", "kept", "warned", "excluded", "unlisted", "never_detected", "tracking", "starts")
"""Keys of histograms.json that are told."""

TITLES = {
    "left_out": "Left out of training, as they fail a check",
    "kept": "Kept, though they fail a check (quality.on_fail: keep)",
    "warned": "To be looked at",
    "excluded": "Animals that the manifest excludes",
    "unlisted": "Animals of the databases that the manifest does not list",
    "never_detected": "Rows of ANIMAL without one detection, which are no animals",
}
VERDICTS = ("ok", "warn", "fail")
SHOWN_LINES = 30


@dataclass(frozen=True)
class Notice:
    """One kind of thing to know: its key, a title, and whom it is about, each with words (or none)."""

    key: str
    title: str
    about: tuple[tuple[str, str], ...]


def notices(made: Mapping[str, Any]) -> list[Notice]:
    """Return what histograms.json says of recordings and animals, without kinds of which there is nothing to tell."""
    found = []
    for key, title in TITLES.items():
        told = made.get(key) or {}
        about = tuple(told.items()) if isinstance(told, Mapping) else tuple((each, "") for each in told)
        if about:
            found.append(Notice(key, title, about))
    return found


def beware(made: Mapping[str, Any], params: Params) -> list[str]:
    """Whole sentences of warning: what the hour of the start tells, and parameters that look forgotten."""
    return [*made["starts"], *params.doubts]


def tracking_rows(made: Mapping[str, Any]) -> list[list[str]]:
    """For each class: samples by the verdict on their recording's tracks, and the median share of detection."""
    return [
        [
            name,
            *(str(own[verdict]) for verdict in VERDICTS),
            "" if own["detected"] is None else f"{own['detected']:.1%}",
        ]
        for name, own in made["tracking"].items()
    ]


def tags(made: Mapping[str, Any]) -> dict[str, str]:
    """`lmtcnn.<key>` -> how many, and which: `2: cage01_adult, cage02_adult`."""
    return {
        f"lmtcnn.{notice.key}": f"{len(notice.about)}: {', '.join(name for name, _ in notice.about)}"[:500]
        for notice in notices(made)
    }


def markdown(made: Mapping[str, Any], params: Params, limit: int | None = SHOWN_LINES) -> str:
    """All of it as Markdown, with at most `limit` lines of a kind."""
    parts = [f"Counted: {words}.\n"] if (words := counted_words(params.histograms)) else []
    parts += [f"**Beware:** {line}.\n" for line in beware(made, params)]
    for notice in notices(made):
        parts.append(f"{notice.title}:\n\n{_listed(notice.about, limit)}\n")
    head = ["class", "tracks ok", "to be looked at", "failing", "detected, median"]
    rows = [head, ["---"] * len(head), *tracking_rows(made)]
    parts.append("\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows) + "\n")
    return "\n".join(parts)


def _listed(about: Sequence[tuple[str, str]], limit: int | None) -> str:
    lines = [f"- {name}: {words}" if words else f"- {name}" for name, words in about[:limit]]
    more = len(about) - len(lines)
    return "\n".join([*lines, *([f"- and {more} more: cohort/notices.md"] if more else [])])
