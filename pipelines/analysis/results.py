"""From a study's records to the content of results.json; docs/results.md is its schema."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from pipelines.analysis.ablation import ablation
from pipelines.analysis.answer import answer
from pipelines.analysis.answer_schema import Answer, RunCounts
from pipelines.analysis.arm_runs import ArmRuns
from pipelines.analysis.as_json import estimate_json, interval_json, to_json
from pipelines.analysis.budget import value_at
from pipelines.analysis.budget_schema import Budget, BudgetPoint
from pipelines.analysis.common_knobs import common_answer, common_knobs
from pipelines.analysis.examples import Examples, example_differences
from pipelines.analysis.fronts import fronts
from pipelines.analysis.gaps import gaps
from pipelines.analysis.headline import headline
from pipelines.analysis.intervals import Estimate, estimate
from pipelines.analysis.pairs import adjust, compare_all, compare_controls, shortest
from pipelines.analysis.record import ArmInfo, EpochRule, Record, StudyInfo, draws_curves
from pipelines.analysis.results_schema import (
    ArmResults,
    ByEpochRule,
    Cost,
    Default,
    EstimateJson,
    Pair,
    Results,
    Selection,
    TrialCounts,
)
from pipelines.analysis.runs import Runs, difference
from pipelines.analysis.sensitivity import sensitivity
from pipelines.analysis.stopped_searches import StoppedSearches, early_stopping, really_stopped
from pipelines.analysis.troubles import run_steps, sign_counts
from pipelines.analysis.tunability import importance, variance_shares
from pipelines.documents import Json
from pipelines.metrics import METRICS
from pipelines.trial_documents import Role

SCHEMA = 1
NO_ANSWER: Answer = {
    "lines": [],
    "basis": "",
    "warnings": [],
    "use": None,
    "tuning": None,
    "tunings": [],
    "self_tuning": None,
}


def summarise(
    records: Iterable[Record],
    info: StudyInfo,
    provenance: Json | None = None,
    at_study_values: Sequence[Record] | None = None,
) -> Results:
    """The content of results.json. Any part of a study's records will do: `missing` lists gaps.

    Two runs of one study give the same content apart from `cost` and `provenance`.

    at_study_values: where common knobs are chosen, the records of all arms without that.
    """
    runs = _runs(records, info)
    stopped = {n: StoppedSearches(runs[n]) for n, arm in info["arms"].items() if arm["tuned"]}
    arms = {name: _arm(runs[name], stopped.get(name), info) for name in runs}
    _relate_passes(arms)
    pairs = compare_all(runs, stopped, info)
    draft: Results = {
        "schema": SCHEMA,
        "metric": info["metric"],
        "selection": _selection(info),
        "margin": info["margin"],
        "arms": arms,
        "pairs": pairs,
        "holm": adjust(pairs),
        "controls": compare_controls(runs, info),
        "missing": [
            gap
            for name, arm in info["arms"].items()
            for gap in gaps(runs[name], stopped.get(name), curves=draws_curves(info, name))
        ],
        "cost": _cost(runs, pairs),
        "provenance": provenance or {},
        "runs": info.get("runs") or _run_counts(arms),
        "answer": NO_ANSWER,
        "headline": {"sentences": [], "untuned": None, "tuned": None},
    }
    results: Results = to_json(draft)
    if at_study_values is not None:
        _add_common(results, runs, at_study_values, info)
    results["headline"] = headline(results)
    results["answer"] = answer(results, runs)
    if told := common_answer(results):
        results["answer"]["common"] = told
    return results


def _selection(info: StudyInfo) -> Selection:
    selection: Selection = {
        "rule": "highest val; the lowest index where several tie",
        "epoch": info["epoch"],
        "search": info["search"],
    }
    if aim := info.get("second_aim"):
        selection["second_aim"] = aim
    return selection


def _runs(records: Iterable[Record], info: StudyInfo) -> dict[str, ArmRuns]:
    ordered = sorted(records, key=lambda r: (r.arm, r.role, r.repeat, r.index))
    return {
        name: ArmRuns(name, [r for r in ordered if r.arm == name], info["epoch"], info["metric"])
        for name in info["arms"]
    }


def _add_common(
    results: Results, runs: Mapping[str, ArmRuns], plain: Sequence[Record], info: StudyInfo
) -> None:
    """What the choice of common knobs changed; and all results without it.

    Trials and seconds are those of both.
    """
    without = _runs(plain, info)
    either = {name: _either(arm.records, without[name].records) for name, arm in runs.items()}
    results["cost"]["total"] = _seconds(r for records in either.values() for r in records)
    for name, arm in results["arms"].items():
        arm["trials"] = _trial_counts(either[name], info["arms"][name])
        if any(True for _ in runs[name].in_role("common")):
            arm["common"] = to_json(common_knobs(runs[name], without[name], arm["space"]))
    results["common"] = info.get("common", {"space": {}, "trials": 0})
    results["at_study_values"] = summarise(plain, info)


def _run_counts(arms: Mapping[str, ArmResults]) -> RunCounts:
    """Of the arms, where the caller does not know what is planned in all scenarios."""
    trials = [arm["trials"] for arm in arms.values()]
    ended = ("completed", "diverged", "failed", "stopped", "shared")
    done = sum(t[name] for t in trials for name in ended)
    return {"done": done, "planned": max(done, sum(t["planned"] for t in trials))}


def _arm(runs: ArmRuns, stopped: StoppedSearches | None, info: StudyInfo) -> ArmResults:
    arm = info["arms"][runs.name]
    entry: ArmResults = {
        "kind": arm["kind"],
        "about": arm.get("about", ""),
        "tuned": arm["tuned"],
        "space": arm["space"],
        "clean_labels": runs.clean_labels(),
        "trials": _trial_counts(runs.records, arm),
        "val": _estimate(runs, runs.final("val")),
        "test": _by_rule(runs, "final"),
        "collapse": sign_counts(runs.final_runs),
        "steps": run_steps(runs.final_runs),
        "passes": {
            "run": runs.run_cost("passes"),
            "search": runs.search_cost("passes"),
            "ratio_to_ce": None,
        },
        "sensitivity": sensitivity(runs, arm),
    }
    if stopped:  # it is tuned
        entry["selected"] = runs.selections()
        entry["default"] = _default(runs, arm)
        entry["tunability"] = estimate_json(_tunability(runs))
        entry["budget"] = _budget(runs, draws_curves(info, runs.name))
        if draws_curves(info, runs.name):
            entry["early_stopping"] = early_stopping(stopped)
        rule = arm.get("stopping")
        if rule:
            entry["stopping"] = really_stopped(rule, runs.search)
        # Of trials that a rule let run to their ends nothing is learned about the space.
        given = arm.get("warm_start", 0)
        if given:
            entry["warm_start"] = given
        tried = [] if rule else runs.random_trials(given)
        entry["importance"] = importance(tried, arm["space"])
        entry["variance_shares"] = variance_shares(tried, arm["space"])
        entry["ablation"] = ablation(
            tried, arm["space"], arm["default"], runs.selected, info["metric"]
        )
        aims = info["metric"], info.get("second_aim")
        if told := fronts(runs.search, runs.selected, *aims):
            entry["fronts"] = told
    if beside := info.get("beside"):
        entry["beside"] = {m: _beside(runs, m) for m in beside}
    return entry


def _beside(runs: ArmRuns, metric: str) -> EstimateJson:
    return estimate_json(estimate(runs.beside(metric), bounds=METRICS[metric].bounds))


def _estimate(runs: ArmRuns, scores: Runs, examples: Examples | None = None) -> EstimateJson:
    return estimate_json(estimate(scores, examples, METRICS[runs.metric].bounds))


def _by_rule(runs: ArmRuns, role: Role) -> ByEpochRule:
    """Test scores of a role's runs."""

    def of(rule: EpochRule) -> EstimateJson:
        scores = runs.final(rule) if role == "final" else runs.scores(role, rule)
        return _estimate(runs, scores, runs.examples(role, rule))

    return {"last": of("last"), "selected": of("selected")}


