"""One writer at a time for a folder, also where machines share the file system.

A lock is an empty file that bears the name of its holder (host, process, when that began), in a folder of such files.
Whoever wants the lock puts its own file there, then looks for others; where there is one, it takes its own away. So a
process removes no file but its own and those of processes that are provably gone, and nothing depends on whether the
file system knows of `flock`, or passes it on to other machines.

A process is provably gone if it was of this host and has ended. That one of another host has ended cannot be known from
here: its lock stands until somebody removes it, and the message says which file that is.

Locks of a project's folders lie in `data/.locks`, in the order of the folders: DVC, which removes and counts what lies
in a stage's folder, does not meet them. A folder elsewhere has them in a `.locks` of its own while it is written.
"""

import contextlib
import os
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path

from lmtcnn.core.errors import OutputError, problem, system_words
from lmtcnn.core.files import PART, began, no_empty_folders, owner, unwritable

LOCKS = ".locks"
TRIES = 4
"""Two that come at the same moment see each other and both step back, each for a while of its own."""

_HOLDER = r"(?P<host>[A-Za-z0-9._-]+)-(?P<pid>[0-9]+)-(?P<token>[0-9a-f]{8})"
_WRITTEN = re.compile(rf"\..*@{_HOLDER}\.[^.@]+{re.escape(PART)}")


@contextlib.contextmanager
def locked(folder: Path, project: Path = Path("data")) -> Iterator[None]:
    """Hold the lock of a folder while it is written.

    Folders inside of it have locks of their own: `data/train` and `data/train/folds/cage01` may be held at once. What
    processes left half written in the folder is removed first if they are gone. Of a folder that was not there before,
    and in which nothing was written, nothing stays.

    Parameters
    ----------
    folder : Path
        What is to be written; it need not exist.
    project : Path
        The folder that keeps the locks of all folders in it.

    Raises
    ------
    OutputError
        At once where another process holds the lock, naming it, and where no lock can be put.
    """
    place = _place(folder, project)
    with no_empty_folders(folder, place.parent):
        own = _take(place, folder)
        try:
            _clean(folder, place)
            yield
        finally:
            own.unlink(missing_ok=True)
            _tidy(place)


def _place(folder: Path, project: Path) -> Path:
    """The folder in which the locks of `folder` lie."""
    inside, root = folder.resolve(), project.resolve()
    return root / LOCKS / inside.relative_to(root) if root in inside.parents else inside / LOCKS


def _take(place: Path, folder: Path) -> Path:
    """Put a lock; returns its path once there is no other."""
    own = place / owner()
    others: list[str] = []
    for attempt in range(TRIES):
        if attempt:
            time.sleep(random.uniform(0, 0.1 * attempt))  # noqa: S311 - no secret
        if not _put(own, folder):
            do = "wait for it to end"
            raise OutputError(problem(folder, "nobody else at work here", "this very process at work", do))
        others = [name for name in _holders(place) if name != own.name]
        if not others:
            return own
        own.unlink()
    _tidy(place)
    raise OutputError([_refusal(folder, place / name) for name in others])


def _put(own: Path, folder: Path) -> bool:
    """Make the file of a lock; False where it is there already."""
    for attempt in range(TRIES):
        try:
            own.parent.mkdir(parents=True, exist_ok=True)
            own.touch(exist_ok=False)
        except FileNotFoundError as error:  # another process has tidied the folder away in between
            if attempt == TRIES - 1:
                raise _no_place(folder, error) from error
        except OSError as error:
            if isinstance(error, FileExistsError) and own.is_file():
                return False
            raise _no_place(folder, error) from error
        else:
            break
    return True


def _no_place(folder: Path, error: OSError) -> OutputError:
    found = system_words(error)
    if isinstance(error, FileExistsError | NotADirectoryError):
        found = "a file of that name" if folder.is_file() else "a file in place of a folder"
    return unwritable(folder, found)


def _holders(place: Path) -> list[str]:
    """Names of the locks in a folder; those of processes that are gone are removed."""
    found = []
    for path in sorted(place.iterdir()):
        if (holder := re.fullmatch(_HOLDER, path.name)) and not path.is_dir():
            if _gone(holder):
                path.unlink(missing_ok=True)
            else:
                found.append(path.name)
    return found


def _refusal(folder: Path, lock: Path) -> str:
    host, pid, _ = lock.name.rsplit("-", 2)
    do = "wait for it to end"
    if host != _host():
        do += f", or remove {lock} if it has ended without doing so itself"
    return problem(folder, "nobody else at work here", f"another lmtcnn (process {pid} on {host})", do)


def _clean(folder: Path, place: Path) -> None:
    """Remove what is half written in a folder, and in those inside of it, by processes that are gone.

    Another host's process writes only where it holds a lock: one that holds none here is gone. Files are looked for
    before locks, because a lock is put before a file is begun.
    """
    left = [(path, found) for path in folder.rglob(f".*{PART}") if (found := _WRITTEN.fullmatch(path.name))]
    hosts = {path.name.rsplit("-", 2)[0] for path in place.rglob("*") if re.fullmatch(_HOLDER, path.name)}
    for path, writer in left:
        if _gone(writer) or writer["host"] not in {_host(), *hosts}:
            path.unlink(missing_ok=True)


def _tidy(place: Path) -> None:
    """Remove the folders of locks that are empty."""
    for folder in (place, *place.parents):
        if LOCKS not in folder.parts:
            break
        with contextlib.suppress(OSError):  # not empty: somebody else's
            folder.rmdir()


def _gone(process: re.Match[str]) -> bool:
    """Whether a process was of this host and has ended."""
    if process["host"] != _host():
        return False
    try:
        os.kill(int(process["pid"]), 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        pass  # somebody else's, at work
    return began(int(process["pid"])) not in (None, process["token"])


def _host() -> str:
    return owner().rsplit("-", 2)[0]
