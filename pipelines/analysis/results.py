"""From a study's records to the content of results.json; docs/results.md is its schema."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from math import isfinite
from typing import Any

import numpy as np

from pipelines.analysis.arm_runs import ArmRuns, Score
from pipelines.analysis.budget import value_at
from pipelines.analysis.headline import headline
from pipelines.analysis.intervals import estimate
from pipelines.analysis.pairs import Json, adjust, compare_all, compare_controls, shortest
from pipelines.analysis.record import ArmInfo, Record, StudyInfo
from pipelines.analysis.runs import difference, repeat_means
from pipelines.analysis.tunability import importance, knob_gains

SCHEMA = 1
EPOCH_RULES: tuple[Score, ...] = ("last", "selected")


def summarise(records: Iterable[Record], info: StudyInfo, provenance: Json | None = None) -> Json:
    """The content of results.json. Any part of a study's records will do: `missing` lists gaps.

    Two runs of one study give the same content apart from `cost` and `provenance`.
    """
    ordered = sorted(records, key=lambda r: (r.arm, r.role, r.repeat, r.index))
    runs = {
        name: ArmRuns(name, [r for r in ordered if r.arm == name], info["epoch"])
        for name in info["arms"]
    }
    arms = {name: _arm(runs[name], info) for name in runs}
    _relate_passes(arms)
    pairs = compare_all(runs, info)
    results = to_json(
        {
            "schema": SCHEMA,
            "metric": info["metric"],
            "selection": {
                "rule": "highest val; the lowest index where several tie",
                "epoch": info["epoch"],
                "search": info["search"],
            },
            "margin": info["margin"],
            "arms": arms,
            "pairs": pairs,
            "holm": adjust(pairs),
            "controls": compare_controls(runs, info),
            "missing": [
                gap
                for name, arm in info["arms"].items()
                for gap in runs[name].gaps(arm["tuned"], info["search"] == "random")
            ],
            "cost": _cost(runs, pairs),
            "provenance": provenance or {},
        }
    )
    return results | {"headline": headline(results)}


def _arm(runs: ArmRuns, info: StudyInfo) -> Json:
    arm = info["arms"][runs.name]
    statuses = Counter({r.key: r.status for r in runs.records}.values())
    entry: Json = {
        "kind": arm["kind"],
        "tuned": arm["tuned"],
        "space": arm["space"],
        "clean_labels": runs.clean_labels(),
        "trials": {
            "planned": arm.get("planned", statuses.total()),
            **{status: statuses[status] for status in ("completed", "diverged", "failed")},
            "shared": len(runs.records) - statuses.total(),
        },
        "val": estimate(runs.final("val")),
        "test": {rule: estimate(runs.final(rule)) for rule in EPOCH_RULES},
        "passes": {"run": runs.run_cost("passes"), "search": runs.search_cost("passes")},
        "sensitivity": _sensitivity(runs, arm),
    }
    if arm["tuned"]:
        entry |= {
            "selected": runs.selections(),
            "default": {
                "config": {name: arm["default"][name] for name in arm["space"]},
                "val": estimate(runs.scores("default", "val")),
                "test": {rule: estimate(runs.scores("default", rule)) for rule in EPOCH_RULES},
            },
            "tunability": estimate(
                difference(runs.final(runs.epoch), runs.scores("default", runs.epoch))
            ),
            "budget": _budget(runs, info["search"]),
            "importance": importance(runs.random_trials(), arm["space"]),
        }
    return entry


def _relate_passes(arms: Mapping[str, Json]) -> None:
    """Adds each arm's cost of a run relative to plain cross-entropy's, where that is an arm."""
    base = arms["ce"]["passes"]["run"] if "ce" in arms else None
    for arm in arms.values():
        run = arm["passes"]["run"]
        arm["passes"]["ratio_to_ce"] = run / base if run and base else None


def _budget(runs: ArmRuns, search: str) -> Json:
    """The expected curve of a random search, or the incumbents that another kind of search had."""
    if search != "random":
        return {"kind": "incumbents", "incumbents": runs.incumbents(), "curve": []}
    curves, passes = runs.curves(), runs.budget_cost("passes")
    points = []
    for b in range(shortest(curves)):
        at_b = asdict(estimate({(r, 0): float(curve[b]) for r, curve in curves.items()}))
        del at_b["failed"]
        points.append({"budget": b, "passes": passes[b], **at_b})
    return {"kind": "expected", "incumbents": [], "curve": points}


def _sensitivity(runs: ArmRuns, arm: ArmInfo) -> list[Json]:
    """Each hyperparameter's values beside the arm's own reference run: its default."""
    role = "default" if arm["tuned"] else "final"
    reference = (
        repeat_means(runs.scores(role, "val")),
        repeat_means(runs.scores(role, runs.epoch)),
    )
    rows = []
    for knob, values in sorted(runs.sensitivity(arm["default"]).items()):
        tried, scores = [], [reference]
        for value, found in sorted(values.items()):
            val = {(r.repeat, r.index): r.val for r in found}
            test = {(r.repeat, r.index): r.test[runs.epoch] for r in found}
            scores.append((repeat_means(val), repeat_means(test)))
            tried.append(
                {
                    "value": value,
                    "factor": _factor(value, arm["default"].get(knob)),
                    "diverged": sum(r.status == "diverged" for r in found),
                    "test": estimate(test),
                }
            )
        shared = sorted(set.intersection(*(set(s) for pair in scores for s in pair)))
        val_grid, test_grid = (
            np.array([[pair[i][r] for r in shared] for pair in scores]) for i in (0, 1)
        )
        gains = knob_gains(val_grid, test_grid)
        levels = test_grid.mean(axis=1) if shared else np.full(1, np.nan)
        rows.append(
            {
                "knob": knob,
                "values": tried,
                "worst": float(levels.min()),
                "spread": float(levels.max()) - float(levels.min()),
                "gain": gains.mean() if gains.size else None,
                "gain_by_repeat": gains.tolist(),
            }
        )
    return rows


def _factor(value: Any, default: Any) -> float | None:
    numbers = isinstance(value, int | float) and isinstance(default, int | float)
    return value / default if numbers and default else None


def _cost(runs: Mapping[str, ArmRuns], pairs: Sequence[Json]) -> Json:
    """Seconds: of a run and a search by arm, of the break-even budgets, and in all."""
    seconds = {name: arm.budget_cost("seconds") for name, arm in runs.items()}
    budgets = [(p["tuned"], p["untuned"], p["break_even"]) for p in pairs if p["break_even"]]
    every = {r.key: r.seconds for a in runs.values() for r in a.records if r.status != "failed"}
    return {
        "arms": {
            name: {"run": arm.run_cost("seconds"), "search": arm.search_cost("seconds")}
            for name, arm in runs.items()
        },
        "break_even": [
            {"tuned": t, "untuned": u, "seconds": value_at(found["budget"], seconds[t])}
            for t, u, found in budgets
            if found["budget"] is not None
        ],
        "total": sum(every.values()),
    }


def to_json(value: Any) -> Any:
    """Plain JSON: dataclasses become objects; numbers that are not finite become null."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {str(k): to_json(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(v) for v in value]
    if isinstance(value, float):
        return float(value) if isfinite(value) else None
    return value


def to_csv(results: Json) -> str:
    """One row per arm: what it is, its clean labels, cost and scores under both epoch rules."""
    table = io.StringIO()
    rows = [_csv_row(name, arm, results) for name, arm in results["arms"].items()]
    writer = csv.DictWriter(table, fieldnames=rows[0].keys() if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return table.getvalue()


def _csv_row(name: str, arm: Json, results: Json) -> Json:
    row = {
        "arm": name,
        "kind": arm["kind"],
        "tuned": arm["tuned"],
        "dimensions": len(arm["space"]),
        "selection": results["selection"]["rule"],
        "search": results["selection"]["search"],
    }
    for group in ("clean_labels", "trials", "passes"):
        row |= {f"{group}_{field}": value for field, value in arm[group].items()}
    for rule, found in arm["test"].items():
        row |= {f"test_{rule}_{field}": value for field, value in found.items()}
    return row
