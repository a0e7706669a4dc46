"""Bars of progress on stderr, silent where that is no terminal."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def progress_of(label: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr, silent where that is no terminal."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.progress import MofNCompleteColumn

    with _bar(MofNCompleteColumn()) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextlib.contextmanager
def reading(label: str) -> Iterator[Callable[[int, int], None] | None]:
    """Show a bar of detections: how many, and how many a second. None where stderr is no terminal: none are counted."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.progress import TextColumn

    with _bar(TextColumn("{task.fields[read]}")) as bar:
        task = bar.add_task(label, total=None, read="")
        begin_s = time.monotonic()

        def show(done: int, total: int) -> None:
            rate = done / max(time.monotonic() - begin_s, 1e-3)
            read = f"{done / 1e6:.1f} of {total / 1e6:.1f} million detections, {rate / 1e6:.1f} million/s"
            bar.update(task, completed=done, total=total, read=read)

        yield show


def _bar(counted: Any) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), counted, TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)
