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
    if unknown := {str(key) for key in value} - {"low", "high", "log", "int", "choices"}:
        raise ValueError(
            f"unknown {', '.join(sorted(unknown))}; allowed: low, high, log, int, choices"
        )
    return _choices(value) if "choices" in value else _range(value)


def _choices(value: dict[str, Any]) -> distributions.CategoricalDistribution:
    choices = value["choices"]
    if len(value) > 1:
        raise ValueError("choices exclude low, high, log and int")
    if not isinstance(choices, list) or not choices:
        raise ValueError(f"choices = {choices!r}: must be a list of at least one value")
    for choice in choices:
        if not isinstance(choice, bool | int | float | str):
            raise ValueError(f"choices: {choice!r} is no number, text or truth value")
        if isinstance(choice, float) and not math.isfinite(choice):
            raise ValueError(f"choices: {choice!r} is not finite")
    return distributions.CategoricalDistribution(choices)


def _range(value: dict[str, Any]) -> distributions.BaseDistribution:
    for end in ("low", "high"):
        if end not in value:
            raise ValueError(f"{end} is missing")
        number = value[end]
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise ValueError(f"{end} = {number!r}: must be a number")
        if not math.isfinite(number):
            raise ValueError(f"{end} = {number!r}: must be finite")
    for flag in ("log", "int"):
        if not isinstance(value.get(flag, False), bool):
            raise ValueError(f"{flag} = {value[flag]!r}: must be true or false")
    low, high, whole, log = value["low"], value["high"], value.get("int"), value.get("log", False)
    if low > high:
        raise ValueError(f"low = {low} is above high = {high}")
    if log and low <= 0:
        raise ValueError(f"low = {low}: with log, must be above 0")
    if whole and (low != int(low) or high != int(high)):
        raise ValueError(f"low and high = {[low, high]}: with int, whole numbers")
    if whole:
        return distributions.IntDistribution(int(low), int(high), log=log)
    return distributions.FloatDistribution(low, high, log=log)


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
    """The ends of a range twice as wide around its centre, of the logarithm where log.

    None for choices.
    """
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
