"""Figures of how the final runs trained, and of what they learned."""

from __future__ import annotations

from collections import Counter
from itertools import zip_longest
from typing import Any

import numpy as np

from pipelines.material import Material, sizes
from pipelines.observation import EDGES
from pipelines.plot import STEPS, Figure, Panel, Style, axis, band, faint, line, plain, rounded
from pipelines.statistics import estimate

Json = dict[str, Any]
WEIGHT_FUNCTION, LEARNED = "learned/weight_function", "learned/"
LARGEST_LOSS = 10.0  # nats; where the weight function's grid ends
LETTERED_CLASSES = 20  # up to as many, cells of a confusion matrix show their numbers


def epochs(material: Material) -> Figure:
    """Validation score per epoch of the final runs, tuned and untuned arms alike."""
    name = f"val/{material.metric}"
    sign = -1 if material.metric == "nll" else 1
    curves = {
        arm: curve
        for arm in material.results["arms"]
        if (curve := _over_runs(material, arm, name, sign * material.factor))
    }
    title = "Validation score by epoch"
    if not curves:
        return Figure("epochs", title, "Left out: no final run has a history of validation scores.")
    counts = Counter(runs for _, _, runs in curves.values())
    groups = {"all arms": list(curves)} | {
        kind: shown
        for kind, arms in material.kinds.items()
        if (shown := [arm for arm in arms if arm in curves])
    }
    return Figure(
        "epochs",
        title,
        f"Median over the final runs (n = {sizes(counts)} per arm); for a single kind, shaded from the "
        "lowest to the highest run, which is no interval of the median.",
        {
            label: [_epochs_panel(material, {arm: curves[arm] for arm in arms}, label != "all arms")]
            for label, arms in groups.items()
        },
    )


Curve = tuple[list[int], list[list[float]], int]  # epochs, scores by epoch and run, number of runs


def _over_runs(material: Material, arm: str, name: str, factor: float) -> Curve | None:
    """A row's number over all final runs of an arm, where any has it."""
    runs = [
        {row["epoch"]: factor * row[name] for row in material.histories.get(r.key, []) if name in row}
        for r in material.finals(arm)
    ]
    runs = [run for run in runs if run]
    if not runs:
        return None
    at = sorted(set().union(*runs))
    return at, [[run[epoch] for run in runs if epoch in run] for epoch in at], len(runs)


def _epochs_panel(material: Material, curves: dict[str, Curve], shaded: bool) -> Panel:
    data = []
    for arm, (at, scores, _) in curves.items():
        if shaded:
            low, high = [min(s) for s in scores], [max(s) for s in scores]
            data.append(band(at, low, high, arm, material.looks[arm]))
    for arm, (at, scores, _) in curves.items():
        data.append(line(at, [float(np.median(s)) for s in scores], arm, material.looks[arm]))
    layout = {"xaxis": axis("epoch"), "yaxis": axis(f"val {material.unit}"), "height": 440}
    return Panel("", data, layout)


