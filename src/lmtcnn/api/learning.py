"""From stacks to networks and maps, and from recordings to classes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from lmtcnn.api.tracks import settings_of
from lmtcnn.bundle import bundle
from lmtcnn.cohort import cohort
from lmtcnn.core.errors import BatchError, DataError, problem
from lmtcnn.core.names import ALL
from lmtcnn.core.sections import TrainParams
from lmtcnn.explain.maps import ClassMaps, class_maps
from lmtcnn.predictions import predict as predicting
from lmtcnn.predictions import prediction
from lmtcnn.register import lookup
from lmtcnn.train import fitting, train
from lmtcnn.train.folds import cages_of
from lmtcnn.train.model import StereotypeCNN, select

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class CrossValidation:
    """Result of `cross_validate`.

    `predictions`: a row for each sample and seed, by the network that has not seen the sample's cage: `sample` (its
    place), `cage`, `fold`, `seed`, `class`, `predicted`, `p_<class>`. `history`: a row for each fold, seed and epoch.
    `networks`: for each cage that was held out, and for `all` (none held out), a network of one member for each seed.
    `classes`: the order of the networks' outputs.
    """

    predictions: pl.DataFrame
    history: pl.DataFrame
    networks: Mapping[str, StereotypeCNN]
    classes: tuple[str, ...]


def cross_validate(
    stacks: ArrayLike,
    classes: Sequence[str],
    cages: Sequence[str],
    *,
    order: Sequence[str] | None = None,
    animals: Sequence[str] | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> CrossValidation:
    """Train the paper's network with one cage held out at a time, and once on all cages (arXiv 2412.05158).

    Parameters
    ----------
    stacks
        (samples, T, N, N), counts as they are.
    classes, cages
        Of each sample.
    order
        The classes in the order of the network's outputs; sorted by default.
    animals
        Who each sample is; an animal in two cages is refused. Without it, each sample is another.
    progress
        Progress callback: epochs done, epochs to be done.
    **settings
        Keys of the section `train` of params.yaml, such as `epochs`; by default the paper's learning rate, 0.001, and
        our 20 epochs.

    Returns
    -------
    CrossValidation
        Held-out predictions, history, networks.

    Raises
    ------
    DataError, CohortError
        Shapes do not fit, there are fewer than two classes or cages, or an animal is in two cages.
    ParamsError
        A key or value of `settings` is wrong, or the loss does not stay finite.

    Examples
    --------
    >>> import lmtcnn, numpy as np
    >>> stacks = np.random.default_rng(1).poisson(1.0, (6, 2, 6, 6))
    >>> classes, cages = ["F", "M", "F", "M", "F", "M"], ["a", "a", "b", "b", "c", "c"]
    >>> found = lmtcnn.cross_validate(stacks, classes, cages, epochs=1, seeds=[0], channels=2)
    >>> found.predictions.height, sorted(found.networks)
    (6, ['a', 'all', 'b', 'c'])
    """
    params = settings_of(TrainParams, settings, "cross_validate")
    x, names = np.asarray(stacks), tuple(order or sorted(set(classes)))
    _check(x, classes, cages, names, params)
    folds = cages_of(list(cages), list(animals) if animals is not None else [str(i) for i in range(len(x))])
    study = fitting.study_of(x, classes, cages, names, params)
    result = train.fit_members(study, (*folds, ALL), folds, params, progress or (lambda done, total: None))
    index = pl.DataFrame({"sample": range(len(x)), "cage": list(cages), "class": list(classes)})
    networks = {}
    for place, member in enumerate(result.members):
        networks[member] = fitting.network(study, params, len(params.seeds))
        networks[member].load_state_dict({name: values[:, place] for name, values in result.weights.items()})
    predictions = train.predictions_of(result, params.seeds, index, names, ("sample", "cage"))
    return CrossValidation(predictions, train.history_of(result, params.seeds), networks, names)


def _check(
    x: NDArray[Any], classes: Sequence[str], cages: Sequence[str], names: tuple[str, ...], params: TrainParams
) -> None:
    """Raise DataError where stacks, classes and cages do not belong together."""
    do = "correct it"
    if x.ndim != 4 or x.shape[2] != x.shape[3] or x.shape[2] < params.pool:
        raise DataError(problem("stacks", "an array (samples, T, N, N)", f"one of shape {x.shape}", do))
    for what, values in (("classes", classes), ("cages", cages)):
        if len(values) != len(x):
            raise DataError(problem(what, f"one for each of {len(x)} samples", str(len(values)), do))
    if others := sorted(set(classes) - set(names)):
        raise DataError(problem("classes", f"those of order, {', '.join(names)}", ", ".join(others), do))
    if len(set(classes)) < 2:
        raise DataError(problem("classes", "two or more", str(len(set(classes))), "add samples of another class"))


def activation_maps(
    network: StereotypeCNN,
    stacks: ArrayLike,
    classes: Sequence[str],
    *,
    order: Sequence[str] | None = None,
    member: int = 0,
    layer: str = "relu",
    transform: str = "none",
) -> ClassMaps:
    """Average the maps of each of a network's channels over the samples of each class.

    Parameters
    ----------
    network
        Such as `cross_validate(...).networks["all"]`; channels of networks of different folds do not correspond.
    stacks
        (samples, T, N, N), counts as they are.
    classes
        Of each sample.
    order
        The classes in the order of the result; sorted by default.
    member
        Whose maps: the place of its seed.
    layer
        `conv` (before ReLU), `relu` (after it) or `pool` (after pooling).
    transform
        Of the counts, as in training: `none`, `log1p` or `sqrt`.

    Returns
    -------
    ClassMaps
        `means` (classes, channels, N, N), nan for a class without samples; `counts` (classes,); `difference`
        (channels,): share of the variance between samples that lies between classes. Channels come kernel by kernel.

    Examples
    --------
    >>> import lmtcnn, numpy as np
    >>> stacks = np.random.default_rng(1).poisson(1.0, (4, 2, 6, 6))
    >>> found = lmtcnn.cross_validate(stacks, ["F", "M", "F", "M"], ["a", "a", "b", "b"], epochs=1, channels=2)
    >>> lmtcnn.activation_maps(found.networks["all"], stacks, ["F", "M", "F", "M"]).means.shape
    (2, 4, 6, 6)
    """
    names = list(order or sorted(set(classes)))
    codes = np.array([names.index(name) for name in classes], dtype=np.int64)
    every = (np.arange(len(codes)), select(network, [member]))
    return class_maps([every], np.asarray(stacks), codes, len(names), transform, layer)


def predict(
    path: str | Path | Sequence[str | Path],
    *,
    model: str | Path,
    force: bool = False,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """Tell the class of every animal in new recordings, as `lmtcnn predict` does.

    Parameters
    ----------
    path
        A database, a folder of databases, or several of them.
    model
        A bundle's folder, such as data/register, or `models:/lmtcnn/3` of an MLflow registry.
    force
        Answer for recordings that are too short or too long as well, with a warning in the table.
    progress
        Progress callback: detections read, detections in all.

    Returns
    -------
    polars.DataFrame
        A row for each animal: `recording`, `animal_id`, `rfid`, `predicted`, `probability`, `p_<class>`,
        `set` (the classes that it may be, in 90 % of new cages or more), `distance` to the training cohort, `agreement`
        (share of networks that say so), columns of the model, `warnings`.

    Raises
    ------
    DatabaseError, DataError, ModelError
        A recording cannot be read or compared, or there is no such model; BatchError tells several.
    """
    paths = [path] if isinstance(path, str | Path) else list(path)
    source = lookup.resolve(str(model))
    served = bundle.read(source.folder)
    answering = prediction.Model.of(served, source.uri, source.version, source.run, source.date)
    recordings = cohort.unlisted([Path(each) for each in paths], served.definitions)
    found, failed = predicting.predict(recordings, served, force=force, progress=progress, model=answering)
    if failed:
        raise failed[0] if len(failed) == 1 else BatchError(failed)
    return prediction.as_table(found, served.classes)
