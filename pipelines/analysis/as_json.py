"""From statistics to plain JSON, in which a number that is not finite is null."""

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from math import isfinite
from typing import Any

from pipelines.analysis.estimate_schema import ComparisonJson, EstimateJson, IntervalJson
from pipelines.analysis.intervals import Comparison, Estimate


def to_json(value: Any) -> Any:
    """Plain JSON: dataclasses become objects; numbers that are not finite become null."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {str(k): to_json(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(v) for v in value]
    if isinstance(value, float):
        return float(value) if isfinite(value) else None  # float(): numpy's is one too
    return value


def estimate_json(estimate: Estimate) -> EstimateJson:
    """All fields of an estimate."""
    return to_json(estimate)


def interval_json(estimate: Estimate) -> IntervalJson:
    """An estimate for these test examples, without its failed runs, which are counted elsewhere."""
    fields = to_json(estimate)
    for name in ("failed", "new_low", "new_high"):
        del fields[name]
    return fields


def comparison_json(comparison: Comparison) -> ComparisonJson:
    """All fields of a comparison."""
    return to_json(comparison)
