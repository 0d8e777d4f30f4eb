"""What the searches tried, one hyperparameter at a time; and how much each of them matters."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from pipelines.analysis.record import Range, Record
from pipelines.analysis.tunability import MIN_TRIALS_FOR_IMPORTANCE
from pipelines.documents import Json
from pipelines.report.figures.inputs import FigureInputs, either
from pipelines.report.figures.plot import STEPS, Drawing, Panel, axis, escape, left_out, rounded

TITLE = "Hyperparameters and validation score"


def draw(inputs: FigureInputs) -> Drawing:
    """Every tuned hyperparameter against val, per arm."""
    trials = {
        name: inputs.search_trials(name)
        for name, arm in inputs.results["arms"].items()
        if arm["tuned"]
    }
    trials = {name: records for name, records in trials.items() if records}
    if not trials:
        return left_out("no trial of a search has finished")
    return Drawing(
        f"One point per search trial (n = {either(map(len, trials.values()))} per arm), all "
        "repeats together; single runs, so no interval. Star: the published default. Crosses on "
        "the floor: diverged. Bars: each one's share in reaching the best quarter of the random "
        f"trials (PED-ANOVA, Watanabe et al. 2023), from {MIN_TRIALS_FOR_IMPORTANCE} trials on, "
        "for two hyperparameters or more.",
        {name: _panels(inputs, name, records) for name, records in trials.items()},
    )


def _panels(inputs: FigureInputs, arm: str, trials: list[Record]) -> list[Panel]:
    """One per hyperparameter; then their importance, where enough trials tell."""
    entry = inputs.results["arms"][arm]
    panels = [_scatter(inputs, arm, knob, trials) for knob in entry["space"]]
    importance = entry.get("importance")
    return [*panels, _importance(importance)] if importance else panels


def _scatter(inputs: FigureInputs, arm: str, knob: str, trials: list[Record]) -> Panel:
    """Val against one hyperparameter.

    knob: its name in the arm's search space.
    trials: of the arm's searches; diverged ones are drawn as low as the lowest that is not.
    """
    space = inputs.results["arms"][arm]["space"][knob]
    completed = [r for r in trials if r.status == "completed"]
    diverged = [r for r in trials if r.status == "diverged"]
    floor = min((inputs.factor * r.val for r in completed), default=0.0)
    groups = {
        "random trial": ("circle", 7, [r for r in completed if r.index]),
        "default": ("star", 13, [r for r in completed if not r.index]),
        "diverged": ("x", 8, diverged),
    }
    data = [
        go.Scatter(
            mode="markers",
            name=name,
            legendgroup=name,
            x=rounded(_on_axis(r.config[knob], space) for r in records),
            y=rounded(floor if name == "diverged" else inputs.factor * r.val for r in records),
            text=[f"repeat {r.repeat}, trial {r.index}" for r in records],
            hovertemplate="%{text}<br>%{x}: %{y}<extra></extra>",
            marker={
                "symbol": symbol,
                "size": size,
                "color": inputs.styles[arm].colour,
                "opacity": 0.75,
            },
        )
        for name, (symbol, size, records) in groups.items()
        if records
    ]
    layout = go.Layout(
        xaxis=axis(knob, **_axis_type(space)), yaxis=axis(f"val {inputs.score_label}"), height=300
    )
    return Panel(data, layout)


def _axis_type(space: Range) -> Json:
    if "choices" in space:
        return {"type": "category"}
    return {"type": "log", "dtick": "D2"} if space.get("log") else {}


def _on_axis(value: Any, space: Range) -> Any:
    return escape(value) if "choices" in space else value


def _importance(shares: dict[str, float]) -> Panel:
    """How much each hyperparameter matters, the most important one on top."""
    rising = sorted(shares, key=lambda knob: shares[knob])  # plotly draws from below
    bars = go.Bar(
        orientation="h",
        name="importance",
        x=rounded(100 * shares[knob] for knob in rising),
        y=[escape(knob) for knob in rising],
        marker={"color": STEPS[1]},
        hovertemplate="%{y}: %{x:.0f} %<extra></extra>",
    )
    layout = go.Layout(
        xaxis=axis("importance, %", range=[0, 100]),
        yaxis={"automargin": True},
        height=90 + 40 * len(rising),
    )
    return Panel([bars], layout, "Importance")
