"""Requests of a command to the operating system for its own process."""

import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import Any

AGAIN_S = 0.05
"""After so many seconds a swallowed end is raised again."""


def keep_memory(below: int = 2**30) -> None:
    """Keep the freed memory of arrays of fewer bytes than `below` in the process (glibc).

    A step of training and a pass over a recording allocate the same arrays again and again; without this each of them
    is mapped and cleared anew by the system, a fifth to a third of the time. What is larger goes back at once.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        trim_threshold, mmap_threshold = -1, -3
        mallopt(mmap_threshold, below)
        mallopt(trim_threshold, 2**31 - 1)


def cores() -> int:
    """How many cores this process may use, one or more.

    Those of its affinity, which batch systems and `taskset` set, not those of the machine; and no more than the quota
    of its group of processes (cgroup v2), by which containers are limited.
    """
    count = getattr(os, "process_cpu_count", None)  # from Python 3.13 on
    own = count() if count else len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min([own or 1, *_quotas()]))


def keep_to_cores() -> None:
    """Let libraries that count the machine's cores (OpenMP: PyTorch, BLAS) start no more threads than `cores`.

    OMP_NUM_THREADS wins where it is set. It is read when such a library is loaded, so this comes first.
    """
    if (own := cores()) < (os.cpu_count() or 1):
        os.environ.setdefault("OMP_NUM_THREADS", str(own))


def _quotas(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> list[int]:
    """Cores that the quotas of this process's group and of those around it allow, rounded up; none is no limit."""
    try:
        group = next(line[3:] for line in own.read_text(encoding="utf-8").splitlines() if line.startswith("0::"))
    except (OSError, StopIteration):
        return []
    found = []
    place = root / group.strip("/")
    for folder in (place, *place.parents):
        try:
            quota_us, period_us = (folder / "cpu.max").read_text(encoding="ascii").split()
        except (OSError, ValueError):
            quota_us = period_us = "max"
        if quota_us.isdecimal() and int(period_us) > 0:
            found.append(-(-int(quota_us) // int(period_us)))
        if folder == root:
            break
    return found


def die_with_dvc() -> None:
    """End with the DVC process that started this stage (Linux), else the next repro would meet a second writer."""
    if os.environ.get("DVC_STAGE"):
        die_with_parent()


def die_with_parent() -> None:
    """End with the process that started this one (Linux)."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def end_in_order() -> None:
    """Make SIGTERM an exception, so that temporary files are removed and runs are closed.

    Python swallows an exception in a finalizer or in a callback of a library, with a traceback on stderr. There, this
    one is raised again a moment later, where the program itself is at work.
    """
    signal.signal(signal.SIGTERM, _terminate)
    sys.unraisablehook = _unraisable


def end_at_once() -> None:
    """From now on let a signal end the process without an exception: the work is done, nobody would catch it."""
    signal.signal(signal.SIGTERM, _exit)
    signal.signal(signal.SIGINT, _exit)


class Told(SystemExit):
    """The end that the signal `number` asked for; its code is the shell's for it, 143 for SIGTERM."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(128 + number)


def told_to_end(error: BaseException | None) -> Told | None:
    """Find the end that a signal asked for in an error that a library made of it; None where there is none."""
    while error:
        if isinstance(error, Told):
            return error
        error = error.__cause__ or error.__context__
    return None


def _terminate(number: int, _frame: object) -> None:
    raise Told(number)


def _exit(number: int, _frame: object) -> None:
    os._exit(128 + number)


def _unraisable(swallowed: Any) -> None:
    """Say what was swallowed, as Python does; but of an end that was asked for, see to it that it comes."""
    end = swallowed.exc_value
    if not isinstance(end, Told):
        sys.__unraisablehook__(swallowed)
    elif hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, lambda *_: _terminate(end.number, None))
        signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
    else:
        _exit(end.number, None)
