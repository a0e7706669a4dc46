"""Stops become stacks, and no stop is lost."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import told
from lmtcnn.cohort.cohort import Cohort
from lmtcnn.cohort.recording import Recording, Sample, provenance
from lmtcnn.core.errors import DataError
from lmtcnn.core.files import digest, read_json, write_json
from lmtcnn.core.params import Params
from lmtcnn.core.records import seal
from lmtcnn.core.schemas import QUALITY, STOPS
from lmtcnn.core.sections import dump
from lmtcnn.histograms.histograms import check_length, floor_of, histograms, stack_for, stack_of
from lmtcnn.histograms.record import load

FLOOR = (50.0, 40.0)
ORIGIN_MS = 1_714_550_400_000  # 2024-05-01 08:00 UTC


def stops_of(*rows: tuple[float, float, float], duration_s: float = 2.0) -> pl.DataFrame:
    """Stops at (start_s, x_cm, y_cm)."""
    start, x, y = zip(*rows, strict=True) if rows else ((), (), ())
    return pl.DataFrame(
        {"start_s": start, "duration_s": [duration_s] * len(rows), "x_cm": x, "y_cm": y},
        schema=dict.fromkeys(["start_s", "duration_s", "x_cm", "y_cm"], pl.Float64),
    )


@pytest.fixture(scope="session")
def small(change) -> Callable[..., Params]:
    """Three intervals of 10 s, 5 x 5 tiles: tiles of 10 x 8 cm on the test's floor."""

    def of(**values: object) -> Params:
        wanted = {"intervals": 3, "interval_s": 10, "tiles": 5, **values}
        return change(**{f"histograms.{key}": value for key, value in wanted.items()})

    return of


def placed(counts: np.ndarray) -> dict[tuple[int, ...], float]:
    """(interval, row, column) -> what is counted there."""
    return {tuple(place): float(counts[tuple(place)]) for place in np.argwhere(counts).tolist()}


# ---- One stack -------------------------------------------------------------------------------------------------------

STOPS_ANYWHERE = st.lists(st.tuples(st.floats(0, 60), st.floats(-20, 70), st.floats(-20, 60)), max_size=30)


@given(rows=STOPS_ANYWHERE, outside=st.sampled_from(["clip", "drop"]))
def test_every_stop_is_counted_once_or_named_late_or_dropped(small, rows: list, outside: str) -> None:
    stack = stack_of(stops_of(*rows), FLOOR, small(outside=outside).histograms)
    assert stack.n_stops == len(rows)
    assert stack.counts.sum() == stack.n_stops - stack.n_late - (stack.n_outside if outside == "drop" else 0)


@given(rows=STOPS_ANYWHERE)
def test_a_stop_is_in_the_tile_and_interval_of_the_formula(small, rows: list) -> None:
    expected = np.zeros((3, 5, 5))
    for start_s, x_cm, y_cm in rows:
        t = int(np.floor(start_s / 10))
        if t < 3:
            row, column = (min(max(int(np.floor(v * 5 / size)), 0), 4) for v, size in ((y_cm, 40.0), (x_cm, 50.0)))
            expected[t, row, column] += 1
    assert np.array_equal(stack_of(stops_of(*rows), FLOOR, small().histograms).counts, expected)


@pytest.mark.parametrize(
    ("x_cm", "y_cm", "tile"),
    [
        (0.0, 0.0, (0, 0)),
        (9.999, 7.999, (0, 0)),
        (10.0, 0.0, (0, 1)),
        (0.0, 8.0, (1, 0)),
        (49.999, 39.999, (4, 4)),
        (50.0, 40.0, (4, 4)),
    ],
)
def test_a_tile_holds_its_upper_left_edges_and_the_last_one_the_floor_s(small, x_cm: float, y_cm: float, tile) -> None:
    stack = stack_of(stops_of((0.0, x_cm, y_cm)), FLOOR, small().histograms)
    assert placed(stack.counts) == {(0, *tile): 1.0}
    assert stack.n_outside == 0


