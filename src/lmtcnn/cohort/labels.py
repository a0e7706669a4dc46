"""From the labels of a sample to its class, and what a label that no class has was meant to be."""

import difflib
from collections.abc import Mapping, Sequence

from lmtcnn.core.errors import problem
from lmtcnn.core.names import label_values, values_of, words_of
from lmtcnn.core.params import Definitions

ALIKE = 0.7
"""Two words of this likeness or more (difflib's ratio) may be one with a slip of the keyboard."""

MOVED = "put each cell of the row under its column"


def class_of(where: str, row: Mapping[str, str], params: Definitions) -> tuple[list[str], str]:
    """Return a line of what is wrong with the labels of a row, naming the valid ones; or none, and its class."""
    known = {column: [v for c, v in label_values(params.classes) if c == column] for column in params.labels}
    found = ", ".join(f"{column} {row[column] or '(empty)'}" for column in params.labels)
    if unknown := [column for column in params.labels if row[column] and row[column] not in known[column]]:
        expected = "; ".join(f"{column} {', '.join(known[column])}" for column in unknown)
        do = _mend(row, unknown, known)
        return [problem(where, f"a label of a class of params.yaml ({expected})", found, do)], ""
    if not params.classes or not all(row[column] for column in params.labels):
        return [], ""
    fitting = [
        name
        for name, labels in params.classes.items()
        if all(row[column] in values_of(values) for column, values in labels.items())
    ]
    if len(fitting) == 1:
        return [], fitting[0]
    expected = "a class of params.yaml (" + "; ".join(map(words_of, params.classes.values())) + ")"
    if fitting:
        expected, found = "one class", f"{found}, which is {' and '.join(fitting)}"
    return [problem(where, expected, found, "correct the labels, or `classes` in params.yaml")], ""


def _mend(row: Mapping[str, str], unknown: Sequence[str], known: Mapping[str, Sequence[str]]) -> str:
    """Advise what to do about labels that no class has: cells that moved, a word that is nearly a label, or else."""
    everything = {value for values in known.values() for value in values}
    if row["cage"] in everything or any(row[column] in {*everything, row["cage"]} for column in unknown):
        return MOVED
    meant = [nearest(row[column], known[column], typos=True) for column in unknown]
    if all(meant):
        return f"write {' and '.join(map(str, meant))} if that is meant"
    return "correct the labels, or `classes` in params.yaml"


def nearest(text: str, values: Sequence[str], *, typos: bool = False) -> str | None:
    """Return the one label that a text is meant for, else None.

    That is `M` or `male` for `Male`, and, with `typos`, `adult` for `adlut`.
    """
    small = text.lower()
    for alike in (
        [value for value in values if value.lower() == small],
        [value for value in values if text.isalpha() and _begin_alike(small, value.lower())],
        [value for value in values if typos and difflib.SequenceMatcher(None, small, value.lower()).ratio() >= ALIKE],
    ):
        if len(alike) == 1:
            return alike[0]
    return None


def _begin_alike(one: str, other: str) -> bool:
    """Whether one text is the beginning of the other."""
    return bool(one and other) and (one.startswith(other) or other.startswith(one))
