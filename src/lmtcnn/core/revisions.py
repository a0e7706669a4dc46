"""Revisions: a number for each stage, raised by hand when its results change, and the ones that a study was made with.

DVC reruns a stage when revisions.yaml or its parameters change, and not because a line of the program was reworded.
Whether results have moved without a new revision is seen to by golden digests in tests/test_revisions.py.
"""

from collections.abc import Mapping
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from lmtcnn.core.errors import ParamsError, problem, system_words
from lmtcnn.core.files import write_text

REVISIONS = {
    "simulate": 2,
    "stops": 1,
    "histograms": 2,
    "train": 2,
    "evaluate": 3,
    "explain": 3,
    "register": 2,
    "report": 4,
}
"""The revision of each stage, in the order of the stages."""

FILE = Path("revisions.yaml")
"""The revisions of the study in the current folder."""

PIPELINE = "dvc.yaml"
"""The stages of a study, beside its revisions."""

_HEAD = """\
# By which revision of each stage this study's results are made. A program in which a stage's results changed has
# another one: it stops with a line that says so, and `lmtcnn upgrade` writes its own here, so that `dvc repro` reruns
# the stage.
"""


def read(path: Path = FILE) -> dict[str, int]:
    """Read the revisions of a study; none where it has no such file.

    Raises
    ------
    ParamsError
        Where the file is no list of stages and whole numbers.
    """
    try:
        found = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise ParamsError(problem(path, "revisions of stages", system_words(error), "run `lmtcnn upgrade`")) from error
    if not isinstance(found, Mapping) or not all(type(value) is int for value in found.values()):
        expected = "a line such as `stops: 1` for each stage"
        raise ParamsError(problem(path, expected, "something else", "run `lmtcnn upgrade`"))
    return {str(name): value for name, value in found.items()}


def check(path: Path = FILE) -> None:
    """Raise ParamsError, in one line, where a study was made with other revisions than those of this program.

    A study of a program that had no revisions yet, which has a dvc.yaml and no such file, is one of them. A folder with
    neither is no study, and asked nothing.
    """
    if not path.exists() and path.with_name(PIPELINE).is_file():
        do = "run `lmtcnn upgrade`, then `dvc repro`, which reruns all stages"
        raise ParamsError(problem(path, "this program's revisions", "no file, as in studies of older programs", do))
    if (found := read(path)) and (others := _others(found)):
        names = ", ".join(others)
        expected = ", ".join(f"{name} {REVISIONS[name]}" for name in others)
        was = ", ".join(f"{name} {found.get(name, 'none')}" for name in others)
        do = f"run `lmtcnn upgrade`, then `dvc repro`, which reruns {names} and what comes after"
        raise ParamsError(problem(path, f"this program's revisions, {expected}", was, do))


def upgrade(path: Path = FILE) -> list[str]:
    """Write this program's revisions for a study; return the stages whose results will be made again for it."""
    try:
        found = read(path)
    except ParamsError:
        found = {}
    others = _others(found)
    if others or not found:
        write_text(path, _HEAD + "".join(f"{name}: {number}\n" for name, number in REVISIONS.items()))
    return others


def _others(found: Mapping[str, int]) -> list[str]:
    return [name for name, number in REVISIONS.items() if found.get(name) != number]
