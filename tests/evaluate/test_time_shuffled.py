"""Held-out samples whose hours are shuffled."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from lmtcnn.core.params import Params
from lmtcnn.core.records import find_training
from lmtcnn.evaluate import time_shuffled
from lmtcnn.evaluate.time_shuffled import accuracy_without_time
from lmtcnn.histograms import record
from lmtcnn.train.model import Samples


def asked(data: Path, params: Params, seed: int = 0, **values: int) -> float:
    stacks, index = record.load(data / "histograms", params)
    samples = Samples(stacks, params.train.transform, torch.device("cpu"))
    codes = np.array([list(params.classes).index(name) for name in index["class"]])
    return accuracy_without_time(find_training(data, params), samples, codes, index["cage"].to_numpy(), seed, **values)


def test_in_their_own_order_the_accuracy_is_that_of_the_predictions(trained, tiny, monkeypatch) -> None:
    monkeypatch.setattr(time_shuffled, "_orders", lambda hours, n, *_: torch.arange(hours).expand(n, -1))
    table = pl.read_parquet(trained / "train" / "predictions.parquet")
    assert asked(trained, tiny) == pytest.approx((table["class"] == table["predicted"]).mean())


def test_the_same_seed_gives_the_same_figure_and_another_one_another_order(trained: Path, tiny: Params) -> None:
    assert asked(trained, tiny) == asked(trained, tiny)
    orders = [time_shuffled._orders(72, 5, seed, row) for seed, row in ((0, 0), (0, 1), (1, 0))]
    assert not torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[0], orders[2])
    for order in orders[0]:
        assert sorted(order.tolist()) == list(range(72))


def test_hours_are_exchanged_and_the_floor_stays(trained, tiny, monkeypatch) -> None:
    """What the networks are shown has the same hours in another order."""
    stacks, _ = record.load(trained / "histograms", tiny)
    shown = []
    ask = time_shuffled.softmax_members
    monkeypatch.setattr(time_shuffled, "softmax_members", lambda model, x: shown.append(x) or ask(model, x))
    asked(trained, tiny, shuffles=7)
    sums = np.sort(np.asarray(stacks, dtype=np.float64).sum(axis=(2, 3)), axis=1).tolist()
    assert len(shown) == len(stacks)
    for x in shown:
        assert x.shape == (7, *stacks.shape[1:])
        for each in x:
            assert np.sort(each.sum(dim=(1, 2)).double().numpy()).tolist() in sums
            assert torch.equal(each.sum(dim=0), x[0].sum(dim=0))
