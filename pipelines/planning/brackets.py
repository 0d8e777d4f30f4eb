"""A search whose trials are stopped early: how far each of them has come, and may go.

It has no state of its own to be lost: all follows from the request and from the vals of its trials,
which are in the ledger. So a search is resumed at any point, and one that grows, or whose rule is
another from now on, is judged as if it had been so from the beginning.
"""

from __future__ import annotations

from math import ceil, inf, isnan, nan

import numpy as np

from pipelines.analysis.record import Course
from pipelines.analysis.stopping import Halving, Median
from pipelines.study.arms import Arm
from pipelines.study.method_loading import is_fitted
from pipelines.study.phase_rules import phase_epochs
from pipelines.study.phases import Phase
from pipelines.study.protocol import Protocol
from pipelines.study.stopping import Stopping
from pipelines.trial_documents import Rung, TrialSpec

RunningRule = Halving | Median
NO_COURSE = Course((), (), 0)  # of a trial of which no epoch is known


def rule_of(stopping: Stopping, arm: Arm, protocol: Protocol) -> RunningRule | None:
    """The rule by which trials of an arm are stopped; None where each runs to its end.

    As does a model that is fitted at once.
    """
    phases = arm.resolve({})
    if any(is_fitted(phase.method) for phase in phases):
        return None
    if stopping.rule == "halving":
        epochs = sum(phase_epochs(phase, protocol) for phase in phases)
        return Halving.fitting(stopping.eta, stopping.rungs, epochs)
    return Median() if stopping.rule == "median" else None


def planned_epochs(spec: TrialSpec, protocol: Protocol) -> int:
    """Epochs of a trial that runs to its end, where the schedule's length is in epochs."""
    return sum(phase_epochs(Phase.model_validate(phase), protocol) for phase in spec["phases"])


def number_of(score: float | None) -> float:
    """A score by which trials are ranked; that of a trial that failed, or of no number, is -inf."""
    return -inf if score is None or isnan(score) else score


class Bracket:
    """The trials of one search under a rule; size: how many, with the default."""

    def __init__(self, rule: RunningRule, size: int) -> None:
        self.rule, self.size, self.rungs = rule, size, len(rule.shares(0))
        self.out: set[int] = set()  # handed out, or waiting for it
        self._settled = 0
        self._epochs: dict[int, list[int]] = {}  # of each trial's rungs
        self._val = np.full((1, size, self.rungs), nan)
        self._decide()

    def plan(self, index: int, epochs: int) -> None:
        """A trial is to run; epochs: of a whole run."""
        self._epochs[index] = [ceil(share * epochs) for share in self.rule.shares(epochs)]

    def see(self, index: int, course: Course, end: float | None = None) -> None:
        """A trial that is planned has come as far as its course.

        end: the score that it has ended with, -inf if it failed; with it it counts at the rungs
        that it has not come to.
        """
        *rungs, _ = self._epochs[index]
        for k, epoch in enumerate(rungs):
            if course.has_come_to(epoch):
                self._val[0, index, k] = number_of(course.val[epoch - 1])
            elif end is not None:
                self._val[0, index, k] = end
        if end is not None:  # whoever has only trained to the end has none
            self._val[0, index, -1] = end
        self.out.discard(index)
        self._decide()

    def _decide(self) -> None:
        decision = self.rule.decide(self._val)
        came = (~np.isnan(self._val[0])).sum(axis=1)
        self._reach = decision.reach[0].tolist()
        #: Trials that may run further than they have come.
        self.runnable = np.flatnonzero(came < decision.reach[0]).tolist()
        #: Trials that are stopped for good, whether or not they have gone beyond.
        self.stopped = np.flatnonzero(decision.stopped[0]).tolist()
        #: Those that end, as the rule has it.
        self.finished = np.flatnonzero(
            (came == self.rungs) & (decision.reach[0] == self.rungs)
        ).tolist()

    @property
    def over(self) -> bool:
        """All trials have ended, or are stopped for good."""
        return len(self.stopped) + len(self.finished) == self.size

    def newly_settled(self) -> int:
        """Trials of which the end is known, and was not when this was asked before."""
        before, self._settled = self._settled, len(self.stopped) + len(self.finished)
        return self._settled - before

    def rung(self, index: int) -> Rung | None:
        """Where a trial is to stop, as far as is known now; None: at its end."""
        number = self._reach[index]
        if number == self.rungs:
            return None
        why = f"{self.rule.name}: rung {number} of {self.rungs}"
        return Rung(self._epochs[index][number - 1], why)
