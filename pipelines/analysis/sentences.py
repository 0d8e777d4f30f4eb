"""The sentences of the answer: pure functions of typed numbers, worded by what intervals show."""

from collections.abc import Sequence

from pipelines.analysis.answer_schema import Claim, Gap, Scope
from pipelines.analysis.estimate_schema import EstimateJson
from pipelines.analysis.words import (
    SAME,
    TOO_FEW,
    claim_of,
    count,
    listed,
    shown,
    unit,
    why_none,
)
from pipelines.metrics import METRICS

#: Of what has no interval, by `words.why_none`.
NO_INTERVAL = {TOO_FEW: "too few repeats for an interval", SAME: SAME}

#: What is said of an arm that scores within the margin of the best one.
BESIDE_THE_BEST: dict[Claim, str] = {
    "better": "better than it",
    "as good": "shown to be as good by that margin",
    "slightly worse": "worse, but within that margin",
    "worse": "worse",
    "far worse": "worse by more than that margin",
    "undecided": "not shown to be worse",
    "no interval": "not comparable yet",
}
TUNING: dict[Claim, str] = {
    "better": "Tuning improves {arm} over its default",
    "as good": "Tuning is not shown to improve {arm} over its default",
    "slightly worse": "Tuning makes {arm} worse than its default",
    "worse": "Tuning makes {arm} worse than its default",
    "far worse": "Tuning makes {arm} worse than its default by more than the margin",
    "undecided": "Tuning is not shown to improve {arm} over its default",
    "no interval": "What tuning buys {arm} over its default cannot be told yet",
}
AGAINST: dict[Claim, str] = {
    "better": "better than {over}",
    "as good": "as good as {over} within the margin, not shown to be better",
    "slightly worse": "worse than {over}, within the margin",
    "worse": "worse than {over}",
    "far worse": "worse than {over} by more than the margin",
    "undecided": "not shown to be better or worse than {over}",
    "no interval": "not yet comparable with {over}",
}


def gap_of(metric: str, arm: str, over: str, estimate: EstimateJson, margin: float) -> Gap:
    """A difference with what it shows, and its text."""
    mean, (low, high, scope) = estimate["mean"], interval_told(estimate)
    return {
        "arm": arm,
        "over": over,
        "mean": mean,
        "low": low,
        "high": high,
        "scope": scope,
        "repeats": estimate["repeats"],
        "claim": claim_of(low, high, margin),
        "text": gap_text(metric, estimate, margin),
    }


def interval_told(estimate: EstimateJson) -> tuple[float | None, float | None, Scope]:
    """The interval that is told: for new examples where there is one, else for these."""
    if estimate["new_low"] is not None:
        return estimate["new_low"], estimate["new_high"], "new examples"
    scope = "none" if estimate["low"] is None else "these examples"
    return estimate["low"], estimate["high"], scope


def basis_sentence(scope: Scope, repeats: int) -> str:
    """What the intervals of an answer are, and what they speak of."""
    if scope == "none":
        return f"{count(repeats, 'repeat')}, too few for intervals."
    over = f"over {repeats} repeats"
    if repeats == 1:
        over = "over the run seeds of one repeat, so of this data seed and this search alone"
    of = {
        "new examples": "for new examples of this kind",
        "these examples": "for these test examples alone: nothing is known of single ones",
    }[scope]
    return f"Intervals are at 95 %, {over}, {of}."


def gap_text(metric: str, estimate: EstimateJson, margin: float) -> str:
    """+0.1 points [-3.0, +3.2]; with as many digits as show on which side of 0 and -margin."""
    if estimate["mean"] is None:
        return "no runs to compare"
    [size] = shown(metric, [estimate["mean"]], [0.0], "+")
    low, high, _ = interval_told(estimate)
    if low is None or high is None:
        return f"{size} {unit(metric)}, {NO_INTERVAL[why_none(estimate)]}"
    ends = shown(metric, [low, high], [0.0, -margin], "+")
    return f"{size} {unit(metric)} [{', '.join(ends)}]"


def score_text(metric: str, estimate: EstimateJson) -> str:
    """94.8 % [93.7, 95.9]."""
    if estimate["mean"] is None:
        return "no finite test score"
    mark = " %" if METRICS[metric].in_points else ""
    [mean] = shown(metric, [estimate["mean"]])
    low, high, _ = interval_told(estimate)
    if low is None or high is None:
        return f"{mean}{mark} ({NO_INTERVAL[why_none(estimate)]})"
    return f"{mean}{mark} [{', '.join(shown(metric, [low, high]))}]"


def cost_text(run: float | None, with_search: float | None = None) -> str:
    """How often the passes of a plain run; with_search: of a search and a run together."""
    if run is None:
        return ""
    cost = f"{run:.1f} times the passes of ce"
    return cost if with_search is None else f"{cost}, {with_search:.0f} times with its search"


def use_sentence(
    name: str, score: str, gap: Gap | None, alike: int, open_arms: Sequence[Gap], margin: str
) -> str:
    """What to use, and why it and not the best.

    name: with its title. score: with its interval and cost. gap: over the best; None if it is that.
    alike: arms within the margin of the best. margin: as text.
    """
    if gap is None:
        why = "it has the highest val, and no simpler arm scores within the margin of"
        text = f"Use {name}: {score}; {why} {margin}"
    else:
        verdict = f"{BESIDE_THE_BEST[gap['claim']]} ({gap['text']})"
        text = (
            f"Use {name}: {score}; the simplest of {count(alike, 'arm')} within {margin} of the "
            f"best on val, {gap['over']}, and {verdict}"
        )
    if open_arms:
        ruled = listed([f"{other['arm']} ({other['text']})" for other in open_arms])
        text += (
            f". Simpler, with a lower mean, but not shown to be worse by more than that: {ruled}"
        )
    return f"{text}."


def leader_sentence(name: str, score: str) -> str:
    """What leads where nothing can be compared yet."""
    return f"Too few repeats to choose; the highest val so far has {name}: {score}."


def tuning_sentence(name: str, gap: Gap, default_won: int, searches: int) -> str:
    """What tuning an arm buys over its default."""
    won = f"its default won {default_won} of {count(searches, 'search')}"
    if changes_nothing(gap, default_won, searches):
        return f"Tuning does not change {name}: {won}."
    claim = TUNING[gap["claim"]].format(arm=name)
    return f"{claim}: {gap['text']}; {won}."


def changes_nothing(gap: Gap, default_won: int, searches: int) -> bool:
    """Whether tuning selects the default everywhere: the gap is 0 then, without interval."""
    return gap["claim"] == "no interval" and default_won == searches


def self_tuning_sentence(name: str, gaps: Sequence[Gap], titles: Sequence[str], cost: str) -> str:
    """What the self-tuning arm buys over each opponent; titles: theirs."""
    pairs = list(zip(gaps, titles, strict=True))
    if gaps and all(gap["claim"] == "no interval" for gap in gaps):
        sizes = "; ".join(f"{bare(gap)} over {over}" for gap, over in pairs)
        verdict = f"not yet comparable, {NO_INTERVAL[TOO_FEW]}: {sizes}"
    else:
        clauses = [
            f"{AGAINST[gap['claim']].format(over=over)}: {gap['text']}" for gap, over in pairs
        ]
        verdict = "; ".join(clauses) or "compared with nothing"
    paid = f"A run costs {cost}." if cost else ""
    return f"Self-tuning {name} is {verdict}. {paid}".rstrip()


def bare(gap: Gap) -> str:
    """The text of a gap, without that there are too few repeats."""
    return gap["text"].removesuffix(f", {NO_INTERVAL[TOO_FEW]}")
