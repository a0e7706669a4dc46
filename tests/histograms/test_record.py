"""What the stage `histograms` wrote is read as it was written, or refused."""

import numpy as np
import pytest

from conftest import told
from lmtcnn.core.errors import DataError
from lmtcnn.histograms.record import load
from study import small_params, write_histograms


def test_stacks_come_with_their_index_and_are_not_read_before_they_are_used(tmp_path):
    params = small_params()
    index = write_histograms(tmp_path, params)
    stacks, read = load(tmp_path / "histograms", params)
    assert isinstance(stacks, np.memmap)
    assert read.equals(index)
    assert stacks.shape == (index.height, 3, 6, 6)


@pytest.mark.parametrize("name", ["stacks.npy", "index.parquet"])
def test_what_was_exchanged_or_is_missing_is_told_in_one_line(tmp_path, name):
    params = small_params()
    write_histograms(tmp_path, params)
    path = tmp_path / "histograms" / name
    path.write_bytes(path.read_bytes() + b"x")
    (line,) = told(DataError, load, tmp_path / "histograms", params)
    assert line.startswith(f"{path}: expected what its record lists")
    path.unlink()
    assert told(DataError, load, tmp_path / "histograms", params) == (
        f"{path}: expected a file, found none; run `lmtcnn histograms` again",
    )
