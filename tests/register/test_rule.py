"""The rule is a function of a file, and a file without it is told."""

from pathlib import Path
from typing import Any

import pytest

import study
from lmtcnn.core.errors import ParamsError
from lmtcnn.register.rule import load_rule


def rule(text: str) -> Any:
    Path("rule.py").write_text(text)
    return study.small_params(register__promotion="rule.py")


def test_a_missing_rule_is_told(nowhere: Path) -> None:
    with pytest.raises(ParamsError) as error:
        load_rule("mlops/none.py")
    assert str(error.value) == (
        "register.promotion: mlops/none.py: expected a Python file with a function `decide`, found no file; "
        "correct the path in params.yaml"
    )


def test_a_rule_without_decide_is_told(nowhere: Path) -> None:
    rule("def choose(): ...\n")
    with pytest.raises(ParamsError) as error:
        load_rule("rule.py")
    assert str(error.value) == (
        "register.promotion: rule.py: expected a Python file with a function `decide`, found no `decide` in it; "
        "write one, as in mlops/README.md"
    )


def test_a_rule_that_takes_something_else_is_told(nowhere: Path) -> None:
    rule("def decide(candidate): ...\n")
    with pytest.raises(ParamsError) as error:
        load_rule("rule.py")
    assert str(error.value) == (
        "register.promotion: rule.py: expected `decide(candidate, champion, limits)`, found `decide(candidate)`; "
        "write it as in mlops/README.md"
    )


def test_the_rule_of_the_current_folder_comes_before_that_of_the_project(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule("def decide(candidate, champion):\n    return True, 'of the project'\n")
    (nowhere / "copy").mkdir()
    monkeypatch.chdir(nowhere / "copy")
    assert load_rule("rule.py")({}, None, {}) == (True, "of the project")
    rule("def decide(candidate, champion):\n    return True, 'of the copy'\n")
    assert load_rule("rule.py")({}, None, {}) == (True, "of the copy")
