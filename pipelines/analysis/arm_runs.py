"""The records of one arm, asked for by role: selected configurations, retrained scores, curves."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from math import inf, isnan, nan
from typing import Any, Literal

import numpy as np

from pipelines.analysis.budget import budget_curve
from pipelines.analysis.budget_schema import Incumbent
from pipelines.analysis.examples import Examples, examples_of
from pipelines.analysis.record import EpochRule, Range, Record
from pipelines.analysis.results_schema import CleanLabels, Selected
from pipelines.analysis.runs import Floats, Runs
from pipelines.analysis.selection import final_runs, searches, selected
from pipelines.analysis.tunability import in_halved_space
from pipelines.documents import Json
from pipelines.metrics import METRICS
from pipelines.trial_documents import Role

Score = Literal["val", "last", "selected"]
CostField = Literal["passes", "seconds"]


def score(record: Record, which: Score) -> float:
    """The record's `val`, or its test score under the epoch rule `which`."""
    return record.val if which == "val" else record.test[which]


class ArmRuns:
    """Everything that was run for one arm; `epoch` is the rule whose test score is the headline."""

    def __init__(self, name: str, records: Sequence[Record], epoch: EpochRule, metric: str) -> None:
        self.name = name
        self.records = records
        self.metric = metric
        self.epoch: EpochRule = epoch

    @cached_property
    def search(self) -> dict[int, dict[int, Record]]:
        """The search trials by repeat and index, both ascending."""
        return searches(self.records)

    def in_role(self, role: Role) -> Iterator[Record]:
        """The records in one role."""
        return (r for r in self.records if r.role == role)

    def scores(self, role: Role, which: Score) -> Runs:
        """Scores of a role's runs by (repeat, index)."""
        return {(r.repeat, r.index): score(r, which) for r in self.in_role(role)}

    def final(self, which: Score) -> Runs:
        """Scores of the selected configurations, retrained."""
        return {(r.repeat, r.index): score(r, which) for r in self.final_runs}

    @cached_property
    def final_runs(self) -> list[Record]:
        """Final runs; those of what an earlier, smaller search had selected are left out."""
        return final_runs(self.records)

    def beside(self, metric: str) -> Runs:
        """Scores of the final runs by another metric; of one that diverged the worst there is."""
        worst = {"diverged": METRICS[metric].bounds[0]}
        return {
            (r.repeat, r.index): METRICS[metric].score(r.held_out[self.epoch].metrics[metric])
            if self.epoch in r.held_out
            else worst.get(r.status, nan)
            for r in self.final_runs
        }

    def examples(self, role: Role, epoch: EpochRule) -> Examples | None:
        """What each test example adds to the scores of a role's runs; see `examples_of`."""
        runs = self.final_runs if role == "final" else list(self.in_role(role))
        return examples_of(runs, self.metric, epoch)

    @cached_property
    def selected(self) -> dict[int, Record]:
        """Per repeat the search trial with the highest val."""
        return selected(self.records)

    def selections(self) -> list[Selected]:
        """The selected configuration of each repeat as plain values."""
        return [
            {"repeat": repeat, "index": r.index, "config": r.config, "val": r.val}
            for repeat, r in self.selected.items()
        ]

    def incumbents(self) -> list[Incumbent]:
        """Each trial that improved on the best val of its search so far, in order of suggestion."""
        rows: list[Incumbent] = []
        for repeat, trials in self.search.items():
            best = -inf
            for index, record in trials.items():
                if record.val > best:  # never of a failed trial, whose val is nan
                    best = record.val
                    test = _mean(self.retrained.get((repeat, index), np.empty(0)))
                    rows.append({"repeat": repeat, "budget": index, "val": best, "test": test})
        return rows

    def random_trials(self, given: int = 0) -> list[Record]:
        """The search trials but for the published default's, and those given that come after it."""
        return [r for r in self.in_role("search") if r.index > given]

    @cached_property
    def retrained(self) -> dict[tuple[int, int], Floats]:
        """Headline scores of the runs of configuration (repeat, index) with fresh run seeds.

        These are its curve run and, where it is the default or the selected configuration, the
        runs in those roles; never its search run. A trial that serves two roles counts once;
        failed runs are left out.
        """
        runs = [(r.repeat, r.index, r) for r in self.in_role("curve")]
        runs += [(r.repeat, 0, r) for r in self.in_role("default")]
        runs += [
            (r.repeat, self.selected[r.repeat].index, r)
            for r in self.final_runs
            if r.repeat in self.selected
        ]
        by_key: dict[tuple[int, int], dict[str, float]] = {}
        for repeat, index, record in runs:
            if not isnan(record.test[self.epoch]):
                scores = by_key.setdefault((repeat, index), {})
                scores[record.key] = record.test[self.epoch]
        return {config: np.array(list(scores.values())) for config, scores in by_key.items()}

    def candidates(
        self, repeat: int, space: Mapping[str, Range] | None = None
    ) -> tuple[Floats, list[Floats]]:
        """Val [B + 1] and retrained scores of the default and of a repeat's random trials.

        With `space`, only of the trials inside its centred half. Failed trials have val -inf:
        their budget was spent and nothing can be selected from it.
        """
        trials = [
            r
            for r in self.search[repeat].values()
            if r.index == 0 or space is None or in_halved_space(r.config, space)
        ]
        retrained = [self.retrained.get((repeat, r.index), np.empty(0)) for r in trials]
        return np.array([-inf if isnan(r.val) else r.val for r in trials]), retrained

    def curves(self, space: Mapping[str, Range] | None = None) -> dict[int, Floats]:
        """Per repeat the expected retrained score at budget b = 0..B, where all runs are there."""
        curves = {}
        for repeat, trials in self.search.items():
            if 0 in trials:
                val, retrained = self.candidates(repeat, space)
                curve = budget_curve(val, [_mean(scores) for scores in retrained])
                if not np.isnan(curve).any():
                    curves[repeat] = curve
        return curves

    def budget_cost(self, field: CostField) -> list[float]:
        """Expected cost of a search at budget b = 0..B: 0, then the default and b random trials.

        Of failed trials no cost is known; they are taken to cost what the others do.
        """
        finished = [r for trials in self.search.values() for r in trials.values() if _finished(r)]
        default = [float(getattr(r, field)) for r in finished if r.index == 0]
        random = [float(getattr(r, field)) for r in finished if r.index > 0]
        if not finished:
            return []
        first, each = np.mean(default or random), np.mean(random or default)
        largest = max(map(len, self.search.values()))
        return [0.0, *(float(first + b * each) for b in range(1, largest))]

    def run_cost(self, field: CostField) -> float | None:
        """Mean cost of one final run."""
        costs = [getattr(r, field) for r in self.final_runs if _finished(r)]
        return float(np.mean(costs)) if costs else None

    def search_cost(self, field: CostField) -> float | None:
        """Mean cost of one whole search, as far as its trials finished."""
        costs = [
            sum(getattr(r, field) for r in trials.values() if _finished(r))
            for trials in self.search.values()
        ]
        return float(np.mean(costs)) if costs else None

    def common_cost(self, field: CostField) -> float | None:
        """Mean cost of a repeat's trials that chose the common knobs; None where none did."""
        costs: dict[int, float] = {}
        for r in self.in_role("common"):
            if _finished(r):
                costs[r.repeat] = costs.get(r.repeat, 0.0) + getattr(r, field)
        return float(np.mean(list(costs.values()))) if costs else None

    def clean_labels(self) -> CleanLabels:
        """Clean labels used to train and to select."""
        return {
            "train": max((r.clean_train for r in self.records), default=None),
            "select": max((r.clean_select for r in self.records), default=None),
        }

    def sensitivity(self, default: Json) -> dict[str, dict[Any, list[Record]]]:
        """The sensitivity runs by hyperparameter and by its value.

        Left out are those that a factor leaves at the default: of a knob at 0, or of a whole number
        that would fall below 1.
        """
        knobs: dict[str, dict[Any, list[Record]]] = {}
        for record in self.in_role("sensitivity"):
            moved = [k for k, v in record.config.items() if k not in default or default[k] != v]
            if not moved:
                continue
            if len(moved) > 1:
                raise ValueError(f"sensitivity trial {record.key} moves {moved}, expected one")
            values = knobs.setdefault(moved[0], {})
            values.setdefault(record.config[moved[0]], []).append(record)
        return knobs


def _finished(record: Record) -> bool:
    return record.status != "failed"


def _mean(scores: Floats) -> float:
    return float(scores.mean()) if scores.size else nan
