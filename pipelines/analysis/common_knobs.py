"""Common knobs that were chosen for every arm by one rule: what was chosen, and what it changed."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.analysis.answer_schema import CommonAnswer
from pipelines.analysis.arm_runs import ArmRuns
from pipelines.analysis.as_json import estimate_json
from pipelines.analysis.examples import example_differences
from pipelines.analysis.intervals import estimate
from pipelines.analysis.record import Record
from pipelines.analysis.results_schema import ChosenValues, CommonKnobs, Results
from pipelines.analysis.runs import difference
from pipelines.analysis.selection import highest
from pipelines.analysis.sentences import gap_of, score_text
from pipelines.analysis.words import listed
from pipelines.documents import Json
from pipelines.metrics import METRICS

AT_STUDY_VALUES = "the study's own values"


def common_knobs(runs: ArmRuns, plain: ArmRuns, own: Mapping[str, Any]) -> CommonKnobs:
    """What the rule chose for an arm, what that took, and what it changed.

    plain: the arm's runs under the study's own values. own: the arm's search space.
    """
    epoch = runs.epoch
    examples = example_differences(runs.examples("final", epoch), plain.examples("final", epoch))
    gain = difference(runs.final(epoch), plain.final(epoch))
    bounds = METRICS[runs.metric].difference_bounds
    return {
        "chosen": _chosen(list(runs.in_role("common")), own),
        "passes": runs.common_cost("passes"),
        "seconds": runs.common_cost("seconds"),
        "gain": estimate_json(estimate(gain, examples, bounds)),
    }


def _chosen(trials: Sequence[Record], own: Mapping[str, Any]) -> list[ChosenValues]:
    """Per repeat the values with the best val; none of a repeat in which all trials failed."""
    rows: list[ChosenValues] = []
    for repeat in sorted({r.repeat for r in trials}):
        tried = {r.index: r for r in trials if r.repeat == repeat}
        index = highest({i: r.val for i, r in tried.items()})
        if index is not None:
            rows.append(
                {
                    "repeat": repeat,
                    "index": index,
                    "values": _values(tried[index].config, own),
                    "val": tried[index].val,
                    "trials": len(tried),
                }
            )
    return rows


def _values(config: Json, own: Mapping[str, Any]) -> Json:
    return {address: value for address, value in config.items() if address not in own}


def common_answer(results: Results) -> CommonAnswer | None:
    """What the answer would be under the study's own values, and what the rule changed of it.

    results: all but this. None where no common knobs are chosen.
    """
    if "common" not in results or "at_study_values" not in results:
        return None
    plain, metric = results["at_study_values"], results["metric"]
    knobs = listed(list(results["common"]["space"]))
    use, there = results["answer"]["use"], plain["answer"]["use"]
    if use is None or there is None:
        unknown = f"What the choice of {knobs} changes is not known yet."
        return {"gap": None, "sentence": unknown}
    score = score_text(metric, plain["arms"][there["arm"]]["test"][plain["selection"]["epoch"]])
    leads = "the answer is the same" if use["arm"] == there["arm"] else f"it is {there['arm']}"
    told = f"With {AT_STUDY_VALUES} of {knobs} {leads}: {score}"
    common = results["arms"][use["arm"]].get("common")
    if common is None:
        return {"gap": None, "sentence": f"{told}. Of {use['arm']} there is nothing to choose."}
    gap = gap_of(metric, use["arm"], AT_STUDY_VALUES, common["gain"], results["margin"])
    return {"gap": gap, "sentence": f"{told}. The rule changes {use['arm']} by {gap['text']}."}
