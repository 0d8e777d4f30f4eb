"""The learned weight of an example by its loss, over time (Meta-Weight-Net, CMW-Net)."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from pipelines.documents import Json
from pipelines.report.figures.inputs import FigureInputs, either
from pipelines.report.figures.plot import STEPS, Drawing, Panel, Style, axis, left_out, line
from pipelines.trial_documents import WEIGHT_FUNCTION

TITLE = "Learned weight function"
LARGEST_LOSS = 10.0  # nats; where the grid ends


def draw(inputs: FigureInputs) -> Drawing:
    """The median over an arm's final runs, at five epochs."""
    functions = {arm: _functions(inputs, arm) for arm in inputs.results["arms"]}
    functions = {arm: by_name for arm, by_name in functions.items() if by_name}
    if not functions:
        return left_out("no arm with a finished run learns one")
    runs = [len(histories) for by_name in functions.values() for histories in by_name.values()]
    several = any(len(by_name) > 1 for by_name in functions.values())
    return Drawing(
        "Weight that the network gives to an example by its loss, at five epochs; median over the "
        f"final runs (n = {either(runs)}), without interval."
        + " Of an arm with several, 1 is that of its smallest classes."
        * several,
        {
            arm: [_panel(name, histories) for name, histories in by_name.items()]
            for arm, by_name in functions.items()
        },
    )


def _functions(inputs: FigureInputs, arm: str) -> dict[str, list[list[Json]]]:
    """By name in a row (weights on a grid of losses) the rows of the final runs that have it."""
    last = [row for r in inputs.final_runs(arm) for row in inputs.histories.get(r.key, [])[-1:]]
    names = sorted({name for row in last for name in row if name.startswith(WEIGHT_FUNCTION)})
    return {name: inputs.rows_with(arm, name) for name in names}


def _panel(name: str, histories: list[list[Json]]) -> Panel:
    """One weight function. name: in a row; what is behind the common part tells it from others."""
    shortest = min(map(len, histories))
    data = []
    for step, colour in enumerate(STEPS):
        row = round(step * (shortest - 1) / (len(STEPS) - 1))
        curves = np.array([rows[row][name] for rows in histories], dtype=float)
        losses = np.linspace(0, LARGEST_LOSS, curves.shape[1]).tolist()
        style = Style(colour, "solid", "circle")
        epoch = f"epoch {histories[0][row]['epoch']}"
        data.append(line(losses, np.median(curves, axis=0).tolist(), epoch, style))
    layout = go.Layout(
        xaxis=axis("cross-entropy of the example, nats"),
        yaxis=axis("weight", rangemode="tozero"),
        height=380,
    )
    return Panel(data, layout, name.removeprefix(WEIGHT_FUNCTION).strip("_"))