def _tunability(runs: ArmRuns) -> Estimate:
    """Selected minus default, both retrained, paired by repeat and run seed."""
    epoch = runs.epoch
    examples = example_differences(runs.examples("final", epoch), runs.examples("default", epoch))
    gain = difference(runs.final(epoch), runs.scores("default", epoch))
    return estimate(gain, examples, METRICS[runs.metric].difference_bounds)


def _either(*columns: Sequence[Record]) -> list[Record]:
    """Without those again that stand in both, of arms that have nothing to choose."""
    places = {(r.role, r.repeat, r.index, r.common): r for column in columns for r in column}
    return list(places.values())


def _trial_counts(records: Sequence[Record], arm: ArmInfo) -> TrialCounts:
    statuses = Counter({r.key: r.status for r in records}.values())
    return {
        "planned": arm.get("planned", statuses.total()),
        "completed": statuses["completed"],
        "collapsed": len({r.key for r in records if r.collapsed}),
        "diverged": statuses["diverged"],
        "failed": statuses["failed"],
        "stopped": statuses["stopped"],
        "shared": len(records) - statuses.total(),
    }


def _default(runs: ArmRuns, arm: ArmInfo) -> Default:
    return {
        "config": {name: arm["default"][name] for name in arm["space"]},
        "val": _estimate(runs, runs.scores("default", "val")),
        "test": _by_rule(runs, "default"),
    }


