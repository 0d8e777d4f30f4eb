"""What a study runs next, as a pure function of the study and of what is finished.

Roles are what trials are for. A tuned arm has, per repeat, `search` trials (index 0: its published
default), then `curve` trials (each searched configuration once more with a fresh run seed: budget
curves), `default` and `final` trials (the default, and the configuration chosen on val, with fresh
run seeds). Other arms have `final` trials only.
One trial may serve two roles: then it runs once. Where the request asks for it, `sensitivity`
trials move one knob of an arm's default at a time, and all of this is done again in every scenario.

Data seed r belongs to repeat r and is shared by all arms; search trial k, curve trial k and final
seed s of all arms share their run seeds too, so every comparison is paired.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

import optuna

from methods.objective import seed_of
from pipelines.documents import Json, digest
from pipelines.planning.specs import Config, data_seed
from pipelines.planning.suggestions import _ask, space_digest
from pipelines.study.arms import Arm
from pipelines.study.phases import phase_identity
from pipelines.study.study_file import Study
from pipelines.trial_documents import Role, TrialSpec

Search = tuple[str, str, int]  # scenario, arm, repeat
ROLES: tuple[Role, ...] = (
    "search",
    "final",
    "default",
    "curve",
    "sensitivity",
)  # in the order of their urgency
FACTORS = (0.25, 0.5, 2.0, 4.0)


class Assignment(NamedTuple):
    """What a trial is for; sorts by urgency, the study's own protocol before its scenarios."""

    place_of_scenario: int
    urgency: int
    index: int
    repeat: int
    place: int  # of the arm in the request
    scenario: str
    arm: str
    role: Role


