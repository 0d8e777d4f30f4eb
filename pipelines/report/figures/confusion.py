"""Which classes are taken for which: confusion matrices of the final runs."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from pipelines.documents import Json
from pipelines.report.figures.inputs import FigureInputs, either
from pipelines.report.figures.plot import Drawing, Panel, axis, escape, left_out, rounded
from pipelines.trial_documents import TrialResult

TITLE = "Confusion matrices"
LETTERED_CLASSES = 20  # up to as many, cells show their numbers
LOWEST = "#f3f4f5"  # colour of 0 %


def draw(inputs: FigureInputs) -> Drawing:
    """One matrix per arm, on the test set."""
    tested: dict[str, list[TrialResult]] = {}
    for arm in inputs.results["arms"]:
        runs = [inputs.study_state.trials[r.key].result for r in inputs.final_runs(arm)]
        tested[arm] = [run for run in runs if run and inputs.epoch in run["held_out"]]
    tested = {arm: runs for arm, runs in tested.items() if runs}
    if not tested:
        return left_out("no final run has finished without diverging")
    return Drawing(
        "Share of each class's test examples by predicted class, over all final runs "
        f"(n = {either(map(len, tested.values()))} per arm), without interval.",
        {arm: [_panel(inputs, arm, runs)] for arm, runs in tested.items()},
    )


def _panel(inputs: FigureInputs, arm: str, runs: list[TrialResult]) -> Panel:
    matrix = np.sum([run["held_out"][inputs.epoch]["confusion"] for run in runs], axis=0)
    share = 100 * matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))
    classes = [escape(name) for name in runs[0]["data"]["classes"]]
    lettered = len(classes) <= LETTERED_CLASSES
    heatmap = go.Heatmap(
        name=arm,
        z=[rounded(row) for row in share.tolist()],
        zmin=0,
        zmax=100,
        xgap=1,
        ygap=1,
        colorscale=[[0, LOWEST], [1, inputs.styles[arm].colour]],
        texttemplate="%{z:.0f}" if lettered else "",
        hovertemplate="%{customdata}: %{z:.1f} %<extra></extra>",
        customdata=[[f"{true} taken for {called}" for called in classes] for true in classes],
        colorbar={"ticksuffix": " %", "thickness": 12},
    )
    ticks: Json = {"showgrid": False, "zeroline": False}
    if lettered:
        ticks |= {"tickvals": list(range(len(classes))), "ticktext": classes}
    layout = go.Layout(
        xaxis=axis("predicted class", **ticks),
        yaxis=axis("true class", autorange="reversed", **ticks),
        height=460,
    )
    return Panel([heatmap], layout)
