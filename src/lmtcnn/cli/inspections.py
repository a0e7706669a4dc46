"""Inspections on the terminal: tables as wide as the terminal, below each other where they do not fit side by side."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from lmtcnn import SIMULATED
from lmtcnn.cli.show import console_of
from lmtcnn.core.words import number_of

if TYPE_CHECKING:
    from lmtcnn.inspect.inspect import AnimalFindings, Hour, Inspection


def show_inspections(inspections: "Sequence[Inspection]", *, hours: bool) -> None:
    """Show inspections; several begin with a line each, and fit 80 columns where stdout is no terminal."""
    several = len(inspections) > 1
    console = console_of(plain_width=80 if several else 160)
    if several:
        for line in _summary_lines(inspections):
            print(line)
    told: set[str] = set()
    for inspection in inspections:
        _show_inspection(inspection, console, told, hours=hours)


def _summary_lines(inspections: "Sequence[Inspection]") -> Iterator[str]:
    """Recording, start, length, animals and verdict, in 80 columns: long names lose their middle."""
    from lmtcnn.timeline.clock import length

    rows = [
        (_start(found, "minutes"), length(found.duration_s), number_of(len(found.animals), "animal"), found.verdict)
        for found in inspections
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    room = max(12, 80 - sum(widths) - 2 * len(widths))
    names = [_shortened(found.recording, room) for found in inspections]
    widths = [max(map(len, names)), *widths]
    for cells in zip(names, *zip(*rows, strict=True), strict=True):
        yield "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _shortened(name: str, room: int) -> str:
    """A name in so many columns: its beginning and its end."""
    head = (room - 1) // 2
    return name if len(name) <= room else f"{name[:head]}…{name[head + 1 - room :]}"


def _start(found: "Inspection", precision: str) -> str:
    """When a recording begins, on the wall clock and with its offset from UTC."""
    from datetime import datetime
    from zoneinfo import ZoneInfo

    begin = datetime.fromisoformat(found.start).astimezone(ZoneInfo(found.timezone))
    return begin.isoformat(timespec=precision)


WIDE = 120
"""Columns from which the tables of `inspect` show everything side by side."""


def _show_inspection(found: "Inspection", console: Any, told: set[str], *, hours: bool) -> None:
    """The tables of a recording; below narrow ones the checks' definitions, but for those that were `told` before."""
    from rich.table import Table

    narrow = console.width < WIDE
    table = Table(found.recording, found.verdict, title=SIMULATED if found.simulated else None)
    ghosts = [("never detected", f"{', '.join(found.never_detected)}: in ANIMAL only, no animals")]
    for name, text in (*_recording_lines(found), *_animal_lines(found.animals), *ghosts * bool(found.never_detected)):
        table.add_row(name, text)
    console.print(table)
    for each in _animal_tables(found.animals, narrow=narrow):
        console.print(each)
    for each in _hour_tables(found, narrow=narrow) if hours else []:
        console.print(each)
    console.print(_check_table(found, narrow=narrow))
    if narrow:
        lines = [f"{name}: {words}" for name, words in {c.name: c.definition for c in found.checks}.items()]
        for line in lines:
            if line not in told:
                console.print(line)
        told.update(lines)


def _recording_lines(found: "Inspection") -> Iterator[tuple[str, str]]:
    from lmtcnn.timeline.clock import length

    yield "file", "\n".join([*found.files, f"{found.bytes / 1e6:.1f} MB"])
    yield "time", f"{length(found.duration_s)} from {_start(found, 'milliseconds')}, {length(found.paused_s)} paused"
    rate = "no" if found.fps is None else f"{found.fps:.2f}"
    missing = f"{found.n_missing_frames} missing ({found.missing_share:.2%})"
    yield (
        "frames",
        f"{found.n_frames}, {missing}, {number_of(found.n_segments, 'segment')}, {rate} frames/s by TIMESTAMP",
    )
    if found.clock_steps:
        yield "clock", ", ".join(f"{step.by_ms:+} ms at frame {step.frame}" for step in found.clock_steps)
    others = [name for name in found.indexes if name != found.covering_index]
    covering = f"{found.covering_index} (covering)" if found.covering_index else "no covering one: a slower read"
    yield "indexes", ", ".join([covering, *others])
    tools = [f"{tool.process} {tool.version}, {number_of(tool.runs, 'time')}, last {tool.last}" for tool in found.tools]
    yield "tools", "\n".join([*tools, *["identities corrected"] * found.identity_corrected]) or "none logged"
    yield "flicker", "\n".join(_flicker_lines(found.animals)) or "none"
    yield (
        "sensors",
        "\n".join(
            f"{name}: {f'{r.lowest:g} to {r.highest:g}, mean {r.mean:.4g}' if r else 'not fitted'}"
            for name, r in found.sensors.items()
        ),
    )


