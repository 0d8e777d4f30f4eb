"""What a tuning budget buys: expected best-of-n, the break-even budget, probability of a win.

A budget b is a number of random trials on top of the published default; b = 0 is the default alone.
Between whole numbers it is an expected number: b = 6.3 means 6 trials or, with probability 0.3, 7.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipelines.analysis.intervals import t_intervals
from pipelines.analysis.runs import MIN_UNITS, Floats

STEPS = 10  # of b* per random trial


@dataclass(frozen=True)
class BreakEven:
    """Break-even budget b* with its interval; `largest` is B.

    None as `budget` or as an end of the interval means beyond B. Fewer than `MIN_UNITS` searches
    give no interval: `interval` is False then, and both ends are None.
    """

    budget: float | None
    low: float | None
    high: float | None
    interval: bool
    largest: int

    def __str__(self) -> str:
        if self.budget == 0:
            return "0: the default already does it"
        return f"> {self.largest}" if self.budget is None else f"{self.budget:g}"


def _subset_share(count: ArrayLike, total: int) -> Floats:
    """C(count, b) / C(total, b) for b = 0..total, shape [..., total + 1].

    The chance that b trials drawn of `total` without replacement are all among `count` of them.
    """
    # A running product of (count - i) / (total - i): binomials of a thousand trials overflow.
    i = np.arange(total)
    factors = np.clip(np.asarray(count)[..., None] - i, 0, None) / (total - i)
    ones = np.ones((*factors.shape[:-1], 1))
    return np.concatenate([ones, np.cumprod(factors, axis=-1)], axis=-1, dtype=np.float64)


def selection_weights(val: ArrayLike) -> Floats:
    """Probability that configuration k is the one selected at budget b, shape [B + 1, B + 1].

    `val` [B + 1] holds the published default's score first, then those of B i.i.d. random trials.
    Row b averages over all C(B, b) subsets of b random trials, each with the default added; ties
    on val are averaged. Without default and ties this is the unbiased estimator of Tang et al.
    2020, "Showing Your Work Doesn't Always Work", eq. 6: C(i-1, b-1) / C(B, b) for the i-th lowest.
    (The usual one, Dodge et al. 2019, draws with replacement and is biased: a subset may then
    hold the best trial twice.)
    """
    scores = np.asarray(val, dtype=float)
    default, trials = scores[0], scores[1:]
    total = trials.size

    # A trial above the default wins where all drawn are at most as good (upto) and not all of them
    # worse (under); with those that tie it shares that chance.
    below = (trials < trials[:, None]).sum(axis=1)
    tied = (trials == trials[:, None]).sum(axis=1)
    upto, under = _subset_share(below + tied, total), _subset_share(below, total)
    weights = np.where(trials > default, ((upto - under) / tied[:, None]).T, 0.0)

    # The default is in every subset. With L trials below it and m that tie, it is kept where none
    # is better, and then shares with the j ties that are drawn. The mean of 1/(1 + j) over subsets,
    #     Σ_j C(m, j) C(L, b-j) / (1 + j) / C(B, b) = [C(L+m+1, b+1) - C(L, b+1)] / [(m+1) C(B, b)],
    # since C(m, j) / (1 + j) = C(m+1, j+1) / (m+1) (Vandermonde). The shares below are of
    # C(B+1, b+1), which is (B+1) / (b+1) times C(B, b).
    lower, equal = int((trials < default).sum()), int((trials == default).sum())
    pool = _subset_share([lower + equal + 1, lower], total + 1)[:, 1:]
    kept = (pool[0] - pool[1]) / (equal + 1) * (total + 1) / np.arange(1, total + 2)
    if equal:  # what is left of "none is better" belongs to the trials that tie
        shared = (_subset_share(lower + equal, total) - kept) / equal
        weights[:, trials == default] = shared[:, None]
    return np.column_stack([kept, weights])


def budget_curve(val: ArrayLike, retrained: ArrayLike) -> Floats:
    """Expected score, retrained, of the configuration selected at budget b = 0..B, shape [B + 1].

    `val` [B + 1] is what selects (failed trials: -inf), `retrained` [B + 1] the score of the same
    configurations with fresh run seeds; the default first in both. b = 0 is the default itself.
    nan at budgets that may select a configuration whose retrained score is nan.
    """
    weights = selection_weights(val)
    scores = np.asarray(retrained, dtype=float)
    # A missing score counts only where its configuration may be selected: 0 · nan would be nan.
    return np.where(weights > 0, weights * np.where(weights > 0, scores, 0.0), 0.0).sum(axis=1)


def break_even(differences: ArrayLike) -> BreakEven:
    """b*: the smallest budget whose mean difference, tuned minus untuned, is at least 0.

    `differences` [R, B + 1], paired by repeat; b* is given to a tenth of a trial. The interval
    inverts the paired t test: it runs from the first budget not shown to be too small (high >= 0)
    to the first one shown to be enough (low > 0); none of those means "> B". A budget without
    interval shows neither.

    Why so: b* has no standard error to speak of. It is where a curve that flattens crosses a level,
    so it is skewed, and it may lie beyond B. A test at each budget needs nothing of b* itself.
    """
    whole = np.asarray(differences, dtype=float)
    largest = whole.shape[1] - 1
    grid = np.arange(largest * STEPS + 1) / STEPS
    d = np.stack([np.interp(grid, np.arange(largest + 1), repeat) for repeat in whole])
    budget = _first(d.mean(axis=0) >= 0)
    if len(d) < MIN_UNITS:
        return BreakEven(budget, None, None, False, largest)
    low, high = t_intervals(d)
    return BreakEven(budget, _first(~(high < 0)), _first(low > 0), True, largest)


def value_at(budget: float, values: ArrayLike) -> float:
    """Expected value (a cost, a score) at a budget, from those at whole budgets 0..B."""
    known = np.asarray(values, dtype=float)
    return float(np.interp(budget, np.arange(known.size), known))


def _first(condition: NDArray[np.bool_]) -> float | None:
    """Budget of the first point on the grid where it holds."""
    return float(condition.argmax()) / STEPS if condition.any() else None


def win_probability(x: ArrayLike, y: ArrayLike, weights: ArrayLike) -> float:
    """P(X > Y) + P(X = Y)/2 for a run X of x [n] and a run Y drawn from y [m] with `weights` [m].

    Sivaprasad et al. 2020, "Optimizer Benchmarking Needs to Account for Hyperparameter Tuning",
    with the retrained score of the configuration selected on val.
    """
    a, b = np.asarray(x, dtype=float)[:, None], np.asarray(y, dtype=float)
    wins = np.where(a > b, 1.0, np.where(a == b, 0.5, 0.0)).mean(axis=0)
    return float(np.average(wins, weights=np.asarray(weights, dtype=float)))
