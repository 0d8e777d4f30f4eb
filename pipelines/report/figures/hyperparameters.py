"""What the searches tried, one hyperparameter at a time; and how much each of them matters."""

from __future__ import annotations

from math import sqrt
from typing import Any

import plotly.graph_objects as go
from scipy.special import ndtri

from pipelines.analysis.intervals import LEVEL
from pipelines.analysis.record import Range, Record
from pipelines.analysis.results_schema import KnobGain
from pipelines.analysis.surrogate import Dependence, partial_dependence
from pipelines.analysis.tunability import MIN_TRIALS_FOR_IMPORTANCE
from pipelines.documents import Json
from pipelines.report.figures.inputs import FigureInputs, either
from pipelines.report.figures.plot import (
    STEPS,
    Drawing,
    Panel,
    axis,
    band,
    error_bars,
    escape,
    left_out,
    line,
    log_axis,
    rounded,
    scaled,
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
        "the published default. Diamonds: configurations that a search began with. Crosses on the "
        "floor: diverged. From "
        f"{MIN_TRIALS_FOR_IMPORTANCE} random trials on, where none was stopped early: the line is "
        "what a forest that is fitted to them expects along one hyperparameter, the others as they "
        "were tried (partial dependence); 95 % of its trees, each of other trials, lie in the "
        "band. Importance, for two hyperparameters or more: each one's share in reaching the best "
        "quarter of the trials (PED-ANOVA, Watanabe et al. 2023), and in the variance of val over "
        "the whole space (fANOVA, Hutter et al. 2014). From the default to what was selected: what "
        "the forest expects each to add to val, one after the other, the best step first "
        "(ablation, Fawcett & Hoos 2016); 95 % intervals over repeats.",
        {name: _panels(inputs, name, records) for name, records in trials.items()},
    )


def _noise_note(inputs: FigureInputs) -> str:
    if inputs.metric != "accuracy":
        return ""
    n = inputs.study_state.study.protocol.splits.val
    return f" Thin bars: how far {n} val examples leave a score uncertain (Wilson, 95 %)."


def _panels(inputs: FigureInputs, arm: str, trials: list[Record]) -> list[Panel]:
    """One per hyperparameter; then what each is worth, where enough trials tell."""
    entry = inputs.results["arms"][arm]
    # Of trials that a rule let run to their ends nothing is learned about the space.
    given = entry.get("warm_start", 0)
    whole = [] if "stopping" in entry else inputs.runs[arm].random_trials(given)
    curves = partial_dependence(whole, entry["space"])
    panels = [_scatter(inputs, arm, knob, trials, curves.get(knob)) for knob in entry["space"]]
    shares = {
        "best quarter (PED-ANOVA)": entry.get("importance"),
        "variance (fANOVA)": entry.get("variance_shares"),
    }
    known = {name: share for name, share in shares.items() if share}
    if known:
        panels.append(_importance(known))
    if path := entry.get("ablation"):
        panels.append(_ablation(inputs, arm, path))
    return panels


def _scatter(
    inputs: FigureInputs, arm: str, knob: str, trials: list[Record], curve: Dependence | None
) -> Panel:
    """Val against one hyperparameter.

    knob: its name in the arm's search space. curve: what a forest makes of the trials.
    trials: of the arm's searches; diverged ones are drawn as low as the lowest that is not.
    """
    entry = inputs.results["arms"][arm]
    space, given = entry["space"][knob], entry.get("warm_start", 0)
    completed = [r for r in trials if r.status == "completed"]
    diverged = [r for r in trials if r.status == "diverged"]
    floor = min((inputs.factor * r.val for r in completed), default=0.0)
    groups = {
        "random trial": ("circle", 7, [r for r in completed if r.index > given]),
        "given": ("diamond", 9, [r for r in completed if 0 < r.index <= given]),
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
    if curve is not None:
        data = [*_dependence(inputs, arm, curve, space), *data]
    layout = go.Layout(
        xaxis=_axis_of(knob, space), yaxis=axis(f"val {inputs.score_label}"), height=300
    )
    return Panel(data, layout)


def _dependence(
    inputs: FigureInputs, arm: str, curve: Dependence, space: Range
) -> list[go.Scatter]:
    """The forest's curve with the band of its trees."""
    x = [_on_axis(value, space) for value in curve.values]
    mean, low, high = ([inputs.factor * v for v in side] for side in curve[1:])
    style, name = inputs.styles[arm], "expected"
    return [band(x, low, high, name, style), line(x, mean, name, style, showlegend=True)]


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


def _importance(shares: dict[str, dict[str, float]]) -> Panel:
    """How much each hyperparameter matters, by each measure; the most important one on top."""
    first, *_ = shares.values()
    rising = sorted(first, key=lambda knob: first[knob])  # plotly draws from below
    bars = [
        go.Bar(
            orientation="h",
            name=name,
            x=rounded(100 * share[knob] for knob in rising),
            y=[escape(knob) for knob in rising],
            marker={"color": colour},
            hovertemplate="%{y}: %{x:.0f} %<extra></extra>",
        )
        for (name, share), colour in zip(shares.items(), (STEPS[1], STEPS[3]), strict=False)
    ]
    layout = go.Layout(
        xaxis=axis("importance, %", range=[0, 100]),
        yaxis={"automargin": True},
        height=160 + 50 * len(rising),
        barmode="group",
    )
    return Panel(bars, layout, "Importance")


def _ablation(inputs: FigureInputs, arm: str, path: list[KnobGain]) -> Panel:
    """What each hyperparameter adds to val between the default and what was selected."""
    rising = path[::-1]  # plotly draws from below
    bars = error_bars((step["gain"] for step in rising), inputs.factor)
    bar = go.Bar(
        orientation="h",
        x=rounded(scaled(step["gain"]["mean"], inputs.factor) for step in rising),
        y=[escape(step["knob"]) for step in rising],
        error_x=bars,
        marker={"color": inputs.styles[arm].colour},
        showlegend=False,
    )
    layout = go.Layout(
        xaxis=axis(f"added to val {inputs.score_label}"),
        yaxis={"automargin": True},
        height=130 + 35 * len(rising),
    )
    return Panel([bar], layout, "From the default to what was selected")
