"""What trials are for, and in which order they come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from pipelines.study.arms import FACTORS, Arm
from pipelines.study.search_space import Value
from pipelines.study.study_file import Study
from pipelines.trial_documents import Role, TrialSpec

URGENCY: dict[Role, int] = {
    "common": 0, "search": 0, "final": 1, "default": 2, "curve": 3, "sensitivity": 4,
}  # fmt: skip


class Search(NamedTuple):
    """One search: of an arm, in a repeat, under a scenario's protocol.

    common: under the common values that were chosen for it, not the study's own.
    """

    scenario: str
    arm: str
    repeat: int
    common: bool = False


class Assignment(NamedTuple):
    """What a trial is for; sorts by urgency, the study's own protocol before its scenarios.

    All roles of index k come before those of index k + 1, arm by arm: so arms have equal quotas at
    any time, and a study that is cut short has compared what it has.
    """

    scenario_position: int
    urgency: int
    index: int
    repeat: int
    arm_position: int
    scenario: str
    arm: str
    role: Role
    common: bool = False

    @property
    def search(self) -> Search:
        """The search it belongs to."""
        return Search(self.scenario, self.arm, self.repeat, self.common)

    @classmethod
    def of(
        cls,
        search: Search,
        role: Role,
        index: int,
        scenarios: Iterable[str],
        arms: Mapping[str, Arm],
    ) -> Assignment:
        """A search's assignment in a role; scenarios, arms: the study's, in order."""
        scenario, arm = [*scenarios].index(search.scenario), [*arms].index(search.arm)
        # What nothing is searched for comes as early as a search: every arm has shown soon whether
        # it works, and what it takes.
        urgency = URGENCY[role if arms[search.arm].tuned or role != "final" else "search"]
        place = scenario, urgency, index, search.repeat, arm
        return cls(*place, search.scenario, search.arm, role, search.common)


class Suggested(NamedTuple):
    """Where a configuration was suggested; search and curve trials of one index share theirs.

    space: digest of the space that it was drawn from. common: the common values beside it.
    """

    scenario: str
    arm: str
    repeat: int
    index: int
    space: str
    common: frozenset[tuple[str, Value]] = frozenset()


def roles_of(study: Study, arm: Arm, search: Search, whole: bool) -> dict[Role, int]:
    """How many trials a search has in each role.

    whole: its trials run to their ends, none was given, and its results are shown: then a curve may
        be drawn.
    """
    request = study.request
    roles: dict[Role, int] = {"final": request.seeds}
    if search.common:
        roles["common"] = request.common_trials + 1
    if arm.tuned:
        roles |= {"search": request.trials + 1, "default": request.seeds}
    # Of random searches alone, whose trials are exchangeable.
    if arm.tuned and whole and request.curve and study.protocol.search == "random":
        roles["curve"] = request.trials + 1
    if search.arm in request.sensitivity:
        roles["sensitivity"] = len(arm.knobs) * len(FACTORS)
    return roles


def suggested_by(
    specs: Iterable[TrialSpec], arms: Mapping[str, Arm]
) -> dict[Suggested, dict[str, Value]]:
    """The configurations of search trials that were ever planned; arms: the study's."""
    suggested: dict[Suggested, dict[str, Value]] = {}
    for spec in specs:
        if spec["role"] == "search" and (arm := arms.get(spec["arm"])):
            config = spec["config"]
            common = frozenset((name, v) for name, v in config.items() if name not in arm.space)
            place = spec["scenario"], spec["arm"], spec["repeat"], spec["index"], spec["space"]
            suggested[Suggested(*place, common)] = config
    return suggested
