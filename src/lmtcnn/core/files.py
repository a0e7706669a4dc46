"""Writes that are whole or not at all, and the checks on a place before long work is spent on it."""

import contextlib
import errno
import functools
import hashlib
import json
import os
import re
import secrets
import shutil
import socket
import stat
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from lmtcnn.core.errors import DataError, LmtcnnError, OutputError, problem, system_words

PART = ".part"
"""How names of files end that are being written; before it stands who writes them, see `owner`."""

OF_THE_DISK = frozenset(
    (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG, errno.ENXIO, errno.ENODEV, errno.ESTALE)
)
"""Numbers of errors that a write meets because of the place it writes to, whatever is written."""

MEGABYTE = 10**6


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it replaces `path`, on failure it is removed.

    The temporary file lies in the same folder, so that the replacement is one rename. Raises OutputError where the
    place cannot be written or is full, in the words of whichever library was writing; any other error of the body, such
    as a source that is missing, is passed on as it is.
    """
    temporary = _temporary(path)
    mode = stat.S_IMODE(temporary.stat().st_mode)
    try:
        yield temporary
        if stat.S_IMODE(temporary.stat().st_mode) != mode:  # safetensors puts another in its place, for its owner alone
            temporary.chmod(mode)
        temporary.replace(path)
    except BaseException as error:
        if reason := _output_reason(error, temporary, path):
            raise unwritable(path, reason) from error
        raise
    finally:
        with contextlib.suppress(OSError):  # a disk that fails may not even give up the name
            temporary.unlink(missing_ok=True)


def ensure_folder(folder: Path) -> Path:
    """Make `folder` and check that it can be written; raises OutputError before any work is done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, system_words(error)) from error
    _temporary(folder / "x").unlink()
    return folder


@contextlib.contextmanager
def no_empty_folders(*folders: Path) -> Iterator[None]:
    """Remove those of the folders, and of the folders around them, that were made in the meantime and hold nothing."""
    lacking = {place for folder in folders for place in (folder, *folder.parents) if not place.exists()}
    try:
        yield
    finally:
        for place in sorted(lacking, key=lambda place: -len(place.parts)):
            with contextlib.suppress(OSError):  # never made, or not empty
                place.rmdir()


def ensure_space(folder: Path, size: int) -> None:
    """Raise OutputError where a file of `size` bytes does not fit into `folder`, before long work is spent on it.

    The file is really allocated for a moment, as a quota shows in no count of free blocks.
    """
    probe = _temporary(folder / "space")
    try:
        with probe.open("r+b") as stream:
            allocate(stream, size, folder)
    finally:
        probe.unlink(missing_ok=True)


