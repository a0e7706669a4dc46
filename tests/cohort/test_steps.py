"""The steps after a new manifest are those that its study needs, and change none that has one."""

from pathlib import Path

import pytest

from conftest import OWN_RECORDINGS, change_params
from lmtcnn.cohort import steps
from lmtcnn.core.params import load

FILL = "fill in its empty columns (cage: a name for the animals housed together)"


@pytest.mark.parametrize(
    ("changes", "folder", "manifest", "labels", "expected"),
    [
        (
            (),
            "raw",
            "c.csv",
            ["sex", "dose"],
            [
                "in params.yaml: cohort.databases: raw, cohort.manifest: c.csv",
                "in params.yaml: histograms.interval_s and train.lr, the values for real recordings",
                "in params.yaml: classes that name the values of dose",
                "lmtcnn cohort check && dvc repro",
            ],
        ),
        (OWN_RECORDINGS, "raw", "cohort.csv", ["sex", "age"], ["lmtcnn cohort check && dvc repro"]),
        (
            OWN_RECORDINGS,
            "new",
            "new.csv",
            ["dose"],
            [
                "new animals for a model: lmtcnn predict new --cohort new.csv",
                "a study of their own: a copy of params.yaml with cohort.databases: new, cohort.manifest: new.csv",
                "params.yaml itself is that of cohort.csv, and stays",
            ],
        ),
    ],
    ids=["a first study", "the study's own manifest", "beside a study that has one"],
)
def test_the_steps_are_those_that_the_study_needs(
    run, tmp_path: Path, changes, folder: str, manifest: str, labels: list[str], expected: list[str]
) -> None:
    change_params(tmp_path, *changes)
    file = Path("params.yaml")
    assert list(steps.after_init(load(file), file, Path(folder), Path(manifest), labels)) == [FILL, *expected]
