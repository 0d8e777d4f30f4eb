"""Who gets weight: clean and corrupted training examples."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import plotly.graph_objects as go

from pipelines.analysis.intervals import estimate
from pipelines.analysis.words import with_interval
from pipelines.documents import Json
from pipelines.kinds import learns_itself
from pipelines.report.figures.inputs import FigureInputs, either
from pipelines.report.figures.plot import Drawing, Panel, axis, left_out, rounded
from pipelines.trial_documents import EDGES

TITLE = "Weights of clean and of corrupted examples"
OPEN_END = 9.0  # where the last bin, which has no upper edge, is drawn to
#: Colour and dash of the lines.
CLEAN, CORRUPTED = ("#12a37a", "solid"), ("#dd6b1f", "dot")


def draw(inputs: FigureInputs) -> Drawing:
    """One view per kind of arms, the meta-learned ones first; one histogram per arm."""
    views: dict[str, list[Panel]] = {}
    counts = []
    for kind in sorted(inputs.kinds, key=lambda kind: not learns_itself(kind)):
        for arm in inputs.kinds[kind]:
            histograms = inputs.newest(arm, _histograms)
            if histograms:
                counts.append(len(histograms))
                aurocs = inputs.newest(arm, lambda row: row.get("weights/auroc"))
                views.setdefault(kind, []).append(_panel(arm, histograms, aurocs))
    if not views:
        return left_out("no final run has weights of examples whose true label is known")
    return Drawing(
        "Density of the training examples by their weight on the gradient of cross-entropy, in "
        "units of the mean weight: % of the clean (of the corrupted) ones per unit of weight, on a "
        "logarithmic axis, at the last observed epoch of all final runs "
        f"(n = {either(counts)} per arm). AUROC: chance that a clean example outweighs a corrupted "
        "one, with half its 95 % interval.",
        views,
    )


def _histograms(row: Json) -> tuple[list[int], list[int]] | None:
    """Numbers of clean and of corrupted examples by weight, in a row that has them."""
    clean = row.get("weights/clean")
    return (clean, row["weights/corrupted"]) if clean else None


def _panel(
    arm: str, histograms: dict[tuple[int, int], Any], aurocs: dict[tuple[int, int], float]
) -> Panel:
    clean, corrupted = (
        np.sum([pair[side] for pair in histograms.values()], axis=0) for side in (0, 1)
    )
    layout = go.Layout(
        xaxis=axis("weight / mean weight", range=[0, OPEN_END]),
        yaxis=axis("density, %", type="log", dtick=1, exponentformat="none"),
        height=290,
    )
    auroc, shown = estimate(aurocs, bounds=(0.0, 1.0)), "not available"
    if auroc.n:
        shown = with_interval(auroc.mean, auroc.low, auroc.high, "{:.3f}".format)
    lines = [_steps("clean", clean, *CLEAN), _steps("corrupted", corrupted, *CORRUPTED)]
    return Panel(lines, layout, f"{arm}: AUROC {shown}")


def _steps(name: str, counts: Any, colour: str, dash: str) -> go.Scatter:
    """A histogram [len(EDGES)] as shares of its sum per unit of weight; no line where none are.

    name, colour, dash: of the line. The last bin has no upper edge and is drawn up to `OPEN_END`.
    """
    edges = [*EDGES, OPEN_END]
    shares = 100 * counts / max(1, counts.sum())
    density = shares / np.diff(edges)
    bins = [f"{low:g} to {high:g}" for low, high in pairwise(EDGES)]
    bins.append(f"{EDGES[-1]:g} or more")
    return go.Scatter(
        mode="lines",
        name=name,
        legendgroup=name,
        x=edges,
        y=rounded(float(value) or None for value in [*density, density[-1]]),
        text=[f"{share:.1f} % at weight {label}" for share, label in zip(shares, bins, strict=True)]
        + [""],
        line={"color": colour, "dash": dash, "width": 2.5, "shape": "hv"},
        hovertemplate=f"{name}: %{{text}}<extra></extra>",
    )
