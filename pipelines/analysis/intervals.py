"""Intervals and verdicts of a study: pure functions on arrays.

Scores are oriented so that higher is better. An interval is at 95 % (`LEVEL`) and comes from
repeats: one repeat is one data seed with a whole search of its own (see docs/results.md). Runs of
one repeat share their data and their search, so they are no evidence of how either varies.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isnan, nan, sqrt

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from scipy.special import stdtrit

from pipelines.analysis.estimate_schema import Unit, Verdict
from pipelines.analysis.examples import Examples, example_differences, new_examples_interval
from pipelines.analysis.runs import (
    LEVEL,
    MIN_UNITS,
    Floats,
    Runs,
    all_equal,
    by_repeat,
    difference,
    overall_mean,
)

POWER = 0.8
UNBOUNDED = (-inf, inf)


@dataclass(frozen=True)
class Estimate:
    """A mean with its intervals, nan where none can be had.

    `low`, `high`: for these test examples, over repeats. `new_low`, `new_high`: for new examples of
    this kind, over repeats and examples. `n` runs in `repeats` repeats entered, `failed` ones could
    not; `sd` is over the n runs.
    """

    mean: float
    low: float
    high: float
    sd: float
    n: int
    repeats: int
    failed: int = 0
    new_low: float = nan
    new_high: float = nan


@dataclass(frozen=True)
class Comparison:
    """A paired difference and its verdict: superior, non-inferior, inferior or inconclusive.

    `verdict` is for these test examples, `new_verdict` for new ones of this kind.
    `p_superior` and `p_noninferior` are one-sided. `more` is about how many further `unit`s
    (repeats or seeds) would decide an inconclusive verdict; None where that cannot be said.
    """

    difference: Estimate
    verdict: Verdict
    new_verdict: Verdict
    p_superior: float
    p_noninferior: float
    more: int | None
    unit: Unit


def t_interval(values: ArrayLike) -> tuple[float, float]:
    """Student's interval of the mean, m ± t_{n-1} s/√n.

    (nan, nan) with fewer than `MIN_UNITS` values, with one that is not finite, or where all are
    equal: nothing then tells how much they vary. Three repeats are the default: a normal quantile
    or a percentile bootstrap is far too narrow there, Student's t is about right
    (benchmarks.coverage).
    """
    low, high = t_intervals(np.asarray(values, dtype=float)[:, None])
    return float(low[0]), float(high[0])


def t_intervals(values: Floats) -> tuple[Floats, Floats]:
    """Lower and upper ends [k] of the `t_interval` of each column of values [n, k]."""
    errors = standard_errors(values)
    if np.isnan(errors).all():
        return errors, errors
    half = stdtrit(len(values) - 1, (1 + LEVEL) / 2) * errors
    means = np.where(np.isnan(half), 0.0, values).mean(axis=0)
    return means - half, means + half


def standard_errors(values: Floats) -> Floats:
    """s/√n of each column of values [n, k]; nan where `t_interval` is."""
    if len(values) < MIN_UNITS:
        return np.full(values.shape[1], nan)
    known = np.isfinite(values).all(axis=0)
    shown = np.where(known, values, 0.0)
    errors = shown.std(axis=0, ddof=1) / sqrt(len(values))
    return np.where(known & ~all_equal(shown), errors, nan)


def estimate(
    runs: Runs, examples: Examples | None = None, bounds: tuple[float, float] = UNBOUNDED
) -> Estimate:
    """Mean over repeats of the mean over run seeds, with the t interval over those repeat means.

    Runs of one repeat share their data, so they are one cluster and count once. With a single
    repeat the interval is over its run seeds: it then speaks of that one data seed only.
    examples: of these runs; without them there is no interval for new ones. bounds: that no score
    leaves.
    """
    groups = list(by_repeat(runs).values())
    scores = np.concatenate(groups) if groups else np.empty(0)
    units = _units(groups)
    low, high = bounded(t_interval(units), bounds)
    new_low, new_high = bounded(new_examples_interval(examples), bounds)
    return Estimate(
        mean=overall_mean(runs),
        low=low,
        high=high,
        sd=float(scores.std(ddof=1)) if scores.size > 1 and np.isfinite(scores).all() else nan,
        n=scores.size,
        repeats=len(groups),
        failed=len(runs) - scores.size,
        new_low=new_low,
        new_high=new_high,
    )


def bounded(ends: tuple[float, float], bounds: tuple[float, float]) -> tuple[float, float]:
    """An interval as far as it lies within bounds; (nan, nan) where it holds all between them.

    Nothing is lost, since no score lies beyond; and one that holds everything says nothing.
    """
    low, high = max(ends[0], bounds[0]), min(ends[1], bounds[1])
    return (nan, nan) if isnan(ends[0]) or (low, high) == bounds else (low, high)


def _units(groups: Sequence[Floats]) -> Floats:
    """What is independent: the repeats' means, or the runs where all are of one repeat."""
    if len(groups) == 1:
        return groups[0]
    return np.array([g.mean() for g in groups])


def verdict(low: float, high: float, margin: float) -> Verdict:
    """The verdict an interval of (new - baseline) gives; nan bounds are inconclusive.

    superior: low > 0; non-inferior: low > -margin; inferior: high < 0; inconclusive otherwise.
    """
    if low > 0:
        return "superior"
    if low > -margin:
        return "non-inferior"
    return "inferior" if high < 0 else "inconclusive"


