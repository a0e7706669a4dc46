"""A network's maps beside those of networks that cannot know anything, and beside the stops."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmtcnn.core.params import Params
from lmtcnn.explain.contrasts import Contrast, zone_mask
from lmtcnn.explain.differences import Differences
from lmtcnn.explain.maps import ClassMaps, share_inside
from lmtcnn.explain.networks import Asked
from lmtcnn.explain.pairs import Floats
from lmtcnn.explain.words import correlation

NO_OTHERS = (
    "gradients at a sample or from the mean sample, and maps of the kind of SHAP, are not drawn: in cohorts of known "
    "truth they do not tell for which class a place speaks"
)


def compare_uses(
    asked: Asked, randomised: Mapping[str, Sequence[Floats]], contrasts: Sequence[Contrast]
) -> dict[str, Any]:
    """Collect what explain.json says of the attributions.

    Parameters
    ----------
    asked
        Attributions of held-out networks.
    randomised
        Name of a network that cannot know anything -> its maps, in the order of `asked.used`.
    contrasts
        The data's differences of the same pairs.
    """
    of_data = {(each.pair.a, each.pair.b): each.difference for each in contrasts}
    rows = []
    for place, each in enumerate(asked.used):
        data = of_data.get((each.a, each.b))
        rows.append(
            {
                "a": each.a,
                "b": each.b,
                "kind": each.kind,
                "sum": each.total,
                "gap": each.gap,
                "correlation_with_contrast": None if data is None else correlation(each.places, data),
                **{f"correlation_{name}": correlation(each.places, maps[place]) for name, maps in randomised.items()},
            }
        )
    return {
        "method": "integrated gradients from an empty cage, exact, of samples of held-out cages, mean over seeds",
        "incomplete": asked.incomplete,
        "left_out": NO_OTHERS,
        "randomised": {
            "untrained": "a network with the initial weights of explain.seed",
            "on_arranged_labels": "a network trained on one arrangement of the labels, on all cages",
        },
        "pairs": rows,
    }


def compare_maps(
    summary: Mapping[str, Any],
    maps: ClassMaps,
    others: Mapping[str, ClassMaps],
    found: Differences,
    codes: NDArray[np.int64],
    params: Params,
) -> dict[str, Any]:
    """Add to activation_maps.json what each map correlates with, and where the crosses of each network fall.

    Parameters
    ----------
    summary
        The content so far (`maps.describe`).
    maps
        Of the networks.
    others
        Name of a randomised network -> its maps.
    found
        The data's differences, with each sample's smoothed map.
    codes
        (S,) class number of each sample.
    params
        Zones and classes.
    """
    tiles = maps.means.shape[-1]
    stops = _stop_departures(found.mean_maps, codes, len(params.classes), tiles)
    channels = []
    for k, channel in enumerate(summary["channels"]):
        told = {}
        for code, name in enumerate(summary["classes"]):
            own = maps.departures[code, k]
            beside = {"stops": stops[code], **{other: each.departures[code, k] for other, each in others.items()}}
            told[name] = {other: correlation(own, values) for other, values in beside.items()}
        channels.append({**channel, "correlations": told})
    return {**summary, "channels": channels, "crosses_in_zones": _crosses(maps, others, summary, params)}


def _crosses(
    maps: ClassMaps, others: Mapping[str, ClassMaps], summary: Mapping[str, Any], params: Params
) -> dict[str, float | None]:
    """Share of the crosses of each network that lie in zones, and the share of the floor that zones are."""
    tiles = maps.means.shape[-1]
    inside = np.zeros((tiles, tiles), dtype=bool)
    for zone in params.furniture.values():
        inside |= zone_mask(zone, tiles, tuple(summary["floor_cm"]))
    every = {"trained": maps, **others}
    told = {name: share_inside(each.departures, summary["classes"], inside) for name, each in every.items()}
    return {"floor": float(inside.mean()), **told}


def _stop_departures(maps: Floats, codes: NDArray[np.int64], classes: int, tiles: int) -> Floats:
    """Each class's mean map of stops less that of all classes, (C, tiles, tiles), as coarse as the networks' maps."""
    side = maps.shape[-1] // tiles
    coarse = maps[:, : tiles * side, : tiles * side].reshape(len(maps), tiles, side, tiles, side).mean(axis=(2, 4))
    means = np.full((classes, tiles, tiles), np.nan)
    for code in np.unique(codes):
        means[code] = coarse[codes == code].mean(axis=0)
    return np.asarray(means - np.nanmean(means, axis=0))
