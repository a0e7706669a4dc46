"""Numbers as the page writes them."""

import pytest

from lmtcnn.report.words import between, figure_of_merit, interval_of, listed, probability, sentence, share, spread


def test_shares_and_intervals_are_percentages_and_blank_where_unknown() -> None:
    assert (share(0.7714), share(None)) == ("77.1%", "")
    assert (between(0.651, 0.809), between(None, 0.8)) == ("65% to 81%", "")
    assert interval_of({"accuracy_low": 0.5, "accuracy_high": 0.75}, "accuracy") == "50% to 75%"
    assert interval_of({"accuracy_low": 0.5}, "accuracy") == ""


@pytest.mark.parametrize(("p", "words"), [(0.5, "p 0.5"), (0.0123, "p 0.012"), (0.00001, "p < 0.0001"), (None, "")])
def test_a_p_has_two_digits(p: float | None, words: str) -> None:
    assert probability(p) == words


def test_a_figure_of_merit_is_a_share_or_a_number() -> None:
    assert figure_of_merit("brier", 0.3571) == "0.357"
    assert figure_of_merit("accuracy", 0.3571) == "35.7%"
    assert figure_of_merit("mcc", None) == ""


def test_a_spread_is_blank_where_nothing_was_measured() -> None:
    assert spread({"median": 12345.0, "lowest": 0.5, "highest": 7.0}) == "12,345 (0.5 to 7)"
    assert spread({"median": None, "lowest": None, "highest": None}) == ""
    assert spread(None) == ""


def test_words_become_sentences_and_lists() -> None:
    assert sentence("the hour tells the age") == "The hour tells the age."
    assert sentence("AM is never predicted.") == "AM is never predicted."
    assert sentence(" ") == ""
    assert [listed(list(each)) for each in ("", "a", "ab", "abc")] == ["", "a", "a and b", "a, b and c"]
