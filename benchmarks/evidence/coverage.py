"""Do intervals over sets cover? A simulation with known truth, for `benchmarks.coverage`.

A set has its own true difference, drawn from a population of sets, and its own spread of repeats.
For these sets the truth is the mean of what was drawn; for sets like these it is the population's.
Ranks: arms differ by a level, by how they suit the set, and by the luck of a repeat.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from benchmarks.evidence.over_sets import OverSets, over_sets

SETS, REPEATS = (4, 8, 12), (3, 5)
MEAN, BETWEEN, WITHIN = 0.02, 0.03, (0.005, 0.03)  # of differences; within: lowest, highest
LEVELS = (0.80, 0.82, 0.83, 0.84, 0.86)  # of arms
SUITS, LUCK, MANY = 0.02, 0.015, 2000  # of arms on a set, in a repeat; repeats for the truth
RESAMPLES = 400

Floats = NDArray[np.float64]
Row = Callable[[str, int, float, Sequence[bool]], dict[str, Any]]


def set_rows(rng: np.random.Generator, studies: int, row: Row) -> list[dict[str, Any]]:
    """Coverage of mean differences and of mean ranks over sets; row: makes one of them."""
    rows = []
    for sets, repeats in product(SETS, REPEATS):
        here, like = [], []
        for _ in range(studies):
            true = rng.normal(MEAN, BETWEEN, sets)
            spread = rng.uniform(*WITHIN, sets)[:, None]
            found = _over(true[:, None] + spread * rng.standard_normal((sets, repeats)))
            here.append(found.low <= true.mean() <= found.high)
            like.append(found.new_low <= MEAN <= found.new_high)
        rows += [
            row("difference, these sets", repeats, sets, here),
            row("difference, sets like these", repeats, sets, like),
        ]
    return rows + _rank_rows(rng, studies, row)


def _rank_rows(rng: np.random.Generator, studies: int, row: Row) -> list[dict[str, Any]]:
    """Of an arm in the middle."""
    arm, rows = len(LEVELS) // 2, []
    population = _ranks(rng, 20 * MANY, 1)[:, 0, arm].mean()
    for sets in SETS:
        like = []
        for _ in range(studies):
            found = _over(_ranks(rng, sets, REPEATS[-1])[:, :, arm])
            like.append(found.new_low <= population <= found.new_high)
        rows.append(row("rank, sets like these", REPEATS[-1], sets, like))
    return rows


def _ranks(rng: np.random.Generator, sets: int, repeats: int) -> Floats:
    """Ranks [sets, repeats, arms], 1 is best."""
    suits = np.array(LEVELS) + SUITS * rng.standard_normal((sets, 1, len(LEVELS)))
    luck = LUCK * rng.standard_normal((sets, repeats, len(LEVELS)))
    return rankdata(-(suits + luck), axis=2)


def _over(values: Floats) -> OverSets:
    """values [sets, repeats]."""
    return over_sets(
        [{(r, 0): float(x) for r, x in enumerate(of_set)} for of_set in values],
        resamples=RESAMPLES,
    )
