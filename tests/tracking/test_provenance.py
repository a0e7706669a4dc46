"""What a run says of itself."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

import study
from lmtcnn.tracking import provenance


def tags(**changes: str) -> dict[str, str]:
    return {"lmtcnn.simulated": "true", "lmtcnn.histograms": "abcdef0123", "lmtcnn.version": "1"} | {
        f"lmtcnn.{name}": value for name, value in changes.items()
    }


FIRST = {"train.lr": "0.001", "train.epochs": "30", "train.device": "cpu", "histograms.tiles": "30"}


@pytest.mark.parametrize(
    ("own", "own_tags", "name"),
    [
        (FIRST | {"train.lr": "0.003"}, tags(), "train.lr=0.003"),
        (FIRST | {"train.device": "cuda", "train.epochs": "60"}, tags(), "train.epochs=60"),
        (
            FIRST | {"histograms.tiles": "20", "train.lr": "1"},
            tags(histograms="999999"),
            "train.lr=1, histograms.tiles=20",
        ),
        (FIRST, tags(histograms="9876543210"), "cohort 987654"),
        (FIRST | {"train.lr": "1"}, tags(histograms="9876543210"), "train.lr=1, cohort 987654"),
        (FIRST, tags(version="2"), "lmtcnn 2"),
        (FIRST, tags(simulated="false", histograms="9876543210"), "real recordings, cohort 987654"),
        (FIRST | {"a": "1", "b": "1", "c": "1", "train.lr": "1"}, tags(), "train.lr=1, a=1, b=1, 1 more"),
        ({k: v for k, v in FIRST.items() if k != "train.epochs"}, tags(), "train.epochs=none"),
        (FIRST, tags(), "reference"),
    ],
)
def test_a_run_is_named_by_what_distinguishes_it_from_the_first(own: dict, own_tags: dict, name: str) -> None:
    assert provenance.run_name(own, own_tags, (FIRST, tags())) == name


def test_the_first_run_is_called_reference() -> None:
    assert provenance.run_name(FIRST, tags(), None) == "reference"


def test_metrics_are_grouped_and_undefined_ones_left_out() -> None:
    metrics = {"accuracy": 0.5, "accuracy_low": 0.4, "accuracy_sex_F": 1.0, "recall_AM": 0.25, "knn_accuracy": 0.6}
    metrics |= {"svm_recall_AM": 0.1, "mcc": float("nan"), "n_samples": 96, "simulated": True, "accuracy_type_+/+": 0.3}
    metrics |= {"occupancy_svm_accuracy": 0.7, "occupancy_svm_accuracy_high": 0.8, "occupancy_svm_recall_AM": 0.9}
    metrics |= {"chance_knn": 0.2, "p_occupancy_knn_sex": 0.01, "difference_svm_low": -0.1, "train_late_fall": 0.0}
    assert provenance.metric_names(metrics) == {
        "cv/accuracy": 0.5,
        "cv/accuracy_low": 0.4,
        "cv/sex_F": 1.0,
        "cv/recall_AM": 0.25,
        "baseline/knn": 0.6,
        "recall_baseline/svm_AM": 0.1,
        "baseline/occupancy_svm": 0.7,
        "baseline_interval/occupancy_svm_high": 0.8,
        "recall_baseline/occupancy_svm_AM": 0.9,
        "chance/knn": 0.2,
        "p/occupancy_knn_sex": 0.01,
        "difference/svm_low": -0.1,
        "train/late_fall": 0.0,
        "cv/type____": 0.3,
    }


def test_parameters_of_the_simulation_belong_to_its_own_cohort_only() -> None:
    params = study.small_params(train__kernels=[3, 9])
    own = params.model_copy(update={"cohort": params.cohort.model_copy(update={"databases": "data/raw"})})
    simulated, real = (provenance.parameters(p, {"cages": 4}) for p in (params, own))
    assert {name.partition(".")[0] for name in set(simulated) - set(real)} == {"simulate"}
    assert (real["train.kernels"], real["train.transform"], real["cohort.cages"]) == ("3, 9", "none", "4")
    assert real["classes"] == "AM, JM, AF, JF"


def test_a_run_knows_whether_its_process_is_alive() -> None:
    gone = subprocess.run(["sh", "-c", "echo $$"], capture_output=True, text=True, check=True).stdout.strip()
    host = socket.gethostname()
    assert provenance.alive({"lmtcnn.host": host, "lmtcnn.pid": str(os.getpid())})
    assert not provenance.alive({"lmtcnn.host": host, "lmtcnn.pid": gone})
    assert provenance.alive({"lmtcnn.host": "another", "lmtcnn.pid": gone})
    assert provenance.alive({})


LOCK = """schema: '2.0'
stages:
  stops:
    deps: [{path: data/raw, md5: aaa.dir}, {path: data/cohort.csv, md5: bbb}]
    outs: [{path: data/stops, md5: ccc.dir}]
  histograms:
    deps: [{path: data/stops, md5: ccc.dir}, {path: src/lmtcnn/histograms.py, md5: ddd}]
    outs: [{path: data/histograms, md5: 53901ad13d235584ad87d8066b224b58.dir}]
