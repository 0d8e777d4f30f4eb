"""Who gets weight: clean and corrupted training examples."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import plotly.graph_objects as go

from pipelines.analysis.intervals import estimate
from pipelines.documents import Json
from pipelines.kinds import learns_itself
from pipelines.report.figures.inputs import FigureInputs, either
from pipelines.report.figures.plot import Drawing, Panel, axis, left_out, rounded
from pipelines.trial_documents import EDGES

TITLE = "Weights of clean and of corrupted examples"
#: Colour and pattern of the bars.
CLEAN, CORRUPTED = ("#12a37a", ""), ("#dd6b1f", "/")


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
        "Share of the training examples by their weight on the gradient of cross-entropy, in units "
        "of the mean weight, at the last observed epoch of all final runs "
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
        xaxis=axis("weight / mean weight", type="category"),
        yaxis=axis("% of examples", rangemode="tozero"),
        barmode="group",
        height=270,
    )
    auroc = estimate(aurocs)
    shown = f"{auroc.mean:.3f}" if auroc.n else "not available"
    if np.isfinite(auroc.low):
        shown += f" ± {auroc.high - auroc.mean:.3f}"
    bars = [_bars("clean", clean, *CLEAN), _bars("corrupted", corrupted, *CORRUPTED)]
    return Panel(bars, layout, f"{arm}: AUROC {shown}")


def _bars(name: str, counts: Any, colour: str, pattern: str) -> go.Bar:
    """A histogram [len(EDGES)] as shares of its sum; its last bin has no upper edge."""
    bins = [f"{low:g}–{high:g}" for low, high in pairwise(EDGES)]
    return go.Bar(
        name=name,
        legendgroup=name,
        x=[*bins, f"≥ {EDGES[-1]:g}"],
        y=rounded((100 * counts / max(1, counts.sum())).tolist()),
        marker={"color": colour, "pattern": {"shape": pattern}},
        hovertemplate=f"{name}, weight %{{x}}: %{{y:.1f}} %<extra></extra>",
    )