@pytest.mark.parametrize(
    ("x_cm", "y_cm", "tile"),
    [(-0.001, 20.0, (2, 0)), (50.001, 20.0, (2, 4)), (25.0, -9.0, (0, 2)), (25.0, 41.0, (4, 2)), (99.0, 99.0, (4, 4))],
)
def test_a_stop_off_the_floor_goes_to_the_nearest_tile_or_is_dropped(small, x_cm: float, y_cm: float, tile) -> None:
    clipped, dropped = (
        stack_of(stops_of((0.0, x_cm, y_cm)), FLOOR, small(outside=how).histograms) for how in ("clip", "drop")
    )
    assert placed(clipped.counts) == {(0, *tile): 1.0}
    assert placed(dropped.counts) == {}
    assert clipped.n_outside == dropped.n_outside == 1


@given(
    rows=st.lists(st.tuples(st.floats(0, 29), st.integers(0, 39), st.integers(0, 31)), min_size=1, max_size=20),
    right=st.integers(0, 1),
    down=st.integers(0, 1),
)
def test_moving_the_mouse_by_a_tile_moves_the_map_by_a_tile(small, rows: list, right: int, down: int) -> None:
    params = small().histograms
    still = stack_of(stops_of(*rows), FLOOR, params).counts
    moved = stack_of(stops_of(*((t, x + 10 * right, y + 8 * down) for t, x, y in rows)), FLOOR, params).counts
    assert np.array_equal(moved, np.roll(still, (down, right), axis=(1, 2)))


@pytest.mark.parametrize(("start_s", "interval"), [(0.0, 0), (9.999, 0), (10.0, 1), (29.999, 2)])
def test_an_interval_begins_with_its_first_moment(small, start_s: float, interval: int) -> None:
    stack = stack_of(stops_of((start_s, 1.0, 1.0)), FLOOR, small().histograms)
    assert placed(stack.counts) == {(interval, 0, 0): 1.0}


def test_a_stop_beyond_the_last_interval_is_late_and_never_outside(small) -> None:
    stack = stack_of(stops_of((30.0, 1.0, 1.0), (99.0, -1.0, 1.0)), FLOOR, small().histograms)
    assert (stack.n_stops, stack.n_late, stack.n_outside, stack.counts.sum()) == (2, 2, 0, 0)


def test_an_offset_puts_stops_into_later_intervals(small) -> None:
    stack = stack_of(stops_of((0.0, 1.0, 1.0), (6.0, 1.0, 1.0), (26.0, 1.0, 1.0)), FLOOR, small().histograms, 5.0)
    assert placed(stack.counts) == {(0, 0, 0): 1.0, (1, 0, 0): 1.0}
    assert stack.n_late == 1


def test_a_stop_that_the_clock_puts_just_before_the_start_is_in_interval_0(small) -> None:
    stack = stack_of(stops_of((-0.05, 1.0, 1.0)), FLOOR, small().histograms)
    assert placed(stack.counts) == {(0, 0, 0): 1.0}


@given(rows=STOPS_ANYWHERE, duration_s=st.floats(1, 1e4))
def test_weighed_by_duration_a_stack_holds_seconds(small, rows: list, duration_s: float) -> None:
    counted, weighed = (
        stack_of(stops_of(*rows, duration_s=duration_s), FLOOR, small(weight=weight).histograms)
        for weight in ("count", "duration")
    )
    assert np.allclose(weighed.counts, counted.counts * duration_s, rtol=1e-12)
    assert replace(weighed, counts=None) == replace(counted, counts=None)


def test_a_sample_without_a_stop_has_an_empty_stack(small) -> None:
    stack = stack_of(stops_of(), FLOOR, small().histograms)
    assert stack.counts.shape == (3, 5, 5)
    assert (stack.counts.sum(), stack.n_stops, stack.n_late) == (0, 0, 0)


def test_the_floor_is_that_of_the_contract(params: Params) -> None:
    assert floor_of(params.stops.arena) == (284 * 10 / 57, 290 * 10 / 57)


CUT = "check histograms.interval_s and align; to cut them off on purpose write histograms.late: cut"


