"""The networks of a training that have not seen a cage, read from its folder."""

from collections.abc import Iterator

import safetensors.torch
from safetensors import SafetensorError

from lmtcnn.core.errors import DataError, problem, system_words
from lmtcnn.core.records import FOLDS, Training, TrainRecord, check_outputs, read_record
from lmtcnn.train.model import StereotypeCNN


def load_held_out(training: Training) -> Iterator[tuple[str, StereotypeCNN]]:
    """Load the networks that each cage is held out of.

    Parameters
    ----------
    training
        A full training, or one of single folds.

    Yields
    ------
    str, StereotypeCNN
        A cage, and its networks: a member for each seed, in the order of `train.seeds`.

    Raises
    ------
    DataError
        Where the weights are missing, or are not those that the training wrote.
    """
    cages, seeds = training.record.folds, len(training.record.seeds)
    for part in training.parts:
        own = cages if part == training.folder else (part.name,)
        path = part / FOLDS
        if path.is_file():
            record = read_record(part / "train.json", TrainRecord, "the summary of a training", "train")
            if lines := check_outputs(part, record, "train", [FOLDS]):
                raise DataError(lines)
        try:
            weights = safetensors.torch.load_file(path)
            for place, cage in enumerate(own):
                model = StereotypeCNN(**training.record.architecture)
                members = [seed * len(own) + place for seed in range(seeds)]
                model.load_state_dict({name: values[members] for name, values in weights.items()})
                yield cage, model
        except FileNotFoundError:
            raise DataError(problem(path, "the networks of the folds", "no file", "run `lmtcnn train`")) from None
        except (SafetensorError, RuntimeError, IndexError, OSError) as error:
            said = system_words(error).rstrip(".")
            raise DataError(problem(path, "the networks of the folds", said, "run `lmtcnn train` again")) from error
