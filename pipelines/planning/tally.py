"""How many assignments a study has, and how many of them are done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from pipelines.planning.assignments import Search
from pipelines.trial_documents import Role


class Tally:
    """Counts of assignments, by scenario and arm; roles: how many trials each search has in each.

    A trial with two roles counts twice.
    """

    def __init__(self) -> None:
        self.planned_in: Counter[tuple[str, str]] = Counter()
        self.done_in: Counter[tuple[str, str]] = Counter()
        self.roles: dict[Search, dict[Role, int]] = {}

    @property
    def planned(self) -> Counter[str]:
        """Assignments by arm, over all scenarios."""
        return _by_arm(self.planned_in)

    @property
    def done(self) -> Counter[str]:
        """Assignments whose trial ended, by arm, over all scenarios."""
        return _by_arm(self.done_in)

    def expect(self, search: Search, roles: dict[Role, int]) -> None:
        """A search is to have so many trials in each role."""
        self.roles[search] = roles
        self.planned_in[search.scenario, search.arm] += sum(roles.values())

    def give_up(self, search: Search, roles: Iterable[Role]) -> None:
        """There will be no trials of a search in these roles: all failed that they depend on."""
        lost = sum(self.roles[search].pop(role, 0) for role in roles)
        self.planned_in[search.scenario, search.arm] -= lost

    def count(self, search: Search, ended: int = 1) -> None:
        """Trials of a search that ended."""
        self.done_in[search.scenario, search.arm] += ended


def _by_arm(counts: Counter[tuple[str, str]]) -> Counter[str]:
    totals: Counter[str] = Counter()
    for (_, arm), count in counts.items():
        totals[arm] += count
    return totals
