"""When a training run has collapsed: signs of it in its history, and from which epoch on they hold.

Whatever reads them must load without torch. docs/results.md has the thresholds and where they come
from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import sqrt
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Sign = Literal["constant", "chance", "fell", "exploded", "vanished", "concentrated"]
Signs = dict[Sign, int]
"""By sign the epoch, from 1, since which it holds to the end; of `exploded` when it did."""
Floats = NDArray[np.float64]

#: What each sign says of a run.
MEANING: dict[Sign, str] = {
    "constant": "it predicts one class for everything",
    "chance": "it scores at chance",
    "fell": "val is far below its own best",
    "exploded": "the hypergradient exploded",
    "vanished": "the hypergradient vanished",
    "concentrated": "almost no example has weight",
}
AT: dict[Sign, str] = {sign: "in" if sign == "exploded" else "since" for sign in MEANING}
#: Those of which one is enough for a run to count as collapsed: its model is no use. The others
#: say why that may be, or that nothing is learned from the clean labels any more.
SPOILING: tuple[Sign, ...] = ("constant", "chance", "fell")

ONE_CLASS = 0.99  # share of the examples that one class must get for predictions to be constant
CHANCE_SIGMAS = 2.0
EXPLODED, VANISHED = 50.0, 1e-9  # a hypergradient's norm, to that of the phase's first epoch
FEW = 0.02  # share of the examples that have all the weight
#: Names in a row of the history, beside those of metrics.
ONE, EFFECTIVE, NORM = "val/one_class", "weights/effective", "meta/gradient_norm"
Row = Mapping[str, Any]
Course = list[tuple[int, bool]]  # epochs, and whether something holds in each


def signs_of(history: Sequence[Row], support: Sequence[int], metric: str) -> Signs:
    """The signs of collapse that a run's history shows.

    history: its rows; what a row does not have shows nothing. support: examples of val [K] by
    class. metric: a share of right predictions among those of val, by which `fell` goes.
    """
    counts = np.asarray(support, float)
    ratios = _ratios(history)
    since: dict[Sign, int | None] = {
        "constant": _since(_course(history, ONE, lambda one: _is_one(one, counts))),
        "chance": _since(
            _course(history, "val/balanced_accuracy", lambda r: r < chance_bound(counts))
        ),
        "fell": _since(_falls(history, f"val/{metric}", len(counts))),
        "exploded": next((epoch for epoch, ratio in ratios if ratio > EXPLODED), None),
        "vanished": _since([(epoch, ratio < VANISHED) for epoch, ratio in ratios]),
        "concentrated": _since(_course(history, EFFECTIVE, lambda share: share < FEW)),
    }
    return {sign: epoch for sign, epoch in since.items() if epoch is not None}


def signs_at(result: Mapping[str, Any], rule: str) -> Signs | None:
    """The signs in a result that hold of the weights that count; None where it has none to tell.

    rule: for `last` all of them; weights of the `selected` epoch may be older than a sign.
    """
    signs, selected = result.get("collapse"), result.get("selected_epoch")
    if rule == "last" or signs is None or selected is None:
        return signs
    return {sign: since for sign, since in signs.items() if since <= selected}


def spoiled(signs: Mapping[Sign, int] | None) -> bool:
    """Whether a run with these signs counts as collapsed; where none are known it does not."""
    return any(sign in SPOILING for sign in signs or ())


def told(signs: Mapping[Sign, int]) -> str:
    """The signs in words: `it scores at chance since epoch 4`."""
    return "; ".join(f"{MEANING[s]} {AT[s]} epoch {epoch}" for s, epoch in signs.items())


def _course(history: Sequence[Row], name: str, holds: Callable[[float], bool]) -> Course:
    """Of the rows that have a value of that name."""
    return [(row["epoch"], holds(row[name])) for row in history if row.get(name) is not None]


def _since(course: Course) -> int | None:
    """The epoch from which on something holds; None where it does not at the end."""
    since = None
    for epoch, holds in course:
        since = (since or epoch) if holds else None
    return since


def _falls(history: Sequence[Row], name: str, classes: int) -> Course:
    """Where the value of that name is far below the best one so far."""
    best, falls = 0.0, []
    for row in history:
        if row.get(name) is not None:
            best = max(best, row[name])
            falls.append((row["epoch"], fell(best, row[name], classes)))
    return falls


def _ratios(history: Sequence[Row]) -> list[tuple[int, float]]:
    """By epoch the hypergradient's mean norm, in that of its phase's first epoch."""
    first: dict[str, float] = {}
    ratios = []
    for row in history:
        if row.get(NORM) is not None:
            base = first.setdefault(row["phase"], row[NORM])
            ratios.append((row["epoch"], row[NORM] / base if base > 0 else 0.0))
    return ratios


def _is_one(share: float, support: Floats) -> bool:
    """Whether that share of the examples is nearly all, and they are not of one class."""
    return share >= ONE_CLASS and support.max() < ONE_CLASS * support.sum()


def is_constant(confusion: Floats) -> bool:
    """Whether nearly all examples, which are not of one class, are taken for one class.

    confusion: counts [K, K]; rows are labels.
    """
    calls = confusion.sum(axis=0)
    return _is_one(calls.max() / calls.sum(), confusion.sum(axis=1))


def at_chance(confusion: Floats) -> bool:
    """Whether the mean recall of the classes is what predictions blind to the example have.

    confusion: counts [K, K]; rows are labels.
    """
    support = confusion.sum(axis=1)
    present = support > 0
    recall = (confusion.diagonal()[present] / support[present]).mean()
    return bool(recall < chance_bound(support))


def chance_bound(support: Floats) -> float:
    """The mean recall below which predictions may be blind to the example.

    Blind ones have 1/K, with the variance sum_k (1/K)(1 - 1/K) / n_k / K^2, however unequal the
    classes. support: examples [K] of each class; those without any do not count.
    """
    present = support[support > 0]
    chance, classes = 1 / len(present), len(present)
    spread = sqrt((chance * (1 - chance) / present).sum()) / classes
    return chance + CHANCE_SIGMAS * spread


def fell(best: float, last: float, classes: int) -> bool:
    """Whether a share of right predictions ends below the middle between chance and its best."""
    return last < (best + 1 / classes) / 2
