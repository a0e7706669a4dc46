"""The house keeps its own rules."""

import ast
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from conftest import ROOT

SRC = ROOT / "src" / "lmtcnn"
STAGES = ("simulate", "stops", "histograms", "train", "evaluate", "explain", "register", "report")

REGISTER = {f"register.{name}" for name in ("register", "lookup", "upload", "history", "served")}
ROOMS = {p.name for p in SRC.iterdir() if p.is_dir() and not p.name.startswith("__")}


def modules() -> dict[str, ast.Module]:
    """Every module by its name inside of the package, `stops.bouts`."""
    files = [p for p in SRC.rglob("*.py") if p.stem != "__init__"]
    return {".".join(p.relative_to(SRC).with_suffix("").parts): ast.parse(p.read_text()) for p in files}


def third_parties(tree: ast.AST) -> set[str]:
    names = [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
    names += [n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module]
    return {name.split(".")[0] for name in names}


def pipeline() -> dict[str, dict]:
    found: dict[str, dict] = {}
    for path in (ROOT / "data" / "dvc.yaml", ROOT / "dvc.yaml"):
        found |= YAML(typ="safe").load(path.read_text())["stages"]
    return found


@pytest.mark.parametrize(
    ("package", "rooms"),
    [
        ("sqlite3", {"lmt.lmt", "simulate.recorder"}),
        ("mlflow", {"tracking.client", "tracking.runs", "tracking.tracking", *REGISTER}),
        (
            "matplotlib",
            {f"figures.{name}" for name in ("figures", "floor", "places", "times", "uses", "animal", "paper")},
        ),
        ("scipy", {"evaluate.intervals", "explain.contrasts"}),
        ("sklearn", {"evaluate.baselines", "evaluate.metrics"}),
        ("dvc", {"study.study"}),
        ("typer", {"cli.app", "cli.recordings", "cli.study", "cli.models"}),
        ("rich", {"cli.progress", "cli.show", "cli.inspections"}),
    ],
)
def test_a_package_is_known_only_where_it_belongs(package: str, rooms: set[str]) -> None:
    """Named ever so late, inside a function, too; who may know whom among the rooms is `lint-imports`' to say."""
    assert {name for name, tree in modules().items() if package in third_parties(tree)} <= rooms


@pytest.mark.parametrize(("module", "users"), [("cells", {"lmt.trees", "lmt.source"}), ("trees", {"lmt.source"})])
def test_pages_of_databases_are_read_through_one_door(module: str, users: set[str]) -> None:
    name = f"lmtcnn.lmt.{module}"
    nodes = ((user, node) for user, tree in modules().items() for node in ast.walk(tree))
    assert {user for user, node in nodes if isinstance(node, ast.ImportFrom) and node.module == name} == users


def test_only_the_command_line_prints() -> None:
    printing = {
        name
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    }
    assert {name.partition(".")[0] for name in printing} == {"cli"}


def test_stage_command_section_folder_module_and_test_bear_one_name() -> None:
    stages = pipeline()
    assert set(stages) == set(STAGES)
    sections = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    themes = [modules()[f"cli.{theme}"].body for theme in ("recordings", "study", "models")]
    commands = {node.name for body in themes for node in body if isinstance(node, ast.FunctionDef)}
    for name in STAGES:
        assert stages[name]["cmd"] == f"lmtcnn {name}"
        assert name in sections
        assert name in commands
        assert f"/data/{name}/" in ignored
        assert (SRC / name / f"{name}.py").is_file()
        assert (ROOT / "tests" / name / f"test_{name}.py").is_file()
        listed = [*stages[name].get("outs", []), *stages[name].get("metrics", [])]
        outs = [out if isinstance(out, str) else next(iter(out)) for out in listed]
        assert all(out == f"data/{name}" or out.startswith(f"data/{name}/") for out in outs)


def test_every_module_has_a_test_file_in_the_folder_of_its_room() -> None:
    there = {p.relative_to(ROOT / "tests").as_posix() for p in (ROOT / "tests").rglob("test_*.py")}
    assert [name for name in modules() if "{}/test_{}.py".format(*name.split(".")) not in there] == []


def test_every_room_says_what_it_is() -> None:
    assert all(ast.get_docstring(ast.parse((SRC / room / "__init__.py").read_text())) for room in ROOMS)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_its_revision_and_on_no_line_of_the_program(stage: str) -> None:
    found = pipeline()[stage]
    assert {"revisions.yaml": [stage]} in found["params"]
    assert not [dep for dep in found.get("deps", []) if dep.startswith("src/")]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_describes_itself(stage: str) -> None:
    assert pipeline()[stage]["desc"]


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    heavy = "torch polars mlflow sklearn matplotlib numpy pydantic pyarrow"
    code = (
        "import sys, lmtcnn.cli\n"
        "sys.argv = ['lmtcnn', '--help']\n"
        "try: lmtcnn.cli.main()\n"
        "except SystemExit: pass\n"
        f"print(sorted(set('{heavy}'.split()) & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert "predict" in done.stdout
    # Processor time: the clock on the wall also counts the neighbours. On a slow machine bare Python is slow as well.
    bare = min(_cpu_s(sys.executable, "-c", "import rich.table, typer") for _ in range(3))
    shown = min(_cpu_s(str(Path(sys.executable).with_name("lmtcnn")), "--help") for _ in range(5))
    assert shown < max(0.3, 2.5 * bare)


def _cpu_s(*command: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def test_constraints_pin_every_dependency_exactly() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(line.count("==") == 1 for line in lines)
    assert "torch==2.13.0" in lines
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(d for extra in project["optional-dependencies"].values() for d in extra)]
    names = {line.split("==")[0].lower().replace("_", "-") for line in lines}
    bare = {name.split(">")[0].split("[")[0].lower() for name in wanted} - {"lmtcnn"}
    assert bare - names == set()
