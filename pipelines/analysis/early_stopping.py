"""What early stopping would have selected, and cost: rules on val per epoch, as pure functions.

A rule sees each trial of a search at shares of its own epochs, so that trials of several lengths
and arms of several phases need no rule of their own. What a rule would have done in a search of b
random trials is a mean over searches drawn from those that ran.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import inf
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pipelines.analysis.budget import budget_curve
from pipelines.analysis.runs import Floats

SEED = 0  # of the searches that are drawn: two reports of one study are the same
DRAWS = (50, 1000)  # at least and at most; the more trials, the fewer
WORK = 50_000  # trials to look at for one budget, about
STARTUP = 5  # searches' first trials that the median rule lets run, as Optuna's does
NINTHS = 9  # of a run: how often the median rule looks


Order = NDArray[np.intp]


class Outcome(NamedTuple):
    """What a rule does in M searches of n trials.

    scores [M, n]: what each trial is selected by; -inf where it was stopped for good. passes [M].
    """

    scores: Floats
    passes: Floats


class Rule(Protocol):
    """A rule for stopping trials early."""

    @property
    def name(self) -> str:
        """What it is called in tables."""
        ...

    def shares(self, epochs: int) -> list[Fraction]:
        """At which shares of a run of so many epochs it looks at val; the last one is 1."""
        ...

    def apply(self, val: Floats, passes: Floats, order: Order) -> Outcome:
        """What it makes of searches.

        val, passes: [N, K] of trials at its K shares; passes so far, val -inf where a trial failed.
        order: [M, n], of each search the rows of its trials in the order in which they run.
        """
        ...


@dataclass(frozen=True)
class Halving:
    """Synchronous successive halving (Jamieson & Talwalkar 2016).

    All trials run to the first rung, at eta^-(rungs - 1) of their epochs; at each rung the best
    ceil(n / eta) of n go on (rounded up, as in Karnin et al. 2013). Of those that tie at a rung the
    earlier one goes on, as in a search that runs: the default, which is trial 0, before all others.
    """

    eta: int = 3
    rungs: int = 3

    @property
    def name(self) -> str:
        """What it is called in tables."""
        return f"halving, eta {self.eta} from 1/{self.eta ** (self.rungs - 1)}"

    def shares(self, epochs: int) -> list[Fraction]:
        """The rungs."""
        return [Fraction(1, self.eta**k) for k in reversed(range(self.rungs))]

    def apply(self, val: Floats, passes: Floats, order: Order) -> Outcome:
        """What it makes of searches; see `Rule`."""
        alive = np.broadcast_to(np.arange(order.shape[1]), order.shape)  # places in the order
        steps = np.diff(passes, axis=1, prepend=0.0)
        spent = np.zeros(len(order))
        for rung in range(self.rungs):
            trials = np.take_along_axis(order, alive, axis=1)
            spent += steps[trials, rung].sum(axis=1)
            if rung + 1 < self.rungs:
                best = np.argsort(-val[trials, rung], axis=1, kind="stable")
                kept = np.sort(best[:, : -(-alive.shape[1] // self.eta)], axis=1)
                alive = np.take_along_axis(alive, kept, axis=1)
        scores = np.full(order.shape, -inf)
        ends = np.take_along_axis(val[:, -1][order], alive, axis=1)
        np.put_along_axis(scores, alive, ends, axis=1)
        return Outcome(scores, spent)


@dataclass(frozen=True)
class Median:
    """The median rule (Golovin et al. 2017) as Optuna's `MedianPruner` has it.

    A trial is stopped where its best val so far is below the median, at the same share, of the
    trials that were not; it looks at every ninth of a run, once five trials have ended. What is
    stopped is never selected.
    """

    @property
    def name(self) -> str:
        """What it is called in tables."""
        return f"median rule, at every 1/{NINTHS}"

    def shares(self, epochs: int) -> list[Fraction]:
        """The ninths."""
        return [Fraction(k, NINTHS) for k in range(1, NINTHS + 1)]

    def apply(self, val: Floats, passes: Floats, order: Order) -> Outcome:
        """What it makes of searches; see `Rule`."""
        vals = val[order]  # [M, n, K]
        best = np.maximum.accumulate(vals, axis=2)
        ended = vals[:, :, -1] > -inf
        last = np.full(order.shape, vals.shape[2] - 1)
        for i in range(STARTUP, order.shape[1]):
            asked = np.flatnonzero(ended[:, :i].sum(axis=1) >= STARTUP)
            others = np.where(ended[asked, :i, None], vals[asked, :i], np.nan)
            below = best[asked, i, :-1] < np.nanmedian(others, axis=1)[:, :-1]
            stopped = asked[below.any(axis=1)]
            last[stopped, i] = below[below.any(axis=1)].argmax(axis=1)
            ended[stopped, i] = False
        scores = np.where(ended, vals[:, :, -1], -inf)
        spent = np.take_along_axis(passes[order], last[:, :, None], axis=2)
        return Outcome(scores, spent.sum(axis=(1, 2)))


@dataclass(frozen=True)
class Patience:
    """A trial is stopped once its val has not risen for a share of its epochs.

    It is then selected by the val that it has there. (Prechelt 1998, UP_s.)
    """

    share: Fraction = Fraction(1, 5)

    @property
    def name(self) -> str:
        """What it is called in tables."""
        return f"patience of {self.share} of the epochs"

    def shares(self, epochs: int) -> list[Fraction]:
        """Every epoch."""
        return [Fraction(k, epochs) for k in range(1, epochs + 1)]

    def apply(self, val: Floats, passes: Floats, order: Order) -> Outcome:
        """What it makes of searches; see `Rule`."""
        count = val.shape[1]
        best = np.maximum.accumulate(val, axis=1)
        rises = np.diff(best, axis=1, prepend=-inf) > 0
        since = np.arange(count) - np.maximum.accumulate(np.where(rises, np.arange(count), 0), 1)
        over = since >= max(1, round(self.share * count))
        over[:, -1] = True
        last = over.argmax(axis=1)
        rows = np.arange(len(val))
        return Outcome(val[rows, last][order], passes[rows, last][order].sum(axis=1))


class Stopped(NamedTuple):
    """What a rule would have made of a search, expected over the searches of one size.

    score: retrained, of what is selected. whole: the same without the rule. passes, whole_passes:
    what either costs. same: probability that both select the same configuration.
    """

    score: float
    whole: float
    passes: float
    whole_passes: float
    same: float


def stopped_curve(
    rule: Rule, val: Floats, passes: Floats, retrained: Floats, budgets: Sequence[int]
) -> list[Stopped]:
    """What a rule would have made of searches of b random trials, for each b of `budgets`.

    val, passes: [B + 1, K] at the rule's shares; the published default first. A failed trial has
    val -inf and passes nan: it costs what the others do on average.
    retrained: [B + 1], what the same configurations score with fresh run seeds.

    Subsets of the trials are drawn, in random order after the default. What the rule changes is
    averaged over them and added to the exact `budget_curve`, so that only the change is sampled.
    Ties on val are averaged there as here.
    """
    curve = budget_curve(val[:, -1], retrained)
    costs = np.where(np.isnan(passes), _column_means(passes), passes)
    largest = len(val) - 1
    count = int(np.clip(WORK // len(val) ** 2, *DRAWS))
    rng = np.random.default_rng(SEED)
    shuffled = 1 + rng.permuted(np.tile(np.arange(largest), (count, 1)), axis=1)
    orders = np.column_stack([np.zeros(count, dtype=np.intp), shuffled])
    return [_stopped(rule, val, costs, retrained, orders[:, : b + 1], curve[b]) for b in budgets]


def _stopped(
    rule: Rule,
    val: Floats,
    passes: Floats,
    retrained: Floats,
    order: Order,
    whole: float,
) -> Stopped:
    """The means over the searches `order` [M, b + 1]; whole: expected score without the rule."""
    if order.shape[1] == 1:  # the default, which is not searched
        return Stopped(whole, whole, 0.0, 0.0, 1.0)
    scores, spent = rule.apply(val, passes, order)
    ours, theirs = _chances(scores), _chances(val[order, -1])
    change = _mean_of(retrained[order], ours) - _mean_of(retrained[order], theirs)
    return Stopped(
        score=whole + float(change.mean()),
        whole=whole,
        passes=float(spent.mean()),
        whole_passes=float(passes[order, -1].sum(axis=1).mean()),
        same=float(np.minimum(ours, theirs).sum(axis=1).mean()),
    )


def _chances(scores: Floats) -> Floats:
    """Of each trial [M, n] to be selected: those with the highest score share it."""
    best = scores == scores.max(axis=1, keepdims=True)
    return best / best.sum(axis=1, keepdims=True)


def _mean_of(values: Floats, chances: Floats) -> Floats:
    """Expected value [M]; one that is nan counts only where it may be selected."""
    return np.where(chances > 0, values * chances, 0.0).sum(axis=1)


def _column_means(values: Floats) -> Floats:
    """Mean of each column's numbers that are not nan; 0 without any."""
    known = ~np.isnan(values)
    return np.where(known, values, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
