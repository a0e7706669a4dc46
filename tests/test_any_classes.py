"""Any classes and odd cohorts: params.yaml and the manifest alone say what is told apart, and of whom.

Recordings here are real LMT databases of 12 s in which every mouse stops twice, at a place of its class.
"""

import contextlib
import csv
import html
import io
import json
import logging
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from ruamel.yaml import YAML

import study
from conftest import ROOT, T0_MS, Scene, run, still, told
from lmtcnn import SIMULATED, cli
from lmtcnn.bundle import bundle as bundles
from lmtcnn.cohort import cohort
from lmtcnn.cohort.check import check
from lmtcnn.core import params as parameters
from lmtcnn.core.errors import BatchError, CohortError, DataError, ParamsError
from lmtcnn.core.params import Params
from lmtcnn.core.sections import dump
from lmtcnn.evaluate import evaluate, metrics
from lmtcnn.evaluate.predicted import confusion_counts
from lmtcnn.explain import explain
from lmtcnn.figures import figures
from lmtcnn.histograms import histograms
from lmtcnn.report import report
from lmtcnn.stops import stops
from lmtcnn.tracking import client as clients
from lmtcnn.tracking import provenance
from lmtcnn.train import train

STAGES = ("stops", "histograms", "train", "evaluate", "explain", "register", "report")
SMALL = {
    "cohort": {"databases": "data/raw", "manifest": "data/cohort.csv"},
    "histograms": {"intervals": 3, "interval_s": 4, "tiles": 6},
    "train": {"kernels": [3], "channels": 1, "epochs": 2, "batch": 6, "seeds": [0], "lr": 0.05, "device": "cpu"},
    "register": {"promotion": str(ROOT / "mlops" / "promotion.py")},
    "report": {"title": "Ours"},
}
PAPERS = {
    "AM": {"sex": "M", "age": "adult"},
    "JM": {"sex": "M", "age": "juvenile"},
    "AF": {"sex": "F", "age": "adult"},
    "JF": {"sex": "F", "age": "juvenile"},
}

Classes = Mapping[str, Mapping[str, object]]
Rows = list[dict[str, str]]


def combined(**labels: Sequence[object]) -> dict[str, dict[str, object]]:
    """The classes of two label columns, each value of the first with each of the second: `WT low`."""
    (one, values), (other, values_there) = labels.items()
    return {f"{a} {b}": {one: a, other: b} for a in values for b in values_there}


def manifest(classes: Classes, cages: Sequence[str] = ("c1", "c2", "c3")) -> Rows:
    """In every cage a mouse of each value of the first label, recorded once with each value of the second."""
    one, other = next(iter(classes.values()))
    firsts, seconds = (list(dict.fromkeys(str(labels[key]) for labels in classes.values())) for key in (one, other))
    return [
        {"recording": f"r{k}_{time}", "rfid": f"{k}{i}", "cage": cage, one: first, other: second}
        for k, cage in enumerate(cages)
        for time, second in enumerate(seconds)
        for i, first in enumerate(firsts)
    ]


def paper_rows(cages: str, ages: Sequence[str] = ("adult", "juvenile"), mice: int = 2) -> Rows:
    """Cages of mice of one sex, such as "FMF", each recorded at these ages."""
    return [
        {"recording": f"c{k}_{age}", "rfid": f"{k}{i}", "cage": f"c{k}", "sex": sex, "age": age}
        for k, sex in enumerate(cages)
        for age in ages
        for i in range(mice)
    ]


