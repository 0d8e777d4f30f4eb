"""From an assignment to its configuration and to the spec of its trial, and so to its key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from methods.objective import seed_of
from pipelines.documents import Json, digest
from pipelines.planning.assignments import Assignment, Suggested
from pipelines.planning.cma_es import Searched
from pipelines.planning.specs import Config, data_seed
from pipelines.planning.suggestions import space_digest, suggest_next
from pipelines.study.phases import phase_identity
from pipelines.study.study_file import Study
from pipelines.trial_documents import TrialSpec


class TrialSpecs:
    """Specs of a study's trials.

    protocol: its hash, which is part of every key. suggested: configurations of the search trials
    that were ever planned.
    """

    def __init__(self, study: Study, protocol: str, suggested: Mapping[Suggested, Config]) -> None:
        self._study, self._protocol = study, protocol
        self._suggested = dict(suggested)
        self._arms, self._scenarios = study.arms, study.scenarios
        self._phases_of: dict[tuple[object, ...], tuple[list[Json], list[Json]]] = {}

    def known_config(self, assignment: Assignment, chosen: Config | None) -> Config | None:
        """An assignment's configuration; None if it has still to be suggested.

        chosen: by the assignment's search, where that has ended.
        """
        arm = self._arms[assignment.arm]
        default = {name: arm.default[name] for name in arm.space}
        if assignment.role == "sensitivity":
            schedule = self._study.protocol.schedule.model_dump()
            return default | arm.moved_configs(schedule)[assignment.index]
        if assignment.role == "final":
            return chosen if arm.tuned else {}
        if assignment.role == "default" or assignment.index == 0:
            return default
        return self._suggested.get(self._suggestion(assignment))

    def suggest(
        self, assignment: Assignment, searched: Searched, running: Iterable[Config]
    ) -> Config:
        """The configuration of a search trial that has none yet; see `suggest_next`."""
        config = suggest_next(self._study, assignment.search, assignment.index, searched, running)
        self._suggested[self._suggestion(assignment)] = config
        return config

    def _suggestion(self, assignment: Assignment) -> Suggested:
        """Search and curve trials of one index share their configuration."""
        space = space_digest(self._arms[assignment.arm])
        return assignment.scenario, assignment.arm, assignment.repeat, assignment.index, space

    def of(self, assignment: Assignment, config: Config) -> TrialSpec:
        """The spec of an assignment's trial under a configuration."""
        change = self._scenarios[assignment.scenario]
        # Default and sensitivity trials are compared with final ones, so they share their seeds.
        stem, number = {
            "default": ("final", assignment.index),
            "sensitivity": ("final", 0),
        }.get(assignment.role, (assignment.role, assignment.index))
        seed = self._study.protocol.seed
        run_seed = seed_of(seed, "run", stem, assignment.repeat, number)
        data = data_seed(self._study, assignment.repeat, assignment.scenario)
        phases, identities = self._phases(assignment.arm, config)
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
            "space": space_digest(self._arms[assignment.arm]),
        }

    def _phases(self, arm: str, config: Config) -> tuple[list[Json], list[Json]]:
        """The phases of an arm under a configuration, and their identities; trials share them."""
        configured = arm, *sorted(config.items())
        if configured not in self._phases_of:
            resolved = self._arms[arm].resolve(config)
            self._phases_of[configured] = (
                [phase.model_dump() for phase in resolved],
                [phase_identity(phase) for phase in resolved],
            )
        return self._phases_of[configured]
