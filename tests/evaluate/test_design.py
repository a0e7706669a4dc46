"""Which arrangements a design leaves open, and how many there are."""

import itertools
from collections import Counter

import numpy as np
import pytest

from lmtcnn.evaluate.arrangements import canonical, numbered
from lmtcnn.evaluate.design import JOINT, Design, NotTestableError


def paper(cages: int = 12, starts: bool = True, flipped: tuple[int, ...] = ()) -> Design:
    """Cages of 4 mice of one sex, each recorded as juveniles, then as adults; in `flipped` cages adults come first."""
    rows = [
        (f"c{c:02}", f"c{c:02}_{age}", f"c{c:02}m{m}", "F" if c % 2 else "M", age, order)
        for c in range(cages)
        for order, age in enumerate(("adult", "juvenile") if c in flipped else ("juvenile", "adult"))
        for m in range(4)
    ]
    cage, recording, animal, sex, age, order = zip(*rows, strict=True)
    return Design({"sex": sex, "age": age}, cage, recording, animal, order if starts else None)


def test_twelve_cages_of_two_sexes_have_462_arrangements_up_to_renaming() -> None:
    design = paper()
    assert design.distinct("sex") == 462
    assert design.least_p("sex", 999) == pytest.approx(0.0022, abs=5e-5)
    assert design.distinct("age") == 2**12 / 2
    assert design.least_p("age", 999) == 0.001
    assert design.distinct(JOINT) == 462 * 2048
    assert design.words(JOINT) == "sex: whole cages exchanged; age: the recordings of a cage exchanged"


def test_every_distinct_arrangement_comes_once_and_the_observed_one_never() -> None:
    made = paper().arrangements("sex", 999, 0)
    assert made.exhaustive
    rows = {tuple(row) for row in made.columns["sex"].tolist()}
    assert len(made) == len(rows) == 461
    assert tuple(paper().observed().columns["sex"][0]) not in rows
    assert (made.columns["age"] == paper().observed().columns["age"]).all()


def test_arrangements_keep_what_the_design_keeps() -> None:
    design = paper()
    made = design.arrangements(JOINT, 50, 3)
    assert not made.exhaustive
    for sex, age in zip(made.columns["sex"], made.columns["age"], strict=True):
        assert sorted(Counter(sex.tolist()).values()) == [48, 48]
        for cage in np.unique(design.cages):
            own = design.cages == cage
            assert len(set(sex[own])) == 1
            assert sorted(Counter(age[own].tolist()).values()) == [4, 4]
        for recording in np.unique(design.recordings):
            assert len(set(age[design.recordings == recording])) == 1


def test_chance_draws_are_those_of_the_seed_and_evenly_spread() -> None:
    design = paper(4)  # 3 distinct arrangements of sex, 8 of age
    first, again, other = (design.arrangements("age", 5, seed).columns["age"] for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()
    drawn = Counter(map(tuple, Design._drawn(design, ["age"], 8000, 0)["age"].tolist()))
    assert len(drawn) == 16
    assert min(drawn.values()) > 400
    assert max(drawn.values()) < 600


def test_unequal_numbers_of_cages_rename_nothing() -> None:
    sex = ["M", "M", "F", "F", "F"]
    cages = [f"c{i}" for i in range(5)]
    assert Design({"sex": sex}, cages, cages, cages).distinct("sex") == 10


@pytest.mark.parametrize("values", ["aabbcc", "aabbb", "abcd", "aaabbbcc", "ab"])
def test_the_number_of_distinct_arrangements_is_that_of_a_plain_count(values: str) -> None:
    cages = [f"c{i}" for i in range(len(values))]
    design = Design({"x": list(values)}, cages, cages, cages)
    seen = {tuple(canonical(numbered(order)[None])[0]) for order in itertools.permutations(values)}
    assert design.distinct("x") == len(seen)


def test_a_label_of_animals_stays_with_the_animal_in_all_recordings() -> None:
    rows = [(f"c{c}", f"c{c}r{r}", f"c{c}m{m}", "ko" if m < 2 else "wt") for c in range(3) for r in (0, 1) for m in range(4)]  # fmt: skip # noqa: E501
    cage, recording, animal, genotype = zip(*rows, strict=True)
    design = Design({"genotype": genotype}, cage, recording, animal)
    assert design.exchanges["genotype"].units == "animals"
    assert design.distinct("genotype") == 6**3 / 2
    made = design.arrangements("genotype", 999, 0)
    for row in made.columns["genotype"]:
        for name in np.unique(design.animals):
            assert len(set(row[design.animals == name])) == 1


def test_a_label_that_follows_nothing_is_refused_with_the_reason() -> None:
    design = Design({"x": ["a", "b", "b", "a"]}, ["c"] * 4, ["r1", "r1", "r2", "r2"], ["1", "2", "1", "2"])
    why = "x differs within a recording and within an animal, so that nothing can be exchanged"
    assert design.refused("x") == design.refused(JOINT) == why
    with pytest.raises(NotTestableError, match=why):
        design.arrangements("x", 9, 0)


def test_nothing_to_exchange_is_said() -> None:
    one = Design({"x": ["a", "a"]}, ["c1", "c2"], ["r1", "r2"], ["1", "2"])
    assert one.refused("x") == "x has one value"
    pair = Design({"x": ["a", "b"]}, ["c1", "c2"], ["r1", "r2"], ["1", "2"])
    assert pair.refused("x") == "no other arrangement of x is possible in this design"


def test_a_column_of_one_value_does_not_stand_in_the_way_of_the_others() -> None:
    cages = ["c1", "c2", "c3", "c4"]
    design = Design({"x": list("aabb"), "y": list("zzzz")}, cages, cages, cages)
    assert design.refused(JOINT) == ""
    assert len(design.arrangements(JOINT, 99, 0)) == 2


def test_combinations_that_no_sample_has_are_refused() -> None:
    """Females only as adults: to call a juvenile's cage female would make a class that there is not."""
    rows = [("c1", "M", "adult"), ("c1", "M", "juvenile"), ("c2", "M", "adult"), ("c2", "M", "juvenile")]
    rows += [("c3", "F", "adult"), ("c4", "F", "adult")]
    cage, sex, age = zip(*rows, strict=True)
    design = Design({"sex": sex, "age": age}, cage, [f"{c}{a}" for c, _, a in rows], cage)
    with pytest.raises(NotTestableError, match="a combination of labels that no sample has: sex F, age juvenile"):
        design.arrangements("sex", 99, 0)
    assert len(design.arrangements("age", 99, 0)) == 3


def test_a_column_is_read_back_from_the_combinations() -> None:
    made = paper().arrangements(JOINT, 20, 0)
    joint = made.joint
    assert joint.max() == 3
    for name, codes in made.columns.items():
        assert (made.values_of(joint, name) == codes).all()


def test_an_age_that_always_follows_the_order_of_recording_is_told() -> None:
    assert paper().follows_order("age") is True
    assert paper(flipped=(3,)).follows_order("age") is False
    assert paper(starts=False).follows_order("age") is None
    assert paper().follows_order("sex") is False


def test_strata_are_the_cages_alike_in_labels_of_whole_cages() -> None:
    design = paper(4)
    assert design.strata().tolist() == [0] * 8 + [1] * 8 + [0] * 8 + [1] * 8
    alone = Design({"x": ["a", "b"]}, ["c", "c"], ["r", "s"], ["1", "1"])
    assert alone.strata().tolist() == [0, 0]
