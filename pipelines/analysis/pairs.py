"""Untuned arms against tuned ones: differences, verdicts and break-even budgets."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import product
from math import isnan
from typing import Any

import numpy as np

from pipelines.analysis.arm_runs import ArmRuns
from pipelines.analysis.budget import break_even, selection_weights, value_at, win_probability
from pipelines.analysis.intervals import compare, holm
from pipelines.analysis.record import StudyInfo
from pipelines.analysis.runs import Floats, by_repeat, difference, repeat_means
from pipelines.kinds import KINDS, learns_itself

Json = dict[str, Any]


def compare_all(runs: Mapping[str, ArmRuns], info: StudyInfo) -> list[Json]:
    """Every untuned arm against every tuned one."""
    tuned = [name for name, arm in info["arms"].items() if arm["tuned"]]
    untuned = [name for name, arm in info["arms"].items() if not arm["tuned"]]
    return [_pair(runs[t], runs[u], info) for u, t in product(untuned, tuned)]


def _pair(tuned: ArmRuns, untuned: ArmRuns, info: StudyInfo) -> Json:
    """The untuned arm minus the tuned one, and the budget at which the latter breaks even."""
    ours, theirs = untuned.final(untuned.epoch), tuned.final(tuned.epoch)
    labels = tuned.clean_labels()["train"], untuned.clean_labels()["train"]
    pair: Json = {
        "tuned": tuned.name,
        "untuned": untuned.name,
        "same_clean_labels": labels[0] == labels[1],
        **asdict(compare(ours, theirs, info["margin"])),
        "by_repeat": list(repeat_means(difference(ours, theirs)).values()),
        "break_even": None,
        "break_even_halved_space": None,
        "win_probability": [],
    }
    if info["search"] == "random":
        space = info["arms"][tuned.name]["space"]
        for name, curves in (("", tuned.curves()), ("_halved_space", tuned.curves(space))):
            pair[f"break_even{name}"] = _break_even(curves, tuned, untuned)
        pair["win_probability"] = _win_probabilities(tuned, by_repeat(ours))
    return pair


def shortest(curves: Mapping[int, Floats]) -> int:
    """Length of the budget axis that all repeats share."""
    return min((len(curve) for curve in curves.values()), default=0)


def _break_even(curves: Mapping[int, Floats], tuned: ArmRuns, untuned: ArmRuns) -> Json | None:
    """b* with its costs; None without a curve of one random trial or more in a shared repeat."""
    level = repeat_means(untuned.final(untuned.epoch))
    shared = {r: curves[r] for r in sorted(curves.keys() & level.keys())}
    length = shortest(shared)
    if length < 2:
        return None
    found = break_even([curve[:length] - level[r] for r, curve in shared.items()])
    cost = tuned.budget_cost("passes")
    ends = (found.budget, found.low, found.high)
    passes, low, high = (None if b is None else value_at(b, cost) for b in ends)
    run_tuned, run_untuned = tuned.run_cost("passes"), untuned.run_cost("passes")
    saved = None
    if passes is not None and run_tuned is not None and run_untuned is not None:
        saved = passes + run_tuned - run_untuned
    return {
        "label": str(found),
        **asdict(found),
        "trials": found.budget and value_at(found.budget, [0, *range(2, length + 1)]),
        "passes": passes,
        "passes_low": low,
        "passes_high": high,
        "passes_saved": saved,
        "repeats": len(shared),
    }


def _win_probabilities(tuned: ArmRuns, ours: Mapping[int, Floats]) -> list[Json]:
    """P(a run of the untuned arm beats one of the tuned arm at budget b), per repeat and mean."""
    per_repeat = []
    for repeat in sorted(tuned.curves().keys() & ours.keys()):
        val, runs = tuned.candidates(repeat)
        scores = np.concatenate(runs)
        sizes = [len(found) for found in runs]
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


def adjust(pairs: Sequence[Json]) -> list[Json]:
    """Holm's adjustment over the tuned arms that each untuned arm is compared with."""
    rows = []
    for untuned in dict.fromkeys(pair["untuned"] for pair in pairs):
        family = [p for p in pairs if p["untuned"] == untuned and not isnan(p["p_superior"])]
        claims = ("p_superior", "p_noninferior")
        adjusted = [holm([pair[claim] for pair in family]) for claim in claims]
        rows += [
            {"untuned": untuned, "tuned": pair["tuned"], **dict(zip(claims, both, strict=True))}
            for pair, *both in zip(family, *adjusted, strict=True)
        ]
    return rows


def compare_controls(runs: Mapping[str, ArmRuns], info: StudyInfo) -> list[Json]:
    """Each self-tuning arm minus each control."""
    arms = info["arms"]
    ours = [n for n, a in arms.items() if learns_itself(a["kind"]) and not a["tuned"]]
    controls = [n for n, a in arms.items() if KINDS[a["kind"]].side == "control"]
    finals = {name: runs[name].final(info["epoch"]) for name in (*ours, *controls)}
    return [
        {"untuned": u, "control": c, **asdict(compare(finals[u], finals[c], info["margin"]))}
        for u, c in product(ours, controls)
    ]
