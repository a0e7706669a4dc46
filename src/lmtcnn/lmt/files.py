"""Files of databases before SQLite opens them: finding them, and what their headers and companions say."""

import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from lmtcnn.core.errors import DatabaseError, problem, system_words

SUFFIXES = (".sqlite", ".sqlite3", ".db")
"""What a database's file name ends with when a folder is searched."""

SYSTEMS = frozenset(
    {
        *("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "iconcache.db", "desktop.ini"),
        *("$recycle.bin", "system volume information", "lost+found", "@eadir", "#recycle", "#snapshot", "__macosx"),
    }
)
"""Names, in small letters, of files and folders of systems, passed over with all that begins with a dot or a ~."""

_MAGIC = b"SQLite format 3\0"

_HOT_JOURNAL = bytes.fromhex("d9d505f920a163d7")


def find(paths: Iterable[Path]) -> list[Path]:
    """Databases among files and folders (searched through), in order of their names.

    What is hidden in a folder, or belongs to the system and not to a user, is passed over. A folder inside one of them
    that may not be entered is among what is found, so that opening it says why, and the others are read. Raises
    DatabaseError that names every folder without a database.
    """
    found: list[Path] = []
    empty: list[str] = []
    for path in paths:
        if _is_folder(path):
            inside = sorted(_search(path))
            found.extend(inside)
            if not inside:
                wanted = f"databases ({', '.join(SUFFIXES)})"
                empty.append(problem(path, wanted, "none", "check the folder"))
        else:
            found.append(path)
    if empty:
        raise DatabaseError(empty)
    return found


def _search(folder: Path) -> Iterator[Path]:
    closed: list[Path] = []
    for place, folders, files in os.walk(folder, onerror=lambda error: closed.append(Path(error.filename))):
        folders[:] = [name for name in folders if not _is_systems(name)]
        for name in files:
            if name.lower().endswith(SUFFIXES) and not _is_systems(name) and _is_file(Path(place, name)):
                yield Path(place, name)
    yield from closed


def _is_file(path: Path) -> bool:
    """True, too, of a dangling link and of one that may not be looked at: opening it says what it is."""
    try:
        return path.is_symlink() or path.is_file()
    except OSError:
        return True


def _is_systems(name: str) -> bool:
    """Whether a name is hidden, or that of something the system or an office program puts beside a user's files."""
    return name.startswith((".", "~")) or name.lower() in SYSTEMS


def _is_folder(path: Path) -> bool:
    """False, too, where one may not look: opening it says so."""
    try:
        return path.is_dir()
    except OSError:
        return False


def stamp(path: Path) -> tuple[int, int, bytes]:
    """Size, time of the last change, and the header's counter: any write by SQLite moves one of them.

    The counter is there for two writes within a tick of the system's clock.
    """
    try:
        with path.open("rb") as stream:
            counter = stream.read(28)[24:]
            status = os.fstat(stream.fileno())
    except OSError as error:
        raise DatabaseError(problem(path, "an LMT database", system_words(error), "check the path")) from error
    return status.st_size, status.st_mtime_ns, counter


def check_file(path: Path) -> str:
    """Read the header without SQLite, which would answer with a vague word or wait; return the URI to open."""
    ask = "check the path"
    try:
        size = path.stat().st_size
        if path.is_dir():
            next(path.iterdir(), None)  # one that may not be entered says so below
            raise DatabaseError(problem(path, "an LMT database", "a folder", ask))
        with path.open("rb") as stream:
            header = stream.read(100)
    except FileNotFoundError:
        raise DatabaseError(problem(path, "an LMT database", "no file", ask)) from None
    except OSError as error:
        expected = "a folder that one may enter" if _is_folder(path) else "a readable file"
        raise DatabaseError(problem(path, expected, system_words(error), ask)) from error
    if not size:
        raise DatabaseError(problem(path, "an LMT database", "an empty file (0 bytes)", "copy it again"))
    if header[:16] != _MAGIC:
        raise DatabaseError(problem(path, "an SQLite database", "another kind of file", ask))
    _check_length(path, size, header)
    return path.resolve().as_uri() + _check_companions(path, header)


def _check_length(path: Path, size: int, header: bytes) -> None:
    if len(header) < 100:
        raise DatabaseError(problem(path, "a header of 100 bytes", f"{len(header)}", "truncated: copy it again"))
    (page_size,) = struct.unpack(">H", header[16:18])
    page_size = 65_536 if page_size == 1 else page_size
    if page_size < 512 or page_size & (page_size - 1):
        do = "damaged: copy it again"
        raise DatabaseError(problem(path, "pages of 512 to 65536 bytes", f"{page_size} in its header", do))
    changes, pages = struct.unpack(">II", header[24:32])
    (valid_for,) = struct.unpack(">I", header[92:96])
    expected = pages * page_size if pages and changes == valid_for else -(-size // page_size) * page_size
    if size < expected:
        journal = path.with_name(path.name + "-journal")
        if _begins_with(journal, 1) or path.stat().st_size >= expected:  # a program is just making it longer
            do = "close the program that writes it"
            raise DatabaseError(problem(path, "a database that nobody writes", "one that changed meanwhile", do))
        raise DatabaseError(problem(path, f"{expected} bytes", f"{size}", "truncated: copy it again"))


def _check_companions(path: Path, header: bytes) -> str:
    """Refuse files that SQLite would have to write beside; return how to open the others."""
    journal, wal = (path.with_name(path.name + end) for end in ("-journal", "-wal"))
    finish = "let the program that writes it finish, or copy both files and ask the copy something with sqlite3"
    if _begins_with(journal, 8) == _HOT_JOURNAL:
        raise DatabaseError(problem(path, "a finished database", f"a hot journal {journal.name}", finish))
    if header[18:20] == b"\x02\x02":
        if _begins_with(wal, 1):
            raise DatabaseError(problem(path, "a finished database", f"unmerged changes in {wal.name}", finish))
        return "?mode=ro&immutable=1"  # without it SQLite would create a -shm file beside the database
    return "?mode=ro"


def _begins_with(path: Path, n: int) -> bytes:
    """The first bytes of a file; none where there is none, or none any more: a program that writes removes its own."""
    try:
        with path.open("rb") as stream:
            return stream.read(n)
    except (FileNotFoundError, IsADirectoryError):
        return b""
