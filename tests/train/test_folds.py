"""Leave one cage out."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import told
from lmtcnn.core.errors import CohortError
from lmtcnn.core.names import ONE_CAGE
from lmtcnn.train.folds import cages_of


@given(homes=st.dictionaries(st.text(min_size=1), st.sampled_from(["a", "b", "c"]), min_size=1), data=st.data())
def test_every_sample_is_held_out_exactly_once(homes: dict[str, str], data) -> None:
    """Animals at one age or at several; each fold holds out the samples of its cage."""
    rfids = [rfid for rfid in homes for _ in range(data.draw(st.integers(1, 3)))]
    cages = [homes[rfid] for rfid in rfids]
    if len(set(cages)) < 2:
        return
    folds = cages_of(cages, rfids)
    held_out = Counter(i for fold in folds for i, cage in enumerate(cages) if cage == fold)
    assert held_out == Counter(range(len(rfids)))
    assert list(folds) == sorted(set(cages))


def test_an_animal_in_two_cages_is_told_with_each_of_them() -> None:
    assert told(CohortError, cages_of, ["c2", "c1", "c1", "c3", "c4"], ["2", "2", "1", "1", "3"]) == (
        f"animal 1: expected one cage, found c1, c3; {ONE_CAGE}",
        f"animal 2: expected one cage, found c1, c2; {ONE_CAGE}",
    )


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_cages_are_told(n: int) -> None:
    assert told(CohortError, cages_of, ["c1"] * n, ["1"] * n) == (
        f"cohort: expected two cages or more, found {n}; add recordings of another cage",
    )


def test_a_cage_with_the_name_of_no_cage_is_told() -> None:
    assert told(CohortError, cages_of, ["all", "c1"], ["1", "2"]) == (
        "cage all: expected another name, found the word for no cage held out; rename the cage",
    )
