"""The output of the stage `histograms`: stacks and their index, for every later stage."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lmtcnn.core.params import Params
from lmtcnn.core.records import CONTROLS_FILE, INDEX, STACKS, read_histograms
from lmtcnn.core.schemas import CONTROLS, index_table


def load(folder: Path, params: Params) -> tuple[NDArray[Any], pl.DataFrame]:
    """Load stacks and their index as the stage wrote them.

    Parameters
    ----------
    folder
        data/histograms.
    params
        The present parameters.

    Returns
    -------
    stacks
        (samples, T, N, N), memory-mapped.
    index
        A row for each sample, in that order.

    Raises
    ------
    DataError
        Where they are missing, or not what their record lists, or were made by other parameters.
    """
    read_histograms(folder, params)
    return np.load(folder / STACKS, mmap_mode="r"), index_table(params.labels).read(folder / INDEX)


def load_controls(folder: Path) -> pl.DataFrame:
    """Load what is known of each sample that is no behaviour, in the order of the index, once `load` has checked it."""
    return CONTROLS.read(folder / CONTROLS_FILE)
