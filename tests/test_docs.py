"""Documentation that cannot go stale: tables, links, commands and keys are those of the code."""

import importlib.util
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ruamel.yaml import YAML
from typer.main import get_command
from typer.testing import CliRunner

from conftest import ROOT
from lmtcnn.cli import app

OF_STUDIES = sorted((ROOT / "src" / "lmtcnn" / "study").glob("*.md"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "mlops" / "README.md", *OF_STUDIES]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


def load_tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tables", ROOT / "docs" / "tables.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["tables"] = module
    spec.loader.exec_module(module)
    return module


tables = load_tables()
COMMANDS: dict[str, Any] = {" ".join(path): command for path, command in tables.walk(get_command(app))}


def code_lines(text: str) -> list[str]:
    """Lines of code blocks, indented or fenced; output stands in blocks of `text`."""
    fence, found = "", []
    for line in text.splitlines():
        if line.startswith("```"):
            fence = "" if fence else line
        elif fence != "```text" if fence else line.startswith("    "):
            found.append(line.strip())
    return found


def called(line: str) -> list[list[str]]:
    """Arguments of every call of lmtcnn in a line of a shell, `&&` between them and a comment behind."""
    words = shlex.split(line, comments=True)
    calls: list[list[str]] = [[]]
    for word in words:
        if word in ("&&", ";", "|"):
            calls.append([])
        else:
            calls[-1].append(word)
    return [call[1:] for call in calls if call[:1] == ["lmtcnn"]]


def parse(arguments: list[str]) -> str:
    """The command that these arguments call, if the command line takes them; nothing is run."""
    group: Any = get_command(app)
    path = []
    while hasattr(group, "commands"):
        path.append(arguments.pop(0))
        assert path[-1] in group.commands, f"no command {' '.join(path)}"
        group = group.commands[path[-1]]
    group.make_context(path[-1], arguments)
    return " ".join(path)


# ---- Tables ----------------------------------------------------------------------------------------------------------


def test_the_tables_are_those_of_the_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert tables.main(["--check"]) == 0, capsys.readouterr().out


def copies(folder: Path) -> Path:
    for name in ("README.md", "docs/parameters.md", "docs/faults.md", "params.yaml", "dvc.yaml", "data/dvc.yaml"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text((ROOT / name).read_text())
    return folder


def test_a_stale_table_is_named_and_written_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = copies(tmp_path)
    (root / "params.yaml").write_text((root / "params.yaml").read_text().replace("epochs: 20 ", "epochs: 21 "))
    before = (root / "docs" / "parameters.md").read_text()
    assert tables.main(["--check"], root) == 1
    assert capsys.readouterr().out.startswith("docs/parameters.md: ")
    assert (root / "docs" / "parameters.md").read_text() == before
    assert tables.main([], root) == 0
    assert "| `train.epochs` | `21` |" in (root / "docs" / "parameters.md").read_text()
    assert tables.main(["--check"], root) == 0


def test_a_mark_that_is_lacking_is_an_error(tmp_path: Path) -> None:
    root = copies(tmp_path)
    (root / "docs" / "parameters.md").write_text("# Parameters\n")
    with pytest.raises(ValueError, match="<!-- parameters -->"):
        tables.files(root)


def rows(source: str) -> list[str]:
    return [line for line in tables.parameters(source).splitlines() if line.startswith("| `")]


def test_every_key_of_the_parameter_file_has_a_row() -> None:
    source = (ROOT / "params.yaml").read_text()
    found = {row.split("`")[1] for row in rows(source)}
    for section, keys in YAML(typ="safe", pure=True).load(source).items():
        assert {f"{section}.{key}" for key in keys} - found <= {
            f"{section}.{key}" for key, value in keys.items() if isinstance(value, dict | list)
        }
        assert any(row == section or row.startswith(f"{section}.") for row in found)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a:\n  b: 1  # one [ours]\n", ["| `a.b` | `1` | one [ours] |"]),
        ("a:\n  b: 1\n", ["| `a.b` | `1` | |"]),
        ("a:\n  b: '#x'  # one # two\n", ["| `a.b` | `'#x'` | one # two |"]),
        ("a:\n  b: x#y\n", ["| `a.b` | `x#y` | |"]),
        ("a:\n  b: p|q  # *, <x> | y\n", ["| `a.b` | `p\\|q` | \\*, \\<x> \\| y |"]),
        (
            "a:\n  b: 1  # one\n        # and more\n  # of c\n  c: 2\n",
            ["| `a.b` | `1` | one and more |", "| `a.c` | `2` | of c |"],
        ),
        ("a:\n  b: 1\n\n# ---- Next ----\nc: {d: 2}  # all\n", ["| `a.b` | `1` | |", "| `c` | `{d: 2}` | all |"]),
        (
            "a:\n  b:  # group\n    c: {x: 1, y: [2, 3]}  # inner\n",
            ["| `a.b` | | group |", "| `a.b.c` | `{x: 1, y: [2, 3]}` | inner |"],
        ),
        ("a:\n  b:\n    - 1\n    - '2'\n  c: 3  # c\n", ["| `a.b` | `[1, '2']` | |", "| `a.c` | `3` | c |"]),
        (
            "a:\n  b:\n    - {x: 1}  # first\n    - {x: 2}  # second\n",
            ["| `a.b[0]` | `{x: 1}` | first |", "| `a.b[1]` | `{x: 2}` | second |"],
        ),
        ("a:\n  - b: 1  # one\n    c: 2\n", ["| `a[0].b` | `1` | one |", "| `a[0].c` | `2` | |"]),
        (
            "a:\n  b: {x: 1,  # one\n      y: 2}  # two\n  c: []\n",
            ["| `a.b` | `{x: 1, y: 2}` | one two |", "| `a.c` | `[]` | |"],
        ),
        ("a:\n  b: |\n    # text\n    more\n  c: 2  # c\n", ["| `a.b` | `# text more` | |", "| `a.c` | `2` | c |"]),
        ("a:\n  b:\n  c: ~  # none\n", ["| `a.b` | | |", "| `a.c` | `~` | none |"]),
        ("a: 1  # alone\n", ["| `a` | `1` | alone |"]),
    ],
)
def test_whatever_yaml_holds_has_a_row(source: str, expected: list[str]) -> None:
    assert rows(source) == expected


