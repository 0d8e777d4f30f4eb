"""Trajectories of learned hyperparameters, beside what tuning selected."""

from __future__ import annotations

from itertools import zip_longest
from math import log10

import numpy as np
import plotly.graph_objects as go

from pipelines.documents import Json
from pipelines.report.figures.inputs import FigureInputs, either
from pipelines.report.figures.plot import Drawing, Panel, axis, faint, left_out, line, log_axis

TITLE = "Learned hyperparameters"
LEARNED = "learned/"  # starts the names of what a method learned, in a row


def draw(inputs: FigureInputs) -> Drawing:
    """One panel per learned number of each arm."""
    runs = {
        (arm, name): [[row[name] for row in rows] for rows in inputs.rows_with(arm, name)]
        for arm in inputs.results["arms"]
        for name in _learned_numbers(inputs, arm)
    }
    if not runs:
        return left_out("no arm with a finished run learns a hyperparameter")
    panels = [_panel(inputs, arm, name, values) for (arm, name), values in runs.items()]
    return Drawing(
        "Value by epoch in each final run (thin) and their median (thick; "
        f"n = {either(map(len, runs.values()))} runs, no interval); level lines: what the "
        "searches of tuned arms with the same loss selected, one per repeat. The axis spans the "
        "space that these search.",
        {"": panels},
    )


def _learned_numbers(inputs: FigureInputs, arm: str) -> list[str]:
    """Names in a run's first row; a list of numbers, such as a weight function, is none."""
    first = [row for r in inputs.final_runs(arm) for row in inputs.histories.get(r.key, [])[:1]]
    names = dict.fromkeys(
        name
        for row in first
        for name, value in row.items()
        if name.startswith(LEARNED) and not isinstance(value, list)
    )
    return list(names)


def _panel(inputs: FigureInputs, arm: str, name: str, runs: list[list[float]]) -> Panel:
    """One learned number.

    name: of the number, in a row.
    runs: its values by epoch, of each final run.
    """
    knob, style = name.removeprefix(LEARNED), inputs.styles[arm]
    epochs = list(range(1, max(map(len, runs)) + 1))
    thin = {"color": faint(style.colour, 0.45), "width": 1}
    data = [
        line(epochs, run, "single run", style, line=thin, showlegend=not i)
        for i, run in enumerate(runs)
    ]
    median = [
        float(np.median([v for v in values if v is not None])) for values in zip_longest(*runs)
    ]
    data.append(line(epochs, median, "median", style))
    for tuned, values in _selected(inputs, arm, knob).items():
        data += [
            line(
                [1, epochs[-1]],
                [value] * 2,
                f"{tuned}, selected",
                inputs.styles[tuned],
                showlegend=not i,
            )
            for i, value in enumerate(values)
        ]
    layout = go.Layout(xaxis=axis("epoch"), yaxis=_axis_of_space(inputs, arm, knob), height=320)
    return Panel(data, layout, f"{arm}: {knob}")


def _axis_of_space(inputs: FigureInputs, arm: str, knob: str) -> Json:
    """The whole range that searches draw the hyperparameter from, as they draw it.

    Only so is it seen whether learning goes far, or stays where it began.
    """
    for name in _arms_alike(inputs, arm):
        space = inputs.results["arms"][name]["space"].get(knob, {})
        if "low" in space:
            ends = [space["low"], space["high"]]
            if space.get("log"):
                return log_axis(knob, *ends, range=[log10(end) for end in ends])
            return axis(knob, range=ends)
    return axis(knob)


def _selected(inputs: FigureInputs, arm: str, knob: str) -> dict[str, list[float]]:
    """What the searches of arms with the same method selected for a hyperparameter."""
    entries = {name: inputs.results["arms"][name] for name in _arms_alike(inputs, arm)}
    return {
        name: [chosen["config"][knob] for chosen in entry["selected"]]
        for name, entry in entries.items()
        if "selected" in entry and knob in entry["space"]
    }


def _arms_alike(inputs: FigureInputs, arm: str) -> list[str]:
    """The arms that use a method of this one."""
    arms = inputs.study_state.study.arms
    methods = {phase.method for phase in arms[arm].phases}
    return [
        name
        for name in inputs.results["arms"]
        if methods & {phase.method for phase in arms[name].phases}
    ]