def write(folder: Path, rows: Rows, classes: Classes, **sections: Mapping[str, object]) -> Params:
    """Databases, the manifest and params.yaml of such a study; nothing else of the project changes."""
    raw = folder / "data" / "raw"
    raw.mkdir(parents=True)
    for day, name in enumerate(dict.fromkeys(row["recording"] for row in rows)):
        members = [row for row in rows if row["recording"] == name]
        scene = []
        for i, row in enumerate(members, start=1):
            fitting = (all(row[key] == str(value) for key, value in labels.items()) for labels in classes.values())
            x = 130.0 + 40 * next((k for k, fits in enumerate(fitting) if fits), 0)
            scene += still(1, 120, x, 90, i) + run(121, 140, x, 90, i) + still(141, 361, x + 40, 90 + 20 * i, i)
        animals = {i: row["rfid"] for i, row in enumerate(members, start=1)}
        Scene(scene, n_frames=361, animals=animals, start_ms=T0_MS + 86_400_000 * day).write(raw / f"{name}.sqlite")
    with (folder / "data" / "cohort.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    yaml = YAML()
    values = yaml.load((ROOT / "params.yaml").read_text())
    values["classes"] = classes
    for name in {**SMALL, **sections}:
        values[name].update({**SMALL.get(name, {}), **sections.get(name, {})})
    with (folder / "params.yaml").open("w") as stream:
        yaml.dump(values, stream)
    return parameters.load(folder / "params.yaml")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project as the current folder."""
    return study.project(tmp_path / "project", monkeypatch)


def to_report(params: Params) -> dict[str, object]:
    """The stages up to the report, without MLflow; returns the metrics."""
    data, found = Path("data"), cohort.load(params)
    stops.stops(found.recordings, data / "stops", params, workers=1)
    histograms.histograms(found, data / "stops", data / "histograms", params)
    train.train(data, params)
    scores = evaluate.evaluate(data, params)
    explain.explain(data, params)
    report.report(data, params)
    return scores


def page() -> str:
    """The report's words, without pictures and style."""
    text = Path("data/report/index.html").read_text()
    return re.sub(r"<[^>]*>", " ", re.sub(r"<style>.*?</style>", "", text, flags=re.S))


def column(path: str, name: str) -> list[object]:
    table = pl.read_parquet(path) if path.endswith("parquet") else pl.read_csv(path, infer_schema=False)
    return table[name].to_list()


@pytest.fixture(scope="module")
def lmtcnn() -> Iterator[Callable[..., str]]:
    """Run a command that must succeed; gives what it said on stdout."""
    handlers = logging.getLogger("lmtcnn").handlers[:]
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def call(*arguments: str) -> str:
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patched, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            patched.setattr(sys, "argv", ["lmtcnn", *arguments])
            patched.delenv("COLUMNS", raising=False)
            with pytest.raises(SystemExit) as end:
                cli.main()
        assert not end.value.code, err.getvalue()
        return out.getvalue()

    yield call
    logging.getLogger("lmtcnn").handlers[:] = handlers
    for number, handler in before.items():
        signal.signal(number, handler)


# ---- Six classes of genotype and treatment ---------------------------------------------------------------------------

SIX = combined(genotype=("WT", "KO"), treatment=("vehicle", "low", "high"))
WORDS = re.compile(r"\b(sex|ages?|males?|females?|adults?|juveniles?|papers?|[AJ][MF])\b", re.IGNORECASE)
"""Words of the paper's study."""


@dataclass(frozen=True)
class Done:
    """A project through which every command went: its folder, what they said, and what was drawn."""

    folder: Path
    said: dict[str, str]
    drawn: list[Figure]

    def json(self, path: str) -> dict[str, Any]:
        return json.loads((self.folder / "data" / path).read_text())

    def table(self, path: str) -> pl.DataFrame:
        return pl.read_parquet(self.folder / "data" / path)

    @property
    def runs(self) -> dict[str, Any]:
        """The run of each kind in MLflow."""
        client = clients.configure()
        found = client.search_runs([clients.experiment_of(client).experiment_id])
        return {run.data.tags["lmtcnn.kind"]: run.data for run in found}


@pytest.fixture(scope="module")
def done(lmtcnn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Done]:
    """Three cages of a wild type and a knock-out, each recorded under three treatments; the current folder."""
    drawn: list[Figure] = []
    with pytest.MonkeyPatch.context() as patched:
        folder = study.project(tmp_path_factory.mktemp("any") / "project", patched)
        write(folder, manifest(SIX), SIX)
        save = figures.save

        def keep(figure: Figure, *more: Any, **named: Any) -> None:
            drawn.append(figure)
            save(figure, *more, **named)

        patched.setattr(figures, "save", keep)
        said = {"check": lmtcnn("cohort", "check")}
        said |= {stage: lmtcnn(stage) for stage in STAGES}
        said["predict"] = lmtcnn("predict", "data/raw", "--json", "--out", "answers.csv")
        said["score"] = lmtcnn("predict", "data/raw", "--cohort", "data/cohort.csv")
        yield Done(folder, said, drawn)


def test_the_manifest_and_params_yaml_alone_say_what_is_told_apart(done: Done) -> None:
    sizes = ", ".join(f"3 {name}" for name in SIX)
    assert done.said["check"].splitlines()[-1] == f"9 recordings, 18 samples ({sizes}), 3 cages: fine"
    assert done.table("histograms/index.parquet").columns[5:8] == ["genotype", "treatment", "class"]
    assert list(done.json("register/model.json")["classes"]) == list(SIX)


def test_predictions_and_confusion_are_of_the_six_classes(done: Done) -> None:
    predictions = done.table("train/predictions.parquet")
    assert predictions.columns[-6:] == [f"p_{name}" for name in SIX]
    assert predictions.select(pl.sum_horizontal(pl.col("^p_.*$"))).to_series().to_list() == pytest.approx([1.0] * 18)
    confusion = pl.read_csv(done.folder / "data/evaluate/confusion.csv")
    assert confusion_counts(confusion, list(SIX)).sum(axis=1).tolist() == [3] * 6
    assert set(confusion["predicted"]) <= set(SIX)


def test_metrics_are_named_by_the_labels_and_are_those_of_their_samples(done: Done) -> None:
    found, labels = done.json("evaluate/metrics.json"), ("genotype_WT", "genotype_KO")
    labels = [f"accuracy_{name}" for name in (*labels, "treatment_vehicle", "treatment_low", "treatment_high")]
    recalls = [f"recall_{name}" for name in SIX]
    of_tests = re.compile("(chance|p|control|difference|occupancy|time)_|.*_(low|high)$")  # how sure
    assert [name for name in found if not of_tests.match(name) or name in labels] == [
        *("accuracy", "ensemble_accuracy", "balanced_accuracy", "macro_f1", "mcc", *labels, *recalls),
        *("log_loss", "brier", "knn_accuracy", *(f"knn_{name}" for name in recalls)),
        *("svm_accuracy", *(f"svm_{name}" for name in recalls), "n_samples", "simulated"),
        *("training", "notes"),  # the loss never fell: no share of its fall is late
    ]
    hits = done.table("train/predictions.parquet").with_columns(hit=pl.col("class") == pl.col("predicted"))
    for name in labels:
        of_label = pl.col("class").str.split(" ").list.contains(name.split("_")[-1])
        assert found[name] == hits.filter(of_label)["hit"].mean(), name
    for name in SIX:
        assert found[f"recall_{name}"] == hits.filter(pl.col("class") == name)["hit"].mean()


def test_nothing_speaks_of_the_papers_study(done: Done) -> None:
    text = page()
    assert "accuracy where treatment is high" in text
    assert "genotype KO, treatment low" in text
    captions = [words.get_text() for figure in done.drawn for words in figure.findobj(Text)]
    notes = [run.tags.get("mlflow.note.content", "") for run in done.runs.values()]
    maps = json.dumps(done.json("explain/activation_maps.json"))
    for told_of in (text, maps, *captions, *notes, *done.said.values()):
        assert WORDS.findall(told_of) == []
        assert SIMULATED not in told_of


def test_maps_of_six_classes_stand_in_two_columns_and_three_rows(done: Done) -> None:
    panels = [{a.get_title(): a.get_position() for a in figure.axes if a.get_title() in SIX} for figure in done.drawn]
    maps = next(found for found in panels if len(found) == 6)
    assert list(maps) == list(SIX)
    assert [(round(place.x0, 3), -round(place.y0, 3)) for place in maps.values()] == [
        (x, y)
        for y in sorted({-round(place.y0, 3) for place in maps.values()})
        for x in sorted({round(place.x0, 3) for place in maps.values()})
    ]
    assert len({round(place.x0, 3) for place in maps.values()}) == 2


def test_new_recordings_are_answered_with_the_six_classes(done: Done) -> None:
    answers = json.loads(done.said["predict"])
    assert len(answers) == 18
    assert {tuple(answer["probabilities"]) for answer in answers} == {tuple(SIX)}
    table = pl.read_csv(done.folder / "answers.csv")
    assert [name for name in table.columns if name.startswith("p_")] == [f"p_{name}" for name in SIX]
    assert table["predicted"].to_list() == [answer["predicted"] for answer in answers]


def test_a_labelled_cohort_is_scored_and_mlflow_names_metrics_by_the_labels(done: Done) -> None:
    answers = json.loads(done.said["predict"])
    actual = done.table("histograms/index.parquet")["class"]
    share = sum(answer["predicted"] == name for answer, name in zip(answers, actual, strict=True)) / 18
    assert f"accuracy {share:.3f} on 18 samples\n" in done.said["score"]
    own, cohorts = done.runs["training"], done.runs["cohort"]
    assert cohorts.metrics["cohort/ensemble_accuracy"] == pytest.approx(share)
    assert {f"cohort/recall_{name}" for name in SIX} <= set(cohorts.metrics)
    metrics = done.json("evaluate/metrics.json")
    assert own.metrics["cv/treatment_high"] == pytest.approx(metrics["accuracy_treatment_high"])
    assert own.params["classes"] == ", ".join(SIX)


# ---- Names -----------------------------------------------------------------------------------------------------------

NAMES = combined(genotype=("+/+ [/ko]", "Δ [wt] é"), **{"dose, mg/kg": ("KO 50%", "KO 5#", "$\\frac$ |")})


def test_names_may_hold_what_markup_paths_and_formulas_are_made_of(here: Path, lmtcnn) -> None:
    """Brackets are rich's markup, $ is matplotlib's, slashes are of paths, and of %, # and + MLflow wants none."""
    rows = manifest(NAMES, cages=("$c$", "[x] 1", "µ|3"))
    write(here, rows, NAMES)
    said = {stage: lmtcnn(stage) for stage in STAGES}
    for name in NAMES:
        assert f" recall_{name} " in said["evaluate"]
        assert html.escape(name) in Path("data/report/index.html").read_text()
    assert set(column("data/train/predictions.parquet", "fold")) == {"$c$", "[x] 1", "µ|3"}
    assert column("data/evaluate/folds.csv", "fold") == ["$c$", "[x] 1", "µ|3"]
    answers = json.loads(lmtcnn("predict", "data/raw", "--json"))
    assert {tuple(answer["probabilities"]) for answer in answers} == {tuple(NAMES)}
    scored = lmtcnn("predict", "data/raw", "--cohort", "data/cohort.csv")
    assert all(f" {name} " in scored for name in NAMES)
    client = clients.configure()
    (logged,) = client.search_runs([clients.experiment_of(client).experiment_id], "tags.`lmtcnn.kind` = 'training'")
    values = json.loads(Path("data/evaluate/metrics.json").read_text())
    assert {"cv/dose_ mg_kg_KO 50_", "cv/dose_ mg_kg_KO 5_"} <= set(logged.data.metrics)
    named = provenance.metric_names(values)
    assert len(named) == sum(isinstance(value, float) for value in values.values())  # no two have one name
    assert set(named) <= set(logged.data.metrics)


def test_labels_may_be_numbers_and_classes_be_called_by_them(here: Path) -> None:
    classes = {8: {"weeks": 8}, 52: {"weeks": 52}}
    params = write(here, manifest(combined(sex=("F",), weeks=(8, 52))), classes)
    assert [name for name in to_report(params) if re.fullmatch(r"(accuracy|recall)_.*(?<!_low)(?<!_high)", name)] == [
        "accuracy_weeks_8",
        "accuracy_weeks_52",
        "recall_8",
        "recall_52",
    ]
    assert column("data/evaluate/confusion.csv", "actual") == ["8", "52"] * 3


def test_a_name_does_not_break_the_table_of_a_fold() -> None:
    assert provenance.matrix_text([[1, 2], [3, 4]], ["a|b", "c"]).splitlines() == [
        r"| true | predicted a\|b | predicted c |",
        "|---|---|---|",
        r"| a\|b | 1 | 2 |",
        "| c | 3 | 4 |",
    ]


def test_long_names_of_predicted_classes_stand_upright_so_that_they_do_not_overlap() -> None:
    def angles(*classes: str) -> set[float]:
        figure = figures.confusion_matrix(np.eye(len(classes)), classes, "Cages")
        return {label.get_rotation() for label in figure.axes[0].get_xticklabels()}

    assert angles("AM", "JM", "AF") == {0}
    assert angles("WT", "KO drug/vehicle", "KO") == {90}


@pytest.mark.filterwarnings("ignore:Glyph")  # pytest sets aside the filters of the program; those are asked below
def test_characters_that_the_figures_font_lacks_are_told_once(here: Path, caplog) -> None:
    classes = {"野生": {"genotype": "野生"}, "Δ♀": {"genotype": "Δ♀"}}
    params = write(here, manifest(combined(genotype=("野生", "Δ♀"), time=(1,))), classes)
    to_report(params)
    told = [line for line in caplog.messages if line.startswith("classes:")]
    assert told == ["classes: figures show 生野 as boxes: their font has no such characters"]
    call = "f.save(f.confusion_matrix([[1]], ['野'], ''), pathlib.Path('a.png'))"
    code = f"import pathlib; from lmtcnn.figures import figures as f; {call}"
    alone = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (alone.stdout, alone.stderr) == ("", "")


def test_spaces_around_a_name_in_params_yaml_do_not_count(here: Path) -> None:
    """As those around a cell of the manifest."""
    rows = manifest(combined(genotype=("WT", "KO"), time=(1,)))
    params = write(here, rows, {" wild ": {"genotype": "WT "}, "KO": {"genotype": "KO"}})
    assert {sample.class_name for sample in cohort.load(params).samples} == {"wild", "KO"}


def test_a_class_without_a_name_is_told(here: Path) -> None:
    rows = manifest(combined(genotype=("WT", "KO"), time=(1,)))
    assert told(ParamsError, write, here, rows, {" ": {"genotype": "WT"}, "KO": {"genotype": "KO"}}) == (
        f"{here / 'params.yaml'}: classes: expected a name for every class, found something else; correct the value",
    )


TAKEN = "classes: expected label columns of your own, found {}, of another meaning; correct the value"
ALIKE = "classes: expected names that differ, also where signs become _, found {}, which have one name as metrics; "


@pytest.mark.parametrize(
    ("classes", "line"),
    [
        ({"a": {"animal_id": 1, "cage": "c1"}, "b": {"animal_id": 2}}, TAKEN.format("animal_id, cage")),
        ({"a": {"class": 1}, "b": {"class": 2}}, TAKEN.format("class")),
        ({"a": {"P_a": 1}, "b": {"P_a": 2}}, TAKEN.format("P_a")),
        ({"a": {"animal": 1}, "b": {"animal": 2}}, TAKEN.format("animal")),
        ({"a": {"": 1}, "b": {"": 2}}, "classes: expected a name for every label column, and for each of its values, "
         "found something else; correct the value"),
        ({"hour": {"a": 1}, "b": {"a": 2}}, "classes: expected another name, found hour, of another meaning; "
         "correct the value"),
        ({"x": {"a_b": "c"}, "y": {"a": "b_c"}}, ALIKE.format("a_b c and a b_c") + "correct the value"),
        ({"x": {"d": "50%"}, "y": {"d": "50#"}}, ALIKE.format("d 50% and d 50#") + "correct the value"),
        ({"50%": {"d": "1"}, "50#": {"d": "2"}}, ALIKE.format("class 50% and class 50#") + "correct the value"),
        ({"x": {"d": "1"}, "x_low": {"d": "2"}}, ALIKE.format("class x and class x_low") + "correct the value"),
        ({"x": {"macro": "f1"}, "y": {"macro": "f2"}}, ALIKE.format("macro_f1 and macro f1") + "correct the value"),
    ],
)  # fmt: skip
def test_names_that_mean_something_already_or_two_things_are_told(params: Params, classes: Classes, line: str) -> None:
    assert told(ParamsError, parameters.parse, {**dump(params), "classes": classes}, "p") == (f"p: {line}",)


def test_signs_of_genotypes_are_no_clash(change) -> None:
    classes = {name: {"genotype": name} for name in ("+/+", "+/-", "-/-")}
    assert list(change(classes=classes).classes) == ["+/+", "+/-", "-/-"]


def test_what_the_manifest_excludes_is_written_beside_the_histograms(here: Path) -> None:
    classes = {name: {"genotype": name} for name in ("WT", "KO")}
    rows = [{**row, "exclude": ""} for row in manifest(combined(genotype=("WT", "KO"), time=(1,)))]
    rows[1]["exclude"] = "YES"
    params = write(here, rows, classes)
    found = cohort.load(params)
    stops.stops(found.recordings, Path("data/stops"), params, workers=1)
    assert histograms.histograms(found, Path("data/stops"), Path("data/histograms"), params).height == 5
    made = json.loads(Path("data/histograms/histograms.json").read_text())
    assert made["excluded"] == [f"{rows[1]['recording']}, {rows[1]['rfid']}"]


# ---- Classes of several values of a label ----------------------------------------------------------------------------

DOSES = {"control": {"treatment": "none"}, "treated": {"treatment": ["low", "high"]}}


def test_a_class_may_take_several_values_of_a_label(here: Path) -> None:
    """From the manifest to the page: metrics are told by each value, the class by both."""
    params = write(here, manifest(combined(sex=("F", "M"), treatment=("none", "low", "high"))), DOSES)
    scores = to_report(params)
    index = pl.read_parquet("data/histograms/index.parquet")
    assert set(index.select("treatment", "class").iter_rows()) == {
        ("none", "control"),
        ("low", "treated"),
        ("high", "treated"),
    }
    predictions = pl.read_parquet("data/train/predictions.parquet").with_columns(index["treatment"])
    assert predictions.height == index.height  # one seed
    for value in ("none", "low", "high"):
        own = predictions.filter(treatment=value)
        assert scores[f"accuracy_treatment_{value}"] == (own["class"] == own["predicted"]).mean()
    recalls = [f"recall_{name}{end}" for name in ("control", "treated") for end in ("", "_low", "_high")]
    assert sorted(name for name in scores if name.startswith("recall_")) == sorted(recalls)
    assert "treatment low or high" in page()
    made = bundles.build(Path("data"), params)
    bundles.write(made, Path("model"))
    assert bundles.read(Path("model")).definitions.classes["treated"] == {"treatment": ("low", "high")}


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([], "expected a label, or a list of labels, found ()"),
        ([["low"]], "expected a label, or a list of labels, found (('low',),)"),
        ([True], "expected a label, or a list of labels, found (True,)"),
        (["low", "low"], "expected labels that differ, found ('low', 'low')"),
    ],
)
def test_several_values_that_are_none_are_told(params: Params, values: list, line: str) -> None:
    classes = {**DOSES, "treated": {"treatment": values}}
    assert told(ParamsError, parameters.parse, {**dump(params), "classes": classes}, "p") == (
        f"p: classes.treated.treatment: {line}; correct the value",
    )


