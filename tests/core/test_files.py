"""Writes that are whole or not at all."""

import hashlib
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from conftest import told
from lmtcnn.core.errors import DataError, OutputError
from lmtcnn.core.files import atomic, digest, ensure_folder, owner, read_json, write_json, write_text
from lmtcnn.core.locks import locked
from lmtcnn.train.kept import save_tensors


@pytest.fixture
def blocked(tmp_path: Path) -> Path:
    """A path that cannot be a folder: a file lies there."""
    path = tmp_path / "file"
    path.write_text("in the way")
    return path


def test_a_file_is_replaced_by_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    for text in ("first", "zweiter: äöü"):
        write_text(path, text)
        assert path.read_text(encoding="utf-8") == text
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def interrupted() -> None:
        with atomic(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.txt", "old")]


def test_readers_see_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def test_a_file_gets_the_permissions_that_the_umask_says(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "x")
        save_tensors({"w": torch.zeros(2)}, tmp_path / "a.safetensors")  # its writer makes a file of its own: 0600
    finally:
        os.umask(old)
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {
        "a.txt": 0o640,
        "a.safetensors": 0o640,
    }


def test_the_umask_is_not_touched_as_it_is_that_of_all_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To read it is to change it for a moment, in which another thread's file gets other permissions."""

    def refuse(_: int) -> int:
        raise AssertionError

    monkeypatch.setattr(os, "umask", refuse)
    ensure_folder(tmp_path / "a")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: write_text(tmp_path / "a" / f"{n}.txt", "x"), range(20)))
    assert len({path.stat().st_mode for path in (tmp_path / "a").iterdir()}) == 1


def test_a_place_that_cannot_be_written_is_told_in_one_line(blocked: Path) -> None:
    do = "choose another or change its permissions"
    path = blocked / "a.txt"
    assert told(OutputError, write_text, path, "x") == (
        f"{path}: expected a place that can be written, found a file of that name; {do}",
    )
    assert told(OutputError, ensure_folder, blocked) == (
        f"{blocked}: expected a place that can be written, found a file of that name; {do}",
    )


def test_a_folder_cannot_be_written_over(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    assert told(OutputError, write_text, folder, "x") == (
        f"{folder}: expected a place that can be written, found a folder of that name; "
        "choose another or change its permissions",
    )
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_a_place_in_which_nothing_can_be_made_is_not_told_as_a_file_that_is_missing() -> None:
    """Nothing has to be there before it is written: the system's `No such file or directory` says nothing."""
    path = Path("/proc/nowhere")
    do = "choose another or change its permissions"
    said = f"{path}: expected a place that can be written, found a folder in which none can be made; {do}"
    assert told(OutputError, ensure_folder, path) == (said,)
    assert told(OutputError, locked(path).__enter__) == (said,)
    assert told(OutputError, write_text, path / "a", "x") == (said.replace(str(path), str(path / "a")),)


def test_a_folder_is_made_with_its_parents_and_left_empty(tmp_path: Path) -> None:
    folder = ensure_folder(tmp_path / "a" / "b")
    assert folder == tmp_path / "a" / "b"
    assert list(folder.iterdir()) == []


def test_json_is_written_as_it_is_read(tmp_path: Path) -> None:
    value = {"name": "Käfig 1", "numbers": [1, 0.1, None, True], "nested": {"z": 1, "a": 2}}
    write_json(tmp_path / "a.json", value)
    found = read_json(tmp_path / "a.json", "a file", "write it")
    assert found == value
    assert list(found["nested"]) == ["z", "a"]
    assert "Käfig" in (tmp_path / "a.json").read_text(encoding="utf-8")


def test_nan_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (None, "no file"),
        (b"", "Expecting value: line 1 column 1 (char 0)"),
        (b'{"a": 1', "Expecting ',' delimiter: line 1 column 8 (char 7)"),
        (b"[1]", "a JSON list"),
        (b"\xff", "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
    ],
)
def test_json_that_is_missing_or_damaged_is_told_in_one_line(tmp_path: Path, text: bytes | None, found: str) -> None:
    path = tmp_path / "a.json"
    if text is not None:
        path.write_bytes(text)
    do = "first" if text is None else "again"
    assert told(DataError, read_json, path, "a summary", "train") == (
        f"{path}: expected a summary, found {found}; run `lmtcnn train` {do}",
    )


def test_json_without_a_key_that_is_needed_names_it(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1})
    assert read_json(tmp_path / "a.json", "a summary", "train", ["b"]) == {"b": 1}
    assert told(DataError, read_json, tmp_path / "a.json", "a summary", "train", ["a", "b", "c"]) == (
        f"{tmp_path / 'a.json'}: expected a summary, found no a, c in it; run `lmtcnn train` again",
    )


def test_a_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert digest(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()
    assert digest(tmp_path / "a", "md5") == "900150983cd24fb0d6963f7d28e17f72"


def test_a_temporary_file_says_who_writes_it_and_its_name_fits(tmp_path: Path) -> None:
    """A file system takes names of 255 bytes: that of a recording may have all of them."""
    path = tmp_path / ("ä" * 120 + ".csv")
    with atomic(path) as temporary:
        assert f"@{owner()}." in temporary.name
        assert owner().split("-")[-2] == str(os.getpid())
    assert path.is_file()
