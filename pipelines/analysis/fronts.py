"""Pareto fronts: what no other one beats in one aim without losing in the other."""

from collections.abc import Callable, Iterable, Mapping
from math import isnan
from typing import TypedDict, TypeVar

from pipelines.analysis.record import Record
from pipelines.documents import Json
from pipelines.metrics import PASSES

Item = TypeVar("Item")
#: What fronts are told of beside a study's own second aim.
USUAL = (PASSES, "worst_class_recall")


class Valued(TypedDict):
    """A configuration with its val, and its value of the second aim."""

    repeat: int
    index: int
    config: Json
    val: float
    value: float
    selected: bool


class Front(TypedDict):
    """Of an arm's searches, repeat by repeat: what nothing beats by val and this second aim."""

    aim: str
    trials: list[Valued]


def pareto(
    items: Iterable[Item], cost: Callable[[Item], float], score: Callable[[Item], float]
) -> list[Item]:
    """Those that nothing cheaper, or as cheap, does better than; the cheapest one first.

    Of several that are alike in both the first one.
    """
    front: list[Item] = []
    for item in sorted(items, key=lambda item: (cost(item), -score(item))):
        if not front or score(item) > score(front[-1]):
            front.append(item)
    return front


def valued(trials: Mapping[int, Record], selected: int, aim: str) -> list[Valued]:
    """The trials of one search that completed, by index; of which the value is known.

    selected: the index of what the search selected. aim: passes, or a metric, then of its score.
    """
    values = {
        r.index: float(r.passes) if aim == PASSES else r.scores_on_val.get(aim)
        for r in trials.values()
        if r.status == "completed" and not isnan(r.val)
    }
    return [
        {
            "repeat": trials[index].repeat,
            "index": index,
            "config": trials[index].config,
            "val": trials[index].val,
            "value": value,
            "selected": index == selected,
        }
        for index, value in values.items()
        if value is not None
    ]


def fronts(
    search: Mapping[int, Mapping[int, Record]],
    selected: Mapping[int, Record],
    metric: str,
    second_aim: str | None,
) -> list[Front]:
    """The fronts of an arm's searches, of each second aim in which trials of a repeat differ.

    search: trials by repeat and index. selected: by repeat. metric: of val. second_aim: the study's
    own; it comes first.
    """
    told: list[Front] = []
    for aim in dict.fromkeys([second_aim, *USUAL]):
        if aim is None or aim == metric:
            continue
        tried = [valued(trials, selected[r].index, aim) for r, trials in search.items()]
        if any(len({trial["value"] for trial in trials}) > 1 for trials in tried):
            told.append({"aim": aim, "trials": [t for trials in tried for t in _best(trials, aim)]})
    return told


def _best(trials: Iterable[Valued], aim: str) -> list[Valued]:
    sign = 1 if aim == PASSES else -1
    return pareto(trials, lambda trial: sign * trial["value"], lambda trial: trial["val"])
