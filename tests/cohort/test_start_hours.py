"""Whether the clock tells the class."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lmtcnn.cohort import start_hours
from lmtcnn.cohort.recording import Recording, Sample
from lmtcnn.core.params import Params

CLASSES = {("M", "adult"): "AM", ("M", "juvenile"): "JM", ("F", "adult"): "AF", ("F", "juvenile"): "JF"}


def cohort(start_h: Callable[[int, str], float], cages: int = 12) -> tuple[list[Sample], dict[str, float]]:
    """Cages of four mice of one sex, recorded at two ages, and when: a function of cage and age."""
    samples, starts_s = [], {}
    for cage in range(cages):
        sex = "MF"[cage % 2]
        for age in ("adult", "juvenile"):
            name = f"{cage}{age}"
            starts_s[name] = 3600 * start_h(cage, age) % 86_400
            labels = {"sex": sex, "age": age}
            samples += [Sample(name, f"{cage}{i}", f"c{cage}", labels, CLASSES[sex, age]) for i in range(4)]
    return samples, starts_s


def test_an_age_that_has_hours_of_its_own_is_told_by_them(params: Params) -> None:
    """Juveniles begin from 9:00 on, adults from 21:00 on: none at the same minute."""
    samples, starts_s = cohort(lambda cage, age: 9 + cage / 8 + 12 * (age == "adult"))
    ages = [sample.labels["age"] for sample in samples]
    found = start_hours.tell(samples, ages, starts_s)
    assert found is not None
    assert (found.accuracy, found.p) == (1.0, 0.0005)
    assert found.chance == pytest.approx(0.5, abs=0.05)
    lines = start_hours.warnings(samples, starts_s, params)
    assert lines[-1] == (
        f"the hour at which recordings start tells the age of 100% of samples, by chance {found.chance:.0%} "
        "(p 0.0005): what the network learns may be the clock"
    )


def test_hours_that_have_nothing_to_do_with_the_class_are_not_spoken_of(params: Params) -> None:
    samples, starts_s = cohort(lambda cage, age: 9 + (7 * cage + 5 * (age == "adult")) % 12)
    assert start_hours.warnings(samples, starts_s, params) == []


def test_one_hour_for_all_tells_nothing(params: Params) -> None:
    samples, starts_s = cohort(lambda cage, age: 10)
    assert start_hours.warnings(samples, starts_s, params) == []
    ages = [sample.labels["age"] for sample in samples]
    assert start_hours.tell(samples, ages, starts_s).p == 1.0


def test_the_day_is_a_circle() -> None:
    """An adult at 23:50 is nearer to one at 0:10 than to the juveniles of 22:00."""
    starts = {"a1": 23 + 5 / 6, "j1": 22.0, "a2": 1 / 6, "j2": 22.1}
    samples = [Sample(name, name, f"c{name[1]}", {}, "AM") for name in starts]
    starts_s = {name: 3600 * hour for name, hour in starts.items()}
    assert start_hours.tell(samples, ["adult", "juvenile"] * 2, starts_s).accuracy == 1.0


def test_a_cage_s_own_recordings_tell_nothing_of_it() -> None:
    """Each cage has its own hour at both ages: its sex is known only from itself."""
    samples, starts_s = cohort(lambda cage, age: 2 * cage)
    found = start_hours.tell(samples, [sample.labels["sex"] for sample in samples], starts_s)
    assert found.accuracy == 0.0


@pytest.mark.parametrize("values", [["M"] * 16, ["M", "F"] * 8], ids=["one value", "one cage"])
def test_where_there_is_nothing_to_tell_nothing_is_asked(values: list[str]) -> None:
    samples, starts_s = cohort(lambda cage, age: cage, cages=1 if "F" in values else 2)
    assert start_hours.tell(samples, values[: len(samples)], starts_s) is None


def test_the_limit_is_that_of_the_parameters(change: Callable[..., Params]) -> None:
    samples, starts_s = cohort(lambda cage, age: 9 + cage / 8 + 12 * (age == "adult"))
    assert start_hours.warnings(samples, starts_s, change(**{"quality.start_hour_p": 0.0001})) == []


def test_samples_are_tabulated_by_class_and_clock_hour(params: Params) -> None:
    samples, starts_s = cohort(lambda cage, age: 9.5 if age == "adult" else 22, cages=3)
    recordings = [Recording(name, (), params.stops.arena) for name in starts_s]
    table = start_hours.tabulate(samples, recordings, starts_s, params)
    assert table.columns == ["hour", "timezone", "AM", "JM", "AF", "JF"]
    assert table.rows() == [(9, "UTC", 8, 0, 4, 0), (22, "UTC", 0, 8, 0, 4)]


def test_hours_of_two_time_zones_are_told_apart(params: Params) -> None:
    """The first cage was recorded in Paris, the others where the study says."""
    samples, starts_s = cohort(lambda cage, age: 9.5 if age == "adult" else 22, cages=3)
    recordings = [
        Recording(name, (), params.stops.arena, "Europe/Paris" if name.startswith("0") else None) for name in starts_s
    ]
    assert start_hours.tabulate(samples, recordings, starts_s, params).rows() == [
        (9, "Europe/Paris", 4, 0, 0, 0),
        (9, "UTC", 4, 0, 4, 0),
        (22, "Europe/Paris", 0, 4, 0, 0),
        (22, "UTC", 0, 4, 0, 4),
    ]


@pytest.mark.parametrize(("zone", "expected"), [(None, 22.0), ("Europe/Paris", 23.0), ("Asia/Kolkata", 3.5)])
def test_the_clock_is_that_of_the_recording_s_time_zone(params: Params, zone: str | None, expected: float) -> None:
    recording = Recording("r", (Path("r.sqlite"),), params.stops.arena, zone)
    assert start_hours.clock_s(recording, 1_700_000_000_000, params) // 1800 / 2 == expected
