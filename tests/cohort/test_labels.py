"""From labels to classes."""

from pathlib import Path

from conftest import HEADER, told
from lmtcnn.core.errors import CohortError


def test_labels_that_fit_two_classes_are_told(reading, manifest: Path, change) -> None:
    using = change(classes={"male": {"sex": "M"}, "adult": {"age": "adult"}})
    assert told(CohortError, reading, f"{HEADER}\nr1,001,c1,M,adult\n", using) == (
        f"{manifest}: row 2: expected one class, found sex M, age adult, which is male and adult; "
        "correct the labels, or `classes` in params.yaml",
    )
