"""Why new animals are told as what they are told: a picture of each, and three sentences."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lmtcnn import SIMULATED
from lmtcnn.bundle.bundle import Bundle
from lmtcnn.core.files import ensure_folder, write_text
from lmtcnn.explain.animal import Asked, draw, reasons
from lmtcnn.predictions.prediction import Prediction


class Explainer:
    """Draws reasons into a folder: NAME_NUMBER_reasons.png, .svg, .pdf, and the sentences as .txt.

    Parameters
    ----------
    bundle
        The model that answers; new animals are compared with those that it learned from.
    folder
        Where the pictures go; made where it is not there.
    """

    def __init__(self, bundle: Bundle, folder: Path) -> None:
        meta = bundle.meta
        self.bundle, self.folder = bundle, ensure_folder(folder)
        self.maps = np.square(bundle.reference.roots.astype(np.float64))  # their roots have length 1: these sum to 1
        self.index = pl.DataFrame(
            {
                "recording": [name for name, _ in meta["samples"]],
                "animal_id": [rfid for _, rfid in meta["samples"]],
                "class": [name for name, *_ in meta["held_out"]],
            }
        )
        self.asked = Asked(
            bundle.classes,
            meta["train"]["transform"],
            bundle.reference.smoothing_tiles,
            meta["zones"],
            (meta["floor_cm"][0], meta["floor_cm"][1]),
            bundle.definitions.histograms.interval_s,
        )

    def explain(self, stack: NDArray[Any], prediction: Prediction) -> None:
        """Draw why an animal is told as what it is told.

        Parameters
        ----------
        stack
            Its histograms (T, N, N).
        prediction
            What was told of it.
        """
        others = np.flatnonzero(
            (self.index["animal_id"] != (prediction.rfid or "")).to_numpy()
        )  # not the animal itself
        found = reasons(stack, self.bundle.model, self.maps[others], self.index[others.tolist()], self.asked)
        who = f"{prediction.recording} animal {prediction.animal_id}"
        whose = f"the mean of {self.bundle.model.members} networks"
        said = found.sentences(who, whose, self.asked.interval_s)
        marks = [f"{SIMULATED}."] * self.bundle.meta["simulated"]
        path = self.folder / f"{prediction.recording}_{prediction.animal_id}_reasons.png"
        draw(found, self.asked, who, " ".join([*marks, *said]), path)
        write_text(path.with_suffix(".txt"), "\n".join([*marks, *said, *prediction.warnings]) + "\n")
