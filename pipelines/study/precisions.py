"""In which precision a study's networks run, and in which none can."""

from __future__ import annotations

from typing import Any, Literal

Precision = Literal["float32", "tfloat32", "bfloat16"]
FLOAT16 = ("float16", "fp16", "half")


def not_float16(precision: Any) -> Any:
    """The value as it was given.

    Raises:
        ValueError: it is float16, which everybody knows and no trial can run in.
    """
    if precision in FLOAT16:
        raise ValueError(
            "use bfloat16: gradients in float16 need to be scaled, and steps to be left out where "
            "one overflows, in each of the derivatives that make a hypergradient"
        )
    return precision
