"""Figures of how the final runs trained, and of how well they tell classes apart."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from pipelines.report.figures.inputs import FigureInputs, sizes
from pipelines.report.figures.plot import Figure, Panel, axis, band, escape, line, rounded
from pipelines.trial_documents import TrialResult

Json = dict[str, Any]
LETTERED_CLASSES = 20  # up to as many, cells of a confusion matrix show their numbers


def epochs(inputs: FigureInputs) -> Figure:
    """Validation score per epoch of the final runs, tuned and untuned arms alike."""
    name = f"val/{inputs.metric}"
    sign = -1 if inputs.metric == "nll" else 1
    curves = {
        arm: curve
        for arm in inputs.results["arms"]
        if (curve := _over_runs(inputs, arm, name, sign * inputs.factor))
    }
    title = "Validation score by epoch"
    if not curves:
        return Figure("epochs", title, "Left out: no final run has a history of validation scores.")
    counts = Counter(runs for _, _, runs in curves.values())
    groups = {"all arms": list(curves)} | {
        kind: shown
        for kind, arms in inputs.kinds.items()
        if (shown := [arm for arm in arms if arm in curves])
    }
    return Figure(
        "epochs",
        title,
        f"Median over the final runs (n = {sizes(counts)} per arm); for a single kind, shaded from "
        "the lowest to the highest run, which is no interval of the median.",
        {
            label: [_epochs_panel(inputs, {arm: curves[arm] for arm in arms}, label != "all arms")]
            for label, arms in groups.items()
        },
    )


Curve = tuple[list[int], list[list[float]], int]  # epochs, scores by epoch and run, number of runs


def _over_runs(inputs: FigureInputs, arm: str, name: str, factor: float) -> Curve | None:
    """A row's number over all final runs of an arm, where any has it."""
    runs = [
        {row["epoch"]: factor * row[name] for row in inputs.histories.get(r.key, []) if name in row}
        for r in inputs.finals(arm)
    ]
    runs = [run for run in runs if run]
    if not runs:
        return None
    at = sorted(set().union(*runs))
    return at, [[run[epoch] for run in runs if epoch in run] for epoch in at], len(runs)


def _epochs_panel(inputs: FigureInputs, curves: dict[str, Curve], shaded: bool) -> Panel:
    data = []
    for arm, (at, scores, _) in curves.items():
        if shaded:
            low, high = [min(s) for s in scores], [max(s) for s in scores]
            data.append(band(at, low, high, arm, inputs.styles[arm]))
    for arm, (at, scores, _) in curves.items():
        data.append(line(at, [float(np.median(s)) for s in scores], arm, inputs.styles[arm]))
    layout = {"xaxis": axis("epoch"), "yaxis": axis(f"val {inputs.unit}"), "height": 440}
    return Panel("", data, layout)


def confusion(inputs: FigureInputs) -> Figure:
    """Which classes are taken for which, per arm."""
    views, counts = {}, Counter()
    for arm in inputs.results["arms"]:
        results = [inputs.study_state.trials[r.key].result for r in inputs.finals(arm)]
        found = [r for r in results if r and inputs.epoch in r["held_out"]]
        if found:
            counts[len(found)] += 1
            views[arm] = [_confusion_panel(inputs, arm, found)]
    title = "Confusion matrices"
    if not views:
        return Figure("confusion", title, "Left out: no final run has finished without diverging.")
    return Figure(
        "confusion",
        title,
        f"Share of each class's test examples by predicted class, over all final runs "
        f"(n = {sizes(counts)} per arm), without interval.",
        views,
    )


def _confusion_panel(inputs: FigureInputs, arm: str, found: list[TrialResult]) -> Panel:
    matrix = np.sum([r["held_out"][inputs.epoch]["confusion"] for r in found], axis=0)
    share = 100 * matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))
    classes = [escape(name) for name in found[0]["data"]["classes"]]
    colour = inputs.styles[arm].colour
    positions = list(range(len(classes)))
    ticks: Json = {"showgrid": False, "zeroline": False}
    if len(classes) <= LETTERED_CLASSES:
        ticks |= {"tickvals": positions, "ticktext": classes}
    data = [
        {
            "type": "heatmap",
            "name": arm,
            "z": [rounded(row) for row in share.tolist()],
            "zmin": 0,
            "zmax": 100,
            "xgap": 1,
            "ygap": 1,
            "colorscale": [[0, "#f3f4f5"], [1, colour]],
            "texttemplate": "%{z:.0f}" if len(classes) <= LETTERED_CLASSES else "",
            "hovertemplate": "%{customdata}: %{z:.1f} %<extra></extra>",
            "customdata": [
                [f"{true} taken for {called}" for called in classes] for true in classes
            ],
            "colorbar": {"ticksuffix": " %", "thickness": 12},
        }
    ]
    layout = {
        "xaxis": axis("predicted class", **ticks),
        "yaxis": axis("true class", autorange="reversed", **ticks),
        "height": 460,
    }
    return Panel("", data, layout)
