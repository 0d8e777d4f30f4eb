"""How the final runs trained: validation score by epoch and by example passes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import plotly.graph_objects as go

from pipelines.metrics import METRICS
from pipelines.report.figures.inputs import FigureInputs, either
from pipelines.report.figures.plot import Drawing, Panel, axis, band, left_out, line

TITLE = "Validation score by epoch"
VERDICT, ALL = "the verdict's arms", "all arms"
Clock = Literal["epochs", "passes"]


@dataclass(frozen=True)
class Curve:
    """Scores of an arm's final runs; `scores[i]` those of the runs that have epoch `epochs[i]`.

    passes: example passes up to the end of each epoch, median over those runs.
    """

    epochs: list[int]
    passes: list[float]
    scores: list[list[float]]
    runs: int


def draw(inputs: FigureInputs) -> Drawing:
    """The median over an arm's final runs: of the verdict's arms, then of all and of each kind."""
    curves = {arm: curve for arm in inputs.results["arms"] if (curve := _curve(inputs, arm))}
    if not curves:
        return left_out("no final run has a history of validation scores")
    verdict, kinds = _drawn(curves, inputs.verdict_arms), inputs.kinds
    views = {}
    for clock in ("epochs", "passes"):
        if verdict:
            views[f"{VERDICT}, by {clock}"] = [_panel(inputs, verdict, clock)]
        views[f"{ALL}, by {clock}"] = [_panel(inputs, curves, clock, shaded=False)]
    views |= {
        kind: [_panel(inputs, drawn, "epochs")]
        for kind, arms in kinds.items()
        if (drawn := _drawn(curves, arms))
    }
    return Drawing(
        f"Median over the final runs (n = {either(c.runs for c in curves.values())} per arm); "
        "shaded, but for all arms together, from the lowest to the highest run, which is no "
        "interval of the median. Passes: forward 1, backward 2, so a method that takes meta steps "
        "gets less far with as many.",
        views,
    )


def _drawn(curves: dict[str, Curve], arms: Iterable[str]) -> dict[str, Curve]:
    return {arm: curves[arm] for arm in arms if arm in curves}


def _curve(inputs: FigureInputs, arm: str) -> Curve | None:
    """Validation scores of all final runs of an arm, where any has them."""
    name = f"val/{inputs.metric}"
    factor = METRICS[inputs.metric].score(inputs.factor)
    histories = inputs.rows_with(arm, name)
    runs = [{row["epoch"]: factor * row[name] for row in rows} for rows in histories]
    if not runs:
        return None
    spent: dict[int, list[float]] = {}
    for row in (row for rows in histories for row in rows):
        spent.setdefault(row["epoch"], []).append(row.get("passes", row["epoch"]))
    epochs = sorted(spent)
    return Curve(
        epochs,
        [float(np.median(spent[e])) for e in epochs],
        [[run[e] for run in runs if e in run] for e in epochs],
        len(runs),
    )


def _panel(
    inputs: FigureInputs, curves: dict[str, Curve], clock: Clock, shaded: bool = True
) -> Panel:
    """The curves of some arms.

    curves: by arm. clock: what the horizontal axis counts. shaded: from lowest to highest run.
    """
    data = []
    for arm, curve in curves.items():
        if shaded and curve.runs > 1:
            low, high = [min(s) for s in curve.scores], [max(s) for s in curve.scores]
            data.append(band(_x(curve, clock), low, high, arm, inputs.styles[arm]))
    for arm, curve in curves.items():
        median = [float(np.median(s)) for s in curve.scores]
        data.append(line(_x(curve, clock), median, arm, inputs.styles[arm]))
    label = "epoch" if clock == "epochs" else "example passes of the run"
    layout = go.Layout(xaxis=axis(label), yaxis=axis(f"val {inputs.score_label}"), height=440)
    return Panel(data, layout)


def _x(curve: Curve, clock: Clock) -> Sequence[float]:
    return curve.epochs if clock == "epochs" else curve.passes