def test_what_is_said_of_a_section_stands_above_its_table() -> None:
    text = tables.parameters("# File\n\n# ---- Heading ---\n# Of a,\n# all.\na:  # beside\n  b: 1\n")
    assert text.startswith("## a\n\nOf a, all. beside\n\n| key |")
    assert tables.parameters("# above\na:  # beside\n  b: 1\n").startswith("## a\n\nabove; beside\n\n")


def test_stages_with_other_parameter_files_and_shared_folders() -> None:
    outs = "outs: [d/e: {cache: false}, d/f, g]"
    stage = f"stages: {{s: {{cmd: [x, y], params: [a, {{p.yaml: [b], q.yaml: }}], {outs}}}}}"
    assert tables.stages([stage]).splitlines()[-1] == (
        "| `s` | | `x`<br>`y` | `a`, `p.yaml: b`, `q.yaml: all` | `d/e`, `f`, `g` |"
    )


LATER = {"quality.on_fail", "quality.least_share", "quality.start_hour_p"}


def test_every_limit_of_quality_is_one_of_a_check(params) -> None:
    """All but what is made of a recording later: its length, what becomes of it, the hour of the start."""
    named = {key for keys in tables.LIMITS.values() for key in keys}
    limits = {f"quality.{key}" for key in params.quality.model_dump()} - LATER
    assert limits == {key for key in named if key.startswith("quality.")}
    assert {check.name for check in tables.example(params)} == set(tables.LIMITS)


def test_a_definition_says_what_is_counted_and_when_it_warns_and_fails() -> None:
    definition = (
        "rows, by 0 ms at most, of all; from 1 %: warn; from 2 %: fail, and so on; below 0: fail; none: not fitted"
    )
    assert tables.split(definition) == ("rows, of all; none: not fitted", "from 1 %", "from 2 %, and so on; below 0")


def test_the_page_of_faults_names_every_scene_and_no_other() -> None:
    scenes = re.findall(r"^def (test_\w+)", (ROOT / "tests" / "test_faults.py").read_text(), re.MULTILINE)
    named = re.findall(r"`(test_\w+)`", (ROOT / "docs" / "faults.md").read_text())
    assert sorted(named) == sorted(scenes)


# ---- Commands --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example_that_the_command_line_takes(name: str) -> None:
    shown = CliRunner(env={"COLUMNS": "300", "TERMINAL_WIDTH": "300"}).invoke(app, [*name.split(), "--help"])
    assert shown.exit_code == 0
    examples = re.findall(r"^\s*Example: (lmtcnn .*?)\s*$", shown.output, re.MULTILINE)
    assert examples
    for example in examples:
        assert [parse(arguments) for arguments in called(example)] == [name]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_command_on_a_page_is_one_that_the_command_line_takes(page: Path) -> None:
    for line in code_lines(page.read_text()):
        if line.startswith("lmtcnn ") or "&& lmtcnn " in line:
            for arguments in called(line):
                parse(arguments)


# ---- Links and names -------------------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_relative_links_and_pictures_exist(page: Path) -> None:
    text = page.read_text()
    links = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"(?:src|href)=\"([^\"]+)\"", text)
    for link in links:
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_keys_and_defaults_that_a_page_names_are_in_the_parameter_file(page: Path) -> None:
    yaml = YAML(typ="safe", pure=True)
    raw = yaml.load((ROOT / "params.yaml").read_text())
    suffixes = ("csv", "parquet", "json", "npy", "png", "html", "py", "sqlite", "safetensors")
    for section, keys, default in re.findall(r"`([a-z_]+)\.([a-z_.]+)(?:: ([^`]+))?`", page.read_text()):
        if section not in raw or keys in suffixes:
            continue
        value = raw[section]
        for key in keys.split("."):
            assert key in value, f"{section}.{keys}"
            value = value[key]
        assert not default or yaml.load(default) == value, f"{section}.{keys}"