def _flicker_lines(animals: "Sequence[AnimalFindings]") -> Iterator[str]:
    """Yield how often an animal's centre hops to and fro, and its stops if that were bridged, or not."""
    from lmtcnn.timeline.clock import length

    for a in (animal for animal in animals if animal.n_flicker):
        bridged = [
            f"{f'bridged up to {level} frames' if int(level) else 'not bridged'}: {number_of(n, 'stop')}, "
            f"{length(a.stopped_s_flicker[level])}"
            for level, n in a.n_stops_flicker.items()
        ]
        frames = f"{number_of(a.n_flicker, 'frame')} ({a.n_flicker / a.n_detected:.1%})"
        yield f"animal {a.animal_id}: {frames}; {'; '.join(bridged)}"


def _animal_lines(animals: "Sequence[AnimalFindings]") -> Iterator[tuple[str, str]]:
    from lmtcnn.cohort.rfids import has_chip, no_chip

    for animal in animals:
        told = [f"{name} {value}" for name, value in animal.columns.items() if value not in (None, "")]
        chip = f"RFID {animal.rfid}" if has_chip(animal.rfid) else no_chip(animal.rfid)
        yield f"animal {animal.animal_id}", ", ".join([chip, *told])


def _animal_tables(animals: "Sequence[AnimalFindings]", *, narrow: bool) -> Iterator[Any]:
    """A row for each animal; `narrow`: a column for each, four at most side by side."""
    from rich.table import Table

    from lmtcnn.timeline.clock import length

    halves = [f"with half window {half}" for half in animals[0].n_stops_half_window]
    odd = ("double same / other", "at 0 / invalid / untimed")
    rows = [["animal", "detections", "known", "stops", *halves, "stopped", "filled", "jumps", *odd]]
    for a in animals:
        known = [str(a.animal_id), str(a.n_rows), f"{a.detected_share:.1%}"]
        counts = [str(n) for n in (a.n_stops, *a.n_stops_half_window.values())]
        others = [f"{a.n_identical} / {a.n_conflicting}", f"{a.n_at_zero} / {a.n_invalid} / {a.n_untimed}"]
        rows.append([*known, *counts, length(a.stopped_s), str(a.n_filled), str(a.n_jumps), *others])
    parts = [rows]
    if narrow:
        chunks = [rows[1:][i : i + 4] for i in range(0, len(animals), 4)]
        parts = [[list(column) for column in zip(rows[0], *chunk, strict=True)] for chunk in chunks]
    for head, *body in parts:
        table = Table(*head)
        for row in body:
            table.add_row(*row)
        yield table


def _hour_tables(found: "Inspection", *, narrow: bool) -> Iterator[Any]:
    """A row for each interval; of each animal: share of frames in which it is known, stops, seconds stopped.

    Where the animal flickers, the share of those frames follows. `narrow`: two animals a table, below the recording's.
    """
    from rich.table import Table

    from lmtcnn.timeline.clock import length

    names = [f"{a.animal_id}: known, stops, stopped" for a in found.animals]
    begin = f"from (x {length(found.interval_s)})"
    cells: dict[int, dict[int, str]] = {}
    for animal in found.animals:
        for each in animal.intervals:
            known = "" if each.detected_share is None else f"{each.detected_share:.0%}"
            words = f"{known}, {each.n_stops}, {each.stopped_s:.0f} s"
            flicker = f", {each.n_flicker / each.detected:.1%} flicker" if each.n_flicker else ""
            cells.setdefault(each.interval, {})[animal.animal_id] = words + flicker
    hours = {hour.interval: _hour_cells(hour) for hour in found.hours}
    rows = []
    for interval, row in sorted(cells.items()):  # a stop may begin on a step of the clock, in an hour without a frame
        own = [row.get(a.animal_id, "") for a in found.animals]
        rows.append((str(interval), *hours.get(interval, ("", "", "")), *own))
    head = (begin, "clock", "frames missing", "anonymous", *names)
    every = [*range(len(head))]
    pairs = [[0, *every[i : i + 2]] for i in every[4::2]]
    for columns in [every[:4], *pairs] if narrow else [every]:
        table = Table(*(head[i] for i in columns))
        for values in rows:
            table.add_row(*(values[i] for i in columns))
        yield table


def _hour_cells(hour: "Hour") -> tuple[str, str, str]:
    anonymous = "" if hour.anonymous_share is None else f"{hour.anonymous_share:.1%}"
    return f"{hour.clock}{' night' if hour.night else ''}", f"{hour.n_missing} of {hour.n_unpaused}", anonymous


def _check_table(found: "Inspection", *, narrow: bool) -> Any:
    """A row for each check; `narrow`: without the definitions."""
    from rich.table import Table

    table = Table("check", "animal", "counted", "of", "value", "verdict", *([] if narrow else ["definition"]))
    told: set[str] = set()
    for c in found.checks:
        numbers = [f"{n:.12g}" for n in (c.numerator, c.denominator)]
        value = "" if c.value is None else f"{c.value:.2%}" if c.unit == "share" else f"{c.value:.6g} {c.unit}"
        words = [] if narrow else [c.definition if c.definition not in told else "as above"]
        told.add(c.definition)
        table.add_row(c.name, "" if c.animal_id is None else str(c.animal_id), *numbers, value, c.verdict, *words)
    return table
