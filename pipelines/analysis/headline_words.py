"""The sentences of the headline: pure functions of typed numbers, as those of the answer."""

from pipelines.analysis.answer_schema import Claim
from pipelines.analysis.budget_schema import StoppedBy
from pipelines.analysis.estimate_schema import EstimateJson, IntervalJson, Unit
from pipelines.analysis.results_schema import BreakEvenJson
from pipelines.analysis.words import claim_of, count, shown, unit

VERDICTS: dict[Claim, str] = {
    "better": "{ours} is better than {theirs}",
    "as good": "{ours} is non-inferior to {theirs}",
    "slightly worse": "{ours} is worse than {theirs}, but within the margin",
    "worse": "{ours} is worse than {theirs}",
    "far worse": "{ours} is worse than {theirs} by more than the margin",
    "undecided": "Whether {ours} does as well as {theirs} is inconclusive",
    "no interval": "Whether {ours} does as well as {theirs} cannot be told: too few repeats",
}
NEW: dict[Claim, str] = {
    "better": "is shown to be better for new examples of this kind, too",
    "as good": "is shown to be non-inferior for new examples of this kind",
    "slightly worse": "is shown to be worse, but within the margin, for new examples of this kind",
    "worse": "is shown to be worse for new examples of this kind",
    "far worse": "is shown to be worse by more than the margin for new examples of this kind",
    "undecided": "is not shown to be better or worse for new examples of this kind",
    "no interval": "",
}

STOPPED: dict[Claim, str] = {
    "better": "selects what scores better",
    "as good": "is shown to lose less than the margin",
    "slightly worse": "loses, but less than the margin",
    "worse": "loses",
    "far worse": "loses more than the margin",
    "undecided": "is not shown to lose or to gain",
    "no interval": "may lose or gain",
}


def verdict_sentence(
    metric: str, ours: str, theirs: str, gap: EstimateJson, margin: float, of: str
) -> str:
    """What the difference of two arms shows on these test examples.

    of: the sample and the rule, to be said in brackets.
    """
    claim = VERDICTS[claim_of(gap["low"], gap["high"], margin)].format(ours=ours, theirs=theirs)
    if gap["mean"] is None:
        return f"{ours} and {theirs} have no pair of finished runs to compare"
    [size] = shown(metric, [gap["mean"]], [0.0], "+")
    [limit] = shown(metric, [margin])
    ends = interval_words(metric, gap, margin)
    return f"{claim}: difference {size} {unit(metric)} ({ends}; margin {limit}, {of})"


def new_examples_sentence(metric: str, ours: str, gap: EstimateJson, margin: float) -> str:
    """What the same difference shows for new examples; empty where there is no interval."""
    low, high = gap["new_low"], gap["new_high"]
    if low is None or high is None:
        return ""
    ends = " to ".join(shown(metric, [low, high], [0.0, -margin], "+"))
    return f"{ours} {NEW[claim_of(low, high, margin)]} (95 % interval {ends})"


def interval_words(metric: str, estimate: IntervalJson, margin: float) -> str:
    """An interval for these test examples, and what it comes from."""
    size = f"n = {count(estimate['n'], 'run')} in {count(estimate['repeats'], 'repeat')}"
    low, high = estimate["low"], estimate["high"]
    if low is None or high is None:
        return f"interval not available, {size}"
    ends = " to ".join(shown(metric, [low, high], [0.0, -margin], "+"))
    scope = " and speaks of this data seed and search only" if estimate["repeats"] == 1 else ""
    return f"95 % interval {ends}, {size}{scope}"


def needed_words(more: int | None, units: Unit) -> str:
    """How many more repeats or seeds would decide; empty where that cannot be said."""
    return f"about {count(more, units[:-1])} more would decide" if more else ""


def break_even_sentence(tuned: str, untuned: str, b_star: BreakEvenJson) -> str:
    """Whether tuning within the search matches the untuned arm, as far as the interval says so."""
    budget, low, high = b_star["budget"], b_star["low"], b_star["high"]
    trials, interval = count(b_star["largest"], "random trial"), _budget_interval(b_star)
    if budget is None:
        verb = "is" if b_star["largest"] == 1 else "are"
        claim = "not enough" if low is None and b_star["interval"] else "not shown to be enough"
        return f"{trials} {verb} {claim} for {tuned} to match {untuned} ({interval})"
    if budget == 0:
        if high == 0:
            return (
                f"{tuned} needs no tuning to match {untuned}: its default already does ({interval})"
            )
        return (
            f"{tuned} is not shown to need tuning to match {untuned}: on average its default does "
            f"({interval})"
        )
    needed = count(budget, "random trial")
    cost = f"with the default {b_star['trials']:g} trials"
    if b_star["passes"]:
        cost += f" or {b_star['passes']:,.0f} example passes"
    return f"{tuned} needs about {needed} to match {untuned} ({interval}; {cost})"


def _budget_interval(b_star: BreakEvenJson) -> str:
    """The interval of b*, whose ends may lie beyond the search."""
    if not b_star["interval"]:
        return f"{count(b_star['repeats'], 'search')}; interval not available"
    ends = (b_star["low"], b_star["high"])
    low, high = (f"> {b_star['largest']}" if end is None else f"{end:g}" for end in ends)
    return f"95 % interval {low} to {high}, {count(b_star['repeats'], 'repeat')}"


def early_stopping_sentence(
    metric: str, tuned: str, untuned: str, stopped: StoppedBy, b_star: BreakEvenJson, margin: float
) -> str:
    """What early stopping would have saved of a search and lost there, and its break-even budget.

    b_star: of the tuned arm with early stopping, against the untuned one.
    """
    gap, cost = stopped["difference"], f"{1 - (stopped['passes_saved']['mean'] or 0):.0%}"
    told = f"Stopped early ({stopped['rule']} of the epochs; simulated), the search of {tuned} "
    told += f"costs {cost.replace('%', ' %')} of its passes and "
    if stopped["same"] == 1 or gap["mean"] is None:
        told += f"selects the same in {count(gap['repeats'], 'repeat')}"
    else:
        [size] = shown(metric, [gap["mean"]], [0.0], "+")
        claim = STOPPED[claim_of(gap["low"], gap["high"], margin)]
        told += f"{claim}: {size} {unit(metric)} ({interval_words(metric, gap, margin)})"
    return f"{told}; then {break_even_sentence(tuned, untuned, b_star)}"
