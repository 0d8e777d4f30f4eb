"""Figures of what the final runs learned: weights of examples, and hyperparameters."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise, zip_longest
from typing import Any

import numpy as np

from pipelines.analysis.intervals import estimate
from pipelines.report.figures.inputs import FigureInputs, sizes
from pipelines.report.figures.plot import STEPS, Figure, Panel, Style, axis, faint, line, rounded
from pipelines.trial_documents import EDGES

Json = dict[str, Any]
WEIGHT_FUNCTION, LEARNED = "learned/weight_function", "learned/"
LARGEST_LOSS = 10.0  # nats; where the weight function's grid ends


def weight_function(inputs: FigureInputs) -> Figure:
    """The learned weight of an example by its loss, over time."""
    views, counts = {}, Counter()
    for arm in inputs.results["arms"]:
        histories = [
            [row for row in inputs.histories.get(r.key, []) if WEIGHT_FUNCTION in row]
            for r in inputs.finals(arm)
        ]
        histories = [rows for rows in histories if rows]
        if histories:
            counts[len(histories)] += 1
            views[arm] = [_weight_function_panel(histories)]
    title = "Learned weight function"
    if not views:
        return Figure("weight-function", title, "Left out: no arm with a finished run learns one.")
    return Figure(
        "weight-function",
        title,
        f"Weight that the network gives to an example by its loss, at five epochs; median over "
        f"the final runs (n = {sizes(counts)}), without interval.",
        views,
    )


def _weight_function_panel(histories: list[list[Json]]) -> Panel:
    shortest = min(map(len, histories))
    data = []
    for step, colour in enumerate(STEPS):
        place = round(step * (shortest - 1) / (len(STEPS) - 1))
        curves = np.array([rows[place][WEIGHT_FUNCTION] for rows in histories], dtype=float)
        losses = np.linspace(0, LARGEST_LOSS, curves.shape[1]).tolist()
        name = f"epoch {histories[0][place]['epoch']}"
        style = Style(colour, "solid", "circle")
        data.append(line(losses, np.median(curves, axis=0).tolist(), name, style))
    layout = {
        "xaxis": axis("cross-entropy of the example, nats"),
        "yaxis": axis("weight", rangemode="tozero"),
        "height": 380,
    }
    return Panel("", data, layout)


def weights(inputs: FigureInputs) -> Figure:
    """Who gets weight: clean and corrupted training examples, per arm."""
    views: dict[str, list[Panel]] = {}
    counts: Counter[int] = Counter()
    kinds = sorted(inputs.kinds, key=lambda kind: not kind.startswith("meta-learned"))
    for kind, arm in ((k, arm) for k in kinds for arm in inputs.kinds[k]):
        pairs = inputs.of_last_rows(
            arm,
            lambda row: (
                row.get("weights/clean") and (row["weights/clean"], row["weights/corrupted"])
            ),
        )
        if pairs:
            counts[len(pairs)] += 1
            aurocs = inputs.of_last_rows(arm, lambda row: row.get("weights/auroc"))
            views.setdefault(kind, []).append(_weights_panel(arm, pairs, aurocs))
    title = "Weights of clean and of corrupted examples"
    if not views:
        return Figure(
            "weights",
            title,
            "Left out: no final run has weights of examples whose true label is known.",
        )
    return Figure(
        "weights",
        title,
        "Share of the training examples by their weight on the gradient of cross-entropy, in units "
        "of the mean weight, at the last observed epoch of all final runs "
        f"(n = {sizes(counts)} per arm). AUROC: chance that a clean example outweighs a corrupted "
        "one, with half its 95 % interval.",
        views,
    )


def _weights_panel(
    arm: str, pairs: dict[tuple[int, int], Any], aurocs: dict[tuple[int, int], float]
) -> Panel:
    labels = [f"{low:g}–{high:g}" for low, high in pairwise(EDGES)]
    labels.append(f"≥ {EDGES[-1]:g}")
    data = []
    for name, place, colour in (("clean", 0, "#12a37a"), ("corrupted", 1, "#dd6b1f")):
        counts = np.sum([pair[place] for pair in pairs.values()], axis=0)
        data.append(
            {
                "type": "bar",
                "name": name,
                "legendgroup": name,
                "x": labels,
                "y": rounded((100 * counts / max(1, counts.sum())).tolist()),
                "marker": {"color": colour, "pattern": {"shape": "/" if place else ""}},
                "hovertemplate": f"{name}, weight %{{x}}: %{{y:.1f}} %<extra></extra>",
            }
        )
    layout = {
        "xaxis": axis("weight / mean weight", type="category"),
        "yaxis": axis("% of examples", rangemode="tozero"),
        "barmode": "group",
        "height": 270,
    }
    found = estimate(aurocs)
    auroc = f"{found.mean:.3f}" if found.n else "not available"
    if np.isfinite(found.low):
        auroc += f" ± {found.high - found.mean:.3f}"
    return Panel(f"{arm}: AUROC {auroc}", data, layout)


def learned(inputs: FigureInputs) -> Figure:
    """Trajectories of learned hyperparameters, beside what tuning selected."""
    panels, counts = [], Counter()
    for arm in inputs.results["arms"]:
        rows = [row for r in inputs.finals(arm) for row in inputs.histories.get(r.key, [])[:1]]
        names = dict.fromkeys(
            n
            for row in rows
            for n, v in row.items()
            if n.startswith(LEARNED) and not isinstance(v, list)
        )
        for name in names:
            panel, runs = _learned_panel(inputs, arm, name)
            panels.append(panel)
            counts[runs] += 1
    title = "Learned hyperparameters"
    if not panels:
        return Figure(
            "learned", title, "Left out: no arm with a finished run learns a hyperparameter."
        )
    return Figure(
        "learned",
        title,
        f"Value by epoch in each final run (thin) and their median (thick; n = {sizes(counts)} "
        "runs, no interval); level lines: what the searches of tuned arms with the same loss "
        "selected, one per repeat.",
        {"": panels},
    )


def _learned_panel(inputs: FigureInputs, arm: str, name: str) -> tuple[Panel, int]:
    knob, style = name.removeprefix(LEARNED), inputs.styles[arm]
    runs = [
        [row[name] for row in inputs.histories.get(r.key, []) if name in row]
        for r in inputs.finals(arm)
    ]
    runs = [run for run in runs if run]
    at = list(range(1, max(map(len, runs)) + 1))
    thin = {"color": faint(style.colour, 0.45), "width": 1}
    data = [
        line(at, run, "single run", style, line=thin, legendgroup="single run", showlegend=not i)
        for i, run in enumerate(runs)
    ]
    middle = [
        float(np.median([v for v in values if v is not None])) for values in zip_longest(*runs)
    ]
    data.append(line(at, middle, "median", style))
    for tuned, values in _selected(inputs, arm, knob).items():
        for i, value in enumerate(values):
            style = inputs.styles[tuned]
            data.append(
                line([1, at[-1]], [value] * 2, f"{tuned}, selected", style, showlegend=not i)
            )
    layout = {"xaxis": axis("epoch"), "yaxis": axis(knob), "height": 320}
    return Panel(f"{arm}: {knob}", data, layout), len(runs)


def _selected(inputs: FigureInputs, arm: str, knob: str) -> dict[str, list[float]]:
    """What the searches of arms with the same method selected for a hyperparameter."""
    arms = inputs.study_state.study.arms
    methods = {phase.method for phase in arms[arm].phases}
    return {
        name: [chosen["config"][knob] for chosen in entry["selected"]]
        for name, entry in inputs.results["arms"].items()
        if knob in entry["space"] and methods & {phase.method for phase in arms[name].phases}
    }
