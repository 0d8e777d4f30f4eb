"""Figures of what the searches tried."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pipelines.analysis.record import Record
from pipelines.analysis.tunability import MIN_TRIALS_FOR_IMPORTANCE
from pipelines.report.figures.inputs import FigureInputs
from pipelines.report.figures.plot import STEPS, Figure, Panel, axis, escape, rounded

Json = dict[str, Any]


def hyperparameters(inputs: FigureInputs) -> Figure:
    """Every tuned hyperparameter against val, per arm."""
    views = {
        name: [*(_scatter(inputs, name, knob, found) for knob in arm["space"]), *_shares(arm)]
        for name, arm in inputs.results["arms"].items()
        if arm["tuned"] and (found := _finished(inputs, name))
    }
    title = "Hyperparameters and validation score"
    if not views:
        return Figure("hyperparameters", title, "Left out: no trial of a search has finished.")
    return Figure(
        "hyperparameters",
        title,
        f"One point per search trial ({_trials(inputs, views)}), all repeats together; single "
        "runs, so no interval. Star: the published default. Crosses on the floor: diverged. Bars: "
        "each one's share in reaching the best quarter of the random trials (PED-ANOVA, Watanabe "
        f"et al. 2023), from {MIN_TRIALS_FOR_IMPORTANCE} trials on, for two hyperparameters or "
        "more.",
        views,
    )


def _shares(arm: Json) -> list[Panel]:
    """How much each hyperparameter matters, where enough trials tell."""
    if not (shares := arm["importance"]):
        return []
    ranked = sorted(shares, key=lambda knob: shares[knob])
    data = [
        {
            "type": "bar",
            "orientation": "h",
            "name": "importance",
            "x": rounded(100 * shares[knob] for knob in ranked),
            "y": [escape(knob) for knob in ranked],
            "marker": {"color": STEPS[1]},
            "hovertemplate": "%{y}: %{x:.0f} %<extra></extra>",
        }
    ]
    layout = {
        "xaxis": axis("importance, %", range=[0, 100]),
        "yaxis": {"automargin": True},
        "height": 90 + 40 * len(ranked),
    }
    return [Panel("Importance", data, layout)]


def _finished(inputs: FigureInputs, arm: str) -> list[Record]:
    return [r for r in inputs.runs[arm].in_role("search") if r.status != "failed"]


def _trials(inputs: FigureInputs, arms: Any) -> str:
    counts = {len(_finished(inputs, arm)) for arm in arms}
    return f"n = {' or '.join(map(str, sorted(counts)))} per arm"


def _scatter(inputs: FigureInputs, arm: str, knob: str, found: list[Record]) -> Panel:
    space = inputs.results["arms"][arm]["space"][knob]
    scores = [inputs.factor * r.val for r in found if r.status == "completed"]
    floor = min(scores, default=0.0)
    colour = inputs.styles[arm].colour
    groups = {
        "random trial": ("circle", 7, [r for r in found if r.status == "completed" and r.index]),
        "default": ("star", 13, [r for r in found if r.status == "completed" and not r.index]),
        "diverged": ("x", 8, [r for r in found if r.status == "diverged"]),
    }
    data = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": name,
            "legendgroup": name,
            "x": rounded(_shown(r.config[knob], space) for r in records),
            "y": rounded(floor if name == "diverged" else inputs.factor * r.val for r in records),
            "text": [f"repeat {r.repeat}, trial {r.index}" for r in records],
            "hovertemplate": "%{text}<br>%{x}: %{y}<extra></extra>",
            "marker": {"symbol": symbol, "size": size, "color": colour, "opacity": 0.75},
        }
        for name, (symbol, size, records) in groups.items()
        if records
    ]
    scale = {"type": "log", "dtick": "D2"} if space.get("log") else {}
    if "choices" in space:
        scale = {"type": "category"}
    layout = {
        "xaxis": axis(knob, **scale),
        "yaxis": axis(f"val {inputs.unit}"),
        "height": 300,
    }
    return Panel("", data, layout)


def _shown(value: Any, space: Json) -> Any:
    return escape(value) if "choices" in space else value


def parallel(inputs: FigureInputs) -> Figure:
    """All hyperparameters of a search trial as one line, coloured by its score."""
    views = {
        name: [_parallel_panel(inputs, name, found)]
        for name, arm in inputs.results["arms"].items()
        if len(arm["space"]) > 1
        and (found := [r for r in _finished(inputs, name) if r.status == "completed"])
    }
    title = "Configurations side by side"
    if not views:
        return Figure(
            "parallel",
            title,
            "Left out: no arm with two or more tuned hyperparameters has a finished trial.",
        )
    return Figure(
        "parallel",
        title,
        f"One line per finished search trial ({_trials(inputs, views)}), through its "
        "hyperparameters to its validation score, and coloured by fifths of that; single runs, "
        "so no interval.",
        views,
    )


def _parallel_panel(inputs: FigureInputs, arm: str, found: list[Record]) -> Panel:
    space = inputs.results["arms"][arm]["space"]
    ranked = sorted(found, key=lambda r: r.val)
    scores = [inputs.factor * r.val for r in ranked]
    goal = {"low": scores[0], "high": scores[-1]}
    axes = [*space.items(), ("val", goal)]
    data = []
    for step, colour in enumerate(STEPS):
        part = ranked[step * len(ranked) // 5 : (step + 1) * len(ranked) // 5]
        x: list[float | None] = []
        y: list[float | None] = []
        for record in part:
            values = [*(record.config[knob] for knob in space), inputs.factor * record.val]
            x += [*map(float, range(len(axes))), None]
            y += [*(_height(v, s) for v, (_, s) in zip(values, axes, strict=True)), None]
        if part:
            data.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "name": _step_name(step),
                    "legendgroup": str(step),
                    "x": x,
                    "y": rounded(y),
                    "hoverinfo": "skip",
                    "line": {"color": colour, "width": 1.5},
                    "opacity": 0.7,
                }
            )
    layout = {
        "xaxis": {
            "tickvals": list(range(len(axes))),
            "ticktext": [escape(name) for name, _ in axes],
            "range": [-0.2, len(axes) - 0.8],
        },
        "yaxis": {"visible": False, "range": [-0.1, 1.1]},
        "annotations": [note for i, (_, s) in enumerate(axes) for note in _ends(i, s)],
        "height": 380,
    }
    return Panel("", data, layout)


def _step_name(step: int) -> str:
    return ("lowest fifth", "second", "third", "fourth", "highest fifth")[step]


def _height(value: Any, space: Json) -> float:
    """Where a value lies between the ends of its axis, 0 to 1."""
    if "choices" in space:
        return space["choices"].index(value) / max(1, len(space["choices"]) - 1)
    bend = math.log if space.get("log") else float
    low, high = bend(space["low"]), bend(space["high"])
    return (bend(value) - low) / (high - low) if high > low else 0.5


def _ends(place: int, space: Json) -> list[Json]:
    """The values at the ends of an axis."""
    ends: Sequence[Any] = (
        (space["choices"][0], space["choices"][-1])
        if "choices" in space
        else (space["low"], space["high"])
    )
    return [
        {
            "x": place,
            "y": y,
            "yanchor": anchor,
            "text": escape(f"{end:.4g}" if isinstance(end, float) else end),
            "showarrow": False,
        }
        for end, y, anchor in zip(ends, (-0.02, 1.02), ("top", "bottom"), strict=True)
    ]
