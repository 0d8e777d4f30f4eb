"""What tuning buys: a tuned arm at budget b minus an untuned one, paired by repeat."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from pipelines.analysis.budget import value_at
from pipelines.analysis.intervals import t_intervals
from pipelines.analysis.results_schema import BreakEvenJson
from pipelines.analysis.runs import Floats, repeat_means
from pipelines.metrics import METRICS
from pipelines.report.figures.budget import COST_AXES, CostUnit
from pipelines.report.figures.inputs import FigureInputs, either
from pipelines.report.figures.plot import (
    Drawing,
    Panel,
    Style,
    axis,
    band,
    counts,
    left_out,
    level,
    line,
)

TITLE = "What tuning buys, against the arm that needs none"
GREY = "#8c8c8c"


@dataclass(frozen=True)
class Gain:
    """Mean, low and high [B + 1] of the difference at each budget, and b*."""

    arm: str
    mean: Floats
    low: Floats
    high: Floats
    repeats: int
    break_even: BreakEvenJson | None


def draw(inputs: FigureInputs) -> Drawing:
    """One curve per tuned arm with the same clean labels; the one of the verdict is shown first."""
    untuned = inputs.results["headline"]["untuned"]
    if untuned is None:
        return left_out("no self-tuning arm has finished a final run")
    gains = list(_gains(inputs, untuned))
    if not gains:
        return left_out(
            f"no tuned arm that trains on the clean labels of {untuned} has a whole random search "
            "whose configurations were retrained"
        )
    tuned = inputs.results["headline"]["tuned"]
    shown = tuned if tuned in {gain.arm for gain in gains} else gains[0].arm
    return Drawing(
        f"Expected test score of what a random search selects, minus that of {untuned}, in the "
        f"same repeats (n = {either(gain.repeats for gain in gains)}). Below 0 tuning does not "
        "make up for it. Shaded: 95 % intervals, which fewer than three searches do not give; "
        "diamond: the break-even budget b*, with its 95 % interval as a bar that ends with the "
        "search where it lies beyond; dotted: the margin.",
        {unit: [_panel(inputs, untuned, gains, shown, unit)] for unit in COST_AXES},
    )


def _gains(inputs: FigureInputs, untuned: str) -> Iterator[Gain]:
    ours = repeat_means(inputs.runs[untuned].final(inputs.runs[untuned].epoch))
    for pair in inputs.results["pairs"]:
        if pair["untuned"] != untuned or not pair["same_clean_labels"]:
            continue
        curves = inputs.runs[pair["tuned"]].curves()
        shared = [curves[repeat] - ours[repeat] for repeat in sorted(curves.keys() & ours.keys())]
        length = min(map(len, shared), default=0)
        if length > 1:
            gaps = np.array([gap[:length] for gap in shared])
            low, high = t_intervals(gaps)
            b_star = pair["break_even"]
            yield Gain(pair["tuned"], gaps.mean(axis=0), low, high, len(gaps), b_star)


def _panel(
    inputs: FigureInputs, untuned: str, gains: list[Gain], shown: str, unit: CostUnit
) -> Panel:
    """The curves against one kind of cost.

    untuned: the arm that is subtracted. gains: of every tuned arm. shown: the arm that is not
    hidden at first. unit: an entry of `COST_AXES`.
    """
    costs = {gain.arm: _costs(inputs, gain, unit) for gain in gains}
    data: list[go.Scatter] = []
    for gain in gains:
        x, style = costs[gain.arm], inputs.styles[gain.arm]
        visible = gain.arm == shown
        low, mean, high = (
            [inputs.factor * float(v) if np.isfinite(v) else None for v in part]
            for part in (gain.low, gain.mean, gain.high)
        )
        if any(value is not None for value in low):
            data.append(band(x, low, high, gain.arm, style, visible=visible))
        data.append(line(x, mean, gain.arm, style, visible=visible, mode="lines+markers"))
        data += [trace.update(visible=visible) for trace in _b_star(gain, x, style)]
    ours = gains[0].arm if len(gains) == 1 else "tuned arm"  # a legend names several
    end = max(x[-1] for x in costs.values())
    title = f"tuning cost: {COST_AXES[unit]}"
    margin = inputs.factor * inputs.results["margin"]
    metric = METRICS[inputs.metric]
    points = ", points" if metric.in_points else f", {metric.unit}" if metric.unit else ""
    layout = go.Layout(
        xaxis=counts(title, end) if unit == "trials" else axis(title, rangemode="tozero"),
        yaxis=axis(f"{ours} minus {untuned}{points}", zeroline=False),
        height=440,
        shapes=[
            level(0, f"as good as {untuned}", GREY, "solid"),
            level(margin, "better by the margin", GREY),
            level(-margin, "worse by the margin", GREY),
        ],
    )
    return Panel(data, layout)


def _costs(inputs: FigureInputs, gain: Gain, unit: CostUnit) -> list[float]:
    """Cost of a search at each budget of a curve."""
    if unit == "trials":
        return [float(b) for b in range(len(gain.mean))]
    return inputs.runs[gain.arm].budget_cost(unit)[: len(gain.mean)]


def _b_star(gain: Gain, costs: list[float], style: Style) -> Iterator[go.Scatter]:
    """b* on the line of zero, and its interval; nothing of what lies beyond the search."""
    b_star = gain.break_even
    if b_star is None:
        return
    if b_star["interval"] and b_star["low"] is not None:
        high = costs[-1] if b_star["high"] is None else value_at(b_star["high"], costs)
        ends = [value_at(b_star["low"], costs), high]
        bar = {"color": style.colour, "width": 4}
        yield line(ends, [0.0, 0.0], gain.arm, style, line=bar, showlegend=False, hoverinfo="skip")
    if b_star["budget"] is not None:
        mark = {"symbol": "diamond", "size": 13, "color": style.colour, "line": {"width": 1}}
        yield line(
            [value_at(b_star["budget"], costs)],
            [0.0],
            gain.arm,
            style,
            mode="markers",
            marker=mark,
            showlegend=False,
            hovertemplate=f"b* = {b_star['label']}<extra></extra>",
        )
