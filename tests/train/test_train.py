"""Training: all folds at once, each as if it were alone."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import safetensors.torch
import torch

from conftest import told
from lmtcnn import __version__
from lmtcnn.core.errors import CohortError, DataError, OutputError, ParamsError
from lmtcnn.core.files import digest, read_json
from lmtcnn.core.names import ALL
from lmtcnn.core.params import Params
from lmtcnn.core.records import full_training, read_histograms
from lmtcnn.core.schemas import index_table
from lmtcnn.core.sections import dump
from lmtcnn.histograms import record
from lmtcnn.train import fitting, train
from lmtcnn.train.fitting import Study, fit, load_study
from lmtcnn.train.model import Samples, StereotypeCNN, initialise, member_bytes, prepare, select, softmax_members
from lmtcnn.train.weights import load_members
from study import THREE_CAGES, seal_histograms, training_key, write_histograms

CAGES = tuple(THREE_CAGES)
CLASSES = ["AM", "JM", "AF", "JF"]


@pytest.fixture(scope="module")
def data(trained: Path) -> Path:
    return trained


@pytest.fixture(scope="module")
def study(data: Path, tiny: Params) -> Study:
    found = load_study(*record.load(data / "histograms", tiny), tiny)
    return Study(found.x[:], found.y, found.cages, found.classes)


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_history_has_a_row_for_each_fold_seed_and_epoch(data: Path) -> None:
    history = pl.read_parquet(data / "train" / "history.parquet")
    expected = {(fold, seed, epoch) for fold in (*CAGES, ALL) for seed in (0, 1) for epoch in (1, 2, 3)}
    rows = list(history.select("fold", "seed", "epoch").iter_rows())
    assert len(rows) == len(expected)
    assert set(rows) == expected


def test_only_networks_that_hold_nothing_out_have_no_test_values(data: Path) -> None:
    history = pl.read_parquet(data / "train" / "history.parquet")
    whole = history.filter(pl.col("fold") == ALL)
    assert whole.select("test_loss", "test_accuracy").null_count().row(0) == (whole.height, whole.height)
    assert history.filter(pl.col("fold") != ALL).null_count().sum_horizontal().item() == 0
    assert history.select("train_loss", "train_accuracy").null_count().sum_horizontal().item() == 0


# ---- What is written -------------------------------------------------------------------------------------------------


def test_the_stage_writes_its_five_files(data: Path) -> None:
    assert set(content(data / "train")) == {
        "folds.safetensors", "history.parquet", "predictions.parquet", "train.json", "weights.safetensors",
    }  # fmt: skip


def test_each_sample_is_predicted_once_a_seed_by_the_fold_that_holds_its_cage_out(data: Path, tiny: Params) -> None:
    predictions = pl.read_parquet(data / "train" / "predictions.parquet")
    index = pl.read_parquet(data / "histograms" / "index.parquet")
    keys = ["recording", "animal_id", "rfid", "cage", "class"]
    for seed in (0, 1):
        own = predictions.filter(pl.col("seed") == seed)
        assert own.select(keys).sort(keys).equals(index.select(keys).sort(keys))
    assert predictions["fold"].equals(predictions["cage"], check_names=False)


def test_predictions_are_those_of_the_networks_that_were_written(data: Path, tiny: Params) -> None:
    """folds.safetensors holds its members by seed, then by fold."""
    model = StereotypeCNN(6, 4, 8, 4, channels=2)
    model.load_state_dict(safetensors.torch.load_file(data / "train" / "folds.safetensors"))
    stacks, index = record.load(data / "histograms", tiny)
    probabilities = softmax_members(model, prepare(np.asarray(stacks), "none"))
    predictions = pl.read_parquet(data / "train" / "predictions.parquet")
    for row in predictions.iter_rows(named=True):
        sample = index.select(
            ((pl.col("recording") == row["recording"]) & (pl.col("rfid") == row["rfid"])).arg_true()
        ).item()
        p = [row[f"p_{name}"] for name in CLASSES]
        assert p == pytest.approx(probabilities[row["seed"] * 3 + CAGES.index(row["fold"]), sample], abs=1e-6)
        assert row["predicted"] == CLASSES[int(np.argmax(p))]


def test_the_summary_says_what_was_trained_on_what(data: Path, tiny: Params) -> None:
    made = read_json(data / "histograms" / "histograms.json", "", "")
    assert read_json(data / "train" / "train.json", "", "") == {
        "format": 1,
        "classes": dump(tiny)["classes"],
        "seeds": [0, 1],
        "folds": list(CAGES),
        "architecture": {
            "members": 2, "intervals": 4, "tiles": 8, "classes": 4, "kernels": [3, 9], "channels": 2, "pool": 2,
        },
        "train": dump(tiny.train),
        "simulated": True,
        "n_samples": 12,
        "n_recordings": 6,
        "preprocessing": {"stops": made["stops"], "histograms": made["histograms"]},
        "floor_cm": made["floor_cm"],
        "version": __version__,
        "revision": 2,
        "inputs": {"histograms": read_histograms(data / "histograms", tiny).digest},
        "outputs": {
            name: digest(data / "train" / name)
            for name in ("predictions.parquet", "history.parquet", "folds.safetensors", "weights.safetensors")
        },
        "training": training_key(data, tiny),
    }  # fmt: skip


def test_the_networks_that_are_served_have_seen_all_cages(data: Path, study: Study, tiny: Params) -> None:
    model, training = load_members(data, tiny)
    assert model.members == len(training.record.seeds)
    for member, seed in enumerate(tiny.train.seeds):
        alone = fit(study, (ALL,), seed, tiny.train, lambda: None).model
        for name, values in select(model, [member]).state_dict().items():
            assert torch.allclose(values, alone.state_dict()[name], atol=1e-5)


def test_two_runs_write_the_same_bytes(data: Path, tmp_path: Path, tiny: Params) -> None:
    write_histograms(tmp_path, tiny, THREE_CAGES)
    train.train(tmp_path, tiny)
    assert content(tmp_path / "train") == content(data / "train")


def test_a_rate_that_was_forgotten_is_asked_about(tmp_path: Path, change, tiny: Params, caplog) -> None:
    real = change(**{"histograms.interval_s": 3600, "cohort.databases": "raw"})
    sizes = {"intervals": tiny.histograms.intervals, "tiles": tiny.histograms.tiles}
    params = tiny.model_copy(
        update={"cohort": real.cohort, "histograms": real.histograms.model_copy(update=sizes), "train": tiny.train}
    )
    write_histograms(tmp_path / "data", params, THREE_CAGES)
    train.train(tmp_path / "data", params)
    assert caplog.messages == params.doubts
    assert "train.lr 0.05 with intervals of 3600 s is 50 times the paper's" in caplog.messages[0]


def test_progress_is_told_after_every_epoch_of_every_seed(tmp_path: Path, tiny: Params) -> None:
    write_histograms(tmp_path, tiny, THREE_CAGES)
    told_of = []
    train.train(tmp_path, tiny, progress=lambda done, total: told_of.append((done, total)))
    assert told_of == [(i, 6) for i in range(1, 7)]


# ---- One fold --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def with_fold(tmp_path_factory, tiny: Params) -> tuple[dict[str, bytes], Path]:
    """A full run, what it wrote, and then a fold alone."""
    folder = tmp_path_factory.mktemp("fold") / "data"
    write_histograms(folder, tiny, THREE_CAGES)
    train.train(folder, tiny)
    before = content(folder / "train")
    train.train(folder, tiny, fold="c2")
    return before, folder / "train"


def test_a_fold_alone_is_the_fold_of_the_full_run(with_fold) -> None:
    _, folder = with_fold
    for name in ("predictions.parquet", "history.parquet"):
        full = pl.read_parquet(folder / name).filter(pl.col("fold") == "c2")
        alone = pl.read_parquet(folder / "folds" / "c2" / name)
        numbers = [column for column, kind in full.schema.items() if kind == pl.Float64]
        assert alone.drop(numbers).equals(full.drop(numbers))
        assert np.abs(alone.select(numbers).to_numpy() - full.select(numbers).to_numpy()).max() < 1e-5
    found = safetensors.torch.load_file(folder / "folds.safetensors")
    for name, values in safetensors.torch.load_file(folder / "folds" / "c2" / "folds.safetensors").items():
        assert torch.allclose(values, found[name][[1, 4]], rtol=0, atol=1e-5)


def test_a_fold_alone_leaves_the_full_result_as_it_is(with_fold) -> None:
    before, folder = with_fold
    now = content(folder)
    assert {name: now[name] for name in before} == before


def test_a_fold_alone_writes_into_a_folder_of_its_own(with_fold) -> None:
    before, folder = with_fold
    assert set(content(folder)) - set(before) == {
        f"folds/c2/{name}" for name in ("folds.safetensors", "history.parquet", "predictions.parquet", "train.json")
    }


def test_an_unknown_cage_is_told_with_those_there_are(data: Path, tiny: Params) -> None:
    assert told(ParamsError, train.train, data, tiny, fold="c9") == (
        "--fold c9: expected a cage (c1, c2, c3), found another name; correct it",
    )
    assert not (data / "train" / "folds").exists()


# ---- Groups, and rates that are chosen -------------------------------------------------------------------------------


def using(params: Params, **values: object) -> Params:
    return params.model_copy(update={"train": params.train.model_copy(update=values)})


def written(folder: Path, params: Params, fold: str | None = None, cages: dict[str, str] = THREE_CAGES) -> Path:
    """A training of its own; returns where it was written."""
    if not (folder / "histograms").is_dir():
        write_histograms(folder, params, cages)
    train.train(folder, params, fold)
    return folder / "train" / "folds" / fold if fold else folder / "train"


def apart(one: Path, other: Path) -> float:
    """The largest difference of any number in two trainings' tables and weights."""
    found = []
    for name in ("predictions.parquet", "history.parquet"):
        a, b = pl.read_parquet(one / name), pl.read_parquet(other / name)
        numbers = [column for column, kind in a.schema.items() if kind == pl.Float64]
        assert a.drop(numbers).equals(b.drop(numbers))
        found.append(np.nanmax(np.abs(a.select(numbers).to_numpy() - b.select(numbers).to_numpy()).astype(float)))
    for name in ("folds.safetensors", "weights.safetensors"):
        a, b = (safetensors.torch.load_file(folder / name) for folder in (one, other))
        found += [float((a[key] - b[key]).abs().max()) for key in a]
    return max(found)


