"""params.yaml: what it says, and what it refuses."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from ruamel.yaml import YAML

from conftest import ROOT, told
from lmtcnn.core.errors import ParamsError
from lmtcnn.core.params import Arena, HistogramsParams, Params, dump, flat, load, parse, parse_section

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


def test_parameters_are_frozen(params: Params) -> None:
    with pytest.raises(ValidationError):
        params.stops.fps = 25


def test_flat_keys_are_those_that_mlflow_shows(params: Params) -> None:
    values = flat(params)
    assert values["stops.arena.cm_per_px"] == "10/57"
    assert values["classes.AM.sex"] == "M"
    assert values["register.promotion"] == params.register_.promotion
    assert flat(params.train, "train") == {k: v for k, v in values.items() if k.startswith("train.")}


@pytest.mark.parametrize(
    ("written", "exact"),
    [("10/57", Fraction(10, 57)), (0.175, Fraction(7, 40)), ("0.175", Fraction(7, 40)), (1, 1), ("20/57", "20/57")],
)
def test_the_scale_is_exact(params: Params, written: object, exact: object) -> None:
    arena = parse(changed(params, {"stops.arena.cm_per_px": written}), "test").stops.arena
    assert arena.cm_per_px == Fraction(exact)


@given(x=st.floats(-1e6, 1e6))
def test_pixels_become_cm_by_times_10_divided_by_57(x: float) -> None:
    values = {"x_px": 114, "y_px": 63, "width_px": 284, "height_px": 290, "cm_per_px": "10/57", "flip": "none"}
    arena = parse_section(Arena, values, "test")
    assert arena.cm(x) == x * 10 / 57
    assert arena.cm(np.array([x]))[0] == x * 10 / 57
    assert (arena.width_cm, arena.height_cm) == (284 * 10 / 57, 290 * 10 / 57)


@given(
    hours=st.integers(0, 23),
    minutes=st.integers(0, 59),
    intervals=st.integers(1, 1000),
    interval_s=st.floats(1e-3, 1e6),
    tiles=st.integers(1, 100),
    weight=st.sampled_from(["count", "duration"]),
    outside=st.sampled_from(["clip", "drop"]),
    window=st.sampled_from(["all", [0, 1]]),
    only=st.sampled_from(["all", "night", "day"]),
    late=st.sampled_from(["refuse", "cut"]),
    timezone=st.sampled_from(["UTC", "Europe/Paris", "America/New_York"]),
)
def test_any_section_survives_dump_and_parse(hours: int, minutes: int, **values: object) -> None:
    lights_on = "08:00" if (hours, minutes) != (8, 0) else "09:00"  # a night has a length
    raw = {**values, "align": f"{hours}:{minutes:02}", "night": [f"{hours:02}:{minutes:02}", lights_on]}
    section = parse_section(HistogramsParams, raw, "test")
    assert parse_section(HistogramsParams, dump(section), "test") == section
    assert section.align == f"{hours:02}:{minutes:02}"


def test_a_label_may_be_a_whole_number(params: Params) -> None:
    classes = {"young": {"weeks": 8}, "old": {"weeks": "40"}}
    assert parse(changed(params, {"classes": classes}), "test").classes["young"] == {"weeks": "8"}


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
        ({"stops.fps": 0}, f"stops.fps: expected greater than 0, found 0; {DO}"),
        ({"stops.fps": float("inf")}, f"stops.fps: expected a finite number, found inf; {DO}"),
        ({"simulate.seconds_per_hour": 3601}, "simulate.seconds_per_hour: expected less than or equal to 3600, found "
         f"3601; {DO}"),
        ({"histograms.window": [0, 73]}, "histograms.window: expected all, or [a, b] with b at most the number of "
         f"intervals, 72, found (0, 73); {DO}"),
        ({"histograms.window": [-1, 3]}, "histograms.window: expected all, or [a, b] with 0 <= a < b, found (-1, 3); "
         f"{DO}"),
        ({"histograms.window": [3, 3]}, "histograms.window: expected all, or [a, b] with 0 <= a < b, found (3, 3); "
         f"{DO}"),
        ({"histograms.window": [0, 1.5]}, "histograms.window: expected all, or two whole numbers such as [0, 24], "
         f"found (0, 1.5); {DO}"),
        ({"histograms.window": [3]}, "histograms.window: expected all, or two whole numbers such as [0, 24], found "
         f"(3,); {DO}"),
        ({"histograms.window": "first"}, "histograms.window: expected all, or two whole numbers such as [0, 24], found "
         f"'first'; {DO}"),
        ({"histograms.only": "dusk"}, f"histograms.only: expected 'all', 'night' or 'day', found 'dusk'; {DO}"),
        ({"histograms.late": "keep"}, f"histograms.late: expected 'refuse' or 'cut', found 'keep'; {DO}"),
        ({"stops.half_window_frames": 0}, "stops.half_window_frames: expected greater than or equal to 1, found 0; "
         f"{DO}"),
        ({"stops.flicker_window_frames": 18}, "stops.flicker_window_frames: expected an odd number of frames, so that "
         f"one is in the middle, found 18; {DO}"),
        ({"stops.flicker_mean_cm": 0}, f"stops.flicker_mean_cm: expected greater than 0, found 0; {DO}"),
        ({"stops.max_flicker_frames": -1}, "stops.max_flicker_frames: expected greater than or equal to 0, found -1; "
         f"{DO}"),
        ({"stops.clock": "sun"}, f"stops.clock: expected 'timestamp' or 'frame', found 'sun'; {DO}"),
        ({"stops.arena.cm_per_px": "10/0"}, "stops.arena.cm_per_px: expected a number or a fraction such as 10/57, "
         f"found '10/0'; {DO}"),
        ({"stops.arena.cm_per_px": True}, "stops.arena.cm_per_px: expected a number or a fraction such as 10/57, "
         f"found True; {DO}"),
        ({"stops.arena.cm_per_px": "-1/3"}, f"stops.arena.cm_per_px: expected a value above 0, found '-1/3'; {DO}"),
        ({"histograms.align": "noon"}, f"histograms.align: expected a clock time HH:MM, found 'noon'; {DO}"),
        ({"histograms.night": ["20:00", "24:00"]}, "histograms.night.1: expected a clock time HH:MM, found '24:00'; "
         f"{DO}"),
        ({"quality.detected_fail": 0.9},
         f"quality.detected_fail: expected at most detected_warn, 0.8, found 0.9; {DO}"),
        ({"quality.outside_fail": 0}, f"quality.outside_fail: expected at least outside_warn, 0.01, found 0; {DO}"),
        ({"quality.temperature_fail_c": [26, 20]}, "quality.temperature_fail_c: expected limits around "
         f"temperature_warn_c, 21 to 25, found (26, 20); {DO}"),
        ({"histograms.timezone": "Mars"}, "histograms.timezone: expected a time zone such as Europe/Paris, found "
         f"'Mars'; {DO}"),
        ({"train.kernels": [3, 4]}, "train.kernels.1: expected an odd kernel, so that a map keeps its place, found 4; "
         f"{DO}"),
        ({"train.kernels": [3, 3]}, f"train.kernels: expected values that differ, found (3, 3); {DO}"),
        ({"train.seeds": []}, f"train.seeds: expected 1 or more, found (); {DO}"),
        ({"train.seeds": [1, 1]}, f"train.seeds: expected values that differ, found (1, 1); {DO}"),
        ({"train.pool": 31}, "train.pool: expected a pool no larger than histograms.tiles, found something else; "
         f"{DO}"),
        ({"quality.detected_fail": 50}, f"quality.detected_fail: expected less than or equal to 1, found 50; {DO}"),
        ({"explain.seed": 7}, f"explain.seed: expected one of train.seeds, found something else; {DO}"),
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
        "run in the project's folder, or name one with --params",
    )


def test_a_file_that_is_no_text_is_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(b"\xff\xfe")
    assert told(ParamsError, load, path) == (
        f"{path}: expected a readable parameter file, found bytes that are not UTF-8; check the file",
    )


def test_zones_are_circles_and_rectangles(change) -> None:
    zones = {
        "nest": {"kind": "nest", "circle_cm": [9, 41, 5.5]},
        "shelf": {"kind": "other", "rectangle_cm": [0, 10, 4, 2]},
    }
    assert change(zones=zones).furniture == {
        "nest": {"shape": "circle", "x_cm": 9, "y_cm": 41, "radius_cm": 5.5, "kind": "nest"},
        "shelf": {"shape": "rectangle", "x_cm": 0, "y_cm": 10, "width_cm": 4, "height_cm": 2, "kind": "other"},
    }
    assert change(zones={}).furniture == {}


@pytest.mark.parametrize(
    ("zone", "line"),
    [
        (
            {"kind": "nest"},
            "zones.a: expected either circle_cm or rectangle_cm, found {'kind': 'nest'}; correct the value",
        ),
        (
            {"kind": "bed", "circle_cm": [1, 2, 3]},
            "zones.a.kind: expected 'nest', 'dome', 'feeder', 'water' or 'other', found 'bed'; correct the value",
        ),
        (
            {"kind": "nest", "circle_cm": [1, 2, 0]},
            "zones.a.circle_cm.2: expected greater than 0, found 0; correct the value",
        ),
    ],
)
def test_a_zone_that_is_none_is_told(change, zone: dict, line: str) -> None:
    assert told(ParamsError, change, zones={"a": zone}) == (f"test: {line}",)


def test_nothing_stands_in_the_cage_until_somebody_writes_it(params: Params) -> None:
    assert params.furniture == {}
