"""What early stopping would have selected, and cost: rules on val per epoch, as pure functions.

The rules are in `stopping.py`, the same as of searches that are really stopped. What one would have
done in a search of b random trials is a mean over searches drawn from those that ran.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.analysis.budget import budget_curve
from pipelines.analysis.runs import Floats
from pipelines.analysis.stopping import Rule

SEED = 0  # of the searches that are drawn: two reports of one study are the same
DRAWS = (50, 1000)  # at least and at most; the more trials, the fewer
WORK = 50_000  # trials to look at for one budget, about


Order = NDArray[np.intp]


class Outcome(NamedTuple):
    """What a rule does in M searches of n trials.

    scores [M, n]: what each trial is selected by; -inf where it was stopped for good. passes [M].
    """

    scores: Floats
    passes: Floats


def outcome(rule: Rule, val: Floats, passes: Floats, order: Order) -> Outcome:
    """What a rule makes of searches.

    val, passes: [N, K] of trials at its K rungs; passes so far, val -inf where a trial failed.
    order: [M, n], of each search the rows of its trials in the order in which they run.
    """
    vals = val[order]
    decision = rule.decide(vals)
    spent = np.take_along_axis(passes[order], decision.reach[:, :, None] - 1, axis=2)
    return Outcome(rule.scores(vals, decision), spent.sum(axis=(1, 2)))


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
    scores, spent = outcome(rule, val, passes, order)
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
