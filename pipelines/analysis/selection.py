"""What is best, by one rule that selection, `best`, `prune` and `suspects` share: the highest val.

Val is a score: higher is better, whatever the metric. Of several that tie the first one wins: the
lowest index of a search, the lowest repeat and run seed, the arm that the study names first. The
test set has no say. Runs that have collapsed are passed over where there are others.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from math import isnan
from typing import Any, TypeVar

from pipelines.analysis.record import Record
from pipelines.analysis.runs import overall_mean

Key = TypeVar("Key", bound=Hashable)


def highest(vals: Mapping[Key, float | None]) -> Key | None:
    """The key with the highest val; of several that tie the lowest key.

    Vals that are None or nan are none; without any there is no best.
    """
    known: dict[Any, float] = {k: v for k, v in vals.items() if v is not None and not isnan(v)}
    return min(known, key=lambda key: (-known[key], key), default=None)


def best_arm(vals: Mapping[str, float | None]) -> str | None:
    """The arm with the highest mean val; of several that tie the one that is named first."""
    chosen = highest({(rank, arm): val for rank, (arm, val) in enumerate(vals.items())})
    return None if chosen is None else chosen[1]


def mean_vals(records: Sequence[Record], arms: Iterable[str]) -> dict[str, float]:
    """Mean val of each arm's final runs; nan without any."""
    finals = {arm: final_runs([r for r in records if r.arm == arm]) for arm in arms}
    return {
        arm: overall_mean({(r.repeat, r.index): r.val for r in runs})
        for arm, runs in finals.items()
    }


def useful_arms(records: Sequence[Record], arms: Iterable[str]) -> list[str]:
    """The arms of which a final run has not collapsed; all of them where there is none."""
    names = list(arms)
    useful = [
        arm
        for arm in names
        if not all(r.collapsed for r in final_runs([r for r in records if r.arm == arm]))
    ]
    return useful or names


def useful_runs(runs: Sequence[Record]) -> list[Record]:
    """Those that have completed, for they have models, and not collapsed; or all that completed."""
    completed = [r for r in runs if r.status == "completed"]
    return [r for r in completed if not r.collapsed] or completed


def best_run(records: Sequence[Record]) -> Record | None:
    """Of one arm's records the useful final run with the highest val."""
    runs = {(r.repeat, r.index): r for r in useful_runs(final_runs(records))}
    chosen = highest({seeds: r.val for seeds, r in runs.items()})
    return None if chosen is None else runs[chosen]


def searches(records: Iterable[Record]) -> dict[int, dict[int, Record]]:
    """One arm's search trials by repeat and index, both ascending."""
    trials: dict[int, dict[int, Record]] = {}
    for r in sorted(records, key=lambda r: (r.repeat, r.index)):
        if r.role == "search":
            trials.setdefault(r.repeat, {})[r.index] = r
    return trials


def selected(records: Iterable[Record]) -> dict[int, Record]:
    """Per repeat the trial that one arm's search selects; the first where all of them failed."""
    chosen = {}
    for repeat, trials in searches(records).items():
        index = highest({index: r.val for index, r in trials.items()})
        chosen[repeat] = trials[min(trials) if index is None else index]
    return chosen


def final_runs(records: Sequence[Record]) -> list[Record]:
    """One arm's final runs, but for those of what an earlier, smaller search had selected."""
    chosen = {repeat: r.config for repeat, r in selected(records).items()}
    return [r for r in records if r.role == "final" and chosen.get(r.repeat, r.config) == r.config]