def _relate_passes(arms: Mapping[str, ArmResults]) -> None:
    """Sets each arm's cost of a run relative to plain cross-entropy's, where that is an arm."""
    base = arms["ce"]["passes"]["run"] if "ce" in arms else None
    for arm in arms.values():
        run = arm["passes"]["run"]
        arm["passes"]["ratio_to_ce"] = run / base if run and base else None


def _budget(runs: ArmRuns, curves: bool) -> Budget:
    """The expected curve of a random search, or the incumbents that another kind of search had."""
    if not curves:
        return {"kind": "incumbents", "incumbents": runs.incumbents(), "curve": []}
    by_repeat, passes = runs.curves(), runs.budget_cost("passes")
    points: list[BudgetPoint] = []
    for b in range(shortest(by_repeat)):
        scores = {(repeat, 0): float(curve[b]) for repeat, curve in by_repeat.items()}
        at_b = estimate(scores, bounds=METRICS[runs.metric].bounds)
        points.append({"budget": b, "passes": passes[b], **interval_json(at_b)})
    return {"kind": "expected", "incumbents": [], "curve": points}


def _cost(runs: Mapping[str, ArmRuns], pairs: Sequence[Pair]) -> Cost:
    """Seconds: of a run and a search by arm, of the break-even budgets, and in all."""
    seconds = {name: arm.budget_cost("seconds") for name, arm in runs.items()}
    return {
        "arms": {
            name: {"run": arm.run_cost("seconds"), "search": arm.search_cost("seconds")}
            for name, arm in runs.items()
        },
        "break_even": [
            {
                "tuned": pair["tuned"],
                "untuned": pair["untuned"],
                "seconds": value_at(b_star["budget"], seconds[pair["tuned"]]),
            }
            for pair in pairs
            if (b_star := pair["break_even"]) and b_star["budget"] is not None
        ],
        "total": _seconds(r for arm in runs.values() for r in arm.records),
    }


def _seconds(records: Iterable[Record]) -> float:
    """Of all trials that did not fail; one with several roles counts once."""
    return sum({r.key: r.seconds for r in records if r.status != "failed"}.values())
