"""Copies of a running trial's state that later steps do not change."""

from typing import Any

from torch import Tensor


def clone(value: Any) -> Any:
    """A deep copy of nested tensors and plain values."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {key: clone(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(clone(part) for part in value)
    return value
