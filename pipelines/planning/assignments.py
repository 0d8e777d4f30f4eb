"""What trials are for, and in which order they come."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from pipelines.trial_documents import Role

URGENCY: dict[Role, int] = {"search": 0, "final": 1, "default": 2, "curve": 3, "sensitivity": 4}
Suggested = tuple[str, str, int, int, str]  # scenario, arm, repeat, index, digest of the space


class Search(NamedTuple):
    """One search: of an arm, in a repeat, under a scenario's protocol."""

    scenario: str
    arm: str
    repeat: int


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

    @property
    def search(self) -> Search:
        """The search it belongs to."""
        return Search(self.scenario, self.arm, self.repeat)


def by_arm(counts: Counter[tuple[str, str]]) -> Counter[str]:
    """Counts by scenario and arm, over all scenarios."""
    totals: Counter[str] = Counter()
    for (_, arm), count in counts.items():
        totals[arm] += count
    return totals
