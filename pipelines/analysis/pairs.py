"""Untuned arms against tuned ones: differences, verdicts and break-even budgets."""

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np

from pipelines.analysis.arm_runs import ArmRuns
from pipelines.analysis.as_json import comparison_json
from pipelines.analysis.budget import break_even, selection_weights, value_at, win_probability
from pipelines.analysis.intervals import Comparison, compare, holm
from pipelines.analysis.record import StudyInfo, draws_curves
from pipelines.analysis.results_schema import (
    AdjustedPair,
    BreakEvenJson,
    ControlPair,
    Pair,
    WinProbability,
)
from pipelines.analysis.runs import Floats, by_repeat, difference, repeat_means
from pipelines.analysis.stopped_searches import StoppedSearches, passes_of, scores_of
from pipelines.kinds import KINDS, is_oracle, learns_itself
from pipelines.metrics import METRICS


def compare_all(
    runs: Mapping[str, ArmRuns], stopped: Mapping[str, StoppedSearches], info: StudyInfo
) -> list[Pair]:
    """Every untuned arm against every tuned one.

    stopped: the tuned arms' searches, had their trials been stopped early.
    """
    tuned = [name for name, arm in info["arms"].items() if arm["tuned"]]
    untuned = [name for name, arm in info["arms"].items() if not arm["tuned"]]
    return [_pair(runs[t], runs[u], stopped[t], info) for u, t in product(untuned, tuned)]


def compare_arms(new: ArmRuns, baseline: ArmRuns, margin: float) -> Comparison:
    """Final runs of an arm minus those of another one; margin: of non-inferiority."""
    epoch = new.epoch
    return compare(
        new.final(epoch),
        baseline.final(epoch),
        margin,
        (new.examples("final", epoch), baseline.examples("final", epoch)),
        METRICS[new.metric].difference_bounds,
    )


def _pair(tuned: ArmRuns, untuned: ArmRuns, stopped: StoppedSearches, info: StudyInfo) -> Pair:
    """The untuned arm minus the tuned one, and the budget at which the latter breaks even."""
    ours, theirs = untuned.final(untuned.epoch), tuned.final(tuned.epoch)
    pair: Pair = {
        "tuned": tuned.name,
        "untuned": untuned.name,
        "same_clean_labels": _use_the_same(tuned, untuned, info),
        **comparison_json(compare_arms(untuned, tuned, info["margin"])),
        "by_repeat": list(repeat_means(difference(ours, theirs)).values()),
        "break_even": None,
        "break_even_halved_space": None,
        "break_even_stopped": None,
        "win_probability": [],
    }
    if draws_curves(info, tuned.name):
        space = info["arms"][tuned.name]["space"]
        cost, early = tuned.budget_cost("passes"), stopped.curves
        pair["break_even"] = _break_even(tuned.curves(), cost, tuned, untuned)
        pair["break_even_halved_space"] = _break_even(tuned.curves(space), cost, tuned, untuned)
        pair["break_even_stopped"] = _break_even(scores_of(early), passes_of(early), tuned, untuned)
        pair["win_probability"] = _win_probabilities(tuned, by_repeat(ours))
    return pair


def _use_the_same(one: ArmRuns, other: ArmRuns, info: StudyInfo) -> bool:
    """Whether two arms train with equally many clean labels, and neither reads the truth."""
    truth = any(is_oracle(info["arms"][arm.name]["kind"]) for arm in (one, other))
    return not truth and one.clean_labels()["train"] == other.clean_labels()["train"]


def shortest(curves: Mapping[int, Floats]) -> int:
    """Length of the budget axis that all repeats share."""
    return min((len(curve) for curve in curves.values()), default=0)


