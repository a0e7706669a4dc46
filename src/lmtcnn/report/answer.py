"""The study's answer in five lines, from what the stages wrote; nothing is computed anew."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from lmtcnn.core.names import BASELINES
from lmtcnn.core.words import number_of
from lmtcnn.evaluate import controls
from lmtcnn.evaluate.design import JOINT
from lmtcnn.evaluate.statistics import best_simple
from lmtcnn.report.words import interval_of, listed, probability, sentence, share

MOST_PAIRS = 3
"""Sentences on pairs of classes in the line on places and hours; all of them stand further down."""

SMALL = 0.01
"""A least possible p up to this is in nobody's way, and is not told."""


class Line(NamedTuple):
    """A line: the question, and the answer in sentences."""

    question: str
    answer: str


def answer(
    metrics: Mapping[str, Any],
    sure: Mapping[str, Any],
    explained: Mapping[str, Any],
    warnings: Sequence[str],
    labels: Sequence[str],
) -> list[Line]:
    """Five lines: how well, beyond chance, a simpler method, where and when, artefacts.

    Parameters
    ----------
    metrics, sure
        metrics.json and statistics.json.
    explained
        explain.json.
    warnings
        What is warned of in the recordings, as sentences without a full stop.
    labels
        The label columns of the study.
    """
    return [
        Line("How well?", how_well(metrics, sure)),
        Line("Beyond chance?", beyond_chance(metrics, sure, labels)),
        Line("What does a simpler method give?", simpler(metrics, sure)),
        Line("Where and when do classes differ?", where_and_when(explained)),
        Line("What could be an artefact?", artefact(metrics, sure, warnings)),
    ]


def how_well(metrics: Mapping[str, Any], sure: Mapping[str, Any]) -> str:
    """The accuracy, its interval, and what that stands on."""
    ends = interval_of(metrics, "accuracy")
    known = f", 95 % interval {ends}" if ends else ", no interval can be given"
    told = f"A network labels {share(metrics['accuracy'])} of the samples of cages it never saw right{known}"
    return f"{told} ({sure['coverage']})."


def beyond_chance(metrics: Mapping[str, Any], sure: Mapping[str, Any], labels: Sequence[str]) -> str:
    """Chance and p of the network where it was tested; else of the best simple method."""
    columns = [JOINT] if len(labels) > 1 else list(labels)
    columns += [name for name in labels if name not in columns]
    if "chance_network" in metrics:
        found = _ps(metrics, "network", columns)
        made = sure["network"][columns[0]]
        tried = "" if made["refused"] else f" by {made['used']} arrangements of the labels"
        return f"Labels that mean nothing give {share(metrics['chance_network'])}; the network's {found}{tried}."
    best = best_simple(metrics)
    if f"chance_{best}" not in metrics:
        refused = next((test["refused"] for test in sure["tests"].values() if test["refused"]), "")
        return sentence(f"this design allows no test: {refused}")
    least = {name: test["least_p"] for name, test in sure["tests"].items() if not test["refused"]}
    found = _ps(metrics, best, columns, least)
    return (
        f"The network itself was not tested (evaluate.permutations: 0). Of the same samples {BASELINES[best]} labels "
        f"{share(metrics[f'{best}_accuracy'])} right, by chance {share(metrics[f'chance_{best}'])}: {found}."
    )


def _ps(
    metrics: Mapping[str, Any], method: str, columns: Sequence[str], least: Mapping[str, float] | None = None
) -> str:
    """P of each column, and beside it the least that the column's own arrangements allow, where that is not small."""
    found = {column: metrics.get(f"p_{method}_{column}") for column in columns}
    told = [
        f"{probability(p)} {'for the classes' if column == JOINT else f'for {column}'}"
        f"{_possible(least[column]) if least and column in least else ''}"
        for column, p in found.items()
        if p is not None
    ]
    return listed(told) or "no p can be given"


def _possible(least: float) -> str:
    return f" (least possible {probability(least)})" if least > SMALL else ""


def simpler(metrics: Mapping[str, Any], sure: Mapping[str, Any]) -> str:
    """The best simple method, the network beside it, and the network without time."""
    best = best_simple(metrics)
    told = f"The best of {len(BASELINES)}, {BASELINES[best]}: {share(metrics[f'{best}_accuracy'])}."
    if (made := sure["comparisons"].get(best)) is not None:
        ends = "" if made["low"] is None else f", {100 * made['low']:+.1f} to {100 * made['high']:+.1f}"
        points = f"{100 * made['difference']:+.1f} points{ends}, {probability(made['p'])}"
        told += f" The network beside it: {made['words']} ({points})."
    if (without := metrics.get("time_shuffled_accuracy")) is not None:
        told += f" With its intervals in random order the network gives {share(without)}."
    return told


def where_and_when(explained: Mapping[str, Any]) -> str:
    """Whether places and hours differ at all, and the pairs of which something is marked."""
    gates = explained["gates"]
    if gates["refused"]:
        return sentence(f"this design allows no test: {gates['refused']}")
    made = explained["hours"]
    hours = f"{made['unit']}s are too sparse to tell" if made["too_sparse"] else _hours(gates["p_hours"], made["unit"])
    places = f"places differ ({probability(gates['p_places'])})"
    if gates["p_places"] > controls.SURE:
        places = f"no difference of places is shown ({probability(gates['p_places'])})"
    pairs = [pair for pair in explained["pairs"]["class"] if _marked(pair)]
    pairs.sort(key=lambda pair: (-pair["tiles_marked"], pair["p_tiles"]))
    more = f" And {number_of(len(pairs) - MOST_PAIRS, 'more pair')} below." if len(pairs) > MOST_PAIRS else ""
    return " ".join([sentence(f"{places}, {hours}"), *(pair["sentence"] for pair in pairs[:MOST_PAIRS])]) + more


def _hours(p: float, unit: str) -> str:
    """Say of the second test, which looks for what an interval has beside the places of all of them."""
    beyond = f"{unit}s differ by more than these places"
    return f"{beyond} ({probability(p)})" if p <= controls.SURE else f"that {beyond} is not shown ({probability(p)})"


def _marked(pair: Mapping[str, Any]) -> bool:
    return bool(pair["tiles_marked"] or pair["hours_marked"] or pair["times_marked"])


def artefact(metrics: Mapping[str, Any], sure: Mapping[str, Any], warnings: Sequence[str]) -> str:
    """Say what tells of the tracking, the clock or the order of recording; else how the controls did."""
    follows = [note for note in sure["notes"] if "order of recording" in note and "not known" not in note]
    doubts = [note for note in controls.doubts(metrics) if "no artefact" not in note]
    found = " ".join(sentence(each) for each in [*doubts, *warnings, *follows])
    return found if doubts else f"{found} {_controlled(metrics)}".strip()


def _controlled(metrics: Mapping[str, Any]) -> str:
    """That no control told the classes, and how each did."""
    known = [
        f"{words} ({share(metrics[f'control_{name}_accuracy'])}"
        + (f", {probability(metrics[f'control_{name}_p'])})" if f"control_{name}_p" in metrics else ", not tested)")
        for name, words in controls.NAMES.items()
        if f"control_{name}_accuracy" in metrics
    ]
    if not known:
        return "No control was run."
    return f"None of the controls tells the classes better than chance: {listed(known)}."
