"""All numbers of the page, as plain JSON: evidence.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from benchmarks.evidence.advice import Advice, advise
from benchmarks.evidence.claims import PLAIN, ClaimRow, check_claims
from benchmarks.evidence.members import ArmOfMember, Member
from benchmarks.evidence.over_sets import (
    SHARES,
    OverSets,
    gap_on,
    on_one_set,
    over_sets,
    ranks,
    wins,
)
from benchmarks.evidence.sets import EvidenceSet
from benchmarks.evidence.suite import RATES
from pipelines.analysis.as_json import to_json
from pipelines.analysis.intervals import Estimate
from pipelines.analysis.runs import difference, overall_mean
from pipelines.metrics import METRICS

SCHEMA = 1
FALL = 0.02  # below plain cross-entropy, or below the clean labels alone: always told
FLOORS = (PLAIN, "clean_only_long")


def summarise(sets: Sequence[EvidenceSet], members: Sequence[Member]) -> dict[str, Any]:
    """The content of evidence.json; docs/evidence.md says what the fields mean.

    sets: asked for. members: of those that have run.
    """
    own = [m for m in members if m.entry.part != "axes" and not m.change]
    judging = [m for m in own if not m.entry.development]
    names = list(dict.fromkeys(name for m in members for name in m.arms))
    content = {
        "schema": SCHEMA,
        "rates": list(RATES),
        "sets": [_set(entry, members) for entry in sets],
        "members": [_member(m) for m in members],
        "arms": {name: _arm(name, members) | {"val": _val(name, judging)} for name in names},
        "ranks": ranks(judging, [n for n in names if all(n in m.arms for m in judging)]),
        "gaps": [_gap(a, o, own) for a, o in _pairs(members, names)],
        "falls": [fall for m in members for fall in _falls(m)],
        "claims": [_claim(row) for row in check_claims(members)],
        "advice": [_advice(row) for row in advise(members)],
    }
    return to_json(content)


def _set(entry: EvidenceSet, members: Sequence[Member]) -> dict[str, Any]:
    own = [m for m in members if m.entry.name == entry.name]
    ended, planned = own[0].runs if own else (0, 0)
    return {
        "name": entry.name,
        "part": entry.part,
        "modality": entry.modality,
        "development": entry.development,
        "unequal": entry.unequal,
        "ended": ended,
        "planned": planned,
    }


def _member(member: Member) -> dict[str, Any]:
    protocol, request = member.study.protocol, member.study.request
    return {
        "name": member.name,
        "set": member.entry.name,
        "change": member.change,
        "about": member.study.about,
        "noise": member.noise,
        "noise_rate": member.noise_rate,
        "nominal_rate": protocol.noise.rate,
        "metric": member.metric,
        "margin": member.margin,
        "clean_labels": protocol.splits.meta,
        "val": protocol.splits.val,
        "sizes": member.sizes,
        "epochs": protocol.schedule.epochs,
        "lr": [rate * protocol.schedule.lr for rate in RATES],
        "asked": {"trials": request.trials, "repeats": request.repeats, "seeds": request.seeds},
        "scores": {name: _score(member, arm) for name, arm in member.arms.items()},
    }


def _score(member: Member, arm: ArmOfMember) -> dict[str, Any]:
    """Test at the chosen rate and at each one, cost, and how often each rate was chosen."""
    own = arm.candidates[RATES[0]].test
    return {
        "test": on_one_set(arm.chosen.test, METRICS[member.metric].bounds),
        "val": arm.val,
        "at": {f"{rate:g}": overall_mean(c.test) for rate, c in arm.candidates.items()},
        "gain": on_one_set(difference(arm.chosen.test, own)),
        "rates": {f"{rate:g}": arm.chosen.counts[rate] for rate in RATES},
        "spoiled": {f"{rate:g}": arm.spoiled(rate) for rate in RATES},
        "passes": arm.passes,
        "run_passes": arm.run_passes,
        "clean_labels": arm.clean_labels,
    }


def _arm(name: str, members: Sequence[Member]) -> dict[str, Any]:
    own = [m.arms[name] for m in members if name in m.arms]
    plain = [m.arms[PLAIN] for m in members if name in m.arms and PLAIN in m.arms]

    def ratio(of: str) -> float | None:
        """To one run of plain cross-entropy, mean over members."""
        pairs = [(getattr(a, of), p.run_passes) for a, p in zip(own, plain, strict=False)]
        known = [a / p for a, p in pairs if a and p]
        return sum(known) / len(known) if known else None

    return {
        "kind": own[0].arm.kind,
        "about": own[0].arm.about,
        "tuned": own[0].arm.tuned,
        "side": own[0].side,
        "run_ratio": ratio("run_passes"),
        "ratio": ratio("passes"),
        "rates": {f"{r:g}": sum(a.chosen.counts[r] for a in own) for r in RATES},
        "spoiled": {
            f"{r:g}": [sum(column) for column in zip(*(a.spoiled(r) for a in own), strict=True)]
            for r in RATES
        },
    }


def _val(name: str, judging: Sequence[Member]) -> float | None:
    """Mean val over the judging sets; None unless all have run the arm."""
    runs = [m.arms[name] for m in judging if name in m.arms and m.arms[name].chosen.val]
    if not runs or len(runs) < len(judging):
        return None
    return sum(arm.val for arm in runs) / len(runs)


def _pairs(members: Sequence[Member], names: Sequence[str]) -> list[tuple[str, str]]:
    """Every self-tuning arm against every other arm that is none."""
    sides = {n: next(m.arms[n] for m in members if n in m.arms).side for n in names}
    ours = [n for n in names if sides[n] == "self-tuning"]
    return [(a, o) for a in ours for o in names if sides[o] != "self-tuning"]


def _gap(arm: str, over: str, own: Sequence[Member]) -> dict[str, Any]:
    runs = {m.name: gap for m in own if (gap := gap_on(m, [arm], [over]))}
    by_set = {m.name: on_one_set(runs[m.name]) for m in own if m.name in runs}
    judged = [m.name for m in own if m.name in runs and not m.entry.development]
    developed = [gap for name, gap in runs.items() if name not in judged]
    margin = max((m.margin for m in own), default=0.01)
    return {
        "arm": arm,
        "over": over,
        "by_set": by_set,
        "judging": _over_sets(over_sets([runs[n] for n in judged], SHARES), margin),
        "development": _over_sets(over_sets(developed, SHARES), margin),
        "wins": wins({name: by_set[name] for name in judged}),
    }


def _over_sets(total: OverSets, margin: float) -> dict[str, Any]:
    return vars(total) | {"claim": total.claim(margin), "claim_here": total.claim_here(margin)}


def _falls(member: Member) -> Iterator[dict[str, Any]]:
    """Self-tuning arms that end more than `FALL` below a floor, at any of the rates."""
    ours = [arm for arm in member.arms.values() if arm.side == "self-tuning"]
    floors = [member.arms[name] for name in FLOORS if name in member.arms]
    for arm, floor, rate in product(ours, floors, RATES):
        runs = difference(arm.candidates[rate].test, floor.candidates[rate].test)
        gap = on_one_set(runs)
        if gap.mean < -FALL:
            fall = {"member": member.name, "arm": arm.name, "floor": floor.name, "rate": rate}
            yield fall | {"gap": gap}


def _claim(row: ClaimRow) -> dict[str, Any]:
    by_set: Mapping[str, Estimate] = row.by_set
    return {
        "claim": row.claim,
        "arm": row.arm,
        "over": row.over,
        "on": row.on,
        "verdict": row.verdict,
        "verdict_here": row.verdict_here,
        "judging": vars(row.judging),
        "development": vars(row.development),
        "development_sets": row.development_sets,
        "by_set": {name: vars(e) | {"verdict": row.verdict_on(name)} for name, e in by_set.items()},
    }


def _advice(row: Advice) -> dict[str, Any]:
    return vars(row) | {"over_best": vars(row.over_best), "over_plain": vars(row.over_plain)}
