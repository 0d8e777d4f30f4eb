"""The answer of a study in plain words, from the plain content of results.json."""

from collections.abc import Callable, Mapping

from pipelines.analysis.headline_words import (
    break_even_sentence,
    early_stopping_sentence,
    interval_words,
    needed_words,
    new_examples_sentence,
    verdict_sentence,
)
from pipelines.analysis.results_schema import (
    ArmResults,
    ComparedArms,
    EstimateJson,
    Headline,
    Pair,
    Results,
)
from pipelines.analysis.selection import best_arm
from pipelines.analysis.sentences import score_text
from pipelines.analysis.words import shown, unit
from pipelines.kinds import is_oracle, learns_itself


def headline(results: Results) -> Headline:
    """The verdict on the self-tuning arm against the tuned arm that uses the same clean labels.

    Both are the best of their side by mean val, never by test: what is reported must not pick
    itself. Controls that the self-tuning arm is not shown to beat are named with their interval.
    """
    arms = results["arms"]
    ours = _best(arms, lambda a: not a["tuned"] and learns_itself(a["kind"]))
    if ours is None:
        return _answer(_unanswered(results))
    labels = arms[ours]["clean_labels"]["train"]
    theirs = _best(arms, lambda a: a["tuned"] and a["clean_labels"]["train"] == labels)
    if theirs is None:
        gap = f"No tuned arm with {labels} clean training labels has finished: no break-even budget"
        score = score_text(results["metric"], arms[ours]["test"][results["selection"]["epoch"]])
        sentences = [gap, f"{ours} scores {score}", _price(results, ours)]
    else:
        pair = next(p for p in results["pairs"] if (p["untuned"], p["tuned"]) == (ours, theirs))
        sentences = [_verdict(results, pair), *_for_new_examples(results, pair)]
        sentences += _over_scenarios(results, pair)
        sentences += [_break_even(pair), *_early_stopping(results, pair)]
        sentences += [_price(results, ours), _price(results, theirs)]
    sentences += _controls(results, ours, theirs)
    sentences += [s for name in (ours, theirs) if name for s in _own_knobs(results, name)]
    return _answer(*sentences, untuned=ours, tuned=theirs)


def _unanswered(results: Results) -> str:
    """Why no self-tuning arm is the best one."""
    arms, epoch = results["arms"].values(), results["selection"]["epoch"]
    tested = [arm for arm in arms if arm["test"][epoch]["mean"] is not None]
    if any(not arm["tuned"] and learns_itself(arm["kind"]) for arm in tested):
        return "No self-tuning arm has a score on val to be chosen by: there is no answer"
    return "No self-tuning arm has finished a final run: there is no answer yet"


def _answer(*sentences: str, untuned: str | None = None, tuned: str | None = None) -> Headline:
    return {"sentences": [f"{s}." for s in sentences], "untuned": untuned, "tuned": tuned}


def _best(arms: Mapping[str, ArmResults], eligible: Callable[[ArmResults], bool]) -> str | None:
    rivals = {name: arm for name, arm in arms.items() if not is_oracle(arm["kind"])}
    return best_arm({name: arm["val"]["mean"] for name, arm in rivals.items() if eligible(arm)})


def _number(results: Results, value: float, sign: str = "") -> str:
    """A score or a difference of scores; fractions in points of 100."""
    return shown(results["metric"], [value], [0.0] if sign else (), sign)[0]


def _interval(results: Results, estimate: EstimateJson) -> str:
    return interval_words(results["metric"], estimate, results["margin"])


def _price(results: Results, name: str) -> str:
    """What an arm uses: clean labels, and the cost of one run."""
    arm = results["arms"][name]
    labels, ratio = arm["clean_labels"], arm["passes"]["ratio_to_ce"]
    cost = f"; a run costs {ratio:.1f}x the passes of ce" if ratio else ""
    train, select = labels["train"], labels["select"]
    return f"{name} uses {train} clean labels to train and {select} to select{cost}"


def _verdict(results: Results, pair: ComparedArms) -> str:
    needed = needed_words(pair["more"], pair["unit"])
    of = f"{results['selection']['epoch']} epoch{f'; {needed}' if needed else ''}"
    theirs = f"tuned {pair['tuned']}"
    metric, margin = results["metric"], results["margin"]
    return verdict_sentence(metric, pair["untuned"], theirs, pair["difference"], margin, of)


def _for_new_examples(results: Results, pair: ComparedArms) -> list[str]:
    metric, margin = results["metric"], results["margin"]
    sentence = new_examples_sentence(metric, pair["untuned"], pair["difference"], margin)
    return [sentence] if sentence else []


def _break_even(pair: Pair) -> str:
    b_star = pair["break_even"]
    tuned, untuned = pair["tuned"], pair["untuned"]
    if b_star is None:
        return f"No break-even budget: {tuned} has no budget curve of a random search"
    answer, saved = break_even_sentence(tuned, untuned, b_star), b_star["passes_saved"]
    if saved is None:
        return answer
    verb = "saves" if saved >= 0 else "costs"
    return f"{answer}; its own run counted, {untuned} {verb} {abs(saved):,.0f} passes"


def _early_stopping(results: Results, pair: Pair) -> list[str]:
    """What early stopping would have done, where histories tell."""
    arm, b_star = results["arms"][pair["tuned"]], pair["break_even_stopped"]
    if b_star is None or "early_stopping" not in arm or not arm["early_stopping"]["rules"]:
        return []
    first, *_ = arm["early_stopping"]["rules"]
    metric, margin = results["metric"], results["margin"]
    sides = pair["tuned"], pair["untuned"]
    return [early_stopping_sentence(metric, *sides, first, b_star, margin)]


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
        size = f"{_number(results, gap['mean'], '+')} {unit(results['metric'])}"
        sentences.append(
            f"Control {control} {claim} {ours}: {ours} minus {control} {size} "
            f"({_interval(results, gap)}); {_price(results, control)}"
        )
    return sentences