class Planner:
    """Hands out the trials of a study, interleaved so that all arms have equal quotas at any time.

    outcomes: score by key of the trials that are finished (None: failed). suggested: configuration
    by (scenario, arm, repeat, index, space) of the search trials that were ever planned, so that an
    interrupted one keeps its own.
    """

    def __init__(
        self,
        study: Study,
        protocol: str,
        outcomes: Mapping[str, float | None],
        suggested: Mapping[tuple[str, str, int, int, str], Config],
    ) -> None:
        self.study, self.protocol = study, protocol
        self.arms = study.arms
        self.outcomes, self.suggested = dict(outcomes), dict(suggested)
        self.assigned: list[tuple[Assignment, TrialSpec]] = []
        self.running: dict[str, TrialSpec] = {}
        self._waiting: dict[str, list[Assignment]] = defaultdict(list)
        self._searched: dict[Search, dict[int, tuple[Config, float | None]]] = defaultdict(dict)
        self._chosen: dict[Search, Config] = {}
        self.planned_in: Counter[tuple[str, str]] = Counter()
        self.done_in: Counter[tuple[str, str]] = Counter()
        self._heap: list[Assignment] = []
        self._resolved: dict[tuple[Any, ...], tuple[list[Json], list[Json]]] = {}
        self.scenarios = study.scenarios
        for scenario in self.scenarios:
            for repeat in range(study.request.repeats):
                for name in self.arms:
                    self._open((scenario, name, repeat))

    def ask(self) -> TrialSpec | None:
        """The spec of a trial to run now; None if there is none, or none before another one
        ends."""
        while self._skip_known():
            assignment = heapq.heappop(self._heap)
            spec = self._spec(assignment)
            key = spec["key"]
            self.assigned.append((assignment, spec))
            self._waiting[key].append(assignment)
            if key not in self.running:
                self.running[key] = spec
                return spec
        return None

    def _skip_known(self) -> bool:
        """Settle the next roles as long as their trials are finished; whether one is left."""
        while self._heap:
            assignment = self._heap[0]
            spec = self._spec(assignment)
            if spec["key"] not in self.outcomes:
                return True
            heapq.heappop(self._heap)
            self.assigned.append((assignment, spec))
            self._settle(assignment, spec["config"], self.outcomes[spec["key"]])
        return False

    def tell(self, key: str, score: float | None) -> None:
        """A trial ended: its score on val (higher is better), or None if it failed."""
        spec = self.running.pop(key)
        self.outcomes[key] = score
        for assignment in self._waiting.pop(key):
            self._settle(assignment, spec["config"], score)

    def again(self, key: str) -> None:
        """A trial was lost with its worker: hand it out once more."""
        del self.running[key]
        for assignment in self._waiting.pop(key):
            heapq.heappush(self._heap, assignment)

    @property
    def planned(self) -> Counter[str]:
        """Roles by arm, over all scenarios."""
        return _by_arm(self.planned_in)

    @property
    def done(self) -> Counter[str]:
        """Roles whose trial ended, by arm, over all scenarios."""
        return _by_arm(self.done_in)

    @property
    def finished(self) -> bool:
        """Nothing is left to hand out or to wait for."""
        self._skip_known()
        return not self._heap and not self.running

    # ---- roles

    def _open(self, search: Search) -> None:
        request, arm = self.study.request, self.arms[search[1]]
        if arm.tuned:
            self._push(search, "search", request.trials + 1)
            self._push(search, "default", request.seeds)
            if self.has_curve:
                self._push(search, "curve", request.trials + 1)
            self.planned_in[search[:2]] += request.seeds  # the final trials, once searched
        else:
            self._push(search, "final", request.seeds)
        if search[1] in request.sensitivity:
            self._push(search, "sensitivity", len(arm.knobs) * len(FACTORS))

    @property
    def has_curve(self) -> bool:
        """Budget curves are drawn for random search only: its trials are exchangeable."""
        return self.study.request.curve and self.study.protocol.search == "random"

    def _push(self, search: Search, role: Role, count: int, planned: bool = True) -> None:
        scenario, name, repeat = search
        places = list(self.scenarios).index(scenario), list(self.arms).index(name)
        for index in range(count):
            assignment = Assignment(
                places[0], ROLES.index(role), index, repeat, places[1], scenario, name, role
            )
            heapq.heappush(self._heap, assignment)
        if planned:
            self.planned_in[scenario, name] += count

    def _settle(self, assignment: Assignment, config: Config, score: float | None) -> None:
        self.done_in[assignment.scenario, assignment.arm] += 1
        if assignment.role != "search":
            return
        search = (assignment.scenario, assignment.arm, assignment.repeat)
        found = self._searched[search]
        found[assignment.index] = (config, score)
        if len(found) == self.study.request.trials + 1:
            count = self.study.request.seeds
            chosen = self.chosen(*search)
            if chosen is None:
                self.planned_in[search[:2]] -= count
            else:
                self._chosen[search] = chosen
                self._push(search, "final", count, planned=False)

    def chosen(self, scenario: str, arm: str, repeat: int) -> Config | None:
        """The configuration with the best score on val; of equals, the one of lowest index.

        None: all failed.
        """
        scored = [
            (score, -index, config)
            for index, (config, score) in self._searched[scenario, arm, repeat].items()
            if score is not None and not math.isnan(score)
        ]
        return max(scored, key=lambda entry: entry[:2])[2] if scored else None

    # ---- specs

    def _spec(self, assignment: Assignment) -> TrialSpec:
        arm, config = self.arms[assignment.arm], self._config(assignment)
        change = self.scenarios[assignment.scenario]
        seed = self.study.protocol.seed
        # Default and sensitivity trials are compared with final ones, so they share their seeds.
        stem, number = {
            "default": ("final", assignment.index),
            "sensitivity": ("final", 0),
        }.get(assignment.role, (assignment.role, assignment.index))
        phases, phase_identities = self._phases(assignment.arm, config)
        data = data_seed(self.study, assignment.repeat, assignment.scenario)
        run = seed_of(seed, "run", stem, assignment.repeat, number)
        identity = digest([self.protocol, change, phase_identities, data, run])[:16]
        return {
            "key": f"{assignment.arm}-{identity}",
            "arm": assignment.arm,
            "role": assignment.role,
            "repeat": assignment.repeat,
            "index": assignment.index,
            "config": config,
            "scenario": assignment.scenario,
            "change": change,
            "data_seed": data,
            "run_seed": run,
            "phases": phases,
            "space": space_digest(arm),
        }

    def _phases(self, name: str, config: Config) -> tuple[list[Json], list[Json]]:
        """The arm's phases under a configuration, which up to three trials share, and their
        identities."""
        place = name, *sorted(config.items())
        if place not in self._resolved:
            resolved = self.arms[name].resolve(config)
            self._resolved[place] = (
                [phase.model_dump() for phase in resolved],
                [phase_identity(phase) for phase in resolved],
            )
        return self._resolved[place]

    def _config(self, assignment: Assignment) -> Config:
        arm = self.arms[assignment.arm]
        default = {name: arm.default[name] for name in arm.space}
        if assignment.role == "sensitivity":
            return default | self._moved(arm, assignment.index)
        if assignment.role == "final":
            return (
                self._chosen[assignment.scenario, assignment.arm, assignment.repeat]
                if arm.tuned
                else {}
            )
        if assignment.role == "default" or assignment.index == 0:
            return default
        place = (
            assignment.scenario,
            assignment.arm,
            assignment.repeat,
            assignment.index,
            space_digest(arm),
        )
        if place not in self.suggested:
            self.suggested[place] = self._suggest(assignment, arm)
        return self.suggested[place]

    def _moved(self, arm: Arm, index: int) -> Config:
        """One knob, times one factor; whole numbers stay whole and above 0."""
        knob, factor = arm.knobs[index // len(FACTORS)], FACTORS[index % len(FACTORS)]
        value = arm.value(knob, self.study.protocol.schedule.model_dump())
        return {knob: max(1, round(value * factor)) if isinstance(value, int) else value * factor}

    def _suggest(self, assignment: Assignment, arm: Arm) -> Config:
        """The sampler of an arm's k-th suggestion is seeded by (study, arm, repeat, k): no stream
        to lose."""
        kind = self.study.protocol.search
        seed = (
            seed_of(
                self.study.protocol.seed, kind, assignment.arm, assignment.repeat, assignment.index
            )
            % 2**32
        )
        if kind == "random":
            return _ask(optuna.samplers.RandomSampler(seed), arm, [], [])
        found = self._searched[assignment.scenario, assignment.arm, assignment.repeat].values()
        running = [
            s["config"]
            for s in self.running.values()
            if (s["scenario"], s["arm"], s["repeat"], s["role"])
            == (assignment.scenario, assignment.arm, assignment.repeat, "search")
        ]
        return _ask(optuna.samplers.TPESampler(seed=seed), arm, found, running)


def _by_arm(counts: Counter[tuple[str, str]]) -> Counter[str]:
    totals: Counter[str] = Counter()
    for (_, arm), count in counts.items():
        totals[arm] += count
    return totals