def test_several_values_may_be_numbers_and_one_is_as_good_alone(change) -> None:
    classes = change(classes={"young": {"weeks": [4, "5"]}, "old": {"weeks": [40]}}).classes
    assert classes == {"young": {"weeks": ("4", "5")}, "old": {"weeks": "40"}}


@pytest.mark.parametrize(
    ("cage", "line"),
    [
        ("all", "expected another name of the cage, found all, the word for no cage held out; rename the cage"),
        ("..", "expected a cage's name without a path, found ..; rename the cage"),
        ("a/b", "expected a cage's name without a path, found a/b; rename the cage"),
    ],
)
def test_a_cage_s_name_that_cannot_be_is_told_before_any_work(here: Path, cage: str, line: str) -> None:
    params = write(here, manifest(combined(genotype=("WT", "KO"), time=(1,)), cages=(cage, "b")), {
        "WT": {"genotype": "WT"}, "KO": {"genotype": "KO"},
    })  # fmt: skip
    assert told(CohortError, cohort.load, params) == (f"data/cohort.csv: rows 2, 3: {line}",)


def test_a_class_need_not_name_every_label_column(here: Path) -> None:
    """Wild types of any treatment are one class; metrics of a treatment are of the classes that name it."""
    classes = {
        "KO drug": {"genotype": "KO", "treatment": "drug"},
        "KO vehicle": {"genotype": "KO", "treatment": "vehicle"},
        "WT": {"genotype": "WT"},
    }
    rows = manifest(combined(genotype=("KO", "WT"), treatment=("drug", "vehicle")))
    found = to_report(write(here, rows, classes))
    assert [name for name in found if name.startswith("accuracy_") and not name.endswith(("_low", "_high"))] == [
        *("accuracy_genotype_KO", "accuracy_genotype_WT", "accuracy_treatment_drug", "accuracy_treatment_vehicle")
    ]
    assert found["accuracy_treatment_drug"] == found["recall_KO drug"]
    assert column("data/histograms/index.parquet", "class").count("WT") == 6
    actual = ["WT", "KO vehicle"]
    labels = metrics.score_labels(actual, actual, list(reversed(classes)), dict(reversed(classes.items())))
    assert labels["accuracy_treatment_vehicle"] == 1


