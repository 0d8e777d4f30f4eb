"""What moving one hyperparameter of an arm alone does: the `sensitivity` of results.json."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipelines.analysis.arm_runs import ArmRuns
from pipelines.analysis.as_json import estimate_json
from pipelines.analysis.intervals import estimate
from pipelines.analysis.record import ArmInfo, Record
from pipelines.analysis.results_schema import MovedValue, Sensitivity
from pipelines.analysis.runs import Floats, Runs, repeat_means
from pipelines.analysis.tunability import knob_gains
from pipelines.metrics import METRICS

Means = tuple[dict[int, float], dict[int, float]]  # of val and of test, by repeat


def sensitivity(runs: ArmRuns, arm: ArmInfo) -> list[Sensitivity]:
    """Each hyperparameter's values beside the arm's own reference run: its default."""
    role = "default" if arm["tuned"] else "final"
    reference = _means(runs.scores(role, "val"), runs.scores(role, runs.epoch))
    return [
        _knob(knob, values, reference, runs, arm["default"].get(knob))
        for knob, values in sorted(runs.sensitivity(arm["default"]).items())
    ]


def _knob(
    knob: str,
    runs_by_value: Mapping[Any, Sequence[Record]],
    reference: Means,
    runs: ArmRuns,
    default: Any,
) -> Sensitivity:
    """One knob's values, in their order; `reference` is what the arm scores with its `default`."""
    values: list[MovedValue] = []
    means = [reference]
    for value, records in sorted(runs_by_value.items()):
        test = {(r.repeat, r.index): r.test[runs.epoch] for r in records}
        means.append(_means({(r.repeat, r.index): r.val for r in records}, test))
        moved: MovedValue = {
            "value": value,
            "factor": _factor(value, default),
            "diverged": sum(r.status == "diverged" for r in records),
            "test": estimate_json(estimate(test, bounds=METRICS[runs.metric].bounds)),
        }
        values.append(moved)
    val, test = _grids(means)
    gains = knob_gains(val, test)
    levels = test.mean(axis=1) if test.size else np.full(1, np.nan)
    return {
        "knob": knob,
        "values": values,
        "worst": float(levels.min()),
        "spread": float(levels.max()) - float(levels.min()),
        "gain": float(gains.mean()) if gains.size else None,
        "gain_by_repeat": gains.tolist(),
    }


def _means(val: Runs, test: Runs) -> Means:
    return repeat_means(val), repeat_means(test)


def _grids(means: Sequence[Means]) -> tuple[Floats, Floats]:
    """Val and test [V, R] of V values in the R repeats in which all of them have both."""
    shared = sorted(set.intersection(*(set(scores) for pair in means for scores in pair)))
    val, test = (np.array([[pair[i][r] for r in shared] for pair in means]) for i in (0, 1))
    return val, test


def _factor(value: Any, default: Any) -> float | None:
    numbers = isinstance(value, int | float) and isinstance(default, int | float)
    return value / default if numbers and default else None