def weight_function(material: Material) -> Figure:
    """The learned weight of an example by its loss, over time."""
    views, counts = {}, Counter()
    for arm in material.results["arms"]:
        histories = [
            [row for row in material.histories.get(r.key, []) if WEIGHT_FUNCTION in row]
            for r in material.finals(arm)
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
        f"Weight that the network gives to an example by its loss, at five epochs; median over the final "
        f"runs (n = {sizes(counts)}), without interval.",
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


def weights(material: Material) -> Figure:
    """Who gets weight: clean and corrupted training examples, per arm."""
    panels, counts = [], Counter()
    for arm in material.results["arms"]:
        pairs = material.of_last_rows(
            arm, lambda row: row.get("weights/clean") and (row["weights/clean"], row["weights/corrupted"])
        )
        if pairs:
            counts[len(pairs)] += 1
            panels.append(_weights_panel(material, arm, pairs))
    title = "Weights of clean and of corrupted examples"
    if not panels:
        return Figure(
            "weights", title, "Left out: no final run has weights of examples whose true label is known."
        )
    return Figure(
        "weights",
        title,
        "Share of the training examples by their weight on the gradient of cross-entropy, in units of the "
        f"mean weight, at the last observed epoch of all final runs (n = {sizes(counts)} per arm). "
        "AUROC: chance that a clean example outweighs a corrupted one, with its 95 % interval.",
        {"": panels},
    )


def _weights_panel(material: Material, arm: str, pairs: dict[tuple[int, int], Any]) -> Panel:
    labels = [f"{low:g}–{high:g}" for low, high in zip(EDGES, EDGES[1:], strict=False)]
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
    aurocs = estimate(material.of_last_rows(arm, lambda row: row.get("weights/auroc")))
    auroc = "not available" if not aurocs.n else f"{aurocs.mean:.3f}"
    if np.isfinite(aurocs.low):
        auroc += f" ± {aurocs.high - aurocs.mean:.3f}"
    return Panel(f"{arm}: AUROC {auroc}", data, layout)


def learned(material: Material) -> Figure:
    """Trajectories of learned hyperparameters, beside what tuning selected."""
    panels, counts = [], Counter()
    for arm in material.results["arms"]:
        rows = [row for r in material.finals(arm) for row in material.histories.get(r.key, [])[:1]]
        names = dict.fromkeys(
            n for row in rows for n, v in row.items() if n.startswith(LEARNED) and not isinstance(v, list)
        )
        for name in names:
            panel, runs = _learned_panel(material, arm, name)
            panels.append(panel)
            counts[runs] += 1
    title = "Learned hyperparameters"
    if not panels:
        return Figure("learned", title, "Left out: no arm with a finished run learns a hyperparameter.")
    return Figure(
        "learned",
        title,
        f"Value by epoch in each final run (thin) and their median (thick; n = {sizes(counts)} runs, no "
        "interval); level lines: what the searches of tuned arms with the same loss selected, one per "
        "repeat.",
        {"": panels},
    )


def _learned_panel(material: Material, arm: str, name: str) -> tuple[Panel, int]:
    knob, look = name.removeprefix(LEARNED), material.looks[arm]
    runs = [
        [row[name] for row in material.histories.get(r.key, []) if name in row]
        for r in material.finals(arm)
    ]
    runs = [run for run in runs if run]
    at = list(range(1, max(map(len, runs)) + 1))
    thin = {"color": faint(look.colour, 0.45), "width": 1}
    data = [
        line(at, run, "single run", look, line=thin, legendgroup="single run", showlegend=not i)
        for i, run in enumerate(runs)
    ]
    middle = [float(np.median([v for v in values if v is not None])) for values in zip_longest(*runs)]
    data.append(line(at, middle, "median", look))
    for tuned, values in _selected(material, arm, knob).items():
        for i, value in enumerate(values):
            style = material.looks[tuned]
            data.append(
                line([1, at[-1]], [value] * 2, f"{tuned}, selected", style, showlegend=not i)
            )
    layout = {"xaxis": axis("epoch"), "yaxis": axis(knob), "height": 320}
    return Panel(f"{arm}: {knob}", data, layout), len(runs)


def _selected(material: Material, arm: str, knob: str) -> dict[str, list[float]]:
    """What the searches of arms with the same method selected for a hyperparameter."""
    arms = material.findings.study.arms
    methods = {phase.method for phase in arms[arm].phases}
    return {
        name: [chosen["config"][knob] for chosen in entry["selected"]]
        for name, entry in material.results["arms"].items()
        if knob in entry["space"] and methods & {phase.method for phase in arms[name].phases}
    }


def confusion(material: Material) -> Figure:
    """Which classes are taken for which, per arm."""
    views, counts = {}, Counter()
    for arm in material.results["arms"]:
        results = [material.findings.trials[r.key].result for r in material.finals(arm)]
        found = [r for r in results if r and material.epoch in r["held_out"]]
        if found:
            counts[len(found)] += 1
            views[arm] = [_confusion_panel(material, arm, found)]
    title = "Confusion matrices"
    if not views:
        return Figure("confusion", title, "Left out: no final run has finished without diverging.")
    return Figure(
        "confusion",
        title,
        f"Share of each class's test examples by predicted class, over all final runs (n = {sizes(counts)} "
        "per arm), without interval.",
        views,
    )


def _confusion_panel(material: Material, arm: str, found: list[Json]) -> Panel:
    matrix = np.sum([r["held_out"][material.epoch]["confusion"] for r in found], axis=0)
    share = 100 * matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))
    classes = [plain(name) for name in found[0]["data"]["classes"]]
    colour = material.looks[arm].colour
    places = list(range(len(classes)))
    ticks = {"tickvals": places, "ticktext": classes} if len(classes) <= LETTERED_CLASSES else {}
    data = [
        {
            "type": "heatmap",
            "name": arm,
            "z": [rounded(row) for row in share.tolist()],
            "zmin": 0,
            "zmax": 100,
            "xgap": 1,
            "ygap": 1,
            "colorscale": [[0, faint(colour, 0.04)], [1, colour]],
            "texttemplate": "%{z:.0f}" if len(classes) <= LETTERED_CLASSES else "",
            "hovertemplate": "%{customdata}: %{z:.1f} %<extra></extra>",
            "customdata": [[f"{true} taken for {called}" for called in classes] for true in classes],
            "colorbar": {"ticksuffix": " %", "thickness": 12},
        }
    ]
    layout = {
        "xaxis": axis("predicted class", showgrid=False, **ticks),
        "yaxis": axis("true class", showgrid=False, autorange="reversed", **ticks),
        "height": 460,
    }
    return Panel("", data, layout)
