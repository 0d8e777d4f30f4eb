"""Searches whose points are laid out beforehand: a low-discrepancy sequence, and a grid.

Point k depends on the seed and k alone, so a search is resumed, and extended, at any time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import islice, product
from random import Random

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from pipelines.planning.specs import Config
from pipelines.study.search_space import Value

Space = dict[str, BaseDistribution]
FINEST = 20  # halvings of a range, after which a grid is at its end
LARGEST = 100_000  # points of the coarsest grid


def sobol_point(space: Space, seed: int, k: int) -> Config:
    """Point k, from 0, of a scrambled Sobol sequence (Sobol 1967; Owen 1998)."""
    from scipy.stats.qmc import Sobol  # slow to import

    sequence = Sobol(len(space), scramble=True, rng=seed)
    if k:
        sequence.fast_forward(k)
    [shares] = sequence.random(1)
    return {
        name: value_at(d, float(share))
        for (name, d), share in zip(space.items(), shares, strict=True)
    }


def grid_point(space: Space, seed: int, k: int) -> Config:
    """Point k, from 0, of the grids of 3 values of each range, 5, 9, ...; all choices in each.

    Each grid halves the spacing of the one before. The points that it adds come in random order,
    so that a search may end between two grids.

    Raises:
        IndexError: a space of choices and whole numbers alone has fewer points.
    """
    try:
        return next(islice(_grid(space, seed), k, None))
    except StopIteration:
        raise IndexError(k) from None


def _grid(space: Space, seed: int) -> Iterator[Config]:
    known: set[tuple[Value, ...]] = set()
    for halvings in range(1, FINEST + 1):
        levels = [_levels(d, halvings) for d in space.values()]
        added = [point for point in product(*levels) if point not in known]
        known.update(added)
        Random(f"{seed} {halvings}").shuffle(added)
        yield from (dict(zip(space, point, strict=True)) for point in added)


def _levels(d: BaseDistribution, halvings: int) -> list[Value]:
    """Evenly spaced values of a range, with both ends; all choices."""
    if isinstance(d, CategoricalDistribution):
        return list(d.choices)  # type: ignore[arg-type]
    parts = 2**halvings
    return list(dict.fromkeys(value_at(d, k / parts, ends=True) for k in range(parts + 1)))


def grid_size(space: Space) -> float:
    """Points of the finest grid: infinite where a range is of real numbers."""
    sizes = [
        len(d.choices)
        if isinstance(d, CategoricalDistribution)
        else d.high - d.low + 1
        if isinstance(d, IntDistribution)
        else math.inf
        for d in space.values()
    ]
    return math.prod(sizes)


def coarsest_grid(space: Space) -> int:
    """Points of the grid that comes first."""
    return math.prod(len(_levels(d, 1)) for d in space.values())


def value_at(d: BaseDistribution, share: float, ends: bool = False) -> Value:
    """The value at a share of a range, of its logarithm where log.

    share: in [0, 1). ends: whether 0 and 1 are to be the lowest and the highest whole number;
        else every whole number or choice has an equal part of the range.
    """
    if isinstance(d, CategoricalDistribution):
        return d.choices[min(int(share * len(d.choices)), len(d.choices) - 1)]  # type: ignore[return-value]
    assert isinstance(d, FloatDistribution | IntDistribution)
    whole = isinstance(d, IntDistribution)
    half = 0.5 if whole and not ends else 0.0
    low, high = d.low - half, d.high + half
    value = low + share * (high - low)
    if d.log:
        value = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
    value = min(max(value, d.low), d.high)  # rounding may lead out of it
    return round(value) if whole else float(value)


def share_of(d: BaseDistribution, value: Value) -> float:
    """At which share of a range a value lies, both ends being 0 and 1; `value_at` the other way."""
    assert isinstance(d, FloatDistribution | IntDistribution) and not isinstance(value, str)
    low, high, place = float(d.low), float(d.high), float(value)
    if d.log:
        low, high, place = math.log(low), math.log(high), math.log(place)
    return (place - low) / (high - low) if high > low else 0.5


#: By the name of a search.
DESIGNS: dict[str, Callable[[Space, int, int], Config]] = {"qmc": sobol_point, "grid": grid_point}
