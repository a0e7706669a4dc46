"""params.yaml as a whole: loaded, checked, and flat as MLflow shows it.

All that is wrong is reported at once: missing and unknown keys, wrong types, values out of range or at odds.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import AliasEvent

from lmtcnn.core import names
from lmtcnn.core.errors import ParamsError, problem, system_words
from lmtcnn.core.kinds import Label, LabelValues
from lmtcnn.core.sections import (
    CohortParams,
    EvaluateParams,
    ExplainParams,
    HistogramsParams,
    QualityParams,
    RegisterParams,
    ReportParams,
    Section,
    SimulateParams,
    StopsParams,
    TrainParams,
    ZoneParams,
    dump,
)

SIMULATED_COHORT = Path("data/simulate")
"""Where the stage `simulate` writes."""

FILE = Path("params.yaml")
"""The parameter file of the study in the current folder."""

PAPER_LR, PAPER_INTERVAL_S = 0.001, 3600
"""The paper's learning rate, and the length of the intervals for which it is meant."""

MAX_RATE = 10
"""A step of training that is more than this many times the paper's is asked about."""

S = TypeVar("S", bound=Section)

PAPER_CLASSES: dict[str, dict[str, str | tuple[str, ...]]] = {
    "AM": {"sex": "M", "age": "adult"},
    "JM": {"sex": "M", "age": "juvenile"},
    "AF": {"sex": "F", "age": "adult"},
    "JF": {"sex": "F", "age": "juvenile"},
}
"""The four classes of the paper."""


class Definitions(Section):
    """The parameters that judge a recording and turn it into labelled stacks; a bundle carries them."""

    classes: dict[Label, dict[Label, LabelValues]] = Field(default=PAPER_CLASSES, min_length=2)
    stops: StopsParams = StopsParams()
    histograms: HistogramsParams = HistogramsParams()
    quality: QualityParams = QualityParams()

    @model_validator(mode="after")
    def _labelled(self) -> "Definitions":
        if not all(self.classes):
            raise ValueError("classes: a name for every class")
        if not all(self.classes.values()):
            raise ValueError("classes: a label column and its value for every class")
        if not all(self.labels) or not all(value for _, value in names.label_values(self.classes)):
            raise ValueError("classes: a name for every label column, and for each of its values")
        if taken := [label for label in self.labels if names.is_ours(label)]:
            raise ValueError(f"classes: label columns of your own, found {', '.join(taken)}, of another meaning")
        if names.HOUR in self.classes:
            raise ValueError(f"classes: another name, found {names.HOUR}, of another meaning")
        if shared := next(names.clashes(self.classes), None):
            raise ValueError(f"classes: names that differ, also where signs become _, found {shared}")
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """The label columns, in the order in which the classes name them."""
        return tuple(dict.fromkeys(label for labels in self.classes.values() for label in labels))


class Params(Definitions):
    """The whole of params.yaml."""

    def with_simulate(self, **values: int | None) -> "Params":
        """Return these parameters with other values in simulate; None leaves one as it is."""
        given = {key: value for key, value in values.items() if value is not None}
        return self.model_copy(update={"simulate": self.simulate.model_copy(update=given)})

    @property
    def simulates(self) -> bool:
        """Whether the study's recordings are those that the stage `simulate` writes."""
        return Path(self.cohort.databases) == SIMULATED_COHORT

    @property
    def doubts(self) -> list[str]:
        """A line for each value that looks as if it was forgotten when others were changed; nothing is refused for it.

        The counts in an interval grow with its length, and a step of training with the counts: rates are compared as
        lr * interval_s.
        """
        lines = []
        lr = 0.0 if self.train.lr == "auto" else float(self.train.lr)
        rate = lr * self.histograms.interval_s / (PAPER_LR * PAPER_INTERVAL_S)
        if rate > MAX_RATE:
            lines.append(
                f"train.lr {lr:g} with intervals of {self.histograms.interval_s:g} s is {rate:.3g} times "
                f"the paper's {PAPER_LR:g} with {PAPER_INTERVAL_S} s: is it the demo's? Recordings of real length: "
                f"{PAPER_LR:g}"
            )
        if self.simulates and self.simulate.seconds_per_hour != self.histograms.interval_s:
            lines.append(
                f"simulate.seconds_per_hour is {self.simulate.seconds_per_hour:g}, histograms.interval_s "
                f"{self.histograms.interval_s:g}: an interval is not an hour of the simulated recordings"
            )
        return lines

    @property
    def furniture(self) -> dict[str, dict[str, Any]]:
        """Return what stands in the cage, by name, as drawings take it."""
        return {name: zone.place for name, zone in self.zones.items()}

    cohort: CohortParams = CohortParams()
    zones: dict[str, ZoneParams] = Field(default={})
    simulate: SimulateParams = SimulateParams()
    train: TrainParams = TrainParams()
    evaluate: EvaluateParams = EvaluateParams()
    explain: ExplainParams = ExplainParams()
    register_: RegisterParams = Field(default=RegisterParams(), alias="register")
    report: ReportParams = ReportParams()

    @model_validator(mode="after")
    def _consistent(self) -> "Params":
        if self.histograms.tiles < self.train.pool:
            raise ValueError("train.pool: a pool no larger than histograms.tiles")
        if self.explain.seed not in self.train.seeds:
            raise ValueError("explain.seed: one of train.seeds")
        return self