# ---- Odd cohorts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gone", "counts"),
    [
        ({"rfid": "00"}, [2, 4, 4, 4, 4]),
        ({"rfid": "00", "age": "adult"}, [3, 4, 4, 4, 4]),
        ({"cage": "c0", "age": "adult"}, [2, 4, 4, 4, 4]),
    ],
    ids=["a mouse less in a cage", "an animal at one age only", "a class absent from a cage"],
)
def test_whoever_is_missing_the_others_are_studied(here: Path, gone: dict[str, str], counts: list[int]) -> None:
    rows = [row for row in paper_rows("FMFMF") if any(row[key] != value for key, value in gone.items())]
    params = write(here, rows, PAPERS)
    assert check(params).odd == []
    assert to_report(params)["n_samples"] == len(rows) == sum(counts)
    assert column("data/evaluate/folds.csv", "n") == [str(n) for n in counts]


def test_classes_that_nobody_is_of_are_warned_of_and_stay_empty(here: Path) -> None:
    """Both juvenile classes: no recall, an empty row and map, and no figures of the paper, whose task was another."""
    params = write(here, paper_rows("FMF", ages=("adult",)), PAPERS)
    assert check(params).odd == [
        "class JM: no sample",
        "class JF: no sample",
        "class AM: only in cage c1: nothing to learn it from while that is held out",
    ]
    found = to_report(params)
    assert [name for name in found if name.startswith("recall_") and not name.endswith(("_low", "_high"))] == [
        "recall_AM",
        "recall_AF",
    ]
    assert not any(name.startswith("accuracy_age_juvenile") for name in found)
    assert all(row.paper is None for row in metrics.compare(found, params.classes))
    assert "paper" not in page()
    counts = json.loads(Path("data/explain/activation_maps.json").read_text())["n_samples"]
    assert counts == {"AM": 2, "JM": 0, "AF": 4, "JF": 0}
    empty = np.isnan(np.load("data/explain/activation_maps.npy")).all(axis=(1, 2, 3))
    assert empty.tolist() == [False, True, False, True]


