"""Score against cost: what tuning buys, and what all of it costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipelines.report.figures.inputs import FigureInputs, counts
from pipelines.report.figures.plot import Figure, Panel, axis, band, intervals, line, rounded

Json = dict[str, Any]
COST_AXES = {
    "trials": "random trials, beside the default",
    "passes": "example passes",
    "seconds": "seconds",
}


def budget(inputs: FigureInputs) -> Figure:
    """Expected test score against the cost of tuning; what needs no tuning is a level band."""
    curves = {
        name: arm["budget"]["curve"]
        for name, arm in inputs.results["arms"].items()
        if arm["tuned"] and len(arm["budget"]["curve"]) > 1
    }
    title = "What tuning buys"
    if not curves:
        return Figure(
            "budget",
            title,
            "Left out: no tuned arm has a whole random search whose configurations were retrained.",
        )
    searches = sorted({point["n"] for curve in curves.values() for point in curve})
    return Figure(
        "budget",
        title,
        "Expected test score, retrained with a fresh run seed, of what a random search selects "
        f"(n = {' or '.join(map(str, searches))} searches), against what it costs; shaded: 95 % "
        "intervals, which one search does not give. Level bands: arms without tuning. The legend "
        "shows and hides arms; the verdict's two come first.",
        {unit: [_budget_panel(inputs, curves, unit)] for unit in COST_AXES},
    )


def _budget_panel(inputs: FigureInputs, curves: dict[str, list[Json]], unit: str) -> Panel:
    positions = {name: _tuning_cost(inputs, name, curves[name], unit) for name in curves}
    end = max(x[-1] for x in positions.values())
    headline = inputs.results["headline"]
    pair = (headline["untuned"], headline["tuned"])
    bands, lines = [], []
    for name, arm in inputs.results["arms"].items():
        test, style = arm["test"][inputs.epoch], inputs.styles[name]
        if name not in curves and (arm["tuned"] or test["mean"] is None):
            continue
        points = curves.get(name, [test, test])
        x = positions.get(name, [0, end])
        low, mean, high = (
            [None if p[part] is None else inputs.factor * p[part] for p in points]
            for part in ("low", "mean", "high")
        )
        shown = not any(pair) or name in pair
        if any(value is not None for value in low):
            bands.append(band(x, low, high, name, style) | {"visible": shown})
        lines.append(line(x, mean, name, style, visible=shown))
    layout = {
        "xaxis": axis(f"tuning cost: {COST_AXES[unit]}", rangemode="tozero"),
        "yaxis": axis(f"expected test {inputs.unit}"),
        "height": 440,
    }
    return Panel("", bands + lines, layout)


def _tuning_cost(inputs: FigureInputs, name: str, curve: list[Json], unit: str) -> list[float]:
    """Cost of a search at each point of its budget curve."""
    if unit == "seconds":
        return inputs.runs[name].budget_cost("seconds")[: len(curve)]
    return [point["budget" if unit == "trials" else "passes"] for point in curve]


def cost(inputs: FigureInputs) -> Figure:
    """Test score against all that was spent to get there."""
    arms = {
        name: arm
        for name, arm in inputs.results["arms"].items()
        if arm["test"][inputs.epoch]["mean"] is not None
    }
    title = "Cost and score"
    if not arms:
        return Figure("cost", title, "Left out: no final run has finished.")
    found = {name: arm["test"][inputs.epoch] for name, arm in arms.items()}
    seconds = inputs.results["cost"]["arms"]
    views: dict[str, Callable[[str], Json]] = {
        "passes": lambda name: arms[name]["passes"],
        "seconds": lambda name: seconds[name],
    }
    return Figure(
        "cost",
        title,
        "Test score against the cost of one final run and, for tuned arms, the whole search "
        "before it; hollow: the published default, which costs one run. "
        f"{counts(found.values())}; bars: 95 % intervals.",
        {unit: [_cost_panel(inputs, arms, unit, of)] for unit, of in views.items()},
    )


def _cost_panel(
    inputs: FigureInputs, arms: dict[str, Json], unit: str, spent: Callable[[str], Json]
) -> Panel:
    data = []
    for name, arm in arms.items():
        points = [(spent(name)["run"] + (spent(name)["search"] or 0), arm["test"], False)]
        if arm["tuned"]:
            points.append((spent(name)["run"], arm["default"]["test"], True))
        shown = [
            (x, test[inputs.epoch], hollow)
            for x, test, hollow in points
            if test[inputs.epoch]["mean"] is not None
        ]
        style = inputs.styles[name]
        symbols = [f"{style.symbol}-open" if hollow else style.symbol for *_, hollow in shown]
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": name,
                "legendgroup": name,
                "x": rounded(float(x) for x, *_ in shown),
                "y": rounded(inputs.factor * e["mean"] for _, e, _ in shown),
                "error_y": intervals((e for _, e, _ in shown), inputs.factor),
                "line": {"color": style.colour, "width": 1, "dash": "dot"},
                "marker": {"size": 10, "color": style.colour, "symbol": symbols},
            }
        )
    layout = {
        "xaxis": axis(f"{COST_AXES[unit]}, tuning included", type="log", dtick="D2"),
        "yaxis": axis(f"test {inputs.unit}"),
        "height": 440,
    }
    return Panel("", data, layout)
