"""Prove that the network's permutation test finds nothing where there is nothing.

    python proof/permutations.py [--cohorts 40] [--arrangements 39] [--cages 6]

Cohorts of 6 intervals and 10 x 10 tiles, made directly as stacks: places differ by cage, recording and animal, and not
by sex and age. A share of at most a of them may have p <= a, but for chance: exit code 1 where the share is above the
upper end of the binomial distribution's central 98 %.
"""

import argparse
import logging
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import torch
from scipy import stats

from lmtcnn.core import params as parameters
from lmtcnn.evaluate.design import Design
from lmtcnn.evaluate.network_null import network_tests
from lmtcnn.train.fitting import Study
from lmtcnn.train.model import Samples

INTERVALS, TILES, MICE, STOPS = 6, 10, 2, 40
LEVELS = (0.05, 0.1, 0.2, 0.5)


def cohort(seed: int, cages: int) -> tuple[np.ndarray, pl.DataFrame]:
    """Stacks (S, T, N, N), and an index with labels that mean nothing: sex by cage, age by recording."""
    rng = np.random.default_rng(seed)
    floor = rng.gamma(1.0, size=(TILES, TILES))
    rows, stacks = [], []
    for cage in range(cages):
        of_cage = rng.normal(0, 0.7, (TILES, TILES))
        of_mice = rng.normal(0, 0.5, (MICE, TILES, TILES))
        for age in "ja":
            of_recording = rng.normal(0, 0.4, (TILES, TILES))
            for mouse in range(MICE):
                weights = floor * np.exp(of_cage + of_recording + of_mice[mouse])
                stacks.append(rng.poisson(STOPS * weights / weights.sum(), (INTERVALS, TILES, TILES)))
                rows.append((f"c{cage}", f"c{cage}{age}", f"c{cage}m{mouse}", "FM"[cage % 2], age))
    index = pl.DataFrame(rows, schema=["cage", "recording", "animal", "sex", "age"], orient="row")
    return np.array(stacks, dtype=np.uint16), index


def p_values(seed: int, cages: int, params: parameters.Params) -> dict[str, float]:
    """Give p of each column, and jointly, of one cohort."""
    stacks, index = cohort(seed, cages)
    columns = {name: index[name].to_list() for name in ("sex", "age")}
    design = Design(columns, index["cage"].to_list(), index["recording"].to_list(), index["animal"].to_list())
    with tempfile.TemporaryDirectory() as name:
        data = Path(name)
        (data / "histograms").mkdir()
        np.save(data / "histograms" / "stacks.npy", stacks)
        index.write_parquet(data / "histograms" / "index.parquet")
        x = Samples(stacks, params.train.transform, torch.device("cpu"))
        study = Study(x, torch.zeros(len(x), dtype=torch.int64), index["cage"].to_numpy().astype(np.str_), ())
        found = network_tests(study, design, data, params)
    return {name: outcome.p for name, outcome in found.items()}


def main() -> int:
    """Test every cohort and print how often p is small; 1 where it is too often."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in (("cohorts", 40), ("arrangements", 39), ("cages", 6), ("epochs", 10), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=value)
    chosen = parser.parse_args()
    logging.getLogger("lmtcnn").setLevel(logging.WARNING)
    whole = parameters.load(Path(__file__).parent.parent / "params.yaml")
    evaluate = whole.evaluate.model_copy(update={"permutations": chosen.arrangements})
    training = whole.train.model_copy(update={"epochs": chosen.epochs, "lr": 0.05, "device": "cpu"})
    params = whole.model_copy(update={"evaluate": evaluate, "train": training})
    found: dict[str, list[float]] = {}
    for number in range(chosen.cohorts):
        for name, p in p_values(chosen.seed + number, chosen.cages, params).items():
            found.setdefault(name, []).append(p)
        print(
            f"cohort {number + 1}: " + ", ".join(f"{name} {values[-1]:.3f}" for name, values in found.items()),
            flush=True,
        )
    wrong = 0
    for name, values in found.items():
        shares = {a: int((np.array(values) <= a).sum()) for a in LEVELS}
        wrong += sum(count > stats.binom.ppf(0.99, len(values), a) for a, count in shares.items())
        print(f"{name}: " + ", ".join(f"p <= {a:g} in {count} of {len(values)}" for a, count in shares.items()))
    print("WRONG" if wrong else "right")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
