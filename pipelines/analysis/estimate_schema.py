"""Estimates and comparisons as results.json has them; docs/results.md says what they mean."""

from typing import Literal, NotRequired, TypedDict

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


class RateJson(TypedDict):
    """A share of labels, with its interval where there is one."""

    mean: float
    low: float | None
    high: float | None


class MatrixJson(TypedDict):
    """A transition matrix and the ends of its intervals, each [K, K]; true classes are rows."""

    mean: list[list[float | None]]
    low: list[list[float | None]]
    high: list[list[float | None]]


class NoiseEstimate(TypedDict):
    """How many of the given labels are wrong, and how true classes are labelled.

    transition: None for more classes than `stored_predictions.DENSE`.
    """

    examples: int
    rate: RateJson
    transition: MatrixJson | None


class ConfidentCounting(NoiseEstimate):
    """By the final models of an arm, over so many repeats; `suspects` makes it.

    in_sample: whether these models were trained on the labels that they judge.
    """

    arm: str
    repeats: int
    in_sample: bool


class LabelNoise(TypedDict):
    """How many labels are wrong, as far as that can be estimated: by verified labels, by models."""

    classes: list[str]
    verified: NotRequired[NoiseEstimate]
    confident: NotRequired[ConfidentCounting]
