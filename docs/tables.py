"""Tables of commands, stages, parameters and quality checks, made from the code, between marks in the Markdown files.

    python docs/tables.py            # writes them anew
    python docs/tables.py --check    # exit code 1 where a file differs

Commands come from the command line's own tree, stages from the two dvc.yaml, parameters from params.yaml, checks from
`lmtcnn.stops.quality`, with the sources that params.yaml gives of their limits. Comments of params.yaml are taken from
the line of their key.
"""

import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from typer.main import get_command

from lmtcnn.cli import app
from lmtcnn.core.params import Params, load
from lmtcnn.core.schemas import COVERAGE, QUALITY
from lmtcnn.stops import quality

ROOT = Path(__file__).resolve().parent.parent


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    """Write every file that differs, or only name it."""
    stale = {path: new for path, new in files(root).items() if path.read_text(encoding="utf-8") != new}
    for path, new in stale.items():
        if "--check" in arguments:
            print(f"{path.relative_to(root)}: its tables are not those of the code; run `python docs/tables.py`")
        else:
            path.write_text(new, encoding="utf-8")
            print(path.relative_to(root))
    return int("--check" in arguments and bool(stale))


def files(root: Path = ROOT) -> dict[Path, str]:
    """Every file that has tables, as it should be."""
    pipelines = [(root / name).read_text(encoding="utf-8") for name in ("data/dvc.yaml", "dvc.yaml")]
    source = (root / "params.yaml").read_text(encoding="utf-8")
    tables = {
        "README.md": {"commands": commands(get_command(app)), "stages": stages(pipelines)},
        "docs/parameters.md": {"parameters": parameters(source)},
        "docs/faults.md": {"checks": checks(load(root / "params.yaml"), source)},
    }
    found = {}
    for name, parts in tables.items():
        text = (root / name).read_text(encoding="utf-8")
        for mark, body in parts.items():
            text = fill(text, mark, body)
        found[root / name] = text
    return found


def fill(text: str, mark: str, body: str) -> str:
    """Put `body` between `<!-- mark -->` and `<!-- /mark -->`, which must be there once."""
    between = re.compile(rf"(?<=<!-- {mark} -->\n).*?(?=<!-- /{mark} -->)", re.DOTALL)
    new, n = between.subn(lambda _: f"\n{body}\n\n", text)
    if n != 1:
        raise ValueError(f"expected <!-- {mark} --> ... <!-- /{mark} --> once, found it {n} times")
    return new


# ---- Commands --------------------------------------------------------------------------------------------------------


def commands(group: Any) -> str:
    """A row for each command: its name, the first line of its help, its examples."""
    rows = []
    for path, command in walk(group):
        said = [line.strip() for line in (command.help or "").splitlines()] or [""]
        examples = [line.removeprefix("Example: ") for line in said if line.startswith("Example: ")]
        rows.append([code(f"lmtcnn {' '.join(path)}"), cell(said[0]), "<br>".join(map(code, examples))])
    return table(["command", "what it does", "example"], rows)


