"""Commands on a study."""


def test_a_stage_before_its_time_says_what_to_run_first(run) -> None:
    assert run("train")[2] == ["error: data/histograms/histograms.json: expected the histograms, found no file; "
                               "run `lmtcnn histograms` first"]  # fmt: skip
