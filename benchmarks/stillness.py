"""Stops found in a mouse that does not move for an hour, by half window, gap setting and jitter: the ideal is 1.

    python benchmarks/stillness.py

Positions carry Gaussian jitter in each frame; identity comes in runs of 237 to 630 frames with gaps that leave 93 to
97 % of frames (docs of the tracker's users). Prints the table of docs/definitions.md.
"""

from pathlib import Path

import numpy as np

from lmtcnn.core import params as parameters
from lmtcnn.core.sections import StopsParams
from lmtcnn.stops.bouts import find_stops
from lmtcnn.timeline.clock import Layout
from lmtcnn.timeline.tracks import Track

HOUR_FRAMES = 108_000
SEEDS = range(5)


def still_mouse(jitter_px: float, gaps: bool, seed: int) -> Track:
    rng = np.random.default_rng(seed)
    layout = Layout(np.array([1]), np.array([HOUR_FRAMES]), np.array([0, HOUR_FRAMES]))
    track = Track(layout)
    seen = np.ones(HOUR_FRAMES, np.bool_)
    identified = rng.uniform(0.93, 0.97)
    frame = int(rng.integers(0, 300))
    while gaps and frame < HOUR_FRAMES:
        gap = 1 + int(rng.exponential(433.5 * (1 - identified) / identified))
        seen[frame : frame + gap] = False
        frame += gap + int(rng.integers(237, 631))
    frames = np.flatnonzero(seen) + 1
    x, y = np.round(rng.normal([[250.0], [200.0]], jitter_px, (2, HOUR_FRAMES)), 2)
    track.add(frames, x[seen], y[seen])
    return track


def count(jitter_px: float, gaps: bool, half: int, max_gap: int, base: StopsParams) -> str:
    chosen = base.model_copy(update={"half_window_frames": half, "max_gap_frames": max_gap})
    found = [len(find_stops(still_mouse(jitter_px, gaps, seed), chosen)[0].first) for seed in SEEDS]
    return f"{min(found)}-{max(found)}" if min(found) < max(found) else str(found[0])


def main() -> None:
    base = parameters.load(Path(__file__).parent.parent / "params.yaml").stops
    print("| jitter, px | identity | half window 1 | half window 3 | 3, gaps to 15 | 3, gaps to 90 | 3, gaps to 150 |")
    print("|---|---|---|---|---|---|---|")
    for jitter_px in (0.1, 0.3, 0.4, 0.5):
        for gaps in (False, True):
            cells = [
                count(jitter_px, gaps, half, gap, base) for half, gap in ((1, 0), (3, 0), (3, 15), (3, 90), (3, 150))
            ]
            print(f"| {jitter_px} | {'in runs' if gaps else 'always'} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
