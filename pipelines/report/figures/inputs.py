"""What figures are drawn from: a study's results, its runs by arm, its final runs' histories."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pipelines.analysis.arm_runs import ArmRuns
from pipelines.analysis.record import Record
from pipelines.ledger.ledger import Ledger
from pipelines.report.figures.plot import Style, styles
from pipelines.report.records import StudyState
from pipelines.report.tables import METRICS, scale

Json = dict[str, Any]


@dataclass(frozen=True)
class FigureInputs:
    """`histories` holds the rows of final runs by key; `styles` how each arm is drawn."""

    study_state: StudyState
    results: Json
    histories: dict[str, list[Json]]
    runs: dict[str, ArmRuns]
    styles: dict[str, Style]

    @property
    def metric(self) -> str:
        """What is scored."""
        return self.results["metric"]

    @property
    def unit(self) -> str:
        """The metric and its unit, for an axis."""
        return METRICS[self.metric]

    @property
    def epoch(self) -> str:
        """Whose weights are scored: `last` or `selected`."""
        return self.results["selection"]["epoch"]

    @property
    def factor(self) -> float:
        """What scores are multiplied by to be shown."""
        return scale(self.metric)

    @property
    def kinds(self) -> dict[str, list[str]]:
        """The arms of each kind, in the study's order."""
        found: dict[str, list[str]] = {}
        for name, arm in self.results["arms"].items():
            found.setdefault(arm["kind"], []).append(name)
        return found

    def finals(self, arm: str) -> list[Record]:
        """The finished final runs of an arm."""
        return [r for r in self.runs[arm].final_runs if r.status != "failed"]

    def of_last_rows(self, arm: str, value: Callable[[Json], Any]) -> dict[tuple[int, int], Any]:
        """By (repeat, run seed) the newest value that a final run's rows have; None is no value."""
        found = {}
        for record in self.finals(arm):
            values = map(value, reversed(self.histories.get(record.key, [])))
            newest = next((v for v in values if v is not None), None)
            if newest is not None:
                found[record.repeat, record.index] = newest
        return found


def load_inputs(ledger: Ledger, study_state: StudyState, results: Json) -> FigureInputs:
    """All that the figures of a study need; only final runs' histories are read."""
    runs = {
        name: ArmRuns(
            name,
            [r for r in study_state.records if r.arm == name],
            study_state.study.protocol.epoch,
        )
        for name in results["arms"]
    }
    finals = {r.key for arm in runs.values() for r in arm.final_runs}
    histories = ledger.histories(study_state.trials[key] for key in sorted(finals))
    looks = styles({name: arm["kind"] for name, arm in results["arms"].items()})
    return FigureInputs(study_state, results, histories, runs, looks)


def sizes(counts: Counter[int]) -> str:
    """How many runs each curve stands for, in words."""
    return " or ".join(str(n) for n in sorted(counts))


def counts(estimates: Iterable[Json]) -> str:
    """How many runs and repeats each estimate comes from, in words."""
    found = sorted({(e["n"], e["repeats"]) for e in estimates})
    return "; ".join(f"n = {n} runs in {repeats} repeats" for n, repeats in found)
