"""What a command asks of the operating system for its own process."""

import ctypes
import os
import signal
import sys


def keep_memory(below: int = 2**30) -> None:
    """Keep the freed memory of arrays of fewer bytes than `below` in the process (glibc).

    A step of training and a pass over a recording allocate the same arrays again and again; without this each of them
    is mapped and cleared anew by the system, a fifth to a third of the time. What is larger goes back at once.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        trim_threshold, mmap_threshold = -1, -3
        mallopt(mmap_threshold, below)
        mallopt(trim_threshold, 2**31 - 1)


def die_with_dvc() -> None:
    """End with the DVC process that started this stage (Linux), else the next repro would meet a second writer."""
    if os.environ.get("DVC_STAGE") and sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def end_in_order() -> None:
    """Make SIGTERM an exception, so that temporary files are removed and runs are closed."""
    signal.signal(signal.SIGTERM, _terminate)


def _terminate(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def cores() -> int:
    """The number of processor cores that this process may use, which on a shared node is fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