def test_half_of_the_stops_may_be_late_and_no_more(small) -> None:
    settings = small(interval_s=3600).histograms
    assert check_length("r1", 10, 5, settings) is None
    assert check_length("r1", 0, 0, settings) is None
    assert check_length("r1", 10, 6, settings) == (
        f"r1: expected stops within 3 intervals of 3600 s, found 6 of 10 beyond; {CUT}"
    )
    assert check_length("r1", 10, 6, small(late="cut").histograms) is None


# ---- The stage -------------------------------------------------------------------------------------------------------


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
        self.seal()

    def seal(self) -> None:
        """stops.json of the tables as they lie."""
        written = [f"{name}.parquet" for name in (*(r.name for r in self.recordings), "quality")]
        content = provenance(self.params, self.recordings)
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


@pytest.fixture
def study(tmp_path: Path, small) -> Study:
    return Study(tmp_path, small())


def test_samples_come_in_order_of_recording_and_animal(study: Study) -> None:
    study.recordings.reverse()
    study.write(lambda name, animal: [(0.0, 1.0, 1.0)] * (animal + 10 * (name == "r2")))
    study.recordings.sort(key=lambda r: r.name)
    index = study.run()
    stacks, read = load(study.folder, study.params)
    assert index.select("recording", "animal_id", "rfid", "cage", "sex", "age", "class").rows() == [
        ("r1", 1, "r1b", "c1", "M", "adult", "AM"),
        ("r1", 2, "r1a", "c1", "M", "adult", "AM"),
        ("r2", 1, "r2b", "c2", "M", "adult", "AM"),
        ("r2", 2, "r2a", "c2", "M", "adult", "AM"),
    ]
    assert read.equals(index)
    assert stacks[:, 0, 0, 0].tolist() == index["n_stops"].to_list() == [1, 2, 11, 12]


@pytest.mark.parametrize(("weight", "dtype", "value"), [("count", np.uint16, 1), ("duration", np.float32, 2.0)])
def test_counts_are_whole_numbers_and_durations_are_not(tmp_path: Path, small, weight: str, dtype, value) -> None:
    study = Study(tmp_path, small(weight=weight))
    study.run()
    stacks, _ = load(study.folder, study.params)
    assert (stacks.dtype, stacks.shape, stacks[0, 0, 0, 0]) == (dtype, (4, 3, 5, 5), value)


def test_the_index_counts_what_is_late_and_what_is_outside(study: Study) -> None:
    study.write(lambda name, animal: [(0.0, 1.0, 1.0), (1.0, -1.0, 1.0), (35.0, 1.0, 1.0)] if animal == 1 else [])
    index = study.run()
    assert index.select("n_stops", "n_outside", "n_late").rows() == [(3, 1, 1), (0, 0, 0)] * 2


def test_an_aligned_stack_begins_at_a_time_of_the_wall_clock(tmp_path: Path, small) -> None:
    """Both start at 08:00 UTC; where r2 was recorded the clock shows 09:00."""
    study = Study(tmp_path, small(align="07:00", interval_s=3600, timezone="UTC"))
    study.recordings[1] = replace(study.recordings[1], timezone="Etc/GMT-1")
    study.run()
    stacks, _ = load(study.folder, study.params)
    assert [tuple(place) for place in np.argwhere(stacks)[:, :2].tolist()] == [(0, 1), (1, 1), (2, 2), (3, 2)]


def test_the_same_stops_give_the_same_bytes(study: Study) -> None:
    def content() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in study.folder.iterdir()}

    study.run()
    first = content()
    study.run()
    assert content() == first
    assert set(first) == {"stacks.npy", "index.parquet", "start_hours.csv", "histograms.json"}


@pytest.mark.parametrize("simulated", [True, False])
def test_the_folder_says_what_it_was_made_by(tmp_path: Path, small, simulated: bool) -> None:
    study = Study(tmp_path, small(), simulated)
    study.run()
    assert read_json(study.folder / "histograms.json", "", "") == {
        "simulated": simulated,
        "floor_cm": [284 * 10 / 57, 290 * 10 / 57],
        "classes": dump(study.params)["classes"],
        "stops": dump(study.params.stops),
        "histograms": dump(study.params.histograms),
        "quality": dump(study.params.quality),
        **{key: {} for key in ("left_out", "kept", "warned", "unlisted", "never_detected")},
        "tracking": {
            name: {"ok": 4 * (name == "AM"), "warn": 0, "fail": 0, "detected": 0.0 if name == "AM" else None}
            for name in study.params.classes
        },
        "excluded": [],
        "starts": [],
        "revision": 1,
        "inputs": {"stops": digest(study.stops_folder / "stops.json")},
        "outputs": {name: digest(study.folder / name) for name in ("stacks.npy", "index.parquet", "start_hours.csv")},
    }


