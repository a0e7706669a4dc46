"""One writer at a time for a folder, on one machine and on several."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from conftest import told
from lmtcnn.core import locks
from lmtcnn.core.errors import OutputError
from lmtcnn.core.files import owner
from lmtcnn.core.locks import locked

HOLD = """import socket, sys
from pathlib import Path
from lmtcnn.core.files import _temporary
from lmtcnn.core.locks import locked
host, folder, project = sys.argv[1:]
if host: socket.gethostname = lambda: host
with locked(Path(folder), Path(project)):
    _temporary(Path(folder) / "sub" / "half.parquet")
    print(flush=True)
    input()"""


@contextlib.contextmanager
def holder(folder: Path, project: Path, host: str = "") -> Iterator[subprocess.Popen[str]]:
    """Another process that holds a folder's lock and has a file half written in it; of another host, if it is named."""
    command = [sys.executable, "-c", HOLD, host, str(folder), str(project)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        yield process
        if process.poll() is None:
            process.communicate("\n")


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def enter(folder: Path, project: Path) -> None:
    with locked(folder, project):
        pass


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_folder_locked_by_another_process_is_told_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "train"
    with holder(folder, tmp_path) as other:
        assert told(OutputError, enter, folder, tmp_path) == (
            f"{folder}: expected nobody else at work here, found another lmtcnn (process {other.pid} on "
            f"{socket.gethostname()}); wait for it to end",
        )
        assert len(files(folder)) == 1, "what the other writes is left alone"
    enter(folder, tmp_path)


def test_locks_lie_in_the_project_and_not_in_the_folder_and_go_with_their_holder(tmp_path: Path) -> None:
    with locked(tmp_path / "train", tmp_path):
        assert files(tmp_path) == [f".locks/train/{owner()}"]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_outside_of_the_project_keeps_its_lock_itself(tmp_path: Path) -> None:
    with locked(tmp_path / "out", tmp_path / "data"):
        assert files(tmp_path) == [f"out/.locks/{owner()}"]
    assert files(tmp_path) == []


def test_a_folder_inside_of_another_has_a_lock_of_its_own(tmp_path: Path) -> None:
    """Two folds and the full training at once; each lets the others' files be."""
    whole, folds = tmp_path / "train", [tmp_path / "train" / "folds" / name for name in ("c1", "c2")]
    with (
        holder(folds[0], tmp_path),
        holder(folds[1], tmp_path, host="node2"),
        locked(whole, tmp_path),
        locked(whole / "folds" / "c3", tmp_path),
    ):
        assert len(files(whole)) == 2


def test_another_machine_at_work_is_told_with_the_file_that_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "train"
    with holder(folder, tmp_path, host="node2") as other:
        (line,) = told(OutputError, enter, folder, tmp_path)
        lock = next((tmp_path / ".locks" / "train").iterdir())
        assert line == (
            f"{folder}: expected nobody else at work here, found another lmtcnn (process {other.pid} on node2); "
            f"wait for it to end, or remove {lock} if it has ended without doing so itself"
        )
        assert len(files(folder)) == 1


def test_what_a_killed_process_left_is_removed_before_the_next_begins(tmp_path: Path) -> None:
    folder = tmp_path / "train"
    with holder(folder, tmp_path) as other:
        kill(other)
    (folder / "mine.part").write_bytes(b"mine")
    (folder / ".another.program.part").write_bytes(b"its")
    assert len(files(tmp_path)) == 4
    with locked(folder, tmp_path):
        assert files(tmp_path) == [f".locks/train/{owner()}", "train/.another.program.part", "train/mine.part"]


def test_what_another_machine_left_is_removed_once_its_lock_is(tmp_path: Path) -> None:
    folder = tmp_path / "train"
    with holder(folder, tmp_path, host="node2") as other:
        kill(other)
    told(OutputError, enter, folder, tmp_path)
    assert len(files(folder)) == 1
    next((tmp_path / ".locks" / "train").iterdir()).unlink()
    enter(folder, tmp_path)
    assert files(tmp_path) == []


def test_the_full_training_spares_what_a_fold_on_another_machine_writes(tmp_path: Path) -> None:
    """And removes what a killed one on this machine left."""
    with holder(tmp_path / "train" / "folds" / "c1", tmp_path) as gone:
        kill(gone)
    with holder(tmp_path / "train" / "folds" / "c2", tmp_path, host="node2"), locked(tmp_path / "train", tmp_path):
        assert [name.split("/")[2] for name in files(tmp_path / "train") if name.endswith(".part")] == ["sub"]
        assert files(tmp_path / "train")[0].startswith("folds/c2/")


def test_a_process_id_that_has_come_round_again_holds_nothing(tmp_path: Path) -> None:
    host = owner().rsplit("-", 2)[0]
    place = tmp_path / ".locks" / "train"
    place.mkdir(parents=True)
    (place / f"{host}-{os.getppid()}-00000001").touch()
    enter(tmp_path / "train", tmp_path)
    assert files(tmp_path) == []


def test_a_process_does_not_take_its_own_lock_twice(tmp_path: Path) -> None:
    with locked(tmp_path / "a", tmp_path):
        assert "found this very process at work" in told(OutputError, enter, tmp_path / "a", tmp_path)[0]
        assert files(tmp_path) == [f".locks/a/{owner()}"]


def test_of_many_that_come_at_once_never_two_are_inside(tmp_path: Path) -> None:
    """Each makes a file that must not exist, where it is let in."""
    program = f"""import random, time
from pathlib import Path
from lmtcnn.core.errors import OutputError
from lmtcnn.core.locks import locked
inside, project = Path({str(tmp_path / "inside")!r}), Path({str(tmp_path / "data")!r})
time.sleep(max(0, {{at}} - time.time()))
entered = 0
for _ in range(40):
    try:
        with locked(project / "train", project):
            inside.touch(exist_ok=False)
            inside.unlink()
            entered += 1
    except OutputError:
        pass
print(entered)"""
    code = program.format(at=time.time() + 1)
    at_once = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    entered = [int(process.communicate()[0]) for process in at_once]
    assert [process.returncode for process in at_once] == [0, 0, 0]
    assert sum(entered) > 0


def test_a_place_that_cannot_hold_a_lock_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert told(OutputError, enter, tmp_path / "file", tmp_path / "data") == (
        f"{tmp_path / 'file'}: expected a place that can be written, found a file of that name; "
        "choose another or change its permissions",
    )


def test_where_the_host_s_name_is_odd_it_is_still_one_name(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "Büro-PC 3@home.example")
    with locked(tmp_path / "a", tmp_path):
        (name,) = (path.name for path in (tmp_path / ".locks" / "a").iterdir())
        assert locks._holders(tmp_path / ".locks" / "a") == [name]
