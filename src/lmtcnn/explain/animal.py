"""Why one animal is told as what it is told: its map, what speaks for and against, and whom it is nearest to.

Of a study's own animal, the networks that have not seen its cage are asked, and it is compared with other cages only.
Of a new animal, the networks of a bundle are asked, and it is compared with the whole study.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lmtcnn import SIMULATED
from lmtcnn.core.errors import ParamsError, problem
from lmtcnn.core.files import ensure_folder
from lmtcnn.core.params import Params
from lmtcnn.core.records import full_training
from lmtcnn.explain.attributions import attribute_members
from lmtcnn.explain.contrasts import PER_MILLE, zone_mask
from lmtcnn.explain.evidence import Evidence, evidence
from lmtcnn.explain.pairs import Floats
from lmtcnn.figures import animal as drawing
from lmtcnn.figures import figures
from lmtcnn.histograms import record
from lmtcnn.histograms.shares import gaussian, shares
from lmtcnn.train.held_out import load_held_out
from lmtcnn.train.model import StereotypeCNN, prepare

NEAREST = 3
"""So many animals are named."""


class Near(NamedTuple):
    """An animal of the study: who it is, its number or RFID, and the Euclidean distance of its map, in per mille."""

    recording: str
    animal_id: int | str
    class_name: str
    distance: float


@dataclass(frozen=True)
class Asked:
    """How networks are asked and animals compared.

    The classes in the order of the logits, the transform of the counts, the smoothing of shares in tiles, zones by
    name, width and height of the floor in cm, and the seconds that an interval lasts.
    """

    classes: Sequence[str]
    transform: str
    smoothing_tiles: float
    zones: Mapping[str, Mapping[str, Any]]
    floor_cm: tuple[float, float]
    interval_s: float

    def masks(self, tiles: int) -> dict[str, NDArray[np.bool_]]:
        """Zone -> its tiles (N, N)."""
        return {name: zone_mask(zone, tiles, self.floor_cm) for name, zone in self.zones.items()}


@dataclass(frozen=True)
class Reasons:
    """Why an animal is told as one class rather than as the next likely one: what speaks for both, and whom it is like.

    `shares` (3, N, N), smoothed, in per mille: its own, and the means of the two classes; `nearest` animals.
    """

    evidence: Evidence
    shares: Floats
    nearest: list[Near]

    def sentences(self, who: str, whose: str, interval_s: float) -> list[str]:
        """Tell it in three sentences; `who` is the animal, `whose` are the networks, in words."""
        found = self.evidence
        first, second = found.probability
        told = f"{who} is told as {found.a} with {first:.2f}, next as {found.b} with {second:.2f}, by {whose}."
        near = ", ".join(f"{each.recording} animal {each.animal_id} ({each.class_name})" for each in self.nearest)
        return [told, found.words(interval_s), f"Its map is nearest to those of {near}."]


def reasons(
    stack: NDArray[Any],
    networks: StereotypeCNN,
    maps: Floats,
    index: pl.DataFrame,
    asked: Asked,
) -> Reasons:
    """Ask networks about one animal, and compare it with animals of the study.

    Parameters
    ----------
    stack
        Its histograms (T, N, N).
    networks
        One member or several, averaged.
    maps, index
        Smoothed shares (S, N, N) of the animals that it is compared with, and who they are: columns `recording`,
        `animal_id`, `class`.
    asked
        Classes, transform, smoothing and zones.
    """
    x = prepare(stack[None], asked.transform)
    own = shares(stack[None], asked.smoothing_tiles)[0]
    smoother = gaussian(len(own), asked.smoothing_tiles)
    found = evidence(attribute_members(networks, x), 0, asked.classes, smoother, asked.masks(len(own)))
    of_class = index["class"].to_numpy()
    means = [
        maps[of_class == name].mean(axis=0) if (of_class == name).any() else np.full_like(own, np.nan)
        for name in (found.a, found.b)
    ]
    return Reasons(found, PER_MILLE * np.stack([own, *means]), nearest(own, maps, index))


def nearest(own: Floats, maps: Floats, index: pl.DataFrame) -> list[Near]:
    """The animals whose maps (S, N, N) are least far from one (N, N), the nearest first."""
    distance = PER_MILLE * np.sqrt(np.square(maps - own).sum(axis=(1, 2)))
    found = []
    for place in np.argsort(distance, kind="stable")[:NEAREST]:
        row = index.row(int(place), named=True)
        found.append(Near(row["recording"], row["animal_id"], row["class"], float(distance[place])))
    return found


def explain_animal(data: Path, params: Params, recording: str, animal: str, out: Path) -> tuple[list[str], Path]:
    """Draw why one animal of the study is told as what it is told; return three sentences and the picture.

    Parameters
    ----------
    data
        The study's folder.
    params
        The study's parameters.
    recording, animal
        Which sample: the recording, and the animal's number or RFID.
    out
        Folder of the picture.

    Raises
    ------
    ParamsError
        Where the study has no such sample.
    DataError
        Where the training or the histograms are missing, or of other parameters.
    """
    training = full_training(data, params)
    stacks, index = record.load(data / "histograms", params)
    place = find(index, recording, animal)
    row = index.row(place, named=True)
    model = next(model for cage, model in load_held_out(training) if cage == row["cage"])
    maps = shares(stacks, params.evaluate.smoothing_tiles)
    others = np.flatnonzero((index["cage"] != row["cage"]).to_numpy())
    asked = Asked(
        tuple(params.classes),
        params.train.transform,
        params.evaluate.smoothing_tiles,
        params.furniture,
        training.record.floor_cm,
        params.histograms.interval_s,
    )
    found = reasons(np.asarray(stacks[place]), model, maps[others], index[others.tolist()], asked)
    who = f"{recording} animal {row['animal_id']} ({row['class']})"
    whose = f"the mean of {model.members} networks that have not seen its cage"
    said = [f"{SIMULATED}."] * training.record.simulated + found.sentences(who, whose, asked.interval_s)
    path = ensure_folder(out) / f"{recording}_{row['animal_id']}_reasons.png"
    draw(found, asked, who, " ".join(said), path)
    return said, path


def draw(found: Reasons, asked: Asked, who: str, note: str, path: Path) -> None:
    """Draw why one animal is told as what it is told.

    Parameters
    ----------
    found
        The reasons.
    asked
        By what they were found: zones, floor and hours.
    who
        The animal, in words.
    note
        What stands below the picture.
    path
        The picture's PNG; SVG and PDF lie beside it.
    """
    speaks = found.evidence
    names = (who, f"mean of {speaks.a}", f"mean of {speaks.b}")
    title = f"Why {speaks.a} rather than {speaks.b}"
    figure = drawing.reasons(
        found.shares, names, speaks.places, speaks.hours, speaks.zones, asked.interval_s, asked.floor_cm, title,
        note=note, furniture=asked.zones,
    )  # fmt: skip
    figures.save(figure, path)


def find(index: pl.DataFrame, recording: str, animal: str) -> int:
    """The row of a sample by its recording, and by its animal's number or RFID.

    Raises
    ------
    ParamsError
        Where there is none, with those that there are.
    """
    known = index["recording"].unique(maintain_order=True).to_list()
    if recording not in known:
        expected = f"a recording of the study ({known[0]} to {known[-1]})"
        raise ParamsError(problem(f"explain {recording}", expected, "another name", "correct it"))
    rows = np.flatnonzero((index["recording"] == recording).to_numpy())
    for row in rows:
        own = index.row(int(row), named=True)
        if animal in (str(own["animal_id"]), own["rfid"]):
            return int(row)
    ids = ", ".join(str(index["animal_id"][int(row)]) for row in rows)
    raise ParamsError(problem(f"explain {recording} {animal}", f"one of its animals ({ids})", "another", "correct it"))
