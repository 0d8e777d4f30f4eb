"""What methods remember of each example: buffers [N, ...], by row of the data set."""

from __future__ import annotations

import torch
from torch import Tensor


def remember(memory: Tensor, index: Tensor, values: Tensor) -> None:
    """memory[index] = values, in place; of an example that occurs twice, the last one counts.

    An epoch that repeats clean examples, or draws with replacement, has such batches; a plain
    assignment would then keep either value on a GPU. memory [N, ...], index [B], values [B, ...].
    """
    places = torch.arange(len(index), device=index.device)
    last = torch.where(index == index[:, None], places, -1).amax(dim=1)
    memory.index_copy_(0, index, values[last].to(memory.dtype))