SHORT = "26.9 s long, 89.7 % of the 30 s that are counted"


def spoil(study: Study, name: str) -> None:
    """Make a recording fail a check."""
    path = study.stops_folder / "quality.parquet"
    mine = pl.col("recording") == name
    columns = {"verdict": "fail", "failed": "animal 2: detection 33.3 %"}
    spoilt = [pl.when(mine).then(pl.lit(value)).otherwise(pl.col(key)).alias(key) for key, value in columns.items()]
    QUALITY.write(QUALITY.read(path).with_columns(spoilt), path)
    study.seal()


def test_a_recording_that_fails_a_check_is_left_out_and_it_is_said(study: Study, caplog) -> None:
    study.one_cage()
    spoil(study, "r1")
    assert study.run()["recording"].to_list() == ["r2", "r2"]
    assert load(study.folder, study.params)[0].shape[0] == 2
    reason = "animal 2: detection 33.3 %"
    assert caplog.messages[0] == f"r1: left out of training: {reason} (quality.on_fail: keep would keep it)"
    assert read_json(study.folder / "histograms.json", "", "")["left_out"] == {"r1": reason}


def test_a_recording_that_fails_a_check_may_be_kept(study: Study, caplog) -> None:
    spoil(study, "r1")
    assert study.run(study.keeping)["recording"].to_list() == ["r1"] * 2 + ["r2"] * 2
    assert caplog.messages[0] == "r1: kept, though it fails: animal 2: detection 33.3 %"
    assert read_json(study.folder / "histograms.json", "", "")["left_out"] == {}


def test_a_study_of_which_nothing_is_left_is_told(study: Study) -> None:
    spoil(study, "r1")
    spoil(study, "r2")
    assert told(DataError, study.run) == (
        "quality: expected a recording that fails no check, found 2 that do, as r1: animal 2: detection 33.3 %; look "
        "at histograms.intervals, data/stops/quality.parquet and the limits in params.yaml's section quality",
    )


def test_recordings_judged_by_other_limits_are_refused_with_what_differs(study: Study) -> None:
    other = study.params.quality.model_copy(update={"detected_fail": 0.25})
    assert told(DataError, study.run, study.params.model_copy(update={"quality": other})) == (
        f"{study.stops_folder}: expected recordings judged by params.yaml's detected_fail, found detected_fail 0.5; "
        "run `lmtcnn stops` again",
    )


def test_samples_are_tabulated_by_the_clock_hour_of_the_start(study: Study) -> None:
    study.run()
    assert (study.folder / "start_hours.csv").read_text() == "hour,timezone,AM,JM,AF,JF\n8,UTC,4,0,0,0\n"


def test_a_recording_whose_animals_changed_must_be_read_again(study: Study) -> None:
    """Its verdict was that of other animals."""
    del study.recordings[0].samples["r1b"]
    assert told(DataError, study.run) == (
        f"{study.stops_folder}: r1: expected stops by the manifest's animals, files and arena columns, found others; "
        "run `lmtcnn stops` again",
    )


def test_where_one_cage_is_left_it_is_said_why(study: Study) -> None:
    spoil(study, "r1")
    assert told(DataError, study.run) == (
        "quality: expected recordings of two cages or more that fail no check, found only c2 when those that fail are "
        "left out: r1; look at them with `lmtcnn inspect`, or keep them with quality.on_fail: keep",
    )


def test_more_stops_in_a_tile_than_a_number_can_hold_are_refused(study: Study) -> None:
    study.write(lambda name, animal: [(0.0, 1.0, 1.0)] * (65_536 if (name, animal) == ("r2", 1) else 65_535))
    assert told(DataError, study.run) == (
        "r2, r2b: expected at most 65535 stops in a tile and interval, found 65536; shorten histograms.interval_s",
    )
    assert list(study.folder.iterdir()) == []


