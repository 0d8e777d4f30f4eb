"""Test score against all that was spent to get there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import plotly.graph_objects as go

from pipelines.analysis.fronts import pareto
from pipelines.analysis.results_schema import EstimateJson, Passes, Seconds
from pipelines.report.figures.budget import COST_AXES, CostUnit
from pipelines.report.figures.inputs import FigureInputs, sample_sizes
from pipelines.report.figures.plot import (
    Drawing,
    Panel,
    axis,
    error_bars,
    escape,
    label,
    left_out,
    log_axis,
    rounded,
    scaled,
)

TITLE = "Cost against score"
FRONT = "not beaten by anything cheaper"
CostOf = Callable[[str], Passes | Seconds]  # an arm's cost of one run, and of its search


@dataclass(frozen=True)
class Point:
    """An arm as it is used: tuned, as published, or as there is nothing to tune.

    cost: of all that it takes, in passes or seconds. mean: its test score.
    """

    arm: str
    name: str
    cost: float
    mean: float
    test: EstimateJson
    hollow: bool


def draw(inputs: FigureInputs) -> Drawing:
    """One point per arm, one more for the published default of a tuned one, and their front."""
    if not inputs.tests:
        return left_out("no final run has finished")
    arms, seconds = inputs.results["arms"], inputs.results["cost"]["arms"]
    units: dict[CostUnit, CostOf] = {
        "passes": lambda arm: arms[arm]["passes"],
        "seconds": lambda arm: seconds[arm],
    }
    return Drawing(
        "Test score against all that it costs: one run and, where an arm is tuned, the whole "
        "search before it. Hollow: the published default, which costs one run. Grey steps: the "
        "Pareto front, of means alone, so arms whose bars overlap may change places. "
        f"{sample_sizes(inputs.tests.values())}; bars: 95 % intervals.",
        {
            unit: [_panel(inputs, unit, points)]
            for unit, cost_of in units.items()
            if (points := [p for arm in inputs.tests for p in _points(inputs, arm, cost_of(arm))])
        },
    )


def _panel(inputs: FigureInputs, unit: CostUnit, points: list[Point]) -> Panel:
    front = pareto(points, lambda point: point.cost, lambda point: point.mean)
    costs = [point.cost for point in points]
    first = [*front, *sorted(points, key=lambda point: -point.mean)]
    layout = go.Layout(
        xaxis=log_axis(f"{COST_AXES[unit]}, tuning included", min(costs), max(costs)),
        yaxis=axis(f"test {inputs.score_label}", **inputs.score_limits),
        height=480,
        annotations=[
            label(point.cost, inputs.factor * point.mean, point.name, log_x=True)
            for point in {point.name: point for point in first}.values()
        ],
    )
    marks = [_mark(inputs, point) for point in points]
    return Panel([_front(inputs, front, points), *marks], layout)


def _points(inputs: FigureInputs, arm: str, cost: Passes | Seconds) -> list[Point]:
    """An arm at the cost of its search and one run; its default at that of a run."""
    entry, run, search = inputs.results["arms"][arm], cost["run"], cost["search"] or 0
    ways = [(arm, search, inputs.tests[arm], False)]
    if "default" in entry:
        ways.append((f"{arm}, default", 0, entry["default"]["test"][inputs.epoch], True))
    return [
        Point(arm, name, run + spent, test["mean"], test, hollow)
        for name, spent, test, hollow in ways
        if run and test["mean"] is not None
    ]


def _front(inputs: FigureInputs, front: list[Point], points: list[Point]) -> go.Scatter:
    """Steps from the cheapest of the front on, as far as the dearest arm."""
    end = [max(point.cost for point in points)]
    return go.Scatter(
        mode="lines",
        name=FRONT,
        showlegend=False,
        hoverinfo="skip",
        x=rounded([point.cost for point in front] + end),
        y=rounded(inputs.factor * point.mean for point in [*front, front[-1]]),
        line={"color": "#8c8c8c", "width": 2, "shape": "hv"},
    )


def _mark(inputs: FigureInputs, point: Point) -> go.Scatter:
    style, y = inputs.styles[point.arm], scaled(point.mean, inputs.factor)
    bars = error_bars([point.test], inputs.factor)
    return go.Scatter(
        mode="markers",
        name=escape(point.name),
        showlegend=False,
        x=rounded([point.cost]),
        y=rounded([y]),
        error_y=bars | {"thickness": 1, "width": 3},
        marker={
            "size": 10,
            "color": style.colour,
            "symbol": f"{style.symbol}-open" if point.hollow else style.symbol,
        },
    )