def test_members_trained_in_groups_are_those_trained_at_once(data: Path, tiny: Params, study: Study, tmp_path) -> None:
    """A budget for one member, and for two: the same networks but for rounding."""
    one_gb = member_bytes(fitting.network(study, tiny.train, 1), tiny.train.batch) / 1e9
    for size in (1, 2):
        params = using(tiny, memory_gb=one_gb * (size + 0.5))
        assert fitting.group_size(study, params.train) == size
        assert apart(written(tmp_path / str(size), params), data / "train") < 1e-6


def test_samples_are_read_from_disk_a_batch_at_a_time(data: Path, tiny: Params, study: Study) -> None:
    found = load_study(*record.load(data / "histograms", tiny), tiny)
    assert isinstance(found.x, Samples)
    assert isinstance(found.x.stacks, np.memmap)
    batch = torch.tensor([5, 0, 7])
    assert torch.equal(found.x[batch], study.x[batch])
    assert found.x[batch].dtype == torch.float32
    assert len(found.x) == 12


@pytest.fixture(scope="module")
def auto(tmp_path_factory, tiny: Params) -> tuple[Params, Path]:
    """A study whose rates were chosen, from one that is too low, one that is right, and one that diverges."""
    params = using(tiny, lr="auto", lr_grid=(1e-5, 0.05, 1e30), epochs=6, seeds=(3, 4))
    folder = tmp_path_factory.mktemp("auto")
    written(folder, params)
    return params, folder


