"""Copies of a running trial's state that later steps do not change."""

from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


def load_optimizer(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Load an optimizer's state, and lay it out in memory as its parameters are.

    Fused steppers go through both in the order of memory; a snapshot may come from a run whose
    convolutions were laid out otherwise.
    """
    optimizer.load_state_dict(state)
    for parameter, of_parameter in optimizer.state.items():
        for name, value in of_parameter.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                of_parameter[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def clone(value: Any) -> Any:
    """A deep copy of nested tensors and plain values."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {key: clone(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(clone(part) for part in value)
    return value
