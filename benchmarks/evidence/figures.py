"""The figures of the page: ranks, and scores along the axes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go

from pipelines.analysis.words import count
from pipelines.metrics import METRICS
from pipelines.report.figures.plot import (
    Drawing,
    Figure,
    Panel,
    Style,
    axis,
    error_bars,
    escape,
    left_out,
    line,
    log_axis,
    rounded,
    styles,
)

AXES = {"splits.meta": ("clean-labels", "Clean labels"), "noise.rate": ("noise-rate", "Noise rate")}


def figures(content: Mapping[str, Any]) -> list[Figure]:
    """All figures; one without views says why."""
    arm_styles = styles({name: arm["kind"] for name, arm in content["arms"].items()})
    drawn = [Figure("mean-rank", "Mean rank", _ranks(content, arm_styles))]
    for address, (name, title) in AXES.items():
        drawn.append(Figure(name, title, _axis(content, address, title, arm_styles)))
    return drawn


def _ranks(content: Mapping[str, Any], arm_styles: Mapping[str, Style]) -> Drawing:
    known = {arm: rank for arm, rank in content["ranks"].items() if rank["mean"] is not None}
    if not known:
        return left_out("no judging set has run all arms")
    ordered = sorted(known, key=lambda arm: -known[arm]["mean"])
    traces = []
    for arm in ordered:
        rank = known[arm]
        ends = {"low": rank["new_low"], "mean": rank["mean"], "high": rank["new_high"]}
        bars = error_bars([ends], 1.0)  # pyright: ignore[reportArgumentType]
        traces.append(
            go.Scatter(
                mode="markers",
                name=escape(arm),
                x=rounded([rank["mean"]]),
                y=[escape(arm)],
                error_x=bars,
                marker={
                    "size": 9,
                    "color": arm_styles[arm].colour,
                    "symbol": arm_styles[arm].symbol,
                },
            )
        )
    layout = go.Layout(
        xaxis=axis("mean rank over the judging sets (1 is best)"),
        yaxis=axis("", type="category"),
        height=90 + 26 * len(ordered),
    )
    sets = max(rank["sets"] for rank in known.values())
    caption = f"Over {count(sets, 'judging set')}, with 95 % intervals for sets like these."
    return Drawing(caption, {"": [Panel(traces, layout)]})


def _axis(
    content: Mapping[str, Any], address: str, title: str, arm_styles: Mapping[str, Style]
) -> Drawing:
    """Test score of each arm along one entry of the protocol, a view for each set."""
    along: dict[str, dict[float, Mapping[str, Any]]] = {}
    for member in content["members"]:
        others = [m for m in content["members"] if m["set"] == member["set"]]
        if any(address in m["change"] for m in others):
            value = _value(member, address)
            along.setdefault(member["set"], {})[value] = member
    if not along:
        return left_out("no set has run along this axis yet")
    views = {name: [_panel(points, address, title, arm_styles)] for name, points in along.items()}
    caption = "Test score at the rate that val chose, with 95 % intervals over repeats."
    return Drawing(caption, views)


def _value(member: Mapping[str, Any], address: str) -> float:
    if address == "splits.meta":
        return float(member["clean_labels"])
    return float(member["nominal_rate"])


def _panel(
    points: Mapping[float, Mapping[str, Any]],
    address: str,
    title: str,
    arm_styles: Mapping[str, Style],
) -> Panel:
    values = sorted(points)
    first = points[values[0]]
    traces = []
    for arm, style in arm_styles.items():
        tests = [
            (x, points[x]["scores"][arm]["test"]) for x in values if arm in points[x]["scores"]
        ]
        tests = [(x, test) for x, test in tests if test["mean"] is not None]
        if not tests:
            continue
        traces.append(
            line(
                [x for x, _ in tests],
                [100 * test["mean"] for _, test in tests],
                arm,
                style,
                mode="lines+markers",
                marker={"size": 8, "color": style.colour, "symbol": style.symbol},
                error_y=error_bars((test for _, test in tests), 100.0),
            )
        )
    meta = address == "splits.meta"
    layout = go.Layout(
        xaxis=log_axis(title.lower(), values[0], values[-1]) if meta else axis(title.lower()),
        yaxis=axis(f"test {METRICS[first['metric']].title}"),
        height=440,
    )
    return Panel(traces, layout)
