"""What the methods' papers claim, checked: each claim with a verdict for each arm, by intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.evidence.members import Member
from benchmarks.evidence.over_sets import SHARES, OverSets, gap_on, on_one_set, over_sets
from pipelines.analysis.answer_schema import Claim
from pipelines.analysis.intervals import Estimate
from pipelines.analysis.words import claim_of, listed
from pipelines.kinds import KINDS
from pipelines.report.figures.weight_function import LARGEST_LOSS

TUNED = ("gce", "sce", "focal")  # on the noisy labels alone
TUNED_PLUS = ("gce_plus_meta", "sce_plus_meta")  # with the clean labels of the self-tuning arms
PLAIN = "ce"
LEARNED = "_learned"  # ends the name of an arm whose loss learns what another arm tunes
LOUD = 5.0  # nats: an example that the network would hardly believe; its label has p = 0.7 %

#: Of "better than": what the whole interval says of the claim.
ABOVE: dict[Claim, str] = {
    "better": "holds",
    "as good": "not shown: as good within the margin",
    "slightly worse": "does not hold: worse, within the margin",
    "worse": "does not hold: worse",
    "far worse": "does not hold: worse by more than the margin",
    "undecided": "undecided",
    "no interval": "no interval",
}
#: Of "does no harm".
HARMLESS: dict[Claim, str] = {
    "better": "holds",
    "as good": "holds, by the margin",
    "slightly worse": "holds, by the margin",
    "worse": "harm, of open size",
    "far worse": "does not hold: harm by more than the margin",
    "undecided": "undecided",
    "no interval": "no interval",
}


@dataclass(frozen=True)
class ClaimRow:
    """One claim of one arm.

    claim: its name. arm: of which it is claimed. over: what the difference is to. on: which sets.
    by_set: the difference on each, over its repeats. judging, development: over the sets of either
    sort. words: what a claim of an interval means here. development_sets: their names in `by_set`.
    """

    claim: str
    arm: str
    over: str
    on: str
    by_set: dict[str, Estimate]
    judging: OverSets
    development: OverSets
    words: Mapping[Claim, str]
    margin: float
    development_sets: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """For sets like the judging ones."""
        return self.words[self.judging.claim(self.margin)]

    @property
    def verdict_here(self) -> str:
        """For the judging sets themselves."""
        return self.words[self.judging.claim_here(self.margin)]

    def verdict_on(self, name: str) -> str:
        """On one set."""
        gap = self.by_set[name]
        known = gap.low == gap.low
        return self.words[claim_of(gap.low, gap.high, self.margin) if known else "no interval"]


def check_claims(members: Sequence[Member]) -> list[ClaimRow]:
    """Every claim, for every arm that it is about and that has run."""
    return [*_above_tuned(members), *_harmless(members), *_few_labels(members), *_weights(members)]


def _above_tuned(members: Sequence[Member]) -> Iterator[ClaimRow]:
    """Learned weights above the best tuned loss; a learned loss above the same one, tuned."""
    wrong = [m for m in _own(members) if m.noise != "none" or m.entry.unequal]
    on = "sets with noise or unequal classes"
    for arm in _arms(members, "meta-learned weights"):
        for over in (TUNED, TUNED_PLUS):
            yield _row("above tuned losses", arm, over, on, wrong, ABOVE)
    for arm in _arms(members, "meta-learned loss"):
        base = arm.partition(LEARNED)[0]
        for over in ((base,), (f"{base}_plus_meta",)):
            if LEARNED in arm and any(over[0] in m.arms for m in members):
                yield _row("learned above tuned", arm, over, on, wrong, ABOVE)


def _harmless(members: Sequence[Member]) -> Iterator[ClaimRow]:
    without = [m for m in members if m.noise == "none" and "splits.meta" not in m.change]
    # Of one data set only its own study, or else the scenario of an axis: sets are to be sets.
    clean = list({m.entry.data or m.name: m for m in reversed(without)}.values())[::-1]
    for arm in _self_tuning(members):
        yield _row("no harm without noise", arm, (PLAIN,), "sets without noise", clean, HARMLESS)


def _few_labels(members: Sequence[Member]) -> Iterator[ClaimRow]:
    """At the smallest clean set of each axis."""
    axes: dict[str, list[Member]] = {}
    for member in members:
        axes.setdefault(member.entry.name, []).append(member)
    fewest = [
        min(along, key=lambda m: m.clean_labels)
        for along in axes.values()
        if len({m.clean_labels for m in along}) > 1
    ]
    for arm in _self_tuning(members):
        on = "the fewest clean labels of each axis"
        yield _row("no harm with few clean labels", arm, (PLAIN,), on, fewest, HARMLESS)


def _weights(members: Sequence[Member]) -> Iterator[ClaimRow]:
    """Whether a learned weight function falls with the loss under noise, rises under imbalance."""
    own = _own(members)
    noisy = [m for m in own if m.noise != "none"]
    unequal = [m for m in own if m.noise == "none" and m.entry.unequal]
    for arm in dict.fromkeys(name for m in own for name, found in m.weights.items() if found):
        for claim, on, sets, sign in (
            ("weights fall with the loss under noise", "sets with noise", noisy, -1.0),
            ("weights rise with the loss under imbalance", "unequal, without noise", unequal, 1.0),
        ):
            yield _row_of(claim, arm, f"0 to {LOUD:g} nats", on, sets, ABOVE, _slope(arm, sign))


def _slope(arm: str, sign: float) -> Callable[[Member], dict[tuple[int, int], float]]:
    def of(member: Member) -> dict[tuple[int, int], float]:
        runs = member.weights.get(arm, {})
        return {key: sign * relative_slope(values) for key, values in runs.items()}

    return of


def relative_slope(weights: Sequence[float]) -> float:
    """(w(LOUD) - w(0)) / (w(LOUD) + w(0)), in [-1, 1]; 0 where both are 0.

    weights: on an even grid of losses from 0 to `LARGEST_LOSS`.
    """
    quiet, loud = weights[0], weights[round(LOUD / LARGEST_LOSS * (len(weights) - 1))]
    total = loud + quiet
    return (loud - quiet) / total if total > 0 else 0.0


def _row(
    claim: str,
    arm: str,
    over: Sequence[str],
    on: str,
    members: Sequence[Member],
    words: Mapping[Claim, str],
) -> ClaimRow:
    """A claim about a difference of test scores; of several opponents val picks one a run."""
    told = over[0] if len(over) == 1 else f"the best of {listed(over)}"
    return _row_of(claim, arm, told, on, members, words, lambda m: gap_on(m, [arm], over))


def _row_of(
    claim: str,
    arm: str,
    over: str,
    on: str,
    members: Sequence[Member],
    words: Mapping[Claim, str],
    gap: Callable[[Member], dict[tuple[int, int], float]],
) -> ClaimRow:
    gaps = {m.name: runs for m in members if (runs := gap(m))}
    development = [m.name for m in members if m.entry.development and m.name in gaps]
    return ClaimRow(
        claim=claim,
        arm=arm,
        over=over,
        on=on,
        by_set={name: on_one_set(runs) for name, runs in gaps.items()},
        judging=over_sets([r for n, r in gaps.items() if n not in development], SHARES),
        development=over_sets([gaps[name] for name in development], SHARES),
        words=words,
        margin=max((m.margin for m in members), default=0.01),
        development_sets=development,
    )


def _own(members: Sequence[Member]) -> list[Member]:
    """The sets of the main part and the large ones, under their own protocol."""
    return [m for m in members if m.entry.part != "axes" and not m.change]


def _arms(members: Sequence[Member], kind: str) -> list[str]:
    found = (name for m in members for name, a in m.arms.items() if a.arm.kind == kind)
    return list(dict.fromkeys(found))


def _self_tuning(members: Sequence[Member]) -> list[str]:
    return [n for kind in KINDS if KINDS[kind].side == "self-tuning" for n in _arms(members, kind)]