"""  # the last is what DVC 3.67 wrote for the two files below


def test_hashes_of_dvc_go_back_to_the_recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("data/histograms")
    folder.mkdir(parents=True)
    (folder / "index.parquet").write_text("hi\n")
    (folder / "stacks.npy").write_text("h1\n")
    assert provenance.dvc_hashes(Path("data")) == {}
    Path("dvc.lock").write_text(LOCK)
    assert provenance.dvc_hashes(Path("data")) == {
        "dvc.data/histograms": "53901ad13d235584ad87d8066b224b58.dir",
        "dvc.data/stops": "ccc.dir",
        "dvc.data/cohort.csv": "bbb",
        "dvc.data/raw": "aaa.dir",
    }
    (folder / "stacks.npy").write_text("made without DVC\n")
    assert provenance.dvc_hashes(Path("data")) == {}


def test_the_commit_is_told_with_whether_files_differ_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert "mlflow.source.git.commit" not in provenance.source_tags("lmtcnn train")
    Path("a").write_text("1")
    who = ["-c", "user.name=n", "-c", "user.email=e"]
    for command in (["init", "-q"], ["add", "a"], [*who, "commit", "-q", "-m", "m"]):
        subprocess.run(["git", *command], check=True)
    clean = provenance.source_tags("lmtcnn train")
    assert len(clean["mlflow.source.git.commit"]) == 40
    assert clean["mlflow.source.git.dirty"] == "false"
    Path("a").write_text("2")
    assert provenance.source_tags("lmtcnn train")["mlflow.source.git.dirty"] == "true"


def test_the_text_of_a_run_says_that_mice_are_simulated_and_what_was_done() -> None:
    trained = {"kernels": [3, 9], "channels": 2, "lr": 0.05, "epochs": 3, "batch": 8}
    summary = {"simulated": True, "classes": {"AM": {}, "JM": {}, "AF": {}, "JF": {}}, "train": trained}
    summary |= {"n_samples": 16, "n_recordings": 8, "folds": ["c1", "c2", "c3", "c4"], "seeds": [0, 1]}
    metrics = {"accuracy": 0.5, "ensemble_accuracy": 0.75, "knn_accuracy": 0.25, "svm_accuracy": 1.0}
    metrics |= {"occupancy_svm_accuracy": 0.5}
    assert provenance.training_note(summary, metrics) == (
        "**SIMULATED MICE: this says nothing about real mice.**\n\n"
        "A shallow network (3x3 and 9x9 kernels, 2 channels each) that tells AM, JM, AF and JF from maps of where a "
        "mouse stopped.\n\n"
        "16 samples of 8 recordings; each of 4 cages was held out once, with 2 networks each; SGD, rate 0.05, "
        "3 epochs, batches of 8.\n\n"
        "On held-out cages a single network is right in 50.0%, the networks of a cage together in 75.0% of samples. "
        "Simpler methods: knn 25.0%, svm 100.0%, occupancy_svm 50.0%.\n"
    )
    assert "SIMULATED" not in provenance.training_note(summary | {"simulated": False})
    assert provenance.training_note(summary, metrics | {"notes": ["the training loss still falls", "more"]}).endswith(
        "svm 50.0%.\n\n**Beware:** the training loss still falls.\n\n**Beware:** more.\n"
    )
    chosen = {"train": trained | {"lr": "auto"}, "rates": {"c1": 0.1, "c2": 0.01, "c3": 0.1, "": 0.03}}
    assert "; SGD, a rate chosen for each among its training cages: 0.01 (1), 0.03 (1), 0.1 (2), 3 epochs" in (
        provenance.training_note(summary | chosen)
    )


def test_a_run_says_whose_it_is_where_that_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise OSError("no username set in the environment")

    monkeypatch.setenv("LOGNAME", "ada")
    assert provenance.source_tags("lmtcnn train")["mlflow.user"] == "ada"
    monkeypatch.setattr(provenance.getpass, "getuser", nobody)
    assert "mlflow.user" not in provenance.source_tags("lmtcnn train")
