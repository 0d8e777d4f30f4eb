"""Rules that stop the trials of a search early: how far each may run, by val alone.

One object is a rule, for a search that runs (`planning/brackets.py`) as for one that is simulated
(`early_stopping.py`). It sees each trial at shares of its own epochs, its rungs, so that trials of
several lengths and arms of several phases need no rule of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import inf
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pipelines.analysis.runs import Floats

STARTUP = 5  # searches' first trials that the median rule lets run, as Optuna's does
NINTHS = 9  # of a run: how often the median rule looks


class Decision(NamedTuple):
    """What becomes of the n trials of each of M searches, as far as it is certain.

    reach [M, n]: to which of its rungs a trial may run, from 1 to K. stopped [M, n]: it goes no
    further, whatever others come to.
    """

    reach: NDArray[np.intp]
    stopped: NDArray[np.bool_]


class Rule(Protocol):
    """A rule for stopping trials early."""

    @property
    def name(self) -> str:
        """What it is called in tables."""
        ...

    def shares(self, epochs: int) -> list[Fraction]:
        """At which shares of a run of so many epochs it looks at val; the last one is 1."""
        ...

    def decide(self, val: Floats) -> Decision:
        """What becomes of trials.

        val [M, n, K]: of M searches, whose n trials stand in the order of their indices, at K
        rungs. nan where a trial has not come yet; -inf from where it failed. As vals come, trials
        may run further and more of them are stopped; nothing is taken back. So what is decided
        depends on vals alone, not on when they came.
        """
        ...

    def scores(self, val: Floats, decision: Decision) -> Floats:
        """What trials [M, n] are selected by in the end: -inf where one is stopped for good."""
        ...


def _of_those_that_end(val: Floats, decision: Decision) -> Floats:
    """The last val; what is stopped is never selected."""
    return np.where(decision.reach == val.shape[2], val[:, :, -1], -inf)


@dataclass(frozen=True)
class Halving:
    """Synchronous successive halving (Jamieson & Talwalkar 2016).

    All trials run to the first rung, at eta^-(rungs - 1) of their epochs; at each rung the best
    ceil(n / eta) of n go on (rounded up, as in Karnin et al. 2013). Of those that tie at a rung the
    earlier one goes on: the default, which is trial 0, before all others.

    A trial goes on as soon as it is among the best whatever the missing ones come to, and is
    stopped as soon as it is not: that changes when, never which.
    """

    eta: int = 3
    rungs: int = 3

    @classmethod
    def fitting(cls, eta: int, rungs: int, epochs: int) -> Halving:
        """With as many of so many rungs that the first one is an epoch at least."""
        while eta ** (rungs - 1) > epochs:
            rungs -= 1
        return cls(eta, rungs)

    @property
    def name(self) -> str:
        """What it is called in tables."""
        return f"halving, eta {self.eta} from 1/{self.eta ** (self.rungs - 1)}"

    def shares(self, epochs: int) -> list[Fraction]:
        """The rungs."""
        return [Fraction(1, self.eta**k) for k in reversed(range(self.rungs))]

    def decide(self, val: Floats) -> Decision:
        """What becomes of trials; see `Rule`."""
        reach = np.ones(val.shape[:2], dtype=np.intp)
        stopped = np.zeros(val.shape[:2], dtype=bool)
        comes, size = np.ones(val.shape[:2], dtype=bool), val.shape[1]  # to this rung, so far
        for rung in range(self.rungs - 1):
            there = comes & ~np.isnan(val[:, :, rung])
            missing = size - there.sum(axis=1, keepdims=True)
            order = np.argsort(np.where(there, -val[:, :, rung], np.nan), axis=1, kind="stable")
            place = np.argsort(order, axis=1)
            size = -(-size // self.eta)
            comes = there & (place + missing < size)
            stopped |= there & (place >= size)
            reach += comes
        return Decision(reach, stopped)

    scores = staticmethod(_of_those_that_end)

    def whole_runs(self, trials: int) -> float:
        """How many whole runs a search of so many trials costs."""
        cost, size, before = 0.0, trials, Fraction(0)
        for share in self.shares(0):
            cost += float(size * (share - before))
            size, before = -(-size // self.eta), share
        return cost


@dataclass(frozen=True)
class Median:
    """The median rule (Golovin et al. 2017) as Optuna's `MedianPruner` has it.

    A trial is stopped where its best val so far is below the median, at the same share, of the
    earlier trials that were not; it looks at every ninth of a run, once five trials have ended. So
    a trial goes beyond its first ninth when all the earlier ones have ended or are stopped. What is
    stopped is never selected.
    """

    @property
    def name(self) -> str:
        """What it is called in tables."""
        return f"median rule, at every 1/{NINTHS}"

    def shares(self, epochs: int) -> list[Fraction]:
        """The ninths."""
        return [Fraction(k, NINTHS) for k in range(1, NINTHS + 1)]

    def decide(self, val: Floats) -> Decision:
        """What becomes of trials; see `Rule`."""
        rungs = val.shape[2]
        best = np.maximum.accumulate(val, axis=2)
        last = val[:, :, -1]
        ended, over = last > -inf, ~np.isnan(last)  # both false where it is not known
        reach = np.full(val.shape[:2], rungs, dtype=np.intp)
        stopped = np.zeros(val.shape[:2], dtype=bool)
        for i in range(STARTUP, val.shape[1]):
            sure = over[:, :i].all(axis=1)
            reach[~sure, i] = 1
            asked = np.flatnonzero(sure & (ended[:, :i].sum(axis=1) >= STARTUP))
            others = np.where(ended[asked, :i, None], val[asked, :i], np.nan)
            below = best[asked, i, :-1] < np.nanmedian(others, axis=1)[:, :-1]
            seen = (~np.isnan(best[asked, i, :-1])).sum(axis=1)
            halts = below.any(axis=1)
            reach[asked, i] = np.where(halts, below.argmax(axis=1), seen) + 1
            stopped[asked[halts], i] = over[asked[halts], i] = True
            ended[asked[halts], i] = False
        return Decision(reach, stopped)

    scores = staticmethod(_of_those_that_end)

    def whole_runs(self, trials: int) -> float:
        """How many whole runs a search of so many trials costs at most."""
        return float(trials)


@dataclass(frozen=True)
class Patience:
    """A trial is stopped once its val has not risen for a share of its epochs.

    It is then selected by the val that it has there. (Prechelt 1998, UP_s.) For trials of which all
    vals are known: nothing runs under it.
    """

    share: Fraction = Fraction(1, 5)

    @property
    def name(self) -> str:
        """What it is called in tables."""
        return f"patience of {self.share} of the epochs"

    def shares(self, epochs: int) -> list[Fraction]:
        """Every epoch."""
        return [Fraction(k, epochs) for k in range(1, epochs + 1)]

    def decide(self, val: Floats) -> Decision:
        """What becomes of trials; see `Rule`."""
        count = val.shape[2]
        best = np.maximum.accumulate(val, axis=2)
        rises = np.diff(best, axis=2, prepend=-inf) > 0
        since = np.arange(count) - np.maximum.accumulate(np.where(rises, np.arange(count), 0), 2)
        over = since >= max(1, round(self.share * count))
        over[:, :, -1] = True
        reach = over.argmax(axis=2) + 1
        return Decision(reach, reach < count)

    def scores(self, val: Floats, decision: Decision) -> Floats:
        """Those with which trials were stopped."""
        return np.take_along_axis(val, decision.reach[:, :, None] - 1, axis=2)[:, :, 0]
