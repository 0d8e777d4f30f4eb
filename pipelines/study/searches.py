"""Kinds of search, and what they go by."""

from __future__ import annotations

import re

from pipelines.metrics import METRICS, PASSES

SEARCHES = ("random", "tpe", "gp", "cmaes", "nsga2", "qmc", "grid")
DRAWN_BEFOREHAND = ("random", "qmc", "grid")  # searches that learn nothing from their trials


def known_search(name: str) -> str:
    """The name of a kind of search.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in SEARCHES and not re.fullmatch(r"[\w.]+:[\w.]+", name):
        names = ", ".join(map(repr, SEARCHES))
        raise ValueError(f"Input should be {names} or module:sampler")
    return name


def known_aim(name: str | None) -> str | None:
    """What a search may go by beside val.

    Raises:
        ValueError: it is nothing that trials have.
    """
    if name is not None and name not in (PASSES, *METRICS):
        raise ValueError(f"Input should be {PASSES!r}, or a metric: {', '.join(METRICS)}")
    return name


def check_aims(search: str, metric: str, second_aim: str | None, attacked: bool) -> None:
    """Whether a kind of search can go by these; attacked: whether the protocol has an attack.

    Raises:
        ValueError: it cannot.
    """
    if second_aim is None:
        if search == "nsga2":
            raise ValueError("search = 'nsga2' is for two aims: give second_aim, or another search")
        return
    if search == "cmaes":
        raise ValueError(
            f"search = 'cmaes' goes by one number; for second_aim = {second_aim!r} use nsga2, tpe, "
            "gp or random"
        )
    if second_aim == metric:
        raise ValueError(f"second_aim = {second_aim!r} is the metric itself, the first aim")
    if second_aim != PASSES and METRICS[second_aim].attacked and not attacked:
        raise ValueError(
            f"second_aim = {second_aim!r} is of attacked inputs: give the protocol an attack"
        )
