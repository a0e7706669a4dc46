"""The way of one animal: its place in every frame, and its stops."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lmtcnn.cohort.parts import look_at, name_animals, origin_of
from lmtcnn.cohort.recording import Recording
from lmtcnn.core.errors import ParamsError, problem
from lmtcnn.core.params import Definitions
from lmtcnn.core.schemas import STOPS
from lmtcnn.lmt import detections, lmt
from lmtcnn.stops.bouts import find_stops
from lmtcnn.stops.tables import stop_table, to_floor
from lmtcnn.timeline import clock as clocks
from lmtcnn.timeline.tracks import Tally, Track


@dataclass(frozen=True)
class Trace:
    """Where one animal was: time since the recording's start, place of every frame (nan where unknown), its stops."""

    animal_id: int
    rfid: str | None
    simulated: bool
    start_ms: int
    time_s: NDArray[np.float64]
    x_cm: NDArray[np.float64]
    y_cm: NDArray[np.float64]
    stops: pl.DataFrame


def trace(recording: Recording, animal: str | None, params: Definitions) -> Trace:
    """Read positions and stops of one animal, by its RFID or its number, None the first.

    Raises ParamsError where there is no such animal, and what `extract` raises.
    """
    parts = look_at(recording, params)
    origin = origin_of(parts)
    ids = name_animals(recording, parts)
    known = dict(sorted(pair for members in ids for pair in members.values()))
    if animal is None:  # the first that was detected, as far as covering indexes tell
        ghosts = [lmt.undetected(part.database, list(members)) for part, members in zip(parts, ids, strict=True)]
        seen = {m[key] for m, lost in zip(ids, ghosts, strict=True) for key in m if key not in lost}
        known = dict(sorted(seen)) or known
    chosen = next((i for i, rfid in known.items() if animal in (None, rfid, str(i))), None)
    if chosen is None:
        names = ", ".join(rfid or str(i) for i, rfid in known.items())
        raise ParamsError(problem("--animal", f"one of {names}", str(animal), "correct it"))
    settings = params.stops.model_copy(update={"arena": recording.arena})
    columns: list[tuple[NDArray[np.float64], ...]] = []
    tables = [STOPS.empty()]
    for part, members in zip(parts, ids, strict=True):
        key = next((key for key, (i, _) in members.items() if i == chosen), None)
        if key is None:
            continue
        track = Track(part.layout)
        if part.database.index:
            detections.read_track(part.database, key, track)
        else:
            nobody, others = (Tally(part.layout, [0, part.layout.size]) for _ in range(2))
            detections.read_tracks(part.database, {key: track}, nobody, others)
        times_s = np.concatenate([*clocks.layout_seconds(part.clock, part.layout, origin, part.shift, settings)])
        columns.append((times_s, *to_floor(track.x_px.copy(), track.y_px.copy(), settings)))
        bouts, _ = find_stops(track, settings)
        tables.append(stop_table(recording.name, chosen, known[chosen], bouts, part, origin, settings))
    time_s, x_cm, y_cm = (np.concatenate(values) for values in zip(*columns, strict=True))
    simulated = any(part.database.simulated for part in parts)
    return Trace(chosen, known[chosen], simulated, origin.timestamp_ms, time_s, x_cm, y_cm, pl.concat(tables))
