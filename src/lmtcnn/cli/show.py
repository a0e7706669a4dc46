"""Results on the terminal: tables on stdout, as wide as the terminal, and lines for people on stderr."""

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lmtcnn import SIMULATED
from lmtcnn.core.words import number_of

if TYPE_CHECKING:
    from lmtcnn.cohort.check import Checked
    from lmtcnn.core.params import Params

LONG_NAME = 9
"""Characters for which a narrow table makes room in the column of sets, rather than break a class's name."""


def say(line: str) -> None:
    """Print a line on stderr, where everything goes that is no result."""
    print(line, file=sys.stderr)


def show_check(found: "Checked", params: "Params") -> None:
    """Show the hours at which recordings start, what is odd and excluded, and the verdict on a manifest in a line."""
    from collections import Counter

    from rich.table import Table

    for line in found.odd:
        say(f"warning: {line}")
    print("samples by clock hour of the start:")
    table = Table(*found.start_hours.columns)
    for row in found.start_hours.iter_rows():
        table.add_row(*(str(value) for value in row))
    console_of().print(table)
    cohort = found.cohort
    counts = Counter(sample.class_name for sample in cohort.samples)
    classes = ", ".join(f"{counts[name]} {name}" for name in params.classes if counts[name])
    parts = [
        number_of(len(cohort.recordings), "recording"),
        f"{number_of(len(cohort.samples), 'sample')} ({classes})",
        number_of(len(cohort.cages), "cage"),
    ]
    if cohort.excluded:
        say(f"excluded by the manifest: {'; '.join(each.words for each in cohort.excluded)}")
        parts.append(f"{number_of(len(cohort.excluded), 'row')} excluded")
    verdict = "usable, with the warnings above" if found.odd else "fine"
    if found.unlearnable:
        verdict = f"not usable for {' and '.join(found.unlearnable)}, see the warnings above"
    print(f"{', '.join(parts)}: {verdict}")


def show_predictions(predictions: list[Any], classes: tuple[str, ...], caption: str) -> None:
    """Show the class of every animal, a table for each recording where one would not fit, and the warnings below."""
    from itertools import groupby

    console = console_of()
    table = _prediction_table(predictions, classes)
    if _fits(table, console):
        console.print(table)
    else:
        for name, group in groupby(predictions, lambda p: p.recording):
            console.print(name)
            console.print(_prediction_table(list(group), classes, narrow=True))
    console.print(caption)
    told: dict[str, list[str]] = {}
    for p in predictions:
        for line in p.warnings:
            told.setdefault(line, []).append(f"{p.recording}/{p.animal_id}")
    for line, whom in told.items():
        who = "all animals" if len(whom) == len(predictions) else ", ".join(whom)
        say(f"warning: {who}: {line}")


def _fits(table: Any, console: Any) -> bool:
    """Tell whether a console shows a table with each cell in one line."""
    return bool(console.measure(table, options=console.options.update(width=sys.maxsize)).maximum <= console.width)


def _prediction_table(predictions: list[Any], classes: tuple[str, ...], *, narrow: bool = False) -> Any:
    """A row for each animal; `narrow`: without the recording, and without p, the highest of the classes'."""
    from rich.table import Table

    table = Table()
    if not narrow:
        table.add_column("recording")
    for name in ("animal", "RFID", "class"):
        table.add_column(name, no_wrap=True)  # who is who is never cut
    longest = max(map(len, classes))
    digits = len("0.00") if narrow and longest > len("AM") else None  # headings are folded then
    for name in ([] if narrow else ["p"]) + [f"p({name})" for name in classes]:
        table.add_column(name, overflow="fold", max_width=digits)
    table.add_column("90 % set", overflow="fold", min_width=min(longest, LONG_NAME))
    for p in predictions:
        who = [*([] if narrow else [p.recording]), str(p.animal_id), p.rfid or "", p.predicted]
        highest = [] if narrow else [f"{p.probability:.2f}"]
        table.add_row(*who, *highest, *(f"{p.probabilities[name]:.2f}" for name in classes), " ".join(p.set))
    return table


