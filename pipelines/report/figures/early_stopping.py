"""What early stopping would have done: a second budget curve, and whether early val ranks alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import plotly.graph_objects as go

from pipelines.analysis.budget_schema import BudgetPoint, EarlyStopping
from pipelines.analysis.estimate_schema import IntervalJson
from pipelines.report.figures.inputs import FigureInputs, either
from pipelines.report.figures.plot import (
    Drawing,
    Panel,
    Style,
    axis,
    band,
    left_out,
    line,
    scaled,
)

TITLE = "Had trials been stopped early"
WHOLE, STOPPED = "every trial to its end", "stopped early"
GREY = "#8c8c8c"
RUNGS = (1 / 9, 1 / 3)  # of the headline's halving


def draw(inputs: FigureInputs) -> Drawing:
    """For each tuned arm, the verdict's first: both budget curves, and the ranks by epoch."""
    arms, tuned = inputs.results["arms"], inputs.results["headline"]["tuned"]
    entries = {
        name: entry
        for name, arm in sorted(arms.items(), key=lambda item: item[0] != tuned)
        if (entry := arm.get("early_stopping")) and len(entry["curve"]) > 1
    }
    if not entries:
        return left_out(
            "no tuned arm has a whole random search whose configurations were retrained and whose "
            "trials have their val of every epoch"
        )
    searches = either(point["n"] for entry in entries.values() for point in entry["curve"])
    rule = _either_rule(entries[name]["rules"][0]["rule"] for name in entries)
    return Drawing(
        f"Simulated on the val per epoch of trials that all ran to their end (n = {searches} "
        f"searches): {rule} of the epochs. Left: expected test score of what is selected, "
        "retrained with a fresh run seed, against what the search costs. Right: Spearman's rank "
        "correlation between val at an epoch and val at the last one, over the trials of a search: "
        "where it is low at a rung (dotted), good trials are stopped there. Shaded: 95 % intervals "
        "over repeats, which fewer than three searches do not give.",
        {name: [_curves(inputs, name, e), _ranks(inputs, name, e)] for name, e in entries.items()},
    )


def _either_rule(names: Iterable[str]) -> str:
    """The rules of several arms in words; trials of few epochs have fewer rungs."""
    return " or ".join(dict.fromkeys(names))


def _curves(inputs: FigureInputs, name: str, entry: EarlyStopping) -> Panel:
    """Expected score by the passes of a search, with and without the rule."""
    style = inputs.styles[name]
    arm = inputs.results["arms"][name]
    whole = arm["budget"]["curve"] if "budget" in arm else []
    early = replace(style, colour=GREY, dash="dash")
    style = replace(style, dash="solid")
    sides: list[tuple[str, list[BudgetPoint], Style]] = [
        (WHOLE, whole, style),
        (STOPPED, entry["curve"], early),
    ]
    data: list[go.Scatter] = []
    for label, points, drawn in sides:
        data += _line(label, [p["passes"] for p in points], points, drawn, inputs.factor)
    layout = go.Layout(
        xaxis=axis("example passes of the search", rangemode="tozero"),
        yaxis=axis(f"expected test {inputs.score_label}", **inputs.score_limits),
        height=400,
    )
    return Panel(data, layout, "What a search buys")


def _ranks(inputs: FigureInputs, name: str, entry: EarlyStopping) -> Panel:
    """Rank correlation by share of the epochs, with the rungs."""
    points = entry["ranks"]
    x = [100 * point["share"] for point in points]
    rungs = [
        {
            "type": "line",
            "yref": "paper",
            "x0": 100 * rung,
            "x1": 100 * rung,
            "y0": 0,
            "y1": 1,
            "line": {"color": GREY, "width": 1.5, "dash": "dot"},
        }
        for rung in RUNGS
    ]
    layout = go.Layout(
        xaxis=axis("share of the epochs, %", range=[0, 102]),
        yaxis=axis("rank correlation with the last epoch", range=[-1.05, 1.05]),
        height=400,
        shapes=rungs,
    )
    style = replace(inputs.styles[name], dash="solid")
    data = [t.update(showlegend=False) for t in _line("rank correlation", x, points, style, 1.0)]
    return Panel(data, layout, "Does val rank early as it does in the end?")


def _line(
    label: str, x: Sequence[float], points: Sequence[IntervalJson], style: Style, factor: float
) -> list[go.Scatter]:
    """A curve with its band.

    label: in the legend. x: of each point. style: of the curve. factor: what means are scaled by.
    """
    low, mean, high = ([scaled(p[end], factor) for p in points] for end in ("low", "mean", "high"))
    drawn = [band(x, low, high, label, style)] if any(v is not None for v in low) else []
    return [*drawn, line(x, mean, label, style, mode="lines+markers")]
