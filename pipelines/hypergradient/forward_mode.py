"""What PyTorch's forward mode needs around a network: its rules loaded, none of them wasteful."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch._C import _functorch  # pyright: ignore[reportAttributeAccessIssue]  # compiled
from torch.autograd import forward_ad
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

#: Layers that are linear in their parameters: f(x, weight, bias, ...).
LAYERS = (functional.linear, functional.conv1d, functional.conv2d, functional.conv3d)
#: Layers whose parameters stay float32 under autocast.
NORMS = (functional.batch_norm, functional.group_norm, functional.layer_norm)


@contextmanager
def forward_mode() -> Iterator[None]:
    """Tensors may carry tangents inside; no graph is built."""
    _load_rules()
    with (
        torch.no_grad(),
        forward_ad.dual_level(),
        sdpa_kernel(SDPBackend.MATH),  # fused attention has no rule
        _Tangents(),
    ):
        yield


@cache
def _load_rules() -> None:
    """PyTorch loads them at the first dual pass, with a deprecation warning about its own code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        importlib.import_module("torch._decomp.decompositions_for_jvp")


class _Tangents(TorchFunctionMode):
    """Tangents where PyTorch's rules waste work, or are of another type than their values.

    A layer whose input has no tangent: its tangent is the layer itself, at its parameters'
    tangents; the rule adds the layer of a tensor of zeros, half as much again. Under autocast
    BatchNorm's rule gives a float32 tangent to bfloat16 values where operators are watched.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func in NORMS and not _differentiating():
            return _of_its_type(func(*args, **(kwargs or {})))
        if func not in LAYERS or kwargs or len(args) < 3 or _differentiating():
            return func(*args, **(kwargs or {}))
        x, weight, bias, *how = args
        tangents = _tangent(weight), _tangent(bias)
        if _tangent(x) is not None or tangents[0] is None:
            return func(*args)
        primals = (p if p is None else forward_ad.unpack_dual(p).primal for p in (weight, bias))
        return forward_ad.make_dual(func(x, *primals, *how), func(x, *tangents, *how))


def _of_its_type(result: Tensor) -> Tensor:
    value, tangent = forward_ad.unpack_dual(result)
    if tangent is None or tangent.dtype == value.dtype:
        return result
    return forward_ad.make_dual(value, tangent.to(value.dtype))


def _differentiating() -> bool:
    """Whether the model itself differentiates, or maps over a dimension.

    Then values must not be taken apart.
    """
    return torch.is_grad_enabled() or _functorch.maybe_current_level() is not None


def _tangent(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else forward_ad.unpack_dual(tensor).tangent
