"""All that changes from step to step of an epoch, made on the CPU and moved to the device at once.

Each random choice is drawn under its own key, so that a resumed epoch has the same batches; and no
step waits for a copy.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from methods.objective import Key, generator
from pipelines.training.augmentation import draw_crop_offsets


@dataclass(frozen=True)
class StepInputs:
    """One step's random choices, and where its phase stands.

    rows [B] of the pool, offsets [3, B] of their crops; the same of the clean batch; rate: learning
    rate; progress: share of the phase that is over, both scalars. None where nothing is cropped, or
    no clean examples are wanted.
    """

    rows: Tensor
    crop_offsets: Tensor | None
    clean_rows: Tensor | None
    clean_crop_offsets: Tensor | None
    rate: Tensor
    progress: Tensor


def epoch_inputs(
    order: Tensor,
    steps: int,
    key: Key,
    crops: bool,
    clean: tuple[int, int],
    rates: list[tuple[float, float]],
    device: torch.device,
) -> list[StepInputs]:
    """The draws of all steps of an epoch.

    order: rows of the pool, split into `steps` batches; key: of the epoch, to which each step adds
    its number; clean: how many of how many clean examples a step takes; rates: learning rate and
    progress of each step.
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
    return list(map(StepInputs, rows, crop_offsets, clean_rows, clean_crop_offsets, rate, progress))
