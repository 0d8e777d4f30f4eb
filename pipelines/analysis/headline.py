"""The answer of a study in plain words, from the plain content of results.json."""

from collections.abc import Callable, Mapping

from pipelines.analysis.results_schema import (
    ArmResults,
    BreakEvenJson,
    ComparedArms,
    EstimateJson,
    Headline,
    Pair,
    Results,
)
from pipelines.analysis.selection import best_arm
from pipelines.kinds import learns_itself
from pipelines.metrics import METRICS


def headline(results: Results) -> Headline:
    """The verdict on the self-tuning arm against the tuned arm that uses the same clean labels.

    Both are the best of their side by mean val, never by test: what is reported must not pick
    itself. Controls that the self-tuning arm is not shown to beat are named with their interval.
    """
    arms = results["arms"]
    ours = _best(arms, lambda a: not a["tuned"] and learns_itself(a["kind"]))
    if ours is None:
        return _answer("No self-tuning arm has finished a final run: there is no answer yet")
    labels = arms[ours]["clean_labels"]["train"]
    theirs = _best(arms, lambda a: a["tuned"] and a["clean_labels"]["train"] == labels)
    if theirs is None:
        gap = f"No tuned arm with {labels} clean training labels has finished: no break-even budget"
        sentences = [gap, f"{ours} scores {_mean(results, ours)}", _price(results, ours)]
    else:
        pair = next(p for p in results["pairs"] if (p["untuned"], p["tuned"]) == (ours, theirs))
        sentences = [_verdict(results, pair), *_over_scenarios(results, pair)]
        sentences += [_break_even(pair), _price(results, ours), _price(results, theirs)]
    sentences += _controls(results, ours, theirs)
    sentences += [s for name in (ours, theirs) if name for s in _own_knobs(results, name)]
    return _answer(*sentences, untuned=ours, tuned=theirs)


def _answer(*sentences: str, untuned: str | None = None, tuned: str | None = None) -> Headline:
    return {"sentences": [f"{s}." for s in sentences], "untuned": untuned, "tuned": tuned}


def _best(arms: Mapping[str, ArmResults], eligible: Callable[[ArmResults], bool]) -> str | None:
    return best_arm({name: arm["val"]["mean"] for name, arm in arms.items() if eligible(arm)})


def _number(results: Results, value: float, sign: str = "") -> str:
    """A score or a difference of scores; fractions in points of 100."""
    metric = METRICS[results["metric"]]
    return f"{metric.scale * value:{sign}.{1 if metric.in_points else 4}f}"


def _unit(results: Results) -> str:
    return "points" if METRICS[results["metric"]].in_points else results["metric"]


def _interval(results: Results, estimate: EstimateJson) -> str:
    size = f"n = {_count(estimate['n'], 'run')} in {_count(estimate['repeats'], 'repeat')}"
    if estimate["low"] is None or estimate["high"] is None:
        return f"interval not available, {size}"
    low, high = (_number(results, end, "+") for end in (estimate["low"], estimate["high"]))
    scope = " and speaks of this data seed and search only" if estimate["repeats"] == 1 else ""
    return f"95 % interval {low} to {high}, {size}{scope}"


def _count(n: float, noun: str) -> str:
    return f"{n:g} {noun}{'' if n == 1 else 's'}"


def _mean(results: Results, name: str) -> str:
    score = results["arms"][name]["test"][results["selection"]["epoch"]]
    if score["mean"] is None:
        return "no finite test score"
    return f"{_number(results, score['mean'])} ({_interval(results, score)})"


def _price(results: Results, name: str) -> str:
    """What an arm uses: clean labels, and the cost of one run."""
    arm = results["arms"][name]
    labels, ratio = arm["clean_labels"], arm["passes"]["ratio_to_ce"]
    cost = f"; a run costs {ratio:.1f}x the passes of ce" if ratio else ""
    train, select = labels["train"], labels["select"]
    return f"{name} uses {train} clean labels to train and {select} to select{cost}"