def test_a_class_of_one_cage_is_warned_of_and_not_found_where_that_is_held_out(here: Path) -> None:
    rows = [row for row in paper_rows("FMFM") if (row["cage"], row["age"]) != ("c3", "adult")]
    params = write(here, rows, PAPERS)
    line = "class AM: only in cage c1: nothing to learn it from while that is held out"
    assert check(params).odd == [line]
    found = to_report(params)
    assert found["knn_recall_AM"] == found["svm_recall_AM"] == 0
    assert "recall_AM" in found


def test_two_cages_are_a_study_with_a_warning_for_every_class(here: Path) -> None:
    params = write(here, paper_rows("FM"), PAPERS)
    assert check(params).odd == [
        f"class {name}: only in cage {cage}: nothing to learn it from while that is held out"
        for name, cage in (("AM", "c1"), ("JM", "c1"), ("AF", "c0"), ("JF", "c0"))
    ] + [
        "sex: F only in cage c0, M only in cage c1: of a cage that is held out it is never told right, as no training "
        "has its value, and it cannot be tested; add cages, so that each value is in two or more"
    ]
    assert to_report(params)["knn_accuracy"] == 0
    assert column("data/evaluate/folds.csv", "fold") == ["c0", "c1"]


def test_one_sample_a_cage_is_a_study(here: Path) -> None:
    """PCA then has fewer samples than components."""
    params = write(here, paper_rows("FMF", ages=("adult",), mice=1), PAPERS)
    found = to_report(params)
    assert found["n_samples"] == 3
    assert 0 <= found["svm_accuracy"] <= 1
    assert column("data/evaluate/folds.csv", "n") == ["1", "1", "1"]


