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
from types import MappingProxyType

from pipelines.analysis.record import Course
from pipelines.analysis.selection import highest
from pipelines.planning.assignments import URGENCY, Assignment, Search, Suggested, by_arm
from pipelines.planning.brackets import NO_COURSE, Bracket, number_of, planned_epochs, rule_of
from pipelines.planning.specs import Config
from pipelines.planning.trial_specs import TrialSpecs
from pipelines.study.arms import FACTORS
from pipelines.study.study_file import Study
from pipelines.trial_documents import Role, Rung, TrialSpec


class Planner:
    """Hands out the trials of a study, and is told how they ended.

    outcomes: score by key of the trials that are finished (None: failed). suggested: configurations
    of the search trials that were ever planned, so that an interrupted one keeps its own.
    courses: by key how far trials have come, of searches whose trials are stopped early.
    """

    def __init__(
        self,
        study: Study,
        protocol: str,
        outcomes: Mapping[str, float | None],
        suggested: Mapping[Suggested, Config],
        courses: Mapping[str, Course] = MappingProxyType({}),
    ) -> None:
        self.study, self.protocol = study, protocol
        self.arms, self.scenarios = study.arms, study.scenarios
        self.outcomes, self.courses = dict(outcomes), dict(courses)
        self.brackets: dict[Search, Bracket] = {}
        self._specs = TrialSpecs(study, protocol, suggested)
        self.assigned: dict[Assignment, TrialSpec] = {}
        self.running: dict[str, TrialSpec] = {}
        self.planned_in: Counter[tuple[str, str]] = Counter()  # by scenario and arm
        self.done_in: Counter[tuple[str, str]] = Counter()
        self._waiting: dict[str, list[Assignment]] = defaultdict(list)  # for a running trial
        self._searched: dict[Search, dict[int, tuple[Config, float | None]]] = defaultdict(dict)
        self._chosen: dict[Search, Config] = {}
        self._heap: list[Assignment] = []
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

    def rung(self, key: str) -> Rung | None:
        """Where a trial that runs is to stop for now; None: at its end."""
        bracket = self._bracket_of(self._waiting[key][0])
        return bracket and bracket.rung(self.running[key]["index"])

    def pause(self, key: str, course: Course) -> None:
        """A trial has stopped at a rung, having come as far as its course."""
        del self.running[key]
        self.courses[key] = course
        for assignment in self._waiting.pop(key):
            self.brackets[assignment.search].see(assignment.index, course)
            self._advance(assignment.search)

    def tell(self, key: str, score: float | None, course: Course | None = None) -> None:
        """A trial ended: its score on val (higher is better), or None if it failed.

        course: where trials of its search are stopped early.
        """
        spec = self.running.pop(key)
        self.outcomes[key] = score
        if course:
            self.courses[key] = course
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
        return by_arm(self.planned_in)

    @property
    def done(self) -> Counter[str]:
        """Assignments whose trial ended, by arm, over all scenarios."""
        return by_arm(self.done_in)

    @property
    def finished(self) -> bool:
        """Nothing is left to hand out or to wait for."""
        return not self._heap and not self.running

    @property
    def stopped(self) -> dict[Assignment, Rung]:
        """Where the trials stop that go no further, of searches whose trials are stopped early.

        Not of those that ended by themselves before: they diverged, or failed.
        """
        return {
            assignment: rung
            for search, bracket in self.brackets.items()
            for index in bracket.stopped
            for assignment in [self._assignment(search, "search", index)]
            if (course := self.courses.get(self.assigned[assignment]["key"]))
            and (rung := bracket.rung(index))
            and course.has_come_to(rung.epoch)
        }

    def chosen(self, search: Search) -> Config | None:
        """The configuration with the best score on val; of equals, the one of lowest index.

        None: all failed.
        """
        searched = self._searched[search]
        index = highest({index: score for index, (_, score) in searched.items()})
        return None if index is None else searched[index][0]

    # ---- assignments

    def _open(self, search: Search) -> None:
        request, arm = self.study.request, self.arms[search.arm]
        if arm.tuned:
            self.planned_in[search.scenario, search.arm] += request.seeds  # final, once searched
            protocol = self.study.protocols[search.scenario]
            if rule := rule_of(request.stopping_for(search.arm), arm, protocol):
                self.brackets[search] = Bracket(rule, request.trials + 1)
                self._open_bracket(search)
            else:
                self._push(search, "search", request.trials + 1)
            self._push(search, "default", request.seeds)
            # Of random searches alone, whose trials are exchangeable, and ran to their ends.
            if request.curve and self.study.protocol.search == "random" and not rule:
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
        for index in range(count):
            assignment = self._assignment(search, role, index)
            if not self._settled_already(assignment):
                heapq.heappush(self._heap, assignment)

    def _assignment(self, search: Search, role: Role, index: int) -> Assignment:
        scenario, arm = list(self.scenarios).index(search.scenario), [*self.arms].index(search.arm)
        # What nothing is searched for comes as early as a search: every arm has shown soon whether
        # it works, and what it takes.
        urgency = URGENCY[role if self.arms[search.arm].tuned or role != "final" else "search"]
        return Assignment(
            scenario, urgency, index, search.repeat, arm, search.scenario, search.arm, role
        )

    def _settled_already(self, assignment: Assignment) -> bool:
        """Settle an assignment if its trial is known to be finished; whether it is."""
        config = self._known_config(assignment)
        if config is None:
            return False
        spec = self._specs.of(assignment, config)
        if spec["key"] not in self.outcomes:
            return False
        self.assigned[assignment] = spec
        self._settle(assignment, config, self.outcomes[spec["key"]])
        return True

    def _settle(self, assignment: Assignment, config: Config, score: float | None) -> None:
        """The trial of an assignment ended; the last one of a search opens its final trials."""
        if bracket := self._bracket_of(assignment):
            course = self.courses.get(self.assigned[assignment]["key"], NO_COURSE)
            bracket.see(assignment.index, course, end=number_of(score))
            self._advance(assignment.search)
            return
        self.done_in[assignment.scenario, assignment.arm] += 1
        if assignment.role != "search":
            return
        self._searched[assignment.search][assignment.index] = (config, score)
        if len(self._searched[assignment.search]) == self.study.request.trials + 1:
            self._open_finals(assignment.search)

    def _open_finals(self, search: Search) -> None:
        count, chosen = self.study.request.seeds, self.chosen(search)
        if chosen is None:
            self.planned_in[search.scenario, search.arm] -= count
        else:
            self._chosen[search] = chosen
            self._push(search, "final", count, planned=True)

    # ---- searches whose trials are stopped early

    def _bracket_of(self, assignment: Assignment) -> Bracket | None:
        return self.brackets.get(assignment.search) if assignment.role == "search" else None

    def _open_bracket(self, search: Search) -> None:
        """Its trials as far as they have come; then those that may run further are handed out."""
        bracket = self.brackets[search]
        self.planned_in[search.scenario, search.arm] += bracket.size
        for index in range(bracket.size):
            assignment = self._assignment(search, "search", index)
            if (config := self._known_config(assignment)) is None:
                continue
            spec = self._planned(assignment, config)
            key = spec["key"]
            if key in self.courses or key in self.outcomes:
                self.assigned[assignment] = spec
                end = number_of(self.outcomes[key]) if key in self.outcomes else None
                bracket.see(index, self.courses.get(key, NO_COURSE), end)
        self._advance(search)

    def _planned(self, assignment: Assignment, config: Config) -> TrialSpec:
        """The spec of an assignment; its bracket learns where the rungs of its trial are."""
        spec = self._specs.of(assignment, config)
        if bracket := self._bracket_of(assignment):
            protocol = self.study.protocols[assignment.scenario]
            bracket.plan(assignment.index, planned_epochs(spec, protocol))
        return spec

    def _advance(self, search: Search) -> None:
        """Hand out what may run further; once all is decided, the search is as any that ended."""
        bracket = self.brackets[search]
        for index in bracket.runnable:
            if index not in bracket.out:
                bracket.out.add(index)
                heapq.heappush(self._heap, self._assignment(search, "search", index))
        self.done_in[search.scenario, search.arm] += bracket.newly_settled()
        if bracket.over:
            for index in bracket.finished:
                spec = self.assigned[self._assignment(search, "search", index)]
                self._searched[search][index] = spec["config"], self.outcomes[spec["key"]]
            self._open_finals(search)

    # ---- specs

    def _spec(self, assignment: Assignment) -> TrialSpec:
        config = self._known_config(assignment)
        if config is None:
            config = self._suggest(assignment)
        return self._planned(assignment, config)

    def _known_config(self, assignment: Assignment) -> Config | None:
        return self._specs.known_config(assignment, self._chosen.get(assignment.search))

    def _suggest(self, assignment: Assignment) -> Config:
        """One suggestion, from what is known of its search by now."""
        search = assignment.search
        running = [
            spec["config"]
            for spec in self.running.values()
            if spec["role"] == "search"
            and Search(spec["scenario"], spec["arm"], spec["repeat"]) == search
        ]
        return self._specs.suggest(assignment, self._searched[search], running)
