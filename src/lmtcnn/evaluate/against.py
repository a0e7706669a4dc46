"""Two studies of the same samples, compared: other stops, other hours, another network."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import polars.selectors as cs
from numpy.typing import NDArray

from lmtcnn.core.errors import DataError, problem
from lmtcnn.core.records import PREDICTIONS
from lmtcnn.core.schemas import predictions_table
from lmtcnn.evaluate.arrangements import numbered
from lmtcnn.evaluate.comparison import Comparison, compare

KEYS = ["recording", "animal_id"]


@dataclass(frozen=True)
class Against:
    """Single networks of this study against another one's, on the samples that both have.

    Attributes
    ----------
    ours, theirs
        Accuracy of single networks on these samples.
    only_ours, only_theirs
        Samples that one study alone has, which are left out.
    found
        The comparison, paired by cage.
    """

    ours: float
    theirs: float
    only_ours: int
    only_theirs: int
    found: Comparison

    @property
    def lines(self) -> list[str]:
        """Whole lines for a reader."""
        made = self.found
        ends = "no interval" if math.isnan(made.low) else f"95 % interval {made.low:+.3f} to {made.high:+.3f}"
        lines = [
            f"accuracy {self.ours:.3f} here, {self.theirs:.3f} there, on {made.samples} samples of {made.cages} cages",
            f"difference {made.difference:+.3f}, {ends}, sign-flip p {made.p:.4f}: {made.words}",
        ]
        if self.only_ours or self.only_theirs:
            lines.append(f"left out: {self.only_ours} samples that are here alone, {self.only_theirs} there alone")
        return lines


def read(folder: Path, classes: Sequence[str]) -> pl.DataFrame:
    """Read the out-of-fold predictions of another study: of its data folder, of its single folds where these are all.

    Raises DataError where there are none, or they are of other classes.
    """
    whole = folder / "train" / PREDICTIONS
    parts = [whole] if whole.is_file() else sorted((folder / "train" / "folds").glob(f"*/{PREDICTIONS}"))
    if not parts:
        do = "name the folder data of a study that was trained, or the id of its run in MLflow"
        raise DataError(problem(whole, "the out-of-fold predictions of another study", "no file", do))
    return pl.concat([predictions_table(tuple(classes)).read(part) for part in parts])


def against(ours: pl.DataFrame, theirs: pl.DataFrame, within: float, where: object) -> Against:
    """Compare the single networks of two studies on the samples that both have, paired by cage.

    Parameters
    ----------
    ours, theirs
        Out-of-fold predictions, a row per sample and seed; a sample is the same where recording and animal are.
    within
        A difference whose interval stays within this matches.
    where
        The other study, for messages.

    Returns
    -------
    Against
        This study less the other one.

    Raises
    ------
    DataError
        Where the studies have no sample in common, or one in another cage or class.
    """
    here, there = _hits(ours), _hits(theirs)
    both = here.join(there, on=KEYS, how="inner", suffix="_there").sort(KEYS)
    if both.is_empty():
        raise DataError(problem(where, "samples of this study", "none of them", "compare studies of the same cohort"))
    for name in ("cage", "class"):
        if (others := both.filter(pl.col(name) != pl.col(f"{name}_there"))).height:
            one = others.row(0, named=True)
            sample = f"animal {one['animal_id']} of {one['recording']}"
            do = "compare studies of one manifest"
            found = f"{one[f'{name}_there']} in {others.height} samples"
            raise DataError(problem(f"{where}, {sample}", f"{name} {one[name]}", found, do))
    n_here, n_there = int(here["tries"][0]), int(there["tries"][0])
    of = math.lcm(n_here, n_there)
    right = _whole(both["hits"]) * (of // n_here), _whole(both["hits_there"]) * (of // n_there)
    return Against(
        ours=float(right[0].mean() / of),
        theirs=float(right[1].mean() / of),
        only_ours=here.height - both.height,
        only_theirs=there.height - both.height,
        found=compare(*right, numbered(both["cage"].to_list()), of, within),
    )


def refuse_itself(ours: pl.DataFrame, theirs: pl.DataFrame, where: object) -> None:
    """Raise DataError where two tables hold the same predictions: a study beside itself matches, and tells nothing."""
    names = [name for name in ours.columns if name in theirs.columns]
    one, other = (
        table.select(names)
        .cast(pl.Schema(ours.select(names).schema))
        .sort([*KEYS, "seed"])
        .with_columns(
            cs.float().round(6)  # MLflow keeps ten digits
        )
        for table in (ours, theirs)
    )
    if one.equals(other):
        do = "name the folder data of another study, or the id of another training"
        raise DataError(problem(where, "other predictions than this study's", "the very same ones", do))


def _hits(predictions: pl.DataFrame) -> pl.DataFrame:
    """Of each sample, how many networks there are and how many are right."""
    right = (pl.col("class") == pl.col("predicted")).sum().cast(pl.Int64)
    by_sample = predictions.group_by(KEYS, maintain_order=True)
    return by_sample.agg(pl.col("cage").first(), pl.col("class").first(), hits=right, tries=pl.len())


def _whole(column: pl.Series) -> NDArray[np.int64]:
    return np.asarray(column.to_numpy(), dtype=np.int64)
