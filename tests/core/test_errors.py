"""The exceptions and the one form of their messages."""

import pickle

import pytest

from lmtcnn.core import errors
from lmtcnn.core.errors import BatchError, DatabaseError, DataError, LmtcnnError, problem

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, LmtcnnError)]


def test_a_problem_says_where_what_was_expected_what_was_found_and_what_to_do() -> None:
    told = problem("a.sqlite", "a database", "a folder", "check the path")
    assert told == "a.sqlite: expected a database, found a folder; check the path"


def test_an_error_of_one_line_has_one_line() -> None:
    assert LmtcnnError("one: line").lines == ("one: line",)


def test_an_error_prints_one_line_a_problem() -> None:
    assert str(LmtcnnError(["first", "second"])) == "first\nsecond"


def test_a_batch_tells_the_lines_of_all_its_errors_in_order() -> None:
    assert BatchError([DatabaseError(["a", "b"]), "c", DataError("d")]).lines == ("a", "b", "c", "d")


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_crosses_processes_whole(kind: type[LmtcnnError]) -> None:
    again = pickle.loads(pickle.dumps(kind(["first", "second"])))  # noqa: S301 - bytes of our own
    assert (type(again), again.lines, str(again)) == (kind, ("first", "second"), "first\nsecond")


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = {line.split()[1] for line in errors.__doc__.splitlines() if line.startswith(("├── ", "└── "))}
    assert drawn == {kind.__name__ for kind in KINDS} - {"LmtcnnError"}
