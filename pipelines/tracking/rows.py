"""What W&B shows of a trial: its history, row by row, and its summary."""

from __future__ import annotations

from typing import NamedTuple

from pipelines.collapse import told
from pipelines.documents import Json
from pipelines.trial_documents import EDGES, LOSS_GRID, WEIGHT_FUNCTION, HistoryRow, Outcome

LAST_EDGE = 10.0  # drawn as the end of EDGES' last bin, which is open
SUMMARY = ("status", "selected_epoch", "passes", "weights_auroc")


class Histogram(NamedTuple):
    """Counts, or heights, [n] between edges [n + 1]."""

    heights: list[float]
    edges: list[float]


TrackedRow = dict[str, float | str | Histogram | None]
"""A row by name, `epoch` among the names; W&B shows no value that is None."""


def tracked_row(row: HistoryRow) -> TrackedRow:
    """A row of the history as W&B shows it: lists of bins become histograms."""
    edges = {
        "weights/clean": [*EDGES, LAST_EDGE],
        "weights/corrupted": [*EDGES, LAST_EDGE],
    } | {name: LOSS_GRID for name in row if name.startswith(WEIGHT_FUNCTION)}
    return {
        name: Histogram(value, edges[name]) if name in edges else value
        for name, value in row.items()
    }


def tracked_summary(result: Outcome) -> Json:
    """What tables of runs show of a finished trial.

    Test metrics are left out: they stay with the report, so that nobody selects by them.
    """
    scores = {f"val/{rule}": score for rule, score in (result["val"] or {}).items()}
    values = {name: result[name] for name in SUMMARY} | scores | result["cost"]
    values["collapse"] = told(result.get("collapse", {})) or None
    return {name: value for name, value in values.items() if value is not None}
