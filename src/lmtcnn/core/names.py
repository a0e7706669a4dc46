"""Names that are ours: no label column or class may be mistaken for one of our columns, and no two share a metric."""

import re
from collections.abc import Iterator, Mapping, Sequence

from lmtcnn.core.schemas import CONFUSION_COLUMNS, TABLES

Values = str | Sequence[str]
"""What a class says of a label column: its value, or several."""

MANIFEST = ("recording", "rfid", "animal", "cage", "files", "exclude", "timezone", "night")
"""Columns of the manifest that have a meaning of their own; those of the floor begin with `arena_`."""

HOUR = "hour"
"""Heads the table of the hours at which recordings start, in which each class has a column."""

OTHERS = (
    "id", "probability", "agreement", "warnings", "set", "distance", "model", "end_s", "start", "stop", "ensemble",
    "knn", "svm", "recall", "chance", "control", "joint", "occupancy", "occupancy_knn", "occupancy_svm", "difference",
    "network",
)  # fmt: skip
"""Columns of the tables that are shown or returned, and first words of metrics."""

COLUMNS = frozenset({*MANIFEST, *OTHERS, HOUR, *CONFUSION_COLUMNS}.union(*(table.columns for table in TABLES)))
"""Names that no label column may bear; neither may one that begins with one of PREFIXES."""

PREFIXES = ("p_", "n_", "arena_", "stopped_s_")

ALL = "all"
"""No cage's name: the word for the networks from which none is held out."""

ONE_CAGE = (
    "an animal in two cages would be trained on and tested: give cages that shared animals one name; "
    "where two mice bore one chip, say who is who in a column animal"
)
"""Why an animal belongs to one cage, and what to do."""

BASELINES = {
    "knn": "PCA and nearest neighbours",
    "svm": "PCA and support vectors",
    "occupancy_knn": "occupancy and nearest neighbours",
    "occupancy_svm": "occupancy and support vectors",
}
"""The simple methods, as names of metrics begin, and in words; the first two are the paper's."""

FIXED = frozenset(
    (
        "accuracy", "ensemble_accuracy", "balanced_accuracy", "macro_f1", "mcc", "log_loss", "brier", "knn_accuracy",
        "svm_accuracy", "occupancy_knn_accuracy", "occupancy_svm_accuracy", "time_shuffled_accuracy",
    )
)  # fmt: skip
"""Figures of merit that every study has."""


def is_ours(column: str) -> bool:
    """Whether a column of this name, in capitals or not, has a meaning already."""
    return column.lower() in COLUMNS or column.lower().startswith(PREFIXES)


def values_of(values: Values) -> tuple[str, ...]:
    """The values of a label that belong to a class, one or several."""
    return (values,) if isinstance(values, str) else tuple(values)


def words_of(labels: Mapping[str, Values]) -> str:
    """A class in words: `sex M, treatment low or high`."""
    return ", ".join(f"{label} {' or '.join(values_of(values))}" for label, values in labels.items())


def label_values(classes: Mapping[str, Mapping[str, Values]]) -> list[tuple[str, str]]:
    """Every (label column, value) that the classes name, column by column; a class need not name every column."""
    columns = dict.fromkeys(label for labels in classes.values() for label in labels)
    return list(
        dict.fromkeys((c, v) for c in columns for labels in classes.values() for v in values_of(labels.get(c, ())))
    )


def label_metric(label: str, value: str) -> str:
    """The accuracy among samples whose true label has this value: `accuracy_sex_F`."""
    return f"accuracy_{label}_{value}"


def recall_metric(name: str) -> str:
    """The recall of a class: `recall_AM`."""
    return f"recall_{name}"


def safe(name: str) -> str:
    """A name that MLflow takes: a label such as +/+ has signs that it refuses."""
    group, slash, rest = name.partition("/")
    return group + slash + re.sub(r"[^\w .:-]", "_", rest)


def clashes(classes: Mapping[str, Mapping[str, Values]]) -> Iterator[str]:
    """A line for each name that two things would share: `accuracy_a_b_c of a_b c and of a b_c`.

    Names are compared as MLflow writes them (see `safe`), which leaves out the word accuracy before a label; each
    figure has the two ends of its interval beside it.
    """
    owners: dict[str, list[str]] = {}
    said = [(label_metric(*each), "{} {}".format(*each)) for each in label_values(classes)]
    said += [(recall_metric(name), f"class {name}") for name in classes]
    for metric, owner in [*((name, name) for name in sorted(FIXED)), *said]:
        shown = metric.removeprefix("accuracy_") if metric not in FIXED else metric
        for end in ("", "_low", "_high"):
            owners.setdefault(safe(f"cv/{shown}{end}"), []).append(owner)
    for label in dict.fromkeys(label for label, _ in label_values(classes)):
        owners.setdefault(safe(f"p/{label}"), []).append(f"label {label}")  # its permutation test
    told = dict.fromkeys(tuple(dict.fromkeys(shared)) for shared in owners.values())
    for shared in (each for each in told if len(each) > 1):
        yield f"{' and '.join(shared)}, which have one name as metrics"
