"""What tuning buys: expected test score against the cost of a search."""

from __future__ import annotations

from typing import Literal

import plotly.graph_objects as go

from pipelines.analysis.budget_schema import BudgetPoint
from pipelines.report.figures.inputs import FigureInputs, either
from pipelines.report.figures.plot import (
    Drawing,
    Panel,
    axis,
    band,
    counts,
    left_out,
    line,
    scaled,
)

TITLE = "Budget curves of all arms"
CostUnit = Literal["trials", "passes", "seconds"]
#: What the cost of tuning is counted in, and the label of its axis.
COST_AXES: dict[CostUnit, str] = {
    "trials": "random trials, beside the default",
    "passes": "example passes",
    "seconds": "seconds",
}


def draw(inputs: FigureInputs) -> Drawing:
    """Expected test score against the cost of tuning; what needs no tuning is a level band."""
    curves = {
        name: arm["budget"]["curve"]
        for name, arm in inputs.results["arms"].items()
        if "budget" in arm and len(arm["budget"]["curve"]) > 1
    }
    if not curves:
        return left_out(
            "no tuned arm has a whole random search whose configurations were retrained"
        )
    searches = either(point["n"] for curve in curves.values() for point in curve)
    return Drawing(
        "Expected test score, retrained with a fresh run seed, of what a random search selects "
        f"(n = {searches} searches), against what it costs; shaded: 95 % intervals, which "
        "fewer than three searches do not give. Level bands: arms without tuning. The legend shows "
        "and hides arms; the verdict's two come first.",
        {unit: [_panel(inputs, curves, unit)] for unit in COST_AXES},
    )


def _panel(inputs: FigureInputs, curves: dict[str, list[BudgetPoint]], unit: CostUnit) -> Panel:
    costs = {name: _tuning_cost(inputs, name, curves[name], unit) for name in curves}
    end = max(x[-1] for x in costs.values())
    headline = inputs.results["headline"]
    pair = (headline["untuned"], headline["tuned"])
    bands, lines = [], []
    for name, arm in inputs.results["arms"].items():
        test, style = arm["test"][inputs.epoch], inputs.styles[name]
        if name not in curves and (arm["tuned"] or test["mean"] is None):
            continue
        points = curves.get(name, [test, test])
        x = costs.get(name, [0, end])
        low, mean, high = (
            [scaled(p[part], inputs.factor) for p in points] for part in ("low", "mean", "high")
        )
        visible = not any(pair) or name in pair
        if any(value is not None for value in low):
            bands.append(band(x, low, high, name, style, visible=visible))
        lines.append(line(x, mean, name, style, visible=visible))
    title = f"tuning cost: {COST_AXES[unit]}"
    layout = go.Layout(
        xaxis=counts(title, end) if unit == "trials" else axis(title, rangemode="tozero"),
        yaxis=axis(f"expected test {inputs.score_label}", **inputs.score_limits),
        height=440,
    )
    return Panel(bands + lines, layout)


def _tuning_cost(
    inputs: FigureInputs, arm: str, curve: list[BudgetPoint], unit: CostUnit
) -> list[float]:
    """Cost of a search at each point of its budget curve."""
    if unit == "seconds":
        return inputs.runs[arm].budget_cost("seconds")[: len(curve)]
    return [point["budget" if unit == "trials" else "passes"] for point in curve]
