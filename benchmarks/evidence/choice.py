"""The one rule that picks a learning rate, for every arm alike.

Of each run the rate is chosen by val of the *other* run seeds of its repeat, and its test score at
that rate is what counts: no run's own luck on val picks it. The three rates are counted as cost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from math import inf, isnan
from typing import Generic, TypeVar

import numpy as np

from pipelines.analysis.runs import Runs

L = TypeVar("L", bound=Hashable)


@dataclass(frozen=True)
class Candidate:
    """Scores of a candidate's final runs by (repeat, index of the run seed), higher is better."""

    val: Runs
    test: Runs


@dataclass(frozen=True)
class Chosen(Generic[L]):
    """What was chosen for each run, and what it scored; val is that of the run itself."""

    val: dict[tuple[int, int], float]
    test: dict[tuple[int, int], float]
    label: dict[tuple[int, int], L]

    @property
    def counts(self) -> Counter[L]:
        """How many runs each candidate was chosen for."""
        return Counter(self.label.values())


def choose(candidates: Mapping[L, Candidate]) -> Chosen[L]:
    """For each run the candidate with the highest mean val over the repeat's other run seeds.

    candidates: in order of preference, where val cannot tell them apart. Runs that not all of them
    have yet are left out, and so are repeats with a single run seed: nothing else could choose.
    """
    runs = [set(candidate.test) & set(candidate.val) for candidate in candidates.values()]
    shared = sorted(set.intersection(*runs)) if runs else []
    chosen: Chosen[L] = Chosen({}, {}, {})
    for repeat, seed in shared:
        others = [key for key in shared if key[0] == repeat and key[1] != seed]
        if not others:
            continue
        label = max(candidates, key=lambda name: _mean_val(candidates[name].val, others))
        key = (repeat, seed)
        chosen.label[key] = label
        chosen.val[key], chosen.test[key] = candidates[label].val[key], candidates[label].test[key]
    return chosen


def _mean_val(val: Runs, keys: list[tuple[int, int]]) -> float:
    """-inf where a run failed: it cannot recommend its rate."""
    scores = [val[key] for key in keys]
    return -inf if any(map(isnan, scores)) else float(np.mean(scores))
