"""Cohorts as explanations are tested on: cages of one sex, each recorded at two ages, known differences or none."""

import numpy as np
import polars as pl

CLASSES = {"AM": ("M", "adult"), "JM": ("M", "juvenile"), "AF": ("F", "adult"), "JF": ("F", "juvenile")}


def cohort(cages: int = 8, mice: int = 2) -> pl.DataFrame:
    """An index: a row for each mouse at each age."""
    rows = []
    for cage in range(cages):
        sex = "MF"[cage % 2]
        for age in ("adult", "juvenile"):
            name = next(key for key, value in CLASSES.items() if value == (sex, age))
            rows += [(f"c{cage}", f"c{cage}_{age}", f"c{cage}m{mouse}", sex, age, name) for mouse in range(mice)]
    return pl.DataFrame(rows, schema=["cage", "recording", "animal", "sex", "age", "class"], orient="row")


def members(index: pl.DataFrame, **chosen: list[str]) -> dict[str, np.ndarray]:
    """Whether each sample is of each group of classes; of each class, where none is named."""
    of_class = index["class"].to_numpy()
    return {name: np.isin(of_class, classes) for name, classes in (chosen or {n: [n] for n in CLASSES}).items()}


def stacks(
    index: pl.DataFrame, seed: int = 0, *, place: float = 0.0, time: float = 0.0, rate: float = 0.0
) -> np.ndarray:
    """Counts (S, 12, 8, 8) of mice whose cages differ a little.

    AF stops more in the upper left tiles, and less elsewhere, at all times (`place`), or in intervals 4 to 7 and as
    much less in 0 to 3 (`time`), so that the sum over all intervals is that of the others, or everywhere in intervals 8
    to 11 (`rate`).
    """
    random = np.random.default_rng(seed)
    names, cages = np.unique(index["cage"].to_numpy(), return_inverse=True)
    means = 0.5 * random.gamma(20, 1 / 20, (len(names), 1, 8, 8))[cages] * np.ones((1, 12, 1, 1))
    own = (index["class"] == "AF").to_numpy()
    before = means.sum(axis=(2, 3), keepdims=True)
    means[own, :, :3, :3] *= 1 + place
    means *= before / means.sum(axis=(2, 3), keepdims=True)
    means[own, 4:8, :3, :3] *= 1 + time
    means[own, :4, :3, :3] *= max(0.0, 1 - time)
    means[own, 8:] *= 1 + rate
    return random.poisson(means).astype(np.uint16)
