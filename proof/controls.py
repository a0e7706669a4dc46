"""Prove that each planted artefact is told by its own control and by no other, on simulated cohorts without any effect.

    python proof/controls.py --cohorts 60 --leaking 12

A cohort is 12 cages of four mice at two ages, 6 intervals of 20 minutes of full density, stops alone; 10 x 10 tiles.
With `leak: none` every control should have p <= 0.05 in about a share 0.05 of the cohorts: its exact binomial interval
at 99 % must hold 0.05, or lie below it. With a leak its own control must have p <= 0.05 in every cohort, and each other
one no more often than without. Exits with 1 where anything else is found.
"""

import argparse
import logging
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import stats

from lmtcnn.cohort import cohort
from lmtcnn.core import params as parameters
from lmtcnn.core.params import Params
from lmtcnn.evaluate import controls
from lmtcnn.evaluate.design import design_of
from lmtcnn.histograms import histograms, record
from lmtcnn.simulate.stops_only import stops_only

ROOT = Path(__file__).parent.parent
LEVEL, ARRANGEMENTS = 0.05, 199
LEAKS = ("quality", "clock", "counts")


def study(folder: Path, leak: str, seed: int) -> Params:
    """The parameters of one cohort, whose files lie in `folder`."""
    known = parameters.load(ROOT / "params.yaml")
    simulated = {"seed": seed, "hours": 2, "effect": 0.0, "leak": leak}
    counted = {"intervals": 6, "interval_s": 1200.0, "tiles": 10}
    places = {"databases": str(folder / "simulate"), "manifest": str(folder / "simulate" / "cohort.csv")}
    return known.model_copy(
        update={
            "simulate": known.simulate.model_copy(update=simulated),
            "histograms": known.histograms.model_copy(update=counted),
            "cohort": known.cohort.model_copy(update=places),
        }
    )


def tell(job: tuple[str, int]) -> dict[str, float]:
    """Return p of each control in one cohort."""
    leak, seed = job
    logging.disable(logging.CRITICAL)  # the start clock is warned of, as it should be
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        params = study(folder, leak, seed)
        stops_only(folder, params)
        mice = cohort.read(Path(params.cohort.manifest), Path(params.cohort.databases), params)
        index = histograms.histograms(mice, folder / "stops", folder / "histograms", params)
        seen = controls.features(record.load_controls(folder / "histograms"), np.load(folder / "histograms/stacks.npy"))
        prepared = controls.prepare(seen, index["cage"].to_list())
        found = controls.metrics(design_of(index, params), prepared, ARRANGEMENTS, seed)
    return {control: found[f"control_{control}_p"] for control in controls.NAMES}


def row(leak: str, found: Sequence[dict[str, float]]) -> tuple[list[str], bool]:
    """Cells of a table, and whether all is as it should be."""
    cells, right = [leak, str(len(found))], True
    for control in controls.NAMES:
        fired = sum(p[control] <= LEVEL for p in found)
        low = stats.binomtest(fired, len(found)).proportion_ci(0.99).low
        cells.append(f"{fired} ({fired / len(found):.0%})")
        right &= fired == len(found) if control == leak else low <= LEVEL
    return cells, right


def main() -> int:
    """Run all cohorts and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohorts", type=int, default=60, help="without a leak")
    parser.add_argument("--leaking", type=int, default=12, help="with each leak")
    parser.add_argument("--seed", type=int, default=1000, help="of the first cohort")
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    jobs = [("none", asked.seed + k) for k in range(asked.cohorts)]
    jobs += [(leak, asked.seed + k) for leak in LEAKS for k in range(asked.leaking)]
    start = time.monotonic()
    with multiprocessing.get_context("spawn").Pool(asked.workers) as pool:
        found = pool.map(tell, jobs, chunksize=1)
    print(f"{len(jobs)} cohorts from seed {asked.seed}, {time.monotonic() - start:.0f} s")
    print(f"| leak | cohorts | {' | '.join(f'{control}: p <= {LEVEL}' for control in controls.NAMES)} |")
    print("|---" * (2 + len(controls.NAMES)) + "|")
    right = True
    for leak in ("none", *LEAKS):
        own = [p for (of, _), p in zip(jobs, found, strict=True) if of == leak]
        if own:
            cells, fine = row(leak, own)
            right &= fine
            print(f"| {' | '.join(cells)} |")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