def units_needed(mean: float, sd: float, margin: float) -> int | None:
    """Units for a verdict with probability `POWER`, were `mean` and `sd` the truth; None: > 10000.

    Power of the one-sided t test at (1 - LEVEL)/2: P(T > t_{n-1}), T noncentral t with n - 1
    degrees of freedom and noncentrality δ√n/sd. The distance δ is to whichever bound is farther:
    -margin (to be non-inferior) or 0 (to be inferior).
    """
    distance = max(mean + margin, -mean)

    def power(n: int) -> float:
        critical = stats.t.ppf((1 + LEVEL) / 2, n - 1)
        return float(stats.nct.sf(critical, n - 1, distance * sqrt(n) / sd))

    sizes = range(2, 10_001)
    first = bisect_left(sizes, POWER, key=power)  # power rises with n
    return sizes[first] if first < len(sizes) else None


def compare(
    new: Runs,
    baseline: Runs,
    margin: float,
    examples: tuple[Examples | None, Examples | None] = (None, None),
    bounds: tuple[float, float] = UNBOUNDED,
) -> Comparison:
    """new - baseline, paired by (repeat, run seed index), judged against `margin` (score units).

    examples: of both. bounds: of a difference.

    Estimand: the mean over data seeds (t over the repeats' mean differences), or, with a single
    repeat, the mean over run seeds on that one data seed.
    """
    pairs = difference(new, baseline)
    units = _units(list(by_repeat(pairs).values()))
    return _judge(
        estimate(pairs, example_differences(*examples), bounds),
        margin,
        float(standard_errors(units[:, None])[0]),
        units.size - 1,
        units.size,
    )


def _judge(gap: Estimate, margin: float, error: float, freedom: float, units: int) -> Comparison:
    """The verdict on a difference.

    gap: the estimate of the difference.
    margin: of non-inferiority, in the score's units.
    error: standard error of the gap's mean; nan where there is no interval.
    freedom: degrees of freedom of its t distribution.
    units: independent repeats (or run seeds) that it comes from.
    """
    outcome = verdict(gap.low, gap.high, margin)
    needed = None
    if outcome == "inconclusive" and not isnan(error):
        needed = units_needed(gap.mean, error * sqrt(units), margin)
    return Comparison(
        difference=gap,
        verdict=outcome,
        new_verdict=verdict(gap.new_low, gap.new_high, margin),
        p_superior=float(stats.t.sf(gap.mean / error, freedom)),
        p_noninferior=float(stats.t.sf((gap.mean + margin) / error, freedom)),
        more=None if needed is None else max(needed - units, 1),
        unit="repeats" if gap.repeats > 1 else "seeds",
    )


def holm(p_values: ArrayLike) -> Floats:
    """Holm's step-down adjusted p-values (Holm 1979): max over j <= i of (m - j + 1) p_(j)."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p)
    steps = np.maximum.accumulate((p.size - np.arange(p.size)) * p[order])
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(steps, 1)
    return adjusted


def aggregate(
    differences: Sequence[ArrayLike], margin: float, resamples: int = 10_000, seed: int = 0
) -> Comparison:
    """One verdict over scenarios, each weighted alike, from a stratified bootstrap over repeats.

    Args:
        differences: per scenario [R_c >= MIN_UNITS] the repeats' mean differences, not all equal.
        margin: of non-inferiority, in the score's units.
        resamples: of the bootstrap.
        seed: of its random numbers; the same seed gives the same verdict.

    Repeats are resampled within their scenario (Agarwal et al. 2021, rliable), so they must be
    independent between scenarios.
    """
    groups = [np.asarray(d, dtype=float) for d in differences]
    sizes = np.array([g.size for g in groups])
    means = np.array([g.mean() for g in groups])
    variances = np.array([g.var(ddof=1) for g in groups]) / sizes  # of the means
    freedom = float(variances.sum() ** 2 / (variances**2 / (sizes - 1)).sum())
    tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    # A bootstrap ignores that the spread is estimated: hence t/z, at Welch-Satterthwaite's freedom.
    widen = stats.t.ppf(tails[1], freedom) / stats.norm.ppf(tails[1])
    low, high = means.mean() + widen * np.quantile(_deviations(groups, resamples, seed), tails)
    pooled = np.concatenate(groups)
    gap = Estimate(
        mean=float(means.mean()),
        low=float(low),
        high=float(high),
        sd=float(pooled.std(ddof=1)),
        n=pooled.size,
        repeats=int(sizes.min()),
    )
    return _judge(gap, margin, sqrt(variances.sum()) / len(groups), freedom, int(sizes.min()))


def _deviations(groups: Sequence[Floats], resamples: int, seed: int) -> Floats:
    """Deviations [resamples] of the mean over scenarios, each one's repeats being resampled."""
    rng = np.random.default_rng(seed)
    # Means of R resampled values vary too little, by √((R-1)/R): their variance is over R, not R-1.
    by_scenario = [
        (rng.choice(g, (resamples, g.size)).mean(axis=1) - g.mean()) * sqrt(g.size / (g.size - 1))
        for g in groups
    ]
    return np.mean(by_scenario, axis=0)
