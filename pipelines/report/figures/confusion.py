"""Which classes are taken for which: the verdict's difference, then each arm's matrix."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from pipelines.analysis.estimate_schema import IntervalJson
from pipelines.analysis.intervals import t_intervals
from pipelines.analysis.runs import Floats
from pipelines.documents import Json
from pipelines.report.figures.inputs import FigureInputs, either
from pipelines.report.figures.plot import (
    GROUND,
    Drawing,
    Panel,
    axis,
    error_bars,
    escape,
    left_out,
    rounded,
)
from pipelines.stored_predictions import confusion_matrix
from pipelines.trial_documents import TrialResult

TITLE = "Confusion of classes"
LETTERED_CLASSES = 20  # up to as many, cells show their numbers
SHOWN_CLASSES = 40  # at most so many; a page with a thousand in every arm could not be opened
MORE, LESS = "#1b6ca8", "#d9713c"
Shares = dict[int, Floats]
"""By repeat the shares [K, K] of each true class by predicted class, mean over run seeds."""


def draw(inputs: FigureInputs) -> Drawing:
    """The difference between the verdict's arms, with each class's recall; one matrix per arm."""
    tested: dict[str, list[TrialResult]] = {}
    for arm in inputs.results["arms"]:
        runs = [inputs.study_state.trials[r.key].result for r in inputs.final_runs(arm)]
        tested[arm] = [run for run in runs if run and inputs.epoch in run["held_out"]]
    tested = {arm: runs for arm, runs in tested.items() if runs}
    if not tested:
        return left_out("no final run has finished without diverging")
    shares = {arm: _shares(inputs, arm) for arm in tested}
    names = next(iter(tested.values()))[0]["data"]["classes"]
    kept = _hardest(shares)
    classes = [escape(names[k]) for k in kept]
    views = {arm: [_matrix(inputs, arm, shares[arm], kept, classes)] for arm in tested}
    ours, theirs = (inputs.results["headline"][side] for side in ("untuned", "tuned"))
    if ours in shares and theirs in shares and shares[ours].keys() & shares[theirs].keys():
        label = f"{ours} minus {theirs}"
        views = {label: _difference(label, shares[ours], shares[theirs], kept, classes)} | views
    left = f" The {len(kept)} of {len(names)} classes with the most errors." * (
        len(kept) < len(names)
    )
    return Drawing(
        "Share of each class's test examples by predicted class, mean over repeats "
        f"(n = {either(map(len, tested.values()))} final runs per arm), without interval; recall "
        "is the share on the diagonal, and its difference has a 95 % interval over repeats "
        f"(from three on), not adjusted for the number of classes.{left}",
        views,
    )


def _shares(inputs: FigureInputs, arm: str) -> Shares:
    by_repeat: dict[int, list[Floats]] = {}
    for record in inputs.final_runs(arm):
        result = inputs.study_state.trials[record.key].result
        if result and inputs.epoch in result["held_out"]:
            matrix = confusion_matrix(result["held_out"][inputs.epoch]["confusion"]).astype(float)
            share = 100 * matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))
            by_repeat.setdefault(record.repeat, []).append(share)
    return {repeat: np.mean(runs, axis=0) for repeat, runs in by_repeat.items()}


def _hardest(shares: Mapping[str, Shares]) -> list[int]:
    """The classes that are shown, in their order: all, or those with the lowest recall."""
    recall = np.mean([np.diag(s) for arm in shares.values() for s in arm.values()], axis=0)
    return sorted(np.argsort(recall, kind="stable")[:SHOWN_CLASSES].tolist())


def _matrix(
    inputs: FigureInputs, arm: str, shares: Shares, kept: list[int], classes: list[str]
) -> Panel:
    """One arm's matrix.

    shares: of the arm. kept: the classes shown, [k] of K. classes: their names.
    """
    share = np.mean(list(shares.values()), axis=0)[np.ix_(kept, kept)]
    colours = [[0, GROUND], [1, inputs.styles[arm].colour]]
    return _heatmap(arm, share, classes, {"zmin": 0, "zmax": 100, "colorscale": colours})


def _difference(
    label: str, ours: Shares, theirs: Shares, kept: list[int], classes: list[str]
) -> list[Panel]:
    """The matrix of differences, and each class's recall.

    label: of the difference. ours, theirs: of the two arms, paired by repeat. kept: the classes
    shown, [k] of K. classes: their names.
    """
    gaps = np.array(
        [ours[repeat] - theirs[repeat] for repeat in sorted(ours.keys() & theirs.keys())]
    )
    mean = gaps.mean(axis=0)[np.ix_(kept, kept)]
    most = max(1.0, float(np.abs(mean).max()))
    colours = [[0, LESS], [0.5, GROUND], [1, MORE]]
    scale = {"zmin": -most, "zmax": most, "colorscale": colours}
    recall = np.diagonal(gaps, axis1=1, axis2=2)[:, kept]
    return [_heatmap(label, mean, classes, scale, "+"), _recall(label, recall, classes)]


def _heatmap(name: str, share: Floats, classes: list[str], scale: Json, sign: str = "") -> Panel:
    """A matrix of shares in %.

    name: of the trace. share: [k, k]. classes: [k]. scale: plotly's, of the colours. sign: `+`
    for differences.
    """
    lettered = len(classes) <= LETTERED_CLASSES
    unit = "points" if sign else "%"
    heatmap = go.Heatmap(
        name=escape(name),
        z=[rounded(row) for row in share.tolist()],
        xgap=1,
        ygap=1,
        text=[[f"{v:{sign}.0f}" if abs(v) >= 0.5 else "" for v in row] for row in share],
        texttemplate="%{text}" if lettered else "",
        hovertemplate=f"%{{customdata}}: %{{z:{sign}.1f}} {unit}<extra></extra>",
        customdata=[[f"{true} taken for {called}" for called in classes] for true in classes],
        colorbar={"ticksuffix": "" if sign else " %", "thickness": 12},
        **scale,
    )
    ticks: Json = {"showgrid": False, "zeroline": False}
    if lettered:
        ticks |= {"tickvals": list(range(len(classes))), "ticktext": classes}
    layout = go.Layout(
        xaxis=axis("predicted class", **ticks),
        yaxis=axis("true class", autorange="reversed", **ticks),
        height=460,
    )
    return Panel([heatmap], layout, name)


def _recall(label: str, gaps: Floats, classes: list[str]) -> Panel:
    """Differences [R, k] of recall in points, with intervals over the repeats."""
    low, high = t_intervals(gaps)
    known = np.isfinite(low)
    estimates: list[IntervalJson] = [
        {
            "mean": float(mean),
            "low": float(a) if ok else None,
            "high": float(b) if ok else None,
            "sd": None,
            "n": len(gaps),
            "repeats": len(gaps),
        }
        for mean, a, b, ok in zip(gaps.mean(axis=0), low, high, known, strict=True)
    ]
    bars = go.Scatter(
        mode="markers",
        name="recall",
        x=rounded(e["mean"] for e in estimates),
        y=classes,
        error_x=error_bars(estimates, 1.0),
        marker={"size": 8, "color": MORE},
        hovertemplate="%{y}: %{x:+.1f} points<extra></extra>",
    )
    layout = go.Layout(
        xaxis=axis("difference of recall, points", zerolinewidth=2),
        yaxis=axis("class", type="category", autorange="reversed", dtick=1),
        height=max(300, 90 + 24 * len(classes)),
    )
    return Panel([bars], layout, f"recall, {label}")
