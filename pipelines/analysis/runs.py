"""Scores of runs by repeat and run seed: how they are grouped, paired and averaged."""

from collections.abc import Mapping
from math import isnan, nan

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEVEL = 0.95  # of every interval
#: Units (repeats, or the run seeds of the only one) from which on there is an interval. Two give
#: one of 25 standard errors: between a score's bounds mostly nothing, and where more, by luck.
MIN_UNITS = 3
Floats = NDArray[np.float64]
Runs = Mapping[tuple[int, int], float]
"""Scores of runs by (repeat, index of the run seed); nan where a run failed."""


def by_repeat(runs: Runs) -> dict[int, Floats]:
    """The scores that are not nan, grouped by repeat and sorted by run seed."""
    groups: dict[int, list[float]] = {}
    for (repeat, _), score in sorted(runs.items()):
        if not isnan(score):
            groups.setdefault(repeat, []).append(score)
    return {repeat: np.array(scores) for repeat, scores in groups.items()}


def repeat_means(runs: Runs) -> dict[int, float]:
    """Mean score of each repeat's runs."""
    return {repeat: float(scores.mean()) for repeat, scores in by_repeat(runs).items()}


def overall_mean(runs: Runs) -> float:
    """Mean over repeats of the mean over run seeds; nan without runs.

    Runs of one repeat share their data, so they count once, however many there are.
    """
    means = list(repeat_means(runs).values())
    return float(np.mean(means)) if means else nan


def difference(new: Runs, baseline: Runs) -> dict[tuple[int, int], float]:
    """new - baseline, paired by repeat (data seed) and index of the run seed."""
    return {key: new[key] - baseline[key] for key in sorted(new.keys() & baseline.keys())}


def all_equal(values: ArrayLike) -> NDArray[np.bool_]:
    """Whether values are the same up to rounding, along the first axis."""
    # Differences of equal gains (0.95 - 0.88, 0.92 - 0.85) differ in the last bit, no more.
    x = np.asarray(values, dtype=float)
    return np.ptp(x, axis=0) <= 1e-12 * np.maximum(1.0, np.abs(x).max(axis=0))
