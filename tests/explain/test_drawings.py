"""What drawings of an explanation are made of."""

import pytest

import study
from lmtcnn.core.files import write_json
from lmtcnn.explain import explain as module
from lmtcnn.explain.drawings import describe_network, find_zones, limits
from lmtcnn.explain.explain import explain
from lmtcnn.train.model import StereotypeCNN, initialise
from study import small_params, write_study


@pytest.fixture(scope="module")
def params():
    return small_params()


@pytest.fixture
def undrawn(monkeypatch):
    """Figures without their files: writing them is most of the stage's time."""

    def make(folder, drawings):
        for drawing in drawings:
            drawing.make(*drawing.given, **drawing.named)
            for path in (folder / name for name in drawing.files):
                path.parent.mkdir(exist_ok=True)
                path.touch()

    monkeypatch.setattr(module.gallery, "draw", make)


def test_a_cohort_without_planted_differences_has_no_zones(tmp_path):
    truth = {"zones": {"dome": {}}, "classes": {"AM": {"log_preference": {"dome": 0.0}}}}
    write_json(tmp_path / "truth.json", truth)
    params = small_params(cohort={"databases": str(tmp_path / "none"), "manifest": str(tmp_path / "cohort.csv")})
    assert find_zones(params) == {}
    assert find_zones(small_params(cohort={"databases": str(tmp_path / "none"), "manifest": "none/x.csv"})) is None


def test_a_network_is_described_by_its_own_shapes_and_numbers():
    network = StereotypeCNN(1, 2, 6, classes=2, kernels=(3, 5), channels=2)
    initialise(network, 0)
    layers = describe_network(network, ["a", "b"])
    assert layers["input"] == [2, 6, 6]
    assert [(b["kernel"], b["maps"], b["pooled"], b["parameters"]) for b in layers["branches"]] == [
        (3, [2, 6, 6], [2, 3, 3], 2 * 2 * 9 + 2),
        (5, [2, 6, 6], [2, 3, 3], 2 * 2 * 25 + 2),
    ]
    assert layers["features"] == 2 * 2 * 9
    assert layers["linear_parameters"] == 36 * 2 + 2
    assert layers["parameters"] == sum(values.numel() for values in network.parameters())


def test_a_study_without_its_databases_has_no_example_and_says_so(tmp_path, params, undrawn, caplog):
    write_study(tmp_path, params)
    explain(tmp_path, params)
    assert caplog.messages == ["c1_adult: no database at hand, so no figures of an example"]


def test_the_example_is_a_sample_with_a_stop(tmp_path, params, undrawn, caplog, monkeypatch):
    """The first two samples, of c1_adult, have none; then no sample has one."""
    full = study.stacks_of
    for empty in (2, None):

        def stacks_of(*args, without: int | None = empty):
            stacks = full(*args)
            stacks[:without] = 0
            return stacks

        monkeypatch.setattr(study, "stacks_of", stacks_of)
        write_study(tmp_path, params)
        explain(tmp_path, params)
    assert caplog.messages == [
        "c1_juvenile: no database at hand, so no figures of an example",
        "no stop is counted in any sample, so no figures of an example",
    ]


def test_limits_are_medians_over_channels_and_classes_of_what_is_known():
    first = {"AM": {"stops": 0.9, "untrained": None}, "AF": {"stops": 0.8, "untrained": 0.25}}
    channels = [{"correlations": first}, {"correlations": {"AM": {"stops": 0.5}}}, {}]
    assert limits({"channels": channels}) == (
        "Correlation of all channels' maps, median: 0.80 with the maps of stops, 0.25 with an untrained network's. The "
        "nearer to 1, the less they say of what the network learned; they carry no significance."
    )
    assert limits({"channels": [{}]}) == "These maps carry no significance."
