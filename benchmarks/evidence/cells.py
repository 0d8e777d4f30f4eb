"""Cells of the page's tables: scores, differences and their intervals, in points of 100."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.report.comparisons import Comparisons
from pipelines.report.tables import MISSING, Cell, Column, number

POINTS = "accuracy"  # all scores of the suite are shares, shown as this one is
ARM = Column("arm", "arm", "what is compared", numeric=False)


def points(value: float | None, sign: str = "+") -> str:
    """A difference of shares in points of 100."""
    return number(POINTS, value, sign)


def interval(mean: float | None, low: float | None, high: float | None) -> str:
    """+1.2 [-0.3, +2.7]; without an interval the mean alone."""
    if mean is None:
        return MISSING
    if low is None:
        return f"{points(mean)} (no interval)"
    return f"{points(mean)} [{points(low)}, {points(high)}]"


def like(total: Mapping[str, Any]) -> Cell:
    """A mean over sets with its interval for sets like these."""
    return Cell(interval(total["mean"], total["new_low"], total["new_high"]), total["mean"])


def here(total: Mapping[str, Any]) -> Cell:
    """A mean over sets with its interval for these sets."""
    return Cell(interval(total["mean"], total["low"], total["high"]), total["mean"])


def on_set(gap: Mapping[str, Any]) -> Cell:
    """A difference on one set."""
    return Cell(interval(gap["mean"], gap["low"], gap["high"]), gap["mean"])


def table_of(name: str, title: str, about: str, *parts: Any, fold: str = "") -> Comparisons:
    """parts: columns, rows and folded rows."""
    columns, rows, *more = parts
    if not rows:
        return Comparisons(name, title, "Left out: nothing that it is made of has run yet.")
    return Comparisons(name, title, about, columns, rows, fold, more[0] if more else ())
