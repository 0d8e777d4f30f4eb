"""The final test score of every arm, with its interval."""

from __future__ import annotations

import plotly.graph_objects as go

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
from pipelines.report.tables import number

TITLE = "Final test score"


def draw(inputs: FigureInputs) -> Drawing:
    """The arms from the highest score down; one colour per kind."""
    tests = inputs.tests
    if not tests:
        return left_out("no final run has finished")
    data = [
        _points(inputs, kind, scored)
        for kind, arms in inputs.kinds.items()
        if (scored := [arm for arm in arms if arm in tests])
    ]
    means = {arm: mean for arm, test in tests.items() if (mean := test["mean"]) is not None}
    rising = sorted(means, key=lambda arm: means[arm])  # plotly draws from below
    layout = go.Layout(
        xaxis=axis(f"test {inputs.score_label}", **inputs.score_limits),
        yaxis={"categoryorder": "array", "categoryarray": rising, "automargin": True},
        height=90 + 26 * len(tests),
    )
    caption = (
        f"Mean over repeats of the final runs ({sample_sizes(tests.values())}) with 95 % "
        f"intervals, {inputs.epoch} epoch; no bar where there is no interval."
    )
    return Drawing(caption, {"": [Panel(data, layout)]})


def _points(inputs: FigureInputs, kind: str, arms: list[str]) -> go.Scatter:
    """Mean and interval of the arms of one kind."""
    tests = [inputs.tests[arm] for arm in arms]
    return go.Scatter(
        mode="markers",
        name=kind,
        legendgroup=kind,
        x=rounded(scaled(test["mean"], inputs.factor) for test in tests),
        y=arms,
        error_x=error_bars(tests, inputs.factor),
        marker={"size": 10, "color": inputs.styles[arms[0]].colour},
        text=[f"{number(inputs.metric, test['mean'])} (n = {test['n']})" for test in tests],
        hovertemplate="%{y}: %{text}<extra></extra>",
    )
