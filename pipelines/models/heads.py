"""Where a model's logits and features come from, and networks that are trained side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from pipelines.errors import UserError


class Ensemble(nn.Module):
    """Networks trained side by side: x [B, ...] -> logits [B, M, K]."""

    def __init__(self, members: Iterable[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, x: Tensor) -> Tensor:
        """The logits of each."""
        return torch.stack([logits_of(member(x)) for member in self.members], dim=1)


def members_of(model: nn.Module) -> list[nn.Module]:
    """The networks that are trained side by side, or the one that there is."""
    return list(model.members) if isinstance(model, Ensemble) else [model]


def rate_factors(model: nn.Module) -> dict[str, float]:
    """By what the learning rates of single parameters are multiplied, as the model says it.

    By name; of all others 1, and so of every parameter of a model that says nothing.
    """
    if isinstance(model, Ensemble):
        return {
            f"members.{number}.{name}": factor
            for number, member in enumerate(model.members)
            for name, factor in rate_factors(member).items()
        }
    own: Callable[[], dict[str, float]] | None = getattr(model, "rate_factors", None)
    return own() if own else {}


def feature_width(model: nn.Module) -> int:
    """D of the model's features, the input of its last linear layer.

    Raises:
        UserError: it has no such layer.
    """
    return last_linear(model).in_features


def last_linear(model: nn.Module) -> nn.Linear:
    """The last linear layer, in the order in which the model defines them.

    Raises:
        UserError: there is none.
    """
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    if not layers:
        raise UserError(f"model {type(model).__name__} has no linear layer to take features from")
    return layers[-1]


def logits_of(output: object) -> Tensor:
    """The logits [B, K] in what a model gives.

    That is a tensor; or a group of them, whose `logits` or first part they are. Further heads
    (GoogLeNet's and Inception's, which they have while training) are left out.

    Raises:
        UserError: there are none.
    """
    logits = output
    if isinstance(output, Mapping):
        logits = output.get("logits", next(iter(output.values()), None))
    elif not isinstance(output, Tensor) and hasattr(output, "logits"):
        logits = getattr(output, "logits")  # noqa: B009  # pyright does not know of it
    elif isinstance(output, Sequence) and output:
        logits = output[0]
    if not isinstance(logits, Tensor):
        raise UserError(
            f"the model gives {type(output).__name__}: must be logits, or a group of tensors "
            "whose `logits` or first part they are"
        )
    return logits
