"""Stops and small studies of them, for tests of stacks."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from hypothesis import strategies as st

from lmtcnn.cohort.cohort import Cohort
from lmtcnn.cohort.recording import Recording, Sample
from lmtcnn.core.files import write_json
from lmtcnn.core.params import Params
from lmtcnn.core.records import seal
from lmtcnn.core.schemas import COVERAGE, QUALITY, STOPS
from lmtcnn.histograms.histograms import histograms
from lmtcnn.stops.output import made_by

FLOOR = (50.0, 40.0)

ORIGIN_MS = 1_714_550_400_000  # 2024-05-01 08:00 UTC


def stops_of(*rows: tuple[float, float, float], duration_s: float = 2.0) -> pl.DataFrame:
    """Stops at (start_s, x_cm, y_cm)."""
    start, x, y = zip(*rows, strict=True) if rows else ((), (), ())
    return pl.DataFrame(
        {"start_s": start, "duration_s": [duration_s] * len(rows), "x_cm": x, "y_cm": y},
        schema=dict.fromkeys(["start_s", "duration_s", "x_cm", "y_cm"], pl.Float64),
    )


def placed(counts: np.ndarray) -> dict[tuple[int, ...], float]:
    """(interval, row, column) -> what is counted there."""
    return {tuple(place): float(counts[tuple(place)]) for place in np.argwhere(counts).tolist()}


CUT = "check histograms.interval_s and align; to cut them off on purpose write histograms.late: cut"
SHORT = "26.9 s long, 89.7 % of the 30 s that are counted"
STOPS_ANYWHERE = st.lists(st.tuples(st.floats(0, 60), st.floats(-20, 70), st.floats(-20, 60)), max_size=30)


class Study:
    """A folder of stop tables of recordings r1, r2, each with two animals, and the cohort that goes with it."""

    def __init__(self, folder: Path, params: Params, simulated: bool = False) -> None:
        self.data, self.params = folder, params
        self.stops_folder, self.folder = folder / "stops", folder / "histograms"
        labels = {"sex": "M", "age": "adult"}
        self.recordings = []
        for name in ("r1", "r2"):
            samples = {
                rfid: Sample(name, rfid, name.replace("r", "c"), labels, "AM") for rfid in (f"{name}b", f"{name}a")
            }
            self.recordings.append(Recording(name, (Path(f"{name}.sqlite"),), params.stops.arena, samples=samples))
        self.write(lambda name, animal: [(0.0, 1.0, 1.0)], simulated)

    @property
    def cohort(self) -> Cohort:
        samples = [s for r in self.recordings for s in r.samples.values()]
        return Cohort(tuple(self.recordings), tuple(sorted(samples, key=lambda s: (s.recording, s.rfid))))

    def write(self, rows_of: Callable[[str, int], list], simulated: bool = False) -> None:
        """Stops as the function of recording and animal says; animal 1 bears the later RFID."""
        quality = []
        for r in self.recordings:
            parts = []
            for animal, rfid in ((1, f"{r.name}b"), (2, f"{r.name}a")):
                own = stops_of(*rows_of(r.name, animal)).with_columns(
                    recording=pl.lit(r.name), animal_id=pl.lit(animal), rfid=pl.lit(rfid), start_frame=1, end_frame=60
                )
                parts.append(own.select(list(STOPS.columns)).cast(dict(STOPS.columns)))
                row = dict.fromkeys(QUALITY.columns, 0) | {"recording": r.name, "animal_id": animal, "rfid": rfid}
                row |= {"verdict": "ok", "identity_corrected": False, "span_s": 3 * self.params.histograms.interval_s}
                row |= dict.fromkeys(("failed", "warned", "unlisted", "never_detected"), "")
                quality.append(row | {"simulated": simulated, "start_ms": ORIGIN_MS})
            STOPS.write(pl.concat(parts), self.stops_folder / f"{r.name}.parquet")
        QUALITY.write(pl.DataFrame(quality, schema=dict(QUALITY.columns)), self.stops_folder / "quality.parquet")
        COVERAGE.write(COVERAGE.empty(), self.stops_folder / "coverage.parquet")
        self.seal()

    def seal(self) -> None:
        """stops.json of the tables as they lie."""
        written = [f"{name}.parquet" for name in (*(r.name for r in self.recordings), "quality", "coverage")]
        content = made_by(self.params, self.recordings)
        write_json(self.stops_folder / "stops.json", seal("stops", content, {}, self.stops_folder, written))

    def last(self, **span_s: float) -> None:
        """Let recordings last so long."""
        path = self.stops_folder / "quality.parquet"
        table = QUALITY.read(path)
        for name, value in span_s.items():
            table = table.with_columns(pl.when(recording=name).then(value).otherwise("span_s").alias("span_s"))
        QUALITY.write(table, path)
        self.seal()

    def one_cage(self) -> None:
        """Let both recordings be of one cage, so that none is lost when one of them is left out."""
        for recording in self.recordings:
            recording.samples.update({rfid: replace(s, cage="c") for rfid, s in recording.samples.items()})

    @property
    def keeping(self) -> Params:
        """The same parameters with quality.on_fail: keep."""
        quality = self.params.quality.model_copy(update={"on_fail": "keep"})
        return self.params.model_copy(update={"quality": quality})

    def run(self, params: Params | None = None) -> pl.DataFrame:
        return histograms(self.cohort, self.stops_folder, self.folder, params or self.params)
