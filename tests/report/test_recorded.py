"""What was recorded, as the page has it."""

from lmtcnn.report.recorded import parameter_rows
from study import small_params


def test_parameters_of_the_simulator_are_shown_for_its_cohorts_only() -> None:
    params = small_params()
    own = params.model_copy(update={"cohort": params.cohort.model_copy(update={"databases": "data/raw"})})
    sections = ["cohort", "evaluate", "explain", "histograms", "quality", "report", "stops", "train"]
    assert sorted(dict(parameter_rows(own))) == sections
    shown = dict(parameter_rows(params))
    assert ("effect", "1.0") in shown["simulate"]
    assert ("kernels", "1, 3") in shown["train"]
    assert ("arena.cm_per_px", "10/57") in shown["stops"]
