"""Augmentation of whole batches on the device."""

import torch
from torch import Tensor
from torch.nn import functional as F

PAD = 4


def crop_flip(x: Tensor, gen: torch.Generator) -> Tensor:
    """Reflect-pad by 4, crop each image [B, C, H, W] at its own place, mirror half of them (He et
    al. 2016)."""
    n, _, height, width = x.shape
    top, left = torch.randint(2 * PAD + 1, (2, n), generator=gen)
    flip = torch.rand(n, generator=gen) < 0.5
    columns = torch.arange(width).expand(n, width)
    columns = torch.where(flip[:, None], width - 1 - columns, columns) + left[:, None]
    rows = torch.arange(height) + top[:, None]
    rows, columns = rows.to(x.device), columns.to(x.device)
    padded = F.pad(x.float(), (PAD,) * 4, mode="reflect").permute(0, 2, 3, 1)
    picked = padded[
        torch.arange(n, device=x.device)[:, None, None], rows[:, :, None], columns[:, None, :]
    ]
    return picked.permute(0, 3, 1, 2).contiguous()
