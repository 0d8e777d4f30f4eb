"""How val depends on hyperparameters, by a forest that is fitted to the random trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pipelines.analysis.record import Range, Record
from pipelines.analysis.runs import Floats
from pipelines.analysis.tunability import scored_trials

TREES, LEAF = 64, 3  # trees of the forest; trials that a leaf has at least
POINTS = 25  # of a curve along a range
BAND = (0.025, 0.975)  # quantiles


class Dependence(NamedTuple):
    """Val along one hyperparameter, the others as they were tried; low, high: of the trees."""

    values: list[Any]
    mean: list[float]
    low: list[float]
    high: list[float]


def partial_dependence(
    records: Sequence[Record], space: Mapping[str, Range]
) -> dict[str, Dependence]:
    """Partial dependence (Friedman 2001) of val on each hyperparameter.

    Each tree is grown on a bootstrap sample of the trials, so the band tells how far other trials
    would have led to another curve; 95 % of the trees lie in it. Val is centred within repeats.
    Empty where there are too few trials to tell.
    """
    surrogate = _surrogate(records, space)
    if surrogate is None:
        return {}
    return {
        name: _dependence(surrogate.forest.estimators_, surrogate.x, column, axis)
        for column, (name, axis) in enumerate(surrogate.axes.items())
    }


class Step(NamedTuple):
    """A hyperparameter that is moved from its default to what was selected; gain: of val."""

    knob: str
    gain: float


def ablation_paths(
    records: Sequence[Record],
    space: Mapping[str, Range],
    default: Mapping[str, Any],
    selected: Sequence[Mapping[str, Any]],
) -> list[list[Step]]:
    """From the default to each selected configuration, one hyperparameter at a time.

    Ablation analysis (Fawcett & Hoos 2016), by a forest in place of runs (Biedenkapp et al. 2017):
    each step is the one that gains most, or loses least. Steps add up to what the forest expects
    of the selected configuration over the default. Empty where there are too few trials to tell, or
    fewer than two hyperparameters to tell apart.
    """
    surrogate = _surrogate(records, space) if len(space) > 1 else None
    if surrogate is None:
        return []
    return [_path(surrogate, default, target) for target in selected]


def _path(
    surrogate: _Surrogate, default: Mapping[str, Any], target: Mapping[str, Any]
) -> list[Step]:
    here, steps = {name: default[name] for name in surrogate.axes}, list[Step]()
    [expected], left = surrogate.expect([here]), list(here)
    while left:
        moved = surrogate.expect([here | {name: target[name]} for name in left])
        after = dict(zip(left, moved, strict=True))
        best = max(left, key=lambda name: after[name])  # of equals, the first in the space
        steps.append(Step(best, after[best] - expected))
        here, expected = here | {best: target[best]}, after[best]
        left.remove(best)
    return steps


class _Surrogate(NamedTuple):
    """A forest that was fitted to trials; x: where these lie."""

    forest: Any
    axes: dict[str, _Axis]
    x: Floats

    def expect(self, configs: Sequence[Mapping[str, Any]]) -> list[float]:
        """Val of each configuration."""
        x = [[axis.place(config[name]) for name, axis in self.axes.items()] for config in configs]
        return self.forest.predict(x).tolist()


def _surrogate(records: Sequence[Record], space: Mapping[str, Range]) -> _Surrogate | None:
    """None where there are too few trials to tell."""
    trials = scored_trials(records, space)
    if trials is None:
        return None
    from sklearn.ensemble import RandomForestRegressor  # slow to import

    axes = {name: _axis(knob) for name, knob in space.items()}
    x = np.array([[axes[n].place(c[n]) for n in space] for c in trials.configs])
    forest = RandomForestRegressor(TREES, min_samples_leaf=LEAF, random_state=0)
    forest.fit(x, np.array(trials.values) + trials.level)
    return _Surrogate(forest, axes, x)


class _Axis(NamedTuple):
    """A range as a forest sees it: what is drawn, and at which places."""

    values: list[Any]
    log: bool
    choices: bool

    def place(self, value: Any) -> float:
        if self.choices:
            return float(self.values.index(value))
        return float(np.log(value)) if self.log else float(value)


def _axis(knob: Range) -> _Axis:
    if "choices" in knob:
        return _Axis(list(knob["choices"]), False, True)
    low, high, log = knob["low"], knob["high"], bool(knob.get("log"))
    steps = np.geomspace(low, high, POINTS) if log else np.linspace(low, high, POINTS)
    values = np.unique(np.round(steps)) if knob.get("int") else steps
    return _Axis([float(v) for v in values], log, False)


def _dependence(trees: Sequence[Any], x: Floats, column: int, axis: _Axis) -> Dependence:
    """Of each tree the mean prediction over all trials, with the column at each place."""
    curves = np.empty((len(trees), len(axis.values)))
    for i, value in enumerate(axis.values):
        moved = x.copy()
        moved[:, column] = axis.place(value)
        curves[:, i] = [tree.predict(moved).mean() for tree in trees]
    low, high = np.quantile(curves, BAND, axis=0)
    return Dependence(axis.values, curves.mean(axis=0).tolist(), low.tolist(), high.tolist())