def chosen_by_hand(study: Study, params: Params, fold: str) -> float:
    """The rate by one training after the other, each of one network."""
    scores = []
    for rate in params.train.lr_grid:
        right, loss = 0, 0.0
        for inner in sorted(set(CAGES) - {fold}):
            out = tuple({inner, fold} - {ALL})
            found = fit(study, (out,), 3, params.train, lambda: None, [rate], may_diverge=True).model
            own = torch.from_numpy(study.cages == inner)
            p = torch.from_numpy(softmax_members(found, study.x[own])[0])
            right += int((p.argmax(dim=1) == study.y[own]).sum())
            loss -= float(p[torch.arange(len(p)), study.y[own]].log().sum())
        scores.append((-right, loss, rate) if np.isfinite(loss) else (1, 0, rate))
    return min(scores)[2]


def test_the_rate_of_every_fold_is_that_which_does_best_within_its_training_cages(auto, study: Study) -> None:
    params, folder = auto
    summary = read_json(folder / "train" / "train.json", "", "")
    assert summary["rates"] == {fold: chosen_by_hand(study, params, fold) for fold in (*CAGES, ALL)}
    assert len(set(summary["rates"].values())) == 2
    assert summary["train"]["lr"] == "auto"
    history = pl.read_parquet(folder / "train" / "history.parquet")
    assert dict(history.select("fold", "lr").unique().iter_rows()) == summary["rates"]


