"""A command and the operating system."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lmtcnn.core import process


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_freed_memory_stays_with_the_process() -> None:
    """An array of 64 MB, given back: the next one finds its pages in place."""
    code = """import resource, numpy as np
from lmtcnn.core import process
{0}
np.ones(2**23)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5): np.ones(2**23)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)"""

    def faults(call: str) -> int:
        done = subprocess.run([sys.executable, "-c", code.format(call)], capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert faults("process.keep_memory()") * 4 < faults("")


def test_a_signal_to_end_is_an_exception() -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        process.end_in_order()
        with pytest.raises(SystemExit) as end:
            signal.raise_signal(signal.SIGTERM)
        assert end.value.code == 143
    finally:
        signal.signal(signal.SIGTERM, before)


def ended(code: str, number: int = signal.SIGTERM) -> tuple[int, str]:
    """Exit code and stderr of a program that gets a signal at the place marked by `HERE`."""
    told = code.replace("HERE", f"signal.raise_signal({int(number)})")
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stderr


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers of signals here")
@pytest.mark.parametrize(
    "swallowing",
    [
        "class Swallows:\n    def __del__(self):\n        HERE\nSwallows()",
        "import weakref\nclass Seen: pass\nseen = Seen()\nref = weakref.ref(seen, lambda _: HERE)\ndel seen",
    ],
)
def test_a_signal_where_exceptions_are_swallowed_ends_the_program_all_the_same(swallowing: str) -> None:
    """Python prints such an exception with its traceback, and goes on: in a finalizer, in a callback of a library."""
    before = "import signal, time\nfrom lmtcnn.core import process\nprocess.end_in_order()\n"
    after = "\ntry:\n    time.sleep(30)\nfinally:\n    print('in order', file=__import__('sys').stderr)"
    assert ended(before + swallowing + after) == (143, "in order\n")


def test_what_else_is_swallowed_is_still_told() -> None:
    code = "from lmtcnn.core import process\nprocess.end_in_order()\nclass A:\n    def __del__(self): 1 / 0\nA()"
    assert "ZeroDivisionError" in ended(code)[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    "late",
    [
        "import atexit\natexit.register(lambda: HERE)",
        "import threading\nthreading._register_atexit(lambda: HERE)",  # as while it waits for threads
    ],
)
def test_a_signal_while_the_interpreter_ends_leaves_no_traceback(late: str, number: int) -> None:
    code = "import signal\nfrom lmtcnn.core import process\nprocess.end_in_order()\n" + late
    assert ended(code + "\nprocess.end_at_once()", number) == (128 + number, "")


@pytest.mark.skipif(sys.platform != "linux", reason="parent-death signals are Linux's")
def test_a_stage_ends_with_the_dvc_that_started_it(tmp_path: Path) -> None:
    """A parent starts a stage and is killed; the stage must be gone soon after."""
    stage = (
        "import os, time\nfrom lmtcnn.core import process\nprocess.die_with_dvc()\n"
        "print(os.getpid(), flush=True)\ntime.sleep(60)"
    )
    parent = f"import subprocess, sys\nchild = subprocess.Popen([sys.executable, '-c', {stage!r}])\nchild.wait()"
    process = subprocess.Popen(
        [sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True, env={**os.environ, "DVC_STAGE": "s"}
    )
    assert process.stdout is not None
    child = int(process.stdout.readline())
    process.kill()
    process.wait()
    for _ in range(100):
        if not _running(child):
            return
        signal.sigtimedwait([], 0.1)
    os.kill(child, signal.SIGKILL)
    pytest.fail("the stage outlived its DVC")


def _running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_cores_are_those_of_the_affinity_and_not_of_the_machine() -> None:
    """As under SLURM: one core of several. Libraries that count cores start one thread."""
    code = """import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
os.cpu_count = lambda: 64
from lmtcnn.core import process
process.keep_to_cores()
print(process.cores(), os.environ["OMP_NUM_THREADS"])"""
    kept = {name: value for name, value in os.environ.items() if name not in ("OMP_NUM_THREADS", "PYTHON_CPU_COUNT")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=kept)
    assert done.stdout.split() == ["1", "1"]


@pytest.mark.parametrize(
    ("limits", "quotas"),
    [
        ({}, []),
        ({"job/step": "max 100000"}, []),
        ({"job/step": "150000 100000", "job": "400000 100000", "": "max 100000"}, [2, 4]),
        ({"job": "1000 100000"}, [1]),
        ({"job": "damaged"}, []),
    ],
)
def test_a_quota_of_the_group_or_of_one_around_it_limits_the_cores(
    tmp_path: Path, limits: dict[str, str], quotas: list[int]
) -> None:
    for name, text in limits.items():
        (tmp_path / "cgroup" / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "cgroup" / name / "cpu.max").write_text(text + "\n")
    (tmp_path / "own").write_text("1:cpu:/old\n0::/job/step\n")
    assert process._quotas(tmp_path / "cgroup", tmp_path / "own") == quotas


def test_no_workers_are_counted_by_the_machine() -> None:
    sources = Path(process.__file__).parent.glob("*.py")
    assert [path.name for path in sources if "os.cpu_count" in path.read_text()] == ["process.py"]
