"""The drawings of an explanation: maps, the network as a diagram, and one hour of one mouse."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from lmtcnn import SIMULATED
from lmtcnn.cohort import cohort
from lmtcnn.core.files import read_json
from lmtcnn.core.params import Params
from lmtcnn.explain.maps import DEFINITIONS, SHOWN
from lmtcnn.figures import floor
from lmtcnn.figures.gallery import Drawing
from lmtcnn.inspect import plot
from lmtcnn.train.model import StereotypeCNN

log = logging.getLogger("lmtcnn")

CORRELATIONS = {"stops": "stops", "untrained": "untrained"}
"""Keys of a channel's correlations, and the words for them."""

LIMITS = {
    "stops": "the maps of stops",
    "untrained": "an untrained network's",
    "on_arranged_labels": "those of a network trained on labels that mean nothing",
}
"""Keys of a channel's correlations, and the maps that they are with, which know nothing of what was learned."""

NAMES = {"conv": "convolution", "relu": "ReLU", "pool": "max-pooling"}


def drawings_of(
    shown: NDArray[np.float64],
    summary: Mapping[str, Any],
    furniture: floor.Zones,
    planted: floor.Zones | None = None,
) -> list[Drawing]:
    """A figure for each telling channel in maps/, and the atlas of all channels, of maps (classes, channels, N, N)."""
    numbered = {str(i): (name, zone) for i, (name, zone) in enumerate((planted or {}).items(), start=1)}
    note = caption(summary, {number: name for number, (name, _) in numbered.items()})
    note += " Outlined: what stands in the cage." if furniture else ""
    diverging = summary["maps"] == "difference"
    drawings = []
    for k, channel in enumerate(summary["channels"]):
        if not channel["figure"]:
            continue
        title = f"{NAMES[summary['layer']]} / {channel['kernel']}x{channel['kernel']} / channel {channel['channel']:02}"
        given = (shown[:, k], summary["classes"], tuple(summary["floor_cm"]), title)
        named = {
            "note": note,
            "crosses": crosses_by_class(channel, summary["classes"]),
            "furniture": furniture,
            "planted": {number: zone for number, (_, zone) in numbered.items()},
            "beside": [correlation_words(channel, name) for name in summary["classes"]],
            "diverging": diverging,
        }
        drawings.append(Drawing(channel["figure"], floor.activation_maps, given, named))
    kernels = list(dict.fromkeys(channel["kernel"] for channel in summary["channels"]))
    words = [f"{channel['channel']:02}\n{channel['difference']:.0%}" for channel in summary["channels"]]
    title = f"All channels, {NAMES[summary['layer']]}"
    atlas = (shown, summary["classes"], kernels, words, title, atlas_note(summary))
    return [*drawings, Drawing("atlas.png", floor.atlas, atlas, {"diverging": diverging})]


def limits(summary: Mapping[str, Any]) -> str:
    """Say how little the maps tell: their median correlation, over channels and classes, with what knows nothing."""
    told = []
    for key, words in LIMITS.items():
        every = [own.get(key) for channel in summary["channels"] for own in channel.get("correlations", {}).values()]
        known = [value for value in every if value is not None]
        told += [f"{np.median(known):.2f} with {words}"] if known else []
    if not told:
        return "These maps carry no significance."
    return (
        f"Correlation of all channels' maps, median: {', '.join(told)}. The nearer to 1, the less they say of what the "
        "network learned; they carry no significance."
    )


def atlas_note(summary: Mapping[str, Any]) -> str:
    """Say below the atlas what it shows."""
    mice = f"{SIMULATED}. " if summary["simulated"] else ""
    return (
        f"{mice}{summary['network'].capitalize()}; {SHOWN[summary['maps']]}, each channel on its own scale. "
        + (f"Counted: {summary['counted']}. " if summary["counted"] else "")
        + f"Percent: {DEFINITIONS['difference']}. {limits(summary)}"
    )


def crosses_by_class(channel: Mapping[str, Any], classes: Sequence[str]) -> list[list[floor.Cross]]:
    """The crosses of one channel of activation_maps.json, for each class."""
    return [
        [(each["row"], each["column"], each["departure"]) for each in channel["crosses"] if each["class"] == name]
        for name in classes
    ]


