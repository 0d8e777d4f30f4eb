"""What to use, by what is known of one's data: the simplest arm near the best one on val."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from benchmarks.evidence.members import Member
from benchmarks.evidence.over_sets import SHARES, OverSets, gap_on, over_sets
from pipelines.analysis.answer import SIMPLICITY
from pipelines.analysis.selection import best_arm
from pipelines.kinds import is_oracle, learns_itself

SMALL = 3000  # training examples
PLAIN = "ce"


@dataclass(frozen=True)
class Advice:
    """For data of one sort.

    data: which, in words. sets: names of those it comes from. arm: what to use. best: the arm with
    the highest mean val over the sets. over_best, over_plain: `arm` minus it, and minus plain
    cross-entropy. alike: the arms whose mean test is within the margin of the best one's, simplest
    first. rest: of the others, the one with the highest mean.
    """

    data: str
    sets: list[str]
    arm: str
    best: str
    over_best: OverSets
    over_plain: OverSets
    alike: list[str]
    score: float


def advise(members: Sequence[Member]) -> list[Advice]:
    """A row for each sort of data of which something has run.

    Development sets are left out, but where nothing else has run along an axis.
    """
    rows = [_advice(data, chosen) for data, chosen in _sorts(members)]
    return [row for row in rows if row is not None]


def _sorts(members: Sequence[Member]) -> Iterator[tuple[str, list[Member]]]:
    own = [
        m for m in members if m.entry.part != "axes" and not m.change and not m.entry.development
    ]
    tests: list[tuple[str, Callable[[Member], bool]]] = [
        ("any", lambda m: True),
        ("noise: real", lambda m: m.noise == "real"),
        ("noise: artificial", lambda m: m.noise == "artificial"),
        ("noise: none", lambda m: m.noise == "none"),
        ("classes: unequal", lambda m: m.entry.unequal),
        (f"size: below {SMALL:,} to train on", lambda m: m.sizes.get("train", 0) < SMALL),
        (f"size: {SMALL:,} or more", lambda m: m.sizes.get("train", 0) >= SMALL),
    ]
    for data, holds in tests:
        yield data, [m for m in own if holds(m)]
    along = [m for m in members if m.entry.part == "axes" and m.entry.name.endswith("-meta")]
    for labels in sorted({m.clean_labels for m in along}):
        yield f"clean labels: {labels:,}", [m for m in along if m.clean_labels == labels]


def _advice(data: str, members: Sequence[Member]) -> Advice | None:
    """None unless all of the sets have run an arm."""
    if not members:
        return None
    run = [{n for n, arm in m.arms.items() if arm.chosen.test} for m in members]
    rivals = [n for n, arm in members[0].arms.items() if not is_oracle(arm.arm.kind)]
    names = [n for n in rivals if n in set.intersection(*run)]
    best = best_arm({n: float(np.mean([m.arms[n].val for m in members])) for n in names})
    if best is None:
        return None
    gaps = {n: _over(members, n, best) for n in names}
    margin = members[0].margin
    alike = sorted(
        (n for n in names if n == best or gaps[n].mean >= -margin),
        key=lambda n: _simplicity(members, n),
    )
    arm = alike[0]
    scores = [np.mean(list(m.arms[arm].chosen.test.values())) for m in members]
    return Advice(
        data=data,
        sets=[m.name for m in members],
        arm=arm,
        best=best,
        over_best=gaps[arm],
        over_plain=_over(members, arm, PLAIN),
        alike=alike,
        score=float(np.mean(scores)),
    )


def _over(members: Sequence[Member], arm: str, over: str) -> OverSets:
    return over_sets([gap_on(m, [arm], [over]) for m in members], SHARES)


def _simplicity(members: Sequence[Member], name: str) -> tuple[int, float]:
    """As in a study's answer: plain, controls, then the others; then by cost, search included."""
    arms = [m.arms[name] for m in members]
    hard = arms[0].arm.tuned or learns_itself(arms[0].arm.kind)
    costs = [inf if arm.passes is None else arm.passes for arm in arms]
    return 2 if hard else SIMPLICITY[arms[0].side], float(np.mean(costs))
