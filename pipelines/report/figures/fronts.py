"""Val against a second aim: the configurations of searches, and their Pareto fronts."""

from __future__ import annotations

from collections.abc import Iterator

import plotly.graph_objects as go

from pipelines.analysis.fronts import Front, Valued, valued
from pipelines.analysis.words import aim_title, configuration
from pipelines.metrics import METRICS, PASSES
from pipelines.report.figures.inputs import FigureInputs, either
from pipelines.report.figures.plot import (
    DASHES,
    SYMBOLS,
    Drawing,
    Panel,
    axis,
    escape,
    faint,
    left_out,
    log_axis,
    rounded,
)

TITLE = "Val against a second aim"


def draw(inputs: FigureInputs) -> Drawing:
    """The trials of an arm's searches and the front of each repeat, per second aim."""
    fronts = {n: told for n, arm in inputs.results["arms"].items() if (told := arm.get("fronts"))}
    if not fronts:
        return left_out(
            "no search has trials that differ in cost, or in the worst-class recall on val"
        )
    tried = {name: inputs.search_trials(name) for name in fronts}
    return Drawing(
        "One point per search trial that completed, of each repeat in another shape. Lines: the "
        "Pareto front of a repeat, whose configurations no other one of that search beats in one "
        "aim without losing in the other; hovering names them. Star: what was selected, by val "
        f"alone. n = {either(map(len, tried.values()))} single runs per arm on few val examples, "
        "so no interval: the ends of a front are its luckiest runs, too.",
        {name: [_panel(inputs, name, front) for front in told] for name, told in fronts.items()},
    )


def _panel(inputs: FigureInputs, arm: str, front: Front) -> Panel:
    aim, runs, data = front["aim"], inputs.runs[arm], list[go.Scatter]()
    for place, (repeat, trials) in enumerate(runs.search.items()):
        tried = valued(trials, runs.selected[repeat].index, aim)
        best = [trial for trial in front["trials"] if trial["repeat"] == repeat]
        data += _repeat(inputs, (arm, aim, place), tried, best)
    values = [value for trace in data for value in trace.x or ()]
    title = aim_title(aim)
    layout = go.Layout(
        xaxis=log_axis(title, min(values), max(values)) if aim == PASSES else axis(title),
        yaxis=axis(f"val {inputs.score_label}"),
        height=380,
    )
    return Panel(data, layout)


def _repeat(
    inputs: FigureInputs, of: tuple[str, str, int], tried: list[Valued], best: list[Valued]
) -> Iterator[go.Scatter]:
    """One repeat's trials, its front, and what was selected.

    of: the arm, the second aim, and the repeat's place among all. best: the front.
    """
    arm, aim, place = of
    colour, symbol = inputs.styles[arm].colour, SYMBOLS[place % len(SYMBOLS)]
    chosen = [trial for trial in tried if trial["selected"]]
    for trials, size, fill, shape in (
        (tried, 7, faint(colour, 0.45), symbol),
        (best, 8, colour, symbol),
        (chosen, 13, colour, "star"),
    ):
        if not trials:
            continue
        factor = 1.0 if aim == PASSES else METRICS[aim].scale
        yield go.Scatter(
            mode="lines+markers" if trials is best else "markers",
            name=f"repeat {trials[0]['repeat']}",
            legendgroup=f"repeat {place}",
            showlegend=trials is best,
            x=rounded(factor * trial["value"] for trial in trials),
            y=rounded(inputs.factor * trial["val"] for trial in trials),
            text=[_named(trial) for trial in trials],
            hovertemplate="%{text}<br>%{x}: %{y}<extra></extra>",
            line={"color": colour, "width": 1.5, "dash": DASHES[place % len(DASHES)]},
            marker={"color": fill, "size": size, "symbol": shape},
        )


def _named(trial: Valued) -> str:
    """What hovering says of a configuration."""
    place = f"repeat {trial['repeat']}, trial {trial['index']}"
    return escape(f"{place}: {configuration(trial['config'])}")