def test_recordings_with_more_than_half_of_their_stops_late_are_all_named(study: Study) -> None:
    study.write(lambda name, animal: [(0.0, 1.0, 1.0), (31.0, 1.0, 1.0), (32.0, 1.0, 1.0)])
    found = f"expected stops within 3 intervals of 10 s, found 4 of 6 beyond; {CUT}"
    assert told(DataError, study.run) == (f"r1: {found}", f"r2: {found}")
    assert list(study.folder.iterdir()) == []


def test_a_recording_that_is_short_and_a_sample_that_is_empty_are_warned_of(study: Study, caplog) -> None:
    """Three intervals of 10 s are 30 s, of which r1 has 26.9 s and r2 27 s."""
    study.write(lambda name, animal: [(0.0, 1.0, 1.0)] * (2 - animal))
    study.last(r1=26.9, r2=27.0)
    study.run(study.keeping)
    assert caplog.messages == [
        f"r1: kept, though it fails: {SHORT}",
        "r1, r1a: no stop that is counted: an empty sample",
        "r2, r2a: no stop that is counted: an empty sample",
    ]
    made = read_json(study.folder / "histograms.json", "", "")
    assert made["kept"] == {"r1": SHORT}
    assert made["warned"] == {name: f"{name}a: no stop that is counted" for name in ("r1", "r2")}


def test_a_recording_that_is_short_is_left_out_as_predict_refuses_it(study: Study, caplog) -> None:
    """The same share decides, and the same words tell it."""
    study.one_cage()
    study.last(r1=26.9, r2=27.0)
    assert study.run()["recording"].to_list() == ["r2", "r2"]
    assert caplog.messages == [f"r1: left out of training: {SHORT} (quality.on_fail: keep would keep it)"]
    assert read_json(study.folder / "histograms.json", "", "")["left_out"] == {"r1": SHORT}
    half = study.params.quality.model_copy(update={"least_share": 0.5})
    assert study.run(study.params.model_copy(update={"quality": half})).height == 4


def test_a_recording_that_is_short_and_fails_is_told_with_both(study: Study) -> None:
    study.one_cage()
    study.last(r1=15.0, r2=30.0)
    spoil(study, "r1")
    study.run()
    assert read_json(study.folder / "histograms.json", "", "")["left_out"] == {
        "r1": "animal 2: detection 33.3 %; 15 s long, 50 % of the 30 s that are counted"
    }


def test_what_is_odd_about_the_recordings_is_written_for_the_page_and_the_run(study: Study, caplog) -> None:
    path = study.stops_folder / "quality.parquet"
    changes = {"verdict": "warn", "warned": "TIMESTAMP jumps 2 steps", "unlisted": "r1c; animal 7", "n_detected": 75}
    table = QUALITY.read(path).with_columns(n_unpaused=100, n_detected=100)
    mine = [pl.when(recording="r1").then(pl.lit(value)).otherwise(key).alias(key) for key, value in changes.items()]
    QUALITY.write(table.with_columns(mine).cast(dict(QUALITY.columns)), path)
    study.seal()
    study.last(r2=60.0)
    study.run()
    made = read_json(study.folder / "histograms.json", "", "")
    long = "60 s long, T = 3 intervals are 30 s: the rest is left out"
    assert made["warned"] == {"r1": "TIMESTAMP jumps 2 steps", "r2": long}
    assert made["unlisted"] == {"r1": "r1c; animal 7"}
    assert made["tracking"]["AM"] == {"ok": 2, "warn": 2, "fail": 0, "detected": 0.875}
    assert made["tracking"]["JF"] == {"ok": 0, "warn": 0, "fail": 0, "detected": None}
    assert caplog.messages == ["to be looked at, the report says why: r1, r2"]


