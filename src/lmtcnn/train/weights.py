"""Weights of networks, read from files that may be damaged."""

from collections.abc import Sequence
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from lmtcnn.core.errors import DataError, problem
from lmtcnn.core.params import Params
from lmtcnn.core.records import (
    WEIGHTS,
    Training,
    full_training,
)
from lmtcnn.train.model import StereotypeCNN


def load_members(data: Path, params: Params) -> tuple[StereotypeCNN, Training]:
    """Load the networks that see all cages, one member for each seed, and what train.json says of them.

    Raises DataError where they are missing, or not of the present histograms and parameters.
    """
    training = full_training(data, params)
    model = StereotypeCNN(**training.record.architecture)
    load_weights(model, data / "train" / WEIGHTS, "run `lmtcnn train` again")
    return model, training


def load_weights(model: StereotypeCNN, path: Path, do: str, beside: Sequence[str] = ()) -> dict[str, Tensor]:
    """Load weights into a model.

    Parameters
    ----------
    model
        Network of the weights' shape.
    path
        The safetensors file.
    do
        What a user should do about a damaged file.
    beside
        Names of tensors that the file holds beside the weights.

    Returns
    -------
    Those tensors.

    Raises
    ------
    DataError
        Where the weights are missing, damaged, of another shape or not finite.
    """
    try:
        found = safetensors.torch.load_file(path)
        if missing := [name for name in beside if name not in found]:
            raise DataError(problem(path, f"a tensor {missing[0]}", "none", do))
        others = {name: found.pop(name) for name in beside}
        model.load_state_dict(found)
        if not all(bool(values.isfinite().all()) for values in (*found.values(), *others.values())):
            raise DataError(problem(path, "finite weights", "nan or inf", do))
    except FileNotFoundError:
        raise DataError(problem(path, "weights", "no file", do)) from None
    except (SafetensorError, RuntimeError, OSError) as error:
        said = [line.strip().rstrip(".") for line in str(error).splitlines()]  # torch's first line is a heading
        raise DataError(problem(path, "weights of this architecture", said[min(1, len(said) - 1)], do)) from error
    return others
