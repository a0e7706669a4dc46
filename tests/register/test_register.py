"""The registry: what becomes a version, which version serves, and where a prediction gets its bundle."""

import contextlib
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import study
from lmtcnn.core.errors import ModelError, OutputError
from lmtcnn.core.names import ALL
from lmtcnn.evaluate import evaluate
from lmtcnn.register import lookup, register, registry
from lmtcnn.tracking import client as clients
from lmtcnn.tracking import store, tracking

PARAMS = study.small_params()


def version(number: str = "1") -> Any:
    return clients.connect().get_model_version("lmtcnn", number)


def rule(text: str) -> Any:
    Path("rule.py").write_text(text)
    return study.small_params(register__promotion="rule.py")


def test_an_experiment_in_a_temporary_copy_registers_in_its_projects_store(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`dvc exp run --temp` works in a folder of its own and says in DVC_ROOT where the project is."""
    copy = tmp_path / "temporary copy"
    shutil.copytree(project / "data", copy / "data")
    monkeypatch.chdir(copy)
    monkeypatch.setenv("DVC_ROOT", str(project))
    assert register.register(Path("data"), PARAMS).alias == "champion"
    assert not (copy / "mlflow.db").exists()
    assert lookup.resolve(None).uri == "models:/lmtcnn/1"


def test_the_same_content_makes_no_second_version(registered: Path) -> None:
    again = register.register(Path("data"), PARAMS)
    assert again.line == "lmtcnn version 1 is this very model, registered before; it is champion"
    assert lookup.versions() == ["1"]


def retrained(wrong: int) -> None:
    """Make the current project's training another one, of which the first `wrong` samples are told wrongly."""
    params, index = PARAMS, pl.read_parquet("data/histograms/index.parquet")
    names = list(params.classes)
    false = {(s["recording"], s["animal_id"]) for s in index.head(wrong).iter_rows(named=True)}

    def told(sample: dict[str, Any], seed: int) -> list[float]:
        right = names.index(sample["class"])
        wanted = (right + ((sample["recording"], sample["animal_id"]) in false)) % len(names)
        return [0.7 if i == wanted else 0.1 for i in range(len(names))]

    study.write_training(Path("data/train"), index, params, (*study.CAGES, ALL), told, simulated=True)
    evaluate.evaluate(Path("data"), params)


def test_a_model_that_is_no_better_is_challenger_and_a_line_says_how_to_promote_it(project: Path) -> None:
    retrained(wrong=0)
    register.register(Path("data"), PARAMS)
    retrained(wrong=1)
    assert register.register(Path("data"), PARAMS).line == (
        "lmtcnn version 2 is challenger: on the same histograms its balanced accuracy is not higher (0.9375, 15 of 16; "
        "champion 1.0000, 16 of 16); `lmtcnn promote 2` makes it champion"
    )
    assert (version("1").aliases, version("2").aliases) == (["champion"], ["challenger"])
    assert register.promote("2") == (
        "lmtcnn version 2 is champion, in place of version 1; `lmtcnn promote --back` undoes this"
    )
    assert lookup.resolve(None).version == "2"
    assert (version("1").aliases, version("2").aliases) == ([], ["champion"])
    assert register.promote("2") == "lmtcnn version 2 is champion already"
    assert register.promote(None).startswith("lmtcnn version 1 is champion, in place of version 2")
    assert register.promote(None).startswith("lmtcnn version 2 is champion, in place of version 1")
    told = [(event["version"], event["before"], event["by"]) for event in register.listing()["history"]]
    assert told == [("1", None, "rule"), ("2", "1", "hand"), ("1", "2", "hand"), ("2", "1", "hand")]


def real_mice() -> None:
    study.seal_histograms(Path("data"), PARAMS, simulated=False)
    study.seal_training(Path("data/train"), simulated=False)
    study.seal_evaluation(Path("data"), PARAMS, simulated=False)


def test_real_mice_replace_simulated_ones(copied: Path) -> None:
    real_mice()
    assert register.register(Path("data"), PARAMS).line == (
        "lmtcnn version 2 is champion: the champion learned from simulated mice, this one from real ones"
    )
    assert "SIMULATED" not in version("2").description
    assert version("2").tags["lmtcnn.simulated"] == "false"


def test_a_version_without_decision_is_decided_when_it_is_registered_again(project: Path) -> None:
    failing = rule("def decide(candidate, champion):\n    raise OSError('no disk')\n")
    with pytest.raises(OSError, match="no disk"):
        register.register(Path("data"), failing)
    assert register.register(Path("data"), PARAMS).line == "lmtcnn version 1 is champion: there was no champion"
    assert lookup.versions() == ["1"]


def test_track_rebuilds_runs_and_registry_without_a_word_of_mlflow(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lines = register.track(Path("data"), PARAMS)
    assert capfd.readouterr() == ("", "")
    assert lines == [
        f"run {tracking.parent(Path('data'), PARAMS)}",
        f"all runs: {clients.view_url()}",
        "lmtcnn version 1 is champion: there was no champion",
    ]


# ---- Files that were lost or altered ---------------------------------------------------------------------------------


def spoil(path: Path, how: str) -> None:
    if how == "lost":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes() + b"!")


def test_a_champion_whose_files_were_altered_is_not_promoted_once_more(copied: Path) -> None:
    assert register.promote("1") == "lmtcnn version 1 is champion already"
    spoil(lookup.resolve(None).folder / "weights.safetensors", "altered")
    with pytest.raises(ModelError, match="register the model again, which uploads its files"):
        register.promote("1")


@pytest.mark.parametrize("how", ["lost", "altered", "of a later format"])
def test_a_champion_that_cannot_be_read_loses_to_any_other_model_and_the_history_says_so(
    copied: Path, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    if how == "of a later format":
        meta = lookup.resolve(None).folder / "model.json"
        study.rewrite(meta, format=99)
        clients.connect().set_model_version_tag("lmtcnn", "1", "lmtcnn.sha256.model.json", registry.digest(meta))
    else:
        spoil(lookup.resolve(None).folder / "weights.safetensors", how)
    retrained(wrong=9)
    told = register.register(Path("data"), PARAMS)
    assert (told.version, told.alias) == ("2", "champion")
    assert told.why.startswith("the champion, version 1, cannot be read (")
    assert "the champion, version 1, cannot be read: " in caplog.text
    assert lookup.resolve(None).version == "2"
    last = register.listing()["history"][-1]
    assert (last["version"], last["before"], last["by"], last["why"]) == ("2", "1", "rule", told.why)
    with pytest.raises(ModelError):
        register.promote(None)  # version 1 would serve nobody
    assert lookup.resolve(None).version == "2"


# ---- Who is promoted, and by what ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("promote", "trial", "why"),
    [
        ("by_rule", True, None),
        ("except_trials", False, None),
        (
            "except_trials",
            True,
            "it is a trial of `dvc exp run` (`-S register.promote=by_rule` lets the rule decide)",
        ),
        ("never", False, "register.promote is `never`"),
    ],
)
def test_a_trial_becomes_champion_only_where_that_was_asked_for(
    copied: Path, monkeypatch: pytest.MonkeyPatch, promote: str, trial: bool, why: str | None
) -> None:
    if trial:
        monkeypatch.setenv("DVC_EXP_BASELINE_REV", "0" * 40)
        monkeypatch.setenv("DVC_EXP_NAME", "puffy-cats")
    real_mice()  # which win by the rule
    told = register.register(Path("data"), study.small_params(register__promote=promote))
    assert told.alias == ("challenger" if why else "champion")
    assert told.why == why or why is None
    if why:
        again = register.register(Path("data"), PARAMS).line
        assert again.endswith("registered before; it is challenger; `lmtcnn promote 2` makes it champion")


def test_versions_are_listed_with_figures_dates_aliases_and_reasons(registered: Path) -> None:
    found = register.listing()
    (only,), (event,) = found["versions"], found["history"]
    metrics = json.loads(Path("data/evaluate/metrics.json").read_text())
    assert only["version"] == "1"
    assert only["aliases"] == ["champion"]
    assert only["run"] == "reference"
    assert only["balanced_accuracy"] == pytest.approx(metrics["balanced_accuracy"], abs=1e-4)
    assert only["simulated"] is True
    assert only["decision"] == event["why"] == "there was no champion"
    assert only["date"] <= event["when"] < datetime.now(UTC).isoformat()


def test_a_registry_without_a_store_is_empty_and_makes_none(nowhere: Path) -> None:
    assert register.listing() == {"versions": [], "history": []}
    assert not (nowhere / "mlflow.db").exists()


# ---- Stores that cannot be used --------------------------------------------------------------------------------------


@contextlib.contextmanager
def locked(database: Path) -> Iterator[None]:
    """Another program holds the database (tests have a moment's patience)."""
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield


def test_a_locked_store_is_one_line_and_a_prediction_takes_the_bundle_in_data(
    copied: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(store, "BUSY_S", 0.05)
    line = (
        f"{copied}/mlflow.db: expected a store that can be read, found database is locked; end the program that holds "
        "it (or move it off a disk that has no locks), or name another store in MLFLOW_TRACKING_URI"
    )
    with locked(copied / "mlflow.db"):
        found = lookup.resolve(None)
        assert (found.folder, found.version) == (Path("data/register"), None)
        assert caplog.messages == [f"{line}: meanwhile the bundle in data/register is used, whichever serves"]
        calls: list[Callable[[], object]] = [
            lambda: lookup.resolve("models:/lmtcnn/1"),
            lambda: register.register(Path("data"), PARAMS),
            lambda: register.track(Path("data"), PARAMS),
            lambda: register.promote("1"),
            register.listing,
            lambda: tracking.log_evaluate(Path("data"), PARAMS),
        ]
        for call in calls:
            with pytest.raises(OutputError) as error:
                call()
            assert error.value.lines == (line,)
        shutil.rmtree("data/register")
        with pytest.raises(OutputError) as error:
            lookup.resolve(None)
    assert error.value.lines == (line,)


def test_promoting_a_version_that_is_not_there_is_told(registered: Path) -> None:
    with pytest.raises(ModelError) as error:
        register.promote("7")
    assert str(error.value) == (
        "lmtcnn promote 7: expected a version of lmtcnn, found no version 7; choose from versions 1"
    )


def test_there_is_nothing_to_go_back_to_before_a_second_champion(registered: Path) -> None:
    with pytest.raises(ModelError) as error:
        register.promote(None)
    assert str(error.value) == (
        "lmtcnn promote --back: expected an earlier champion in the history, found none; choose from versions 1"
    )


def test_promoting_without_a_store_is_told_and_makes_none(nowhere: Path) -> None:
    with pytest.raises(ModelError) as error:
        register.promote("1")
    assert str(error.value) == (
        "lmtcnn promote 1: expected a version of lmtcnn, found no version 1; run `dvc repro` first"
    )
    assert not (nowhere / "mlflow.db").exists()
