"""A run that breaks off is not finished."""

from pathlib import Path
from typing import Any

import pytest

import study
from lmtcnn.tracking import client as clients
from lmtcnn.tracking import provenance, tracking

PARAMS = study.small_params(cohort__manifest="cohort.csv")


def all_runs(client: Any) -> list[Any]:
    return list(client.search_runs([clients.experiment_of(client).experiment_id], order_by=["attributes.run_name"]))


@pytest.mark.parametrize(("raised", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_a_run_that_breaks_off_is_not_finished_and_is_logged_anew(
    project: Path, monkeypatch: pytest.MonkeyPatch, raised: type[BaseException], status: str
) -> None:
    def broken(*_: object) -> None:
        raise raised

    with monkeypatch.context() as patched:
        patched.setattr(provenance, "matrix_text", broken)
        with pytest.raises(raised):
            tracking.log_train(Path("data"), PARAMS)
    client = clients.connect()
    assert {run.info.status for run in all_runs(client)} == {status}
    run_id = tracking.log_train(Path("data"), PARAMS)
    assert client.get_run(run_id).info.status == "FINISHED"