def allocate(stream: BinaryIO, size: int, where: Path) -> None:
    """Give an open file blocks for `size` bytes at once, so that no later write to it finds the disk full.

    Raises OutputError that names `where`, the bytes needed and those that are free. A file system that cannot allocate
    is believed to have room.
    """
    if not size or not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(stream.fileno(), 0, size)
    except OSError as error:
        if error.errno not in OF_THE_DISK:
            return
        free = shutil.disk_usage(where).free
        reason = f"{free / MEGABYTE:.1f} MB" + (", or a quota that is used up" if free >= size else "")
        do = "make room there, or work in another place"
        raise OutputError(problem(where, f"{size / MEGABYTE:.1f} MB free", reason, do)) from error


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write `content` atomically."""
    with atomic(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically; NaN is refused, as other readers refuse it."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path, expected: str, stage: str, keys: Sequence[str] = ()) -> dict[str, Any]:
    """Read a JSON object that a stage wrote.

    Raises DataError, which says what was `expected` and to run the `stage`, where it is missing or damaged, or lacks
    one of `keys`.
    """
    again = f"run `lmtcnn {stage}` again"
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(problem(path, expected, "no file", f"run `lmtcnn {stage}` first")) from None
    except (OSError, ValueError) as error:
        raise DataError(problem(path, expected, system_words(error), again)) from error
    if not isinstance(value, dict):
        raise DataError(problem(path, expected, f"a JSON {type(value).__name__}", again))
    if lacking := [key for key in keys if key not in value]:
        raise DataError(problem(path, expected, f"no {', '.join(lacking)} in it", again))
    return value


def digest(path: Path, algorithm: str = "sha256") -> str:
    """Hexadecimal digest of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def digest_of(path: Path) -> str:
    """Return the sha256 of a file; a large one that did not change is read once in a process."""
    status = path.stat()
    if status.st_size < 2**23:
        return digest(path)
    return _digest_of_large(path.resolve(), status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


@functools.lru_cache(maxsize=64)
def _digest_of_large(path: Path, *_state: int) -> str:
    return digest(path)


def owner() -> str:
    """Who this process is, for names of files: host, process id, and a token of when it began, `-` between.

    A process id comes round again and is the same on other machines; with host and beginning it is one process.
    """
    host = re.sub(r"[^A-Za-z0-9.-]", "_", socket.gethostname())[:60]
    return f"{host}-{os.getpid()}-{began(os.getpid()) or '0' * 8}"


def began(pid: int) -> str | None:
    """A token of when a process of this machine began (Linux); None where that cannot be known.

    Made of the boot's identity and the start in clock ticks, field 22 of /proc/PID/stat. A process that was killed
    and that its parent has not yet asked after (state Z) has begun at no time: its token is that of no other.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    began_as = f"{boot} {fields[19]} {'' if fields[0] == 'Z' else 'at work'}"
    return f"{zlib.crc32(began_as.encode()):08x}"


def _temporary(path: Path) -> Path:
    """Make an empty file of a new name beside `path`, with the permissions that the system's umask leaves."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{path.name[:40]}@{owner()}."  # a name has 255 bytes at most, and that of a recording may have them
        while True:
            temporary = path.with_name(f"{prefix}{secrets.token_hex(4)}{PART}")
            with contextlib.suppress(FileExistsError):
                # The umask is applied by the system: reading it would mean changing it, for all threads.
                os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666))
                return temporary
    except OSError as error:
        raise unwritable(path, system_words(error)) from error


def _output_reason(error: BaseException, temporary: Path, path: Path) -> str | None:
    """Why the output could not be written, if that is what an error says; None for an error of anything else.

    An OSError tells it by the file that it names; where it names none, by its number. Of other libraries there is only
    their text.
    """
    if isinstance(error, LmtcnnError):
        return None
    if isinstance(error, OSError):
        named = {Path(os.fsdecode(name)) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)}
        if named:
            return system_words(error) if named & {temporary, path} else None
        if error.errno is not None:
            return system_words(error) if error.errno in OF_THE_DISK else None
    return of_disk(str(error))


def of_disk(text: str) -> str | None:
    """The words of a full or failing disk in a library's message, None where it speaks of something else."""
    if numbered := re.search(r"\(os error (\d+)\)|\bOs \{ code: (\d+),", text):  # Rust's, of polars and safetensors
        number = int(numbered[1] or numbered[2])
        return system_words(number) if number in OF_THE_DISK else None
    if re.search(r"\d+ requested and \d+ written", text):  # numpy's
        return system_words(errno.ENOSPC)
    known = {os.strerror(number): number for number in sorted(OF_THE_DISK)}
    known |= {"database or disk is full": errno.ENOSPC, "disk I/O error": errno.EIO}  # SQLite's
    return next((system_words(number) for words, number in known.items() if words in text), None)


def unwritable(path: Path, reason: str) -> OutputError:
    """Return the error of a place that cannot be written, for a reason in words."""
    full = reason in {system_words(errno.ENOSPC), system_words(errno.EDQUOT)}
    do = "make room there, or choose another" if full else "choose another or change its permissions"
    return OutputError(problem(path, "a place that can be written", reason, do))