def _verdict(results: Results, pair: ComparedArms) -> str:
    gap, ours, theirs = pair["difference"], pair["untuned"], f"tuned {pair['tuned']}"
    if gap["mean"] is None:
        return f"{ours} and {theirs} have no pair of finished runs to compare"
    needed = f"about {_count(pair['more'], pair['unit'][:-1])} more would" if pair["more"] else ""
    words = {
        "superior": f"{ours} is better than {theirs}",
        "non-inferior": f"{ours} is non-inferior to {theirs}",
        "inferior": f"{ours} is worse than {theirs}",
        "inconclusive": f"Whether {ours} does as well as {theirs} is inconclusive",
    }[pair["verdict"]]
    decide = f" ({needed} decide)" if needed else ""
    return (
        f"{words}{decide}: difference {_number(results, gap['mean'], '+')} {_unit(results)} "
        f"({_interval(results, gap)}; margin {_number(results, results['margin'])}, "
        f"{results['selection']['epoch']} epoch)"
    )


def _break_even(pair: Pair) -> str:
    b_star = pair["break_even"]
    tuned, untuned = pair["tuned"], pair["untuned"]
    if b_star is None:
        return f"No break-even budget: {tuned} has no budget curve of a random search"
    interval = _budget_interval(b_star)
    if b_star["budget"] is None:
        return (
            f"{b_star['largest']} random trials are not enough for {tuned} to match {untuned} "
            f"({interval})"
        )
    if b_star["budget"] == 0:
        answer = (
            f"{tuned} needs no tuning to match {untuned}: its default already does ({interval})"
        )
    else:
        cost = (
            f"with the default {b_star['trials']:g} trials or "
            f"{b_star['passes']:,.0f} example passes"
        )
        trials = _count(b_star["budget"], "random trial")
        answer = f"{tuned} needs {trials} to match {untuned} ({interval}; {cost})"
    saved = b_star["passes_saved"]
    if saved is None:
        return answer
    verb = "saves" if saved >= 0 else "costs"
    return f"{answer}; its own run counted, {untuned} {verb} {abs(saved):,.0f} passes"


def _budget_interval(b_star: BreakEvenJson) -> str:
    """The interval of b*, whose ends may lie beyond the search."""
    if not b_star["interval"]:
        return "one search; interval not available"
    ends = (b_star["low"], b_star["high"])
    low, high = (f"> {b_star['largest']}" if end is None else f"{end:g}" for end in ends)
    return f"95 % interval {low} to {high}, {_count(b_star['repeats'], 'repeat')}"


def _over_scenarios(results: Results, pair: Pair) -> list[str]:
    """The verdict on the same pair over all scenarios, where the study has several."""
    if "scenarios" not in results:
        return []
    scenarios = results["scenarios"]
    sides = (pair["untuned"], pair["tuned"])
    return [
        f"Over all {len(scenarios['scenarios'])} scenarios, each weighted alike: "
        f"{_verdict(results, whole)}"
        for whole in scenarios["aggregate"]
        if (whole["untuned"], whole["tuned"]) == sides
    ]


def _own_knobs(results: Results, name: str) -> list[str]:
    """How far an arm falls when one of its own knobs is moved, nothing tuned anew."""
    tried = [
        (value["test"]["mean"], row["knob"], value["factor"])
        for row in results["arms"][name]["sensitivity"]
        for value in row["values"]
        if value["test"]["mean"] is not None and value["factor"] is not None
    ]
    if not tried:
        return []
    worst, knob, factor = min(tried)
    return [
        f"With one of its knobs at x1/4 to x4, {name} scores {_number(results, worst)} at worst "
        f"(mean; {knob} x{factor:g})"
    ]


def _controls(results: Results, ours: str, theirs: str | None) -> list[str]:
    """The controls that our arm is not shown to beat: simple uses of the same clean labels."""
    sentences = []
    for pair in results["controls"]:
        gap, control = pair["difference"], pair["control"]
        if pair["untuned"] != ours or control == theirs or gap["mean"] is None:
            continue
        if gap["low"] is not None and gap["low"] > 0:
            continue
        beaten = gap["high"] is not None and gap["high"] < 0
        claim = "does better than" if beaten else "is not shown to do worse than"
        size = f"{_number(results, gap['mean'], '+')} {_unit(results)}"
        sentences.append(
            f"Control {control} {claim} {ours}: {ours} minus {control} {size} "
            f"({_interval(results, gap)}); {_price(results, control)}"
        )
    return sentences
