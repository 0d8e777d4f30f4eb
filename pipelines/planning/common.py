"""The trials that choose every arm's common knobs, by one rule.

In each repeat every arm gets the same few trials of its default, and takes what is best on val. Its
own knobs are searched on top. They share a run seed, which nothing else has: what is chosen is
never judged by the luck that it was chosen by.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from math import isfinite

from methods.objective import seed_of
from pipelines.analysis.selection import highest
from pipelines.errors import UserError
from pipelines.planning.assignments import Assignment, Search
from pipelines.planning.designs import grid_point, grid_size, sobol_point
from pipelines.planning.specs import Config
from pipelines.study.arms import Arm
from pipelines.study.common_knobs import common_space
from pipelines.study.study_file import Study


class CommonKnobs:
    """What is tried, and chosen, of the common knobs; arms: the study's."""

    def __init__(self, study: Study, arms: Mapping[str, Arm]) -> None:
        request = study.request
        self._space, self._seed = request.common, study.protocol.seed
        self.trials = request.common_trials + 1  # with the study's values
        self._spaces = {
            (scenario, name): common_space(arm, request.common, protocol)
            for scenario, protocol in study.protocols.items()
            for name, arm in arms.items()
        }
        self._scores: dict[Search, dict[int, float | None]] = defaultdict(dict)
        self._chosen: dict[Search, Config] = {}

    def moves(self, scenario: str, arm: str) -> bool:
        """Whether an arm has common knobs to choose."""
        return bool(self._spaces[scenario, arm])

    def values(self, assignment: Assignment) -> Config:
        """The common values of an assignment's trial, where they are not the study's own."""
        if assignment.role == "common":
            return self._point(assignment.search, assignment.index)
        return self.chosen(assignment.search)

    def chosen(self, search: Search) -> Config:
        """The common values of a search; none where they are the study's own."""
        return self._chosen.get(search, {})

    def settle(self, search: Search, index: int, score: float | None) -> bool:
        """A trial ended with a score on val, None if it failed; whether it was the last one."""
        self._scores[search][index] = score
        return len(self._scores[search]) == self.trials

    def choose(self, search: Search) -> bool:
        """Takes the values with the best score, of equals the first; False if all failed."""
        index = highest(self._scores[search])
        if index is not None:
            self._chosen[search] = self._point(search, index)
        return index is not None

    def _point(self, search: Search, index: int) -> Config:
        """Index 0 is the study's own; the others are the same for all arms of a repeat."""
        if not index:
            return {}
        seed = seed_of(self._seed, "common", search.repeat) % 2**32
        design = grid_point if isfinite(grid_size(self._space)) else sobol_point
        point = design(self._space, seed, index - 1)
        return {address: point[address] for address in self._spaces[search.scenario, search.arm]}


def check_common(study: Study) -> None:
    """Are there as many points as trials?

    Raises:
        UserError: there are not.
    """
    request = study.request
    if request.common and request.common_trials > (size := grid_size(request.common)):
        raise UserError(
            f"request.common_trials = {request.common_trials}: request.common has {size:g} points"
        )
