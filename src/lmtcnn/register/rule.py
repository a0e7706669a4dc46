"""The rule by which a version becomes champion: a function `decide` in a Python file of the study's."""

import importlib.util
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lmtcnn.core.errors import ParamsError, problem
from lmtcnn.tracking import store

Decide = Callable[[Mapping[str, Any], Mapping[str, Any] | None, Mapping[str, float]], tuple[bool, str]]
"""Facts of the candidate, those of the champion if there is one, and limits -> whether it is promoted, and why."""


def facts(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Choose from a bundle's model.json what the rule is told of a model."""
    return {name: meta[name] for name in ("histograms_digest", "samples", "held_out", "classes", "simulated")}


def load_rule(path: str) -> Decide:
    """`decide` of a Python file, named relative to the current folder or to the project's.

    Raises ParamsError where there is no such file or function.
    """
    file = next((f for f in (Path(path), store.project_root() / path) if f.is_file()), None)
    where, expected = f"register.promotion: {path}", "a Python file with a function `decide`"
    if file is None:
        raise ParamsError(problem(where, expected, "no file", "correct the path in params.yaml"))
    spec = importlib.util.spec_from_file_location("lmtcnn_promotion", file)
    if spec is None or spec.loader is None:
        raise ParamsError(problem(where, expected, "another kind of file", "correct the path in params.yaml"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    decide: Decide | None = getattr(module, "decide", None)
    if not callable(decide):
        raise ParamsError(problem(where, expected, "no `decide` in it", "write one, as in mlops/README.md"))
    if _takes(decide, 2):  # a rule of one's own that needs no limits
        return lambda candidate, champion, limits: decide(candidate, champion)  # type: ignore[call-arg]
    if not _takes(decide, 3):
        expected, found = "`decide(candidate, champion, limits)`", f"`decide{inspect.signature(decide)}`"
        raise ParamsError(problem(where, expected, found, "write it as in mlops/README.md"))
    return decide


def _takes(rule: Callable[..., Any], arguments: int) -> bool:
    try:
        inspect.signature(rule).bind(*range(arguments))
    except TypeError:
        return False
    return True
