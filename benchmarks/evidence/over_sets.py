"""One arm minus another: on one set, on these sets together, and on sets like these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import nan

import numpy as np
from scipy.stats import rankdata

from benchmarks.evidence.choice import Chosen, choose
from benchmarks.evidence.members import Member
from pipelines.analysis.answer_schema import Claim
from pipelines.analysis.intervals import (
    UNBOUNDED,
    Estimate,
    aggregate,
    bounded,
    estimate,
    t_interval,
)
from pipelines.analysis.runs import MIN_UNITS, Floats, Runs, all_equal, difference, repeat_means
from pipelines.analysis.words import claim_of

#: Of a difference of two shares.
SHARES = (-1.0, 1.0)


@dataclass(frozen=True)
class OverSets:
    """A mean over sets, each weighted alike, with two intervals.

    low, high: for these very sets; what varies is the repeats (splits, noise, search, runs).
    new_low, new_high: for sets like these; what varies is the set, and the repeats with it. nan
    where there is none. sets: how many; repeats: the fewest in one.
    """

    mean: float
    low: float
    high: float
    new_low: float
    new_high: float
    sets: int
    repeats: int

    def claim(self, margin: float) -> Claim:
        """What the interval for sets like these shows."""
        known = self.new_low == self.new_low
        return claim_of(self.new_low, self.new_high, margin) if known else "no interval"

    def claim_here(self, margin: float) -> Claim:
        """What the interval for these sets shows."""
        return claim_of(self.low, self.high, margin) if self.low == self.low else "no interval"


def over_sets(
    differences: Sequence[Runs],
    bounds: tuple[float, float] = UNBOUNDED,
    resamples: int = 10_000,
) -> OverSets:
    """From one difference a set, by (repeat, run seed); sets without one are left out.

    For these sets: `intervals.aggregate`, repeats resampled within each set. For sets like these:
    Student's t over the sets' means, whose spread has the repeats' in it; it takes sets for a
    sample of some population, and a set's mean for about normal. bounds: that no mean leaves.
    resamples: of the bootstrap.
    """
    by_set = [np.array(list(repeat_means(runs).values())) for runs in differences]
    by_set = [values for values in by_set if values.size]
    if not by_set:
        return OverSets(nan, nan, nan, nan, nan, 0, 0)
    means = np.array([values.mean() for values in by_set])
    low, high = bounded(_these(by_set, resamples), bounds)
    new_low, new_high = bounded(t_interval(means), bounds)
    fewest = min(values.size for values in by_set)
    return OverSets(float(means.mean()), low, high, new_low, new_high, len(means), fewest)


def _these(by_set: Sequence[Floats], resamples: int) -> tuple[float, float]:
    fewest = min(values.size for values in by_set)
    if fewest < MIN_UNITS or all(all_equal(values) for values in by_set):
        return nan, nan
    gap = aggregate(by_set, margin=1.0, resamples=resamples).difference
    return gap.low, gap.high


def gap_on(
    member: Member, arms: Sequence[str], over: Sequence[str]
) -> dict[tuple[int, int], float]:
    """On one set: an arm minus another, by run; of several the one that val picks, as a rate."""
    ours, theirs = portfolio(member, arms), portfolio(member, over)
    return difference(ours.test, theirs.test)


def portfolio(member: Member, names: Sequence[str]) -> Chosen[tuple[str, float]]:
    """The runs of what val picks among arms and rates together; of none where one is missing."""
    if not all(name in member.arms for name in names):
        return Chosen({}, {}, {})
    return choose(
        {
            (name, rate): candidate
            for name in names
            for rate, candidate in member.arms[name].candidates.items()
        }
    )


def on_one_set(runs: Runs, bounds: tuple[float, float] = SHARES) -> Estimate:
    """A score or a difference on one set: t over its repeats; of one repeat no interval."""
    found = estimate(runs, bounds=bounds)
    return replace(found, low=nan, high=nan) if found.repeats < 2 else found


def ranks(members: Sequence[Member], arms: Sequence[str]) -> dict[str, OverSets]:
    """Mean rank of each arm among all (1: best) over the sets that have run all of them.

    A rank is taken in each repeat, of the mean test score over its run seeds; ties share theirs.
    """
    by_set: list[dict[str, dict[tuple[int, int], float]]] = []
    for member in members:
        scores = {a: repeat_means(member.arms[a].chosen.test) for a in arms if a in member.arms}
        shared = sorted(set.intersection(*(set(s) for s in scores.values()))) if scores else []
        if len(scores) < len(arms) or not shared:
            continue
        table = np.array([[scores[a][repeat] for a in arms] for repeat in shared])
        ranked = rankdata(-table, axis=1)
        by_set.append(
            {
                a: {(r, 0): float(ranked[i, j]) for i, r in enumerate(shared)}
                for j, a in enumerate(arms)
            }
        )
    bounds = (1.0, float(len(arms)))
    return {a: over_sets([ranked[a] for ranked in by_set], bounds) for a in arms}


def wins(gaps: Mapping[str, Estimate]) -> tuple[int, int, int]:
    """Sets on which the interval is above 0, decides nothing, is below 0."""
    better = sum(bool(gap.low > 0) for gap in gaps.values())
    worse = sum(bool(gap.high < 0) for gap in gaps.values())  # nan is neither
    return better, len(gaps) - better - worse, worse
