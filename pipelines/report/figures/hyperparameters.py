"""What the searches tried, one hyperparameter at a time; and how much each of them matters."""

from __future__ import annotations

from math import sqrt
from typing import Any

import plotly.graph_objects as go
from scipy.special import ndtri

from pipelines.analysis.intervals import LEVEL
from pipelines.analysis.record import Range, Record
from pipelines.analysis.tunability import MIN_TRIALS_FOR_IMPORTANCE
from pipelines.documents import Json
from pipelines.report.figures.inputs import FigureInputs, either
from pipelines.report.figures.plot import (
    STEPS,
    Drawing,
    Panel,
    axis,
    escape,
    left_out,
    log_axis,
    rounded,
)

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
        f"repeats together; single runs, so no interval over repeats.{_noise_note(inputs)} Star: "
        "the published default. Crosses on the floor: diverged. Importance: each one's share in "
        "reaching the best quarter of the random trials (PED-ANOVA, Watanabe et al. 2023), from "
        f"{MIN_TRIALS_FOR_IMPORTANCE} trials on, for two hyperparameters or more.",
        {name: _panels(inputs, name, records) for name, records in trials.items()},
    )


def _noise_note(inputs: FigureInputs) -> str:
    if inputs.metric != "accuracy":
        return ""
    n = inputs.study_state.study.protocol.splits.val
    return f" Thin bars: how far {n} val examples leave a score uncertain (Wilson, 95 %)."


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
            error_y=None if name == "diverged" else _noise(inputs, records),
        )
        for name, (symbol, size, records) in groups.items()
        if records
    ]
    layout = go.Layout(
        xaxis=_axis_of(knob, space), yaxis=axis(f"val {inputs.score_label}"), height=300
    )
    return Panel(data, layout)


def _noise(inputs: FigureInputs, records: list[Record]) -> Json | None:
    """How far val is off by its few examples alone: Wilson's 95 % interval of a share of n.

    None where val is no share of right answers.
    """
    if inputs.metric != "accuracy":
        return None
    n = inputs.study_state.study.protocol.splits.val
    ends = [wilson(record.val, n) for record in records]
    return {
        "type": "data",
        "symmetric": False,
        "array": rounded(
            inputs.factor * (high - r.val) for r, (_, high) in zip(records, ends, strict=True)
        ),
        "arrayminus": rounded(
            inputs.factor * (r.val - low) for r, (low, _) in zip(records, ends, strict=True)
        ),
        "thickness": 0.7,
        "width": 0,
    }


def wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson's score interval of a binomial share of n, at 95 %; it stays within 0 and 1."""
    z2 = float(ndtri((1 + LEVEL) / 2)) ** 2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = sqrt(z2) / (1 + z2 / n) * sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return centre - half, centre + half


def _axis_of(knob: str, space: Range) -> Json:
    if "choices" in space:
        return axis(knob, type="category")
    return log_axis(knob, space["low"], space["high"]) if space.get("log") else axis(knob)


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