def test_networks_by_chosen_rates_are_those_of_a_training_by_them(auto, study: Study) -> None:
    params, folder = auto
    found = safetensors.torch.load_file(folder / "train" / "folds.safetensors")
    rates = read_json(folder / "train" / "train.json", "", "")["rates"]
    for member, fold in enumerate(CAGES):
        alone = fit(study, (fold,), 4, params.train, lambda: None, [rates[fold]]).model.state_dict()
        assert all(torch.allclose(found[name][3 + member], values[0], atol=1e-5) for name, values in alone.items())


def test_a_fold_alone_chooses_as_the_full_run(auto) -> None:
    params, folder = auto
    alone = written(folder, params, "c2")
    rates = read_json(folder / "train" / "train.json", "", "")["rates"]
    assert read_json(alone / "train.json", "", "")["rates"] == {"c2": rates["c2"]}
    whole = pl.read_parquet(folder / "train" / "predictions.parquet").filter(pl.col("fold") == "c2")
    found = pl.read_parquet(alone / "predictions.parquet")
    numbers = [f"p_{name}" for name in CLASSES]
    assert np.abs(found.select(numbers).to_numpy() - whole.select(numbers).to_numpy()).max() < 1e-5


def test_the_choice_does_not_look_at_the_held_out_cage(auto, tmp_path) -> None:
    """The stacks of c2 replaced by noise: its own fold's networks are the same."""
    params, folder = auto
    write_histograms(tmp_path, params, THREE_CAGES)
    index = pl.read_parquet(tmp_path / "histograms" / "index.parquet")
    stacks = np.load(tmp_path / "histograms" / "stacks.npy")
    stacks[(index["cage"] == "c2").to_numpy()] = np.random.default_rng(1).poisson(3, stacks[0].shape)
    np.save(tmp_path / "histograms" / "stacks.npy", stacks)
    seal_histograms(tmp_path, params)
    found = safetensors.torch.load_file(written(tmp_path, params, "c2") / "folds.safetensors")
    before = safetensors.torch.load_file(written(folder, params, "c2") / "folds.safetensors")
    assert all(torch.allclose(found[name], values, atol=1e-6) for name, values in before.items())


