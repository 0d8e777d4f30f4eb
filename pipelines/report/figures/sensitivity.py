"""Is "tuning-free" true: what an arm loses when one of its own knobs is moved."""

from __future__ import annotations

from typing import Any

from pipelines.report.figures.inputs import Material, counts
from pipelines.report.figures.plot import Figure, Panel, axis, intervals, line, plain
from pipelines.report.tables import number

Json = dict[str, Any]
TICKS = {0.25: "1/4", 0.5: "1/2", 1.0: "1", 2.0: "2", 4.0: "4"}


def sensitivity(material: Material) -> Figure:
    """Test score against the factor on each knob, per arm; and the range of all of them."""
    arms = {name: arm["sensitivity"] for name, arm in material.results["arms"].items()}
    arms = {name: knobs for name, knobs in arms.items() if knobs}
    title = "Sensitivity to an arm's own knobs"
    if not arms:
        why = (
            "no sensitivity run has finished"
            if material.findings.study.request.sensitivity
            else "the study asks for no sensitivity runs"
        )
        return Figure("sensitivity", title, f"Left out: {why}.")
    views = {"worst cases": [_ranges(material, arms)]} | {
        name: _panels(material, name, knobs) for name, knobs in arms.items()
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


def _reference(material: Material, arm: str) -> Json:
    """The runs with no knob moved: of the published default, which untuned arms always run."""
    entry = material.results["arms"][arm]
    return (entry["default"] if entry["tuned"] else entry)["test"][material.epoch]


def _ranges(material: Material, arms: dict[str, list[Json]]) -> Panel:
    data: list[Json] = []
    labels: list[str] = []
    for arm, knobs in arms.items():
        look, mean = material.looks[arm], _reference(material, arm)["mean"]
        known = [k for k in knobs if k["worst"] is not None]
        names = [f"{plain(arm)}<br>{plain(k['knob'])}" for k in known]  # short enough for phones
        labels += names
        spans = [
            [material.factor * end for end in (k["worst"], k["worst"] + k["spread"])] for k in known
        ]
        data.append(
            line(
                [end for span in spans for end in (*span, None)],
                [label for name in names for label in (name, name, None)],
                arm,
                look,
                line={"color": look.colour, "width": 5},
            )
        )
        if mean is not None:
            points = line([material.factor * mean] * len(names), names, arm, look, mode="markers")
            data.append(points | {"marker": {"symbol": "star", "size": 13, "color": look.colour}})
    layout = {
        "xaxis": axis(f"test {material.unit}"),
        "yaxis": {"categoryorder": "array", "categoryarray": labels[::-1], "automargin": True},
        "height": 90 + 38 * len(labels),
    }
    return Panel("", data, layout)


def _panels(material: Material, arm: str, knobs: list[Json]) -> list[Panel]:
    """One panel per knob, on one scale, so that a flat curve is seen to be flat."""
    reference = _reference(material, arm)
    scores = [
        material.factor * score
        for test in (reference, *(tried["test"] for k in knobs for tried in k["values"]))
        for score in (test["mean"], test["low"], test["high"])
        if score is not None
    ]
    scale = {}
    if scores:
        room = 0.05 * (max(scores) - min(scores)) or 1.0
        scale = {"range": [min(scores) - room, max(scores) + room]}
    return [_panel(material, arm, reference, knob, scale) for knob in knobs]


def _panel(material: Material, arm: str, reference: Json, knob: Json, scale: Json) -> Panel:
    look = material.looks[arm]
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
            [None if mean is None else material.factor * mean for mean in means],
            arm,
            look,
            mode="lines+markers",
            error_y=intervals((test for _, test, *_ in points), material.factor),
            marker={
                "symbol": [symbol for _, _, symbol, _ in points],
                "size": [13 if symbol == "star" else 8 for _, _, symbol, _ in points],
                "color": look.colour,
            },
            text=[plain(said) for *_, said in points],
            hovertemplate="%{text}: %{y}<extra></extra>",
        )
    ]
    layout = {
        "xaxis": axis(
            f"factor on {knob['knob']}", type="log", tickvals=[*TICKS], ticktext=[*TICKS.values()]
        ),
        "yaxis": axis(f"test {material.unit}", **scale),
        "height": 300,
    }
    return Panel(f"{knob['knob']}: {_in_words(material, knob)}", data, layout)


def _in_words(material: Material, knob: Json) -> str:
    metric = material.metric
    worst, spread = number(metric, knob["worst"]), number(metric, knob["spread"])
    return f"worst {worst}, spread {spread}, gain {number(metric, knob['gain'], '+')}"
