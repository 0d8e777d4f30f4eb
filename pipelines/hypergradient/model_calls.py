"""A model on a few examples, as a training step and a meta step call it, and its reverse mode."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from methods.objective import generator
from pipelines.errors import UserError
from pipelines.hypergradient.engines import OutputsOf, OutputTensors, Parameters

HAIR = 1e-6
#: PyTorch's warning where reentrant checkpointing hides parameters from reverse mode.
HIDDEN = "None of the inputs have requires_grad"


@dataclass(frozen=True)
class ModelCalls:
    """A model on a few examples.

    forward: as a training step calls it; forward_with: at given parameters, without a trace, as a
    meta step does; theta: the parameters that the look-ahead moves.
    """

    forward: Callable[[], OutputTensors]
    forward_with: OutputsOf
    theta: Parameters


class Reverse(NamedTuple):
    """What reverse mode says of a model: its outputs, some u of their shapes, and J^T u by name."""

    outputs: OutputTensors
    cotangents: OutputTensors
    gradients: dict[str, Tensor]


@torch.no_grad()
def off_kinks(model: nn.Module) -> None:
    """Move a model's parameters by a hair, to where no kink is.

    At a kink the modes may take different branches: PReLU's do where its input is exactly 0, as it
    is behind a LayerNorm of one feature. What stays at a kink wherever parameters are does not
    depend on them there, and has no derivative in either mode.
    """
    gen = generator("off kinks")
    for p in model.parameters():
        p.add_(torch.rand(p.shape, generator=gen).to(p), alpha=HAIR)


@sdpa_kernel(SDPBackend.MATH)  # of all modes: other kernels round otherwise where it saturates
def reverse_mode(model: ModelCalls) -> Reverse:
    """J^T u for a random u; zero for parameters that forward does not use.

    Raises:
        UserError: no gradient reaches some that it uses.
    """
    leaves = {name: p.detach().requires_grad_() for name, p in model.theta.items()}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        outputs = model.forward_with(leaves)
    gen = generator("self-check")
    cotangents = tuple(torch.randn(t.shape, generator=gen).to(t) for t in outputs)
    grads: list[Tensor | None] = [None] * len(leaves)
    if any(t.requires_grad for t in outputs):
        grads = [*torch.autograd.grad(outputs, [*leaves.values()], cotangents, allow_unused=True)]
    unused = [name for name, grad in zip(leaves, grads, strict=True) if grad is None]
    if unused and any(HIDDEN in str(warning.message) for warning in caught):
        raise UserError(
            f"this model cannot be trained: no gradient reaches its parameter {unused[0]!r}, "
            "checkpointed from the model's inputs on; give checkpoint use_reentrant=False"
        )
    if len(unused) == len(leaves):
        raise UserError("this model cannot be trained: no gradient reaches its parameters")
    gradients = {
        name: torch.zeros_like(p) if grad is None else grad
        for (name, p), grad in zip(leaves.items(), grads, strict=True)
    }
    return Reverse(tuple(t.detach() for t in outputs), cotangents, gradients)