def test_what_the_choice_costs_is_said_before(tmp_path, tiny: Params, caplog) -> None:
    """Three cages: 3 pairs and 3 single ones at two rates are 12 networks, for 4 members of 2 seeds."""
    caplog.set_level("INFO", "lmtcnn")
    written(tmp_path, using(tiny, lr="auto", lr_grid=(0.01, 0.05), epochs=1))
    assert [line for line in caplog.messages if "networks choose" in line] == [
        "train.lr: auto: 12 networks choose the rates of 8, 2 times the work of a training by one rate"
    ]


@pytest.mark.parametrize("wrong", [0, -1.0, "auto ", True, float("inf"), None])
def test_a_rate_is_a_number_above_0_or_auto(change, wrong: object) -> None:
    (line,) = told(ParamsError, change, **{"train.lr": wrong})
    assert line.startswith("test: train.lr: expected a rate above 0, or auto, found ")
    assert change(**{"train.lr": 1}).train.lr == 1.0


def test_a_grid_that_is_not_used_does_not_matter(data: Path, tiny: Params) -> None:
    full_training(data, using(tiny, lr_grid=(0.5,), lr_folds=3, memory_gb=1.0))
    (line,) = told(DataError, full_training, data, using(tiny, lr="auto"))[:1]
    assert line.startswith(f"{data / 'train'}: expected train.lr auto, found 0.05")


# ---- Interrupted -----------------------------------------------------------------------------------------------------


class StopHereError(Exception):
    pass


def interrupted(folder: Path, params: Params, after: int, fold: str | None = None) -> None:
    """Train until so many epochs of all are done."""

    def stop(done: int, total: int) -> None:
        if done == after:
            raise StopHereError

    with pytest.raises(StopHereError):
        train.train(folder, params, fold, stop)


@pytest.mark.parametrize("fold", [None, "c2"])
def test_a_training_goes_on_where_it_was_interrupted_and_gives_the_same_bytes(
    data: Path, tiny: Params, tmp_path, monkeypatch, fold: str | None
) -> None:
    """After one epoch of the second seed: the first is not trained again."""
    expected = content(written(tmp_path / "whole", tiny, fold))
    write_histograms(tmp_path, tiny, THREE_CAGES)
    interrupted(tmp_path, tiny, 4, fold)
    seeds = []
    monkeypatch.setattr(fitting, "initialise", lambda model, seed: (seeds.append(seed), initialise(model, seed)))
    assert content(written(tmp_path, tiny, fold)) == expected
    assert seeds == [1]


def test_a_choice_of_rates_that_was_made_is_not_made_again(tiny: Params, tmp_path, monkeypatch) -> None:
    params = using(tiny, lr="auto", lr_grid=(0.01, 0.05))
    expected = content(written(tmp_path / "whole", params))
    write_histograms(tmp_path, params, THREE_CAGES)
    interrupted(tmp_path, params, 3 + 1)
    members = []
    monkeypatch.setattr(
        fitting, "initialise", lambda model, seed: (members.append(model.members), initialise(model, seed))
    )
    assert content(written(tmp_path, params)) == expected
    assert members == [4, 4]


def test_a_training_of_other_parameters_begins_anew(data: Path, tiny: Params, tmp_path) -> None:
    write_histograms(tmp_path, tiny, THREE_CAGES)
    interrupted(tmp_path, using(tiny, epochs=2), 3)
    assert (tmp_path / "train" / ".partial").is_dir()
    assert content(written(tmp_path, tiny)) == content(data / "train")


def test_a_disk_that_is_full_at_the_end_costs_no_training(data: Path, tiny: Params, tmp_path, monkeypatch) -> None:
    """The last of the files does not fit: one line, and the next run trains nothing."""
    write_histograms(tmp_path, tiny, THREE_CAGES)

    def full(tensors: object, path: Path) -> None:
        raise OutputError(f"{path}: expected a place that can be written, found a full disk; choose another")

    with monkeypatch.context() as patched:
        patched.setattr(train, "save_tensors", full)
        assert "found a full disk" in told(OutputError, train.train, tmp_path, tiny)[0]
    monkeypatch.setattr(train, "fit", None)
    assert content(written(tmp_path, tiny)) == content(data / "train")


