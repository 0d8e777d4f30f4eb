"""The ranges of a search space: Optuna's distributions, and their form in study files."""

from __future__ import annotations

import math
from typing import Annotated, Any

from optuna import distributions
from pydantic import BeforeValidator, PlainSerializer


def _distribution(value: Any) -> distributions.BaseDistribution:
    if isinstance(value, distributions.BaseDistribution):
        return value
    if not isinstance(value, dict):
        raise ValueError("expected {low, high, log, int} or {choices}")
    if unknown := set(value) - {"low", "high", "log", "int", "choices"}:
        raise ValueError(
            f"unknown {', '.join(sorted(unknown))}; allowed: low, high, log, int, choices"
        )
    if "choices" in value:
        return distributions.CategoricalDistribution(value["choices"])
    bounds = [value.get("low"), value.get("high")]
    if value.get("int") and any(isinstance(b, float) and b != int(b) for b in bounds):
        raise ValueError(f"low and high = {bounds}: with int, whole numbers")
    try:
        kind = (
            distributions.IntDistribution if value.get("int") else distributions.FloatDistribution
        )
        return kind(value["low"], value["high"], log=value.get("log", False))
    except KeyError as missing:
        raise ValueError(f"{missing.args[0]} is missing") from None


def describe_distribution(d: distributions.BaseDistribution) -> dict[str, Any]:
    """A distribution as plain values, the form that study files use."""
    if isinstance(d, distributions.CategoricalDistribution):
        return {"choices": list(d.choices)}
    assert isinstance(d, distributions.FloatDistribution | distributions.IntDistribution)
    integer = isinstance(d, distributions.IntDistribution)
    return {"low": d.low, "high": d.high, "log": d.log, "int": integer}


Range = Annotated[
    distributions.BaseDistribution,
    BeforeValidator(_distribution),
    PlainSerializer(describe_distribution),
]


def bounds(d: distributions.BaseDistribution) -> list[Any]:
    """The lowest and the highest value, or all choices."""
    plain = describe_distribution(d)
    return plain["choices"] if "choices" in plain else [plain["low"], plain["high"]]


def widened(d: distributions.BaseDistribution) -> tuple[float, float] | None:
    """The ends of a range twice as wide around its centre (of the logarithm, where log); None for
    choices."""
    if isinstance(d, distributions.CategoricalDistribution):
        return None
    assert isinstance(d, distributions.FloatDistribution | distributions.IntDistribution)
    if d.log:
        factor = math.sqrt(d.high / d.low)
        low, high = d.low / factor, d.high * factor
    else:
        half = (d.high - d.low) / 2
        low, high = d.low - half, d.high + half
    if isinstance(d, distributions.IntDistribution):
        return max(int(d.log), math.ceil(low)), math.floor(high)
    return low, high


Value = bool | int | float | str
