"""From an assignment to its configuration and to the spec of its trial, and so to its key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from methods.objective import seed_of
from pipelines.documents import Json, digest
from pipelines.planning.assignments import Assignment, Suggested
from pipelines.planning.common import CommonKnobs
from pipelines.planning.specs import Config, Searched, data_seed
from pipelines.planning.suggestions import space_digest, suggest_next
from pipelines.study.common_knobs import with_common
from pipelines.study.phases import phase_identity
from pipelines.study.study_file import Study
from pipelines.study.warm_start import first_configs
from pipelines.trial_documents import TrialSpec

#: In the place of a space's digest: the configuration was suggested by no search.
GIVEN = "warm start"


class TrialSpecs:
    """Specs of a study's trials.

    protocol: its hash, which is part of every key. suggested: configurations of the search trials
    that were ever planned. common: what is tried and chosen of the common knobs.
    """

    def __init__(
        self,
        study: Study,
        protocol: str,
        suggested: Mapping[Suggested, Config],
        common: CommonKnobs,
    ) -> None:
        self._study, self._protocol, self._common = study, protocol, common
        self._suggested = dict(suggested)
        self._arms, self._scenarios, self._protocols = study.arms, study.scenarios, study.protocols
        request = study.request
        #: By arm, what its searches begin with after the default.
        self.given = {
            name: first_configs(request.warm_start, name, arm, request.trials)
            for name, arm in self._arms.items()
        }
        self._phases_of: dict[tuple[object, ...], tuple[list[Json], list[Json]]] = {}

    def known_config(self, assignment: Assignment, chosen: Config | None) -> Config | None:
        """An assignment's configuration; None if it has still to be suggested.

        chosen: by the assignment's search, where that has ended.
        """
        arm, common = self._arms[assignment.arm], self._common.values(assignment)
        default = {name: arm.default[name] for name in arm.space} | common
        if assignment.role == "sensitivity":
            schedule = self._study.protocol.schedule.model_dump()
            return default | arm.moved_configs(schedule)[assignment.index]
        if assignment.role == "final":
            return chosen if arm.tuned else common
        if assignment.role in ("common", "default") or assignment.index == 0:
            return default
        if self._is_given(assignment):
            return self.given[assignment.arm][assignment.index - 1] | common
        return self._suggested.get(self._suggestion(assignment))

    def _is_given(self, assignment: Assignment) -> bool:
        """Whether a search trial, or its curve trial, has its configuration from elsewhere."""
        of_search = assignment.role in ("search", "curve")
        return of_search and 0 < assignment.index <= len(self.given[assignment.arm])

    def suggest(
        self, assignment: Assignment, searched: Searched, running: Iterable[Config]
    ) -> Config:
        """The configuration of a search trial that has none yet; see `suggest_next`.

        A search is for the arm's own knobs, and sees no others.
        """
        space = self._arms[assignment.arm].space

        def own(config: Config) -> Config:
            return {name: config[name] for name in space}

        ended = {i: trial._replace(config=own(trial.config)) for i, trial in searched.items()}
        search, index = assignment.search, assignment.index
        config = suggest_next(self._study, search, index, ended, map(own, running))
        config |= self._common.values(assignment)
        self._suggested[self._suggestion(assignment)] = config
        return config

    def _suggestion(self, assignment: Assignment) -> Suggested:
        space = self._space(assignment)
        scenario, arm, repeat, _ = assignment.search
        values = frozenset(self._common.values(assignment).items())
        return Suggested(scenario, arm, repeat, assignment.index, space, values)

    def of(self, assignment: Assignment, config: Config) -> TrialSpec:
        """The spec of an assignment's trial under a configuration."""
        change = self._scenarios[assignment.scenario]
        # Default and sensitivity trials are compared with final ones, so they share their seeds.
        stem, number = {
            "default": ("final", assignment.index),
            "sensitivity": ("final", 0),
            "common": ("common", 0),  # all of a repeat: they differ in their values alone
        }.get(assignment.role, (assignment.role, assignment.index))
        seed = self._study.protocol.seed
        run_seed = seed_of(seed, "run", stem, assignment.repeat, number)
        data = data_seed(self._study, assignment.repeat, assignment.scenario)
        phases, identities = self._phases(assignment, config)
        identity = digest([self._protocol, change, identities, data, run_seed])[:16]
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
            "space": GIVEN if self._is_given(assignment) else self._space(assignment),
        }

    def _space(self, assignment: Assignment) -> str:
        return space_digest(self._arms[assignment.arm])

    def _phases(self, assignment: Assignment, config: Config) -> tuple[list[Json], list[Json]]:
        """The phases of an arm under a configuration, and their identities; trials share them."""
        scenario, arm, common = assignment.scenario, assignment.arm, self._common.values(assignment)
        configured = scenario, arm, *sorted(config.items()), *sorted(common.items())
        if configured not in self._phases_of:
            own = {address: value for address, value in config.items() if address not in common}
            resolved = with_common(self._arms[arm].resolve(own), common, self._protocols[scenario])
            self._phases_of[configured] = (
                [phase.model_dump() for phase in resolved],
                [phase_identity(phase) for phase in resolved],
            )
        return self._phases_of[configured]
