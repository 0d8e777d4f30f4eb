"""Rows of a batch that lie in several processes: four linear maps, in two pairs of adjoints.

    own rows of what all have        <->  all rows, of which each process has its own
    what all have, for rows of one   <->  the sum over processes

Since each one's derivative is its partner, derivatives of whatever order, in either mode, are those
of one process that has all rows, but for rounding; and what all have has the same bits in each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor


class Rows(NamedTuple):
    """Of a batch of `total` rows those of this process: `count` of them, from `first` on."""

    first: int
    count: int
    total: int

    @classmethod
    def of(cls, total: int, process: int, processes: int) -> Rows:
        """Those of one process: as many as any other's, or one more."""
        first, end = (number * total // processes for number in (process, process + 1))
        return cls(first, end - first, total)


def shared(*tensors: Tensor) -> Sequence[Tensor]:
    """What all have, for use on rows of one: gradients in it are sums over processes."""
    if not torch.is_grad_enabled():
        return tensors
    return _Shared.apply(*tensors)  # pyright: ignore[reportReturnType]


def own_rows(tensor: Tensor, rows: Rows) -> Tensor:
    """This process's rows of a tensor [B, ...] that all have."""
    return _OwnRows.apply(tensor, rows)  # pyright: ignore[reportReturnType]


def all_rows(tensor: Tensor, rows: Rows) -> Tensor:
    """All rows [B, ...] of a tensor of which each process has its own."""
    return _AllRows.apply(tensor, rows)  # pyright: ignore[reportReturnType]


def _sum(tensor: Tensor) -> Tensor:
    """Over all processes, the same bits in each."""
    total = tensor.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total


class _Sum(torch.autograd.Function):
    """The sum over processes."""

    @staticmethod
    def forward(tensor: Tensor) -> Tensor:
        return _sum(tensor)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return shared(*grads)[0]

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        return _sum(tangents[0])


class _Shared(torch.autograd.Function):
    """The same tensors; their gradients are summed in one message."""

    @staticmethod
    def forward(*tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(t.view_as(t) for t in tensors)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
        ctx.set_materialize_grads(False)  # what the loss does not depend on has no gradient

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        used = [g for g in grads if g is not None]
        if not used:
            return grads
        message = torch.cat([g.flatten() for g in used])
        total: Tensor = _Sum.apply(message)  # pyright: ignore[reportAssignmentType]
        parts = iter(total.split([g.numel() for g in used]))
        return tuple(None if g is None else next(parts).view_as(g).to(g.dtype) for g in grads)

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> tuple[Tensor | None, ...]:
        return tuple(None if t is None else t.view_as(t) for t in tangents)


class _OwnRows(torch.autograd.Function):
    """This process's rows of what all have."""

    @staticmethod
    def forward(tensor: Tensor, rows: Rows) -> Tensor:
        return tensor.narrow(0, rows.first, rows.count).clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Rows], output: Tensor) -> None:
        ctx.rows = inputs[1]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return all_rows(grads[0], ctx.rows), None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        return tangents[0].narrow(0, ctx.rows.first, ctx.rows.count).clone()


class _AllRows(torch.autograd.Function):
    """All rows, of which each process has its own."""

    @staticmethod
    def forward(tensor: Tensor, rows: Rows) -> Tensor:
        whole = tensor.new_zeros(rows.total, *tensor.shape[1:])
        whole.narrow(0, rows.first, rows.count).copy_(tensor)
        return _sum(whole)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Rows], output: Tensor) -> None:
        ctx.rows = inputs[1]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return own_rows(grads[0], ctx.rows), None  # pyright: ignore[reportReturnType]

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        return _AllRows.forward(tangents[0], ctx.rows)