def _break_even(
    curves: Mapping[int, Floats], cost: Sequence[float], tuned: ArmRuns, untuned: ArmRuns
) -> BreakEvenJson | None:
    """b* with its costs; None without a curve of one random trial or more in a shared repeat.

    curves: of the tuned arm, by repeat. cost: passes of its search at each budget.
    """
    level = repeat_means(untuned.final(untuned.epoch))
    shared = {r: curves[r] for r in sorted(curves.keys() & level.keys())}
    length = shortest(shared)
    if length < 2:
        return None
    b_star = break_even([curve[:length] - level[r] for r, curve in shared.items()])
    ends = (b_star.budget, b_star.low, b_star.high)
    passes, low, high = (None if b is None else value_at(b, cost) for b in ends)
    run_tuned, run_untuned = tuned.run_cost("passes"), untuned.run_cost("passes")
    saved = None
    if passes is not None and run_tuned and run_untuned:  # what makes no passes has none to save
        chosen = [arm.common_cost("passes") or 0.0 for arm in (tuned, untuned)]
        saved = passes + run_tuned - run_untuned + chosen[0] - chosen[1]
    return {
        "label": str(b_star),
        "budget": b_star.budget,
        "low": b_star.low,
        "high": b_star.high,
        "interval": b_star.interval,
        "largest": b_star.largest,
        # The default is a trial too from b = 1 on; at b = 0 nothing is searched.
        "trials": b_star.budget and value_at(b_star.budget, [0, *range(2, length + 1)]),
        "passes": passes,
        "passes_low": low,
        "passes_high": high,
        "passes_saved": saved,
        "repeats": len(shared),
    }


def _win_probabilities(tuned: ArmRuns, ours: Mapping[int, Floats]) -> list[WinProbability]:
    """P(a run of the untuned arm beats one of the tuned arm at budget b), per repeat and mean."""
    per_repeat = []
    for repeat in sorted(tuned.curves().keys() & ours.keys()):
        val, runs = tuned.candidates(repeat)
        scores = np.concatenate(runs)
        sizes = [len(run_scores) for run_scores in runs]
        # A configuration's chance to be selected is shared by its retrained runs.
        per_repeat.append(
            [
                win_probability(ours[repeat], scores, np.repeat(w / np.maximum(sizes, 1), sizes))
                for w in selection_weights(val)
            ]
        )
    return [
        {"budget": b, "probability": float(np.mean(column)), "by_repeat": list(column)}
        for b, column in enumerate(zip(*per_repeat, strict=False))
    ]


def adjust(pairs: Sequence[Pair]) -> list[AdjustedPair]:
    """Holm's adjustment over the tuned arms that each untuned arm is compared with."""
    rows: list[AdjustedPair] = []
    for untuned in dict.fromkeys(pair["untuned"] for pair in pairs):
        family = [
            (pair["tuned"], pair["p_superior"], pair["p_noninferior"])
            for pair in pairs
            if pair["untuned"] == untuned
        ]
        tested = [(t, p, q) for t, p, q in family if p is not None and q is not None]
        superior = holm([p for _, p, _ in tested]).tolist()
        noninferior = holm([q for _, _, q in tested]).tolist()
        for (tuned, _, _), p, q in zip(tested, superior, noninferior, strict=True):
            rows.append({"untuned": untuned, "tuned": tuned, "p_superior": p, "p_noninferior": q})
    return rows


def compare_controls(runs: Mapping[str, ArmRuns], info: StudyInfo) -> list[ControlPair]:
    """Each self-tuning arm minus each control, a simple use of its clean labels.

    Of an arm that trains on none those controls are left out that do.
    """
    arms = info["arms"]
    ours = [n for n, a in arms.items() if learns_itself(a["kind"]) and not a["tuned"]]
    controls = [n for n, a in arms.items() if KINDS[a["kind"]].side == "control"]
    return [
        {
            "untuned": u,
            "control": c,
            **comparison_json(compare_arms(runs[u], runs[c], info["margin"])),
        }
        for u, c in product(ours, controls)
        if uses_no_more_labels(runs[c], runs[u])
    ]


def uses_no_more_labels(control: ArmRuns, ours: ArmRuns) -> bool:
    """Whether who can train our arm has the control's kind of labels, too."""
    return ours.clean_labels()["train"] != 0 or not control.clean_labels()["train"]
