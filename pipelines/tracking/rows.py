"""What W&B shows of a trial."""

from __future__ import annotations

from typing import Any

from pipelines.trial_documents import EDGES, LOSS_GRID, TrialResult

Json = dict[str, Any]


def tracked_row(row: Json) -> Json:
    """A row of the history as W&B shows it: lists become histograms."""
    edges = [*EDGES, 10.0]
    shown = dict(row)
    for name in ("weights/clean", "weights/corrupted"):
        if name in row:
            shown[name] = (row[name], edges)
    if "learned/weight_function" in row:
        shown["learned/weight_function"] = (row["learned/weight_function"], LOSS_GRID)
    return shown


def tracked_summary(result: TrialResult) -> Json:
    """What W&B shows of a finished run; test metrics stay with the report, so that nobody selects
    by them."""
    val = {f"val/{rule}": value for rule, value in (result["val"] or {}).items()}
    names = ("status", "selected_epoch", "passes", "weights_auroc")
    shown = {name: result[name] for name in names} | val | result["cost"]
    return {name: value for name, value in shown.items() if value is not None}
