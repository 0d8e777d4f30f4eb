"""Test score against all that was spent to get there."""

from __future__ import annotations

from collections.abc import Callable

import plotly.graph_objects as go

from pipelines.analysis.results_schema import Passes, Seconds
from pipelines.report.figures.budget import COST_AXES
from pipelines.report.figures.inputs import FigureInputs, sample_sizes
from pipelines.report.figures.plot import (
    Drawing,
    Panel,
    axis,
    error_bars,
    left_out,
    rounded,
    scaled,
)

TITLE = "Cost and score"
CostOf = Callable[[str], Passes | Seconds]  # an arm's cost of one run, and of its search


def draw(inputs: FigureInputs) -> Drawing:
    """One point per arm, joined with its published default's where it is tuned."""
    if not inputs.tests:
        return left_out("no final run has finished")
    arms, seconds = inputs.results["arms"], inputs.results["cost"]["arms"]
    units: dict[str, CostOf] = {
        "passes": lambda arm: arms[arm]["passes"],
        "seconds": lambda arm: seconds[arm],
    }
    return Drawing(
        "Test score against the cost of one final run and, for tuned arms, the whole search "
        "before it; hollow: the published default, which costs one run. "
        f"{sample_sizes(inputs.tests.values())}; bars: 95 % intervals.",
        {unit: [_panel(inputs, unit, cost_of)] for unit, cost_of in units.items()},
    )


def _panel(inputs: FigureInputs, unit: str, cost_of: CostOf) -> Panel:
    layout = go.Layout(
        xaxis=axis(f"{COST_AXES[unit]}, tuning included", type="log", dtick="D2"),
        yaxis=axis(f"test {inputs.score_label}"),
        height=440,
    )
    return Panel([_points(inputs, arm, cost_of(arm)) for arm in inputs.tests], layout)


def _points(inputs: FigureInputs, arm: str, cost: Passes | Seconds) -> go.Scatter:
    """An arm at the cost of its search and one run; its default at that of a run, hollow."""
    entry, style = inputs.results["arms"][arm], inputs.styles[arm]
    run = cost["run"]
    assert run is not None  # an arm with a test score has a final run
    points = [(run + (cost["search"] or 0), inputs.tests[arm], style.symbol)]
    if "default" in entry and entry["default"]["test"][inputs.epoch]["mean"] is not None:
        default = entry["default"]["test"][inputs.epoch]
        points.append((run, default, f"{style.symbol}-open"))
    return go.Scatter(
        mode="lines+markers",
        name=arm,
        legendgroup=arm,
        x=rounded(float(x) for x, _, _ in points),
        y=rounded(scaled(test["mean"], inputs.factor) for _, test, _ in points),
        error_y=error_bars((test for _, test, _ in points), inputs.factor),
        line={"color": style.colour, "width": 1, "dash": "dot"},
        marker={
            "size": 10,
            "color": style.colour,
            "symbol": [symbol for *_, symbol in points],
        },
    )
