"""Every untuned arm against every tuned one at a glance: a matrix, coloured by verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from pipelines.analysis.estimate_schema import Verdict
from pipelines.analysis.results_schema import Pair
from pipelines.documents import Json
from pipelines.report.figures.inputs import FigureInputs, sample_sizes
from pipelines.report.figures.plot import Drawing, Panel, axis, escape, left_out
from pipelines.report.tables import number

TITLE = "Verdicts: untuned against tuned"
SAME, ALL = "same clean labels", "all pairs"
#: In words, and the colour of the cell; told apart with every common colour blindness.
VERDICTS: dict[Verdict, tuple[str, str]] = {
    "superior": ("untuned is better", "#1b6ca8"),
    "non-inferior": ("untuned is not worse by the margin", "#8fc1e3"),
    "inconclusive": ("not decided", "#b9bec4"),
    "inferior": ("untuned is worse", "#d9713c"),
}


def draw(inputs: FigureInputs) -> Drawing:
    """Pairs that train on equally many clean labels first; then all of them."""
    pairs = [p for p in inputs.results["pairs"] if p["difference"]["mean"] is not None]
    if not pairs:
        return left_out("no pair of an untuned and a tuned arm has finished final runs")
    fair = [pair for pair in pairs if pair["same_clean_labels"]]
    views = {SAME: fair, ALL: pairs} if 0 < len(fair) < len(pairs) else {ALL: pairs}
    return Drawing(
        "Difference of test scores, untuned minus tuned, paired by run "
        f"({sample_sizes(pair['difference'] for pair in pairs)}); the colour is the verdict of its "
        "95 % interval, which hovering shows. A pair with unequal clean labels compares more than "
        "the methods.",
        {label: [_panel(inputs, chosen)] for label, chosen in views.items()},
    )


def _panel(inputs: FigureInputs, pairs: Sequence[Pair]) -> Panel:
    """One heat map per verdict, so that each has its colour and its place in the legend."""
    rows = list(dict.fromkeys(pair["untuned"] for pair in pairs))
    columns = list(dict.fromkeys(pair["tuned"] for pair in pairs))
    layout = go.Layout(
        xaxis=_names("tuned arm", columns, side="top"),
        yaxis=_names("untuned arm", rows, autorange="reversed"),
        height=110 + 36 * len(rows),
    )
    cells = {(pair["untuned"], pair["tuned"]): pair for pair in pairs}
    maps = [
        _map(inputs, verdict, rows, columns, cells)
        for verdict in VERDICTS
        if any(pair["verdict"] == verdict for pair in pairs)
    ]
    return Panel(maps, layout)


def _names(title: str, arms: Sequence[str], **properties: Any) -> Json:
    """An axis of arms, in their order, whichever of the maps has them."""
    names = [escape(name) for name in arms]
    return axis(
        title,
        type="category",
        categoryorder="array",
        categoryarray=names,
        showgrid=False,
        zeroline=False,
        **properties,
    )


def _map(
    inputs: FigureInputs,
    verdict: Verdict,
    rows: Sequence[str],
    columns: Sequence[str],
    cells: dict[tuple[str, str], Pair],
) -> go.Heatmap:
    """The cells of one verdict.

    rows, columns: untuned and tuned arms. cells: the pairs by both.
    """
    words, colour = VERDICTS[verdict]
    of_verdict = {place: pair for place, pair in cells.items() if pair["verdict"] == verdict}
    chosen = [[of_verdict.get((row, column)) for column in columns] for row in rows]
    metric = inputs.metric
    return go.Heatmap(
        name=words,
        legendgroup=verdict,
        x=[escape(name) for name in columns],
        y=[escape(name) for name in rows],
        z=[[None if p is None else 1 for p in line] for line in chosen],
        text=[
            ["" if p is None else number(metric, p["difference"]["mean"], "+") for p in line]
            for line in chosen
        ],
        customdata=[["" if p is None else _interval(metric, p) for p in line] for line in chosen],
        texttemplate="%{text}",
        hovertemplate="%{y} minus tuned %{x}: %{text} %{customdata}"
        f"<br>{words}<extra></extra>",
        colorscale=[[0, colour], [1, colour]],
        showscale=False,
        xgap=2,
        ygap=2,
    )


def _interval(metric: str, pair: Pair) -> str:
    gap = pair["difference"]
    if gap["low"] is None:
        return "(no interval)"
    return f"[{number(metric, gap['low'], '+')}, {number(metric, gap['high'], '+')}]"
