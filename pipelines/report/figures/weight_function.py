"""The learned weight of an example by its loss, over time (Meta-Weight-Net)."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from pipelines.documents import Json
from pipelines.report.figures.inputs import FigureInputs, either
from pipelines.report.figures.plot import STEPS, Drawing, Panel, Style, axis, left_out, line

TITLE = "Learned weight function"
WEIGHT_FUNCTION = "learned/weight_function"  # in a row: weights on a grid of losses
LARGEST_LOSS = 10.0  # nats; where the grid ends


def draw(inputs: FigureInputs) -> Drawing:
    """The median over an arm's final runs, at five epochs."""
    runs = {arm: inputs.rows_with(arm, WEIGHT_FUNCTION) for arm in inputs.results["arms"]}
    runs = {arm: histories for arm, histories in runs.items() if histories}
    if not runs:
        return left_out("no arm with a finished run learns one")
    return Drawing(
        "Weight that the network gives to an example by its loss, at five epochs; median over the "
        f"final runs (n = {either(map(len, runs.values()))}), without interval.",
        {arm: [_panel(histories)] for arm, histories in runs.items()},
    )


def _panel(histories: list[list[Json]]) -> Panel:
    shortest = min(map(len, histories))
    data = []
    for step, colour in enumerate(STEPS):
        row = round(step * (shortest - 1) / (len(STEPS) - 1))
        curves = np.array([rows[row][WEIGHT_FUNCTION] for rows in histories], dtype=float)
        losses = np.linspace(0, LARGEST_LOSS, curves.shape[1]).tolist()
        name = f"epoch {histories[0][row]['epoch']}"
        style = Style(colour, "solid", "circle")
        data.append(line(losses, np.median(curves, axis=0).tolist(), name, style))
    layout = go.Layout(
        xaxis=axis("cross-entropy of the example, nats"),
        yaxis=axis("weight", rangemode="tozero"),
        height=380,
    )
    return Panel(data, layout)
