"""What a study runs next, as a pure function of the study and of what is finished.

Roles are what trials are for. A tuned arm has, per repeat, `search` trials (index 0: its published
default), then `curve` trials (each searched configuration once more with a fresh run seed: budget
curves), `default` and `final` trials (the default, and the configuration chosen on val, with fresh
run seeds). Other arms have `final` trials only.
One trial may serve two roles: then it runs once. Where the request asks for it, `sensitivity`
trials move one knob of an arm's default at a time; `common` trials choose values of the common
knobs, under which the arm is then run as well, with its curve; and all of this in every scenario.

Data seed r belongs to repeat r and is shared by all arms; search trial k, curve trial k and final
seed s of all arms share their run seeds too, so every comparison is paired.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Mapping
from types import MappingProxyType

from pipelines.analysis.record import Course
from pipelines.planning.assignments import Assignment, Search, Suggested, roles_of
from pipelines.planning.brackets import NO_COURSE, Bracket, number_of, planned_epochs, rule_of
from pipelines.planning.common import CommonKnobs
from pipelines.planning.specs import Config, Ended, Score, selected_config
from pipelines.planning.tally import Tally
from pipelines.planning.trial_specs import TrialSpecs
from pipelines.study.study_file import Study
from pipelines.trial_documents import Role, Rung, TrialSpec


class Planner(Tally):
    """Hands out the trials of a study, and is told how they ended.

    outcomes: score by key of the trials that are finished (None: failed). suggested: configurations
    of the search trials that were ever planned, so that an interrupted one keeps its own.
    courses: by key how far trials have come, of searches whose trials are stopped early.
    second: values of the second aim by key, where searches have one.
    """

    def __init__(
        self,
        study: Study,
        protocol: str,
        outcomes: Mapping[str, Score],
        suggested: Mapping[Suggested, Config],
        courses: Mapping[str, Course] = MappingProxyType({}),
        second: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        super().__init__()
        self.study, self.protocol = study, protocol
        self.arms, self.scenarios = study.arms, study.scenarios
        self.outcomes, self.courses, self.second = dict(outcomes), dict(courses), dict(second)
        self.brackets: dict[Search, Bracket] = {}
        self.common = CommonKnobs(study, self.arms)
        self._specs = TrialSpecs(study, protocol, suggested, self.common)
        self.assigned: dict[Assignment, TrialSpec] = {}
        self.running: dict[str, TrialSpec] = {}
        self._waiting: dict[str, list[Assignment]] = defaultdict(list)  # for a running trial
        self._searched: dict[Search, dict[int, Ended]] = defaultdict(dict)
        self._chosen: dict[Search, Config] = {}
        self._heap: list[Assignment] = []
        for scenario in self.scenarios:
            for repeat in range(study.request.repeats):
                for arm in self.arms:
                    self._plan(Search(scenario, arm, repeat))

    def ask(self) -> TrialSpec | None:
        """The spec of a trial to run now; None if there is none, or none before another one ends.

        Only here are configurations suggested: a sampler that learns should know all that has ended
        by the time its trial starts.
        """
        while self._heap:
            assignment = heapq.heappop(self._heap)
            if (config := self._known_config(assignment)) is None:
                config = self._suggest(assignment)
            spec = self._planned(assignment, config)
            key = spec["key"]
            self.assigned[assignment] = spec
            if key in self.outcomes:  # it has served another role meanwhile
                self._settle(assignment, self.outcomes[key])
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

    def tell(
        self, key: str, score: Score, course: Course | None = None, second: Score = None
    ) -> None:
        """A trial ended: its score on val (higher is better), or None if it failed.

        course: where trials of its search are stopped early. second: as of the planner.
        """
        del self.running[key]
        self.outcomes[key] = score
        if course:
            self.courses[key] = course
        if second is not None:
            self.second[key] = second
        for assignment in self._waiting.pop(key):
            self._settle(assignment, score)
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
        """The configuration that a search selects; None if all of its trials failed."""
        return selected_config(self._searched[search])

    # ---- assignments

    def shows(self, search: Search) -> bool:
        """Whether it is under the values that the results are for: those chosen, if any are."""
        return search.common == self.common.moves(search.scenario, search.arm)

    def _plan(self, search: Search) -> None:
        """Count a search's trials, and open it; or those that choose its common values."""
        arm, protocol = self.arms[search.arm], self.study.protocols[search.scenario]
        stopping = self.study.request.stopping_for(search.arm)
        rule = rule_of(stopping, arm, protocol) if arm.tuned else None
        whole = not rule and self.shows(search) and not self._specs.given[search.arm]
        self.expect(search, roles_of(self.study, arm, search, whole))
        if rule:
            self.brackets[search] = Bracket(rule, self.roles[search]["search"])
        if search.common:
            self._push(search, "common", self.roles[search]["common"])
            return
        self._open(search)
        if not self.shows(search):
            self._plan(search._replace(common=True))

    def _open(self, search: Search) -> None:
        """Hand out a search's trials; its final ones once something is selected."""
        later = ("common", *["final"] * self.arms[search.arm].tuned)
        for role, count in [*self.roles[search].items()]:
            if role == "search" and search in self.brackets:
                self._open_bracket(search)
            elif role not in later:
                self._push(search, role, count)

    def _choose(self, search: Search) -> None:
        """All trials of the common knobs have ended."""
        if self.common.choose(search):
            self._open(search)
        else:
            self.give_up(search, set(self.roles[search]) - {"common"})

    def _push(self, search: Search, role: Role, count: int) -> None:
        """Put assignments on the heap, but those whose trials are finished."""
        for index in range(count):
            assignment = self._assignment(search, role, index)
            if not self._settled_already(assignment):
                heapq.heappush(self._heap, assignment)

    def _assignment(self, search: Search, role: Role, index: int) -> Assignment:
        return Assignment.of(search, role, index, self.scenarios, self.arms)

    def _settled_already(self, assignment: Assignment) -> bool:
        """Settle an assignment if its trial is known to be finished; whether it is."""
        config = self._known_config(assignment)
        if config is None:
            return False
        spec = self._specs.of(assignment, config)
        if spec["key"] not in self.outcomes:
            return False
        self.assigned[assignment] = spec
        self._settle(assignment, self.outcomes[spec["key"]])
        return True

    def _settle(self, assignment: Assignment, score: Score) -> None:
        """The trial of an assignment ended; the last one of a search opens its final trials."""
        if bracket := self._bracket_of(assignment):
            course = self.courses.get(self.assigned[assignment]["key"], NO_COURSE)
            bracket.see(assignment.index, course, end=number_of(score))
            self._advance(assignment.search)
            return
        self.count(assignment.search)
        search, index = assignment.search, assignment.index
        if assignment.role == "common" and self.common.settle(search, index, score):
            self._choose(search)
        if assignment.role == "search":
            self._note(search, index)
            if len(self._searched[search]) == self.study.request.trials + 1:
                self._open_finals(search)

    def _open_finals(self, search: Search) -> None:
        if chosen := self.chosen(search):
            self._chosen[search] = chosen
            self._push(search, "final", self.roles[search]["final"])
        else:
            self.give_up(search, ["final"])

    def _note(self, search: Search, index: int) -> None:
        """What a search trial ended with, for selection and for suggestions."""
        spec = self.assigned[self._assignment(search, "search", index)]
        ended = Ended(spec["config"], self.outcomes[spec["key"]], self.second.get(spec["key"]))
        self._searched[search][index] = ended

    # ---- searches whose trials are stopped early

    def _bracket_of(self, assignment: Assignment) -> Bracket | None:
        return self.brackets.get(assignment.search) if assignment.role == "search" else None

    def _open_bracket(self, search: Search) -> None:
        """Its trials as far as they have come; then those that may run further are handed out."""
        bracket = self.brackets[search]
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
        self.count(search, bracket.newly_settled())
        if bracket.over:
            for index in bracket.finished:
                self._note(search, index)
            self._open_finals(search)

    # ---- specs

    def _known_config(self, assignment: Assignment) -> Config | None:
        return self._specs.known_config(assignment, self._chosen.get(assignment.search))

    def _suggest(self, assignment: Assignment) -> Config:
        """One suggestion, from what is known of its search by now."""
        search = assignment.search
        running = [
            spec["config"]
            for key, spec in self.running.items()
            if any((a.role, a.search) == ("search", search) for a in self._waiting[key])
        ]
        return self._specs.suggest(assignment, self._searched[search], running)
