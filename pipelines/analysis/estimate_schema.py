"""Estimates and comparisons as results.json has them; docs/results.md says what they mean."""

from typing import Literal, TypedDict

Verdict = Literal["superior", "non-inferior", "inferior", "inconclusive"]
Unit = Literal["repeats", "seeds"]


class IntervalJson(TypedDict):
    """A mean with its 95 % interval; sd over n runs in so many repeats."""

    mean: float | None
    low: float | None
    high: float | None
    sd: float | None
    n: int
    repeats: int


class EstimateJson(IntervalJson):
    """An estimate for these test examples, and its interval for new ones of this kind."""

    new_low: float | None
    new_high: float | None
    failed: int


class ByEpochRule(TypedDict):
    """An estimate under either epoch rule."""

    last: EstimateJson
    selected: EstimateJson


class ComparisonJson(TypedDict):
    """A paired difference and its verdict."""

    difference: EstimateJson
    verdict: Verdict
    new_verdict: Verdict
    p_superior: float | None
    p_noninferior: float | None
    more: int | None
    unit: Unit
