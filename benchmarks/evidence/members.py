"""What has run of the suite: a member for each set, and for each scenario of its study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.evidence.choice import Candidate, Chosen, choose
from benchmarks.evidence.sets import EvidenceSet, Noise, noise_of
from benchmarks.evidence.suite import RATES, Rated
from pipelines.analysis.arm_runs import ArmRuns
from pipelines.analysis.runs import overall_mean
from pipelines.documents import Json
from pipelines.kinds import KINDS, Side
from pipelines.report.figures.weight_function import WEIGHT_FUNCTION
from pipelines.report.study_state import StudyState
from pipelines.study.arms import Arm
from pipelines.study.study_file import Study


@dataclass(frozen=True)
class ArmOfMember:
    """An arm's runs at every rate, and the ones that the rule chooses among them."""

    name: str
    arm: Arm
    at: dict[float, ArmRuns]

    @property
    def side(self) -> Side:
        """Of the comparison."""
        return KINDS[self.arm.kind].side

    @cached_property
    def candidates(self) -> dict[float, Candidate]:
        """Its final runs by rate."""
        return {
            rate: Candidate(runs.final("val"), runs.final(runs.epoch))
            for rate, runs in self.at.items()
        }

    @cached_property
    def chosen(self) -> Chosen[float]:
        """Its final runs, each at the rate that the others of its repeat recommend."""
        return choose(self.candidates)

    @property
    def val(self) -> float:
        """Mean val of the chosen runs."""
        return overall_mean(self.chosen.val)

    def cost(self, passes: Sequence[float | None]) -> float | None:
        """Sum of passes; None where one is not known."""
        known = [p for p in passes if p is not None]
        return sum(known) if len(known) == len(passes) else None

    @property
    def run_passes(self) -> float | None:
        """Passes of one final run."""
        return self.at[RATES[0]].run_cost("passes")

    @property
    def passes(self) -> float | None:
        """All that the rule needs: at each rate a search, if there is any, and a run; and one more.

        The last one is the run that is used, with a fresh seed.
        """
        parts = [runs.run_cost("passes") for runs in self.at.values()]
        parts += [runs.search_cost("passes") for runs in self.at.values() if self.arm.tuned]
        return self.cost([*parts, self.run_passes])

    @property
    def clean_labels(self) -> int | None:
        """Clean labels that it trains on."""
        return self.at[RATES[0]].clean_labels()["train"]

    def spoiled(self, rate: float) -> tuple[int, int]:
        """Final runs at a rate that diverged, failed or collapsed, and all that ended."""
        runs = self.at[rate].final_runs
        return sum(run.status != "completed" or run.collapsed for run in runs), len(runs)


@dataclass(frozen=True)
class Member:
    """A set, or one scenario of it.

    change: of the protocol, {address: value}; {} is the study's own. noise_rate: measured in the
    training labels, mean over repeats; None where unknown. weights: by arm and (repeat, seed) the
    learned weight function of the chosen final runs. runs: that ended, and that are planned.
    """

    entry: EvidenceSet
    change: dict[str, Any]
    study: Study
    arms: dict[str, ArmOfMember]
    noise_rate: float | None
    sizes: dict[str, int]
    weights: dict[str, dict[tuple[int, int], list[float]]]
    runs: tuple[int, int]

    @property
    def name(self) -> str:
        """The set's, with what differs from its study."""
        changed = ", ".join(f"{address} {value}" for address, value in self.change.items())
        return f"{self.entry.name}, {changed}" if changed else self.entry.name

    @property
    def metric(self) -> str:
        """Of its scores."""
        return self.study.protocol.metric

    @property
    def margin(self) -> float:
        """Of non-inferiority."""
        return self.study.request.margin

    @property
    def noise(self) -> Noise:
        """What is wrong with its training labels."""
        return noise_of(self.study)

    @property
    def clean_labels(self) -> int:
        """Size of the meta set."""
        return self.study.protocol.splits.meta


def members_of(entry: EvidenceSet, root: Path) -> list[Member]:
    """The members of a set as far as they have run; none before all its rates were launched.

    The study is as it was launched, not as its file is now.
    """
    states = {rate: Rated(entry, rate, root).state() for rate in RATES}
    known = {rate: state for rate, state in states.items() if state is not None}
    if len(known) < len(RATES):
        return []
    return [_member(entry, name, known) for name in known[RATES[0]].study.scenarios]


def _member(entry: EvidenceSet, scenario: str, states: dict[float, StudyState]) -> Member:
    own = states[RATES[0]]
    protocol = own.study.protocols[scenario]
    names = [n for n in own.study.arms if all(n in s.study.arms for s in states.values())]
    arms = {
        name: ArmOfMember(
            name, own.study.arm(name), {r: _runs(s, scenario, name) for r, s in states.items()}
        )
        for name in names
    }
    data = [result["data"] for result in _results(own, scenario)]
    measured = [d["noise"]["measured"].get("train") for d in data]
    rates = [rate for rate in measured if rate is not None]
    counts = [
        [s.planner.done.total() for s in states.values()],
        [s.planner.planned.total() for s in states.values()],
    ]
    return Member(
        entry=entry,
        change=own.study.scenarios[scenario],
        study=own.study.model_copy(update={"protocol": protocol}),
        arms=arms,
        noise_rate=sum(rates) / len(rates) if rates else None,
        sizes=data[0]["sizes"] if data else {},
        weights={name: _weights(arm, states) for name, arm in arms.items()},
        runs=(sum(counts[0]), sum(counts[1])),
    )


def _runs(state: StudyState, scenario: str, arm: str) -> ArmRuns:
    protocol = state.study.protocol
    records = sorted(
        (r for r in state.records_in.get(scenario, []) if r.arm == arm),
        key=lambda r: (r.role, r.repeat, r.index),
    )
    return ArmRuns(arm, records, protocol.epoch, protocol.metric)


def _results(state: StudyState, scenario: str) -> list[Json]:
    return [
        dict(trial.result)
        for trial in state.trials.values()
        if trial.result is not None and trial.spec["scenario"] == scenario
    ]


def _weights(
    arm: ArmOfMember, states: dict[float, StudyState]
) -> dict[tuple[int, int], list[float]]:
    """Learned weight functions, of arms that learn one."""
    found = {}
    for key, rate in arm.chosen.label.items():
        for run in arm.at[rate].final_runs:
            if (run.repeat, run.index) == key and run.status == "completed":
                result = states[rate].trials[run.key].result
                values = ((result or {}).get("learned") or {}).get(WEIGHT_FUNCTION)
                if values and isinstance(values[0], float):  # one function, not one a class
                    found[key] = values
    return found
