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
from collections import Counter, defaultdict
from collections.abc import Mapping

from methods.objective import seed_of
from pipelines.analysis.selection import highest
from pipelines.documents import Json, digest
from pipelines.planning.assignments import URGENCY, Assignment, Search, Suggested
from pipelines.planning.cma_es import cma_es_point
from pipelines.planning.designs import DESIGNS
from pipelines.planning.specs import Config, data_seed
from pipelines.planning.suggestions import design_seed, space_digest, suggest, suggestion_seed
from pipelines.study.arms import FACTORS
from pipelines.study.phases import phase_identity
from pipelines.study.study_file import Study
from pipelines.trial_documents import Role, TrialSpec


class Planner:
    """Hands out the trials of a study, and is told how they ended.

    outcomes: score by key of the trials that are finished (None: failed). suggested: configurations
    of the search trials that were ever planned, so that an interrupted one keeps its own.
    """

    def __init__(
        self,
        study: Study,
        protocol: str,
        outcomes: Mapping[str, float | None],
        suggested: Mapping[Suggested, Config],
    ) -> None:
        self.study, self.protocol = study, protocol
        self.arms, self.scenarios = study.arms, study.scenarios
        self.outcomes, self.suggested = dict(outcomes), dict(suggested)
        self.assigned: dict[Assignment, TrialSpec] = {}
        self.running: dict[str, TrialSpec] = {}
        self.planned_in: Counter[tuple[str, str]] = Counter()  # by scenario and arm
        self.done_in: Counter[tuple[str, str]] = Counter()
        self._waiting: dict[str, list[Assignment]] = defaultdict(list)  # for a running trial
        self._searched: dict[Search, dict[int, tuple[Config, float | None]]] = defaultdict(dict)
        self._chosen: dict[Search, Config] = {}
        self._heap: list[Assignment] = []
        self._phases_of: dict[tuple[object, ...], tuple[list[Json], list[Json]]] = {}
        for scenario in self.scenarios:
            for repeat in range(study.request.repeats):
                for arm in self.arms:
                    self._open(Search(scenario, arm, repeat))

    def ask(self) -> TrialSpec | None:
        """The spec of a trial to run now; None if there is none, or none before another one ends.

        Only here are configurations suggested: a sampler that learns should know all that has ended
        by the time its trial starts.
        """
        while self._heap:
            assignment = heapq.heappop(self._heap)
            spec = self._spec(assignment)
            key = spec["key"]
            self.assigned[assignment] = spec
            if key in self.outcomes:  # it has served another role meanwhile
                self._settle(assignment, spec["config"], self.outcomes[key])
                continue
            self._waiting[key].append(assignment)
            if key not in self.running:
                self.running[key] = spec
                return spec
        return None

    def tell(self, key: str, score: float | None) -> None:
        """A trial ended: its score on val (higher is better), or None if it failed."""
        spec = self.running.pop(key)
        self.outcomes[key] = score
        for assignment in self._waiting.pop(key):
            self._settle(assignment, spec["config"], score)
        # What this trial was the last to be waited for, it may serve as well; else nobody would
        # learn that the study is finished before asking for more.
        while self._heap and self._settled_already(self._heap[0]):
            heapq.heappop(self._heap)

    def again(self, key: str) -> None:
        """A trial was lost with its worker: hand it out once more."""
        del self.running[key]
        for assignment in self._waiting.pop(key):
            heapq.heappush(self._heap, assignment)

    @property
    def planned(self) -> Counter[str]:
        """Assignments by arm, over all scenarios."""
        return _by_arm(self.planned_in)

    @property
    def done(self) -> Counter[str]:
        """Assignments whose trial ended, by arm, over all scenarios."""
        return _by_arm(self.done_in)

    @property
    def finished(self) -> bool:
        """Nothing is left to hand out or to wait for."""
        return not self._heap and not self.running

    def chosen(self, search: Search) -> Config | None:
        """The configuration with the best score on val; of equals, the one of lowest index.

        None: all failed.
        """
        searched = self._searched[search]
        index = highest({index: score for index, (_, score) in searched.items()})
        return None if index is None else searched[index][0]

    @property
    def has_curve(self) -> bool:
        """Budget curves are drawn for random search only: its trials are exchangeable."""
        return self.study.request.curve and self.study.protocol.search == "random"

    # ---- assignments

    def _open(self, search: Search) -> None:
        request, arm = self.study.request, self.arms[search.arm]
        if arm.tuned:
            self.planned_in[search.scenario, search.arm] += request.seeds  # final, once searched
            self._push(search, "search", request.trials + 1)
            self._push(search, "default", request.seeds)
            if self.has_curve:
                self._push(search, "curve", request.trials + 1)
        else:
            self._push(search, "final", request.seeds)
        if search.arm in request.sensitivity:
            self._push(search, "sensitivity", len(arm.knobs) * len(FACTORS))

    def _push(self, search: Search, role: Role, count: int, planned: bool = False) -> None:
        """Put assignments on the heap, but those whose trials are finished.

        planned: they have been counted before.
        """
        if not planned:
            self.planned_in[search.scenario, search.arm] += count
        scenario, arm = list(self.scenarios).index(search.scenario), [*self.arms].index(search.arm)
        # What nothing is searched for comes as early as a search: every arm has shown soon whether
        # it works, and what it takes.
        urgency = URGENCY[role if self.arms[search.arm].tuned or role != "final" else "search"]
        for index in range(count):
            assignment = Assignment(
                scenario,
                urgency,
                index,
                search.repeat,
                arm,
                search.scenario,
                search.arm,
                role,
            )
            if not self._settled_already(assignment):
                heapq.heappush(self._heap, assignment)

    def _settled_already(self, assignment: Assignment) -> bool:
        """Settle an assignment if its trial is known to be finished; whether it is."""
        config = self._known_config(assignment)
        if config is None:
            return False
        spec = self._spec_of(assignment, config)
        if spec["key"] not in self.outcomes:
            return False
        self.assigned[assignment] = spec
        self._settle(assignment, config, self.outcomes[spec["key"]])
        return True

    def _settle(self, assignment: Assignment, config: Config, score: float | None) -> None:
        """The trial of an assignment ended; the last one of a search opens its final trials."""
        self.done_in[assignment.scenario, assignment.arm] += 1
        if assignment.role != "search":
            return
        search = assignment.search
        searched = self._searched[search]
        searched[assignment.index] = (config, score)
        if len(searched) == self.study.request.trials + 1:
            count = self.study.request.seeds
            chosen = self.chosen(search)
            if chosen is None:
                self.planned_in[search.scenario, search.arm] -= count
            else:
                self._chosen[search] = chosen
                self._push(search, "final", count, planned=True)

    # ---- specs

    def _spec(self, assignment: Assignment) -> TrialSpec:
        config = self._known_config(assignment)
        if config is None:
            config = self.suggested[self._suggestion(assignment)] = self._suggest(assignment)
        return self._spec_of(assignment, config)

    def _spec_of(self, assignment: Assignment, config: Config) -> TrialSpec:
        change = self.scenarios[assignment.scenario]
        # Default and sensitivity trials are compared with final ones, so they share their seeds.
        stem, number = {
            "default": ("final", assignment.index),
            "sensitivity": ("final", 0),
        }.get(assignment.role, (assignment.role, assignment.index))
        seed = self.study.protocol.seed
        run_seed = seed_of(seed, "run", stem, assignment.repeat, number)
        data = data_seed(self.study, assignment.repeat, assignment.scenario)
        phases, identities = self._phases(assignment.arm, config)
        identity = digest([self.protocol, change, identities, data, run_seed])[:16]
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
            "run_seed": run_seed,
            "phases": phases,
            "space": space_digest(self.arms[assignment.arm]),
        }

    def _phases(self, arm: str, config: Config) -> tuple[list[Json], list[Json]]:
        """The phases of an arm under a configuration, and their identities; trials share them."""
        configured = arm, *sorted(config.items())
        if configured not in self._phases_of:
            resolved = self.arms[arm].resolve(config)
            self._phases_of[configured] = (
                [phase.model_dump() for phase in resolved],
                [phase_identity(phase) for phase in resolved],
            )
        return self._phases_of[configured]

    def _known_config(self, assignment: Assignment) -> Config | None:
        """An assignment's configuration; None if it has still to be suggested."""
        arm = self.arms[assignment.arm]
        default = {name: arm.default[name] for name in arm.space}
        if assignment.role == "sensitivity":
            schedule = self.study.protocol.schedule.model_dump()
            return default | arm.moved_configs(schedule)[assignment.index]
        if assignment.role == "final":
            return self._chosen[assignment.search] if arm.tuned else {}
        if assignment.role == "default" or assignment.index == 0:
            return default
        return self.suggested.get(self._suggestion(assignment))

    def _suggestion(self, assignment: Assignment) -> Suggested:
        """Search and curve trials of one index share their configuration."""
        space = space_digest(self.arms[assignment.arm])
        return assignment.scenario, assignment.arm, assignment.repeat, assignment.index, space

    def _suggest(self, assignment: Assignment) -> Config:
        """One suggestion; its sampler has a seed of its own, so there is no stream to lose."""
        arm, kind, search = self.arms[assignment.arm], self.study.protocol.search, assignment.search
        if kind in DESIGNS:  # trial 0 is the default
            seed = design_seed(self.study, search.arm, search.repeat)
            return DESIGNS[kind](arm.space, seed, assignment.index - 1)
        seed = suggestion_seed(self.study, search.arm, search.repeat, assignment.index)
        if kind == "cmaes":
            return cma_es_point(arm.space, seed, self._searched[search])
        if kind == "random":
            return suggest(kind, seed, arm)
        running = [
            spec["config"]
            for spec in self.running.values()
            if spec["role"] == "search"
            and Search(spec["scenario"], spec["arm"], spec["repeat"]) == search
        ]
        return suggest(kind, seed, arm, self._searched[search].values(), running)


def _by_arm(counts: Counter[tuple[str, str]]) -> Counter[str]:
    totals: Counter[str] = Counter()
    for (_, arm), count in counts.items():
        totals[arm] += count
    return totals
