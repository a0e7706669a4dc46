"""Finished pieces of a training, until all of it has ended."""

import errno
import resource
import signal
from pathlib import Path

import pytest
import torch

from conftest import told
from lmtcnn.core.errors import OutputError, system_words
from lmtcnn.core.params import Params
from lmtcnn.train import kept
from lmtcnn.train.kept import Kept, key, save_tensors
from study import THREE_CAGES, write_histograms

CPU = torch.device("cpu")


def test_a_piece_is_found_as_it_was_kept(tmp_path: Path) -> None:
    piece = {"a": torch.rand(3, 4), "b": torch.rand(2, dtype=torch.float64), "c": torch.arange(5)}
    Kept(tmp_path, "one").save("seed0-0", piece)
    found = Kept(tmp_path, "one").load("seed0-0")
    assert found.keys() == piece.keys()
    assert all(torch.equal(found[name], values) and found[name].dtype == values.dtype for name, values in piece.items())
    assert Kept(tmp_path, "one").load("seed1-0") is None


def test_what_was_kept_of_other_work_is_removed(tmp_path: Path) -> None:
    Kept(tmp_path, "one").save("seed0-0", {"a": torch.ones(1)})
    other = Kept(tmp_path, "other")
    assert other.load("seed0-0") is None
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_nothing_is_left_at_the_end(tmp_path: Path) -> None:
    work = Kept(tmp_path, "one")
    work.save("seed0-0", {"a": torch.ones(1)})
    work.clear()
    work.clear()
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_piece_is_told_and_made_again(tmp_path: Path, caplog) -> None:
    work = Kept(tmp_path, "one")
    work.save("seed0-0", {"a": torch.ones(100)})
    path = next(tmp_path.rglob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:200])
    assert work.load("seed0-0") is None
    assert caplog.messages[0].startswith(f"{path}: kept by an interrupted training, but damaged")


def test_the_key_is_of_everything_that_the_work_depends_on(tmp_path: Path, tiny: Params) -> None:
    write_histograms(tmp_path, tiny, THREE_CAGES)
    folder = tmp_path / "histograms"

    def with_train(**values: object) -> Params:
        return tiny.model_copy(update={"train": tiny.train.model_copy(update=values)})

    def other_stacks() -> str:
        write_histograms(tmp_path / "other", tiny, THREE_CAGES, seed=5)
        return key(tmp_path / "other" / "histograms", tiny, ["c1"], 8, CPU)

    one = key(folder, tiny, ["c1"], 8, CPU)
    others = [
        key(folder, tiny, ["c1", "c2"], 8, CPU),
        key(folder, tiny, ["c1"], 4, CPU),
        key(folder, tiny, ["c1"], 8, torch.device("cuda")),
        *(key(folder, with_train(**{name: value}), ["c1"], 8, CPU) for name, value in {"epochs": 9, "lr": 0.3}.items()),
        other_stacks(),
    ]
    assert len({one, *others}) == len(others) + 1
    assert key(folder, with_train(memory_gb=1.0, device="auto", lr_grid=(0.5,)), ["c1"], 8, CPU) == one


def test_a_new_revision_of_the_stage_makes_another_key(tmp_path: Path, tiny: Params, monkeypatch) -> None:
    write_histograms(tmp_path, tiny, THREE_CAGES)
    before = key(tmp_path / "histograms", tiny, ["c1"], 8, CPU)
    monkeypatch.setitem(kept.REVISIONS, "train", kept.REVISIONS["train"] + 1)
    assert key(tmp_path / "histograms", tiny, ["c1"], 8, CPU) != before


def test_a_disk_that_is_full_is_told_in_one_line_and_nothing_is_left(tmp_path: Path) -> None:
    """A limit on a file's size, which the system reports as it reports a full disk: while writing."""
    path = tmp_path / "weights.safetensors"
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        (line,) = told(OutputError, save_tensors, {"a": torch.ones(100_000)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert line.startswith(f"{path}: expected a place that can be written, found ")
    assert list(tmp_path.iterdir()) == []


FORMS = ("I/O error: M (os error {})", 'I/O error: Os {{ code: {}, kind: K, message: "M" }}')


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_the_system_s_errors_are_told_in_words(tmp_path: Path, monkeypatch, code: int, form: str) -> None:
    words = system_words(code)

    def full(*_: object) -> None:
        raise kept.SafetensorError("Error while serializing: " + form.format(code))

    monkeypatch.setattr(kept.safetensors.torch, "save_file", full)
    (line,) = told(OutputError, save_tensors, {"a": torch.ones(1)}, tmp_path / "a")
    assert f"found {words}" in line