def load(path: Path = FILE, *, needs_file: bool = False) -> Params:
    """Read a parameter file.

    Parameters
    ----------
    path
        The file. Where the default one, params.yaml in the current folder, is not there, the paper's values hold.
    needs_file
        Raise for a missing default file, too: for the stages, which work on a study in the current folder.

    Returns
    -------
    Params
        All parameters.

    Raises
    ------
    ParamsError
        Names every unknown or missing key, wrong type and value out of range.
    """
    if path == FILE and not needs_file and not path.exists():
        return Params()
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        do = "run in a study's folder, begin one with `lmtcnn init`, or name a file with --params"
        raise ParamsError(problem(path, "a parameter file", "none", do)) from None
    except (OSError, UnicodeDecodeError) as error:
        found = "bytes that are not UTF-8" if isinstance(error, ValueError) else system_words(error)
        raise ParamsError(problem(path, "a readable parameter file", found, "check the file")) from error
    try:
        raw = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError) as error:  # ValueError: a date such as 2024-13-45
        mark = getattr(error, "problem_mark", None)
        place = f"{path}, line {mark.line + 1}" if mark else str(path)
        said = getattr(error, "problem", None) or str(error).splitlines()[0]
        found = said.partition("but found ")[2] or said.removeprefix("found ")  # "expected ..., but found ..."
        raise ParamsError(problem(place, "YAML", found, "correct the file")) from error
    if not isinstance(raw, Mapping):
        found = "nothing" if raw is None else f"a {type(raw).__name__}"
        raise ParamsError(problem(path, "sections such as `stops:`", found, "correct the file"))
    if "compressed" not in raw and (lines := _anchors(text, path)):  # that of an older file is told by `parse`
        raise ParamsError(lines)
    return parse(raw, str(path))


def _anchors(text: str, path: Path) -> list[str]:
    """A line for each anchor and alias of a parameter file that is YAML.

    `dvc exp run -S` writes over an anchor and moves it to its first alias, which keeps the old value: an experiment
    would be listed with a parameter that it did not have. So both are refused, whatever they bear.
    """
    do = "write the value itself in every place: `dvc exp run -S` changes an anchor and not what bears its value"
    return [
        problem(f"{path}, line {event.start_mark.line + 1}", "a value", f"the {kind} {mark}{event.anchor}", do)
        for event in YAML(typ="safe", pure=True).parse(text)
        if getattr(event, "anchor", None)
        for kind, mark in [("alias", "*") if isinstance(event, AliasEvent) else ("anchor", "&")]
    ]


def parse(raw: Mapping[str, Any], where: str) -> Params:
    """Check a mapping as read from YAML or JSON; `where` names its origin in messages."""
    return _validate(Params, raw, where)


def parse_section(section: type[S], raw: Mapping[str, Any], where: str) -> S:
    """Check one section, such as the preprocessing that a bundle carries."""
    return _validate(section, raw, where)


def flat(section: Section, prefix: str = "") -> dict[str, Any]:
    """A section with dotted keys, as MLflow shows parameters: `train.lr`."""
    found: dict[str, Any] = {}

    def visit(value: Any, key: str) -> None:
        if isinstance(value, Mapping):
            for name, inner in value.items():
                visit(inner, f"{key}.{name}" if key else str(name))
        else:
            found[key] = value

    visit(dump(section), prefix)
    return found


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _frozen(inner) for key, inner in value.items()}
    return tuple(_frozen(inner) for inner in value) if isinstance(value, list) else value


_MISSING = object()
"""In place of a value that a file lacks: no field takes it."""


def _marked(section: type[Section], raw: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a section of a file, with _MISSING where one is lacking, so that no default takes its place."""
    found = {str(key): value for key, value in raw.items()}
    for name, field in section.model_fields.items():
        key, default = field.alias or name, field.default
        if key not in found and default is not None and not field.is_required():  # a zone's shapes default to None
            found[key] = _MISSING
        elif isinstance(default, Section) and isinstance(found[key], Mapping):
            found[key] = _marked(type(default), found[key])
    return found


def _validate(section: type[S], raw: Mapping[str, Any], where: str) -> S:
    try:
        return section.model_validate(_marked(section, _frozen(raw)))
    except ValidationError as error:
        raise ParamsError([_line(where, dict(item)) for item in error.errors()]) from None


_EXPECTED = {
    "model_type": "a section of keys",
    "dict_type": "a mapping",
    "tuple_type": "a list",
    "too_short": "{min_length} or more",
}
"""Our words where pydantic's speak of Python."""


def _line(where: str, item: dict[str, Any]) -> str:
    key = ".".join(str(part) for part in item["loc"])
    kind, found = str(item["type"]), repr(item["input"])
    if kind == "extra_forbidden" and key == "compressed":
        do = "write simulate.seconds_per_hour, histograms.interval_s and train.lr themselves, and remove `compressed`"
        return problem(f"{where}: {key}", "no such section", "that of an older lmtcnn", do)
    if kind == "extra_forbidden":
        return problem(f"{where}: {key}", "a known key", "an unknown one", "remove it or correct its spelling")
    if kind == "missing" or item["input"] is _MISSING:
        return problem(f"{where}: {key}", "a value", "none", "add the key")
    if kind == "value_error":
        expected = str(item["ctx"]["error"])
        if not key:  # a check across sections names its key itself
            key, _, expected = expected.partition(": ")
            expected, _, found = expected.partition(", found ")
            return problem(f"{where}: {key}", expected, found or "something else", "correct the value")
        name, _, rest = expected.partition(": ")
        if rest:  # a check across the keys of a section names the one it is about
            key, expected, found = f"{key}.{name}", rest, repr(item["input"][name])
    elif kind in _EXPECTED:
        expected = _EXPECTED[kind].format(**item.get("ctx", {}))
    else:
        message = str(item["msg"]).removeprefix("Input should be ")
        expected = message[0].lower() + message[1:]
    return problem(f"{where}: {key}", expected, found, "correct the value")