def walk(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command below a group, with the words that call it; what --help hides is left out."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from walk(command, (*path, name))
        elif not command.hidden:
            yield (*path, name), command


# ---- Stages ----------------------------------------------------------------------------------------------------------


def stages(pipelines: Iterable[str]) -> str:
    """A row for each stage of some dvc.yaml."""
    rows = []
    for pipeline in pipelines:
        for name, stage in YAML(typ="safe", pure=True).load(pipeline)["stages"].items():
            called = stage["cmd"] if isinstance(stage["cmd"], list) else [stage["cmd"]]
            listed = [out for kind in ("outs", "metrics", "plots") for out in stage.get(kind, [])]
            outs = [out if isinstance(out, str) else next(iter(out)) for out in listed]
            keys = [key for entry in stage.get("params", []) for key in params_of(entry)]
            row = [code(name), cell(stage.get("desc", "")), "<br>".join(map(code, called))]
            rows.append([*row, ", ".join(map(code, keys)), ", ".join(map(code, shortened(outs)))])
    return table(["stage", "what it does", "command", "depends on, in params.yaml", "writes"], rows)


def params_of(entry: Any) -> list[str]:
    """Keys of one entry of `params`: a name, or a mapping from a file to its keys; not the stage's own revision."""
    if isinstance(entry, str):
        return [entry]
    others = {file: keys for file, keys in entry.items() if file != "revisions.yaml"}
    return [f"{file}: {key}" for file, keys in others.items() for key in keys or ["all"]]


def shortened(paths: Iterable[str]) -> Iterator[str]:
    """Paths, without the folder where it is that of the path before."""
    before = ""
    for path in paths:
        folder, _, name = path.rpartition("/")
        yield name if folder and folder == before else path
        before = folder


# ---- Parameters ------------------------------------------------------------------------------------------------------


class Entry(NamedTuple):
    """A key of params.yaml; `default` is empty where only keys below it have values."""

    path: str
    default: str
    said: str


def parameters(source: str) -> str:
    """A heading and a table for each section, with what its comments say."""
    yaml = Source(source)
    parts = []
    for key, value in yaml.root.value:
        above, *entries = yaml.section(key, value)
        paragraph = textwrap.fill(above.said.replace("<", "\\<"), 120, break_long_words=False, break_on_hyphens=False)
        rows = [[code(entry.path), code(entry.default), cell(entry.said)] for entry in entries]
        parts += [
            f"## {key.value}",
            *([paragraph] if above.said else []),
            table(["key", "default", "what it is"], rows),
        ]
    return "\n\n".join(parts)


class Source:
    """params.yaml as nodes that know their lines, and the comments of these lines."""

    def __init__(self, text: str) -> None:
        self.root: Any = YAML(typ="safe", pure=True).compose(text)
        self._lines = text.splitlines()
        self._inside: list[tuple[tuple[int, int], tuple[int, int]]] = []  # from where to where scalars reach
        self._visit(self.root)

    def section(self, key: Node, value: Node) -> Iterator[Entry]:
        """What is said of a section as a whole, then its keys."""
        said = [self._above(key), *(self._beside(key, key) if _is_block(value) else [])]
        yield Entry(key.value, "", _joined(said))
        if _is_block(value):
            for path, anchor, inner in _children(key.value, value):
                yield from self._entries(path, anchor, inner)
        else:
            yield self._leaf(key.value, key, value, "")

    def _entries(self, path: str, anchor: Node, value: Node) -> Iterator[Entry]:
        """A key and those below it; `anchor` is the node that stands where the key does."""
        above = self._above(anchor)
        plain = isinstance(value, SequenceNode) and not any(
            _is_block(inner) or self._comment(inner.start_mark.line) for inner in value.value
        )
        if not _is_block(value) or plain:
            yield self._leaf(path, anchor, value, above)
            return
        beside = [] if anchor is value else self._beside(anchor, anchor)
        if said := _joined([above, *beside]):
            yield Entry(path, "", said)
        for inner_path, inner_anchor, inner in _children(path, value):
            yield from self._entries(inner_path, inner_anchor, inner)

    def _leaf(self, path: str, anchor: Node, value: Node, above: str) -> Entry:
        return Entry(path, _flow(value), _joined([above, *self._beside(anchor, value)]))

    def _visit(self, node: Any) -> None:
        if isinstance(node, ScalarNode):
            start, end = node.start_mark, node.end_mark
            self._inside.append(((start.line, start.column), (end.line, end.column)))
        for _, anchor, inner in _children("", node):
            if anchor is not inner:
                self._visit(anchor)
            self._visit(inner)

    def _comment(self, line: int) -> tuple[int, str] | None:
        """Column and words of a line's comment: the first # that is in no scalar."""
        if line >= len(self._lines):
            return None
        for match in re.finditer(r"(?:^|(?<=\s))#", self._lines[line]):
            place = (line, match.start())
            if not any(start <= place < end for start, end in self._inside):
                return match.start(), self._lines[line][match.end() :].strip()
        return None

    def _alone(self, line: int) -> tuple[int, str] | None:
        """The comment of a line that holds nothing else."""
        alone = 0 <= line < len(self._lines) and self._lines[line].lstrip().startswith("#")
        return self._comment(line) if alone else None

    def _above(self, anchor: Node) -> str:
        """Comment lines directly above a key, at its own column; headings are none."""
        said: list[str] = []
        line = anchor.start_mark.line - 1
        while (found := self._alone(line)) and found[0] == anchor.start_mark.column and not _is_heading(found[1]):
            said.insert(0, found[1])
            line -= 1
        return " ".join(said)

    def _beside(self, first: Node, last: Node) -> list[str]:
        """Comments beside a key and its value, with the lines that go on below at the same column."""
        said, line, column = [], first.start_mark.line, -1
        while line <= max(first.start_mark.line, _last_line(first, last)):
            if found := self._comment(line):
                column = found[0]
                said.append(found[1])
            line += 1
        while column > first.start_mark.column and (found := self._alone(line)) and found[0] == column:
            said.append(found[1])
            line += 1
        return said


def _children(path: str, node: Node) -> Iterator[tuple[str, Node, Node]]:
    """(path, node that stands where the key does, value) of what a mapping or a list holds."""
    if isinstance(node, MappingNode):
        for key, value in node.value:
            name = key.value if isinstance(key, ScalarNode) else _flow(key)
            yield (f"{path}.{name}" if path else name), key, value
    elif isinstance(node, SequenceNode):
        for number, value in enumerate(node.value):
            yield f"{path}[{number}]", value, value


def _is_block(node: Node) -> bool:
    return isinstance(node, MappingNode | SequenceNode) and not node.flow_style and bool(node.value)


def _is_heading(comment: str) -> bool:
    return comment.startswith("---")


def _last_line(first: Node, node: Any) -> int:
    """The line where a value ends; marks of what has no end of its own point to what comes next."""
    if isinstance(node, ScalarNode) and not (node.value or node.style):
        return int(first.start_mark.line)
    if isinstance(node, ScalarNode) and node.style in ("|", ">"):
        return int(node.end_mark.line) - 1
    if _is_block(node):
        return _last_line(first, node.value[-1] if isinstance(node, SequenceNode) else node.value[-1][1])
    return int(node.end_mark.line)


def _joined(said: Sequence[str]) -> str:
    """What stands above a key, then what stands beside it."""
    above, beside = said[0], " ".join(said[1:])
    between = " " if above.endswith((".", ":", ";")) else "; "
    return f"{above}{between}{beside}" if above and beside else above or beside


def _flow(node: Node) -> str:
    """A value on one line."""
    if isinstance(node, MappingNode):
        return "{" + ", ".join(f"{_flow(key)}: {_flow(value)}" for key, value in node.value) + "}"
    if isinstance(node, SequenceNode):
        return "[" + ", ".join(map(_flow, node.value)) + "]"
    quote = node.style if node.style in ("'", '"') else ""
    return f"{quote}{' '.join(str(node.value).split())}{quote}"


# ---- Quality checks --------------------------------------------------------------------------------------------------

FIXED = "fixed [ours]"
"""A limit of the program, which no key changes."""

LIMITS = {
    "omitted frames": ("quality.omitted_warn", "quality.omitted_fail"),
    "TIMESTAMP back": ("stops.max_clock_back_ms",),
    "TIMESTAMP jumps": (FIXED,),
    "frame rate": (FIXED, "stops.fps"),
    "anonymous detections": ("quality.anonymous_warn", "quality.anonymous_fail"),
    "identity corrected": (FIXED,),
    "temperature, lowest": ("quality.temperature_warn_c", "quality.temperature_fail_c", "quality.temperature_share"),
    "temperature, highest": ("quality.temperature_warn_c", "quality.temperature_fail_c", "quality.temperature_share"),
    "particles": ("quality.max_particles",),
    "no chip read": (FIXED,),
    "detection": ("quality.detected_warn", "quality.detected_fail"),
    "hours of poor detection": ("quality.hour_detected",),
    "flicker": ("quality.flicker_warn", "stops.flicker_top_cm", "stops.flicker_mean_cm"),
    "detections without time": ("quality.untimed_warn", "quality.untimed_fail"),
    "positions off the floor": ("quality.outside_warn", "quality.outside_fail"),
    "stops off the floor": ("quality.outside_warn", "quality.outside_fail"),
}
"""Check -> the keys that hold its limits; their comments tell where these come from."""


def checks(params: Params, source: str) -> str:
    """A row for each quality check: what is counted, when it warns and fails, and where its limits come from."""
    yaml = Source(source)
    said = {entry.path: entry.said for key, value in yaml.root.value for entry in yaml.section(key, value)}
    rows = []
    for check in example(params):
        counted, warns, fails = split(check.definition)
        keys = [key if key == FIXED else f"{code(key)} {origin(said[key])}" for key in LIMITS[check.name]]
        of = "recording" if check.animal_id is None else "animal"
        rows.append([cell(check.name), of, cell(counted), cell(warns), cell(fails), "<br>".join(keys)])
    return table(["check", "of", "what is counted", "warns", "fails", "limits and their sources"], rows)


def example(params: Params) -> list[quality.Check]:
    """Every check, of a recording in which nothing was counted."""
    nothing: dict[str, Any] = {str(pl.String()): "", str(pl.Boolean()): False}
    row = {name: nothing.get(str(kind), 0) for name, kind in QUALITY.columns.items()}
    return quality.check(pl.DataFrame([row], schema=dict(QUALITY.columns)), COVERAGE.empty(), params)


def split(definition: str) -> tuple[str, str, str]:
    """What a definition says is counted, when it warns, and when it fails, without the example's own numbers."""
    parts: dict[str, list[str]] = {"": [], "warn": [], "fail": []}
    for part in re.sub(", by 0 ms at most|, 0 s in all", "", definition).split("; "):
        limit = re.fullmatch(r"(.*): (warn|fail)(, .*)?", part)
        parts[limit[2] if limit else ""].append(limit[1] + (limit[3] or "") if limit else part)
    counted, warns, fails = ("; ".join(found) for found in parts.values())
    return counted, warns, fails


def origin(said: str) -> str:
    """The last words in brackets of a comment: `[ours]`."""
    return re.findall(r"\[[^\]]*\]", said)[-1]


# ---- Markdown --------------------------------------------------------------------------------------------------------


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(row)} |".replace("  |", " |") for row in (head, ["---"] * len(head), *rows))


def code(text: str) -> str:
    """Text as code in a cell; nothing where it is empty."""
    return f"`{text}`".replace("|", "\\|") if text else ""


def cell(text: str) -> str:
    """Words in a cell."""
    return text.replace("|", "\\|").replace("<", "\\<").replace("*", "\\*")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