def test_a_class_of_which_no_sample_is_left_is_told(study: Study, caplog) -> None:
    study.one_cage()
    for rfid, sample in study.recordings[1].samples.items():
        study.recordings[1].samples[rfid] = replace(sample, class_name="AF")
    study.last(r2=15.0)
    study.run()
    assert caplog.messages[1] == "class AF: no sample is left when recordings that fail are left out"


# ---- Cutting on purpose ----------------------------------------------------------------------------------------------


DAY_AND_NIGHT = [(3600.0 * hour + 60, 1.0, 1.0) for hour in range(48)]
"""A stop in each of two days' hours; a Study begins at 08:00 UTC."""


@pytest.fixture
def two_days(tmp_path: Path, small) -> Callable[..., tuple[list[int], pl.DataFrame]]:
    """The intervals in which a stop of the first sample is counted, and the index, by one parameter or more."""

    def run(recording: dict[str, Any] | None = None, **values: object) -> tuple[list[int], pl.DataFrame]:
        study = Study(tmp_path / "study", small(**{"intervals": 48, "interval_s": 3600, **values}))
        study.recordings[0] = replace(study.recordings[0], **(recording or {}))
        study.write(lambda name, animal: DAY_AND_NIGHT)
        study.last(r1=48 * 3600.0, r2=48 * 3600.0)
        index = study.run()
        stacks, _ = load(study.folder, study.params)
        assert len(stacks[0]) == len(study.params.histograms.counted)
        counted = index["n_stops"] - index["n_late"] - index["n_cut"]
        assert stacks.sum(axis=(1, 2, 3)).tolist() == counted.to_list()
        return np.flatnonzero(stacks[0].sum(axis=(1, 2))).tolist(), index

    return run


@pytest.mark.parametrize(
    ("values", "hours", "late", "cut"),
    [
        ({}, range(48), 0, 0),
        ({"window": [0, 24]}, range(24), 0, 24),  # the first day
        ({"window": [24, 48]}, range(24), 0, 24),  # the last day, from 0 in the stack
        ({"intervals": 20, "late": "cut"}, range(20), 28, 0),
        ({"intervals": 20, "window": [4, 6], "late": "cut"}, range(2), 28, 18),
        ({"only": "night"}, [*range(12, 24), *range(36, 48)], 0, 24),  # from 20:00 to 08:00
        ({"only": "day"}, [*range(12), *range(24, 36)], 0, 24),
        ({"only": "night", "night": ["01:00", "03:00"]}, [17, 18, 41, 42], 0, 44),
        ({"only": "night", "timezone": "Europe/Paris"}, [*range(10, 22), *range(34, 46)], 0, 24),
        ({"only": "night", "window": [24, 48]}, range(12, 24), 0, 36),
        ({"only": "night", "align": "20:00", "late": "cut"}, [*range(24, 36)], 12, 24),
    ],
)
def test_one_line_of_params_says_what_is_counted(two_days, values: dict, hours: Any, late: int, cut: int) -> None:
    found, index = two_days(**values)
    assert found == list(hours)
    assert index.row(0, named=True).items() >= {"n_stops": 48, "n_late": late, "n_cut": cut}.items()


def test_the_night_is_that_of_the_recording_where_the_manifest_says_so(two_days) -> None:
    """At 08:00 UTC it is 17:00 in Tokyo; in its room it is dark from 18:00 to 20:00."""
    found, index = two_days({"timezone": "Asia/Tokyo", "night": ("18:00", "20:00")}, only="night")
    assert found == [1, 2, 25, 26]
    assert index["n_cut"].to_list() == [44, 44, 24, 24]


def test_the_night_follows_the_clock_on_the_wall_when_that_is_changed(small) -> None:
    """On 2024-10-27 at 01:00 UTC a clock in Paris goes back from 03:00 to 02:00: that hour is there twice."""
    night = {"only": "night", "night": ["02:00", "03:00"], "timezone": "Europe/Paris"}
    params = small(interval_s=1800, intervals=8, **night)
    stops = stops_of(*[(1800.0 * k, 1.0, 1.0) for k in range(8)])
    midnight_ms = 1_729_980_000_000  # 2024-10-26 22:00 UTC, 00:00 in Paris
    recording = Recording("r", (Path("r.sqlite"),), params.stops.arena)
    counts = stack_for(recording, stops, midnight_ms, params.histograms).counts
    assert np.flatnonzero(counts.sum(axis=(1, 2))).tolist() == [4, 5, 6, 7]


