"""params.yaml: what it says, and what it refuses."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from conftest import ROOT, told
from lmtcnn.core.errors import ParamsError
from lmtcnn.core.params import Definitions, Params, flat, load, parse
from lmtcnn.core.sections import dump

LOST = object()
"""A key that is taken out."""


def changed(params: Params, values: dict[str, object]) -> dict:
    """The values of params.yaml, with some of them changed."""
    raw = dump(params)
    for dotted, value in values.items():
        *sections, key = dotted.split(".")
        place = raw
        for section in sections:
            place = place[section]
        if value is LOST:
            del place[key]
        else:
            place[key] = value
    return raw


def test_the_repository_s_file_loads_with_the_values_of_the_paper(params: Params) -> None:
    assert (params.histograms.intervals, params.histograms.tiles) == (72, 30)
    assert (params.train.kernels, params.train.channels) == ((3, 9), 16)
    assert (params.stops.max_speed_cm_per_s, params.stops.min_duration_s) == (5.0, 1.0)
    assert list(params.classes) == ["AM", "JM", "AF", "JF"]
    assert params.labels == ("sex", "age")


REAL = {
    "cohort.databases": "data/raw",
    "cohort.manifest": "data/cohort.csv",
    "simulate.seconds_per_hour": 3600.0,
    "histograms.interval_s": 3600.0,
    "train.lr": 0.001,
}
"""Values of the repository's file that are the demo's, and what they are for real recordings."""


def test_without_a_file_the_values_are_those_of_the_file_for_real_recordings(params: Params) -> None:
    of_file = {
        key: value for key, value in flat(params).items() if not key.startswith("zones.")
    }  # the demo's furniture
    assert flat(Params()) == of_file | REAL
    assert {key: type(value) for key, value in flat(Params()).items()} == {
        key: type(value) for key, value in of_file.items()
    }
    assert not Params().doubts
    definitions = Definitions()
    assert (definitions.stops, definitions.quality) == (params.stops, params.quality)
    text = (ROOT / "params.yaml").read_text()
    for key, value in REAL.items():
        line = next(line for line in text.splitlines() if line.lstrip().startswith(f"{key.split('.')[1]}: "))
        assert f"{value:g}" in line if isinstance(value, float) else value in line


def test_only_the_default_file_may_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load() == Params()
    assert told(ParamsError, load, Path("params.yaml"), needs_file=True)[0].startswith("params.yaml: expected a param")
    assert told(ParamsError, load, Path("other.yaml"))[0].startswith("other.yaml: expected a parameter file")


@pytest.mark.parametrize("text", ["{}", "stops: {}", "stops: {fps: 30}"])
def test_no_default_takes_the_place_of_what_a_file_lacks(tmp_path: Path, text: str) -> None:
    (tmp_path / "params.yaml").write_text(text)
    lines = told(ParamsError, load, tmp_path / "params.yaml")
    assert f"{tmp_path / 'params.yaml'}: train: expected a value, found none; add the key" in lines
    assert any(": stops.clock: " in line for line in lines) == ("stops" in text)


def written(folder: Path, old: str, new: str) -> Path:
    """params.yaml with some words in place of others, which stand in it once."""
    text = (ROOT / "params.yaml").read_text()
    assert text.count(old) == 1
    (folder / "params.yaml").write_text(text.replace(old, new))
    return folder / "params.yaml"


def test_1e_3_is_a_number(tmp_path: Path) -> None:
    assert load(written(tmp_path, "lr: 0.1 ", "lr: 1e-3 ")).train.lr == 0.001


DO_WRITE = "write the value itself in every place: `dvc exp run -S` changes an anchor and not what bears its value"


@pytest.mark.parametrize(
    ("value", "alias", "found"),
    [
        ("&rate 0.1", "c: *rate", ["anchor &rate", "alias *rate"]),
        ("&rate 0.1", "c: 1.0", ["anchor &rate"]),  # as -S leaves it where it has moved on
        ("!!float &rate 0.1", "c: [*rate, *rate]", ["anchor &rate", "alias *rate", "alias *rate"]),
        ("0.1 # &rate", "c: 1.0", []),
    ],
)
def test_anchors_and_aliases_are_refused_with_their_lines(
    tmp_path: Path, value: str, alias: str, found: list[str]
) -> None:
    path = written(tmp_path, "  lr: 0.1 ", f"  lr: {value} ")
    text = path.read_text()
    path.write_text(text.replace("  svm_c: 1.0 ", f"  svm_{alias} "))
    lines = path.read_text().splitlines()
    at = {
        "anchor": next(n for n, line in enumerate(lines, 1) if line.startswith("  lr: ")),
        "alias": next(n for n, line in enumerate(lines, 1) if line.startswith("  svm_c: ")),
    }
    if found:
        told_lines = [f"{path}, line {at[f.split()[0]]}: expected a value, found the {f}; {DO_WRITE}" for f in found]
        assert list(told(ParamsError, load, path)) == told_lines
    else:
        assert load(path).train.lr == 0.1


def test_merged_sections_are_refused_as_well(tmp_path: Path) -> None:
    path = written(tmp_path, "  AM: {sex: M, age: adult}", "  AM: &male {sex: M, age: adult}")
    path.write_text(path.read_text().replace("  JM: {sex: M, age: juvenile}", "  JM: {<<: *male, age: juvenile}"))
    assert [line.split("found ")[1].split(";")[0] for line in told(ParamsError, load, path)] == [
        "the anchor &male",
        "the alias *male",
    ]


OLD = "simulate:\n  seed: 1"


def test_the_section_compressed_of_older_files_is_told_with_what_to_do(tmp_path: Path) -> None:
    old = f"compressed:\n  lr: &lr 0.1\n\n{OLD}"
    path = written(tmp_path, OLD, old)
    path.write_text(path.read_text().replace("  lr: 0.1  ", "  lr: *lr  "))
    assert told(ParamsError, load, path) == (
        f"{path}: compressed: expected no such section, found that of an older lmtcnn; write "
        "simulate.seconds_per_hour, histograms.interval_s and train.lr themselves, and remove `compressed`",
    )


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("train.lr=0.01", "train.lr", 0.01),
        ("train.seeds=[0,4,7]", "train.seeds", [0, 4, 7]),
        ("histograms.align='20:00'", "histograms.align", "20:00"),
        ("stops.arena.cm_per_px=20/57", "stops.arena.cm_per_px", "20/57"),
        ("classes.AM.age=old", "classes.AM.age", "old"),
    ],
)
def test_dvc_changes_one_value_and_leaves_the_meaning_of_all_others(
    tmp_path: Path, params: Params, override: str, key: str, value: object
) -> None:
    from dvc.utils.hydra import apply_overrides  # what `dvc exp run -S` calls; it takes a while to load

    path = written(tmp_path, "title: Stop maps of mice, by sex and age", "title: Stop maps of mice, by sex and age")
    apply_overrides(path, [override])
    assert load(path) == parse(changed(params, {key: value}), "test")
    assert "[paper]" in path.read_text()  # comments are kept


def test_the_learning_rate_of_the_demo_is_asked_about_where_hours_are_real(params: Params) -> None:
    assert params.doubts == []
    own = {"cohort.databases": "data/raw", "histograms.interval_s": 3600}
    assert parse(changed(params, {**own, "train.lr": 0.001}), "test").doubts == []
    assert parse(changed(params, own), "test").doubts == [
        "train.lr 0.1 with intervals of 3600 s is 100 times the paper's 0.001 with 3600 s: is it the demo's? "
        "Recordings of real length: 0.001"
    ]
    half = {"cohort.databases": "data/raw", "histograms.interval_s": 1800, "train.lr": 0.05}
    assert "is 25 times the paper's" in parse(changed(params, half), "test").doubts[0]


@pytest.mark.parametrize("key", ["histograms.interval_s", "simulate.seconds_per_hour"])
def test_hours_of_the_simulator_that_are_no_intervals_are_told(params: Params, key: str) -> None:
    values = {"simulate.seconds_per_hour": 20, "histograms.interval_s": 20, key: 30}
    assert parse(changed(params, values), "test").doubts == [
        "simulate.seconds_per_hour is {}, histograms.interval_s {}: an interval is not an hour of the simulated "
        "recordings".format(*[values[k] for k in ("simulate.seconds_per_hour", "histograms.interval_s")])
    ]
    assert parse(changed(params, {**values, "cohort.databases": "data/raw"}), "test").doubts == []


def test_what_is_dumped_is_read_again_as_the_same(params: Params) -> None:
    assert parse(dump(params), "test") == params
    assert dump(parse(dump(params), "test")) == dump(params)


def test_the_dump_is_that_of_the_file(params: Params) -> None:
    raw = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text())
    assert dump(params) == raw


def test_flat_keys_are_those_that_mlflow_shows(params: Params) -> None:
    values = flat(params)
    assert values["stops.arena.cm_per_px"] == "10/57"
    assert values["classes.AM.sex"] == "M"
    assert values["register.promotion"] == params.register_.promotion
    assert flat(params.train, "train") == {k: v for k, v in values.items() if k.startswith("train.")}


DO = "correct the value"


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"stops.fsp": 30}, "stops.fsp: expected a known key, found an unknown one; remove it or correct its spelling"),
        ({"sotps": {}}, "sotps: expected a known key, found an unknown one; remove it or correct its spelling"),
        ({"stops.fps": LOST}, "stops.fps: expected a value, found none; add the key"),
        ({"stops.arena": LOST}, "stops.arena: expected a value, found none; add the key"),
        ({"register": LOST}, "register: expected a value, found none; add the key"),
        ({"stops.fps": "30"}, f"stops.fps: expected a valid number, found '30'; {DO}"),
        ({"histograms.intervals": 72.5}, f"histograms.intervals: expected a valid integer, found 72.5; {DO}"),
        ({"histograms.intervals": True}, f"histograms.intervals: expected a valid integer, found True; {DO}"),
        ({"report.title": 3}, f"report.title: expected a valid string, found 3; {DO}"),
        ({"stops": 3}, f"stops: expected a section of keys, found 3; {DO}"),
        ({"classes.AM": "M"}, f"classes.AM: expected a mapping, found 'M'; {DO}"),
        ({"train.kernels": 3}, f"train.kernels: expected a list, found 3; {DO}"),
        ({"train.pool": 31}, "train.pool: expected a pool no larger than histograms.tiles, found something else; "
         f"{DO}"),
        ({"classes": {"A": {"sex": "M"}}}, "classes: expected 2 or more, found {'A': {'sex': 'M'}}; " + DO),
        ({"classes.AM": {}}, "classes: expected a label column and its value for every class, found something else; "
         f"{DO}"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_is_named(params: Params, values: dict[str, object], line: str) -> None:
    assert told(ParamsError, parse, changed(params, values), "params.yaml") == (f"params.yaml: {line}",)


def test_all_problems_are_told_at_once(params: Params) -> None:
    raw = changed(params, {"stops.fps": LOST, "stops.fsp": 30, "train.epochs": 0, "histograms.weight": "mass"})
    assert told(ParamsError, parse, raw, "p") == (
        "p: stops.fps: expected a value, found none; add the key",
        "p: stops.fsp: expected a known key, found an unknown one; remove it or correct its spelling",
        "p: histograms.weight: expected 'count' or 'duration', found 'mass'; correct the value",
        "p: train.epochs: expected greater than or equal to 1, found 0; correct the value",
    )


@pytest.mark.parametrize(
    ("text", "place", "found"),
    [
        ("a: 1\nb:\n\tc: 2\n", ", line 3", "character '\\t' that cannot start any token"),
        ("a: 1\na: 2\n", ", line 2", 'duplicate key "a" with value "2" (original value: "1")'),
        ("a: *nothing\n", ", line 1", "undefined alias 'nothing'"),
        ("a: 2024-13-45\n", "", "month must be in 1..12"),
        ("a: \x00\n", "", "unacceptable character #x0000: special characters are not allowed"),
    ],
)
def test_bad_yaml_is_told_with_its_line(tmp_path: Path, text: str, place: str, found: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    assert told(ParamsError, load, path) == (f"{path}{place}: expected YAML, found {found}; correct the file",)


@pytest.mark.parametrize(("text", "found"), [("", "nothing"), ("- 1\n", "a list"), ("stops\n", "a str")])
def test_a_file_without_sections_is_refused(tmp_path: Path, text: str, found: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    assert told(ParamsError, load, path) == (
        f"{path}: expected sections such as `stops:`, found {found}; correct the file",
    )


def test_a_missing_file_is_told_in_one_line(tmp_path: Path) -> None:
    assert told(ParamsError, load, tmp_path / "no.yaml") == (
        f"{tmp_path / 'no.yaml'}: expected a parameter file, found none; "
        "run in a study's folder, begin one with `lmtcnn init`, or name a file with --params",
    )


def test_a_file_that_is_no_text_is_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(b"\xff\xfe")
    assert told(ParamsError, load, path) == (
        f"{path}: expected a readable parameter file, found bytes that are not UTF-8; check the file",
    )
