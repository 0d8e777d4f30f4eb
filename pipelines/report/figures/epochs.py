"""How the final runs trained: validation score by epoch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from pipelines.metrics import METRICS
from pipelines.report.figures.inputs import FigureInputs, either
from pipelines.report.figures.plot import Drawing, Panel, axis, band, left_out, line

TITLE = "Validation score by epoch"
ALL = "all arms"


@dataclass(frozen=True)
class Curve:
    """Scores of an arm's final runs; `scores[i]` those of the runs that have epoch `epochs[i]`."""

    epochs: list[int]
    scores: list[list[float]]
    runs: int


def draw(inputs: FigureInputs) -> Drawing:
    """The median over an arm's final runs, tuned and untuned arms alike."""
    curves = {arm: curve for arm in inputs.results["arms"] if (curve := _curve(inputs, arm))}
    if not curves:
        return left_out("no final run has a history of validation scores")
    groups = {ALL: list(curves)} | {
        kind: drawn
        for kind, arms in inputs.kinds.items()
        if (drawn := [arm for arm in arms if arm in curves])
    }
    return Drawing(
        f"Median over the final runs (n = {either(c.runs for c in curves.values())} per arm); for "
        "a single kind, shaded from the lowest to the highest run, which is no interval of the "
        "median.",
        {
            label: [_panel(inputs, {arm: curves[arm] for arm in arms}, shaded=label != ALL)]
            for label, arms in groups.items()
        },
    )


def _curve(inputs: FigureInputs, arm: str) -> Curve | None:
    """Validation scores of all final runs of an arm, where any has them."""
    name = f"val/{inputs.metric}"
    factor = METRICS[inputs.metric].score(inputs.factor)
    runs = [
        {row["epoch"]: factor * row[name] for row in rows} for rows in inputs.rows_with(arm, name)
    ]
    if not runs:
        return None
    epochs = sorted(set().union(*runs))
    return Curve(epochs, [[run[e] for run in runs if e in run] for e in epochs], len(runs))


def _panel(inputs: FigureInputs, curves: dict[str, Curve], shaded: bool) -> Panel:
    data = []
    for arm, curve in curves.items():
        if shaded:
            low, high = [min(s) for s in curve.scores], [max(s) for s in curve.scores]
            data.append(band(curve.epochs, low, high, arm, inputs.styles[arm]))
    for arm, curve in curves.items():
        median = [float(np.median(s)) for s in curve.scores]
        data.append(line(curve.epochs, median, arm, inputs.styles[arm]))
    layout = go.Layout(xaxis=axis("epoch"), yaxis=axis(f"val {inputs.score_label}"), height=440)
    return Panel(data, layout)