@given(rows=STOPS_ANYWHERE, outside=st.sampled_from(["clip", "drop"]), first=st.integers(0, 2), data=st.data())
def test_in_any_window_every_stop_is_counted_or_named(small, rows: list, outside: str, first: int, data: Any) -> None:
    end = data.draw(st.integers(first + 1, 3))
    chosen = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))), np.bool_)
    settings = small(outside=outside, window=[first, end]).histograms
    stack = stack_of(stops_of(*rows), FLOOR, settings, chosen=chosen)
    dropped = stack.n_outside if outside == "drop" else 0
    assert stack.counts.shape == (end - first, 5, 5)
    assert stack.counts.sum() == stack.n_stops - stack.n_late - stack.n_cut - dropped
    assert stack.n_late == stack_of(stops_of(*rows), FLOOR, small(outside=outside).histograms).n_late


def test_stops_of_another_floor_or_of_other_files_are_refused(study: Study) -> None:
    arena = study.params.stops.arena.model_copy(update={"x_px": 100.0})
    study.recordings[0] = replace(study.recordings[0], arena=arena)
    study.recordings[1] = replace(study.recordings[1], files=(Path("r2.sqlite"), Path("r3.sqlite")))
    assert told(DataError, study.run) == tuple(
        f"{study.stops_folder}: {name}: expected stops by the manifest's animals, files and arena columns, found "
        "others; run `lmtcnn stops` again"
        for name in ("r1", "r2")
    )


def test_stops_made_by_other_parameters_are_refused_with_what_differs(study: Study, change) -> None:
    using = change(**{"stops.max_gap_frames": 15, "stops.fps": 25})
    assert told(DataError, study.run, using) == (
        f"{study.stops_folder}: expected stops by params.yaml's fps, max_gap_frames, "
        "found fps 30.0, max_gap_frames 90; run `lmtcnn stops` again",
    )


def test_samples_without_stops_are_all_named(study: Study) -> None:
    study.recordings[0].samples["new"] = replace(study.recordings[0].samples["r1a"], rfid="new")
    other = {"r3a": Sample("r3", "r3a", "c3", {"sex": "M", "age": "adult"}, "AM")}
    study.recordings.append(Recording("r3", (Path("r3.sqlite"),), study.params.stops.arena, samples=other))
    assert told(DataError, study.run) == (
        f"{study.stops_folder}: expected stops of r1, new, found none; run `lmtcnn stops` again",
        f"{study.stops_folder}: expected stops of r3, r3a, found none; run `lmtcnn stops` again",
    )


def test_a_stop_table_that_is_missing_is_named(study: Study) -> None:
    path = study.stops_folder / "r2.parquet"
    path.unlink()
    assert told(DataError, study.run) == (f"{path}: expected a file, found none; run `lmtcnn stops` again",)


def test_a_folder_of_stops_that_was_not_finished_is_refused(study: Study) -> None:
    path = study.stops_folder / "stops.json"
    path.unlink()
    assert told(DataError, study.run) == (
        f"{path}: expected what the stop tables were made by, found no file; run `lmtcnn stops` first",
    )


def test_stacks_that_are_missing_damaged_or_of_another_shape_are_told(study: Study, small) -> None:
    study.run()
    path = study.folder / "stacks.npy"
    assert told(DataError, load, study.folder, small(tiles=6)) == (
        f"{study.folder}: expected histograms.tiles 6, found 5; run `lmtcnn histograms` again",
    )
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"x")
    listed, found = (hashlib.sha256(text).hexdigest()[:12] for text in (content, content[:-1] + b"x"))
    assert told(DataError, load, study.folder, study.params) == (
        f"{path}: expected what its record lists (sha256 {listed}), found another file (sha256 {found}); "
        "run `lmtcnn histograms` again",
    )
    path.unlink()
    assert told(DataError, load, study.folder, study.params) == (
        f"{path}: expected a file, found none; run `lmtcnn histograms` again",
    )