# ---- Devices ---------------------------------------------------------------------------------------------------------


def test_cuda_where_there_is_none_is_told(data: Path, tiny: Params, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    using = tiny.model_copy(update={"train": tiny.train.model_copy(update={"device": "cuda"})})
    assert told(ParamsError, train.train, data, using) == (
        "train.device: expected a GPU for cuda, found none; write auto or cpu",
    )


# ---- What is missing or does not fit ---------------------------------------------------------------------------------


def test_without_histograms_there_is_no_training(tmp_path: Path, tiny: Params) -> None:
    assert told(DataError, train.train, tmp_path, tiny) == (
        f"{tmp_path / 'histograms' / 'histograms.json'}: expected the histograms, found no file; "
        "run `lmtcnn histograms` first",
    )


def test_a_training_that_diverges_is_told_and_leaves_no_result(tmp_path: Path, tiny: Params) -> None:
    write_histograms(tmp_path, tiny, THREE_CAGES)
    wild = tiny.model_copy(update={"train": tiny.train.model_copy(update={"lr": 1e30})})
    (line,) = told(ParamsError, train.train, tmp_path, wild)
    assert line.startswith("train.lr: expected a rate at which the loss stays finite, found an infinite one in epoch ")
    assert line.endswith("seed 0; lower it")
    assert not (tmp_path / "train" / "train.json").exists()


def unmoved(study: Study, weights_of: Callable[[Study], dict[str, torch.Tensor]]) -> bool:
    """Whether a fold's weights stay as they are when its held-out cage has other stops and other classes."""
    out = torch.from_numpy(np.isin(study.cages, CAGES[0]))
    others = (study.y + 1) % len(study.classes)
    changed = Study(torch.where(out[:, None, None, None], study.x.flip(0), study.x), study.y.where(~out, others),
                    study.cages, study.classes)  # fmt: skip
    one, other = weights_of(study), weights_of(changed)
    return all(torch.equal(one[name], other[name]) for name in one)


def test_no_weights_are_picked_by_what_is_held_out(study: Study, tiny: Params) -> None:
    """Of a training that kept the epoch of the best held-out loss, the same question says that they are."""
    settings = tiny.train.model_copy(update={"lr": 0.05})

    def last(of: Study, epochs: int = 6) -> dict[str, torch.Tensor]:
        model = fit(of, (CAGES[0],), 0, settings.model_copy(update={"epochs": epochs}), lambda: None).model
        return {name: values.clone() for name, values in model.state_dict().items()}

    def best(of: Study) -> dict[str, torch.Tensor]:
        losses = []
        out = np.isin(of.cages, CAGES[0])
        for epochs in range(1, 7):
            model = fit(of, (CAGES[0],), 0, settings.model_copy(update={"epochs": epochs}), lambda: None).model
            p = softmax_members(model, of.x[out])[0]
            losses.append(-np.log(p[np.arange(out.sum()), of.y[out].numpy()]).mean())
        return last(of, int(np.argmin(losses)) + 1)

    assert unmoved(study, last)
    assert not unmoved(study, best)


def test_an_animal_on_both_sides_of_a_split_is_refused_before_anything_is_trained(tmp_path: Path, tiny: Params) -> None:
    """The stage reads what histograms left, and does not rely on the manifest having been checked before."""
    index = write_histograms(tmp_path, tiny, THREE_CAGES)
    moved = pl.when(pl.col("cage") == "c2").then(pl.lit("c11")).otherwise(pl.col("animal"))
    index_table(tiny.labels).write(index.with_columns(animal=moved), tmp_path / "histograms" / "index.parquet")
    seal_histograms(tmp_path, tiny)
    (line,) = told(CohortError, train.train, tmp_path, tiny)
    assert line.startswith("animal c11: expected one cage, found c1, c2; ")
    assert not (tmp_path / "train").exists()