def correlation_words(channel: Mapping[str, Any], name: str) -> str:
    """How a class's map correlates with maps that need no trained network: `r 0.92 stops, 0.41 untrained`."""
    found = channel["correlations"].get(name, {})
    parts = [f"{found[key]:.2f} {word}" for key, word in CORRELATIONS.items() if found.get(key) is not None]
    return f"r {', '.join(parts)}" if parts else ""


def describe_network(network: StereotypeCNN, classes: Sequence[str]) -> dict[str, Any]:
    """Shapes and numbers of parameters of one member, taken from the network itself by sending zeros through it."""
    shape = network.architecture
    x = torch.zeros(1, shape["intervals"], shape["tiles"], shape["tiles"])
    with torch.inference_mode():
        maps, pooled = network.activations(x), network.activations(x, "pool")
    counts = {name: values[0].numel() for name, values in network.named_parameters()}  # of the first member
    branches = [
        {
            "kernel": kernel,
            "maps": list(maps[kernel].shape[2:]),
            "pooled": list(pooled[kernel].shape[2:]),
            "parameters": sum(n for name, n in counts.items() if name.startswith(f"branch{kernel}.")),
        }
        for kernel in shape["kernels"]
    ]
    linear = sum(n for name, n in counts.items() if name.startswith("linear."))
    return {
        "input": list(x.shape[1:]),
        "branches": branches,
        "pool": shape["pool"],
        "features": sum(int(np.prod(branch["pooled"])) for branch in branches),
        "linear_parameters": linear,
        "parameters": sum(counts.values()),
        "classes": list(classes),
    }


def caption(summary: Mapping[str, Any], zones: Mapping[str, str]) -> str:
    """Say what a figure shows, of which networks, of which mice; `zones` are names by number."""
    mice = f"{SIMULATED}. " if summary["simulated"] else ""
    text = f"{mice}{summary['network'].capitalize()}; {SHOWN[summary['maps']]}."
    text += f" Counted: {summary['counted']}." if summary["counted"] else ""
    text += f" + and -: {DEFINITIONS['crosses']}."
    text += " r: correlation with the map of stops, and with an untrained network's map, each less that of all classes."
    text += f" {limits(summary)}"
    if zones:
        listed = ", ".join(f"{number} {name.replace('_', ' ')}" for number, name in zones.items())
        text += f" Dashed: zones where the simulator made classes differ most: {listed}."
    return text


def find_zones(params: Params) -> dict[str, Any] | None:
    """Find the zones where a simulated cohort's classes were made to differ most; None where there is no truth.json.

    truth.json lies beside the databases or the manifest. Zones are those that some class prefers or avoids (a natural
    logarithm) at least half as strongly as any class any zone: an outline for every wall would hide the maps.
    """
    for folder in (Path(params.cohort.databases), Path(params.cohort.manifest).parent):
        path = folder / "truth.json"
        if path.is_file():
            truth = read_json(path, "the truth of a simulated cohort", "simulate")
            preferences = [found["log_preference"] for found in truth["classes"].values()]
            strongest = {name: max(abs(found[name]) for found in preferences) for name in truth["zones"]}
            limit = max(strongest.values()) / 2
            return {name: zone for name, zone in truth["zones"].items() if strongest[name] >= limit > 0}
    return None


def example(stacks: NDArray[Any], index: pl.DataFrame, params: Params) -> list[Drawing]:
    """The first sample with a stop, in the interval with most stops, from its database; a line where there is none."""
    number = next((i for i, stack in enumerate(stacks) if stack.any()), None)
    if number is None:
        log.warning("no stop is counted in any sample, so no figures of an example")
        return []
    first = index.row(number, named=True)
    manifest = Path(params.cohort.manifest)
    known = cohort.load(params).recordings if manifest.is_file() else ()
    recording = next((r for r in known if r.name == first["recording"]), None)
    if recording is None or not all(path.is_file() for path in recording.files):
        log.warning("%s: no database at hand, so no figures of an example", first["recording"])
        return []
    interval = params.histograms.counted[int(stacks[number].sum(axis=(1, 2)).argmax())]
    _, drawings = plot.drawings_of(recording, first["rfid"], interval, params)
    return [replace(drawing, name=f"example/{drawing.name}") for drawing in drawings]
