"""The page's words and figures on where and when classes differ, what the networks use, and the paper's maps.

Everything is read from data/explain. Figures of pairs of classes are not there where no two classes have samples.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lmtcnn.core.files import read_json
from lmtcnn.core.records import MAPS
from lmtcnn.core.schemas import EXPLAINED
from lmtcnn.explain.drawings import limits
from lmtcnn.explain.explain import EXPLANATION
from lmtcnn.explain.pictures import left_out
from lmtcnn.report.pictures import Figure, picture, pictures
from lmtcnn.report.words import probability, sentence, share

WHERE = {"where.png": "Maps of the difference between two classes, tiles outlined where it is significant"}
WHEN = {"when.png": "Distance between two classes by interval, and stops of each class in it"}
USES = {"uses.png": "What speaks for a class by place, by interval and by zone, for two classes"}
EXAMPLE = {
    "example/1a_positions.png": "Position of one mouse through one interval, with a mark where a stop starts",
    "example/1b_stops.png": "The stops of that interval on the floor",
    "example/1c_histogram.png": "The histogram that the network sees of it",
}
NETWORK = {"architecture.png": "The network as a diagram, from histograms to classes"}


def read_explanation(folder: Path) -> dict[str, Any]:
    """Read explain.json, what `explain` says of places and hours."""
    return read_json(folder / EXPLANATION, "the explanation", "explain", ("gates", "hours", "definitions", "pairs"))


def explained(folder: Path, found: Mapping[str, Any]) -> dict[str, Any]:
    """Collect what the page says of data/explain.

    Parameters
    ----------
    folder
        data/explain.
    found
        explain.json, see `read_explanation`.
    """
    maps = read_json(folder / MAPS, "activation maps", "explain")
    return {
        "example": pictures(folder, EXAMPLE),
        "diagram": pictures(folder, NETWORK),
        **{name: pictures(folder, every) for name, every in (("where", WHERE), ("when", WHEN), ("uses", USES))},
        "left_out": {
            name: left_out(len(found["pairs"].get("class", ())), table).strip()
            for name, table in (("where", "contrasts"), ("when", "hours"), ("uses", "attributions"))
        },
        "gates": gate_words(found),
        "pairs": pair_rows(found),
        "zones": zone_rows(folder / "zones.parquet"),
        "used": used_rows(folder / "attribution_zones.parquet"),
        "told": definition_rows(found),
        "networks": network_rows(found),
        "maps": map_figures(folder, maps),
        "network": maps["network"],
        "n_channels": len(maps["channels"]),
        "definitions": maps["definitions"],
        "limits": limits(maps),
        "crosses": cross_rows(maps),
    }


def gate_words(found: Mapping[str, Any]) -> str:
    """The two tests that stand before anything is marked, in a sentence."""
    gates = found["gates"]
    if gates["refused"]:
        return f"Nothing is marked, as no test of all classes together is possible: {gates['refused']}."
    unit = found["hours"]["unit"]
    return (
        "Before anything is marked, all classes are tested together, all label columns at once: places "
        f"{probability(gates['p_places'])}, {unit}s {probability(gates['p_hours'])}, by {gates['arrangements']} "
        f"arrangements of the labels (least possible {probability(gates['least_p'])})."
    )


def pair_rows(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """For the classes, then each label: its name and a row for each pair."""
    return [
        {
            "name": name,
            "rows": [
                {
                    "pair": f"{each['a']} against {each['b']}",
                    "tiles": str(each["tiles_marked"]),
                    "p": probability(each["p_tiles"]).removeprefix("p "),
                    "hours": str(len(each["hours_marked"])),
                    "p_hours": probability(each["p_hours"]).removeprefix("p "),
                    "sentence": sentence(each["sentence"].removeprefix(f"{each['a']} against {each['b']}: ")),
                }
                for each in rows
            ],
        }
        for name, rows in found["pairs"].items()
        if rows
    ]


def zone_rows(path: Path) -> dict[str, Any]:
    """For each pair (rows) and zone (columns): the log ratio of shares, its interval, and p."""
    rows = EXPLAINED["zones"].read(path).to_dicts()
    return _by_zone(
        rows,
        lambda row: [
            f"{row['log_ratio']:+.2f}",
            "" if row["low"] is None else f"{row['low']:+.2f} to {row['high']:+.2f}",
            probability(row["p"]),
        ],
    )


def used_rows(path: Path) -> dict[str, Any]:
    """For each pair (rows) and zone (columns): what speaks for the first class, and how many cages agree in sign."""
    rows = [row for row in EXPLAINED["attribution_zones"].read(path).to_dicts() if row["kind"] == "direction"]
    return _by_zone(rows, lambda row: [f"{row['value']:+.3g}", f"{share(row['agreeing'])} of cages"])


def _by_zone(rows: Sequence[dict[str, Any]], cell: Callable[[dict[str, Any]], list[str]]) -> dict[str, Any]:
    """Rows of a table as a row for each pair and a column for each zone; a cell is lines, the first one first."""
    zones = list(dict.fromkeys(row["zone"] for row in rows))
    pairs: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        pairs.setdefault(f"{row['a']} against {row['b']}", {})[row["zone"]] = [each for each in cell(row) if each]
    lines = [[name, [cells.get(zone, []) for zone in zones]] for name, cells in pairs.items()]
    return {"zones": [zone.replace("_", " ") for zone in zones], "rows": lines}


def definition_rows(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the meaning of the words of tables and figures, as explain.json says."""
    return [(name.replace("_", " "), words.replace("`", "")) for name, words in found["definitions"].items()]


def network_rows(found: Mapping[str, Any]) -> list[list[str]]:
    """For each pair and kind: sum of the attributions, mean gap of the logits, correlations."""
    named = ("correlation_with_contrast", "correlation_untrained", "correlation_on_arranged_labels")
    return [
        [
            f"{each['a']} against {each['b']}, {each['kind']}",
            f"{each['sum']:+.3f}",
            f"{each['gap']:+.3f}",
            *("" if each.get(name) is None else f"{each[name]:+.2f}" for name in named),
        ]
        for each in found.get("networks", {}).get("pairs", ())
    ]


def map_figures(folder: Path, maps: Mapping[str, Any]) -> list[Figure]:
    """The channels in which classes differ most, with that share, and what else is known of them, in words."""
    drawn: Sequence[dict[str, Any]] = [maps["channels"][k] for k in maps["order"] if maps["channels"][k]["figure"]]
    return [
        picture(
            folder / channel["figure"],
            f"Kernel {channel['kernel']}x{channel['kernel']}, channel {channel['channel']:02}: "
            f"{share(channel['difference'])} of the variance between samples lies between classes"
            + _correlated(channel.get("correlations", {})),
        )
        for channel in drawn
    ]


def _correlated(classes: Mapping[str, Mapping[str, float | None]]) -> str:
    """Correlation of a channel's maps with the stops' and with an untrained network's, class by class."""
    told = []
    for other, words in (("stops", "the map of stops"), ("untrained", "an untrained network's")):
        values = {name: own.get(other) for name, own in classes.items()}
        known = [f"{name} {value:+.2f}" for name, value in values.items() if value is not None]
        if known:
            told.append(f"correlation with {words}: {', '.join(known)}")
    return "".join(f"; {words}" for words in told)


def cross_rows(maps: Mapping[str, Any]) -> list[list[str]]:
    """Of each network the share of its crosses that lie in zones, and the zones' share of the floor."""
    found: Mapping[str, float | None] = maps.get("crosses_in_zones", {})
    return [[name.replace("_", " "), share(value)] for name, value in found.items()]
