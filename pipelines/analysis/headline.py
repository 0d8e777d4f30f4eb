"""The answer of a study in plain words, from the plain content of results.json."""

from collections.abc import Callable
from typing import Any

from pipelines.analysis.selection import best_arm
from pipelines.kinds import learns_itself
from pipelines.metrics import METRICS

Json = dict[str, Any]


def headline(results: Json) -> Json:
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
        sentences += [_break_even(results, pair), _price(results, ours), _price(results, theirs)]
    sentences += _controls(results, ours, theirs)
    sentences += [s for name in (ours, theirs) if name for s in _own_knobs(results, name)]
    return _answer(*sentences, untuned=ours, tuned=theirs)


def _answer(*sentences: str, untuned: str | None = None, tuned: str | None = None) -> Json:
    return {"sentences": [f"{s}." for s in sentences], "untuned": untuned, "tuned": tuned}


def _best(arms: Json, eligible: Callable[[Json], bool]) -> str | None:
    return best_arm({name: arm["val"]["mean"] for name, arm in arms.items() if eligible(arm)})


def _number(results: Json, value: float, sign: str = "") -> str:
    """A score or a difference of scores; fractions in points of 100."""
    metric = METRICS[results["metric"]]
    return f"{metric.scale * value:{sign}.{1 if metric.in_points else 4}f}"


def _unit(results: Json) -> str:
    return "points" if METRICS[results["metric"]].in_points else results["metric"]


def _interval(results: Json, estimate: Json) -> str:
    size = f"n = {_count(estimate['n'], 'run')} in {_count(estimate['repeats'], 'repeat')}"
    if estimate["low"] is None:
        return f"interval not available, {size}"
    low, high = (_number(results, estimate[end], "+") for end in ("low", "high"))
    scope = " and speaks of this data seed and search only" if estimate["repeats"] == 1 else ""
    return f"95 % interval {low} to {high}, {size}{scope}"


def _count(n: float, noun: str) -> str:
    return f"{n:g} {noun}{'' if n == 1 else 's'}"


def _mean(results: Json, name: str) -> str:
    found = results["arms"][name]["test"][results["selection"]["epoch"]]
    if found["mean"] is None:
        return "no finite test score"
    return f"{_number(results, found['mean'])} ({_interval(results, found)})"


def _price(results: Json, name: str) -> str:
    """What an arm uses: clean labels, and the cost of one run."""
    arm = results["arms"][name]
    labels, ratio = arm["clean_labels"], arm["passes"]["ratio_to_ce"]
    cost = f"; a run costs {ratio:.1f}x the passes of ce" if ratio else ""
    train, select = labels["train"], labels["select"]
    return f"{name} uses {train} clean labels to train and {select} to select{cost}"


def _verdict(results: Json, pair: Json) -> str:
    found, ours, theirs = pair["difference"], pair["untuned"], f"tuned {pair['tuned']}"
    if found["mean"] is None:
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
        f"{words}{decide}: difference {_number(results, found['mean'], '+')} {_unit(results)} "
        f"({_interval(results, found)}; margin {_number(results, results['margin'])}, "
        f"{results['selection']['epoch']} epoch)"
    )


def _break_even(results: Json, pair: Json) -> str:
    found = pair["break_even"]
    tuned, untuned = pair["tuned"], pair["untuned"]
    if found is None:
        return f"No break-even budget: {tuned} has no budget curve of a random search"
    interval = "one search; interval not available"
    if found["interval"]:
        ends = (found["low"], found["high"])
        low, high = (f"> {found['largest']}" if end is None else f"{end:g}" for end in ends)
        interval = f"95 % interval {low} to {high}, {_count(found['repeats'], 'repeat')}"
    if found["budget"] is None:
        return (
            f"{found['largest']} random trials are not enough for {tuned} to match {untuned} "
            f"({interval})"
        )
    if found["budget"] == 0:
        answer = (
            f"{tuned} needs no tuning to match {untuned}: its default already does ({interval})"
        )
    else:
        cost = (
            f"with the default {found['trials']:g} trials or {found['passes']:,.0f} example passes"
        )
        trials = _count(found["budget"], "random trial")
        answer = f"{tuned} needs {trials} to match {untuned} ({interval}; {cost})"
    saved = found["passes_saved"]
    if saved is None:
        return answer
    verb = "saves" if saved >= 0 else "costs"
    return f"{answer}; its own run counted, {untuned} {verb} {abs(saved):,.0f} passes"


def _over_scenarios(results: Json, pair: Json) -> list[str]:
    """The verdict on the same pair over all scenarios, where the study has several."""
    scenarios = results.get("scenarios", {"aggregate": []})
    sides = (pair["untuned"], pair["tuned"])
    return [
        f"Over all {len(scenarios['scenarios'])} scenarios, each weighted alike: "
        f"{_verdict(results, whole)}"
        for whole in scenarios["aggregate"]
        if (whole["untuned"], whole["tuned"]) == sides
    ]


def _own_knobs(results: Json, name: str) -> list[str]:
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


def _controls(results: Json, ours: str, theirs: str | None) -> list[str]:
    """The controls that our arm is not shown to beat: simple uses of the same clean labels."""
    sentences = []
    for pair in results["controls"]:
        found, control = pair["difference"], pair["control"]
        if pair["untuned"] != ours or control == theirs or found["mean"] is None:
            continue
        if found["low"] is not None and found["low"] > 0:
            continue
        beaten = found["high"] is not None and found["high"] < 0
        claim = "does better than" if beaten else "is not shown to do worse than"
        gap = f"{_number(results, found['mean'], '+')} {_unit(results)}"
        sentences.append(
            f"Control {control} {claim} {ours}: {ours} minus {control} {gap} "
            f"({_interval(results, found)}); {_price(results, control)}"
        )
    return sentences
