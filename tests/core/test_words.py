"""Words that messages are made of."""

from lmtcnn.core.words import number_of


def test_numbers_of_things_are_told_in_singular_and_plural() -> None:
    assert [number_of(n, "stop") for n in (0, 1, 2)] == ["0 stops", "1 stop", "2 stops"]
    assert [number_of(n, "mouse", "mice") for n in (1, 2)] == ["1 mouse", "2 mice"]
