"""Is "tuning-free" true: what an arm loses when one of its own knobs is moved."""

from __future__ import annotations

from typing import Any

from pipelines.report.figures.inputs import FigureInputs, counts
from pipelines.report.figures.plot import Figure, Panel, axis, escape, intervals, line
from pipelines.report.tables import number

Json = dict[str, Any]
TICKS = {0.25: "1/4", 0.5: "1/2", 1.0: "1", 2.0: "2", 4.0: "4"}


def sensitivity(inputs: FigureInputs) -> Figure:
    """Test score against the factor on each knob, per arm; and the range of all of them."""
    arms = {name: arm["sensitivity"] for name, arm in inputs.results["arms"].items()}
    arms = {name: knobs for name, knobs in arms.items() if knobs}
    title = "Sensitivity to an arm's own knobs"
    if not arms:
        why = (
            "no sensitivity run has finished"
            if inputs.study_state.study.request.sensitivity
            else "the study asks for no sensitivity runs"
        )
        return Figure("sensitivity", title, f"Left out: {why}.")
    views = {"worst cases": [_ranges(inputs, arms)]} | {
        name: _panels(inputs, name, knobs) for name, knobs in arms.items()
    }
    tests = (tried["test"] for knobs in arms.values() for k in knobs for tried in k["values"])
    return Figure(
        "sensitivity",
        title,
        "Test score with one knob moved and all else as published, nothing tuned anew: per arm "
        f"against the factor on the knob ({counts(tests)} for each, with 95 % intervals), and, as "
        "worst cases, from the lowest to the highest of these means, without interval. Star: the "
        "arm's reference, no knob moved. Cross: at least one run diverged. Spread: highest minus "
        "lowest mean. Gain: what tuning that knob alone is worth, chosen on other repeats.",
        views,
    )


def _reference(inputs: FigureInputs, arm: str) -> Json:
    """The runs with no knob moved: of the published default, which untuned arms always run."""
    entry = inputs.results["arms"][arm]
    return (entry["default"] if entry["tuned"] else entry)["test"][inputs.epoch]


def _ranges(inputs: FigureInputs, arms: dict[str, list[Json]]) -> Panel:
    data: list[Json] = []
    labels: list[str] = []
    for arm, knobs in arms.items():
        style, mean = inputs.styles[arm], _reference(inputs, arm)["mean"]
        known = [k for k in knobs if k["worst"] is not None]
        names = [f"{escape(arm)}<br>{escape(k['knob'])}" for k in known]  # short enough for phones
        labels += names
        spans = [
            [inputs.factor * end for end in (k["worst"], k["worst"] + k["spread"])] for k in known
        ]
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
            points = line([inputs.factor * mean] * len(names), names, arm, style, mode="markers")
            data.append(points | {"marker": {"symbol": "star", "size": 13, "color": style.colour}})
    layout = {
        "xaxis": axis(f"test {inputs.unit}"),
        "yaxis": {"categoryorder": "array", "categoryarray": labels[::-1], "automargin": True},
        "height": 90 + 38 * len(labels),
    }
    return Panel("", data, layout)


def _panels(inputs: FigureInputs, arm: str, knobs: list[Json]) -> list[Panel]:
    """One panel per knob, on one scale, so that a flat curve is seen to be flat."""
    reference = _reference(inputs, arm)
    scores = [
        inputs.factor * score
        for test in (reference, *(tried["test"] for k in knobs for tried in k["values"]))
        for score in (test["mean"], test["low"], test["high"])
        if score is not None
    ]
    scale = {}
    if scores:
        room = 0.05 * (max(scores) - min(scores)) or 1.0
        scale = {"range": [min(scores) - room, max(scores) + room]}
    return [_panel(inputs, arm, reference, knob, scale) for knob in knobs]


def _panel(inputs: FigureInputs, arm: str, reference: Json, knob: Json, scale: Json) -> Panel:
    style = inputs.styles[arm]
    points = [(1.0, reference, "star", "reference")]
    for tried in knob["values"]:
        lost = f", {tried['diverged']} diverged" if tried["diverged"] else ""
        said = f"{tried['value']:.4g}{lost}"
        points.append((tried["factor"], tried["test"], "x" if lost else "circle", said))
    points.sort(key=lambda point: point[0])
    means = [test["mean"] for _, test, *_ in points]
    data = [
        line(
            [factor for factor, *_ in points],
            [None if mean is None else inputs.factor * mean for mean in means],
            arm,
            style,
            mode="lines+markers",
            error_y=intervals((test for _, test, *_ in points), inputs.factor),
            marker={
                "symbol": [symbol for _, _, symbol, _ in points],
                "size": [13 if symbol == "star" else 8 for _, _, symbol, _ in points],
                "color": style.colour,
            },
            text=[escape(said) for *_, said in points],
            hovertemplate="%{text}: %{y}<extra></extra>",
        )
    ]
    layout = {
        "xaxis": axis(
            f"factor on {knob['knob']}", type="log", tickvals=[*TICKS], ticktext=[*TICKS.values()]
        ),
        "yaxis": axis(f"test {inputs.unit}", **scale),
        "height": 300,
    }
    return Panel(f"{knob['knob']}: {_in_words(inputs, knob)}", data, layout)


def _in_words(inputs: FigureInputs, knob: Json) -> str:
    metric = inputs.metric
    worst, spread = number(metric, knob["worst"]), number(metric, knob["spread"])
    return f"worst {worst}, spread {spread}, gain {number(metric, knob['gain'], '+')}"
