"""The network's permutation test: when it stops, what it says, and that it takes no work twice."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import told
from lmtcnn.core.errors import ParamsError
from lmtcnn.core.params import Params
from lmtcnn.evaluate import network_null
from lmtcnn.evaluate.arrangements import Arrangements
from lmtcnn.evaluate.design import Design
from lmtcnn.evaluate.network_null import Outcome, content, figures, metrics, network_tests, sequential
from lmtcnn.histograms import record
from lmtcnn.train.fitting import Study, load_study


@pytest.mark.parametrize(
    ("null", "expected"),
    [
        ([], (1.0, 0, 0)),
        ([0.4, 0.2], (1 / 3, 2, 0)),
        ([0.6, 0.2, 0.5], (3 / 4, 3, 2)),
        ([0.6, 0.2, 0.5, 0.1, 0.9, 0.9], (3 / 5, 5, 3)),  # the third as good is the fifth
        ([0.6, 0.6, 0.6], (1.0, 3, 3)),
    ],
)
def test_p_is_that_of_besag_and_clifford(null: list[float], expected: tuple[float, int, int]) -> None:
    assert sequential(0.5, np.array(null), enough=3) == pytest.approx(expected)


@given(null=st.lists(st.sampled_from([0.0, 0.5, 1.0]), max_size=60), more=st.lists(st.just(1.0), max_size=9))
def test_what_was_looked_at_after_it_stopped_does_not_matter(null: list[float], more: list[float]) -> None:
    before = sequential(0.5, np.array(null))
    if before[2] == network_null.ENOUGH:
        assert sequential(0.5, np.array(null + more)) == before


def test_under_the_null_p_is_at_most_a_in_a_share_a_of_tests() -> None:
    """Statistics in random order, the observed one among them; 99 arrangements, h = 10."""
    rng = np.random.default_rng(0)
    p = np.array([sequential(all_[0], all_[1:])[0] for all_ in rng.random((4000, 100))])
    for a in (0.01, 0.05, 0.1, 0.2, 0.5):
        assert (p <= a).mean() < a + 3 * np.sqrt(a * (1 - a) / len(p))
    assert (p <= 0.2).mean() > 0.15


def test_a_column_s_statistic_adds_the_probabilities_of_its_classes() -> None:
    """Two columns of two values; each class alone is less probable than JF, but M has more than half."""
    made = Arrangements({"sex": np.array([[0, 1]]), "age": np.array([[0, 1]])}, False)
    p = np.array([[[0.3, 0.3, 0.0, 0.4], [0.3, 0.3, 0.0, 0.4]]])  # M adult, M juvenile, F adult, F juvenile
    labels = made.joint
    assert labels.tolist() == [[0, 3]]
    assert figures(made, "sex", labels, p) == (pytest.approx([0.5]), pytest.approx([0.5]))
    assert figures(made, "age", labels, p) == (pytest.approx([0.5]), pytest.approx([0.5]))
    sure = np.array([[[0.4, 0.35, 0.0, 0.25], [0.35, 0.0, 0.4, 0.25]]])
    assert figures(made, "sex", labels, sure) == (pytest.approx([1.0]), pytest.approx([0.5]))


@pytest.fixture
def scene(trained: Path, tiny: Params, tmp_path: Path, change) -> tuple[Study, Design, Path, Params]:
    (tmp_path / "histograms").symlink_to(trained / "histograms")
    stacks, index = record.load(trained / "histograms", tiny)
    columns = {name: index[name].to_list() for name in tiny.labels}
    design = Design(columns, index["cage"].to_list(), index["recording"].to_list(), index["animal"].to_list())
    evaluate = tiny.evaluate.model_copy(update={"permutations": 12})
    params = tiny.model_copy(update={"evaluate": evaluate})
    return load_study(stacks, index, params), design, tmp_path, params


def test_every_column_is_tested_and_then_all_together_and_nothing_is_trained_twice(scene, monkeypatch, caplog) -> None:
    study, design, data, params = scene
    caplog.set_level("INFO", "lmtcnn")
    found = network_tests(study, design, data, params)
    assert list(found) == [*params.labels, "joint"]
    assert any("about" in line and "minutes" in line for line in caplog.messages)
    for name, outcome in found.items():
        if outcome.refused:
            assert outcome.refused == design.refused(name)
            continue
        assert outcome.used <= min(12, design.distinct(name) - 1) or outcome.used == 12
        expected = 10 / outcome.used if outcome.reached == 10 else (1 + outcome.reached) / (1 + outcome.used)
        assert outcome.p == pytest.approx(expected)
        assert 0 <= outcome.null_mean <= 1
        assert 0 <= outcome.chance <= 1

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr("lmtcnn.train.permuted.fit", forbidden)
    again = network_tests(study, design, data, params)
    assert {name: vars(outcome) for name, outcome in again.items() if not outcome.refused} == {
        name: vars(outcome) for name, outcome in found.items() if not outcome.refused
    }


def test_renaming_the_labels_changes_no_figure(scene) -> None:
    study, design, data, params = scene
    swapped = {name: [{"M": "F", "F": "M"}.get(v, v) for v in
                      [design.names[name][c] for c in codes]] for name, codes in design.columns.items()}  # fmt: skip
    other = Design(
        swapped, *([str(n) for n in numbers] for numbers in (design.cages, design.recordings, design.animals))
    )
    one = network_tests(study, design, data, params)
    renamed = network_tests(study, other, data, params)
    assert {n: (o.observed, o.p, o.null_mean) for n, o in one.items() if not o.refused} == {
        n: (o.observed, o.p, o.null_mean) for n, o in renamed.items() if not o.refused
    }


def test_rates_that_would_be_chosen_anew_are_refused(scene) -> None:
    study, design, data, params = scene
    auto = params.model_copy(update={"train": params.train.model_copy(update={"lr": "auto"})})
    assert told(ParamsError, network_tests, study, design, data, auto) == (
        "evaluate.permutations: expected a rate in train.lr, found auto; write a rate, or evaluate.permutations: 0",
    )


def test_metrics_and_statistics_say_what_came_out_and_what_was_refused() -> None:
    nothing = float("nan")
    tested = Outcome(0.75, 0.7, 0.04, 24, 0, 0.5, 0.2)
    outcomes = {"sex": tested, "age": Outcome(nothing, nothing, 1.0, 0, 0, nothing, nothing, "for a reason")}
    assert metrics(outcomes) == {"p_network_sex": 0.04, "chance_network": 0.2}
    assert metrics({}) == {}
    said = content(outcomes)
    assert said["sex"] == vars(tested)
    assert said["age"]["observed"] is None
    assert said["age"]["refused"] == "for a reason"
