"""What figures are drawn from: a study's results, its runs by arm, its final runs' histories."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pipelines.analysis.arm_runs import ArmRuns
from pipelines.analysis.record import Record
from pipelines.analysis.results_schema import EstimateJson, Results
from pipelines.documents import Json
from pipelines.ledger.ledger import Ledger
from pipelines.metrics import METRICS
from pipelines.report.figures.plot import Style, styles
from pipelines.report.study_state import StudyState


@dataclass(frozen=True)
class FigureInputs:
    """A study as figures see it.

    histories: the rows of each final run, by its trial's key.
    runs: what was run for each arm.
    styles: how each arm is drawn.
    """

    study_state: StudyState
    results: Results
    histories: dict[str, list[Json]]
    runs: dict[str, ArmRuns]
    styles: dict[str, Style]

    @property
    def metric(self) -> str:
        """What is scored."""
        return self.results["metric"]

    @property
    def score_label(self) -> str:
        """The metric and its unit, for an axis."""
        return METRICS[self.metric].title

    @property
    def score_limits(self) -> Json:
        """Of an axis of scores: shares lie between 0 and 100 %, however wide an interval is."""
        return {"minallowed": -2, "maxallowed": 102} if METRICS[self.metric].in_points else {}

    @property
    def epoch(self) -> str:
        """Whose weights are scored: `last` or `selected`."""
        return self.results["selection"]["epoch"]

    @property
    def factor(self) -> float:
        """What scores are multiplied by to be shown."""
        return METRICS[self.metric].scale

    @property
    def tests(self) -> dict[str, EstimateJson]:
        """The test score of each arm that has one: an estimate over its final runs."""
        tests = {name: arm["test"][self.epoch] for name, arm in self.results["arms"].items()}
        return {name: test for name, test in tests.items() if test["mean"] is not None}

    @property
    def verdict_arms(self) -> list[str]:
        """The arms that the answer is about: the headline's two, what to use, and the opponents."""
        headline, answer = self.results["headline"], self.results["answer"]
        named = [headline["untuned"], headline["tuned"]]
        named += [answer["use"]["arm"]] if answer["use"] else []
        named += (
            [gap["over"] for gap in answer["self_tuning"]["gaps"]] if answer["self_tuning"] else []
        )
        return [name for name in dict.fromkeys(named) if name]

    @property
    def kinds(self) -> dict[str, list[str]]:
        """The arms of each kind, in the study's order."""
        arms_of: dict[str, list[str]] = {}
        for name, arm in self.results["arms"].items():
            arms_of.setdefault(arm["kind"], []).append(name)
        return arms_of

    def search_trials(self, arm: str) -> list[Record]:
        """The finished trials of an arm's search, of all repeats."""
        return [r for r in self.runs[arm].in_role("search") if r.status != "failed"]

    def final_runs(self, arm: str) -> list[Record]:
        """The finished final runs of an arm."""
        return [r for r in self.runs[arm].final_runs if r.status != "failed"]

    def rows_with(self, arm: str, name: str) -> list[list[Json]]:
        """Of each final run of an arm the rows that have an entry `name`, if there are any."""
        runs = [
            [row for row in self.histories.get(record.key, []) if name in row]
            for record in self.final_runs(arm)
        ]
        return [rows for rows in runs if rows]

    def newest(self, arm: str, value: Callable[[Json], Any]) -> dict[tuple[int, int], Any]:
        """By (repeat, run seed) what `value` makes of a final run's newest row.

        A row of which it makes None is passed over; so is a run that has only such rows.
        """
        newest = {}
        for record in self.final_runs(arm):
            values = map(value, reversed(self.histories.get(record.key, [])))
            last = next((v for v in values if v is not None), None)
            if last is not None:
                newest[record.repeat, record.index] = last
        return newest


def load_inputs(ledger: Ledger, study_state: StudyState, results: Results) -> FigureInputs:
    """All that the figures of a study need; only final runs' histories are read."""
    protocol, records = study_state.study.protocol, study_state.records_with_histories[""]
    runs = {
        name: ArmRuns(
            name,
            [r for r in records if r.arm == name],
            protocol.epoch,
            protocol.metric,
        )
        for name in results["arms"]
    }
    final_keys = {r.key for arm in runs.values() for r in arm.final_runs}
    histories = ledger.histories(study_state.trials[key] for key in sorted(final_keys))
    arm_styles = styles({name: arm["kind"] for name, arm in results["arms"].items()})
    return FigureInputs(study_state, results, histories, runs, arm_styles)


def either(counts: Iterable[int]) -> str:
    """Different numbers of runs in words: "4 or 6"."""
    return " or ".join(str(n) for n in sorted(set(counts)))


def sample_sizes(estimates: Iterable[EstimateJson]) -> str:
    """How many runs and repeats each estimate comes from, in words."""
    sizes = sorted({(e["n"], e["repeats"]) for e in estimates})
    return "; ".join(f"n = {n} runs in {repeats} repeats" for n, repeats in sizes)
