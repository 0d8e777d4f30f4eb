"""A batch that is spread over the processes of one trial, all of whom see its outputs.

Each process holds the whole model and all inputs of a step. It calls the model on rows of its own
and is given the outputs of all rows, so that methods, losses and hypergradients run in each of them
as they do alone, on equal numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from pipelines.models.rows import Rows, all_rows, own_rows, shared

Parameters = Mapping[str, Tensor]
Call = Callable[[Parameters, Tensor], Sequence[Tensor]]


def is_spread() -> bool:
    """Whether this process is one of several that compute a trial."""
    return dist.is_initialized()


def spread_call(call: Call, theta: Parameters, x: Tensor) -> list[Tensor]:
    """What `call(theta, x)` gives, tensors [B, ...], each process having called it on its rows.

    A batch with fewer rows than there are processes is not spread.
    """
    processes = dist.get_world_size()
    if len(x) < processes:
        return [*call(theta, x)]
    rows = Rows.of(len(x), dist.get_rank(), processes)
    used = dict(zip(theta, shared(*theta.values()), strict=True))
    with _BatchWide(rows):
        outputs = call(used, own_rows(x, rows))
    return [all_rows(t, rows) for t in outputs]


class _BatchWide(TorchFunctionMode):
    """What layers do across the rows of a batch, they do across those of all processes.

    BatchNorm takes its statistics of all rows. Dropout's masks are those of one process: drawn for
    all rows, of which each uses its own.
    """

    def __init__(self, rows: Rows) -> None:
        super().__init__()
        self._rows = rows
        self._ours: dict[Any, Callable[..., Tensor]] = {
            functional.batch_norm: self._batch_norm,
            functional.dropout: self._dropout,
            functional.dropout2d: self._dropout_of_channels,
        }

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        return self._ours.get(func, func)(*args, **(kwargs or {}))

    def _batch_norm(
        self,
        x: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        if not training:
            norm = (running_mean, running_var, weight, bias, training, momentum, eps)
            return functional.batch_norm(x, *norm)
        values = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
        mean, var = self._moments(values)
        number = x.numel() // x.shape[1] // self._rows.count * self._rows.total
        with torch.no_grad():
            if running_mean is not None and running_var is not None:
                running_mean.lerp_(mean.detach().to(running_mean), momentum)
                unbiased = var.detach() * number / (number - 1)
                running_var.lerp_(unbiased.to(running_var), momentum)
        shape = [1, -1, *[1] * (x.dim() - 2)]
        scale = (var + eps).rsqrt()
        scale = scale if weight is None else scale * weight
        y = (values - mean.view(shape)) * scale.view(shape)
        return (y if bias is None else y + bias.view(shape)).to(x.dtype)

    def _moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance [C] of x [B, C, ...] over the rows of all processes, in one message."""
        total, processes = self._rows.total, dist.get_world_size()
        sizes = [Rows.of(total, number, processes).count for number in range(processes)]
        share = x.new_tensor(sizes)[:, None] / total
        others = [0, *range(2, x.dim())]
        own = x.mean(others, keepdim=True)
        moments = torch.stack([own.flatten(), (x - own).square().mean(others)])
        place = Rows(dist.get_rank(), 1, processes)
        means, variances = shared(all_rows(moments[None], place))[0].unbind(1)  # [P, C]
        mean = (share * means).sum(dim=0)
        return mean, (share * (variances + (means - mean).square())).sum(dim=0)

    def _dropout(
        self, x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> Tensor:
        return self._masked(functional.dropout, x, p, training, x.shape[1:])

    def _dropout_of_channels(
        self, x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> Tensor:
        shape = (x.shape[1], *[1] * (x.dim() - 2))
        return self._masked(functional.dropout2d, x, p, training, shape)

    def _masked(
        self,
        dropout: Callable[[Tensor, float], Tensor],
        x: Tensor,
        p: float,
        training: bool,
        shape: Sequence[int],
    ) -> Tensor:
        """x times the mask that dropout gives to a row, [*shape]."""
        if not training or p == 0:
            return x
        ones = x.new_ones(self._rows.total, *shape)
        if not x.is_contiguous() and x.dim() == 4:  # masks are drawn in the order of memory
            ones = ones.contiguous(memory_format=torch.channels_last)
        return x * dropout(ones, p).narrow(0, self._rows.first, self._rows.count)
