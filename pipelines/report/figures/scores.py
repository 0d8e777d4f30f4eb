"""The final test score of every arm."""

from __future__ import annotations

from typing import Any

from pipelines.report.figures.inputs import FigureInputs, counts
from pipelines.report.figures.plot import Figure, Panel, axis, intervals, rounded
from pipelines.report.tables import number

Json = dict[str, Any]


def accuracy(inputs: FigureInputs) -> Figure:
    """Final test score of every arm, with its interval."""
    found = {
        name: arm["test"][inputs.epoch]
        for name, arm in inputs.results["arms"].items()
        if arm["test"][inputs.epoch]["mean"] is not None
    }
    title = "Final test score"
    if not found:
        return Figure("test", title, "Left out: no final run has finished.")
    names = sorted(found, key=lambda name: found[name]["mean"])
    data = []
    for kind, arms in inputs.kinds.items():
        shown = [name for name in arms if name in found]
        if shown:
            data.append(_points(inputs, kind, shown, found))
    layout = {
        "xaxis": axis(f"test {inputs.unit}"),
        "yaxis": {"categoryorder": "array", "categoryarray": names, "automargin": True},
        "height": 90 + 26 * len(names),
    }
    return Figure(
        "test",
        title,
        f"Mean over repeats of the final runs ({counts(found.values())}) with 95 % intervals, "
        f"{inputs.epoch} epoch; no bar where there is no interval.",
        {"": [Panel("", data, layout)]},
    )


def _points(inputs: FigureInputs, kind: str, names: list[str], found: dict[str, Json]) -> Json:
    """Mean and interval of the arms of one kind."""
    return {
        "type": "scatter",
        "mode": "markers",
        "name": kind,
        "legendgroup": kind,
        "x": rounded(inputs.factor * found[name]["mean"] for name in names),
        "y": names,
        "error_x": intervals((found[name] for name in names), inputs.factor),
        "marker": {"size": 10, "color": inputs.styles[names[0]].colour},
        "text": [f"{number(inputs.metric, found[n]['mean'])} (n = {found[n]['n']})" for n in names],
        "hovertemplate": "%{y}: %{text}<extra></extra>",
    }
