"""…"""

from __future__ import annotations

LOSS_GRID = [0.25 * i for i in range(42)]
MODEL, EXAMPLES = "model.pt", "examples.pt"
#: Edges of the histograms of example weights, in units of the mean weight; the last bin is open.
EDGES = [0.0, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0]