def show_registry(versions: list[dict[str, Any]], history: list[dict[str, Any]]) -> None:
    """Show every version of the model, and the history of champions below."""
    from rich.table import Table

    head = ("version", "alias", "registered (UTC)", "run", "balanced", "accuracy", "mice", "why")
    rows = []
    for each in versions:
        figures = [each["balanced_accuracy"], each["ensemble_accuracy"]]
        numbers = ["" if value is None else f"{value:.4f}" for value in figures]
        mice = {True: "simulated", False: "real", None: ""}[each["simulated"]]
        words = [each["version"], ", ".join(each["aliases"]), _day(each["date"]), each["run"] or "", *numbers]
        rows.append([*words, mice, each["decision"] or ""])
    console = console_of()
    whole = Table(*head)
    for row in rows:
        whole.add_row(*row)
    if _fits(whole, console):
        console.print(whole)
    else:
        part = Table()
        for name in head[:-2]:
            part.add_column(name, no_wrap=name != "run", overflow="fold")
        for row in rows:
            part.add_row(*row[:-2])
        console.print(part)
        for version, *_, mice, why in rows:
            console.print(f"version {version}: {'; '.join(filter(None, [f'{mice} mice' if mice else '', why]))}")
    if history:
        print("champions, the last one below:")
    for event in history:
        after = f" after {event['before']}" if event["before"] else ""
        who = f"{event['who']} on {event['host']}, by {event['by']}"
        print(f"  {_day(event['when'])}  version {event['version']}{after}, {who}: {event['why']}")


def _day(when: str) -> str:
    """A date in UTC to the minute."""
    return when[:16].replace("T", " ")


def show_score(score: Any, classes: tuple[str, ...], *, to_stderr: bool) -> None:
    """Show how a labelled cohort was told: the confusion matrix, and the accuracy in a line."""
    from rich.table import Table

    table = Table("true \\ predicted", *classes, "recall")
    for name, row in zip(classes, score.confusion, strict=True):
        recall = score.metrics.get(f"recall_{name}")
        table.add_row(name, *(str(n) for n in row), "" if recall is None else f"{recall:.2f}")
    console_of(to_stderr).print(table)
    line = f"accuracy {score.metrics['ensemble_accuracy']:.3f} on {number_of(score.table.height, 'sample')}"
    print(f"{line}; {SIMULATED}" if score.simulated else line, file=sys.stderr if to_stderr else sys.stdout)


def show_metrics(metrics: dict[str, Any], params: "Params") -> None:
    """Show the figures of merit of held-out cages, with intervals and p, beside the paper's where there are any."""
    from rich.table import Table

    from lmtcnn.evaluate.metrics import compare

    if metrics["simulated"]:
        print(SIMULATED)  # as the table's title it would be broken: the table is narrower
    rows = compare(metrics, params.classes)
    lines = [
        [row.metric, _number(row.ours), _ends(metrics, row.metric), _p_of(metrics, row.metric), _number(row.paper)]
        for row in rows
    ]
    head = ["held-out cages", "here", "95 % interval", "p", "paper"]
    shown = [place for place in range(len(head)) if place < 2 or any(line[place] for line in lines)]
    table = Table(*(head[place] for place in shown))
    for line in lines:
        table.add_row(*(line[place] for place in shown))
    console_of().print(table)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _ends(metrics: Mapping[str, Any], name: str) -> str:
    """The interval of a figure of merit: `0.651 to 0.809`; nothing where there is none."""
    low, high = metrics.get(f"{name}_low"), metrics.get(f"{name}_high")
    return "" if low is None or high is None else f"{low:.3f} to {high:.3f}"


def _p_of(metrics: Mapping[str, Any], name: str) -> str:
    """P of a method's accuracy by the permutation test of all label columns together, or of the only one."""
    if not name.endswith("accuracy"):
        return ""
    start = f"p_{name.removesuffix('_accuracy') if name != 'accuracy' else 'network'}_"
    found = [value for key, value in metrics.items() if key.startswith(start)]
    return f"{found[-1]:.4f}" if found else ""


def console_of(to_stderr: bool = False, plain_width: int = 160) -> Any:
    """A console as wide as the terminal, or as COLUMNS says, or of `plain_width` where there is neither."""
    from rich.console import Console

    stream = sys.stderr if to_stderr else sys.stdout
    known = stream.isatty() or os.environ.get("COLUMNS", "").isdecimal()
    # What stands in files is shown as it is: a name such as `a[b]` is no markup, `:mouse:` no emoji.
    return Console(file=stream, width=None if known else plain_width, markup=False, emoji=False, highlight=False)
