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
from lmtcnn.explain.attributions import attribute
from lmtcnn.explain.contrasts import PER_MILLE, zone_mask
from lmtcnn.explain.pairs import Floats
from lmtcnn.figures import animal as drawing
from lmtcnn.figures import figures
from lmtcnn.histograms import record
from lmtcnn.histograms.shares import gaussian, shares
from lmtcnn.timeline.counted import spans_words
from lmtcnn.train.held_out import load_held_out
from lmtcnn.train.model import StereotypeCNN, prepare, select, softmax_members

NEAREST = 3
"""So many animals are named."""

LEAST = 0.005
"""A zone of a smaller attribution speaks for nothing: it would be told as 0.00."""

WINDOW = 3
"""The hours that are named are so many intervals on end."""


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
    """Why an animal is told as class `a` rather than `b`, the next likely one.

    `probability` of both; `shares` (3, N, N), smoothed, in per mille: its own, and the means of a and of b;
    attributions of the logit of a less that of b: `places` (N, N), smoothed, `hours` (T,), `zones`; `nearest` animals.
    """

    a: str
    b: str
    probability: tuple[float, float]
    shares: Floats
    places: Floats
    hours: Floats
    zones: dict[str, float]
    nearest: list[Near]

    def sentences(self, who: str, whose: str, interval_s: float) -> list[str]:
        """Tell it in three sentences; `who` is the animal, `whose` are the networks, in words."""
        first, second = self.probability
        told = f"{who} is told as {self.a} with {first:.2f}, next as {self.b} with {second:.2f}, by {whose}."
        near = ", ".join(f"{each.recording} animal {each.animal_id} ({each.class_name})" for each in self.nearest)
        return [told, self._speaks(interval_s), f"Its map is nearest to those of {near}."]

    def _speaks(self, interval_s: float) -> str:
        """Say what speaks for a and what for b: zones by their attributions, and the hours of most."""
        ordered = sorted(self.zones.items(), key=lambda item: -abs(item[1]))
        sides = []
        for name, sign in ((self.a, 1), (self.b, -1)):
            zones = [f"{zone.replace('_', ' ')} ({value:+.2f})" for zone, value in ordered if value * sign >= LEAST]
            window = np.convolve(self.hours, np.ones(min(WINDOW, len(self.hours))), "valid") * sign
            best = int(window.argmax())
            most = range(best, min(best + WINDOW, len(self.hours)))
            parts = [*zones, *([spans_words(most, interval_s)] if window[best] > 0 else [])]
            sides.append(f"for {name}: {', '.join(parts) or 'nothing'}")
        return f"What speaks {'; '.join(sides)}."


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
    classes, smoothing = list(asked.classes), asked.smoothing_tiles
    x = prepare(stack[None], asked.transform)
    p = softmax_members(networks, x).mean(axis=0)[0]
    first, second = (int(place) for place in np.argsort(-p, kind="stable")[:2])
    each = [attribute(select(networks, [member]), x) for member in range(networks.members)]
    places, hours = (
        np.mean([part[kind][0, first] - part[kind][0, second] for part in each], axis=0) for kind in (0, 1)
    )
    own = shares(stack[None], smoothing)[0]
    of_class = index["class"].to_numpy()
    means = [
        maps[of_class == classes[code]].mean(axis=0) if (of_class == classes[code]).any() else np.full_like(own, np.nan)
        for code in (first, second)
    ]
    smoother = gaussian(len(own), smoothing)
    zones = {name: float(places[mask].sum()) for name, mask in asked.masks(len(own)).items()}
    return Reasons(
        classes[first],
        classes[second],
        (float(p[first]), float(p[second])),
        PER_MILLE * np.stack([own, *means]),
        smoother @ places @ smoother.T,
        hours,
        zones,
        nearest(own, maps, index),
    )


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
    said = found.sentences(who, whose, asked.interval_s)
    path = ensure_folder(out) / f"{recording}_{row['animal_id']}_reasons.png"
    draw(found, asked, who, " ".join([f"{SIMULATED}."] * training.record.simulated + said), path)
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
    names = (who, f"mean of {found.a}", f"mean of {found.b}")
    title = f"Why {found.a} rather than {found.b}"
    figure = drawing.reasons(
        found.shares, names, found.places, found.hours, found.zones, asked.interval_s, asked.floor_cm, title, note=note,
        furniture=asked.zones,
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
