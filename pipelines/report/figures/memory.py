"""How the corrupted training examples fare: learned by heart, or seen through.

After Zhang et al., "Understanding deep learning requires rethinking generalization", ICLR 2017, and
Liu et al., "Early-learning regularization prevents memorization of noisy labels", NeurIPS 2020.
"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from pipelines.report.figures.inputs import FigureInputs, either
from pipelines.report.figures.plot import Drawing, Panel, axis, band, left_out, line

TITLE = "Corrupted examples: memorised or recovered"
SHARES = {
    "corrupted/memorised": "predicted as labelled, %",
    "corrupted/recovered": "predicted as they truly are, %",
}
VERDICT = "the verdict's arms"

Runs = list[dict[int, float]]  # of each final run, % by epoch


def draw(inputs: FigureInputs) -> Drawing:
    """One view for the arms of the verdict, and one per kind; a panel for each share."""
    runs = {arm: found for arm in inputs.results["arms"] if (found := _runs(inputs, arm))}
    if not runs:
        return left_out("no final run has corrupted training examples whose true label is known")
    groups = {VERDICT: inputs.verdict_arms, **inputs.kinds}
    drawn = {name: [arm for arm in arms if arm in runs] for name, arms in groups.items()}
    counts = [len(found[name]) for found in runs.values() for name in found]
    return Drawing(
        "Share of the training examples with a wrong label that the model, as it trains, predicts "
        "as they are labelled, and as they truly are; median over the final runs "
        f"(n = {either(counts)} per arm), shaded from the lowest to the highest run, which is "
        "no interval.",
        {
            name: [_panel(inputs, arms, runs, share) for share in SHARES]
            for name, arms in drawn.items()
            if arms
        },
    )


def _runs(inputs: FigureInputs, arm: str) -> dict[str, Runs]:
    found = {
        name: [{row["epoch"]: 100 * row[name] for row in rows} for rows in histories]
        for name in SHARES
        if (histories := inputs.rows_with(arm, name))
    }
    return found if len(found) == len(SHARES) else {}


def _panel(
    inputs: FigureInputs, arms: list[str], runs: dict[str, dict[str, Runs]], share: str
) -> Panel:
    bands, lines = [], []
    for arm in arms:
        of_arm, style = runs[arm][share], inputs.styles[arm]
        epochs = sorted({epoch for run in of_arm for epoch in run})
        values = [[run[epoch] for run in of_arm if epoch in run] for epoch in epochs]
        if len(of_arm) > 1:
            bands.append(band(epochs, list(map(min, values)), list(map(max, values)), arm, style))
        lines.append(line(epochs, [float(np.median(v)) for v in values], arm, style))
    layout = go.Layout(
        xaxis=axis("epoch"),
        yaxis=axis(SHARES[share], minallowed=-2, maxallowed=102),
        height=380,
    )
    return Panel([*bands, *lines], layout, SHARES[share].removesuffix(", %"))
