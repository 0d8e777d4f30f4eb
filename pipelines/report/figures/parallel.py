"""What the searches tried, all hyperparameters of a trial at once: parallel coordinates."""

from __future__ import annotations

import math
from typing import Any

import plotly.graph_objects as go

from pipelines.analysis.record import Range, Record
from pipelines.documents import Json
from pipelines.report.figures.inputs import FigureInputs, either
from pipelines.report.figures.plot import STEPS, Drawing, Panel, escape, left_out, rounded

TITLE = "Configurations side by side"
FIFTHS = ("lowest fifth", "second", "third", "fourth", "highest fifth")


def draw(inputs: FigureInputs) -> Drawing:
    """All hyperparameters of a search trial as one line, coloured by its score."""
    trials = {
        name: inputs.search_trials(name)
        for name, arm in inputs.results["arms"].items()
        if len(arm["space"]) > 1
    }
    completed = {
        name: [r for r in records if r.status == "completed"] for name, records in trials.items()
    }
    completed = {name: records for name, records in completed.items() if records}
    if not completed:
        return left_out("no arm with two or more tuned hyperparameters has a finished trial")
    counts = either(len(trials[name]) for name in completed)
    return Drawing(
        f"One line per finished search trial (n = {counts} per arm), through its hyperparameters "
        "to its validation score, and coloured by fifths of that; single runs, so no interval.",
        {name: [_panel(inputs, name, records)] for name, records in completed.items()},
    )


def _panel(inputs: FigureInputs, arm: str, trials: list[Record]) -> Panel:
    space = inputs.results["arms"][arm]["space"]
    ranked = sorted(trials, key=lambda r: r.val)
    scores = {"low": inputs.factor * ranked[0].val, "high": inputs.factor * ranked[-1].val}
    ranges = {**space, "val": scores}
    lines = [
        [
            *(_height(record.config[knob], space[knob]) for knob in space),
            _height(inputs.factor * record.val, scores),
        ]
        for record in ranked
    ]
    n, steps = len(lines), len(STEPS)
    fifths = [lines[step * n // steps : (step + 1) * n // steps] for step in range(steps)]
    layout = go.Layout(
        xaxis={
            "tickvals": list(range(len(ranges))),
            "ticktext": [escape(name) for name in ranges],
            "range": [-0.2, len(ranges) - 0.8],
        },
        yaxis={"visible": False, "range": [-0.1, 1.1]},
        annotations=[
            note for x, values in enumerate(ranges.values()) for note in _end_labels(x, values)
        ],
        height=380,
    )
    return Panel([_trace(step, fifth) for step, fifth in enumerate(fifths) if fifth], layout)


def _trace(step: int, lines: list[list[float]]) -> go.Scatter:
    """The lines of one fifth of the trials as one trace, with gaps between them."""
    return go.Scatter(
        mode="lines",
        name=FIFTHS[step],
        legendgroup=str(step),
        x=[x for heights in lines for x in (*map(float, range(len(heights))), None)],
        y=rounded(y for heights in lines for y in (*heights, None)),
        hoverinfo="skip",
        line={"color": STEPS[step], "width": 1.5},
        opacity=0.7,
    )


def _height(value: Any, values: Range) -> float:
    """Where a value lies between the ends of its axis, 0 to 1."""
    if "choices" in values:
        return values["choices"].index(value) / max(1, len(values["choices"]) - 1)
    transform = math.log if values.get("log") else float
    low, high = transform(values["low"]), transform(values["high"])
    return (transform(value) - low) / (high - low) if high > low else 0.5


def _end_labels(x: int, values: Range) -> list[Json]:
    """The values at both ends of the axis at `x`."""
    choices = values.get("choices")
    low, high = (choices[0], choices[-1]) if choices else (values["low"], values["high"])
    return [
        {
            "x": x,
            "y": y,
            "yanchor": anchor,
            "text": escape(f"{end:.4g}" if isinstance(end, float) else end),
            "showarrow": False,
        }
        for end, y, anchor in ((low, -0.02, "top"), (high, 1.02, "bottom"))
    ]
