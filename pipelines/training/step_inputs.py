"""All that changes from step to step of an epoch, made on the CPU and moved to the device at once.

Each random choice is drawn under its own key, so that a resumed epoch has the same batches; and no
step waits for a copy.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from methods.objective import Key, generator
from pipelines.training.augmentation import draw_crop_offsets


@dataclass(frozen=True)
class StepInputs:
    """One step's random choices, and where its phase stands.

    rows [B] of the pool, offsets [3, B] of their crops; the same of the clean batch; rate: learning
    rate; progress: share of the phase that is over, both scalars; later_rows [k - 1, B] and offsets
    [k - 1, 3, B] for a look-ahead of k steps. None where nothing is cropped, or no such examples
    are wanted.
    """

    rows: Tensor
    crop_offsets: Tensor | None
    clean_rows: Tensor | None
    clean_crop_offsets: Tensor | None
    rate: Tensor
    progress: Tensor
    later_rows: Tensor | None = None
    later_crop_offsets: Tensor | None = None


def epoch_inputs(
    order: Tensor,
    steps: int,
    key: Key,
    crops: bool,
    clean: tuple[int, int],
    rates: list[tuple[float, float]],
    device: torch.device,
    horizon: int = 1,
) -> list[StepInputs]:
    """The draws of all steps of an epoch.

    order: rows of the pool, split into `steps` batches; key: of the epoch, to which each step adds
    its number; clean: how many of how many clean examples a step takes; rates: learning rate and
    progress of each step; horizon: how many steps a look-ahead takes.
    """
    take, available = clean
    sizes = [len(rows) for rows in order.tensor_split(steps)]
    keys = [(*key, step) for step in range(steps)]
    nothing: list[None] = [None] * steps
    crop_offsets = clean_rows = clean_crop_offsets = nothing
    if crops:
        draws = [
            draw_crop_offsets(n, generator(*k, "augment")) for n, k in zip(sizes, keys, strict=True)
        ]
        crop_offsets = torch.cat(draws, dim=1).to(device).split(sizes, dim=1)
    if take:
        draws = [torch.randperm(available, generator=generator(*k, "meta"))[:take] for k in keys]
        clean_rows = torch.stack(draws).to(device)
    if crops and take:
        draws = [draw_crop_offsets(take, generator(*k, "augment meta")) for k in keys]
        clean_crop_offsets = torch.stack(draws).to(device)
    rows = order.to(device).split(sizes)
    rate, progress = torch.tensor(rates, dtype=torch.float32).to(device).unbind(1)
    columns = (rows, crop_offsets, clean_rows, clean_crop_offsets, rate, progress)
    if horizon == 1:
        return list(map(StepInputs, *columns))
    later_rows = [t.to(device) for t in _later_rows(order, sizes, horizon - 1)]
    later_crop_offsets = nothing
    if crops:
        wanted = zip(sizes, keys, strict=True)
        draws = [_later_crop_offsets(n, (*k, "augment later"), horizon - 1) for n, k in wanted]
        later_crop_offsets = [t.to(device) for t in draws]
    return list(map(StepInputs, *columns, later_rows, later_crop_offsets))


def replayed(order: Tensor, steps: int, epoch: int, times: int) -> Tensor:
    """The same order with each batch so many steps in a row: an epoch's part of it.

    order: rows of the pool, the same for `times` epochs, which go over it once. Batches have the
    sizes that they have anyway; behind the end of the order come its first ones.
    """
    if times == 1:
        return order
    sizes = [len(rows) for rows in order.tensor_split(steps)]
    begins = [(epoch % times * steps + step) // times * sizes[0] for step in range(steps)]
    places = [begin + torch.arange(size) for begin, size in zip(begins, sizes, strict=True)]
    return order[torch.cat(places) % len(order)]


def _later_rows(order: Tensor, sizes: list[int], later: int) -> list[Tensor]:
    """The rows [later, B] that the epoch takes after each step; behind its end, its first ones."""
    rows = []
    for end, size in zip(accumulate(sizes), sizes, strict=True):
        places = (end + torch.arange(later * size)) % len(order)
        rows.append(order[places].view(later, size))
    return rows


def _later_crop_offsets(size: int, key: Key, later: int) -> Tensor:
    return torch.stack([draw_crop_offsets(size, generator(*key, j)) for j in range(later)])
