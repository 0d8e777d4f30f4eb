"""Is "tuning-free" true: what an arm loses when one of its own knobs is moved."""

from __future__ import annotations

import plotly.graph_objects as go

from pipelines.analysis.results_schema import EstimateJson, Sensitivity
from pipelines.documents import Json
from pipelines.report.figures.inputs import FigureInputs, sample_sizes
from pipelines.report.figures.plot import (
    Drawing,
    Panel,
    axis,
    error_bars,
    escape,
    left_out,
    line,
    scaled,
)
from pipelines.report.tables import number

TITLE = "Sensitivity to an arm's own knobs"
TICKS = {0.25: "1/4", 0.5: "1/2", 1.0: "1", 2.0: "2", 4.0: "4"}


def draw(inputs: FigureInputs) -> Drawing:
    """Test score against the factor on each knob, per arm; and the range of all of them."""
    arms = {name: arm["sensitivity"] for name, arm in inputs.results["arms"].items()}
    arms = {name: knobs for name, knobs in arms.items() if knobs}
    if not arms:
        asked = inputs.study_state.study.request.sensitivity
        return left_out(
            "no sensitivity run has finished" if asked else "the study asks for no sensitivity runs"
        )
    views = {"worst cases": [_worst_cases(inputs, arms)]} | {
        name: _panels(inputs, name, knobs) for name, knobs in arms.items()
    }
    tests = (moved["test"] for knobs in arms.values() for k in knobs for moved in k["values"])
    return Drawing(
        "Test score with one knob moved and all else as published, nothing tuned anew: per arm "
        f"against the factor on the knob ({sample_sizes(tests)} for each, with 95 % intervals), "
        "and, as worst cases, from the lowest to the highest of these means, without interval. "
        "Star: the arm's reference, no knob moved. Cross: at least one run diverged. Spread: "
        "highest minus lowest mean. Gain: what tuning that knob alone is worth, chosen on other "
        "repeats.",
        views,
    )


def _reference(inputs: FigureInputs, arm: str) -> EstimateJson:
    """The runs with no knob moved: of the published default, which untuned arms always run."""
    entry = inputs.results["arms"][arm]
    return entry.get("default", entry)["test"][inputs.epoch]


def _worst_cases(inputs: FigureInputs, arms: dict[str, list[Sensitivity]]) -> Panel:
    """One bar per knob of every arm, from its lowest to its highest mean."""
    data: list[go.Scatter] = []
    labels: list[str] = []
    for arm, knobs in arms.items():
        style, mean = inputs.styles[arm], _reference(inputs, arm)["mean"]
        known = [
            (k["knob"], worst, worst + spread)
            for k in knobs
            if (worst := k["worst"]) is not None and (spread := k["spread"]) is not None
        ]
        names = [f"{escape(arm)}<br>{escape(knob)}" for knob, *_ in known]  # short, for phones
        labels += names
        spans = [[inputs.factor * end for end in ends] for _, *ends in known]
        data.append(
            line(
                [end for span in spans for end in (*span, None)],
                [label for name in names for label in (name, name, None)],
                arm,
                style,
                line={"color": style.colour, "width": 5},
            )
        )
        if mean is not None:
            star = {"symbol": "star", "size": 13, "color": style.colour}
            means = [inputs.factor * mean] * len(names)
            data.append(line(means, names, arm, style, mode="markers", marker=star))
    layout = go.Layout(
        xaxis=axis(f"test {inputs.score_label}"),
        yaxis={"categoryorder": "array", "categoryarray": labels[::-1], "automargin": True},
        height=90 + 38 * len(labels),
    )
    return Panel(data, layout)


def _panels(inputs: FigureInputs, arm: str, knobs: list[Sensitivity]) -> list[Panel]:
    """One panel per knob, on one scale, so that a flat curve is seen to be flat."""
    reference = _reference(inputs, arm)
    scores = [
        inputs.factor * score
        for test in (reference, *(moved["test"] for k in knobs for moved in k["values"]))
        for score in (test["mean"], test["low"], test["high"])
        if score is not None
    ]
    scale = {}
    if scores:
        room = 0.05 * (max(scores) - min(scores)) or 1.0
        scale = {"range": [min(scores) - room, max(scores) + room]}
    return [_panel(inputs, arm, reference, knob, scale) for knob in knobs]


def _panel(
    inputs: FigureInputs, arm: str, reference: EstimateJson, knob: Sensitivity, scale: Json
) -> Panel:
    """Test score against the factor on one knob.

    reference: the test estimate with no knob moved.
    knob: an entry of the arm's `sensitivity`.
    scale: of the score's axis.
    """
    style = inputs.styles[arm]
    points = [(1.0, reference, "star", "reference")]
    for moved in knob["values"]:
        if moved["factor"] is None:
            continue
        lost = f", {moved['diverged']} diverged" if moved["diverged"] else ""
        symbol = "x" if lost else "circle"
        points.append((moved["factor"], moved["test"], symbol, f"{moved['value']:.4g}{lost}"))
    points.sort(key=lambda point: point[0])
    factors, tests, symbols, texts = zip(*points, strict=True)
    curve = line(
        factors,
        [scaled(test["mean"], inputs.factor) for test in tests],
        arm,
        style,
        mode="lines+markers",
        error_y=error_bars(tests, inputs.factor),
        marker={
            "symbol": symbols,
            "size": [13 if symbol == "star" else 8 for symbol in symbols],
            "color": style.colour,
        },
        text=[escape(text) for text in texts],
        hovertemplate="%{text}: %{y}<extra></extra>",
    )
    layout = go.Layout(
        xaxis=axis(
            f"factor on {knob['knob']}", type="log", tickvals=[*TICKS], ticktext=[*TICKS.values()]
        ),
        yaxis=axis(f"test {inputs.score_label}", **scale),
        height=300,
    )
    return Panel([curve], layout, f"{knob['knob']}: {_in_words(inputs, knob)}")


def _in_words(inputs: FigureInputs, knob: Sensitivity) -> str:
    metric = inputs.metric
    worst, spread = number(metric, knob["worst"]), number(metric, knob["spread"])
    return f"worst {worst}, spread {spread}, gain {number(metric, knob['gain'], '+')}"
