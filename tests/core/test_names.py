"""Names that are ours."""

from lmtcnn.core.names import COLUMNS, PREFIXES, clashes, is_ours, label_values, safe, words_of
from lmtcnn.core.params import Params
from lmtcnn.core.schemas import predictions_table
from lmtcnn.predictions.prediction import as_frame

CLASSES = {"a": {"dose": ["low", "high"], "sex": "F"}, "b": {"sex": "M"}}


def test_no_label_may_be_called_as_a_column_of_ours() -> None:
    columns = {*predictions_table(["AM"]).columns, *as_frame([], ["AM"]).columns, "hour", "actual"}
    assert [name for name in sorted(columns) if not is_ours(name)] == []
    assert is_ours("Class")
    assert not any(is_ours(name) for name in ("sex", "age", "genotype", "treatment", "strain", "dose", "weeks"))
    assert all(name == name.lower() for name in (*COLUMNS, *PREFIXES))


def test_the_values_of_labels_are_those_of_all_classes() -> None:
    assert label_values(CLASSES) == [("dose", "low"), ("dose", "high"), ("sex", "F"), ("sex", "M")]
    assert words_of(CLASSES["a"]) == "dose low or high, sex F"


def test_the_classes_of_the_paper_have_names_of_their_own(params: Params) -> None:
    assert list(clashes(params.classes)) == []


def test_mlflow_is_given_no_sign_that_it_refuses() -> None:
    assert safe("cv/genotype_+/+ (é)") == "cv/genotype____ _é_"