def test_mice_of_one_class_are_no_study(here: Path) -> None:
    """There is nothing to tell; every network would be right."""
    params = write(here, paper_rows("FF", ages=("adult",), mice=1), PAPERS)
    found = "expected samples of two classes or more, found only AF; add recordings of another class"
    assert told(BatchError, check, params) == (f"data/cohort.csv: {found}",)
    assert told(DataError, to_report, params) == (f"data/histograms: {found}",)


@pytest.mark.parametrize("seeds", [[0], [3, 0, 1, 2, 7]])
def test_one_seed_or_five(here: Path, seeds: list[int]) -> None:
    params = write(here, paper_rows("FMF", mice=1), PAPERS, train={"seeds": seeds}, explain={"seed": seeds[-1]})
    found = to_report(params)
    history = pl.read_parquet("data/train/history.parquet")
    assert history.height == len(seeds) * 4 * 2
    assert set(history["seed"]) == set(seeds)
    by_seed = pl.read_parquet("data/train/predictions.parquet").with_columns(hit=pl.col("class") == pl.col("predicted"))
    assert found["accuracy"] == pytest.approx(by_seed.group_by("seed").agg(pl.col("hit").mean())["hit"].mean())
    assert json.loads(Path("data/explain/activation_maps.json").read_text())["seed"] == seeds[-1]
    assert f"the ensemble of {len(seeds)} network{'s' * (len(seeds) > 1)} a cage" in " ".join(page().split())
